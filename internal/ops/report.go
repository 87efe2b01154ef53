package ops

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// Report is what a verification found. Lists hold ids, oldest first where the
// time is known; an event without an id is named by the hash of its bytes.
type Report struct {
	From         auditlog.Second `json:"from"`
	To           auditlog.Second `json:"to"`
	Organization string          `json:"organization"`
	// Scopes are those that were listed.
	Scopes []auditlog.Scope `json:"scopes"`

	API          int `json:"api"`           // events listed, each once
	Topic        int `json:"topic"`         // records in the events topic
	DeadLettered int `json:"dead_lettered"` // records in the dead letters' topic

	Missing         []string `json:"missing"`           // listed, and in neither topic
	Doubled         []string `json:"doubled"`           // there more than once
	Extra           []string `json:"extra"`             // there, and not listed
	Different       []string `json:"different"`         // there with another value, or at another time
	LeftToConnector []string `json:"left_to_connector"` // not there yet: the connector will read them
	Stalled         []string `json:"stalled"`           // left to a connector that does not write its cursor
	NotCovered      []string `json:"not_covered"`       // from before the start
	Expired         []string `json:"expired"`           // there once, perhaps, and deleted by retention

	// Unreadable are the records whose value cannot be read here. They count as there
	// under their keys, but whether they are what they should be is not known.
	Unreadable []Unreadable `json:"unreadable"`

	// Repaired is how many were written; nil without a repair.
	Repaired *int `json:"repaired,omitempty"`

	// oldest is the time of the first event that was missing, repaired or not; nil: none was.
	oldest *auditlog.Second
}

// Unreadable is a record of the events topic whose value cannot be read.
type Unreadable struct {
	ID        string `json:"id"` // by its key; empty if it has none
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Cause     string `json:"cause"`
}

// OK reports whether the topic equals the API where it should. With strict it must
// also hold the same values: the API may show an old event in a new way.
func (r *Report) OK(strict bool) bool {
	found := len(r.Missing) + len(r.Doubled) + len(r.Extra) + len(r.Stalled) + len(r.Unreadable)
	if strict {
		found += len(r.Different)
	}
	return found == 0
}

// report says what was found.
func (v *verification) report(ctx context.Context) (*Report, error) {
	r := &Report{
		From: v.from, To: v.to, Organization: v.cfg.Organization, Scopes: v.scopes,
		API: v.listed, Topic: v.records, DeadLettered: v.dead, Unreadable: v.unreadable,
	}
	later := &r.LeftToConnector
	if v.state != nil && v.began.Sub(v.state.Cursor.WrittenAt.Time()) > atWork {
		later = &r.Stalled
	}
	for _, a := range v.oldestFirst() {
		switch reader := v.reader(a); {
		case a.is(absentRepaired):
			r.missed(a.at)
		case a.is(absentElsewhere):
			r.Different = append(r.Different, v.names.text(a.name))
		case reader == window.NotCovered:
			r.NotCovered = append(r.NotCovered, v.names.text(a.name))
		case reader == window.LeftToConnector:
			*later = append(*later, v.names.text(a.name))
		case v.expired(a):
			r.Expired = append(r.Expired, v.names.text(a.name))
		default:
			r.missed(a.at)
			r.Missing = append(r.Missing, v.names.text(a.name))
		}
	}
	if err := v.nameRest(ctx, r); err != nil {
		return nil, err
	}
	for _, list := range r.lists() {
		if *list.ids == nil {
			*list.ids = []string{} // in JSON a list, and not null
		}
	}
	if r.Unreadable == nil {
		r.Unreadable = []Unreadable{}
	}
	return r, nil
}

// missed notes that the topic lacked an event; the first comes first.
func (r *Report) missed(at auditlog.Second) {
	if r.oldest == nil {
		r.oldest = &at
	}
}

