package codec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Register finds the schema in the registry, or puts it there, and returns the
// framing and the version to write with. With AutoRegister false it writes
// nothing, and returns an older version if that is the newest of ours which is
// registered. It tries once: the error is a *RegistryError where the registry is
// the cause, whose kind says whether to try again.
func Register(ctx context.Context, c RegistryConfig, logger *slog.Logger) (Framing, schemas.Version, error) {
	return register(ctx, c, schemas.Versions(), logger)
}

// register is Register for the versions, oldest first.
func register(ctx context.Context, c RegistryConfig, versions []schemas.Version, logger *slog.Logger) (Framing, schemas.Version, error) {
	r, done, err := c.open(logger)
	if err != nil {
		return Framing{}, schemas.Version{}, err
	}
	defer done()

	// Looking up comes first. It needs no right to write, and the text that a
	// registry returns is not the text it was given, so nothing can be compared.
	newest := versions[len(versions)-1]
	id, found, err := r.find(ctx, newest)
	switch {
	case err != nil:
		return Framing{}, newest, err
	case found:
		return Confluent(id), newest, nil
	case c.AutoRegister:
		id, err := r.register(ctx, newest)
		return Confluent(id), newest, err
	}
	return r.findOlder(ctx, versions)
}

// registry is one subject of a schema registry.
type registry struct {
	client  *sr.Client
	subject string
	proxy   string // the host of the proxy between; empty: none
	logger  *slog.Logger
}

func avroSchema(v schemas.Version) sr.Schema { return sr.Schema{Schema: v.Text, Type: sr.TypeAvro} }

// errNoID is the answer of something that is no registry. Taken for an id, it
// would be in every record.
var errNoID = errors.New("the answer has no schema id; is the URL that of a schema registry?")

// find returns the id of the version, if it is registered under the subject.
func (r registry) find(ctx context.Context, v schemas.Version) (id int, found bool, err error) {
	schema, err := r.client.LookupSchema(ctx, r.subject, avroSchema(v))
	if isNotFound(err) { // the schema or the subject
		return 0, false, nil
	}
	if err == nil && schema.ID <= 0 {
		err = errNoID
	}
	return schema.ID, err == nil, r.failed(ctx, "looking up the schema", err)
}

// register puts the version under the subject. The compatibility is set before
// the first version, for some registries have none by default, and a schema that
// breaks every consumer would then be accepted. A subject that was there before us
// keeps the compatibility it has. If we crash between the two steps, the next start
// finds no version and does both again.
func (r registry) register(ctx context.Context, v schemas.Version) (id int, err error) {
	numbers, err := r.numbers(ctx)
	if err != nil {
		return 0, err
	}
	if len(numbers) == 0 {
		if err := r.setCompatibility(ctx); err != nil {
			return 0, err
		}
	}
	id, err = r.client.RegisterSchema(ctx, r.subject, avroSchema(v), -1, -1)
	if err == nil && id <= 0 {
		err = errNoID
	}
	return id, r.withDifference(ctx, r.failed(ctx, "registering the schema", err), v)
}

// setCompatibility sets the subject's level. A user may have the right to register a
// schema and not this one; then the level stays as it is, with a warning.
func (r registry) setCompatibility(ctx context.Context) error {
	results := r.client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, r.subject)
	err := r.failed(ctx, "setting the subject's compatibility to FULL_TRANSITIVE", results[0].Err)
	if !errors.Is(err, ErrRegistryUnauthorized) {
		return err
	}
	r.logger.Warn("the subject's compatibility may not be set by this user, so a schema that breaks consumers may be registered by others: "+
		"have somebody who may set it to FULL_TRANSITIVE", "subject", r.subject, "error", err)
	return nil
}

// numbers returns the registered versions of the subject, none if there is no
// subject.
func (r registry) numbers(ctx context.Context) ([]int, error) {
	numbers, err := r.client.SubjectVersions(ctx, r.subject)
	if isNotFound(err) {
		return nil, nil
	}
	slices.Sort(numbers)
	return numbers, r.failed(ctx, "listing the subject's versions", err)
}

// findOlder looks for the newest version of ours that is registered, the last of
// versions not being so.
func (r registry) findOlder(ctx context.Context, versions []schemas.Version) (Framing, schemas.Version, error) {
	newest := versions[len(versions)-1]
	for _, v := range slices.Backward(versions[:len(versions)-1]) {
		id, found, err := r.find(ctx, v)
		if err != nil {
			return Framing{}, v, err
		}
		if found {
			r.logger.Warn("the schema registry has an older version of the schema: writing that, without the newest columns; register the new one with: schema register",
				"subject", r.subject, "version", v.Number, "newest", newest.Number)
			return Confluent(id), v, nil
		}
	}
	err := r.withDifference(ctx, &RegistryError{
		Kind:  ErrSchemaMissing,
		Doing: "looking up the schema of subject " + r.subject,
	}, newest)
	return Framing{}, newest, err
}

// withDifference adds to an error about the schema in what the version differs
// from what is registered.
func (r registry) withDifference(ctx context.Context, err error, v schemas.Version) error {
	e, ok := errors.AsType[*RegistryError](err)
	if !ok || !errors.Is(e.Kind, ErrSchemaIncompatible) && !errors.Is(e.Kind, ErrSchemaMissing) {
		return err
	}
	switch difference, registered, err := r.difference(ctx, v); {
	case err != nil: // the error at hand matters more
	case registered == 0:
		e.Difference = "subject " + r.subject + " has no schema"
	case difference == "":
		e.Difference = "by the rules of Avro it is compatible with what subject " + r.subject + " has"
	default:
		e.Difference = difference
	}
	return e
}

// difference returns why the version and a registered one cannot read each
// other, "" if they can, and how many are registered.
func (r registry) difference(ctx context.Context, v schemas.Version) (difference string, registered int, err error) {
	numbers, err := r.numbers(ctx)
	if err != nil {
		return "", 0, err
	}
	for _, number := range slices.Backward(numbers) {
		schema, err := r.client.SchemaByVersion(ctx, r.subject, number)
		if err != nil {
			return "", 0, r.failed(ctx, "reading a registered schema", err)
		}
		if err := compatible(v.Text, schema.Schema.Schema); err != nil {
			return fmt.Sprintf("version %d of subject %s: %v", number, r.subject, err), len(numbers), nil
		}
	}
	return "", len(numbers), nil
}

// FitsEveryVersion reports whether the newest schema and every earlier one of this
// release can read each other, by the rules of Avro.
func FitsEveryVersion() error {
	newest := schemas.Latest()
	for _, v := range schemas.Versions() {
		if err := compatible(newest.Text, v.Text); err != nil {
			return fmt.Errorf("version %d of the schema does not fit version %d: %w", newest.Number, v.Number, err)
		}
	}
	return nil
}

// compatible reports in what our schema and another cannot read each other, in
// either direction.
func compatible(ours, theirs string) error {
	a, err := avro.Parse(ours)
	if err != nil {
		return err
	}
	b, err := avro.Parse(theirs)
	if err != nil {
		return fmt.Errorf("it is no Avro schema: %w", err)
	}
	if err := avro.CheckCompatibility(a, b); err != nil {
		return fmt.Errorf("its readers cannot read what we write: %w", err)
	}
	if err := avro.CheckCompatibility(b, a); err != nil {
		return fmt.Errorf("what it wrote cannot be read with ours: %w", err)
	}
	return nil
}
