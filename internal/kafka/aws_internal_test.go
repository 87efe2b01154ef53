package kafka

import "testing"

func TestRegionOfBrokers(t *testing.T) {
	for host, want := range map[string]string{
		"b-1.audit.abcdef.c2.kafka.eu-west-1.amazonaws.com":       "eu-west-1",
		"boot-abcdef.c1.kafka-serverless.us-east-1.amazonaws.com": "us-east-1",
		"b-1.audit.abcdef.c2.kafka.cn-north-1.amazonaws.com.cn":   "cn-north-1",
		"kafka.internal.example":                                  "",
		"eu-west-1.amazonaws.com.example":                         "",
		"127.0.0.1":                                               "",
	} {
		if got := regionOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
