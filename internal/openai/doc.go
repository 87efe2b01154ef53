// Package openai reads one endpoint of OpenAI's API, the audit log of an
// organization: GET /v1/organization/audit_logs.
//
// It promises that a walk which ends without an error has shown every event
// that the API lists for what was asked, and that nothing else looks like such
// an end. So no page is believed: it must be one JSON document of the documented
// form, inside the window asked for, older than the pages before it, and it must
// bring something new. What fails a check is an error, never an empty page.
//
// An event is taken apart no further than its id, type and time. Its bytes go on
// as the API sent them, so a new field can neither stop the reading nor be lost.
//
// The parts: Client fetches pages and asks again after passing failures, Limiter
// is the one door through which all requests of an organization go, Pages walks
// a list, and Error says what went wrong and what to do about it. The key is
// asked for with each request and is in no text that leaves the package.
package openai
