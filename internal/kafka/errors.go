package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
)

// Class says what kind of error came from Kafka. It serves the message and the
// backoff, never correctness: whatever the class, go on only from a state that
// was read after a new fence.
type Class string

// The classes. Their words are metric labels.
const (
	// ClassFenced: another instance took over, or a transaction outlived its
	// timeout. Close at once and call nothing else on that client: on brokers
	// before 4.0 what looks like an orderly abort kills the healthy successor.
	ClassFenced Class = "fenced"
	// ClassAuthorization: an ACL is missing.
	ClassAuthorization Class = "authorization"
	// ClassAuthentication: SASL or TLS was refused, or its files cannot be read.
	ClassAuthentication Class = "authentication"
	// ClassSettings: the broker or the topic is set so that this cannot work.
	ClassSettings Class = "settings"
	// ClassEvent: one record is not taken: too large, or its time too far off.
	ClassEvent Class = "event"
	// ClassTopic: a topic is missing, or is not the one it was.
	ClassTopic Class = "topic"
	// ClassNetwork: no broker could be reached.
	ClassNetwork Class = "network"
	// ClassUnknown: everything else. What was asked may have happened or not.
	ClassUnknown Class = "unknown"
)

// Classify returns the class of err, by its types; the text says nothing, a cut
// connection reads "is SASL missing?".
func Classify(err error) Class {
	if class, _, ok := ofBroker(err); ok {
		return class
	}
	class, _ := ofClient(err)
	return class
}

// Explain returns the cause of err and what to do about it, in plain words. It
// does not repeat the error.
func Explain(err error) string {
	if _, do, ok := ofBroker(err); ok {
		return do
	}
	_, do := ofClient(err)
	return do
}

// Explained returns err with what was being done, and what to do about it.
func Explained(doing string, err error) error {
	return remedy.New(Explain(err), "%s: %w", doing, err)
}

// Patience returns the longest wait before another try after err: short for what
// passes by itself, long for what somebody has to fix.
func Patience(err error) time.Duration {
	if answer, ok := errors.AsType[*kerr.Error](err); ok {
		if m := meanings[answer]; m.patience > 0 {
			return m.patience
		}
	}
	switch Classify(err) {
	case ClassNetwork:
		return 10 * time.Second
	case ClassAuthorization, ClassAuthentication, ClassSettings, ClassEvent, ClassTopic:
		return time.Minute
	default:
		return 30 * time.Second
	}
}

type meaning struct {
	class    Class
	remedy   string
	patience time.Duration // 0: that of the class
}

// moving is the patience with what a cluster does when a broker comes or goes.
const moving = 10 * time.Second

