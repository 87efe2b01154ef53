package openai

import (
	"fmt"
	"strconv"
)

// scanner reads a JSON text once, from left to right, and checks all of it by
// the same grammar as encoding/json (RFC 8259; a fuzz test holds the two
// together). It keeps no values, only where they lie, and it does not recurse:
// what is open is a stack of bits, so that a million brackets in an event cost
// 128 KB and no stack.
type scanner struct {
	data []byte
	pos  int
	open bitStack // one bit an open object (1) or array (0) of skip
}

// syntaxError says where a JSON text stops being one. It quotes nothing of it.
type syntaxError struct {
	at   int
	want string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("the JSON is wrong at byte %d, where %s should be", e.at, e.want)
}

func (s *scanner) wrong(want string) error { return &syntaxError{at: s.pos, want: want} }

// peek skips white space and returns the next byte, 0 at the end of the text. A
// byte 0 in the text is wrong everywhere, so the two need not differ.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// take moves over c, which must be the next byte but for white space.
func (s *scanner) take(c byte) error {
	if s.peek() != c {
		return s.wrong(strconv.QuoteRune(rune(c)))
	}
	s.pos++
	return nil
}

// more moves to the next thing in an object or array that ends with end, over
// the comma if it is not the first. It returns false behind the end.
func (s *scanner) more(end byte, first bool) (bool, error) {
	switch c := s.peek(); {
	case c == end:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, s.wrong("a comma or " + strconv.QuoteRune(rune(end)))
	}
	s.pos++
	return true, nil
}

// member moves to the value of the next member of an object and returns its key;
// ok is false behind the end of the object.
func (s *scanner) member(first bool) (key text, ok bool, err error) {
	if ok, err = s.more('}', first); !ok {
		return key, false, err
	}
	key, err = s.key()
	return key, err == nil, err
}

func (s *scanner) key() (text, error) {
	key, err := s.text()
	if err != nil {
		return key, err
	}
	return key, s.take(':')
}

// skip moves over one value of any kind.
func (s *scanner) skip() error {
	for bottom := s.open.depth; ; {
		entered, err := s.enter()
		if err != nil {
			return err
		}
		if entered {
			continue
		}
		if err := s.leave(bottom); err != nil || s.open.depth == bottom {
			return err
		}
	}
}

// enter moves over a value, or into it: entered says that it is an object or
// array that is not empty, and that the scanner stands before its first value.
func (s *scanner) enter() (entered bool, err error) {
	c := s.peek()
	if c != '{' && c != '[' {
		return false, s.scalar(c)
	}
	s.pos++
	if s.peek() == c+2 { // '}' is two behind '{', and ']' two behind '['
		s.pos++
		return false, nil
	}
	s.open.push(c == '{')
	if c == '{' {
		_, err = s.key()
	}
	return true, err
}

// leave is called behind a value. It moves out of all that ends here, and over a
// comma (and a key) to the next value, unless it came out at the bottom.
func (s *scanner) leave(bottom int) error {
	for s.open.depth > bottom {
		isObject, end := s.open.top(), byte(']')
		if isObject {
			end = '}'
		}
		more, err := s.more(end, false)
		switch {
		case err != nil:
			return err
		case more && isObject:
			_, err = s.key()
			return err
		case more:
			return nil
		}
		s.open.pop()
	}
	return nil
}

func (s *scanner) scalar(c byte) error {
	switch {
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || isDigit(c):
		_, err := s.number()
		return err
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.wrong("a value")
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.wrong(word)
	}
	s.pos += len(word)
	return nil
}

// number moves over a number and returns it as it is written.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	s.optional('-')
	if !s.optional('0') && s.digits() == 0 {
		return nil, s.wrong("a digit")
	}
	if s.optional('.') && s.digits() == 0 {
		return nil, s.wrong("a digit")
	}
	if s.optional('e') || s.optional('E') {
		_ = s.optional('+') || s.optional('-')
		if s.digits() == 0 {
			return nil, s.wrong("a digit")
		}
	}
	return s.data[start:s.pos], nil
}

func (s *scanner) optional(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() (n int) {
	for s.pos < len(s.data) && isDigit(s.data[s.pos]) {
		s.pos++
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// bitStack is a stack of bits.
type bitStack struct {
	words []uint64
	depth int
}

func (b *bitStack) push(bit bool) {
	word, mask := b.depth/64, uint64(1)<<(b.depth%64)
	if word == len(b.words) {
		b.words = append(b.words, 0)
	}
	b.words[word] &^= mask
	if bit {
		b.words[word] |= mask
	}
	b.depth++
}

func (b *bitStack) pop() { b.depth-- }

func (b *bitStack) top() bool {
	last := b.depth - 1
	return b.words[last/64]>>(last%64)&1 == 1
}
