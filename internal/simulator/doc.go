// Package simulator is the audit log endpoint as an http.Handler, for tests and
// the demo only.
//
// It is built from OpenAI's OpenAPI file, never from our client: after is the
// next page and before the one before it, a parameter that is not documented is
// an error, and the list is newest first by effective_at. What it holds is
// readable as the truth (Truth), so a test can say what is missing, doubled or
// extra. When asked it is hostile: each Fault is one thing that an API, or what
// lies between, was seen to do or may do. A seed replays a run.
//
// Most events are kept as the number of a template and a few integers and are
// rendered when listed, so a million of them fit into 50 MB and a page costs
// microseconds.
package simulator
