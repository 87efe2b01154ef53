// Package ops holds what an operator does beside a running connector: looking at
// the events (Tail), holding topic against API and filling holes (Verify), looking
// at the cursor and moving it (Cursor, Edit), and trying beforehand what the
// connector needs (Check).
//
// None of it disturbs a running connector, but for an Edit, which fences it and
// says so. A repair has a transactional id of its own, and writes only where the
// connector never will: see window.ReaderOf.
package ops
