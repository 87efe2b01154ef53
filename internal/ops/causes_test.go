package ops_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// cause is one thing that can be wrong, and the finding that tells it.
type cause struct {
	name  string
	wrong func(*world)        // makes it so
	of    func(*world) string // names the finding
	state ops.CheckState
	words string // of its cause or remedy
	// history says that the connector has read a little history before.
	history bool
	// secured says that it takes brokers with SASL, TLS and an authorizer.
	secured bool
}

func named(name string) func(*world) string { return func(*world) string { return name } }

// causes are all that check must tell apart.
func causes() []cause {
	return slices.Concat(keyCauses, apiCauses, connectionCauses, rightCauses, topicCauses, registryCauses, stateCauses)
}

// Check tells every cause by its own words, with a remedy: on Apache Kafka with an
// authorizer, by SASL/SCRAM over TLS, and in process what needs none of that.
func TestCheckTellsCausesApart(t *testing.T) {
	t.Run("inprocess", func(t *testing.T) {
		tellApart(t, kafkatest.InProcess(t, kafkatest.Nodes(3)), nil)
	})
	t.Run("secured", func(t *testing.T) {
		t.Parallel() // it starts brokers of its own
		c := kafkatest.Real(t, kafkatest.Secured(), kafkatest.Nodes(2))
		s := c.Security()
		signIn := kafka.Connection{
			Brokers: s.SASLTLS, ClientID: "ops", TLS: kafka.TLS{Enabled: true, CAFile: s.CAFile},
			SASL: kafka.SASL{Mechanism: "SCRAM-SHA-512", Username: kafkatest.User, Password: fixed(kafkatest.Password)},
		}
		grantAll(t, c)
		tellApart(t, c, &signIn)
	})
}

// tellApart makes each cause true and looks at what check says.
func tellApart(t *testing.T, c *kafkatest.Cluster, signIn *kafka.Connection) {
	told := map[string]string{} // by the text of a cause
	for _, tt := range causes() {
		if tt.secured && signIn == nil {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, c, simulator.Config{Seed: 1, Organization: "org-1"})
			w.api.Generate(30, ago(100*time.Hour), ago(time.Hour))
			if tt.history {
				w.backfill(time.Now().Add(-200 * time.Hour))
				w.runUntilEqual(time.Now().Add(-200 * time.Hour))
			}
			if signIn != nil {
				w.ops.Connection = *signIn
			}
			if tt.name == versionCause && strings.HasPrefix(c.Backend(), "kafka-3.") {
				tt.state, tt.words = ops.Warning, "older than 4.0"
			}
			tt.wrong(w)
			text := w.wantFinding(tt)
			if tt.state == ops.OK || text == "" {
				return
			}
			if other, taken := told[text]; taken {
				t.Errorf("told in the same words as %q: %s", other, text)
			}
			told[text] = tt.name
		})
	}
}

// wantFinding fails unless check tells the cause, and no failure but it. It returns
// the text of the cause. Several brokers do not all know at once what was made or
// granted, so it may take a while until they do.
func (w *world) wantFinding(tt cause) (text string) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		r := ops.Check(w.t.Context(), w.ops, w.settings)
		text, faults := w.judge(r, tt)
		if len(faults) == 0 {
			return text
		}
		if !w.cluster.Real() || time.Now().After(deadline) {
			w.t.Errorf("%s\n%s", strings.Join(faults, "\n"), printed(r))
			return ""
		}
	}
}

func (w *world) judge(r *ops.CheckReport, tt cause) (text string, faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	name := tt.of(w)
	for _, f := range r.Checks {
		is := f.Name == name && f.State == tt.state && strings.Contains(f.Cause+"; "+f.Remedy, tt.words)
		switch {
		case is && text == "":
			text = w.plain(f.Cause)
		case f.State == ops.Failed && tt.state != ops.Failed:
			fault("%s failed as well", f.Name)
		}
		if f.State != ops.OK && (f.Cause == "" || f.Remedy == "") {
			fault("%s lacks cause or remedy: %+v", f.Name, f)
		}
	}
	if text == "" {
		fault("no finding %q that is %s and says %q", name, tt.state, tt.words)
	}
	if r.OK() == (tt.state == ops.Failed) || r.Guarantee == "" {
		fault("OK is %v; %s", r.OK(), r.Guarantee)
	}
	return text, faults
}

// plain leaves out of a text the names of this test's topics.
func (w *world) plain(text string) string {
	return regexp.MustCompile(`-[0-9a-f]{16}-[0-9]+`).ReplaceAllString(text, "")
}

func printed(r *ops.CheckReport) string {
	var text strings.Builder
	_ = r.Print(&text)
	return text.String()
}

func fixed(secret string) kafka.Secret { return func() (string, error) { return secret, nil } }

// rights of what the tests name so.
var everyRight = []kadm.ACLOperation{kadm.OpRead, kadm.OpWrite, kadm.OpCreate, kadm.OpDescribeConfigs}

// grantAll lets User do everything to what tests name as they do.
func grantAll(t *testing.T, c *kafkatest.Cluster) {
	t.Helper()
	for _, acls := range []*kadm.ACLBuilder{
		kadm.NewACLs().Topics("events", "dlq", "offsets", "json", "new").Operations(everyRight...),
		kadm.NewACLs().TransactionalIDs("offsets", "new").Operations(kadm.OpWrite),
		kadm.NewACLs().Groups("group").Operations(kadm.OpRead),
	} {
		acls = acls.Allow("User:" + kafkatest.User).AllowHosts("*").ResourcePatternType(kadm.ACLPatternPrefixed)
		kafkatest.Grant(t, c, acls)
	}
}

// topic makes a topic of the world, with so many replicas.
func (w inKafka) topic(name string, replicas int16, settings map[string]string) {
	w.t.Helper()
	configs := map[string]*string{}
	for key, value := range settings {
		configs[key] = &value
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	if _, err := w.cluster.Admin().CreateTopic(ctx, 1, replicas, configs, name); err != nil {
		w.t.Fatal(fmt.Errorf("making %s: %w", name, err))
	}
	eventually(w.t, "the topic shows up", func() bool {
		found, err := w.cluster.Admin().ListTopics(ctx, name)
		return err == nil && found.Error() == nil && len(found[name].Partitions) == 1
	})
}
