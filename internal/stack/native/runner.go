package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/stack"
)

// runner runs the services of a project as processes of this machine.
type runner struct {
	project   *stack.Project
	addresses *stack.Addresses
	have      programs
	dir       string
	began     time.Time
	started   []*service // in the order in which they were started
}

// service is one that runs.
type service struct {
	name   string
	stack  stack.Service
	env    map[string]string // translated
	cmd    *exec.Cmd
	output output
	done   chan struct{} // closed when it has ended
}

// start starts a service and waits until its health check passes.
func (r *runner) start(ctx context.Context, name string) error {
	s := &service{name: name, stack: r.project.Services[name], done: make(chan struct{})}
	env, err := r.environment(s)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.env = env
	args, err := r.commandOf(ctx, s)
	if err = errors.Join(err, r.addresses.Err()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	// stop ends it, with a signal and in turn, and the end of ctx does not.
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
	s.cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + r.dir}
	for key, value := range env {
		s.cmd.Env = append(s.cmd.Env, key+"="+value)
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.started = append(r.started, s)
	go func() { _ = s.cmd.Wait(); close(s.done) }() // ends with the process
	if err := r.healthy(ctx, s); err != nil {
		return err
	}
	fmt.Printf("  %-11s healthy after %v: %s\n", name, time.Since(begin).Round(100*time.Millisecond),
		strings.Join(s.stack.Healthcheck.Test[1:], " "))
	return nil
}

// environment returns the service's variables with the addresses and files of this
// machine.
func (r *runner) environment(s *service) (map[string]string, error) {
	env := map[string]string{}
	for key, value := range s.stack.Environment {
		if value == nil {
			return nil, fmt.Errorf("%s would come from the shell of the user", key)
		}
		translated, err := r.files(s, r.addresses.Translate(s.name, *value))
		if err != nil {
			return nil, err
		}
		env[key] = translated
	}
	return env, nil
}

// files puts the paths of this machine in place of those where the service has its
// volumes and secrets.
func (r *runner) files(s *service, value string) (string, error) {
	for _, secret := range s.stack.Secrets {
		value = strings.ReplaceAll(value, secret.Target, r.project.Secrets[secret.Source].File)
	}
	for _, v := range s.stack.Volumes {
		// As a whole path: /etc/prometheus/prometheus.yaml is not in /prometheus.
		inside := regexp.MustCompile(`(^|[=:])` + regexp.QuoteMeta(v.Target) + `(/|$)`)
		if !inside.MatchString(value) {
			continue
		}
		dir := filepath.Join(r.dir, s.name, filepath.Base(v.Target))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		if v.Type == "bind" {
			if err := r.copyIn(s, v.Source, dir); err != nil {
				return "", err
			}
		}
		value = inside.ReplaceAllString(value, "${1}"+dir+"${2}")
	}
	return value, nil
}

// copyIn copies the files of a folder, which may name addresses as well.
func (r *runner) copyIn(s *service, from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(from, file.Name()))
		if err != nil {
			return err
		}
		text = []byte(r.addresses.Translate(s.name, string(text)))
		if err := os.WriteFile(filepath.Join(to, file.Name()), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// commandOf returns what runs a service, in place of what its image would.
func (r *runner) commandOf(ctx context.Context, s *service) ([]string, error) {
	command := make([]string, len(s.stack.Command))
	for i, word := range s.stack.Command {
		translated, err := r.files(s, r.addresses.Translate(s.name, word))
		if err != nil {
			return nil, err
		}
		command[i] = translated
	}
	switch s.name {
	case "kafka":
		return r.kafka(ctx, s)
	case "registry":
		return []string{
			r.have.java21, "-Xmx256m",
			"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port=" + r.port(s, 8080),
			"-Dquarkus.management.host=127.0.0.1", "-Dquarkus.management.port=" + r.port(s, 9000),
			"-jar", filepath.Join(r.have.registry, "quarkus-run.jar"),
		}, nil
	case "prometheus":
		return append([]string{r.have.prometheus, "--web.listen-address=" + r.addresses.Of(s.name, 9090)}, command...), nil
	case "api":
		return append([]string{filepath.Join(r.have.ours, "demo")}, command...), nil
	default:
		return append([]string{filepath.Join(r.have.ours, "openai-audit-kafka")}, command...), nil
	}
}

func (r *runner) port(s *service, port int) string {
	_, native, _ := strings.Cut(r.addresses.Of(s.name, port), ":")
	return native
}

// kafka does what the start script of the image does: it writes the properties and
// formats the log.
func (r *runner) kafka(ctx context.Context, s *service) ([]string, error) {
	file := filepath.Join(r.dir, "server.properties")
	if err := os.WriteFile(file, []byte(stack.KafkaProperties(s.env)), 0o600); err != nil {
		return nil, err
	}
	java := r.java("-Xmx512m")
	format := append(slices.Clone(java), "kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", file)
	if err := command(ctx, r.dir, format[0], format[1:]...); err != nil {
		return nil, err
	}
	// It no longer needs the variables, and its tools would take some for their own.
	clear(s.env)
	return append(java, "kafka.Kafka", file), nil
}

func (r *runner) java(memory string) []string {
	return []string{r.have.java, memory, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-cp", filepath.Join(r.have.jars, "*")}
}

// stop ends the services as docker compose down does, the last one first.
func (r *runner) stop() error {
	fmt.Println("== Stopping, the last one first")
	var faults []error
	for _, s := range slices.Backward(r.started) {
		grace, err := time.ParseDuration(s.stack.Grace)
		if err != nil {
			grace = 10 * time.Second
		}
		begin := time.Now()
		select {
		case <-s.done:
			faults = append(faults, fmt.Errorf("%s ended by itself: %v\n%s", s.name, s.cmd.ProcessState, s.output.last()))
			continue
		default:
		}
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.done:
			fmt.Printf("  %-11s %v after %v\n", s.name, s.cmd.ProcessState, time.Since(begin).Round(100*time.Millisecond))
		case <-time.After(grace):
			_ = s.cmd.Process.Kill()
			<-s.done
			faults = append(faults, fmt.Errorf("%s did not stop within its stop_grace_period of %v", s.name, grace))
		}
		if ours := s.stack.Build != nil; ours && s.cmd.ProcessState.ExitCode() != 0 {
			faults = append(faults, fmt.Errorf("%s ended with %d\n%s", s.name, s.cmd.ProcessState.ExitCode(), s.output.last()))
		}
	}
	return errors.Join(faults...)
}

// find returns the service that runs under the name.
func (r *runner) find(name string) *service {
	i := slices.IndexFunc(r.started, func(s *service) bool { return s.name == name })
	return r.started[i]
}
