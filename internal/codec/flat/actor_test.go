package flat_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
)

// TestActors holds the columns of every shape of actor to what was written here
// by hand.
func TestActors(t *testing.T) {
	const place = `"ip_address":"203.0.113.10","user_agent":"UA","ja3":"j3","ja4":"j4","ip_address_details":{"country":"DE","city":"Berlin","region":"Land Berlin","region_code":"BE","asn":"64500","latitude":"52.52000","longitude":"13.40500"}`
	const placeColumns = `"source_ip":"203.0.113.10","user_agent":"UA","ja3":"j3","ja4":"j4","source_country":"DE","source_city":"Berlin","source_region":"Land Berlin","source_region_code":"BE","source_asn":64500,"source_latitude":52.52,"source_longitude":13.405`
	for name, test := range map[string]struct{ members, want string }{
		"session": {
			`"actor":{"type":"session","session":{"user":{"id":"user-1","email":"alice@example.com"},` + place + `}}`,
			`{"actor_type":"session","actor_id":"user-1","actor_user_id":"user-1","actor_email":"alice@example.com",` + placeColumns + `}`,
		},
		"key of a user": {
			`"actor":{"type":"api_key","api_key":{"id":"key_1","type":"user","user":{"id":"user-1","email":"alice@example.com"}}}`,
			`{"actor_type":"api_key","actor_id":"user-1","actor_user_id":"user-1","actor_email":"alice@example.com","actor_api_key_id":"key_1","actor_api_key_type":"user"}`,
		},
		"key of a service account": {
			`"actor":{"type":"api_key","api_key":{"id":"key_1","type":"service_account","service_account":{"id":"sa-1"}}}`,
			`{"actor_type":"api_key","actor_id":"sa-1","actor_service_account_id":"sa-1","actor_api_key_id":"key_1","actor_api_key_type":"service_account"}`,
		},
		"key alone":       {`"actor":{"type":"api_key","api_key":{"id":"key_1"}}`, `{"actor_type":"api_key","actor_id":"key_1","actor_api_key_id":"key_1"}`},
		"e-mail alone":    {`"actor":{"session":{"user":{"email":"alice@example.com"}}}`, `{"actor_email":"alice@example.com"}`},
		"null":            {`"actor":null`, `{}`},
		"absent":          {`"x":1`, `{}`},
		"new kind":        {`"actor":{"type":"workload","workload":{"id":"w-1"}}`, `{"actor_type":"workload"}`},
		"text":            {`"actor":"alice"`, `{}`},
		"list":            {`"actor":[{"type":"session"}]`, `{}`},
		"wrong kinds":     {`"actor":{"type":1,"session":[],"api_key":{"id":{},"type":null,"user":"u","service_account":true}}`, `{}`},
		"session is null": {`"actor":{"type":"session","session":null}`, `{"actor_type":"session"}`},
		"session first": {
			`"actor":{"session":{"user":{"id":"u1"}},"api_key":{"id":"k","user":{"id":"u2","email":"e2@example.com"}}}`,
			`{"actor_id":"u1","actor_user_id":"u1","actor_email":"e2@example.com","actor_api_key_id":"k"}`,
		},
		"empty strings": {
			`"actor":{"type":"","session":{"user":{"id":"","email":""},"ip_address":"","user_agent":"","ja3":"","ja4":"","ip_address_details":{"country":"","city":"","region":"","region_code":"","asn":"","latitude":"","longitude":""}}},"project":{"id":"","name":""}`,
			`{}`,
		},
		"exact case":      {`"Actor":{"type":"session"},"actor":{"Type":"api_key"}`, `{}`},
		"repeated":        {`"actor":{"type":"a"},"actor":{"type":"b","type":"c"}`, `{"actor_type":"c"}`},
		"repeated, gone":  {`"actor":{"type":"a"},"actor":null`, `{}`},
		"escaped names":   {`"\u0061ctor":{"t\u0079pe":"session"}`, `{"actor_type":"session"}`},
		"escaped strings": {`"actor":{"type":"a\u0000b\n\u00e9\ud83d\ude00"}`, `{"actor_type":"a\ufffdb\né😀"}`},
		"lone surrogate":  {`"actor":{"type":"\ud800x\udc00"}`, `{"actor_type":"�x�"}`},
		"project":         {`"project":{"id":"proj_1","name":"Default project"}`, `{"project_id":"proj_1","project_name":"Default project"}`},
		"project is text": {`"project":"proj_1"`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			var want map[string]any
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			got := columns(t, "login.succeeded", `{"id":"a",`+test.members+`}`)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	asn := map[string]any{
		`"55256"`: 55256.0, `"AS29518"`: 29518.0, `"as7"`: 7.0, `64500`: 64500.0, `"0"`: 0.0, `"4294967295"`: 4294967295.0,
		`""`: nil, `"AS"`: nil, `"ASX"`: nil, `"-1"`: nil, `-1`: nil, `1.5`: nil, `1e3`: nil, `" 1"`: nil, `"9223372036854775808"`: nil,
		`null`: nil, `true`: nil, `[1]`: nil, `{"asn":1}`: nil,
	}
	degrees := map[string]any{
		`"19.07283"`: 19.07283, `"-122.41940"`: -122.4194, `-33`: -33.0, `52.52`: 52.52, `"1e1"`: 10.0, `0`: 0.0, `"-0.0"`: 0.0,
		`""`: nil, `"NaN"`: nil, `"Inf"`: nil, `"-Infinity"`: nil, `"0x1p4"`: nil, `"1_0"`: nil, `"1,5"`: nil, `"12 N"`: nil, `"+1"`: nil,
		`1e999`: nil, `"1e999"`: nil, `null`: nil, `false`: nil, `[]`: nil,
	}
	check := func(field, column string, cases map[string]any) {
		for text, want := range cases {
			raw := `{"actor":{"session":{"ip_address_details":{"` + field + `":` + text + `}}}}`
			got := columns(t, "x.y", raw)[column]
			if got != want {
				t.Errorf("%s %s: %s = %v, want %v", field, text, column, got, want)
			}
		}
	}
	check("asn", "source_asn", asn)
	check("latitude", "source_latitude", degrees)
	check("longitude", "source_longitude", degrees)
}

// TestUnknownShape: fields nobody has seen and values of the wrong kind cost the
// column, never the event.
func TestUnknownShape(t *testing.T) {
	for _, payload := range []string{
		`null`, `true`, `1`, `"text"`, `[]`, `[{"id":"x"}]`, `{}`,
		`{"id":1,"name":[],"role_name":{},"data":"d","changes_requested":[1],"permissions":"all","allowed_ips":{"a":1},"scopes":null}`,
		`{"data":{"scopes":[1,null,{},[],""],"role":["owner"],"email":{"a":"b"}},"changes_requested":null}`,
	} {
		raw := `{"id":"a","type":"api_key.created","api_key.created":` + payload + `,"new_field":{"kept":true}}`
		got := columns(t, "api_key.created", raw)
		if strings.HasPrefix(payload, "{") {
			if got["details"] != payload {
				t.Errorf("%s: details %v", payload, got["details"])
			}
			delete(got, "details")
		}
		if len(got) > 0 {
			t.Errorf("%s: columns %v", payload, got)
		}
	}
}

func TestDetails(t *testing.T) {
	for name, test := range map[string]struct{ members, want string }{
		"as sent":           {`"t.u": { "a" : 9007199254740993 ,` + "\n" + ` "b":1.0e+2, "c":"\u00e9" } `, `{ "a" : 9007199254740993 ,` + "\n" + ` "b":1.0e+2, "c":"\u00e9" }`},
		"under details":     {`"details":{"id":"d"}`, `{"id":"d"}`},
		"type before":       {`"details":{"id":"d"},"t.u":{"id":"t"}`, `{"id":"t"}`},
		"type is no object": {`"details":{"id":"d"},"t.u":"x"`, `{"id":"d"}`},
		"last of two":       {`"t.u":{"a":1},"t.u":{"a":2}`, `{"a":2}`},
		"other case":        {`"T.U":{"a":1}`, ``},
	} {
		got, _ := columns(t, "t.u", `{`+test.members+`}`)["details"].(string)
		if got != test.want {
			t.Errorf("%s: details %q, want %q", name, got, test.want)
		}
	}
}

func TestNoObject(t *testing.T) {
	for _, raw := range []string{`[]`, `"x"`, `1`, `null`, ` [1] `} {
		if _, err := flat.Flatten("t", raw); !errors.Is(err, flat.ErrNotAnObject) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	for _, raw := range []string{``, `{`, `{"a":1}x`, `{} {}`, `{'a':1}`} {
		if _, err := flat.Flatten("t", raw); err == nil || errors.Is(err, flat.ErrNotAnObject) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
