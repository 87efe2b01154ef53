// Package window decides what to read next and what a read proves: pure
// functions from state and time, with no clock, no I/O and no logger.
//
// A State is the Cursor of an organization and its SeenIDs. Reads of the API come
// back as a Batch; State.Stage says what part of it to write and what the state is after
// that, and State.Advance makes it so once the transaction is known to be committed.
// Whatever fails in between, the state stays what the topic says.
//
// Three kinds of reads cover an organization's time. They never overlap below
// the floor, and above it the seen ids say what was written:
//
//   - the head of each scope, from its live position less the lookback, open
//     upward, at every poll;
//   - the deep past of each scope, from the floor, once in fifty minutes;
//   - history, in windows of whole seconds that a Plan cuts to size.
//
// Sweep, Read, Plan and Spread are the rules of long reads: which lists a window walks, what of
// them is left out, and when a window is too dense and leaves a part of it to others.
//
// Where a late event is dealt with: one that shows up up to LOOKBACK late is found by the
// full walk of the head (HeadFrom, FullWalkEvery), one up to DEEP_LOOKBACK late by the
// walk of the deep past (DeepFrom, DeepDue), for which the floor waits (raiseFloor). One
// that shows up while the process is down is found in what CatchUp makes history, or in
// what Allowed gives to a scope that comes back. SeenIDs.Sift and State.Stage keep each
// from being written twice, also where the API moves it to a later time. What comes later
// still is for `verify --repair`.
//
// The randomized model in model_test.go runs these functions, the very ones that
// run in production, through crashes, unknown outcomes, late events and weeks of
// downtime, and counts what is lost or doubled.
package window
