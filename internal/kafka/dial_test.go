package kafka_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// So many connections to an address are opened at a time, those to another address do not wait
// for them, and who waits for too long gets the error of an address that does not answer.
func TestFewDialAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, all, takes = 3, 9, time.Second
		var now, seen atomic.Int64
		dial := kafka.FewAtOnce(func(ctx context.Context, _, addr string) (net.Conn, error) {
			if addr != "slow:9092" {
				return nil, nil
			}
			seen.Store(max(seen.Load(), now.Add(1)))
			defer now.Add(-1)
			select {
			case <-time.After(takes):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}, most)
		began := time.Now()
		ended := make(chan error, all)
		for range all {
			go func() {
				_, err := dial(t.Context(), "tcp", "slow:9092")
				ended <- err
			}()
		}
		synctest.Wait()
		if _, err := dial(t.Context(), "tcp", "other:9092"); err != nil || time.Since(began) != 0 {
			t.Errorf("another address: %v after %v", err, time.Since(began))
		}
		short, cancel := context.WithTimeout(t.Context(), takes/2)
		defer cancel()
		_, err := dial(short, "tcp", "slow:9092")
		var failed net.Error
		if !errors.As(err, &failed) || !failed.Timeout() {
			t.Errorf("after half a second of waiting: %v", err)
		}
		for range all {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != takes*all/most || seen.Load() != most {
			t.Errorf("%d at once at most, %v for all; want %d and %v", seen.Load(), took, most, takes*all/most)
		}
	})
}
