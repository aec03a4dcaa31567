package suite_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// networkFiles are the files of a provider's tls.
type networkFiles struct {
	t   *testing.T
	dir string
}

func (f networkFiles) put(name string, data []byte) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	require.NoError(f.t, os.WriteFile(path, data, 0o600))
	return path
}

// networkServer speaks TLS with a certificate of the authority, and wants one of it.
func networkServer(t *testing.T, ca *gatewaytest.Authority) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`)
	}))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(nil).Pair}, ClientCAs: gatewaytest.Pool(ca), ClientAuth: tls.RequireAndVerifyClientCert,
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// networkAsk sends a request, and returns its status, its answer, and all that an
// operator sees: the Result, the log and the debug page.
func networkAsk(t *testing.T, cfg aigateway.Config) (status int, answer, shown string) {
	t.Helper()
	var out bytes.Buffer
	cfg.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { fmt.Fprintf(&out, "%+v", res) }}
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"p:m","messages":[]}`)))
	page := httptest.NewRecorder()
	gateway.DebugHandler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?format=json", nil))
	return w.Code, w.Body.String(), out.String() + page.Body.String()
}

// TestNetworkFields names the field to set to the operator, and to no client.
func TestNetworkFields(t *testing.T) {
	ca, stranger := gatewaytest.NewAuthority(t, "ca"), gatewaytest.NewAuthority(t, "stranger")
	files := networkFiles{t, t.TempDir()}
	pair := ca.Issue(nil)
	caFile, cert, key := files.put("ca", ca.PEM), files.put("cert", pair.Cert), files.put("key", pair.Key)
	server := networkServer(t, ca)
	all := aigateway.TLS{CAFile: caFile, CertFile: cert, KeyFile: key}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodConnect, r.Method)
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	tests := []struct {
		name  string
		base  string
		tls   aigateway.TLS
		proxy aigateway.Proxy
		field string // empty: it connects
	}{
		{"all", "", all, "", ""},
		{"no authority", "", aigateway.TLS{CertFile: cert, KeyFile: key}, "", "tls.ca_file"},
		{"another authority", "", aigateway.TLS{CAFile: files.put("stranger", stranger.PEM), CertFile: cert, KeyFile: key}, "", "tls.ca_file"},
		{"no certificate", "", aigateway.TLS{CAFile: caFile}, "", "tls.cert_file"},
		{"another name", "", aigateway.TLS{CAFile: caFile, CertFile: cert, KeyFile: key, ServerName: "other.test"}, "", "tls.server_name"},
		{"a proxy's password", "https://upstream.test", all, aigateway.Proxy("http://someone:s3cret-word@" + proxy.Listener.Addr().String()), "set proxy to"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := aigateway.Config{
				Providers:         []aigateway.Provider{{ID: "p", BaseURL: "https://p.internal", TLS: tt.tls, Proxy: tt.proxy}},
				InternalEndpoints: map[string]string{"p.internal": server.URL},
			}
			if tt.base != "" {
				cfg.Providers[0].BaseURL = tt.base
			}
			status, answer, shown := networkAsk(t, cfg)
			if tt.field == "" {
				require.Equal(t, http.StatusOK, status, shown)
				return
			}
			assert.Equal(t, http.StatusBadGateway, status)
			assert.Contains(t, shown, tt.field)
			for _, hidden := range []string{"tls.", files.dir, "someone", "s3cret"} {
				assert.NotContains(t, answer, hidden)
			}
			assert.NotContains(t, shown, "s3cret")
			assert.NotContains(t, shown, "someone")
		})
	}
}

// TestProviderTransport wraps one provider, and leaves the rest as they are.
func TestProviderTransport(t *testing.T) {
	ca := gatewaytest.NewAuthority(t, "ca")
	files := networkFiles{t, t.TempDir()}
	pair := ca.Issue(nil)
	server := networkServer(t, ca)
	all := aigateway.TLS{CAFile: files.put("ca", ca.PEM), CertFile: files.put("cert", pair.Cert), KeyFile: files.put("key", pair.Key)}
	wrapped := map[string]int{}
	sent := 0
	cfg := aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "p", BaseURL: "https://p.internal", TLS: all}, {ID: "other", BaseURL: "https://p.internal", TLS: all},
		},
		InternalEndpoints: map[string]string{"p.internal": server.URL},
		Registry:          aigateway.NoRegistry(),
		ProviderTransport: func(id string, base *http.Transport) http.RoundTripper {
			wrapped[id]++
			if id != "p" {
				return nil
			}
			return gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				sent++
				return base.RoundTrip(r)
			})
		},
	}
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	ask := func(model string) {
		t.Helper()
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"`+model+`","messages":[]}`)))
		assert.Equal(t, http.StatusOK, w.Code, w.Body.String())
	}
	ask("p:m")
	ask("other:m")
	assert.Equal(t, 1, sent)
	assert.Equal(t, map[string]int{"p": 1, "other": 1}, wrapped)
	require.NoError(t, gateway.Reload(cfg))
	ask("p:m")
	assert.Equal(t, 2, sent)
	assert.Equal(t, map[string]int{"p": 2, "other": 2}, wrapped)
}
