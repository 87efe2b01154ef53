package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

func newSealCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "Make a key for checkpoints, and check a proof",
		Long: `The connector numbers what it writes, as the leaves of a Merkle tree, and writes
checkpoints of the tree. "verify --sealed" compares the topics with them, and
"verify --prove ID" proves one event. What is here needs neither Kafka nor the API.`,
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSealKeygenCommand(a), newSealCheckProofCommand(a))
	return cmd
}

func newSealKeygenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key that signs checkpoints",
		Long: `Prints a new Ed25519 key in note form: the private one in the first line, for
SEAL_KEY, and the public one in the second, for those who check. Keep the private one where only its
writer reads it. Give the public one away by a path on which those who can write to
Kafka cannot replace it.

Exit codes: 0 done, 1 failed, 2 wrong usage.`,
		Example: `  openai-audit-kafka seal keygen --name acme-2026 > key
  head -n 1 key > seal.key; tail -n 1 key > seal.pub`,
		Args: cobra.NoArgs,
	}
	name := cmd.Flags().String("name", "openai-audit-kafka", "what the key is called in signatures; no space, no plus sign")
	cmd.RunE = func(*cobra.Command, []string) error {
		private, public, err := seal.Keygen(*name)
		if err != nil {
			return a.usage("%w", err)
		}
		_, err = fmt.Fprintf(a.stdout, "%s\n%s\n", private, public)
		return err
	}
	return cmd
}

func newSealCheckProofCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check-proof FILE",
		Short: "Check a proof of one event, offline",
		Long: `Checks what "verify --prove" printed, in the form of C2SP tlog-proof, from the file
alone: that the record in it is one of those that its checkpoint was made of. With --public-key also that the
checkpoint was signed with that key; without, anybody may have made it.

Exit codes: 0 it is proven, 1 the file cannot be read, 2 wrong usage, 4 it proves
nothing: it does not fit, or, with --public-key, no key signed it.`,
		Example: `  openai-audit-kafka seal check-proof audit_log-123.tlog-proof --public-key seal.pub`,
		Args:    cobra.ExactArgs(1),
	}
	keys := publicKeyFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		verifier, err := verifierOf(*keys)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		proof, err := seal.ParseProof(text)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		checkpoint, signature, err := proof.Check(verifier)
		switch {
		case err != nil:
			fmt.Fprintf(a.stdout, "not proven: %v\n", err)
			return reportedError{errFound}
		case verifier.Verifies() && signature != seal.WellSigned:
			fmt.Fprintln(a.stdout, "not proven: the checkpoint is not signed with the key that was given")
			return reportedError{errFound}
		}
		fmt.Fprintf(a.stdout, "proven: record %d of %s, id %q, topic role %s, %d bytes, in the checkpoint of %s with %d records\n",
			proof.Index, checkpoint.Origin, proof.Leaf.Key, proof.Leaf.Role, len(proof.Leaf.Value), checkpoint.Time.Format(time.RFC3339), checkpoint.Size)
		if !verifier.Verifies() {
			fmt.Fprintln(a.stdout, "The signature was not checked, so anybody may have made the checkpoint: give the key with --public-key.")
		}
		return nil
	}
	return cmd
}

func publicKeyFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("public-key", "", "file with the public key that signs checkpoints; several, one a line")
}

func verifierOf(file string) (seal.Verifier, error) {
	if file == "" {
		return seal.Verifier{}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return seal.Verifier{}, err
	}
	v, err := seal.ParseVerifier(string(text))
	if err == nil && !v.Verifies() {
		err = fmt.Errorf("the file is empty")
	}
	if err != nil {
		return v, fmt.Errorf("--public-key %s: %w", file, err)
	}
	return v, nil
}

// sealedFlags are the flags of verify that are about the seal.
type sealedFlags struct {
	sealed             *bool
	keys, since, prove *string
}

func addSealedFlags(cmd *cobra.Command) sealedFlags {
	return sealedFlags{
		sealed: cmd.Flags().Bool("sealed", false, "compare the topics with their checkpoints, without the API"),
		keys:   publicKeyFlag(cmd),
		since:  cmd.Flags().String("since", "", "with --sealed: file with a checkpoint that was kept"),
		prove:  cmd.Flags().String("prove", "", "print a proof of the event with that id, complete in itself"),
	}
}

func (f sealedFlags) given() bool { return *f.sealed || *f.prove != "" }

// options reads the files that the flags name.
func (f sealedFlags) options() (ops.SealedOptions, error) {
	verifier, err := verifierOf(*f.keys)
	opts := ops.SealedOptions{Verifier: verifier, Prove: *f.prove}
	if err != nil || *f.since == "" {
		return opts, err
	}
	note, err := os.ReadFile(*f.since)
	if err != nil {
		return opts, err
	}
	checkpoint, signature, err := verifier.OpenCheckpoint(note)
	if err != nil {
		return opts, fmt.Errorf("--since %s: %w", *f.since, err)
	}
	opts.Since = []seal.Statement{{Checkpoint: checkpoint, Where: *f.since, Note: note, Signature: signature, Kept: true}}
	return opts, nil
}

// verifySealed is verify with --sealed or --prove.
func verifySealed(cmd *cobra.Command, a *app, f sealedFlags, name, output string) error {
	asJSON, err := a.wantsJSON(output)
	if err != nil {
		return err
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	settings, log, err := a.settings(config.Options{WithoutKey: true})
	if err != nil {
		return err
	}
	organizations, err := a.chosen(settings, name)
	if err != nil {
		return err
	}
	if opts.Prove != "" && len(organizations) > 1 {
		return a.usage("there are several organizations: say with --organization whose event it is")
	}
	keepTight()
	return a.inTurn(cmd.Context(), organizations, asJSON, func(org connector.Organization, out io.Writer) (bool, error) {
		cfg := operate(settings, org, log)
		progress := newProgress(a.stderr)
		cfg.Progress = progress.show
		report, err := ops.Sealed(cmd.Context(), cfg, opts)
		progress.end()
		switch {
		case err != nil:
			return false, outcome(cmd.Context(), err)
		case opts.Prove != "":
			_, err := out.Write(report.Proof)
			return true, err
		case asJSON:
			return report.OK(), report.WriteJSON(out)
		}
		return report.OK(), report.Print(out)
	})
}
