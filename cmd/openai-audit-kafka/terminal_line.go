package main

import (
	"fmt"
	"io"
	"time"
)

// terminalLine is the last line of a terminal, which is drawn again and again. It has
// no lock.
type terminalLine struct {
	out  io.Writer
	text string // on the screen; empty: there is none
}

const (
	eraseLine = "\r\x1b[K"
	redrawn   = 200 * time.Millisecond // at most so often
)

// draw puts the text in the place of what the line shows; an empty one removes it.
func (l *terminalLine) draw(text string) {
	if l.text != "" || text != "" {
		fmt.Fprint(l.out, eraseLine+onOneLine(text))
	}
	l.text = text
}

// above writes b over the line, and the line again below it.
func (l *terminalLine) above(b []byte) (int, error) {
	if l.text != "" {
		fmt.Fprint(l.out, eraseLine)
	}
	n, err := l.out.Write(b)
	fmt.Fprint(l.out, onOneLine(l.text))
	return n, err
}

// onOneLine keeps a text that is too long for the terminal from going on in the next
// line, which would stay there.
func onOneLine(text string) string {
	if text == "" {
		return ""
	}
	return "\x1b[?7l" + text + "\x1b[?7h"
}
