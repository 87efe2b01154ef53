package rawjson

import (
	"errors"
	"math"
	"sync"
	"unsafe"
)

// Tape is a parsed JSON text, or some values of one, in the order in which they begin. One
// pass over a slice that is used again takes the place of a tree of maps, which costs ten
// times as much. It holds offsets into the text and decodes nothing before it is asked
// for.
type Tape struct {
	text  string
	scan  Scanner // of Parse
	nodes []node
	open  []int32 // the objects and arrays around the value being parsed, outermost first
}

type node struct {
	kind             Kind
	escaped          bool // the string holds a backslash
	keyEscaped       bool
	keyStart, keyEnd int32 // the key's text without quotes; equal in an array
	start, end       int32 // the value's text; a string's without quotes
	next             int32 // the node after this value and all inside it
}

// Kind is what a value is.
type Kind byte

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
	closing // the end of an object or array, which is no value
)

var errTooLong = errors.New("the JSON has more than 2 GiB")

// Parse reads the text onto the tape, in place of what it held, and returns its
// value. Values are usable until the next Parse.
func (t *Tape) Parse(text string) (Value, error) {
	t.Begin(text)
	t.scan.reset(text)
	v, _, err := t.Next(&t.scan, math.MaxInt)
	if err == nil && !t.scan.AtEnd() {
		err = t.scan.Wrong("the end")
	}
	if err != nil {
		return Value{}, err
	}
	return v, nil
}

// Begin makes the tape one of values of the text, and empty.
func (t *Tape) Begin(text string) { t.text, t.nodes, t.open = text, t.nodes[:0], t.open[:0] }

// Next parses the value that the scanner of the text comes to, behind what the tape holds.
// It is usable until the next Begin or Parse. fits is false where the tape would have more
// than most values with it, however deep. Then, and after an error, the tape is as before,
// and the scanner is somewhere in the value.
func (t *Tape) Next(s *Scanner, most int) (v Value, fits bool, err error) {
	if len(t.text) > math.MaxInt32 {
		return Value{}, false, errTooLong
	}
	first := len(t.nodes)
	for len(t.nodes) == first || len(t.open) > 0 {
		here := int32(len(t.nodes))
		t.nodes = append(t.nodes, node{next: here + 1})
		n := &t.nodes[here] // written in place: this loop is where the time goes
		if err := s.next(n); err != nil {
			t.nodes, t.open = t.nodes[:first], t.open[:0]
			return Value{}, false, err
		}
		switch n.kind {
		case closing:
			t.nodes = t.nodes[:here]
			last := len(t.open) - 1
			of := &t.nodes[t.open[last]]
			of.end, of.next = int32(s.pos), here
			t.open = t.open[:last]
			continue
		case Array, Object:
			t.open = append(t.open, here)
		}
		if len(t.nodes) > most {
			t.nodes, t.open = t.nodes[:first], t.open[:0]
			return Value{}, false, nil
		}
	}
	return Value{t, int32(first)}, true, nil
}

// At returns the value that has that place on the tape; the zero value if none has.
func (t *Tape) At(place int32) (v Value) {
	if place >= 0 && int(place) < len(t.nodes) {
		v = Value{t, place}
	}
	return v
}

// IsOf reports whether the value was read from this very text, and not from an equal one:
// of another the value may be anything. It may be asked of any value, also of one whose tape
// holds something else by now.
func (v Value) IsOf(text string) bool {
	if v.tape == nil || int(v.at) >= len(v.tape.nodes) {
		return false
	}
	raw := v.Raw()
	return len(raw) == len(text) && unsafe.StringData(raw) == unsafe.StringData(text)
}

// Place returns where on its tape the value is.
func (v Value) Place() int32 { return v.at }

// pooledNodes bounds the tapes kept for reuse: one huge event must not make
// every later one hold its memory.
const pooledNodes = 4096

var tapes = sync.Pool{New: func() any { return new(Tape) }}

// Borrow returns a tape from a pool.
func Borrow() *Tape { return tapes.Get().(*Tape) }

// GiveBack puts the tape into the pool. Its values are of no use from then on.
func (t *Tape) GiveBack() {
	t.text = "" // the event may be collected
	t.scan.reset("")
	if cap(t.nodes) <= pooledNodes && cap(t.open) <= pooledNodes {
		tapes.Put(t)
	}
}

// Value is one value of a tape. The zero value is one that is not there: it has
// no members, no text and no items, so that a path can be walked without a check
// at each step.
type Value struct {
	tape *Tape
	at   int32
}

// Is reports whether the value is there and of the kind.
func (v Value) Is(k Kind) bool { return v.tape != nil && v.tape.nodes[v.at].kind == k }

// Get returns the member of an object, by its exact name. Of members with the
// same name the last is the one, as for every other reader of JSON.
func (v Value) Get(name string) (found Value) {
	if !v.Is(Object) {
		return found
	}
	nodes := v.tape.nodes // not by Members: this loop is where the time goes
	for at := v.at + 1; at < nodes[v.at].next; at = nodes[at].next {
		n := &nodes[at]
		if !n.keyEscaped && int(n.keyEnd-n.keyStart) != len(name) {
			continue
		}
		if v.tape.key(n).Is(name) {
			found = Value{v.tape, at}
		}
	}
	return found
}

// Members yields an object's members as they stand, repeated names included. Names are
// as Text returns them.
func (v Value) Members(yield func(name string, member Value) bool) {
	if v.Is(Object) {
		v.children(func(key Text, member Value) bool {
			return yield(key.lenient(), member)
		})
	}
}

// Items yields an array's values.
func (v Value) Items(yield func(Value) bool) {
	if v.Is(Array) {
		v.children(func(_ Text, item Value) bool { return yield(item) })
	}
}

func (v Value) children(yield func(Text, Value) bool) {
	nodes := v.tape.nodes
	for at := v.at + 1; at < nodes[v.at].next; at = nodes[at].next {
		if !yield(v.tape.key(&nodes[at]), Value{v.tape, at}) {
			return
		}
	}
}

func (t *Tape) key(n *node) Text {
	return Text{t.text[n.keyStart:n.keyEnd], n.keyEscaped}
}

// Text returns a string's content, and "" for every other value. A NUL and half of a
// surrogate pair are U+FFFD.
func (v Value) Text() string {
	if !v.Is(String) {
		return ""
	}
	return Text{v.Raw(), v.tape.nodes[v.at].escaped}.lenient()
}

// Unicode is Text, but "" where the string is no Unicode text. See Decode.
func (v Value) Unicode() string {
	if !v.Is(String) {
		return ""
	}
	s, _ := Text{v.Raw(), v.tape.nodes[v.at].escaped}.Decode()
	return s
}

// Number returns the text of a number, or of a string that may hold one.
func (v Value) Number() string {
	if v.Is(Number) {
		return v.Raw()
	}
	return v.Text()
}

// Raw returns the value's text as it was sent; a string's without its quotes.
func (v Value) Raw() string {
	n := &v.tape.nodes[v.at]
	return v.tape.text[n.start:n.end]
}
