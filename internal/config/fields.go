package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// What a value must be, package connector says, by field. This says which variable a
// field is filled from.

var fieldVariables = map[string]string{
	"PollInterval":                   "POLL_INTERVAL",
	"Lookback":                       "LOOKBACK",
	"DeepLookback":                   "DEEP_LOOKBACK",
	"VerifyEvery":                    "VERIFY_EVERY",
	"VerifyWindow":                   "VERIFY_WINDOW",
	"VerifyRepair":                   "VERIFY_REPAIR",
	"APIConcurrency":                 "API_CONCURRENCY",
	"APIRequestsPerMinute":           "API_REQUESTS_PER_MINUTE",
	"Kafka.Brokers":                  "KAFKA_BROKERS",
	"Kafka.ClientID":                 "KAFKA_CLIENT_ID",
	"Kafka.Topic":                    "KAFKA_TOPIC",
	"Kafka.OffsetsTopic":             "KAFKA_OFFSETS_TOPIC",
	"Kafka.DLQTopic":                 "KAFKA_DLQ_TOPIC",
	"Kafka.CreateTopics":             "KAFKA_CREATE_TOPICS",
	"Kafka.Partitions":               "KAFKA_PARTITIONS",
	"Kafka.ReplicationFactor":        "KAFKA_REPLICATION_FACTOR",
	"Kafka.Retention":                "KAFKA_RETENTION",
	"Kafka.Compression":              "KAFKA_COMPRESSION",
	"Kafka.Headers":                  "KAFKA_HEADERS",
	"Kafka.TransactionalID":          "KAFKA_TRANSACTIONAL_ID",
	"Kafka.GroupID":                  "KAFKA_GROUP_ID",
	"Kafka.JSONForm":                 "KAFKA_JSON_FORM",
	"Kafka.Timestamp":                "KAFKA_TIMESTAMP",
	"Kafka.TLS.Enabled":              "KAFKA_TLS",
	"Kafka.TLS.CAFile":               "KAFKA_TLS_CA_FILE",
	"Kafka.TLS.CertFile":             "KAFKA_TLS_CERT_FILE",
	"Kafka.TLS.KeyFile":              "KAFKA_TLS_KEY_FILE",
	"Kafka.SASL.Mechanism":           "KAFKA_SASL_MECHANISM",
	"Kafka.SASL.Username":            "KAFKA_SASL_USERNAME",
	"Kafka.SASL.Password":            "KAFKA_SASL_PASSWORD",
	"Kafka.SASL.Token":               "KAFKA_SASL_TOKEN",
	"Kafka.SASL.OAuth.TokenURL":      "KAFKA_SASL_OAUTH_TOKEN_URL",
	"Kafka.SASL.OAuth.ClientID":      "KAFKA_SASL_OAUTH_CLIENT_ID",
	"Kafka.SASL.OAuth.ClientSecret":  "KAFKA_SASL_OAUTH_CLIENT_SECRET",
	"Kafka.SASL.OAuth.Assertion":     "KAFKA_SASL_OAUTH_ASSERTION_FILE",
	"Kafka.SASL.OAuth.Scope":         "KAFKA_SASL_OAUTH_SCOPE",
	"Kafka.SASL.OAuth.Audience":      "KAFKA_SASL_OAUTH_AUDIENCE",
	"Kafka.SASL.Extensions":          "KAFKA_SASL_OAUTH_EXTENSIONS",
	"Kafka.SASL.Kerberos.KeytabFile": "KAFKA_SASL_KERBEROS_KEYTAB_FILE",
	"Kafka.SASL.Kerberos.ConfigFile": "KAFKA_SASL_KERBEROS_CONFIG_FILE",
	"Kafka.SASL.Kerberos.Service":    "KAFKA_SASL_KERBEROS_SERVICE",
	"Kafka.SASL.AWS.AccessKeyID":     "AWS_ACCESS_KEY_ID",
	"Kafka.SASL.AWS.SecretAccessKey": "AWS_SECRET_ACCESS_KEY",
	"Kafka.SASL.AWS.SessionToken":    "AWS_SESSION_TOKEN",
	"Kafka.SASL.AWS.RoleARN":         "KAFKA_SASL_AWS_ROLE_ARN",
	"Kafka.SASL.AWS.Region":          "AWS_REGION",
	"Kafka.SchemaVersion":            "SCHEMA_VERSION",
	"Registry.URL":                   "SCHEMA_REGISTRY_URL",
	"Registry.Username":              "SCHEMA_REGISTRY_USERNAME",
	"Registry.Password":              "SCHEMA_REGISTRY_PASSWORD",
	"Registry.CAFile":                "SCHEMA_REGISTRY_TLS_CA_FILE",
	"Registry.AutoRegister":          "SCHEMA_REGISTRY_AUTO_REGISTER",
}

