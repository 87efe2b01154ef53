package connector

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is all that a connector needs. Begin with DefaultConfig and add at least
// Organizations and Logger. Package internal/config of the program fills it from the
// environment.
//
// A Config and what it points to must not be changed after New.
type Config struct {
	// Organizations are those to read; at least one, with different names and keys.
	Organizations []Organization

	// PollInterval is the time between two reads of the head of the log; at least a
	// second. Zero is refused.
	PollInterval time.Duration

	// Lookback is how long after its effective_at an event may show up in the API and
	// still be committed within a minute; at least a minute. Zero is refused.
	Lookback time.Duration

	// DeepLookback is the same within an hour; at least Lookback. If zero, what shows up
	// later than Lookback is not looked for.
	DeepLookback time.Duration

	// VerifyEvery is how often the topic is compared with the API, for events of the last
	// VerifyWindow, and the result recorded; at least a second. If zero, it never is.
	VerifyEvery  time.Duration
	VerifyWindow time.Duration

	// VerifyRepair writes what that finds missing, exactly once.
	VerifyRepair bool

	// APIConcurrency is how many requests for history may be in flight for one
	// organization; 1 to 1000. Zero is refused.
	APIConcurrency int

	// APIRequestsPerMinute limits all requests of one organization together. If zero,
	// only the API's own limits count.
	APIRequestsPerMinute int

	// Kafka says where and how to write.
	Kafka Kafka

	// SealKey signs the checkpoints of the seal: an Ed25519 key in note form, and while
	// keys change two of them, with a space or a new line between. If not set, they are not
	// signed.
	SealKey Secret

	// Registry is the schema registry. If it has no URL, there is none, and values are
	// framed as Avro single objects.
	Registry Registry

	// Logger gets the log, without secrets and without events. Nil is refused;
	// slog.New(slog.DiscardHandler) writes nothing.
	Logger *slog.Logger

	// Telemetry receives what happens. If nil, it is dropped.
	Telemetry Telemetry

	// Registerer gets the counters of the Kafka clients, whose names begin with
	// openai_audit_kafka_. If nil, there are none. New registers them, so a second
	// connector needs another, for example of prometheus.WrapRegistererWith.
	Registerer prometheus.Registerer
}

// Organization is one audit log. Begin with DefaultOrganization and add AdminKey.
type Organization struct {
	// Name is what the organization is called in records, metrics, keys of the offsets
	// topic and transactional ids, so it must stay the same; at most 63 of a-z, 0-9, dot,
	// underscore and hyphen, the first one a letter or digit. It is not OpenAI's org- id.
	// Empty is refused.
	Name string

	// AdminKey is an OpenAI admin key with Audit Logs: Read. Not set is refused.
	AdminKey Secret

	// KeySetting is what messages call the place of AdminKey. If empty, it is
	// OPENAI_ADMIN_KEY.
	KeySetting string

	// BaseURL is that of the API, without the endpoint: https://api.openai.com/v1. Empty is
	// refused.
	BaseURL string

	// BaseURLSetting is what messages call the place of BaseURL. If empty, it is
	// OPENAI_BASE_URL.
	BaseURLSetting string

	// BackfillStart is from when history is read. If nil, only what comes is.
	BackfillStart *BackfillStart

	// BackfillSetting is what messages call the place of BackfillStart. If empty, it is
	// BACKFILL_START_TIME.
	BackfillSetting string

	// TenantEvents says whether events of the tenant scope are read. Empty is refused.
	TenantEvents TenantEvents

	// TenantEventsSetting is what messages call the place of TenantEvents. If empty, it is
	// OPENAI_TENANT_EVENTS.
	TenantEventsSetting string
}

// BackfillStart is the time from which history is read.
type BackfillStart struct {
	// Earliest reads all there is; At does not count then.
	Earliest bool

	// At is the time of the first event to read, to the second; it must not lie in the
	// future. Zero is refused, unless Earliest is set.
	At time.Time
}

// TenantEvents says whether events of the tenant scope are read.
type TenantEvents string

// The values of TenantEvents.
const (
	TenantAuto TenantEvents = "auto" // read; where the key may not, the rest goes on
	TenantOn   TenantEvents = "on"   // read; where the key may not, the organization is not ready
	TenantOff  TenantEvents = "off"  // never asked for
)

