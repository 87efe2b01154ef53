// Package auditlog holds the words of this project: an Event of OpenAI's audit
// log, the Scope that lists it, a Second of the log's time, the Range and the
// Cursor that say what was read, and the Minute bucket that remembers which ids
// were written.
//
// It imports the standard library only, does no I/O and reads no clock, so that
// every other package may point at it.
package auditlog
