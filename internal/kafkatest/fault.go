package kafkatest

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Mode is what becomes of one request and its answer.
type Mode string

// The modes. "Applied" means that the broker gets the request whole.
const (
	// CutBefore closes the connection instead of sending the request: failed,
	// and not applied.
	CutBefore Mode = "cut before"
	// CutInside closes the connection after a part of the request: not applied.
	CutInside Mode = "cut inside"
	// CutAfterApplied closes the connection instead of delivering the answer:
	// failed for the client, and applied.
	CutAfterApplied Mode = "cut after applied"
	// CutInAnswer delivers a part of the answer: applied as well.
	CutInAnswer Mode = "cut in answer"
	// CutThenApply closes the connection to the client at once, and gives the
	// request to the broker Delay later: a straggler, which may end a later
	// transaction.
	CutThenApply Mode = "cut then apply"
	// SwallowRequest drops the request and keeps the connection: not applied.
	SwallowRequest Mode = "swallow request"
	// ForgeAnswer drops the request and answers in the broker's place that all went
	// well: not applied, and the client thinks it is. It is for AddPartitionsToTxn;
	// other requests it cuts.
	ForgeAnswer Mode = "forge answer"
	// SwallowAnswer drops the answer and keeps the connection: applied.
	SwallowAnswer Mode = "swallow answer"
	// DelayRequest holds the request, and all behind it, for Delay.
	DelayRequest Mode = "delay request"
	// DelayAnswer holds the answer, and all behind it, for Delay.
	DelayAnswer Mode = "delay answer"
)

// AnyKey, as a Fault's Key, means requests of every kind.
const AnyKey int16 = -1

// EveryRequest, as a Fault's Nth, means all of them.
const EveryRequest = -1

// Fault is one thing that goes wrong between client and broker.
type Fault struct {
	// Key is the API key of the request, such as kmsg.EndTxn.Int16(), or AnyKey.
	Key int16
	// Nth counts the requests of that key from when the fault was added; 0 means
	// the first, EveryRequest all.
	Nth int
	// Mode is what happens to it.
	Mode Mode
	// Delay is for the modes that wait.
	Delay time.Duration
	// Dark is for how long no connection works, old or new, from the cut on.
	Dark time.Duration
	// At is where in the frame it is cut, as a part of it from 0 to 1; 0 leaves it
	// to chance.
	At float64
}

// part returns the bytes of a frame that get through a cut in its middle: at least
// one, and never all.
func (f Fault) part(frame []byte) []byte {
	if f.At <= 0 {
		return frame[:1+rand.IntN(len(frame)-1)]
	}
	return frame[:min(len(frame)-1, 1+int(f.At*float64(len(frame)-1)))]
}

// plan decides which fault meets which request. Its owner holds a lock.
type plan struct {
	armed  []*armed
	random *random
}

type armed struct {
	Fault
	seen int
}

type random struct {
	*rand.Rand
	oneIn int
	fault Fault
	modes []Mode
}

func (p *plan) add(faults ...Fault) {
	for _, f := range faults {
		p.armed = append(p.armed, &armed{Fault: f})
	}
}

// next returns the fault for a request with the key; its Mode is empty if there
// is none. A fault that struck is spent.
func (p *plan) next(key int16) Fault {
	var strikes *armed
	for _, a := range p.armed {
		if a.Key != key && a.Key != AnyKey {
			continue
		}
		a.seen++
		if strikes == nil && (a.Nth == EveryRequest || a.seen == max(1, a.Nth)) {
			strikes = a
		}
	}
	if strikes != nil {
		if strikes.Nth != EveryRequest {
			p.armed = slices.DeleteFunc(p.armed, func(a *armed) bool { return a == strikes })
		}
		return strikes.Fault
	}
	if r := p.random; r != nil && (r.fault.Key == AnyKey || r.fault.Key == key) && r.IntN(r.oneIn) == 0 {
		f := r.fault
		f.Mode = r.modes[r.IntN(len(r.modes))]
		f.At = r.Float64()
		return f
	}
	return Fault{}
}
