package stack_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/stack"
)

const root = "../.."

// stacks are what users start: the files, in order.
var stacks = map[string][]string{
	"simulated API": {"compose.yaml"},
	"real API":      {"compose.yaml", "compose.openai.yaml"},
}

// Loading checks the schema. It takes a second, so each stack is loaded once.
var loaded = map[string]func() (*stack.Project, error){
	"simulated API": sync.OnceValues(func() (*stack.Project, error) { return load("simulated API") }),
	"real API":      sync.OnceValues(func() (*stack.Project, error) { return load("real API") }),
}

// forEachStack runs the test on both, loaded.
func forEachStack(t *testing.T, test func(t *testing.T, p *stack.Project)) {
	t.Helper()
	for name := range stacks {
		t.Run(name, func(t *testing.T) {
			p, err := loaded[name]()
			if err != nil {
				t.Fatal(err)
			}
			test(t, p)
		})
	}
}

// A stack that everybody can start asks for nothing: no variable of the user's shell,
// above all no OPENAI_ADMIN_KEY, and no file that is not in the repository.
func TestStackAsksForNothing(t *testing.T) {
	forEachStack(t, func(t *testing.T, p *stack.Project) {
		if len(p.Asked) > 0 {
			t.Errorf("the files ask for %v", p.Asked)
		}
		for name, s := range p.Services {
			for key, value := range s.Environment {
				if value == nil {
					t.Errorf("%s takes %s from the user's shell", name, key)
				}
			}
			if _, ok := s.Environment["OPENAI_ADMIN_KEY"]; ok {
				t.Errorf("%s has the key in its environment, where docker inspect shows it", name)
			}
			for _, v := range s.Volumes {
				if _, err := os.Stat(v.Source); v.Type == "bind" && (err != nil || !v.ReadOnly) {
					t.Errorf("%s mounts %s, read only: %v; %v", name, v.Source, v.ReadOnly, err)
				}
			}
		}
	})
	for _, file := range stacks["real API"] {
		if regexp.MustCompile(`(?m)^\s*(env_file|extends|include):`).MatchString(read(t, "docker/"+file)) {
			t.Errorf("%s reads other files", file)
		}
	}
}

// The simulated API has a key of its own, which is no secret. The real one is a file
// that git and the build of the images do not see.
func TestStackKeys(t *testing.T) {
	for name, want := range map[string]string{"simulated API": "docker/simulated_admin_key", "real API": "docker/secrets/openai_admin_key"} {
		p, err := loaded[name]()
		if err != nil {
			t.Fatal(err)
		}
		absolute, err := filepath.Abs(filepath.Join(root, want))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Secrets["openai_admin_key"].File; got != absolute {
			t.Errorf("%s: the key is %s, want %s", name, got, absolute)
		}
	}
	if got := strings.TrimSpace(read(t, "docker/simulated_admin_key")); got != simulator.Key {
		t.Errorf("the simulated key is %q, want %q", got, simulator.Key)
	}
	if !slices.Contains(strings.Fields(read(t, ".gitignore")), "/docker/secrets/") {
		t.Error("git does not ignore docker/secrets")
	}
	if lines := strings.Fields(read(t, ".dockerignore")); !slices.Contains(lines, "*") || slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "!docker") }) {
		t.Error("the build of the images sees docker/secrets")
	}
}

// Two services that want the same port, or a port that is open to the network.
func TestStackPorts(t *testing.T) {
	forEachStack(t, func(t *testing.T, p *stack.Project) {
		published := map[string]string{}
		for name, s := range p.Services {
			inside := map[int]bool{}
			for _, port := range s.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("%s: port %s is open to the network", name, port.Published)
				}
				if other := published[port.Published]; other != "" {
					t.Errorf("%s and %s both want port %s", name, other, port.Published)
				}
				published[port.Published] = name
				if inside[port.Target] {
					t.Errorf("%s publishes its port %d twice", name, port.Target)
				}
				inside[port.Target] = true
			}
		}
		if published["9092"] != "kafka" {
			t.Errorf("the default of KAFKA_BROKERS, localhost:9092, is %q", published["9092"])
		}
	})
}

// Each listener of Kafka has a port and a protocol of its own, and is advertised by
// a name that its clients can reach.
func TestStackListeners(t *testing.T) {
	forEachStack(t, func(t *testing.T, p *stack.Project) {
		env := p.Services["kafka"].Environment
		listeners, advertised := addresses(t, *env["KAFKA_LISTENERS"]), addresses(t, *env["KAFKA_ADVERTISED_LISTENERS"])
		ports := map[string]string{}
		for name, at := range listeners {
			if other := ports[at.port]; other != "" {
				t.Errorf("%s and %s both listen on %s", name, other, at.port)
			}
			ports[at.port] = name
			if !strings.Contains(","+*env["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"], ","+name+":") {
				t.Errorf("%s has no protocol", name)
			}
			if reached, ok := advertised[name]; name != "CONTROLLER" && (!ok || reached.port != at.port || at.host != "") {
				t.Errorf("%s listens on %v and is advertised as %v", name, at, reached)
			}
		}
		if got := advertised["INTERNAL"].host; got != "kafka" {
			t.Errorf("the services are told to go to %s", got)
		}
		if got := advertised["HOST"].host; got != "localhost" {
			t.Errorf("programs on the machine are told to go to %s", got)
		}
		for _, port := range p.Services["kafka"].Ports {
			if ports[strconv.Itoa(port.Target)] != "HOST" || port.Published != advertised["HOST"].port {
				t.Errorf("port %s is %d inside, and HOST is advertised at %s", port.Published, port.Target, advertised["HOST"].port)
			}
		}
		if voters := *env["KAFKA_CONTROLLER_QUORUM_VOTERS"]; voters != *env["KAFKA_NODE_ID"]+"@"+listeners["CONTROLLER"].host+":"+listeners["CONTROLLER"].port {
			t.Errorf("the voters are %s", voters)
		}
		internal := "kafka:" + advertised["INTERNAL"].port
		for _, name := range []string{"connector", "consumer"} {
			if got := *p.Services[name].Environment["KAFKA_BROKERS"]; got != internal {
				t.Errorf("%s goes to %s, want %s", name, got, internal)
			}
		}
		if got := *p.Services["kafka-ui"].Environment["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"]; got != internal {
			t.Errorf("Kafka UI goes to %s, want %s", got, internal)
		}
	})
}

