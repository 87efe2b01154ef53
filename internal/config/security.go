package config

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/files"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// takeTLS turns TLS on where a file for it is given, unless somebody turned it off.
func (e *environment) takeTLS(v values, t *connector.TLS) {
	t.CAFile = e.vars["KAFKA_TLS_CA_FILE"]
	t.CertFile = e.vars["KAFKA_TLS_CERT_FILE"]
	t.KeyFile = e.vars["KAFKA_TLS_KEY_FILE"]
	files := t.CAFile != "" || t.CertFile != "" || t.KeyFile != ""
	t.Enabled = bool(v.TLS) || files && !e.isSet("KAFKA_TLS")
	e.warnOfCA("KAFKA_TLS_CA_FILE")
}

// warnOfCA warns of certificates in a bundle that Go leaves out without a word, since
// it cannot read them.
func (e *environment) warnOfCA(variable string) {
	if !e.isSet(variable) {
		return
	}
	bundle, err := files.Read(e.vars[variable])
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(bundle) {
		return // a fault
	}
	const begin = "-----BEGIN CERTIFICATE-----"
	for n, text := range strings.Split(string(bundle), begin)[1:] {
		block, _ := pem.Decode([]byte(begin + text))
		problem := "it is no PEM block"
		if block != nil {
			_, err := x509.ParseCertificate(block.Bytes)
			if err == nil {
				continue
			}
			problem = err.Error()
		}
		e.warnings = append(e.warnings, fmt.Sprintf("%s: certificate %d of the file cannot be read, and is left out (%s); correct the file", variable, n+1, problem))
	}
}

func (e *environment) takeSASL(v values, k *connector.Kafka) {
	s := &k.SASL
	s.Mechanism = strings.ToUpper(v.SASLMechanism)
	s.Username = v.SASLUsername
	s.Password = e.secret("KAFKA_SASL_PASSWORD")
	s.Token = e.secret("KAFKA_SASL_TOKEN")
	s.AWS.RoleARN, s.AWS.Region = v.AWSRole, v.AWSRegion // checked for any mechanism: what is no region is never shown as one
	s.OAuth = e.oauth(v)                                 // the same
	s.Kerberos = connector.Kerberos{
		KeytabFile: e.vars["KAFKA_SASL_KERBEROS_KEYTAB_FILE"], ConfigFile: e.vars["KAFKA_SASL_KERBEROS_CONFIG_FILE"], Service: v.KerberosService,
	}
	switch s.Mechanism {
	case "OAUTHBEARER":
		s.Extensions = extensions(v.SASLExtensions)
	case "AWS_MSK_IAM": // else the key is for other programs
		s.AWS.AccessKeyID = e.secret("AWS_ACCESS_KEY_ID")
		s.AWS.SecretAccessKey = e.secret("AWS_SECRET_ACCESS_KEY")
		s.AWS.SessionToken = e.secret("AWS_SESSION_TOKEN")
	}
	if k.TLS.Enabled || !slices.ContainsFunc(k.Brokers, kafka.IsRemote) {
		return
	}
	if s.Mechanism == "GSSAPI" {
		e.warnings = append(e.warnings, "KAFKA_SASL_MECHANISM: without TLS, anyone who listens can read every event: Kerberos guards the sign-in alone; set KAFKA_TLS=true")
	}
	if strings.HasPrefix(s.Mechanism, "SCRAM-") {
		e.warnings = append(e.warnings, "KAFKA_SASL_MECHANISM: without TLS, anyone who listens can read every event, and try passwords against what "+
			s.Mechanism+" sends; set KAFKA_TLS=true")
	}
}

func (e *environment) oauth(v values) connector.OAuth {
	if u, err := url.Parse(v.OAuthURL); err == nil && sentInClear(u) {
		e.warnings = append(e.warnings, "KAFKA_SASL_OAUTH_TOKEN_URL: the client's secret and the token are sent without TLS; write https://")
	}
	o := connector.OAuth{TokenURL: v.OAuthURL, ClientID: v.OAuthClient, Scope: v.OAuthScope, Audience: v.OAuthAudience}
	o.ClientSecret = e.secret("KAFKA_SASL_OAUTH_CLIENT_SECRET")
	if file := e.vars["KAFKA_SASL_OAUTH_ASSERTION_FILE"]; file != "" {
		o.Assertion = connector.SecretFile(file)
	}
	return o
}

// betweenURLs is a comma in front of a URL; a password may hold one too.
var betweenURLs = regexp.MustCompile(`\s*,\s*(https?://)`)

func (e *environment) takeRegistry(v values, r *connector.Registry) {
	r.Password = e.secret("SCHEMA_REGISTRY_PASSWORD")
	r.CAFile = e.vars["SCHEMA_REGISTRY_TLS_CA_FILE"]
	e.warnOfCA("SCHEMA_REGISTRY_TLS_CA_FILE")
	if v.RegistryURL == "" {
		return
	}
	var urls []string
	for text := range strings.SplitSeq(betweenURLs.ReplaceAllString(v.RegistryURL, "\n$1"), "\n") {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || strings.ContainsAny(text, "?#") {
			// It may hold a password, so it is not kept. A blank is no URL, and is refused.
			urls = append(urls, " ")
			break
		}
		e.takeUser(u, r)
		if (r.Username != "" || r.Password.IsSet()) && sentInClear(u) {
			e.warnings = append(e.warnings, "SCHEMA_REGISTRY_URL: the password of the registry is sent without TLS; write https://")
		}
		urls = append(urls, strings.TrimRight(u.String(), "/"))
	}
	r.URL = strings.Join(urls, ",")
}

// takeUser takes the user part out of a URL of the registry, so that no error can show
// it later.
func (e *environment) takeUser(u *url.URL, r *connector.Registry) {
	if u.User == nil {
		return
	}
	password, _ := u.User.Password()
	name, secret := u.User.Username(), connector.SecretValue(password)
	u.User = nil
	if (r.Username != "" || r.Password.IsSet()) && (r.Username != name || r.Password != secret) {
		e.fault("SCHEMA_REGISTRY_URL", "names a user, as other settings do", "keep SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD")
		r.Username = name // and the password that was given, whose faults are reported too
		return
	}
	r.Username, r.Password = name, secret
}

// sentInClear reports whether requests to the URL can be read on their way.
func sentInClear(u *url.URL) bool { return u.Scheme == "http" && kafka.IsRemote(u.Hostname()) }

// extensions returns what is given. A name that is given twice gets an empty value,
// which is refused.
func extensions(given pairs) map[string]string {
	extensions := make(map[string]string, len(given))
	for _, pair := range given {
		name, value := pair[0], pair[1]
		if _, twice := extensions[name]; twice {
			value = ""
		}
		extensions[name] = value
	}
	return extensions
}
