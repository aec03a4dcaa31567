package aigateway

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const tlsHandshakeTimeout = 10 * time.Second

// pingTimeout is how long an HTTP/2 connection may be silent before it is
// pinged, and then before it is given up.
const pingTimeout = 15 * time.Second

// newTransport makes the transport of a gateway that was given none.
//
//   - Answers come as the provider sends them: no decompression behind the
//     client's back, and redirects are a matter of http.Client alone.
//   - Requests to the same provider share many idle connections: the default of
//     two a host would have most of them dial anew under load.
//   - An answer's header may take 256 KiB, which no provider comes near, so that
//     endless ones end.
//   - There is no limit on the time to an answer: the attempt's own covers it. But
//     an HTTP/2 connection whose path has died is given up, or each request would
//     be sent into it. A model that thinks for minutes is not: its host answers.
//   - TLS sessions are resumed, and a handshake that fails says so: to the
//     failover a host that cannot be spoken to is one that cannot be reached.
func newTransport(addrs AddrPolicy) *http.Transport {
	dial := dialContext(addrs)
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
	if addrs != nil {
		t.Proxy = nil // the proxy would resolve the name, out of the policy's sight
	}
	return t
}

// connWatch tells what became of the connection that a request went out on.
type connWatch struct {
	trace          httptrace.ClientTrace
	kept, answered atomic.Bool // the transport may call from goroutines of its own
}

// watch returns a context whose request is watched.
func (c *connWatch) watch(ctx context.Context) context.Context {
	c.trace.GotConn = func(info httptrace.GotConnInfo) {
		t, ok := info.Conn.(*tls.Conn)
		c.kept.Store(info.Reused && !(ok && t.ConnectionState().NegotiatedProtocol == "h2"))
	}
	c.trace.GotFirstResponseByte = func() { c.answered.Store(true) }
	return httptrace.WithClientTrace(ctx, &c.trace)
}

// maxStale is how long after it was sent a request may still be found to have
// gone out on a connection that was closed by then. Later, the upstream was at
// work on it.
const maxStale = 5 * time.Second

// stale reports, of a request that failed, whether it went out on a connection
// that was kept from an earlier one, and on which nothing came back: upstreams
// close those at any time, and net/http sends another only where a request has no
// body. Over HTTP/2 it sends what was not looked at by itself.
func (c *connWatch) stale(err error, sent time.Time) bool {
	var timeout net.Error
	return c.kept.Load() && !c.answered.Load() && time.Since(sent) < maxStale && !(errors.As(err, &timeout) && timeout.Timeout())
}

// again returns a request that is like one that was sent.
func again(req *http.Request) *http.Request {
	r := *req
	r.Body, _ = req.GetBody()
	return &r
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialTLS dials and shakes hands, so that the errors of both are told alike.
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

// proxyExternal uses the environment's proxy for all but .internal hosts, which
// no proxy knows.
func proxyExternal(r *http.Request) (*url.URL, error) {
	if strings.HasSuffix(strings.TrimSuffix(r.URL.Hostname(), "."), ".internal") {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}
