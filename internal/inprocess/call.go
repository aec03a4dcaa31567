package inprocess

import (
	"cmp"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBuffer bounds the bytes that a handler is ahead of its caller. A larger write
// is read where it lies.
const maxBuffer = 16 << 10

// errExpired is the error of a read or write after its deadline.
var errExpired = os.ErrDeadlineExceeded

// call is one request and its answer: the handler's [http.ResponseWriter], and the
// caller's body.
//
// Three parties meet here. The handler writes in its own goroutine, the caller
// reads in another, and the context ends either. mu guards the fields below it.
// Channels only wake: who wakes looks at the fields again.
//
// The bytes of an answer are in one of three places: read ones and visible ones
// at the front of buf, unflushed ones behind them, and a large write in direct.
// direct is read when buf is empty.
type call struct {
	ctx    context.Context // the caller's
	again  bool            // the caller's body can be had again
	sent   http.Request    // the caller's request, in its context
	served http.Request    // the handler's
	url    url.URL         // of served
	resp   http.Response
	cancel context.CancelFunc
	upload upload

	readable chan struct{} // has a token after each change for the reader
	writable chan struct{} // likewise for the writer; nil until one waits

	mu      sync.Mutex
	header  http.Header // the handler's
	status  int         // 0 until WriteHeader
	answer  http.Header // as it was then
	trailer http.Header // names are declared by the answer; nil without one
	length  int64       // the declared one; negative: unknown
	written int64

	buf     []byte
	read    int    // the bytes of buf that were read
	visible int    // the bytes of buf that were flushed
	direct  []byte // a write that waits for its reader

	lent     chan struct{} // of the caller's body: closed when it is given back; nil unless it is lent
	returned bool          // lent is closed

	ended bool
	left  bool  // the caller has left
	err   error // of the reader, at the end; nil: io.EOF
	until time.Time
	late  bool      // the write deadline has passed
	close sync.Once // of the upload
}

// newCall prepares a call.
//
// The handler's request is a new one: a handler may change it. Of the caller's
// request it shares the URL, the body and the trailer.
func newCall(ctx context.Context, r *http.Request) *call {
	c := &call{ctx: ctx, again: r.GetBody != nil, header: http.Header{}, length: -1, readable: make(chan struct{}, 1)}
	c.sent = *r.WithContext(ctx)
	ctx, c.cancel = context.WithCancel(ctx)
	c.url = target(r.URL)
	c.served = *(&http.Request{
		Method: r.Method, URL: &c.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: canonical(r.Header), Host: r.Host, RequestURI: r.URL.RequestURI(),
		Body: http.NoBody, Trailer: r.Trailer,
	}).WithContext(ctx)
	in := &c.served
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Header == nil {
		in.Header = http.Header{}
	}
	if r.Body != nil && r.Body != http.NoBody {
		in.ContentLength = r.ContentLength
		if r.ContentLength == 0 {
			in.ContentLength = -1
		}
		c.upload = upload{c: c, body: r.Body, length: in.ContentLength}
		in.Body = &c.upload
	}
	return c
}

// target is the URL of a request as a server reads it. It is a copy: the caller may
// change its own while the handler still runs.
func target(u *url.URL) url.URL {
	if u.Opaque != "" {
		if read, err := url.ParseRequestURI(u.RequestURI()); err == nil {
			return *read
		}
	}
	return url.URL{Path: cmp.Or(u.Path, "/"), RawPath: u.RawPath, ForceQuery: u.ForceQuery, RawQuery: u.RawQuery}
}

// signal puts a token into a channel, unless there is one.
func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// Header is the header of the answer. After WriteHeader it is one for trailers: the
// first is the caller's then.
func (c *call) Header() http.Header {
	if c.header == nil {
		c.header = http.Header{}
	}
	return c.header
}

// WriteHeader fixes the header of the answer. It goes out with the first bytes.
func (c *call) WriteHeader(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin(status)
}

// begin fixes the header. The caller holds the lock.
//
// A second call does nothing, as in net/http. Names of trailers are known from
// here on.
func (c *call) begin(status int) {
	if c.status != 0 || status < 200 { // informational answers have no reader here
		return
	}
	c.status, c.answer, c.header = status, c.header, nil
	for name, values := range c.answer {
		if len(values) == 0 { // a handler that wants no default sets an empty list
			delete(c.answer, name)
		}
	}
	if n, err := strconv.ParseInt(c.answer.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		c.length = n
	}
	if c.bodiless() {
		c.length = 0
	}
	for _, line := range c.answer["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			if c.trailer == nil {
				c.trailer = http.Header{}
			}
			c.trailer[http.CanonicalHeaderKey(strings.TrimSpace(name))] = nil
		}
	}
	delete(c.answer, "Trailer")
}

