package kafkatest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// TestSecuredListeners signs in on every listener, and may do nothing before an
// ACL says so.
func TestSecuredListeners(t *testing.T) {
	t.Parallel()
	c := kafkatest.Real(t, kafkatest.Secured())
	s := c.Security()
	topic := c.Name("secured")
	c.CreateTopic(topic, 1, nil)

	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cert, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	trust := kgo.DialTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	mutual := kgo.DialTLSConfig(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	auth := scram.Auth{User: kafkatest.User, Pass: kafkatest.Password}
	listeners := map[string][]kgo.Opt{
		"SCRAM-SHA-512":     {kgo.SeedBrokers(s.SASL...), kgo.SASL(auth.AsSha512Mechanism())},
		"SCRAM-SHA-256/TLS": {kgo.SeedBrokers(s.SASLTLS...), kgo.SASL(auth.AsSha256Mechanism()), trust},
		"PLAIN/TLS":         {kgo.SeedBrokers(s.SASLTLS...), kgo.SASL(plain.Auth{User: kafkatest.User, Pass: kafkatest.Password}.AsMechanism()), trust},
		"mutual TLS":        {kgo.SeedBrokers(s.MTLS...), mutual},
	}
	produce := func(opts []kgo.Opt) error {
		client := c.Client(append(opts, kgo.DefaultProduceTopic(topic))...)
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		// A produce tries for ever what the first answer already says.
		topics, err := kadm.NewClient(client).ListTopics(ctx, topic)
		if err := errors.Join(err, topics.Error()); err != nil {
			return err
		}
		return client.ProduceSync(ctx, kgo.StringRecord("a")).FirstErr()
	}
	for name, opts := range listeners {
		if err := produce(opts); !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Errorf("%s without an ACL: %v", name, err)
		}
	}
	wrong := scram.Auth{User: kafkatest.User, Pass: "wrong"}.AsSha512Mechanism()
	if err := produce([]kgo.Opt{kgo.SeedBrokers(s.SASL...), kgo.SASL(wrong)}); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("with a wrong password: %v", err)
	}

	acls := kadm.NewACLs().Allow("User:" + kafkatest.User).AllowHosts("*").Topics(topic).
		ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpWrite)
	kafkatest.Grant(t, c, acls)
	for name, opts := range listeners {
		if err := produce(opts); err != nil {
			t.Errorf("%s with an ACL: %v", name, err)
		}
	}
	if got := c.Read(t, topic, kgo.ReadCommitted()); len(got) != len(listeners) {
		t.Errorf("%d records, want %d", len(got), len(listeners))
	}
}
