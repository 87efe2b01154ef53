package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

// SealedReport is what a check of a sealed topic found.
type SealedReport struct {
	Organization string
	Trees        []TreeReport // the connector's, and, if there is one, that of repairs
	Findings     []SealedFinding
	// Signatures says what is known of them: checked, not_checked or none.
	Signatures string
	// Proof is that of the event that was asked for.
	Proof []byte
}

// TreeReport says what of one tree was compared with checkpoints.
type TreeReport struct {
	Origin  string    `json:"origin"`
	BeganAt time.Time `json:"began_at"`
	From    uint64    `json:"from"`    // the first record that is proven
	Size    uint64    `json:"size"`    // and the first that is not
	Expired uint64    `json:"expired"` // deleted by retention, before From
	// Unproven are the records from Size on: written since the checkpoint, as their writer
	// says, and in none yet.
	Unproven   uint64 `json:"unproven"`
	Checkpoint string `json:"checkpoint"`
	Root       []byte `json:"root"`
}

// SealedFinding is one thing that is not as it was sealed.
type SealedFinding struct {
	Kind      seal.Kind `json:"-"`
	Origin    string    `json:"origin"`
	First     uint64    `json:"first"`
	Last      uint64    `json:"last"`
	ID        string    `json:"id,omitempty"`
	Topic     string    `json:"topic,omitempty"`
	Partition *int32    `json:"partition,omitempty"`
	Offset    *int64    `json:"offset,omitempty"`
	LastID    string    `json:"last_id,omitempty"`
	LastPlace string    `json:"last_place,omitempty"`
	Cause     string    `json:"cause"`

	from, to *seal.Place
}

// OK reports whether all is as it was sealed.
func (r *SealedReport) OK() bool { return len(r.Findings) == 0 }

func (s *sealing) report(ctx context.Context) (*SealedReport, error) {
	r := &SealedReport{Organization: s.cfg.Organization, Signatures: s.signatures()}
	origins := []string{seal.Origin(s.cfg.Organization), seal.RepairOrigin(s.cfg.Organization)}
	for i, t := range s.trees {
		for _, f := range t.verdict.Findings {
			r.Findings = append(r.Findings, SealedFinding{Kind: f.Kind, Origin: origins[i], First: f.First, Last: f.Last, Cause: f.Cause, from: f.From, to: f.To})
		}
		if newest := t.verdict.Newest; newest != nil {
			r.Trees = append(r.Trees, TreeReport{
				Origin: origins[i], BeganAt: t.verdict.Began.Time, From: t.verdict.Proven, Size: t.verdict.Size,
				Expired: t.verdict.Expired, Unproven: t.known - min(t.known, t.verdict.Size), Checkpoint: newest.Where, Root: newest.Root[:],
			})
		}
	}
	if err := s.name(ctx, r); err != nil || s.opts.Prove == "" {
		return r, err
	}
	return r, s.prove(r)
}

func (s *sealing) signatures() string {
	if s.opts.Verifier.Verifies() {
		return "checked"
	}
	for _, statement := range s.trees[0].statements {
		if statement.Note != nil && statement.Signature == seal.Unsigned {
			return "none"
		}
	}
	return "not_checked"
}

