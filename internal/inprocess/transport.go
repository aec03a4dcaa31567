// Package inprocess sends HTTP requests to an [http.Handler] in this process, as a
// client would over a socket.
//
// A call has one goroutine, which runs the handler. Small writes go through a
// buffer, and a flush delivers them. A large write waits until its bytes were read,
// and its reader copies them from where they lie. A large body of a request is not
// copied by a handler that borrows it.
package inprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/header"
)

// Transport is an [http.RoundTripper] in front of a handler. It is safe for
// concurrent use if the handler is.
type Transport struct {
	Handler http.Handler
	// Panicked is told about a panic of the handler other than
	// [http.ErrAbortHandler]. The call fails either way. Nil tells nobody.
	Panicked func(value any, stack []byte)
	// Context makes the context of a call from its request's. Both the handler's
	// request and the answer's have it. Nil leaves it as it is.
	Context func(context.Context) context.Context
}

// RoundTrip calls the handler, and returns when its answer begins.
//
// The body of the request is closed in any case, perhaps after the return. No handler
// borrows its bytes any more once the call has failed, or the answer's body was closed.
// The answer's body must be closed, or the handler's goroutine may wait for ever.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	err := context.Cause(ctx)
	if err == nil {
		err = sound(r)
	}
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	if t.Context != nil {
		ctx = t.Context(ctx)
	}
	c := newCall(ctx, r)
	go c.run(t)
	select {
	case <-c.readable:
	case <-ctx.Done():
	}
	// Both may be so: the handler has answered that its client is gone.
	if ctx.Err() == nil {
		return c.response()
	}
	c.leave()
	return nil, context.Cause(ctx)
}

// sound returns an error for a request that could not go over a socket. No provider is to
// blame for it.
func sound(r *http.Request) error {
	switch {
	case r.URL == nil:
		return errors.New("inprocess: the request has no URL")
	case r.Method != "" && !header.IsName(r.Method):
		return fmt.Errorf("inprocess: invalid method %q", r.Method)
	case r.ContentLength > 0 && (r.Body == nil || r.Body == http.NoBody):
		return fmt.Errorf("inprocess: the request has no body, and ContentLength is %d", r.ContentLength)
	}
	for name, values := range r.Header {
		if !header.IsName(name) {
			return fmt.Errorf("inprocess: invalid header name %q", name)
		}
		for _, v := range values {
			if !header.IsValue(v) { // its value may be a secret
				return fmt.Errorf("inprocess: the value of the header %q holds a line break or control character", name)
			}
		}
	}
	return nil
}

// canonical is a copy of a header, with its names as a server writes them. The caller
// may use its header again while the handler still runs.
func canonical(h http.Header) http.Header {
	out := h.Clone()
	for name, values := range out {
		if canon := http.CanonicalHeaderKey(name); canon != name {
			delete(out, name)
			out[canon] = append(out[canon], values...)
		}
	}
	return out
}

// run runs the handler to its end.
func (c *call) run(t *Transport) {
	returned := false
	defer func() {
		v := recover()
		if v != nil && v != any(http.ErrAbortHandler) && t.Panicked != nil {
			t.Panicked(v, debug.Stack())
		}
		c.end(returned)
	}()
	makeRoom()
	t.Handler.ServeHTTP(c, &c.served)
	returned = true
}

// room is what the stack of a request grows to, in bytes.
const room = 14 << 10

// makeRoom grows the stack of the goroutine in one step, while it is nearly empty. It
// would grow in several otherwise, each deep within the handler, and each copies all
// frames: a tenth of the time of a short request.
//
//go:noinline
func makeRoom() byte {
	var frame [room]byte
	return frame[roomAt]
}

// roomAt is not a constant, so that the compiler keeps the frame.
var roomAt int

// response is the answer, once it has begun or the handler has ended.
//
// A short answer that has ended gets its Content-Length here, as net/http gives
// it.
func (c *call) response() (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.upload.err != nil:
		return nil, c.upload.err
	case c.status == 0: // the handler was aborted, because an end sets the status
		return nil, fmt.Errorf("inprocess: the handler was aborted before its answer: %w", c.err)
	}
	resp := &c.resp
	*resp = http.Response{
		Status: statusLine(c.status), StatusCode: c.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.answer, ContentLength: c.length, Request: &c.sent,
		Body: (*answerBody)(c), Trailer: c.trailer,
	}
	if c.length < 0 && c.ended && c.err == nil && c.trailer == nil && !c.head() {
		resp.ContentLength = int64(len(c.buf))
		resp.Header["Content-Length"] = []string{strconv.Itoa(len(c.buf))}
	}
	if c.unzips(resp.Header) {
		delete(resp.Header, "Content-Encoding")
		delete(resp.Header, "Content-Length")
		resp.ContentLength, resp.Uncompressed = -1, true
		resp.Body = &unzipped{body: (*answerBody)(c)}
	}
	return resp, nil
}

// statusLine is a status with its text.
func statusLine(status int) string {
	if status == http.StatusOK {
		return "200 OK"
	}
	return strconv.Itoa(status) + " " + http.StatusText(status)
}

// unzips reports whether the answer is compressed although the caller did not ask for
// that. [http.Transport] decodes such answers too.
func (c *call) unzips(answer http.Header) bool {
	asked := c.served.Header
	return answer.Get("Content-Encoding") == "gzip" && asked.Get("Accept-Encoding") == "" && asked.Get("Range") == "" && !c.head()
}

// head reports whether the caller asked for the header alone.
func (c *call) head() bool { return c.served.Method == http.MethodHead }

// bodiless reports whether the status allows no body.
func (c *call) bodiless() bool {
	return c.status == http.StatusNoContent || c.status == http.StatusNotModified
}

// upload is the body of the request, as the handler reads it.
type upload struct {
	c      *call
	body   io.ReadCloser
	length int64 // negative: unknown
	n      int64
	reads  sync.Mutex  // held by each Read
	timer  *time.Timer // the deadline; nil without one
	late   bool        // it has passed
	// err is the caller's own error. It becomes the error of the call.
	err error
}

// Read reads the caller's body. It must have as many bytes as the request says. Behind a
// caller that has left it reads nothing.
func (u *upload) Read(p []byte) (int, error) {
	u.reads.Lock()
	defer u.reads.Unlock()
	if u.c.hasLeft() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := u.body.Read(p)
	u.n += int64(n)
	switch {
	case err == nil && (u.length < 0 || u.n <= u.length):
		return n, nil
	case u.expired():
		return n, errExpired
	case u.length >= 0 && (u.n > u.length || err == io.EOF && u.n < u.length): //nolint:errorlint // a body's end is io.EOF itself
		err = fmt.Errorf("inprocess: the body has %d bytes, and ContentLength is %d", u.n, u.length)
	case err == io.EOF: //nolint:errorlint // as above
		return n, err
	}
	u.c.refuse(err)
	return n, err
}

// settle waits for a read under way of bytes that lie in the caller's memory.
func (u *upload) settle() {
	switch unwrapped(u.body).(type) {
	case *bytes.Buffer, *bytes.Reader:
		u.reads.Lock() // no later read begins
		u.reads.Unlock()
	}
}

// expired reports whether the deadline has passed.
func (u *upload) expired() bool {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	return u.late
}

// Close closes the caller's body.
func (u *upload) Close() error {
	u.c.closeUpload()
	return nil
}
