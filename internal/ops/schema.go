package ops

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// RegisterSchema puts the newest schema under the topic's subject, if it is not
// there, and says what came of it.
func RegisterSchema(ctx context.Context, c Config, out io.Writer) error {
	registry := c.Registry
	registry.AutoRegister = true // that is what was asked for
	framing, version, err := codec.Register(ctx, registry, c.Logger)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "version %d of the schema is registered under %s: %v\n", version.Number, registry.Subject, framing)
	return err
}

// CheckSchema compares the newest schema with every version of this release, with the
// topic's subject by the rules of Avro, and once more by the registry's own. It reports
// whether the connector can write with these settings.
func CheckSchema(ctx context.Context, c Config, out io.Writer) (ok bool, err error) {
	found, err := codec.Check(ctx, c.Registry)
	if err != nil {
		return false, err
	}
	ok = true
	for _, f := range []Finding{ownFinding(), schemaFinding(found, c.Registry.AutoRegister), byRegistry(found)} {
		if _, err = fmt.Fprintln(out, f.text()); err != nil {
			return false, err
		}
		ok = ok && f.State != Failed
	}
	return ok, nil
}

// ownFinding compares the newest schema with the others of this release.
func ownFinding() Finding {
	f := fine("version %d fits every version of this release, in both directions", schemas.Latest().Number)
	if err := codec.FitsEveryVersion(); err != nil {
		f = failed("look for another release: this one is broken", "%v", err)
	}
	f.Name = "this release"
	return f
}

// byRegistry says what the registry itself thinks of the newest schema.
func byRegistry(s codec.SchemaCheck) Finding {
	f := fine("it would take the newest schema")
	switch {
	case s.Registered == 0:
		f = fine("the subject has no version yet to compare the schema with")
	case s.Refused != "":
		f = failed("see what is registered under the subject, and its compatibility", "by its compatibility %s it would not take the newest schema: %s", s.Level, s.Refused)
	}
	f.Name = "the registry"
	return f
}

// schemaFinding says what the state of the subject means.
func schemaFinding(s codec.SchemaCheck, mayRegister bool) Finding {
	newest := schemas.Latest().Number
	switch {
	case !s.Compatible():
		return failed("give the connector a topic of its own, or remove what is under the subject",
			"version %d of the schema does not fit: %s", newest, s.Difference)
	case !s.Found && s.Refused != "":
		return failed("see what is registered under the subject, and its compatibility",
			"the registry would not take version %d of the schema: %s", newest, s.Refused)
	case !s.Found && !mayRegister && s.Older == 0:
		return failed("register it with `schema register`, or set SCHEMA_REGISTRY_AUTO_REGISTER=true",
			"the schema is not registered under %s, and may not be", s.Subject)
	case !s.Found && s.ReadOnly && mayRegister:
		return failed("set the registry's mode to READWRITE until the schema is registered, or have it registered where that may be done",
			"the registry is read-only, and the schema is not registered under %s", s.Subject)
	case !s.Found && !mayRegister:
		return warning("register the newest with `schema register`",
			"%s has version %d of the schema; it is written without the columns of version %d", s.Subject, s.Older, newest)
	case s.Registered > 0 && s.Level != "FULL_TRANSITIVE":
		return warning("set the subject's compatibility to FULL_TRANSITIVE, or a schema that breaks consumers may be registered",
			"the compatibility of %s is %s", s.Subject, s.Level)
	case !s.Found && s.Registered == 0 && s.Level != "FULL_TRANSITIVE":
		return fine("version %d is registered under %s at the first start, after the subject's compatibility is set to FULL_TRANSITIVE, if the user may; the registry's is %s",
			newest, s.Subject, cmp.Or(s.Level, "not known"))
	case !s.Found:
		return fine("version %d fits, and is registered under %s at the first start", newest, s.Subject)
	}
	return fine("version %d is registered under %s, id %d", newest, s.Subject, s.ID)
}
