// Package target says once where the events of an organization go: which topics
// there are and what for, how they are made and checked, under which transactional
// ids they are written, what an event becomes in them, and whether they are still
// those of the cursor. The connector and the commands both use it, so that they
// cannot disagree.
package target
