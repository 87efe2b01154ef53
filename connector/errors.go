package connector

import "errors"

// The errors with which Run can end, for errors.Is.
var (
	// ErrFenced: another instance writes for the organization.
	ErrFenced = errors.New("fenced by another instance")
	// ErrRefused: going on needs a decision; the error says which.
	ErrRefused = errors.New("refused")
)
