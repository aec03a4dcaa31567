package main

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Wherever it is mounted, the gateway finds the surface, and a stream comes
// through the router's middleware event by event.
func TestMounts(t *testing.T) {
	seen := make(chan struct{}) // the client has the first event
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/v1/chat/completions", r.URL.Path)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n")
		w.(http.Flusher).Flush()
		<-seen
		io.WriteString(w, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(upstream.Close)
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	require.NoError(t, err)
	cfg.InternalEndpoints = map[string]string{"ollama.internal": upstream.URL}
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	service := httptest.NewServer(routes(gateway))
	t.Cleanup(service.Close)

	for _, prefix := range []string{"/v1", "/team/v1", "/app/v1"} {
		t.Run(prefix, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, service.URL+prefix+"/chat/completions",
				strings.NewReader(`{"model":"llama3.2","stream":true,"messages":[]}`))
			require.NoError(t, err)
			req.Header.Set("X-Team", "search")
			resp, err := service.Client().Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusOK, resp.StatusCode)
			body := bufio.NewReader(resp.Body)
			first, err := body.ReadString('\n')
			require.NoError(t, err)
			assert.Contains(t, first, "one")
			seen <- struct{}{}
			rest, err := io.ReadAll(body)
			require.NoError(t, err)
			assert.Contains(t, string(rest), "[DONE]")
		})
	}

	t.Run("the service's own", func(t *testing.T) {
		resp, err := service.Client().Get(service.URL + "/app/page")
		require.NoError(t, err)
		defer resp.Body.Close()
		page, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "the service's own page\n", string(page))
	})
	t.Run("middleware before it", func(t *testing.T) {
		resp, err := service.Client().Post(service.URL+"/team/v1/chat/completions", "application/json", strings.NewReader(`{}`))
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	})
}
