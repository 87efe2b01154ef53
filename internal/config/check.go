package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/connector"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafka"
)

func checkRetention(e *environment, v values, k *connector.Kafka) {
	if v.Retention == "unlimited" {
		return
	}
	retention, err := ParseDuration(v.Retention)
	if err != nil || retention < time.Millisecond {
		e.fault("KAFKA_RETENTION", "not a duration", "write it like 90d, or unlimited")
		return
	}
	k.Retention = retention
}

func checkOperation(e *environment, v values, s *Settings) {
	s.HTTP.ShowEvents, s.Log.Format = bool(v.HTTPShowEvents), v.LogFormat
	if v.HTTPAddr != "off" {
		s.HTTP.Addr = v.HTTPAddr
		host, port, err := net.SplitHostPort(v.HTTPAddr)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		// What is no host would be looked up as one, and the error would show it.
		if _, noIP := netip.ParseAddr(host); err != nil || host != "" && noIP != nil && !kafka.IsHost(host) {
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
