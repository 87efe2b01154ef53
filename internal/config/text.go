package config

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The types of the settings. Their errors never quote the text, since a key that
// was put into the wrong variable would be quoted with it: env wraps them as they
// are, and the fault shows the value only where it may.

var (
	errDuration = errors.New("not a duration")
	errTime     = errors.New("not a time")
	errNumber   = errors.New("not a whole number")
	errFlag     = errors.New("neither true nor false")
	errOnOff    = errors.New("neither on nor off")
	errPair     = errors.New("not of the form name=value")
)

type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	if err != nil {
		return err // and the default stays: one fault is enough
	}
	*d = duration(parsed)
	return nil
}

// orOff is a duration, or "off" for none.
type orOff duration

func (d *orOff) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*d = 0
		return nil
	}
	return (*duration)(d).UnmarshalText(text)
}

var days = regexp.MustCompile(`^(\d+)d(.*)$`)

// ParseDuration reads a duration as Go writes it, with days before: 10s, 36h, 30d,
// 1d12h.
func ParseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	var whole time.Duration
	if m := days.FindStringSubmatch(s); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n > math.MaxInt64/int64(24*time.Hour) {
			return 0, errDuration
		}
		whole = time.Duration(n) * 24 * time.Hour
		if s = m[2]; s == "" {
			return whole, nil
		}
	}
	rest, err := time.ParseDuration(s)
	if err != nil || rest < 0 || whole+rest < 0 {
		return 0, errDuration
	}
	return whole + rest, nil
}

// ParseTime reads a time as users write it: RFC 3339, a date (UTC), Unix seconds,
// or an age before now. A small integer is none: it would be taken for the seventies.
func ParseTime(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		const last = 253402300799 // of the year 9999; beyond lie milliseconds
		if seconds < firstUnixSecond || seconds > last {
			return time.Time{}, errTime
		}
		return time.Unix(seconds, 0).UTC(), nil
	}
	age, err := ParseDuration(s)
	if err != nil {
		return time.Time{}, errTime
	}
	return now.Add(-age).UTC(), nil
}

// TimeForms says how ParseTime wants a time, for messages.
const TimeForms = "RFC 3339 (2026-03-01T12:00:00Z), a date (2026-03-01), Unix seconds, or an age (36h, 30d)"

type number int64

func (n *number) UnmarshalText(text []byte) error {
	parsed, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return errNumber
	}
	*n = number(parsed)
	return nil
}

type flag bool

func (f *flag) UnmarshalText(text []byte) error {
	parsed, err := strconv.ParseBool(strings.ToLower(string(text)))
	if err != nil {
		return errFlag
	}
	*f = flag(parsed)
	return nil
}

// onOff is on or off, and takes what a flag takes too.
type onOff bool

func (o *onOff) UnmarshalText(text []byte) error {
	switch word := strings.ToLower(string(text)); word {
	case "on", "off":
		*o = word == "on"
		return nil
	}
	if (*flag)(o).UnmarshalText(text) != nil {
		return errOnOff
	}
	return nil
}

// list is comma separated; its items are trimmed, and empty ones left out.
type list []string

func (l *list) UnmarshalText(text []byte) error {
	*l = nil
	for item := range strings.SplitSeq(string(text), ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l = append(*l, item)
		}
	}
	return nil
}

// pairs is a list of name=value.
type pairs [][2]string

func (p *pairs) UnmarshalText(text []byte) error {
	var items list
	_ = items.UnmarshalText(text) // takes everything
	var parsed pairs
	for _, item := range items {
		name, value, ok := strings.Cut(item, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			return errPair
		}
		parsed = append(parsed, [2]string{name, value})
	}
	*p = parsed
	return nil
}

// remedyOf says what a text that did not parse should look like.
func remedyOf(err error) string {
	switch {
	case errors.Is(err, errDuration):
		return "write it like 10s, 15m, 36h or 30d"
	case errors.Is(err, errTime):
		return "write it as " + TimeForms
	case errors.Is(err, errNumber):
		return "write digits only"
	case errors.Is(err, errFlag):
		return "write true or false"
	case errors.Is(err, errOnOff):
		return "write on or off"
	case errors.Is(err, errPair):
		return "write name=value,name=value"
	}
	return "look at its meaning in --help"
}
