package faultwall

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Behaviour answers one request of a [RawUpstream]. It returns when the answer
// is complete, or broken for good.
type Behaviour func(t *Exchange)

// RawUpstream is a provider that writes its answers byte by byte. A server of
// net/http is too polite for most faults: it never resets a connection before
// the header, never sends two lengths, and completes an unfinished answer.
type RawUpstream struct {
	listener  net.Listener
	owner     string // whose credentials it may be sent
	pace      time.Duration
	elsewhere string
	handshake func(net.Conn) // in place of HTTP, if not nil
	closed    chan struct{}
	running   sync.WaitGroup

	mu        sync.Mutex
	behaviour Behaviour
	conns     map[net.Conn]bool
	seen      []Arrival
	busy      int
	idle      chan struct{} // closed while nothing is being answered
}

// newRaw returns an upstream with one behaviour for all requests.
func newRaw(l net.Listener, owner string, pace time.Duration, behaviour Behaviour) *RawUpstream {
	u := &RawUpstream{
		listener: l, owner: owner, pace: pace, behaviour: behaviour,
		closed: make(chan struct{}), conns: map[net.Conn]bool{}, idle: make(chan struct{}),
	}
	close(u.idle)
	return u
}

// start accepts connections, until Close.
func (u *RawUpstream) start() { u.running.Go(u.accept) }

// Arrival is a received request.
type Arrival struct {
	At    time.Time
	Model string
	// Prefilled is set if the last message is the assistant's, for the model to
	// continue.
	Prefilled bool
	// Stray is a credential of another owner.
	Stray string
}

// Seen returns the requests so far.
func (u *RawUpstream) Seen() []Arrival {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]Arrival(nil), u.seen...)
}

// Heal makes the upstream answer all further requests properly.
func (u *RawUpstream) Heal() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.behaviour = good
}

// Idle waits until no request is being answered. An abandoned request ends when
// the gateway closes its connection.
func (u *RawUpstream) Idle(ctx context.Context) error {
	u.mu.Lock()
	idle := u.idle
	u.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return errors.New("the gateway still holds a connection to an upstream that it gave up")
	}
}

// Close closes the listener and all connections, and waits for their goroutines.
func (u *RawUpstream) Close() {
	close(u.closed)
	u.listener.Close()
	u.mu.Lock()
	for c := range u.conns {
		c.Close()
	}
	u.mu.Unlock()
	u.running.Wait()
}

func (u *RawUpstream) accept() {
	for {
		c, err := u.listener.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns[c] = true
		u.mu.Unlock()
		u.running.Go(func() {
			defer func() {
				c.Close()
				u.mu.Lock()
				delete(u.conns, c)
				u.mu.Unlock()
			}()
			if u.handshake != nil {
				u.handshake(c)
				return
			}
			u.serve(c)
		})
	}
}

// serve answers one request after the other on a connection.
func (u *RawUpstream) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		t, err := u.read(c, r)
		if err != nil {
			return
		}
		// The next byte belongs to the next request. If reading it fails, the
		// gateway has left.
		gone := make(chan struct{})
		next := make(chan error, 1)
		u.running.Go(func() {
			_, err := r.Peek(1)
			if err != nil {
				close(gone)
			}
			next <- err
		})
		t.gone, t.closed = gone, u.closed
		behaviour := u.begin(t)
		behaviour(t)
		if !t.whole {
			c.Close()
		}
		u.end()
		if err := <-next; err != nil {
			return
		}
	}
}

// begin counts a request, and returns the behaviour for it.
func (u *RawUpstream) begin(t *Exchange) Behaviour {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.busy++; u.busy == 1 {
		u.idle = make(chan struct{})
	}
	said := t.Body.Messages
	u.seen = append(u.seen, Arrival{time.Now(), t.Body.Model, len(said) > 0 && said[len(said)-1].Role == "assistant", t.stray})
	t.Number = len(u.seen)
	return u.behaviour
}

func (u *RawUpstream) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.busy--; u.busy == 0 {
		close(u.idle)
	}
}

func (u *RawUpstream) read(c net.Conn, r *bufio.Reader) (*Exchange, error) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	t := &Exchange{
		Format: FormatOf(req.URL.Path), Header: req.Header, Path: req.URL.Path, Pace: u.pace, Elsewhere: u.elsewhere,
		uri: req.RequestURI, stray: stray(u.owner, req, body), conn: c,
	}
	if t.Format == nil {
		return nil, fmt.Errorf("no path of the wall's: %s", req.URL.Path)
	}
	return t, json.Unmarshal(body, &t.Body)
}

// Exchange is one request in the hands of a [Behaviour]. Its methods ignore
// write errors: after the gateway has left, the behaviour ends soon in any case.
type Exchange struct {
	// Number counts the requests of the upstream from 1.
	Number int
	Format Format
	Header http.Header
	Path   string
	// Pace is the unit of time. Elsewhere is the URL of another provider.
	Pace      time.Duration
	Elsewhere string
	Body      struct {
		Model  string
		Stream bool
		// Messages show who spoke last.
		Messages []struct{ Role string }
	}

	uri     string
	stray   string
	conn    net.Conn
	gone    <-chan struct{}
	closed  <-chan struct{}
	whole   bool // the connection may be used again
	chunked bool
}

// Key returns the key of the request.
func (t *Exchange) Key() string {
	return t.Header.Get("X-Api-Key") + strings.TrimPrefix(t.Header.Get("Authorization"), "Bearer ")
}

// Raw writes bytes as they are.
func (t *Exchange) Raw(s string) { io.WriteString(t.conn, s) }

// Whole answers with a status and a whole body. The header is given as names and
// values in turn.
func (t *Exchange) Whole(status int, kind, body string, header ...string) {
	header = append(header, "Content-Length", strconv.Itoa(len(body)), "X-Echo", t.Credentials())
	t.Raw(head(status, kind, header) + body)
	t.whole = true
}

// Start begins a chunked answer.
func (t *Exchange) Start(kind string, header ...string) {
	t.Raw(head(http.StatusOK, kind, append(header, "Transfer-Encoding", "chunked", "X-Echo", t.Credentials())))
	t.chunked = true
}

// Send writes one chunk for each piece. Empty pieces are skipped: an empty chunk
// would end the answer.
func (t *Exchange) Send(pieces ...string) {
	for _, p := range pieces {
		if p == "" {
			continue
		}
		t.Raw(fmt.Sprintf("%x\r\n%s\r\n", len(p), p))
	}
}

// End ends a chunked answer properly.
func (t *Exchange) End() {
	t.Raw("0\r\n\r\n")
	t.whole = true
}

// Reset breaks the connection off, over TCP with a RST.
func (t *Exchange) Reset() {
	if c, ok := t.conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	t.conn.Close()
}

// Silence waits until the gateway leaves.
func (t *Exchange) Silence() {
	select {
	case <-t.gone:
	case <-t.closed:
	}
}

// Wait waits for d. It returns false if the gateway leaves before.
func (t *Exchange) Wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.gone:
	case <-t.closed:
	}
	return false
}

func head(status int, kind string, header []string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	if kind != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", header[i], header[i+1])
	}
	b.WriteString("\r\n")
	return b.String()
}
