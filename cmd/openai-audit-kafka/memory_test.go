package main

import (
	"runtime/debug"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

// A limit from outside is obeyed, one that says that there is none as well.
func TestMemoryLimit(t *testing.T) {
	const outside = 1 << 40
	was := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(was) })
	several := func(n int) connector.Config {
		return connector.Config{Organizations: make([]connector.Organization, n)}
	}
	for _, test := range []struct {
		name    string
		cfg     connector.Config
		environ []string
		want    int64
	}{
		{"one organization", several(1), nil, 42 << 20},
		{"an empty variable says nothing", several(1), []string{"GOMEMLIMIT="}, 42 << 20},
		// Eleven more, three of which read history beside the first.
		{"twelve organizations", several(12), nil, (42+3*20)<<20 + 11*7<<17},
		{"a limit from outside", several(1), []string{"HOME=/", "GOMEMLIMIT=1TiB"}, outside},
		{"no limit, from outside", several(1), []string{"GOMEMLIMIT=off"}, outside},
	} {
		debug.SetMemoryLimit(outside) // as the runtime has it from the variable
		keepMemory(nil, test.cfg, test.environ)
		if got := debug.SetMemoryLimit(-1); got != test.want {
			t.Errorf("%s: %d MiB, want %d", test.name, got>>20, test.want>>20)
		}
	}
}
