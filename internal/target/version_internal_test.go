package target

import (
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// A topic keeps the version of the schema that it has until the operator says
// otherwise; a new one begins with the newest.
func TestChooseVersion(t *testing.T) {
	three := []schemas.Version{{Number: 1}, {Number: 2}, {Number: 3}}
	cursor := func(version int) *auditlog.Cursor { return &auditlog.Cursor{SchemaVersion: version} }
	for name, tt := range map[string]struct {
		asked int
		was   *auditlog.Cursor
		want  int
		waits int
	}{
		"a new topic":                            {0, nil, 3, 0},
		"a new topic, and an older one is asked": {2, nil, 2, 3},
		"a topic of the first version":           {0, cursor(0), 1, 3},
		"a topic of the second":                  {0, cursor(2), 2, 3},
		"a topic of the newest":                  {0, cursor(3), 3, 0},
		"the operator says so":                   {3, cursor(0), 3, 0},
		"one step":                               {2, cursor(0), 2, 3},
		"and back":                               {1, cursor(2), 1, 3},
		"a topic of a later release (see TestCheckSame)": {0, cursor(4), 3, 0},
	} {
		v := Format{codec.SingleObject(), chooseVersion(three, tt.asked, tt.was)}
		if v.Schema.Number != tt.want || waits(three[2], v) != tt.waits {
			t.Errorf("%s: version %d, %d waits; want %d, %d", name, v.Schema.Number, waits(three[2], v), tt.want, tt.waits)
		}
		// What the cursor notes brings the same version back at the next start.
		if again := chooseVersion(three, 0, cursor(v.SchemaVersion())); again.Number != tt.want {
			t.Errorf("%s: after a restart version %d", name, again.Number)
		}
	}
	registry := Format{codec.Confluent(7), three[0]}
	if registry.SchemaVersion() != 0 || waits(three[2], registry) != 0 {
		t.Error("with a registry a version is noted, or waits")
	}
}
