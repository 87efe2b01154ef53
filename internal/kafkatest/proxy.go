package kafkatest

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Proxy stands between clients and brokers, understands Kafka's protocol as far
// as it must, and loses the requests and answers that a test asks for. A client in the process
// uses Dial as its dialer; a child process connects to Brokers. It is for plain
// connections: TLS hides the frames.
type Proxy struct {
	dial DialFunc
	seed []string      // the brokers, as the cluster names them
	done chan struct{} // closed by Close
	wait sync.WaitGroup

	mu        sync.Mutex // guards all below; never held while waiting
	plan      plan
	counts    map[int16]Count
	struck    map[Mode]int
	darkUntil time.Time
	relays    map[*relay]struct{}
	serial    int
	listeners map[string]net.Listener // by the broker's address
	observe   func(Frame)
}

// Count says what became of the requests of one API key.
type Count struct {
	Requests int // that clients sent
	Applied  int // that the broker got whole
	Answered int // that the client got the answer to
}

// Proxy returns a proxy to the cluster's brokers, closed when the test ends.
func (c *Cluster) Proxy(faults ...Fault) *Proxy {
	p := &Proxy{
		dial: c.dial, seed: c.brokers, done: make(chan struct{}),
		counts: map[int16]Count{}, struck: map[Mode]int{},
		relays: map[*relay]struct{}{}, listeners: map[string]net.Listener{},
	}
	p.plan.add(faults...)
	if c.tb != nil {
		c.tb.Cleanup(p.Close)
	}
	return p
}

// Add arms more faults.
func (p *Proxy) Add(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan.add(faults...)
}

// Clear disarms all faults, the random ones too.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan{}
}

// Random lets one in so many requests of the fault's Key meet it, with one of the
// modes, as the seed decides; without modes, one of those that cut.
func (p *Proxy) Random(seed uint64, oneIn int, fault Fault, modes ...Mode) {
	if len(modes) == 0 {
		modes = []Mode{CutBefore, CutInside, CutAfterApplied, CutInAnswer}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan.random = &random{Rand: rand.New(rand.NewPCG(seed, seed)), oneIn: oneIn, fault: fault, modes: modes}
}

// Observe calls fn with every request and every answer before it is passed on,
// which waits for fn. So a test can kill a process while the broker does not yet
// have its commit, or does and has not been heard.
func (p *Proxy) Observe(fn func(Frame)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.observe = fn
}

// Count returns what became of the requests with the key.
func (p *Proxy) Count(key int16) Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[key]
}

// Struck returns how often the mode struck.
func (p *Proxy) Struck(m Mode) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck[m]
}

// Strikes returns how often each mode struck.
func (p *Proxy) Strikes() map[Mode]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.struck)
}

// Dark cuts every connection and refuses new ones for d; 0 only cuts.
func (p *Proxy) Dark(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.darkUntil = time.Now().Add(d)
	for r := range p.relays {
		r.cut()
	}
}

// Close ends every connection and listener.
func (p *Proxy) Close() {
	p.mu.Lock()
	select {
	case <-p.done:
		p.mu.Unlock()
		return
	default:
	}
	close(p.done)
	for _, l := range p.listeners {
		l.Close()
	}
	for r := range p.relays {
		r.cut()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

// Dial connects to the broker at addr through the proxy.
func (p *Proxy) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	client, ours := net.Pipe()
	if err := p.connect(ctx, ours, network, addr, nil); err != nil {
		return nil, err
	}
	return pipe{client}, nil
}

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// connect dials the broker and relays between it and the client.
func (p *Proxy) connect(ctx context.Context, client net.Conn, network, addr string, rewrite func(Frame) ([]byte, error)) error {
	p.mu.Lock()
	dark := time.Now().Before(p.darkUntil)
	p.mu.Unlock()
	if dark {
		return errRefused
	}
	broker, err := p.dial(ctx, network, addr)
	if err != nil {
		return err
	}
	r := &relay{proxy: p, client: client, broker: broker, rewrite: rewrite, pending: map[int32]Frame{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		r.cut()
		return errRefused
	default:
	}
	p.serial++
	r.serial = p.serial
	p.relays[r] = struct{}{}
	// It ends when either side closes, or by Close, which waits for it.
	p.wait.Go(r.run)
	return nil
}

// pass decides about a frame, counts it and shows it to the observer.
func (p *Proxy) pass(f Frame) Frame {
	p.mu.Lock()
	if !f.Answer {
		count := p.counts[f.Key]
		count.Requests++
		p.counts[f.Key] = count
		if f.Fault = p.plan.next(f.Key); f.Fault.Mode != "" {
			p.struck[f.Fault.Mode]++
		}
	}
	observe := p.observe
	p.mu.Unlock()
	if observe != nil {
		observe(f)
	}
	return f
}

// passed counts a frame that was handed over whole.
func (p *Proxy) passed(f Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := p.counts[f.Key]
	if f.Answer {
		count.Answered++
	} else {
		count.Applied++
	}
	p.counts[f.Key] = count
}

// pipe is a client's end of a connection in the process. It fails as TCP does:
// clients try again after a broken connection, not after a closed pipe.
type pipe struct{ net.Conn }

func (c pipe) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
	}
	return n, err
}
