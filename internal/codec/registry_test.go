package codec_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

const subject = "openai.audit.events-value"

var latest = sr.Schema{Schema: schemas.Latest().Text, Type: sr.TypeAvro}

// fakeRegistry is a registry that notes what was asked of it, for the order of
// the requests is part of the promise.
type fakeRegistry struct {
	*srfake.Registry
	requests []string
}

func newRegistry(t *testing.T, opts ...srfake.Option) *fakeRegistry {
	t.Helper()
	r := &fakeRegistry{Registry: srfake.New(opts...)}
	t.Cleanup(r.Close)
	r.Intercept(func(_ http.ResponseWriter, req *http.Request) bool {
		r.requests = append(r.requests, req.Method+" "+req.URL.Path)
		return false
	})
	return r
}

// answer makes the registry answer requests of the method to the path so.
func (r *fakeRegistry) answer(method, path string, status int, body string) {
	r.Intercept(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != method || req.URL.Path != path {
			return false
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	})
}

func (r *fakeRegistry) config() codec.RegistryConfig {
	return codec.RegistryConfig{URL: r.URL(), AutoRegister: true, Subject: subject}
}

func register(t *testing.T, c codec.RegistryConfig) (codec.Framing, schemas.Version, error) {
	t.Helper()
	return codec.Register(t.Context(), c, slog.New(slog.DiscardHandler))
}

// TestRegisterFirst: the compatibility is there before the first version is, and
// a second start only looks.
func TestRegisterFirst(t *testing.T) {
	r := newRegistry(t)
	framing, version, err := register(t, r.config())
	if err != nil {
		t.Fatal(err)
	}
	if framing.Name() != "confluent" || version != schemas.Latest() {
		t.Errorf("%v, version %d", framing, version.Number)
	}
	want := []string{
		"POST /subjects/" + subject, "GET /subjects/" + subject + "/versions",
		"PUT /config/" + subject, "POST /subjects/" + subject + "/versions",
	}
	if !slices.Equal(r.requests, want) {
		t.Errorf("requests\n got %v\nwant %v", r.requests, want)
	}
	check, err := codec.Check(t.Context(), r.config())
	if err != nil || check.Level != "FULL_TRANSITIVE" || !check.Found || codec.Confluent(check.ID) != framing {
		t.Errorf("%+v, %v", check, err)
	}

	r.requests = nil
	again, _, err := register(t, r.config())
	if err != nil || again != framing {
		t.Errorf("again: %v, %v", again, err)
	}
	if want := want[:1]; !slices.Equal(r.requests, want) {
		t.Errorf("again: requests %v, want %v", r.requests, want)
	}
}

// TestRegisterBesideOthers: who made the subject has decided on its level.
func TestRegisterBesideOthers(t *testing.T) {
	r := newRegistry(t)
	r.SeedSchema(subject, 1, 5, sr.Schema{Schema: olderSchema(), Type: sr.TypeAvro})
	if err := r.SetCompat(subject, sr.CompatBackward); err != nil {
		t.Fatal(err)
	}
	if _, _, err := register(t, r.config()); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(r.requests, "PUT /config/"+subject) {
		t.Errorf("requests %v", r.requests)
	}
}

// olderSchema is ours without its last nullable column.
func olderSchema() string {
	text := schemas.Latest().Text
	start, end := strings.Index(text, `{"name": "details"`), strings.Index(text, `{"name": "raw_event"`)
	return text[:start] + text[end:]
}

// foreignSchema cannot be read with ours, nor ours with it.
const foreignSchema = `{"type":"record","name":"AuditEvent","namespace":"openai.audit","fields":[{"name":"id","type":"long"}]}`

