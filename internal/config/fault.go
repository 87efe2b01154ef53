package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Fault is one thing wrong with the settings.
type Fault struct {
	Variable string
	Value    string // as it may be shown; empty if there is none to show
	Problem  string
	Remedy   string
}

func (f Fault) String() string {
	name := f.Variable
	if f.Value != "" {
		name = fmt.Sprintf("%s=%q", f.Variable, f.Value)
	}
	return name + ": " + f.Problem + "; " + f.Remedy
}

// Faults is the error of Load: all that is wrong, by variable.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = "  " + fault.String()
	}
	count := fmt.Sprintf("%d faults", len(f))
	if len(f) == 1 {
		count = "a fault"
	}
	return fmt.Sprintf("the settings have %s:\n%s", count, strings.Join(lines, "\n"))
}

func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int { return cmp.Compare(a.Variable, b.Variable) })
	return slices.Compact(f)
}

const redacted = "***"

var (
	// keyLike finds OpenAI keys that were put where they do not belong.
	keyLike = regexp.MustCompile(`(^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}`)
	userIn  = regexp.MustCompile(`//[^/?#]*@`)
	queryIn = regexp.MustCompile(`(?s)(://[^?#]*[?#]).+`)
)

// shown returns a value that is no secret as it may be shown: a key that was put
// there by mistake, and the user part and the query of a URL, are not.
func shown(value string) string {
	if keyLike.MatchString(value) {
		return redacted
	}
	return queryIn.ReplaceAllString(userIn.ReplaceAllString(value, "//"+redacted+"@"), "${1}"+redacted)
}
