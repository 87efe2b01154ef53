package ops

import (
	"fmt"
	"io"
)

// CheckState is how a check ended.
type CheckState string

// The states of a check.
const (
	OK      CheckState = "ok"
	Warning CheckState = "warning" // it works, at a price
	Failed  CheckState = "failed"  // run would not work, or not as promised
)

// Finding is one line of check.
type Finding struct {
	Name  string     `json:"name"`
	State CheckState `json:"state"`
	// Cause is what was found, and Remedy what to do about it; empty when ok.
	Cause  string `json:"cause"`
	Remedy string `json:"remedy"`
}

func fine(format string, args ...any) Finding {
	return Finding{State: OK, Cause: fmt.Sprintf(format, args...)}
}

func warning(remedy, format string, args ...any) Finding {
	return Finding{State: Warning, Cause: fmt.Sprintf(format, args...), Remedy: remedy}
}

func failed(remedy, format string, args ...any) Finding {
	return Finding{State: Failed, Cause: fmt.Sprintf(format, args...), Remedy: remedy}
}

// text returns the finding as a line.
func (f Finding) text() string {
	text := fmt.Sprintf("%-8s ", f.State)
	if f.Name != "" {
		text += f.Name + ": "
	}
	if text += f.Cause; f.Remedy != "" {
		text += "; " + f.Remedy
	}
	return text
}

// CheckReport is what check found for one organization.
type CheckReport struct {
	Organization string    `json:"organization"`
	Checks       []Finding `json:"checks"`
	// Guarantee says in a sentence what holds with these settings.
	Guarantee string `json:"guarantee"`
}

// OK reports whether nothing failed.
func (r *CheckReport) OK() bool {
	for _, f := range r.Checks {
		if f.State == Failed {
			return false
		}
	}
	return true
}

// Print writes one line for each check, the guarantee, and how many there were.
func (r *CheckReport) Print(w io.Writer) error {
	count := map[CheckState]int{}
	for _, f := range r.Checks {
		count[f.State]++
		fmt.Fprintln(w, f.text())
	}
	_, err := fmt.Fprintf(w, "%s\n%d checks: %d ok, %d warnings, %d failed.\n", r.Guarantee, len(r.Checks), count[OK], count[Warning], count[Failed])
	return err
}
