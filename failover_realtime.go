package aigateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/realtime"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// sessionIdle is the longest silence of a session's both sides.
const sessionIdle = 15 * time.Minute

// session is a WebSocket between the client and one candidate. After the provider's 101
// frames pass untouched.
type session struct {
	s     *settings
	in    *inbound
	trail *trail
	a     *attempt
	resp  *http.Response
	limit *watch
	to    *client
	// opened is called when the provider has opened the session.
	opened func()

	used  Usage
	bill  usage.Bill
	known bool // a response has told its usage
}

// join commits the provider's answer to the handshake, and carries the session to its
// end. Without a good answer the next candidate may have one.
func (s *session) join(ctx context.Context) (committed bool, f *failure) {
	a := s.a
	server, writable := s.resp.Body.(io.ReadWriteCloser)
	switch {
	case s.resp.StatusCode != http.StatusSwitchingProtocols:
		return false, wrongAnswer("the provider answered like a page, and opened no WebSocket")
	case !realtime.Accepts(s.resp.Header, s.in.r.Header.Get("Sec-Websocket-Key")):
		return false, wrongAnswer("the provider's answer does not fit the handshake of the WebSocket")
	case !writable:
		return false, wrongAnswer("the provider's transport cannot open a WebSocket")
	}
	if s.opened != nil {
		s.opened()
	}
	a.turn.Answers()
	a.keyTurn.Answers()
	a.committed, a.committedAt = true, time.Now()
	head := s.head()
	conn, buffered, err := s.to.control.Hijack()
	if err != nil {
		return true, clientGone()
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(s.s.clientTimeout)) //nolint:errcheck // the write tells
	if _, err := conn.Write(head); err != nil {
		return true, clientGone()
	}
	conn.SetDeadline(time.Time{}) //nolint:errcheck // of the service's server, which are over now
	// Of the server's reader only the bytes of an eager client are kept.
	early, _ := buffered.Peek(buffered.Reader.Buffered())
	err = (&realtime.Session{
		Client: conn, Buffered: bytes.NewReader(bytes.Clone(early)), Server: server, Tap: realtime.Tap{Done: s.meter},
		Idle: sessionIdle, Write: s.s.clientTimeout, First: s.first,
	}).Run(ctx)
	s.account()
	return true, s.ended(ctx, err)
}

// head is the answer to the client's handshake.
func (s *session) head() []byte {
	h := s.to.Header()
	relay.CopyResponseHeader(h, s.a.secrets.plainHeader(s.resp.Header))
	for _, name := range [...]string{"Sec-Websocket-Accept", "Sec-Websocket-Protocol"} {
		if v := s.resp.Header[name]; len(v) > 0 {
			h[name] = v
		}
	}
	s.to.stamper.stamp(h, false)
	delete(h, "Trailer")
	delete(h, "Content-Length")
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	h.Write(&b) //nolint:errcheck // a buffer takes all
	b.WriteString("\r\n")
	return b.Bytes()
}

// first ends the limits that hold until the provider's first event.
func (s *session) first() {
	s.limit.disarm()
	s.a.firstToken = time.Since(s.a.start)
}

// meter adds the usage of a response.
func (s *session) meter(message []byte) {
	var m usage.Meter
	m.Event(message)
	told := m.Tokens()
	if !told.Known {
		return
	}
	s.known = true
	s.used.add(&Usage{
		InputTokens: told.Input, CachedInputTokens: told.CacheRead, CacheWriteTokens: told.CacheWrite,
		OutputTokens: told.Output, ReasoningTokens: told.Reasoning,
	})
	s.bill.Media += m.Bill().Media
}

// account notes the usage of all responses.
func (s *session) account() {
	if !s.known {
		return
	}
	*s.a.consume() = s.used
	s.a.input, s.a.output, s.a.bill = s.used.InputTokens, s.used.OutputTokens, s.bill
}

// ended is the failure of a session that did not end well; else nil.
func (s *session) ended(ctx context.Context, err error) *failure {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, realtime.ErrIdle):
		s.trail.note("the session was ended after %s without a frame", sessionIdle)
		return nil
	case errors.Is(err, realtime.ErrServerGone):
		return wrongAnswer("the provider ended the session without a close frame")
	}
	return interrupted(ctx, s.in, &s.a.secrets, FailureNetwork, err)
}
