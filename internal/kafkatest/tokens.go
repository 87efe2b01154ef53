package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// Audience is whom our tokens are for.
const Audience = "kafka"

// KeysByURL lets secured brokers get the keys of our tokens by https, and every two
// seconds, in place of reading a file once. See Security.ChangeKey.
func KeysByURL() Option { return func(o *options) { o.secured, o.keysByURL = true, true } }

// signingKeys are the keys of our tokens, the newest last.
type signingKeys struct {
	mu   sync.Mutex
	last int // how many there were
	all  []signingKey
}

type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

func newSigningKeys() *signingKeys {
	k := new(signingKeys)
	k.add()
	return k
}

func (k *signingKeys) add() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last++
	k.all = append(k.all, signingKey{fmt.Sprint("ours-", k.last), private})
}

// newest returns the key that signs.
func (k *signingKeys) newest() signingKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[len(k.all)-1]
}

// ChangeKey signs tokens with a new key from now on. The brokers may still believe the
// keys before it, or, as after a leak, no longer.
func (s *Security) ChangeKey(believeOld bool) {
	s.keys.add()
	if believeOld {
		return
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.all = slices.Clone(s.keys.all[len(s.keys.all)-1:])
}

// Token returns a token of OAUTHBEARER that the brokers take for the user until it
// ends: signed with the newest key of their JWKS, and for Audience.
func (s *Security) Token(user string, ends time.Time) string {
	key := s.keys.newest()
	text := encoded(map[string]any{"alg": "ES256", "kid": key.id}) + "." +
		encoded(map[string]any{"sub": user, "aud": Audience, "iat": ends.Add(-time.Hour).Unix(), "exp": ends.Unix()})
	hash := sha256.Sum256([]byte(text))
	r, v, _ := ecdsa.Sign(rand.Reader, key.private, hash[:]) // never fails with a key of ours
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func encoded(v any) string {
	text, _ := json.Marshal(v) // of text and numbers, which never fails
	return base64.RawURLEncoding.EncodeToString(text)
}

// jwks returns the public keys, as RFC 7517 writes them.
func (k *signingKeys) jwks() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var keys []map[string]string
	for _, key := range k.all {
		point, err := key.private.PublicKey.Bytes() // 4, x, y
		if err != nil {
			return nil, err
		}
		coordinate := base64.RawURLEncoding.EncodeToString
		keys = append(keys, map[string]string{
			"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": key.id, "x": coordinate(point[1:33]), "y": coordinate(point[33:]),
		})
	}
	return json.Marshal(map[string]any{"keys": keys})
}

// serve starts a server with them, whose certificate is of the authority.
func (k *signingKeys) serve(ca *authority) (*httptest.Server, error) {
	cert, key, err := ca.issue("keys")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		keys, err := k.jwks()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(keys)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	return server, nil
}
