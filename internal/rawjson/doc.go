// Package rawjson reads JSON without decoding it: it checks the text, and says
// where each value lies. A Scanner reads from left to right, as what is around the events
// of a page, and a Tape holds values to be looked at in any order, as an event's columns.
//
// It accepts what encoding/json accepts (RFC 8259; a fuzz test compares the two),
// except that nesting has no limit: a million brackets cost memory in proportion to
// the text, and never stack. Invalid UTF-8 inside a string passes.
package rawjson