// TestRegisterErrors: the status alone decides what an error is.
func TestRegisterErrors(t *testing.T) {
	const lookup, versions, config = "/subjects/" + subject, "/subjects/" + subject + "/versions", "/config/" + subject
	for name, test := range map[string]struct {
		method, path string
		status       int
		body         string
		want         error
		wantText     string
	}{
		"conflict":          {"POST", versions, 409, `{"error_code":40901,"message":"READER_FIELD_MISSING"}`, codec.ErrSchemaIncompatible, "READER_FIELD_MISSING"},
		"unprocessable":     {"POST", versions, 422, `{"error_code":42201,"message":"bad default"}`, codec.ErrSchemaIncompatible, "bad default"},
		"wrong password":    {"POST", lookup, 401, ``, codec.ErrRegistryUnauthorized, "401"},
		"may not look":      {"POST", lookup, 403, `{"error_code":0,"message":"no"}`, codec.ErrRegistryUnauthorized, "no"},
		"may not list":      {"GET", versions, 403, ``, codec.ErrRegistryUnauthorized, "listing"},
		"may not register":  {"POST", versions, 403, ``, codec.ErrRegistryUnauthorized, "registering"},
		"no leader yet":     {"POST", versions, 500, `{"error_code":50003,"message":"forwarding"}`, codec.ErrRegistryUnavailable, "forwarding"},
		"starting":          {"POST", lookup, 503, `<html>` + strings.Repeat("x", 10_000), codec.ErrRegistryUnavailable, "503"},
		"busy":              {"POST", lookup, 429, ``, codec.ErrRegistryUnavailable, "429"},
		"code says 409":     {"POST", versions, 503, `{"error_code":409}`, codec.ErrRegistryUnavailable, "503"},
		"not a registry":    {"POST", lookup, 200, `<html>`, codec.ErrRegistryUnavailable, ""},
		"no id":             {"POST", lookup, 200, `{}`, codec.ErrRegistryUnavailable, "schema id"},
		"registered, no id": {"POST", versions, 200, `{}`, codec.ErrRegistryUnavailable, "schema id"},
		"read-only":         {"POST", versions, 422, `{"error_code":42205,"message":"Subject x is in read-only mode"}`, codec.ErrRegistryReadOnly, "READWRITE"},
		"read-only level":   {"PUT", config, 422, `{"error_code":42205,"message":"Subject x is in read-only mode"}`, codec.ErrRegistryReadOnly, "READWRITE"},
		"a proxy's 409":     {"POST", versions, 409, `<html>`, codec.ErrRegistryUnavailable, "in place of the registry"},
		"a proxy's 422":     {"POST", versions, 422, ``, codec.ErrRegistryUnavailable, "in place of the registry"},
		"no such path":      {"POST", lookup, 404, `{"error_code":404,"message":"HTTP 404 Not Found"}`, codec.ErrRegistryUnavailable, "404"},
		"wrong path":        {"PUT", config, 404, `not found`, codec.ErrRegistryUnavailable, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.answer(test.method, test.path, test.status, test.body)
			_, _, err := register(t, r.config())
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if !strings.Contains(err.Error(), test.wantText) || len(err.Error()) > 1000 {
				t.Errorf("error %.2000q, want %q in it", err, test.wantText)
			}
			for _, kind := range []error{codec.ErrRegistryUnavailable, codec.ErrRegistryUnauthorized, codec.ErrRegistryReadOnly, codec.ErrSchemaIncompatible, codec.ErrSchemaMissing} {
				if errors.Is(err, kind) != errors.Is(test.want, kind) {
					t.Errorf("error %v is also %v", err, kind)
				}
			}
		})
	}
}

