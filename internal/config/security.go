package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// checkTLS reads the files, so that a wrong path is found now and not at the
// first connection. They are read again for each.
func (e *environment) checkTLS(v values, t *connector.TLS) {
	var ca, cert, key []byte
	t.CAFile, ca = e.file("KAFKA_TLS_CA_FILE")
	t.CertFile, cert = e.file("KAFKA_TLS_CERT_FILE")
	t.KeyFile, key = e.file("KAFKA_TLS_KEY_FILE")
	files := t.CAFile != "" || t.CertFile != "" || t.KeyFile != ""
	t.Enabled = bool(v.TLS) || files
	if files && e.isSet("KAFKA_TLS") && !bool(v.TLS) {
		e.fault("KAFKA_TLS", "turned off, while files for it are given", "leave it out, or the files")
	}
	e.checkCA("KAFKA_TLS_CA_FILE", ca)
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		e.fault("KAFKA_TLS_KEY_FILE", "not set", "a client certificate needs its key")
	case t.CertFile == "" && t.KeyFile != "":
		e.fault("KAFKA_TLS_CERT_FILE", "not set", "a client key needs its certificate")
	case cert != nil && key != nil:
		if _, err := tls.X509KeyPair(cert, key); err != nil && isEncrypted(key) {
			e.fault("KAFKA_TLS_KEY_FILE", "the key is encrypted, and there is nobody to type its password", "give it decrypted, as by openssl pkey -in FILE -out FILE, and guard the file")
		} else if err != nil {
			e.fault("KAFKA_TLS_CERT_FILE", "not a PEM certificate for the key in KAFKA_TLS_KEY_FILE", "check both files")
		}
	}
}

// isEncrypted reports whether a PEM key wants a password.
func isEncrypted(key []byte) bool {
	block, _ := pem.Decode(key)
	return block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"))
}

func (e *environment) checkCA(variable string, bundle []byte) {
	if bundle == nil {
		return
	}
	if !x509.NewCertPool().AppendCertsFromPEM(bundle) {
		e.fault(variable, "holds no PEM certificate", "check the file")
		return
	}
	// Go leaves out what it cannot read, without a word.
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
		e.warnings = append(e.warnings, fmt.Sprintf("%s: certificate %d of the file cannot be read, and is left out (%s); mend the file", variable, n+1, problem))
	}
}

