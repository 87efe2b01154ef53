package kafka_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

func TestClassify(t *testing.T) {
	tests := []struct {
		err  error
		want kafka.Class
	}{
		{kerr.ProducerFenced, kafka.ClassFenced},
		{kerr.InvalidProducerEpoch, kafka.ClassFenced},
		{kerr.InvalidTxnState, kafka.ClassFenced},
		{errors.Join(errors.New("produce"), fmt.Errorf("fatal: %w", kerr.ProducerFenced)), kafka.ClassFenced},
		{&kadm.AuthError{Err: kerr.TopicAuthorizationFailed}, kafka.ClassAuthorization},
		{kerr.TransactionalIDAuthorizationFailed, kafka.ClassAuthorization},
		{kerr.GroupAuthorizationFailed, kafka.ClassAuthorization},
		{kerr.SaslAuthenticationFailed, kafka.ClassAuthentication},
		{kerr.UnsupportedSaslMechanism, kafka.ClassAuthentication},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, kafka.ClassAuthentication},
		{x509.HostnameError{Certificate: &x509.Certificate{}}, kafka.ClassAuthentication},
		{x509.CertificateInvalidError{}, kafka.ClassAuthentication},
		{&net.OpError{Op: "remote error", Err: errors.New("bad certificate")}, kafka.ClassAuthentication},
		{fmt.Errorf("reading a secret: %w", &os.PathError{Err: syscall.ENOENT}), kafka.ClassAuthentication},
		{kerr.InvalidTransactionTimeout, kafka.ClassSettings},
		{kerr.InvalidRecord, kafka.ClassSettings},
		{&kafka.SettingError{}, kafka.ClassSettings},
		{kerr.MessageTooLarge, kafka.ClassEvent},
		{kerr.InvalidTimestamp, kafka.ClassEvent},
		{kerr.UnknownTopicID, kafka.ClassTopic},
		{kerr.UnknownTopicOrPartition, kafka.ClassTopic},
		{kerr.TransactionAbortable, kafka.ClassTopic},
		{&kafka.MissingTopicsError{}, kafka.ClassTopic},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, kafka.ClassNetwork},
		{&net.DNSError{IsNotFound: true}, kafka.ClassNetwork},
		{&kgo.ErrFirstReadEOF{}, kafka.ClassNetwork},
		{kerr.OperationNotAttempted, kafka.ClassUnknown},
		{kerr.InvalidProducerIDMapping, kafka.ClassUnknown},
		{context.DeadlineExceeded, kafka.ClassUnknown},
		{io.EOF, kafka.ClassUnknown},
		{errors.New("PRODUCER_FENCED"), kafka.ClassUnknown}, // the text says nothing
	}
	for _, tt := range tests {
		if got := kafka.Classify(tt.err); got != tt.want {
			t.Errorf("%T: got %s, want %s", tt.err, got, tt.want)
		}
		if kafka.Explain(tt.err) == "" {
			t.Errorf("%v is not explained", tt.err)
		}
	}
	// A client that our own deadline ended says only that it is closed.
	if got, want := kafka.Explain(fmt.Errorf("reading: %w", kgo.ErrClientClosed)), kafka.Explain(context.DeadlineExceeded); got != want {
		t.Errorf("a client that ended is explained by %q, want %q", got, want)
	}
}

// What brokers answer to a transaction is not lumped together: each answer has its own
// words, and what passes by itself is tried again soon.
func TestAnswersHaveTheirOwnWordsAndPatience(t *testing.T) {
	words := map[string]error{}
	for err, patience := range map[error]time.Duration{
		kerr.ProducerFenced:               30 * time.Second, // it is not tried again
		kerr.InvalidProducerEpoch:         30 * time.Second,
		kerr.InvalidTxnState:              30 * time.Second,
		kerr.TransactionAbortable:         10 * time.Second,
		kerr.CoordinatorNotAvailable:      10 * time.Second,
		kerr.CoordinatorLoadInProgress:    10 * time.Second,
		kerr.NotCoordinator:               10 * time.Second,
		kerr.InvalidProducerIDMapping:     10 * time.Second,
		kerr.NotEnoughReplicas:            30 * time.Second,
		kerr.NotEnoughReplicasAfterAppend: 30 * time.Second,
		kerr.ConcurrentTransactions:       30 * time.Second,
		kerr.UnknownServerError:           30 * time.Second,
		kerr.KafkaStorageError:            time.Minute,
		kerr.TopicAuthorizationFailed:     time.Minute,
		kerr.UnknownTopicID:               time.Minute,
	} {
		err = fmt.Errorf("committing a transaction: %w", err)
		if other, taken := words[kafka.Explain(err)]; taken {
			t.Errorf("%v and %v are explained alike", err, other)
		}
		words[kafka.Explain(err)] = err
		if got := kafka.Patience(err); got != patience {
			t.Errorf("%v: the patience is %v, want %v", err, got, patience)
		}
	}
}

func TestAClosedPortIsExplained(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	conn := kafka.Connection{Brokers: []string{l.Addr().String()}}
	err = client(t, conn).Ping(t.Context())
	if kafka.Classify(err) != kafka.ClassNetwork {
		t.Errorf("%s: %v", kafka.Classify(err), err)
	}
}
