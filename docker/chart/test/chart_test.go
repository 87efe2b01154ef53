// Package chart_test renders the chart with Helm's own library, and holds what comes
// out to the types of Kubernetes, to the rules for restricted pods and to the settings
// of the program.
package chart_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/strvals"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

const folder, root = "..", "../../.."

// cases are values that people would give.
var cases = map[string]string{
	"one instance": `settings: {KAFKA_BROKERS: "kafka-1:9092"}`,
	"all there is": `
settings: {KAFKA_BROKERS: "kafka-1:9096", KAFKA_GROUP_ID: audit, KAFKA_SASL_MECHANISM: SCRAM-SHA-512, KAFKA_SASL_USERNAME: audit, BACKFILL_START_TIME: "30d", KAFKA_PARTITIONS: "3", SCHEMA_REGISTRY_URL: "https://registry"}
secrets:
  OPENAI_ADMIN_KEY: {name: openai, key: admin-key}
  KAFKA_SASL_PASSWORD: {name: kafka, key: password}
files:
  KAFKA_TLS_CA_FILE: {configMap: kafka-ca, key: ca.crt}
  SCHEMA_REGISTRY_TLS_CA_FILE: {secret: registry, key: ca.crt}
replicas: 3
image: {repository: registry.example.org/openai-audit-kafka, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
imagePullSecrets: [{name: registry}]
serviceAccount: {annotations: {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/audit"}, automountToken: true}
podLabels: {azure.workload.identity/use: "true"}
podAnnotations: {example.org/a: b}
nodeSelector: {kubernetes.io/arch: amd64}
tolerations: [{key: a, operator: Exists}]
affinity: {nodeAffinity: {}}
monitoring: {podMonitor: true, rules: true, labels: {release: prometheus}}
networkPolicy: {enabled: true, from: [{namespaceSelector: {matchLabels: {name: monitoring}}}], ports: [443, 9096]}
verify: {enabled: true}`,
	"sealed": `
settings: {KAFKA_BROKERS: "kafka-1:9092", KAFKA_SEAL_TOPIC: audit.seals, VERIFY_EVERY: 24h, VERIFY_WINDOW: 7d, VERIFY_REPAIR: "true"}
secrets: {SEAL_KEY: {name: audit-seal, key: private-key}}`,
	"two organizations": `
settings: {KAFKA_BROKERS: "kafka-1:9092", ORGANIZATIONS_0_NAME: emea, ORGANIZATIONS_1_NAME: apac}
secrets:
  OPENAI_ADMIN_KEY: null
  ORGANIZATIONS_0_ADMIN_KEY: {name: openai, key: emea}
  ORGANIZATIONS_1_ADMIN_KEY: {name: openai, key: apac}`,
}

// kinds are what each case is made of.
var kinds = map[string][]string{
	"one instance":      {"Deployment", "ServiceAccount"},
	"sealed":            {"Deployment", "ServiceAccount"},
	"two organizations": {"Deployment", "ServiceAccount"},
	"all there is":      {"CronJob", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "PrometheusRule", "ServiceAccount"},
}

// values parses and renders, so that a test can change a case.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := chartutil.ReadValues([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// render returns the files that come out.
func render(text map[string]any) (map[string]string, error) {
	chart, err := loader.Load(folder)
	if err != nil {
		return nil, err
	}
	all, err := chartutil.ToRenderValues(chart, text, chartutil.ReleaseOptions{Name: "audit", Namespace: "kafka", IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	for name, file := range files {
		if strings.Contains(file, "<no value>") {
			return nil, fmt.Errorf("%s asks for a value that is not there", name)
		}
	}
	return files, err
}

// objects returns what comes out, decoded strictly, by kind.
func objects(t *testing.T, text string) map[string]runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		apps.AddToScheme, batch.AddToScheme, core.AddToScheme, networking.AddToScheme, policy.AddToScheme, monitoring.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	out := map[string]runtime.Object{}
	for _, document := range documents(t, text) {
		object, kind, err := strict.Decode([]byte(document), nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if out[kind.Kind] != nil {
			t.Errorf("two of kind %s", kind.Kind)
		}
		out[kind.Kind] = object
	}
	return out
}

// documents returns what comes out, each object for itself.
func documents(t *testing.T, text string) (out []string) {
	t.Helper()
	files, err := render(values(t, text))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".txt") {
			continue
		}
		for document := range strings.SplitSeq(files[name], "\n---\n") {
			if strings.TrimSpace(document) != "" {
				out = append(out, document)
			}
		}
	}
	return out
}

func TestObjects(t *testing.T) {
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			made := objects(t, text)
			if got := slices.Sorted(maps.Keys(made)); !slices.Equal(got, kinds[name]) {
				t.Errorf("made are %v", got)
			}
			t.Logf("decoded strictly: %v", slices.Sorted(maps.Keys(made)))
		})
	}
}

