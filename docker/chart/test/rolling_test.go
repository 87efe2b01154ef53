package chart_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	apps "k8s.io/api/apps/v1"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // Helm says each time that alerts.yaml is a link
	kafkatest.Main(m)
}

// An update is played as Kubernetes would make it of what is rendered, with processes
// on real Kafka, while events come: nothing is lost and nothing is doubled.
func TestUpdates(t *testing.T) {
	program := filepath.Join(t.TempDir(), "openai-audit-kafka")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/openai-audit-kafka")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"one instance": `settings: {KAFKA_BROKERS: ADDRESS, OPENAI_BASE_URL: API, KAFKA_TOPIC: one, KAFKA_DLQ_TOPIC: one.dlq, KAFKA_OFFSETS_TOPIC: one.offsets, POLL_INTERVAL: 1s, BACKFILL_START_TIME: 1d}`,
		"a group":      `settings: {KAFKA_BROKERS: ADDRESS, OPENAI_BASE_URL: API, KAFKA_TOPIC: two, KAFKA_DLQ_TOPIC: two.dlq, KAFKA_OFFSETS_TOPIC: two.offsets, POLL_INTERVAL: 1s, BACKFILL_START_TIME: 1d, KAFKA_GROUP_ID: audit}`,
	} {
		t.Run(name, func(t *testing.T) { update(t, program, text) })
	}
}

func update(t *testing.T, program, text string) {
	c := kafkatest.SharedReal(t)
	api := simulator.New(simulator.Config{Seed: 1})
	server := httptest.NewServer(api)
	defer server.Close()
	text = strings.NewReplacer("ADDRESS", c.Brokers()[0], "URL: API", "URL: "+server.URL+"/v1").Replace(text)
	deployment := objects(t, text)["Deployment"].(*apps.Deployment)
	topic := values(t, text)["settings"].(map[string]any)["KAFKA_TOPIC"].(string)

	ctx, cancel := context.WithCancel(t.Context())
	fed := make(chan struct{})
	go func() { defer close(fed); api.Feed(ctx, 20) }() // ends with ctx
	var pods []*pod
	grow := func() { pods = append(pods, startPod(t, program, deployment)) }
	for range *deployment.Spec.Replicas {
		grow()
		pods[len(pods)-1].awaitReady()
	}
	for range *deployment.Spec.Replicas {
		old := pods[0]
		pods = pods[1:]
		if deployment.Spec.Strategy.Type == apps.RecreateDeploymentStrategyType {
			old.stop()
			grow()
			pods[len(pods)-1].awaitReady()
			continue
		}
		// maxSurge 1, maxUnavailable 0.
		grow()
		pods[len(pods)-1].awaitReady()
		old.stop()
	}
	time.Sleep(2 * time.Second) // some events for the new ones alone
	cancel()
	<-fed
	var truth []kafkatest.Want
	for ev := range api.Truth() {
		for _, scope := range ev.Scopes {
			truth = append(truth, kafkatest.Want{ID: ev.ID, Scope: string(scope), EffectiveAt: int64(ev.EffectiveAt), Raw: ev.Raw})
		}
	}
	var report kafkatest.Report
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		report = kafkatest.Compare(truth, slices.Concat(c.Read(t, topic, kgo.ReadCommitted()), c.Read(t, topic+".dlq", kgo.ReadCommitted())))
		if len(report.Missing) == 0 || time.Now().After(deadline) {
			break
		}
	}
	if !report.OK() {
		t.Error(report)
	}
	t.Logf("%d events: %v", len(truth), report)
	for _, p := range pods {
		p.stop()
	}
}

// pod is a process with the environment of a pod.
type pod struct {
	t       *testing.T
	cmd     *exec.Cmd
	log     bytes.Buffer
	program string
	environ []string
	grace   time.Duration
	done    chan struct{}
}

func startPod(t *testing.T, program string, deployment *apps.Deployment) *pod {
	t.Helper()
	template := deployment.Spec.Template
	p := &pod{t: t, program: program, done: make(chan struct{}), grace: time.Duration(*template.Spec.TerminationGracePeriodSeconds) * time.Second}
	for _, e := range environ(t, template, map[string]string{"OPENAI_ADMIN_KEY_FILE": simulator.Key}) {
		if strings.HasPrefix(e, "HTTP_ADDR=") {
			e = "HTTP_ADDR=" + freeAddr(t) // a pod has an address of its own
		}
		p.environ = append(p.environ, e)
	}
	p.cmd = exec.Command(program)
	p.cmd.Env, p.cmd.Stderr = p.environ, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }() // ends with the process
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.done })
	return p
}

// awaitReady asks as a probe does.
func (p *pod) awaitReady() {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		health := exec.CommandContext(p.t.Context(), p.program, "health", "--ready")
		health.Env = p.environ
		out, err := health.CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			_ = p.cmd.Process.Kill()
			<-p.done
			p.t.Fatalf("not ready: %s\n%s", out, p.log.String())
		}
	}
}

// stop ends it as the kubelet does.
func (p *pod) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			p.t.Errorf("exit code %d\n%s", code, p.log.String())
		}
	case <-time.After(p.grace):
		p.t.Errorf("not gone after %v", p.grace)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificate returns one of a CA.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
