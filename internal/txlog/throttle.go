package txlog

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// throttledWait replaces produceWait while brokers make us wait for a quota. With what
// is left for the end it is still shorter than TransactionTimeout.
const throttledWait = 45 * time.Second

// throttle remembers until when brokers make this client wait. It is asked for between
// two requests of one transaction, and looks like brokers that do not answer.
type throttle struct {
	mu      sync.Mutex // guards what follows; held for an assignment
	until   time.Time
	longest time.Duration
}

// OnBrokerThrottle implements kgo.HookBrokerThrottle.
func (t *throttle) OnBrokerThrottle(_ kgo.BrokerMetadata, wait time.Duration, _ bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if until := time.Now().Add(wait); until.After(t.until) {
		t.until, t.longest = until, wait
	}
}

// error says that brokers made us wait since a time; nil if they did not.
func (t *throttle) error(since time.Time, clientID string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.until.After(since) {
		return nil
	}
	return fmt.Errorf("the brokers throttle this client, for %v at once: it writes more than its quota allows; "+
		"raise producer_byte_rate for the client id %q (KAFKA_CLIENT_ID) or its user, with kafka-configs.sh", t.longest.Round(time.Second), clientID)
}
