package ops

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// A transaction whose coordinator has forgotten it may be of the connector or of a repair,
// and each of them ends what hangs in its own partition of the offsets topic alone.
func TestWritersOfWhatIsForgotten(t *testing.T) {
	c := Config{Target: target.Target{Organization: "acme", IDPrefix: "offsets"}}
	for name, tt := range map[string]struct {
		hanging []HangingTransaction
		want    []string
	}{
		"the connector's": {[]HangingTransaction{{By: "offsets/acme", Ours: true}, {By: "offsets/acme", Ours: true}}, []string{"offsets/acme"}},
		"a repair's":      {[]HangingTransaction{{By: "offsets/acme/repair", Ours: true}}, []string{"offsets/acme/repair"}},
		"forgotten":       {[]HangingTransaction{{Hanging: txlog.Hanging{}, Ours: true}}, []string{"offsets/acme", "offsets/acme/repair"}},
		"another's":       {[]HangingTransaction{{By: "offsets/other"}, {}}, nil},
	} {
		got := (&Transactions{Hanging: tt.hanging}).Writers(c)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
