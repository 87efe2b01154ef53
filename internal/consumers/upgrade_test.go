package consumers_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// upgrade has a thousand events more in the topics, and aborted ones among them, as the
// next release writes them: its schema has a column more. So the topics hold records of
// both versions.
func (w *world) upgrade(t *testing.T) {
	t.Helper()
	next := kafkatest.NextSchema()
	file := filepath.Join(t.TempDir(), "audit_event_next.avsc")
	if err := os.WriteFile(file, []byte(next.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.files = append(w.files, file)
	events := allEvents("upgraded")
	w.fill(t, events, func(m kafka.Message) kafka.Message { return upgraded(m, next) })
	for _, ev := range events {
		if value := addedValue(ev.ID); value != "" {
			w.want[ev.ID][kafkatest.AddedColumn] = value
		}
	}
}

// addedValue is what the next release's column has of an event; empty: null.
func addedValue(id string) string {
	if len(id)%3 == 1 {
		return ""
	}
	return "added to " + id
}

// upgraded returns a message as the next release writes it. Its column is the last, so
// its bytes are those of the version before and then the column's.
func upgraded(m kafka.Message, next schemas.Version) kafka.Message {
	body := m.Value[5:]
	value := binary.BigEndian.AppendUint32([]byte{0}, registryID+1)
	if m.Value[0] == 0xC3 {
		body = m.Value[10:]
		value = binary.LittleEndian.AppendUint64([]byte{0xC3, 0x01}, next.Fingerprint)
	}
	value = append(value, body...)
	if added := addedValue(string(m.Key)); added == "" {
		value = append(value, 0) // null
	} else {
		value = append(value, 2) // the second branch, a string
		value = binary.AppendVarint(value, int64(len(added)))
		value = append(value, added...)
	}
	headers := m.HeaderList()
	for i, h := range headers {
		if h.Key == "ce_dataschema" {
			headers[i].Value = []byte(next.URN())
		}
	}
	m.Value, m.Headers = value, kafka.FixedHeaders(headers...)
	return m
}

// readsOn is a consumer that notices nothing: the registry has what it needs.
func readsOn(t *testing.T, w *world, c consumer, before []row, p *program) {
	w.whole(t, c.name, slices.Concat(before, p.until(t, w.last)), c.columns...)
}

// stops is a consumer without a registry. It ends at the first record whose schema it does
// not know, with the remedy and not with a stack trace, and shows nothing that is wrong.
func stops(t *testing.T, p *program) {
	t.Helper()
	rows, said := p.ended(t)
	if len(rows) > 0 {
		t.Errorf("it showed %d rows of a schema that it does not know", len(rows))
	}
	saysRemedy(t, said, "nothing is lost")
}

// saysRemedy fails unless the text has the remedy, and is no stack trace.
func saysRemedy(t *testing.T, said, remedy string) {
	t.Helper()
	if !strings.Contains(said, remedy) || strings.Contains(said, "Traceback") || strings.Contains(said, "\tat ") || strings.Contains(said, "goroutine") {
		t.Errorf("it said: %s", said)
	}
}

// goesOn fails unless a consumer that has the new schema goes on where its group stopped:
// nothing is lost. What was not noted as read yet comes again.
func goesOn(t *testing.T, w *world, before []row, p *program) {
	t.Helper()
	got := w.check(t, slices.Concat(before, p.until(t, w.last)))
	got.doubled = 0
	if want := (figures{read: len(w.want)}); got != want {
		t.Errorf("with the new schema it goes on with %v; want %v", got, want)
	}
}

func upgradePython(t *testing.T, w *world, _ consumer, before []row, p *program) {
	stops(t, p)
	group := p.cmd.Args[4]
	goesOn(t, w, before, launchPython(t, w, group))
	w.whole(t, "from the beginning, with both files", launchPython(t, w, w.c.Name("group")).until(t, w.last))
}

func upgradeGo(t *testing.T, w *world, _ consumer, before []row, p *program) {
	stops(t, p)
	group, binary := p.cmd.Args[3], goRecipe(t, kafkatest.NextRelease(t))
	goesOn(t, w, before, launchGo(t, w, binary, group))
	w.whole(t, "from the beginning, with the new package", launchGo(t, w, binary, w.c.Name("group")).until(t, w.last))
}

func upgradeJava(t *testing.T, w *world, _ consumer, _ []row, p *program) {
	stops(t, p)
	w.whole(t, "read as the new version", launchJava(t, w, w.files...).until(t, w.last))
	older := slices.Clone(w.files)
	slices.Reverse(older)
	w.whole(t, "read as the version before", launchJava(t, w, older...).until(t, w.last), columns(t)...)
}

// upgradeClickHouse: the table of the recipe reads on without the column. The recipe for
// one more column adds it, and a new group fills it.
func upgradeClickHouse(t *testing.T, w *world, _ consumer, _ []row, _ *program) {
	p := launchClickHouse(t, w, w.table(t, "clickhouse/events.sql", "true"), w.table(t, "clickhouse/new_column.sql", kafkatest.AddedColumn+" IS NOT NULL"))
	w.whole(t, "the table as it was", p.until(t, w.last), columns(t)...)
	w.whole(t, "the table with the column", p.until(t, w.last))
}

// columns are those of the newest release.
func columns(t *testing.T) (names []string) {
	t.Helper()
	var schema struct{ Fields []struct{ Name string } }
	if err := json.Unmarshal([]byte(schemas.Latest().Text), &schema); err != nil {
		t.Fatal(err)
	}
	for _, field := range schema.Fields {
		names = append(names, field.Name)
	}
	return names
}
