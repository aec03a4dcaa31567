// Package dial reaches upstreams. It dials TCP and Unix sockets, checks each address
// before the connect, and recognises a request that was sent on a closed connection.
package dial

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
)

const tlsHandshakeTimeout = 10 * time.Second

// pingTimeout is how long an HTTP/2 connection may be silent before it is
// pinged, and then before it is given up.
const pingTimeout = 15 * time.Second

// NewTransport makes the transport of a gateway. Each address is checked before it
// is connected to; a nil check allows all. See [Context].
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
func NewTransport(check func(netip.Addr) error) *http.Transport {
	dial := Context(check)
	config := &tls.Config{
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
		NextProtos:         []string{"h2", "http/1.1"},
		MinVersion:         tls.VersionTLS12,
	}
	t := &http.Transport{
		Proxy:                  proxyExternal,
		DialContext:            dial,
		DialTLSContext:         dialTLS(dial, config),
		TLSClientConfig:        config, // behind a proxy
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
	if check != nil {
		t.Proxy = nil // the proxy would resolve the name, out of the policy's sight
	}
	return t
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialTLS dials and shakes hands, so that the errors of both have one type.
func dialTLS(dial dialFunc, config *tls.Config) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := config.Clone()
		c.ServerName, _, _ = net.SplitHostPort(addr)
		tlsConn := tls.Client(conn, c)
		shaking, cancel := context.WithTimeout(ctx, tlsHandshakeTimeout)
		defer cancel()
		if err := tlsConn.HandshakeContext(shaking); err != nil {
			conn.Close()
			return nil, &net.OpError{Op: "dial", Net: "tls", Addr: conn.RemoteAddr(), Err: err}
		}
		return tlsConn, nil
	}
}

// proxyExternal uses the environment's proxy, but not for .internal hosts: a proxy
// does not know them.
func proxyExternal(r *http.Request) (*url.URL, error) {
	if address.IsInternal(r.URL.Hostname()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}
