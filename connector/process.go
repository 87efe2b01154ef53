package connector

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
)

// Who opened the log matters at a start: an instance that comes back after a crash must
// go on, and one that another instance replaced must not fence it back. See takenOver and
// openedAfter.
//
// A host's name alone does not separate instances: two may run on one host, and two
// containers may have one name. Linux tells more of a process. Elsewhere nothing is
// known, and all of one host name count as one: then a second instance on the same host is
// taken for a restart of the first, and fences it.

// opener is this process as the cursor names it.
type opener struct {
	host    string
	process auditlog.Process
	// running reports whether a process of this host is at work now.
	running func(auditlog.Process) bool
}

// isPlace reports whether o ran where this process runs: a restart of o, as far as a
// supervisor is concerned, or one beside it.
func (me opener) isPlace(o auditlog.Opener) bool {
	known := o.Process.Place != "" && me.process.Place != ""
	return o.Host == me.host && (!known || o.Process.Place == me.process.Place)
}

// isBeside reports whether o is another process that is at work here at this moment.
// One of another boot, or of the same container before its restart, is gone.
func (me opener) isBeside(o auditlog.Opener) bool {
	p := o.Process
	return me.isPlace(o) && p.Boot != "" && p != me.process && p.Boot == me.process.Boot && me.running(p)
}

// nameOf names another instance for people.
func (me opener) nameOf(o auditlog.Opener) string {
	if me.isBeside(o) {
		return fmt.Sprintf("%s (process %d)", o.Host, o.Process.ID)
	}
	return o.Host
}

// thisProcess describes this process; the zero value where the system does not tell.
func thisProcess() auditlog.Process {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return auditlog.Process{}
	}
	// Process ids count in their namespace, and a container gets a new one at each start.
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	machine, _ := os.ReadFile("/etc/machine-id")
	_, started, ok := look(os.Getpid())
	if !ok {
		return auditlog.Process{}
	}
	return auditlog.Process{
		Place: short(string(machine), container()),
		Boot:  short(string(boot), namespace),
		ID:    os.Getpid(), Started: started,
	}
}

// container returns what a container keeps over its restarts, and no other one has:
// its runtime mounts /etc/hosts from a directory with its id. Empty outside of one.
func container() string {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == "/etc/hosts" {
			return fields[3]
		}
	}
	return ""
}

// short is a hash of the parts. They are only ever compared, and the ids of a machine and of
// its containers are not for everybody who may read the offsets topic.
func short(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// isRunning reports whether the process is there, and is not stopped: one that is, or
// whose parent has not waited for it yet, does no work.
func isRunning(p auditlog.Process) bool {
	state, started, ok := look(p.ID)
	return ok && started == p.Started && !strings.ContainsAny(state, "TtZXx")
}

// look returns the state of a process, and when it was started, in ticks since boot.
func look(pid int) (state string, started uint64, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", 0, false
	}
	// The program's name is in brackets, and may hold anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return "", 0, false
	}
	started, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0], started, err == nil
}
