package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/config"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/ops"
)

// verifyHelp and verifyExamples are what `verify --help` says.
const verifyHelp = `Lists the API and the topic for events that took effect from --from to before --to
(` + config.TimeForms + `) and prints the ids that are

  missing            listed by the API, and neither in the topic nor a dead letter
  doubled            more than once in the topic
  extra              in the topic, and not listed by the API, which lists older ones
  different          there, but raw_event is another JSON value
  unreadable         there, with its partition and offset, but its value cannot be read
  left_to_connector  not there yet: later than the cursor's floor, or in history that
                     is still to be read
  stalled            left to a connector that has not written its cursor for 11 minutes
  not_covered        from before the cursor's start
  expired            perhaps deleted by the topic's retention, or by hand

--repair writes what is missing, exactly once. It has a transactional id of its own
and needs no pause of a running connector; you can kill it and run it again.

--record leaves the result in the offsets topic: range, counts, time, and this host. Then
` + "`cursor show`" + `, the status page and the metrics of the connector show it. It needs the
right to write to that topic, and disturbs no instance.

--sealed compares the topics with the checkpoints of the seal instead. It asks nothing of
the API, needs no --from and --to, writes nothing, and prints what was

  changed missing inserted out_of_sequence doubled cut   of what was sealed
  forked                                                 checkpoints contradict each other
  unsigned badly_signed                                  with --public-key

--prove ID prints a proof of one event, for "seal check-proof".

It needs about 40 bytes of memory for each event of that time in the topic, and 100
for each that is missing; --sealed 70 for each event that is there.

Exit codes: 0 the topic holds what it should, 1 failed, 2 wrong usage, 3 another
repair was started, 4 something is missing, doubled, extra, unreadable or stalled
(with --strict also different), or not as it was sealed, 78 wrong settings.`

const verifyExamples = `  openai-audit-kafka verify --from 2026-05-01 --to 2026-06-01
  openai-audit-kafka verify --from 30d --to 1h --repair
  openai-audit-kafka verify --from 7d --to now --output json | jq -r '.missing[]'
  openai-audit-kafka verify --sealed --public-key seal.pub --since kept.checkpoint
  openai-audit-kafka verify --prove audit_log-123 > audit_log-123.tlog-proof`

// newVerifyCommand returns the command; --sealed and --prove are in seal.go.
func newVerifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "verify --from T --to T",
		Short:   "Compare the topic with the API, and write what is missing",
		Long:    verifyHelp,
		Example: verifyExamples,
		Args:    cobra.NoArgs,
	}
	name, output := organizationFlag(cmd), outputFlag(cmd)
	from := cmd.Flags().String("from", "", "the first time, inclusive")
	to := cmd.Flags().String("to", "", "the end, exclusive; or now")
	record := cmd.Flags().Bool("record", false, "leave the result in the offsets topic")
	repair := cmd.Flags().Bool("repair", false, "write what is missing")
	strict := cmd.Flags().Bool("strict", false, "exit 4 for different values too")
	ofSeal := addSealedFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if ofSeal.given() {
			if *record || *repair || *strict || *from != "" || *to != "" {
				return a.usage("--sealed and --prove look at all that is sealed: they take no --from, --to, --record, --repair or --strict")
			}
			return verifySealed(cmd, a, ofSeal, *name, *output)
		}
		begin, end, err := a.span(*from, *to)
		if err != nil {
			return err
		}
		asJSON, err := a.wantsJSON(*output)
		if err != nil {
			return err
		}
		settings, log, err := a.settings(config.Options{})
		if err != nil {
			return err
		}
		organizations, err := a.chosen(settings, *name)
		do := ops.Verify
		if *repair { // it writes, so the organization must be named
			var org connector.Organization
			org, err = a.organization(settings, *name)
			organizations, do = []connector.Organization{org}, ops.Repair
		}
		if err != nil {
			return err
		}
		keepTight()
		return a.inTurn(cmd.Context(), organizations, asJSON, func(org connector.Organization, out io.Writer) (bool, error) {
			cfg := operate(settings, org, log)
			progress := newProgress(a.stderr)
			cfg.Progress = progress.show
			report, err := do(cmd.Context(), cfg, begin, end)
			progress.end()
			if err != nil {
				return false, outcome(cmd.Context(), err)
			}
			show := report.Print
			if asJSON {
				show = report.WriteJSON
			}
			if err := show(out); err != nil || !*record {
				return report.OK(*strict), err
			}
			_, err = ops.Record(cmd.Context(), cfg, report, "verify")
			return report.OK(*strict), outcome(cmd.Context(), err)
		})
	}
	return cmd
}

// span reads --from and --to.
func (a *app) span(from, to string) (begin, end auditlog.Second, err error) {
	if from == "" || to == "" {
		return 0, 0, a.usage("verify needs --from T and --to T")
	}
	first, err := a.time("from", from)
	if err != nil {
		return 0, 0, err
	}
	last, err := a.time("to", to)
	if err != nil {
		return 0, 0, err
	}
	begin, end = auditlog.SecondOf(first), auditlog.SecondOf(last)
	if begin >= end {
		return 0, 0, a.usage("--from %v is not before --to %v", begin, end)
	}
	return begin, end, nil
}

// progress writes how far a long command is: one line that changes on a terminal,
// and otherwise a line now and then.
type progress struct {
	line     terminalLine
	terminal bool
	every    time.Duration
	last     time.Time
}

func newProgress(out io.Writer) *progress {
	p := &progress{line: terminalLine{out: out}, terminal: isTerminal(out), every: 10 * time.Second, last: time.Now()}
	if p.terminal {
		p.every = redrawn
	}
	return p
}

func (p *progress) show(doing string, done, total int64) {
	now := time.Now()
	if now.Sub(p.last) < p.every || total <= 0 {
		return
	}
	p.last = now
	if text := fmt.Sprintf("%s: %d %%", doing, 100*done/total); p.terminal {
		p.line.draw(text)
	} else {
		fmt.Fprintln(p.line.out, text)
	}
}

// end removes the line of a terminal.
func (p *progress) end() { p.line.draw("") }
