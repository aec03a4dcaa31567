package aigateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/realtime"
	"github.com/aigateway-go/aigateway/internal/relay"
)

const (
	// maxWrite bounds the bytes under one write deadline: a slow client is not cut
	// while it keeps reading. It is below the largest segment of a socket: 64 KiB would
	// leave a few bytes over for a segment of their own.
	maxWrite = 48 << 10
	// atOnceShare is the share of client_timeout that one write of a long answer may
	// take.
	atOnceShare = 8
	// minBodyRate is the least average rate of a request's body after the first
	// client_timeout, in bytes per second.
	minBodyRate = 1 << 10
	// tailSize is the number of last bytes that tell whether an event ended.
	tailSize = 4
)

// client is the connection to the client: the only place that writes to it. Each
// write, and each silence of the request's body, has a deadline. A deadline runs
// only while a write or a read is under way: a running one would end an idle
// HTTP/2 stream, and in HTTP/1 the request's context.
//
// It is an [http.ResponseWriter] for the request's goroutine. With a keepalive, a
// timer's goroutine writes too, under the lock.
type client struct {
	w       http.ResponseWriter
	control http.ResponseController
	timeout time.Duration
	multi   bool       // HTTP/2: a deadline must be cleared after each write
	warning *sync.Once // of the gateway, if the connection has no deadlines
	s       *settings
	blind   bool // it has none

	timed                 timedBody
	writeUntil, readUntil time.Time // the deadlines that are set; zero: none

	keepalive time.Duration // 0: off
	pings     bool          // the keepalive is the ping of messages
	mu        sync.Mutex    // with a keepalive, guards all writes
	timer     *time.Timer   // nil unless a keepalive is running
	requestID string
	opened    bool   // the keepalive has sent the header
	commented bool   // it has sent a comment
	committed bool   // an answer has
	tail      []byte // the last bytes of the answer, to know whether an event ended
	controls  bool   // the answer has had an id: or retry: field
	closed    bool
	panicked  any // by the service's writer, under the timer's goroutine

	// stamper completes the header of the answer just before it is sent.
	stamper interface {
		stamp(h http.Header, begun bool)
	}
}

// connect prepares the connection of a request.
func (c *client) connect(w http.ResponseWriter, r *http.Request, warning *sync.Once, s *settings) {
	c.w, c.control, c.timeout = w, *http.NewResponseController(w), s.clientTimeout
	c.warning, c.s = warning, s
	c.multi = r.ProtoMajor >= 2
}

// finish leaves no deadline and no timer behind.
// net/http goes on with the connection, and an old deadline would end the next
// request on it.
func (c *client) finish() {
	c.quiet()
	if !c.writeUntil.IsZero() {
		c.control.SetWriteDeadline(time.Time{}) //nolint:errcheck // it could be set before
		c.writeUntil = time.Time{}
	}
}

// Unwrap gives [http.ResponseController] the service's own writer.
func (c *client) Unwrap() http.ResponseWriter { return c.w }

// Header is the header of the answer.
func (c *client) Header() http.Header { return c.w.Header() }

// WriteHeader sends it.
// The stamper adds the gateway's own headers just before.
func (c *client) WriteHeader(status int) {
	if c.stamper != nil {
		c.stamper.stamp(c.w.Header(), c.opened && !c.committed)
	}
	c.arm()
	c.w.WriteHeader(status)
	c.disarm()
}

// commit sends the header of an upstream's answer, unless a keepalive has sent one
// already.
func (c *client) commit(status int, h http.Header, stream bool) {
	c.lock()
	defer c.unlock()
	c.committed = true
	if c.opened {
		return
	}
	relay.CopyResponseHeader(c.w.Header(), h)
	if stream {
		c.w.Header()["X-Accel-Buffering"] = unbuffered
	}
	c.WriteHeader(status)
}

// unbuffered is shared by all answers and must not be changed.
var unbuffered = []string{"no"}

// byteOrderMark may begin a stream. Behind a comment it would be a part of the first
// event's first field, and no parser would know that field.
const byteOrderMark = "\ufeff"

// Write writes in pieces, each with a deadline of its own. A long answer goes out at once,
// if the server lets it: see [atOnce].
func (c *client) Write(p []byte) (n int, err error) {
	c.lock()
	defer c.unlock()
	if c.commented && len(c.tail) == 0 && bytes.HasPrefix(p, []byte(byteOrderMark)) {
		n, p = len(byteOrderMark), p[len(byteOrderMark):]
	}
	if to, ok := c.w.(io.ReaderFrom); ok && len(p) > maxWrite && (c.timer == nil || c.closed) {
		m, err := to.ReadFrom(&atOnce{c, p})
		if n, p = n+int(m), p[m:]; err != nil || len(p) == 0 {
			return n, err
		}
	}
	for len(p) > maxWrite && err == nil {
		var m int
		m, err = c.write(p[:maxWrite])
		n, p = n+m, p[m:]
	}
	if err != nil {
		return n, err
	}
	m, err := c.write(p)
	return n + m, err
}

