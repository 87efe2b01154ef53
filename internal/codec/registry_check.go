package codec

import (
	"cmp"
	"context"
	"encoding/binary"
	"log/slog"
	"net/http"
	"strings"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// SchemaCheck is what Check found.
type SchemaCheck struct {
	Subject string
	// Registered is how many versions the subject has; 0: there is none yet.
	Registered int
	// Found says that the newest schema of this release is one of them, and ID
	// is its id.
	Found bool
	ID    int
	// Older is the newest version of ours that is registered where the newest is
	// not; 0 if there is none.
	Older int
	// Difference says in what the newest schema and a registered one cannot read
	// each other; empty if they can.
	Difference string
	// Refused says why the registry would not take the newest schema at the subject's
	// level; empty if it would, or does not say.
	Refused string
	// ReadOnly says that the registry takes nothing for the subject, from any user.
	ReadOnly bool
	// Level is the subject's compatibility, or the registry's where the subject
	// has none. It should be FULL_TRANSITIVE; empty if the registry does not say.
	Level string
}

// Compatible reports whether the newest schema fits what is registered.
func (s SchemaCheck) Compatible() bool { return s.Difference == "" }

// Check compares the newest schema with the registry's subject. It writes
// nothing. Whether schemas fit is decided here, by the rules of Avro, since a registry
// only applies the level that is set there.
func Check(ctx context.Context, c RegistryConfig) (SchemaCheck, error) {
	result := SchemaCheck{Subject: c.Subject}
	r, done, err := c.open(slog.New(slog.DiscardHandler))
	if err != nil {
		return result, err
	}
	defer done()
	if result.Difference, result.Registered, err = r.difference(ctx, schemas.Latest()); err != nil {
		return result, err
	}
	for _, v := range schemas.Versions() {
		id, found, err := r.find(ctx, v)
		if err != nil {
			return result, err
		}
		switch {
		case found && v == schemas.Latest():
			result.Found, result.ID, result.Older = true, id, 0
		case found:
			result.Older = v.Number
		}
	}
	result.ReadOnly = r.readOnly(ctx)
	if result.Registered > 0 {
		if result.Refused, err = r.refused(ctx, schemas.Latest()); err != nil {
			return result, err
		}
	}
	if result.Level, err = r.level(ctx); result.Level == "NONE" {
		result.Refused = "" // whatever it answers, it takes everything
	}
	return result, err
}

// readOnly asks for the mode, which not every registry has.
func (r registry) readOnly(ctx context.Context) bool {
	answer := r.client.Mode(sr.WithParams(ctx, sr.DefaultToGlobal), r.subject)[0]
	return answer.Err == nil && answer.Mode == sr.ModeReadOnly
}

// refused asks the registry itself: against all versions, or against the latest
// where it cannot be asked for all. It writes nothing.
func (r registry) refused(ctx context.Context, v schemas.Version) (why string, err error) {
	ctx = sr.WithParams(ctx, sr.Verbose)
	var answer sr.CheckCompatibilityResult
	for _, version := range []int{-2, -1} {
		answer, err = r.client.CheckCompatibility(ctx, r.subject, version, avroSchema(v))
		if status, _ := answerOf(err); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			break
		}
	}
	switch status, _ := answerOf(err); {
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return "", nil // it cannot be asked
	case err != nil:
		return "", r.failed(ctx, "asking the registry whether the schema fits", err)
	case answer.Is:
		return "", nil
	}
	return shorten(cmp.Or(strings.Join(answer.Messages, "; "), "it does not say why")), nil
}

func (r registry) level(ctx context.Context) (string, error) {
	for _, subject := range []string{r.subject, sr.GlobalSubject} {
		answer := r.client.Compatibility(ctx, subject)[0]
		if answer.Err == nil {
			return answer.Level.String(), nil
		}
		if !isNotFound(answer.Err) {
			return "", r.failed(ctx, "reading the compatibility", answer.Err)
		}
	}
	return "", nil
}

// MovedID looks for an id that does not stand any more for the version of our schema
// with which values were written: consumers would read them with another schema, or
// with none. It happens when a registry is restored, or is another one. The ids are by
// version; of the framing and version that were just registered nothing is asked. 0:
// all stand.
func MovedID(ctx context.Context, c RegistryConfig, ids map[int]int, framing Framing, version schemas.Version) (moved int, err error) {
	r, done, err := c.open(slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	defer done()
	for _, v := range schemas.Versions() {
		id, written := ids[v.Number]
		if !written || v == version && framing == Confluent(id) {
			continue
		}
		registered, err := r.client.SchemaByID(ctx, id)
		switch {
		case isNotFound(err):
			return id, nil
		case err != nil:
			return 0, r.failed(ctx, "reading the schema of earlier values", err)
		}
		schema, err := avro.Parse(registered.Schema)
		if err != nil || binary.BigEndian.Uint64(schema.Fingerprint(avro.NewRabin())) != v.Fingerprint {
			return id, nil
		}
	}
	return 0, nil
}
