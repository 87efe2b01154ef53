package ops_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// For one of several organizations check names its own settings.
func TestCheckNamesTheSettingsThatAreMeant(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t), simulator.Config{})
	w.ops.API.BaseURLSetting = "ORGANIZATIONS_1_BASE_URL"
	w.settings.BackfillSetting, w.settings.TenantSetting = "ORGANIZATIONS_1_BACKFILL_START_TIME", "ORGANIZATIONS_1_TENANT_EVENTS"
	w.api.AllowTenant(false)
	for _, f := range ops.Check(t.Context(), w.ops, w.settings).Checks {
		if f.Name == "tenant events" && !strings.Contains(f.Remedy, "set ORGANIZATIONS_1_TENANT_EVENTS=off") {
			t.Errorf("the remedy is %q", f.Remedy)
		}
	}
	w.api.SetFaults(map[simulator.Fault]float64{simulator.OtherHost: 1})
	for _, f := range ops.Check(t.Context(), w.ops, w.settings).Checks {
		if f.Name == "api key" && !strings.HasPrefix(f.Remedy, "set ORGANIZATIONS_1_BASE_URL=https://eu.api.openai.com/v1") {
			t.Errorf("the remedy is %q", f.Remedy)
		}
		if strings.Contains(f.Remedy+f.Cause, "OPENAI_BASE_URL") {
			t.Errorf("%s: %s; %s", f.Name, f.Cause, f.Remedy)
		}
	}
}

// Check beside a connector at work writes nothing and fences no instance.
func TestCheckDisturbsNobody(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 1})
		w.api.Generate(30, ago(time.Hour), ago(time.Minute))
		w.backfill(time.Now().Add(-2 * time.Hour))
		stop := w.start()
		eventually(t, "the topic equals the API", func() bool { return w.kafka().exists() && w.report(time.Now().Add(-2*time.Hour)).OK() })
		w.settings.GroupID = c.Name("group")
		proxy := c.Proxy()
		w.ops.Connection.Dial = proxy.Dial
		quiet := w.kafka().quiet()
		w.wantFinding(cause{of: named("instance"), state: ops.OK, words: "is at work since"})
		if after := w.kafka().ends(); after != quiet {
			t.Errorf("the topics ended at %v, and at %v after the check", quiet, after)
		}
		// What tries the codec cannot be written: the ends above would have moved.
		if n := proxy.Count(kmsg.Produce.Int16()).Requests; n > 1 {
			t.Errorf("check sent %d Produce requests", n)
		}
		for _, writes := range []kmsg.Key{kmsg.InitProducerID, kmsg.CreateTopics, kmsg.AddPartitionsToTxn, kmsg.JoinGroup} {
			if n := proxy.Count(writes.Int16()).Requests; n != 0 {
				t.Errorf("check sent %d %s requests", n, writes.Name())
			}
		}
		w.api.Step(3, 0, 0)
		eventually(t, "the connector goes on", func() bool { return len(w.report(time.Now().Add(-30*time.Second)).Missing) == 0 })
		if err := stop(); err != nil {
			t.Errorf("it was disturbed: %v", err)
		}
		if text := w.log.String(); strings.Contains(text, "starting again") {
			t.Errorf("it had to start again:\n%s", text)
		}
	})
}

// ends are where the topics end, all partitions together.
func (w inKafka) ends() (ends [3]int64) {
	w.t.Helper()
	for i, topic := range []string{w.ops.Topics.Events, w.ops.Topics.DLQ, w.ops.Topics.Offsets} {
		listed, err := w.cluster.Admin().ListEndOffsets(w.t.Context(), topic)
		if err != nil || listed.Error() != nil {
			w.t.Fatal(err, listed.Error())
		}
		for _, partition := range listed[topic] {
			ends[i] += partition.Offset
		}
	}
	return ends
}

