package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/target"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// Transactions says which transactions hang in the topics of an organization.
type Transactions struct {
	Organization string               `json:"organization"`
	Hanging      []HangingTransaction `json:"hanging"`
	// Hidden are partitions in which something stays open, and we may not see what.
	Hidden []string `json:"hidden"`
}

// HangingTransaction is one partition of a transaction that does not end by itself.
type HangingTransaction struct {
	Hanging   txlog.Hanging `json:"-"`
	Topic     string        `json:"topic"`
	Partition int32         `json:"partition"`
	Producer  int64         `json:"producer_id"`
	Epoch     int16         `json:"epoch"`
	Start     int64         `json:"start_offset"`
	Since     string        `json:"since"`                      // of its last write
	By        string        `json:"transactional_id,omitempty"` // empty if no coordinator knows
	Ours      bool          `json:"ours"`                       // of this organization, so `transactions end` ends it
}

// Found reports whether anything hangs.
func (t *Transactions) Found() bool { return len(t.Hanging)+len(t.Hidden) > 0 }

// ListTransactions looks for transactions that hang. It fences no instance.
func ListTransactions(ctx context.Context, c Config) (*Transactions, error) {
	client, err := c.Connection.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found, err := txlog.Hangs(ctx, client, c.Topics.Names()...)
	if err != nil {
		return nil, kafka.Explained("looking for transactions that hang", err)
	}
	out := &Transactions{Organization: c.Organization, Hanging: []HangingTransaction{}, Hidden: []string{}}
	for _, h := range found.Hanging {
		ours, err := hasBegun(ctx, c.Target, h)
		if err != nil {
			return nil, err
		}
		out.Hanging = append(out.Hanging, HangingTransaction{
			Hanging: h, Topic: h.Partition.Topic, Partition: h.Partition.Partition, Producer: h.Producer, Epoch: h.Epoch, Start: h.Start,
			Since: auditlog.SecondOf(h.LastWrite).String(), By: h.TransactionalID, Ours: ours,
		})
	}
	for _, p := range found.Hidden {
		out.Hidden = append(out.Hidden, p.String())
	}
	return out, nil
}

// hasBegun reports whether it was the organization that began the transaction.
func hasBegun(ctx context.Context, t target.Target, h txlog.Hanging) (bool, error) {
	if h.TransactionalID != "" {
		return slices.Contains(t.IDs(), h.TransactionalID), nil
	}
	first, err := txlog.FirstOf(ctx, t.Connection, h.OpenTransaction)
	if err != nil || first == nil {
		return false, err
	}
	return t.OwnsKey(string(first.Key)) || t.Owns(first), nil
}

// Writers returns the transactional ids whose transactions hang, of those of the
// organization: to end such a transaction fences its writer.
func (t *Transactions) Writers(c Config) []string {
	var ids []string
	for _, h := range t.Hanging {
		by := []string{h.By}
		if h.By == "" { // its coordinator has forgotten it, so it may be of either
			by = []string{c.ID(), c.RepairID()}
		}
		if h.Ours {
			ids = append(ids, by...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// EndTransactions ends what hangs of the writers, as it was decided. It fences them:
// they must not write while it reads which way that was. It may be killed, and run
// again.
func EndTransactions(ctx context.Context, c Config, writers []string) ([]txlog.Ended, error) {
	var all []txlog.Ended
	for _, id := range writers {
		log, err := openWriter(ctx, c.Target, id)
		if hanging, ok := errors.AsType[*txlog.HangingError](err); ok {
			return all, hanging
		}
		if err != nil {
			return all, again(err)
		}
		all = append(all, log.Ended()...)
		log.Close()
	}
	return all, nil
}

// Print writes it for people.
func (t *Transactions) Print(w io.Writer) error {
	if !t.Found() {
		_, err := fmt.Fprintf(w, "%s: no transaction hangs in its topics.\n", t.Organization)
		return err
	}
	ours := false
	for _, h := range t.Hanging {
		whose := "of somebody else"
		switch {
		case h.Ours:
			whose, ours = "of "+t.Organization, true
		case h.By != "":
			whose = "of " + h.By
		}
		if _, err := fmt.Fprintf(w, "A transaction %s hangs in %s.\n", whose, txlog.Describe(h.Hanging.OpenTransaction)); err != nil {
			return err
		}
	}
	for _, p := range t.Hidden {
		if _, err := fmt.Fprintf(w, "A transaction stays open in %s, and without READ on the topic it cannot be seen whose.\n", p); err != nil {
			return err
		}
	}
	text := "Consumers with read_committed see nothing behind it. Kafka lost its marker, so it does not end by itself.\n"
	if ours {
		text += fmt.Sprintf("A connector that starts ends what is its own, where it has ClusterAction on the cluster. So does, with that right:\n"+
			"  openai-audit-kafka transactions end --organization %s --yes\n", t.Organization)
	}
	_, err := io.WriteString(w, text)
	return err
}
