//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the process the first of a group, so that it can be killed
// together with all that it starts.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
