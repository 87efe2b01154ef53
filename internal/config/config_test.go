package config_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const key = "sk-admin-0123456789abcdef"

var sealKey, _, _ = seal.Keygen("acme")

func load(environ ...string) (*config.Settings, error) {
	return config.Load(environ, config.Options{Now: now})
}

// compare looks into secrets, which do not show themselves.
var compare = cmp.Comparer(func(a, b connector.Secret) bool { return a == b })

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheKeyIsEnough(t *testing.T) {
	s, err := load("OPENAI_ADMIN_KEY=" + key)
	if err != nil {
		t.Fatal(err)
	}
	want := connector.DefaultConfig()
	org := connector.DefaultOrganization()
	org.AdminKey = connector.SecretValue(key)
	org.KeySetting, org.BaseURLSetting = "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL"
	want.Organizations = []connector.Organization{org}
	if diff := cmp.Diff(want, s.Connector, compare); diff != "" {
		t.Error(diff)
	}
	if s.HTTP != (config.HTTP{Addr: "127.0.0.1:8080"}) || s.Log != (config.Log{Level: slog.LevelInfo, Format: "auto"}) {
		t.Errorf("%+v %+v", s.HTTP, s.Log)
	}
}

// The table says what the defaults are; giving them changes nothing.
func TestDefaultsAreThoseOfTheTable(t *testing.T) {
	environ := []string{"OPENAI_ADMIN_KEY=" + key}
	for _, setting := range config.Table() {
		if setting.Default == "" && setting.Absent == "" {
			t.Errorf("%s has neither a default nor a word for its absence", setting.Name)
		}
		environ = append(environ, setting.Name+"="+setting.Default) // empty is unset
	}
	environ[1] = environ[0]
	without, err := load("OPENAI_ADMIN_KEY=" + key)
	if err != nil {
		t.Fatal(err)
	}
	with, err := load(environ...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(without.Connector, with.Connector, compare); diff != "" {
		t.Error(diff)
	}
	if without.HTTP != with.HTTP || without.Log != with.Log {
		t.Errorf("%+v %+v", with.HTTP, with.Log)
	}
}

func TestEverythingGiven(t *testing.T) {
	s, err := load(
		"OPENAI_ADMIN_KEY="+key+"\n", "OPENAI_BASE_URL=https://eu.api.openai.com/v1/", "ORGANIZATION_NAME=acme",
		"OPENAI_TENANT_EVENTS=off", "BACKFILL_START_TIME=30d", "POLL_INTERVAL=1s", "LOOKBACK=1h", "DEEP_LOOKBACK=7d", "VERIFY_EVERY=12h", "VERIFY_WINDOW=8d", "VERIFY_REPAIR=true",
		"API_CONCURRENCY=2", "API_REQUESTS_PER_MINUTE=60",
		"KAFKA_BROKERS= a:1, b:2 ,", "KAFKA_TOPIC=e", "KAFKA_OFFSETS_TOPIC=o", "KAFKA_DLQ_TOPIC=d", "KAFKA_JSON_TOPIC=j",
		"KAFKA_OCSF_TOPIC=s", "KAFKA_ECS_TOPIC=x", "KAFKA_JSON_FORM=safe", "KAFKA_SEAL=off", "KAFKA_SEAL_TOPIC=l", "SEAL_KEY="+sealKey, "KAFKA_CREATE_TOPICS=False", "KAFKA_PARTITIONS=3", "KAFKA_REPLICATION_FACTOR=3", "KAFKA_CLIENT_ID=c",
		"KAFKA_RETENTION=90d", "KAFKA_COMPRESSION=none", "KAFKA_HEADERS=index=audit, env = prod=1", "KAFKA_TRANSACTIONAL_ID=t",
		"KAFKA_GROUP_ID=g", "KAFKA_TIMESTAMP=event", "KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=scram-sha-512",
		"KAFKA_SASL_USERNAME=u", "KAFKA_SASL_PASSWORD=p", "SCHEMA_REGISTRY_URL=https://r.example:8081/", "SCHEMA_REGISTRY_USERNAME=ru",
		"SCHEMA_REGISTRY_PASSWORD=rp", "SCHEMA_REGISTRY_AUTO_REGISTER=false",
		"HTTP_ADDR=off", "LOG_LEVEL=WARN", "LOG_FORMAT=json", "KAFKA_PORT=tcp://10.0.0.1:9092", "OPENAI_API_KEY=x",
	)
	if err != nil {
		t.Fatal(err)
	}
	want := connector.Config{
		Organizations: []connector.Organization{{
			Name: "acme", AdminKey: connector.SecretValue(key), KeySetting: "OPENAI_ADMIN_KEY", BaseURLSetting: "OPENAI_BASE_URL", BaseURL: "https://eu.api.openai.com/v1",
			BackfillStart: &connector.BackfillStart{At: now.Add(-30 * 24 * time.Hour)}, TenantEvents: connector.TenantOff,
		}},
		PollInterval: time.Second, Lookback: time.Hour, DeepLookback: 7 * 24 * time.Hour,
		VerifyEvery: 12 * time.Hour, VerifyWindow: 8 * 24 * time.Hour, VerifyRepair: true, APIConcurrency: 2, APIRequestsPerMinute: 60,
		Kafka: connector.Kafka{
			Brokers: []string{"a:1", "b:2"}, ClientID: "c", TLS: connector.TLS{Enabled: true},
			SASL:  connector.SASL{Mechanism: "SCRAM-SHA-512", Username: "u", Password: connector.SecretValue("p")},
			Topic: "e", OffsetsTopic: "o", DLQTopic: "d", JSONTopic: "j", OCSFTopic: "s", ECSTopic: "x", JSONForm: connector.JSONSafe,
			Partitions: 3, ReplicationFactor: 3, Retention: 90 * 24 * time.Hour, Compression: "none",
			Headers:         []connector.Header{{Name: "index", Value: "audit"}, {Name: "env", Value: "prod=1"}},
			TransactionalID: "t", GroupID: "g", Timestamp: connector.TimestampEvent, SealTopic: "l",
		},
		SealKey:  connector.SecretValue(sealKey),
		Registry: connector.Registry{URL: "https://r.example:8081", Username: "ru", Password: connector.SecretValue("rp")},
	}
	if diff := cmp.Diff(want, s.Connector, compare); diff != "" {
		t.Error(diff)
	}
	if s.HTTP.Addr != "" || s.Log != (config.Log{Level: slog.LevelWarn, Format: "json"}) {
		t.Errorf("%+v %+v", s.HTTP, s.Log)
	}
}

// A row in the table of copies is enough: its setting is read into its field, and is
// listed.
func TestEveryCopyHasItsSetting(t *testing.T) {
	for _, c := range codec.Copies() {
		s, err := load("OPENAI_ADMIN_KEY="+key, c.Setting()+"=copied")
		if err != nil {
			t.Fatal(err)
		}
		if field := s.Connector.Kafka.CopyTopics()[c.Name]; field == nil || *field != "copied" {
			t.Errorf("%s fills no field of connector.Kafka", c.Setting())
		}
		if !slices.ContainsFunc(config.Table(), func(s config.Setting) bool { return s.Name == c.Setting() && strings.Contains(s.Meaning, c.Form) }) {
			t.Errorf("%s is not in the table", c.Setting())
		}
	}
}

func TestFaults(t *testing.T) {
	empty, secret := write(t, "empty", " \n"), write(t, "key", key+"\n")
	tests := []struct {
		name    string
		environ []string
		want    []string // the variables, sorted; each must be named with a remedy
	}{
		{"nothing at all", []string{"OPENAI_ADMIN_KEY="}, []string{"OPENAI_ADMIN_KEY"}},
		{"blanks for a key", []string{"OPENAI_ADMIN_KEY=  "}, []string{"OPENAI_ADMIN_KEY"}},
		{"a key and a file", []string{"OPENAI_ADMIN_KEY_FILE=" + secret}, []string{"OPENAI_ADMIN_KEY"}},
		{"an empty file", []string{"OPENAI_ADMIN_KEY=", "OPENAI_ADMIN_KEY_FILE=" + empty}, []string{"OPENAI_ADMIN_KEY_FILE"}},
		{"a missing file", []string{"OPENAI_ADMIN_KEY=", "OPENAI_ADMIN_KEY_FILE=/none"}, []string{"OPENAI_ADMIN_KEY_FILE"}},
		{"two lines in a key", []string{"OPENAI_ADMIN_KEY=a\nb"}, []string{"OPENAI_ADMIN_KEY"}},
		{"all at once", []string{"POLL_INTERVAL=soon", "API_CONCURRENCY=x", "KAFKA_TLS=maybe", "LOOKBACK=1s", "KAFKA_HEADERS=x", "BACKFILL_START_TIME=once"},
			[]string{"API_CONCURRENCY", "BACKFILL_START_TIME", "KAFKA_HEADERS", "KAFKA_TLS", "LOOKBACK", "POLL_INTERVAL"}},
		{"below the least", []string{"POLL_INTERVAL=999ms", "LOOKBACK=59s", "DEEP_LOOKBACK=5s", "VERIFY_EVERY=1ms", "VERIFY_WINDOW=5s", "API_CONCURRENCY=0", "API_REQUESTS_PER_MINUTE=0", "KAFKA_PARTITIONS=0", "KAFKA_REPLICATION_FACTOR=0"},
			[]string{"API_CONCURRENCY", "API_REQUESTS_PER_MINUTE", "DEEP_LOOKBACK", "KAFKA_PARTITIONS", "KAFKA_REPLICATION_FACTOR", "LOOKBACK", "POLL_INTERVAL", "VERIFY_EVERY", "VERIFY_WINDOW"}},
		{"no numbers, one fault each", []string{"API_REQUESTS_PER_MINUTE=x", "KAFKA_PARTITIONS=x", "KAFKA_REPLICATION_FACTOR=x"},
			[]string{"API_REQUESTS_PER_MINUTE", "KAFKA_PARTITIONS", "KAFKA_REPLICATION_FACTOR"}},
		{"a deep lookback below the other", []string{"LOOKBACK=2h", "DEEP_LOOKBACK=1h"}, []string{"DEEP_LOOKBACK"}},
		{"the future", []string{"BACKFILL_START_TIME=2027-01-01"}, []string{"BACKFILL_START_TIME"}},
		{"milliseconds", []string{"BACKFILL_START_TIME=1767225600000"}, []string{"BACKFILL_START_TIME"}},
		{"days without their unit", []string{"BACKFILL_START_TIME=90"}, []string{"BACKFILL_START_TIME"}},
		{"a date without hyphens", []string{"BACKFILL_START_TIME=20260301"}, []string{"BACKFILL_START_TIME"}},
		{"a name for people", []string{"ORGANIZATION_NAME=Acme Inc."}, []string{"ORGANIZATION_NAME"}},
		{"an unknown word", []string{"OPENAI_TENANT_EVENTS=yes", "KAFKA_COMPRESSION=brotli", "KAFKA_TIMESTAMP=now", "KAFKA_JSON_FORM=odd", "LOG_LEVEL=loud", "LOG_FORMAT=xml", "KAFKA_SASL_MECHANISM=KERBEROS"},
			[]string{"KAFKA_COMPRESSION", "KAFKA_JSON_FORM", "KAFKA_SASL_MECHANISM", "KAFKA_TIMESTAMP", "LOG_FORMAT", "LOG_LEVEL", "OPENAI_TENANT_EVENTS"}},
		{"a version of the schema that is not there", []string{"SCHEMA_VERSION=2"}, []string{"SCHEMA_VERSION"}},
		{"no version of the schema", []string{"SCHEMA_VERSION=newest"}, []string{"SCHEMA_VERSION"}},
		{"version zero", []string{"SCHEMA_VERSION=0"}, []string{"SCHEMA_VERSION"}},
		{"a version of the schema beside a registry", []string{"SCHEMA_VERSION=1", "SCHEMA_REGISTRY_URL=http://localhost:8081"}, []string{"SCHEMA_VERSION"}},
		{"no URL", []string{"OPENAI_BASE_URL=api.openai.com", "SCHEMA_REGISTRY_URL=localhost:8081"}, []string{"OPENAI_BASE_URL", "SCHEMA_REGISTRY_URL"}},
		{"topics that are one", []string{"KAFKA_TOPIC=a.b", "KAFKA_DLQ_TOPIC=a_b"}, []string{"KAFKA_DLQ_TOPIC"}},
		{"no topic name", []string{"KAFKA_TOPIC=a b", "KAFKA_JSON_TOPIC=.."}, []string{"KAFKA_JSON_TOPIC", "KAFKA_TOPIC"}},
		{"brokers with a scheme", []string{"KAFKA_BROKERS=PLAINTEXT://a:9092"}, []string{"KAFKA_BROKERS"}},
		{"brokers of commas", []string{"KAFKA_BROKERS=,"}, []string{"KAFKA_BROKERS"}},
		{"no address", []string{"HTTP_ADDR=8080"}, []string{"HTTP_ADDR"}},
		{"no retention", []string{"KAFKA_RETENTION=-1"}, []string{"KAFKA_RETENTION"}},
		{"headers of ours", []string{"KAFKA_HEADERS=ce_id=1"}, []string{"KAFKA_HEADERS"}},
		{"a header of dead letters", []string{"KAFKA_HEADERS=Error=1"}, []string{"KAFKA_HEADERS"}},
		{"a header twice", []string{"KAFKA_HEADERS=a=1,a=2"}, []string{"KAFKA_HEADERS"}},
		{"half a certificate", []string{"KAFKA_TLS_CERT_FILE=" + secret}, []string{"KAFKA_TLS_KEY_FILE"}},
		{"no certificates", []string{"KAFKA_TLS_CERT_FILE=" + secret, "KAFKA_TLS_KEY_FILE=" + secret, "KAFKA_TLS_CA_FILE=" + secret}, []string{"KAFKA_TLS_CA_FILE", "KAFKA_TLS_CERT_FILE"}},
		{"missing certificates", []string{"KAFKA_TLS_CA_FILE=/none"}, []string{"KAFKA_TLS_CA_FILE"}},
		{"files without TLS", []string{"KAFKA_TLS=false", "KAFKA_TLS_CA_FILE=/none"}, []string{"KAFKA_TLS", "KAFKA_TLS_CA_FILE"}},
		{"a password in the clear", []string{"KAFKA_BROKERS=localhost:9092,kafka:9092", "KAFKA_SASL_MECHANISM=PLAIN", "KAFKA_SASL_USERNAME=u", "KAFKA_SASL_PASSWORD=p"}, []string{"KAFKA_SASL_MECHANISM"}},
		{"a token in the clear", []string{"KAFKA_BROKERS=10.0.0.1", "KAFKA_SASL_MECHANISM=OAUTHBEARER", "KAFKA_SASL_TOKEN=t"}, []string{"KAFKA_SASL_MECHANISM"}},
		{"nobody's password", []string{"KAFKA_SASL_PASSWORD=p"}, []string{"KAFKA_SASL_MECHANISM"}},
		{"two tokens", oauth("KAFKA_SASL_TOKEN=t"), []string{"KAFKA_SASL_TOKEN"}},
		{"a token endpoint without a client", []string{"KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=OAUTHBEARER", "KAFKA_SASL_OAUTH_TOKEN_URL=https://idp"},
			[]string{"KAFKA_SASL_OAUTH_CLIENT_ID", "KAFKA_SASL_OAUTH_CLIENT_SECRET"}},
		{"a secret and an assertion", oauth("KAFKA_SASL_OAUTH_ASSERTION_FILE=" + secret), []string{"KAFKA_SASL_OAUTH_CLIENT_SECRET"}},
		{"a client without a token endpoint", []string{"KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=OAUTHBEARER", "KAFKA_SASL_OAUTH_CLIENT_ID=c"}, []string{"KAFKA_SASL_OAUTH_TOKEN_URL"}},
		{"no token endpoint", oauth("KAFKA_SASL_OAUTH_TOKEN_URL=idp/token"), []string{"KAFKA_SASL_OAUTH_TOKEN_URL"}},
		{"a user in the token endpoint", oauth("KAFKA_SASL_OAUTH_TOKEN_URL=https://u:p@idp"), []string{"KAFKA_SASL_OAUTH_TOKEN_URL"}},
		{"no keytab", []string{"KAFKA_SASL_MECHANISM=GSSAPI"}, []string{"KAFKA_SASL_KERBEROS_KEYTAB_FILE", "KAFKA_SASL_USERNAME"}},
		{"a keytab that is none", []string{"KAFKA_SASL_MECHANISM=GSSAPI", "KAFKA_SASL_USERNAME=audit@A", "KAFKA_SASL_KERBEROS_KEYTAB_FILE=" + secret}, []string{"KAFKA_SASL_KERBEROS_KEYTAB_FILE"}},
		{"nobody's keytab", []string{"KAFKA_SASL_KERBEROS_KEYTAB_FILE=" + secret}, []string{"KAFKA_SASL_MECHANISM"}},
		{"half a key of AWS", []string{"KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=AWS_MSK_IAM", "AWS_ACCESS_KEY_ID=a"}, []string{"AWS_SECRET_ACCESS_KEY"}},
		{"the rest of a key of AWS", []string{"KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=AWS_MSK_IAM", "AWS_SESSION_TOKEN=a"}, []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}},
		{"no role of AWS", []string{"KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=AWS_MSK_IAM", "KAFKA_SASL_AWS_ROLE_ARN=audit", "AWS_REGION=Ireland!"}, []string{"AWS_REGION", "KAFKA_SASL_AWS_ROLE_ARN"}},
		{"a role for nothing", []string{"KAFKA_SASL_AWS_ROLE_ARN=arn:aws:iam::123456789012:role/audit"}, []string{"KAFKA_SASL_MECHANISM"}},
		{"a registry without URL", []string{"SCHEMA_REGISTRY_PASSWORD=p"}, []string{"SCHEMA_REGISTRY_URL"}},
		{"a registry with two users", []string{"SCHEMA_REGISTRY_URL=http://u:p@r", "SCHEMA_REGISTRY_USERNAME=u"}, []string{"SCHEMA_REGISTRY_URL"}},
		{"half the API's URL", []string{"OPENAI_BASE_URL=https://api.openai.com"}, []string{"OPENAI_BASE_URL"}},
		{"too much of the API's URL", []string{"OPENAI_BASE_URL=https://eu.api.openai.com/v1/organization/audit_logs"}, []string{"OPENAI_BASE_URL"}},
		{"a user in the API's URL", []string{"OPENAI_BASE_URL=https://u:p@h/v1"}, []string{"OPENAI_BASE_URL"}},
		{"a mistyped name", []string{"KAFKA_TOPICS=x", "POL_INTERVAL=5s", "LOGLEVEL=debug"}, []string{"KAFKA_TOPICS", "LOGLEVEL", "POL_INTERVAL"}},
		{"a mistyped file", []string{"OPENAI_ADMIN_KEY=", "OPENAI_ADMIN_KEY_FILES=/x"}, []string{"OPENAI_ADMIN_KEY", "OPENAI_ADMIN_KEY_FILES"}},
		{"malformed numbers", []string{"ORGANIZATIONS_A_NAME=x", "ORGANIZATIONS_00_NAME=x", "ORGANIZATIONS_NAME=x"}, []string{"ORGANIZATIONS_00_NAME", "ORGANIZATIONS_A_NAME", "ORGANIZATIONS_NAME"}},
		{"an unknown field", []string{"ORGANIZATIONS_0_KEY=x"}, []string{"ORGANIZATIONS_0_ADMIN_KEY", "ORGANIZATIONS_0_KEY", "ORGANIZATIONS_0_NAME"}},
		{"singular", []string{"ORGANIZATION_0_NAME=x"}, []string{"ORGANIZATION_0_NAME"}},
		{"one of several without key or name", []string{"ORGANIZATIONS_0_NAME=a", "ORGANIZATIONS_1_ADMIN_KEY=k"}, []string{"ORGANIZATIONS_0_ADMIN_KEY", "ORGANIZATIONS_1_NAME"}},
		{"one organization twice", []string{"ORGANIZATIONS_0_NAME=a", "ORGANIZATIONS_0_ADMIN_KEY=k", "ORGANIZATIONS_1_NAME=a", "ORGANIZATIONS_1_ADMIN_KEY=l"}, []string{"ORGANIZATIONS_1_NAME"}},
		{"one key twice", []string{"ORGANIZATIONS_0_NAME=a", "ORGANIZATIONS_0_ADMIN_KEY=" + key, "ORGANIZATIONS_1_NAME=b", "ORGANIZATIONS_1_ADMIN_KEY_FILE=" + secret}, []string{"ORGANIZATIONS_1_ADMIN_KEY"}},
		{"a wrong value of one of several", []string{"ORGANIZATIONS_0_NAME=a", "ORGANIZATIONS_0_ADMIN_KEY=k", "ORGANIZATIONS_0_TENANT_EVENTS=no", "ORGANIZATIONS_0_BASE_URL=x", "ORGANIZATIONS_0_BACKFILL_START_TIME=x"},
			[]string{"ORGANIZATIONS_0_BACKFILL_START_TIME", "ORGANIZATIONS_0_BASE_URL", "ORGANIZATIONS_0_TENANT_EVENTS"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(append([]string{"OPENAI_ADMIN_KEY=" + key}, tt.environ...)...)
			faults, _ := errors.AsType[config.Faults](err)
			var got []string
			for _, f := range faults {
				got = append(got, f.Variable)
				if f.Problem == "" || f.Remedy == "" || !strings.Contains(err.Error(), f.String()) {
					t.Errorf("%+v", f)
				}
			}
			if diff := cmp.Diff(tt.want, slices.Compact(got)); diff != "" {
				t.Errorf("%s\n%v", diff, err)
			}
		})
	}
}

