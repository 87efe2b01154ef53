package kafka

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/kerberos"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/files"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
)

// Kerberos says who we are to brokers that want GSSAPI. Its files are read again for each
// sign-in, so that a keytab can be replaced while the process runs.
type Kerberos struct {
	KeytabFile string
	ConfigFile string // empty: /etc/krb5.conf
	Service    string // of the brokers; empty: kafka
}

// KerberosFault says what is wrong with the files of Kerberos, or with the principal.
type KerberosFault struct {
	Variable string // the setting at fault
	File     string // what it names, if that is a file
	Why      *remedy.Error
}

func (f *KerberosFault) Error() string { return f.Variable + ": " + f.Why.Error() }

// Unwrap returns what is wrong with the setting, and what to do about it.
func (f *KerberosFault) Unwrap() error { return f.Why }

const (
	keytabVariable    = "KAFKA_SASL_KERBEROS_KEYTAB_FILE"
	configVariable    = "KAFKA_SASL_KERBEROS_CONFIG_FILE"
	principalVariable = "KAFKA_SASL_USERNAME"
)

// Check returns a *KerberosFault if no KDC could be asked for the principal.
func (k Kerberos) Check(principal string) error {
	_, err := k.client(principal)
	return err
}

// client reads the files. It sends nothing yet.
func (k Kerberos) client(principal string) (*client.Client, error) {
	keys, err := k.keytab()
	if err != nil {
		return nil, err
	}
	conf, err := k.config()
	if err != nil {
		return nil, err
	}
	name, realm := principal, conf.LibDefaults.DefaultRealm
	if at := strings.LastIndexByte(principal, '@'); at >= 0 {
		name, realm = principal[:at], principal[at+1:]
	}
	if name == "" || realm == "" {
		return nil, &KerberosFault{principalVariable, "", remedy.New("write it as name@REALM", "the principal has no name or no realm, and krb5.conf has no default_realm")}
	}
	cl := client.NewWithKeytab(name, realm, keys, conf)
	parts := cl.Credentials.CName().NameString
	for _, entry := range keys.Entries {
		if entry.Principal.Realm == realm && slices.Equal(entry.Principal.Components, parts) {
			return cl, nil
		}
	}
	return nil, &KerberosFault{principalVariable, "", remedy.New("klist -k FILE lists those it has; write one of them, with its realm, or get the keytab of this one",
		"the keytab has no key of this principal")}
}

func (k Kerberos) keytab() (*keytab.Keytab, error) {
	content, err := readKerberos(keytabVariable, k.KeytabFile)
	if err != nil {
		return nil, err
	}
	keys := keytab.New()
	// The library's own words may quote the file, which is made of keys.
	if err := parse(func() error { return keys.Unmarshal(content) }); err != nil || len(keys.Entries) == 0 {
		return nil, &KerberosFault{keytabVariable, k.KeytabFile, remedy.New("write it with ktadd of kadmin, or ktpass", "the file is no keytab, or holds no key")}
	}
	return keys, nil
}

func (k Kerberos) config() (conf *config.Config, err error) {
	path := cmp.Or(k.ConfigFile, "/etc/krb5.conf")
	content, err := readKerberos(configVariable, path)
	if err != nil {
		return nil, err
	}
	err = parse(func() error {
		conf, err = config.NewFromReader(bytes.NewReader(content))
		if _, ok := errors.AsType[config.UnsupportedDirective](err); ok {
			return nil // it is for Kerberos 4
		}
		return err
	})
	if err != nil {
		return nil, &KerberosFault{configVariable, path, remedy.New("give one with default_realm and the KDCs of the realm alone; blocks within a realm are not understood",
			"the file is no krb5.conf that can be read here")}
	}
	return conf, nil
}

func readKerberos(variable, path string) ([]byte, error) {
	content, err := files.Read(path)
	if err != nil {
		return nil, &KerberosFault{variable, path, remedy.New("check its path and rights", "the file cannot be read: %w", err)}
	}
	return content, nil
}

// parse runs a parser of the library, which panics where a file ends too early.
func parse(parser func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file cannot be understood: %v", p)
		}
	}()
	return parser()
}

// gssapi is the mechanism GSSAPI. Only the exchange with the broker is franz-go's: its
// errors do not distinguish a KDC that is away from one that refused.
type gssapi struct {
	kerberos  Kerberos
	principal string
}

