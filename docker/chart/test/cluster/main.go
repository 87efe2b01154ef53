// Command cluster runs the control plane of Kubernetes, with no node, for the tests of the
// chart. "cluster FOLDER" starts etcd, API server, controllers and scheduler, each as a
// process of this program, with their files in the folder. It prints the path of a
// kubeconfig once the API server is ready. It ends all of them when its standard input
// ends, so that they do not outlive a test that is killed.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// parts are the programs that this one can be.
var parts = map[string]func() int{
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllers.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: cluster FOLDER")
		os.Exit(2)
	}
	if part, is := parts[os.Args[1]]; is {
		os.Args = os.Args[1:]
		os.Exit(part())
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// token is what the administrator signs in with. The server listens on loopback alone.
const token = "administrator"

func run(dir string) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel(nil)
	}()
	c := &cluster{dir: dir, cancel: cancel}
	defer c.wait()
	defer cancel(nil)
	kubeconfig, err := c.start(ctx)
	if err != nil {
		return err
	}
	fmt.Println(kubeconfig)
	<-ctx.Done()
	if cause := context.Cause(ctx); cause != context.Canceled {
		return cause
	}
	return nil
}

type cluster struct {
	dir    string
	cancel context.CancelCauseFunc
	done   []chan struct{}
}

// start returns when the API server is ready.
func (c *cluster) start(ctx context.Context) (kubeconfig string, err error) {
	ports, err := freePorts(3)
	if err != nil {
		return "", err
	}
	etcd, peers, server := "http://"+ports[0], "http://"+ports[1], "https://"+ports[2]
	_, port, _ := net.SplitHostPort(ports[2])
	kubeconfig, key := filepath.Join(c.dir, "kubeconfig"), filepath.Join(c.dir, "key.pem")
	if err := c.files(kubeconfig, key, server); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"etcd", "--data-dir", filepath.Join(c.dir, "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
			"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default=" + peers, "--unsafe-no-fsync"},
		{"kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", c.dir,
			"--token-auth-file", filepath.Join(c.dir, "tokens"), "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
			"--service-account-issuer", server, "--service-account-key-file", key, "--service-account-signing-key-file", key},
		{"kube-controller-manager", "--kubeconfig", kubeconfig, "--service-account-private-key-file", key, "--use-service-account-credentials",
			"--leader-elect=false", "--secure-port", "0"},
		{"kube-scheduler", "--kubeconfig", kubeconfig, "--authentication-kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port", "0"},
	} {
		if err := c.part(ctx, args); err != nil {
			return "", err
		}
		if args[0] == "kube-apiserver" {
			// The others end where no server answers them.
			if err := ready(ctx, server); err != nil {
				return "", err
			}
		}
	}
	return kubeconfig, nil
}

// files are those that the parts begin with.
func (c *cluster) files(kubeconfig, keyFile, server string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for path, text := range map[string]string{
		keyFile:                        string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		filepath.Join(c.dir, "tokens"): token + ",admin,admin,system:masters\n",
		// The server makes the certificate itself, in its --cert-dir.
		kubeconfig: fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: all,
clusters: [{name: all, cluster: {server: %q, certificate-authority: %q}}],
users: [{name: all, user: {token: %s}}],
contexts: [{name: all, context: {cluster: all, user: all}}]}
`, server, filepath.Join(c.dir, "apiserver.crt"), token),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// part starts one process; its log is in the folder. All end when one does.
func (c *cluster) part(ctx context.Context, args []string) error {
	path := filepath.Join(c.dir, args[0]+".log")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	c.done = append(c.done, done)
	go func() { // ends with the process
		defer close(done)
		err := cmd.Wait()
		_ = file.Close()
		c.cancel(fmt.Errorf("%s ended (%v): its log is %s", args[0], err, path))
	}()
	return nil
}

func (c *cluster) wait() {
	for _, done := range c.done {
		<-done
	}
}

// ready waits until the server says so.
func ready(ctx context.Context, server string) error {
	ctx, stop := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("the API server is not ready within five minutes"))
	defer stop()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the certificate is made only now
	}}
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/readyz", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return context.Cause(ctx)
}

func freePorts(n int) (addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
