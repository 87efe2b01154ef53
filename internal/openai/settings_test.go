package openai_test

import (
	"strings"
	"testing"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/auditlog"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/openai"
	"github.com/openai-audit-kafka/openai-audit-kafka/internal/simulator"
)

// An error names the settings of the organization that it is about, and no others.
func TestErrorsNameTheSettingsThatAreMeant(t *testing.T) {
	for fault, want := range map[simulator.Fault]string{
		simulator.OtherHost:    "set ORGANIZATIONS_1_BASE_URL=https://eu.api.openai.com/v1",
		simulator.ProxyRefuses: "check HTTPS_PROXY, NO_PROXY and ORGANIZATIONS_1_BASE_URL",
		simulator.ServerError:  "ORGANIZATIONS_1_BASE_URL and status.openai.com",
		simulator.WrongKey:     "into the file of ORGANIZATIONS_1_ADMIN_KEY_FILE",
	} {
		api := simulator.New(simulator.Config{})
		api.SetFaults(map[simulator.Fault]float64{fault: 1})
		client, err := openai.New(openai.Config{
			BaseURL: "http://api.invalid/v1", Key: func() (string, error) { return simulator.Key, nil }, Attempts: 1,
			KeySetting: "ORGANIZATIONS_1_ADMIN_KEY", BaseURLSetting: "ORGANIZATIONS_1_BASE_URL",
			Transport: simulator.Transport(api),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Newest(t.Context(), auditlog.ScopeOrganization, 1)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "OPENAI_") {
			t.Errorf("%s: %v, want %q", fault, err, want)
		}
	}
}
