package consumers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// organization is the name in the settings.
const organization = "acme"

// registryID is where the registry has the newest schema, and the id after it is where it
// has that of the next release.
const registryID = 7

// Aborted copies differ from the committed ones in nothing but when they were fetched.
var (
	abortedAt   = time.UnixMilli(1_790_000_000_123)
	committedAt = time.UnixMilli(1_790_000_000_456)
)

// world is what consumers read: the same events in three topics, of one partition each,
// and what each column of each event must be.
type world struct {
	c                   *kafkatest.Cluster
	writer              *kgo.Client
	plain, framed, json string // single objects, Confluent's format, JSON
	registry            string
	files               []string // with the versions of the schema that are in the topics
	last                string   // the id of the event behind which there is nothing
	want                map[string]row
	aborted             int // records in each topic that no consumer may see
	batches             int
}

// newWorld has a thousand events in its topics, as the newest release writes them.
func newWorld(t *testing.T, compression kgo.CompressionCodec) *world {
	t.Helper()
	w := &world{c: kafkatest.SharedReal(t), want: map[string]row{}, files: []string{schema}}
	w.plain, w.framed, w.json = w.c.Name("plain"), w.c.Name("framed"), w.c.Name("json")
	for _, topic := range []string{w.plain, w.framed, w.json} {
		w.c.CreateTopic(topic, 1, nil)
	}
	w.registry = newRegistry(t)
	w.writer = w.c.Client(kgo.TransactionalID(w.c.Name("writer")), kgo.ProducerBatchCompression(compression))
	w.fill(t, allEvents("audit_log"), func(m kafka.Message) kafka.Message { return m })
	return w
}

// fill writes events as the connector does: events and copies in one transaction. Before
// every second one its records were written by the same producer in one or two that were
// aborted.
func (w *world) fill(t *testing.T, events []auditlog.Event, as func(kafka.Message) kafka.Message) {
	t.Helper()
	for _, ev := range events {
		w.want[ev.ID], w.last = wantRow(t, ev, committedAt), ev.ID
	}
	for rest := events; len(rest) > 0; {
		w.batches++
		batch := rest[:min(1+w.batches*w.batches%79, len(rest))]
		rest = rest[len(batch):]
		for range w.batches % 4 % 3 { // 0, 1 or 2 times
			w.write(t, batch, abortedAt, as, kgo.TryAbort)
			w.aborted += len(batch)
		}
		w.write(t, batch, committedAt, as, kgo.TryCommit)
	}
}

// write writes a batch of events in one transaction.
func (w *world) write(t *testing.T, batch []auditlog.Event, at time.Time, as func(kafka.Message) kafka.Message, end kgo.TransactionEndTry) {
	t.Helper()
	var records []*kgo.Record
	for _, ev := range batch {
		for topic, framing := range map[string]codec.Framing{w.plain: codec.SingleObject(), w.framed: codec.Confluent(registryID)} {
			messages, _, err := encoder(t, framing, "json").Encode(ev, at)
			if err != nil {
				t.Fatalf("%s: %v", ev.Raw, err)
			}
			records = append(records, record(topic, as(messages[0])))
			if topic == w.plain {
				records = append(records, record(w.json, messages[1]))
			}
		}
	}
	if err := w.writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := w.writer.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := w.writer.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// encoder is the connector's, with the copies of these names.
func encoder(t *testing.T, framing codec.Framing, names ...string) *codec.Encoder {
	t.Helper()
	var copies []codec.Copy
	for _, name := range names {
		c, ok := codec.CopyNamed(name)
		if !ok {
			t.Fatalf("there is no copy %s", name)
		}
		copies = append(copies, c)
	}
	encoder, err := codec.NewEncoder(codec.Config{
		Organization: organization, Schema: schemas.Latest(), Framing: framing, SourceTopic: "events", Copies: copies,
	})
	if err != nil {
		t.Fatal(err)
	}
	return encoder
}

func record(topic string, m kafka.Message) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: m.Key, Value: m.Value, Headers: m.HeaderList()}
}

