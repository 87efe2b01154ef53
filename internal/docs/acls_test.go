package docs_test

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// The commands in docs/operations.md grant what the connector needs, and each of them is
// needed: they are run as they stand, on a broker that forbids everything else.
func TestLeastRights(t *testing.T) {
	commands := between(t, "docs/operations.md", "<!-- acls -->", "<!-- /acls -->")
	c := kafkatest.Real(t, kafkatest.Secured())
	for topic, config := range map[string]map[string]string{
		"openai.audit.events":     nil,
		"openai.audit.events.dlq": nil,
		"openai.audit.offsets":    {"cleanup.policy": "compact"},
	} {
		c.CreateTopic(topic, 1, config)
	}
	jars, err := kafkatest.Jars(t.Context(), strings.TrimPrefix(c.Backend(), "kafka-"))
	if err != nil {
		t.Fatal(err)
	}
	granted := grant(t, c, jars, commands, "User:openai-audit", kafkatest.User)
	if granted != 5 {
		t.Errorf("%d rights are granted, not five", granted)
	}

	api := simulator.New(simulator.Config{Seed: 5})
	now := time.Now()
	api.Generate(500, auditlog.SecondOf(now.Add(-48*time.Hour)), auditlog.SecondOf(now.Add(-time.Minute)))
	server := httptest.NewServer(api)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t, "openai-audit-kafka"), "run")
	var log strings.Builder
	cmd.Stderr = &log
	cmd.Env = []string{
		"OPENAI_ADMIN_KEY=" + simulator.Key, "OPENAI_BASE_URL=" + server.URL + "/v1", "BACKFILL_START_TIME=3d", "POLL_INTERVAL=1s",
		"KAFKA_BROKERS=" + c.Security().SASL[0], "KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
		"KAFKA_SASL_USERNAME=" + kafkatest.User, "KAFKA_SASL_PASSWORD=" + kafkatest.Password,
		"KAFKA_CREATE_TOPICS=false", "HTTP_ADDR=off",
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("its log:\n%s", &log)
		}
	}()
	var truth []kafkatest.Want
	for ev := range api.Truth() {
		truth = append(truth, kafkatest.Want{ID: ev.ID, Scope: string(ev.Scopes[0]), EffectiveAt: int64(ev.EffectiveAt), Raw: ev.Raw})
	}
	var report kafkatest.Report
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		if report = kafkatest.Compare(truth, c.Read(t, "openai.audit.events", kgo.ReadCommitted())); report.OK() {
			t.Log(report)
			break
		}
	}
	if !report.OK() {
		t.Fatal(report)
	}
	// An auditor reads, and may do nothing else.
	c.AwaitMarkers(t, "openai.audit.events", "openai.audit.events.dlq", "openai.audit.offsets")
	sealed := func() (string, error) {
		verify := exec.CommandContext(t.Context(), cmd.Path, "verify", "--sealed", "--output", "json")
		verify.Env = []string{
			"KAFKA_BROKERS=" + c.Security().SASL[0], "KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
			"KAFKA_SASL_USERNAME=" + kafkatest.OtherUser, "KAFKA_SASL_PASSWORD=" + kafkatest.Password,
		}
		out, err := verify.CombinedOutput()
		return string(out), err
	}
	if out, err := sealed(); err == nil || !strings.Contains(out, "grant") {
		t.Errorf("without any right, the auditor's verify ended with %v, and said:\n%s", err, out)
	}
	if granted := grant(t, c, jars, between(t, "docs/proof.md", "<!-- auditor -->", "<!-- /auditor -->"), "User:auditor", kafkatest.OtherUser); granted != 1 {
		t.Errorf("%d rights are granted, not one", granted)
	}
	out, err := sealed()
	for deadline := time.Now().Add(2 * time.Minute); err != nil && time.Now().Before(deadline); out, err = sealed() {
		time.Sleep(500 * time.Millisecond) // a broker heeds a right a moment after it was granted
	}
	if err != nil || !strings.Contains(out, `"size": `+strconv.Itoa(len(truth))+",") {
		t.Errorf("the auditor's verify ended with %v, and said (%d records are sealed):\n%s", err, len(truth), out)
	}
}

// grant runs the commands for another user of the cluster's, and returns how many
// operations they name.
func grant(t *testing.T, c *kafkatest.Cluster, jars, commands, principal, user string) (granted int) {
	t.Helper()
	for line := range strings.Lines(commands) {
		args := strings.Fields(line)
		if len(args) == 0 || args[0] != "kafka-acls.sh" {
			continue
		}
		for i := range args {
			switch args[i] {
			case "kafka-1:9092":
				args[i] = c.Brokers()[0]
			case principal:
				args[i] = "User:" + user
			case "--command-config", "admin.properties":
				args[i] = ""
			}
		}
		args = strings.Fields(strings.Join(args[1:], " "))
		// What kafka-acls.sh runs.
		java := exec.CommandContext(t.Context(), "java", append([]string{"-cp", filepath.Join(jars, "*"), "org.apache.kafka.tools.AclCommand"}, args...)...)
		if out, err := java.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		granted += strings.Count(line, "--operation")
	}
	return granted
}
