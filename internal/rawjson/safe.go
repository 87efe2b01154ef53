package rawjson

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// maxSafeDepth is how deep objects and lists may lie inside each other for the
// strictest of the readers that are in use, those of .NET. OpenAI's own are ten deep.
const maxSafeDepth = 64

// Safe returns the event as JSON that strict readers take, on one line: the same
// value as raw, which must be valid UTF-8, except for what would stop such a reader.
//
//   - Half of a surrogate pair is \ufffd.
//   - A number beyond the range of a double is a string of its text.
//   - Of members with the same name only the last is there.
//   - An object or a list inside 64 others is a string of its text.
//
// All else is written as it was sent, numbers digit for digit.
func Safe(raw string) ([]byte, error) {
	t := Borrow()
	defer t.GiveBack()
	root, err := t.Parse(raw)
	if err != nil {
		return nil, err
	}
	return appendSafe(make([]byte, 0, len(raw)), root, maxSafeDepth), nil
}

// appendSafe appends v, in which depth levels may follow; the bound of the depth is
// one of the stack, too.
func appendSafe(dst []byte, v Value, depth int) []byte {
	n := &v.tape.nodes[v.at]
	switch n.kind {
	case String:
		return appendSafeString(dst, v.Raw(), n.escaped)
	case Number:
		if isBeyondDouble(v.Raw()) {
			return appendQuoted(dst, v.Raw())
		}
	case Object, Array:
		if depth == 0 {
			return appendQuoted(dst, v.Raw())
		}
		return appendContainer(dst, v, depth)
	}
	return append(dst, v.Raw()...)
}

func appendContainer(dst []byte, v Value, depth int) []byte {
	opening, closing := byte('['), byte(']')
	last := map[string]int32{} // where each name is for the last time
	if v.Is(Object) {
		opening, closing = '{', '}'
		for name, member := range v.children {
			text, _ := decode(name) // a NUL stays one here, and makes another name
			last[text] = member.at
		}
	}
	dst = append(dst, opening)
	for name, member := range v.children {
		if v.Is(Object) {
			if text, _ := decode(name); last[text] != member.at {
				continue
			}
			dst = append(appendSafeString(dst, name.raw, name.escaped), ':')
		}
		dst = append(appendSafe(dst, member, depth-1), ',')
	}
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, closing)
}

// appendSafeString appends a string, given as it was sent and without its quotes.
func appendSafeString(dst []byte, text string, escaped bool) []byte {
	dst = append(dst, '"')
	for escaped && text != "" {
		at := strings.IndexByte(text, '\\')
		if at < 0 {
			break
		}
		dst, text = append(dst, text[:at]...), text[at:]
		r, size := unescape(text[1:])
		if size++; utf16.IsSurrogate(r) {
			dst = append(dst, `\ufffd`...)
		} else {
			dst = append(dst, text[:size]...)
		}
		text = text[size:]
	}
	return append(append(dst, text...), '"')
}

// isBeyondDouble reports whether readers would make an infinity of the number. The
// largest double has 309 digits.
func isBeyondDouble(number string) bool {
	if len(number) < 309 && !strings.ContainsAny(number, "eE") {
		return false
	}
	_, err := strconv.ParseFloat(number, 64)
	return err != nil
}

// appendQuoted appends the JSON text as a string that holds it. A text has no other
// control characters than white space.
func appendQuoted(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for _, c := range []byte(text) {
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
