package aigateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

// TestNetworkSettings holds tls and proxy of a provider to their rules.
func TestNetworkSettings(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.pem")
	require.NoError(t, os.WriteFile(garbage, []byte("sk-not-a-certificate"), 0o600))
	missing := aigateway.TLS{CAFile: filepath.Join(dir, "none.pem")}
	named := aigateway.TLS{ServerName: "vllm.example.com"}
	const proxy = "http://user:s3cret@proxy.example.com:3128"
	loopback := aigateway.LoopbackURLPolicy()
	tests := []struct {
		name   string
		p      aigateway.Provider
		target string // of p.internal
		policy aigateway.URLPolicy
		want   []string
		reason string
	}{
		{name: "server name", p: aigateway.Provider{BaseURL: "https://p.example.com", TLS: named}},
		{name: "proxy", p: aigateway.Provider{BaseURL: "https://p.example.com", Proxy: proxy}},
		{name: "no proxy", p: aigateway.Provider{BaseURL: "http://p.internal", Proxy: aigateway.ProxyNone}},
		{name: "tls behind .internal", p: aigateway.Provider{BaseURL: "http://p.internal", TLS: named}, target: "https://10.0.0.1:8443"},
		{name: "missing file", p: aigateway.Provider{BaseURL: "https://p.example.com", TLS: missing}, want: []string{"tls.ca_file"}, reason: "no such file"},
		{
			name: "not a certificate", p: aigateway.Provider{BaseURL: "https://p.example.com", TLS: aigateway.TLS{CAFile: garbage, CertFile: garbage, KeyFile: garbage}},
			want: []string{"tls.ca_file", "tls.cert_file"}, reason: "holds no certificate in PEM",
		},
		{name: "no key", p: aigateway.Provider{BaseURL: "https://p.example.com", TLS: aigateway.TLS{CertFile: garbage}}, want: []string{"tls.key_file"}, reason: "is missing"},
		{name: "http", p: aigateway.Provider{BaseURL: "http://p.internal", TLS: named}, want: []string{"tls"}, reason: "as https:// in base_url"},
		{name: "http behind https", p: aigateway.Provider{BaseURL: "https://p.internal", TLS: named}, target: "http://10.0.0.1", want: []string{"tls"}, reason: "in internal_endpoints"},
		{name: "unix socket", p: aigateway.Provider{BaseURL: "http://p.internal", Proxy: proxy}, target: "unix:///run/p.sock", want: []string{"proxy"}, reason: "unix socket"},
		{name: "internal", p: aigateway.Provider{BaseURL: "https://p.internal", Proxy: proxy}, want: []string{"proxy"}, reason: "without a proxy"},
		{name: "keys in clear", p: aigateway.Provider{BaseURL: "http://localhost:1", Proxy: proxy}, policy: loopback, want: []string{"proxy"}, reason: "in clear"},
		{
			name: "public addresses", p: aigateway.Provider{BaseURL: "https://p.example.com", Proxy: proxy}, policy: aigateway.PublicURLPolicy(),
			want: []string{"proxy"}, reason: "out of its sight",
		},
		{name: "not a proxy", p: aigateway.Provider{BaseURL: "https://p.example.com", Proxy: "socks5://user:s3cret@p:1"}, want: []string{"proxy"}, reason: "must be http://host:port, or none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.p.ID = "p"
			cfg := aigateway.Config{Providers: []aigateway.Provider{tt.p}, Registry: aigateway.NoRegistry(), URLPolicy: tt.policy}
			if tt.target != "" {
				cfg.InternalEndpoints = map[string]string{"p.internal": tt.target}
			}
			_, err := aigateway.New(cfg)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			var problems aigateway.ConfigErrors
			require.ErrorAs(t, err, &problems)
			var paths []string
			for _, p := range problems {
				paths = append(paths, p.Path)
			}
			for i, want := range tt.want {
				tt.want[i] = "providers[0]." + want
			}
			assert.Equal(t, tt.want, paths)
			assert.ErrorContains(t, err, tt.reason)
			assert.NotContains(t, err.Error(), "s3cret")
			assert.NotContains(t, err.Error(), "sk-not")
		})
	}
}

// TestNetworkSettingsNeedOwnTransport refuses a Transport beside the settings that
// only the gateway's own knows.
func TestNetworkSettingsNeedOwnTransport(t *testing.T) {
	_, err := aigateway.New(aigateway.Config{
		Providers:         []aigateway.Provider{{ID: "p", BaseURL: "https://p.example.com", Proxy: "none"}},
		Transport:         http.DefaultTransport,
		ProviderTransport: func(string, *http.Transport) http.RoundTripper { return nil },
	})
	var problems aigateway.ConfigErrors
	require.ErrorAs(t, err, &problems)
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	assert.ElementsMatch(t, []string{"ProviderTransport", "Transport"}, paths)
}

func TestProxyHidesItsPassword(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"none":                           "none",
		"http://proxy:3128":              "http://proxy:3128",
		"http://user:s3cret@proxy:3128/": "http://…@proxy:3128",
		"http://s3cret@proxy":            "http://…@proxy",
		"user:s3cret@proxy:3128":         "…",
		"http://user:s3 cret@proxy":      "…",
	} {
		p := aigateway.Proxy(text)
		assert.Equal(t, want, p.String())
		assert.Equal(t, want, p.LogValue().String())
		raw, err := json.Marshal(aigateway.Provider{Proxy: p})
		require.NoError(t, err)
		for _, shown := range []string{fmt.Sprint(p), fmt.Sprintf("%#v", p), fmt.Sprintf("%+v %#v", aigateway.Provider{Proxy: p}, &aigateway.Config{Providers: []aigateway.Provider{{Proxy: p}}}), string(raw)} {
			assert.NotContains(t, shown, "s3")
		}
	}
}
