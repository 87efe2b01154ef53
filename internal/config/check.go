package config

import (
	"math"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
)

func (e *environment) checkReading(v values) {
	if v.PollInterval < duration(time.Second) {
		e.fault("POLL_INTERVAL", "below 1s", "give at least 1s")
	}
	if v.Lookback < duration(time.Minute) {
		e.fault("LOOKBACK", "below 1m", "give at least 1m")
	}
	if v.DeepLookback != 0 && v.DeepLookback < v.Lookback {
		e.fault("DEEP_LOOKBACK", "below LOOKBACK", "give more than LOOKBACK, or 0 to turn it off")
	}
	e.upTo("API_CONCURRENCY", v.APIConcurrency, 1000)
	if e.isSet("API_REQUESTS_PER_MINUTE") {
		e.upTo("API_REQUESTS_PER_MINUTE", v.APIRequestsPerMinute, math.MaxInt32)
	}
}

// upTo checks a number that is at least 1, if it is one.
func (e *environment) upTo(variable string, n, most number) {
	if !e.isAtFault(variable) && (n < 1 || n > most) {
		e.fault(variable, "out of range", "give 1 to "+strconv.FormatInt(int64(most), 10))
	}
}

var topicSyntax = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (e *environment) checkTopics(v values) {
	used := make(map[string]string)
	for _, t := range [][2]string{
		{"KAFKA_TOPIC", v.Topic}, {"KAFKA_OFFSETS_TOPIC", v.OffsetsTopic}, {"KAFKA_DLQ_TOPIC", v.DLQTopic},
		{"KAFKA_JSON_TOPIC", v.JSONTopic}, {"KAFKA_OCSF_TOPIC", v.OCSFTopic},
	} {
		variable, name := t[0], t[1]
		if name == "" {
			continue
		}
		if !topicSyntax.MatchString(name) || name == "." || name == ".." {
			e.fault(variable, "not a topic name", "use at most 249 of a-z, A-Z, 0-9, dot, underscore and hyphen")
		}
		same := strings.ReplaceAll(name, ".", "_") // which is how Kafka compares
		if other := used[same]; other != "" {
			e.fault(variable, "the same topic as "+other, "give each a topic of its own; . and _ count as the same")
		}
		used[same] = variable
	}
}

// ownHeaders are those that we put on events and dead letters, ce_ ones apart.
var ownHeaders = map[string]bool{
	"content-type": true, "error": true, "error_detail": true, "source_topic": true,
	"effective_at": true, "truncated": true, "original_bytes": true, "sha256": true,
}

func (e *environment) checkWriting(v values, k *connector.Kafka) {
	if len(v.Brokers) == 0 {
		e.fault("KAFKA_BROKERS", "no broker", "write host:port,host:port")
	}
	for _, broker := range v.Brokers {
		if !isBroker(broker) {
			remedy := "write host:port,host:port, without a scheme"
			if meant := meantBrokers(e.vars["KAFKA_BROKERS"]); meant != "" {
				remedy = "did you mean " + meant + "? TLS and signing in have settings of their own"
			}
			e.fault("KAFKA_BROKERS", "not a list of host:port", remedy)
			break
		}
	}
	e.upTo("KAFKA_PARTITIONS", v.Partitions, 10_000)
	if e.isSet("KAFKA_REPLICATION_FACTOR") {
		e.upTo("KAFKA_REPLICATION_FACTOR", v.Replication, math.MaxInt16)
	}
	if v.Retention != "unlimited" {
		retention, err := ParseDuration(v.Retention)
		if err != nil || retention < time.Millisecond {
			e.fault("KAFKA_RETENTION", "not a duration", "write it like 90d, or unlimited")
		}
		k.Retention = retention
	}
	e.oneOf("KAFKA_COMPRESSION", v.Compression, "none", "gzip", "snappy", "lz4", "zstd")
	e.oneOf("KAFKA_TIMESTAMP", v.Timestamp, string(connector.TimestampIngest), string(connector.TimestampEvent))
	seen := make(map[string]bool)
	for _, header := range v.Headers {
		switch name := strings.ToLower(header[0]); {
		case strings.HasPrefix(name, "ce_") || ownHeaders[name]:
			e.fault("KAFKA_HEADERS", "a header of ours, "+shown(header[0])+", is among them", "choose another name")
		case seen[name]:
			e.fault("KAFKA_HEADERS", "the header "+shown(header[0])+" is given twice", "give it once")
		default:
			seen[name] = true
		}
	}
}

func (e *environment) checkOperation(v values, s *Settings) {
	s.HTTP.ShowEvents, s.Log.Format = bool(v.HTTPShowEvents), v.LogFormat
	if v.HTTPAddr != "off" {
		s.HTTP.Addr = v.HTTPAddr
		host, port, err := net.SplitHostPort(v.HTTPAddr)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		// What is no host would be looked up as one, and the error would show it.
		if _, noIP := netip.ParseAddr(host); err != nil || host != "" && noIP != nil && !hostSyntax.MatchString(host) {
			e.fault("HTTP_ADDR", "not an address", "write host:port, :port, or off")
		}
	}
	e.oneOf("LOG_LEVEL", strings.ToLower(v.LogLevel), "debug", "info", "warn", "error")
	e.oneOf("LOG_FORMAT", v.LogFormat, "auto", "text", "json")
	_ = s.Log.Level.UnmarshalText([]byte(v.LogLevel)) // info if it is not one of them
	if v.HTTPShowEvents && s.HTTP.Addr == "" {
		s.Warnings = append(s.Warnings, "HTTP_SHOW_EVENTS has no effect with HTTP_ADDR=off")
	}
}
