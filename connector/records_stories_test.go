package connector_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The stories of events that no schema foresaw: each is in the topic once, byte for
// byte, as a record or as a dead letter, and nothing stops.

// odd is an event as a hostile API sends it, and what must become of it. In raw,
// AT stands for the time of the test in seconds.
type odd struct {
	raw    string
	key    string // empty: none
	kind   string // ce_type without its prefix; of a record
	reason string // header error; of a dead letter
	timed  bool   // a dead letter that tells effective_at
}

var oddities = map[string]odd{
	// Records.
	"a plain login": {
		raw: `{"id":"plain","type":"login.succeeded","effective_at":AT,"actor":{"type":"session","session":{"user":{"id":"user-1","email":"a@example.com"}}}}`,
		key: "plain", kind: "login.succeeded",
	},
	"blanks between everything": {
		raw: "{ \"id\" : \"blanks\" ,\n\t\"type\" : \"login.succeeded\" , \"effective_at\" : AT }",
		key: "blanks", kind: "login.succeeded",
	},
	"an unknown type, with an object of its own": {
		raw: `{"id":"unknown","type":"zzz.new","effective_at":AT,"zzz.new":{"id":"thing-1","x":[1,2]}}`,
		key: "unknown", kind: "zzz.new",
	},
	"no type at all": {
		raw: `{"id":"untyped","effective_at":AT}`, key: "untyped", kind: "",
	},
	"a type that is an address": {
		raw: `{"id":"personal","type":"a@example.com","effective_at":AT}`, key: "personal", kind: "unknown",
	},
	"a type that is a number": {
		raw: `{"id":"numbered","type":7,"effective_at":AT}`, key: "numbered", kind: "",
	},
	"no actor, and null for all": {
		raw: `{"id":"nulls","type":"login.failed","effective_at":AT,"actor":null,"project":null,"login.failed":null}`,
		key: "nulls", kind: "login.failed",
	},
	"columns of other types": {
		raw: `{"id":"crossed","type":"login.succeeded","effective_at":AT,"actor":[],"project":7,"login.succeeded":"x"}`,
		key: "crossed", kind: "login.succeeded",
	},
	"numbers above 2^53": {
		raw: `{"id":"big","type":"rate_limit.updated","effective_at":AT,"rate_limit.updated":{"id":"r","changes_requested":{"max":9007199254740993,"x":1e999,"y":-0.10}}}`,
		key: "big", kind: "rate_limit.updated",
	},
	"duplicate keys, of which the last counts": {
		raw: `{"id":"first","type":"x.y","effective_at":1,"id":"last","type":"login.succeeded","effective_at":AT,"a":1,"a":2}`,
		key: "last", kind: "login.succeeded",
	},
	"escapes, and characters beyond the first plane": {
		raw: `{"id":"caf\u00e9-\ud83d\ude00","type":"login.succeeded","effective_at":AT,"x":"\u0000😀\/"}`,
		key: "café-😀", kind: "login.succeeded",
	},
	"nesting as deep as encoding/json reads": {
		raw: `{"id":"deep","type":"login.succeeded","effective_at":AT,"login.succeeded":{"x":` +
			strings.Repeat(`{"y":[`, 4_900) + strings.Repeat(`]}`, 4_900) + `}}`,
		key: "deep", kind: "login.succeeded",
	},
	"nearly as large as the topic takes": {
		raw: `{"id":"large","type":"login.succeeded","effective_at":AT,"x":"` + strings.Repeat("x", 900_000) + `"}`,
		key: "large", kind: "login.succeeded",
	},

	// Dead letters.
	"no id":             {raw: `{"type":"login.succeeded","effective_at":AT,"n":1}`, reason: "missing_id", timed: true},
	"an empty id":       {raw: `{"id":"","type":"login.succeeded","effective_at":AT}`, reason: "missing_id", timed: true},
	"an id of null":     {raw: `{"id":null,"type":"login.succeeded","effective_at":AT}`, reason: "missing_id", timed: true},
	"an id of digits":   {raw: `{"id":17,"type":"login.succeeded","effective_at":AT}`, reason: "missing_id", timed: true},
	"no effective_at":   {raw: `{"id":"timeless","type":"login.succeeded"}`, key: "timeless", reason: "invalid_effective_at"},
	"a time as text":    {raw: `{"id":"text","effective_at":"AT"}`, key: "text", reason: "invalid_effective_at"},
	"a time as a float": {raw: `{"id":"float","effective_at":AT.0}`, key: "float", reason: "invalid_effective_at"},
	"a time in ms":      {raw: `{"id":"ms","effective_at":AT000}`, key: "ms", reason: "invalid_effective_at"},
	"a time of null":    {raw: `{"id":"null","effective_at":null}`, key: "null", reason: "invalid_effective_at"},
	"bytes that are no UTF-8": {
		raw: "{\"id\":\"latin\",\"type\":\"login.succeeded\",\"effective_at\":AT,\"x\":\"caf\xe9\"}",
		key: "latin", reason: "invalid_utf8", timed: true,
	},
	"text":    {raw: `"just text"`, reason: "not_an_object"},
	"a list":  {raw: `[{"id":"inner","effective_at":AT}]`, reason: "not_an_object"},
	"null":    {raw: `null`, reason: "not_an_object"},
	"a digit": {raw: `7`, reason: "not_an_object"},
	"larger than any topic takes": {
		raw: `{"id":"huge","type":"login.succeeded","effective_at":AT,"x":"` + strings.Repeat("x", 1_500_000) + `"}`,
		key: "huge", reason: "too_large", timed: true,
	},
}

