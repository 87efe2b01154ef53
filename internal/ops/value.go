package ops

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// seed makes the hashes of one process.
var seed = maphash.MakeSeed()

// bytesHash returns a hash of the bytes.
func bytesHash(text []byte) uint64 { return maphash.Bytes(seed, text) }

// valueHash returns a hash of the JSON text that is the same for two texts of the
// same value: neither white space nor the order of keys counts, nor how a number
// or a string is written. What is no JSON is hashed as it is.
func valueHash(text []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a float would take large numbers for the same
	var value any
	if err := decoder.Decode(&value); err != nil || !ends(decoder) {
		return bytesHash(text)
	}
	hashValue(&h, value)
	return h.Sum64()
}

func ends(d *json.Decoder) bool {
	_, err := d.Token()
	return errors.Is(err, io.EOF)
}

// hashValue writes each value with its kind, and its length where it has one, so
// that no two values are written the same way.
func hashValue(h *maphash.Hash, value any) {
	switch v := value.(type) {
	case nil:
		h.WriteByte('0')
	case bool:
		h.WriteByte('b')
		hashText(h, strconv.FormatBool(v))
	case json.Number:
		h.WriteByte('n')
		hashText(h, plainNumber(v.String()))
	case string:
		h.WriteByte('s')
		hashText(h, v)
	case []any:
		h.WriteByte('[')
		hashText(h, strconv.Itoa(len(v)))
		for _, element := range v {
			hashValue(h, element)
		}
	case map[string]any:
		h.WriteByte('{')
		hashText(h, strconv.Itoa(len(v)))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			hashText(h, key)
			hashValue(h, v[key])
		}
	}
}

func hashText(h *maphash.Hash, text string) {
	h.WriteString(strconv.Itoa(len(text)))
	h.WriteByte(':')
	h.WriteString(text)
}

// plainNumber returns the number as its digits, without zeros at either end, and
// an exponent: 1, 1.0 and 10e-1 are the same.
func plainNumber(text string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	power, err := strconv.ParseInt("0"+strings.TrimPrefix(exponent, "+"), 10, 64)
	if strings.HasPrefix(exponent, "-") {
		power, err = strconv.ParseInt(exponent, 10, 64)
	}
	if err != nil {
		return text // an exponent beyond all use
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimRight(whole+fraction, "0")
	power += int64(len(whole) - len(digits))
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return "0"
	}
	return sign + digits + "e" + strconv.FormatInt(power, 10)
}
