// Package telemetry shows what the connector does: metrics, health, a status
// page, and the log. It implements connector.Telemetry.
//
// What it shows may be seen by anybody: no key, no address, no e-mail. The one
// exception, the latest events on the status page, has to be asked for.
package telemetry