func TestPoisonRecord(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newCopiedWorld(t, c)
		at := time.Now().Add(-10 * time.Second).Truncate(time.Second)
		for _, name := range slices.Sorted(maps.Keys(oddities)) {
			w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(at), oddities[name].bytes(at))
		}
		began := time.Now().Truncate(time.Millisecond)
		i := w.start()
		r := w.awaitEqual(20 * time.Second)
		if r.API != len(oddities) {
			t.Errorf("compared %d events, want %d", r.API, len(oddities))
		}
		if n := i.commitsOK(); n != 2 {
			t.Errorf("%d transactions, want 2: the opening one, and one with all events", n)
		}
		ended := time.Now()
		events := byValue(t, w.kafka().read(w.cfg.Kafka.Topic), func(r *kgo.Record) []byte {
			event, err := kafkatest.Decode(r.Value)
			w.must(err)
			return event.Raw
		})
		letters := byValue(t, w.kafka().read(w.cfg.Kafka.DLQTopic), func(r *kgo.Record) []byte { return r.Value })
		plain := byValue(t, w.kafka().read(w.cfg.Kafka.JSONTopic), func(r *kgo.Record) []byte { return r.Value })
		ocsf := byValue(t, w.kafka().read(w.cfg.Kafka.OCSFTopic), rawOfOCSF)
		for name, o := range oddities {
			raw := string(o.bytes(at))
			if o.reason != "" {
				if len(o.raw) > 1<<20 {
					continue // TestTooLargeForEveryTopic
				}
				o.checkLetter(t, name, letters[raw], w, at)
				if events[raw] != nil || plain[raw] != nil || ocsf[raw] != nil {
					t.Errorf("%s: a dead letter, and a record as well", name)
				}
				continue
			}
			o.checkRecord(t, name, events[raw], at, true)
			o.checkRecord(t, name+", as JSON", plain[raw], at, false)
			if ocsf[raw] == nil && len(raw) < 100_000 { // a large one has no room for its raw text
				t.Errorf("%s: no OCSF event holds it", name)
			}
			for _, r := range []*kgo.Record{events[raw], plain[raw]} {
				if r != nil && (r.Timestamp.Before(began) || r.Timestamp.After(ended)) {
					t.Errorf("%s: record time %v, written between %v and %v", name, r.Timestamp, began, ended)
				}
			}
		}
		w.must(i.stop())

		// All are known again, those without an id and without a time too.
		i = w.start()
		i.awaitReady()
		w.addEvent(simulator.Event{EffectiveAt: auditlog.SecondOf(at)})
		w.awaitEqual(20 * time.Second)
		w.must(i.stop())
	})
}

