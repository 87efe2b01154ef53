package connector

import (
	"fmt"
	"log/slog"
	"testing"
)

// A refused organization whose partition comes back to this instance is refused
// again, and is still one; the instance ends when there is no other.
func TestRefusedTwiceIsOne(t *testing.T) {
	stopped := false
	team := &team{cancel: func() { stopped = true }, log: slog.New(slog.DiscardHandler), all: 2}
	for range 2 {
		team.began("a")
		team.ended("a", fmt.Errorf("no: %w", ErrRefused))
	}
	if stopped || team.err() != nil {
		t.Error("b is healthy, and the instance ends")
	}
	team.began("a")
	team.ended("b", fmt.Errorf("no: %w", ErrRefused))
	if stopped {
		t.Error("a is at work again, and the instance ends")
	}
	team.ended("a", fmt.Errorf("no: %w", ErrRefused))
	if !stopped || team.err() == nil {
		t.Error("none is left, and the instance goes on")
	}
}
