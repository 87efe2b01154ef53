package kafkatest

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The users that secured brokers know, with Password. They may do nothing until
// an ACL allows it. The certificate in Security.CertFile is User's too.
const (
	User      = "svc"
	OtherUser = "other"
	Password  = "correct-horse"
)

// secureListeners are the listeners Secured adds, and their protocols.
var secureListeners = [...]struct{ name, protocol string }{
	{"SASL", "SASL_PLAINTEXT"},
	{"SASLTLS", "SASL_SSL"},
	{"MTLS", "SSL"},
}

// Security says how to reach secured brokers. SASL is PLAIN, SCRAM-SHA-256 or
// SCRAM-SHA-512, and with TLS also OAUTHBEARER with a Token of ours. The plain listener (Cluster.Brokers) may do everything, so that
// Cluster.Admin can set ACLs.
type Security struct {
	SASL    []string // addresses without TLS
	SASLTLS []string // with TLS
	MTLS    []string // with TLS and a client certificate, no SASL

	CAFile   string // PEM, the brokers' certificate authority
	CertFile string // PEM, a client certificate of User
	KeyFile  string // PEM, its key

	brokerFile string           // certificate and key of the brokers
	jwksFile   string           // the public key of our tokens
	jwksServer *httptest.Server // nil: in the file
	ca         *authority
	keys       *signingKeys
}

// Renew writes a new client certificate of User, with a new key.
func (s *Security) Renew() error {
	cert, key, err := s.ca.issue(User)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(s.CertFile, cert, 0o600), os.WriteFile(s.KeyFile, key, 0o600))
}

func newSecurity(dir string, o options, nodes []*Node) (*Security, error) {
	s := &Security{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "client.pem"),
		KeyFile: filepath.Join(dir, "client-key.pem"), brokerFile: filepath.Join(dir, "broker.pem"), jwksFile: filepath.Join(dir, "jwks.json"),
	}
	for _, n := range nodes {
		s.SASL = append(s.SASL, n.secure[0])
		s.SASLTLS = append(s.SASLTLS, n.secure[1])
		s.MTLS = append(s.MTLS, n.secure[2])
	}
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	brokerCert, brokerKey, err := ca.issue("broker")
	if err != nil {
		return nil, err
	}
	s.ca = ca
	s.keys = newSigningKeys()
	keys, err := s.keys.jwks()
	if err != nil {
		return nil, err
	}
	for file, content := range map[string][]byte{
		s.CAFile: ca.pem, s.brokerFile: slices.Concat(brokerKey, brokerCert), s.jwksFile: keys,
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return nil, err
		}
	}
	if o.keysByURL {
		if s.jwksServer, err = s.keys.serve(ca); err != nil {
			return nil, err
		}
	}
	return s, s.Renew()
}

func (s *Security) close() {
	if s != nil && s.jwksServer != nil {
		s.jwksServer.Close()
	}
}

// properties returns what the node's server.properties has more, or other than
// plain.
func (s *Security) properties(n *Node, plain map[string]string) map[string]string {
	login := func(module string, more ...string) string {
		return fmt.Sprintf(`org.apache.kafka.common.security.%s required username="admin" password="%s" %s;`,
			module, Password, strings.Join(more, " "))
	}
	p := map[string]string{
		"listeners":                      plain["listeners"],
		"listener.security.protocol.map": plain["listener.security.protocol.map"],
		"sasl.enabled.mechanisms":        "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"ssl.keystore.type":              "PEM",
		"ssl.keystore.location":          s.brokerFile,
		"ssl.truststore.type":            "PEM",
		"ssl.truststore.location":        s.CAFile,
		"ssl.principal.mapping.rules":    "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
		"authorizer.class.name":          "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		// ANONYMOUS is who speaks on the plain listeners, controllers among them.
		"super.users":                        "User:admin;User:ANONYMOUS",
		"listener.name.mtls.ssl.client.auth": "required",
	}
	p["listener.name.sasltls.sasl.enabled.mechanisms"] = p["sasl.enabled.mechanisms"] + ",OAUTHBEARER"
	const oauth = "listener.name.sasltls.oauthbearer."
	p[oauth+"sasl.jaas.config"] = `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="admin" ssl.truststore.type="PEM" ssl.truststore.location="` + s.CAFile + `";`
	p[oauth+"sasl.server.callback.handler.class"] = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
	p[oauth+"sasl.oauthbearer.jwks.endpoint.url"] = s.jwksURL()
	p[oauth+"sasl.oauthbearer.expected.audience"] = Audience
	p[oauth+"sasl.oauthbearer.jwks.endpoint.refresh.ms"] = "2000"
	for i, l := range secureListeners {
		p["listeners"] += "," + l.name + "://" + n.secure[i]
		p["listener.security.protocol.map"] += "," + l.name + ":" + l.protocol
		if strings.HasPrefix(l.protocol, "SASL") {
			prefix := "listener.name." + strings.ToLower(l.name) + "."
			p[prefix+"scram-sha-256.sasl.jaas.config"] = login("scram.ScramLoginModule")
			p[prefix+"scram-sha-512.sasl.jaas.config"] = login("scram.ScramLoginModule")
			p[prefix+"plain.sasl.jaas.config"] = login("plain.PlainLoginModule",
				fmt.Sprintf("user_%s=%q user_%s=%q", User, Password, OtherUser, Password))
		}
	}
	return p
}

// jwksURL is where the brokers find the keys of our tokens.
func (s *Security) jwksURL() string {
	if s.jwksServer != nil {
		return s.jwksServer.URL + "/keys"
	}
	return "file://" + s.jwksFile
}

// scramUsers returns the arguments that give the storage tool the users.
func scramUsers() []string {
	var args []string
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		for _, user := range []string{User, OtherUser} {
			args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, user, Password))
		}
	}
	return args
}
