package connector_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// An hour with an API that is away, and one with brokers that are: the log tells it at
// once and then seldom, and each commit that wrote something has its line. Nothing in
// it is personal, and the setting it names is the organization's own.
func TestLogOfBadHours(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		l := &logged{}
		w.cfg.Logger = telemetry.NewLogger(slog.LevelInfo, "json", l, false)
		w.cfg.Organizations[0].KeySetting = "ORGANIZATIONS_1_ADMIN_KEY"
		w.proxy = w.cluster.Proxy()
		i := w.start()
		i.awaitReady()
		const commits = 5
		for range commits {
			w.api.Step(3, 0, 0)
			time.Sleep(time.Minute)
		}
		if lines := l.lines(`"msg":"committed"`); len(lines) != commits {
			t.Errorf("%d lines for %d commits that wrote something: %v", len(lines), commits, lines)
		}
		for name, hour := range map[string]struct{ begin, end func() }{
			"an API that fails":     {func() { w.api.SetFaults(map[simulator.Fault]float64{simulator.ServerError: 1}) }, func() { w.api.SetFaults(nil) }},
			"an API that hangs":     {func() { w.api.SetFaults(map[simulator.Fault]float64{simulator.Hang: 1}) }, func() { w.api.SetFaults(nil) }},
			"a key that is no key":  {func() { w.api.SetKeys("another") }, func() { w.api.SetKeys(simulator.Key) }},
			"brokers that are away": {func() { w.proxy.Dark(time.Hour); w.api.Step(3, 0, 0) }, func() {}},
		} {
			before := len(l.lines(""))
			hour.begin()
			time.Sleep(time.Hour)
			hour.end()
			count := map[string]int{}
			for _, line := range l.lines("")[before:] {
				var is struct{ Msg string }
				w.must(json.Unmarshal([]byte(line), &is))
				count[is.Msg]++
			}
			all := 0
			for message, n := range count {
				if all += n; n > 30 {
					t.Errorf("%s: %q was logged %d times in an hour", name, message, n)
				}
			}
			t.Logf("%s: %d lines: %v", name, all, count)
			time.Sleep(5 * time.Minute)
		}
		eventually(t, time.Hour, "ready again", i.ready)
		w.must(i.stop())
		text := strings.Join(l.lines(""), "")
		for _, never := range []string{simulator.Key, "@example.com", "203.0.113."} {
			if strings.Contains(text, never) {
				t.Errorf("the log holds %s", never)
			}
		}
		if !strings.Contains(text, "into the file of ORGANIZATIONS_1_ADMIN_KEY_FILE, which is read again") || strings.Contains(text, "OPENAI_ADMIN_KEY") {
			t.Errorf("the log names another setting than the organization's own")
		}
	})
}
