package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Origin begins the origins of our checkpoints.
const originPrefix = "openai-audit-kafka/"

// Origin returns the origin of the checkpoints of an organization.
func Origin(organization string) string { return originPrefix + organization }

// RepairOrigin returns the origin of those of its repairs.
func RepairOrigin(organization string) string { return Origin(organization) + "/repair" }

// Checkpoint says what a tree was at a time, and what of the log was covered then.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
	// Time is when it was written, by the writer's clock.
	Time time.Time
	// Began is where the seal began.
	Began Began
	// Floor and Scopes say what was covered, as the cursor of the same transaction
	// does. A repair has neither.
	Floor  time.Time
	Scopes []Coverage
	// Edge is the compact range of the tree: with it, one can go on from here
	// without what was before.
	Edge [][]byte
	// Other are lines that this release does not know.
	Other []string
}

// Began is where a tree began: at a time, and in the partitions of each topic, by role,
// at these offsets. What is before is not sealed. A partition that is not listed
// was added later, and is sealed from its first record on.
type Began struct {
	Time    time.Time
	Offsets map[string][]int64
}

// Offset returns from which offset on the partition is sealed.
func (b Began) Offset(role string, partition int32) int64 {
	if offsets := b.Offsets[role]; int(partition) < len(offsets) {
		return offsets[partition]
	}
	return 0
}

// Coverage says what of one scope is in the topic: all from From to To, but for what
// is still to be read. A scope that was never read has neither.
type Coverage struct {
	Scope, State string
	From, To     time.Time
	Without      []Span
}

// Span is a time from From to before To.
type Span struct{ From, To time.Time }

// NewCheckpoint returns the checkpoint of the tree as it is.
func NewCheckpoint(origin string, t *Tree, at time.Time, began Began) Checkpoint {
	return Checkpoint{Origin: origin, Size: t.Size(), Root: t.Root(), Time: at.UTC().Truncate(time.Second), Began: began, Edge: t.Edge()}
}

// Tree returns the tree of the checkpoint. It fails where the compact range is not
// that of the root.
func (c Checkpoint) Tree() (*Tree, error) {
	t, err := ResumeTree(c.Size, c.Edge)
	if err != nil {
		return nil, err
	}
	if t.Root() != c.Root {
		return nil, errors.New("its compact range is not that of its root")
	}
	return t, nil
}

// Text returns the checkpoint as it is signed: origin, size and root as
// c2sp.org/tlog-checkpoint has them, then the lines of ours.
func (c Checkpoint) Text() string {
	lines := []string{c.Origin, strconv.FormatUint(c.Size, 10), encode(c.Root[:]), "time " + stamp(c.Time), c.Began.line()}
	if !c.Floor.IsZero() {
		lines = append(lines, "floor "+stamp(c.Floor))
	}
	for _, s := range c.Scopes {
		lines = append(lines, s.line())
	}
	edge := []string{"range"}
	for _, hash := range c.Edge {
		edge = append(edge, encode(hash))
	}
	lines = append(append(lines, strings.Join(edge, " ")), c.Other...)
	return strings.Join(lines, "\n") + "\n"
}

func (b Began) line() string {
	words := []string{"began", stamp(b.Time)}
	for _, role := range []string{RoleEvents, RoleDLQ} {
		var offsets []string
		for _, o := range b.Offsets[role] {
			offsets = append(offsets, strconv.FormatInt(o, 10))
		}
		if len(offsets) > 0 {
			words = append(words, role+"="+strings.Join(offsets, ","))
		}
	}
	return strings.Join(words, " ")
}

func (c Coverage) line() string {
	words := []string{"scope", c.Scope, c.State}
	if !c.To.IsZero() {
		words = append(words, Span{c.From, c.To}.String())
	}
	if len(c.Without) > 0 {
		words = append(words, "without")
	}
	for _, s := range c.Without {
		words = append(words, s.String())
	}
	return strings.Join(words, " ")
}

