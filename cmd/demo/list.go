package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/openai-audit-kafka/openai-audit-kafka/internal/kafkatest"
)

// list is what the real API lists, both scopes, since the start. It is as simple
// as can be, and shares nothing with the connector, so that it can speak against
// it.
func list(ctx context.Context, s settings) ([]kafkatest.Want, error) {
	var all []kafkatest.Want
	for _, scope := range []string{"organization", "tenant"} {
		events, status, err := listScope(ctx, s, scope)
		if err != nil {
			return nil, err
		}
		denied := status == http.StatusUnauthorized || status == http.StatusForbidden
		switch {
		case status == http.StatusOK:
			all = append(all, events...)
		case scope == "tenant" && denied: // the connector goes on without them too
		default:
			return nil, fmt.Errorf("listing %s events for the proof: HTTP %d", scope, status)
		}
	}
	return all, nil
}

type page struct {
	Data    []json.RawMessage `json:"data"`
	HasMore bool              `json:"has_more"`
}

func listScope(ctx context.Context, s settings, scope string) (events []kafkatest.Want, status int, err error) {
	query := url.Values{
		"limit":             {"100"},
		"effective_at[gte]": {strconv.FormatInt(s.Since.Unix(), 10)},
	}
	if scope == "tenant" {
		query.Set("tenant_only", "true")
	}
	for {
		p, status, err := getPage(ctx, s, query)
		if err != nil || status != http.StatusOK {
			return nil, status, err
		}
		for _, raw := range p.Data {
			var head struct {
				ID          string `json:"id"`
				EffectiveAt int64  `json:"effective_at"`
			}
			if err := json.Unmarshal(raw, &head); err != nil {
				return nil, 0, fmt.Errorf("listing for the proof: %w", err)
			}
			events = append(events, kafkatest.Want{ID: head.ID, Scope: scope, EffectiveAt: head.EffectiveAt, Raw: raw})
			query.Set("after", head.ID)
		}
		if !p.HasMore || len(p.Data) == 0 {
			return events, http.StatusOK, nil
		}
	}
}

func getPage(ctx context.Context, s settings, query url.Values) (p page, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	key := s.Key
	if s.KeyFile != "" {
		text, err := os.ReadFile(s.KeyFile)
		if err != nil {
			return p, 0, fmt.Errorf("reading the admin key: %w", err)
		}
		key = strings.TrimSpace(string(text))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.BaseURL+"/organization/audit_logs?"+query.Encode(), nil)
	if err != nil {
		return p, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	client := &http.Client{Transport: &http.Transport{}} // no proxy: the environment is ignored
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return p, 0, fmt.Errorf("listing for the proof: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return p, resp.StatusCode, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		return p, 0, fmt.Errorf("listing for the proof: %w", err)
	}
	return p, resp.StatusCode, nil
}
