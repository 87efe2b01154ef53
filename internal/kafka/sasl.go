package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Secret reads a secret. It is called for each authentication, so that a
// password or token in a file can be replaced while the process runs. A nil
// Secret is the empty one.
type Secret func() (string, error)

func (s Secret) read() (string, error) {
	if s == nil {
		return "", nil
	}
	return s()
}

// trial is about credentials that are kept for some time: since when brokers were shown
// them, and none took them. They may have been revoked, or the key of their signature may
// be gone, long before their end. Then new ones are asked for, and not at every refusal.
type trial struct{ since time.Time }

// trialTime is more than a broker needs to answer.
const trialTime = 10 * time.Second

func (t *trial) begin() {
	if t.since.IsZero() {
		t.since = time.Now()
	}
}

func (t *trial) failed() bool { return !t.since.IsZero() && time.Since(t.since) > trialTime }

// SASL says who we are.
type SASL struct {
	// Mechanism is empty for none, or one of PLAIN, SCRAM-SHA-256,
	// SCRAM-SHA-512, OAUTHBEARER, GSSAPI and AWS_MSK_IAM.
	Mechanism string
	Username  string // of GSSAPI the principal
	Password  Secret
	Token     Secret // of OAUTHBEARER
	OAuth     *OAuth // gets one in place of Token
	// Extensions are sent with the token; some brokers find by them what it is for.
	Extensions map[string]string
	Kerberos   Kerberos // of GSSAPI
	AWS        *AWS     // of AWS_MSK_IAM
}

// mechanism returns nil if there is none.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.Password.read()
			return plain.Auth{User: s.Username, Pass: password}, err
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(s.scram), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(s.scram), nil
	case "OAUTHBEARER":
		return s.bearerToken(), nil
	case "GSSAPI":
		return gssapi{s.Kerberos, s.Username}, nil
	case "AWS_MSK_IAM":
		return mskIAM{s.AWS}, nil
	default:
		return nil, fmt.Errorf("unknown SASL mechanism %q", s.Mechanism)
	}
}

func (s SASL) scram(context.Context) (scram.Auth, error) {
	password, err := s.Password.read()
	return scram.Auth{User: s.Username, Pass: password}, err
}
