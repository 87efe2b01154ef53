package connector

import (
	"errors"
	"fmt"
)

// The errors with which Run can end, for errors.Is.
var (
	// ErrFenced: another instance writes for the organization.
	ErrFenced = errors.New("fenced by another instance")
	// ErrRefused: going on needs a decision; the error says which.
	ErrRefused = errors.New("refused")
)

// refuse returns an error that ends an organization: what is the matter, and what
// a person can do about it.
func refuse(remedy, format string, args ...any) error {
	return &refusal{what: fmt.Errorf(format, args...), remedy: remedy}
}

type refusal struct {
	what   error
	remedy string
}

func (r *refusal) Error() string   { return r.what.Error() + ": " + r.remedy }
func (r *refusal) Unwrap() []error { return []error{ErrRefused, r.what} }
