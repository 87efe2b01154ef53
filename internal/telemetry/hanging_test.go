package telemetry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// A transaction that hangs is on the page, in the status and in the metrics, until it
// does not hang any more.
func TestHangingTransactionsAreShown(t *testing.T) {
	tel, _ := newTelemetry(false, "acme")
	tel.Hanging("acme", []connector.HangingTransaction{{
		Topic: "openai.audit.events", Partition: 3, ProducerID: 4711, Epoch: 12, StartOffset: 8153, Since: time.Now().Add(-time.Minute), TransactionalID: "openai.audit.offsets/acme",
	}})
	shown := map[string][]string{
		"/":           {"1 hanging transaction", "openai.audit.events", "<td>3</td>", "<td>8153</td>", "4711, epoch 12"},
		"/api/status": {`"hanging_transactions"`, `"start_offset": 8153`, `"transactional_id": "openai.audit.offsets/acme"`},
		"/metrics":    {`openai_audit_hanging_transactions{organization="acme"} 1`},
	}
	for path, wants := range shown {
		_, text := get(t, tel.Handler(), path)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in %s", path, want, text)
			}
		}
	}
	tel.Hanging("acme", nil)
	if _, page := get(t, tel.Handler(), "/"); strings.Contains(page, "hanging") {
		t.Errorf("it was ended: %s", page)
	}
	if _, text := get(t, tel.Handler(), "/metrics"); !strings.Contains(text, `openai_audit_hanging_transactions{organization="acme"} 0`) {
		t.Error("the metric does not go back to 0")
	}
}
