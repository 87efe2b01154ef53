package docs_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// privateWords are words and turns that this project once used in a sense of its own,
// and what everybody says. They were taken out of comments, messages and pages, and must
// not come back.
var privateWords = []struct {
	pattern *regexp.Regexp
	say     string
}{
	{regexp.MustCompile(`(?i)\b(whoever)\b`), "name who is meant: the instance, the user, the caller"},
	{regexp.MustCompile(`(?i)\b(mend(s|ed|ing)?)\b`), "fix, recover, pass"},
	{regexp.MustCompile(`(?i)\b(vouch(es|ed)?)\b`), "prove"},
	{regexp.MustCompile(`(?i)\b((takes?|took) down)\b`), "note, record"},
	{regexp.MustCompile(`(?i)\b(told (from|apart))\b`), "differ, separate"},
	{regexp.MustCompile(`(?i)\b(makes? of)\b`), "turn into, do with"},
	{regexp.MustCompile(`(?i)\b((fences|disturbs|by) nobody)\b`), "no instance"},
	{regexp.MustCompile(`(?i)\b(anew)\b`), "again, over"},
	{regexp.MustCompile(`(?i)\b(held against)\b`), "compared with"},
	{regexp.MustCompile(`(?i)\b((is|are|was|were) told (as|by))\b`), "reported as, shown by"},
	{regexp.MustCompile(`(?i)\b(in silence)\b`), "silently, without a word"},
	{regexp.MustCompile(`(?i)\b((from where on|up to where))\b`), "the time from which, the offset up to which"},
	{regexp.MustCompile(`(?i)\b(lets? go of)\b`), "drop, free"},
	{regexp.MustCompile(`(?i)\b((would|could|might|must|may|can) else)\b`), "otherwise"},
	{regexp.MustCompile(`(?i)\b(belongs? into)\b`), "belongs in"},
	{regexp.MustCompile(`(?i)\b(seldomer)\b`), "less often"},
	{regexp.MustCompile(`(?i)\b((the matter is|is the matter))\b`), "what is wrong, the cause"},
	{regexp.MustCompile(`(?i)\b(what lies (before|after|behind|below|beyond|above))\b`), "what is before"},
	{regexp.MustCompile(`(?i)\b((say|says) nothing of)\b`), "says nothing about"},
	{regexp.MustCompile(`(?i)\b(fenc(e|es|ing) anybody)\b`), "any instance"},
	{regexp.MustCompile(`\b(window\.Memory|NewMemory|target\.Values|readGone|goneFrom|late := time\.AfterFunc)\b`), "SeenIDs, Format, deleted, watchdog: see the glossary in docs/design.md"},
}

// read by people: code with its comments and messages, pages, settings of the stack.
var readByPeople = []string{".go", ".md", ".yaml", ".yml", ".sql", ".py", ".java", ".mjs"}

func TestPlainWords(t *testing.T) {
	// Lines of a comment are joined, since a turn may be broken between two.
	margin := regexp.MustCompile(`\n\s*(//|#|\*|--)?\s*`)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := filepath.ToSlash(path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "node_modules", "testdata"}, entry.Name()):
			return fs.SkipDir
		case entry.IsDir(), !slices.Contains(readByPeople, filepath.Ext(path)), strings.HasSuffix(name, "docs/words_test.go"):
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text := margin.ReplaceAllString(read(t, filepath.ToSlash(relative)), " ")
		for _, word := range privateWords {
			for _, at := range word.pattern.FindAllStringIndex(text, -1) {
				t.Errorf("%s: %q: say it in everybody's words: %s", relative, text[max(0, at[0]-30):min(len(text), at[1]+30)], word.say)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
