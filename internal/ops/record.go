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
// `cursor show` find it, with by whom it was made. It fences no instance: see
// txlog.PutBeside.
func Record(ctx context.Context, c Config, r *Report, by string) (auditlog.Verified, error) {
	partition, _, err := place(ctx, c.Target)
	host, _ := os.Hostname() // without a name it is still a result
	v := r.verified(auditlog.SecondOf(c.Clock()), by, host)
	if err == nil {
		err = putVerified(ctx, c.Target, partition, v)
	}
	if err != nil {
		return v, fmt.Errorf("the comparison is done, and its result is not recorded: %w", err)
	}
	return v, nil
}

func putVerified(ctx context.Context, t target.Target, partition int32, v auditlog.Verified) error {
	value, err := v.Encode()
	if err != nil {
		return err
	}
	return txlog.PutBeside(ctx, t.Connection, t.Topics.Offsets, partition, txlog.Change{Key: auditlog.VerifiedKey(t.Organization), Value: value})
}

// verified is what of the report is recorded.
func (r *Report) verified(at auditlog.Second, by, host string) auditlog.Verified {
	counts := map[string]int{"api": r.API, "topic": r.Topic, "dead_lettered": r.DeadLettered, "unreadable": len(r.Unreadable)}
	for _, list := range r.lists() {
		counts[list.name] = len(*list.ids)
	}
	if r.Repaired != nil {
		counts["repaired"] = *r.Repaired
	}
	v := auditlog.Verified{From: r.From, To: r.To, At: at, By: by, Host: host, Scopes: r.Scopes, Counts: counts}
	if r.oldest != nil {
		v.LateSeconds = int64(at - *r.oldest)
	}
	return v
}
