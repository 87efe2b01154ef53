package kafka_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

func fixed(secret string) kafka.Secret { return func() (string, error) { return secret, nil } }

func TestSASL(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			conn := connection(cluster(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "svc", "pw")))
			conn.SASL = kafka.SASL{Mechanism: mechanism, Username: "svc", Password: fixed("pw")}
			must(t, client(t, conn).Ping(t.Context()))

			conn.SASL.Password = fixed("wrong")
			if err := client(t, conn).Ping(t.Context()); err == nil {
				t.Error("a wrong password was taken")
			}
		})
	}
}

// A password is read for each connection, so the one that was rotated is used.
func TestSASLReadsThePasswordForEachConnection(t *testing.T) {
	c := cluster(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "svc", "new"))
	var rotated atomic.Bool
	conn := connection(c)
	conn.SASL = kafka.SASL{Mechanism: "PLAIN", Username: "svc", Password: func() (string, error) {
		if rotated.Load() {
			return "new", nil
		}
		return "old", nil
	}}
	cl := client(t, conn)
	if err := cl.Ping(t.Context()); err == nil {
		t.Fatal("the old password was taken")
	}
	rotated.Store(true)
	must(t, cl.Ping(t.Context()))
}

func TestOptionsRefuse(t *testing.T) {
	brokers := []string{"localhost:1"}
	for name, conn := range map[string]kafka.Connection{
		"no brokers":                {},
		"an unknown mechanism":      {Brokers: brokers, SASL: kafka.SASL{Mechanism: "KERBEROS"}},
		"a certificate without key": {Brokers: brokers, TLS: kafka.TLS{Enabled: true, CertFile: "x"}},
	} {
		if _, err := conn.Options(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, mechanism := range []string{"OAUTHBEARER", "GSSAPI", "AWS_MSK_IAM"} {
		if _, err := (kafka.Connection{Brokers: brokers, SASL: kafka.SASL{Mechanism: mechanism}}).Options(); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, other := newCA(t), newCA(t)
	caFile, otherFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "other.pem")
	must(t, os.WriteFile(caFile, ca.pem(), 0o600))
	must(t, os.WriteFile(otherFile, other.pem(), 0o600))
	certFile, keyFile := ca.issue(t, dir, "client", "client")
	serverCert, serverKey := ca.issue(t, dir, "server", "127.0.0.1")
	strangerCert, strangerKey := ca.issue(t, dir, "stranger", "192.0.2.1")

	server := func(cert, key string, auth tls.ClientAuthType) kafka.Connection {
		pair, err := tls.LoadX509KeyPair(cert, key)
		must(t, err)
		pool := x509.NewCertPool()
		pool.AddCert(ca.cert)
		return connection(cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: auth, ClientCAs: pool})))
	}
	plain := connection(cluster(t))
	oneWay := server(serverCert, serverKey, tls.NoClientCert)
	mutual := server(serverCert, serverKey, tls.RequireAndVerifyClientCert)
	stranger := server(strangerCert, strangerKey, tls.NoClientCert)

	tests := []struct {
		name string
		conn kafka.Connection
		tls  kafka.TLS
		want kafka.Class // empty: it works
	}{
		{"with the CA", oneWay, kafka.TLS{Enabled: true, CAFile: caFile}, ""},
		{"mutual", mutual, kafka.TLS{Enabled: true, CAFile: caFile, CertFile: certFile, KeyFile: keyFile}, ""},
		{"mutual, without certificate", mutual, kafka.TLS{Enabled: true, CAFile: caFile}, kafka.ClassAuthentication},
		{"another CA", oneWay, kafka.TLS{Enabled: true, CAFile: otherFile}, kafka.ClassAuthentication},
		{"the system's CAs", oneWay, kafka.TLS{Enabled: true}, kafka.ClassAuthentication},
		{"a certificate for another host", stranger, kafka.TLS{Enabled: true, CAFile: caFile}, kafka.ClassAuthentication},
		{"no such CA file", oneWay, kafka.TLS{Enabled: true, CAFile: dir + "/missing"}, kafka.ClassAuthentication},
		{"TLS to a broker without", plain, kafka.TLS{Enabled: true, CAFile: caFile}, kafka.ClassUnknown}, // this one never answers
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := tt.conn
			conn.TLS = tt.tls
			within := 20 * time.Second // it comes about, or is refused
			if tt.want == kafka.ClassUnknown {
				within = 2 * time.Second // nothing is answered
			}
			err := client(t, conn).Ping(deadline(t, within))
			if tt.want == "" {
				must(t, err)
			} else if err == nil || kafka.Classify(err) != tt.want {
				t.Errorf("got %s: %v (%T)", kafka.Classify(err), err, err)
			}
		})
	}

	t.Run("a CA file that was replaced", func(t *testing.T) {
		file := filepath.Join(dir, "replaced.pem")
		must(t, os.WriteFile(file, other.pem(), 0o600))
		conn := oneWay
		conn.TLS = kafka.TLS{Enabled: true, CAFile: file}
		cl := client(t, conn)
		if err := cl.Ping(t.Context()); err == nil {
			t.Fatal("another CA was taken")
		}
		must(t, os.WriteFile(file, ca.pem(), 0o600))
		must(t, cl.Ping(t.Context()))
	})
}

