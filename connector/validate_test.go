package connector_test

import (
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// aConfig returns one that Validate takes.
func aConfig() connector.Config {
	cfg := connector.DefaultConfig()
	org := connector.DefaultOrganization()
	org.AdminKey = connector.SecretValue("sk-admin-1")
	other := org
	other.Name, other.AdminKey = "other", connector.SecretValue("sk-admin-2")
	cfg.Organizations = []connector.Organization{org, other}
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// certificateFile returns the path of a certificate.
func certificateFile(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each wrong value is refused by one error that names its field, says what to do and
// does not hold the value.
func TestValidate(t *testing.T) {
	if err := aConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("hunter2\x01"), 0o600); err != nil {
		t.Fatal(err)
	}
	type config = connector.Config
	for name, tt := range map[string]struct {
		field  string
		change func(*config)
	}{
		"no organization":         {"Organizations", func(c *config) { c.Organizations = nil }},
		"no name":                 {"Organizations[1].Name", func(c *config) { c.Organizations[1].Name = "" }},
		"a name for people":       {"Organizations[1].Name", func(c *config) { c.Organizations[1].Name = "hunter2 Inc." }},
		"a name twice":            {"Organizations[1].Name", func(c *config) { c.Organizations[1].Name = "default" }},
		"no key":                  {"Organizations[0].AdminKey", func(c *config) { c.Organizations[0].AdminKey = connector.Secret{} }},
		"a key twice":             {"Organizations[1].AdminKey", func(c *config) { c.Organizations[1].AdminKey = c.Organizations[0].AdminKey }},
		"a key of two lines":      {"Organizations[0].AdminKey", func(c *config) { c.Organizations[0].AdminKey = connector.SecretValue("hunter2\nhunter2") }},
		"a key in no file":        {"Organizations[0].AdminKey", func(c *config) { c.Organizations[0].AdminKey = connector.SecretFile("/hunter2") }},
		"no base URL":             {"Organizations[0].BaseURL", func(c *config) { c.Organizations[0].BaseURL = "" }},
		"half a base URL":         {"Organizations[0].BaseURL", func(c *config) { c.Organizations[0].BaseURL = "https://api.openai.com" }},
		"a base URL with a user":  {"Organizations[0].BaseURL", func(c *config) { c.Organizations[0].BaseURL = "https://u:hunter2@h/v1" }},
		"a base URL with a query": {"Organizations[0].BaseURL", func(c *config) { c.Organizations[0].BaseURL = "https://h/v1?k=hunter2" }},
		"history to come": {"Organizations[0].BackfillStart", func(c *config) {
			c.Organizations[0].BackfillStart = &connector.BackfillStart{At: time.Now().Add(time.Hour)}
		}},
		"history from nowhere":     {"Organizations[0].BackfillStart", func(c *config) { c.Organizations[0].BackfillStart = new(connector.BackfillStart) }},
		"offf":                     {"Organizations[0].TenantEvents", func(c *config) { c.Organizations[0].TenantEvents = "offf" }},
		"no tenant events":         {"Organizations[0].TenantEvents", func(c *config) { c.Organizations[0].TenantEvents = "" }},
		"quick polls":              {"PollInterval", func(c *config) { c.PollInterval = time.Second - 1 }},
		"a short lookback":         {"Lookback", func(c *config) { c.Lookback, c.DeepLookback = time.Minute-1, 0 }},
		"a short deep lookback":    {"DeepLookback", func(c *config) { c.DeepLookback = c.Lookback - 1 }},
		"no concurrency":           {"APIConcurrency", func(c *config) { c.APIConcurrency = 0 }},
		"concurrency":              {"APIConcurrency", func(c *config) { c.APIConcurrency = 1001 }},
		"a negative limit":         {"APIRequestsPerMinute", func(c *config) { c.APIRequestsPerMinute = -1 }},
		"no broker":                {"Kafka.Brokers", func(c *config) { c.Kafka.Brokers = nil }},
		"a broker's URL":           {"Kafka.Brokers", func(c *config) { c.Kafka.Brokers = []string{"k:1", "kafka://hunter2:9092"} }},
		"no topic":                 {"Kafka.Topic", func(c *config) { c.Kafka.Topic = "" }},
		"no offsets topic":         {"Kafka.OffsetsTopic", func(c *config) { c.Kafka.OffsetsTopic = "" }},
		"no dead letters":          {"Kafka.DLQTopic", func(c *config) { c.Kafka.DLQTopic = "" }},
		"no topic's name":          {"Kafka.JSONTopic", func(c *config) { c.Kafka.JSONTopic = "hunter2 " }},
		"one topic for two":        {"Kafka.OCSFTopic", func(c *config) { c.Kafka.OCSFTopic = strings.ReplaceAll(c.Kafka.Topic, ".", "_") }},
		"no partitions":            {"Kafka.Partitions", func(c *config) { c.Kafka.Partitions = 0 }},
		"partitions":               {"Kafka.Partitions", func(c *config) { c.Kafka.Partitions = 10_001 }},
		"no replicas":              {"Kafka.ReplicationFactor", func(c *config) { c.Kafka.ReplicationFactor = 0 }},
		"a negative retention":     {"Kafka.Retention", func(c *config) { c.Kafka.Retention = -1 }},
		"a version not there":      {"Kafka.SchemaVersion", func(c *config) { c.Kafka.SchemaVersion = 2 }},
		"a version below one":      {"Kafka.SchemaVersion", func(c *config) { c.Kafka.SchemaVersion = -1 }},
		"a version and a registry": {"Kafka.SchemaVersion", func(c *config) { c.Kafka.SchemaVersion, c.Registry.URL = 1, "http://localhost:8081" }},
		"zst":                      {"Kafka.Compression", func(c *config) { c.Kafka.Compression = "zst" }},
		"no compression":           {"Kafka.Compression", func(c *config) { c.Kafka.Compression = "" }},
		"no timestamp":             {"Kafka.Timestamp", func(c *config) { c.Kafka.Timestamp = "" }},
		"a header of ours":         {"Kafka.Headers", func(c *config) { c.Kafka.Headers = []connector.Header{{Name: "CE_id", Value: "hunter2"}} }},
		"a header twice":           {"Kafka.Headers", func(c *config) { c.Kafka.Headers = []connector.Header{{Name: "a=hunter2"}, {Name: "A=hunter2"}} }},
		"a header without a name":  {"Kafka.Headers", func(c *config) { c.Kafka.Headers = []connector.Header{{Value: "hunter2"}} }},
		"a CA without TLS":         {"Kafka.TLS.Enabled", func(c *config) { c.Kafka.TLS.CAFile = certificateFile(t) }},
		"a CA that is none":        {"Kafka.TLS.CAFile", func(c *config) { c.Kafka.TLS = connector.TLS{Enabled: true, CAFile: junk} }},
		"no CA":                    {"Kafka.TLS.CAFile", func(c *config) { c.Kafka.TLS = connector.TLS{Enabled: true, CAFile: "/hunter2"} }},
		"a certificate alone":      {"Kafka.TLS.KeyFile", func(c *config) { c.Kafka.TLS = connector.TLS{Enabled: true, CertFile: junk} }},
		"a key alone":              {"Kafka.TLS.CertFile", func(c *config) { c.Kafka.TLS = connector.TLS{Enabled: true, KeyFile: junk} }},
		"no pair":                  {"Kafka.TLS.CertFile", func(c *config) { c.Kafka.TLS = connector.TLS{Enabled: true, CertFile: junk, KeyFile: junk} }},
		"a mechanism":              {"Kafka.SASL.Mechanism", func(c *config) { c.Kafka.SASL.Mechanism = "plain" }},
		"a user of nothing":        {"Kafka.SASL.Mechanism", func(c *config) { c.Kafka.SASL.Username = "hunter2" }},
		"a role of nothing":        {"Kafka.SASL.Mechanism", func(c *config) { c.Kafka.SASL.AWS.RoleARN = "arn:aws:iam::123456789012:role/hunter2" }},
		"no role":                  {"Kafka.SASL.AWS.RoleARN", func(c *config) { c.Kafka.SASL.Mechanism, c.Kafka.SASL.AWS.RoleARN = "AWS_MSK_IAM", "hunter2" }},
		"no region":                {"Kafka.SASL.AWS.Region", func(c *config) { c.Kafka.SASL.AWS.Region = "hunter2 " }},
		"no user": {"Kafka.SASL.Username", func(c *config) {
			c.Kafka.SASL = connector.SASL{Mechanism: "PLAIN", Password: connector.SecretValue("p")}
		}},
		"no password": {"Kafka.SASL.Password", func(c *config) { c.Kafka.SASL = connector.SASL{Mechanism: "SCRAM-SHA-256", Username: "u"} }},
		"a broken password": {"Kafka.SASL.Password", func(c *config) {
			c.Kafka.SASL = connector.SASL{Mechanism: "PLAIN", Username: "u", Password: connector.SecretFile(junk)}
		}},
		"no client": {"Kafka.SASL.OAuth.ClientID", func(c *config) {
			c.Kafka.TLS.Enabled = true
			c.Kafka.SASL = connector.SASL{Mechanism: "OAUTHBEARER", OAuth: connector.OAuth{TokenURL: "https://idp/token", ClientSecret: connector.SecretValue("hunter2")}}
		}},
		"a token endpoint's user": {"Kafka.SASL.OAuth.TokenURL", func(c *config) {
			c.Kafka.TLS.Enabled = true
			c.Kafka.SASL = connector.SASL{Mechanism: "OAUTHBEARER", OAuth: connector.OAuth{TokenURL: "https://u:hunter2@idp", ClientID: "u", ClientSecret: connector.SecretValue("p")}}
		}},
		"no token": {"Kafka.SASL.Token", func(c *config) { c.Kafka.SASL.Mechanism = "OAUTHBEARER" }},
		"an extension": {"Kafka.SASL.Extensions", func(c *config) {
			c.Kafka.SASL = connector.SASL{Mechanism: "OAUTHBEARER", Token: connector.SecretValue("t"), Extensions: map[string]string{"auth": "hunter2"}}
		}},
		"no keytab": {"Kafka.SASL.Kerberos.KeytabFile", func(c *config) { c.Kafka.SASL = connector.SASL{Mechanism: "GSSAPI", Username: "hunter2"} }},
		"a keytab that is none": {"Kafka.SASL.Kerberos.KeytabFile", func(c *config) {
			c.Kafka.SASL = connector.SASL{Mechanism: "GSSAPI", Username: "hunter2", Kerberos: connector.Kerberos{KeytabFile: junk}}
		}},
		"no service":          {"Kafka.SASL.Kerberos.Service", func(c *config) { c.Kafka.SASL.Kerberos.Service = "hunter2@A" }},
		"a keytab of nothing": {"Kafka.SASL.Mechanism", func(c *config) { c.Kafka.SASL.Kerberos.KeytabFile = "/hunter2" }},
		"no AWS secret": {"Kafka.SASL.AWS.SecretAccessKey", func(c *config) {
			c.Kafka.SASL = connector.SASL{Mechanism: "AWS_MSK_IAM", AWS: connector.AWS{AccessKeyID: connector.SecretValue("i")}}
		}},
		"a password in the clear": {"Kafka.SASL.Mechanism", func(c *config) {
			c.Kafka.Brokers = []string{"kafka:9092"}
			c.Kafka.SASL = connector.SASL{Mechanism: "PLAIN", Username: "u", Password: connector.SecretValue("hunter2")}
		}},
		"no registry":       {"Registry.URL", func(c *config) { c.Registry.Username = "hunter2" }},
		"a registry's host": {"Registry.URL", func(c *config) { c.Registry.URL = "https://r,hunter2:8081" }},
		"a user in the URL": {"Registry.URL", func(c *config) { c.Registry.URL = "https://u:hunter2@r" }},
		"nobody's password": {"Registry.Username", func(c *config) {
			c.Registry = connector.Registry{URL: "https://r", Password: connector.SecretValue("hunter2")}
		}},
		"a registry's CA": {"Registry.CAFile", func(c *config) { c.Registry = connector.Registry{URL: "https://r", CAFile: junk} }},
		"a registry's password": {"Registry.Password", func(c *config) {
			c.Registry = connector.Registry{URL: "https://r", Username: "u", Password: connector.SecretFile(junk)}
		}},
		"no logger":               {"Logger", func(c *config) { c.Logger = nil }},
		"a limit beyond all":      {"APIRequestsPerMinute", func(c *config) { c.APIRequestsPerMinute = 1 << 31 }},
		"no base URL of a server": {"Organizations[1].BaseURL", func(c *config) { c.Organizations[1].BaseURL = "ftp://hunter2" }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := aConfig()
			tt.change(&cfg)
			_, err := connector.New(cfg)
			all, _ := errors.AsType[connector.ConfigError](err)
			if len(all) != 1 || all[0].Field != tt.field || all[0].Problem == "" || all[0].Remedy == "" {
				t.Fatalf("%v, want one error about %s", err, tt.field)
			}
			if one, _ := errors.AsType[*connector.FieldError](err); one != all[0] || strings.Contains(err.Error(), "unter2") {
				t.Error(err)
			}
		})
	}
}

// All that is wrong is said at once, why a file cannot be read is kept, and the names
// of fields can be replaced.
func TestConfigError(t *testing.T) {
	cfg := aConfig()
	cfg.Lookback, cfg.DeepLookback = time.Hour, time.Minute
	cfg.Organizations[0].AdminKey = connector.SecretFile("/none/key")
	err := cfg.Validate()
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no error of a file", err)
	}
	const want = "the config cannot be used: Organizations[0].AdminKey: the file cannot be used: no such file or directory; check its path, content and rights\n" +
		"DeepLookback: below Lookback; give more than Lookback, or 0 to turn it off"
	if err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	all, _ := errors.AsType[connector.ConfigError](err)
	if all[0].File != "/none/key" {
		t.Errorf("%+v", all[0])
	}
	if got := all[1].Rename(strings.ToUpper).Error(); got != "DEEPLOOKBACK: below LOOKBACK; give more than LOOKBACK, or 0 to turn it off" {
		t.Error(got)
	}
}
