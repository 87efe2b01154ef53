package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// prove holds the running stack to what it is for.
func (r *runner) prove(ctx context.Context, watch time.Duration) error {
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"What the consumer prints, decoded", r.events},
		{"The registry", r.schema},
		{"Kafka from this machine, on its other listener", r.fromOutside},
		{"verify, with its result recorded", r.verify},
		{"Prometheus", func(ctx context.Context) error { return r.alerts(ctx, watch) }},
		{"The dashboard's queries", r.dashboard},
	} {
		fmt.Println("==", step.title)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return nil
}

// event is what tail prints, as far as it matters here.
type event struct {
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	EffectiveAt time.Time `json:"effective_at"`
	ActorEmail  string    `json:"actor_email"`
}

// events waits for decoded events, ten of them newer than this run.
func (r *runner) events(ctx context.Context) error {
	consumer := r.find("consumer")
	const wanted = 10
	var all, live []event
	err := until(ctx, time.Minute, func() error {
		all, live = nil, nil
		for _, line := range consumer.output.lines() {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.ID == "" || e.Type == "" {
				continue
			}
			if all = append(all, e); e.EffectiveAt.After(r.began) {
				live = append(live, e)
			}
		}
		if len(live) < wanted {
			return fmt.Errorf("%d live events of %d printed, %d are wanted\n%s", len(live), len(all), wanted, consumer.output.last())
		}
		return nil
	})
	for _, e := range live[:min(3, len(live))] {
		fmt.Printf("  %s  %-30s %s\n", e.EffectiveAt.Format(time.TimeOnly), e.Type, e.ActorEmail)
	}
	if err == nil {
		fmt.Printf("  %d events printed, %d of them made since the start\n", len(all), len(live))
	}
	return err
}

// schema looks up what the connector registered.
func (r *runner) schema(ctx context.Context) error {
	base := "http://" + r.addresses.Of("registry", 8080) + "/apis/ccompat/v7"
	const subject = "openai.audit.events-value"
	versions, err := body(ctx, base+"/subjects/"+subject+"/versions")
	if err != nil {
		return err
	}
	config, err := body(ctx, base+"/config/"+subject)
	if err != nil {
		return err
	}
	fmt.Printf("  %s: versions %s, %s\n", subject, versions, config)
	if !strings.Contains(string(config), "FULL_TRANSITIVE") {
		return fmt.Errorf("the compatibility is %s", config)
	}
	// Of a database in memory nothing is left after a restart.
	files, err := filepath.Glob(filepath.Join(r.dir, "registry", "*", "*.db"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("its database is not on the volume: %v, %w", files, err)
	}
	return nil
}

// fromOutside reads the topic as a program on the machine does, and shows how far
// the connector is.
func (r *runner) fromOutside(ctx context.Context) error {
	environ := []string{
		"KAFKA_BROKERS=" + r.addresses.Of("kafka", 9092),
		"SCHEMA_REGISTRY_URL=http://" + r.addresses.Of("registry", 8080) + "/apis/ccompat/v7",
	}
	cmd := exec.CommandContext(ctx, filepath.Join(r.have.ours, "openai-audit-kafka"), "tail", "-n", "1")
	cmd.Env = environ
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("tail: %w\n%s", err, out)
	}
	var e event
	if err := json.Unmarshal(out, &e); err != nil || e.ID == "" {
		return fmt.Errorf("tail printed %s", out)
	}
	fmt.Printf("  tail -n 1 at HOST://%s: %s\n", r.addresses.Of("kafka", 9092), e.ID)
	return nil
}

// verify compares the topic with the API, and records the result for the connector to tell.
func (r *runner) verify(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(r.have.ours, "openai-audit-kafka"), "verify", "--from", "30d", "--to", "10m", "--record")
	for key, value := range r.find("connector").env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	fmt.Printf("  %s\n", strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", "\n  "))
	return nil
}

// unknownTypes is the alert that may fire while all is well: one in 200 events of the
// simulated API is of a type that is in no list.
const unknownTypes = "OpenAIAuditUnknownTypes"

// alerts waits until Prometheus scrapes, and then watches it.
func (r *runner) alerts(ctx context.Context, watch time.Duration) error {
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, State, Health, LastError string }
		}
	}
	quiet := func() error {
		if err := r.prometheus(ctx, "rules", nil, &rules); err != nil {
			return err
		}
		n := 0
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" || rule.State != "inactive" && rule.Name != unknownTypes {
					return fmt.Errorf("%s is %s, %s %s", rule.Name, rule.State, rule.Health, rule.LastError)
				}
				n++
			}
		}
		if n == 0 {
			return errors.New("there are no alerts")
		}
		return nil
	}
	scraped := func() error {
		return r.needs(ctx, `up{job="openai-audit-kafka"} == 1 and on () openai_audit_ready == 1`)
	}
	if err := until(ctx, time.Minute, func() error { return errors.Join(scraped(), quiet()) }); err != nil {
		return err
	}
	// From here on none may so much as begin.
	end := time.Now().Add(watch)
	for time.Now().Before(end) {
		if err := quiet(); err != nil {
			return err
		}
		if err := pause.For(ctx, time.Second); err != nil {
			return err
		}
	}
	names := 0
	for _, group := range rules.Groups {
		names += len(group.Rules)
	}
	fmt.Printf("  scrapes the connector; %d alerts, none firing or about to for %v but the one about unknown types\n", names, watch)
	return nil
}

// needs fails if a query has no result.
func (r *runner) needs(ctx context.Context, query string) error {
	var result struct{ Result []any }
	if err := r.prometheus(ctx, "query", url.Values{"query": {query}}, &result); err != nil {
		return err
	}
	if len(result.Result) == 0 {
		return fmt.Errorf("no result for %s", query)
	}
	return nil
}

// sometimes are parts of the dashboard's queries that have no result while all is well.
var sometimes = []string{"disconnects"}

// dashboard asks what Grafana would ask.
func (r *runner) dashboard(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join("docker", "grafana", "dashboards", "openai-audit-kafka.json"))
	if err != nil {
		return err
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		return err
	}
	asked := 0
	variables := strings.NewReplacer("$organization", ".*", "$__rate_interval", "1m")
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			if slices.ContainsFunc(sometimes, func(s string) bool { return strings.Contains(target.Expr, s) }) {
				continue
			}
			// The connector tells a recorded result within a minute.
			err := until(ctx, 2*time.Minute, func() error { return r.needs(ctx, variables.Replace(target.Expr)) })
			if err != nil {
				return fmt.Errorf("panel %q: %w", panel.Title, err)
			}
			asked++
		}
	}
	fmt.Printf("  %d queries, each with a result\n", asked)
	return nil
}

// prometheus asks its API.
func (r *runner) prometheus(ctx context.Context, path string, query url.Values, into any) error {
	text, err := body(ctx, "http://"+r.addresses.Of("prometheus", 9090)+"/api/v1/"+path+"?"+query.Encode())
	if err != nil {
		return err
	}
	var answer struct{ Data json.RawMessage }
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return json.Unmarshal(answer.Data, into)
}

// until tries again until it works, or the limit is over.
func until(ctx context.Context, limit time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if pause.For(ctx, 500*time.Millisecond) != nil {
			return fmt.Errorf("after %v: %w", limit, err)
		}
	}
}