// newCopiedWorld is a quick world with both copies and a header of the user's.
func newCopiedWorld(t *testing.T, c *kafkatest.Cluster) *world {
	w := newQuickWorld(t, c, simulator.Config{})
	w.cfg.Kafka.JSONTopic, w.cfg.Kafka.OCSFTopic = c.Name("json"), c.Name("ocsf")
	w.cfg.Kafka.Headers = []connector.Header{{Name: "sourcetype", Value: "openai:audit"}, {Name: "team", Value: "seco"}}
	return w
}

func (o odd) bytes(at time.Time) []byte {
	return []byte(strings.ReplaceAll(o.raw, "AT", strconv.FormatInt(at.Unix(), 10)))
}

// checkRecord compares key and headers with contract §5. The copy in JSON has the
// same, but for what speaks of Avro.
func (o odd) checkRecord(t *testing.T, name string, r *kgo.Record, at time.Time, avro bool) {
	t.Helper()
	if r == nil {
		t.Errorf("%s: no record holds it", name)
		return
	}
	if string(r.Key) != o.key {
		t.Errorf("%s: key %q, want %q", name, r.Key, o.key)
	}
	want := []string{
		"ce_specversion=1.0", "ce_id=" + o.key, "ce_type=com.openai.audit." + o.kind,
		"ce_source=/openai/organizations/default", "ce_time=" + at.UTC().Format("2006-01-02T15:04:05Z"),
	}
	if subject := map[string]string{"unknown": "thing-1", "big": "r"}[o.key]; subject != "" {
		want = append(want, "ce_subject="+subject)
	}
	if avro {
		fingerprint := make([]byte, 0, 8)
		for n := 9; n > 1; n-- { // little endian, behind the marker
			fingerprint = append(fingerprint, r.Value[n])
		}
		want = append(want, "ce_dataschema=urn:avro:crc64:"+hex.EncodeToString(fingerprint), "content-type=application/avro", "audit_seq")
	} else {
		want = append(want, "content-type=application/json")
	}
	want = append(want, "sourcetype=openai:audit", "team=seco")
	if diff := cmp.Diff(want, withoutNumber(headersOf(r))); diff != "" {
		t.Errorf("%s: headers (-want +got):\n%s", name, diff)
	}
}

// withoutNumber leaves the name of the header of the seal; the oracle looks at the numbers.
func withoutNumber(headers []string) []string {
	for i, h := range headers {
		if strings.HasPrefix(h, "audit_seq=") {
			headers[i] = "audit_seq"
		}
	}
	return headers
}

// checkLetter compares a dead letter with contract §7.
func (o odd) checkLetter(t *testing.T, name string, r *kgo.Record, w *world, at time.Time) {
	t.Helper()
	if r == nil {
		t.Errorf("%s: no dead letter holds it", name)
		return
	}
	if string(r.Key) != o.key || (r.Key == nil) != (o.key == "") {
		t.Errorf("%s: key %q, want %q", name, r.Key, o.key)
	}
	want := []string{"error=" + o.reason, "source_topic=" + w.cfg.Kafka.Topic, "ce_source=/openai/organizations/default"}
	if o.timed {
		want = append(want, "effective_at="+at.UTC().Format("2006-01-02T15:04:05Z"))
	}
	want = append(want, "audit_seq", "sourcetype=openai:audit", "team=seco")
	got := withoutNumber(headersOf(r))
	if len(got) > 1 && strings.HasPrefix(got[1], "error_detail=") {
		if detail := got[1]; strings.Contains(detail, "login") || strings.Contains(detail, "caf") {
			t.Errorf("%s: the detail quotes the event: %s", name, detail)
		}
		got = slices.Delete(got, 1, 2)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: headers but error_detail (-want +got):\n%s", name, diff)
	}
}

