// Package target says once where the events of an organization go: which topics
// there are and what for, and what an event becomes in them.
package target
