package dial

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

const apiKey = "sk-key-of-the-provider-0123456789"

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

// connectProxy is a proxy that knows only CONNECT. It keeps all that passes.
type connectProxy struct {
	to       string // each host is here
	password string // empty: free for all

	mu    sync.Mutex
	seen  bytes.Buffer
	hosts []string
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.hosts = append(p.hosts, r.Method+" "+r.Host)
	r.Write(&p.seen)
	p.mu.Unlock()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+p.password))
	if p.password != "" && r.Header.Get("Proxy-Authorization") != want {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		io.Copy(down, io.TeeReader(up, p))
		down.Close()
	}()
	io.Copy(up, io.TeeReader(buffered, p))
}

// Write keeps what passes through a tunnel.
func (p *connectProxy) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.Write(data)
}

// TestProxy goes to a server with a private authority and a client certificate
// through a tunnel.
func TestProxy(t *testing.T) {
	const password = "s3cret-of-the-proxy"
	d := newDirectory(t)
	ca := gatewaytest.NewAuthority(t, "ca")
	pair := ca.Issue(nil)
	s := Settings{CAFile: d.put("ca", ca.PEM), CertFile: d.put("cert", pair.Cert), KeyFile: d.put("key", pair.Key)}
	tests := []struct {
		name, password, user string
		field                string
		hint                 string
	}{
		{"free for all", "", "", "", ""},
		{"password", password, "user:" + password + "@", "", ""},
		{"no password", password, "", "proxy", "wants a user and a password"},
		{"wrong password", password, "user:wrong-" + password + "@", "proxy", "wants a user and a password"},
	}
	for _, tt := range tests {
		for _, proto := range []string{"h2", "http/1.1"} {
			t.Run(tt.name+"/"+proto, func(t *testing.T) {
				upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					assert.Equal(t, "Bearer "+apiKey, r.Header.Get("Authorization"))
					assert.Empty(t, r.Header.Get("Proxy-Authorization"))
					assert.Equal(t, "upstream.test", r.Host)
				}))
				upstream.TLS = &tls.Config{
					Certificates: []tls.Certificate{pair.Pair}, ClientCAs: gatewaytest.Pool(ca), ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{proto},
				}
				upstream.StartTLS()
				defer upstream.Close()
				proxy := &connectProxy{to: upstream.Listener.Addr().String(), password: tt.password}
				server := httptest.NewServer(proxy)
				defer server.Close()
				defer server.CloseClientConnections()

				s := s
				s.Proxy = "http://" + tt.user + server.Listener.Addr().String()
				transport, faults := New(s, nil, nil)
				require.Empty(t, faults)
				defer transport.CloseIdleConnections()
				err := get(t, transport, "https://upstream.test/v1/chat/completions")

				proxy.mu.Lock()
				defer proxy.mu.Unlock()
				assert.Equal(t, []string{"CONNECT upstream.test:443"}, proxy.hosts)
				assert.NotContains(t, proxy.seen.String(), apiKey, "the key in clear at the proxy")
				if tt.field == "" {
					require.NoError(t, err)
					return
				}
				require.Error(t, err)
				assert.True(t, IsConnect(err))
				assert.Equal(t, tt.field, Field(err))
				assert.Contains(t, s.Hint(err), tt.hint)
				assert.NotContains(t, err.Error()+s.Hint(err), password)
			})
		}
	}
}

// TestProxyDown asks a proxy that does not listen, and one that finds no upstream.
func TestProxyDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := listener.Addr().String()
	listener.Close()
	server := httptest.NewServer(&connectProxy{to: nobody})
	defer server.Close()
	for _, proxy := range []string{nobody, server.Listener.Addr().String()} {
		s := Settings{Proxy: "http://user:s3cret@" + proxy}
		transport, faults := New(s, nil, nil)
		require.Empty(t, faults)
		err = get(t, transport, "https://upstream.test")
		require.Error(t, err)
		assert.True(t, IsConnect(err))
		assert.Equal(t, "proxy", Field(err), "%v", err)
		assert.NotContains(t, err.Error()+s.Hint(err), "s3cret")
		transport.CloseIdleConnections()
	}
}

// TestProxyChoice asks which requests go by a proxy.
func TestProxyChoice(t *testing.T) {
	none := func(netip.Addr) error { return nil }
	tests := []struct {
		name, proxy, url, host string
		check                  func(netip.Addr) error
		want                   bool
	}{
		{"external", "http://proxy:3128", "https://api.example.com/v1", "api.example.com", nil, true},
		{"none", "none", "https://api.example.com/v1", "api.example.com", nil, false},
		{"internal", "http://proxy:3128", "https://vllm.internal/v1", "vllm.internal", nil, false},
		{"internal with an address", "http://proxy:3128", "https://10.0.0.12:8443/v1", "vllm.internal:8443", nil, false},
		{"policy about addresses", "http://proxy:3128", "https://api.example.com/v1", "api.example.com", none, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target, err := url.Parse(tt.url)
			require.NoError(t, err)
			u, err := newProxies(Settings{Proxy: tt.proxy}, tt.check != nil).choose(&http.Request{URL: target, Host: tt.host})
			require.NoError(t, err)
			assert.Equal(t, tt.want, u != nil)
		})
	}
}

// TestHTTP1 asks a server that prefers HTTP/2.
func TestHTTP1(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, 1, r.ProtoMajor)
		assert.Equal(t, "websocket", r.Header.Get("Upgrade"))
	}))
	server.EnableHTTP2 = true
	ca := gatewaytest.NewAuthority(t, "ca")
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(nil).Pair}}
	server.StartTLS()
	defer server.Close()
	transport, faults := New(Settings{CAFile: newDirectory(t).put("ca", ca.PEM)}, nil, nil)
	require.Empty(t, faults)
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(HTTP1(context.Background()), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	resp.Body.Close()
}