// An event that fits into no topic is cut, with what tells its loss. Where the
// topic takes it, it is a record like any other.
func TestTooLargeForEveryTopic(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		at := time.Now().Add(-10 * time.Second).Truncate(time.Second)
		raw := oddities["larger than any topic takes"].bytes(at)

		w := newQuickWorld(t, c, simulator.Config{})
		w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(at), raw)
		i := w.start()
		w.awaitEqual(20 * time.Second)
		w.must(i.stop())
		letter := w.kafka().read(w.cfg.Kafka.DLQTopic)[0]
		sum := sha256.Sum256(raw)
		got := headersOf(letter)
		for _, want := range []string{
			"error=too_large", "truncated=true", "original_bytes=" + strconv.Itoa(len(raw)), "sha256=" + hex.EncodeToString(sum[:]),
		} {
			if !slices.Contains(got, want) {
				t.Errorf("no header %s in %v", want, got)
			}
		}
		if !bytes.HasPrefix(raw, letter.Value) || len(letter.Value) < 1_000_000 {
			t.Errorf("the letter has %d bytes, and they are not the event's first", len(letter.Value))
		}

		w = newQuickWorld(t, c, simulator.Config{})
		c.CreateTopic(w.cfg.Kafka.Topic, 1, map[string]string{"max.message.bytes": "4000000"})
		w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(at), raw)
		i = w.start()
		if r := w.awaitEqual(20 * time.Second); r.DeadLettered != 0 {
			t.Errorf("the topic takes it, and it is a dead letter: %v", r)
		}
		w.must(i.stop())
	})
}

// With KAFKA_TIMESTAMP=event a record has its event's time, in every topic; one that
// is further ahead than the topic takes is written as now. What clients time out
// by does not count from it.
func TestOldTimestampTimeout(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newCopiedWorld(t, c)
		w.cfg.Kafka.Timestamp = connector.TimestampEvent
		now := time.Now().Truncate(time.Second)
		w.backfill(now.Add(-3 * 365 * 24 * time.Hour))
		times := map[string]time.Time{
			"old":    now.Add(-2 * 365 * 24 * time.Hour),
			"recent": now.Add(-time.Minute),
			"ahead":  now.Add(30 * time.Minute),
			"future": now.Add(5 * time.Hour),
		}
		for id, at := range times {
			w.api.Add(simulator.Event{ID: id, EffectiveAt: auditlog.SecondOf(at)})
		}
		i := w.start()
		w.awaitEqual(20 * time.Second)
		w.must(i.stop())
		ended := time.Now()
		for _, topic := range []string{w.cfg.Kafka.Topic, w.cfg.Kafka.JSONTopic, w.cfg.Kafka.OCSFTopic} {
			records := w.kafka().read(topic)
			if len(records) != len(times) {
				t.Errorf("%s has %d records, want %d", topic, len(records), len(times))
			}
			for _, r := range records {
				want := times[string(r.Key)]
				switch {
				case string(r.Key) != "future":
					if !r.Timestamp.Equal(want) {
						t.Errorf("%s, %s: time %v, want %v", topic, r.Key, r.Timestamp, want)
					}
				case r.Timestamp.Before(now) || r.Timestamp.After(ended):
					t.Errorf("%s: an event of %v was written as of %v, want now", topic, want, r.Timestamp)
				}
				if at := headerOf(r, "ce_time"); at != want.UTC().Format(time.RFC3339) {
					t.Errorf("%s, %s: ce_time %s, want %v", topic, r.Key, at, want)
				}
			}
		}
	})
}

