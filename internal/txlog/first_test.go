package txlog_test

import (
	"strconv"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// The first transaction of each client is committed if Commit says so. kgo has a
// moment in which it aborts one and reports success; a busy machine and the race detector
// make it longer. Without Log.meetTopics about one of two hundred is lost with -race.
func TestFirstCommit(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t))
	for i := range 200 {
		log, state, err := txlog.Open(t.Context(), w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && string(state["acme/cursor"]) != strconv.Itoa(i-1) {
			t.Errorf("commit %d was confirmed, and the state is of commit %s", i-1, state["acme/cursor"])
		}
		if err := log.Commit(t.Context(), nil, []txlog.Change{{Key: "acme/cursor", Value: []byte(strconv.Itoa(i))}}); err != nil {
			t.Fatal(err)
		}
		log.Close()
	}
}
