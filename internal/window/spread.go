package window

import "github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"

// Spread is how the events of a list are spread over its window, as far as it was read. It
// follows one walk, page by page, and says when the window holds more than it should.
type Spread struct {
	window Window
	top    auditlog.Second // of the newest event
	begin  auditlog.Second // of what was read
	page   auditlog.Second // and of the last page
	ended  bool            // the list has

	events  int     // of the list
	seconds []int64 // that each page takes
	densest int     // the most events of one second

	last auditlog.Second // of the event before
	same int             // events of it so far
}

// NewSpread returns the spread of a list of the window of which nothing was read.
func NewSpread(w Window) *Spread {
	var s Spread
	s.reset(w)
	return &s
}

// reset begins with another list.
func (s *Spread) reset(w Window) {
	*s = Spread{window: w, top: w.To, begin: w.To, page: w.To, seconds: s.seconds[:0], last: auditlog.MaxSecond}
}

// Page adds a page, newest first; last says that the list ends with it.
func (s *Spread) Page(events []auditlog.Event, last bool) {
	newest, oldest := auditlog.MinSecond, s.begin
	for _, ev := range events {
		at := ev.Second()
		newest, oldest = max(newest, at), min(oldest, at)
		if s.same++; at != s.last {
			s.last, s.same = at, 1
		}
		s.densest = max(s.densest, s.same)
	}
	if len(s.seconds) == 0 && newest >= oldest {
		s.begin = min(s.begin, newest)
		s.top = s.begin // what is empty above it says nothing about the rest
	}
	s.events += len(events)
	s.page, s.ended = oldest, last
	if last {
		s.page = s.window.From
	}
	s.seconds = append(s.seconds, int64(s.begin-s.page))
	s.begin = min(s.begin, s.page)
}

// ReadFrom returns the time from which the window was read.
func (s *Spread) ReadFrom() auditlog.Second { return max(s.begin, s.window.From) }

// Held is what was read of a window, of all its lists.
type Held struct {
	Events int
	Weight int  // for how many they count
	Full   bool // it must not become more
	Over   bool // it is more than may be kept
}

// Dense is what a window that holds more than it should leaves to others.
type Dense struct {
	Before auditlog.Second // all that is older; the end of the window: all of it
	Events int             // about as many
	Whole  int             // about as many as all of it holds
	Must   bool            // it is full, and cannot go on
}

// TooDense reports whether the window holds more than it should. A single second never does.
//
// What was read is kept, and nothing for that rests on the order of the list: the walk goes
// on in the shorter list of what is not left, and is complete when that ends. Only where the
// list shows old events first, nothing can be cut off behind them, and all of it is left.
//
// The burst of a second must not be taken for what the window is like, nor a window that is
// that dense for a burst. So a few pages count only as long as what they say is plausible.
func (s *Spread) TooDense(p Planned, h Held) (d Dense, dense bool) {
	if s.window.Seconds() <= 1 || s.ended {
		return Dense{}, false
	}
	many := p.Events
	rate := s.rate() * float64(h.Weight) / float64(max(1, h.Events))
	if s.begin == s.top && p.Rate == 0 { // all of one second: nothing is known yet of another one
		rate = float64(many) / float64(s.window.Seconds())
	}
	burst := p.Rate > 0 && rate > 3*p.Rate // by all that is known
	if burst {
		rate = 3 * p.Rate
	}
	rest := int(min(1<<40, rate*float64(s.page-s.window.From)))
	about := h.Weight + rest
	d = Dense{Before: s.page, Whole: max(about, 2*h.Weight), Must: h.Full}
	switch pages := len(s.seconds); {
	case h.Over:
		d.Before = s.window.To
	case p.Basis == Unknown && pages == 1 && about > 2*readAtOnce*many:
		d.Before = s.window.To // what is kept would wait until all the rest is read
	case p.Basis == Unknown && pages == 1 && about > many*7/4:
		d.Before = min(s.page, s.window.To-auditlog.Second(s.window.Seconds()/readAtOnce))
	case h.Full, h.Weight > many*5/4 && rest > many/4:
	case burst, h.Weight > many, about < many*7/4, pages < 3, pages < 5 && p.Basis != Estimated:
		return Dense{}, false
	case about <= 8*many: // else here, where the page ends: much of what is kept would only wait
		parts := max(2, (about+many/2)/many)
		d.Before -= auditlog.Second(max(0, float64(about/parts-h.Weight)) / rate)
	}
	switch {
	case d.Before > s.window.From && d.Before < s.window.To:
		d.Events = int(rate * float64(d.Before-s.window.From))
	case d.Before == s.window.To, h.Full:
		d.Before, d.Events = s.window.To, d.Whole
	default:
		return Dense{}, false
	}
	return d, true
}

// rate is how many events a second there are below what was read, about. Bursts do not count:
// a page that takes far less time than another says nothing about the rest, and neither does the
// second that has the most.
func (s *Spread) rate() float64 {
	longest, all := int64(0), int64(0)
	for _, n := range s.seconds {
		longest, all = max(longest, n), all+n
	}
	pages := 0
	for _, n := range s.seconds {
		if 10*n >= longest {
			pages++
		}
	}
	events := float64(s.events)*float64(pages)/float64(len(s.seconds)) - float64(s.densest)
	return max(events, 1) / float64(max(all, 1))
}

// Leave leaves what is before a second to others: the list ends there from now on.
func (s *Spread) Leave(before auditlog.Second) { s.window.From = before }

// Rate returns how many events a second there are around those of a page, about, as far as a
// page can tell; 0 where it does not.
func Rate(page []auditlog.Event) float64 {
	if len(page) < 2 {
		return 0
	}
	s := NewSpread(Window{To: auditlog.MaxSecond})
	s.Page(page, false)
	if s.seconds[0] == 0 {
		return 0
	}
	return s.rate()
}
