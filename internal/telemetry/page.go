package telemetry

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

//go:embed page
var pageFiles embed.FS

// A tone is one of the few ways the page can look; its icon has the same name.
const (
	toneGood = "good" // whole
	toneWarn = "warn" // whole, and something is to be done
	toneBusy = "busy" // not whole yet, and on its way
	toneIdle = "idle" // another instance works
	toneBad  = "bad"  // somebody has to act
)

// view is what the page shows: all organizations as a table, or one.
type view struct {
	Status
	Root  string // where the page's own files are, seen from the page
	Tone  string
	Title string
	Head  string // over the table
	Rows  []orgView
	One   *orgView // nil: the table
}

// orgView is an organization as the page shows it.
type orgView struct {
	OrganizationStatus
	Tone      string
	Words     words
	Detail    words
	Hour, Day chart
	Commits   []commit // newest first
	Latest    []connector.LatestEvent
	Scopes    []scopeView
}

type scopeView struct {
	Name string
	ScopeStatus
}

// pages adds the page and its files.
func (t *Telemetry) pages(mux *http.ServeMux) {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic("telemetry: " + err.Error()) // the files are ours
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	for _, name := range []string{"page.css", "page.js", "icons/good.svg", "icons/warn.svg", "icons/busy.svg", "icons/idle.svg", "icons/bad.svg", "icons/gone.svg"} {
		body, err := fs.ReadFile(files, name)
		if err != nil {
			panic("telemetry: " + err.Error())
		}
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) {
			write(w, http.StatusOK, kinds[path.Ext(name)], body)
		})
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if len(t.cfg.Organizations) == 1 {
			t.show(w, t.cfg.Organizations[0], "")
			return
		}
		t.show(w, "", "")
	})
	mux.HandleFunc("GET /organizations/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if !slices.Contains(t.cfg.Organizations, name) {
			plain(w, http.StatusNotFound, "There is no organization of this name here. The page at / lists all.\n")
			return
		}
		t.show(w, name, "../")
	})
}

// show writes the page of an organization, or that of all.
func (t *Telemetry) show(w http.ResponseWriter, name, root string) {
	var page bytes.Buffer // so that an error does not leave half a page
	if err := pageTemplate.ExecuteTemplate(&page, "page.html", t.view(name, root)); err != nil {
		panic("telemetry: a status that is no page: " + err.Error())
	}
	write(w, http.StatusOK, "text/html; charset=utf-8", page.Bytes())
}

func (t *Telemetry) view(name, root string) view {
	v := view{Status: t.Status(), Root: root}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range v.Organizations {
		v.Rows = append(v.Rows, t.orgs[o.Name].view(o, v.Now, v.Started, t.staleAfter()))
	}
	if name == "" {
		v.Head, v.Tone = overall(v.Rows)
		v.Title = v.Head
		return v
	}
	v.One = &v.Rows[slices.IndexFunc(v.Rows, func(o orgView) bool { return o.Name == name })]
	v.Tone, v.Title = v.One.Tone, shortStates[v.One.State]
	if len(v.Rows) > 1 {
		v.Title = name + ": " + v.Title
	}
	return v
}

// view adds to a status what only the page shows; t.mu is held.
func (o *orgState) view(s OrganizationStatus, now, started time.Time, limit time.Duration) orgView {
	is := o.summary(now, limit)
	v := orgView{
		OrganizationStatus: s, Tone: tone(s), Words: is.sentence, Detail: is.detail,
		Hour: o.hour(now, started), Day: o.day(now, started), Commits: slices.Clone(o.commits), Latest: slices.Clone(o.latest),
	}
	slices.Reverse(v.Commits)
	for _, scope := range scopes {
		if is, ok := s.Scopes[scope]; ok {
			v.Scopes = append(v.Scopes, scopeView{scope, is})
		}
	}
	return v
}

func tone(s OrganizationStatus) string {
	switch s.State {
	case StateNotReading, StateStandbyUnready:
		return toneBad
	case StateStarting, StateCatchingUp, StateReadingHistory:
		return toneBusy
	case StateStandby:
		return toneIdle
	}
	if len(s.Warnings) > 0 {
		return toneWarn
	}
	return toneGood
}

// overall is one sentence for all organizations: it counts those of the worst state.
func overall(rows []orgView) (head, tone string) {
	tone = toneGood
	for _, state := range statesByHarm {
		n, at := 0, 0
		for i, o := range rows {
			if o.State == state {
				n, at = n+1, i
			}
		}
		switch {
		case n == 0:
			continue
		case n == len(rows) && state == StateWhole:
			head = fmt.Sprintf("All %d organizations are whole", n)
		default:
			head = fmt.Sprintf("%d of %d organizations %s", n, len(rows), verbs[state][min(n, 2)-1])
		}
		tone = rows[at].Tone
		break
	}
	if tone == toneGood && slices.ContainsFunc(rows, func(o orgView) bool { return o.Tone == toneWarn }) {
		tone = toneWarn
	}
	return head, tone
}

// verbs say for one and for several how they are.
var verbs = map[State][2]string{
	StateNotReading:     {"is not read", "are not read"},
	StateStandbyUnready: {"is not ready at the instance that works for it", "are not ready at the instance that works for them"},
	StateStarting:       {"is starting", "are starting"},
	StateCatchingUp:     {"is catching up", "are catching up"},
	StateReadingHistory: {"is reading history", "are reading history"},
	StateStandby:        {"is worked for by another instance", "are worked for by other instances"},
	StateWhole:          {"is whole", "are whole"},
}

// shortStates are for the table of organizations.
var shortStates = map[State]string{
	StateNotReading: "Not reading", StateStandbyUnready: "Standing by, not ready", StateStarting: "Starting", StateCatchingUp: "Catching up",
	StateReadingHistory: "Reading history", StateStandby: "Standing by", StateWhole: "Whole",
}

// moment is a time in the page: its text, and the whole of it on hover and for
// screen readers. With JavaScript its text goes on by itself if it is relative.
func moment(text string, t time.Time, relative bool) template.HTML {
	if t.IsZero() {
		return template.HTML(template.HTMLEscapeString(text))
	}
	mark := ""
	if relative {
		mark = " data-ago"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s"%s>%s</time><span class="unseen"> (%[2]s)</span>`,
		t.UTC().Format(time.RFC3339), absolute(t), mark, template.HTMLEscapeString(text)))
}

var pageTemplate = template.Must(template.New("").Funcs(template.FuncMap{
	"ago":   func(now, t time.Time) template.HTML { return moment(ago(now, t), t, true) },
	"clock": func(now, t time.Time) template.HTML { return moment(clockTime(now, t), t, false) },
	"full":  func(t time.Time) template.HTML { return moment(absolute(t), t, false) },
	"word":  func(w word) template.HTML { return moment(w.Text, w.At, w.Ago) },
	"count": thousands,
	"many":  many,
	"short": func(s State) string { return shortStates[s] },
	"seconds": func(s float64) string {
		if s < 60 {
			return fmt.Sprintf("%.3g s", s)
		}
		return span(time.Duration(s * float64(time.Second)))
	},
	"took":      func(d time.Duration) string { return d.Round(time.Millisecond).String() },
	"in":        func(now time.Time, s *int64) time.Time { return now.Add(time.Duration(*s) * time.Second) },
	"span":      func(s *int64) string { return span(time.Duration(*s) * time.Second) },
	"sentences": func(s string) string { return strings.ToUpper(s[:1]) + s[1:] },
}).ParseFS(pageFiles, "page/*.html"))
