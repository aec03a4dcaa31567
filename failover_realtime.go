package aigateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/realtime"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// sessionIdle is the longest silence of a session's both sides.
const sessionIdle = 15 * time.Minute

// session is a WebSocket between the client and one candidate. After the provider's 101
// frames pass untouched.
type session struct {
	call  *call
	a     *attempt
	resp  *http.Response
	limit *watch
	to    *client

	used  Usage
	bill  usage.Bill
	known bool // a response has told its usage
}

// join commits the provider's answer to the handshake, and carries the session to its
// end. Without a good answer the next candidate may have one.
func (s *session) join(ctx context.Context) (committed bool, f *failure) {
	c, a := s.call, s.a
	server, writable := s.resp.Body.(io.ReadWriteCloser)
	switch {
	case s.resp.StatusCode != http.StatusSwitchingProtocols:
		return false, wrongAnswer("the provider answered like a page, and opened no WebSocket")
	case !realtime.Accepts(s.resp.Header, c.in.r.Header.Get("Sec-Websocket-Key")):
		return false, wrongAnswer("the provider's answer does not fit the handshake of the WebSocket")
	case !writable:
		return false, wrongAnswer("the provider's transport cannot open a WebSocket")
	}
	if a.ownKey {
		c.model.provider.forms.accepted(c.form.bearer(c.formHint()), c.switched)
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
	conn.SetDeadline(time.Now().Add(c.s.clientTimeout)) //nolint:errcheck // the write tells
	if _, err := conn.Write(head); err != nil {
		return true, clientGone()
	}
	conn.SetDeadline(time.Time{}) //nolint:errcheck // of the service's server, which are over now
	// Of the server's reader only the bytes of an eager client are kept.
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) //nolint:errcheck // they are there
	err = (&realtime.Session{
		Client: conn, Buffered: bytes.NewReader(bytes.Clone(early)), Server: server, Tap: realtime.Tap{Done: s.meter},
		Idle: sessionIdle, Write: c.s.clientTimeout, First: s.first,
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
		s.call.trail.note("the session was ended after %s without a frame", sessionIdle)
		return nil
	case errors.Is(err, realtime.ErrServerGone):
		return wrongAnswer("the provider ended the session without a close frame")
	}
	return interrupted(ctx, s.call.in, &s.a.secrets, FailureNetwork, err)
}

// handshake adds the client's handshake to the header for the provider. Extensions are
// left out: a compressed frame would hide its usage.
func (o *outbound) handshake(h http.Header) {
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	for _, name := range [...]string{"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol"} {
		if v := o.in.r.Header[name]; len(v) > 0 {
			h[name] = v
		}
	}
}

// withModel is a query with a model in the place of the client's.
func withModel(raw, model string) string {
	pairs := []string{"model=" + url.QueryEscape(model)}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" && paramName(pair) != "model" {
			pairs = append(pairs, pair)
		}
	}
	return strings.Join(pairs, "&")
}

// scanQuery finds the model of a session.
func (in *inbound) scanQuery() error {
	if len(in.raw) > 0 {
		return errors.New("a WebSocket has no body")
	}
	names := in.r.URL.Query()["model"]
	if len(names) > 1 {
		return errors.New("the query names its model more than once")
	}
	if in.body = &in.json; len(names) == 1 {
		in.sel.Model, in.sel.HasModel = names[0], true
	}
	return nil
}

// cutKey takes a client's key out of the subprotocols of a handshake. It is the client's
// credential, where there is no other one.
func (in *inbound) cutKey() {
	const name = "Sec-Websocket-Protocol"
	rest, key := realtime.CutKey(in.r.Header[name])
	if key == "" {
		return
	}
	r := *in.r
	r.Header = r.Header.Clone()
	r.Header.Set(name, rest)
	if rest == "" {
		r.Header.Del(name)
	}
	in.r, in.request.Header = &r, r.Header
	if !in.credential.given() {
		in.credential = credential{value: redact.NewSecret(key), bearer: true}
	}
}

// admitSession refuses a session that could not be counted against its client's limit.
func (x *exchange) admitSession() *Error {
	if x.in.surface.upgrades && x.underLimit() {
		return errorf(CodeNotAdmitted, "a session is not admitted: its tokens and its cost cannot be limited while it lasts")
	}
	return nil
}

// upgradable reports whether a request asks for a WebSocket that this connection can
// become.
func upgradable(w http.ResponseWriter, r *http.Request) bool {
	if r.ProtoMajor != 1 || !realtime.IsHandshake(r.Header) || !namedBy(r.Header["Connection"], "Upgrade") {
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
