package auditlog

import (
	"fmt"
	"time"
)

// Second is a time of the audit log: whole seconds since the Unix epoch, which
// is all the resolution the API has. In JSON it is RFC 3339 text, so that a
// cursor can be read by a person. As a position the zero value means "never"; as a
// start it is the earliest time.
type Second int64

// The seconds that RFC 3339 can name, from the year 1 to the year 9999. An
// effective_at outside of them is not a usable time (milliseconds given as
// seconds, for example).
const (
	MinSecond Second = -62135596800
	MaxSecond Second = 253402300799
)

// SecondOf returns the second in which t lies.
func SecondOf(t time.Time) Second { return Second(t.Unix()) }

// Time returns the beginning of the second, in UTC.
func (s Second) Time() time.Time { return time.Unix(int64(s), 0).UTC() }

// Add returns s moved by d, cut to whole seconds.
func (s Second) Add(d time.Duration) Second { return s + Second(d/time.Second) }

// Next returns the second after s: the end of a time, which is half-open, that s is the
// last second of.
func (s Second) Next() Second { return s + 1 }

// Sub returns the time from t to s.
func (s Second) Sub(t Second) time.Duration { return time.Duration(s-t) * time.Second }

// Minute returns the first second of the minute in which s lies.
func (s Second) Minute() Second {
	m := s % 60
	if m < 0 {
		m += 60
	}
	return s - m
}

// Usable reports whether RFC 3339 can name s.
func (s Second) Usable() bool { return s >= MinSecond && s <= MaxSecond }

// String returns s as RFC 3339 in UTC.
func (s Second) String() string { return s.Time().Format(time.RFC3339) }

// MarshalText returns s as RFC 3339 in UTC.
func (s Second) MarshalText() ([]byte, error) {
	if !s.Usable() {
		return nil, fmt.Errorf("second %d is outside the years 1 to 9999", int64(s))
	}
	return []byte(s.Time().Format(time.RFC3339)), nil
}

// UnmarshalText reads RFC 3339.
func (s *Second) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return err
	}
	*s = SecondOf(t)
	return nil
}
