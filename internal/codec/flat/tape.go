package flat

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// tape is a parsed JSON text: its values in the order in which they begin, so
// that one pass and one reused slice take the place of a tree of maps, which
// costs ten times as much. It holds offsets into text and decodes nothing before
// it is asked for. Parsing does not recurse: nesting costs memory in proportion
// to the text, never stack.
type tape struct {
	text  string
	nodes []node
	open  []int32 // the containers around the value being parsed, outermost first
}

type node struct {
	kind             kind
	escaped          bool // the string holds a backslash
	keyEscaped       bool
	keyStart, keyEnd int32 // the key's text without quotes; equal in an array
	start, end       int32 // the value's text; a string's without quotes
	next             int32 // the node after this value and all inside it
}

type kind byte

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// pooledNodes bounds the tapes kept for reuse: one huge event must not make
// every later one hold its memory.
const pooledNodes = 4096

var tapes = sync.Pool{New: func() any { return new(tape) }}

func borrowTape() *tape { return tapes.Get().(*tape) }

func (t *tape) giveBack() {
	t.text = "" // the event may be collected
	if cap(t.nodes) <= pooledNodes && cap(t.open) <= pooledNodes {
		tapes.Put(t)
	}
}

// root is the value of the whole text.
func (t *tape) root() value { return value{t, 0} }

// value is one value of a tape. The zero value is one that is not there: it has
// no members, no text and no items, so that a path can be walked without a check
// at each step.
type value struct {
	tape *tape
	at   int32
}

func (v value) is(k kind) bool { return v.tape != nil && v.tape.nodes[v.at].kind == k }

// get returns the member of an object, by its exact name. Of members with the
// same name the last is the one, as for every other reader of JSON.
func (v value) get(name string) (found value) {
	if !v.is(kindObject) {
		return found
	}
	nodes := v.tape.nodes // not by members: this loop is where the time goes
	for at := v.at + 1; at < nodes[v.at].next; at = nodes[at].next {
		n := &nodes[at]
		if !n.keyEscaped && int(n.keyEnd-n.keyStart) != len(name) {
			continue
		}
		if (key{v.tape.text[n.keyStart:n.keyEnd], n.keyEscaped}).equals(name) {
			found = value{v.tape, at}
		}
	}
	return found
}

// members yields an object's members as they stand, repeated names included.
func (v value) members(yield func(key, value) bool) {
	if v.is(kindObject) {
		v.children(yield)
	}
}

// items yields an array's values.
func (v value) items(yield func(value) bool) {
	if v.is(kindArray) {
		v.children(func(_ key, item value) bool { return yield(item) })
	}
}

func (v value) children(yield func(key, value) bool) {
	nodes := v.tape.nodes
	for at := v.at + 1; at < nodes[v.at].next; at = nodes[at].next {
		n := &nodes[at]
		name := key{v.tape.text[n.keyStart:n.keyEnd], n.keyEscaped}
		if !yield(name, value{v.tape, at}) {
			return
		}
	}
}

// string returns a string's content, and "" for every other value.
func (v value) string() string {
	if !v.is(kindString) {
		return ""
	}
	n := &v.tape.nodes[v.at]
	return decode(v.tape.text[n.start:n.end], n.escaped)
}

// number returns the text of a number, or of a string that may hold one.
func (v value) number() string {
	if v.is(kindNumber) {
		return v.raw()
	}
	return v.string()
}

// raw returns the value's text as it was sent; a string's without its quotes.
func (v value) raw() string {
	n := &v.tape.nodes[v.at]
	return v.tape.text[n.start:n.end]
}

// key is a member's name, as sent.
type key struct {
	text    string
	escaped bool
}

func (k key) string() string { return decode(k.text, k.escaped) }

func (k key) equals(name string) bool {
	if !k.escaped {
		return k.text == name
	}
	return k.string() == name
}

// decode resolves the escapes of a JSON string whose text was found valid. A
// surrogate without its other half (\ud800 alone) is no character and becomes
// U+FFFD, as in encoding/json. So does NUL, which PostgreSQL takes in no text: one
// would stop a consumer at this event. raw_event still has both as they were sent.
func decode(text string, escaped bool) string {
	if !escaped {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			out = append(out, text[i])
			i++
			continue
		}
		if text[i+1] != 'u' {
			out = append(out, unescaped[text[i+1]])
			i += 2
			continue
		}
		r, size := decodeUnicode(text[i:])
		if r == 0 {
			r = utf8.RuneError
		}
		out = utf8.AppendRune(out, r)
		i += size
	}
	return string(out)
}

// WithoutNUL returns the text as it stands in a column, with U+FFFD for each NUL.
func WithoutNUL(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

// unescaped is what the letter after a backslash stands for; 0 for no escape.
var unescaped = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}