// newRegistry is a schema registry with the newest schema and that of the next release,
// as Confluent's clients ask for them, and as Apicurio's do.
func newRegistry(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	for id, version := range map[int]schemas.Version{registryID: schemas.Latest(), registryID + 1: kafkatest.NextSchema()} {
		mux.HandleFunc(fmt.Sprintf("GET /schemas/ids/%d", id), func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]string{"schema": version.Text})
		})
		mux.HandleFunc(fmt.Sprintf("GET /apis/registry/v2/ids/contentIds/%d", id), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(version.Text))
		})
	}
	mux.HandleFunc("GET /apis/registry/v2/ids/contentIds/{id}/references", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("[]"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// allEvents returns a thousand events: seven of each known type, and odd ones. Their ids
// begin with the prefix.
func allEvents(prefix string) []auditlog.Event {
	const perType = 7
	var events []auditlog.Event
	for seed := range uint64(perType) {
		for _, kind := range simulator.Types() {
			id := fmt.Sprintf("%s-%d-%s", prefix, seed, kind.Name)
			at := auditlog.Second(1_780_000_000 + len(events))
			events = append(events, event(id, kind.Name, at, simulator.Example(kind.Name, id, at, seed)))
		}
	}
	for n, odd := range oddEvents {
		id := fmt.Sprintf("%s-odd-%d", prefix, n)
		at := auditlog.Second(1_780_100_000 + n)
		raw := strings.NewReplacer("ID", id, "TIME", fmt.Sprint(int64(at))).Replace(odd.raw)
		events = append(events, event(id, odd.kind, at, []byte(raw)))
	}
	return events
}

func event(id, kind string, at auditlog.Second, raw []byte) auditlog.Event {
	return auditlog.Event{ID: id, Type: kind, Scope: auditlog.ScopeOrganization, EffectiveAt: at, Timed: true, Raw: raw}
}

// oddEvents are such as OpenAI could send, and a reader could stumble over.
var oddEvents = []struct{ kind, raw string }{
	{"", `{"id":"ID","type":"","effective_at":TIME}`},
	{"of a type/not known", `{"id":"ID","type":"of a type/not known","effective_at":TIME,"details":{"id":"x","email":"eve@example.com"}}`},
	// Half of a surrogate pair is no character. A column has U+FFFD for it.
	{"project.created", `{"id":"ID","type":"project.created","effective_at":TIME,"project":{"id":"p","name":"half \ud800 and \udc00"},"project.created":{"id":"\ud83d"}}`},
	{"project.created", `{"id":"ID","type":"project.created","effective_at":TIME,"project":{"id":"p","name":"a\u0000b"},"project.created":{"id":"p","x":"a\u0000b"}}`},
	// Numbers that are no double, or lose digits as one.
	{"login.succeeded", `{"id":"ID","type":"login.succeeded","effective_at":TIME,"actor":{"type":"session","session":{"ip_address_details":{"asn":1e400,"latitude":"1e400","longitude":"-6.5"}}},"n":1e400,"m":123456789012345678901234567890}`},
	{"organization.updated", `{"id":"ID","type":"organization.updated","effective_at":TIME,"organization.updated":{"id":"org-1","changes_requested":{"title":"T","settings":{"a":{"b":9007199254740993},"c":[]}}}}`},
	// Lines inside an event.
	{"user.added", "{\n\t\"id\": \"ID\",\r\n\t\"type\": \"user.added\",\n\t\"effective_at\": TIME,\n\t\"user.added\": {\n\t\t\"id\": \"u\",\n\t\t\"data\": {\"role\": \"owner\"}\n\t}\n}\n"},
	{"user.added", `{"id":"ID","type":"user.added","effective_at":TIME,"project":{"id":"p","name":"line\nquote\" back\\ slash\/ \u2028 😀 ﷽ \u202e tab\t"}}`},
	{"login.failed", `{"id":"ID","type":"login.failed","effective_at":TIME,"actor":"nobody","project":7,"login.failed":["no","object"]}`},
	{"login.failed", `{"id":"ID","type":"login.failed","effective_at":TIME,"actor":{"type":"session","session":{"user":{"id":"","email":null},"ip_address":"2001:db8::1"}},"login.failed":{"error_code":"c","error_message":"m"}}`},
	{"api_key.created", `{"id":"ID","type":"api_key.created","effective_at":TIME,"api_key.created":{"id":"k","data":{"scopes":["a",7,"","b"]},"long":"` + strings.Repeat("0123456789", 10_000) + `"}}`},
	{"role.assignment.created", `{"id":"ID","type":"role.assignment.created","effective_at":TIME,"role.assignment.created":{"id":"role_assignment_role-api-organization-owner__api.organization__org-1_user-1","principal_id":"user-1","principal_type":"user","resource_id":"org-1","resource_type":"api.organization"}}`},
	{"logout.succeeded", `{"id":"ID","type":"logout.succeeded","effective_at":TIME}`},
}

// patience bounds each wait for a program that does not work.
const patience = 10 * time.Minute

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
