// Package stack reads the compose files of docker, so that tests can check them and
// "make stack" can run what they describe, both without a Docker engine.
//
// None of it is in the product.
package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Project is a stack as Docker Compose sees it, with all profiles on.
type Project struct {
	Name     string
	Services map[string]Service
	Secrets  map[string]struct{ File string }
	Volumes  map[string]any
	// Asked are the variables of the environment that the files ask for.
	Asked []string `json:"-"`
}

// Service is one service, as far as it is of use here.
type Service struct {
	Image       string
	Build       *Build
	User        string
	Command     []string
	Entrypoint  []string
	Environment map[string]*string // nil: taken from the environment of the user
	Ports       []Port
	DependsOn   map[string]struct{ Condition string } `json:"depends_on"`
	Healthcheck *Healthcheck
	Volumes     []Volume
	Secrets     []struct{ Source, Target string }
	Profiles    []string
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	SecurityOpt []string `json:"security_opt"`
	Grace       string   `json:"stop_grace_period"`
}

// Build says how an image of ours is built.
type Build struct{ Context, Dockerfile, Target string }

// Port is a published one.
type Port struct {
	HostIP    string `json:"host_ip"`
	Published string
	Target    int
}

// Healthcheck is a command that runs inside the image.
type Healthcheck struct {
	Test    []string
	Disable bool
}

// Volume is a folder of the machine ("bind") or a named volume ("volume").
type Volume struct {
	Type, Source, Target string
	ReadOnly             bool `json:"read_only"`
}

// Load reads compose files, given by their names under docker in the repository at
// root. Their schema is checked by the loader of Docker Compose itself, in
// .ci/ship.
func Load(ctx context.Context, root string, files ...string) (*Project, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	args := []string{"-C", filepath.Join(root, ".ci", "ship"), "run", "./compose"}
	for _, file := range files {
		args = append(args, filepath.Join(root, "docker", file))
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w\n%s", strings.Join(files, " and "), err, &stderr)
	}
	var read struct {
		Asked   []string
		Project Project
	}
	if err := json.Unmarshal(out, &read); err != nil {
		return nil, fmt.Errorf("reading %s: %w", strings.Join(files, " and "), err)
	}
	read.Project.Asked = read.Asked
	return &read.Project, nil
}

// Order returns the names of the services, each after all that it depends on.
// Services that nobody waits for come by name.
func (p *Project) Order() ([]string, error) {
	var order []string
	state := map[string]int{} // 1: being visited, 2: in the order
	var visit func(name, from string) error
	visit = func(name, from string) error {
		service, ok := p.Services[name]
		switch {
		case !ok:
			return fmt.Errorf("%s depends on %s, which does not exist", from, name)
		case state[name] == 1:
			return fmt.Errorf("%s and %s wait for each other", from, name)
		case state[name] == 2:
			return nil
		}
		state[name] = 1
		for _, needed := range slices.Sorted(maps.Keys(service.DependsOn)) {
			if err := visit(needed, name); err != nil {
				return err
			}
		}
		state[name] = 2
		order = append(order, name)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		if err := visit(name, ""); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// KafkaProperties turns the variables of the image apache/kafka into the lines of
// server.properties that its start script writes for them: "_" is a dot, "__" an
// underscore, "___" a dash.
func KafkaProperties(environment map[string]string) string {
	var b strings.Builder
	names := strings.NewReplacer("___", "-", "__", "_", "_", ".")
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		if key, ok := strings.CutPrefix(name, "KAFKA_"); ok {
			fmt.Fprintf(&b, "%s=%s\n", names.Replace(strings.ToLower(key)), environment[name])
		}
	}
	return b.String()
}
