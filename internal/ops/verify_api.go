package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/sweep"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/window"
)

// limits are the sizes of windows of the API. Windows are read in parallel, and none of them is
// kept but what is missing.
var limits = window.Limits{Events: 990, Slow: 1390}

// windowTries is how often a window is read that fails on its way.
const windowTries = 4

// readAPI passes every event that the API lists for the time, of all scopes that
// it lets us list.
func (v *verification) readAPI(ctx context.Context) error {
	parallel := max(1, v.cfg.API.Concurrency)
	r := apiReader{v}
	return sweep.Run(ctx, sweep.Config{
		From: v.from, To: v.to, Events: limits.Events, Slow: limits.Slow, Parallel: parallel,
		Waiting: 4 * parallel, // they hold nothing
		Retry:   r.retry,
	}, r, r)
}

// apiReader reads the windows of a verification.
type apiReader struct{ v *verification }

// retry waits, where the same window may be read later.
func (r apiReader) retry(ctx context.Context, w window.Window, try int, err error) error {
	if e, ok := errors.AsType[*openai.Error](err); !ok || e.Denied() || try == windowTries {
		return fmt.Errorf("reading events from %v to before %v: %w", w.From, w.To, err)
	}
	r.v.cfg.Logger.Warn("reading a window failed; it is read again from its start", "error", err)
	return pause.For(ctx, pause.Backoff(try, 2*time.Second, time.Minute))
}

// ReadWindow passes the events of a window. One may be passed more than once: a window
// that fails on its way is read again, and so is what is left to others.
func (r apiReader) ReadWindow(ctx context.Context, f *sweep.Flight[struct{}]) (size sweep.Size, err error) {
	began, pages := time.Now(), 0
	for i, scope := range r.v.scopes {
		spread := window.NewSpread(f.Window)
		err := r.v.walk(ctx, scope, f.Window, func(page openai.Page) error {
			pages++
			size.Events += len(page.Events)
			size.Page = time.Since(began) / time.Duration(pages)
			for _, ev := range page.Events {
				r.v.see(ev)
			}
			if i > 0 {
				return nil // what the first list has not left is to be read in all
			}
			spread.Page(page.Events, page.Last)
			d, dense := spread.TooDense(f.Planned, window.Held{Events: size.Events, Weight: size.Events})
			if !dense || d.Before < f.Window.To && !page.Shorten(d.Before) {
				return nil
			}
			if err := f.Leave(ctx, d.Before, sweep.Size{Events: d.Events, Page: size.Page}); err != nil {
				return err
			}
			spread.Leave(d.Before)
			if f.Left() {
				return errLeft
			}
			return nil
		})
		if errors.Is(err, errLeft) {
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
	return size, f.Give(ctx, struct{}{}, 0)
}

// errLeft ends a walk whose window was left to others.
var errLeft = errors.New("all of the window was left")

// listAgain lists a window alone, with the tries of a sweep, and passes its events.
func (v *verification) listAgain(ctx context.Context, w window.Window, see func(auditlog.Event)) error {
	for try := 1; ; try++ {
		err := v.list(ctx, w, see)
		if err == nil {
			return nil
		}
		if err = (apiReader{v}).retry(ctx, w, try, err); err != nil {
			return err
		}
	}
}

// Take reports how far it is.
func (r apiReader) Take(_ context.Context, parts []sweep.Part[struct{}]) error {
	to := parts[len(parts)-1].Window.To
	r.v.cfg.progress("reading the API", int64(to-r.v.from), int64(r.v.to-r.v.from))
	return nil
}

// list passes the events of a window, the organization's first.
func (v *verification) list(ctx context.Context, w window.Window, see func(auditlog.Event)) error {
	for _, scope := range v.scopes {
		err := v.walk(ctx, scope, w, func(page openai.Page) error {
			for _, ev := range page.Events {
				see(ev)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// walk passes the pages of a scope's list of a window, to its end or the first error.
func (v *verification) walk(ctx context.Context, scope auditlog.Scope, w window.Window, pass func(openai.Page) error) error {
	query := openai.Query{Scope: scope, From: w.From, To: w.To, Bounded: true, ToEnd: true, Class: openai.History}
	if len(v.scopes) > 1 {
		query.AlsoRead = scope.Other() // as the connector reads
	}
	if err := v.cfg.API.wait(ctx); err != nil {
		return err
	}
	for page, err := range v.api.Pages(ctx, query) {
		if err == nil {
			err = v.checkPage(page)
		}
		if err == nil {
			err = pass(page)
		}
		if err != nil {
			return err
		}
		if page.Last {
			break
		}
		if err := v.cfg.API.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// findScopes finds out which scopes there are to list, by the rules of the
// connector: tenant events that the key may not read are left out with auto.
func (v *verification) findScopes(ctx context.Context) error {
	v.scopes = []auditlog.Scope{auditlog.ScopeOrganization}
	// Asked for its name alone: before a large topic is read, and before anything
	// is said or written.
	if err := v.cfg.API.wait(ctx); err != nil {
		return err
	}
	page, err := v.api.Newest(ctx, auditlog.ScopeOrganization, 1)
	if err == nil {
		err = v.checkPage(page)
	}
	if err != nil || v.cfg.API.Tenant == TenantOff {
		return err
	}
	if err := v.cfg.API.wait(ctx); err != nil {
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

// checkPage refuses a page of an organization other than the cursor's: a repair would
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
		if err := v.cfg.API.wait(ctx); err != nil {
			return false, err
		}
		query := openai.Query{Scope: scope, From: 0, To: at, Bounded: true, Class: openai.History}
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
