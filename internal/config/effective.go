package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Effective is one setting as it is in force.
type Effective struct {
	Name  string `json:"name"`
	Value string `json:"value"` // *** if it is a secret; empty if unset
	From  string `json:"from"`  // default, environment, the path of a file, or unset and what that means
}

// Effective returns every setting as it is in force, in the order of Table.
func (s *Settings) Effective() []Effective { return s.effective }

// Print writes the settings in force as text, one a line.
func (s *Settings) Print(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range s.effective {
		fmt.Fprintf(tab, "%s\t%s\t%s\n", e.Name, e.Value, e.From)
	}
	return tab.Flush()
}

func effective(e *environment, s *Settings) (all []Effective) {
	for _, setting := range table {
		all = append(all, inForce(e, setting.Name, setting, s))
	}
	for _, n := range e.numbers() {
		for _, setting := range organizationTable {
			all = append(all, inForce(e, fmt.Sprintf("ORGANIZATIONS_%d_%s", n, setting.Name), setting, s))
		}
	}
	return all
}

// isFreeText names settings that nothing can be wrong with, so that a password in them is
// no fault.
var isFreeText = map[string]bool{"KAFKA_SASL_OAUTH_SCOPE": true, "KAFKA_SASL_OAUTH_AUDIENCE": true}

func inForce(e *environment, name string, setting Setting, s *Settings) Effective {
	value, file := e.vars[name], e.vars[name+FileSuffix]
	switch {
	case setting.Secret && value != "":
		return Effective{name, redacted, "environment"}
	case setting.Secret && file != "":
		return Effective{name, redacted, "file " + shownPath(file)}
	case value != "" && strings.HasSuffix(name, FileSuffix):
		return Effective{name, shownPath(value), "environment"}
	case value != "" && (e.faults.has(name) || isFreeText[name]):
		return Effective{name, shownAtFault(value), "environment"}
	case value != "":
		return Effective{name, shown(value) + resolved(e, name, s), "environment"}
	case setting.Default != "":
		return Effective{name, setting.Default, "default"}
	case name == "KAFKA_TRANSACTIONAL_ID":
		return Effective{name, shownAtFault(s.Connector.Kafka.OffsetsTopic), "default"}
	case name == "KAFKA_TLS":
		return Effective{name, strconv.FormatBool(s.Connector.Kafka.TLS.Enabled), "default"}
	}
	return Effective{name, "", "unset (" + strings.ReplaceAll(setting.Absent, "`", "") + ")"}
}

// resolved adds to an age the time it stands for.
func resolved(e *environment, name string, s *Settings) string {
	if name != single.backfill || len(s.Connector.Organizations) == 0 {
		return ""
	}
	start := s.Connector.Organizations[0].BackfillStart
	if len(e.numbers()) > 0 || start == nil || start.Earliest || start.At.IsZero() {
		return ""
	}
	at := start.At.Format(time.RFC3339)
	if at == e.vars[name] {
		return ""
	}
	return " (" + at + ")"
}
