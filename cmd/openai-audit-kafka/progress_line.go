package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// progressLine is the last line of a terminal, which says how far history is read,
// and the way for the log past it: what is logged goes above.
type progressLine struct {
	out io.Writer
	now func() time.Time

	mu   sync.Mutex // guards what follows; held while the terminal takes a line
	text string     // on the screen; empty: there is none
	last time.Time
}

const (
	eraseLine = "\r\x1b[K"
	redrawn   = 200 * time.Millisecond // at most so often
)

func newProgressLine(out io.Writer) *progressLine { return &progressLine{out: out, now: time.Now} }

// Write writes above the line.
func (p *progressLine) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text != "" {
		fmt.Fprint(p.out, eraseLine)
	}
	n, err := p.out.Write(b)
	fmt.Fprint(p.out, p.text)
	return n, err
}

// show draws how far an organization is, and nothing once that is all.
func (p *progressLine) show(organization string, is connector.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, done := p.now(), is.Left <= 0
	if !done && now.Sub(p.last) < redrawn || done && p.text == "" {
		return
	}
	p.last, p.text = now, ""
	if !done {
		p.text = fmt.Sprintf("%s: history to %s of %s, %d events, %.0f/s, %d requests, about %v left", organization,
			is.Reached.UTC().Format("2006-01-02 15:04"), is.Until.UTC().Format("2006-01-02 15:04"),
			is.Events, is.PerSecond(), is.Requests, is.Left.Round(time.Second))
	}
	fmt.Fprint(p.out, eraseLine+p.text)
}
