package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// TestTwoSupervisedOnOneHost lets a supervisor start a second instance on the same host
// by mistake. The second one takes over; the first ends with 3, and so does each of its
// restarts, before it fences any instance: they do not throw each other out for ever. When
// the one at work is killed, the next start goes on at once, whichever it is.
func TestTwoSupervisedOnOneHost(t *testing.T) {
	c := kafkatest.InProcess(t)
	w := newProcesses(t, c)
	first := w.start(c.Brokers())
	w.await()
	second := w.start(c.Brokers())
	w.until("the first one is fenced", func() bool { w.api.Step(1, 0, 0); return first.hasEnded() })
	for range 3 {
		if code := first.exit(time.Minute); code != exitFenced {
			t.Fatalf("the first one ends with %d\n%s", code, first.log.String())
		}
		w.api.Step(3, 0, 0)
		w.await()
		first = w.start(c.Brokers())
	}
	if first.exit(time.Minute); second.hasEnded() {
		t.Fatalf("the second one was thrown out\n%s", second.log.String())
	}
	for range 2 { // as a crash loop
		second.signal(syscall.SIGKILL)
		second.exit(time.Minute)
		w.api.Step(3, 0, 0)
		second = w.start(c.Brokers())
		w.await()
	}
	second.signal(syscall.SIGTERM)
	if code := second.exit(time.Minute); code != exitDone {
		t.Errorf("the one at work ends with %d\n%s", code, second.log.String())
	}
}

func (p *process) hasEnded() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
