package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Keygen returns a new Ed25519 key for signing checkpoints, and the public key that
// verifies them, both in note form.
func Keygen(name string) (private, public string, err error) {
	private, public, err = note.GenerateKey(rand.Reader, name)
	if err == nil {
		_, err = note.NewSigner(private) // only this one looks at the name
	}
	if err != nil {
		return "", "", fmt.Errorf("a key named %q: %w; a name is not empty, and has no space and no plus sign", name, err)
	}
	return private, public, nil
}

// Signer signs checkpoints, with one key or, while keys change, with two. The zero
// Signer signs nothing.
type Signer struct{ keys []note.Signer }

// ParseSigner reads private keys in note form, one a line. What it says of one that is
// wrong does not quote it.
func ParseSigner(text string) (Signer, error) {
	var s Signer
	for line := range strings.FieldsSeq(text) {
		key, err := note.NewSigner(line)
		if err != nil {
			return Signer{}, errors.New("it is no private key in note form (PRIVATE+KEY+...): `seal keygen` makes one; a key that is being replaced stands in a second line")
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// Signs reports whether it has a key.
func (s Signer) Signs() bool { return len(s.keys) > 0 }

// Sign returns the text as a note with the signature of each key. Without a key it is
// a note without a signature: the text and an empty line.
func (s Signer) Sign(text string) ([]byte, error) {
	return note.Sign(&note.Note{Text: text}, s.keys...)
}

// Verifier verifies checkpoints with public keys. The zero Verifier has none.
type Verifier struct{ keys []note.Verifier }

// ParseVerifier reads public keys in note form, one a line.
func ParseVerifier(text string) (Verifier, error) {
	var v Verifier
	for line := range strings.FieldsSeq(text) {
		key, err := note.NewVerifier(line)
		if err != nil {
			return Verifier{}, fmt.Errorf("%.80q is no public key in note form: `seal keygen` prints it beside the private one", redact(line))
		}
		v.keys = append(v.keys, key)
	}
	return v, nil
}

// redact keeps a private key that was given in place of the public one out of messages.
func redact(key string) string {
	if strings.HasPrefix(key, "PRIVATE+KEY+") {
		return "PRIVATE+KEY+..."
	}
	return key
}

// Verifies reports whether it has a key.
func (v Verifier) Verifies() bool { return len(v.keys) > 0 }

// Signature is what is known of who wrote a checkpoint.
type Signature int

// What a signature can be.
const (
	Unchecked   Signature = iota // there is one, and no key to verify it
	Unsigned                     // there is none
	WellSigned                   // one of the keys verifies it
	BadlySigned                  // none of the keys verifies it
)

// OpenCheckpoint reads a checkpoint from its note. It fails only on what is no
// checkpoint; a signature that does not fit is told.
func (v Verifier) OpenCheckpoint(signed []byte) (Checkpoint, Signature, error) {
	text, signatures, ok := strings.Cut(string(signed), "\n\n")
	if !ok {
		return Checkpoint{}, Unsigned, fmt.Errorf("%w: it has no empty line before its signatures", ErrNoCheckpoint)
	}
	c, err := ParseCheckpoint(text + "\n")
	switch {
	case err != nil:
		return c, Unsigned, err
	case signatures == "":
		return c, Unsigned, nil
	case !v.Verifies():
		return c, Unchecked, nil
	}
	if _, err := note.Open(signed, note.VerifierList(v.keys...)); err != nil {
		return c, BadlySigned, nil
	}
	return c, WellSigned, nil
}
