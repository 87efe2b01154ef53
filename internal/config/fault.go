package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Fault is one thing wrong with the settings. It is no error of package remedy: all faults
// are one error, and each is a line of it with variable, value, problem and remedy.
type Fault struct {
	Variable string
	Value    string // as it may be shown; empty if there is none to show
	Problem  string
	Remedy   string

	// absent says that a secret's file is not there yet, or empty.
	absent bool
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

// has reports whether one of them is about the variable.
func (f Faults) has(variable string) bool {
	return slices.ContainsFunc(f, func(fault Fault) bool { return fault.Variable == variable })
}

func (f Faults) sorted() Faults {
	slices.SortStableFunc(f, func(a, b Fault) int { return cmp.Compare(a.Variable, b.Variable) })
	return slices.Compact(f)
}

const redacted = "***"

var (
	// keyLike finds OpenAI keys that were put where they do not belong.
	keyLike = regexp.MustCompile(`(^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}`)
	// userIn is what comes before a host. A URL may lack its scheme, or half of it,
	// and a password may hold any character: so it is all up to the last @.
	userIn  = regexp.MustCompile(`(?is)^([a-z]+://)?.*(@|%40)`)
	queryIn = regexp.MustCompile(`(?s)([?#]).+`)
	// plainColon is one that no password follows: of a scheme, a port or a time.
	plainColon = regexp.MustCompile(`^[A-Za-z_]+://|:[0-9]{1,5}(Z|[+-][0-9]{2}:|[/,:]|$)`)
)

// shown returns a value that is no secret as it may be shown. What may be one in it
// is left out: a key, of whatever kind it is, the user part and the query of a URL, and
// the values of a list of name=value.
func shown(value string) string {
	if keyLike.MatchString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return redacted
	}
	value = userIn.ReplaceAllString(value, "${1}"+redacted+"@")
	value = queryIn.ReplaceAllString(value, "${1}"+redacted)
	if !strings.Contains(value, "=") {
		return value
	}
	items := strings.Split(value, ",")
	for i, item := range items {
		name, of, pair := strings.Cut(item, "=")
		if pair && strings.Trim(of, "=") != "" {
			items[i] = name + "=" + redacted
		} else { // the rest of the value before, which held a comma; or base64
			items[i] = redacted
		}
	}
	return strings.Join(items, ",")
}

// shownAtFault returns a refused value as it may be shown. It has none of the forms
// that are known, so it may be a user and a password whose host was forgotten.
func shownAtFault(value string) string {
	value = shown(value)
	if strings.Contains(plainColon.ReplaceAllString(value, ""), ":") {
		return redacted
	}
	return value
}

// shownPath returns the path of a file as it may be shown. What leads nowhere may be
// a secret that was given in place of the path of its file.
func shownPath(path string) string {
	_, err := os.Lstat(path)
	if dir := filepath.Dir(path); err != nil && dir != "." && dir != string(filepath.Separator) {
		_, err = os.Stat(dir)
	}
	if err != nil {
		return redacted
	}
	return shown(path)
}
