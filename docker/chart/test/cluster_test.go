package chart_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// operator is the module whose types of PodMonitor and PrometheusRule are installed. The
// newest that is published as a module; those that the other tests decode into are newer.
const operator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"

// resources are where the objects of each kind are.
var resources = map[string]schema.GroupVersionResource{
	"CronJob":             batch.SchemeGroupVersion.WithResource("cronjobs"),
	"Deployment":          apps.SchemeGroupVersion.WithResource("deployments"),
	"NetworkPolicy":       networking.SchemeGroupVersion.WithResource("networkpolicies"),
	"PodDisruptionBudget": policy.SchemeGroupVersion.WithResource("poddisruptionbudgets"),
	"PodMonitor":          monitoring.SchemeGroupVersion.WithResource("podmonitors"),
	"PrometheusRule":      monitoring.SchemeGroupVersion.WithResource("prometheusrules"),
	"ServiceAccount":      core.SchemeGroupVersion.WithResource("serviceaccounts"),
}

const ours = "app.kubernetes.io/instance=audit"

// The chart on a real control plane: API server, admission, controllers, scheduler and
// etcd. There is no node, so that pods are made and wait.
func TestControlPlane(t *testing.T) {
	c := startCluster(t)
	c.installOperatorTypes(t)
	t.Run("what would be wrong is refused", c.refuses)
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) { c.takes(t, name) })
	}
	t.Run("helm", c.helm)
}

// cluster is a control plane, and those who talk to it.
type cluster struct {
	kubeconfig string
	typed      *kubernetes.Clientset
	dynamic    *dynamic.DynamicClient
	mapper     *restmapper.DeferredDiscoveryRESTMapper
	warnings   warnings
}

// warnings are what the server says about what it takes.
type warnings struct {
	sync.Mutex
	said []string
}

func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.Lock()
	defer w.Unlock()
	w.said = append(w.said, text)
}

func (w *warnings) take() []string {
	w.Lock()
	defer w.Unlock()
	said := w.said
	w.said = nil
	return said
}

// startCluster starts the program of the folder cluster, which "make chart-check" builds.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	program := os.Getenv("CHART_CLUSTER")
	if program == "" {
		t.Fatal("CHART_CLUSTER does not name the control plane's program: run make chart-check")
	}
	begin := time.Now()
	dir := t.TempDir()
	cmd := exec.Command(program, dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	path, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the control plane does not start: %v\n%s", err, logs(dir))
	}
	c := &cluster{kubeconfig: strings.TrimSpace(path)}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.WarningHandler = &c.warnings
	c.connect(t, config)
	version, err := c.typed.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a control plane of Kubernetes %s is ready after %v", version.GitVersion, time.Since(begin).Round(100*time.Millisecond))
	return c
}

// logs returns the end of each part's log.
func logs(dir string) string {
	var out strings.Builder
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		out.WriteString(filepath.Base(file) + ":\n" + string(text[max(0, len(text)-2000):]) + "\n")
	}
	return out.String()
}

func (c *cluster) connect(t *testing.T, config *rest.Config) {
	t.Helper()
	var err, err2 error
	c.typed, err = kubernetes.NewForConfig(config)
	c.dynamic, err2 = dynamic.NewForConfig(config)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.typed.Discovery()))
}

// installOperatorTypes installs PodMonitor and PrometheusRule, as they are published.
func (c *cluster) installOperatorTypes(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", operator).Output()
	var module struct{ Dir string }
	if err := errors.Join(err, json.Unmarshal(out, &module)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"podmonitors", "prometheusrules"} {
		text, err := os.ReadFile(filepath.Join(module.Dir, "example/prometheus-operator-crd/monitoring.coreos.com_"+name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.apply(t, "", string(text)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the server knows the types", func() bool {
		c.mapper.Reset()
		_, err := c.mapper.RESTMapping(schema.GroupKind{Group: "monitoring.coreos.com", Kind: "PrometheusRule"}, "v1")
		_, err2 := c.mapper.RESTMapping(schema.GroupKind{Group: "monitoring.coreos.com", Kind: "PodMonitor"}, "v1")
		return err == nil && err2 == nil
	})
}

// namespace makes one in which only restricted pods may be.
func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	_, err := c.typed.CoreV1().Namespaces().Create(t.Context(), &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
	}}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// apply is a server-side apply, in which a field that the server does not know is an error.
func (c *cluster) apply(t *testing.T, namespace, document string) (*unstructured.Unstructured, error) {
	t.Helper()
	var object unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
		t.Fatal(err)
	}
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		t.Fatal(err)
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(namespace).Patch(t.Context(), object.GetName(), types.ApplyPatchType, []byte(document),
		meta.PatchOptions{FieldManager: "chart", FieldValidation: meta.FieldValidationStrict})
}

