package connector

import (
	"log/slog"
	"time"
)

// Config is all that the connector needs. Package internal/config fills it from
// the environment; DefaultConfig has the defaults.
type Config struct {
	// Organizations are those to read; at least one, with different names.
	Organizations []Organization
	// PollInterval is the time between reads of the head of the log, at least 1s.
	PollInterval time.Duration
	// Lookback is how late an event may show up and still be committed within a
	// minute; at least 1m.
	Lookback time.Duration
	// DeepLookback is the same within an hour; 0 turns it off, else at least
	// Lookback.
	DeepLookback time.Duration
	// APIConcurrency is the most history requests in flight an organization.
	APIConcurrency int
	// APIRequestsPerMinute limits all requests of an organization; 0: no limit.
	APIRequestsPerMinute int
	// Kafka is where to write.
	Kafka Kafka
	// Registry is the schema registry; the zero value means none, and values
	// framed as Avro single objects.
	Registry Registry
	// Logger gets the log; required.
	Logger *slog.Logger
	// Telemetry gets what is measured; nil measures nothing.
	Telemetry Telemetry
}

// Organization is one audit log.
type Organization struct {
	// Name is in records, metrics, keys and transactional ids:
	// [a-z0-9][a-z0-9._-]{0,62}.
	Name string
	// AdminKey is an OpenAI admin key with Audit Logs: Read.
	AdminKey Secret
	// KeySetting is the name of the setting that gives it, for messages; empty:
	// OPENAI_ADMIN_KEY.
	KeySetting string
	// BaseURL is the API's, for example https://api.openai.com/v1.
	BaseURL string
	// BaseURLSetting is the name of the setting that gives it, for messages; empty:
	// OPENAI_BASE_URL.
	BaseURLSetting string
	// BackfillStart is from when to read history; nil: only what comes.
	BackfillStart *BackfillStart
	// TenantEvents says whether the tenant scope is read.
	TenantEvents TenantEvents
}

// BackfillStart is the time from which history is read: At, or, if Earliest, the
// time of the first event the API lists.
type BackfillStart struct {
	Earliest bool
	At       time.Time
}

// TenantEvents says whether events of the tenant scope are read.
type TenantEvents string

// The values of TenantEvents.
const (
	TenantAuto TenantEvents = "auto" // if the key may; else the rest goes on
	TenantOn   TenantEvents = "on"   // if the key may not, it is not ready
	TenantOff  TenantEvents = "off"  // never asked
)

// Kafka says where and how to write.
type Kafka struct {
	Brokers  []string // host:port
	ClientID string
	TLS      TLS
	SASL     SASL

	Topic        string
	OffsetsTopic string
	DLQTopic     string
	JSONTopic    string // empty: none
	OCSFTopic    string // empty: none

	// CreateTopics creates missing topics; else a missing one is an error.
	CreateTopics bool
	// Partitions is that of created topics, the offsets topic's apart.
	Partitions int32
	// ReplicationFactor of created topics; -1: the broker's default.
	ReplicationFactor int16
	// Retention of created topics, the offsets topic's apart; 0: unlimited.
	Retention time.Duration

	// Compression is none, gzip, snappy, lz4 or zstd.
	Compression string
	// Headers are added to every record, in this order.
	Headers []Header
	// TransactionalID is the prefix of the transactional ids; empty: the name of
	// the offsets topic.
	TransactionalID string
	// GroupID, if set, lets instances of the same group share the organizations.
	GroupID string
	// Timestamp says which time the records carry.
	Timestamp Timestamp
}

// Header is a static record header.
type Header struct{ Name, Value string }

// Timestamp says which time a record carries.
type Timestamp string

// The values of Timestamp.
const (
	TimestampIngest Timestamp = "ingest" // the time of writing
	TimestampEvent  Timestamp = "event"  // effective_at
)

// TLS says how to reach the brokers. The files are read for each connection.
type TLS struct {
	Enabled  bool
	CAFile   string // empty: the system's
	CertFile string // with KeyFile: mutual TLS
	KeyFile  string
}

// SASL says who we are to the brokers.
type SASL struct {
	// Mechanism is empty for none, or PLAIN, SCRAM-SHA-256, SCRAM-SHA-512,
	// OAUTHBEARER or AWS_MSK_IAM.
	Mechanism string
	Username  string
	Password  Secret
	Token     Secret // OAUTHBEARER
	OAuth     OAuth  // gets one in place of Token
	// Extensions are sent with the token, as Confluent Cloud's logicalCluster.
	Extensions map[string]string
	AWS        AWS // AWS_MSK_IAM
}

// OAuth is a token endpoint, which is asked by the grant for clients.
type OAuth struct {
	TokenURL     string // empty: none
	ClientID     string
	ClientSecret Secret
	Assertion    Secret // a signed JWT in place of the secret
	Scope        string
	Audience     string
}

// AWS are the credentials of AWS_MSK_IAM. Without a key, the default chain of the AWS SDK
// looks for them: environment, profile, SSO, web identity, container, machine.
type AWS struct {
	AccessKeyID     Secret
	SecretAccessKey Secret
	SessionToken    Secret // optional
	RoleARN         string // a role to assume with them; empty: none
	Region          string // where the broker's name has none
}

// Registry is a schema registry with Confluent's API.
type Registry struct {
	URL          string // empty: none
	Username     string
	Password     Secret
	CAFile       string
	AutoRegister bool
}

// DefaultConfig returns the defaults of everything that has one.
func DefaultConfig() Config {
	return Config{
		PollInterval:   10 * time.Second,
		Lookback:       10 * time.Minute,
		DeepLookback:   24 * time.Hour,
		APIConcurrency: 8,
		Kafka: Kafka{
			Brokers:           []string{"localhost:9092"},
			ClientID:          "openai-audit-kafka",
			Topic:             "openai.audit.events",
			OffsetsTopic:      "openai.audit.offsets",
			DLQTopic:          "openai.audit.events.dlq",
			CreateTopics:      true,
			Partitions:        1,
			ReplicationFactor: -1,
			Compression:       "zstd",
			Timestamp:         TimestampIngest,
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
