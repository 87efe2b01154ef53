package ops

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

const (
	// windowEvents is what a window of the API should hold. Windows are read in
	// parallel, and nothing of them is kept but what is missing.
	windowEvents = 1000
	// walkTries is how often a walk is tried that fails on its way.
	walkTries = 4
)

// readAPI passes every event that the API lists for the time, of all scopes that
// it lets us list.
func (v *verification) readAPI(ctx context.Context) error {
	var (
		mu   sync.Mutex // guards plan and done
		plan = window.NewPlan(v.from, v.to, windowEvents)
		done int64
	)
	// All end with the plan or the first error; waited for by Wait.
	group, ctx := errgroup.WithContext(ctx)
	for range max(1, v.cfg.API.Concurrency) {
		group.Go(func() error {
			for {
				mu.Lock()
				w, ok := plan.Next()
				mu.Unlock()
				if !ok {
					return nil
				}
				events, err := v.readWindow(ctx, w, v.see)
				if err != nil {
					return err
				}
				mu.Lock()
				plan.Read(w, events)
				done += w.Seconds()
				v.cfg.progress("reading the API", done, int64(v.to-v.from))
				mu.Unlock()
			}
		})
	}
	return group.Wait()
}

// readWindow passes the events of a window, the organization's first. An event may
// be passed more than once: a walk that fails on its way begins again.
func (v *verification) readWindow(ctx context.Context, w window.Window, see func(auditlog.Event)) (events int, err error) {
	for _, scope := range v.scopes {
		for try := 1; ; try++ {
			n, err := v.walk(ctx, scope, w, see)
			if err == nil {
				events += n
				break
			}
			if e, ok := errors.AsType[*openai.Error](err); !ok || e.Denied() || try == walkTries {
				return events, fmt.Errorf("reading %s events from %v to %v: %w", scope, w.From, w.To, err)
			}
			v.cfg.Logger.Warn("reading a window failed; it is read again from its start", "error", err)
			if err := pause.For(ctx, pause.Backoff(try, 2*time.Second, time.Minute)); err != nil {
				return events, err
			}
		}
	}
	return events, nil
}

func (v *verification) walk(ctx context.Context, scope auditlog.Scope, w window.Window, see func(auditlog.Event)) (events int, err error) {
	query := openai.Query{Scope: scope, From: w.From, To: w.To, Bounded: true, ToEnd: true, Class: openai.History}
	if len(v.scopes) > 1 {
		query.AlsoRead = scope.Other() // as the connector reads
	}
	for page, err := range v.api.Pages(ctx, query) {
		if err == nil {
			err = v.checkPage(page)
		}
		if err != nil {
			return events, err
		}
		for _, ev := range page.Events {
			see(ev)
		}
		events += len(page.Events)
	}
	return events, nil
}

// findScopes finds out which scopes there are to list, by the rules of the
// connector: tenant events that the key may not read are left out with auto.
func (v *verification) findScopes(ctx context.Context) error {
	v.scopes = []auditlog.Scope{auditlog.ScopeOrganization}
	// Asked for its name alone: before a large topic is read, and before anything
	// is said or written.
	page, err := v.api.Newest(ctx, auditlog.ScopeOrganization, 1)
	if err == nil {
		err = v.checkPage(page)
	}
	if err != nil || v.cfg.API.Tenant == TenantOff {
		return err
	}
	_, err = v.api.Newest(ctx, auditlog.ScopeTenant, 1)
	e, answered := errors.AsType[*openai.Error](err)
	if answered && e.Denied() && v.cfg.API.Tenant != TenantOn {
		v.cfg.Logger.Warn("the key may not read tenant events: they are left out", "error", err)
		return nil
	}
	v.scopes = auditlog.Scopes()
	return err
}

// checkPage refuses a page of another organization than the cursor's: a repair would
// write what is in it as ours.
func (v *verification) checkPage(page openai.Page) error {
	if v.state == nil {
		return nil // then nothing is written
	}
	return window.CheckOrganization(v.cfg.Organization, v.state.Cursor.APIOrganization, page.Organization)
}

// listsBefore reports whether the API lists anything older than a time.
func (v *verification) listsBefore(ctx context.Context, at auditlog.Second) (bool, error) {
	for _, scope := range v.scopes {
		if at <= 0 {
			break // nothing is older than that
		}
		query := openai.Query{Scope: scope, From: 0, To: at - 1, Bounded: true, Class: openai.Live}
		for page, err := range v.api.Pages(ctx, query) {
			if err == nil {
				err = v.checkPage(page)
			}
			if err != nil {
				return false, err
			}
			if len(page.Events) > 0 {
				return true, nil
			}
		}
	}
	return false, nil
}
