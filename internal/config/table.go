package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// Setting is one environment variable.
type Setting struct {
	Name    string
	Default string // as it would be set; empty: unset
	// Absent says what an unset variable means where Default is empty.
	Absent string
	// field of connector.Config that it fills; empty: none, or one of an organization.
	field string
	// Meaning is for people, in Markdown.
	Meaning string
	// Secret says that the value is never shown, and that it may be given as the
	// path of a file, in Name + "_FILE".
	Secret bool
}

// FileSuffix turns a secret's variable into the one that names a file with it.
const FileSuffix = "_FILE"

// Table lists every setting that has one name; those of several organizations
// are in OrganizationTable. It is in the order in which people want to read it.
func Table() []Setting { return slices.Clone(table) }

// OrganizationTable lists what may be given for each of several organizations,
// as ORGANIZATIONS_<n>_ and the name.
func OrganizationTable() []Setting { return slices.Clone(organizationTable) }

var table = slices.Concat(before, copies(), after)

// copies are the settings of the copies of the events.
func copies() (settings []Setting) {
	for _, c := range codec.Copies() {
		settings = append(settings, Setting{Name: c.Setting(), Absent: "none",
			Meaning: "If set, the event " + c.Form + " also goes here, in the same transaction."})
	}
	return settings
}

// before and after are the settings that come before and after those of copies.
var before = []Setting{
	{Name: "OPENAI_ADMIN_KEY", Secret: true, Absent: "required",
		Meaning: "Admin key with *Audit Logs: Read*. A file is read again when it changes, so a key can be rotated without a restart."},
	{Name: "OPENAI_BASE_URL", Default: "https://api.openai.com/v1",
		Meaning: "Regional hosts, proxies, tests. `HTTPS_PROXY` works as usual."},
	{Name: "ORGANIZATION_NAME", Default: "default",
		Meaning: "Name of the organization in records, metrics, cursor keys and transactional ids: `[a-z0-9][a-z0-9._-]{0,62}`. Not OpenAI's `org-…` id."},
	{Name: "OPENAI_TENANT_EVENTS", Default: "auto",
		Meaning: "`auto`: read tenant events, and if the key may not, say so and go on with the rest. `on`: then it is not ready. `off`: never asked."},
	{Name: "BACKFILL_START_TIME", Absent: "no history",
		Meaning: "Read history from this time: RFC 3339, a date, Unix seconds, an age (`36h`, `30d`), or `earliest`. Set earlier later on, it adds that history; later or unset again, it changes nothing."},
	{Name: "POLL_INTERVAL", field: "PollInterval", Default: "10s",
		Meaning: "How often the head of the log is read; at least `1s`."},
	{Name: "LOOKBACK", field: "Lookback", Default: "10m",
		Meaning: "An event that shows up at most this long after its `effective_at` is committed within a minute; at least `1m`."},
	{Name: "DEEP_LOOKBACK", field: "DeepLookback", Default: "24h",
		Meaning: "The same within an hour. `0` turns it off."},
	{Name: "VERIFY_EVERY", field: "VerifyEvery", Default: "off",
		Meaning: "How often the connector compares the topic with the API by itself, behind all else, and records the result; `24h` is a good value. It needs 40 bytes of memory for each event of `VERIFY_WINDOW` while it works."},
	{Name: "VERIFY_WINDOW", field: "VerifyWindow", Default: "30d",
		Meaning: "How far back that comparison goes."},
	{Name: "VERIFY_REPAIR", field: "VerifyRepair", Default: "false",
		Meaning: "Write what that finds missing, exactly once; so what shows up later than `DEEP_LOOKBACK` comes too. It needs the right to the transactional id `<KAFKA_TRANSACTIONAL_ID>/<organization>/repair`."},
	{Name: "API_CONCURRENCY", field: "APIConcurrency", Default: "8",
		Meaning: "Most history requests in flight for an organization; fewer while the API answers 429."},
	{Name: "API_REQUESTS_PER_MINUTE", field: "APIRequestsPerMinute", Absent: "no limit",
		Meaning: "Upper limit for all requests of an organization together."},
	{Name: "KAFKA_BROKERS", field: "Kafka.Brokers", Default: "localhost:9092",
		Meaning: "Bootstrap servers, comma separated."},
	{Name: "KAFKA_TOPIC", field: "Kafka.Topic", Default: "openai.audit.events",
		Meaning: "The events."},
	{Name: "KAFKA_OFFSETS_TOPIC", field: "Kafka.OffsetsTopic", Default: "openai.audit.offsets",
		Meaning: "Cursors and seen ids; compacted."},
	{Name: "KAFKA_DLQ_TOPIC", field: "Kafka.DLQTopic", Default: "openai.audit.events.dlq",
		Meaning: "Dead letters: what could not be delivered as it is."},
}