// refuses sees that what the other tests rely on is at work: fields that are not known,
// and pods that are not restricted, are refused.
func (c *cluster) refuses(t *testing.T) {
	c.namespace(t, "refuses")
	if _, err := c.apply(t, "refuses", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\nautomountToken: true\n"); err == nil || !strings.Contains(err.Error(), "automountToken") {
		t.Errorf("a field that is not known: %v", err)
	}
	await(t, "the controllers have made the namespace's account", func() bool {
		_, err := c.typed.CoreV1().ServiceAccounts("refuses").Get(t.Context(), "default", meta.GetOptions{})
		return err == nil
	})
	_, err := c.apply(t, "refuses", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: a}]}\n")
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("a pod that is not restricted: %v", err)
	}
}

// takes applies each object of a case, and waits until the controllers have done their part.
func (c *cluster) takes(t *testing.T, name string) {
	namespace := strings.ReplaceAll(name, " ", "-")
	c.namespace(t, namespace)
	c.warnings.take()
	for _, document := range documents(t, cases[name]) {
		object, err := c.apply(t, namespace, document)
		if err != nil {
			t.Errorf("%v\n%s", err, document)
			continue
		}
		t.Logf("applied strictly: %s %s", object.GetKind(), object.GetName())
	}
	if said := c.warnings.take(); len(said) > 0 {
		t.Errorf("the server warns: %q", said)
	}
	c.isThere(t, namespace, kinds[name])
	replicas := int(*objects(t, cases[name])["Deployment"].(*apps.Deployment).Spec.Replicas)
	c.podsWait(t, namespace, replicas)
	if slices.Contains(kinds[name], "PodDisruptionBudget") {
		c.budget(t, namespace, replicas)
	}
	if slices.Contains(kinds[name], "CronJob") {
		c.job(t, namespace)
	}
}

// isThere waits until the namespace has exactly one object of each of the kinds.
func (c *cluster) isThere(t *testing.T, namespace string, want []string) {
	t.Helper()
	var got []string
	await(t, "there are objects of the right kinds", func() bool {
		got = nil
		for _, kind := range kinds["all there is"] {
			list, err := c.dynamic.Resource(resources[kind]).Namespace(namespace).List(t.Context(), meta.ListOptions{LabelSelector: ours})
			if err != nil {
				t.Fatal(err)
			}
			for range list.Items {
				got = append(got, kind)
			}
		}
		return slices.Equal(got, want)
	}, func() { t.Errorf("there are %v, and not %v", got, want) })
}

// podsWait waits until the Deployment's newest ReplicaSet has made the pods, those of
// earlier ones are gone, and the scheduler has found no node for them.
func (c *cluster) podsWait(t *testing.T, namespace string, want int) {
	t.Helper()
	var last []core.Pod
	await(t, "the pods are made, and wait for a node", func() bool {
		pods, err := c.typed.CoreV1().Pods(namespace).List(t.Context(), meta.ListOptions{LabelSelector: "app.kubernetes.io/name=openai-audit-kafka," + ours})
		if err != nil {
			t.Fatal(err)
		}
		last = pods.Items
		d, err := c.typed.AppsV1().Deployments(namespace).List(t.Context(), meta.ListOptions{LabelSelector: "app.kubernetes.io/name=openai-audit-kafka," + ours})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(d.Items, func(d apps.Deployment) bool {
			return d.Status.ObservedGeneration != d.Generation || int(d.Status.UpdatedReplicas) != want || int(d.Status.Replicas) != want
		}) {
			return false
		}
		return len(last) == want && !slices.ContainsFunc(last, func(p core.Pod) bool { return !waits(p) || p.OwnerReferences[0].Kind != "ReplicaSet" })
	}, func() {
		sets, _ := c.typed.AppsV1().ReplicaSets(namespace).List(t.Context(), meta.ListOptions{})
		text, _ := yaml.Marshal([]any{last, sets.Items})
		t.Errorf("not %d pods that wait:\n%s", want, text)
	})
	t.Logf("%d pods are made, and wait for a node", want)
}

// waits reports whether the scheduler has looked at the pod and found no node.
func waits(p core.Pod) bool {
	return p.Status.Phase == core.PodPending && slices.ContainsFunc(p.Status.Conditions, func(c core.PodCondition) bool {
		return c.Type == core.PodScheduled && c.Reason == core.PodReasonUnschedulable
	})
}

