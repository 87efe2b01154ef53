package schemas_test

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/avro"

	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// A consumer without a schema registry: the value begins with C3 01 and the
// fingerprint of the schema it was written with. Declare the columns you need;
// the others are skipped.
func ExampleByFingerprint() {
	value := valueFromTopic()

	if value[0] != 0xC3 || value[1] != 0x01 {
		panic("not an Avro single object")
	}
	version, ok := schemas.ByFingerprint(binary.LittleEndian.Uint64(value[2:10]))
	if !ok {
		panic("written by a newer release")
	}
	var event struct {
		Type        string    `avro:"type"`
		EffectiveAt time.Time `avro:"effective_at"`
		ActorEmail  *string   `avro:"actor_email"`
	}
	if _, err := avro.MustParse(version.Text).Decode(value[10:], &event, avro.SkipUnknown()); err != nil {
		panic(err)
	}
	fmt.Println(event.EffectiveAt.Format(time.RFC3339), event.Type, *event.ActorEmail)
	// Output: 2026-02-13T10:51:33Z login.succeeded alice@example.com
}

func valueFromTopic() []byte {
	event := minimalEvent()
	event["type"], event["actor_email"] = "login.succeeded", "alice@example.com"
	event["effective_at"] = time.Date(2026, 2, 13, 10, 51, 33, 0, time.UTC)
	value, err := avro.MustParse(schemas.Latest().Text).AppendSingleObject(nil, event)
	if err != nil {
		panic(err)
	}
	return value
}

// minimalEvent has a value for every field without a default.
func minimalEvent() map[string]any {
	return map[string]any{
		"id": "audit_log-1", "type": "t", "event_scope": "organization",
		"effective_at": time.Unix(1, 0), "ingested_at": time.Unix(2, 0),
		"organization": "default", "raw_event": "{}",
	}
}
