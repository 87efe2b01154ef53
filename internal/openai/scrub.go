package openai

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
)

// excerptRunes is how much of an answer an error quotes.
const excerptRunes = 200

// redacted replaces a key.
const redacted = "***"

// keyLike matches what looks like a key of OpenAI's, whole or cut off: an answer
// may quote a key other than the one sent.
var keyLike = regexp.MustCompile(`sk-[A-Za-z0-9_*-]{4,}`)

// personal matches e-mail addresses, and the addresses of hosts: an answer may quote
// an event, or its reader.
var personal = regexp.MustCompile(`[\pL\pN._%+'-]+@[\pL\pN.-]+` +
	`|\b\d{1,3}(?:\.\d{1,3}){3}\b` +
	`|(?i)\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}`)

// scrub takes the key, and all that looks like one, out of text.
func scrub(text, key string) string {
	if key != "" {
		text = strings.ReplaceAll(text, key, redacted)
	}
	return keyLike.ReplaceAllString(text, redacted)
}

// excerpt returns the beginning of a body as printable text, without the key and without
// e-mail and IP addresses.
func excerpt(body []byte, key string) string {
	text := scrub(strings.ToValidUTF8(string(beginning(body, key)), "\uFFFD"), key)
	text = personal.ReplaceAllString(text, redacted)
	var b strings.Builder
	n, gap := 0, false
	for _, r := range text {
		switch {
		case n == excerptRunes:
			return b.String() + "…"
		case unicode.IsSpace(r) || !unicode.IsPrint(r):
			gap = b.Len() > 0
			continue
		case gap:
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// beginning cuts a body of megabytes to what an excerpt can come from. It leaves no part
// of the key at the cut, since scrub would not recognize a part.
func beginning(body []byte, key string) []byte {
	if len(body) <= errorBodyBytes {
		return body
	}
	body = body[:errorBodyBytes]
	for n := min(len(key), len(body)) - 1; n > 0; n-- {
		if bytes.HasSuffix(body, []byte(key[:n])) {
			return body[:len(body)-n]
		}
	}
	return body
}

// scrubbed is an error whose text is without the key.
type scrubbed struct {
	text string
	err  error
}

func scrubError(err error, key string) error { return &scrubbed{scrub(err.Error(), key), err} }

func (s *scrubbed) Error() string { return s.text }

func (s *scrubbed) Unwrap() error { return s.err }
