package openai

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text is a JSON string without its quotes, as it is written.
type text struct {
	raw     []byte
	escaped bool // there is a backslash in it
}

// text moves over a string. Invalid UTF-8 is let pass, as encoding/json does.
func (s *scanner) text() (text, error) {
	if err := s.take('"'); err != nil {
		return text{}, err
	}
	t := text{}
	for start := s.pos; ; {
		i := s.pos
		for i < len(s.data) && plain[s.data[i]] {
			i++
		}
		if s.pos = i; i == len(s.data) {
			return t, s.wrong("the end of a string")
		}
		switch s.data[i] {
		case '"':
			t.raw = s.data[start:i]
			s.pos++
			return t, nil
		case '\\':
			t.escaped = true
			if err := s.escape(); err != nil {
				return t, err
			}
		default:
			return t, s.wrong("a character of a string")
		}
	}
}

// plain tells the bytes of a string that stand for themselves: all but the quote,
// the backslash and control characters. Nearly all of a page is of them.
var plain = func() (table [256]bool) {
	for c := range table {
		table[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return table
}()

func (s *scanner) escape() error {
	s.pos++
	if s.pos == len(s.data) {
		return s.wrong("an escape")
	}
	switch s.data[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		if _, ok := hex4(s.data[s.pos+1:]); ok {
			s.pos += 5
			return nil
		}
	}
	return s.wrong("an escape")
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// is reports whether the string is name, in exactly that case.
func (t text) is(name string) bool {
	if !t.escaped {
		return string(t.raw) == name
	}
	s, ok := t.decode()
	return ok && s == name
}

// decode returns the string, and false if it is no Unicode text: invalid UTF-8,
// or half of a surrogate pair. encoding/json would put U+FFFD for both, and two
// different ids could become the same.
func (t text) decode() (string, bool) {
	if !utf8.Valid(t.raw) {
		return "", false
	}
	if !t.escaped {
		return string(t.raw), true
	}
	out := make([]byte, 0, len(t.raw))
	for i := 0; i < len(t.raw); {
		if t.raw[i] != '\\' {
			out = append(out, t.raw[i])
			i++
			continue
		}
		r, size := unescape(t.raw[i+1:])
		if utf16.IsSurrogate(r) {
			return "", false
		}
		out = utf8.AppendRune(out, r)
		i += 1 + size
	}
	return string(out), true
}

// unescape reads what follows a backslash; text() has checked its form. Half of
// a surrogate pair comes back as it is.
func unescape(b []byte) (r rune, size int) {
	switch b[0] {
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'u':
		r, _ = hex4(b[1:])
		if utf16.IsSurrogate(r) && len(b) > 6 && b[5] == '\\' && b[6] == 'u' {
			low, _ := hex4(b[7:])
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 11
			}
		}
		return r, 5
	}
	return rune(b[0]), 1
}
