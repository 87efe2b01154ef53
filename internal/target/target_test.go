package target_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

var acme = target.Target{
	Organization: "acme",
	Topics:       target.Topics{Events: "e", DLQ: "d", Offsets: "o", Copies: map[string]string{"json": "j", "ocsf": ""}},
}

func TestNames(t *testing.T) {
	if got, want := acme.Topics.Roles(), []string{"events", "dlq", "offsets", "json"}; !slices.Equal(got, want) {
		t.Errorf("roles %v, want %v", got, want)
	}
	if got, want := acme.Topics.Names(), []string{"d", "e", "j", "o"}; !slices.Equal(got, want) {
		t.Errorf("topics %v, want %v", got, want)
	}
	if got, want := acme.IDs(), []string{"o/acme", "o/acme/repair"}; !slices.Equal(got, want) {
		t.Errorf("transactional ids %v, want %v", got, want)
	}
	with := acme
	with.IDPrefix = "mine"
	if got := with.ID(); got != "mine/acme" {
		t.Errorf("transactional id %s with a prefix", got)
	}
}

func TestOwns(t *testing.T) {
	record := func(headers ...kafka.Header) *kafka.Record { return &kafka.Record{Headers: headers} }
	source := func(value string) kafka.Header { return kafka.Header{Key: "ce_source", Value: []byte(value)} }
	for name, test := range map[string]struct {
		record *kafka.Record
		want   bool
	}{
		"ours":               {record(source("/openai/organizations/acme")), true},
		"another's":          {record(source("/openai/organizations/acme2")), false},
		"without the header": {record(), false},
	} {
		if got := acme.Owns(test.record); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Topics and framing must be those of the cursor, in whatever role.
func TestCheckSame(t *testing.T) {
	cursor := auditlog.Cursor{Framing: "single-object", Topics: map[string]auditlog.Topic{
		"events": {Name: "e", ID: "1"}, "dlq": {Name: "d", ID: "2"}, "offsets": {Name: "o"}, "json": {Name: "j", ID: "4"}, "ocsf": {Name: "gone", ID: "5"},
	}}
	same := func() target.Found {
		return target.Found{"events": {Name: "e", ID: "1"}, "dlq": {Name: "d", ID: "2"}, "offsets": {Name: "o", ID: "3"}, "json": {Name: "j"}}
	}
	single := target.Format{Framing: codec.SingleObject(), Schema: schemas.Latest()}
	for name, test := range map[string]struct {
		change func(target.Found)
		values target.Format
		want   string // empty: nothing is refused
	}{
		"the same, where ids are not told and a copy is no longer wanted": {values: single},
		"a copy that is new":               {change: func(f target.Found) { f["ocsf"] = kafka.Topic{Name: "gone", ID: "5"} }, values: single},
		"an events topic that was remade":  {change: func(f target.Found) { f["events"] = kafka.Topic{Name: "e", ID: "9"} }, values: single, want: "the events topic is not the one"},
		"a copy under another name":        {change: func(f target.Found) { f["json"] = kafka.Topic{Name: "k"} }, values: single, want: "the json topic is not the one"},
		"values framed for a registry now": {values: target.Format{Framing: codec.Confluent(7)}, want: "framed as single-object, and the settings ask for confluent"},
	} {
		found := same()
		if test.change != nil {
			test.change(found)
		}
		err := acme.CheckSame(t.Context(), cursor, found, test.values)
		refused, is := errors.AsType[*target.Refusal](err)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (!is || !strings.Contains(refused.Why.Cause.Error(), test.want) || refused.Why.Do == ""):
			t.Errorf("%s: %v, want %q with a remedy", name, err, test.want)
		}
	}

	// A rollback behind an upgrade of the schema: readers may count on columns that this
	// release does not write.
	cursor.SchemaVersion = schemas.Latest().Number + 1
	err := acme.CheckSame(t.Context(), cursor, same(), single)
	if refused, is := errors.AsType[*target.Refusal](err); !is || !strings.Contains(refused.Why.Do, "SCHEMA_VERSION=1") {
		t.Errorf("a topic with a later version of the schema: %v", err)
	}
	asked := acme
	asked.SchemaVersion = 1
	if err := asked.CheckSame(t.Context(), cursor, same(), single); err != nil {
		t.Errorf("the operator asks for version 1: %v", err)
	}
}