// meanings is the closed list of what brokers answer and we know. What is not
// in it is ClassUnknown.
var meanings = map[*kerr.Error]meaning{
	kerr.ProducerFenced: {class: ClassFenced, remedy: "another instance took the transactional id; " + oneInstance},
	kerr.InvalidProducerEpoch: {class: ClassFenced, remedy: "another instance took the transactional id, or the broker ended a transaction that took longer than its timeout; " +
		oneInstance + "; look for a process that was paused"},
	kerr.InvalidTxnState: {class: ClassFenced, remedy: "the broker had ended the transaction: it took longer than its timeout, or another instance took over; " +
		"look for a process that was paused; " + oneInstance},

	kerr.TopicAuthorizationFailed:           {class: ClassAuthorization, remedy: "the user may not use a topic, or it does not exist; grant WRITE on every topic, READ on the offsets topic too, CREATE where topics are to be made, and DESCRIBE_CONFIGS to check their settings"},
	kerr.TransactionalIDAuthorizationFailed: {class: ClassAuthorization, remedy: "the user may not use the transactional id; grant WRITE on TransactionalId with the prefix of KAFKA_TRANSACTIONAL_ID"},
	kerr.GroupAuthorizationFailed:           {class: ClassAuthorization, remedy: "the user may not use the consumer group; grant READ on Group for KAFKA_GROUP_ID"},
	kerr.ClusterAuthorizationFailed:         {class: ClassAuthorization, remedy: "the user may not do this to the cluster; grant CREATE, or make the topics beforehand and set KAFKA_CREATE_TOPICS=false"},

	kerr.SaslAuthenticationFailed: {class: ClassAuthentication, remedy: "the broker refused the user name or the password; check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD; with OAUTHBEARER the token and its extensions, with GSSAPI the clocks and the keytab of the broker, with AWS_MSK_IAM the role and its policy"},
	kerr.UnsupportedSaslMechanism: {class: ClassAuthentication, remedy: "the broker does not offer this mechanism; check KAFKA_SASL_MECHANISM"},
	kerr.IllegalSaslState:         {class: ClassAuthentication, remedy: "the broker did not expect SASL here; check KAFKA_SASL_MECHANISM and the port in KAFKA_BROKERS; a token in its last seconds causes it, too"},

	kerr.InvalidTransactionTimeout: {class: ClassSettings, remedy: "the broker's transaction.max.timeout.ms is below our transaction timeout; raise it"},
	kerr.InvalidRecord:             {class: ClassSettings, remedy: "the topic does not take such records; use a topic with cleanup.policy=delete, and without a broker plugin that validates records"},
	kerr.InvalidReplicationFactor:  {class: ClassSettings, remedy: "there are fewer brokers than replicas wanted; check KAFKA_REPLICATION_FACTOR"},
	kerr.InvalidPartitions:         {class: ClassSettings, remedy: "check KAFKA_PARTITIONS"},
	kerr.InvalidTopicException:     {class: ClassSettings, remedy: "Kafka does not take this topic name, or one that differs only in . and _ exists; choose another name"},
	kerr.InvalidConfig:             {class: ClassSettings, remedy: "the broker does not take one of the topic's settings, which its message names; make the topic without it"},
	kerr.PolicyViolation:           {class: ClassSettings, remedy: "a policy of the cluster forbids it; make the topic as the policy wants it and set KAFKA_CREATE_TOPICS=false"},

	kerr.UnsupportedCompressionType: {class: ClassSettings, remedy: "the broker does not take this compression; set KAFKA_COMPRESSION=gzip, or none"},
	kerr.InvalidSessionTimeout:      {class: ClassSettings, remedy: "the session of our consumer group is outside the broker's group.min.session.timeout.ms and group.max.session.timeout.ms; raise the latter to 6000 or more"},

	kerr.MessageTooLarge:    {class: ClassEvent, remedy: "a record is larger than the topic takes; raise its max.message.bytes"},
	kerr.RecordListTooLarge: {class: ClassEvent, remedy: "a batch is larger than a segment of the topic; raise its segment.bytes"},
	kerr.InvalidTimestamp:   {class: ClassEvent, remedy: "a record's time is too far from the broker's clock; check the clocks, message.timestamp.before.max.ms and message.timestamp.after.max.ms"},

	kerr.UnknownTopicOrPartition: {class: ClassTopic, remedy: "a topic does not exist, or may not be seen; make it, or grant DESCRIBE"},
	kerr.UnknownTopicID:          {class: ClassTopic, remedy: "a topic was deleted and made again while we ran; the next start says what to do"},
	kerr.InconsistentTopicID:     {class: ClassTopic, remedy: "a topic was deleted and made again while we ran; the next start says what to do"},
	kerr.TransactionAbortable: {class: ClassTopic, patience: moving,
		remedy: "the broker asks for the transaction to be aborted; a topic may have been deleted and made again; it is tried again from the committed state"},

	kerr.NotEnoughReplicas: {class: ClassUnknown, remedy: underMinISR},
	kerr.NotEnoughReplicasAfterAppend: {class: ClassUnknown,
		remedy: "a record was written and not copied: " + underMinISR},
	kerr.KafkaStorageError: {class: ClassUnknown, patience: time.Minute,
		remedy: "a broker cannot write to its disk, which may be full or broken; look at the broker's log and its log.dirs"},
	kerr.CoordinatorNotAvailable: {class: ClassUnknown, patience: moving,
		remedy: "there is no coordinator for the transactions; it is tried again; if it stays, check that all brokers are there and that __transaction_state has the replicas it needs"},
	kerr.CoordinatorLoadInProgress: {class: ClassUnknown, patience: moving,
		remedy: "the coordinator of the transactions is being loaded, as it is after a broker came or went; it is tried again"},
	kerr.NotCoordinator: {class: ClassUnknown, patience: moving,
		remedy: "the coordinator of the transactions has moved to another broker; it is tried again"},
	kerr.NotLeaderForPartition: {class: ClassUnknown, patience: moving,
		remedy: "a partition's leader has moved to another broker; it is tried again"},
	kerr.LeaderNotAvailable: {class: ClassUnknown, patience: moving,
		remedy: "a partition has no leader; a broker may be away, or have lost a disk; it is tried again, and goes on when that broker was started again"},
	kerr.RequestTimedOut: {class: ClassUnknown, patience: moving,
		remedy: "the broker had no answer in its own time; it is tried again; if it stays, look for an overloaded broker and for slow replicas"},
	kerr.OutOfOrderSequenceNumber: {class: ClassUnknown, patience: moving,
		remedy: "the broker lost track of what this producer wrote; a new one goes on from the committed state"},
	kerr.UnknownServerError:       {class: ClassUnknown, remedy: "the broker failed; look at its log; it is tried again"},
	kerr.ConcurrentTransactions:   {class: ClassUnknown, remedy: "the transaction before this one is not finished; it is tried again; if it stays, look for a partition with fewer replicas in sync than min.insync.replicas"},
	kerr.InvalidProducerIDMapping: {class: ClassUnknown, patience: moving, remedy: "the broker forgot the transactional id, as it does after transactional.id.expiration.ms without a write; a new one is asked for, and it goes on from the committed state"},
}

