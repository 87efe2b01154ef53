package kafkatest

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Realm is that of every KDC here.
const Realm = "AUDIT.TEST"

// KDC is a Kerberos key distribution center, that of MIT, for one test.
type KDC struct {
	// ConfigFile is krb5.conf for its clients.
	ConfigFile string

	t    testing.TB
	dir  string
	addr string
	stop func()
}

// NewKDC starts one with no principal. A machine without the programs skips the test, or
// fails it, as Missing does.
func NewKDC(t testing.TB) *KDC {
	t.Helper()
	k := &KDC{t: t, dir: t.TempDir()}
	for _, program := range []string{"krb5kdc", "kdb5_util", "kadmin.local"} {
		if _, err := os.Stat(k.program(program)); err != nil {
			Missing(t, program+": install the packages krb5-kdc and krb5-admin-server")
		}
	}
	l, err := listenAnywhere()
	if err != nil {
		t.Fatal(err)
	}
	k.addr = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	k.ConfigFile = filepath.Join(k.dir, "krb5.conf")
	k.write("krb5.conf", "[libdefaults]\n\tdefault_realm = "+Realm+"\n\tdns_lookup_kdc = false\n[realms]\n\t"+Realm+" = {\n\t\tkdc = "+k.addr+"\n\t}\n")
	plugins, _ := filepath.Glob(filepath.Join(debianKerberos(), "usr/lib/*/krb5/plugins/kdb"))
	modules := ""
	if len(plugins) > 0 {
		modules = "[dbmodules]\n\tdb_module_dir = " + plugins[0] + "\n"
	}
	k.write("kdc.conf", "[kdcdefaults]\n\tkdc_listen = "+k.addr+"\n\tkdc_tcp_listen = "+k.addr+"\n[realms]\n\t"+Realm+" = {\n"+
		"\t\tdatabase_name = "+k.file("principal")+"\n\t\tkey_stash_file = "+k.file("stash")+"\n\t\tdefault_principal_flags = +preauth\n\t}\n"+
		"[logging]\n\tkdc = FILE:"+k.file("kdc.log")+"\n"+modules)
	k.run("kdb5_util", "create", "-s", "-r", Realm, "-P", Password)
	k.Start()
	return k
}

// Keytab makes the principal, or gives it a new key, and returns the keytab with it.
func (k *KDC) Keytab(principal string) string {
	k.t.Helper()
	file := k.file(strings.ReplaceAll(principal, "/", "-") + ".keytab")
	_ = os.Remove(file)
	k.Admin("addprinc -randkey "+principal, "ktadd -k "+file+" "+principal)
	return file
}

// Admin runs queries of kadmin.
func (k *KDC) Admin(queries ...string) {
	k.t.Helper()
	cmd := k.command("kadmin.local", "-r", Realm)
	cmd.Stdin = strings.NewReader(strings.Join(queries, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("kadmin.local: %v\n%s", err, out)
	}
}

// Start starts the process, and waits until it listens.
func (k *KDC) Start() {
	k.t.Helper()
	process := k.command("krb5kdc", "-n", "-r", Realm, "-P", k.file("pid"))
	if err := process.Start(); err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the process
		_ = process.Wait()
		close(ended)
	}()
	k.stop = sync.OnceFunc(func() {
		_ = process.Process.Kill()
		<-ended
		_ = os.Remove(k.file("pid"))
	})
	k.t.Cleanup(k.stop)
	for _, err := os.Stat(k.file("pid")); err != nil; _, err = os.Stat(k.file("pid")) {
		select {
		case <-ended:
			log, _ := os.ReadFile(k.file("kdc.log"))
			k.t.Fatalf("the KDC ended: %s", log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Stop kills the process. Start starts it again.
func (k *KDC) Stop() { k.stop() }

func (k *KDC) file(name string) string { return filepath.Join(k.dir, name) }

func (k *KDC) write(name, text string) {
	k.t.Helper()
	if err := os.WriteFile(k.file(name), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *KDC) run(program string, args ...string) {
	k.t.Helper()
	if out, err := k.command(program, args...).CombinedOutput(); err != nil {
		k.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// debianKerberos is where CI unpacks Debian's packages: to install them would start a
// server.
func debianKerberos() string {
	cache, _ := os.UserCacheDir()
	return filepath.Join(cache, "openai-audit-kafka", "krb5-debian")
}

func (k *KDC) program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join(debianKerberos(), "usr", "sbin", name)
}

func (k *KDC) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(k.program(program), args...)
	cmd.Env = append(os.Environ(), "KRB5_CONFIG="+k.ConfigFile, "KRB5_KDC_PROFILE="+k.file("kdc.conf"), "KRB5RCACHENAME=none:")
	if strings.HasPrefix(cmd.Path, debianKerberos()) {
		libraries, _ := filepath.Glob(filepath.Join(debianKerberos(), "usr/lib/*-linux-gnu*"))
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	}
	cmd.SysProcAttr = dieWithParent()
	return cmd
}

// properties returns what the node's server.properties has more for GSSAPI.
func (k *KDC) properties(plain map[string]string) map[string]string {
	const principal = "kafka/127.0.0.1"
	login := fmt.Sprintf(`com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true keyTab=%q principal=%q;`,
		k.Keytab(principal), principal+"@"+Realm)
	p := map[string]string{"sasl.kerberos.service.name": "kafka"}
	for _, listener := range []string{"sasl", "sasltls"} {
		prefix := "listener.name." + listener + "."
		p[prefix+"sasl.enabled.mechanisms"] = cmp.Or(plain[prefix+"sasl.enabled.mechanisms"], plain["sasl.enabled.mechanisms"]) + ",GSSAPI"
		p[prefix+"gssapi.sasl.jaas.config"] = login
	}
	return p
}