// Kafka says where and how to write.
type Kafka struct {
	// Brokers are the bootstrap servers, host or host:port; at least one. The port is
	// 9092 where there is none.
	Brokers []string

	// ClientID is what quotas and logs of the brokers call the connector. It may be empty.
	ClientID string

	// TLS is spoken if it is enabled. The zero value connects without.
	TLS TLS

	// SASL signs in to the brokers. The zero value connects without.
	SASL SASL

	// Topic gets the events. Empty is refused; so it is for the next two. No two of
	// the topics may be the same, where . and _ count as the same.
	Topic string

	// OffsetsTopic holds the cursors and the ids that were seen; compacted.
	OffsetsTopic string

	// DLQTopic gets dead letters: what could not be delivered as it is.
	DLQTopic string

	// JSONTopic gets each event as it was received too. If empty, nothing does.
	JSONTopic string

	// OCSFTopic gets each event as OCSF JSON too. If empty, nothing does.
	OCSFTopic string

	// ECSTopic gets each event as Elastic Common Schema JSON too. If empty, nothing does.
	ECSTopic string

	// Seal numbers what is written, as the leaves of a Merkle tree, and writes checkpoints of
	// it into the offsets topic. If false, nothing is sealed.
	Seal bool

	// SealTopic gets all checkpoints too. If empty, nothing does.
	SealTopic string

	// SchemaVersion is the version of the schema that is written where there is no
	// registry. If zero, the topic keeps the one that its records have, and a new topic
	// begins with the newest. With a registry it must be zero.
	SchemaVersion int

	// JSONForm is how events are written to the JSONTopic. Empty is refused.
	JSONForm JSONForm

	// CreateTopics makes topics that are missing. If false, a missing one is refused with
	// the command that makes it.
	CreateTopics bool

	// Partitions is how many topics that are made have, the offsets topic apart; 1 to
	// 10000. Zero is refused.
	Partitions int32

	// ReplicationFactor is that of topics that are made. If -1, it is the brokers'
	// default. Zero is refused.
	ReplicationFactor int16

	// Retention is how long topics that are made keep records, the offsets topic apart; to
	// the millisecond. If zero, they keep them for ever.
	Retention time.Duration

	// Compression is none, gzip, snappy, lz4 or zstd. Empty is refused.
	Compression string

	// Headers are added to every record, in this order. Their names must differ from each
	// other and from those that records have. If empty, none are added.
	Headers []Header

	// TransactionalID is the prefix of the transactional ids, <prefix>/<organization>. If
	// empty, it is the name of the offsets topic.
	TransactionalID string

	// GroupID lets connectors of the same group share the organizations and stand by for
	// each other. If empty, this one works for all of them alone.
	GroupID string

	// Timestamp says which time the records carry. Empty is refused.
	Timestamp Timestamp
}

// CopyTopics returns the fields that name the topics of copies of the events, by what
// the copy is called: json for JSONTopic.
func (k *Kafka) CopyTopics() map[string]*string {
	return map[string]*string{"json": &k.JSONTopic, "ocsf": &k.OCSFTopic, "ecs": &k.ECSTopic}
}

// Header is a static header of records. A Name is needed; an empty Value is one.
type Header struct{ Name, Value string }

// JSONForm is a form of the events of the JSONTopic.
type JSONForm string

// The values of JSONForm.
const (
	JSONRaw  JSONForm = "raw"  // the bytes as received
	JSONSafe JSONForm = "safe" // the same event as JSON that strict readers take
)

// Timestamp says which time a record carries.
type Timestamp string

// The values of Timestamp.
const (
	TimestampIngest Timestamp = "ingest" // when it was written, so retention never deletes an old event at once
	TimestampEvent  Timestamp = "event"  // the event's effective_at
)

// TLS says how to speak TLS to the brokers; it is TLS 1.2 or later, and their hosts are
// verified. The files are PEM and are read again for each connection.
type TLS struct {
	// Enabled turns TLS on. False with any of the files is refused.
	Enabled bool

	// CAFile holds the authorities of the brokers. If empty, those of the system count.
	CAFile string

	// CertFile and KeyFile are the client's certificate and its key, not encrypted; one
	// alone is refused. If empty, the client shows none.
	CertFile, KeyFile string
}

