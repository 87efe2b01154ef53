package connector

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

// FieldError is one thing that is wrong with a Config. It holds no value of a field,
// since that may be a secret in the wrong place. Problem and Remedy are two fields, and not
// one error of package remedy, since Rename changes the names of fields in both.
type FieldError struct {
	// Field is the path of the field: Kafka.Topic, Organizations[1].AdminKey.
	Field string
	// Problem is what is wrong, and Remedy what to do, both for people.
	Problem, Remedy string
	// File is the path of the file that is at fault; empty if the field itself is.
	File string
	// Err is why that file cannot be read; nil if it can.
	Err error

	others []string // the fields that Problem and Remedy name beside Field
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem + "; " + e.Remedy }

// Unwrap returns why a file cannot be read, or nil.
func (e *FieldError) Unwrap() error { return e.Err }

// Rename returns the error in other words: name returns what a field is called where
// the caller takes it from, such as a variable or a key of a file.
func (e *FieldError) Rename(name func(field string) string) *FieldError {
	renamed := *e
	renamed.Field, renamed.others = name(e.Field), nil
	for _, other := range e.others {
		renamed.Problem = strings.ReplaceAll(renamed.Problem, other, name(other))
		renamed.Remedy = strings.ReplaceAll(renamed.Remedy, other, name(other))
	}
	return &renamed
}

// ConfigError is all that is wrong with a Config, for errors.As.
type ConfigError []*FieldError

func (e ConfigError) Error() string {
	lines := make([]string, len(e))
	for i, field := range e {
		lines[i] = field.Error()
	}
	return "the config cannot be used: " + strings.Join(lines, "\n")
}

// Unwrap returns each of the errors.
func (e ConfigError) Unwrap() []error {
	all := make([]error, len(e))
	for i, field := range e {
		all[i] = field
	}
	return all
}

// Validate reports all that is wrong with the config as a ConfigError, or nil. It
// reads the files of secrets and certificates, so that a wrong path is found now. New
// calls it; others may, to say what is wrong before they start anything.
func (c Config) Validate() error {
	v := new(validator)
	v.organizations(c.Organizations)
	if c.PollInterval < time.Second {
		v.fault("PollInterval", "below 1s", "give at least 1s")
	}
	if c.Lookback < time.Minute {
		v.fault("Lookback", "below 1m", "give at least 1m")
	}
	if c.DeepLookback != 0 && c.DeepLookback < c.Lookback {
		v.fault("DeepLookback", "below Lookback", "give more than Lookback, or 0 to turn it off", "Lookback")
	}
	if c.VerifyEvery != 0 && c.VerifyEvery < time.Second {
		v.fault("VerifyEvery", "below 1s", "give at least 1s, such as 24h, or 0 to turn it off")
	}
	if c.VerifyEvery != 0 && c.VerifyWindow < time.Minute {
		v.fault("VerifyWindow", "below 1m", "give at least 1m, such as 30d")
	}
	v.upTo("APIConcurrency", c.APIConcurrency, 1000)
	if c.APIRequestsPerMinute != 0 {
		v.upTo("APIRequestsPerMinute", c.APIRequestsPerMinute, math.MaxInt32)
	}
	v.topics(c.Kafka)
	v.sealKey(c.SealKey)
	v.writing(c.Kafka)
	v.tls(c.Kafka.TLS)
	v.sasl(c.Kafka)
	v.registry(c.Registry, c.Kafka.SchemaVersion)
	if c.Logger == nil {
		v.fault("Logger", "not set", "give one; slog.New(slog.DiscardHandler) writes nothing")
	}
	return v.err()
}

// Validate is Config.Validate for one organization; the paths of the fields begin
// with it.
func (o Organization) Validate() error {
	v := new(validator)
	v.organization(o)
	return v.err()
}

// validator collects what is wrong.
type validator struct {
	prefix string // of the fields
	errs   ConfigError
}

func (v *validator) err() error {
	if len(v.errs) == 0 {
		return nil // not an error that holds a nil
	}
	return v.errs
}

func (v *validator) fault(field, problem, remedy string, others ...string) {
	v.errs = append(v.errs, &FieldError{Field: v.prefix + field, Problem: problem, Remedy: remedy, others: others})
}

func (v *validator) fileFault(field, path string, err error, problem, remedy string, others ...string) {
	v.fault(field, problem, remedy, others...)
	last := v.errs[len(v.errs)-1]
	last.File, last.Err = path, err
}

func (v *validator) upTo(field string, n, most int) {
	if n < 1 || n > most {
		v.fault(field, "out of range", "give 1 to "+strconv.Itoa(most))
	}
}

func (v *validator) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		v.fault(field, "not one of its values", "set "+strings.Join(allowed, ", "))
	}
}

