package ops

import (
	"context"
	"fmt"
	"os"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Record leaves the result of a report in the offsets topic, where the connector and
// `cursor show` find it. It fences no instance: see txlog.PutBeside.
func Record(ctx context.Context, c Config, r *Report) error {
	partition, _, err := place(ctx, c.Target)
	if err == nil {
		host, _ := os.Hostname() // without a name it is still a result
		err = putVerified(ctx, c.Target, partition, r.Verified(auditlog.SecondOf(c.Clock()), "verify", host))
	}
	if err != nil {
		return fmt.Errorf("the comparison is done, and its result is not recorded: %w", err)
	}
	return nil
}

func putVerified(ctx context.Context, t target.Target, partition int32, v auditlog.Verified) error {
	value, err := v.Encode()
	if err != nil {
		return err
	}
	return txlog.PutBeside(ctx, t.Connection, t.Topics.Offsets, partition, txlog.Change{Key: auditlog.VerifiedKey(t.Organization), Value: value})
}

// Verified is what of the report is recorded.
func (r *Report) Verified(at auditlog.Second, by, host string) auditlog.Verified {
	counts := map[string]int{"api": r.API, "topic": r.Topic, "dead_lettered": r.DeadLettered, "unreadable": len(r.Unreadable)}
	for _, list := range r.lists() {
		counts[list.name] = len(*list.ids)
	}
	if r.Repaired != nil {
		counts["repaired"] = *r.Repaired
	}
	return auditlog.Verified{From: r.From, To: r.To, At: at, By: by, Host: host, Scopes: r.Scopes, Counts: counts}
}
