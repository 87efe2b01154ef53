package spare_test

import (
	"runtime"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/spare"
)

func TestList(t *testing.T) {
	var l spare.List[[]int]
	a, b := l.Take(), l.Take()
	if a == b || *a != nil {
		t.Fatal("two took the same, or what is new is not zero")
	}
	l.Give(a)
	l.Give(b)
	runtime.GC()
	runtime.GC() // a sync.Pool would be empty now
	if l.Take() != b || l.Take() != a || l.Take() == a {
		t.Error("what was given back was not taken, or twice")
	}
}

func TestNew(t *testing.T) {
	l := spare.List[int]{New: func() *int { return new(7) }}
	a := l.Take()
	if *a != 7 {
		t.Fatalf("a new one is %d", *a)
	}
	*a = 8
	l.Give(a)
	if got := *l.Take(); got != 8 {
		t.Errorf("what was given back is %d", got)
	}
}

func TestMost(t *testing.T) {
	l := spare.List[int]{Most: 1}
	a, b := l.Take(), l.Take()
	l.Give(a)
	l.Give(b)
	if l.Take() != a || l.Take() == b {
		t.Error("more were kept than may be")
	}
}