func (v *validator) organizations(all []Organization) {
	if len(all) == 0 {
		v.fault("Organizations", "empty", "give one at least; start from DefaultOrganization")
	}
	for i, o := range all {
		v.prefix = fmt.Sprintf("Organizations[%d].", i)
		v.organization(o)
		v.onlyOnce(o, all[:i])
	}
	v.prefix = ""
}

var nameSyntax = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (v *validator) organization(o Organization) {
	switch {
	case o.Name == "":
		v.fault("Name", "not set", "every organization needs a name")
	case !nameSyntax.MatchString(o.Name):
		v.fault("Name", "not a name", "use at most 63 of a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit")
	}
	if !o.AdminKey.IsSet() {
		v.fault("AdminKey", "not set", "give an admin key with Audit Logs: Read")
	}
	v.secret("AdminKey", o.AdminKey)
	switch u := v.server("BaseURL", o.BaseURL); {
	case u == nil:
	case u.User != nil:
		v.fault("BaseURL", "there is a user name in the URL", "leave it out; the admin key says who we are")
	case strings.HasSuffix("."+u.Hostname(), ".api.openai.com") && strings.Trim(u.Path, "/") != "v1":
		v.fault("BaseURL", "not where OpenAI's API is", "did you mean https://"+u.Host+"/v1?")
	}
	switch b := o.BackfillStart; {
	case b == nil || b.Earliest:
	case b.At.IsZero():
		v.fault("BackfillStart", "not set", "give a time, or earliest")
	case b.At.After(time.Now()):
		v.fault("BackfillStart", "is in the future", "give a time that has passed")
	}
	v.oneOf("TenantEvents", string(o.TenantEvents), string(TenantAuto), string(TenantOn), string(TenantOff))
}

// onlyOnce refuses one organization given as two: its events would be written twice,
// under two names.
func (v *validator) onlyOnce(o Organization, others []Organization) {
	key, _ := o.AdminKey.Read() // unreadable is a fault already
	for _, other := range others {
		if o.Name != "" && other.Name == o.Name {
			v.fault("Name", "given to two organizations", "give each a name of its own")
		}
		if theirs, _ := other.AdminKey.Read(); key != "" && theirs == key {
			name := "another organization"
			if nameSyntax.MatchString(other.Name) {
				name = other.Name
			}
			v.fault("AdminKey", "the same key as that of "+name, "give each organization once")
		}
	}
}

func (v *validator) secret(field string, s Secret) {
	value, err := s.Read()
	switch {
	case err != nil:
		v.fileFault(field, s.file, err, "the file cannot be used: "+reason(err), "check its path, content and rights")
	case strings.ContainsFunc(value, unicode.IsControl):
		v.fileFault(field, s.file, nil, "there is a line break or another control character inside", "give the secret alone, on one line")
	}
}

// sealKey is a secret that may have two lines, while keys change.
func (v *validator) sealKey(s Secret) {
	text, err := s.Read()
	if err != nil {
		v.fileFault("SealKey", s.file, err, "the file cannot be used: "+reason(err), "check its path, content and rights")
		return
	}
	if _, err := seal.ParseSigner(text); err != nil {
		v.fileFault("SealKey", s.file, nil, "not a private key in note form", "give the first line that `seal keygen` prints; while keys change two of them, with a space between")
	}
}

// reason returns why a file could not be read, without its path, which may be a secret
// that was given in its place.
func reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return "it is empty"
}

// server returns nil if the text is no URL of a server.
func (v *validator) server(field, text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || strings.ContainsAny(text, "?#") {
		v.fault(field, "not the URL of a server", "write it like https://host/path")
		return nil
	}
	return u
}

// registry looks at the settings of the registry, and at the version of the schema,
// which is one only where there is no registry.
func (v *validator) registry(r Registry, version int) {
	v.secret("Registry.Password", r.Password)
	v.authorities("Registry.CAFile", r.CAFile)
	if r.URL == "" {
		if r.Username != "" || r.Password.IsSet() || r.CAFile != "" {
			v.fault("Registry.URL", "not set, while other settings of the registry are", "set it, or leave those out")
		}
		if newest := schemas.Latest().Number; version < 0 || version > newest {
			v.fault("Kafka.SchemaVersion", "no version of the schema that this release knows",
				fmt.Sprintf("give one up to %d, or leave it out", newest))
		}
		return
	}
	if version != 0 {
		v.fault("Kafka.SchemaVersion", "set, while there is a schema registry", "leave it out: the newest version is written once the registry has it")
	}
	for text := range strings.SplitSeq(r.URL, ",") {
		switch u := v.server("Registry.URL", text); {
		case u == nil:
			return
		case u.User != nil:
			v.fault("Registry.URL", "there is a user name in the URL", "give it as Registry.Username, and its password as Registry.Password",
				"Registry.Username", "Registry.Password")
			return
		}
	}
	if r.Username == "" && r.Password.IsSet() {
		v.fault("Registry.Username", "not set, while Registry.Password is", "give both", "Registry.Password")
	}
}
