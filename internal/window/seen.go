package window

import (
	"cmp"
	"slices"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// SeenIDs are the ids that were written, by minute, as the offsets topic holds it. An
// id costs 16 bytes in its minute and about 50 in the index.
//
// A minute is written in parts that are never written again: each transaction
// adds one, so that it writes what is new and no more. A whole minute is
// forgotten at once. An id that is met again with a later time is remembered in
// the later minute too, and so for as long as that one is.
type SeenIDs struct {
	index   map[auditlog.Identity]place
	minutes map[auditlog.Second]*minute
	records int // stored parts of all minutes
}

// place is where an id is remembered.
type place struct {
	latest auditlog.Second // the latest of its minutes
	times  int             // in how many of them it is
}

type minute struct {
	parts []int // as stored, ascending
	ids   []auditlog.Identity
}

// What one record of seen ids may hold: for ids as they are, some 40 kB, and for
// those that JSON writes six times as long no more than the topic is sure to take. A
// record above that would be refused for ever, and all writing with it.
const (
	idsPerPart   = 1000
	bytesPerPart = 250_000
)

// NewSeenIDs returns the ids of an organization of which none was written.
func NewSeenIDs() *SeenIDs {
	return &SeenIDs{
		index:   map[auditlog.Identity]place{},
		minutes: map[auditlog.Second]*minute{},
	}
}

// Len returns how many ids are remembered.
func (m *SeenIDs) Len() int { return len(m.index) }

// Records returns how many stored parts the ids are in.
func (m *SeenIDs) Records() int { return m.records }

// Has reports whether the event was written.
func (m *SeenIDs) Has(id auditlog.Identity) bool {
	_, ok := m.index[id]
	return ok
}

// Sift splits the events of a page that was read at a time: fresh ones were not
// written yet; later ones were written, and must be remembered for longer than they
// are, since the API lists them at a later time than before. fresh takes the memory of
// events, which are not what they were from then on.
func (m *SeenIDs) Sift(events []auditlog.Event, at auditlog.Second, p Policy) (fresh, later []auditlog.Event) {
	fresh = events[:0]
	for _, ev := range events {
		switch in, known := m.index[ev.Identity()]; {
		case !known:
			fresh = append(fresh, ev)
		case ev.Placed() && ev.Second().Minute() > in.latest:
			later = append(later, ev)
		// One without a time of its own may be listed for ever. What was read at this time
		// raises the floor no higher than this.
		case !ev.Placed() && in.latest+60 <= at.Add(-p.longerLookback()):
			later = append(later, ev)
		// A read whose time held both this one's own and the place where it is listed took it
		// for one like others. It is forgotten with its own minute, and listed after that.
		case !ev.Placed() && ev.Timed && in.latest == ev.EffectiveAt.Minute():
			later = append(later, ev)
		}
	}
	return fresh, later
}

// Newest returns the newest minute in which anything is remembered; ok is false
// where nothing is.
func (m *SeenIDs) Newest() (newest auditlog.Second, ok bool) {
	for of := range m.minutes {
		if !ok || of > newest {
			newest, ok = of, true
		}
	}
	return newest, ok
}

// Load adds a stored part.
func (m *SeenIDs) Load(b auditlog.Bucket, names []string) {
	at := m.minutes[b.Minute]
	if at == nil {
		at = &minute{}
		m.minutes[b.Minute] = at
	}
	at.parts = append(at.parts, b.Part)
	slices.Sort(at.parts)
	m.records++
	for _, name := range names {
		id := auditlog.IdentityOf(name)
		in, known := m.index[id]
		if !known || b.Minute > in.latest {
			in.latest = b.Minute
		}
		in.times++
		m.index[id] = in
		at.ids = append(at.ids, id)
	}
}

// Forget drops a stored part. The ids go with the last part of their minute.
func (m *SeenIDs) Forget(b auditlog.Bucket) {
	at := m.minutes[b.Minute]
	if at == nil {
		return
	}
	had := len(at.parts)
	at.parts = slices.DeleteFunc(at.parts, func(p int) bool { return p == b.Part })
	m.records -= had - len(at.parts)
	if len(at.parts) > 0 {
		return
	}
	for _, id := range at.ids {
		in := m.index[id]
		if in.times--; in.times == 0 {
			delete(m.index, id)
			continue
		}
		m.index[id] = in
	}
	delete(m.minutes, b.Minute)
}

// nextPart returns the bucket for the next part of a minute, after skip more.
func (m *SeenIDs) nextPart(of auditlog.Second, skip int) auditlog.Bucket {
	next := skip
	if at := m.minutes[of]; at != nil {
		next += at.parts[len(at.parts)-1] + 1
	}
	return auditlog.Bucket{Minute: of, Part: next}
}

// SeenPart is one record of seen ids to store.
type SeenPart struct {
	Bucket auditlog.Bucket
	Names  []string
}

// parts returns the records that remember the names of each minute.
func (m *SeenIDs) parts(byMinute map[auditlog.Second][]string) []SeenPart {
	var out []SeenPart
	for of, names := range byMinute {
		for n := 0; len(names) > 0; n++ {
			fit := fitting(names)
			out = append(out, SeenPart{Bucket: m.nextPart(of, n), Names: names[:fit]})
			names = names[fit:]
		}
	}
	slices.SortFunc(out, func(a, b SeenPart) int { return compareBuckets(a.Bucket, b.Bucket) })
	return out
}

// fitting returns how many of the names go into one record, at least one.
func fitting(names []string) int {
	size := 0
	for n, name := range names {
		if size += encodedLen(name); n == idsPerPart || n > 0 && size > bytesPerPart {
			return n
		}
	}
	return len(names)
}

// encodedLen is how long the name may get in JSON, with its quotes and comma: what
// is escaped, as six bytes.
func encodedLen(name string) int {
	n := len(`"",`)
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 {
			n += 6
			continue
		}
		n++
	}
	return n
}

// forgettable returns the stored parts that no read will need again under the
// cursor.
func (m *SeenIDs) forgettable(c auditlog.Cursor, p Policy) []auditlog.Bucket {
	var out []auditlog.Bucket
	for of, at := range m.minutes {
		if of+60 > c.Floor || needed(c, of, p) {
			continue
		}
		for _, part := range at.parts {
			out = append(out, auditlog.Bucket{Minute: of, Part: part})
		}
	}
	slices.SortFunc(out, compareBuckets)
	return out
}

// needed reports whether a minute below the floor may still be read: a range
// stands in it (a second too dense for one transaction is written in parts), or a
// range will come to what the head wrote. A frozen scope's range may lie below the
// floor though it once held it.
//
// A range that holds the floor needs the minutes of one lookback before it too: the
// API may have moved an event of one to a time that the range reaches later. Those
// further back it does not, or a month of history would be in memory as a whole.
func needed(c auditlog.Cursor, of auditlog.Second, p Policy) bool {
	for _, pos := range c.Scopes {
		for _, r := range pos.History {
			standsIn := of <= r.From && r.From < of+60
			from := r.From
			if r.HoldsFloor {
				from = from.Add(-p.longerLookback() - clockSlack)
			}
			willRead := of < r.To && (r.HoldsFloor || r.Remembered) && from < of+60
			if standsIn || willRead {
				return true
			}
		}
	}
	return false
}

func compareBuckets(a, b auditlog.Bucket) int {
	return cmp.Or(cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Part, b.Part))
}
