package kafkatest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Want is one event of the truth: what a topic must say about it.
type Want struct {
	// ID is the event's id; empty if it has none. Then its bytes name it.
	ID string
	// Scope is "organization" or "tenant". Two entries with one ID are one event,
	// of the organization if either is.
	Scope string
	// EffectiveAt is in seconds since the epoch.
	EffectiveAt int64
	// Raw is the event byte for byte as the API sent it.
	Raw []byte
}

// Report is what Compare found. Ids are in order; an event without an id is
// named by "sha256:" and the hash of its bytes.
type Report struct {
	API          int // events in the truth
	Topic        int // records, dead letters among them
	DeadLettered int // records that are dead letters

	Missing   []string // in the API and not in the topic
	Doubled   []string // in the topic more than once
	Extra     []string // in the topic and not in the API
	Different []string // in both, with another key, scope, time or raw_event
	// Unreadable are records that cannot be decoded, by place and cause. They
	// count as wrong, and as no event.
	Unreadable []string
	// Numbers is what is wrong with the numbers that the seal gives records.
	Numbers []string
}

// OK reports whether the topic equals the API.
func (r Report) OK() bool {
	return len(r.Missing)+len(r.Doubled)+len(r.Extra)+len(r.Different)+len(r.Unreadable)+len(r.Numbers) == 0
}

// String says it in a line: "3 in the API, 3 in the topic, 0 missing, 0 doubled,
// 0 extra, 0 different", and then a line for each kind of fault, with its first ids.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d in the API, %d in the topic, %d missing, %d doubled, %d extra, %d different",
		r.API, r.Topic, len(r.Missing), len(r.Doubled), len(r.Extra), len(r.Different))
	if n := len(r.Unreadable); n > 0 {
		fmt.Fprintf(&b, ", %d unreadable", n)
	}
	const shown = 5
	for _, list := range []struct {
		name string
		ids  []string
	}{
		{"missing", r.Missing}, {"doubled", r.Doubled}, {"extra", r.Extra},
		{"different", r.Different}, {"unreadable", r.Unreadable}, {"wrong numbers", r.Numbers},
	} {
		if n := len(list.ids); n > 0 {
			fmt.Fprintf(&b, "\n%s: %s", list.name, strings.Join(list.ids[:min(n, shown)], ", "))
			if n > shown {
				fmt.Fprintf(&b, " and %d more", n-shown)
			}
		}
	}
	return b.String()
}

// Compare holds what was read from the events topic, and from that of dead
// letters, against the truth. It shares no code with the product: it decodes by
// the published schema alone. A dead letter stands for the event with its bytes.
func Compare(truth []Want, records []*kgo.Record) Report {
	o := oracle{byName: map[string]*expected{}, byBytes: map[digest]*expected{}}
	for _, w := range truth {
		o.expect(w)
	}
	r := Report{API: len(o.byName), Topic: len(records), Numbers: CheckNumbers(records)}
	for _, record := range records {
		o.take(&r, record)
	}
	for name, e := range o.byName {
		switch {
		case e.found == 0:
			r.Missing = append(r.Missing, name)
		case e.found > 1:
			r.Doubled = append(r.Doubled, name)
		}
		if e.different {
			r.Different = append(r.Different, name)
		}
	}
	slices.Sort(r.Missing)
	slices.Sort(r.Doubled)
	slices.Sort(r.Different)
	return r
}

type digest = [sha256.Size]byte

type oracle struct {
	byName  map[string]*expected
	byBytes map[digest]*expected
}

type expected struct {
	Want
	found     int
	different bool
}

func (o *oracle) expect(w Want) {
	name := w.ID
	if name == "" {
		name = hashName(sha256.Sum256(w.Raw))
	}
	e := o.byName[name]
	if e == nil {
		e = &expected{Want: w}
		o.byName[name] = e
	} else if w.Scope == "organization" {
		e.Want = w
	}
	o.byBytes[sha256.Sum256(w.Raw)] = e
}

func (o *oracle) take(r *Report, record *kgo.Record) {
	if _, dead := header(record, "error"); dead {
		r.DeadLettered++
		sum, err := digestOf(record)
		if err != nil {
			r.Unreadable = append(r.Unreadable, place(record, err))
			return
		}
		if e := o.byBytes[sum]; e != nil {
			e.found++
			e.different = e.different || string(record.Key) != e.ID
			return
		}
		r.Extra = append(r.Extra, hashName(sum))
		return
	}
	got, err := Decode(record.Value)
	if err != nil {
		r.Unreadable = append(r.Unreadable, place(record, err))
		return
	}
	e := o.byName[got.ID]
	if e == nil {
		r.Extra = append(r.Extra, got.ID)
		return
	}
	e.found++
	if got.Scope != e.Scope || got.EffectiveAt != e.EffectiveAt ||
		!bytes.Equal(got.Raw, e.Raw) || string(record.Key) != e.ID {
		e.different = true
	}
}

// digestOf returns the hash of the event in a dead letter: of its value, or what
// the record says where the value was cut.
func digestOf(record *kgo.Record) (digest, error) {
	if truncated, _ := header(record, "truncated"); truncated != "true" {
		return sha256.Sum256(record.Value), nil
	}
	var sum digest
	text, _ := header(record, "sha256")
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(sum) {
		return sum, fmt.Errorf("a truncated dead letter with sha256 %q", text)
	}
	return digest(b), nil
}

func header(record *kgo.Record, key string) (value string, ok bool) {
	for _, h := range record.Headers {
		if h.Key == key {
			return string(h.Value), true
		}
	}
	return "", false
}

func hashName(sum digest) string { return "sha256:" + hex.EncodeToString(sum[:]) }

func place(r *kgo.Record, err error) string {
	return fmt.Sprintf("%s, partition %d, offset %d: %v", r.Topic, r.Partition, r.Offset, err)
}
