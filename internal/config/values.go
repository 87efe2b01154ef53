package config

import (
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// values are the settings that are no secrets, as package env fills them. The
// defaults come from connector.DefaultConfig.
type values struct {
	PollInterval         duration `env:"POLL_INTERVAL"`
	Lookback             duration `env:"LOOKBACK"`
	DeepLookback         duration `env:"DEEP_LOOKBACK"`
	VerifyEvery          orOff    `env:"VERIFY_EVERY"`
	VerifyWindow         duration `env:"VERIFY_WINDOW"`
	VerifyRepair         flag     `env:"VERIFY_REPAIR"`
	APIConcurrency       number   `env:"API_CONCURRENCY"`
	APIRequestsPerMinute number   `env:"API_REQUESTS_PER_MINUTE"`

	Brokers         list   `env:"KAFKA_BROKERS"`
	Topic           string `env:"KAFKA_TOPIC"`
	OffsetsTopic    string `env:"KAFKA_OFFSETS_TOPIC"`
	DLQTopic        string `env:"KAFKA_DLQ_TOPIC"`
	Seal            onOff  `env:"KAFKA_SEAL"`
	SealTopic       string `env:"KAFKA_SEAL_TOPIC"`
	CreateTopics    flag   `env:"KAFKA_CREATE_TOPICS"`
	Partitions      number `env:"KAFKA_PARTITIONS"`
	Replication     number `env:"KAFKA_REPLICATION_FACTOR"`
	ClientID        string `env:"KAFKA_CLIENT_ID"`
	Retention       string `env:"KAFKA_RETENTION"`
	Compression     string `env:"KAFKA_COMPRESSION"`
	Headers         pairs  `env:"KAFKA_HEADERS"`
	TransactionalID string `env:"KAFKA_TRANSACTIONAL_ID"`
	GroupID         string `env:"KAFKA_GROUP_ID"`
	JSONForm        string `env:"KAFKA_JSON_FORM"`
	Timestamp       string `env:"KAFKA_TIMESTAMP"`
	TLS             flag   `env:"KAFKA_TLS"`
	SASLMechanism   string `env:"KAFKA_SASL_MECHANISM"`
	SASLUsername    string `env:"KAFKA_SASL_USERNAME"`
	SASLExtensions  pairs  `env:"KAFKA_SASL_OAUTH_EXTENSIONS"`
	OAuthURL        string `env:"KAFKA_SASL_OAUTH_TOKEN_URL"`
	OAuthClient     string `env:"KAFKA_SASL_OAUTH_CLIENT_ID"`
	OAuthScope      string `env:"KAFKA_SASL_OAUTH_SCOPE"`
	OAuthAudience   string `env:"KAFKA_SASL_OAUTH_AUDIENCE"`
	KerberosService string `env:"KAFKA_SASL_KERBEROS_SERVICE"`
	AWSRole         string `env:"KAFKA_SASL_AWS_ROLE_ARN"`
	AWSRegion       string `env:"AWS_REGION"`

	RegistryURL      string `env:"SCHEMA_REGISTRY_URL"`
	RegistryUsername string `env:"SCHEMA_REGISTRY_USERNAME"`
	AutoRegister     flag   `env:"SCHEMA_REGISTRY_AUTO_REGISTER"`
	SchemaVersion    number `env:"SCHEMA_VERSION"`

	SecretsWait    duration `env:"SECRETS_WAIT"`
	HTTPAddr       string   `env:"HTTP_ADDR"`
	HTTPShowEvents flag     `env:"HTTP_SHOW_EVENTS"`
	LogLevel       string   `env:"LOG_LEVEL"`
	LogFormat      string   `env:"LOG_FORMAT"`
}

func defaultValues() values {
	c := connector.DefaultConfig()
	return values{
		PollInterval:   duration(c.PollInterval),
		Lookback:       duration(c.Lookback),
		DeepLookback:   duration(c.DeepLookback),
		VerifyWindow:   duration(c.VerifyWindow),
		APIConcurrency: number(c.APIConcurrency),
		Brokers:        c.Kafka.Brokers,
		Topic:          c.Kafka.Topic,
		OffsetsTopic:   c.Kafka.OffsetsTopic,
		DLQTopic:       c.Kafka.DLQTopic,
		Seal:           onOff(c.Kafka.Seal),
		CreateTopics:   flag(c.Kafka.CreateTopics),
		Partitions:     number(c.Kafka.Partitions),
		Replication:    number(c.Kafka.ReplicationFactor),
		ClientID:       c.Kafka.ClientID,
		Retention:      "unlimited",
		Compression:    c.Kafka.Compression,
		JSONForm:       string(c.Kafka.JSONForm),
		Timestamp:      string(c.Kafka.Timestamp),
		AutoRegister:   flag(c.Registry.AutoRegister),
		HTTPAddr:       "127.0.0.1:8080",
		LogLevel:       "info",
		LogFormat:      "auto",
	}
}

// fitting returns n, or refused where n does not fit, or is one that package connector
// takes for "not set": a value that its Validate refuses.
func fitting[T int | int16 | int32](n number, refused T) T {
	if fit := T(n); n > 0 && number(fit) == n {
		return fit
	}
	return refused
}

// apply copies what needs no further thought.
func (e *environment) apply(v values, c *connector.Config) {
	c.PollInterval = time.Duration(v.PollInterval)
	c.Lookback = time.Duration(v.Lookback)
	c.DeepLookback = time.Duration(v.DeepLookback)
	c.VerifyEvery, c.VerifyWindow, c.VerifyRepair = time.Duration(v.VerifyEvery), time.Duration(v.VerifyWindow), bool(v.VerifyRepair)
	c.APIConcurrency = fitting(v.APIConcurrency, 0)
	if e.isSet("API_REQUESTS_PER_MINUTE") {
		c.APIRequestsPerMinute = fitting(v.APIRequestsPerMinute, -1)
	}
	c.Kafka.Brokers = v.Brokers
	c.Kafka.Topic, c.Kafka.OffsetsTopic, c.Kafka.DLQTopic = v.Topic, v.OffsetsTopic, v.DLQTopic
	for _, form := range codec.Copies() {
		*c.Kafka.CopyTopics()[form.Name] = e.vars[form.Setting()]
	}
	c.Kafka.Seal, c.Kafka.SealTopic, c.SealKey = bool(v.Seal), v.SealTopic, e.secret("SEAL_KEY")
	c.Kafka.CreateTopics = bool(v.CreateTopics)
	c.Kafka.Partitions = fitting[int32](v.Partitions, 0)
	if e.isSet("KAFKA_REPLICATION_FACTOR") {
		c.Kafka.ReplicationFactor = fitting[int16](v.Replication, 0)
	}
	c.Kafka.ClientID = v.ClientID
	c.Kafka.Compression = v.Compression
	c.Kafka.TransactionalID, c.Kafka.GroupID = v.TransactionalID, v.GroupID
	c.Kafka.JSONForm = connector.JSONForm(v.JSONForm)
	c.Kafka.Timestamp = connector.Timestamp(v.Timestamp)
	for _, h := range v.Headers {
		c.Kafka.Headers = append(c.Kafka.Headers, connector.Header{Name: h[0], Value: h[1]})
	}
	if e.isSet("SCHEMA_VERSION") {
		c.Kafka.SchemaVersion = fitting(v.SchemaVersion, -1)
	}
	c.Registry.Username = v.RegistryUsername
	c.Registry.AutoRegister = bool(v.AutoRegister)
}
