package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

func TestFallback(t *testing.T) {
	down := gatewaytest.Error(http.StatusServiceUnavailable, "overloaded", "busy")
	for _, row := range []struct {
		name, path, body string
		upstream         http.HandlerFunc
		status           int
		want             string
	}{
		{"a model answers", "/v1/chat/completions", `{"model":"llama3.2"}`, gatewaytest.Chat("hello"), http.StatusOK, `"content":"hello"`},
		{"none does", "/v1/chat/completions", `{"model":"llama3.2"}`, down, http.StatusOK, `"content":"` + sorry + `"`},
		{"none does, as a stream", "/v1/chat/completions", `{"model":"llama3.2","stream":true}`, down, http.StatusOK, "data: [DONE]"},
		{"rate limited", "/v1/chat/completions", `{"model":"llama3.2"}`, gatewaytest.Error(http.StatusTooManyRequests, "rate_limit", "slowly"), http.StatusOK, sorry},
		{"the client's fault", "/v1/chat/completions", `{"model":"gpt-4o"}`, down, http.StatusUnprocessableEntity, `"code":"provider_not_allowed"`},
		{"the client's fault, says the model", "/v1/chat/completions", `{"model":"llama3.2"}`,
			gatewaytest.Error(http.StatusBadRequest, "bad", "messages is missing"), http.StatusBadRequest, "messages is missing"},
		{"another surface", "/v1/embeddings", `{"model":"llama3.2"}`, down, http.StatusServiceUnavailable, `"code":"upstream_error"`},
		{"not for the gateway", "/page", "", down, http.StatusNotFound, "404 page not found"},
	} {
		t.Run(row.name, func(t *testing.T) {
			upstream := gatewaytest.NewUpstream(t, row.upstream)
			cfg, err := aigateway.LoadConfig("gateway.yaml")
			require.NoError(t, err)
			cfg.InternalEndpoints["ollama.internal"] = upstream.URL
			gateway, err := aigateway.New(cfg)
			require.NoError(t, err)
			service := httptest.NewServer(gateway.Wrap(http.HandlerFunc(fallback)))
			t.Cleanup(service.Close)

			resp, err := service.Client().Post(service.URL+row.path, "application/json", strings.NewReader(row.body))
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, row.status, resp.StatusCode, string(body))
			assert.Contains(t, string(body), row.want)
			if strings.HasPrefix(string(body), "data: ") {
				event, _, _ := strings.Cut(strings.TrimPrefix(string(body), "data: "), "\n")
				assert.True(t, json.Valid([]byte(event)), event)
				assert.Contains(t, event, sorry)
			}
		})
	}
}
