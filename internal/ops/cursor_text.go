package ops

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Print writes the cursor for reading at a glance.
func (r CursorReport) Print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(tab, name+"\t"+format+"\n", args...) }
	line("organization", "%s", r.Organization)
	if r.APIOrganization != "" {
		line("the API's name", "%s", r.APIOrganization)
	}
	line("written", "%s", r.when(r.WrittenAt))
	if r.StartAnew {
		line("state", "reset: the next run starts over and emits again")
		return tab.Flush()
	}
	line("start", "%s", r.start())
	line("floor", "%s", r.when(r.Floor))
	for _, scope := range auditlog.Scopes() {
		line(string(scope)+" events", "%s", r.position(r.Scopes[scope]))
	}
	line("history left", "%s", r.history())
	line("seen ids", "%d", r.SeenIDs)
	line("last verified", "%s", r.verified())
	line("values", "%s", cmp.Or(r.Framing, "unknown framing"))
	line("partition", "%d", r.Partition)
	line("opened by", "%s", r.openers())
	return tab.Flush()
}

func (r CursorReport) start() string {
	if r.Start == 0 {
		return "earliest"
	}
	return r.when(r.Start)
}

func (r CursorReport) when(s auditlog.Second) string {
	if s == 0 {
		return "never"
	}
	age := r.readAt.Sub(s.Time()).Round(time.Second)
	if age < 0 {
		return fmt.Sprintf("%v (in %s)", s, span(-age))
	}
	return fmt.Sprintf("%v (%s ago)", s, span(age))
}

func (r CursorReport) position(p auditlog.Position) string {
	if p.State != auditlog.StateOn {
		text := string(p.State)
		if p.Since != 0 {
			text += " since " + r.when(p.Since)
		}
		if p.Live != 0 {
			text += ", read up to " + p.Live.String()
		}
		return text
	}
	return fmt.Sprintf("head read %s, deep past read %s", r.when(p.Live), r.when(p.Deep))
}

func (r CursorReport) history() string {
	if r.HistoryTo == 0 {
		return "none"
	}
	text := fmt.Sprintf("%v to %v, %s", r.HistoryFrom, r.HistoryTo, span(r.HistoryTo.Sub(r.HistoryFrom)))
	if r.HistorySeconds == nil {
		return text + "; how long it takes is not known"
	}
	return text + "; done in about " + span(time.Duration(*r.HistorySeconds)*time.Second)
}

func (r CursorReport) verified() string {
	v := r.Verified
	if v == nil {
		return "never, as far as `verify --record` knows"
	}
	result := "the topic held what it should"
	if n := v.Faults(); n > 0 {
		result = fmt.Sprintf("%d faults, %d of them missing", n, v.Counts["missing"])
	}
	if n := v.Counts["repaired"]; n > 0 {
		result += fmt.Sprintf(", %d repaired", n)
	}
	return fmt.Sprintf("%s by %s on %s, from %v to before %v: %d in the API, %s", r.when(v.At), v.By, v.Host, v.From, v.To, v.Counts["api"], result)
}

func (r CursorReport) openers() string {
	if len(r.Openers) == 0 {
		return "nobody"
	}
	var all []string
	for i := len(r.Openers) - 1; i >= 0; i-- {
		o := r.Openers[i]
		text := o.Host + " at " + o.At.String()
		if o.Closed {
			text += " (stopped)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// span writes a duration with days, and no more than two parts.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	days, hours, minutes, seconds := d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60, d/time.Second%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm%ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}