var after = []Setting{
	{Name: "KAFKA_JSON_FORM", field: "Kafka.JSONForm", Default: "raw",
		Meaning: "Of the events in `KAFKA_JSON_TOPIC`. `raw`: the bytes as received. `safe`: the same event as JSON that strict readers take, on one line (see docs/consuming.md)."},
	{Name: "KAFKA_SEAL", field: "Kafka.Seal", Default: "on",
		Meaning: "`on`: what is written is numbered (header `audit_seq`) and sealed: checkpoints in the offsets topic say what was written, so that anyone can check that nothing was removed or changed (see docs/proof.md). `off`: not."},
	{Name: "KAFKA_SEAL_TOPIC", field: "Kafka.SealTopic", Absent: "none",
		Meaning: "If set, all checkpoints of the seal also go here, in the same transactions."},
	{Name: "SEAL_KEY", field: "SealKey", Secret: true, Absent: "checkpoints are not signed",
		Meaning: "Signs the checkpoints: the private key that `seal keygen` prints. While keys change two of them, with a space between."},
	{Name: "KAFKA_CREATE_TOPICS", field: "Kafka.CreateTopics", Default: "true",
		Meaning: "Create missing topics with the right settings; where a policy of the cluster refuses them, with those that it takes, and a warning (see docs/brokers.md). `false`: fail with the command that creates them."},
	{Name: "KAFKA_PARTITIONS", field: "Kafka.Partitions", Default: "1",
		Meaning: "Of topics created, the offsets topic apart."},
	{Name: "KAFKA_REPLICATION_FACTOR", field: "Kafka.ReplicationFactor", Absent: "the broker's",
		Meaning: "Of topics created. From 3 on they also get `min.insync.replicas=2` and no unclean election."},
	{Name: "KAFKA_CLIENT_ID", field: "Kafka.ClientID", Default: "openai-audit-kafka",
		Meaning: "For quotas and broker logs."},
	{Name: "KAFKA_RETENTION", field: "Kafka.Retention", Default: "unlimited",
		Meaning: "`retention.ms` of the topics created, the offsets topic apart: `90d`, `unlimited`."},
	{Name: "KAFKA_COMPRESSION", field: "Kafka.Compression", Default: "zstd",
		Meaning: "`none`, `gzip`, `snappy`, `lz4` or `zstd`. Event Hubs takes only the first two."},
	{Name: "KAFKA_HEADERS", field: "Kafka.Headers", Absent: "none",
		Meaning: "Static record headers: `name=value,...`"},
	{Name: "KAFKA_TRANSACTIONAL_ID", field: "Kafka.TransactionalID", Absent: "the name of the offsets topic",
		Meaning: "Prefix of the transactional ids, `<prefix>/<organization>`."},
	{Name: "KAFKA_GROUP_ID", field: "Kafka.GroupID", Absent: "one instance",
		Meaning: "If set, instances of the same group share the organizations and stand by for each other."},
	{Name: "KAFKA_TIMESTAMP", field: "Kafka.Timestamp", Default: "ingest",
		Meaning: "Record timestamp. `ingest`: time of writing, so that retention never deletes an event because it is old. `event`: its `effective_at`."},
	{Name: "KAFKA_TLS", field: "Kafka.TLS.Enabled", Default: "false",
		Meaning: "TLS 1.2 or later, host verified. Any of the three files implies `true`."},
	{Name: "KAFKA_TLS_CA_FILE", field: "Kafka.TLS.CAFile", Absent: "the system's CAs",
		Meaning: "CA of the brokers, PEM. This and the next two are read again for each new connection."},
	{Name: "KAFKA_TLS_CERT_FILE", field: "Kafka.TLS.CertFile", Absent: "none", Meaning: "Client certificate, PEM."},
	{Name: "KAFKA_TLS_KEY_FILE", field: "Kafka.TLS.KeyFile", Absent: "none", Meaning: "Its key, PEM."},
	{Name: "KAFKA_SASL_MECHANISM", field: "Kafka.SASL.Mechanism", Absent: "none",
		Meaning: "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER`, `GSSAPI` or `AWS_MSK_IAM`. `PLAIN` and `OAUTHBEARER` need TLS unless the brokers are on loopback; SCRAM and `GSSAPI` without it are a warning there."},
	{Name: "KAFKA_SASL_USERNAME", field: "Kafka.SASL.Username", Absent: "none", Meaning: "For `PLAIN` and SCRAM; for `GSSAPI` the principal, `name@REALM`."},
	{Name: "KAFKA_SASL_PASSWORD", field: "Kafka.SASL.Password", Secret: true, Absent: "none", Meaning: "For `PLAIN` and SCRAM."},
	{Name: "KAFKA_SASL_TOKEN", field: "Kafka.SASL.Token", Secret: true, Absent: "none", Meaning: "For `OAUTHBEARER`, where something else gets the tokens. A file is read again for each sign-in."},
	{Name: "KAFKA_SASL_OAUTH_TOKEN_URL", field: "Kafka.SASL.OAuth.TokenURL", Absent: "none",
		Meaning: "For `OAUTHBEARER`: the token endpoint, asked with the grant `client_credentials`. A token is replaced when a fifth of its time is left. Then `KAFKA_SASL_TOKEN` is left out."},
	{Name: "KAFKA_SASL_OAUTH_CLIENT_ID", field: "Kafka.SASL.OAuth.ClientID", Absent: "none", Meaning: "For the token endpoint."},
	{Name: "KAFKA_SASL_OAUTH_CLIENT_SECRET", field: "Kafka.SASL.OAuth.ClientSecret", Secret: true, Absent: "none", Meaning: "For the token endpoint."},
	{Name: "KAFKA_SASL_OAUTH_ASSERTION_FILE", field: "Kafka.SASL.OAuth.Assertion", Absent: "none",
		Meaning: "In place of the client's secret: a file with a signed JWT (RFC 7523), as a workload identity has it. It is read again for each token."},
	{Name: "KAFKA_SASL_OAUTH_SCOPE", field: "Kafka.SASL.OAuth.Scope", Absent: "none", Meaning: "For the token endpoint; several with blanks between them."},
	{Name: "KAFKA_SASL_OAUTH_AUDIENCE", field: "Kafka.SASL.OAuth.Audience", Absent: "none", Meaning: "For the token endpoint, where it wants one."},
	{Name: "KAFKA_SASL_OAUTH_EXTENSIONS", field: "Kafka.SASL.Extensions", Absent: "none",
		Meaning: "Sent with the token of `OAUTHBEARER`: `name=value,...`, as Confluent Cloud's `logicalCluster` and `identityPoolId`."},
	{Name: "KAFKA_SASL_KERBEROS_KEYTAB_FILE", field: "Kafka.SASL.Kerberos.KeytabFile", Absent: "none",
		Meaning: "For `GSSAPI`: the keytab of the principal. It is read again for each sign-in."},
	{Name: "KAFKA_SASL_KERBEROS_CONFIG_FILE", field: "Kafka.SASL.Kerberos.ConfigFile", Absent: "`/etc/krb5.conf`",
		Meaning: "For `GSSAPI`: krb5.conf, with the KDCs of the realm. `include` and `includedir` in it are not followed."},
	{Name: "KAFKA_SASL_KERBEROS_SERVICE", field: "Kafka.SASL.Kerberos.Service", Absent: "`kafka`",
		Meaning: "For `GSSAPI`: what the brokers' principals begin with, as in `kafka/broker.example@REALM`."},
	{Name: "AWS_ACCESS_KEY_ID", field: "Kafka.SASL.AWS.AccessKeyID", Secret: true, Absent: "the AWS SDK's default chain",
		Meaning: "For `AWS_MSK_IAM`. Without a key, credentials come from where the AWS SDK looks: a profile, SSO, IRSA, EKS Pod Identity, ECS, the role of the machine (see docs/brokers.md)."},
	{Name: "AWS_SECRET_ACCESS_KEY", field: "Kafka.SASL.AWS.SecretAccessKey", Secret: true, Absent: "the same", Meaning: "For `AWS_MSK_IAM`, with `AWS_ACCESS_KEY_ID`."},
	{Name: "AWS_SESSION_TOKEN", field: "Kafka.SASL.AWS.SessionToken", Secret: true, Absent: "none", Meaning: "For `AWS_MSK_IAM`, where the key has one."},
	{Name: "KAFKA_SASL_AWS_ROLE_ARN", field: "Kafka.SASL.AWS.RoleARN", Absent: "none", Meaning: "For `AWS_MSK_IAM`: a role to assume with those credentials."},
	{Name: "AWS_REGION", field: "Kafka.SASL.AWS.Region", Absent: "that of the broker's name", Meaning: "For `AWS_MSK_IAM`, where the broker's name has no region, as behind PrivateLink."},
	{Name: "SCHEMA_REGISTRY_URL", field: "Registry.URL", Absent: "none",
		Meaning: "Set: Confluent framing, subject `<topic>-value`. Unset: Avro single-object encoding. Several addresses of one registry, comma separated, are asked in turn; a context is a path, `https://host/contexts/.prod`."},
	{Name: "SCHEMA_REGISTRY_USERNAME", field: "Registry.Username", Absent: "none", Meaning: "For basic authentication."},
	{Name: "SCHEMA_REGISTRY_PASSWORD", field: "Registry.Password", Secret: true, Absent: "none", Meaning: "For basic authentication."},
	{Name: "SCHEMA_REGISTRY_TLS_CA_FILE", field: "Registry.CAFile", Absent: "the system's CAs", Meaning: "CA of the registry, PEM."},
	{Name: "SCHEMA_REGISTRY_AUTO_REGISTER", field: "Registry.AutoRegister", Default: "true",
		Meaning: "`false`: nothing is written to the registry; the schema is looked up."},
	{Name: "SCHEMA_VERSION", field: "Kafka.SchemaVersion", Absent: "as it was",
		Meaning: "Without a registry: the version of the schema that is written. A topic that has records keeps theirs, since readers of single objects stop at a version that they do not know; a new topic begins with the newest."},
	{Name: "HTTP_ADDR", Default: "127.0.0.1:8080",
		Meaning: "Status page `/`, `/metrics`, `/healthz`, `/readyz`, `/api/status`. `off`: none."},
	{Name: "HTTP_SHOW_EVENTS", Default: "false",
		Meaning: "Show the latest events, which are personal data, on the status page."},
	{Name: "SECRETS_WAIT", Default: "0s",
		Meaning: "At the start, how long `run` waits for a secret's file that is missing or empty, as one that a sidecar writes."},
	{Name: "LOG_LEVEL", Default: "info", Meaning: "`debug`, `info`, `warn` or `error`."},
	{Name: "LOG_FORMAT", Default: "auto", Meaning: "`text`, `json`, or `auto`: text on a terminal, JSON otherwise."},
}

