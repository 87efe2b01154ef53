// Package ops holds what an operator does beside a running connector: looking at
// the events (Tail), comparing topic and API and writing what is missing (Verify),
// looking at the cursor and moving it (Cursor, Edit), and trying beforehand what the
// connector needs (Check).
//
// None of it disturbs a running connector, except an Edit, which fences it and
// says so. A repair has a transactional id of its own, and writes only where the
// connector never will: see window.ResponsibleFor.
package ops
