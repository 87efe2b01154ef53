package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// organizationName matches the variables of several organizations.
var organizationName = regexp.MustCompile(`^ORGANIZATIONS_(0|[1-9][0-9]{0,3})_([A-Z_]+)$`)

// mistypedEdits is how many letters may differ for a name to count as mistyped.
const mistypedEdits = 2

// checkNames finds mistyped names. A setting that is silently not applied is
// worse than one refused: the events of an organization would go to the default
// topic. But a cluster injects names of its own (KAFKA_PORT, OPENAI_API_KEY), so
// only what nearly is a name of ours, and one that is not set, is a fault.
func checkNames(e *environment) {
	known := knownNames(e)
	for _, name := range slices.Sorted(maps.Keys(e.vars)) {
		if _, ok := known[name]; ok {
			continue
		}
		meant := nearest(name, known, givenNames(e))
		switch {
		case strings.HasPrefix(name, "ORGANIZATIONS_"):
			if meant == "" {
				meant = "ORGANIZATIONS_<n>_ and one of " + strings.Join(organizationFields(), ", ")
			}
			e.hiddenFault(name, "no such setting of an organization", "did you mean "+meant+"?")
		case meant != "":
			e.hiddenFault(name, "no such setting", "did you mean "+meant+"?")
		}
	}
}

// knownNames returns all names there are. Of several organizations it has those
// whose number is in the name of some variable.
func knownNames(e *environment) map[string]bool {
	known := make(map[string]bool)
	add := func(prefix string, settings []Setting) {
		for _, s := range settings {
			known[prefix+s.Name] = true
			if s.Secret {
				known[prefix+s.Name+FileSuffix] = true
			}
		}
	}
	add("", table)
	for name := range e.vars {
		for _, n := range numberIn.FindAllString(name, 2) {
			if strings.HasPrefix(name, "ORGAN") && len(n) <= 4 && (n == "0" || n[0] != '0') {
				add("ORGANIZATIONS_"+n+"_", organizationTable)
			}
		}
	}
	return known
}

var numberIn = regexp.MustCompile(`[0-9]+`)

// givenNames returns the names that are set, either form of a secret standing for
// both.
func givenNames(e *environment) map[string]bool {
	given := make(map[string]bool)
	for name := range e.vars {
		given[name] = true
		if base, ok := strings.CutSuffix(name, FileSuffix); ok {
			given[base] = true
		}
		given[name+FileSuffix] = true
	}
	return given
}

// nearest returns the known name that is not given and is nearest to name, if it
// is near enough.
func nearest(name string, known, given map[string]bool) string {
	best, least := "", mistypedEdits+1
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		if given[candidate] || strings.HasPrefix(candidate, "AWS_") {
			continue // AWS_ names belong to many programs
		}
		if n := edits(name, candidate, least); n < least {
			best, least = candidate, n
		}
	}
	return best
}

// edits returns how many letters must be put in, taken out or replaced to make b
// of a, or limit if it is no less.
func edits(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}

func organizationFields() (names []string) {
	for _, s := range organizationTable {
		names = append(names, s.Name)
	}
	return names
}

// credentials finds a user and a password before a host.
var credentials = regexp.MustCompile(`(?is)^([a-z]+://)?[^/@:]*:.*(@|%40)`)

// checkSecretsElsewhere refuses an OpenAI key, and a user with a password, where none
// belongs: there it would be shown, as a topic's name for example. The variable counts
// as unset from here on, so nothing that is made of the settings can hold the secret.
func checkSecretsElsewhere(e *environment) {
	for name := range knownNames(e) {
		switch {
		case isSecretName(name):
			continue
		case keyLike.MatchString(e.vars[name]):
			e.hiddenFault(name, "holds what looks like an OpenAI key", "put a key into OPENAI_ADMIN_KEY, or its file's path into OPENAI_ADMIN_KEY_FILE")
		case credentials.MatchString(e.vars[name]) && !mayHoldCredentials(name):
			e.hiddenFault(name, "holds what looks like a user and a password", "leave them out; KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD are for those of the brokers")
		default:
			continue
		}
		delete(e.vars, name)
	}
}

// mayHoldCredentials names the settings that are URLs, hosts or values of headers, and
// the files, whose own checks say more.
func mayHoldCredentials(name string) bool {
	return name == "KAFKA_BROKERS" || name == "KAFKA_HEADERS" || strings.HasSuffix(name, "_URL") || strings.HasSuffix(name, FileSuffix)
}

// isSecretName reports whether the variable holds a secret itself.
func isSecretName(name string) bool {
	settings := table
	if m := organizationName.FindStringSubmatch(name); m != nil {
		name, settings = m[2], organizationTable
	}
	return slices.ContainsFunc(settings, func(s Setting) bool { return s.Secret && s.Name == name })
}

// replaced warns of general settings that several organizations leave unused.
func replaced(e *environment) (warnings []string) {
	for _, name := range []string{"ORGANIZATION_NAME", "OPENAI_ADMIN_KEY", "OPENAI_ADMIN_KEY" + FileSuffix} {
		if e.isSet(name) {
			warnings = append(warnings, name+" is not used, since ORGANIZATIONS_<n>_ settings replace it")
		}
	}
	return warnings
}