// write writes under a deadline. The caller holds the lock. It keeps the last bytes
// for atBoundary.
func (c *client) write(p []byte) (int, error) {
	c.arm()
	n, err := c.w.Write(p)
	c.disarm()
	if c.timer != nil && !c.closed {
		c.controls = c.controls || hasField(p, c.tail, "id:") || hasField(p, c.tail, "retry:")
		last := p[max(0, len(p)-tailSize):]
		before := c.tail[max(0, len(c.tail)+len(last)-tailSize):]
		c.tail = append(append(c.tail[:0], before...), last...)
		c.timer.Reset(c.keepalive)
	}
	return n, err
}

// atOnce is a long answer for a writer's [io.ReaderFrom]. The one of net/http hands over
// the connection itself, if that has no TLS. One write then takes the place of many, and
// the client is woken as seldom.
//
// The write ends early at a slow client, or at a fault. The caller writes what is left in
// pieces: their deadlines tell a slow client from one that has stopped, and net/http tells
// of the fault.
type atOnce struct {
	c *client
	p []byte
}

// Read serves writers that want the bytes themselves, as net/http does for the first 512.
func (a *atOnce) Read(b []byte) (int, error) {
	if len(a.p) == 0 {
		return 0, io.EOF
	}
	a.c.arm()
	n := copy(b, a.p)
	a.p = a.p[n:]
	return n, nil
}

// WriteTo writes as much as a connection takes at once, and nothing to any other writer.
func (a *atOnce) WriteTo(w io.Writer) (int64, error) {
	conn, ok := w.(net.Conn)
	if !ok || a.c.blind {
		return 0, nil
	}
	a.c.writeUntil = time.Now().Add(a.c.timeout / atOnceShare)
	a.c.deadline(a.c.control.SetWriteDeadline(a.c.writeUntil))
	n, _ := conn.Write(a.p)
	a.p = a.p[n:]
	return int64(n), nil
}

// hasField reports whether a line of p begins with a field of an event stream. before is
// the end of what was written before p.
func hasField(p, before []byte, field string) bool {
	isEnd := func(b byte) bool { return b == '\n' || b == '\r' }
	for from := 0; ; {
		i := bytes.Index(p[from:], []byte(field))
		if i < 0 {
			return false
		}
		i += from
		if i > 0 && isEnd(p[i-1]) || i == 0 && (len(before) == 0 || isEnd(before[len(before)-1])) {
			return true
		}
		from = i + len(field)
	}
}

// flush sends the written bytes on. A writer that cannot flush sends them when it
// is full.
func (c *client) flush() error {
	c.lock()
	defer c.unlock()
	return c.flushNow()
}

