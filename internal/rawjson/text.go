package rawjson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Text is a JSON string without its quotes, as it is written.
type Text struct {
	raw     string
	escaped bool // there is a backslash in it
}

// Text moves over a string.
func (s *Scanner) Text() (t Text, err error) {
	if err := s.Take('"'); err != nil {
		return t, err
	}
	data := s.data // this loop is where the time goes
	for start := s.pos; ; {
		i := s.pos
		for i < len(data) && plain[data[i]] {
			i++
		}
		if s.pos = i; i == len(data) {
			return t, s.Wrong("the end of a string")
		}
		switch data[i] {
		case '"':
			t.raw = data[start:i]
			s.pos++
			return t, nil
		case '\\':
			t.escaped = true
			if err := s.escape(); err != nil {
				return t, err
			}
		default:
			return t, s.Wrong("a character of a string")
		}
	}
}

// plain marks the bytes of a string that stand for themselves: all but the quote,
// the backslash and control characters. Nearly all of a page is of them.
var plain = func() (table [256]bool) {
	for c := range table {
		table[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return table
}()

func (s *Scanner) escape() error {
	s.pos++
	if s.pos == len(s.data) {
		return s.Wrong("an escape")
	}
	switch c := s.data[s.pos]; {
	case unescaped[c] != 0:
		s.pos++
		return nil
	case c == 'u':
		if _, ok := hex4(s.data[s.pos+1:]); ok {
			s.pos += 5
			return nil
		}
	}
	return s.Wrong("an escape")
}

// unescaped is what the letter after a backslash stands for; 0 for no escape.
var unescaped = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

func hex4(b string) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for i := range 4 {
		c := b[i]
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

// Is reports whether the string is name, in exactly that case.
func (t Text) Is(name string) bool {
	if !t.escaped {
		return t.raw == name
	}
	return t.lenient() == name
}

// Decode returns the string, and false if it is no Unicode text: invalid UTF-8,
// or half of a surrogate pair. encoding/json would put U+FFFD for both, and two
// different ids could become the same.
func (t Text) Decode() (string, bool) {
	s, whole := decode(t)
	if !whole || !utf8.ValidString(s) {
		return "", false
	}
	return s, true
}

// lenient returns the string, with U+FFFD in place of half of a surrogate pair, as in
// encoding/json, and in place of NUL, which PostgreSQL takes in no text: a column with
// one would stop a consumer.
func (t Text) lenient() string {
	s, _ := decode(t)
	if t.escaped {
		s = WithoutNUL(s)
	}
	return s
}

// WithoutNUL returns the text with U+FFFD for each NUL.
func WithoutNUL(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

// decode resolves the escapes. Half of a surrogate pair becomes U+FFFD, and then
// whole is false.
func decode(t Text) (s string, whole bool) {
	if !t.escaped {
		return t.raw, true
	}
	whole = true
	out := make([]byte, 0, len(t.raw))
	for i := 0; i < len(t.raw); {
		if t.raw[i] != '\\' {
			out = append(out, t.raw[i])
			i++
			continue
		}
		r, size := unescape(t.raw[i+1:])
		whole = whole && !utf16.IsSurrogate(r)
		out = utf8.AppendRune(out, r)
		i += 1 + size
	}
	return string(out), whole
}

// unescape reads what follows a backslash; Scanner.Text has checked its form. Half of
// a surrogate pair comes back as it is.
func unescape(b string) (r rune, size int) {
	if b[0] != 'u' {
		return rune(unescaped[b[0]]), 1
	}
	r, _ = hex4(b[1:])
	if utf16.IsSurrogate(r) && len(b) > 6 && b[5] == '\\' && b[6] == 'u' {
		low, _ := hex4(b[7:])
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 11
		}
	}
	return r, 5
}
