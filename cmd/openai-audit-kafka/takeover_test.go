package main

import (
	"io"
	"net"
	"net/http"
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
	instance := func(addr string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], asProgram)
		cmd.Env = []string{
			"OPENAI_ADMIN_KEY=" + simulator.Key,
			"OPENAI_BASE_URL=" + server.URL + "/v1",
			"BACKFILL_START_TIME=60d", "POLL_INTERVAL=1s",
			"KAFKA_BROKERS=" + strings.Join(c.Brokers(), ","), "KAFKA_GROUP_ID=audit",
			"KAFKA_TOPIC=" + topics[0], "KAFKA_DLQ_TOPIC=" + topics[1], "KAFKA_OFFSETS_TOPIC=offsets",
			"HTTP_ADDR=" + addr,
		}
		cmd.Stderr = &logged{t: t}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	instances := map[string]*exec.Cmd{}
	for range 2 {
		addr := freeAddr(t)
		instances[addr] = instance(addr)
	}
	if r := await(t, c, api, topics); !r.OK() {
		t.Fatal(r)
	}
	// Until both have joined, and the same one has led for two seconds: a joining
	// moves the work, in two steps.
	admin, active, looks := c.Admin(), "", 0
	for end := time.Now().Add(time.Minute); looks < 20; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no instance leads for long")
		}
		groups, err := admin.DescribeGroups(t.Context(), "audit")
		if err != nil {
			t.Fatal(err)
		}
		var leading []string
		for addr := range instances {
			if leads(addr) {
				leading = append(leading, addr)
			}
		}
		group := groups["audit"]
		if looks++; group.State != "Stable" || len(group.Members) < 2 || len(leading) != 1 || leading[0] != active {
			looks, active = 0, strings.Join(leading, " and ")
		}
	}
	if err := instances[active].Process.Kill(); err != nil {
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

// leads reports whether the instance says that it works for the organization.
func leads(addr string) bool {
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return err == nil && strings.Contains(string(text), `openai_audit_leader{organization="default"} 1`)
}

// freeAddr returns an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