// flushNow flushes under a deadline. The caller holds the lock.
func (c *client) flushNow() error {
	c.arm()
	err := c.control.Flush()
	c.disarm()
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// arm sets the deadline of a write. It is renewed only if less than three quarters
// of it are left. Each event of a stream comes by here twice: time.Until reads one clock,
// and time.Now two.
func (c *client) arm() {
	if c.blind || !c.writeUntil.IsZero() && time.Until(c.writeUntil) > c.timeout*3/4 {
		return
	}
	c.writeUntil = time.Now().Add(c.timeout)
	c.deadline(c.control.SetWriteDeadline(c.writeUntil))
}

// disarm ends the deadline of a write where it would go on by itself.
func (c *client) disarm() {
	if c.multi && !c.blind && !c.writeUntil.IsZero() {
		c.writeUntil = time.Time{}
		c.control.SetWriteDeadline(time.Time{}) //nolint:errcheck // it could be set before
	}
}

// deadline looks at the outcome of setting one.
// Tests use a recorder for a writer. It draws no warning.
func (c *client) deadline(err error) {
	if !errors.Is(err, http.ErrNotSupported) || c.blind {
		return
	}
	c.blind = true
	if _, recorder := c.w.(interface{ Result() *http.Response }); !recorder { // of httptest, which waits for nobody
		c.warning.Do(c.warn)
	}
}

// warn logs that clients of this service are not bounded.
func (c *client) warn() {
	c.s.logger.Warn("the ResponseWriter has no deadlines, so that a slow client is not bounded by client_timeout: a middleware wraps it without Unwrap",
		"type", fmt.Sprintf("%T", c.w))
}

// body is the request's body with deadlines.
func (c *client) body(r io.Reader) io.Reader {
	if r == nil || r == http.NoBody {
		return r
	}
	c.timed = timedBody{r: r, c: c, began: time.Now()}
	return &c.timed
}

// timedBody bounds each silence of a body, and its average rate.
// The rate counts from the start of the reading.
type timedBody struct {
	r     io.Reader
	c     *client
	began time.Time
	n     int64
}

// Read reads under a deadline. The deadline goes as soon as the body is whole.
//
// A slow but steady client earns time by its bytes: a kilobyte gives a second. A
// client that sends one byte in a while gets no more than client_timeout.
func (b *timedBody) Read(p []byte) (int, error) {
	c := b.c
	if !c.blind {
		now := b.began
		if b.n > 0 || !c.readUntil.IsZero() { // not the first read
			now = time.Now()
		}
		earned := max(c.timeout, time.Duration(b.n)*(time.Second/minBodyRate))
		until := now.Add(c.timeout)
		if by := b.began.Add(earned); by.Before(until) {
			until = by
		}
		if d := until.Sub(c.readUntil); d > c.timeout/4 || d < 0 {
			c.readUntil = until
			c.deadline(c.control.SetReadDeadline(until))
		}
	}
	n, err := b.r.Read(p)
	b.n += int64(n)
	if err != nil && !c.blind {
		c.readUntil = time.Time{}
		c.control.SetReadDeadline(time.Time{}) //nolint:errcheck // it could be set before
	}
	return n, err
}

// The keepalives of streams. A comment is right in any stream of events. Claude Code and
// others count the events, and not the bytes: messages has an event for it, which SDKs
// skip wherever it stands. The other formats have none that all SDKs skip.
const (
	keepaliveComment = ": keep-alive\n"
	keepalivePing    = "event: ping\ndata: {\"type\": \"ping\"}\n\n"
)

// keepAlive starts to send a comment, or the ping of messages, after each silence of the
// stream. Only a stream has one. It is for proxies and clients with a limit on silence.
func (c *client) keepAlive(interval time.Duration, requestID string, f format) {
	c.keepalive, c.requestID, c.pings = interval, requestID, f == formatAnthropic
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(interval, c.tick)
}

// tick sends a keepalive, if an event may begin here. The first one sends the header. A
// panic of the service's writer would end the process here: the request's goroutine
// takes it over.
//
// The timer goes on even where no comment may stand: within an event a comment
// would be a part of it.
//
// A blank line ends the comment, for readers that go by blank lines. OpenAI's SDK for
// Python takes each blank line behind an id: or retry: field for an event, of no data,
// and fails at it: there the comment is a line alone.
func (c *client) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.panicked, c.closed = p, true
			c.timer.Stop()
		}
	}()
	c.timer.Reset(c.keepalive)
	if !c.atBoundary() {
		return
	}
	if !c.opened && !c.committed {
		h := c.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no")
		h.Set("X-Request-Id", c.requestID)
		c.opened = true
		c.WriteHeader(http.StatusOK)
	}
	c.commented = true
	c.arm()
	alive := keepaliveComment + "\n"
	switch {
	case c.pings:
		alive = keepalivePing
	case c.controls:
		alive = keepaliveComment
	}
	_, err := io.WriteString(c.w, alive)
	c.disarm()
	if err == nil {
		c.flushNow() //nolint:errcheck // the next write of the answer sees it
	}
}

// atBoundary reports whether the bytes written so far end where an event may begin.
// Lines of an event stream end with LF, CR or CRLF, and an empty line ends an
// event.
func (c *client) atBoundary() bool {
	t := c.tail
	return len(t) == 0 || bytes.HasSuffix(t, []byte("\n\n")) || bytes.HasSuffix(t, []byte("\r\r")) || bytes.HasSuffix(t, []byte("\n\r\n"))
}

// quiet ends the keepalive, and reports whether it has sent the header. If it has,
// an error can only be an event.
func (c *client) quiet() (opened bool) {
	c.lock()
	defer c.unlock()
	if c.timer != nil {
		c.closed = true
		c.timer.Stop()
	}
	return c.opened
}

// resume starts the keepalive again after quiet, for another attempt.
func (c *client) resume() {
	c.lock()
	defer c.unlock()
	if c.timer != nil {
		c.closed = false
		c.timer.Reset(c.keepalive)
	}
}

// lock takes the lock if a keepalive needs one. Without a keepalive only the
// request's goroutine writes.
// A panic of the service's writer, kept by the timer's goroutine, comes out
// here.
func (c *client) lock() {
	if c.keepalive == 0 {
		return
	}
	c.mu.Lock()
	if p := c.panicked; p != nil {
		c.panicked = nil
		c.mu.Unlock()
		panic(p)
	}
}

// unlock is the counterpart of lock.
func (c *client) unlock() {
	if c.keepalive > 0 {
		c.mu.Unlock()
	}
}

