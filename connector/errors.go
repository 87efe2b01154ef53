package connector

import (
	"errors"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/remedy"
)

// The errors with which Run can end, for errors.Is.
var (
	// ErrFenced: another instance writes for the organization.
	ErrFenced = errors.New("fenced by another instance")
	// ErrRefused: going on needs a decision; the error says which.
	ErrRefused = errors.New("refused")
)

// refuse returns an error that ends an organization: what is wrong, and what
// a person can do about it.
func refuse(do, format string, args ...any) error {
	return &refusal{remedy.New(do, format, args...)}
}

type refusal struct{ why *remedy.Error }

func (r *refusal) Error() string   { return r.why.Error() }
func (r *refusal) Unwrap() []error { return []error{ErrRefused, r.why} }