func (gssapi) Name() string { return "GSSAPI" }

// Authenticate is called for each connection, and when the broker wants us to sign in once more.
func (g gssapi) Authenticate(ctx context.Context, addr string) (session sasl.Session, message []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	done := make(chan struct{})
	var late error
	go func() { // the library knows no context; it gives each KDC five seconds
		defer close(done)
		session, message, late = g.signIn(ctx, addr)
	}()
	select {
	case <-done:
		return session, message, late
	case <-ctx.Done():
		return nil, nil, noTicket(ctx.Err())
	}
}

func (g gssapi) signIn(ctx context.Context, addr string) (sasl.Session, []byte, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	cl, err := g.kerberos.client(g.principal)
	if fault, ok := errors.AsType[*KerberosFault](err); ok {
		return nil, nil, noCredentials(fmt.Errorf("%s: %w", fault.Variable, fault.Why.Cause), fault.Why.Do)
	}
	defer cl.Destroy() // it would renew its ticket for ever
	service := cmp.Or(g.kerberos.Service, "kafka")
	if err := cl.Login(); err != nil {
		return nil, nil, noTicket(err)
	}
	if _, _, err := cl.GetServiceTicket(service + "/" + host); err != nil {
		return nil, nil, noTicket(err)
	}
	auth := kerberos.Auth{Client: cl, Service: service, PersistAfterAuth: true}
	return auth.AsMechanism().Authenticate(ctx, addr)
}

// refusals are the answers of a KDC that somebody can do something about.
var refusals = map[string]string{
	"KDC_ERR_C_PRINCIPAL_UNKNOWN": "the KDC does not know the principal; check KAFKA_SASL_USERNAME and its realm",
	"KDC_ERR_CLIENT_REVOKED":      "the principal is locked or disabled at the KDC; have it enabled",
	"KDC_ERR_KEY_EXPIRED":         "the principal's key has expired at the KDC; have it changed, and write a new keytab",
	"KDC_ERR_NAME_EXP":            "the principal has expired at the KDC; have it renewed",
	"KDC_ERR_PREAUTH_FAILED":      "the KDC has another key for the principal than the keytab; write a new keytab to KAFKA_SASL_KERBEROS_KEYTAB_FILE",
	"KDC_ERR_S_PRINCIPAL_UNKNOWN": "the KDC knows no such service on the broker's host; check KAFKA_SASL_KERBEROS_SERVICE, and that KAFKA_BROKERS and advertised.listeners name the brokers as their principals do",
	"KDC_ERR_ETYPE_NOSUPP":        "the KDC has no key of a type that krb5.conf allows; check default_tkt_enctypes, default_tgs_enctypes and permitted_enctypes there",
	"KRB_AP_ERR_SKEW":             clockSkew,
	"KDC_ERR_WRONG_REALM":         "the KDC is of another realm; check the realm in KAFKA_SASL_USERNAME and the KDCs in krb5.conf",
}

const (
	clockSkew = "the clocks of this machine and of the KDC differ by more than it allows; set both by NTP"
	noKDC     = "no KDC of the realm answered; check the KDCs in krb5.conf (KAFKA_SASL_KERBEROS_CONFIG_FILE), the network, and that one of them runs"
)

// answered finds the name of a KDC's answer: the library keeps nothing but the text.
var answered = regexp.MustCompile(`KRB Error: \(\d+\) ([A-Z_]+)`)

func noTicket(err error) error {
	text := err.Error()
	if code := answered.FindStringSubmatch(text); code != nil {
		do := cmp.Or(refusals[code[1]], "look for the cause in the KDC's log")
		return noCredentials(errors.New("the KDC answered "+code[1]), do)
	}
	switch {
	case strings.Contains(text, "clock skew"):
		return noCredentials(errors.New("the KDC's time is too far from ours"), clockSkew)
	case strings.Contains(text, "matching key not found"):
		return noCredentials(errors.New("the keytab has no key of the type that the KDC wants"), "write a keytab with all keys of the principal to KAFKA_SASL_KERBEROS_KEYTAB_FILE, or name the types it has as default_tkt_enctypes in krb5.conf")
	case strings.Contains(text, "KDC"), errors.Is(err, context.DeadlineExceeded):
		return noCredentials(fmt.Errorf("no answer from a KDC: %w", err), noKDC)
	}
	return noCredentials(err, "look for the cause in the KDC's log, and at krb5.conf")
}
