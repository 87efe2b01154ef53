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

// The formats.
const (
	FormatJSON Format = "json" // all columns
	FormatRaw  Format = "raw"  // as the API sent it
	FormatOCSF Format = "ocsf"
)

// Formats lists every format, the default first.
func Formats() []Format { return []Format{FormatJSON, FormatRaw, FormatOCSF} }

// printer writes events, one a line.
type printer struct {
	out      io.Writer
	format   Format
	encoders map[string]*codec.Encoder // for OCSF, by organization
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
	case FormatOCSF:
		line, err = p.ocsf(event)
	default:
		line, err = columns(event)
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

// ocsf makes the event anew from its bytes, as the connector does.
func (p *printer) ocsf(event codec.Record) ([]byte, error) {
	encoder := p.encoders[event.Organization]
	if encoder == nil {
		var err error
		encoder, err = codec.NewEncoder(codec.Config{Organization: event.Organization, Schema: schemas.Latest()})
		if err != nil {
			return nil, err
		}
		p.encoders[event.Organization] = encoder
	}
	message, err := encoder.OCSF(auditlog.Event{
		ID: event.ID, Type: event.Type, Scope: auditlog.Scope(event.EventScope),
		EffectiveAt: auditlog.SecondOf(event.EffectiveAt), Timed: true, Raw: []byte(event.RawEvent),
	}, codec.Message{})
	return message.Value, err
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