// A list of brokers that is none is refused with what was probably meant; else "host
// not known" would be all that is ever heard of it.
func TestWhatBrokersWereMeantToBe(t *testing.T) {
	for value, want := range map[string]string{
		"k1:9092;k2:9092":                "did you mean k1:9092,k2:9092? ",
		"k1:9092\nk2:9092\n":             "did you mean k1:9092,k2:9092? ",
		"k1:9092 k2:9092":                "did you mean k1:9092,k2:9092? ",
		"k1;k2":                          "did you mean k1,k2? ",
		"kafka:9092:9092":                "did you mean kafka:9092? ",
		"SASL_SSL:k1:9092":               "did you mean k1:9092? ",
		"SASL_SSL://k1:9092,ssl:k2:9093": "did you mean k1:9092,k2:9093? ",
		"kafka://k1:9092/":               "did you mean k1:9092? ",
		`"k1:9092"`:                      "did you mean k1:9092? ",
		"user:hunter2:9092":              "write host:port,",
		"user:hunter2@k1:9092":           "write host:port,",
		"k1:port":                        "write host:port,",
		"k1:9092:9093":                   "write host:port,",
		"k1:70000":                       "write host:port,",
		"k1:0":                           "write host:port,",
	} {
		_, err := load("OPENAI_ADMIN_KEY="+key, "KAFKA_BROKERS="+value)
		faults, _ := errors.AsType[config.Faults](err)
		if len(faults) != 1 || !strings.HasPrefix(faults[0].Remedy, want) || strings.Contains(faults[0].Remedy, "hunter2") {
			t.Errorf("%s: %v, want %q", value, err, want)
		}
	}
	for _, value := range []string{"k1", "k1,k2:9093", "[::1]:9092", "::1", "broker_1.example.:9092", "10.0.0.1:1"} {
		if _, err := load("OPENAI_ADMIN_KEY="+key, "KAFKA_BROKERS="+value); err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
}

func TestAFaultReads(t *testing.T) {
	_, err := load("OPENAI_ADMIN_KEY="+key, "POLL_INTERVAL=soon", "SCHEMA_REGISTRY_URL=ftp://user:pw@host/x?token=t", "KAFKA_TOPICS=x")
	want := `the settings have 3 faults:
  KAFKA_TOPICS: no such setting; did you mean KAFKA_TOPIC?
  POLL_INTERVAL="soon": not a duration; write it like 10s, 15m, 36h or 30d
  SCHEMA_REGISTRY_URL="ftp://***@host/x?***": not the URL of a server; write it like https://host/path`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

// What a cluster or another program sets is none of our business.
func TestForeignVariablesAreLeftAlone(t *testing.T) {
	_, err := load("OPENAI_ADMIN_KEY="+key,
		"OPENAI_API_KEY=x", "OPENAI_ORG_ID=x", "OPENAI_API_BASE=x", "OPENAI_PROJECT=x",
		"KAFKA_PORT=tcp://10.0.0.1:9092", "KAFKA_PORT_9092_TCP_ADDR=x", "KAFKA_SERVICE_HOST=x", "KAFKA_SERVICE_PORT=x", "KAFKA_HOME=x",
		"KAFKA_OPTS=x", "KAFKA_VERSION=x", "KAFKA_BROKER_ID=x", "KAFKA_HEAP_OPTS=x", "SCHEMA_REGISTRY_PORT=x", "SCHEMA_REGISTRY_SERVICE_HOST=x",
		"SCHEMA_REGISTRY_HOST=x", "HTTP_PORT=80", "HTTP_PROXY=x", "HTTPS_PROXY=x", "AWS_REGION=x", "AWS_PROFILE=x", "AWS_ACCESS_KEY=x",
		"LOG_DIR=x", "ORGANIZATION=x", "ORGANIZATION_ID=x", "HOME=/", "PATH=/bin")
	if err != nil {
		t.Error(err)
	}
}

// A name that is set cannot be the one that was meant.
func TestANameNearOneThatIsSetIsForeign(t *testing.T) {
	if _, err := load("OPENAI_ADMIN_KEY="+key, "KAFKA_TOPIC=a", "KAFKA_TOPICS=b"); err != nil {
		t.Error(err)
	}
}

func TestSeveralOrganizations(t *testing.T) {
	file := write(t, "key", "sk-b\n")
	s, err := load("ORGANIZATION_NAME=unused", "OPENAI_BASE_URL=https://api", "BACKFILL_START_TIME=earliest",
		"ORGANIZATIONS_0_NAME=a", "ORGANIZATIONS_0_ADMIN_KEY=ka", "ORGANIZATIONS_0_TENANT_EVENTS=on",
		"ORGANIZATIONS_2_NAME=b", "ORGANIZATIONS_2_ADMIN_KEY_FILE="+file, "ORGANIZATIONS_2_BACKFILL_START_TIME=2026-01-01", "ORGANIZATIONS_2_BASE_URL=https://eu")
	if err != nil {
		t.Fatal(err)
	}
	want := []connector.Organization{
		{Name: "a", KeySetting: "ORGANIZATIONS_0_ADMIN_KEY", BaseURLSetting: "OPENAI_BASE_URL", BackfillSetting: "BACKFILL_START_TIME", TenantEventsSetting: "ORGANIZATIONS_0_TENANT_EVENTS", AdminKey: connector.SecretValue("ka"), BaseURL: "https://api", BackfillStart: &connector.BackfillStart{Earliest: true}, TenantEvents: connector.TenantOn},
		{Name: "b", KeySetting: "ORGANIZATIONS_2_ADMIN_KEY", BaseURLSetting: "ORGANIZATIONS_2_BASE_URL", BackfillSetting: "ORGANIZATIONS_2_BACKFILL_START_TIME", TenantEventsSetting: "ORGANIZATIONS_2_TENANT_EVENTS", AdminKey: connector.SecretFile(file), BaseURL: "https://eu", BackfillStart: &connector.BackfillStart{At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, TenantEvents: connector.TenantAuto},
	}
	if diff := cmp.Diff(want, s.Connector.Organizations, compare); diff != "" {
		t.Error(diff)
	}
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "ORGANIZATION_NAME") {
		t.Errorf("warnings %q", s.Warnings)
	}
	// Where neither is given, the organization's own is the one to set.
	s, err = load("OPENAI_ADMIN_KEY=", "ORGANIZATIONS_7_NAME=a", "ORGANIZATIONS_7_ADMIN_KEY=ka")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Connector.Organizations[0].BaseURLSetting; got != "ORGANIZATIONS_7_BASE_URL" {
		t.Errorf("the base URL is given by %q", got)
	}
}

func TestCommandsWithoutTheAPINeedNoKey(t *testing.T) {
	s, err := config.Load(nil, config.Options{WithoutKey: true})
	if err != nil || len(s.Connector.Organizations) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestPlainIsTakenOnLoopback(t *testing.T) {
	for _, brokers := range []string{"localhost:9092,127.0.0.1:1", "[::1]:9092", "localhost"} {
		_, err := load("OPENAI_ADMIN_KEY="+key, "KAFKA_BROKERS="+brokers, "KAFKA_SASL_MECHANISM=PLAIN", "KAFKA_SASL_USERNAME=u", "KAFKA_SASL_PASSWORD=p")
		if err != nil {
			t.Errorf("%s: %v", brokers, err)
		}
	}
}

func TestTheUserOfTheRegistryMayBeInItsURL(t *testing.T) {
	s, err := load("OPENAI_ADMIN_KEY="+key, "SCHEMA_REGISTRY_URL=https://user:pw@host:8081")
	if err != nil {
		t.Fatal(err)
	}
	want := connector.Registry{URL: "https://host:8081", Username: "user", Password: connector.SecretValue("pw"), AutoRegister: true}
	if diff := cmp.Diff(want, s.Connector.Registry, compare); diff != "" {
		t.Error(diff)
	}
}

// oauth is a whole client of a token endpoint, and more.
func oauth(more ...string) []string {
	return append([]string{"KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=OAUTHBEARER", "KAFKA_SASL_OAUTH_TOKEN_URL=https://idp/token",
		"KAFKA_SASL_OAUTH_CLIENT_ID=audit", "KAFKA_SASL_OAUTH_CLIENT_SECRET=s"}, more...)
}

func TestTokenEndpoint(t *testing.T) {
	s, err := load(oauth("OPENAI_ADMIN_KEY="+key, "KAFKA_SASL_OAUTH_TOKEN_URL=http://idp/token", "KAFKA_SASL_OAUTH_SCOPE=a b", "KAFKA_SASL_OAUTH_AUDIENCE=kafka")...)
	if err != nil {
		t.Fatal(err)
	}
	want := connector.OAuth{TokenURL: "http://idp/token", ClientID: "audit", ClientSecret: connector.SecretValue("s"), Scope: "a b", Audience: "kafka"}
	if diff := cmp.Diff(want, s.Connector.Kafka.SASL.OAuth, compare); diff != "" {
		t.Error(diff)
	}
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "without TLS") {
		t.Errorf("warnings %q", s.Warnings)
	}
}

func TestExtensions(t *testing.T) {
	token := []string{"OPENAI_ADMIN_KEY=" + key, "KAFKA_TLS=true", "KAFKA_SASL_MECHANISM=OAUTHBEARER", "KAFKA_SASL_TOKEN=t"}
	s, err := load(append(token, "KAFKA_SASL_OAUTH_EXTENSIONS=logicalCluster=lkc-1, identityPoolId=pool-2")...)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"logicalCluster": "lkc-1", "identityPoolId": "pool-2"}
	if diff := cmp.Diff(want, s.Connector.Kafka.SASL.Extensions); diff != "" {
		t.Error(diff)
	}
	for _, wrong := range []string{"logicalCluster", "auth=x", "logical_cluster=x", "a=1,a=2", "a="} {
		_, err := load(append(token, "KAFKA_SASL_OAUTH_EXTENSIONS="+wrong)...)
		if faults, _ := errors.AsType[config.Faults](err); len(faults) != 1 || faults[0].Variable != "KAFKA_SASL_OAUTH_EXTENSIONS" {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestSeveralRegistryURLs(t *testing.T) {
	s, err := load("OPENAI_ADMIN_KEY="+key, "SCHEMA_REGISTRY_URL=https://user:p,w@a:8081/, https://user:p,w@b/contexts/.prod")
	if err != nil {
		t.Fatal(err)
	}
	want := connector.Registry{URL: "https://a:8081,https://b/contexts/.prod", Username: "user", Password: connector.SecretValue("p,w"), AutoRegister: true}
	if diff := cmp.Diff(want, s.Connector.Registry, compare); diff != "" {
		t.Error(diff)
	}
}

// What is allowed and probably not meant is a warning that never holds the value.
func TestWarnings(t *testing.T) {
	ca, key1, _ := certificate(t)
	scram := []string{"KAFKA_SASL_MECHANISM=SCRAM-SHA-512", "KAFKA_SASL_USERNAME=u", "KAFKA_SASL_PASSWORD=hunter2"}
	for name, tt := range map[string]struct {
		environ []string
		want    string // empty: none
	}{
		"quotes":                 {[]string{"OPENAI_ADMIN_KEY=\"hunter2\""}, "OPENAI_ADMIN_KEY: it is in quotes"},
		"quotes in a file":       {[]string{"OPENAI_ADMIN_KEY=", "OPENAI_ADMIN_KEY_FILE=" + write(t, "k", "'hunter2'\n")}, "OPENAI_ADMIN_KEY_FILE: it is in quotes"},
		"no width":               {[]string{"OPENAI_ADMIN_KEY=hunter\u200b2"}, "OPENAI_ADMIN_KEY: it holds an invisible character"},
		"a blank that is none":   {[]string{"OPENAI_ADMIN_KEY=hunter\u00a02"}, "OPENAI_ADMIN_KEY: it holds an invisible character"},
		"a byte order mark":      {[]string{"OPENAI_ADMIN_KEY=", "OPENAI_ADMIN_KEY_FILE=" + write(t, "k", "\ufeffhunter2\r\n")}, ""},
		"a mark in the setting":  {[]string{"OPENAI_ADMIN_KEY=\ufeffhunter2"}, ""},
		"a key without TLS":      {[]string{"OPENAI_BASE_URL=http://proxy.example/v1"}, "OPENAI_BASE_URL: the admin key is sent without TLS"},
		"a key on loopback":      {[]string{"OPENAI_BASE_URL=http://127.0.0.1:1/v1"}, ""},
		"a password without TLS": {[]string{"SCHEMA_REGISTRY_URL=http://u:hunter2@registry.example"}, "SCHEMA_REGISTRY_URL: the password of the registry is sent without TLS"},
		"SCRAM without TLS": {append(scram, "KAFKA_BROKERS=127.0.0.1:9092,kafka.example:9092"),
			"KAFKA_SASL_MECHANISM: without TLS, anyone who listens can read every event, and try passwords against what SCRAM-SHA-512 sends; set KAFKA_TLS=true"},
		"SCRAM on loopback":      {append(scram, "KAFKA_BROKERS=localhost:9092"), ""},
		"SCRAM over TLS":         {append(scram, "KAFKA_BROKERS=kafka.example:9092", "KAFKA_TLS=true"), ""},
		"a registry without one": {[]string{"SCHEMA_REGISTRY_URL=http://registry.example"}, ""},
		"a bundle":               {[]string{"KAFKA_TLS_CA_FILE=" + write(t, "ca", ca+ca)}, ""},
		"a bad block":            {[]string{"KAFKA_TLS_CA_FILE=" + write(t, "ca", ca+ca[:28]+"AAAA"+ca[32:]+ca)}, "certificate 2 of the file cannot be read"},
		"half a block":           {[]string{"KAFKA_TLS_CA_FILE=" + write(t, "ca", ca+ca[:200])}, "certificate 2 of the file cannot be read"},
		"a pair":                 {[]string{"KAFKA_TLS_CERT_FILE=" + write(t, "c", ca), "KAFKA_TLS_KEY_FILE=" + write(t, "k", key1)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := load(append([]string{"OPENAI_ADMIN_KEY=" + key}, tt.environ...)...)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(s.Warnings, "\n")
			if !strings.Contains(all, tt.want) || (tt.want == "") != (all == "") || strings.Contains(all, "unter2") {
				t.Errorf("warnings %q, want %q", s.Warnings, tt.want)
			}
		})
	}
}

// certificate returns one with its key, plain and encrypted, as PEM.
func certificate(t *testing.T) (cert, plain, encrypted string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: now.AddDate(10, 0, 0)}
	der, err := x509.CreateCertificate(nil, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", pkcs8), text("ENCRYPTED PRIVATE KEY", []byte("encrypted"))
}

// A key with a password is reported as one; the certificate is not at fault.
func TestEncryptedKey(t *testing.T) {
	cert, _, encrypted := certificate(t)
	_, err := load("OPENAI_ADMIN_KEY="+key, "KAFKA_TLS_CERT_FILE="+write(t, "c", cert), "KAFKA_TLS_KEY_FILE="+write(t, "k", encrypted))
	faults, _ := errors.AsType[config.Faults](err)
	if len(faults) != 1 || faults[0].Variable != "KAFKA_TLS_KEY_FILE" || !strings.Contains(faults[0].Problem, "encrypted") {
		t.Error(err)
	}
	// With the same file for both, openssl leaves it empty.
	if !strings.Contains(err.Error(), "openssl pkey -in FILE -out OTHER") {
		t.Error(err)
	}
}

// A file that is none is named at once, though nobody writes the FIFO.
func TestFIFOIsNamed(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := load("OPENAI_ADMIN_KEY_FILE="+fifo, "KAFKA_TLS_CA_FILE="+fifo)
	faults, _ := errors.AsType[config.Faults](err)
	if len(faults) != 2 || !strings.Contains(err.Error(), "it is no regular file") {
		t.Error(err)
	}
}

// Secrets that a sidecar writes after the start are waited for, and nothing else is.
func TestSecretsWait(t *testing.T) {
	load := func(t *testing.T, file string, environ ...string) (took time.Duration, told int, err error) {
		began := time.Now()
		_, err = config.LoadWhenThere(t.Context(), append(environ, "OPENAI_ADMIN_KEY_FILE="+file), config.Options{}, func(_ *config.Settings, missing config.Faults) {
			told++
			if len(missing) != 1 || missing[0].Variable != "OPENAI_ADMIN_KEY_FILE" {
				t.Errorf("waits for %v", missing)
			}
		})
		return time.Since(began), told, err
	}
	for name, tt := range map[string]struct {
		environ []string
		content string
		written time.Duration
		took    time.Duration
		told    int
		works   bool
	}{
		"in time":            {[]string{"SECRETS_WAIT=30s"}, key, 10 * time.Second, 10 * time.Second, 1, true},
		"too late":           {[]string{"SECRETS_WAIT=30s"}, key, 40 * time.Second, 30 * time.Second, 1, false},
		"empty for good":     {[]string{"SECRETS_WAIT=30s"}, " ", 0, 30 * time.Second, 1, false},
		"without waiting":    {nil, key, time.Second, 0, 0, false},
		"with another fault": {[]string{"SECRETS_WAIT=30s", "POLL_INTERVAL=soon"}, key, time.Second, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			synctest.Test(t, func(t *testing.T) {
				timer := time.AfterFunc(tt.written, func() { _ = os.WriteFile(file, []byte(tt.content), 0o600) })
				defer timer.Stop()
				took, told, err := load(t, file, tt.environ...)
				if took.Truncate(time.Second) != tt.took || told != tt.told || (err == nil) != tt.works {
					t.Errorf("after %v, told %d times: %v", took, told, err)
				}
			})
		})
	}
}

// TestSecretInLog puts a key into every variable in turn: it is in no output.
func TestSecretInLog(t *testing.T) {
	var names []string
	for _, s := range config.Table() {
		names = append(names, s.Name, s.Name+config.FileSuffix)
	}
	for _, s := range config.OrganizationTable() {
		names = append(names, "ORGANIZATIONS_0_"+s.Name, "ORGANIZATIONS_0_"+s.Name+config.FileSuffix)
	}
	names = append(names, "OPENAI_ADMIN_KEYS", "ORGANIZATIONS_X", "KAFKA_TOPICS")
	for _, name := range names {
		for _, value := range []string{key, "a=" + key, "https://" + key + "@host", "https://host/" + key, "host:9092," + key} {
			s, err := load(name + "=" + value)
			var out bytes.Buffer
			log := slog.New(slog.NewJSONHandler(&out, nil))
			log.Info("settings", "error", err, "settings", s, "config", s.Connector, "effective", s.Effective())
			fmt.Fprintf(&out, "%v %+v %#v %s", err, err, err, s.Warnings)
			if err := s.Print(&out); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "0123456789abcdef") {
				t.Errorf("%s=%s shows the key:\n%s", name, value, out.String())
			}
		}
	}
}

// TestPasswordInOutput puts a password into every variable in turn, in each place in
// which one is written by mistake: it is in no output.
func TestPasswordInOutput(t *testing.T) {
	const marker = "hunter2"
	anywhere := []string{
		"u:M@host/v1", "https://u:M@host/v1", "https:/u:M@host/v1", "https:u:M@host/v1", "//u:M@host", "M@host:9092", "u:M%40host/v1",
		"https://u:p/M@host", "https://u:p,M@host", "https://u:p M@host", "https://u:p?M@host", "https://u:p#M@host",
		"host/v1?token=M", "host?M", "https://host/v1?token=M", "https://host/#M", "https://[::1/u:M@", "https://%zz:M@host",
		"host:9092,u:M@host:9093", "host:9092;password=M", "host;SharedAccessKey=M", "SASL_SSL://host:9092?password=M", "Endpoint=sb://host/;SharedAccessKey=M",
		"a=M,M", "a=b,c=M", "authorization=Splunk M", "10s u:M@", "postgres://u:M@host:1/x", "u:M@", "@u:M@", "-----BEGIN KEY-----\nM\n", "M==",
	}
	noHost := []string{"https://u:M", "u:M", "https://host:M/v1", "10:M"} // taken for what they are in an id
	noPath := []string{"M", "/M", "./M", "/none/M"}                       // what belongs in the file
	var names []string
	for _, s := range config.Table() {
		names = append(names, s.Name, s.Name+config.FileSuffix)
	}
	for _, s := range config.OrganizationTable() {
		names = append(names, "ORGANIZATIONS_0_"+s.Name, "ORGANIZATIONS_0_"+s.Name+config.FileSuffix)
	}
	for _, name := range names {
		values := anywhere
		if !strings.HasSuffix(name, "_ID") && !strings.HasSuffix(name, "_USERNAME") {
			values = append(slices.Clip(values), noHost...)
		}
		if strings.HasSuffix(name, config.FileSuffix) {
			values = append(slices.Clip(values), noPath...)
		}
		for _, value := range values {
			value = strings.ReplaceAll(value, "M", marker)
			s, err := load("OPENAI_ADMIN_KEY="+key, name+"="+value)
			var out bytes.Buffer
			fmt.Fprintf(&out, "%v %+v %#v %s %v", err, err, err, s.Warnings, s.Effective())
			if err := s.Print(&out); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), marker) {
				t.Errorf("%s=%s shows the password:\n%s", name, value, out.String())
			}
		}
	}
}

func TestPrint(t *testing.T) {
	file := write(t, "password", "pw")
	s, err := load("OPENAI_ADMIN_KEY="+key, "BACKFILL_START_TIME=36h", "SCHEMA_REGISTRY_URL=http://user:pw@host", "KAFKA_OFFSETS_TOPIC=o",
		"KAFKA_SASL_MECHANISM=SCRAM-SHA-256", "KAFKA_SASL_USERNAME=u", "KAFKA_SASL_PASSWORD_FILE="+file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := s.Print(&out); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"OPENAI_ADMIN_KEY *** environment ", "BACKFILL_START_TIME 36h (2026-02-28T00:00:00Z) environment ", "POLL_INTERVAL 10s default ",
		"SCHEMA_REGISTRY_URL http://***@host environment ", "KAFKA_SASL_PASSWORD *** file " + file + " ", "KAFKA_TRANSACTIONAL_ID o default ",
		"KAFKA_JSON_TOPIC unset (none) ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}
