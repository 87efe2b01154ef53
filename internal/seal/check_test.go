package seal_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

// record is a record of a topic that is checked.
type record struct {
	place  seal.Place
	number string // empty: it has none
	leaf   seal.Leaf
}

// topic is a sealed topic and what was said of it. It has two partitions of events and
// one of dead letters, a checkpoint every ten records and every hour, and 25 records.
type topic struct {
	records    []record
	starts     map[string][]int64
	statements []seal.Statement
	known      uint64
	retention  seal.Retention
	verifies   bool
}

var began = seal.Began{Time: time.Unix(1_700_000_000, 0).UTC(), Offsets: map[string][]int64{"events": {100, 0}, "dlq": {0}}}

func sealed(size int) *topic {
	t := &topic{starts: map[string][]int64{"events": {90, 0}, "dlq": {0}}, known: uint64(size)}
	next := map[string]int64{"events/0": 100}
	for n := range size {
		at := seal.Place{Role: "events", Partition: int32(n % 2)}
		leaf := leafOf(n)
		if n%7 == 3 {
			at, leaf.Role = seal.Place{Role: "dlq"}, "dlq"
		}
		key := fmt.Sprintf("%s/%d", at.Role, at.Partition)
		at.Offset = next[key]
		next[key]++
		t.records = append(t.records, record{at, fmt.Sprint(n), leaf})
		if n%10 == 9 || n == size-1 {
			t.say(n+1, time.Duration(n)*time.Hour)
		}
	}
	// What is before the seal began is none of its business.
	t.records = append(t.records, record{seal.Place{Role: "events", Offset: 95}, "3", leafOf(99)}, record{seal.Place{Role: "events", Offset: 96}, "", leafOf(98)})
	return t
}

func (t *topic) say(size int, after time.Duration) {
	c := seal.NewCheckpoint(seal.Origin("acme"), grown2(size), began.Time.Add(after), began)
	t.statements = append(t.statements, seal.Statement{Checkpoint: c, Where: fmt.Sprintf("checkpoint %d", len(t.statements)), Signature: seal.WellSigned})
}

// grown2 is the tree of the topic's first leaves.
func grown2(size int) *seal.Tree {
	tree, hasher := seal.NewTree(), new(seal.Hasher)
	for n := range size {
		leaf := leafOf(n)
		if n%7 == 3 {
			leaf.Role = "dlq"
		}
		tree.Append(hasher.Hash(leaf))
	}
	return tree
}

func (t *topic) check() *seal.Verdict {
	check := seal.NewCheck(t.statements, t.verifies)
	for role, starts := range t.starts {
		for partition, start := range starts {
			check.Partition(role, int32(partition), start)
		}
	}
	// In any order of partitions, and in each by offset.
	records := slices.Clone(t.records)
	slices.SortStableFunc(records, func(a, b record) int {
		return int((int64(a.place.Partition)-int64(b.place.Partition))*1000 + a.place.Offset - b.place.Offset)
	})
	for _, r := range records {
		check.Add(r.place, r.number, r.number != "", new(seal.Hasher).Hash(r.leaf))
	}
	return check.Verdict(t.retention, t.known)
}

// remove takes records out by their numbers.
func (t *topic) remove(from, to int) {
	t.records = slices.DeleteFunc(t.records, func(r record) bool {
		var n int
		_, err := fmt.Sscan(r.number, &n)
		return err == nil && n >= from && n < to && r.place.Offset != 95
	})
}

// insert puts a record at the place of another one, and moves those behind it.
func (t *topic) insert(r record) {
	for i := range t.records {
		at := &t.records[i].place
		if at.Role == r.place.Role && at.Partition == r.place.Partition && at.Offset >= r.place.Offset {
			at.Offset++
		}
	}
	t.records = append(t.records, r)
}

func (t *topic) forge(i int, change func(*seal.Statement)) { change(&t.statements[i]) }

