package gatewaytest

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
)

// Hosts are HTTPS servers on loopback. Each stands for a public host by name: a
// config with real addresses works unchanged, and nothing leaves the machine.
type Hosts struct {
	addrs map[string]string // from "api.example.com" to the loopback address
	roots *tls.Config

	mu      sync.Mutex
	refused []string
}

// NewHosts serves each handler as the host of its key, until the test ends.
func NewHosts(t testing.TB, handlers map[string]http.Handler) *Hosts {
	h := &Hosts{addrs: map[string]string{}}
	for host, handler := range handlers {
		server := httptest.NewTLSServer(handler)
		t.Cleanup(server.Close)
		h.addrs[host] = server.Listener.Addr().String()
		// One certificate is shared by all servers of httptest; it is for
		// example.com, whatever host is asked for.
		h.roots = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		h.roots.ServerName = "example.com"
	}
	return h
}

// Transport reaches the hosts on port 443, and is refused a connection by all
// other addresses. Its idle connections are closed when the test ends.
func (h *Hosts) Transport(t testing.TB) *http.Transport {
	tr := &http.Transport{TLSClientConfig: h.roots, DialContext: h.dial, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// Refused lists the addresses of all other dials.
func (h *Hosts) Refused() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.refused...)
}

func (h *Hosts) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if real, ok := h.addrs[host]; ok && err == nil && port == "443" {
		return new(net.Dialer).DialContext(ctx, network, real)
	}
	h.mu.Lock()
	h.refused = append(h.refused, addr)
	h.mu.Unlock()
	return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
}
