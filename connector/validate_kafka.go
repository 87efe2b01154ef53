package connector

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/files"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

var topicSyntax = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (v *validator) topics(k Kafka) {
	used := make(map[string]string)
	type named struct {
		field, name string
		optional    bool
	}
	topics := []named{{"Kafka.Topic", k.Topic, false}, {"Kafka.OffsetsTopic", k.OffsetsTopic, false}, {"Kafka.DLQTopic", k.DLQTopic, false},
		{"Kafka.SealTopic", k.SealTopic, true}}
	for _, c := range codec.Copies() {
		topics = append(topics, named{c.Field(), *k.CopyTopics()[c.Name], true})
	}
	for _, t := range topics {
		if t.name == "" {
			if !t.optional {
				v.fault(t.field, "not set", "name the topic; DefaultConfig has a name")
			}
			continue
		}
		if !topicSyntax.MatchString(t.name) || t.name == "." || t.name == ".." {
			v.fault(t.field, "not a topic name", "use at most 249 of a-z, A-Z, 0-9, dot, underscore and hyphen")
		}
		same := strings.ReplaceAll(t.name, ".", "_") // which is how Kafka compares
		if other := used[same]; other != "" {
			v.fault(t.field, "the same topic as "+other, "give each a topic of its own; . and _ count as the same", other)
		}
		used[same] = t.field
	}
}

func (v *validator) writing(k Kafka) {
	if len(k.Brokers) == 0 {
		v.fault("Kafka.Brokers", "no broker", "write host:port,host:port")
	}
	if !all(k.Brokers, kafka.IsBroker) {
		v.fault("Kafka.Brokers", "not a list of host:port", "write host:port,host:port, without a scheme")
	}
	v.upTo("Kafka.Partitions", int(k.Partitions), 10_000)
	if k.ReplicationFactor != -1 {
		v.upTo("Kafka.ReplicationFactor", int(k.ReplicationFactor), math.MaxInt16)
	}
	if k.Retention != 0 && k.Retention < time.Millisecond {
		v.fault("Kafka.Retention", "below 1ms", "give at least 1ms, or 0 for unlimited")
	}
	v.oneOf("Kafka.Compression", k.Compression, "none", "gzip", "snappy", "lz4", "zstd")
	v.oneOf("Kafka.JSONForm", string(k.JSONForm), string(JSONRaw), string(JSONSafe))
	v.oneOf("Kafka.Timestamp", string(k.Timestamp), string(TimestampIngest), string(TimestampEvent))
	v.headers(k.Headers)
}

func all[T any](list []T, is func(T) bool) bool {
	return !slices.ContainsFunc(list, func(item T) bool { return !is(item) })
}

// ownHeaders are those that we put on events and dead letters, ce_ ones apart.
var ownHeaders = map[string]bool{
	"content-type": true, "error": true, "error_detail": true, "source_topic": true,
	"effective_at": true, "truncated": true, "original_bytes": true, "sha256": true,
	seal.Header: true, seal.RepairHeader: true,
}

// plainHeader is a name that may be shown: what has other letters may be a value.
var plainHeader = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func (v *validator) headers(headers []Header) {
	seen := make(map[string]bool)
	for _, header := range headers {
		shown := header.Name
		if !plainHeader.MatchString(shown) {
			shown = redacted
		}
		switch name := strings.ToLower(header.Name); {
		case name == "":
			v.fault("Kafka.Headers", "a header has no name", "give each a name")
		case strings.HasPrefix(name, "ce_") || ownHeaders[name]:
			v.fault("Kafka.Headers", "a header of ours, "+shown+", is among them", "choose another name")
		case seen[name]:
			v.fault("Kafka.Headers", "the header "+shown+" is given twice", "give it once")
		default:
			seen[name] = true
		}
	}
}

// file returns the content of a file, nil if there is none.
func (v *validator) file(field, path string) []byte {
	if path == "" {
		return nil
	}
	content, err := files.Read(path)
	if err != nil {
		v.fileFault(field, path, err, "the file cannot be read: "+reason(err), "check its path and rights")
		return nil
	}
	return content
}

func (v *validator) authorities(field, path string) {
	content := v.file(field, path)
	if content != nil && !x509.NewCertPool().AppendCertsFromPEM(content) {
		v.fileFault(field, path, nil, "holds no PEM certificate", "check the file")
	}
}

// usesTLS reports whether TLS is wanted: files without it would be left unused without
// a word, and secrets sent in the clear.
func (t TLS) usesTLS() bool {
	return t.Enabled || t.CAFile != "" || t.CertFile != "" || t.KeyFile != ""
}

