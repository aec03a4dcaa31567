// Package dial reaches upstreams. It dials TCP and Unix sockets, checks each address
// before the connect, speaks TLS with a provider's own authorities and certificates,
// goes through proxies, and recognises a request that was sent on a closed connection.
package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// tlsHandshakeTimeout bounds a handshake with an upstream, straight or behind a
// proxy. It is the one of net/http's DefaultTransport.
const tlsHandshakeTimeout = 10 * time.Second

// pingTimeout is how long an HTTP/2 connection may be silent before it is
// pinged, and then before it is given up.
const pingTimeout = 15 * time.Second

// newTransport makes a transport. Its handshakes follow the current config.
//
//   - Answers come as the provider sends them: nothing is decompressed, and
//     redirects are returned as they are.
//   - Requests to the same provider share many idle connections. Under load, the
//     default of two a host would have most requests dial anew.
//   - The header of an answer may take 256 KiB, so that endless headers end.
//   - The time to an answer is not limited, for each attempt has its own limit. But
//     an HTTP/2 connection whose path has died is given up, or each request would
//     be sent into it. The host of a slow model still answers its pings.
//   - TLS sessions are resumed. A failed handshake is a [net.OpError] like a failed
//     dial.
func newTransport(dial dialFunc, proxy *proxies, current *atomic.Pointer[tls.Config]) *http.Transport {
	return &http.Transport{
		Proxy:                  proxy.choose,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            dial,
		DialTLSContext:         dialTLS(dial, current, proxy),
		TLSClientConfig:        current.Load().Clone(), // behind a proxy
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingTimeout, PingTimeout: pingTimeout},
	}
}

// tlsConfig is the config for a provider. Its sessions are its own: one
// begun under other authorities must not be resumed.
func tlsConfig(s Settings, m *material) *tls.Config {
	return &tls.Config{
		RootCAs:            m.roots,
		Certificates:       m.certs,
		ServerName:         s.ServerName,
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
		NextProtos:         []string{"h2", "http/1.1"},
		MinVersion:         tls.VersionTLS12,
	}
}

// dialFunc is a net.Dialer's DialContext.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialTLS dials and shakes hands, for errors of one type. A proxy with TLS of its
// own gets nothing of the provider's.
func dialTLS(dial dialFunc, current *atomic.Pointer[tls.Config], proxy *proxies) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		begin := time.Now()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := current.Load().Clone()
		if proxy.is(addr) {
			c = &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
		}
		if ctx.Value(http1Key{}) != nil {
			c.NextProtos = []string{"http/1.1"}
		}
		if c.ServerName == "" {
			c.ServerName, _, _ = net.SplitHostPort(addr)
		}
		tlsConn := tls.Client(conn, c)
		shaking, cancel := context.WithTimeout(ctx, tlsHandshakeTimeout)
		defer cancel()
		if err := tlsConn.HandshakeContext(shaking); err != nil {
			conn.Close()
			return nil, &net.OpError{Op: "dial", Net: "tls", Addr: conn.RemoteAddr(), Err: err}
		}
		if timed, ok := conn.(*timedConn); ok {
			timed.took = time.Since(begin)
		}
		return tlsConn, nil
	}
}

// proxies chooses the proxy of requests.
type proxies struct {
	fixed   *url.URL // of the settings
	none    bool
	tlsAddr atomic.Pointer[string] // of the environment's, if it speaks TLS
}

// newProxies returns the proxies of valid settings. A policy about addresses
// forbids all: a proxy resolves names out of the policy's sight.
func newProxies(s Settings, policy bool) *proxies {
	fixed, _ := s.proxyURL()
	return &proxies{fixed: fixed, none: policy || s.Proxy == ProxyNone}
}

// choose is a function for [net/http.Transport.Proxy]. No proxy gets a request to a
// .internal host: a proxy does not know them.
func (p *proxies) choose(r *http.Request) (*url.URL, error) {
	if p.none || isInternal(r.URL.Hostname(), r.Host) {
		return nil, nil
	}
	if p.fixed != nil {
		return p.fixed, nil
	}
	u, err := http.ProxyFromEnvironment(r)
	if err != nil { // its text quotes the password
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: errors.New("the proxy of the environment is not a URL")}
	}
	if u != nil && u.Scheme == "https" {
		port := u.Port()
		if port == "" {
			port = "443"
		}
		addr := net.JoinHostPort(u.Hostname(), port)
		p.tlsAddr.Store(&addr)
	}
	return u, nil
}

// is reports whether an address is a proxy's with TLS.
func (p *proxies) is(addr string) bool {
	known := p.tlsAddr.Load()
	return known != nil && *known == addr
}

// proxyAnswer makes an error of a proxy's refusal.
func proxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &ProxyError{resp.StatusCode}
	}
	return nil
}

// http1Key marks the context of a request that HTTP/2 cannot carry.
type http1Key struct{}

// HTTP1 returns a context for requests beyond HTTP/2, such as an
// upgrade to a websocket.
func HTTP1(ctx context.Context) context.Context { return context.WithValue(ctx, http1Key{}, true) }
