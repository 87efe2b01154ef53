package txlog_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/txlog"
)

// TestSequences lets two writers of one log commit, crash, lose requests and
// answers, and open, in any order. The oracle is asked at every open, and only
// the writer that opened last may write.
func TestSequences(t *testing.T) {
	tally := map[string]int{}
	unmet := []string{"commits", "commits fenced", "commits unconfirmed", "unconfirmed that happened", "opens", "opens failed"}
	// What happens is up to chance: one round of a few sequences may miss the rarer
	// outcomes, and twenty may not.
	for round := 0; round < 20 && len(unmet) > 0 && !t.Failed(); round++ {
		synctest.Test(t, func(t *testing.T) { sequences(t, tally) })
		unmet = slices.DeleteFunc(unmet, func(what string) bool { return tally[what] > 0 })
	}
	t.Log(tally)
	if len(unmet) > 0 {
		t.Errorf("there were no %s: the sequences test too little", strings.Join(unmet, ", no "))
	}
}

// sequences runs as many as rapid's flags say, and counts what came of them.
func sequences(t *testing.T, tally map[string]int) {
	// Hidden in a struct, so that it does not ask for the test's deadline, which a
	// bubble does not have.
	rapid.Check(struct{ rapid.TB }{t}, func(r *rapid.T) {
		s := &scope{TB: t, r: r}
		defer s.end()
		c := kafkatest.InProcess(s, kafkatest.OnNetwork(new(kfake.VirtualNetwork)))
		t.Setenv("TEST_REPORT", "") // the first broker was noted, and this is one test
		sequence(r, newWorld(s, c), tally)
	})
}

// instance is one of the writers.
type instance struct {
	proxy *kafkatest.Proxy
	log   *txlog.Log // nil if it has none
}

var faultModes = []kafkatest.Mode{
	kafkatest.CutBefore, kafkatest.CutInside, kafkatest.SwallowRequest, // not applied
	kafkatest.CutAfterApplied, kafkatest.CutInAnswer, kafkatest.SwallowAnswer, // applied
	kafkatest.CutThenApply, // applied later, perhaps when somebody else writes
}

func sequence(r *rapid.T, w *world, tally map[string]int) {
	var instances [2]*instance
	for i := range instances {
		instances[i] = &instance{proxy: w.c.Proxy()}
	}
	var owner *instance // who opened last
	var unknown []int   // batches
	for range rapid.IntRange(10, 25).Draw(r, "steps") {
		i := instances[rapid.IntRange(0, 1).Draw(r, "instance")]
		step := rapid.SampledFrom([]string{"commit", "commit", "commit", "commit", "open", "fault", "fault", "crash", "heal"}).Draw(r, "step")
		if step == "commit" && i.log == nil {
			step = "open"
		}
		switch step {
		case "commit":
			switch err := w.commit(w.tb.Context(), i.log); {
			case err == nil && i != owner:
				w.tb.Errorf("an instance committed after another one had opened the log")
			case err == nil:
				tally["commits"]++
			case errors.Is(err, txlog.ErrFenced):
				tally["commits fenced"]++
				i.log = nil
			default:
				tally["commits unconfirmed"]++
				unknown = append(unknown, len(w.batches)-1)
				i.log = nil
			}
		case "open":
			i.crash()
			// An Open that fails may have fenced the other one, or not.
			log, err := w.tryOpen(w.tb.Context(), w.through(i.proxy))
			if err != nil {
				tally["opens failed"]++
				continue
			}
			tally["opens"]++
			i.log, owner = log, i
		case "fault":
			i.proxy.Add(kafkatest.Fault{
				Key:   rapid.SampledFrom(faultKeys()).Draw(r, "key"),
				Nth:   rapid.SampledFrom([]int{1, 2, kafkatest.EveryRequest}).Draw(r, "nth"),
				Mode:  rapid.SampledFrom(faultModes).Draw(r, "mode"),
				Delay: time.Duration(rapid.IntRange(0, 100).Draw(r, "delay")) * time.Second,
				// Beyond all our patience it is a crash in the middle of a request.
				Dark: time.Duration(rapid.SampledFrom([]int{0, 0, 10, 200}).Draw(r, "dark")) * time.Second,
			})
		case "crash":
			i.crash()
		case "heal":
			i.proxy.Clear()
		}
	}
	for _, i := range instances {
		i.crash()
	}
	w.reopened()
	for _, batch := range unknown {
		if w.batches[batch] == confirmed {
			tally["unconfirmed that happened"]++
		}
	}
}

// crash ends the process: connections are gone, and nothing is said.
func (i *instance) crash() {
	i.proxy.Dark(0)
	if i.log != nil {
		i.log.Close()
		i.log = nil
	}
}

func faultKeys() []int16 {
	keys := []int16{kmsg.EndTxn.Int16(), kmsg.EndTxn.Int16()} // where it matters most
	for _, s := range steps {
		if !s.aside && !s.old {
			keys = append(keys, s.key.Int16())
		}
	}
	return keys
}

// scope is a test of rapid as the harness knows tests: it ends with one sequence.
type scope struct {
	testing.TB
	r    *rapid.T
	ends []func()
}

func (s *scope) Cleanup(f func())                  { s.ends = append(s.ends, f) }
func (s *scope) Errorf(format string, args ...any) { s.r.Helper(); s.r.Errorf(format, args...) }
func (s *scope) Fatalf(format string, args ...any) { s.r.Helper(); s.r.Fatalf(format, args...) }
func (s *scope) Fatal(args ...any)                 { s.Fatalf("%s", fmt.Sprint(args...)) }

func (s *scope) end() {
	for len(s.ends) > 0 {
		last := s.ends[len(s.ends)-1]
		s.ends = s.ends[:len(s.ends)-1]
		last()
	}
}
