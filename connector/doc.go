// Package connector keeps a Kafka topic equal to an organization's OpenAI audit
// log. New takes a Config, Run works until its context ends.
//
// After every commit a read_committed consumer of the topic has seen each event
// that the API has shown for the covered time exactly once, and the cursor in
// the offsets topic says exactly what is covered. docs/design.md says how.
//
// # How to read it
//
// A Connector runs each of its organizations by itself. The life of an organization is
// one session after the other, and a session reads from top to bottom as the guarantee:
//
//   - organization.go: the loop over sessions. Whatever fails, the way back is the next
//     session, which begins as the first one did.
//   - resume.go, checks.go, stored.go, seal.go: a session begins. It checks what can be refused,
//     fences every earlier writer, reads the state, and commits a cursor before any event.
//   - session.go: the loops that work side by side until the first error.
//   - head.go, health.go, lists.go: the poller reads what is new in each scope's list.
//   - sweeps.go, windows.go, turns.go: the sweepers read history and what shows up late,
//     in windows, in parallel, and in the order of time.
//   - commit.go: the one place through which these loops write.
//   - verify.go: compares the topic with the API, where that is wanted, and repairs as
//     `verify --repair` does: as a writer of its own, beside commit.go.
//
// The rest watches and reports (hanging.go, sleep.go, verified.go, watch.go, progress.go,
// lateness.go), or is the public face (config.go, validate.go, telemetry.go, errors.go).
//
// Three rules hold in all of it. To break one of them loses or doubles events:
//
//  1. What was read counts only once its transaction is known to be committed. Until then
//     it is in no position, no cursor and no seen id, and to read it again is right.
//  2. After an error of the log the state in memory is not used any more. It may lie before
//     the transaction or after it; only the topic knows. So the error ends the session.
//  3. One second of a scope has one reader: the head and the deep walk begin where the
//     history of the scope ends. Two readers would each find the same event new, and it
//     would depend on chance which of them still remembers it when the other comes.
package connector
