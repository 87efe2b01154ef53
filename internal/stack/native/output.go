package main

import (
	"bytes"
	"strings"
	"sync"
)

// output is what a service wrote.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// lines returns the lines that are whole.
func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text.String()
	return strings.Split(text[:strings.LastIndexByte(text, '\n')+1], "\n")
}

// last returns the end of it, to say why a service did not work.
func (o *output) last() string {
	lines := o.lines()
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
