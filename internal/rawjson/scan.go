package rawjson

import (
	"fmt"
	"strconv"
)

// Scanner reads a JSON text once, from left to right, and checks all of it. It
// keeps no values. Its methods skip white space before what they read.
type Scanner struct {
	data    string
	pos     int
	open    bitStack // one bit for each open object (1) or array (0) that next is in
	entered bool     // next has just moved into the innermost of them
}

// NewScanner returns a scanner at the beginning of the text.
func NewScanner(text string) Scanner { return Scanner{data: text} }

// SyntaxError says where a JSON text stops being one. It quotes none of it.
type SyntaxError struct {
	at   int
	want string
}

// Error names the byte and what should be there.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("the JSON is wrong at byte %d, where %s should be", e.at, e.want)
}

// Wrong returns the error of a text that should have something else here.
func (s *Scanner) Wrong(want string) error { return &SyntaxError{at: s.pos, want: want} }

// reset goes to the beginning of another text.
func (s *Scanner) reset(text string) {
	s.data, s.pos, s.entered, s.open.depth = text, 0, false, 0
}

// Back goes back to where the scanner was before, and not inside a value that Skip or Next
// moves over.
func (s *Scanner) Back(pos int) { s.pos, s.entered, s.open.depth = pos, false, 0 }

// Pos is the number of bytes before the scanner.
func (s *Scanner) Pos() int { return s.pos }

// AtEnd reports whether nothing but white space is left.
func (s *Scanner) AtEnd() bool {
	s.Peek()
	return s.pos == len(s.data)
}

// Peek skips white space and returns the next byte, 0 at the end of the text. A
// byte 0 in the text is wrong everywhere, so the two need not differ.
func (s *Scanner) Peek() byte {
	if s.pos < len(s.data) {
		if c := s.data[s.pos]; c > ' ' {
			return c
		}
	}
	return s.pastSpace()
}

// pastSpace is apart so that Peek is inlined: few texts have white space.
func (s *Scanner) pastSpace() byte {
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

// Take moves over c, which must be the next byte.
func (s *Scanner) Take(c byte) error {
	if s.Peek() != c {
		return s.Wrong(strconv.QuoteRune(rune(c)))
	}
	s.pos++
	return nil
}

// More moves to the next value of an object or array that ends with end: over the
// comma, if it is not the first. It returns false behind the end.
func (s *Scanner) More(end byte, first bool) (bool, error) {
	switch c := s.Peek(); {
	case c == end:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, s.Wrong("a comma or " + strconv.QuoteRune(rune(end)))
	}
	s.pos++
	return true, nil
}

// Member moves to the value of the next member of an object and returns its key;
// ok is false behind the end of the object.
func (s *Scanner) Member(first bool) (key Text, ok bool, err error) {
	if ok, err = s.More('}', first); !ok {
		return key, false, err
	}
	if key, err = s.Text(); err == nil {
		err = s.Take(':')
	}
	return key, err == nil, err
}

// Skip moves over one value of any kind.
func (s *Scanner) Skip() error {
	var n node
	for {
		if err := s.next(&n); err != nil || s.open.depth == 0 {
			return err
		}
	}
}

// next moves over the next piece of a value and describes it in n: a value that holds
// no others, or the beginning or the end of an object or array. The value is whole
// when none is open. A call for each bracket would let an event choose how much stack
// we need, so next does not recurse.
func (s *Scanner) next(n *node) error {
	if s.open.depth == 0 {
		return s.begin(n)
	}
	end, first := byte(']'), s.entered
	if s.open.top() {
		end = '}'
	}
	s.entered = false
	more, err := s.More(end, first)
	switch {
	case err != nil:
		return err
	case !more:
		s.open.pop()
		n.kind = closing
		return nil
	case end == '}':
		key, err := s.Text()
		if err != nil {
			return err
		}
		n.keyEnd, n.keyEscaped = int32(s.pos-1), key.escaped
		n.keyStart = n.keyEnd - int32(len(key.raw))
		if err := s.Take(':'); err != nil {
			return err
		}
	}
	return s.begin(n)
}

// begin moves over a value; of an object or array, only over its bracket.
func (s *Scanner) begin(n *node) error {
	c := s.Peek()
	n.start = int32(s.pos)
	if c == '{' || c == '[' {
		n.kind = Array
		if c == '{' {
			n.kind = Object
		}
		s.pos++
		s.open.push(c == '{')
		s.entered = true
		return nil
	}
	err := s.scalar(c, n)
	n.end = int32(s.pos)
	if n.kind == String {
		n.start, n.end = n.start+1, n.end-1 // without the quotes
	}
	return err
}

func (s *Scanner) scalar(c byte, n *node) (err error) {
	switch {
	case c == '"':
		text, err := s.Text()
		n.kind, n.escaped = String, text.escaped
		return err
	case c == '-' || isDigit(c):
		n.kind = Number
		_, err = s.Number()
	case c == 't':
		n.kind = Bool
		err = s.Literal("true")
	case c == 'f':
		n.kind = Bool
		err = s.Literal("false")
	case c == 'n':
		n.kind = Null
		err = s.Literal("null")
	default:
		err = s.Wrong("a value")
	}
	return err
}

// Literal moves over the word, which must come next.
func (s *Scanner) Literal(word string) error {
	if len(s.data)-s.pos < len(word) || s.data[s.pos:s.pos+len(word)] != word {
		return s.Wrong(word)
	}
	s.pos += len(word)
	return nil
}

// Number moves over a number and returns it as it is written.
func (s *Scanner) Number() (number string, err error) {
	start := s.pos
	s.optional('-')
	if !s.optional('0') && s.digits() == 0 {
		return number, s.Wrong("a digit")
	}
	if s.optional('.') && s.digits() == 0 {
		return number, s.Wrong("a digit")
	}
	if s.optional('e') || s.optional('E') {
		_ = s.optional('+') || s.optional('-')
		if s.digits() == 0 {
			return number, s.Wrong("a digit")
		}
	}
	return s.data[start:s.pos], nil
}

// IsNumber reports whether the text is what JSON calls a number: strconv also reads
// NaN, Inf and hexadecimal.
func IsNumber(text string) bool {
	s := NewScanner(text)
	_, err := s.Number()
	return err == nil && s.pos == len(text)
}

func (s *Scanner) optional(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *Scanner) digits() (n int) {
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
