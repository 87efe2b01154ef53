package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// TestKcatAndTail: on real Kafka, tail prints what was written, and kcat, a program
// of others, reads keys, headers and timestamps, and the copy in ECS.
func TestKcatAndTail(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		kafkatest.Missing(t, "kcat: install the package kcat")
	}
	c := kafkatest.Real(t)
	api := simulator.New(simulator.Config{})
	at := auditlog.SecondOf(time.Now().Add(-time.Hour))
	var ids []string
	for n := range 3 {
		ids = append(ids, fmt.Sprintf("audit_log-kcat%d", n))
		api.Add(simulator.Event{ID: ids[n], Type: "login.succeeded", EffectiveAt: at + auditlog.Second(n)})
	}
	server := httptest.NewServer(api)
	defer server.Close()
	began := time.Now()
	environ := []string{
		"OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=" + server.URL + "/v1", "BACKFILL_START_TIME=2h",
		"KAFKA_BROKERS=" + strings.Join(c.Brokers(), ","), "HTTP_ADDR=off",
		"KAFKA_ECS_TOPIC=openai.audit.events.ecs",
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int)
	go func() { done <- run(ctx, nil, environ, &strings.Builder{}, &strings.Builder{}) }()
	report := await(t, c, api, []string{"openai.audit.events", "openai.audit.events.dlq"})
	stop()
	if code := <-done; code != 0 || !report.OK() {
		t.Fatalf("exit code %d, %v", code, report)
	}

	out, err := exec.CommandContext(t.Context(), kcat, "-b", c.Brokers()[0], "-t", "openai.audit.events",
		"-C", "-e", "-q", "-X", "isolation.level=read_committed", "-f", "%k %T %h\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(ids) {
		t.Fatalf("kcat read %d records, want %d:\n%s", len(lines), len(ids), out)
	}
	for n, line := range lines {
		var key, headers string
		var millis int64
		if _, err := fmt.Sscan(line, &key, &millis, &headers); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		want := fmt.Sprintf("ce_specversion=1.0,ce_id=%s,ce_type=com.openai.audit.login.succeeded,"+
			"ce_source=/openai/organizations/default,ce_time=%v,", ids[n], at+auditlog.Second(n))
		if key != ids[n] || !strings.HasPrefix(headers, want) || time.UnixMilli(millis).Before(began.Add(-time.Second)) {
			t.Errorf("kcat read %q\nwant key %s, a time of writing, and headers that begin with %s", line, ids[n], want)
		}
	}

	wantNumbers(t, c.Brokers()[0])

	copies, err := exec.CommandContext(t.Context(), kcat, "-b", c.Brokers()[0], "-t", "openai.audit.events.ecs", "-C", "-e", "-q",
		"-f", "%k %s\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for n, id := range ids {
		fmt.Fprintf(&want, "%s %s login-succeeded %s\n", id, id, (at + auditlog.Second(n)).Time().UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	if got := ecsOf(t, string(copies)); got != want.String() {
		t.Errorf("the topic in ECS has\n%s\nwant\n%s", got, want.String())
	}

	code, tail, errs := runProgram(t, environ, "tail", "-n", "2")
	if code != 0 || strings.Count(tail, "\n") != 2 || !strings.Contains(tail, ids[1]) || !strings.Contains(tail, ids[2]) {
		t.Errorf("tail -n 2: exit code %d\n%s%s", code, tail, errs)
	}
}

// wantNumbers runs what docs/proof.md gives to see gaps and doubles: on the
// topic as it is, and without its second record.
func wantNumbers(t *testing.T, broker string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(string(doc), "\nkcat ")
	command, _, _ = strings.Cut(command, "```")
	command = "kcat " + strings.Replace(command, "localhost:9092", broker, 1)
	for _, test := range []struct{ command, want string }{
		{command, ""},
		{strings.Replace(command, "grep", "sed 2d | grep", 1), "not there, or twice: 1\n"},
	} {
		out, err := exec.CommandContext(t.Context(), "bash", "-c", test.command).CombinedOutput()
		if err != nil || string(out) != test.want {
			t.Errorf("%s\nprints %q, error %v, want %q", test.command, out, err, test.want)
		}
	}
}

// ecsOf returns key, id, action and time of each line with a key and an event in ECS.
func ecsOf(t *testing.T, lines string) string {
	t.Helper()
	var got strings.Builder
	for line := range strings.Lines(lines) {
		key, value, _ := strings.Cut(line, " ")
		var ecs struct {
			At    string `json:"@timestamp"`
			Event struct{ ID, Action string }
		}
		if err := json.Unmarshal([]byte(value), &ecs); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		fmt.Fprintln(&got, key, ecs.Event.ID, ecs.Event.Action, ecs.At)
	}
	return got.String()
}
