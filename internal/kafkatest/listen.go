package kafkatest

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Brokers returns the proxy's bootstrap servers, for clients that cannot use
// Dial, such as a child process. Every broker that an answer names is replaced by
// a listener of the proxy, so all connections of such a client go through it.
func (p *Proxy) Brokers() []string {
	addrs := make([]string, len(p.seed))
	for i, broker := range p.seed {
		addr, err := p.listener(broker)
		if err != nil {
			panic(fmt.Sprintf("kafkatest: no port to listen on: %v", err))
		}
		addrs[i] = addr
	}
	return addrs
}

// listener returns the address at which the proxy stands for the broker.
func (p *Proxy) listener(broker string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return "", net.ErrClosed
	default:
	}
	if l, ok := p.listeners[broker]; ok {
		return l.Addr().String(), nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.listeners[broker] = l
	// It ends when the listener is closed, by Close, which waits for it.
	p.wait.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			if err := p.connect(context.Background(), client, "tcp", broker, p.readdress); err != nil {
				refuse(client)
			}
		}
	})
	return l.Addr().String(), nil
}

// refuse ends a connection to a broker that is not there. It is accepted already, so
// a reset is as near to a refusal as it gets: clients take an orderly close at this
// point for a broker that wants TLS, and do not try again.
func refuse(client net.Conn) {
	if tcp, ok := client.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	client.Close()
}

// readdress returns the answer with the addresses of brokers replaced by those
// of the proxy.
func (p *Proxy) readdress(f Frame) ([]byte, error) {
	switch kmsg.ResponseForKey(f.Key).(type) {
	case *kmsg.MetadataResponse, *kmsg.FindCoordinatorResponse, *kmsg.DescribeClusterResponse,
		*kmsg.ProduceResponse, *kmsg.FetchResponse:
	default:
		return f.bytes, nil
	}
	response, err := f.Response()
	if err != nil {
		return nil, err
	}
	if err := p.readdressAll(response); err != nil {
		return nil, err
	}
	return f.answerOf(response), nil
}

func (p *Proxy) readdressAll(response kmsg.Response) error {
	var err error
	move := func(host *string, port *int32) {
		if *host == "" || err != nil {
			return // no coordinator yet
		}
		var addr, number string
		if addr, err = p.listener(net.JoinHostPort(*host, strconv.Itoa(int(*port)))); err != nil {
			return
		}
		*host, number, _ = net.SplitHostPort(addr)
		n, _ := strconv.Atoi(number)
		*port = int32(n)
	}
	switch r := response.(type) {
	case *kmsg.MetadataResponse:
		for i := range r.Brokers {
			move(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range r.Brokers {
			move(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.ProduceResponse: // names the new leader where it moved
		for i := range r.Brokers {
			move(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FetchResponse:
		for i := range r.Brokers {
			move(&r.Brokers[i].Host, &r.Brokers[i].Port)
		}
	case *kmsg.FindCoordinatorResponse:
		move(&r.Host, &r.Port)
		for i := range r.Coordinators {
			move(&r.Coordinators[i].Host, &r.Coordinators[i].Port)
		}
	}
	return err
}