// Write takes bytes of the answer. If the caller is behind, it waits until the caller
// has read them, until the deadline, or until the caller leaves.
//
// A write that fits into the buffer is not seen by the caller before a flush, a
// large write or the end. A handler that flushes each event wakes its reader
// once an event.
func (c *call) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.begin(http.StatusOK)
	if err := c.broken(); err != nil || c.head() || len(p) == 0 {
		c.mu.Unlock()
		return len(p), err
	}
	if c.bodiless() {
		c.mu.Unlock()
		return 0, http.ErrBodyNotAllowed
	}
	if c.length >= 0 && c.written+int64(len(p)) > c.length {
		c.mu.Unlock()
		return 0, http.ErrContentLength
	}
	c.written += int64(len(p))
	if len(c.buf)-c.read+len(p) <= maxBuffer {
		c.keep(p)
		c.mu.Unlock()
		return len(p), nil
	}
	c.direct = p
	if c.writable == nil {
		c.writable = make(chan struct{}, 1)
	}
	c.reveal()
	c.mu.Unlock()
	return c.handOver(len(p))
}

// keep puts a write into the buffer. The caller holds the lock.
func (c *call) keep(p []byte) {
	if c.read > 0 && len(c.buf)+len(p) > cap(c.buf) {
		n := copy(c.buf, c.buf[c.read:])
		c.buf, c.visible, c.read = c.buf[:n], c.visible-c.read, 0
	}
	c.buf = append(c.buf, p...)
}

// handOver waits until a write was read.
//
// The write is not copied: p belongs to the handler, and it may use p again only
// after the return. On an error the bytes that were read count as written.
func (c *call) handOver(size int) (int, error) {
	var expired <-chan time.Time
	for {
		c.mu.Lock()
		rest, err, until := len(c.direct), c.broken(), c.until
		if rest == 0 || err != nil {
			c.direct = nil
			c.mu.Unlock()
			return size - rest, err
		}
		c.mu.Unlock()
		if expired == nil && !until.IsZero() {
			timer := time.NewTimer(time.Until(until))
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case <-c.writable:
		case <-c.served.Context().Done():
		case <-expired:
			c.mu.Lock()
			c.late = c.late || len(c.direct) > 0
			c.mu.Unlock()
		}
	}
}

// broken is the error of a write that nobody will read. The caller holds the lock.
func (c *call) broken() error {
	switch {
	case c.late:
		return errExpired
	case c.left, c.ended:
		return io.ErrClosedPipe
	}
	return c.served.Context().Err()
}

// FlushError delivers all that was written.
func (c *call) FlushError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin(http.StatusOK)
	c.reveal()
	return c.broken()
}

// Flush is FlushError for handlers that look for an [http.Flusher].
func (c *call) Flush() { c.FlushError() } //nolint:errcheck // a Flusher has no error

// reveal shows the buffer to the reader. The caller holds the lock.
func (c *call) reveal() {
	c.visible = len(c.buf)
	signal(c.readable)
}

// SetWriteDeadline bounds the time in which the caller must take a write. Zero ends
// it.
//
// A write that waits already keeps the deadline that it began to wait with.
func (c *call) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = t
	return nil
}