const (
	oneInstance = "run one instance for each organization, or set KAFKA_GROUP_ID so that they share them"
	unclear     = "what was asked may have happened or not; the state is read again before going on"
	underMinISR = "a partition has fewer replicas in sync than min.insync.replicas; check the brokers"
)

// ofBroker looks for an answer of a broker. ok is false if there is none in err.
func ofBroker(err error) (class Class, remedy string, ok bool) {
	answer, ok := errors.AsType[*kerr.Error](err)
	if !ok {
		return "", "", false
	}
	if m, known := meanings[answer]; known {
		return m.class, m.remedy, true
	}
	return ClassUnknown, unclear, true // its description is in its text already
}

// ofClient looks at errors that arose on our side of the connection.
func ofClient(err error) (Class, string) {
	if e, ok := errors.AsType[*CredentialsError](err); ok { // before what is inside: no broker is meant
		return ClassAuthentication, e.Remedy()
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return ClassAuthentication, "the certificate is signed by a CA that is not trusted here; check KAFKA_TLS_CA_FILE"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return ClassAuthentication, "the certificate is for other names than the one in KAFKA_BROKERS or in advertised.listeners; use a name that the certificate has, or have it made for this one"
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return ClassAuthentication, "the certificate is not valid; look at its dates and uses, and at the clock"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ClassAuthentication, "the certificate could not be verified; check KAFKA_TLS_CA_FILE"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		// crypto/tls reports the alert of the other side so, and its type is its own.
		return ClassAuthentication, "the broker ended the TLS handshake; it may want a client certificate: check KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return ClassAuthentication, "the broker does not speak TLS on this port; check KAFKA_TLS and the port in KAFKA_BROKERS"
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return ClassAuthentication, "a file of the settings cannot be read; check that it is there and that the process may read it"
	}
	if _, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok {
		return ClassNetwork, "the broker closed the connection at once: it may speak TLS where we do not (or the reverse), may want SASL (or refuse the password), or the connection was cut; check KAFKA_TLS, KAFKA_SASL_MECHANISM and the port in KAFKA_BROKERS"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return ClassNetwork, "the host name is not known; check KAFKA_BROKERS, and advertised.listeners of the brokers"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return ClassNetwork, "the brokers cannot be reached; check KAFKA_BROKERS, the network, and advertised.listeners of the brokers"
	}
	if _, ok := errors.AsType[*UnseenTopicsError](err); ok {
		return ClassTopic, "a broker may not get what the controllers decide: look at their logs; if DESCRIBE on the topics is missing, grant it"
	}
	// A client ends with the context it was made with, and says that it is closed.
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kgo.ErrClientClosed) {
		return ClassUnknown, "no answer came in time; check that the brokers can be reached and have their replicas in sync"
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return ClassNetwork, "the connection to a broker broke; check the network and the brokers"
	}
	if _, ok := errors.AsType[*MissingTopicsError](err); ok {
		return ClassTopic, "make the topics, or set KAFKA_CREATE_TOPICS=true"
	}
	if e, ok := errors.AsType[*SettingError](err); ok {
		return ClassSettings, "set it with: " + e.Command()
	}
	return ClassUnknown, unclear
}