var organizationTable = []Setting{
	{Name: "NAME", Absent: "required", Meaning: "As `ORGANIZATION_NAME`, which it replaces."},
	{Name: "ADMIN_KEY", Secret: true, Absent: "required", Meaning: "As `OPENAI_ADMIN_KEY`, which it replaces."},
	{Name: "BASE_URL", Absent: "`OPENAI_BASE_URL`", Meaning: "As that."},
	{Name: "BACKFILL_START_TIME", Absent: "`BACKFILL_START_TIME`", Meaning: "As that."},
	{Name: "TENANT_EVENTS", Absent: "`OPENAI_TENANT_EVENTS`", Meaning: "As that."},
}

// MarkdownTable returns all settings as docs/settings.md shows them.
func MarkdownTable() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	row := func(prefix string, s Setting) {
		name := "`" + prefix + s.Name + "`"
		if s.Secret {
			name += " / `" + FileSuffix + "`"
		}
		value := s.Absent
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, value, strings.ReplaceAll(s.Meaning, "|", `\|`))
	}
	for _, s := range table {
		row("", s)
	}
	for _, s := range organizationTable {
		row("ORGANIZATIONS_<n>_", s)
	}
	return b.String()
}

// HelpTable returns all settings as --help shows them: plain text, one paragraph
// each.
func HelpTable() string {
	var b strings.Builder
	plain := strings.NewReplacer("`", "", "*", "")
	row := func(prefix string, s Setting) {
		name, value := prefix+s.Name, "unset: "+s.Absent
		if s.Secret {
			name += ", or " + FileSuffix
		}
		if s.Default != "" {
			value = "default: " + s.Default
		}
		fmt.Fprintf(&b, "  %s  (%s)\n", name, plain.Replace(value))
		for line := range strings.Lines(wrap(plain.Replace(s.Meaning), 90)) {
			b.WriteString("      " + line)
		}
	}
	for _, s := range table {
		row("", s)
	}
	for _, s := range organizationTable {
		row("ORGANIZATIONS_<n>_", s)
	}
	return b.String()
}

// wrap breaks text into lines of at most width letters, each ended.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		if column > 0 && column+1+len(word) > width {
			b.WriteByte('\n')
			column = 0
		} else if column > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
	return b.String()
}
