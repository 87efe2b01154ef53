package openai

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// The first and the longest wait between the tries of a page.
const (
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 30 * time.Second
)

// orderedWaits is how often a page waits because a 429 said for how long. Such a wait is
// not a failed try, but after so many of them the caller gets an error.
const orderedWaits = 20

// fetch asks for one page until it comes, or until another try is of no use. The error
// is an *Error, or ctx's own.
func (c *Client) fetch(ctx context.Context, r request) (answer, error) {
	t := tries{most: c.cfg.Attempts}
	for {
		a, err := c.try(ctx, r)
		if err == nil {
			return a, nil
		}
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
		var e *Error
		if !errors.As(err, &e) {
			return answer{}, err
		}
		e.keySetting, e.baseURLSetting = c.cfg.KeySetting, c.cfg.BaseURLSetting
		wait, again := t.next(e)
		if !again {
			return answer{}, t.last(e)
		}
		c.cfg.Logger.Info("asking the API again", "kind", string(e.Kind), "status", e.Status, "code", e.Code,
			"request_id", e.RequestID, "attempt", t.total, "backoff", wait)
		if err := pause.For(ctx, wait); err != nil {
			return answer{}, err
		}
	}
}

// try asks for one page once, when the limiter lets it.
func (c *Client) try(ctx context.Context, r request) (answer, error) {
	t, err := c.cfg.Limiter.acquire(ctx, r.Class)
	if err != nil {
		return answer{}, err
	}
	// Only now: the wait may have been long, and the key replaced meanwhile.
	key, err := c.key()
	if err != nil {
		t.failed()
		return answer{}, err
	}
	a, err := c.exchange(ctx, r, key)
	var e *Error
	switch {
	case err == nil:
		t.answered()
	case errors.As(err, &e) && e.Kind == KindRateLimited:
		c.limited(t, e)
	default:
		t.failed()
	}
	if e != nil && e.Status == 401 {
		now, err := c.cfg.Key()
		e.keyChanged = err == nil && now != key
	}
	return a, err
}

// limited obeys a 429: this page waits, and perhaps all requests, see Limiter.
func (c *Client) limited(t *ticket, e *Error) {
	e.wait = e.RetryAfter
	if e.wait <= 0 {
		e.wait = time.Second + rand.N(time.Second)
	}
	if added := t.refused(e.wait); added > 0 {
		c.cfg.OnRateLimited(added)
	}
}

// key returns the key to send now. The error is an *Error.
func (c *Client) key() (string, error) {
	key, err := c.cfg.Key()
	if err == nil {
		err = checkKey(key)
	}
	if err != nil {
		return "", &Error{Kind: KindKeyUnreadable, Err: scrubError(err, key)}
	}
	return key, nil
}

// tries counts how often a page was asked for.
type tries struct {
	most    int // Config.Attempts
	total   int
	failed  int // of these, those that count against most
	ordered int // of these, those that waited as a 429 said
	refused int // refusals without a reason, in a row
}

// next says whether to ask again after e, and after which wait.
func (t *tries) next(e *Error) (wait time.Duration, again bool) {
	t.total++
	if e.Kind == KindRefused {
		t.refused++
	} else {
		t.refused = 0
	}
	if e.keyChanged {
		t.failed++
		return 0, t.failed < t.most
	}
	if !e.passing() {
		return 0, false
	}
	if e.Kind == KindRateLimited && e.RetryAfter > 0 {
		t.ordered++
		return e.wait, t.ordered < orderedWaits
	}
	t.failed++
	return max(pause.Backoff(t.failed, backoffFirst, backoffMost), e.wait, e.RetryAfter), t.failed < t.most
}

// last completes the error with which the page is given up.
func (t *tries) last(e *Error) *Error {
	e.Tries = t.total
	if e.Kind == KindRefused && t.refused < t.most && e.shouldRetry == nil {
		// Refused among other failures: it may still pass.
		e.Kind = KindUnavailable
	}
	return e
}