// nameRest finds what is doubled, extra or different, and the names of that: those
// are in the topic only, which is read once more if there may be any.
func (v *verification) nameRest(ctx context.Context, r *Report) error {
	doubled, extra := 0, 0
	for e := range v.written.all() {
		if e.is(markDoubled) {
			doubled++
		}
		if v.mayBeExtra(e) {
			extra++
		}
	}
	oldest, err := v.oldestListed(ctx, extra > 0)
	if err != nil || doubled+extra+v.shown.len() == 0 {
		return err
	}
	return v.scan(ctx, func(f found) {
		e := v.written.find(f.id)
		if e == nil || f.name == "" {
			return // outside of the time
		}
		// Each is named once, so its mark goes with that.
		if e.is(markDoubled) {
			e.marks &^= markDoubled
			r.Doubled = append(r.Doubled, f.name)
		}
		// What is older than all that the API still lists was listed once.
		if v.mayBeExtra(e) && e.at >= oldest {
			e.marks |= markListed
			r.Extra = append(r.Extra, f.name)
		}
		if e.is(markCompared) && f.unread == nil {
			e.marks &^= markCompared
			if v.shown.find(e.id).value != valueHash(f.raw) {
				r.Different = append(r.Different, f.name)
			}
		}
	})
}

// oldestListed returns the time of the oldest event that the API lists, as far as
// it matters.
func (v *verification) oldestListed(ctx context.Context, matters bool) (auditlog.Second, error) {
	if !matters {
		return v.oldest, nil
	}
	older, err := v.listsBefore(ctx, v.from)
	if older {
		return v.from, err
	}
	return v.oldest, err
}

// mayBeExtra reports whether the API should list the entry, and does not. Of what is
// unread neither scope nor time are known.
func (v *verification) mayBeExtra(e *entry) bool {
	return !e.is(markListed|markUntimed|markUnread) && slices.Contains(v.scopes, e.scope())
}

type namedList struct {
	name, about string
	ids         *[]string
}

func (r *Report) lists() []namedList {
	return []namedList{
		{"missing", "the API lists them, and the topic does not hold them", &r.Missing},
		{"doubled", "more than once in the topic", &r.Doubled},
		{"extra", "in the topic, and the API does not list them", &r.Extra},
		{"different", "the API shows another value than raw_event, or another time", &r.Different},
		{"left_to_connector", "not there yet; the connector reads them", &r.LeftToConnector},
		{"stalled", "left to the connector, which has not written its cursor for longer than it should: start it, or look at why it is not ready", &r.Stalled},
		{"not_covered", "from before the start; BACKFILL_START_TIME reads them", &r.NotCovered},
		{"expired", "perhaps deleted by retention, or by hand: older than the oldest record that is left", &r.Expired},
	}
}

const aboutUnreadable = "records whose value cannot be read, so it is not known whether it is right: restore the registry's schemas, or use the release that wrote them"

// shownIDs is how many ids of a list are printed as text.
const shownIDs = 20

// Print writes the report for reading.
func (r *Report) Print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s, from %v to before %v, scopes %v\n%d in the API, %d in the topic, %d dead letters\n",
		r.Organization, r.From, r.To, r.Scopes, r.API, r.Topic, r.DeadLettered)
	if r.Repaired != nil {
		fmt.Fprintf(w, "%d repaired\n", *r.Repaired)
	}
	for _, list := range r.lists() {
		ids := *list.ids
		printList(w, list.name, list.about, len(ids), func(i int) string { return ids[i] })
	}
	printList(w, "unreadable", aboutUnreadable, len(r.Unreadable), func(i int) string {
		u := r.Unreadable[i]
		return fmt.Sprintf("%s, partition %d, offset %d: %s", cmp.Or(u.ID, "without a key"), u.Partition, u.Offset, u.Cause)
	})
	if r.OK(false) {
		fmt.Fprintln(w, "the topic holds what it should")
	}
	return err
}

// printList writes the beginning of a list.
func printList(w io.Writer, name, about string, n int, line func(i int) string) {
	if n == 0 {
		return
	}
	fmt.Fprintf(w, "%d %s: %s\n", n, name, about)
	for i := range min(n, shownIDs) {
		fmt.Fprintf(w, "  %s\n", line(i))
	}
	if more := n - shownIDs; more > 0 {
		fmt.Fprintf(w, "  and %d more; --output json lists all\n", more)
	}
}
