// Package txlog is a fenced transactional log: one writer, its state in one
// partition of a compacted topic, and records of other topics written together
// with that state or not at all.
//
// It knows bytes, keys and headers, and nothing about audit events. The cursor store
// and the sink are one package because the promise lies between them:
//
//   - Open fences every earlier writer, and only then reads the state to its end.
//     The other way round, a predecessor could commit after the state was read.
//   - Commit ends the transaction only when every record of it is acknowledged. A
//     transaction commits happily without a record that failed.
//   - Any error of Commit leaves the outcome unknown (of 103 failed commits that
//     were measured, 57 had committed). The Log is finished then. Open again: what
//     it reads is what happened.
//
// So there is one way back from every failure, and it is also the way in.
package txlog
