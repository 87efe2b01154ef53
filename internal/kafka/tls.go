package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/files"
)

// TLS says how to speak TLS. The files are PEM and are read again for each new
// connection, so that a certificate can be renewed while the process runs.
type TLS struct {
	Enabled  bool
	CAFile   string // empty: the system's
	CertFile string // with KeyFile: mutual TLS
	KeyFile  string
}

var errNoCertificate = errors.New("the file holds no PEM certificate")

func (t TLS) handshake(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	config, err := t.config(addr)
	if err == nil {
		secured := tls.Client(conn, config)
		if err = secured.HandshakeContext(ctx); err == nil {
			return secured, nil
		}
	}
	_ = conn.Close() // the first error is the one that matters
	return nil, err
}

// config reads the files. The host of addr is always verified: there is no
// setting to turn that off, a wrong one in production would be found too late.
func (t TLS) config(addr string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("broker address: %w", err)
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := files.Read(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the CA of the brokers: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the CA of the brokers: %s: %w", t.CAFile, errNoCertificate)
		}
	}
	if t.CertFile != "" {
		cert, err := t.keyPair()
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

func (t TLS) keyPair() (tls.Certificate, error) {
	cert, err := files.Read(t.CertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := files.Read(t.KeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
