package flat

import (
	"errors"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

var errSyntax = errors.New("not valid JSON")

// parse reads the JSON text onto the tape, in place of what it held. It accepts
// what encoding/json accepts (a fuzz test holds it to that), except that the
// nesting has no limit.
func (t *tape) parse(text string) error {
	t.text, t.nodes, t.open = text, t.nodes[:0], t.open[:0]
	if len(text) > math.MaxInt32 {
		return errSyntax
	}
	at := t.value(t.space(0), node{})
	for at >= 0 && len(t.open) > 0 {
		at = t.inside(t.space(at))
	}
	if at < 0 || t.space(at) != len(text) {
		return errSyntax
	}
	return nil
}

// The functions below take the offset at which to read and return the one after
// what they read, or fail.
const fail = -1

// value reads a value, of a container only the beginning. n has the key.
func (t *tape) value(at int, n node) int {
	if at >= len(t.text) {
		return fail
	}
	n.start = int32(at)
	switch c := t.text[at]; c {
	case '{', '[':
		return t.begin(at, n)
	case '"':
		n.kind, n.start = kindString, int32(at+1)
		end, escaped := scanString(t.text, at+1)
		if end < 0 {
			return fail
		}
		n.escaped = escaped
		t.add(n, end)
		return end + 1
	case 't':
		return t.literal(at, "true", kindBool, n)
	case 'f':
		return t.literal(at, "false", kindBool, n)
	case 'n':
		return t.literal(at, "null", kindNull, n)
	default:
		end := scanNumber(t.text, at)
		if end < 0 {
			return fail
		}
		n.kind = kindNumber
		t.add(n, end)
		return end
	}
}

func (t *tape) literal(at int, word string, k kind, n node) int {
	end := at + len(word)
	if end > len(t.text) || t.text[at:end] != word {
		return fail
	}
	n.kind = k
	t.add(n, end)
	return end
}

func (t *tape) add(n node, end int) {
	n.end, n.next = int32(end), int32(len(t.nodes)+1)
	t.nodes = append(t.nodes, n)
}

// begin opens a container. What is in it is read by inside, called from parse and
// not from here: a call for each bracket would let an event choose how much stack
// we need.
func (t *tape) begin(at int, n node) int {
	n.kind = kindArray
	if t.text[at] == '{' {
		n.kind = kindObject
	}
	t.open = append(t.open, int32(len(t.nodes)))
	t.nodes = append(t.nodes, n)
	return at + 1
}

// inside reads the next part of the innermost container: its end, its first
// value, or a comma and another one.
func (t *tape) inside(at int) int {
	if at >= len(t.text) {
		return fail
	}
	closing := byte(']')
	if t.inObject() {
		closing = '}'
	}
	isEmpty := int(t.innermost()) == len(t.nodes)-1
	switch {
	case t.text[at] == closing:
		return t.end(at)
	case isEmpty:
		return t.member(at)
	case t.text[at] == ',':
		return t.member(t.space(at + 1))
	default:
		return fail
	}
}

func (t *tape) end(at int) int {
	innermost := t.innermost()
	t.open = t.open[:len(t.open)-1]
	t.nodes[innermost].end = int32(at + 1)
	t.nodes[innermost].next = int32(len(t.nodes))
	return at + 1
}

func (t *tape) innermost() int32 { return t.open[len(t.open)-1] }

func (t *tape) inObject() bool { return t.nodes[t.innermost()].kind == kindObject }

// member reads the next value of the innermost container, an object's with its
// key.
func (t *tape) member(at int) int {
	if !t.inObject() {
		return t.value(at, node{})
	}
	if at >= len(t.text) || t.text[at] != '"' {
		return fail
	}
	end, escaped := scanString(t.text, at+1)
	if end < 0 {
		return fail
	}
	n := node{keyStart: int32(at + 1), keyEnd: int32(end), keyEscaped: escaped}
	at = t.space(end + 1)
	if at >= len(t.text) || t.text[at] != ':' {
		return fail
	}
	return t.value(t.space(at+1), n)
}

func (t *tape) space(at int) int {
	for at < len(t.text) {
		switch t.text[at] {
		case ' ', '\n', '\r', '\t':
			at++
		default:
			return at
		}
	}
	return at
}

// scanString reads a string from after its opening quote and returns where the
// closing one is, or fail.
func scanString(text string, at int) (end int, escaped bool) {
	for at < len(text) {
		switch c := text[at]; {
		case c == '"':
			return at, escaped
		case c < ' ':
			return fail, false
		case c != '\\':
			at++
		default:
			escaped = true
			size := escapeSize(text[at:])
			if size < 0 {
				return fail, false
			}
			at += size
		}
	}
	return fail, false
}

func escapeSize(text string) int {
	switch {
	case len(text) < 2:
		return fail
	case unescaped[text[1]] != 0:
		return 2
	case text[1] == 'u' && hex4(text[2:]) >= 0:
		return 6
	default:
		return fail
	}
}

// scanNumber reads a number by the grammar of JSON.
func scanNumber(text string, at int) int {
	if at < len(text) && text[at] == '-' {
		at++
	}
	if at < len(text) && text[at] == '0' {
		at++
	} else if at = digits(text, at); at < 0 {
		return fail
	}
	if at < len(text) && text[at] == '.' {
		if at = digits(text, at+1); at < 0 {
			return fail
		}
	}
	if at < len(text) && (text[at] == 'e' || text[at] == 'E') {
		at++
		if at < len(text) && (text[at] == '+' || text[at] == '-') {
			at++
		}
		return digits(text, at)
	}
	return at
}

// digits reads one digit or more.
func digits(text string, at int) int {
	start := at
	for at < len(text) && '0' <= text[at] && text[at] <= '9' {
		at++
	}
	if at == start {
		return fail
	}
	return at
}

// decodeUnicode reads \u and its four hex digits, with the other half where it is a surrogate.
func decodeUnicode(text string) (r rune, size int) {
	r = hex4(text[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(text[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 reads four hexadecimal digits, or fails.
func hex4(text string) rune {
	if len(text) < 4 {
		return fail
	}
	var r rune
	for _, c := range []byte(text[:4]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return fail
		}
		r = r<<4 | rune(c)
	}
	return r
}
