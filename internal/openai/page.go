package openai

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// listing is one answer as the API sent it.
// Source: openapi-audit-logs.yaml, ListAuditLogsResponse.
type listing struct {
	events  []auditlog.Event
	hasMore bool
	lastID  string // empty where it is missing, null or not text
	// named is the id of the last event that has one; empty if none has. unnamed is
	// how many events come behind it.
	named   string
	unnamed int
}

// parsePage reads a page. It is strict with the page, one JSON object with
// object "list", an array data and a bool has_more, and lenient with the events
// in it: whatever stands in data is an event, since an event that we do not
// understand must not stop those that we do.
//
// The events' Raw are slices of body, which belongs to them from here on.
func parsePage(body []byte, scope auditlog.Scope) (listing, error) {
	p := pageParser{scanner: scanner{data: body}, scope: scope}
	if err := p.page(); err != nil {
		return listing{}, err
	}
	if p.peek(); p.pos != len(body) {
		return listing{}, fmt.Errorf("more follows the page's JSON document at byte %d", p.pos)
	}
	switch {
	case !p.isList:
		return listing{}, errors.New(`the JSON has no "object": "list"`)
	case !p.hasData:
		return listing{}, errors.New("the JSON has no data")
	case !p.hasHasMore:
		return listing{}, errors.New("the JSON has no has_more")
	}
	return p.listing, nil
}

type pageParser struct {
	scanner
	listing
	scope                       auditlog.Scope
	isList, hasData, hasHasMore bool
}

func (p *pageParser) page() error {
	if err := p.take('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, ok, err := p.member(first)
		if !ok {
			return err
		}
		if err := p.field(key); err != nil {
			return err
		}
	}
}

// field reads one field of the page. A field given twice would leave open which
// one is meant, and with data that is a hundred events, so it is an error.
func (p *pageParser) field(key text) error {
	switch {
	case key.is("object"):
		object, err := p.textOrSkip()
		p.isList = object == "list"
		return err
	case key.is("last_id"):
		lastID, err := p.textOrSkip()
		p.lastID = lastID
		return err
	case key.is("has_more"):
		if p.hasHasMore {
			return errors.New("the page has two has_more")
		}
		p.hasHasMore = true
		return p.boolean()
	case key.is("data"):
		if p.hasData {
			return errors.New("the page has two data")
		}
		p.hasData = true
		return p.array()
	}
	return p.skip()
}

func (p *pageParser) boolean() error {
	switch p.peek() {
	case 't':
		p.hasMore = true
		return p.literal("true")
	case 'f':
		return p.literal("false")
	}
	return p.wrong("true or false")
}

func (p *pageParser) array() error {
	if err := p.take('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		ok, err := p.more(']', first)
		if !ok {
			return err
		}
		if p.events == nil {
			p.events = make([]auditlog.Event, 0, pageLimit)
		}
		event, err := p.event()
		if err != nil {
			return err
		}
		p.events = append(p.events, event)
		if p.unnamed++; event.ID != "" {
			p.named, p.unnamed = event.ID, 0
		}
	}
}

// event reads one element of data. What is no object has no id and no time, and
// is an event all the same.
func (p *pageParser) event() (auditlog.Event, error) {
	e := auditlog.Event{Scope: p.scope}
	var err error
	kind := p.peek()
	start := p.pos
	if kind == '{' {
		err = p.record(&e)
	} else {
		err = p.skip()
	}
	e.Raw = p.data[start:p.pos:p.pos]
	return e, err
}

// record reads the object of an event. Of a key given twice the last one counts.
func (p *pageParser) record(e *auditlog.Event) error {
	p.pos++ // the brace that event saw
	for first := true; ; first = false {
		key, ok, err := p.member(first)
		switch {
		case !ok:
			return err
		case key.is("id"):
			e.ID, err = p.textOrSkip()
		case key.is("type"):
			e.Type, err = p.textOrSkip()
		case key.is("effective_at"):
			e.EffectiveAt, e.Timed, err = p.second()
		default:
			err = p.skip()
		}
		if err != nil {
			return err
		}
	}
}

// textOrSkip reads a string that is Unicode text; any other value is "".
func (p *pageParser) textOrSkip() (string, error) {
	if p.peek() != '"' {
		return "", p.skip()
	}
	t, err := p.text()
	if err != nil {
		return "", err
	}
	s, _ := t.decode()
	return s, nil
}

// second reads a usable time, written as a JSON integer: 1.0, 1e9 and "1" are
// not. ok is false for any other value.
func (p *pageParser) second() (at auditlog.Second, ok bool, err error) {
	if c := p.peek(); c != '-' && !isDigit(c) {
		return 0, false, p.skip()
	}
	number, err := p.number()
	if err != nil {
		return 0, false, err
	}
	n, err := strconv.ParseInt(string(number), 10, 64)
	if at = auditlog.Second(n); err != nil || !at.Usable() {
		return 0, false, nil
	}
	return at, true, nil
}
