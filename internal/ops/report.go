package ops

import (
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
	Different       []string `json:"different"`         // there with another value, or unreadable
	LeftToConnector []string `json:"left_to_connector"` // not there yet: the connector will read them
	NotCovered      []string `json:"not_covered"`       // from before the start
	Expired         []string `json:"expired"`           // there once, perhaps, and deleted by retention

	// Repaired is how many were written; nil without a repair.
	Repaired *int `json:"repaired,omitempty"`
}

// OK reports whether the topic equals the API where it should. With strict it must
// also hold the same values: the API may show an old event anew in another way.
func (r *Report) OK(strict bool) bool {
	found := len(r.Missing) + len(r.Doubled) + len(r.Extra)
	if strict {
		found += len(r.Different)
	}
	return found == 0
}

// report tells what was found.
func (v *verification) report(ctx context.Context) (*Report, error) {
	r := &Report{
		From: v.from, To: v.to, Organization: v.Organization, Scopes: v.scopes,
		API: v.listed, Topic: v.records, DeadLettered: v.dead,
	}
	for _, a := range v.oldestFirst() {
		switch reader := v.reader(a); {
		case a.is(absentRepaired):
		case a.is(absentElsewhere):
			r.Different = append(r.Different, v.names.text(a.name))
		case reader == window.ReaderNone:
			r.NotCovered = append(r.NotCovered, v.names.text(a.name))
		case reader == window.ReaderLater:
			r.LeftToConnector = append(r.LeftToConnector, v.names.text(a.name))
		case v.expired(a):
			r.Expired = append(r.Expired, v.names.text(a.name))
		default:
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
	return r, nil
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
	return v.scan(ctx, func(now entry, name string, raw []byte) {
		e := v.written.find(now.id)
		if e == nil {
			return // outside of the time
		}
		// Each is named once, so its mark goes with that.
		if e.is(markDoubled) {
			e.marks &^= markDoubled
			r.Doubled = append(r.Doubled, name)
		}
		// What is older than all that the API still lists was listed once.
		if v.mayBeExtra(e) && e.at >= oldest {
			e.marks |= markListed
			r.Extra = append(r.Extra, name)
		}
		if e.is(markCompared) {
			e.marks &^= markCompared
			if now.is(markUnread) || v.shown.find(e.id).value != valueHash(raw) {
				r.Different = append(r.Different, name)
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

// mayBeExtra reports whether the API should list the entry, and does not.
func (v *verification) mayBeExtra(e *entry) bool {
	return !e.is(markListed|markUntimed) && slices.Contains(v.scopes, e.scope())
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
		{"different", "the API shows another value than raw_event, or the record cannot be decoded", &r.Different},
		{"left_to_connector", "not there yet; the connector reads them", &r.LeftToConnector},
		{"not_covered", "from before the start; BACKFILL_START_TIME reads them", &r.NotCovered},
		{"expired", "older than the oldest record that retention has left", &r.Expired},
	}
}

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
		if len(ids) == 0 {
			continue
		}
		fmt.Fprintf(w, "%d %s: %s\n", len(ids), list.name, list.about)
		for _, id := range ids[:min(len(ids), shownIDs)] {
			fmt.Fprintf(w, "  %s\n", id)
		}
		if more := len(ids) - shownIDs; more > 0 {
			fmt.Fprintf(w, "  and %d more; --output json lists all\n", more)
		}
	}
	if r.OK(false) {
		fmt.Fprintln(w, "the topic holds what it should")
	}
	return err
}
