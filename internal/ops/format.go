package ops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Format is how Tail prints an event.
type Format string

// The formats; those of the copies of the events are formats too.
const (
	FormatJSON Format = "json" // all columns
	FormatRaw  Format = "raw"  // as the API sent it
)

// Formats lists every format, the default first.
func Formats() []Format {
	formats := []Format{FormatJSON, FormatRaw}
	for _, c := range codec.Copies() {
		if c.Name != string(FormatJSON) { // the copy of that name is FormatRaw here
			formats = append(formats, Format(c.Name))
		}
	}
	return formats
}

// printer writes events, one a line.
type printer struct {
	out      io.Writer
	format   Format
	encoders map[string]*codec.Encoder // for a copy's format, by organization
}

func newPrinter(out io.Writer, format Format) *printer {
	return &printer{out: out, format: format, encoders: map[string]*codec.Encoder{}}
}

func (p *printer) print(event codec.Record) error {
	var line []byte
	var err error
	switch p.format {
	case FormatRaw:
		line = []byte(event.RawEvent)
	case FormatJSON, "":
		line, err = columns(event)
	default:
		line, err = p.copied(event)
	}
	if err != nil {
		return fmt.Errorf("printing event %s: %w", event.ID, err)
	}
	_, err = p.out.Write(oneLine(line))
	return err
}

func columns(event codec.Record) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	event.EffectiveAt, event.IngestedAt = event.EffectiveAt.UTC(), event.IngestedAt.UTC()
	err := encoder.Encode(event)
	return b.Bytes(), err
}

// copied makes a copy of the event from its bytes, as the connector does.
func (p *printer) copied(event codec.Record) ([]byte, error) {
	encoder := p.encoders[event.Organization]
	if encoder == nil {
		form, ok := codec.CopyNamed(string(p.format))
		if !ok {
			return nil, fmt.Errorf("there is no format %q: it is one of %v", p.format, Formats())
		}
		var err error
		encoder, err = codec.NewEncoder(codec.Config{Organization: event.Organization, Schema: schemas.Latest(), Copies: []codec.Copy{form}})
		if err != nil {
			return nil, err
		}
		p.encoders[event.Organization] = encoder
	}
	messages, _, err := encoder.Encode(auditlog.Event{
		ID: event.ID, Type: event.Type, Scope: auditlog.Scope(event.EventScope),
		EffectiveAt: auditlog.SecondOf(event.EffectiveAt), Timed: true, Raw: []byte(event.RawEvent),
	}, event.IngestedAt)
	if err != nil {
		return nil, err
	}
	return messages[1].Value, nil
}

// oneLine returns the JSON text as a line. Line breaks can only stand between its
// parts, and only an event that the API sent so has them.
func oneLine(text []byte) []byte {
	text = bytes.TrimRight(text, "\n")
	if bytes.ContainsAny(text, "\r\n") {
		var b bytes.Buffer
		if json.Compact(&b, text) == nil {
			text = b.Bytes()
		}
	}
	return append(text[:len(text):len(text)], '\n')
}
