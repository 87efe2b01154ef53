package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// progressLine says in the last line of a terminal how far history is read. The log
// goes through it, and is written above the line.
type progressLine struct {
	now func() time.Time

	mu    sync.Mutex // guards what follows; held while the terminal takes a line
	line  terminalLine
	reads map[string]connector.Progress // of history, by organization
	last  time.Time
	ended bool // nothing is drawn any more
}

func newProgressLine(out io.Writer) *progressLine {
	return &progressLine{now: time.Now, line: terminalLine{out: out}, reads: map[string]connector.Progress{}}
}

// Write writes above the line.
func (p *progressLine) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line.above(b)
}

// show draws how far history is, and nothing once it is read, or is not read here
// any more.
func (p *progressLine) show(organization string, is connector.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, shown := p.reads[organization]
	switch over := is.Done || is.Read == ""; {
	case p.ended, is.Read != connector.ReadHistory && is.Read != "", over && !shown:
		return
	case over:
		delete(p.reads, organization)
	default:
		p.reads[organization] = is
		if p.now().Sub(p.last) < redrawn {
			return
		}
	}
	p.draw()
}

// end removes the line for good, so that the shell's prompt has its own.
func (p *progressLine) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.reads)
	p.draw()
	p.ended = true
}

// draw puts the line on the screen as it is now.
func (p *progressLine) draw() {
	p.last = p.now()
	p.line.draw(describe(p.reads))
}

// describe says how far the histories are, all in one line; nothing if there is none.
func describe(reads map[string]connector.Progress) string {
	var all connector.Progress
	var what string
	share, known := 1.0, true
	for name, is := range reads {
		what = fmt.Sprintf("%s: history to %s", name, is.Reached.UTC().Format("2006-01-02 15:04"))
		share = min(share, is.Share())
		known = known && is.Left > 0
		all.Events += is.Events
		all.PerSecond += is.PerSecond
		all.Left = max(all.Left, is.Left)
	}
	switch len(reads) {
	case 0:
		return ""
	case 1:
	default:
		what = fmt.Sprintf("history of %d organizations", len(reads))
	}
	text := fmt.Sprintf("%s, %d %%, %d events", what, int(100*share), all.Events)
	if all.PerSecond > 0 {
		text += fmt.Sprintf(", %.0f/s", all.PerSecond)
	}
	if known {
		text += fmt.Sprintf(", about %v left", all.Left.Round(time.Second))
	}
	return text
}
