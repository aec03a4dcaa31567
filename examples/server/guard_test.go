package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHosts(t *testing.T) {
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	loopback6 := &net.TCPAddr{IP: net.IPv6loopback, Port: 8080}
	public := &net.TCPAddr{IP: net.IPv6unspecified, Port: 8080}
	for _, row := range []struct {
		name     string
		listener net.Addr
		listed   string
		allowed  string
		refused  string // and empty
	}{
		{"loopback", loopback, "", "localhost localhost:8080 LOCALHOST. app.localhost:1 127.0.0.1 127.9.9.9:80 [::1] [::1]:8080 [::ffff:127.0.0.1]",
			"evil.example localhost.evil.example notlocalhost 192.0.2.1 127.0.0.1.nip.io 0.0.0.0 [::] 2130706433 127.1 ::1 [::1%25lo] localhost:evil.example @localhost evil.example:127.0.0.1"},
		{"loopback of IPv6", loopback6, "", "localhost:8080 127.0.0.1", "evil.example [2001:db8::1]"},
		{"loopback behind a proxy", loopback, "api.example", "api.example API.example.:443 localhost", "evil.example x.api.example 192.0.2.1"},
		{"public without a list", public, "", "localhost 192.0.2.1:8080 [2001:db8::1]:8080", "evil.example aigateway"},
		{"public with a list", public, " a.example,B.Example. ,", "a.example a.example:8080 b.example 192.0.2.1 127.0.0.1:8080", "c.example evil.a.example"},
		{"an address in the list", loopback, "192.0.2.1,[2001:db8::1]", "192.0.2.1:80 [2001:DB8::1]:8080", "192.0.2.2"},
		{"any", public, "*", "evil.example anything:1", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			h, err := parseHosts(row.listed)
			require.NoError(t, err)
			for _, host := range strings.Fields(row.allowed) {
				assert.True(t, h.allow(row.listener, host), host)
			}
			for _, host := range strings.Fields(row.refused) {
				assert.False(t, h.allow(row.listener, host), host)
			}
			assert.Equal(t, h[anyHost], h.allow(row.listener, ""))
		})
	}
}

func TestOrigins(t *testing.T) {
	const self = "http://gateway.example"
	preflight := http.Header{"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,x-stainless-os"}}
	for _, row := range []struct {
		name, listed, method string
		header               http.Header
		origin, site         string // of the page
		status               int
		allowed              bool // whether the page may read the answer
	}{
		{name: "no page", method: "POST", status: 200},
		{name: "the server's own page", method: "POST", origin: self, site: "same-origin", status: 200},
		{name: "typed by the user", method: "GET", site: "none", status: 200},
		{name: "a page of others", method: "POST", origin: "https://evil.example", site: "cross-site", status: 403},
		{name: "in an older browser", method: "POST", origin: "https://evil.example", status: 403},
		{name: "of a sandboxed frame", method: "POST", origin: "null", site: "cross-site", status: 403},
		{name: "on another port", method: "POST", origin: self + ":3000", site: "same-site", status: 403},
		{name: "an image of a page", method: "GET", site: "cross-site", status: 403},
		{name: "a WebSocket of a page", method: "GET", origin: "https://evil.example", status: 403},
		{name: "a preflight", method: "OPTIONS", header: preflight, origin: "https://evil.example", site: "cross-site", status: 403},
		{name: "a preflight in an older browser", method: "OPTIONS", header: preflight, origin: "https://evil.example", status: 403},
		{name: "listed", listed: "https://app.example", method: "POST", origin: "https://app.example", site: "cross-site", status: 200, allowed: true},
		{name: "listed with more letters", listed: "HTTPS://App.Example:443", method: "GET", origin: "https://app.example", site: "cross-site", status: 200, allowed: true},
		{name: "listed, the second", listed: "https://a.example, http://localhost:3000", method: "POST", origin: "http://localhost:3000", status: 200, allowed: true},
		{name: "listed, an app", listed: "app://obsidian.md", method: "POST", origin: "app://obsidian.md", site: "cross-site", status: 200, allowed: true},
		{name: "listed, a preflight", listed: "https://app.example", method: "OPTIONS", header: preflight, origin: "https://app.example", status: 204, allowed: true},
		{name: "another than listed", listed: "https://app.example", method: "POST", origin: "https://app.example.evil.example", site: "cross-site", status: 403},
		{name: "another scheme than listed", listed: "https://app.example", method: "OPTIONS", header: preflight, origin: "http://app.example", status: 403},
		{name: "no page, with a list", listed: "https://app.example", method: "POST", status: 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			o, err := parseOrigins(row.listed)
			require.NoError(t, err)
			var log bytes.Buffer
			g := &guard{hosts{}, o, slog.New(slog.NewJSONHandler(&log, nil))}
			served := false
			r := httptest.NewRequest(row.method, self+"/v1/models", nil)
			for name, values := range row.header {
				r.Header[name] = values
			}
			if row.origin != "" {
				r.Header.Set("Origin", row.origin)
			}
			if row.site != "" {
				r.Header.Set("Sec-Fetch-Site", row.site)
			}
			w := httptest.NewRecorder()
			g.origin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })).ServeHTTP(w, r)
			assert.Equal(t, row.status, w.Code)
			assert.Equal(t, row.status == http.StatusOK, served)
			assert.Equal(t, row.listed != "", strings.Contains(strings.Join(w.Header().Values("Vary"), ","), "Origin"), "a cache must not mix them up")
			if row.status == http.StatusForbidden {
				requireRefusal(t, w.Result(), "origin_not_allowed")
				assert.Contains(t, log.String(), `"request refused"`)
				assert.Contains(t, log.String(), "-cors")
			} else {
				assert.Empty(t, log.String())
			}
			if !row.allowed {
				for name := range w.Header() {
					assert.NotContains(t, name, "Access-Control-")
				}
				return
			}
			assert.Equal(t, row.origin, w.Header().Get("Access-Control-Allow-Origin"))
			assert.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"))
			if row.method == http.MethodOptions {
				assert.Equal(t, "authorization,x-stainless-os", w.Header().Get("Access-Control-Allow-Headers"))
				assert.Contains(t, w.Header().Get("Access-Control-Allow-Methods"), "POST")
			}
		})
	}
}

// requireRefusal takes an answer for an error in the OpenAI format.
func requireRefusal(t *testing.T, resp *http.Response, code string) {
	t.Helper()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"), string(raw))
	var body struct {
		Error map[string]any `json:"error"`
	}
	require.NoError(t, json.Unmarshal(raw, &body), string(raw))
	assert.Equal(t, code, body.Error["code"])
	assert.Equal(t, "invalid_request_error", body.Error["type"])
	assert.NotEmpty(t, body.Error["message"])
	assert.Contains(t, body.Error, "param")
	assert.NotContains(t, string(raw), "-hosts", "that is for the operator")
}
