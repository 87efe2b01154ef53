package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/telemetry"
)

// told is a line of the log.
type told struct {
	Message      string `json:"msg"`
	Organization string
	Error        string
	LeftOut      int `json:"left_out"`
	Time         time.Time
}

// logOf returns what a log at info has of what is logged at given times.
func logOf(t *testing.T, do func(log func(at time.Duration, level slog.Level, message string, attrs ...any))) (lines []told) {
	t.Helper()
	var b bytes.Buffer
	logger := telemetry.NewLogger(slog.LevelInfo, "json", &b, false)
	began := time.Unix(1_800_000_000, 0)
	do(func(at time.Duration, level slog.Level, message string, attrs ...any) {
		organization := logger
		if len(attrs) > 1 && attrs[0] == "of" {
			organization, attrs = logger.With("organization", attrs[1]), attrs[2:]
		}
		r := slog.NewRecord(began.Add(at), level, message, 0)
		r.Add(attrs...)
		if err := organization.Handler().Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	})
	for d := json.NewDecoder(&b); ; {
		var line told
		if d.Decode(&line) != nil {
			return lines
		}
		lines = append(lines, line)
	}
}

// A broker that is away for an hour, twice a second: the first line comes at once, the
// next at growing distances up to ten minutes, each with how many were left out. After
// a quiet time it is new again.
func TestRetriesAreToldAtGrowingDistances(t *testing.T) {
	lines := logOf(t, func(log func(time.Duration, slog.Level, string, ...any)) {
		for i := range 2 * 60 * 60 {
			log(time.Duration(i)*500*time.Millisecond, slog.LevelWarn, "unable to open connection to broker",
				"err", fmt.Errorf("dial tcp 127.0.0.1:%d: connection refused", 20000+i))
		}
		log(time.Hour+11*time.Minute, slog.LevelWarn, "unable to open connection to broker", "err", errors.New("dial tcp 127.0.0.1:9: connection refused"))
	})
	var at, left []int
	for _, line := range lines {
		at = append(at, int(line.Time.Unix()-1_800_000_000))
		left = append(left, line.LeftOut)
	}
	if want := []int{0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3660 + 600}; !slices.Equal(at, want) {
		t.Errorf("told after %v s, want %v", at, want)
	}
	if want := []int{0, 19, 39, 79, 159, 319, 639, 1199, 1199, 1199, 1199, 0}; !slices.Equal(left, want) {
		t.Errorf("left out were %v, want %v", left, want)
	}
}

// Another cause, another organization, and what is no failure are told at once.
func TestWhatIsNewIsTold(t *testing.T) {
	const away, refused = "listing audit logs: HTTP 503 [req_81]: it is tried again", "listing audit logs: HTTP 401 [req_82]: the key is wrong"
	lines := logOf(t, func(log func(time.Duration, slog.Level, string, ...any)) {
		for i := range 20 {
			at := time.Duration(i) * 100 * time.Millisecond
			log(at, slog.LevelWarn, "failed", "of", "acme", "error", away)
			log(at, slog.LevelWarn, "failed", "of", "acme", "error", refused)
			log(at, slog.LevelWarn, "failed", "of", "globex", "error", away)
			log(at, slog.LevelInfo, "asking again", "of", "acme", "backoff", at)
			log(at, slog.LevelInfo, "committed", "of", "acme", "events", i)
		}
	})
	count := map[string]int{}
	for _, line := range lines {
		count[line.Message+" "+line.Organization+" "+line.Error]++
	}
	want := map[string]int{"failed acme " + away: 1, "failed acme " + refused: 1, "failed globex " + away: 1, "asking again acme ": 1, "committed acme ": 20}
	if fmt.Sprint(count) != fmt.Sprint(want) {
		t.Errorf("told were %v, want %v", count, want)
	}
}
