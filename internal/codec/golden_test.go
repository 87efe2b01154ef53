package codec_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/codec/flat"
	"github.com/openai-audit-kafka/openai-audit-kafka/schemas"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden holds the bytes of one event of each known type to those in
// testdata/golden_v<n>.txt: the type, and the value in hexadecimal. A difference
// is a change of the contract with every consumer. The columns are held to what
// was written by hand in package flat.
func TestGolden(t *testing.T) {
	for _, version := range schemas.Versions() {
		encoder := newEncoder(t, codec.Config{Schema: version})
		var got strings.Builder
		for i, eventType := range flat.Types() {
			ev := eventOf(t, goldenEvent(i, eventType.Name))
			fmt.Fprintf(&got, "%s %s\n", eventType.Name, hex.EncodeToString(encode(t, encoder, ev).Value))
		}
		file := filepath.Join("testdata", fmt.Sprintf("golden_v%d.txt", version.Number))
		if *update {
			if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
		if len(gotLines) != len(wantLines) {
			t.Fatalf("%s: %d lines, want %d", file, len(gotLines), len(wantLines))
		}
		for i := range wantLines {
			if gotLines[i] != wantLines[i] {
				t.Errorf("%s: line %d\n got %s\nwant %s", file, i+1, gotLines[i], wantLines[i])
			}
		}
	}
}

// goldenEvent returns an event of the type. The actors take turns, and every
// payload has what some type has.
func goldenEvent(i int, eventType string) []byte {
	actors := []string{
		`null`,
		`{"type":"session","session":{"user":{"id":"user-1","email":"alice@example.com"},"ip_address":"203.0.113.10","user_agent":"UA","ja3":"j3","ja4":"j4","ip_address_details":{"country":"DE","city":"Berlin","region":"Land Berlin","region_code":"BE","asn":"AS64500","latitude":"52.52","longitude":"13.405"}}}`,
		`{"type":"api_key","api_key":{"id":"key_1","type":"user","user":{"id":"user-1","email":"alice@example.com"}}}`,
		`{"type":"api_key","api_key":{"id":"key_2","type":"service_account","service_account":{"id":"sa-1"}}}`,
	}
	payloads := []string{
		`{"id":"t-1","name":"N","data":{"scopes":["a","b"],"role":"owner","email":"bob@example.com"}}`,
		`{"id":"t-2","changes_requested":{"title":"T","permissions_added":["p"],"permissions_removed":["q"],"metadata":{"k":9007199254740993}}}`,
		`{"id":"role_assignment_r__t__x_y","principal_id":"y","principal_type":"user","resource_id":"x","resource_type":"t","permissions":["p"],"allowed_ips":["0.0.0.0/0"]}`,
		`{"error_code":"c","error_message":"m"}`,
		`null`,
	}
	return fmt.Appendf(nil, `{"object":"organization.audit_log","id":"audit_log-%03d","type":%q,"effective_at":%d,"project":{"id":"proj_1","name":"P"},"actor":%s,%q:%s}`,
		i, eventType, 1_770_979_893+i, actors[i%len(actors)], eventType, payloads[i%len(payloads)])
}