// Each attack on a topic of 25 records, and what the check says of it: kind, first and
// last number.
func TestAttacks(t *testing.T) {
	oneMore := record{leaf: seal.Leaf{Role: "events", Key: []byte("key 4"), Value: []byte("value 4")}, number: "4", place: seal.Place{Role: "events", Offset: 111}}
	for name, test := range map[string]struct {
		attack func(*topic)
		want   []string
	}{
		"nothing was done": {func(*topic) {}, nil},
		"a value changed": {func(t *topic) { t.records[12].leaf.Value = []byte("value") },
			[]string{"changed 10-15"}}, // of the nodes of the second checkpoint, the one of 8 and later
		"a key changed, and the last of a checkpoint": {func(t *topic) { t.records[24].leaf.Key = []byte("key") },
			[]string{"changed 24-24"}},
		"the role changed": {func(t *topic) { t.records[24].leaf.Role = "events" },
			[]string{"changed 24-24"}},
		"one gone":            {func(t *topic) { t.remove(12, 13) }, []string{"missing 12-12"}},
		"the first ones gone": {func(t *topic) { t.remove(0, 5); t.starts["events"][0] = 102 }, []string{"missing 0-4"}},
		"the last ones gone":  {func(t *topic) { t.remove(22, 25) }, []string{"cut 22-24"}},
		"all gone":            {func(t *topic) { t.remove(0, 25) }, []string{"cut 0-24"}},
		"one inserted, with no number": {func(t *topic) { oneMore := oneMore; oneMore.number = ""; t.insert(oneMore) },
			[]string{"inserted 0-0"}},
		"one inserted, with a number that is none": {func(t *topic) { oneMore := oneMore; oneMore.number = "four"; t.insert(oneMore) },
			[]string{"inserted 0-0"}},
		"one inserted, with the next number": {func(t *topic) { oneMore := oneMore; oneMore.number = "25"; t.insert(oneMore) },
			[]string{"inserted 25-25"}},
		"one inserted behind, with a copied key and number": {func(t *topic) {
			oneMore := oneMore
			oneMore.leaf.Value = []byte("another")
			t.insert(oneMore)
		}, []string{"inserted 4-4"}},
		"one inserted before, with a copied key and number": {func(t *topic) {
			oneMore := oneMore
			oneMore.leaf.Value, oneMore.place.Offset = []byte("another"), t.records[4].place.Offset
			t.insert(oneMore)
		}, []string{"inserted 4-4"}},
		"one doubled": {func(t *topic) { t.insert(oneMore) }, []string{"doubled 4-4"}},
		"two swapped, with their numbers": {func(t *topic) {
			t.records[4].place, t.records[6].place = t.records[6].place, t.records[4].place
		}, []string{"out_of_sequence 4-4"}},
		"two swapped, without their numbers": {func(t *topic) {
			t.records[20].leaf, t.records[22].leaf = t.records[22].leaf, t.records[20].leaf
		}, []string{"changed 20-23"}},
		"an older copy of the topic": {func(t *topic) { t.remove(13, 25) }, []string{"cut 13-24"}},
		"the checkpoints set back": {func(t *topic) { t.statements, t.known = t.statements[:2], 20 },
			[]string{"inserted 20-24"}},
		"topic and checkpoints set back": {func(t *topic) {
			t.statements, t.known = append(t.statements[:2], kept(t.statements[2])), 20
			t.remove(20, 25)
		}, []string{"cut 20-24", "cut 20-24"}},
		"the checkpoints alone set back, and one was kept": {func(t *topic) {
			t.statements, t.known = append(t.statements[:2], kept(t.statements[2])), 20
		}, []string{"cut 20-24"}},
		"another history since a checkpoint that was kept": {func(t *topic) {
			was := sealed(25)
			t.records[14].leaf.Value = []byte("rewritten")
			resealed(t)
			t.statements = append(t.statements, kept(was.statements[1]))
		}, []string{"forked 0-0", "forked 0-0"}},
		"a checkpoint forged in its root": {func(t *topic) {
			t.forge(1, func(s *seal.Statement) { s.Root[0]++ })
		}, []string{"forked 0-0"}},
		"a checkpoint forged as a whole": {func(t *topic) {
			t.forge(1, func(s *seal.Statement) {
				tree := grown(20)
				s.Root, s.Edge = tree.Root(), tree.Edge()
			})
		}, []string{"forked 0-0"}},
		"a checkpoint that says fewer, later": {func(t *topic) { t.say(15, 100*time.Hour) }, []string{"forked 0-0"}},
		"a seal that was begun again, and one was kept": {func(t *topic) {
			old := kept(t.statements[0])
			old.Began.Time = old.Began.Time.Add(-time.Hour)
			t.statements = append(t.statements, old)
		}, []string{"forked 0-0"}},
		"a checkpoint not signed": {func(t *topic) {
			t.verifies = true
			t.forge(1, func(s *seal.Statement) { s.Signature = seal.Unsigned })
		}, []string{"unsigned 0-0"}},
		"a checkpoint signed by another": {func(t *topic) {
			t.verifies = true
			t.forge(2, func(s *seal.Statement) { s.Signature = seal.BadlySigned })
			t.forge(2, func(s *seal.Statement) { s.Root[0]++ }) // which is not looked at
		}, []string{"badly_signed 0-0"}},
		"two attacks": {func(t *topic) { t.records[5].leaf.Value = nil; t.remove(22, 23) },
			[]string{"changed 0-7", "missing 22-22"}},
	} {
		t.Run(name, func(t *testing.T) {
			topic := sealed(25)
			test.attack(topic)
			v := topic.check()
			var got []string
			for _, f := range v.Findings {
				got = append(got, fmt.Sprintf("%s %d-%d", f.Kind, f.First, f.Last))
				if f.Cause == "" {
					t.Errorf("%v says no cause", f)
				}
			}
			if !slices.Equal(got, test.want) || v.OK() != (len(test.want) == 0) {
				t.Errorf("found %v, want %v", got, test.want)
				for _, f := range v.Findings {
					t.Log(f.Kind, f.Cause)
				}
			}
		})
	}
}

