package simulator

import "strings"

// Ids look like those seen live: "audit_log-" and 24 letters and digits. The
// first six are the event's number in disguise, so that a million ids need no
// index; the rest is noise.
const (
	idPrefix = "audit_log-"
	idDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idNumber = 6 // 62^6 is more than 2^32
	idLength = len(idPrefix) + 24
)

// idFactor is the disguise: a multiplication modulo 2^32, which its inverse undoes.
const idFactor uint32 = 0x9E3779B1

type idMaker struct {
	seed    uint64
	inverse uint32
}

func newIDMaker(seed uint64) idMaker {
	// Newton's iteration for the inverse of an odd number modulo 2^32.
	inverse := idFactor
	for range 5 {
		inverse *= 2 - idFactor*inverse
	}
	return idMaker{seed: seed, inverse: inverse}
}

// mix returns a number that looks random (splitmix64).
func (m idMaker) mix(n uint64) uint64 {
	x := n + m.seed*0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// append writes the id of event n.
func (m idMaker) append(b []byte, n number) []byte {
	b = append(b, idPrefix...)
	b = appendDigits(b, uint64((n^uint32(m.seed))*idFactor), idNumber)
	noise := m.mix(uint64(n) + 1<<40)
	b = appendDigits(b, noise, 9)
	return appendDigits(b, m.mix(noise), 9)
}

func appendDigits(b []byte, x uint64, count int) []byte {
	for range count {
		b = append(b, idDigits[x%62])
		x /= 62
	}
	return b
}

// parse returns the number of the event with the id, if it can be one.
func (m idMaker) parse(id string) (number, bool) {
	if len(id) != idLength || !strings.HasPrefix(id, idPrefix) {
		return 0, false
	}
	var x uint64
	for i := len(idPrefix) + idNumber - 1; i >= len(idPrefix); i-- {
		d := strings.IndexByte(idDigits, id[i])
		if d < 0 {
			return 0, false
		}
		x = x*62 + uint64(d)
	}
	n := uint32(x)*m.inverse ^ uint32(m.seed)
	return n, string(m.append(nil, n)) == id
}
