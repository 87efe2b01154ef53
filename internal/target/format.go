package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Refusal is why nothing may be written before a person decides.
type Refusal struct{ Why *remedy.Error }

func (r *Refusal) Error() string { return r.Why.Error() }

// Unwrap returns the error with its remedy.
func (r *Refusal) Unwrap() error { return r.Why }

func refuse(do, format string, args ...any) error { return &Refusal{remedy.New(do, format, args...)} }

// withoutRemedy is an error whose remedy is said elsewhere.
type withoutRemedy struct {
	error
	cause string
}

func (e withoutRemedy) Error() string { return e.cause }
func (e withoutRemedy) Unwrap() error { return e.error }

// Format says how the values of the events topic are written.
type Format struct {
	Framing codec.Framing
	Schema  schemas.Version
}

// Format finds out how values are written. With a registry it registers the schema,
// if that is to be done.
func (t Target) Format(ctx context.Context) (Format, error) {
	if t.Registry.URL == "" {
		return Format{codec.SingleObject(), schemas.Latest()}, nil
	}
	framing, version, err := codec.Register(ctx, t.Registry, t.Logger)
	if errors.Is(err, codec.ErrSchemaIncompatible) || errors.Is(err, codec.ErrSchemaMissing) {
		cause, do := remedy.Split(err)
		err = refuse(do, "%w", withoutRemedy{err, cause})
	}
	return Format{framing, version}, err
}

// KeepFormat returns how values are written behind a cursor; nil: nothing was written yet.
//
// A reader of single objects stops at a version of the schema that it does not know, all
// readers at the moment of an upgrade. So a topic keeps the version that it has, until
// the operator says that its readers know another one.
func (t Target) KeepFormat(f Format, was *auditlog.Cursor) Format {
	if t.Registry.URL == "" {
		f.Schema = chooseVersion(schemas.Versions(), t.SchemaVersion, was)
	}
	return f
}

// chooseVersion returns one of the versions, oldest first, and the newest where the
// cursor speaks of one that is not among them, which CheckSame refuses.
func chooseVersion(versions []schemas.Version, asked int, was *auditlog.Cursor) schemas.Version {
	number := len(versions)
	switch {
	case asked != 0:
		number = asked
	case was != nil:
		number = storedVersion(*was)
	}
	return versions[min(number, len(versions))-1]
}

// storedVersion is the version of the schema that a topic without a registry has.
func storedVersion(c auditlog.Cursor) int { return max(1, c.SchemaVersion) }

// SchemaVersion is what a cursor notes of the version that is written.
func (f Format) SchemaVersion() int {
	if _, registry := f.Framing.ID(); registry || f.Schema.Number == 1 {
		return 0
	}
	return f.Schema.Number
}

// Waits returns the newest version of the schema, if that is written only once the
// operator says so; 0: what is written is the newest.
func (f Format) Waits() int { return waits(schemas.Latest(), f) }

func waits(newest schemas.Version, f Format) int {
	if _, registry := f.Framing.ID(); registry || f.Schema.Number == newest.Number {
		return 0
	}
	return newest.Number
}

// Expected are the values that the settings ask for, as far as they can be known
// without the registry.
func (t Target) Expected() Format {
	if t.Registry.URL == "" {
		return Format{Framing: codec.SingleObject()}
	}
	return Format{Framing: codec.Confluent(0)}
}

// SchemaIDs adds to the ids that values in the topic carry the one they get now.
func (f Format) SchemaIDs(before map[int]int) map[int]int {
	id, carried := f.Framing.ID()
	if !carried {
		return nil
	}
	ids := map[int]int{f.Schema.Number: id}
	for number, id := range before {
		if number != f.Schema.Number {
			ids[number] = id
		}
	}
	return ids
}

// movedRemedy is what to do about a topic that is not the one written to so far.
func movedRemedy(role string) string {
	if Filled(role) {
		return "if it was moved with what it held (another cluster, a rename), run `cursor set --accept-topics`; if what it held is gone, `cursor reset` starts over and emits again, or `verify --repair` fills it after --accept-topics"
	}
	if role == Seal {
		return "run `cursor set --accept-topics`, and it gets the checkpoints from then on; those of before are in the old topic, and the last of each day in the offsets topic"
	}
	return "run `cursor set --accept-topics`, and it gets what is written from then on; to have all of the past in it, run `cursor reset`, which writes everything again, to every topic"
}

// CheckSame refuses topics and values that are others than those that the cursor
// speaks of: what it says was written is not in them, or consumers could not read on.
func (t Target) CheckSame(ctx context.Context, c auditlog.Cursor, found Found, f Format) error {
	for _, role := range Roles() {
		was, before := c.Topics[role]
		is, used := found[role] // not, if it is a copy that is not wanted any more
		if before && used && !was.Same(auditlog.Topic{Name: is.Name, ID: is.ID}) {
			return refuse(movedRemedy(role),
				"the %s topic is not the one written to so far (%s, id %s; now %s, id %s)",
				role, was.Name, cmp.Or(was.ID, "unknown"), is.Name, cmp.Or(is.ID, "unknown"))
		}
	}
	if framing := f.Framing.Name(); c.Framing != "" && c.Framing != framing {
		return refuse("set SCHEMA_REGISTRY_URL as it was, or give the connector a new events topic and run `cursor set --accept-topics`",
			"the values in %s are framed as %s, and the settings ask for %s", t.Topics.Events, c.Framing, framing)
	}
	if t.Registry.URL == "" {
		if was, newest := storedVersion(c), schemas.Latest().Number; t.SchemaVersion == 0 && was > newest {
			return refuse(fmt.Sprintf("run the release that wrote them or a later one, or set SCHEMA_VERSION=%d", newest),
				"the values in %s have version %d of the schema, and this release knows versions up to %d", t.Topics.Events, was, newest)
		}
		return nil
	}
	moved, err := codec.MovedID(ctx, t.Registry, c.SchemaIDs, f.Framing, f.Schema)
	if err == nil && moved != 0 {
		err = refuse("restore the registry with the ids it had, or give the connector a new events topic and run `cursor set --accept-topics`",
			"values in %s carry the schema id %d, which the registry does not have for their schema any more: it was restored without its ids, or is another one",
			t.Topics.Events, moved)
	}
	return err
}

// Encoder returns the encoder of what is written to the topics. number is the header of
// numbers in the seal; empty: there is none.
func (t Target) Encoder(found Found, f Format, number string) (*Encoder, error) {
	return NewEncoder(EncoderConfig{
		Number:       number,
		Organization: t.Organization,
		Topics:       found,
		Framing:      f.Framing,
		Schema:       f.Schema,
		Headers:      t.Headers,
		EventTime:    t.EventTime,
		SafeJSON:     t.SafeJSON,
		Now:          t.Clock,
	})
}

// Decoder returns a decoder of the events topic's values. How it asks the registry can
// be wrapped; nil: as it is.
func (t Target) Decoder(wrap func(codec.SchemaLookup) codec.SchemaLookup) (*codec.Decoder, error) {
	if t.Registry.URL == "" {
		return codec.NewDecoder(nil)
	}
	lookup := codec.LookupSchemas(t.Registry)
	if wrap != nil {
		lookup = wrap(lookup)
	}
	return codec.NewDecoder(lookup)
}
