package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Prometheus finds after a request that the second provider answered.
func TestScrape(t *testing.T) {
	handler, err := newHandler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()

	resp, err := http.Post(server.URL+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"model": "llama3.2", "messages": []}`))
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)

	resp, err = http.Get(server.URL + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, want := range []string{
		`aigateway_attempts_total{error_type="429",gen_ai_operation_name="chat",gen_ai_provider_name="busy",gen_ai_request_model="llama3.2",`,
		`aigateway_attempts_total{gen_ai_operation_name="chat",gen_ai_provider_name="idle",gen_ai_request_model="llama3.2",`,
		`aigateway_failovers_total{aigateway_failover_next_provider="idle",error_type="429",gen_ai_operation_name="chat",gen_ai_provider_name="busy",`,
		`aigateway_cooldowns_total{error_type="429",gen_ai_provider_name="busy",gen_ai_request_model="llama3.2",`,
		`aigateway_cost_USD_total{gen_ai_operation_name="chat",gen_ai_provider_name="idle",gen_ai_request_model="llama3.2",`,
		`gen_ai_client_operation_duration_seconds_bucket{error_type="429",`,
		`aigateway_request_duration_seconds_count{gen_ai_operation_name="chat",`,
	} {
		assert.Contains(t, string(page), want)
	}
	var tokens []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "gen_ai_client_token_usage_sum{") {
			_, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
			tokens = append(tokens, value)
		}
	}
	assert.ElementsMatch(t, []string{"9", "3"}, tokens)
}
