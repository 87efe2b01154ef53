package seal_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/seal"
)

// The leaves of these tests, and what another program (docs/proof.md has one that does the same)
// computed of them.
var (
	first  = seal.Leaf{Role: "events", Key: []byte("a"), Value: []byte("1")}
	second = seal.Leaf{Role: "events", Key: []byte("b"), Value: []byte("2")}
	third  = seal.Leaf{Role: "dlq", Value: []byte("3")}
)

func TestLeafHash(t *testing.T) {
	for _, test := range []struct {
		leaf seal.Leaf
		want string
	}{
		{first, "f31441ac29904e7ee30d615dc6b8f2f54afea586cdfc7b018a6b51c08608bd29"},
		{second, "d97f59e8edf6f09864b6b3775f35d5253201ac51cc33dcf5a7f8d3a1661e86ae"},
		{third, "59202e3406b0e87867f3843f3eed4be6904118769ac757a555098c1b3ac7f870"},
		// The bytes of the first, with one moved from the key to the value.
		{seal.Leaf{Role: "events", Key: []byte{}, Value: []byte("a1")}, "6d7df735f175f5abd0933476397a8ca6c0bda38e72b2fb91944c4be2ee34164a"},
	} {
		hash := new(seal.Hasher).Hash(test.leaf)
		if got := hex.EncodeToString(hash[:]); got != test.want {
			t.Errorf("the hash of %q is %s, want %s", test.leaf, got, test.want)
		}
	}
}

func TestLeafBytes(t *testing.T) {
	for _, leaf := range []seal.Leaf{first, third, {Role: "events", Key: []byte{}, Value: []byte{}}} {
		got, err := seal.ParseLeaf(leaf.AppendTo(nil))
		if err != nil {
			t.Errorf("%q: %v", leaf, err)
		}
		if diff := cmp.Diff(leaf, got); diff != "" {
			t.Errorf("%q came back as another (-want +got):\n%s", leaf, diff)
		}
	}
	whole := first.AppendTo(nil)
	for n := range whole {
		if _, err := seal.ParseLeaf(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for a leaf", n, len(whole))
		}
	}
	if _, err := seal.ParseLeaf(append(whole, 0)); err == nil {
		t.Error("a leaf with one more byte was taken for a leaf")
	}
}

func TestRoot(t *testing.T) {
	tree := seal.NewTree()
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", // RFC 6962: the hash of nothing
		"f31441ac29904e7ee30d615dc6b8f2f54afea586cdfc7b018a6b51c08608bd29",
		"21ea6398200e8c046777f285210adcd499693154069e74c5f8afd70d5064c89f",
		"89d2fb1e320631a307b62af471ad58459145ac5531738b6e200e59bd206b801e",
	}
	for n, leaf := range []seal.Leaf{{}, first, second, third} {
		if n > 0 {
			tree.Append(new(seal.Hasher).Hash(leaf))
		}
		if root := tree.Root(); hex.EncodeToString(root[:]) != roots[n] || tree.Size() != uint64(n) {
			t.Errorf("a tree of %d leaves has the size %d and the root %x, want %s", n, tree.Size(), root, roots[n])
		}
	}
}

// A tree that was cloned, or is resumed, does not reach into the other one.
func TestTreesGrowApart(t *testing.T) {
	hasher := new(seal.Hasher)
	tree := grown(5)
	edge := tree.Edge()
	root := tree.Root()
	for _, again := range []func() (*seal.Tree, error){
		func() (*seal.Tree, error) { return tree.Clone(), nil },
		func() (*seal.Tree, error) { return seal.ResumeTree(5, edge) },
	} {
		for range 2 {
			other, err := again()
			if err != nil {
				t.Fatal(err)
			}
			for n := 5; n < 12; n++ {
				other.Append(hasher.Hash(leafOf(n)))
			}
			if other.Root() != grown(12).Root() {
				t.Error("a tree that went on from five leaves has another root than one of twelve")
			}
			if tree.Root() != root {
				t.Error("the tree of five leaves changed when another one grew")
			}
		}
	}
}

func TestResumeRefusesWhatIsNoRange(t *testing.T) {
	edge := grown(5).Edge() // two hashes
	for name, try := range map[string]struct {
		size uint64
		edge [][]byte
	}{
		"too few":   {7, edge},
		"too many":  {4, edge},
		"short":     {5, [][]byte{edge[0], edge[1][:31]}},
		"negative":  {1 << 63, edge[:1]},
		"no hashes": {5, nil},
	} {
		if _, err := seal.ResumeTree(try.size, try.edge); err == nil {
			t.Errorf("%s: it was taken for the compact range of %d leaves", name, try.size)
		}
	}
}

