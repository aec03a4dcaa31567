//go:build unix

package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// A page whose name is made to lead to this machine is of the same origin as the
// server, for its browser.
func TestDNSRebinding(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	server := start(t, "-config", writeConfig(t, filepath.Join(t.TempDir(), "gateway.yaml"), upstream.URL, ""))
	for _, url := range []string{server.url + "/v1/chat/completions", server.url + "/v1/models", server.admin + "/debug/aigateway", server.admin + "/"} {
		for host, status := range map[string]int{"evil.example:8080": http.StatusMisdirectedRequest, "127.0.0.1.nip.io": http.StatusMisdirectedRequest} {
			resp := fromPage(t, url, host, "http://"+host, "same-origin")
			assert.Equal(t, status, resp.StatusCode, "%s %s", host, url)
			requireRefusal(t, resp, "host_not_allowed")
			why := server.awaitLog(t, "request refused")
			assert.Equal(t, "WARN", why["level"])
			assert.Equal(t, host, why["host"])
			assert.Contains(t, why["remedy"], "-hosts")
		}
	}
	assert.Zero(t, upstream.Count())
	for _, health := range []string{"/healthz", "/readyz"} {
		for _, address := range []string{server.url, server.admin} {
			req, err := http.NewRequest(http.MethodGet, address+health, nil)
			require.NoError(t, err)
			req.Host = "10.0.0.7:8080"
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, http.StatusOK, resp.StatusCode)
		}
	}
	assert.Equal(t, http.StatusOK, fromPage(t, server.url+"/v1/chat/completions", "app.localhost", "http://app.localhost", "same-origin").StatusCode)
}

// A page from anywhere, open in a browser on this machine, must not spend the keys.
func TestPagesOfOthersAreRefused(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		gatewaytest.Chat("hello")(w, r)
	})
	server := start(t, "-cors", "https://app.example", "-config", writeConfig(t, filepath.Join(t.TempDir(), "gateway.yaml"), upstream.URL, ""))
	resp := fromPage(t, server.url+"/v1/chat/completions", "", "https://evil.example", "cross-site")
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	requireRefusal(t, resp, "origin_not_allowed")
	why := server.awaitLog(t, "request refused")
	assert.Equal(t, "https://evil.example", why["origin"])
	assert.Zero(t, upstream.Count())

	resp = fromPage(t, server.url+"/v1/chat/completions", "", "https://app.example", "cross-site")
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, []string{"https://app.example"}, resp.Header.Values("Access-Control-Allow-Origin"), "not that of the provider")
	assert.Contains(t, resp.Header.Values("Vary"), "Origin")
	assert.Contains(t, server.chat(t, http.StatusOK), "hello")
}

// fromPage sends a request as a browser sends that of a page.
func fromPage(t *testing.T, url, host, origin, site string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"model":"m","messages":[]}`))
	require.NoError(t, err)
	req.Host = host
	req.Header.Set("Content-Type", "text/plain") // needs no preflight
	req.Header.Set("Origin", origin)
	req.Header.Set("Sec-Fetch-Site", site)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}
