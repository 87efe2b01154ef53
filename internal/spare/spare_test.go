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

// What a moment needed is not kept for ever, and what is used again and again is.
func TestUnusedIsDropped(t *testing.T) {
	made := 0
	l := spare.List[int]{New: func() *int { made++; return new(int) }}
	use := func(n int) {
		var taken []*int
		for range n {
			taken = append(taken, l.Take())
		}
		for _, one := range taken {
			l.Give(one)
		}
	}
	use(100)
	for range 1000 {
		use(3)
	}
	if made != 100 {
		t.Errorf("%d were made for at most a hundred at once", made)
	}
	use(100)
	if made < 190 {
		t.Errorf("%d were made: nearly all of the hundred were kept while three were used", made)
	}
}
