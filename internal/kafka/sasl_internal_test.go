package kafka

import "testing"

// The extensions go with the token in the first message, as RFC 7628 and KIP-342 have it.
func TestExtensionsAreSent(t *testing.T) {
	m, err := SASL{
		Mechanism: "OAUTHBEARER", Token: func() (string, error) { return "t", nil },
		Extensions: map[string]string{"logicalCluster": "lkc-1", "identityPoolId": "pool-2"},
	}.mechanism()
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := m.Authenticate(t.Context(), "host:9092")
	want := "n,,\x01auth=Bearer t\x01identityPoolId=pool-2\x01logicalCluster=lkc-1\x01\x01"
	if err != nil || string(first) != want {
		t.Errorf("%q, %v, want %q", first, err, want)
	}
}