const golden = `openai-audit-kafka/acme
3
idL7HjIGMaMHtir0ca1YRZFFrFUxc4tuIA5ZvSBrgB4=
time 2026-11-27T10:00:00Z
began 2026-11-20T08:00:00Z events=120,7 dlq=0
floor 2026-11-26T10:00:00Z
scope organization on 1970-01-01T00:00:00Z/2026-11-27T09:59:58Z without 2026-01-01T00:00:00Z/2026-02-01T00:00:00Z
scope tenant refused
range IepjmCAOjARnd/KFIQrc1JlpMVQGnnTF+K/XDVBkyJ8= WSAuNAaw6Hhn84Q/Pu1L5pBBGHaax1elVQmMGzrH+HA=
`

func TestCheckpointText(t *testing.T) {
	at := func(text string) time.Time { return must(time.Parse(time.RFC3339, text)) }
	tree := seal.NewTree()
	for _, leaf := range []seal.Leaf{first, second, third} {
		tree.Append(new(seal.Hasher).Hash(leaf))
	}
	c := seal.NewCheckpoint(seal.Origin("acme"), tree, at("2026-11-27T11:00:00.7+01:00"), seal.Began{
		Time: at("2026-11-20T08:00:00Z"), Offsets: map[string][]int64{"events": {120, 7}, "dlq": {0}},
	})
	c.Floor = at("2026-11-26T10:00:00Z")
	c.Scopes = []seal.Coverage{
		{Scope: "organization", State: "on", From: time.Unix(0, 0), To: at("2026-11-27T09:59:58Z"),
			Without: []seal.Span{{From: at("2026-01-01T00:00:00Z"), To: at("2026-02-01T00:00:00Z")}}},
		{Scope: "tenant", State: "refused"},
	}
	if diff := cmp.Diff(golden, c.Text()); diff != "" {
		t.Errorf("the text of the checkpoint (-want +got):\n%s", diff)
	}
	read, err := seal.ParseCheckpoint(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read.Tree(); err != nil || got.Root() != tree.Root() || got.Size() != 3 {
		t.Errorf("the checkpoint's tree: %v, size %d", err, got.Size())
	}
	for partition, want := range []int64{120, 7, 0} { // the third was added later
		if got := read.Began.Offset("events", int32(partition)); got != want {
			t.Errorf("partition %d is sealed from %d, want %d", partition, got, want)
		}
	}
}

func TestCheckpointOfALaterRelease(t *testing.T) {
	c, err := seal.ParseCheckpoint(golden + "not a signature\n")
	if err != nil || c.Size != 3 {
		t.Errorf("a checkpoint with a line that is not known: %v", err)
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"another origin":      {"openai-audit-kafka/", "example.com/"},
		"a size with a zero":  {"\n3\n", "\n03\n"},
		"a size below zero":   {"\n3\n", "\n-3\n"},
		"a root too short":    {"idL7", ""},
		"two times":           {"floor ", "time "},
		"an empty line":       {"began ", "\nbegan "},
		"lines out of order":  {"scope tenant refused\n", "scope tenant refused\nfloor 2026-11-26T10:00:00Z\n"},
		"a time elsewhere":    {"2026-11-27T10:00:00Z", "2026-11-27T11:00:00+01:00"},
		"an offset in words":  {"120,7", "120,seven"},
		"a scope alone":       {"scope tenant refused", "scope tenant"},
		"a range of no hash":  {"range Iepj", "range "},
		"without its newline": {"+HA=\n", "+HA="},
	} {
		text := strings.Replace(golden, change[0], change[1], 1)
		if text == golden {
			t.Fatalf("%s: the test changes nothing", name)
		}
		if _, err := seal.ParseCheckpoint(text); !errors.Is(err, seal.ErrNoCheckpoint) {
			t.Errorf("%s: it was taken for a checkpoint: %v", name, err)
		}
	}
	forged, err := seal.ParseCheckpoint(strings.Replace(golden, "idL7", "idL8", 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forged.Tree(); err == nil {
		t.Error("a checkpoint with a forged root has a tree")
	}
}

func TestSignatures(t *testing.T) {
	private, public := keygen(t, "acme")
	newPrivate, newPublic := keygen(t, "acme-2027")
	both := must(seal.ParseSigner(private + "\n" + newPrivate + "\n")) // while keys change
	old := must(seal.ParseSigner(private))
	knowsNew := must(seal.ParseVerifier(newPublic + "\n"))
	knowsOld := must(seal.ParseVerifier(public))
	changed := func(note []byte) []byte { return []byte(strings.Replace(string(note), "floor 2026", "floor 2025", 1)) }
	for name, test := range map[string]struct {
		note []byte
		by   seal.Verifier
		want seal.Signature
	}{
		"unsigned":                       {must(seal.Signer{}.Sign(golden)), knowsOld, seal.Unsigned},
		"unsigned, and no key":           {must(seal.Signer{}.Sign(golden)), seal.Verifier{}, seal.Unsigned},
		"signed, and no key":             {must(old.Sign(golden)), seal.Verifier{}, seal.Unchecked},
		"signed":                         {must(old.Sign(golden)), knowsOld, seal.WellSigned},
		"signed by both, the old known":  {must(both.Sign(golden)), knowsOld, seal.WellSigned},
		"signed by both, the new known":  {must(both.Sign(golden)), knowsNew, seal.WellSigned},
		"signed by another":              {must(old.Sign(golden)), knowsNew, seal.BadlySigned},
		"signed, and then changed":       {changed(must(old.Sign(golden))), knowsOld, seal.BadlySigned},
		"signed by both, one is invalid": {changed(must(both.Sign(golden))), knowsNew, seal.BadlySigned},
	} {
		c, got, err := test.by.OpenCheckpoint(test.note)
		if err != nil || got != test.want || c.Size != 3 {
			t.Errorf("%s: signature %v, %v, size %d; want %v", name, got, err, c.Size, test.want)
		}
	}
	if _, _, err := knowsOld.OpenCheckpoint([]byte(golden)); !errors.Is(err, seal.ErrNoCheckpoint) {
		t.Errorf("a text without the end of a note: %v", err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	private, public := keygen(t, "acme")
	if _, err := seal.ParseSigner(public); err == nil || strings.Contains(err.Error(), public) {
		t.Errorf("a public key as the private one: %v", err)
	}
	_, err := seal.ParseVerifier(private)
	if err == nil || strings.Contains(err.Error(), private[len("PRIVATE+KEY+"):]) {
		t.Errorf("a private key as the public one: %v", err)
	}
	if s, err := seal.ParseSigner(" \n"); err != nil || s.Signs() {
		t.Errorf("no key: %v", err)
	}
	if _, _, err := seal.Keygen("two words"); err == nil {
		t.Error("a name with a space was taken")
	}
}

// A proof stands alone: its text is all that is needed, and any change to it shows.
func TestProof(t *testing.T) {
	private, public := keygen(t, "acme")
	knows := must(seal.ParseVerifier(public))
	text := proofOf(t, 5, 11, 4, must(seal.ParseSigner(private)))
	p, err := seal.ParseProof(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(p.Text())); diff != "" {
		t.Errorf("the proof came back as another (-want +got):\n%s", diff)
	}
	c, signature, err := p.Check(knows)
	if err != nil || signature != seal.WellSigned || c.Size != 11 || string(p.Leaf.Key) != "key 5" || p.Index != 5 {
		t.Errorf("a proof of leaf 5 of 11: %v, signature %v, leaf %q", err, signature, p.Leaf)
	}
	p.Leaf.Value = []byte("another value")
	if _, _, err := p.Check(knows); err == nil {
		t.Error("a proof of another value is right")
	}
	lines := strings.SplitAfter(string(text), "\n")
	for n := range lines[:len(lines)-1] {
		without := strings.Join(lines[:n], "") + strings.Join(lines[n+1:], "")
		p, err := seal.ParseProof([]byte(without))
		if err != nil {
			continue
		}
		if _, signature, err := p.Check(knows); err == nil && signature == seal.WellSigned {
			t.Errorf("a proof without its line %d is right:\n%s", n+1, without)
		}
	}
}

func keygen(t *testing.T, name string) (private, public string) {
	t.Helper()
	private, public, err := seal.Keygen(name)
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func leafOf(n int) seal.Leaf {
	return seal.Leaf{Role: seal.RoleEvents, Key: fmt.Appendf(nil, "key %d", n), Value: fmt.Appendf(nil, "value %d", n)}
}

// grown returns the tree of the first n leaves.
func grown(n int) *seal.Tree {
	tree, hasher := seal.NewTree(), new(seal.Hasher)
	for i := range n {
		tree.Append(hasher.Hash(leafOf(i)))
	}
	return tree
}

// proofOf proves a leaf in a tree of size leaves, from what a reader has who begins at
// a checkpoint of begin leaves.
func proofOf(t interface{ Fatal(...any) }, index, size, begin int, signer seal.Signer) []byte {
	tree := grown(begin)
	prover, err := seal.NewProver(uint64(index), uint64(size), tree)
	if err != nil {
		t.Fatal(err)
	}
	hasher := new(seal.Hasher)
	for n := begin; n < size; n++ {
		prover.Append(hasher.Hash(leafOf(n)))
	}
	hashes, err := prover.Hashes()
	if err != nil {
		t.Fatal(err)
	}
	c := seal.NewCheckpoint(seal.Origin("acme"), grown(size), time.Unix(1_700_000_000, 0), seal.Began{})
	return seal.Proof{Index: uint64(index), Leaf: leafOf(index), Hashes: hashes, Checkpoint: must(signer.Sign(c.Text()))}.Text()
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
