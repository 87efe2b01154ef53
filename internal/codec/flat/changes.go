package flat

import (
	"slices"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/rawjson"
)

// maxPathDepth is how deep changed_fields looks; what lies deeper is named by the
// path to it. OpenAI's own objects are two deep.
const maxPathDepth = 8

// maxPathBytes bounds the paths of one event.
const maxPathBytes = 64 << 10

// changedFields returns the sorted paths of all that is in changes, without
// repeats, the names joined by dots: {"title": 1, "metadata": {"a": 2}} has
// metadata.a and title. A list and an empty object are one path.
//
// Paths repeat the names that lead to them, so a hostile event could make them
// very much longer than itself. One whose paths would need more than maxPathBytes
// gets the outermost names alone.
func changedFields(changes rawjson.Value) []string {
	if !changes.Is(rawjson.Object) {
		return nil
	}
	w := pathWalk{budget: maxPathBytes}
	if !w.add(changes, "", maxPathDepth) {
		w = pathWalk{budget: len(changes.Raw())}
		w.add(changes, "", 1)
	}
	slices.Sort(w.paths)
	return slices.Compact(w.paths)
}

type pathWalk struct {
	paths  []string
	budget int // bytes that the paths may still have
}

// add adds the paths of the object, which is itself at prefix, and reports
// whether they fit.
func (w *pathWalk) add(object rawjson.Value, prefix string, depth int) bool {
	last := make(map[string]rawjson.Value) // of a repeated name only the last counts
	for name, member := range object.Members {
		last[name] = member
	}
	for name, member := range last {
		path := prefix + name
		if w.budget -= len(path); w.budget < 0 {
			return false
		}
		if depth > 1 && !isLeaf(member) {
			if !w.add(member, path+".", depth-1) {
				return false
			}
			continue
		}
		w.paths = append(w.paths, path)
	}
	return true
}

// isLeaf reports whether v is anything but an object with members.
func isLeaf(v rawjson.Value) bool {
	for range v.Members {
		return false
	}
	return true
}
