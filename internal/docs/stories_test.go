package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stories are the ways in which other collectors, or their parts, have lost or
// doubled events. Each has a test of its name: late-event is TestLateEvent.
var stories = []string{
	// Reading the API.
	"page-direction", "order-drift", "mid-sweep-failure", "kill-anywhere", "late-event", "same-second-straggler",
	"dedupe-memory", "insert-while-paging", "no-progress-page", "vanished-cursor", "empty-polls", "sort-key-mismatch",
	"first-page-only", "broken-body", "tenant-scope", "unknown-shape", "poison-record", "rate-limit", "silent-stall",
	"first-run", "transient-auth", "secret-in-log",
	// Committing to Kafka.
	"stale-cursor", "marker-at-end", "aborted-cursor", "zombie-writer", "unknown-commit", "transaction-edges",
	"overlapping-polls", "hanging-transaction", "damaged-cursor-topic", "silent-endless-retry", "order-in-partition",
	"partial-commit", "late-produce", "unreadable-is-not-missing", "retention-eats-backfill", "old-timestamp-timeout",
	"expired-transactional-id",
}

// testName returns the test of a story.
func testName(story string) string {
	var b strings.Builder
	b.WriteString("Test")
	for word := range strings.SplitSeq(story, "-") {
		if word == "id" {
			word = "ID"
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// A story without a test of its name is one that may happen here.
func TestEveryStoryIsTested(t *testing.T) {
	var tests []string
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			tests = append(tests, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range stories {
		name := testName(story)
		if !slices.ContainsFunc(tests, func(test string) bool { return strings.HasPrefix(test, name) }) {
			t.Errorf("there is no test for %s: %s", story, name)
		}
	}
}
