//go:build !unix

package kafkatest

import (
	"errors"
	"os"
)

// lock does nothing here: two processes may fetch the same jars, and one of
// their renames fails.
func lock(string) (unlock func(), err error) { return func() {}, nil }

// claim does nothing here: two processes may choose the same port, and one of their brokers
// does not start.
func claim(string) (bool, error) { return true, nil }

// interrupt is a kill here: there is no gentler signal.
var interrupt = os.Kill

func pause(*os.Process) error  { return errors.ErrUnsupported }
func resume(*os.Process) error { return errors.ErrUnsupported }