// fieldVariable returns the variable of a field.
func fieldVariable(field string) string {
	for _, c := range codec.Copies() {
		if c.Field() == field {
			return c.Setting()
		}
	}
	return fieldVariables[field]
}

// variable returns the variable of a field of an organization.
func (v variables) variable(field string) string {
	return map[string]string{
		"Name": v.name, "AdminKey": v.key, "BaseURL": v.baseURL, "BackfillStart": v.backfill, "TenantEvents": v.tenantEvents,
	}[field]
}

// variable returns the variable that a field was filled from: of several organizations
// the general one, where one has none of its own.
func (e *environment) variable(field string) string {
	var n int
	var of string
	if _, err := fmt.Sscanf(field, "Organizations[%d].%s", &n, &of); err != nil {
		return fieldVariable(field)
	}
	numbers := e.numbers()
	if len(numbers) == 0 {
		return single.variable(of)
	}
	name := numbered(numbers[n]).variable(of)
	if of != "Name" && of != "AdminKey" && !e.isSet(name) {
		return single.variable(of)
	}
	return name
}

// check notes what package connector finds wrong with the settings.
func (e *environment) check(c connector.Config, opts Options) {
	if len(e.numbers()) > 0 { // what is given for all is checked, though none may use it
		general := connector.DefaultOrganization()
		e.fill(&general, single, opts)
		e.note(general.Validate(), single.variable, func(field string) bool { return field != "AdminKey" })
	}
	c.Logger = slog.New(slog.DiscardHandler) // the caller's comes later
	e.note(c.Validate(), e.variable, func(field string) bool {
		return !opts.WithoutKey || !strings.HasSuffix(field, ".AdminKey") || e.isGiven(e.variable(field))
	})
}

// isGiven reports whether a secret is set, as it is or by its file.
func (e *environment) isGiven(variable string) bool {
	return e.isSet(variable) || e.isSet(variable+FileSuffix)
}

// note takes over the errors of the fields that matter, under the names of their
// variables.
func (e *environment) note(err error, variable func(field string) string, matters func(field string) bool) {
	wrong, _ := errors.AsType[connector.ConfigError](err)
	known := e.faults
	for _, field := range wrong {
		name := variable(field.Field)
		if field.File != "" && isSecretName(name) {
			name += FileSuffix
		}
		// A value that could not be read is a fault already, and the field has its default.
		if !matters(field.Field) || e.isSet(name) && known.has(name) {
			continue
		}
		fault := field.Rename(func(other string) string {
			of := variable(other)
			if isSecretName(of) && !e.isSet(of) && e.isSet(of+FileSuffix) {
				return of + FileSuffix
			}
			return of
		})
		remedy := e.remedy(name, fault)
		if isSecretName(strings.TrimSuffix(name, FileSuffix)) && field.Err == nil {
			e.hiddenFault(name, fault.Problem, remedy)
			continue
		}
		e.fault(name, fault.Problem, remedy)
		e.faults[len(e.faults)-1].absent = errors.Is(field.Err, fs.ErrNotExist) || errors.Is(field.Err, connector.ErrEmptySecret)
	}
}

// remedy adds to that of an error what only the text of a variable shows.
func (e *environment) remedy(name string, field *connector.FieldError) string {
	meant := ""
	if name == "KAFKA_BROKERS" {
		meant = meantBrokers(e.vars[name])
	}
	switch {
	case meant != "":
		return "did you mean " + meant + "? TLS and signing in are KAFKA_TLS and KAFKA_SASL_MECHANISM"
	case strings.HasSuffix(name, "ADMIN_KEY") && !e.isGiven(name):
		return field.Remedy + ", or the path of a file with it in " + name + FileSuffix
	}
	return field.Remedy
}
