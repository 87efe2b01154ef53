package kafka

import (
	"context"
	"net"
	"sync"
)

// FewAtOnce returns a dial that opens up to so many connections to an address at a time, and
// lets the others wait. A broker's queue of connections that it has not accepted has room for 50
// (socket.listen.backlog.size): above that their packets are dropped, and sent again after a
// second at the earliest. A hundred clients connect in the same moment when they stop, and when
// a broker comes back.
func FewAtOnce(dial DialFunc, most int) DialFunc {
	var mu sync.Mutex // guards places
	places := map[string]chan struct{}{}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		place, known := places[addr]
		if !known {
			place = make(chan struct{}, most)
			places[addr] = place
		}
		mu.Unlock()
		select {
		case place <- struct{}{}:
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
		}
		defer func() { <-place }()
		return dial(ctx, network, addr)
	}
}
