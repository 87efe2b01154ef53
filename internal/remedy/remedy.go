// Package remedy is about errors that say what to do about them.
package remedy

import (
	"errors"
	"fmt"
	"strings"
)

// Error is what is wrong, and what to do about it.
type Error struct {
	Cause error
	Do    string
}

// New returns an Error.
func New(do, format string, args ...any) *Error {
	return &Error{Cause: fmt.Errorf(format, args...), Do: do}
}

// Error says what is wrong, and last what to do.
func (e *Error) Error() string { return e.Cause.Error() + ": " + e.Do }

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Cause }

// Remedy says what to do.
func (e *Error) Remedy() string { return e.Do }

// Split returns what is wrong, and what to do: of the outermost error in err that knows
// it and has it at the end of its text. Without one the remedy is empty.
func Split(err error) (cause, remedy string) {
	type remedied interface {
		error
		Remedy() string
	}
	e, ok := errors.AsType[remedied](err)
	if !ok {
		return err.Error(), ""
	}
	return strings.TrimSuffix(e.Error(), ": "+e.Remedy()), e.Remedy()
}
