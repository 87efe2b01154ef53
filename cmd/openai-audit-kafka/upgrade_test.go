package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// TestUpgrade lets an earlier version work on real Kafka and kills it in the middle of
// history, and then this one goes on from its cursor: nothing is lost or doubled.
// While the cursor has the same version, it goes back to the earlier one as well, and
// forward again.
func TestUpgrade(t *testing.T) {
	c := kafkatest.Real(t)
	old, what := earlier(t)
	t.Logf("the earlier version is %s", what)
	w := newProcesses(t, c)
	w.api.Generate(30_000, w.from, auditlog.SecondOf(time.Now().Add(-time.Hour)))

	// The proxy shows how far it is.
	before := w.startProgram(old, w.proxy.Brokers())
	w.awaitRequests(kmsg.EndTxn.Int16(), 8)
	before.signal(syscall.SIGKILL)
	before.exit(20 * time.Second)
	records := w.c.Read(t, w.topics[0], kgo.ReadCommitted())
	if len(records) == 0 || len(records) >= 30_000 {
		t.Fatalf("the earlier version wrote %d records before it was killed: that is no middle", len(records))
	}
	version := w.newestCursor().Version

	after := w.start(w.c.Brokers())
	w.api.Step(20, 0, 0)
	w.await()
	w.stop(after)
	if now := w.newestCursor().Version; now != version {
		t.Logf("the cursor's version was %d and is %d: there is no way back", version, now)
		return
	}
	back := w.startProgram(old, w.c.Brokers())
	w.api.Step(20, 0, 0)
	wentBack := await(t, w.c, w.api, w.topics[:2])
	w.stop(back)
	sealed := w.newestCursor().Seal != nil
	forward := w.start(w.c.Brokers())
	w.api.Step(20, 0, 0)
	wentForward := await(t, w.c, w.api, w.topics[:2])
	w.stop(forward)
	for _, r := range []kafkatest.Report{wentBack, wentForward} {
		if !sealed {
			// The earlier version knows no seal, and has ended it: what it writes has no
			// numbers, and those behind it begin at 0 again.
			r.Numbers = nil
		}
		if !r.OK() {
			t.Error(r)
		}
	}
	t.Logf("%d records of the earlier version at the kill, then up, back (sealed: %t) and up again", len(records), sealed)
}

// stop stops a process in order.
func (w *processes) stop(p *process) {
	w.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.exit(20 * time.Second); code != exitDone {
		w.t.Errorf("exit code %d\n%s", code, p.log.String())
	}
}

// cursor is what these tests look at in a cursor of any version.
type cursor struct {
	Version int
	Seal    json.RawMessage
}

// newestCursor returns the newest one in the offsets topic.
func (w *processes) newestCursor() cursor {
	w.t.Helper()
	var newest cursor
	for _, r := range w.c.Read(w.t, w.topics[2], kgo.ReadCommitted()) {
		if string(r.Key) != "cursor/default" {
			continue
		}
		newest = cursor{}
		if err := json.Unmarshal(r.Value, &newest); err != nil {
			w.t.Fatal(err)
		}
	}
	if newest.Version == 0 {
		w.t.Fatal("there is no cursor")
	}
	return newest
}

// earlier builds the version before this one from the history of the repository: the
// newest tag below, or, while there is none, the oldest commit that builds.
func earlier(t *testing.T) (program, what string) {
	t.Helper()
	if tags := git(t, "tag", "--merged", "HEAD", "--no-contains", "HEAD", "--sort=-version:refname", "v*"); tags != "" {
		tag, _, _ := strings.Cut(tags, "\n")
		program, err := buildCommit(t, tag)
		if err != nil {
			t.Fatal(err)
		}
		return program, tag
	}
	if git(t, "rev-parse", "--is-shallow-repository") != "false" {
		// Not a failure even where all must run: how deep a clone is, is not the tree's to
		// decide, and a shallow one has no earlier version to build. It is a skip and no pass,
		// and .ci/run has a row "upgrade test, NOT RUN" for it in its table.
		t.Skip("NOT RUN: this clone is shallow and has no tag, so there is no earlier version in it. " +
			"That an earlier cursor is read is held by TestGoldenCursor alone.")
	}
	const main = "cmd/openai-audit-kafka/main.go"
	for commit := range strings.SplitSeq(git(t, "log", "--reverse", "--format=%h", "--diff-filter=A", "--", main), "\n") {
		// The first ones name rooms that came later.
		commits := commit + "\n" + git(t, "log", "--reverse", "--format=%h", commit+"..HEAD")
		for next := range strings.SplitSeq(commits, "\n") {
			if program, err := buildCommit(t, next); err == nil {
				return program, "there is no tag yet, so the oldest commit that builds, " + git(t, "log", "-1", "--format=%h (%s)", next)
			}
		}
	}
	t.Fatal("no commit builds")
	return "", ""
}

// git asks the repository. A copy without one has no earlier version.
func git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	if err != nil {
		kafkatest.Missing(t, fmt.Sprintf("the history of this repository: git %s: %v: %s", strings.Join(args, " "), err, out))
	}
	return strings.TrimSpace(string(out))
}

// buildCommit builds the program as it was at the commit.
func buildCommit(t *testing.T, commit string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	archive := exec.CommandContext(t.Context(), "git", "archive", commit)
	archive.Dir = filepath.Join("..", "..")
	text, err := archive.Output()
	if err != nil {
		return "", err
	}
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(text)
	if err := unpack.Run(); err != nil {
		return "", err
	}
	program := filepath.Join(dir, "earlier")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/openai-audit-kafka")
	build.Dir = dir
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	return program, build.Run()
}
