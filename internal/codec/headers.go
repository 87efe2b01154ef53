package codec

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

const (
	typePrefix      = "com.openai.audit."
	contentTypeAvro = "application/avro"
	contentTypeJSON = "application/json"
)

// The names of the headers of CloudEvents 1.0, binary mode.
const (
	headerSpecVersion = "ce_specversion"
	headerID          = "ce_id"
	headerType        = "ce_type"
	headerSource      = "ce_source"
	headerTime        = "ce_time"
	headerSubject     = "ce_subject"
	headerDataSchema  = "ce_dataschema"
	headerContentType = "content-type"
)

func header(name string, value []byte) kafka.Header { return kafka.Header{Key: name, Value: value} }

// safeType returns the type for ce_type: as it is in the column, whatever it may
// be, with U+FFFD for what CloudEvents allows in no string. A header is logged,
// routed by and shown without care, so a type that could be personal data is named
// "unknown" there, and so is one that would be in the record twice at great length.
// known says that it is a type that this release knows.
func safeType(eventType string, known bool) string {
	switch {
	case known:
		return eventType
	case len(eventType) > maxTypeText, mayBePersonal(eventType):
		return "unknown"
	default:
		return strings.Map(allowed, eventType)
	}
}

// maxTypeText is a hundred times the longest type that OpenAI has.
const maxTypeText = 4096

// safeSubject returns the target's id for ce_subject, or "" where the header is
// better left out: nothing keeps an id from being an e-mail address (an invited
// person's) or an IP address (an allow-list's), CloudEvents allows no control
// characters, and a very long one would be in the record twice. The header is
// optional; the column target_id has the id in any case.
func safeSubject(targetID *string) string {
	if targetID == nil || len(*targetID) > maxHeaderText || mayBePersonal(*targetID) || hasControls(*targetID) {
		return ""
	}
	return *targetID
}

// maxHeaderText is far longer than any id or type seen.
const maxHeaderText = 256

// mayBePersonal reports whether s holds what looks like an e-mail or an IP
// address, alone or inside other text. In doubt it says so.
func mayBePersonal(s string) bool {
	switch {
	case !strings.ContainsAny(s, "@%:."):
		return false // nearly every id
	case strings.ContainsRune(s, '@'), strings.Contains(s, "%40"):
		return true
	default:
		return dottedQuad.MatchString(s) || holdsIPv6(s)
	}
}

var dottedQuad = regexp.MustCompile(`[0-9]{1,3}(\.[0-9]{1,3}){3}`)

func holdsIPv6(s string) bool {
	if strings.Count(s, ":") < 2 {
		return false
	}
	parts := strings.FieldsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF:.", r) })
	for _, part := range parts {
		if _, err := netip.ParseAddr(part); err == nil {
			return true
		}
	}
	return false
}

// hasControls reports whether s holds what CloudEvents does not allow in a string,
// or U+FFFD, which stands for such.
func hasControls(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return allowed(r) == utf8.RuneError })
}

// allowed returns r, and U+FFFD where CloudEvents does not allow it in a string:
// for control characters, and for code points that are no characters.
func allowed(r rune) rune {
	if r < ' ' || 0x7f <= r && r <= 0x9f || r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef {
		return utf8.RuneError
	}
	return r
}

// HeaderSource is the header that names the organization that a record is of.
const HeaderSource = headerSource

// Source returns the value of HeaderSource in the organization's records.
func Source(organization string) string { return "/openai/organizations/" + organization }