func (e *environment) checkSASL(v values, k *connector.Kafka) {
	e.checkAWS(v)
	s := &k.SASL
	s.Mechanism = strings.ToUpper(v.SASLMechanism)
	s.Username = v.SASLUsername
	s.Password = e.secret("KAFKA_SASL_PASSWORD")
	s.Token = e.secret("KAFKA_SASL_TOKEN")
	need := func(variable string, given bool) {
		if !given {
			e.hiddenFault(variable, "not set", s.Mechanism+" needs it")
		}
	}
	switch s.Mechanism {
	case "":
		for _, variable := range []string{"KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD", "KAFKA_SASL_PASSWORD" + FileSuffix, "KAFKA_SASL_TOKEN", "KAFKA_SASL_TOKEN" + FileSuffix, "KAFKA_SASL_AWS_ROLE_ARN"} {
			if e.isSet(variable) {
				e.hiddenFault("KAFKA_SASL_MECHANISM", "not set, while "+variable+" is", "say which mechanism it is for")
				return
			}
		}
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		need("KAFKA_SASL_USERNAME", s.Username != "")
		need("KAFKA_SASL_PASSWORD", s.Password.IsSet())
	case "OAUTHBEARER":
		need("KAFKA_SASL_TOKEN", s.Token.IsSet())
		s.Extensions = e.extensions(v.SASLExtensions)
	case "AWS_MSK_IAM":
		s.AWS = e.aws(v)
	default:
		e.oneOf("KAFKA_SASL_MECHANISM", s.Mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM")
	}
	sendsSecret := s.Mechanism == "PLAIN" || s.Mechanism == "OAUTHBEARER"
	if sendsSecret && !k.TLS.Enabled && slices.ContainsFunc(k.Brokers, isRemote) {
		e.fault("KAFKA_SASL_MECHANISM", "would send the secret unencrypted", "set KAFKA_TLS=true, or use SCRAM-SHA-512")
	}
	if strings.HasPrefix(s.Mechanism, "SCRAM-") && !k.TLS.Enabled && slices.ContainsFunc(k.Brokers, isRemote) {
		e.warnings = append(e.warnings, "KAFKA_SASL_MECHANISM: without TLS, who listens can read every event, and try passwords against what "+
			s.Mechanism+" sends; set KAFKA_TLS=true")
	}
}

var (
	roleSyntax   = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[^\s]+$`)
	regionSyntax = regexp.MustCompile(`^[a-z0-9-]+$`)
)

// checkAWS is for any mechanism: what is no region is never shown as one.
func (e *environment) checkAWS(v values) {
	if v.AWSRole != "" && !roleSyntax.MatchString(v.AWSRole) {
		e.fault("KAFKA_SASL_AWS_ROLE_ARN", "not the ARN of a role", "write it like arn:aws:iam::123456789012:role/audit")
	}
	if v.AWSRegion != "" && !regionSyntax.MatchString(v.AWSRegion) {
		e.fault("AWS_REGION", "not a region", "write it like eu-west-1")
	}
}

// aws checks a key, if one is given: half of it is a mistake. Without, the SDK looks for
// credentials when they are needed.
func (e *environment) aws(v values) connector.AWS {
	a := connector.AWS{
		AccessKeyID: e.secret("AWS_ACCESS_KEY_ID"), SecretAccessKey: e.secret("AWS_SECRET_ACCESS_KEY"), SessionToken: e.secret("AWS_SESSION_TOKEN"),
		RoleARN: v.AWSRole, Region: v.AWSRegion,
	}
	if a.AccessKeyID.IsSet() || a.SecretAccessKey.IsSet() || a.SessionToken.IsSet() {
		for variable, given := range map[string]bool{"AWS_ACCESS_KEY_ID": a.AccessKeyID.IsSet(), "AWS_SECRET_ACCESS_KEY": a.SecretAccessKey.IsSet()} {
			if !given {
				e.hiddenFault(variable, "not set, while other parts of the key are", "give the whole key, or none for the AWS SDK's default chain")
			}
		}
	}
	return a
}

func isRemote(broker string) bool {
	host, _, err := net.SplitHostPort(broker)
	if err != nil {
		host = broker
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// betweenURLs is a comma in front of a URL; a password may hold one too.
var betweenURLs = regexp.MustCompile(`\s*,\s*(https?://)`)

func (e *environment) checkRegistry(v values, r *connector.Registry) {
	r.Password = e.secret("SCHEMA_REGISTRY_PASSWORD")
	var ca []byte
	r.CAFile, ca = e.file("SCHEMA_REGISTRY_TLS_CA_FILE")
	e.checkCA("SCHEMA_REGISTRY_TLS_CA_FILE", ca)
	if v.RegistryURL == "" {
		if r.Username != "" || r.Password.IsSet() || r.CAFile != "" {
			e.fault("SCHEMA_REGISTRY_URL", "not set, while other settings of the registry are", "set it, or leave those out")
		}
		return
	}
	var urls []string
	for text := range strings.SplitSeq(betweenURLs.ReplaceAllString(v.RegistryURL, "\n$1"), "\n") {
		u := e.checkServer("SCHEMA_REGISTRY_URL", text)
		if u == nil {
			return
		}
		e.takeUser(u, r)
		if (r.Username != "" || r.Password.IsSet()) && sentInClear(u) {
			e.warnings = append(e.warnings, "SCHEMA_REGISTRY_URL: the password of the registry is sent without TLS; write https://")
		}
		urls = append(urls, strings.TrimRight(u.String(), "/"))
	}
	r.URL = strings.Join(urls, ",")
	if r.Username == "" && r.Password.IsSet() {
		e.hiddenFault("SCHEMA_REGISTRY_USERNAME", "not set, while SCHEMA_REGISTRY_PASSWORD is", "give both")
	}
}

// takeUser takes the user part out of a URL of the registry, so that no error can show
// it later.
func (e *environment) takeUser(u *url.URL, r *connector.Registry) {
	if u.User == nil {
		return
	}
	password, _ := u.User.Password()
	name, secret := u.User.Username(), connector.SecretValue(password)
	if (r.Username != "" || r.Password.IsSet()) && (r.Username != name || r.Password != secret) {
		e.fault("SCHEMA_REGISTRY_URL", "names a user, as other settings do", "keep SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD")
	}
	r.Username, r.Password = name, secret
	u.User = nil
}

// sentInClear reports whether requests to the URL can be read on their way.
func sentInClear(u *url.URL) bool { return u.Scheme == "http" && isRemote(u.Hostname()) }

// extensionName is what the OAUTHBEARER of Kafka takes for a name; auth is the token's.
var extensionName = regexp.MustCompile(`^[A-Za-z]+$`)

func (e *environment) extensions(given pairs) map[string]string {
	extensions := make(map[string]string, len(given))
	for _, pair := range given {
		name, value := pair[0], pair[1]
		if _, twice := extensions[name]; twice || !extensionName.MatchString(name) || name == "auth" || value == "" {
			e.fault("KAFKA_SASL_OAUTH_EXTENSIONS", "not a list of extensions", "write name=value,name=value, each name once and of letters only")
			return nil
		}
		extensions[name] = value
	}
	return extensions
}
