// Package rawjson reads JSON without decoding it: it checks the text, and says
// where each value lies. The pages of the API are read with a Scanner, from left to
// right, and an event's columns with a Tape, in any order.
//
// It accepts what encoding/json accepts (RFC 8259; a fuzz test compares the two),
// except that nesting has no limit: a million brackets cost memory in proportion to
// the text, and never stack. Invalid UTF-8 inside a string passes.
package rawjson
