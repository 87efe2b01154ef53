package kafka

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// kerberosWorld is a KDC that knows a user and a broker, and the user's files.
type kerberosWorld struct {
	t   *testing.T
	kdc *kafkatest.KDC
	gssapi
}

func newKerberosWorld(t *testing.T) *kerberosWorld {
	w := &kerberosWorld{t: t, kdc: kafkatest.NewKDC(t)}
	w.kdc.Keytab("kafka/127.0.0.1")
	w.principal = "svc@" + kafkatest.Realm
	w.kerberos = Kerberos{KeytabFile: filepath.Join(t.TempDir(), "keytab"), ConfigFile: w.kdc.ConfigFile}
	w.newKey()
	return w
}

// newKey gives the user another key at the KDC, and puts it into the keytab.
func (w *kerberosWorld) newKey() {
	w.t.Helper()
	if err := os.Rename(w.kdc.Keytab("svc"), w.kerberos.KeytabFile); err != nil {
		w.t.Fatal(err)
	}
}

// fails fails the test unless a sign-in ends with an error whose remedy holds the words.
func (w *kerberosWorld) fails(when string, g gssapi, words string) {
	w.t.Helper()
	_, _, err := g.Authenticate(w.t.Context(), "127.0.0.1:9092")
	if _, ours := errors.AsType[*CredentialsError](err); !ours || Classify(err) != ClassAuthentication || !strings.Contains(Explain(err), words) {
		w.t.Errorf("%s: %v: %s, want %q", when, err, Explain(err), words)
	}
	if err != nil && strings.Contains(err.Error()+Explain(err), "svc") {
		w.t.Errorf("%s: the principal is shown: %v", when, err)
	}
}

func (w *kerberosWorld) works(when string) {
	w.t.Helper()
	session, message, err := w.Authenticate(w.t.Context(), "127.0.0.1:9092")
	if err != nil || session == nil || len(message) == 0 {
		w.t.Errorf("%s: %v: %s", when, err, Explain(err))
	}
}

// Each way in which a KDC refuses, or does not answer, has its remedy, and what is fixed
// counts for the next sign-in. The real broker's part is in TestKerberos.
func TestKerberosRefusals(t *testing.T) {
	w := newKerberosWorld(t)
	quiet := goleak.IgnoreCurrent()
	w.works("at first")
	goleak.VerifyNone(t, quiet) // the library would renew its ticket for ever

	other := w.gssapi
	other.kerberos.Service = "kafkaesque"
	w.fails("with an unknown service", other, "KAFKA_SASL_KERBEROS_SERVICE")
	other = w.gssapi
	other.kerberos.KeytabFile += ".missing"
	w.fails("without a keytab", other, "check its path and rights")

	w.kdc.Admin("modprinc -allow_tix svc")
	w.fails("while it is locked", w.gssapi, "have it enabled")
	w.kdc.Admin("modprinc +allow_tix svc")
	w.works("when it is enabled")

	w.kdc.Admin("cpw -randkey svc")
	w.fails("with the key from before", w.gssapi, "write a new keytab")
	w.newKey()
	w.works("with the new keytab")

	w.kdc.Stop()
	w.fails("while the KDC is away", w.gssapi, "no KDC of the realm answered")
	w.kdc.Start()
	w.works("when it is back")

	synctest.Test(t, func(t *testing.T) { // in which it is the year 2000
		w.t = t
		w.fails("with a wrong clock", w.gssapi, "the clocks of this machine and of the KDC differ")
	})
	w.t = t

	w.kdc.Admin("delprinc -force svc")
	w.fails("when it is gone", w.gssapi, "check KAFKA_SASL_USERNAME")
}

// What is wrong with the files is known before a KDC is asked. The content of a keytab is
// never shown, and no file makes the library's parsers panic.
func TestKerberosFiles(t *testing.T) {
	w := newKerberosWorld(t)
	keys, err := os.ReadFile(w.kerberos.KeytabFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := 0
	write := func(content []byte) string {
		files++
		path := filepath.Join(dir, strconv.Itoa(files))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := func(text string) Kerberos {
		return Kerberos{KeytabFile: w.kerberos.KeytabFile, ConfigFile: write([]byte(text))}
	}
	for name, tt := range map[string]struct {
		kerberos  Kerberos
		principal string
		variable  string // at fault; empty: none
	}{
		"all is well":            {w.kerberos, "svc@" + kafkatest.Realm, ""},
		"the default realm":      {w.kerberos, "svc", ""},
		"another principal":      {w.kerberos, "audit@" + kafkatest.Realm, principalVariable},
		"another realm":          {w.kerberos, "svc@OTHER.TEST", principalVariable},
		"no realm":               {conf("[libdefaults]\n\tdns_lookup_kdc = true\n"), "svc", principalVariable},
		"no keytab":              {Kerberos{KeytabFile: filepath.Join(dir, "missing"), ConfigFile: w.kdc.ConfigFile}, "svc", keytabVariable},
		"no krb5.conf":           {Kerberos{KeytabFile: w.kerberos.KeytabFile, ConfigFile: filepath.Join(dir, "missing")}, "svc", configVariable},
		"a krb5.conf for others": {conf("[libdefaults]\n\tnothing\n"), "svc", configVariable},
		"a block in a realm":     {conf("[realms]\n\tA = {\n\t\tauth_to_local_names = {\n\t\t\ta = b\n\t\t}\n\t}\n"), "svc", configVariable},
		"Kerberos 4 is there":    {conf("[libdefaults]\n\tdefault_realm = " + kafkatest.Realm + "\n[realms]\n\tA = {\n\t\tv4_instance_convert = {\n\t\t\ta = b\n\t\t}\n\t}\n"), "svc", ""},
	} {
		err := tt.kerberos.Check(tt.principal)
		fault, _ := errors.AsType[*KerberosFault](err)
		switch {
		case tt.variable == "" && err != nil, tt.variable != "" && (fault == nil || fault.Variable != tt.variable || fault.Why.Do == ""):
			t.Errorf("%s: %v, want %s", name, err, tt.variable)
		case strings.HasPrefix(name, "no k") && !errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range keys {
		k := Kerberos{KeytabFile: write(keys[:n]), ConfigFile: w.kdc.ConfigFile}
		if err := k.Check("svc"); err != nil && bytes.Contains([]byte(err.Error()), keys[len(keys)-24:len(keys)-8]) {
			t.Fatalf("the first %d bytes of a keytab: %v", n, err)
		}
	}
}
