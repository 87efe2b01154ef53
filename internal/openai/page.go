package openai

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
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
	tape    *rawjson.Tape // has the events that are Parsed; nil: none is
}

// parsePage reads a page. It is strict with the page, one JSON object with
// object "list", an array data and a bool has_more, and lenient with the events
// in it: anything in data is an event, since an event that we do not understand must
// not stop those that we do.
//
// The events' Raw are slices of body, which belongs to them from here on. With parsed the
// events are kept parsed too, as parts of body.
func parsePage(body []byte, scope auditlog.Scope, parsed bool) (listing, error) {
	text := unsafe.String(unsafe.SliceData(body), len(body)) // not to be used once body is given back
	p := pageParser{Scanner: rawjson.NewScanner(text), body: body, scope: scope}
	if parsed {
		p.tape = pageTapes.Get().(*rawjson.Tape)
		p.tape.Begin(text)
	}
	if err := p.page(); err != nil {
		return listing{}, err
	}
	if !p.AtEnd() {
		return listing{}, fmt.Errorf("more follows the page's JSON document at byte %d", p.Pos())
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

// pageTapes are those of pages that were given back.
var pageTapes = sync.Pool{New: func() any { return new(rawjson.Tape) }}

// tapeValues is how many values a page's tape holds at most, 24 bytes each. A hundred usual
// events have a fifth of it. An event of a hostile page that does not fit is not kept.
const tapeValues = 1 << 14

type pageParser struct {
	rawjson.Scanner
	listing
	body                        []byte
	texts                       strings.Builder // holds the ids and types: else each is an allocation
	scope                       auditlog.Scope
	isList, hasData, hasHasMore bool
}

func (p *pageParser) page() error {
	if err := p.Take('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, ok, err := p.Member(first)
		if !ok {
			return err
		}
		if err := p.field(key); err != nil {
			return err
		}
	}
}

// field reads one field of the page. A second data or has_more is an error: it would be
// unclear which one counts, and data is a hundred events.
func (p *pageParser) field(key rawjson.Text) error {
	switch {
	case key.Is("object"):
		object, err := p.textOrSkip()
		p.isList = object == "list"
		return err
	case key.Is("last_id"):
		lastID, err := p.textOrSkip()
		p.lastID = lastID
		return err
	case key.Is("has_more"):
		if p.hasHasMore {
			return errors.New("the page has two has_more")
		}
		p.hasHasMore = true
		return p.boolean()
	case key.Is("data"):
		if p.hasData {
			return errors.New("the page has two data")
		}
		p.hasData = true
		return p.array()
	}
	return p.Skip()
}

func (p *pageParser) boolean() error {
	switch p.Peek() {
	case 't':
		p.hasMore = true
		return p.Literal("true")
	case 'f':
		return p.Literal("false")
	}
	return p.Wrong("true or false")
}

func (p *pageParser) array() error {
	if err := p.Take('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		ok, err := p.More(']', first)
		if !ok {
			return err
		}
		if p.events == nil {
			p.events = takeEvents()
			p.texts.Grow(pageLimit * usualTexts)
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

// eventLists are those of pages that were given back.
var eventLists = sync.Pool{New: func() any { return new([pageLimit]auditlog.Event) }}

// takeEvents returns room for the events of a page, which may be given back.
func takeEvents() []auditlog.Event { return eventLists.Get().(*[pageLimit]auditlog.Event)[:0] }

// giveEvents gives the room of a page's events back. That of a page that had more than it
// may have is not kept.
func giveEvents(of []auditlog.Event) {
	if cap(of) == pageLimit {
		all := (*[pageLimit]auditlog.Event)(of[:pageLimit])
		clear(all[:]) // nothing may be kept alive by what was in it
		eventLists.Put(all)
	}
}

// event reads one element of data. What is no object has no id and no time, and
// is an event all the same.
func (p *pageParser) event() (auditlog.Event, error) {
	e := auditlog.Event{Scope: p.scope}
	var err error
	kind := p.Peek()
	start := p.Pos()
	kept := false
	if kind == '{' && p.tape != nil {
		if kept, err = p.parsed(&e); !kept && err == nil {
			p.Back(start)
		}
	}
	switch {
	case err != nil || kept:
	case kind == '{':
		err = p.record(&e)
	default:
		err = p.Skip()
	}
	end := p.Pos()
	e.Raw = p.body[start:end:end]
	return e, err
}

// parsed is record for an event that is kept on the page's tape. ok is false where it does
// not fit.
func (p *pageParser) parsed(e *auditlog.Event) (ok bool, err error) {
	object, ok, err := p.tape.Next(&p.Scanner, tapeValues)
	if !ok {
		return false, err
	}
	e.Parsed = object.Place() + 1
	e.ID, e.Type = p.keep(object.Get("id").Unicode()), p.keep(object.Get("type").Unicode())
	if at := object.Get("effective_at"); at.Is(rawjson.Number) {
		e.EffectiveAt, e.Timed = parseSecond(at.Raw())
	}
	return true, nil
}

// record reads the object of an event. Of a key given twice the last one counts.
func (p *pageParser) record(e *auditlog.Event) error {
	if err := p.Take('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, ok, err := p.Member(first)
		switch {
		case !ok:
			return err
		case key.Is("id"):
			e.ID, err = p.textOrSkip()
		case key.Is("type"):
			e.Type, err = p.textOrSkip()
		case key.Is("effective_at"):
			e.EffectiveAt, e.Timed, err = p.time()
		default:
			err = p.Skip()
		}
		if err != nil {
			return err
		}
	}
}

// usualTexts is what the id and the type of an event take, about.
const usualTexts = 64

// textOrSkip reads a string that is Unicode text; any other value is "". To keep one is
// to keep all of the page.
func (p *pageParser) textOrSkip() (string, error) {
	if p.Peek() != '"' {
		return "", p.Skip()
	}
	t, err := p.Text()
	if err != nil {
		return "", err
	}
	text, _ := t.Decode()
	return p.keep(text), nil
}

// keep returns a copy of the text that outlives the body.
func (p *pageParser) keep(text string) string {
	start := p.texts.Len()
	p.texts.WriteString(text)
	return p.texts.String()[start:]
}

// time reads what parseSecond takes; ok is false for any other value.
func (p *pageParser) time() (at auditlog.Second, ok bool, err error) {
	if c := p.Peek(); c != '-' && (c < '0' || c > '9') {
		return 0, false, p.Skip()
	}
	number, err := p.Number()
	if err != nil {
		return 0, false, err
	}
	at, ok = parseSecond(number)
	return at, ok, nil
}

// parseSecond returns a usable time, written as a JSON integer: 1.0, 1e9 and "1" are not.
func parseSecond(number string) (at auditlog.Second, ok bool) {
	n, err := strconv.ParseInt(number, 10, 64)
	if at = auditlog.Second(n); err != nil || !at.Usable() {
		return 0, false
	}
	return at, true
}
