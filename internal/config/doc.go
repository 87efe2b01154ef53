// Package config makes a connector.Config of the environment. It is the only
// package that reads it, and the one place that names the settings: Table is
// what --help, docs/settings.md and the check for mistyped names are made from.
//
// All faults are reported at once, and no output of this package holds a secret.
package config