// quiet waits until nothing was written for two seconds, and returns the ends.
func (w inKafka) quiet() (ends [3]int64) {
	w.t.Helper()
	since := time.Now()
	eventually(w.t, "nothing more is written", func() bool {
		if now := w.kafka().ends(); now != ends {
			ends, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
	return ends
}

// A transaction that is open while check looks is committed all the same.
func TestCheckLeavesAnOpenTransactionAlone(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, c *kafkatest.Cluster) {
		w := newWorld(t, c, simulator.Config{Seed: 1})
		w.api.Generate(3, ago(time.Hour), ago(time.Minute))
		w.kafka().topic(w.ops.Topics.Events, 1, nil)
		id := w.ops.Topics.Offsets + "/" + w.ops.Organization
		client := c.Client(kgo.TransactionalID(id), kgo.DefaultProduceTopic(w.ops.Topics.Events))
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := client.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		w.wantFinding(cause{of: named("transactional id"), state: ops.OK, words: "Ongoing"})
		if err := client.ProduceSync(t.Context(), kgo.StringRecord("y")).FirstErr(); err != nil {
			t.Errorf("after the check: %v", err)
		}
		if err := client.EndTransaction(context.Background(), kgo.TryCommit); err != nil {
			t.Errorf("after the check: %v", err)
		}
	})
}

// The line before the count says which guarantee holds.
func TestGuarantee(t *testing.T) {
	c := kafkatest.InProcess(t, kafkatest.Nodes(3))
	topics := func(replicas int16, settings map[string]string) func(*world) {
		return func(w *world) {
			w.kafka().topic(w.ops.Topics.Events, replicas, settings)
			w.kafka().topic(w.ops.Topics.DLQ, replicas, settings)
			compacted := map[string]string{"cleanup.policy": "compact"}
			for key, value := range settings {
				compacted[key] = value
			}
			w.kafka().topic(w.ops.Topics.Offsets, replicas, compacted)
		}
	}
	two := map[string]string{"min.insync.replicas": "2"}
	for name, tt := range map[string]struct {
		change func(*world)
		want   string
	}{
		"one replica":     {topics(1, nil), "exactly once for read_committed consumers; a lost broker loses data, since replication is 1."},
		"min ISR 1":       {topics(3, nil), "two brokers one after the other can lose data"},
		"three replicas":  {topics(3, two), "Every event exactly once for read_committed consumers; a broker that is lost with its disks loses nothing."},
		"unclean":         {topics(3, map[string]string{"min.insync.replicas": "2", "unclean.leader.election.enable": "true"}), "unclean.leader.election.enable is true"},
		"not made":        {func(*world) {}, "which are not all made yet"},
		"nothing":         {withKey("sk-admin-wrong-000000"), "Fix what failed first: until then no guarantee holds."},
		"nobody answered": {both(topics(1, nil), always(simulator.RateLimitBare)), "Nothing can be said of the API now. In Kafka: every event exactly once"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c, simulator.Config{Seed: 1})
			w.api.Generate(3, ago(time.Hour), ago(time.Minute))
			tt.change(w)
			lines := strings.Split(strings.TrimSpace(printed(ops.Check(t.Context(), w.ops, w.settings))), "\n")
			if said := lines[len(lines)-2]; !strings.Contains(said, tt.want) {
				t.Errorf("the line before the count is %q, want %q", said, tt.want)
			}
			if last := lines[len(lines)-1]; !strings.Contains(last, "checks: ") {
				t.Errorf("the last line is %q", last)
			}
		})
	}
}

// Brokers older than 4.0 are known by the versions of their requests.
func TestCheckOfOldBrokers(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t, kafkatest.Fake(kfake.MaxVersions(kversion.V3_9_0()))), simulator.Config{Seed: 1})
	w.api.Generate(3, ago(time.Hour), ago(time.Minute))
	w.wantFinding(cause{of: named("broker version"), state: ops.Warning, words: "older than 4.0"})
}

// Two organizations of one tenant would each write its events: check says so, and what
// to do about it. It is no reason to fail.
func TestCheckTellsOfOneTenant(t *testing.T) {
	w := newWorld(t, kafkatest.InProcess(t), simulator.Config{Seed: 1})
	w.api.Generate(3, ago(time.Hour), ago(time.Minute))
	w.add("of-the-tenant", time.Minute, auditlog.ScopeTenant)
	w.settings.Tenants = &ops.Tenants{}
	w.wantFinding(cause{of: named("tenant events"), state: ops.OK, words: "may read them"})
	w.ops.Organization = "second"
	w.wantFinding(cause{of: named("tenant events"), state: ops.Warning, words: "default lists the same ones"})
	w.wantFinding(cause{of: named("tenant events"), state: ops.Warning, words: "ORGANIZATIONS_<n>_TENANT_EVENTS=off"})
	w.ops.API.Tenant = ops.TenantOff
	w.wantFinding(cause{of: named("tenant events"), state: ops.OK, words: "turned off"})
}
