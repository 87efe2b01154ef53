package connector

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// TestWhoTookOver tells instances apart whose hosts have one name: by the process where
// they share a machine, by the machine and the container where they do not.
func TestWhoTookOver(t *testing.T) {
	alive := map[int]bool{1: true, 2: true}
	at := func(place, boot string, pid int) auditlog.Process {
		return auditlog.Process{Place: place, Boot: boot, ID: pid, Started: 7}
	}
	me := func(p auditlog.Process) opener {
		return opener{host: "h", process: p, running: func(p auditlog.Process) bool { return alive[p.ID] }}
	}
	unknown := auditlog.Process{}
	for name, tt := range map[string]struct {
		before []auditlog.Process // who opened, in this order
		me     auditlog.Process
		is     bool
		stands int // how many openers there are once this one has opened
	}{
		"the first one":                             {nil, at("a", "1", 3), false, 1},
		"a restart after a crash":                   {[]auditlog.Process{at("a", "1", 9)}, at("a", "1", 3), false, 1},
		"another try of one process":                {[]auditlog.Process{at("a", "1", 1)}, at("a", "1", 1), false, 1},
		"beside one at work":                        {[]auditlog.Process{at("a", "1", 1)}, at("a", "1", 3), false, 2},
		"a restart beside the one that took over":   {[]auditlog.Process{at("a", "1", 9), at("a", "1", 1)}, at("a", "1", 3), true, 0},
		"after the one that took over has crashed":  {[]auditlog.Process{at("a", "1", 9), at("a", "1", 8)}, at("a", "1", 3), false, 2},
		"after a reboot, with a process of that id": {[]auditlog.Process{at("a", "1", 9), at("a", "1", 1)}, at("a", "2", 3), false, 2},
		"a container beside another of one name":    {[]auditlog.Process{at("a", "1", 1)}, at("b", "2", 1), false, 2},
		"a restart of the container beside it":      {[]auditlog.Process{at("a", "1", 1), at("b", "2", 1)}, at("a", "3", 1), true, 0},
		"a new container after that":                {[]auditlog.Process{at("a", "1", 1), at("b", "2", 1)}, at("c", "3", 1), false, 3},
		"an earlier version's opener":               {[]auditlog.Process{unknown, unknown}, at("a", "1", 3), false, 2},
		"nothing known of this one":                 {[]auditlog.Process{at("a", "1", 1), at("a", "1", 2)}, unknown, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			c := auditlog.Cursor{WrittenAt: 1000}
			for _, p := range tt.before {
				c.Openers = append(c.Openers, auditlog.Opener{Host: "h", At: 900, Process: p})
			}
			if by, is := takenOver(c, me(tt.me), 1000); is != tt.is {
				t.Errorf("taken over: %v, by %+v", is, by)
			}
			if openers := opened(c.Openers, me(tt.me), 1000); !tt.is && len(openers) != tt.stands {
				t.Errorf("the openers then are %+v", openers)
			}
		})
	}
}

// TestIsRunning looks at processes of this host.
func TestIsRunning(t *testing.T) {
	self := thisProcess()
	if self == (auditlog.Process{}) {
		return // the system does not tell
	}
	if self.ID != os.Getpid() || self.Started == 0 || self.Place == "" || self.Boot == "" || !isRunning(self) || self != thisProcess() {
		t.Errorf("%+v", self)
	}
	other := self
	other.Started++
	if isRunning(other) {
		t.Error("an earlier process of that id is running")
	}
	cmd := exec.Command("cat") // waits for its input
	input, err := cmd.StdinPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	_, started, _ := look(cmd.Process.Pid)
	child := auditlog.Process{ID: cmd.Process.Pid, Started: started}
	if !isRunning(child) {
		t.Error("a child is not running")
	}
	_ = input.Close()
	_ = cmd.Wait()
	if isRunning(child) {
		t.Error("a child that has ended is running")
	}
}
