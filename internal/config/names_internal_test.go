package config

import (
	"reflect"
	"slices"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
)

// A setting that is read but not in the table would be refused as a mistyped name,
// and one in the table that nobody reads would be ignored without a word.
func TestTheTableHasWhatIsRead(t *testing.T) {
	var read []string
	for field := range reflect.TypeFor[values]().Fields() {
		read = append(read, field.Tag.Get("env"))
	}
	read = append(read, single.name, single.key, single.baseURL, single.backfill, single.tenantEvents,
		"KAFKA_TLS_CA_FILE", "KAFKA_TLS_CERT_FILE", "KAFKA_TLS_KEY_FILE", "SCHEMA_REGISTRY_TLS_CA_FILE",
		"KAFKA_SASL_OAUTH_ASSERTION_FILE", "KAFKA_SASL_KERBEROS_KEYTAB_FILE", "KAFKA_SASL_KERBEROS_CONFIG_FILE")
	for _, s := range table {
		if s.Secret {
			read = append(read, s.Name) // by name, in security.go
		}
	}
	for _, c := range codec.Copies() {
		read = append(read, c.Setting())
	}
	slices.Sort(read)
	var listed []string
	for _, s := range table {
		listed = append(listed, s.Name)
	}
	slices.Sort(listed)
	if read = slices.Compact(read); !slices.Equal(read, listed) {
		t.Errorf("read\n%q\nlisted\n%q", read, listed)
	}
}

func TestEdits(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "bc", 1}, {"abc", "acb", 2}, {"kitten", "sitting", 3}, {"a", "xyz", 3}} {
		if got := edits(tt.a, tt.b, 9); got != tt.want {
			t.Errorf("%s, %s: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
	if got := edits("kitten", "sitting", 2); got != 2 {
		t.Errorf("with limit 2: %d", got)
	}
}
