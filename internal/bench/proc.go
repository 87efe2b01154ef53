package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// What is known of processes and the machine comes from /proc, which Linux has.

// peakRSS is the most memory a running process had resident, in MiB. The one of
// wait will not do: it counts what the parent had when it started the process.
func peakRSS(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, found := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscan(after, &kib); !found || err != nil {
		return 0, fmt.Errorf("process %d has no VmHWM", pid)
	}
	return kib / 1024, nil
}

// stat are the fields of /proc/<pid>/stat from the third on: the second is the
// name, which may hold anything.
func stat(pid string) []string {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil // it is gone
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
}

// groupRSS is what the processes of a group have resident at this moment, in MiB.
// Pages that they share count for each.
func groupRSS(group int) float64 {
	files, _ := filepath.Glob("/proc/[0-9]*")
	pages := 0
	for _, file := range files {
		f := stat(filepath.Base(file))
		if len(f) > 21 && f[2] == strconv.Itoa(group) {
			n, _ := strconv.Atoi(f[21])
			pages += n
		}
	}
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}

// tick is the unit of times in /proc: 1/100 s wherever Go runs.
const tick = 10 * time.Millisecond

// cpuOf is the CPU time that a running process has used, in whole ticks.
func cpuOf(pid int) (time.Duration, error) {
	f := stat(strconv.Itoa(pid))
	if len(f) < 13 {
		return 0, fmt.Errorf("process %d is not there", pid)
	}
	user, err := strconv.Atoi(f[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(f[12])
	return time.Duration(user+system) * tick, err
}

// machine says on what all this ran, in a line.
func machine() string {
	model := "unknown CPU"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, found := strings.Cut(string(text), "model name"); found {
			line, _, _ := strings.Cut(after, "\n")
			model = strings.TrimSpace(strings.TrimLeft(line, "\t :"))
		}
	}
	memory := "unknown memory"
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib float64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %f kB", &kib); err == nil {
			memory = fmt.Sprintf("%.0f GiB", kib/(1<<20))
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, %s/%s", model, runtime.NumCPU(), memory, runtime.GOOS, runtime.GOARCH)
}