type hostPort struct{ host, port string }

func addresses(t *testing.T, list string) map[string]hostPort {
	t.Helper()
	all := map[string]hostPort{}
	for item := range strings.SplitSeq(list, ",") {
		m := regexp.MustCompile(`^([A-Z]+)://([a-z]*):([0-9]+)$`).FindStringSubmatch(item)
		if m == nil {
			t.Fatalf("no listener: %q", item)
		}
		all[m[1]] = hostPort{m[2], m[3]}
	}
	return all
}

// Every address that a setting, a command or a health check names is one at which
// somebody listens.
func TestStackAddressesExist(t *testing.T) {
	listens := map[string][]int{
		"kafka":    {9092, 29092, 29093},
		"registry": {8080, 9000}, // 9000: health
		"kafka-ui": {8080}, "api": {8081}, "connector": {8080}, "prometheus": {9090}, "grafana": {3000},
	}
	forEachStack(t, func(t *testing.T, p *stack.Project) {
		for service, ports := range stack.Mentioned(p) {
			for _, port := range ports {
				if !slices.Contains(listens[service], port) {
					t.Errorf("somebody asks %s at %d, where nobody listens", service, port)
				}
			}
		}
		for name, s := range p.Services {
			for _, port := range s.Ports {
				if !slices.Contains(listens[name], port.Target) {
					t.Errorf("%s publishes %d, where nobody listens", name, port.Target)
				}
			}
		}
	})
}

// The settings are ours, and enough: what the connector and the consumer are given
// loads without a fault, as the real thing loads it.
func TestStackSettings(t *testing.T) {
	known := map[string]bool{}
	for _, s := range config.Table() {
		known[s.Name] = true
		if s.Secret {
			known[s.Name+config.FileSuffix] = true
		}
	}
	forEachStack(t, func(t *testing.T, p *stack.Project) {
		for _, name := range []string{"connector", "consumer"} {
			service := p.Services[name]
			var environ []string
			for key, value := range service.Environment {
				if !known[key] {
					t.Errorf("%s: %s is no setting", name, key)
				}
				if value == nil {
					continue // told by TestStackAsksForNothing
				}
				text := *value
				for _, secret := range service.Secrets {
					// That of the real API is not here.
					text = strings.ReplaceAll(text, secret.Target, filepath.Join(root, "docker", "simulated_admin_key"))
				}
				environ = append(environ, key+"="+text)
			}
			settings, err := config.Load(environ, config.Options{WithoutKey: name == "consumer"})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			warnings := slices.DeleteFunc(settings.Warnings, func(w string) bool {
				// The simulated API has no certificate, and its key opens nothing.
				return strings.HasSuffix(t.Name(), "/simulated_API") && strings.HasPrefix(w, "OPENAI_BASE_URL: the admin key is sent without TLS")
			})
			if len(warnings) > 0 {
				t.Errorf("%s: %v", name, warnings)
			}
			if settings.Connector.Registry.URL == "" {
				t.Errorf("%s has no registry: it would not understand the other's framing", name)
			}
		}
		if got := *p.Services["connector"].Environment["HTTP_ADDR"]; got != ":8080" {
			t.Errorf("HTTP_ADDR=%s: nobody outside of the container reaches it", got)
		}
	})
}

// Nothing waits for a service that cannot say that it is healthy, images have a
// version, and everybody has time to stop.
func TestStackOrder(t *testing.T) {
	forEachStack(t, func(t *testing.T, p *stack.Project) {
		if _, err := p.Order(); err != nil {
			t.Error(err)
		}
		for name, s := range p.Services {
			for _, needed := range slices.Sorted(maps.Keys(s.DependsOn)) {
				other := p.Services[needed]
				if s.DependsOn[needed].Condition != "service_healthy" || other.Healthcheck == nil || other.Healthcheck.Disable {
					t.Errorf("%s does not wait until %s is healthy", name, needed)
				}
				if len(other.Profiles) > 0 && !slices.Equal(other.Profiles, s.Profiles) {
					t.Errorf("%s waits for %s, which only runs with %v", name, needed, other.Profiles)
				}
			}
			if s.Grace != "30s" {
				t.Errorf("%s has %q to stop", name, s.Grace)
			}
			if s.Build == nil && !regexp.MustCompile(`:v?[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(s.Image) {
				t.Errorf("%s is %s, which is no fixed version", name, s.Image)
			}
			if s.Build != nil && (!s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.SecurityOpt) == 0) {
				t.Errorf("%s may do more than it needs", name)
			}
		}
	})
	if p, err := loaded["real API"](); err != nil || !slices.Equal(p.Services["api"].Profiles, []string{"never"}) {
		t.Errorf("the simulated API runs beside the real one: %v", err)
	}
}

func load(name string) (*stack.Project, error) {
	return stack.Load(context.Background(), root, stacks[name]...)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
