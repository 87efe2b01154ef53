// Package flat turns the JSON of an audit event into one flat record: the
// columns of schemas/audit_event_v1.avsc.
//
// It takes every event. An unknown type, an unknown field, a value of the wrong kind or
// a thousand nested arrays make columns null and never an error, since the event itself
// is in the column raw_event. Only text that is not a JSON object is refused. See
// Flatten for the rules.
package flat