// relayError answers with an upstream's error, without the gateway's keys. A
// retryAfter that is not negative replaces the upstream's.
func relayError(w http.ResponseWriter, answer *upstreamAnswer, retryAfter time.Duration) {
	h := w.Header()
	relay.CopyResponseHeader(h, answer.header)
	h.Set("Content-Length", strconv.Itoa(len(answer.body)))
	if retryAfter >= 0 {
		setRetryAfter(h, retryAfter)
	}
	w.WriteHeader(answer.status)
	w.Write(answer.body) //nolint:errcheck // the client is gone: nobody is left to tell
}

// writeMade answers with an answer of the gateway's own.
func writeMade(w http.ResponseWriter, answer *upstreamAnswer) {
	h := w.Header()
	maps.Copy(h, answer.header)
	h.Set("Content-Length", strconv.Itoa(len(answer.body)))
	w.WriteHeader(answer.status)
	w.Write(answer.body) //nolint:errcheck // the client is gone: nobody is left to tell
}

// translatedWriter takes the upstream's bytes, and writes the client's.
type translatedWriter struct {
	to     *client
	stream *dialect.Stream
	wrote  bool // since the last flush
}

// Write translates the events that are whole. It fails once the stream is over and
// not whole: the client has an error event then.
func (w *translatedWriter) Write(p []byte) (int, error) {
	if err := w.send(w.stream.Write(p)); err != nil {
		return 0, err
	}
	if err := w.stream.Err(); err != nil {
		w.flush() //nolint:errcheck // the stream is over either way
		return 0, err
	}
	return len(p), nil
}

// send writes translated bytes to the client. No bytes write nothing, and do not
// commit the answer.
func (w *translatedWriter) send(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	w.wrote = true
	_, err := w.to.Write(out)
	return err
}

// flush sends on what was written. A piece of an event gives the client nothing.
func (w *translatedWriter) flush() error {
	if !w.wrote {
		return nil
	}
	w.wrote = false
	return w.to.flush()
}

// close writes the end of the stream.
func (w *translatedWriter) close() {
	out, _ := w.stream.Close()
	if w.send(out) == nil {
		w.flush() //nolint:errcheck // the stream is over either way
	}
}

// upgradable reports whether a request asks for a WebSocket that this connection can
// become.
//
// HTTP/2 has other handshakes, and no connection to take over. A writer in
// wrappers is searched by Unwrap, as http.ResponseController does.
func upgradable(w http.ResponseWriter, r *http.Request) bool {
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 || !realtime.IsHandshake(r.Header) || !header.Lists(r.Header["Connection"], "Upgrade") {
		return false
	}
	for {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = wrapped.Unwrap()
	}
}

// answerHeaders says which headers an answer gets.
type answerHeaders struct{ requestID, model, attempts, removed, rejected, affinity, cost bool }

// parse reads response_headers. A nil list is the default.
//
// An empty list switches all of them off.
func (a *answerHeaders) parse(p *problems, list []ResponseHeader) {
	if list == nil {
		a.requestID, a.model, a.attempts = true, true, true
		return
	}
	known := map[ResponseHeader]*bool{
		HeaderRequestID: &a.requestID, HeaderModel: &a.model, HeaderAttempts: &a.attempts,
		HeaderRemovedParams: &a.removed, HeaderRejectedModels: &a.rejected,
		HeaderAffinity: &a.affinity, HeaderCost: &a.cost,
	}
	for i, name := range list {
		if on := known[name]; on != nil {
			*on = true
			continue
		}
		p.add(fmt.Sprintf("response_headers[%d]", i), string(name), "%s", notOneOf(string(name), []ResponseHeader{
			HeaderRequestID, HeaderModel, HeaderAttempts, HeaderRemovedParams, HeaderRejectedModels, HeaderAffinity, HeaderCost,
		}))
	}
}

// before stamps an answer to a request that no attempt was made for.
func (a *answerHeaders) before(h http.Header, id string) {
	if a.requestID {
		h[headerRequestID] = []string{id}
	}
	if a.attempts {
		h[headerAttempts] = zeroAttempts
	}
}

// zeroAttempts is shared by all answers and must not be changed.
var zeroAttempts = []string{"0"}

// listed is a list of names as a header holds it.
//
// A comma parts the names, so a comma within one is encoded.
func listed(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i == maxListed {
			fmt.Fprintf(&b, ", and %d more", len(names)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strings.ReplaceAll(asciiName(shown(name)), ",", "%2C"))
	}
	return b.String()
}

// asciiName is a name in visible ASCII. Other bytes are percent-encoded.
func asciiName(name string) string {
	odd := func(c byte) bool { return c <= ' ' || c >= 0x7f }
	i := 0
	for i < len(name) && !odd(name[i]) {
		i++
	}
	if i == len(name) {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if odd(name[i]) {
			fmt.Fprintf(&b, "%%%02X", name[i])
		} else {
			b.WriteByte(name[i])
		}
	}
	return b.String()
}