// budget waits until the budget counts the pods.
func (c *cluster) budget(t *testing.T, namespace string, pods int) {
	t.Helper()
	await(t, "the budget counts the pods", func() bool {
		budget, err := c.typed.PolicyV1().PodDisruptionBudgets(namespace).Get(t.Context(), "audit", meta.GetOptions{})
		return err == nil && int(budget.Status.ExpectedPods) == pods
	})
	t.Logf("the budget counts %d pods", pods)
}

// job makes a Job of the CronJob, as "kubectl create job --from" does.
func (c *cluster) job(t *testing.T, namespace string) {
	t.Helper()
	cron, err := c.typed.BatchV1().CronJobs(namespace).Get(t.Context(), "audit-verify", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	job := &batch.Job{ObjectMeta: meta.ObjectMeta{Name: "now"}, Spec: cron.Spec.JobTemplate.Spec}
	if _, err := c.typed.BatchV1().Jobs(namespace).Create(t.Context(), job, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the Job's pod is made, and waits for a node", func() bool {
		pods, err := c.typed.CoreV1().Pods(namespace).List(t.Context(), meta.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=now"})
		return err == nil && len(pods.Items) == 1 && waits(pods.Items[0])
	})
	t.Log("a Job of the CronJob makes its pod")
}

// helm installs, upgrades, goes back and uninstalls, with Helm's own library.
func (c *cluster) helm(t *testing.T) {
	c.namespace(t, "helm")
	space := "helm"
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.Namespace = &c.kubeconfig, &space
	h := &action.Configuration{}
	if err := h.Init(flags, space, "secret", func(string, ...any) {}); err != nil {
		t.Fatal(err)
	}
	step := func(what, name string, version int, do func() error) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		last, err := h.Releases.Last("audit")
		if err != nil || last.Version != version || last.Info.Status != release.StatusDeployed {
			t.Fatalf("%s: the last release is %+v, %v", what, last, err)
		}
		c.isThere(t, space, kinds[name])
		c.podsWait(t, space, int(*objects(t, cases[name])["Deployment"].(*apps.Deployment).Spec.Replicas))
		t.Logf("%s: release %d is deployed", what, version)
	}
	step("helm upgrade --install, for the first time", "one instance", 1, func() error { return upgradeInstall(t, h, cases["one instance"]) })
	// Kubernetes would first make more pods of the old kind, which fence each other:
	// docs/operations.md has this command.
	scale := &autoscaling.Scale{ObjectMeta: meta.ObjectMeta{Name: "audit", Namespace: space}}
	if _, err := c.typed.AppsV1().Deployments(space).UpdateScale(t.Context(), "audit", scale, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.podsWait(t, space, 0)
	step("helm upgrade --install, to a group with all there is", "all there is", 2, func() error { return upgradeInstall(t, h, cases["all there is"]) })
	if err := upgradeInstall(t, h, `settings: {KAFKA_BROKERS: k, HTTP_ADDR: "off"}`); err == nil || !strings.Contains(err.Error(), "HTTP_ADDR") {
		t.Errorf("an upgrade with a value that the schema refuses: %v", err)
	}
	step("helm rollback", "one instance", 3, func() error {
		rollback := action.NewRollback(h)
		rollback.Version = 1
		return rollback.Run("audit")
	})
	step("helm upgrade --install, sealed and verified by itself", "sealed", 4, func() error { return upgradeInstall(t, h, cases["sealed"]) })
	if _, err := action.NewUninstall(h).Run("audit"); err != nil {
		t.Fatal(err)
	}
	c.isThere(t, space, nil)
	c.podsWait(t, space, 0)
	t.Log("helm uninstall: nothing is left")
}

// upgradeInstall is "helm upgrade --install".
func upgradeInstall(t *testing.T, h *action.Configuration, text string) error {
	t.Helper()
	chart, err := loader.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Releases.Last("audit"); errors.Is(err, driver.ErrReleaseNotFound) {
		install := action.NewInstall(h)
		install.ReleaseName, install.Namespace = "audit", "helm"
		_, err := install.Run(chart, values(t, text))
		return err
	}
	upgrade := action.NewUpgrade(h)
	upgrade.Namespace = "helm"
	_, err = upgrade.Run("audit", chart, values(t, text))
	return err
}

// await waits for a condition. It fails after two minutes; explain says more.
func await(t *testing.T, what string, is func() bool, explain ...func()) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, f := range explain {
				f()
			}
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}
