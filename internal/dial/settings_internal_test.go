package dial

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

func TestSettingsCheck(t *testing.T) {
	d := newDirectory(t)
	ca := gatewaytest.NewAuthority(t, "ca")
	one, two := ca.Issue(nil), ca.Issue(nil)
	caFile, cert, key := d.put("ca", ca.PEM), d.put("cert", one.Cert), d.put("key", one.Key)
	other := d.put("other", two.Key)
	garbage := d.put("garbage", []byte("sk-secret-that-is-not-pem"))
	cut := d.put("cut", append(bytes.Clone(ca.PEM), ca.PEM[:len(ca.PEM)/2]...))
	large := d.put("large", make([]byte, maxFile+1))
	tests := []struct {
		name string
		s    Settings
		want []string
	}{
		{"zero", Settings{}, nil},
		{"all", Settings{CAFile: caFile, CertFile: cert, KeyFile: key, ServerName: "upstream.test", Proxy: "http://proxy:3128"}, nil},
		{"no proxy", Settings{Proxy: "none"}, nil},
		{"address as a name", Settings{ServerName: "::1"}, nil},
		{"missing file", Settings{CAFile: d.path + "/none"}, []string{"tls.ca_file"}},
		{"directory", Settings{CAFile: d.path}, []string{"tls.ca_file"}},
		{"too large", Settings{CAFile: large}, []string{"tls.ca_file"}},
		{"no PEM", Settings{CAFile: garbage}, []string{"tls.ca_file"}},
		{"a key", Settings{CAFile: key}, []string{"tls.ca_file"}},
		{"half written", Settings{CAFile: cut}, []string{"tls.ca_file"}},
		{"certificate without key", Settings{CertFile: cert}, []string{"tls.key_file"}},
		{"key without certificate", Settings{KeyFile: key}, []string{"tls.cert_file"}},
		{"key of another", Settings{CertFile: cert, KeyFile: other}, []string{"tls.key_file"}},
		{"no certificate", Settings{CertFile: garbage, KeyFile: key}, []string{"tls.cert_file"}},
		{"no key", Settings{CertFile: cert, KeyFile: garbage}, []string{"tls.key_file"}},
		{"name with a port", Settings{ServerName: "upstream.test:443"}, []string{"tls.server_name"}},
		{"proxy by TLS", Settings{Proxy: "https://u:s3cret@proxy:3128"}, []string{"proxy"}},
		{"proxy without scheme", Settings{Proxy: "proxy:3128"}, []string{"proxy"}},
		{"proxy with a path", Settings{Proxy: "http://u:s3cret@proxy:3128/x"}, []string{"proxy"}},
		{"proxy that does not parse", Settings{Proxy: "http://u:s3cret@proxy:31 28"}, []string{"proxy"}},
		{"all wrong", Settings{CAFile: filepath.Join(d.path, "x"), CertFile: cert, ServerName: "a/b", Proxy: "x"}, []string{"tls.ca_file", "tls.key_file", "tls.server_name", "proxy"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var fields []string
			for _, f := range tt.s.Check() {
				fields = append(fields, f.Field)
				assert.NotContains(t, f.Error(), "s3cret")
				assert.NotContains(t, f.Error(), "sk-secret")
			}
			assert.Equal(t, tt.want, fields)
			_, faults := New(tt.s, nil, nil)
			assert.Len(t, faults, len(tt.want))
		})
	}
}

// TestHandshake has servers of a private authority, and names the field to set.
func TestHandshake(t *testing.T) {
	d := newDirectory(t)
	ca, stranger := gatewaytest.NewAuthority(t, "ca"), gatewaytest.NewAuthority(t, "stranger")
	good, bad := ca.Issue(nil), stranger.Issue(nil)
	caFile, strangerFile := d.put("ca", ca.PEM), d.put("stranger", stranger.PEM)
	cert, key := d.put("cert", good.Cert), d.put("key", good.Key)
	badCert, badKey := d.put("bad-cert", bad.Cert), d.put("bad-key", bad.Key)
	expired := ca.Issue(func(c *x509.Certificate) { c.NotAfter = gatewaytest.ValidFrom.AddDate(1, 0, 0) })
	mutual := &tls.Config{Certificates: []tls.Certificate{good.Pair}, ClientCAs: gatewaytest.Pool(ca), ClientAuth: tls.RequireAndVerifyClientCert}
	old := mutual.Clone()
	old.MaxVersion = tls.VersionTLS12
	tests := []struct {
		name   string
		server *tls.Config
		s      Settings
		field  string // empty and no failure: it connects
		hint   string
		fails  bool
	}{
		{"private authority", &tls.Config{Certificates: []tls.Certificate{good.Pair}}, Settings{CAFile: caFile}, "", "", false},
		{"client certificate", mutual, Settings{CAFile: caFile, CertFile: cert, KeyFile: key}, "", "", false},
		{"client certificate in TLS 1.2", old, Settings{CAFile: caFile, CertFile: cert, KeyFile: key}, "", "", false},
		{"roots of the system", &tls.Config{Certificates: []tls.Certificate{good.Pair}}, Settings{}, "tls.ca_file", "set tls.ca_file", true},
		{"another authority", &tls.Config{Certificates: []tls.Certificate{good.Pair}}, Settings{CAFile: strangerFile}, "tls.ca_file", "does not hold", true},
		{"another name", &tls.Config{Certificates: []tls.Certificate{good.Pair}}, Settings{CAFile: caFile, ServerName: "other.test"}, "tls.server_name", `not for "other.test"`, true},
		{"no client certificate", mutual, Settings{CAFile: caFile}, "tls.cert_file", "set tls.cert_file and tls.key_file", true},
		{"no client certificate in TLS 1.2", old, Settings{CAFile: caFile}, "tls.cert_file", "set tls.cert_file and tls.key_file", true},
		{"a stranger's client certificate", mutual, Settings{CAFile: caFile, CertFile: badCert, KeyFile: badKey}, "tls.cert_file", "refused", true},
		{"expired", &tls.Config{Certificates: []tls.Certificate{expired.Pair}}, Settings{CAFile: caFile}, "", "", true},
	}
	for _, tt := range tests {
		for _, proto := range []string{"h2", "http/1.1"} {
			t.Run(tt.name+"/"+proto, func(t *testing.T) {
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
				server.Config.ErrorLog = discard()
				server.TLS = tt.server.Clone()
				server.TLS.NextProtos = []string{proto}
				server.StartTLS()
				defer server.Close()
				transport, faults := New(tt.s, nil, nil)
				require.Empty(t, faults)
				defer transport.CloseIdleConnections()

				err := get(t, transport, server.URL)
				if !tt.fails {
					require.NoError(t, err)
					return
				}
				require.Error(t, err)
				assert.True(t, IsConnect(err), "%v", err)
				assert.Equal(t, tt.field, Field(err), "%v", err)
				assert.Contains(t, tt.s.Hint(err), tt.hint)
				assert.Equal(t, tt.hint == "", tt.s.Hint(err) == "")
			})
		}
	}
	assert.Empty(t, Field(io.EOF))
	assert.False(t, IsConnect(&net.OpError{Op: "read", Err: io.EOF}))
}

// get sends a request with a body, and reads the answer.
func get(t *testing.T, transport http.RoundTripper, url string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte("{}")))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
