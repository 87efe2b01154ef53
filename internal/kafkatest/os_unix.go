//go:build unix

package kafkatest

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// lock takes the file's lock and waits for it. The system gives it back if the
// process dies.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		file.Close()
		return nil, err
	}
	return func() { file.Close() }, nil
}

// claim takes the file's lock for as long as the process lives; false: another process has it.
func claim(path string) (bool, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return false, err
	}
	switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, file.Close()
	case err != nil:
		return false, errors.Join(err, file.Close())
	}
	claims.Lock()
	defer claims.Unlock()
	claims.files = append(claims.files, file)
	return true, nil
}

// claims keeps the locks of this process, which end with their files.
var claims struct {
	sync.Mutex
	files []*os.File
}

// interrupt asks a process to leave.
var interrupt os.Signal = syscall.SIGTERM

func pause(p *os.Process) error  { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
