package connector_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// What happens to a key at run time: it goes on or waits, health says which and
// why, and nothing is lost.
func TestKeyAtRunTime(t *testing.T) {
	for name, tt := range map[string]struct {
		tenant  connector.TenantEvents
		spoil   func(w *world, file string)
		restore func(w *world, file string)
		goesOn  bool   // it stays ready
		because string // or why it waits
	}{
		"its file is removed": {
			spoil:   func(w *world, file string) { w.must(os.Remove(file)) },
			restore: writeKey(simulator.Key),
			because: "no such file",
		},
		"its file is emptied": {
			spoil:   writeKey("\n"),
			restore: writeKey(simulator.Key),
			because: "the file is empty",
		},
		"its file holds something else": {
			spoil:   writeKey("# the key\n" + simulator.Key),
			restore: writeKey(simulator.Key),
			because: "a space, a line break",
		},
		"it is revoked": {
			spoil:   func(w *world, _ string) { w.api.SetKeys("sk-admin-new") },
			restore: writeKey("sk-admin-new"),
			because: "the key is wrong, revoked or no admin key",
		},
		"its scope is taken away": {
			spoil:   func(w *world, _ string) { w.api.SetFaults(map[simulator.Fault]float64{simulator.MissingScope403: 1}) },
			restore: func(w *world, _ string) { w.api.SetFaults(nil) },
			because: "api.audit_logs.read",
		},
		"the right to tenant events is taken away": {
			tenant:  connector.TenantAuto,
			spoil:   func(w *world, _ string) { w.api.AllowTenant(false) },
			restore: func(w *world, _ string) { w.api.AllowTenant(true) },
			goesOn:  true,
		},
		"the right to tenant events that are wanted is taken away": {
			tenant:  connector.TenantOn,
			spoil:   func(w *world, _ string) { w.api.AllowTenant(false) },
			restore: func(w *world, _ string) { w.api.AllowTenant(true) },
			because: "reading tenant events",
		},
		"it is replaced before the old one is revoked": {
			spoil: func(w *world, file string) {
				w.api.SetKeys(simulator.Key, "sk-admin-new")
				writeKey("sk-admin-new")(w, file)
				time.Sleep(time.Minute)
				w.api.SetKeys("sk-admin-new")
			},
			restore: func(*world, string) {},
			goesOn:  true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, simulator.Config{}, func(t *testing.T, w *world) {
				file := filepath.Join(t.TempDir(), "key")
				writeKey(simulator.Key)(w, file)
				org := &w.cfg.Organizations[0]
				org.AdminKey = connector.SecretFile(file)
				if tt.tenant != "" {
					org.TenantEvents = tt.tenant
				}
				w.since = auditlog.SecondOf(time.Now())
				i := w.start()
				time.Sleep(time.Minute)
				tt.spoil(w, file)
				for range 30 { // half an hour, with events all the while
					w.burst(10, 5)
					w.addEvent(simulator.Event{EffectiveAt: auditlog.SecondOf(time.Now()), Scopes: []auditlog.Scope{auditlog.ScopeTenant}})
					time.Sleep(time.Minute)
				}
				ready, reason := i.readiness(w)
				if ready != tt.goesOn || !strings.Contains(reason, tt.because) || strings.Contains(reason, simulator.Key) {
					t.Errorf("meanwhile: ready %v, because: %s", ready, reason)
				}
				tt.restore(w, file)
				time.Sleep(10 * time.Minute)
				if r := w.report(); !r.OK() || r.API != 330 {
					t.Errorf("afterwards: %v", r)
				}
				if ready, reason := i.readiness(w); !ready {
					t.Errorf("afterwards it is not ready: %s", reason)
				}
				w.must(i.stop())
			})
		})
	}
}

func writeKey(text string) func(w *world, file string) {
	return func(w *world, file string) { w.must(os.WriteFile(file, []byte(text), 0o600)) }
}
