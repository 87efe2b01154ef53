package rawjson

import (
	"errors"
	"math"
	"sync"
)

// Tape is a parsed JSON text: its values in the order in which they begin. One pass
// over a slice that is used again takes the place of a tree of maps, which costs ten
// times as much. It holds offsets into the text and decodes nothing before it is asked
// for.
type Tape struct {
	scan  Scanner[string]
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
	t.scan.reset(text)
	t.nodes, t.open = t.nodes[:0], t.open[:0]
	if len(text) > math.MaxInt32 {
		return Value{}, errTooLong
	}
	for len(t.nodes) == 0 || len(t.open) > 0 {
		var n node
		if err := t.scan.next(&n); err != nil {
			return Value{}, err
		}
		t.add(n)
	}
	if !t.scan.AtEnd() {
		return Value{}, t.scan.Wrong("the end")
	}
	return Value{t, 0}, nil
}

func (t *Tape) add(n node) {
	here := int32(len(t.nodes))
	switch n.kind {
	case closing:
		last := len(t.open) - 1
		of := &t.nodes[t.open[last]]
		of.end, of.next = int32(t.scan.pos), here
		t.open = t.open[:last]
		return
	case Array, Object:
		t.open = append(t.open, here)
	}
	n.next = here + 1
	t.nodes = append(t.nodes, n)
}

// pooledNodes bounds the tapes kept for reuse: one huge event must not make
// every later one hold its memory.
const pooledNodes = 4096

var tapes = sync.Pool{New: func() any { return new(Tape) }}

// Borrow returns a tape from a pool.
func Borrow() *Tape { return tapes.Get().(*Tape) }

// GiveBack puts the tape into the pool. Its values are of no use from then on.
func (t *Tape) GiveBack() {
	t.scan.reset("") // the event may be collected
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
		v.children(func(key Text[string], member Value) bool {
			return yield(key.lenient(), member)
		})
	}
}

// Items yields an array's values.
func (v Value) Items(yield func(Value) bool) {
	if v.Is(Array) {
		v.children(func(_ Text[string], item Value) bool { return yield(item) })
	}
}

func (v Value) children(yield func(Text[string], Value) bool) {
	nodes := v.tape.nodes
	for at := v.at + 1; at < nodes[v.at].next; at = nodes[at].next {
		if !yield(v.tape.key(&nodes[at]), Value{v.tape, at}) {
			return
		}
	}
}

func (t *Tape) key(n *node) Text[string] {
	return Text[string]{t.scan.data[n.keyStart:n.keyEnd], n.keyEscaped}
}

// Text returns a string's content, and "" for every other value. A NUL and half of a
// surrogate pair are U+FFFD.
func (v Value) Text() string {
	if !v.Is(String) {
		return ""
	}
	return Text[string]{v.Raw(), v.tape.nodes[v.at].escaped}.lenient()
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
	return v.tape.scan.data[n.start:n.end]
}
