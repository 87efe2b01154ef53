package stack

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Addresses gives every port of every service one of this machine. In Docker each
// service has a network of its own, so that two may listen on 8080; here they share
// one.
type Addresses struct {
	services []string
	native   map[string]string // "kafka:29092" is "127.0.0.1:23456"
	err      error             // the first that Translate met
}

// NewAddresses knows the services by name, and hands out ports as they come up.
func NewAddresses(p *Project) *Addresses {
	return &Addresses{services: slices.Collect(maps.Keys(p.Services)), native: map[string]string{}}
}

// Err returns what went wrong in Translate.
func (a *Addresses) Err() error { return a.err }

// Of returns the address on this machine of a service's port.
func (a *Addresses) Of(service string, port int) string {
	key := service + ":" + strconv.Itoa(port)
	if a.native[key] == "" {
		addr, err := a.free()
		if err != nil {
			a.err = errors.Join(a.err, err)
		}
		a.native[key] = addr
	}
	return a.native[key]
}

// address is host:port, or :port, inside a setting.
var address = regexp.MustCompile(`(^|[/@ ,="])([a-z][a-z0-9-]*)?:([0-9]{2,5})\b`)

// Translate rewrites the addresses in a setting of the service: of other services
// by name, and of itself as localhost or with no host at all.
func (a *Addresses) Translate(service, value string) string {
	return address.ReplaceAllStringFunc(value, func(match string) string {
		m := address.FindStringSubmatch(match)
		host, of := m[2], service
		if host != "" && host != "localhost" {
			if !slices.Contains(a.services, host) {
				return match
			}
			of = host
		}
		port, err := strconv.Atoi(m[3])
		if err != nil {
			a.err = errors.Join(a.err, err)
		}
		return m[1] + a.Of(of, port)
	})
}

// Mentioned returns the ports of each service that any setting, command or health
// check of the project names.
func Mentioned(p *Project) map[string][]int {
	a := NewAddresses(p)
	for name, s := range p.Services {
		for _, value := range s.Environment {
			if value != nil {
				a.Translate(name, *value)
			}
		}
		for _, word := range s.Command {
			a.Translate(name, word)
		}
		if s.Healthcheck != nil {
			for _, word := range s.Healthcheck.Test {
				a.Translate(name, word)
			}
		}
	}
	ports := map[string][]int{}
	for key := range a.native {
		service, port, _ := strings.Cut(key, ":")
		n, _ := strconv.Atoi(port) // it was made of one
		ports[service] = append(ports[service], n)
	}
	for _, list := range ports {
		slices.Sort(list)
	}
	return ports
}

// free returns an address that nobody listens on, and none of those that the system
// hands out to clients, which could take it before the service does.
func (a *Addresses) free() (string, error) {
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(12000+rand.IntN(20000)))
		if slices.Contains(slices.Collect(maps.Values(a.native)), addr) {
			continue
		}
		if l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free port found in 100 tries")
}
