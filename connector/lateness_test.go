package connector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// An event a second is read again 13.3 times from LOOKBACK every 45 s and 28.8 times
// from DEEP_LOOKBACK every 50 minutes, a hundred on a page: 25 requests a minute. That
// is reported where the budget is 30, and not any more when the log has been quiet.
func TestWalksNeedMuchOfTheBudget(t *testing.T) {
	inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
		w.cfg.APIRequestsPerMinute, w.cfg.DeepLookback = 30, 24*time.Hour
		w.backfill(time.Now().Add(-10 * time.Minute))
		for ago := range 600 {
			w.add(time.Now().Add(-time.Duration(ago)*time.Second), 0)
		}
		i := w.start()
		i.awaitReady()
		time.Sleep(time.Minute)
		told := i.warned()
		if len(told) != 1 || !strings.Contains(told[0], "about 25 requests a minute, of the 30 that API_REQUESTS_PER_MINUTE allows") {
			t.Fatalf("told: %q", told)
		}
		time.Sleep(3 * time.Hour)
		if told = i.warned(); len(told) != 2 || !strings.HasSuffix(told[1], ":  ") {
			t.Errorf("after three quiet hours: %q", told)
		}
		i.stop()
	})
}