func kept(s seal.Statement) seal.Statement {
	s.Kept, s.Where = true, "the checkpoint kept"
	return s
}

// resealed gives the topic checkpoints of what it holds now, as one can who may write
// everywhere and has the key.
func resealed(t *topic) {
	tree, hasher := seal.NewTree(), new(seal.Hasher)
	for n, r := range t.records[:25] {
		tree.Append(hasher.Hash(r.leaf))
		for i, s := range t.statements {
			if s.Size == uint64(n+1) {
				t.statements[i].Root, t.statements[i].Edge = tree.Root(), tree.Edge()
			}
		}
	}
}

// What retention has deleted is no finding, and the rest is proven from the oldest
// checkpoint that reaches beyond it.
func TestRetention(t *testing.T) {
	expire := func(topic *topic) {
		topic.starts["events"][0] = 105 // leaves 0, 2, 4, 6, 8 are gone
		topic.records = slices.DeleteFunc(topic.records, func(r record) bool {
			return r.place.Role == "events" && r.place.Partition == 0 && r.place.Offset < 105
		})
	}
	for name, test := range map[string]struct {
		retention seal.Retention
		want      int    // findings
		proven    uint64 // from there on
		expired   uint64
	}{
		"as old as it may be":       {seal.Retention{Since: began.Time.Unix() + 9*3600}, 0, 10, 5},
		"some would still be there": {seal.Retention{Since: began.Time.Unix() + 8*3600}, 0, 10, 5},
		"nothing may be gone":       {seal.Retention{}, 5, 0, 0},
		"the time says nothing":     {seal.Retention{Any: true}, 0, 10, 5},
	} {
		topic := sealed(25)
		expire(topic)
		topic.retention = test.retention
		v := topic.check()
		if len(v.Findings) != test.want || v.Proven != test.proven || v.Expired != test.expired {
			t.Errorf("%s: %d findings, proven from %d, %d expired; want %d, %d, %d: %v",
				name, len(v.Findings), v.Proven, v.Expired, test.want, test.proven, test.expired, v.Findings)
		}
	}
	// One from the middle is no beginning.
	topic := sealed(25)
	expire(topic)
	topic.retention = seal.Retention{Any: true}
	topic.remove(15, 16)
	if v := topic.check(); len(v.Findings) != 1 || v.Findings[0].Kind != seal.Missing || v.Findings[0].First != 15 {
		t.Errorf("a record of the middle is gone beside a beginning: %v", v.Findings)
	}
	// A topic of which nothing is left.
	topic = sealed(25)
	topic.remove(0, 25)
	topic.starts = map[string][]int64{"events": {120, 20}, "dlq": {4}}
	topic.retention = seal.Retention{Since: began.Time.Unix() + 30*3600}
	if v := topic.check(); !v.OK() || v.Expired != 25 || v.Proven != 25 {
		t.Errorf("all is expired: %v, %d expired, proven from %d", v.Findings, v.Expired, v.Proven)
	}
}

