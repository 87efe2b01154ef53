package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// mskGate lets a broker in process take AWS_MSK_IAM from one key alone, and ask for it
// again every second. That signatures are right is in TestAWSIdentities.
type mskGate struct {
	mu      sync.Mutex
	key     string // the one that is valid
	refused int
	taken   map[string]int
}

func newMSKGate(t *testing.T, c *kafkatest.Cluster, key string) *mskGate {
	g := &mskGate{key: key, taken: map[string]int{}}
	fake := c.Fake()
	fake.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		return r.ResponseKind(), nil, true
	})
	fake.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		var message map[string]string
		if err := json.Unmarshal(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes, &message); err != nil {
			t.Error(err)
		}
		signer, _, _ := strings.Cut(message["x-amz-credential"], "/")
		answer := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		g.mu.Lock()
		defer g.mu.Unlock()
		if signer != g.key {
			g.refused++
			answer.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return answer, nil, true
		}
		g.taken[signer]++
		answer.SASLAuthBytes, answer.SessionLifetimeMillis = []byte(`{"version":"2020_10_22"}`), 2000
		return answer, nil, true
	})
	return g
}

// revoke makes another key the valid one.
func (g *mskGate) revoke(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.key = key
}

// seen gives how many sign-ins were refused, and how many of each key were taken: the
// connector signs in again while a test looks.
func (g *mskGate) seen() (refused int, taken map[string]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused, maps.Clone(g.taken)
}

// The key of AWS is changed under a running connector, in a profile that the SDK reads and in
// files of our own settings: the next sign-in takes the new one, and nothing is lost.
func TestAWSKeyChangedUnderARunningConnector(t *testing.T) {
	for name, write := range map[string]func(dir, key string) (environ []string, err error){
		"files": func(dir, key string) ([]string, error) {
			for _, part := range []string{"id", "secret"} {
				if err := os.WriteFile(filepath.Join(dir, part), []byte(key), 0o600); err != nil {
					return nil, err
				}
			}
			return []string{"AWS_ACCESS_KEY_ID_FILE=" + filepath.Join(dir, "id"), "AWS_SECRET_ACCESS_KEY_FILE=" + filepath.Join(dir, "secret")}, nil
		},
		"a profile": func(dir, key string) ([]string, error) {
			file := filepath.Join(dir, "credentials")
			text := "[audit]\naws_access_key_id = " + key + "\naws_secret_access_key = " + key + "\n"
			return []string{"AWS_PROFILE=audit", "AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_CONFIG_FILE=" + filepath.Join(dir, "none")}, os.WriteFile(file, []byte(text), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := kafkatest.InProcess(t)
			gate := newMSKGate(t, c, "AKIAFIRST")
			dir := t.TempDir()
			environ, err := write(dir, "AKIAFIRST")
			if err != nil {
				t.Fatal(err)
			}
			r := newRotating(t, c, "aws", append(environ, "KAFKA_BROKERS="+strings.Join(c.Brokers(), ","), "KAFKA_SASL_MECHANISM=AWS_MSK_IAM", "AWS_REGION=eu-west-1")...)
			r.equal("with the first key")
			gate.revoke("AKIASECOND")
			r.until("the first key is refused", func() bool { refused, _ := gate.seen(); return refused > 0 })
			if _, err := write(dir, "AKIASECOND"); err != nil {
				t.Fatal(err)
			}
			r.equal("with the second key")
			if _, taken := gate.seen(); taken["AKIAFIRST"] == 0 || taken["AKIASECOND"] == 0 {
				t.Errorf("the keys were taken %v times", taken)
			}
			r.stop()
		})
	}
}
