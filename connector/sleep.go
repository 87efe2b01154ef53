package connector

import (
	"context"
	"time"
)

const (
	// sleepLook is how often the clock is looked at, or with every poll if that is
	// less often.
	sleepLook = 5 * time.Second
	// sleepMost is how much later than that counts as sleep. A busy host is late by
	// less; a takeover takes about as long.
	sleepMost = 10 * time.Second
)

// watchSleep writes the cursor when this process slept: it was stopped, or its host
// was. Another instance may have taken over meanwhile, and without a write a quiet
// log would not learn that for ten minutes, and be ready all that time.
//
// It looks by the clock on the wall, since the other one stands still while a host
// sleeps. A clock that is put forward looks the same, and costs one write.
func (s *session) watchSleep(ctx context.Context) error {
	look := max(sleepLook, s.cfg.PollInterval)
	for {
		began := s.now().Round(0)
		if wait(ctx, look) != nil {
			return nil // told to stop
		}
		slept := s.now().Round(0).Sub(began) - look
		if slept <= sleepMost {
			continue
		}
		// If another instance took over, this commit fails as fenced, and run ends with that. If
		// none did, it is one cursor more.
		s.log.Warn("this process slept; the cursor is written, to see whether somebody took over", "slept", slept.Round(time.Second))
		if err := s.apply(ctx, nil, true); err != nil {
			return err
		}
	}
}