// SetReadDeadline bounds the time in which the caller's body must give its bytes. It
// has no effect on a body that can be had again: its bytes are there.
func (c *call) SetReadDeadline(t time.Time) error {
	if c.upload.body == nil || c.again {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u := &c.upload
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
	if !t.IsZero() && !c.ended {
		u.timer = time.AfterFunc(time.Until(t), c.expire)
	}
	return nil
}

// expire ends the reading of the caller's body.
func (c *call) expire() {
	c.mu.Lock()
	c.upload.late = true
	c.mu.Unlock()
	c.closeUpload()
}

// closeUpload closes the caller's body once. A read of it that waits comes back.
func (c *call) closeUpload() {
	if c.upload.body != nil {
		c.close.Do(func() { c.upload.body.Close() })
	}
}

// refuse ends a call because its body cannot be read.
//
// The error is the caller's own, and it gets it from its call, in place of an
// answer.
func (c *call) refuse(err error) {
	c.mu.Lock()
	if !c.left {
		c.upload.err = err
		c.reveal()
	}
	c.mu.Unlock()
	c.cancel()
}

// end ends the answer after the handler.
//
// returned is false after a panic: the answer then ends in an error, whole or
// not.
func (c *call) end(returned bool) {
	c.mu.Lock()
	if returned {
		c.begin(http.StatusOK)
	}
	c.ended = true
	// A handler that was told to end may have left out the rest.
	if !returned || c.late || c.ctx.Err() != nil || c.length > c.written && !c.head() {
		c.err = io.ErrUnexpectedEOF
	}
	if c.upload.timer != nil {
		c.upload.timer.Stop()
	}
	c.giveBack()
	c.reveal()
	c.mu.Unlock()
	c.cancel()
	c.closeUpload()
}

// leave ends a call from the caller's side.
//
// It is called by a Close, and if the context ends before an answer. The handler
// may still run and learns it from its context and its writes. A body that was lent
// comes back before.
func (c *call) leave() {
	c.mu.Lock()
	c.left, c.buf = true, nil
	c.read, c.visible = 0, 0
	signal(c.readable) // a read that waits comes back
	lent := c.lent
	c.mu.Unlock()
	c.cancel()
	if lent != nil {
		<-lent
	}
	c.closeUpload()
	c.upload.settle()
}

// hasLeft reports whether the caller has left.
func (c *call) hasLeft() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// answerBody is the caller's side of a call.
//
// It may be read from one goroutine at a time, as any body.
type answerBody call

// Read waits for bytes of the answer, for its end, or for the end of the request's
// context.
func (b *answerBody) Read(p []byte) (int, error) {
	c := (*call)(b)
	for {
		n, err := c.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-c.readable:
		case <-c.ctx.Done():
		}
	}
}

// take reads the bytes that are there, or the end.
//
// The order of the cases is the order of what counts: the caller's own end, the
// end of its context, an error of its body, bytes, and the end of the answer. No
// bytes and no error mean to wait.
func (c *call) take(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.left:
		return 0, http.ErrBodyReadAfterClose
	case !c.ended && c.ctx.Err() != nil:
		return 0, context.Cause(c.ctx)
	case c.upload.err != nil:
		return 0, c.upload.err
	case c.read < c.visible:
		n = copy(p, c.buf[c.read:c.visible])
		if c.read += n; c.read == len(c.buf) {
			c.buf, c.read, c.visible = c.buf[:0], 0, 0
		}
	case len(c.direct) > 0:
		n = copy(p, c.direct)
		if c.direct = c.direct[n:]; len(c.direct) == 0 {
			signal(c.writable)
		}
	case c.ended && c.err != nil:
		if err := context.Cause(c.ctx); err != nil {
			return 0, err // the handler broke off because of it
		}
		return 0, c.err
	case c.ended:
		for name := range c.trailer {
			c.trailer[name] = c.header[name]
		}
		return 0, io.EOF
	}
	return n, nil
}

// Close ends the call. The handler's context is canceled, unless it has ended.
func (b *answerBody) Close() error {
	(*call)(b).leave()
	return nil
}

// unzipped decodes an answer from its first read on.
type unzipped struct {
	body io.ReadCloser
	zip  *gzip.Reader
	err  error
}

// Read opens the coding with the first read, as its header may come late.
func (u *unzipped) Read(p []byte) (int, error) {
	if u.zip == nil && u.err == nil {
		u.zip, u.err = gzip.NewReader(u.body)
	}
	if u.err != nil {
		return 0, u.err
	}
	return u.zip.Read(p)
}

// Close ends the call. The decoder has nothing to give back.
func (u *unzipped) Close() error { return u.body.Close() }
