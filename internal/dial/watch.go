package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Watch observes the connection of a request. The zero Watch is
// ready for one request.
type Watch struct {
	trace          httptrace.ClientTrace
	kept, answered atomic.Bool // the transport may call from goroutines of its own
}

// Context returns a context for the request to watch.
func (c *Watch) Context(ctx context.Context) context.Context {
	c.trace.GotConn = func(info httptrace.GotConnInfo) {
		t, ok := info.Conn.(*tls.Conn)
		c.kept.Store(info.Reused && !(ok && t.ConnectionState().NegotiatedProtocol == "h2"))
	}
	c.trace.GotFirstResponseByte = func() { c.answered.Store(true) }
	return httptrace.WithClientTrace(ctx, &c.trace)
}

// maxStale is how long after its start a request can turn out to have gone to a
// closed connection. Later, the upstream was at work on it.
const maxStale = 5 * time.Second

// Stale reports whether a failed request went out on a connection kept from an earlier
// request, and nothing came back on it. Upstreams close such
// connections at any time, and net/http repeats only a request without a body. Over
// HTTP/2 net/http repeats by itself each request that was not looked at.
func (c *Watch) Stale(err error, sent time.Time) bool {
	var timeout net.Error
	return c.kept.Load() && !c.answered.Load() && time.Since(sent) < maxStale && !(errors.As(err, &timeout) && timeout.Timeout())
}

// Again returns a copy of a request that was sent, to be sent once more. The
// request has a GetBody.
func Again(req *http.Request) *http.Request {
	r := *req
	r.Body, _ = req.GetBody()
	return &r
}
