package connector

import (
	"log/slog"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// Target returns where the events of the organization of that name go. It is for the
// program's other commands, which look at the same topics. Since `check`, `verify` and the
// rest build it here too, none of them can look at other topics, or with other settings,
// than the connector writes with.
//
// Secrets go in as functions, and are read at each new connection: one that is replaced in
// its file is used without a restart.
func (c Config) Target(organization string, log *slog.Logger) target.Target {
	k := c.Kafka
	headers := make([]kafka.Header, len(k.Headers))
	for i, h := range k.Headers {
		headers[i] = kafka.Header{Key: h.Name, Value: []byte(h.Value)}
	}
	copies := map[string]string{}
	for name, topic := range k.CopyTopics() {
		copies[name] = *topic
	}
	return target.Target{
		Organization: organization,
		Connection:   k.connection(log),
		Topics:       target.Topics{Events: k.Topic, DLQ: k.DLQTopic, Offsets: k.OffsetsTopic, Seal: k.sealTopic(), Copies: copies},
		Making: target.Making{
			Allowed: k.CreateTopics, Partitions: k.Partitions, Replication: k.ReplicationFactor, Retention: k.Retention,
		},
		IDPrefix: k.TransactionalID,
		Registry: codec.RegistryConfig{
			URL: c.Registry.URL, Username: c.Registry.Username, Password: c.Registry.Password.Read, CAFile: c.Registry.CAFile,
			AutoRegister: c.Registry.AutoRegister, Subject: schemas.Subject(k.Topic),
		},
		Headers:   headers,
		EventTime: k.Timestamp == TimestampEvent,
		SafeJSON:  k.JSONForm == JSONSafe,

		SealKey:       c.SealKey.Read,
		SchemaVersion: c.Kafka.SchemaVersion,
		Compression:   k.Compression,
		Logger:        log,
	}
}

// Account returns how the log of an organization is asked for. It too is for the program's
// other commands. A key that is not set stays nil: `check` then says so, and a command that
// needs none does not fail for the lack of it.
func (c Config) Account(org Organization) openai.Account {
	a := openai.Account{
		BaseURL:           org.BaseURL,
		KeySetting:        org.KeySetting,
		BaseURLSetting:    org.BaseURLSetting,
		Concurrency:       c.APIConcurrency,
		RequestsPerMinute: c.APIRequestsPerMinute,
	}
	if org.AdminKey.IsSet() {
		a.Key = org.AdminKey.Read
	}
	return a
}

// sealTopic is the topic of checkpoints, where there are any.
func (k Kafka) sealTopic() string {
	if !k.Seal {
		return ""
	}
	return k.SealTopic
}

// connection returns how to reach the brokers.
func (k Kafka) connection(log *slog.Logger) kafka.Connection {
	return kafka.Connection{
		Brokers:  k.Brokers,
		ClientID: k.ClientID,
		TLS:      kafka.TLS(k.TLS),
		SASL: kafka.SASL{
			Mechanism:  k.SASL.Mechanism,
			Username:   k.SASL.Username,
			Password:   k.SASL.Password.Read,
			Token:      k.SASL.Token.Read,
			Extensions: k.SASL.Extensions,
			OAuth: &kafka.OAuth{
				TokenURL: k.SASL.OAuth.TokenURL, ClientID: k.SASL.OAuth.ClientID, Scope: k.SASL.OAuth.Scope, Audience: k.SASL.OAuth.Audience,
				ClientSecret: k.SASL.OAuth.ClientSecret.Read, Assertion: k.SASL.OAuth.Assertion.Read,
			},
			Kerberos: kafka.Kerberos(k.SASL.Kerberos),
			AWS: &kafka.AWS{
				AccessKeyID:     k.SASL.AWS.AccessKeyID.Read,
				SecretAccessKey: k.SASL.AWS.SecretAccessKey.Read,
				SessionToken:    k.SASL.AWS.SessionToken.Read,
				RoleARN:         k.SASL.AWS.RoleARN,
				Region:          k.SASL.AWS.Region,
			},
		},
		Logger: log,
	}
}
