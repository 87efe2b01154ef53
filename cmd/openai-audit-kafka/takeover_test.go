package main

import (
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

// TestTakeoverAfterKill: with KAFKA_GROUP_ID set, a standby takes over from an
// instance that was killed, on real Kafka, and nothing is lost or doubled.
func TestTakeoverAfterKill(t *testing.T) {
	c := kafkatest.Real(t)
	api := simulator.New(simulator.Config{Seed: 9})
	now := time.Now()
	api.Generate(3000, auditlog.SecondOf(now.Add(-30*24*time.Hour)), auditlog.SecondOf(now.Add(-time.Minute)))
	server := httptest.NewServer(api)
	defer server.Close()
	topics := []string{c.Name("events"), c.Name("dlq")}
	instance := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], asProgram)
		cmd.Env = []string{
			"OPENAI_ADMIN_KEY=" + simulator.Key,
			"OPENAI_BASE_URL=" + server.URL + "/v1",
			"BACKFILL_START_TIME=60d", "POLL_INTERVAL=1s",
			"KAFKA_BROKERS=" + strings.Join(c.Brokers(), ","), "KAFKA_GROUP_ID=audit",
			"KAFKA_TOPIC=" + topics[0], "KAFKA_DLQ_TOPIC=" + topics[1], "KAFKA_OFFSETS_TOPIC=offsets",
			"HTTP_ADDR=off",
		}
		cmd.Stderr = &logged{t: t}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	first := instance()
	if r := await(t, c, api, topics); !r.OK() {
		t.Fatal(r)
	}
	instance()
	time.Sleep(4 * time.Second) // until the second has joined
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	api.Step(50, 0, 0)
	r := await(t, c, api, topics)
	t.Logf("%v; the standby had it %v after the kill", r, time.Since(killed).Round(time.Millisecond))
	if !r.OK() {
		t.Error(r)
	}
}
