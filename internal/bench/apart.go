package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// apart gives the programs that are started from now on the first core for themselves, and
// this process and the brokers all others, until back is called. Then what a program costs a
// broker does not slow the program, as where the broker is another machine.
func apart(l *lab) (back func() error, err error) {
	if runtime.NumCPU() < 2 {
		return nil, fmt.Errorf("%d core cannot be shared out", runtime.NumCPU())
	}
	last := runtime.NumCPU() - 1
	back = func() error {
		l.alone = false
		return pin(fmt.Sprintf("0-%d", last))
	}
	if err := pin(fmt.Sprintf("1-%d", last)); err != nil {
		return nil, errors.Join(err, back())
	}
	l.alone = true
	return back, nil
}

// pin binds this process, and those that it started, to cores, with all their threads.
func pin(cores string) error {
	self := strconv.Itoa(os.Getpid())
	files, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, file := range files {
		pid := filepath.Base(file)
		if f := stat(pid); pid != self && (len(f) < 2 || f[1] != self) {
			continue
		}
		if out, err := exec.CommandContext(context.Background(), "taskset", "-acp", cores, pid).CombinedOutput(); err != nil {
			return fmt.Errorf("binding process %s to cores %s: %w: %s", pid, cores, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// command is a program that is to be measured. It is killed, which is part of what is
// measured, and ended by no context.
func (l *lab) command(name string, args ...string) *exec.Cmd {
	if l.alone {
		name, args = "taskset", append([]string{"-c", "0", name}, args...)
	}
	return exec.CommandContext(context.Background(), name, args...)
}
