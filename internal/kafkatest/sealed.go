package kafkatest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The headers that number records: those of the connector, and those of repairs.
var sequences = []string{"audit_seq", "audit_repair_seq"}

// CheckNumbers returns what is wrong with the numbers of the records: each organization
// has two sequences, across topics and partitions, without a gap and without a double,
// and in a partition they rise. What was written before the first number has none, and
// a copy never has one. A partition whose first record is not at offset 0 may have lost
// others: what is in it may begin at any number.
func CheckNumbers(records []*kgo.Record) (wrong []string) {
	type stream struct{ source, header string }
	type partition struct {
		stream
		topic  string
		number int32
	}
	numbers := map[stream][]int{}
	last := map[partition]int{}
	first := map[partition]int64{} // offsets, by topic and number alone
	trimmed := map[stream]bool{}   // those of which some may have been lost
	for _, r := range records {
		whole := partition{topic: r.Topic, number: r.Partition}
		if _, met := first[whole]; !met {
			first[whole] = r.Offset
		}
		source, _ := header(r, "ce_source")
		numbered := false
		for _, name := range sequences {
			s := stream{source, name}
			p := partition{s, r.Topic, r.Partition}
			text, is := header(r, name)
			if !is {
				continue
			}
			n, err := strconv.Atoi(text)
			before, met := last[p]
			if err != nil || numbered || met && n <= before {
				wrong = append(wrong, fmt.Sprintf("%s, partition %d, offset %d: %s %q behind %d", r.Topic, r.Partition, r.Offset, name, text, before))
			}
			numbered, last[p] = true, n
			numbers[s] = append(numbers[s], n)
			trimmed[s] = trimmed[s] || first[whole] > 0
		}
		if _, began := last[partition{stream{source, sequences[0]}, r.Topic, r.Partition}]; began && !numbered {
			wrong = append(wrong, fmt.Sprintf("%s, partition %d, offset %d: no number, behind one that has one", r.Topic, r.Partition, r.Offset))
		}
	}
	for s, all := range numbers {
		slices.Sort(all)
		if all[0] != 0 && !trimmed[s] {
			wrong = append(wrong, fmt.Sprintf("%s of %s begins at %d", s.header, s.source, all[0]))
		}
		for i := 1; i < len(all); i++ {
			if all[i] != all[i-1]+1 {
				wrong = append(wrong, fmt.Sprintf("%s of %s: %d comes after %d", s.header, s.source, all[i], all[i-1]))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

// CheckSeal returns what is wrong with the checkpoints that the offsets topic has, or had:
// of each, the root must be that of the records before its size. It computes the trees by
// itself. Events and dead letters are read after the offsets topic, so all that
// checkpoints speak of must be there.
func (c *Cluster) CheckSeal(t testing.TB, events, dlq, offsets string) (wrong []string) {
	t.Helper()
	checkpoints := map[string][]*kgo.Record{} // by the organization, /repair behind it for repairs
	for _, r := range c.Read(t, offsets, kgo.ReadCommitted()) {
		if of, ok := strings.CutPrefix(string(r.Key), "checkpoint/"); ok && r.Value != nil {
			checkpoints[origin(of)] = append(checkpoints[origin(of)], r)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), readPatience)
	defer cancel()
	leaves := map[string]map[int][sha256.Size]byte{}
	for topic, role := range map[string]string{events: "events", dlq: "dlq"} {
		err := readerOf(c).scan(ctx, topic, kgo.ReadCommitted(), func(r *kgo.Record) {
			for i, name := range sequences {
				if text, is := header(r, name); is {
					source, _ := header(r, "ce_source")
					of := strings.TrimPrefix(source, "/openai/organizations/") + []string{"", "/repair"}[i]
					if leaves[of] == nil {
						leaves[of] = map[int][sha256.Size]byte{}
					}
					n, _ := strconv.Atoi(text) // CheckNumbers tells of what is none
					leaves[of][n] = hashLeaf(role, r.Key, r.Value)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(leaves) == 0 && len(checkpoints) == 0 {
		wrong = append(wrong, "nothing is sealed")
	}
	for of := range leaves {
		if len(checkpoints[of]) == 0 {
			wrong = append(wrong, "no checkpoint of "+of)
		}
	}
	for of, all := range checkpoints {
		roots := rootsOf(leaves[of])
		for _, r := range all {
			lines := strings.Split(string(r.Value), "\n")
			size, err := strconv.Atoi(lines[1])
			if err != nil || size >= len(roots) || lines[0] != "openai-audit-kafka/"+of || lines[2] != roots[size] {
				wrong = append(wrong, fmt.Sprintf("%s at offset %d of partition %d does not fit the %d records:\n%s", r.Key, r.Offset, r.Partition, len(roots)-1, r.Value))
			}
		}
	}
	return wrong
}

// origin returns the key of a checkpoint without its day.
func origin(key string) string {
	of, rest, _ := strings.Cut(key, "/")
	if strings.HasPrefix(rest, "repair") {
		return of + "/repair"
	}
	return of
}

func hashLeaf(role string, fields ...[]byte) [sha256.Size]byte {
	text := []byte{0}
	for _, f := range append([][]byte{[]byte(role)}, fields...) {
		length := uint32(len(f))
		if f == nil {
			length = 1<<32 - 1
		}
		text = append(binary.BigEndian.AppendUint32(text, length), f...)
	}
	return sha256.Sum256(text)
}

// rootsOf returns the root of each tree that the leaves had, by its size, up to the first
// number that has none.
func rootsOf(leaves map[int][sha256.Size]byte) []string {
	join := func(left, right [sha256.Size]byte) [sha256.Size]byte {
		return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
	}
	empty := sha256.Sum256(nil)
	roots := []string{base64.StdEncoding.EncodeToString(empty[:])}
	var edge [][sha256.Size]byte // the whole subtrees, the largest first
	for size := 1; ; size++ {
		leaf, there := leaves[size-1]
		if !there {
			return roots
		}
		edge = append(edge, leaf)
		for range bits.TrailingZeros(uint(size)) {
			n := len(edge)
			edge = append(edge[:n-2], join(edge[n-2], edge[n-1]))
		}
		root := edge[len(edge)-1]
		for i := len(edge) - 2; i >= 0; i-- {
			root = join(edge[i], root)
		}
		roots = append(roots, base64.StdEncoding.EncodeToString(root[:]))
	}
}
