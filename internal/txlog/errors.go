package txlog

import (
	"errors"
	"fmt"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// Commit and Open return nil, or an error that wraps exactly one of these, or the
// error of a check the caller gave.
var (
	// ErrUnconfirmed: it is not known what of it happened. Open again, and decide
	// from the state that it reads.
	ErrUnconfirmed = errors.New("the outcome is not known")
	// ErrFenced: somebody else opened the log, or a transaction outlived its
	// timeout. Step down.
	ErrFenced = errors.New("fenced")
)

// failed says what was being done, and wraps the one error of this package that
// callers branch on, the cause, and its remedy.
func failed(doing string, err error) error {
	kind := ErrUnconfirmed
	if kafka.Classify(err) == kafka.ClassFenced {
		kind = ErrFenced
	}
	return &Error{Doing: doing, Kind: kind, Err: err}
}

// Error is a failure of the log, with what to do about it.
type Error struct {
	Doing string // gerund
	Kind  error  // ErrUnconfirmed or ErrFenced
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v: %s", e.Doing, e.Err, e.Remedy()) }

// Remedy says what to do.
func (e *Error) Remedy() string { return kafka.Explain(e.Err) }

// Unwrap returns the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// Class returns the class of the cause, which serves the message and the backoff.
func (e *Error) Class() kafka.Class { return kafka.Classify(e.Err) }