// SASL says how to sign in to the brokers. Its zero value does not.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, GSSAPI or AWS_MSK_IAM. If
	// empty, the connector does not sign in, and a credential below is refused. PLAIN and OAUTHBEARER need
	// TLS, unless the brokers are on this host.
	Mechanism string

	// Username and Password are for PLAIN and SCRAM, which need both. For GSSAPI, Username
	// is the principal, with its realm or with krb5.conf's default_realm.
	Username string
	Password Secret

	// Token is for OAUTHBEARER, which needs it or OAuth.
	Token Secret

	// OAuth is where OAUTHBEARER gets tokens in place of Token.
	OAuth OAuth

	// Extensions are sent with the token, as Confluent Cloud's logicalCluster. Their names
	// are of letters only. They may be empty.
	Extensions map[string]string

	// Kerberos is for GSSAPI.
	Kerberos Kerberos

	// AWS is for AWS_MSK_IAM.
	AWS AWS
}

// OAuth is a token endpoint, which is asked by the grant for clients. Its zero value is
// none.
type OAuth struct {
	// TokenURL is where it is; it holds no user. If empty, there is none, and the rest must
	// be empty.
	TokenURL string

	// ClientID names the client that asks; needed.
	ClientID string

	// ClientSecret and Assertion, which is a signed JWT (RFC 7523), say that it is the
	// client that asks; one of them is needed, and the other must not be set.
	ClientSecret, Assertion Secret

	// Scope and Audience are sent along. If empty, they are not.
	Scope, Audience string
}

// Kerberos says where the files of Kerberos are. They are read again for each sign-in.
type Kerberos struct {
	// KeytabFile has the keys of the principal; GSSAPI needs it.
	KeytabFile string

	// ConfigFile is krb5.conf. If empty, it is /etc/krb5.conf.
	ConfigFile string

	// Service is the name that the brokers' principals begin with. If empty, it is kafka.
	Service string
}

// AWS are the credentials of AWS_MSK_IAM. Without a key they come from the default chain
// of the AWS SDK: environment, profile, SSO, web identity, container, machine.
type AWS struct {
	// AccessKeyID and SecretAccessKey are a key; one alone is refused.
	AccessKeyID, SecretAccessKey Secret

	// SessionToken is that of a temporary key; else it is not set.
	SessionToken Secret

	// RoleARN is a role to assume with the credentials. If empty, none is.
	RoleARN string

	// Region is that of the cluster, for brokers whose names have none. It may be empty.
	Region string
}

// Registry is a schema registry with Confluent's API.
type Registry struct {
	// URL is where it is; several addresses of one registry, comma separated, are asked
	// in turn. It holds no user. If empty, there is no registry, and the rest must be empty.
	URL string

	// Username and Password are for basic authentication. If empty, there is none.
	Username string
	Password Secret

	// CAFile holds the authorities of the registry, PEM. If empty, those of the system
	// count.
	CAFile string

	// AutoRegister registers the schema. If false, nothing is written to the registry, and
	// the schema must be there.
	AutoRegister bool
}

// DefaultConfig returns the defaults of everything that has one.
func DefaultConfig() Config {
	return Config{
		PollInterval:   10 * time.Second,
		Lookback:       10 * time.Minute,
		DeepLookback:   24 * time.Hour,
		VerifyWindow:   30 * 24 * time.Hour,
		APIConcurrency: 8,
		Kafka: Kafka{
			Brokers:           []string{"localhost:9092"},
			ClientID:          "openai-audit-kafka",
			Topic:             "openai.audit.events",
			OffsetsTopic:      "openai.audit.offsets",
			DLQTopic:          "openai.audit.events.dlq",
			Seal:              true,
			CreateTopics:      true,
			Partitions:        1,
			ReplicationFactor: -1,
			Compression:       "zstd",
			Timestamp:         TimestampIngest,
			JSONForm:          JSONRaw,
		},
		Registry: Registry{AutoRegister: true},
	}
}

// DefaultOrganization returns the defaults of an organization.
func DefaultOrganization() Organization {
	return Organization{
		Name:         "default",
		BaseURL:      "https://api.openai.com/v1",
		TenantEvents: TenantAuto,
	}
}
