package files

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A read that hangs is reported in time, and is not begun a second time.
func TestReadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := &call{began: time.Now(), done: make(chan struct{})}
		reading.Lock()
		reading.calls["hanging"] = hanging
		reading.Unlock()
		began := time.Now()
		for range 2 {
			if _, err := Read("hanging"); !errors.Is(err, ErrSlow) {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != Limit {
			t.Errorf("it took %v", took)
		}
		reading.Lock()
		delete(reading.calls, "hanging")
		reading.Unlock()
	})
}
