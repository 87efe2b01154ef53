package kafkatest

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Torture reports whether the long form of the tests is asked for, as "make
// torture" does with TORTURE=full. Every other run takes the short one.
func Torture() bool { return os.Getenv("TORTURE") == "full" }

// Runs returns how many runs of a fault to make: TORTURE_RUNS if that is set, else
// full for "make torture", else short.
func Runs(t testing.TB, short, full int) int {
	t.Helper()
	if text := os.Getenv("TORTURE_RUNS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("TORTURE_RUNS=%q is not a number of runs", text)
		}
		return n
	}
	if Torture() {
		return full
	}
	return short
}

// Seeds returns one seed for each run. The first is TORTURE_SEED if that is set,
// and else a new one each time; the others follow it. So what a test prints of a
// run that failed replays it: TORTURE_SEED=<seed> TORTURE_RUNS=1.
func Seeds(t testing.TB, runs int) []uint64 {
	t.Helper()
	first := uint64(time.Now().UnixNano()) % 1_000_000_000
	if text := os.Getenv("TORTURE_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("TORTURE_SEED=%q is not a seed", text)
		}
		first = n
	}
	seeds := make([]uint64, runs)
	for i := range seeds {
		seeds[i] = first + uint64(i)
	}
	return seeds
}

// Trials counts the runs of one kind of fault, what they lost and what they
// doubled. They become a line in the table of faults.
type Trials struct {
	t     testing.TB
	mu    sync.Mutex // guards what follows
	runs  int
	lost  int
	twice int
	wrong int
}

// NewTrials returns trials without runs. When the test ends they are added to its
// report, as fault on that backend.
func NewTrials(t testing.TB, backend, fault string) *Trials {
	t.Helper()
	tr := &Trials{t: t}
	began := time.Now()
	t.Cleanup(func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		line := fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%d\t%.1f\n",
			faultLine, backend, fault, tr.runs, tr.lost, tr.twice, tr.wrong, time.Since(began).Seconds())
		t.Logf("%s on %s: %d runs, %d lost, %d doubled, %d wrong", fault, backend, tr.runs, tr.lost, tr.twice, tr.wrong)
		if tr.runs == 0 && !t.Failed() && !t.Skipped() {
			t.Errorf("%s: no run was made", fault)
		}
		file := os.Getenv("TEST_REPORT")
		if file == "" || tr.runs == 0 {
			return
		}
		if err := appendTo(file, line); err != nil {
			t.Errorf("adding to the test report: %v", err)
		}
	})
	return tr
}

// faultLine marks the lines of trials in a test report.
const faultLine = "fault"

// Add counts runs that ended with the report, which fails the test if anything is
// missing, doubled or wrong.
func (tr *Trials) Add(runs int, r Report) {
	tr.t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.runs += runs
	tr.lost += len(r.Missing)
	tr.twice += len(r.Doubled)
	tr.wrong += len(r.Extra) + len(r.Different) + len(r.Unreadable)
	if !r.OK() {
		tr.t.Errorf("the topic does not equal the API: %v", r)
	}
}
