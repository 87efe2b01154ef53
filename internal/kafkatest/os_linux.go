package kafkatest

import "syscall"

// dieWithParent makes the system kill the child when the thread that started it
// ends, however that comes. So no test leaves a broker behind.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
