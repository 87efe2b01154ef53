// Package seal is the arithmetic of the sealed topic: an organization's events and
// dead letters are the leaves of a Merkle tree (RFC 6962), in the order of their
// commits, and checkpoints (C2SP tlog-checkpoint) say what the tree was at a time.
//
// It knows bytes and numbers, and neither Kafka nor the API: what is written, and
// what was read, is handed to it. The hashes are those of transparency-dev/merkle,
// the signatures those of golang.org/x/mod/sumdb/note.
package seal
