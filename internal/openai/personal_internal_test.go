package openai

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Whatever an answer holds, an error quotes no e-mail and no IP address of it, and of
// JSON nothing but the message of an error.
func TestErrorsQuoteNothingPersonal(t *testing.T) {
	const event = `{"id":"a1","actor":{"session":{"user":{"email":"jo.doe@example.com"},"ip_address":"203.0.113.77"}}}`
	for name, answer := range map[string]struct {
		status int
		body   string
		quotes string
	}{
		"an event with 500":         {500, event, ""},
		"events with 502":           {502, "[" + event + "]", ""},
		"a page of text":            {200, "<html>jo.doe@example.com 203.0.113.77 2001:db8::8a2e:370:7334</html>", "<html>*** *** ***</html>"},
		"text with 503":             {503, "try later, jo.doe@example.com", "try later, ***"},
		"a message that names them": {403, `{"error":{"message":"jo.doe@example.com at 203.0.113.77 may not","param":"secret"}}`, "*** at *** may not"},
	} {
		t.Run(name, func(t *testing.T) {
			err := classify(&http.Response{StatusCode: answer.status, Header: http.Header{}}, []byte(answer.body), "", false, time.Now())
			if answer.status == http.StatusOK {
				err.Body = quotable([]byte(answer.body), "")
			}
			if err.Body != answer.quotes {
				t.Errorf("quotes %q, want %q", err.Body, answer.quotes)
			}
			for _, personal := range []string{"example.com", "203.0", "2001:db8"} {
				if strings.Contains(err.Error(), personal) {
					t.Errorf("%s is in %q", personal, err)
				}
			}
		})
	}
}