// What the writer committed while the check read is neither proven nor wrong, also if
// only a part of it was seen.
func TestWrittenMeanwhile(t *testing.T) {
	topic := sealed(30)
	topic.statements = topic.statements[:2]
	topic.remove(27, 28)
	v := topic.check()
	if !v.OK() || v.Size != 20 || v.Proven != 0 {
		t.Errorf("%v, proven from %d to before %d", v.Findings, v.Proven, v.Size)
	}
}

// Any one change to any record is found.
func TestAnyChangeIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic := sealed(rapid.IntRange(1, 40).Draw(t, "size"))
		size := len(topic.records) - 2 // the last two lie before the seal
		n := rapid.IntRange(0, size-1).Draw(t, "record")
		r := &topic.records[n]
		switch rapid.IntRange(0, 4).Draw(t, "attack") {
		case 0:
			r.leaf.Value = append(r.leaf.Value, 'x')
		case 1:
			r.leaf.Key = nil
		case 2:
			topic.remove(n, n+1)
		case 3:
			r.number = fmt.Sprint(n + 1)
		case 4:
			more := *r
			more.place.Offset += 1000
			topic.records = append(topic.records, more)
		}
		if topic.check().OK() {
			t.Fatal("nothing was found")
		}
	})
}

// Each record of a checked topic is proven in its newest checkpoint, also from the
// oldest that retention has left.
func TestCheckProves(t *testing.T) {
	topic := sealed(25)
	for i, s := range topic.statements {
		topic.statements[i].Note = must(seal.Signer{}.Sign(s.Text()))
	}
	check := seal.NewCheck(topic.statements, false)
	for role, starts := range topic.starts {
		for partition := range starts {
			check.Partition(role, int32(partition), 1000) // as if the beginnings were gone
		}
	}
	for n, r := range topic.records[:25] {
		if n >= 5 {
			check.Add(r.place, r.number, true, new(seal.Hasher).Hash(r.leaf))
		}
	}
	if v := check.Verdict(seal.Retention{Any: true}, 25); !v.OK() || v.Proven != 10 {
		t.Fatalf("%v, proven from %d", v.Findings, v.Proven)
	}
	for n := range uint64(26) {
		proof, err := check.Prove(n)
		if provable := n >= 10 && n < 25; (err == nil) != provable {
			t.Errorf("record %d: %v", n, err)
		}
		if err != nil {
			continue
		}
		proof.Leaf = topic.records[n].leaf
		if c, _, err := proof.Check(seal.Verifier{}); err != nil || c.Size != 25 {
			t.Errorf("the proof of record %d: %v", n, err)
		}
	}
}
