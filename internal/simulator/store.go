package simulator

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// record is an event in 40 bytes.
type record struct {
	at      int64 // effective_at
	key     int64 // by which the list is ordered: at, or a time of arrival
	visible int64 // from when it is shown, Unix nanoseconds
	// made is the template it is rendered from; below zero, ^made is its place in
	// store.given.
	made   int32
	scopes uint8 // a bit for each list
	hidden bool
}

// given is an event that was added as it is.
type given struct {
	id, kind string
	raw      []byte
}

// number is an event's place in the order of arrival, by which it is known here.
type number = uint32

// store holds the events, for each scope in the order of the list.
type store struct {
	mu      sync.RWMutex // guards what follows
	ids     idMaker
	skew    int64             // seconds
	types   func() *generator // made when first needed: it takes a moment
	records []record
	given   []given
	byID    map[string]number  // of given ones that have an id
	lists   map[uint8][]number // by scope bit, oldest first
	sorted  bool
}

const (
	organizationBit uint8 = 1
	tenantBit       uint8 = 2
)

func scopeBit(s auditlog.Scope) uint8 {
	if s == auditlog.ScopeTenant {
		return tenantBit
	}
	return organizationBit
}

func (s *store) init(seed uint64, skew int64) {
	s.ids = newIDMaker(seed)
	s.skew = skew
	s.types = sync.OnceValue(func() *generator { return newGenerator(seed) })
	s.byID = make(map[string]number)
	s.lists = make(map[uint8][]number)
	s.sorted = true
}

// addLocked adds a record and returns its number. The lists are put in order
// when they are read next, unless it is the newest anyway.
func (s *store) addLocked(r record) number {
	n := number(len(s.records))
	r.key = r.at
	if s.skew > 0 {
		r.key += int64(s.ids.mix(uint64(n))%uint64(2*s.skew+1)) - s.skew
	}
	s.records = append(s.records, r)
	for _, bit := range []uint8{organizationBit, tenantBit} {
		if r.scopes&bit == 0 {
			continue
		}
		list := s.lists[bit]
		if len(list) > 0 && s.records[list[len(list)-1]].key > r.key {
			s.sorted = false
		}
		s.lists[bit] = append(list, n)
	}
	return n
}

// order puts the lists in order if they are not.
func (s *store) order() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sorted {
		return
	}
	for _, list := range s.lists {
		slices.SortFunc(list, s.compare)
	}
	s.sorted = true
}

// compare orders by key, then by arrival.
func (s *store) compare(a, b number) int {
	return cmp.Or(cmp.Compare(s.records[a].key, s.records[b].key), cmp.Compare(a, b))
}

// find returns the number of the event with the id.
func (s *store) find(id string) (number, bool) {
	if n, ok := s.byID[id]; ok {
		return n, true
	}
	n, ok := s.ids.parse(id)
	if !ok || int(n) >= len(s.records) || s.records[n].made < 0 {
		return 0, false
	}
	return n, true
}

// id returns an event's id; empty if it has none.
func (s *store) id(n number) string {
	if r := s.records[n]; r.made < 0 {
		return s.given[^r.made].id
	}
	return string(s.ids.append(nil, n))
}

func (s *store) kind(n number) string {
	if r := s.records[n]; r.made < 0 {
		return s.given[^r.made].kind
	} else {
		return s.types().templates[r.made].kind
	}
}

// appendRaw writes an event's JSON.
func (s *store) appendRaw(b []byte, n number) []byte {
	r := s.records[n]
	if r.made < 0 {
		return append(b, s.given[^r.made].raw...)
	}
	var id [idLength]byte
	return s.types().templates[r.made].appendTo(b, s.ids.append(id[:0], n), r.at)
}

// event returns an event in full.
func (s *store) event(n number) Event {
	r := s.records[n]
	e := Event{
		ID:          s.id(n),
		Type:        s.kind(n),
		EffectiveAt: auditlog.Second(r.at),
		VisibleAt:   timeOf(r.visible),
		Hidden:      r.hidden,
		Raw:         s.appendRaw(nil, n),
	}
	for _, scope := range auditlog.Scopes() {
		if r.scopes&scopeBit(scope) != 0 {
			e.Scopes = append(e.Scopes, scope)
		}
	}
	return e
}

// query is what a list request asks for.
type query struct {
	scope         uint8
	from, to      int64 // of effective_at: [from, to)
	limit         int
	after, before *number
	reversed      bool // oldest first, which no API should do
	repeated      bool // with after: the page that ends with it, once more
	now           int64
	match         func(Event) bool // nil: all
}

// everything is the range of all times.
const minAt, maxAt = math.MinInt64 / 2, math.MaxInt64 / 2

// list returns the numbers of a page, newest first, and whether there are more
// behind it (or, with before, ahead of it).
func (s *store) list(q query) (page []number, hasMore bool) {
	list := s.lists[q.scope]
	low := sort.Search(len(list), func(i int) bool { return s.records[list[i]].key >= q.from-s.skew })
	high := sort.Search(len(list), func(i int) bool { return s.records[list[i]].key >= q.to+s.skew })
	place := func(n number) (int, bool) { return slices.BinarySearchFunc(list, n, s.compare) }
	ahead, behind := low, high // where the walk begins if it has no cursor
	up := q.reversed
	if q.after != nil {
		at, found := place(*q.after)
		behind = min(behind, at)
		if found {
			at++
		}
		ahead = max(ahead, at)
	}
	if q.after != nil && q.repeated {
		at, _ := place(*q.after)
		page, _ = s.collect(list, at, high, 1, q)
		slices.Reverse(page)
		return page, true
	}
	if q.before != nil {
		at, found := place(*q.before)
		if found {
			at++
		}
		up, ahead = true, max(low, at)
	}
	if up {
		page, hasMore = s.collect(list, ahead, high, 1, q)
		if !q.reversed {
			slices.Reverse(page)
		}
		return page, hasMore
	}
	return s.collect(list, behind-1, low-1, -1, q)
}

// collect takes what the query wants from list[i] on, in steps, to before end.
func (s *store) collect(list []number, i, end, step int, q query) (page []number, hasMore bool) {
	for ; (end-i)*step > 0; i += step {
		if !s.shows(list[i], q) {
			continue
		}
		if len(page) == q.limit {
			return page, true
		}
		page = append(page, list[i])
	}
	return page, false
}

func (s *store) shows(n number, q query) bool {
	r := &s.records[n]
	return r.visible <= q.now && !r.hidden && r.at >= q.from && r.at < q.to &&
		(q.match == nil || q.match(s.event(n)))
}