func (v *validator) tls(t TLS) {
	if t.usesTLS() && !t.Enabled {
		v.fault("Kafka.TLS.Enabled", "turned off, while files for it are given", "leave it out, or the files")
	}
	v.authorities("Kafka.TLS.CAFile", t.CAFile)
	cert, key := v.file("Kafka.TLS.CertFile", t.CertFile), v.file("Kafka.TLS.KeyFile", t.KeyFile)
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		v.fault("Kafka.TLS.KeyFile", "not set", "a client certificate needs its key")
	case t.CertFile == "" && t.KeyFile != "":
		v.fault("Kafka.TLS.CertFile", "not set", "a client key needs its certificate")
	case cert != nil && key != nil:
		if _, err := tls.X509KeyPair(cert, key); err != nil && isEncrypted(key) {
			v.fileFault("Kafka.TLS.KeyFile", t.KeyFile, nil, "the key is encrypted, and there is nobody to type its password",
				"decrypt it into another file, openssl pkey -in FILE -out OTHER, name that one here, and guard it")
		} else if err != nil {
			v.fileFault("Kafka.TLS.CertFile", t.CertFile, nil, "not a PEM certificate for the key in Kafka.TLS.KeyFile", "check both files", "Kafka.TLS.KeyFile")
		}
	}
}

// isEncrypted reports whether a PEM key wants a password.
func isEncrypted(key []byte) bool {
	block, _ := pem.Decode(key)
	return block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"))
}

