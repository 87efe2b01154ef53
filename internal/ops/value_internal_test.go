package ops

import "testing"

func TestValueHash(t *testing.T) {
	same := [][]string{
		{`{"a":1,"b":[1,2]}`, ` { "b" : [1,2], "a" : 1 } `, `{"b":[1.0,2e0],"a":10e-1}`},
		{`"\u00e9/\n"`, `"é\/\u000a"`},
		{`0`, `-0`, `0.0`, `0e7`},
		{`-1200`, `-1.2e3`, `-1200.000`, `-1.2E+3`},
		{`0.001`, `1e-3`, `0.0010`},
		{`12345678901234567890`, `12345678901234567890.0`},
		{`null`}, {`true`}, {`false`}, {`"true"`}, {`"1"`}, {`1`}, {`[]`}, {`{}`}, {`""`}, {`[[]]`}, {`[1,[2]]`}, {`[[1],2]`},
		{`12345678901234567891`}, {`{"a":null}`}, {`{"ab":""}`}, {`{"a":"b"}`}, {`["a","b"]`}, {`["ab"]`},
		{`{`}, {`1 2`}, {``}, {`1e99999999999999999999`}, {`1e-99999999999999999999`},
	}
	seen := map[uint64]string{}
	for _, texts := range same {
		want := valueHash([]byte(texts[0]))
		if other, taken := seen[want]; taken {
			t.Errorf("%s and %s have the same hash", texts[0], other)
		}
		seen[want] = texts[0]
		for _, text := range texts[1:] {
			if valueHash([]byte(text)) != want {
				t.Errorf("%s and %s are the same value, and have different hashes", texts[0], text)
			}
		}
	}
}
