package txlog_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// A transaction that cannot be committed leaves few records for consumers without
// isolation: none of a writer that was fenced, and one in each topic where another topic
// refuses its own. Each try of a session would leave as many again.
func TestDoomedIsNotProduced(t *testing.T) {
	const many = 1000
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		copies := c.Name("copies")
		c.CreateTopic(copies, 1, map[string]string{"max.message.bytes": "4096"})
		tests := map[string]struct {
			bad    kafka.Message
			fenced bool
			leaves int // at most: what is refused first may stop the others
		}{
			"the writer was fenced":           {fenced: true},
			"a topic of copies is missing":    {bad: kafka.Message{Topic: "missing", Value: []byte("x")}, leaves: 1},
			"it takes no records of the size": {bad: kafka.Message{Topic: copies, Value: bytes.Repeat([]byte("x"), 10_000)}, leaves: 1},
		}
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, c)
				records := make([]kafka.Message, 0, many+1)
				for n := range many {
					records = append(records, kafka.Message{Topic: w.events, Key: fmt.Append(nil, n), Value: []byte("doomed")})
				}
				if tt.bad.Topic != "" {
					records = append(records, tt.bad)
				}
				log := w.open(w.cfg)
				if tt.fenced {
					w.open(w.cfg).Close()
				}
				err := log.Commit(t.Context(), records, []txlog.Change{{Key: "acme/cursor", Value: []byte("doomed")}})
				wantOneKind(t, err)
				w.reopened()
				for _, r := range c.Read(t, w.events, kgo.ReadCommitted()) {
					if string(r.Value) == "doomed" {
						t.Fatalf("one of its records is committed: %s", r.Key)
					}
				}
				if aborted := kafkatest.Aborted(t, c, w.events); aborted > tt.leaves {
					t.Errorf("it left %d aborted records of %d, want %d at most; Commit returned %v", aborted, many, tt.leaves, err)
				}
			})
		}
	})
}
