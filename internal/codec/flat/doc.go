// Package flat turns the JSON of an audit event into one flat record: the
// columns of schemas/audit_event_v1.avsc.
//
// It is total. An event of an unknown type, a field nobody has seen, a value of
// the wrong kind or a thousand nested arrays make columns null and never an
// error, for the event itself is in the column raw_event. Only text that is no
// JSON object is refused. See Flatten for the rules.
package flat