// Something that stands before a dead broker, such as a load balancer, may take the
// connection and close it. Once a broker has answered, the others are asked. Before
// that it is reported at once, as it may be the settings.
func TestDeadBrokerBehindABalancer(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer dead.Close()
	go func() { // ends with its listener
		for {
			conn, err := dead.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	var balanced atomic.Bool
	conn := connection(cluster(t, kfake.NumBrokers(3)))
	conn.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == conn.Brokers[0] && balanced.Load() {
			addr = dead.Addr().String()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	for range 5 {
		balanced.Store(false)
		cl := client(t, conn)
		for n := range 5 { // of any broker
			req := kmsg.NewPtrMetadataRequest()
			if _, err := req.RequestWith(deadline(t, 10*time.Second), cl); err != nil {
				t.Fatalf("request %d, with one broker of %d gone: %v", n, len(conn.Brokers), err)
			}
			balanced.Store(true)
		}
	}
	alone := kafka.Connection{Brokers: []string{dead.Addr().String()}, ClientID: "test"}
	if err := client(t, alone).Ping(deadline(t, 10*time.Second)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of a broker that never answered: %v", err)
	}
}

func TestDialIsUsed(t *testing.T) {
	conn := connection(cluster(t))
	var dials atomic.Int32
	conn.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	must(t, client(t, conn).Ping(t.Context()))
	if dials.Load() == 0 {
		t.Error("it was not")
	}
}

func TestLogIsQuiet(t *testing.T) {
	var out bytes.Buffer
	conn := connection(cluster(t, kfake.SeedTopics(1, topic)))
	conn.Logger = slog.New(slog.NewTextHandler(&out, nil))
	cl, err := conn.Client(t.Context())
	must(t, err)
	must(t, cl.Ping(t.Context()))
	must(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic}).FirstErr())
	cl.Close()
	if out.Len() > 0 {
		t.Errorf("at level info it wrote:\n%s", out.String())
	}
}

// kprom alone would panic at the second client, and start at zero with a third.
func TestMetricsOutliveClients(t *testing.T) {
	reg := prometheus.NewRegistry()
	conn := connection(cluster(t))
	var err error
	conn.Metrics, err = kafka.NewMetrics(reg)
	must(t, err)
	if _, err := kafka.NewMetrics(reg); err == nil {
		t.Error("the same counters are registered twice")
	}
	for range 2 {
		cl, other := client(t, conn), client(t, conn)
		must(t, cl.Ping(t.Context()))
		must(t, other.Ping(t.Context()))
		cl.Close()
		other.Close()
	}
	page := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/", nil))
	if want := `openai_audit_kafka_connects_total{node_id="seed_0"} 4`; !strings.Contains(page.Body.String(), want) {
		t.Errorf("%s is not in\n%s", want, page.Body)
	}
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return authority{cert, key}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue writes a certificate for the address or name, and its key.
func (a authority) issue(t *testing.T, dir, file, host string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certFile, keyFile = filepath.Join(dir, file+".crt"), filepath.Join(dir, file+".key")
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return certFile, keyFile
}
