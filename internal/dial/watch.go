package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Watch observes the connection of a request. The zero Watch is ready for one
// request.
type Watch struct {
	trace          httptrace.ClientTrace
	kept, answered atomic.Bool  // the transport may call from goroutines of its own
	shared         atomic.Bool  // the connection is of HTTP/2
	took           atomic.Int64 // to make the connection, in nanoseconds
	written        atomic.Int64 // when the last byte was sent, since start; 0: not yet
	start          time.Time
}

// Context returns a context for the request to watch.
func (c *Watch) Context(ctx context.Context) context.Context {
	c.start = time.Now()
	c.trace.GotConn = func(info httptrace.GotConnInfo) {
		conn := info.Conn
		t, ok := conn.(*tls.Conn)
		if ok {
			conn = t.NetConn()
		}
		if timed, ok := conn.(*timedConn); ok {
			c.took.Store(int64(timed.took))
		}
		shared := ok && t.ConnectionState().NegotiatedProtocol == "h2"
		c.shared.Store(shared)
		c.kept.Store(info.Reused && (info.WasIdle || !shared))
	}
	c.trace.WroteRequest = func(httptrace.WroteRequestInfo) { c.written.Store(int64(time.Since(c.start)) | 1) }
	c.trace.GotFirstResponseByte = func() { c.answered.Store(true) }
	return httptrace.WithClientTrace(ctx, &c.trace)
}

const (
	// minWindow is the time after a request's last byte in which its connection may
	// turn out to be closed: the news was on its way.
	minWindow = 250 * time.Millisecond
	// maxWindow bounds the same for far upstreams.
	maxWindow = time.Second
)

// Stale reports whether a failed request went out on a kept connection that the
// upstream had closed by then. It is so if nothing came back, and the request ended
// before its last byte or shortly after. Later, the upstream was at work on the
// request.
//
// Over HTTP/2, net/http itself repeats requests that the upstream says it has not
// processed. It repeats none on a connection that ends without a word. Such a
// connection was not in use by another request, and its end is no end of the stream alone.
func (c *Watch) Stale(err error) bool {
	var timeout net.Error
	if !c.kept.Load() || c.answered.Load() || errors.As(err, &timeout) && timeout.Timeout() {
		return false
	}
	if c.shared.Load() && !lostConnection(err) {
		return false
	}
	written := c.written.Load()
	window := min(max(minWindow, 2*time.Duration(c.took.Load())), maxWindow)
	return written == 0 || time.Since(c.start)-time.Duration(written) <= window
}

// lostConnection reports whether a connection ended, and not a stream on it.
func lostConnection(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && (op.Op == "read" || op.Op == "write")
}

// Again returns a copy of a sent request, to be sent once more. The request has a
// GetBody.
func Again(req *http.Request) *http.Request {
	r := *req
	r.Body, _ = req.GetBody()
	return &r
}