func (s Span) String() string { return stamp(s.From) + "/" + stamp(s.To) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// ErrNoCheckpoint is the error of a text that is no checkpoint of ours.
var ErrNoCheckpoint = errors.New("this is no checkpoint of a sealed topic")

// ParseCheckpoint reads the text of a checkpoint. One has one form: what Text would
// not write the same is refused, since it would not be clear what was signed.
func ParseCheckpoint(text string) (Checkpoint, error) {
	c, err := parseCheckpoint(text)
	if err == nil && c.Text() != text {
		err = errors.New("a line has another form, or stands in another place, than it is written")
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrNoCheckpoint, err)
	}
	return c, nil
}

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 || slices.Contains(lines, "") {
		return c, errors.New("it needs origin, size and root, and no empty line")
	}
	if c.Origin = lines[0]; !strings.HasPrefix(c.Origin, originPrefix) {
		return c, fmt.Errorf("origin %.80q", c.Origin)
	}
	if c.Size, err = strconv.ParseUint(lines[1], 10, 63); err != nil {
		return c, fmt.Errorf("size %.80q", lines[1])
	}
	root, err := decode(lines[2])
	if err != nil {
		return c, err
	}
	c.Root = Hash(root)
	for _, line := range lines[3:] {
		if err := c.parseLine(line); err != nil {
			return c, fmt.Errorf("line %.80q: %w", line, err)
		}
	}
	return c, nil
}

func (c *Checkpoint) parseLine(line string) (err error) {
	words := strings.Split(line, " ")
	switch rest := words[1:]; words[0] {
	case "time":
		c.Time, err = parseStamp(rest)
	case "floor":
		c.Floor, err = parseStamp(rest)
	case "began":
		c.Began, err = parseBegan(rest)
	case "scope":
		var s Coverage
		s, err = parseCoverage(rest)
		c.Scopes = append(c.Scopes, s)
	case "range":
		for _, word := range rest {
			hash, err := decode(word)
			if err != nil {
				return err
			}
			c.Edge = append(c.Edge, hash)
		}
	default:
		c.Other = append(c.Other, line)
	}
	return err
}

func parseBegan(words []string) (b Began, err error) {
	if len(words) == 0 {
		return b, errors.New("no time")
	}
	if b.Time, err = parseStamp(words[:1]); err != nil {
		return b, err
	}
	b.Offsets = map[string][]int64{}
	for _, word := range words[1:] {
		role, list, _ := strings.Cut(word, "=")
		for text := range strings.SplitSeq(list, ",") {
			offset, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return b, errors.New("offsets are numbers with commas between them")
			}
			b.Offsets[role] = append(b.Offsets[role], offset)
		}
	}
	return b, nil
}

func parseCoverage(words []string) (c Coverage, err error) {
	if len(words) < 2 {
		return c, errors.New("a scope has a name and a state")
	}
	c.Scope, c.State = words[0], words[1]
	for i, word := range words[2:] {
		if word == "without" {
			continue
		}
		from, to, _ := strings.Cut(word, "/")
		var s Span
		if s.From, err = parseStamp([]string{from}); err == nil {
			s.To, err = parseStamp([]string{to})
		}
		switch {
		case err != nil:
			return c, err
		case i == 0:
			c.From, c.To = s.From, s.To
		default:
			c.Without = append(c.Without, s)
		}
	}
	return c, nil
}

func parseStamp(words []string) (time.Time, error) {
	if len(words) != 1 {
		return time.Time{}, errors.New("one time")
	}
	at, err := time.Parse(time.RFC3339, words[0])
	if err != nil {
		return at, errors.New("a time as 2006-01-02T15:04:05Z")
	}
	return at.UTC(), nil
}

func decode(text string) ([]byte, error) {
	hash, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(hash) != Size {
		return nil, fmt.Errorf("%.80q is no hash in base64", text)
	}
	return hash, nil
}