func TestLint(t *testing.T) {
	for name, text := range cases {
		for _, message := range lint.All(folder, values(t, text), "kafka", true).Messages {
			// An icon is for catalogues.
			if !strings.Contains(message.Err.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

// One instance is replaced before the next begins, or the next would fence it; a group
// keeps its number.
func TestHowInstancesAreReplaced(t *testing.T) {
	one := objects(t, cases["one instance"])["Deployment"].(*apps.Deployment).Spec
	if *one.Replicas != 1 || one.Strategy.Type != apps.RecreateDeploymentStrategyType {
		t.Errorf("one instance: %d, %v", *one.Replicas, one.Strategy)
	}
	group := objects(t, cases["all there is"])["Deployment"].(*apps.Deployment).Spec
	if *group.Replicas != 3 || group.Strategy.RollingUpdate.MaxUnavailable.IntVal != 0 {
		t.Errorf("a group: %d, %v", *group.Replicas, group.Strategy)
	}
}

// pods returns the pods that come out.
func pods(t *testing.T, text string) map[string]core.PodTemplateSpec {
	made := objects(t, text)
	out := map[string]core.PodTemplateSpec{"Deployment": made["Deployment"].(*apps.Deployment).Spec.Template}
	if job, ok := made["CronJob"].(*batch.CronJob); ok {
		out["CronJob"] = job.Spec.JobTemplate.Spec.Template
	}
	return out
}

// Every pod passes PodSecurity "restricted", by the code of the admission itself, with
// a root that is read only and limits.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range cases {
		for kind, pod := range pods(t, text) {
			level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
			result := podsecurity.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
			if !result.Allowed {
				t.Errorf("%s, %s: %s", name, kind, result.ForbiddenDetail())
			}
			for _, c := range pod.Spec.Containers {
				if !*c.SecurityContext.ReadOnlyRootFilesystem || c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
					t.Errorf("%s, %s: %+v, %+v", name, kind, c.SecurityContext, c.Resources)
				}
			}
		}
	}
}

// What is selected is what there is: no Service can tell afterwards.
func TestSelectors(t *testing.T) {
	made := objects(t, cases["all there is"])
	deployment := made["Deployment"].(*apps.Deployment).Spec
	labels := deployment.Template.Labels
	for kind, selector := range map[string]map[string]string{
		"Deployment":          deployment.Selector.MatchLabels,
		"PodDisruptionBudget": made["PodDisruptionBudget"].(*policy.PodDisruptionBudget).Spec.Selector.MatchLabels,
		"PodMonitor":          made["PodMonitor"].(*monitoring.PodMonitor).Spec.Selector.MatchLabels,
		"NetworkPolicy":       made["NetworkPolicy"].(*networking.NetworkPolicy).Spec.PodSelector.MatchLabels,
	} {
		others := made["CronJob"].(*batch.CronJob).Spec.JobTemplate.Spec.Template.Labels
		all, jobs := true, true
		for key, value := range selector {
			all, jobs = all && labels[key] == value, jobs && others[key] == value
		}
		if !all || jobs || len(selector) == 0 {
			t.Errorf("%s selects %v: the pods are %v, those of verify %v", kind, selector, labels, others)
		}
	}
	account := made["ServiceAccount"].(*core.ServiceAccount)
	if account.Name != deployment.Template.Spec.ServiceAccountName || account.Annotations["eks.amazonaws.com/role-arn"] == "" {
		t.Errorf("the account is %s, %v", account.Name, account.Annotations)
	}
}

// The rules are those of docker/prometheus, all of them.
func TestRulesAreTheAlerts(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(root, "docker", "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var want monitoring.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict(file, &want); err != nil {
		t.Fatal(err)
	}
	got := objects(t, cases["all there is"])["PrometheusRule"].(*monitoring.PrometheusRule).Spec
	one, err := yaml.Marshal(want)
	two, err2 := yaml.Marshal(got)
	if err != nil || err2 != nil || !bytes.Equal(one, two) || len(got.Groups) == 0 {
		t.Errorf("%v, %v, %s", err, err2, two)
	}
}

// environ returns the environment that a pod gives its container, with the mounted
// files in a folder, each with the content.
func environ(t *testing.T, pod core.PodTemplateSpec, contents map[string]string) (environ []string) {
	t.Helper()
	dir := t.TempDir()
	container := pod.Spec.Containers[0]
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	mounted := map[string]bool{}
	for _, m := range container.VolumeMounts {
		if !volumes[m.Name] || !m.ReadOnly {
			t.Errorf("%s is mounted, and is no volume or can be written", m.Name)
		}
		mounted[m.MountPath] = true
	}
	seen := map[string]bool{}
	for _, e := range container.Env {
		if seen[e.Name] || e.ValueFrom != nil {
			t.Errorf("%s is given twice, or not as it is", e.Name)
		}
		seen[e.Name] = true
		if path, in := strings.CutPrefix(e.Value, "/etc/openai-audit-kafka/"); in {
			if !mounted[filepath.Dir(e.Value)] {
				t.Errorf("%s is not mounted", e.Value)
			}
			e.Value = filepath.Join(dir, path)
			if err := os.MkdirAll(filepath.Dir(e.Value), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(e.Value, []byte(contents[e.Name]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		environ = append(environ, e.Name+"="+e.Value)
	}
	return environ
}

// The program finds no fault in the environment of each pod.
func TestEnvironmentIsTaken(t *testing.T) {
	for name, text := range cases {
		for kind, pod := range pods(t, text) {
			settings, err := config.Load(environ(t, pod, map[string]string{
				"OPENAI_ADMIN_KEY_FILE": "sk-admin-x", "ORGANIZATIONS_0_ADMIN_KEY_FILE": "sk-admin-x", "ORGANIZATIONS_1_ADMIN_KEY_FILE": "sk-admin-y",
				"KAFKA_SASL_PASSWORD_FILE": "x", "SEAL_KEY_FILE": signer(t),
				"KAFKA_TLS_CA_FILE": certificate(t), "SCHEMA_REGISTRY_TLS_CA_FILE": certificate(t),
			}), config.Options{})
			if err != nil || settings.HTTP.Addr != ":8080" {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}

// The settings of the seal and of the connector that verifies itself arrive as the
// command in docs/operations.md gives them, the key as a file.
func TestSealedAndVerified(t *testing.T) {
	docs, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	given := values(t, cases["one instance"])
	command := regexp.MustCompile(`helm upgrade .*SEAL_KEY.*`).FindString(string(docs))
	for _, set := range regexp.MustCompile(`--set(-string)? (\S+)`).FindAllStringSubmatch(command, -1) {
		parse := strvals.ParseInto
		if set[1] != "" {
			parse = strvals.ParseIntoString
		}
		if err := parse(set[2], given); err != nil {
			t.Fatal(err)
		}
	}
	text, err := yaml.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	key := signer(t)
	settings, err := config.Load(environ(t, pods(t, string(text))["Deployment"], map[string]string{
		"OPENAI_ADMIN_KEY_FILE": "sk-admin-x", "SEAL_KEY_FILE": key,
	}), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := settings.Connector
	if got, err := c.SealKey.Read(); err != nil || got != key {
		t.Errorf("the key of the seal is another one, %v", err)
	}
	if c.Kafka.SealTopic != "openai.audit.seal" || c.VerifyEvery != 24*time.Hour || c.VerifyWindow != 30*24*time.Hour || !c.VerifyRepair {
		t.Errorf("%q, %v, %v, %v", c.Kafka.SealTopic, c.VerifyEvery, c.VerifyWindow, c.VerifyRepair)
	}
}

// What would be a mistake is refused before anything is installed.
func TestValuesThatAreRefused(t *testing.T) {
	refused := map[string]string{
		"no brokers":              `{}`,
		"a number as a setting":   `settings: {KAFKA_BROKERS: k, KAFKA_PARTITIONS: 3}`,
		"a name in small letters": `settings: {KAFKA_BROKERS: k, kafka_topic: x}`,
		"another HTTP_ADDR":       `settings: {KAFKA_BROKERS: k, HTTP_ADDR: "off"}`,
		"a secret without a key":  `{settings: {KAFKA_BROKERS: k}, secrets: {KAFKA_SASL_PASSWORD: {name: x}}}`,
		"a secret's own value":    `{settings: {KAFKA_BROKERS: k}, secrets: {KAFKA_SASL_PASSWORD: x}}`,
		"a file from two places":  `{settings: {KAFKA_BROKERS: k}, files: {KAFKA_TLS_CA_FILE: {secret: a, configMap: b, key: c}}}`,
		"a mistyped value":        `{settings: {KAFKA_BROKERS: k}, replica: 2}`,
		"no replica":              `{settings: {KAFKA_BROKERS: k}, replicas: 0}`,
	}
	for prefix, table := range map[string][]config.Setting{"": config.Table(), "ORGANIZATIONS_0_": config.OrganizationTable()} {
		for _, s := range table {
			if s.Secret {
				refused["the secret "+prefix+s.Name+" among the settings"] = `settings: {KAFKA_BROKERS: k, ` + prefix + s.Name + `: x}`
			}
		}
	}
	for name, text := range refused {
		if _, err := render(values(t, text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// The notes are for people: they name what is there.
func TestNotes(t *testing.T) {
	files, err := render(values(t, cases["one instance"]))
	if err != nil {
		t.Fatal(err)
	}
	notes := files["openai-audit-kafka/templates/NOTES.txt"]
	for _, want := range []string{"deployment/audit", "--namespace kafka", "health --ready", "KAFKA_GROUP_ID"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}
}

// signer returns a key of the seal, as `seal keygen` prints it.
func signer(t *testing.T) string {
	t.Helper()
	private, _, err := seal.Keygen("audit")
	if err != nil {
		t.Fatal(err)
	}
	return private
}