// The OCSF copy of a login, value by value.
func TestOCSFCopyOfALogin(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newCopiedWorld(t, c)
		at := time.Now().Add(-10 * time.Second).Truncate(time.Second)
		w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(at), oddities["a plain login"].bytes(at))
		i := w.start()
		w.awaitEqual(20 * time.Second)
		w.must(i.stop())
		records := w.kafka().read(w.cfg.Kafka.OCSFTopic)
		if len(records) != 1 {
			t.Fatalf("%d records", len(records))
		}
		var got struct {
			ClassUID   int   `json:"class_uid"`
			ActivityID int   `json:"activity_id"`
			TypeUID    int   `json:"type_uid"`
			StatusID   int   `json:"status_id"`
			Time       int64 `json:"time"`
			Metadata   struct {
				Version string `json:"version"`
				UID     string `json:"uid"`
			} `json:"metadata"`
			User struct {
				UID   string `json:"uid"`
				Email string `json:"email_addr"`
			} `json:"user"`
		}
		w.must(json.Unmarshal(records[0].Value, &got))
		want := got
		want.ClassUID, want.ActivityID, want.TypeUID, want.StatusID = 3002, 1, 300201, 1
		want.Time = at.UnixMilli()
		want.Metadata.Version, want.Metadata.UID = "1.8.0", "plain"
		want.User.UID, want.User.Email = "user-1", "a@example.com"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if key, kind := string(records[0].Key), headerOf(records[0], "content-type"); key != "plain" || kind != "application/json" {
			t.Errorf("key %q, content-type %q", key, kind)
		}
	})
}

// Deep, odd and unknown events are found in history too, where windows are read in
// parallel, and an event without a time is written once though it lies in no window.
func TestUnknownShape(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		at := time.Now().Add(-20 * 24 * time.Hour).Truncate(time.Second)
		w.backfill(at.Add(-time.Hour))
		for n, name := range slices.Sorted(maps.Keys(oddities)) {
			when := at.Add(time.Duration(n) * time.Hour)
			w.api.AddRaw(auditlog.ScopeOrganization, auditlog.SecondOf(when), oddities[name].bytes(when))
		}
		i := w.start()
		r := w.awaitEqual(30 * time.Second)
		letters := 0
		for _, o := range oddities {
			if o.reason != "" {
				letters++
			}
		}
		if r.API != len(oddities) || r.DeadLettered != letters {
			t.Errorf("want %d events, %d dead letters among them: %v, %d dead letters", len(oddities), letters, r, r.DeadLettered)
		}
		w.must(i.stop())
		i.mu.Lock()
		defer i.mu.Unlock()
		// zzz.new, and those without a type that is text, an address among them.
		if i.unknown != 4 {
			t.Errorf("%d unknown types counted, want 4", i.unknown)
		}
	})
}

func (w inKafka) read(topic string) []*kgo.Record {
	w.t.Helper()
	return w.cluster.Read(w.t, topic, kgo.ReadCommitted())
}

// byValue finds records by what they hold of their event.
func byValue(t *testing.T, records []*kgo.Record, of func(*kgo.Record) []byte) map[string]*kgo.Record {
	t.Helper()
	out := map[string]*kgo.Record{}
	for _, r := range records {
		raw := string(of(r))
		if out[raw] != nil && raw != "" {
			t.Errorf("%s holds an event twice: %.80s", r.Topic, raw)
		}
		out[raw] = r
	}
	return out
}

func rawOfOCSF(r *kgo.Record) []byte {
	var event struct {
		Raw string `json:"raw_data"`
	}
	if json.Unmarshal(r.Value, &event) != nil {
		return nil
	}
	return []byte(event.Raw)
}

func headersOf(r *kgo.Record) []string {
	out := make([]string, len(r.Headers))
	for n, h := range r.Headers {
		out[n] = fmt.Sprintf("%s=%s", h.Key, h.Value)
	}
	return out
}

func headerOf(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// A start asks for the newest events, to learn the time and whose log it is. That
// none of them has an id to go on from must not stop it.
func TestNewestEventsWithoutIDDoNotStopAStart(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newQuickWorld(t, c, simulator.Config{})
		now := auditlog.SecondOf(time.Now())
		for n := range 20 {
			for _, scope := range auditlog.Scopes() {
				w.api.AddRaw(scope, now-auditlog.Second(n), fmt.Appendf(nil, `{"n":"%s %d","effective_at":%d}`, scope, n, now))
			}
		}
		w.burst(200, 100)
		i := w.start()
		i.awaitReady()
		if r := w.awaitEqual(20 * time.Second); r.DeadLettered != 40 {
			t.Errorf("%v, %d dead letters, want 40", r, r.DeadLettered)
		}
		w.must(i.stop())
	})
}
