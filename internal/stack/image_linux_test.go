package stack_test

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestImages runs the steps of the Dockerfile on this machine, puts what the final
// stages copy into folders that are empty otherwise, and runs the programs with such
// a folder as their root: as the user of the image, with its environment, and with
// nothing else to be found.
func TestImages(t *testing.T) {
	stages := dockerfile(t)
	out := runBuild(t, stages["build"].runs)
	for _, name := range []string{"connector", "demo"} {
		t.Run(name, func(t *testing.T) {
			s := stages[name]
			i := image{stage: s, root: t.TempDir()}
			for _, c := range s.copies {
				copyFile(t, filepath.Join(out, filepath.Base(c[0])), filepath.Join(i.root, c[1]))
			}
			i.isStatic(t)
			program := filepath.Join(i.root, "inside")
			build(t, program, "./internal/stack/testdata/inside")
			i.lock(t)
			if text, err := i.command("/inside").CombinedOutput(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
				t.Logf("NOT RUN IN AN EMPTY ROOT: %v. It needs root, or user namespaces.", err)
				return
			} else if err != nil {
				t.Errorf("inside of the image: %v\n%s", err, text)
			}
			i.knows(t, name)
			if name == "connector" {
				i.connector(t)
			} else {
				i.demo(t)
			}
		})
	}
}

// image is a root with nothing in it but what a stage copies.
type image struct {
	stage stage
	root  string
}

// isStatic fails on a program that needs a loader or a library.
func (i image) isStatic(t *testing.T) {
	t.Helper()
	f, err := elf.Open(filepath.Join(i.root, i.stage.entrypoint[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); len(libraries) > 0 || err != nil {
		t.Errorf("it needs %v, %v", libraries, err)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Error("it needs a loader")
	}
}

// lock makes the root one that its user may not write to. In an image it belongs to
// root; where the test is not root, it belongs to the user.
func (i image) lock(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if err := os.Chmod(i.root, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(i.root, 0o755) }) // or it cannot be removed
}

// command runs in the image. Without root it makes the process root of a namespace
// of its own, which may change its root as well.
func (i image) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Path = args[0] // and not what this machine has under that name
	cmd.Dir = "/"
	cmd.Env = slices.Clone(i.stage.env)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     i.root,
		Credential: &syscall.Credential{Uid: 65532, Gid: 65532},
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 65532, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 65532, HostID: os.Getgid(), Size: 1}}
		cmd.SysProcAttr.Credential.NoSetGroups = true
	}
	return cmd
}

// knows fails on a command or a flag of the compose file that the program does not
// have: with --help it does nothing but look at them.
func (i image) knows(t *testing.T, target string) {
	t.Helper()
	p, err := loaded["simulated API"]()
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range p.Services {
		if s.Build == nil || s.Build.Target != target {
			continue
		}
		commands := [][]string{append(slices.Clone(i.stage.entrypoint), s.Command...)}
		if !s.Healthcheck.Disable {
			commands = append(commands, s.Healthcheck.Test[1:])
		}
		for _, words := range commands {
			if text, err := i.command(append(slices.Clone(words), "--help")...).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", name, strings.Join(words, " "), err, text)
			}
		}
	}
}

func (i image) connector(t *testing.T) {
	text, err := i.command(i.stage.entrypoint[0], "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(text), "openai-audit-kafka v0-test (commit abc, go") {
		t.Errorf("version: %v\n%s", err, text)
	}
	// Where the image listens may be taken on this machine.
	addr := "HTTP_ADDR=" + freeAddr(t)
	health := func() error {
		cmd := i.command(i.stage.health...)
		cmd.Env = append(cmd.Env, addr)
		return cmd.Run()
	}
	if err := health(); err == nil {
		t.Error("health says that it lives, and nothing runs")
	}
	run := i.command(i.stage.entrypoint[0])
	run.Env = append(run.Env, addr, "OPENAI_ADMIN_KEY=sk-admin-x", "OPENAI_BASE_URL=http://127.0.0.1:1/v1", "KAFKA_BROKERS=127.0.0.1:1")
	i.serves(t, run, health)
}

func (i image) demo(t *testing.T) {
	addr := freeAddr(t)
	i.serves(t, i.command(i.stage.entrypoint[0], "api", "--history", "10", "--addr", addr), func() error {
		return i.command(append(slices.Clone(i.stage.health), "--addr", addr)...).Run()
	})
}

// serves starts the program, waits until its own health check passes, and stops it.
func (i image) serves(t *testing.T, cmd *exec.Cmd, health func() error) {
	t.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := health()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("not healthy: %v\n%s", err, &log)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, &log)
	}
}

// runBuild runs the steps of the stage "build", with the build context of the image
// as /src, and returns what is /out there.
func runBuild(t *testing.T, steps []string) string {
	t.Helper()
	src, out := t.TempDir(), t.TempDir()
	context := buildContext(t)
	for _, file := range context {
		copyFile(t, filepath.Join(root, file), filepath.Join(src, file))
	}
	for _, step := range steps {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(step, "/out/", out+"/"))
		cmd.Dir = src
		cmd.Env = append(os.Environ(), "VERSION=v0-test", "COMMIT=abc", "TARGETOS=", "TARGETARCH=")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v\n%s", step, err, text)
		}
	}
	return out
}

// buildContext returns the files that the build of the images sees, by .dockerignore:
// it ignores all but a few, and of those the tests.
func buildContext(t *testing.T) (files []string) {
	t.Helper()
	rules := strings.Split(strings.TrimSpace(read(t, ".dockerignore")), "\n")
	var tops []string
	for _, rule := range rules {
		switch top, taken := strings.CutPrefix(rule, "!"); {
		case taken:
			tops = append(tops, top)
		case rule == "*", rule == "**/testdata", rule == "**/*_test.go", strings.HasPrefix(rule, "#"):
		default:
			t.Fatalf("the test does not know the rule %q", rule)
		}
	}
	for _, top := range tops {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir(), strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := filepath.Rel(root, path)
			files = append(files, file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	// Others may look into it, as in an image.
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, info.Mode()|0o444); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, to, pkg string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", to, pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprint(l.Addr())
}
