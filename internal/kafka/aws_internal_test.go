package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

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

// Credentials that no broker takes are replaced before their end: a role's sessions can be
// revoked.
func TestRefusedCredentialsAreReplaced(t *testing.T) {
	first := aws.Credentials{AccessKeyID: "first", SecretAccessKey: "s", CanExpire: true, Expires: time.Now().Add(time.Hour)}
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return first, nil })
	fixed := func(text string) Secret { return func() (string, error) { return text, nil } }
	a := &AWS{
		loaded:      &aws.Config{Region: "eu-west-1", Credentials: aws.NewCredentialsCache(provider)},
		AccessKeyID: fixed("next"), SecretAccessKey: fixed("s"), Region: "eu-west-1",
	}
	expect := func(when, want string) {
		t.Helper()
		if got, _, err := a.credentials(t.Context(), ""); got.AccessKeyID != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", when, got.AccessKeyID, err, want)
		}
	}
	expect("at first", "first")
	if _, _, err := (mskSession{a}).Challenge([]byte("{}")); err != nil {
		t.Fatal(err)
	}
	expect("taken", "first")
	a.trial.since = a.trial.since.Add(-9 * time.Second)
	expect("refused", "first")
	a.trial.since = a.trial.since.Add(-2 * time.Second)
	expect("refused for longer", "next")
}