func (v *validator) sasl(k Kafka) {
	s := k.SASL
	v.secret("Kafka.SASL.Password", s.Password)
	v.secret("Kafka.SASL.Token", s.Token)
	v.tokenURL(s.OAuth)
	v.aws(s.AWS)
	if k := s.Kerberos.Service; k != "" && !serviceSyntax.MatchString(k) { // for any mechanism: what is no name may be a secret
		v.fault("Kafka.SASL.Kerberos.Service", "not the name of a service", "write what the brokers' principals begin with, up to the slash, like kafka")
	}
	need := func(field string, given bool) {
		if !given {
			v.fault(field, "not set", s.Mechanism+" needs it")
		}
	}
	switch s.Mechanism {
	case "":
		v.noSASL(s)
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		need("Kafka.SASL.Username", s.Username != "")
		need("Kafka.SASL.Password", s.Password.IsSet())
	case "OAUTHBEARER":
		v.token(s)
		v.extensions(s.Extensions)
	case "GSSAPI":
		need("Kafka.SASL.Username", s.Username != "")
		need("Kafka.SASL.Kerberos.KeytabFile", s.Kerberos.KeytabFile != "")
		v.kerberos(s)
	case "AWS_MSK_IAM": // without a key the SDK looks for credentials when they are needed
	default:
		v.oneOf("Kafka.SASL.Mechanism", s.Mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI", "AWS_MSK_IAM")
	}
	sendsSecret := s.Mechanism == "PLAIN" || s.Mechanism == "OAUTHBEARER"
	if sendsSecret && !k.TLS.usesTLS() && slices.ContainsFunc(k.Brokers, kafka.IsRemote) {
		v.fault("Kafka.SASL.Mechanism", "would send the secret unencrypted", "set Kafka.TLS.Enabled=true, or use SCRAM-SHA-512", "Kafka.TLS.Enabled")
	}
}

// noSASL refuses credentials that no mechanism uses: the brokers would be asked without.
func (v *validator) noSASL(s SASL) {
	for _, given := range []struct {
		field string
		is    bool
	}{
		{"Kafka.SASL.Username", s.Username != ""}, {"Kafka.SASL.Password", s.Password.IsSet()}, {"Kafka.SASL.Token", s.Token.IsSet()},
		{"Kafka.SASL.OAuth.TokenURL", s.OAuth.TokenURL != ""}, {"Kafka.SASL.Kerberos.KeytabFile", s.Kerberos.KeytabFile != ""},
		{"Kafka.SASL.AWS.AccessKeyID", s.AWS.AccessKeyID.IsSet()}, {"Kafka.SASL.AWS.SecretAccessKey", s.AWS.SecretAccessKey.IsSet()},
		{"Kafka.SASL.AWS.RoleARN", s.AWS.RoleARN != ""},
	} {
		if given.is {
			v.fault("Kafka.SASL.Mechanism", "not set, while "+given.field+" is", "say which mechanism it is for", given.field)
			return
		}
	}
}

// kerberosFields are the fields that package kafka knows by their variables.
var kerberosFields = map[string]string{
	"KAFKA_SASL_KERBEROS_KEYTAB_FILE": "Kafka.SASL.Kerberos.KeytabFile",
	"KAFKA_SASL_KERBEROS_CONFIG_FILE": "Kafka.SASL.Kerberos.ConfigFile",
	"KAFKA_SASL_USERNAME":             "Kafka.SASL.Username",
}

func (v *validator) kerberos(s SASL) {
	if s.Username == "" || s.Kerberos.KeytabFile == "" {
		return
	}
	fault, _ := errors.AsType[*kafka.KerberosFault](kafka.Kerberos(s.Kerberos).Check(s.Username))
	if fault == nil {
		return
	}
	problem, unread := fault.Why.Cause.Error(), errors.Unwrap(fault.Why.Cause)
	if unread != nil {
		problem = "the file cannot be read: " + reason(unread)
	}
	v.fileFault(kerberosFields[fault.Variable], fault.File, unread, problem, fault.Why.Do)
}

var (
	roleSyntax    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[^\s]+$`)
	serviceSyntax = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	regionSyntax  = regexp.MustCompile(`^[a-z0-9-]+$`)
)

func (v *validator) aws(a AWS) {
	v.secret("Kafka.SASL.AWS.AccessKeyID", a.AccessKeyID)
	v.secret("Kafka.SASL.AWS.SecretAccessKey", a.SecretAccessKey)
	v.secret("Kafka.SASL.AWS.SessionToken", a.SessionToken)
	if a.RoleARN != "" && !roleSyntax.MatchString(a.RoleARN) {
		v.fault("Kafka.SASL.AWS.RoleARN", "not the ARN of a role", "write it like arn:aws:iam::123456789012:role/audit")
	}
	if a.Region != "" && !regionSyntax.MatchString(a.Region) {
		v.fault("Kafka.SASL.AWS.Region", "not a region", "write it like eu-west-1")
	}
	if !a.AccessKeyID.IsSet() && !a.SecretAccessKey.IsSet() && !a.SessionToken.IsSet() {
		return
	}
	const problem, remedy = "not set, while other parts of the key are", "give the whole key, or none for the AWS SDK's default chain"
	if !a.AccessKeyID.IsSet() {
		v.fault("Kafka.SASL.AWS.AccessKeyID", problem, remedy)
	}
	if !a.SecretAccessKey.IsSet() {
		v.fault("Kafka.SASL.AWS.SecretAccessKey", problem, remedy)
	}
}

// tokenURL is for any mechanism: what is no URL may hold a password.
func (v *validator) tokenURL(o OAuth) {
	v.secret("Kafka.SASL.OAuth.ClientSecret", o.ClientSecret)
	v.secret("Kafka.SASL.OAuth.Assertion", o.Assertion)
	if o.TokenURL == "" {
		return
	}
	if u := v.server("Kafka.SASL.OAuth.TokenURL", o.TokenURL); u != nil && u.User != nil {
		v.fault("Kafka.SASL.OAuth.TokenURL", "there is a user name in the URL", "give it as Kafka.SASL.OAuth.ClientID, and its password as Kafka.SASL.OAuth.ClientSecret",
			"Kafka.SASL.OAuth.ClientID", "Kafka.SASL.OAuth.ClientSecret")
	}
}

// token checks where the token of OAUTHBEARER comes from: it is given, or asked for.
func (v *validator) token(s SASL) {
	o := s.OAuth
	switch {
	case o.TokenURL == "" && o != (OAuth{}):
		v.fault("Kafka.SASL.OAuth.TokenURL", "not set, while other settings of the token endpoint are", "set it, or leave those out and give Kafka.SASL.Token", "Kafka.SASL.Token")
		return
	case o.TokenURL == "":
		if !s.Token.IsSet() {
			v.fault("Kafka.SASL.Token", "not set", "OAUTHBEARER needs it, or Kafka.SASL.OAuth.TokenURL", "Kafka.SASL.OAuth.TokenURL")
		}
		return
	case s.Token.IsSet():
		v.fault("Kafka.SASL.Token", "given, and Kafka.SASL.OAuth.TokenURL too", "keep one of them", "Kafka.SASL.OAuth.TokenURL")
	}
	if o.ClientID == "" {
		v.fault("Kafka.SASL.OAuth.ClientID", "not set", "the token endpoint needs it")
	}
	if o.ClientSecret.IsSet() == o.Assertion.IsSet() {
		v.fault("Kafka.SASL.OAuth.ClientSecret", "the client has no secret and no assertion, or both", "give it, or Kafka.SASL.OAuth.Assertion", "Kafka.SASL.OAuth.Assertion")
	}
}

// extensionName is what the OAUTHBEARER of Kafka takes for a name; auth is the token's.
var extensionName = regexp.MustCompile(`^[A-Za-z]+$`)

func (v *validator) extensions(given map[string]string) {
	for name, value := range given {
		if !extensionName.MatchString(name) || name == "auth" || value == "" {
			v.fault("Kafka.SASL.Extensions", "not a list of extensions", "write name=value,name=value, each name once and of letters only")
			return
		}
	}
}
