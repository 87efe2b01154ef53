package config

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

// Guesses at what a refused value was meant to be. A guess shows a part of the value,
// so each is made only of a form that holds no secret.

var (
	// brokerPrefix is what brokers' own settings, and other programs, put before a host.
	brokerPrefix = regexp.MustCompile(`(?i)^([a-z][a-z_]*://|(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL):)`)
	twicePort    = regexp.MustCompile(`(:[0-9]+)(:[0-9]+)$`)
)

// meantBrokers returns the list of brokers that value was meant to be, or "".
func meantBrokers(value string) string {
	var brokers []string
	apart := func(r rune) bool { return strings.ContainsRune(",;\"' \t\r\n", r) }
	for _, item := range strings.FieldsFunc(value, apart) {
		item = strings.TrimRight(brokerPrefix.ReplaceAllString(item, ""), "/")
		if m := twicePort.FindStringSubmatch(item); m != nil && m[1] == m[2] {
			item = strings.TrimSuffix(item, m[2])
		}
		if !kafka.IsBroker(item) {
			return ""
		}
		brokers = append(brokers, item)
	}
	return strings.Join(brokers, ",")
}

// firstUnixSecond is where integers begin to be times (2001-09-09). Below it they are
// days, dates and years, and as seconds they would mean the seventies: all there is.
const firstUnixSecond = 1_000_000_000

// meantTime returns the time that an integer was meant to be, or "".
func meantTime(s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || s[0] == '+' {
		return ""
	}
	if date, err := time.Parse("20060102", s); err == nil {
		return date.Format(time.DateOnly)
	}
	if at, err := time.Parse("20060102150405", s); err == nil && at.Year() < 2100 {
		return at.Format(time.RFC3339)
	}
	switch {
	case len(s) == 4 && n >= 2000 && n < 2100:
		return s + "-01-01"
	case n <= 3650:
		return s + "d"
	case n/1000 >= firstUnixSecond && n/1000 < 10*firstUnixSecond:
		return strconv.FormatInt(n/1000, 10) // milliseconds
	}
	return ""
}

// TimeRemedy says how to write a time in place of one that is none, and what it was
// probably meant to be.
func TimeRemedy(s string) string {
	if meant := meantTime(s); meant != "" {
		return "did you mean " + meant + "? Write it as " + TimeForms
	}
	return "write it as " + TimeForms
}
