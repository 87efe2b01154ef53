package codec_test

import (
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// The aim is 5 µs an event: the whole program may use 25 µs (contract, costs).
func BenchmarkEncode(b *testing.B) {
	encoder := newEncoder(b, codec.Config{})
	ev := eventOf(b, readTestdata(b, "invite.deleted.json"))
	b.SetBytes(int64(len(ev.Raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := encoder.Encode(ev, time.Unix(1_800_000_000, 0)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	message := encode(b, newEncoder(b, codec.Config{}), eventOf(b, readTestdata(b, "invite.deleted.json")))
	decoder := newDecoder(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decoder.Decode(b.Context(), message.Value); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOCSF is an event with its copy as OCSF.
func BenchmarkOCSF(b *testing.B) {
	encoder := newEncoder(b, codec.Config{Copies: copyNamed(b, "ocsf")})
	ev := eventOf(b, readTestdata(b, "invite.deleted.json"))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := encoder.Encode(ev, time.Unix(1_800_000_000, 0)); err != nil {
			b.Fatal(err)
		}
	}
}
