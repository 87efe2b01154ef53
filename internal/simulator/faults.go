package simulator

import (
	"cmp"
	"slices"
)

// Fault is one thing that goes wrong with one request.
type Fault string

// The faults. Source: failure-stories.md, "Reading the API".
const (
	None Fault = "" // nothing goes wrong

	// Answers that are no page.
	RateLimitSeconds    Fault = "429-retry-after-seconds"
	RateLimitDate       Fault = "429-retry-after-date"
	RateLimitMillis     Fault = "429-retry-after-ms"
	RateLimitBare       Fault = "429-without-retry-after"
	RateLimitUserAction Fault = "429-user-action"
	RequestTimeout      Fault = "408"
	Conflict            Fault = "409"
	ServerError         Fault = "500"
	BadGateway          Fault = "502-html"
	Unavailable         Fault = "503"
	WrongKey            Fault = "401-wrong-key"
	MissingScope401     Fault = "401-missing-scope"
	MissingScope403     Fault = "403-missing-scope"
	Refused401          Fault = "401-transient"
	Refused403          Fault = "403-transient"
	AddressRefused      Fault = "401-ip-not-authorized"
	OtherHost           Fault = "401-incorrect-hostname"
	CountryRefused      Fault = "403-unsupported-country"
	ProxyRefuses        Fault = "403-html"
	Redirect            Fault = "302-other-host"

	// No answer, or not all of it.
	Hang         Fault = "hang"                // nothing, until the client gives up
	HangInBody   Fault = "hang-in-body"        // half a page, then nothing
	Reset        Fault = "connection-reset"    // instead of an answer
	ResetInBody  Fault = "reset-in-body"       // after half a page
	CutBody      Fault = "cut-body"            // half a page, ended as if whole
	CutGzip      Fault = "cut-gzip"            // half a gzip stream, ended as if whole
	TwoDocuments Fault = "two-documents"       // the page twice
	NDJSON       Fault = "ndjson"              // a record a line
	EmptyObject  Fault = "empty-object"        // {}
	HTML         Fault = "200-html"            // somebody else's page
	EndlessBody  Fault = "endless-body"        // blanks without end
	GzipBomb     Fault = "gzip-bomb"           // the same, compressed
	DateOff      Fault = "date-header-off"     // by six hours, into the future
	DateBehind   Fault = "date-header-behind"  // by six hours, into the past
	DateMissing  Fault = "date-header-missing" // none

	// Pages that are right in form and wrong.
	SmallPage     Fault = "small-page"           // fewer than limit, with has_more
	HasMoreFalse  Fault = "has-more-false"       // whatever follows
	HasMoreTrue   Fault = "has-more-true"        // even at the end
	EmptyWithMore Fault = "empty-page-with-more" // no event, and has_more
	LastIDNull    Fault = "last-id-null"         //
	LastIDMissing Fault = "last-id-missing"      //
	LastIDWrong   Fault = "last-id-wrong"        // no event has it
	RepeatedPage  Fault = "repeated-page"        // to a request with after: the page before once more
	Reversed      Fault = "oldest-first"         // after leads to newer events
	Shuffled      Fault = "shuffled-page"        // the events of a page in any order
	Duplicated    Fault = "duplicated-events"    // each event of the page twice
	VanishedBad   Fault = "vanished-cursor-400"  // to a request with after
	VanishedGone  Fault = "vanished-cursor-404"  // to a request with after
	HeadRestart   Fault = "vanished-cursor-head" // after is taken for absent
	InsertAtHead  Fault = "insert-at-head"       // five new events before the answer
	IgnoreWindow  Fault = "window-ignored"       // effective_at is taken for absent
)

// Faults lists all of them but None.
func Faults() []Fault {
	return []Fault{
		RateLimitSeconds, RateLimitDate, RateLimitMillis, RateLimitBare, RateLimitUserAction,
		RequestTimeout, Conflict, ServerError, BadGateway, Unavailable,
		WrongKey, MissingScope401, MissingScope403, Refused401, Refused403, Redirect,
		AddressRefused, OtherHost, CountryRefused, ProxyRefuses,
		Hang, HangInBody, Reset, ResetInBody, CutBody, CutGzip, TwoDocuments, NDJSON,
		EmptyObject, HTML, EndlessBody, GzipBomb, DateOff, DateBehind, DateMissing,
		SmallPage, HasMoreFalse, HasMoreTrue, EmptyWithMore, LastIDNull, LastIDMissing,
		LastIDWrong, RepeatedPage, Reversed, Shuffled, Duplicated,
		VanishedBad, VanishedGone, HeadRestart, InsertAtHead, IgnoreWindow,
	}
}

type faultChance struct {
	fault  Fault
	chance float64
}

// sortedChances gives the faults an order, so that a seed replays them.
func sortedChances(faults map[Fault]float64) []faultChance {
	chances := make([]faultChance, 0, len(faults))
	for f, p := range faults {
		chances = append(chances, faultChance{f, p})
	}
	slices.SortFunc(chances, func(a, b faultChance) int { return cmp.Compare(a.fault, b.fault) })
	return chances
}
