package connector

import (
	"context"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/pause"
)

// backoff returns how long to wait before the given attempt, from one: doubling from a
// second to the most, so that instances do not fall into step.
func backoff(attempt int, most time.Duration) time.Duration {
	return pause.Backoff(attempt, time.Second, most)
}

// wait returns nil after d, or the context's error as soon as it ends.
func wait(ctx context.Context, d time.Duration) error { return pause.For(ctx, d) }
