package kafkatest

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// relay carries the frames of one connection, and is where faults happen.
type relay struct {
	proxy          *Proxy
	serial         int
	client, broker net.Conn
	rewrite        func(Frame) ([]byte, error) // of answers; nil passes them as they are
	orphan         atomic.Bool                 // the client was cut off, the broker not

	mu      sync.Mutex // guards pending
	pending map[int32]Frame
}

func (r *relay) run() {
	var both sync.WaitGroup
	both.Go(r.requests)
	both.Go(r.answers)
	both.Wait()
	r.cut()
	r.proxy.mu.Lock()
	defer r.proxy.mu.Unlock()
	delete(r.proxy.relays, r)
}

// cut ends both directions. It may be called at any time, more than once.
func (r *relay) cut() {
	r.client.Close()
	r.broker.Close()
}

// requests carries from the client to the broker until one of them closes.
func (r *relay) requests() {
	for r.request() {
	}
	// A client that died takes its connection with it; one that a fault cut off
	// leaves it open until the straggler was answered.
	if !r.orphan.Load() {
		r.cut()
	}
}

func (r *relay) request() (more bool) {
	b, err := readFrame(r.client)
	if err != nil {
		return false
	}
	f, err := parseRequest(b)
	if err != nil {
		return false
	}
	f.Connection = r.serial
	f = r.proxy.pass(f)
	r.mu.Lock()
	r.pending[f.correlation] = f
	r.mu.Unlock()

	switch f.Fault.Mode {
	case CutBefore:
		r.darken(f)
		return false
	case CutInside:
		_, _ = r.broker.Write(f.Fault.part(f.bytes))
		r.darken(f)
		return false
	case SwallowRequest:
		return true
	case ForgeAnswer:
		return r.forge(f)
	case CutThenApply:
		r.orphan.Store(true)
		r.client.Close()
		if !r.sleep(f.Fault.Delay) || !r.send(f) {
			r.broker.Close()
		}
		return false
	case DelayRequest:
		return r.sleep(f.Fault.Delay) && r.send(f)
	default:
		return r.send(f)
	}
}

// forge answers a request that the broker does not get.
func (r *relay) forge(f Frame) bool {
	b, err := f.forged()
	if err == nil {
		_, err = r.client.Write(b)
	}
	return err == nil
}

// send gives a request to the broker. It counts as applied from before the last
// byte is out: afterwards the answer may be quicker than the count.
func (r *relay) send(f Frame) bool {
	r.proxy.passed(f)
	_, err := r.broker.Write(f.bytes)
	return err == nil
}

// answers carries from the broker to the client until one of them closes.
func (r *relay) answers() {
	defer r.cut()
	for r.answer() {
	}
}

func (r *relay) answer() (more bool) {
	b, err := readFrame(r.broker)
	if err != nil {
		return false
	}
	r.mu.Lock()
	f, ok := r.pending[correlationOf(b)]
	delete(r.pending, correlationOf(b))
	r.mu.Unlock()
	if !ok {
		return false // an answer to nothing: not Kafka's protocol
	}
	f.Answer, f.bytes = true, b
	if r.rewrite != nil {
		if f.bytes, err = r.rewrite(f); err != nil {
			return false
		}
	}
	f = r.proxy.pass(f)
	switch f.Fault.Mode {
	case CutAfterApplied:
		r.darken(f)
		return false
	case CutThenApply:
		return false
	case CutInAnswer:
		_, _ = r.client.Write(f.Fault.part(f.bytes))
		r.darken(f)
		return false
	case SwallowAnswer:
		return true
	case DelayAnswer:
		if !r.sleep(f.Fault.Delay) {
			return false
		}
	default: // the others met the request
	}
	if r.orphan.Load() {
		return true // nobody listens any more, and the straggler is still to come
	}
	r.proxy.passed(f)
	_, err = r.client.Write(f.bytes)
	return err == nil
}

// darken cuts the connection, and all others if the fault says so.
func (r *relay) darken(f Frame) {
	r.cut()
	if f.Fault.Dark > 0 {
		r.proxy.Dark(f.Fault.Dark)
	}
}

// sleep waits, and reports whether the proxy is still open.
func (r *relay) sleep(d time.Duration) bool {
	select {
	case <-r.proxy.done:
		return false
	case <-time.After(d):
		return true
	}
}