// An ingress without a backend answers 404 to everything. That is no word of the
// registry's: nothing is taken for missing, and nothing is written.
func TestIngressInPlaceOfTheRegistry(t *testing.T) {
	var writes []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPut || strings.HasSuffix(req.URL.Path, "/versions") && req.Method == http.MethodPost {
			writes = append(writes, req.Method+" "+req.URL.Path)
		}
		http.Error(w, "default backend - 404", http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	for _, auto := range []bool{true, false} {
		c := codec.RegistryConfig{URL: server.URL, Subject: subject, AutoRegister: auto}
		if _, _, err := register(t, c); !errors.Is(err, codec.ErrRegistryUnavailable) || len(writes) > 0 {
			t.Errorf("auto register %v: %v, wrote %v", auto, err, writes)
		}
		if found, err := codec.Check(t.Context(), c); !errors.Is(err, codec.ErrRegistryUnavailable) {
			t.Errorf("check: %+v, %v", found, err)
		}
		if _, err := codec.LookupSchemas(c)(t.Context(), 5); !errors.Is(err, codec.ErrRegistryUnavailable) || errors.Is(err, codec.ErrUnknownSchema) {
			t.Errorf("lookup: %v", err)
		}
	}
}

// A user that may register and not set the level registers, and is warned.
func TestLevelThatMayNotBeSet(t *testing.T) {
	r := newRegistry(t)
	r.answer("PUT", "/config/"+subject, 403, `{"error_code":40301,"message":"no"}`)
	var log strings.Builder
	framing, _, err := codec.Register(t.Context(), r.config(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || framing.Name() != codec.FramingConfluent {
		t.Errorf("%v, %v", framing, err)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "FULL_TRANSITIVE") {
		t.Errorf("log %s", log.String())
	}
}

// Several addresses of one registry: whichever answers as a registry does is taken.
func TestSeveralAddresses(t *testing.T) {
	r := newRegistry(t)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	ingress := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no backend", http.StatusNotFound) }))
	t.Cleanup(ingress.Close)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"status":404,"title":"Could not find resource"}`) // of Apicurio, one path too high
	}))
	t.Cleanup(elsewhere.Close)
	starting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(starting.Close)
	c := r.config()
	c.URL = strings.Join([]string{down.URL + "/path", ingress.URL, elsewhere.URL, starting.URL, r.URL()}, ",")
	framing, _, err := register(t, c)
	if err != nil || framing.Name() != codec.FramingConfluent {
		t.Fatalf("%v, %v", framing, err)
	}
	want := []string{
		"POST /subjects/" + subject, "GET /subjects/" + subject + "/versions",
		"PUT /config/" + subject, "POST /subjects/" + subject + "/versions",
	}
	if !slices.Equal(r.requests, want) {
		t.Errorf("requests\n got %v\nwant %v", r.requests, want)
	}
	c.URL = strings.Join([]string{down.URL, ingress.URL}, ",")
	if _, _, err := register(t, c); !errors.Is(err, codec.ErrRegistryUnavailable) || !strings.Contains(err.Error(), "404") {
		t.Errorf("none is a registry: %v", err)
	}
}

// A context of the registry is a path of its URL.
func TestContextIsAPath(t *testing.T) {
	r := srfake.NewRegistry()
	server := httptest.NewServer(http.StripPrefix("/contexts/.prod", r.Handler()))
	t.Cleanup(server.Close)
	c := codec.RegistryConfig{URL: server.URL + "/contexts/.prod", AutoRegister: true, Subject: subject}
	if framing, _, err := register(t, c); err != nil || framing.Name() != codec.FramingConfluent {
		t.Errorf("%v, %v", framing, err)
	}
}

// An id is good while the registry has our schema under it, wherever the subject is.
func TestMovedID(t *testing.T) {
	r := newRegistry(t)
	r.SeedSchema(subject, 1, 5, latest)
	r.SeedSchema("other", 1, 6, sr.Schema{Schema: foreignSchema, Type: sr.TypeAvro})
	v := schemas.Latest()
	for id, want := range map[int]int{5: 0, 6: 6, 7: 7} {
		moved, err := codec.MovedID(t.Context(), r.config(), map[int]int{v.Number: id}, codec.Confluent(9), v)
		if err != nil || moved != want {
			t.Errorf("id %d: moved %d, %v", id, moved, err)
		}
	}
	r.answer("GET", "/schemas/ids/5", 404, "<html>") // an ingress
	if moved, err := codec.MovedID(t.Context(), r.config(), map[int]int{v.Number: 5}, codec.Confluent(9), v); moved != 0 || !errors.Is(err, codec.ErrRegistryUnavailable) {
		t.Errorf("moved %d, %v", moved, err)
	}
	if moved, err := codec.MovedID(t.Context(), r.config(), map[int]int{v.Number: 5}, codec.Confluent(5), v); moved != 0 || err != nil {
		t.Errorf("what was just registered: moved %d, %v", moved, err)
	}
}

func TestRegisterUnreachable(t *testing.T) {
	r := newRegistry(t)
	c := r.config()
	r.Close()
	if _, _, err := register(t, c); !errors.Is(err, codec.ErrRegistryUnavailable) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := codec.Register(ctx, c, slog.New(slog.DiscardHandler)); !errors.Is(err, context.Canceled) || errors.Is(err, codec.ErrRegistryUnavailable) {
		t.Errorf("cancelled: error %v", err)
	}
}

// TestRegisterIncompatible: the difference is in the error, for most registries
// do not tell it.
func TestRegisterIncompatible(t *testing.T) {
	r := newRegistry(t)
	r.SeedSchema(subject, 1, 5, sr.Schema{Schema: foreignSchema, Type: sr.TypeAvro})
	r.answer("POST", "/subjects/"+subject+"/versions", 409, `{"error_code":409,"message":"incompatible"}`)
	_, _, err := register(t, r.config())
	if !errors.Is(err, codec.ErrSchemaIncompatible) || !strings.Contains(err.Error(), "version 1 of subject") || !strings.Contains(err.Error(), "incompatible at id") {
		t.Errorf("error %v", err)
	}
}

// TestRegisterNothing: with AutoRegister off nothing is ever written.
func TestRegisterNothing(t *testing.T) {
	for name, test := range map[string]struct {
		registered string
		want       error
		wantText   string
	}{
		"nothing there":    {"", codec.ErrSchemaMissing, "has no schema"},
		"foreign":          {foreignSchema, codec.ErrSchemaMissing, "incompatible at id"},
		"not ours but fit": {olderSchema(), codec.ErrSchemaMissing, "compatible with"},
		"ours":             {schemas.Latest().Text, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			if test.registered != "" {
				r.SeedSchema(subject, 1, 5, sr.Schema{Schema: test.registered, Type: sr.TypeAvro})
			}
			c := r.config()
			c.AutoRegister = false
			framing, version, err := register(t, c)
			if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.wantText) {
				t.Errorf("error %v, want %v with %q", err, test.want, test.wantText)
			}
			if err == nil && (framing != codec.Confluent(5) || version != schemas.Latest()) {
				t.Errorf("%v, version %d", framing, version.Number)
			}
			for _, request := range r.requests {
				if strings.HasPrefix(request, "PUT") || request == "POST /subjects/"+subject+"/versions" {
					t.Errorf("request %s", request)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	r := newRegistry(t, srfake.WithGlobalCompat(sr.CompatNone))
	check := func() codec.SchemaCheck {
		t.Helper()
		result, err := codec.Check(t.Context(), r.config())
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if got := check(); !got.Compatible() || got.Registered != 0 || got.Found || got.Level != "NONE" {
		t.Errorf("nothing there: %+v", got)
	}
	r.SeedSchema(subject, 1, 5, latest)
	if got := check(); !got.Compatible() || got.Registered != 1 || !got.Found || got.ID != 5 {
		t.Errorf("ours: %+v", got)
	}
	r.SeedSchema(subject, 2, 6, sr.Schema{Schema: foreignSchema, Type: sr.TypeAvro})
	if got := check(); got.Compatible() || !strings.Contains(got.Difference, "version 2") || got.Registered != 2 {
		t.Errorf("foreign: %+v", got)
	}
	if got := check(); got.Refused != "" || got.ReadOnly {
		t.Errorf("where everything is taken: %+v", got)
	}
	if err := errors.Join(r.SetCompat(subject, sr.CompatFullTransitive), r.SetMode(subject, sr.ModeReadOnly)); err != nil {
		t.Fatal(err)
	}
	r.answer("POST", "/compatibility/subjects/"+subject+"/versions", 404, "") // an older registry
	r.answer("POST", "/compatibility/subjects/"+subject+"/versions/latest", 200, `{"is_compatible":false,"messages":["TYPE_MISMATCH"]}`)
	if got := check(); got.Refused != "TYPE_MISMATCH" || !got.ReadOnly {
		t.Errorf("refused: %+v", got)
	}
	r.answer("GET", "/subjects/"+subject+"/versions", 503, "")
	if _, err := codec.Check(t.Context(), r.config()); !errors.Is(err, codec.ErrRegistryUnavailable) {
		t.Errorf("unavailable: %v", err)
	}
	for _, request := range r.requests {
		if strings.HasPrefix(request, "PUT") || request == "POST /subjects/"+subject+"/versions" {
			t.Errorf("request %s: a check writes nothing", request)
		}
	}
}

func TestLookupSchemas(t *testing.T) {
	r := newRegistry(t)
	r.SeedSchema(subject, 1, 5, latest)
	lookup := codec.LookupSchemas(r.config())
	ev := eventOf(t, readTestdata(t, "invite.deleted.json"))
	decoder := newDecoder(t, lookup)
	value := encode(t, newEncoder(t, codec.Config{Framing: codec.Confluent(5)}), ev).Value
	if record, err := decoder.Decode(t.Context(), value); err != nil || record.ID != ev.ID {
		t.Errorf("%v: %q", err, record.ID)
	}
	if _, err := lookup(t.Context(), 6); !errors.Is(err, codec.ErrUnknownSchema) {
		t.Errorf("unknown id: %v", err)
	}
	r.answer("GET", "/schemas/ids/7", 503, "")
	if _, err := lookup(t.Context(), 7); !errors.Is(err, codec.ErrRegistryUnavailable) || errors.Is(err, codec.ErrUnknownSchema) {
		t.Errorf("unavailable: %v", err)
	}
}

// TestCredentials: they are sent, asked for each time, and never shown.
func TestCredentials(t *testing.T) {
	const header = "Basic YW5uYTpoaWRkZW4=" // anna:hidden
	r := newRegistry(t, srfake.WithAuth(header))
	address, err := url.Parse(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	password := "wrong1"
	c := r.config()
	c.Username, c.Password = "anna", func() (string, error) { return password, nil }
	if _, _, err := register(t, c); !errors.Is(err, codec.ErrRegistryUnauthorized) || shows(err) {
		t.Errorf("wrong password: %v", err)
	}
	password = "hidden"
	if _, _, err := register(t, c); err != nil {
		t.Errorf("right password: %v", err)
	}
	c.Password = func() (string, error) { return "", errors.New("no such file") }
	if _, _, err := register(t, c); !errors.Is(err, codec.ErrRegistryUnavailable) {
		t.Errorf("no password: %v", err)
	}

	c = r.config()
	address.User = url.UserPassword("anna", "hidden")
	c.URL = address.String()
	if _, _, err := register(t, c); err != nil {
		t.Errorf("in the URL: %v", err)
	}
	r.answer("POST", "/subjects/"+subject, 503, "")
	if _, _, err := register(t, c); err == nil || shows(err) {
		t.Errorf("in the URL, 503: %v", err)
	}
	r.Close()
	if _, _, err := register(t, c); err == nil || shows(err) {
		t.Errorf("in the URL, closed: %v", err)
	}
	c.URL = "http://anna:hidden@%zz"
	if _, _, err := register(t, c); err == nil || shows(err) {
		t.Errorf("in a URL that cannot be read: %v", err)
	}
}

func shows(err error) bool {
	return strings.Contains(err.Error(), "anna") || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "wrong1")
}

func TestCAFile(t *testing.T) {
	server := httptest.NewTLSServer(srfake.NewRegistry().Handler())
	t.Cleanup(server.Close)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	file := filepath.Join(t.TempDir(), "ca.pem")
	c := codec.RegistryConfig{URL: server.URL, AutoRegister: true, Subject: subject}
	if _, _, err := register(t, c); !errors.Is(err, codec.ErrRegistryUnavailable) {
		t.Errorf("without the CA: %v", err)
	}
	c.CAFile = file
	if _, _, err := register(t, c); !errors.Is(err, codec.ErrRegistryUnavailable) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
	for content, want := range map[string]bool{
		"": false,
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})): true,
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := register(t, c); (err == nil) != want {
			t.Errorf("with %d bytes in the file: %v", len(content), err)
		}
	}
}
