package openai

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// A page of any events, with its fields in any order, any space between and any text
// escaped or not, is read as what it was made of; one byte less, and it is no page.
func TestAnyPageIsReadAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "events")
		events, raws := make([]auditlog.Event, n), make([]string, n)
		for i := range events {
			events[i], raws[i] = drawEvent(t)
		}
		more, last := rapid.Bool().Draw(t, "has_more"), rapid.String().Draw(t, "last_id")
		body := drawObject(t, []string{
			`"object":"list"`, `"data":[` + strings.Join(raws, ",") + `]`, fmt.Sprintf(`"has_more":%v`, more),
			`"last_id":` + drawText(t, last), `"first_id":` + drawValue(t, 2), `"x":` + drawValue(t, 2),
		})
		l, err := parseBoth(t, []byte(body), auditlog.ScopeTenant)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if l.hasMore != more || l.lastID != last || len(l.events) != n {
			t.Fatalf("%s: has_more %v, last_id %q, %d events", body, l.hasMore, l.lastID, len(l.events))
		}
		named, unnamed := "", 0
		for i, got := range l.events {
			want := events[i]
			if got.ID != want.ID || got.Type != want.Type || got.Timed != want.Timed || got.EffectiveAt != want.EffectiveAt ||
				got.Scope != auditlog.ScopeTenant || string(got.Raw) != raws[i] {
				t.Fatalf("%s is read as %+v", raws[i], got)
			}
			if unnamed++; want.ID != "" {
				named, unnamed = want.ID, 0
			}
		}
		if l.named != named || l.unnamed != unnamed {
			t.Fatalf("%s: the last with an id is %q, and %d come behind it", body, l.named, l.unnamed)
		}
		cut := rapid.IntRange(0, len(body)-1).Draw(t, "cut")
		if _, err := parseBoth(t, []byte(body[:cut]), auditlog.ScopeTenant); err == nil {
			t.Fatalf("%s is a page", body[:cut])
		}
	})
}

// drawEvent returns an event and its JSON. Each of the fields that matter may be
// missing, or be of another kind.
func drawEvent(t *rapid.T) (e auditlog.Event, raw string) {
	fields := []string{`"details":` + drawValue(t, 3)}
	text := func(key string) (value string) {
		switch rapid.IntRange(0, 5).Draw(t, key) {
		case 0: // missing
		case 1:
			fields = append(fields, fmt.Sprintf(`%q:%s`, key, rapid.SampledFrom([]string{"null", "7", "[]", `{"id":"no"}`}).Draw(t, key)))
		default:
			value = rapid.String().Draw(t, key)
			fields = append(fields, fmt.Sprintf(`%q:%s`, key, drawText(t, value)))
		}
		return value
	}
	e.ID, e.Type = text("id"), text("type")
	switch rapid.IntRange(0, 4).Draw(t, "effective_at") {
	case 0:
	case 1:
		fields = append(fields, `"effective_at":`+rapid.SampledFrom([]string{"1.5", "1e9", `"5"`, "null", "9223372036854775808"}).Draw(t, "no time"))
	default:
		e.Timed = true
		e.EffectiveAt = auditlog.Second(rapid.Int64Range(int64(auditlog.MinSecond), int64(auditlog.MaxSecond)).Draw(t, "time"))
		fields = append(fields, fmt.Sprintf(`"effective_at":%d`, e.EffectiveAt))
	}
	return e, drawObject(t, fields)
}

// drawObject returns the object of the fields, in some order and with some space.
func drawObject(t *rapid.T, fields []string) string {
	space := rapid.SampledFrom([]string{"", " ", "\n\t", "\r\n  "}).Draw(t, "space")
	fields = rapid.Permutation(slices.Clone(fields)).Draw(t, "order")
	return "{" + space + strings.Join(fields, space+","+space) + space + "}"
}

// drawText returns a text as JSON, perhaps with all of it escaped.
func drawText(t *rapid.T, s string) string {
	text, _ := json.Marshal(s)
	if !rapid.Bool().Draw(t, "escaped") {
		return string(text)
	}
	var b strings.Builder
	for _, r := range s {
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return `"` + b.String() + `"`
}

// drawValue returns any JSON value, with brackets and quotes in its texts.
func drawValue(t *rapid.T, depth int) string {
	kinds := 4
	if depth == 0 {
		kinds = 2
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"null", "true", "false", "0", "-1.5e+10", "[]", "{}"}).Draw(t, "scalar")
	case 1:
		return drawText(t, rapid.SampledFrom([]string{"", `}]`, `"`, `\`, `{"id":"no"}`, "é😀"}).Draw(t, "text"))
	case 2:
		return "[" + drawValue(t, depth-1) + " , " + drawValue(t, depth-1) + "]"
	default:
		return `{"id":` + drawValue(t, depth-1) + `,"data":` + drawValue(t, depth-1) + "}"
	}
}