// name gives the findings the ids of their records, which the check did not keep.
func (s *sealing) name(ctx context.Context, r *SealedReport) error {
	ids := map[seal.Place]string{}
	for _, f := range r.Findings {
		for _, p := range []*seal.Place{f.from, f.to} {
			if p != nil {
				ids[*p] = ""
			}
		}
	}
	for i, role := range leafRoles {
		if len(ids) == 0 {
			break
		}
		err := read(ctx, s.cfg, s.extents[i], func(record *kafka.Record) error {
			place := seal.Place{Role: role, Partition: record.Partition, Offset: record.Offset}
			if _, wanted := ids[place]; wanted {
				ids[place] = string(record.Key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.from != nil {
			f.ID, f.Topic, f.Partition, f.Offset = ids[*f.from], s.cfg.Topics.Of(f.from.Role), &f.from.Partition, &f.from.Offset
		}
		if f.to != nil && (f.from == nil || *f.to != *f.from) {
			f.LastID, f.LastPlace = ids[*f.to], f.to.String()
		}
	}
	return nil
}

func (s *sealing) prove(r *SealedReport) error {
	if s.proven == nil {
		return fmt.Errorf("no sealed record of %s has the id %q", s.cfg.Organization, s.opts.Prove)
	}
	number, err := strconv.ParseUint(s.proven.number, 10, 63)
	if err != nil {
		return fmt.Errorf("the record of %q has no number", s.opts.Prove)
	}
	proof, err := s.trees[s.proven.tree].check.Prove(number)
	if err != nil {
		return err
	}
	proof.Leaf = s.proven.leaf
	if _, _, err := proof.Check(s.opts.Verifier); err != nil {
		return fmt.Errorf("the record of %q is not the one that was sealed; `verify --sealed` says more: %w", s.opts.Prove, err)
	}
	r.Proof = proof.Text()
	return nil
}

// aboutSealed says in words what each kind is.
var aboutSealed = map[seal.Kind]string{
	seal.Changed:       "a record is another than the one that was sealed",
	seal.Missing:       "sealed records are gone, and later ones are there",
	seal.Inserted:      "a record that the connector never sealed",
	seal.OutOfSequence: "records are not in the order in which they were sealed",
	seal.Doubled:       "a sealed record is there more than once",
	seal.Cut:           "the last sealed records are gone",
	seal.Forked:        "checkpoints contradict each other: somebody wrote another history",
	seal.NotSigned:     "checkpoints without a signature: anybody who can write to Kafka may have written them",
	seal.BadSignature:  "checkpoints that were signed with another key, or changed after that",
}

// Print writes the report for reading.
func (r *SealedReport) Print(w io.Writer) error {
	for _, t := range r.Trees {
		fmt.Fprintf(w, "%s, sealed since %s: records %d to before %d compared with %s\n", t.Origin, t.BeganAt.UTC().Format(time.RFC3339), t.From, t.Size, t.Checkpoint)
		if t.Expired > 0 {
			fmt.Fprintf(w, "  the first %d were deleted by retention, or by hand\n", t.Expired)
		}
		if t.Unproven > 0 {
			fmt.Fprintf(w, "  the last %d are in no checkpoint yet, and nothing is proven of them: there is one a minute while records are written\n", t.Unproven)
		}
	}
	switch r.Signatures {
	case "none":
		fmt.Fprintln(w, "The checkpoints are not signed: this proves nothing against somebody who can write to the offsets topic. SEAL_KEY signs them.")
	case "not_checked":
		fmt.Fprintln(w, "The signatures were not checked: give the public key with --public-key.")
	}
	for _, kind := range seal.Kinds() {
		found := r.of(kind)
		printList(w, string(kind), aboutSealed[kind], len(found), func(i int) string { return found[i].String() })
	}
	if r.OK() {
		fmt.Fprintln(w, "whole: all that was sealed is there, as it was and in its order")
	}
	_, err := io.WriteString(w, "This says nothing about what the API lists: `verify --from T --to T` does.\n")
	return err
}

func (f SealedFinding) String() string {
	text := fmt.Sprintf("record %d", f.First)
	if f.Last > f.First {
		text = fmt.Sprintf("records %d to %d", f.First, f.Last)
	}
	if f.from == nil && f.to == nil && f.First == 0 && f.Last == 0 {
		text = ""
	}
	if f.from != nil {
		text += fmt.Sprintf(", %s (%s)", f.ID, f.from)
	}
	if f.LastPlace != "" {
		text += fmt.Sprintf(", to %s (%s)", f.LastID, f.LastPlace)
	}
	if text != "" {
		text += ": "
	}
	return text + f.Cause
}

func (r *SealedReport) of(kind seal.Kind) []SealedFinding {
	out := []SealedFinding{}
	for _, f := range r.Findings {
		if f.Kind == kind {
			out = append(out, f)
		}
	}
	return out
}

// WriteJSON writes the report as one document, with a list for each kind.
func (r *SealedReport) WriteJSON(w io.Writer) error {
	document := map[string]any{"organization": r.Organization, "whole": r.OK(), "signatures": r.Signatures, "trees": r.Trees}
	for _, kind := range seal.Kinds() {
		document[string(kind)] = r.of(kind)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
