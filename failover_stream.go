package aigateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/apierror"
	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/habits"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/realtime"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/usage"
)

const (
	// finishGrace is the longest silence of a stream after a finish reason, if its
	// end may be missing: some servers never send [DONE]. After it the stream
	// counts as ended.
	finishGrace = 2 * time.Second
	// drainGrace is the wait for the end of the body after the last event. A body
	// read to its end leaves the connection usable.
	drainGrace = 50 * time.Millisecond
)

// errFinished and errDrained are causes of a context. They end the reading of a
// stream after its end.
var (
	errFinished = errors.New("silent after its finish reason")
	errDrained  = errors.New("ended")
)

// holdStream holds an event stream until its first content, or until it is whole.
//
// The header says how the bytes are coded, and the surface in which dialect they
// are. Each event goes through the meter once, whether it is held or relayed.
func (h *held) holdStream(ctx context.Context) *failure {
	h.body = watchedBody{body: h.resp.Body, w: h.limit, limit: h.a.model.timeout, events: true}
	encoding := header.First(h.resp.Header, "Content-Encoding")
	hide, decode := h.hidesUsage()
	if h.codec != nil {
		if !relay.CanDecode(encoding) {
			return wrongAnswer("the stream cannot be translated: its encoding is unknown")
		}
		h.reframe("text/event-stream")
		hide, decode = false, true // the client's format has its own place for it
	}
	h.stream = relay.NewStream(&h.body, relay.Options{
		Dialect:     h.surface.stream,
		Encoding:    encoding,
		Front:       &h.front,
		HideUsage:   hide,
		Decode:      decode,
		Tap:         h.meterEvent,
		Choices:     h.choices,
		UsageWanted: h.wantsUsage(),
		FailEmpty:   h.s.failEmpty,
		Progress:    func(p relay.Phase) { h.body.progress(p, h.stream.Advances(), h.stream.MayEnd()) },
	})
	if err := h.stream.Hold(); err != nil {
		return h.streamBroke(ctx, err)
	}
	if h.stream.Refused() || h.declined {
		if f := h.refusal(); f != nil {
			return f
		}
	}
	// The first content ends first_token_timeout and per_request_timeout for the
	// whole attempt. From here on each silence has the limit.
	h.a.firstToken = time.Since(h.a.start)
	h.limit.disarm()
	h.body.each = true
	if h.s.holdWhole {
		h.body.deadline, h.body.total = h.deadline, h.s.total
		if err := h.stream.HoldWhole(); err != nil && !h.finished(ctx) {
			return h.streamBroke(ctx, err)
		}
		// After the commit total_timeout no longer counts.
		h.body.deadline = time.Time{}
	}
	return nil
}

// meterEvent meters an event of the stream. A plain one tells no usage, and no id that an
// earlier one has not told.
func (h *held) meterEvent(data []byte, plain bool) {
	if h.s.failRefusals && h.a.firstToken == 0 {
		h.declined = h.declined || declines(data)
	}
	if !plain {
		h.meter.Event(data)
		h.note.Event(data)
	}
	switch {
	case !h.surface.metered, h.stream.Texts(data, h.written.Text):
	case h.s.selector.uses.Estimates:
		h.written.Event(data)
	default:
		h.sample(data)
	}
}

const (
	// sampledHead is the number of first events of a stream that are all estimated.
	sampledHead = 4
	// sampledEvery is the share of later events that are: nearly all streams tell their
	// usage in the end, and then no estimate is needed.
	sampledEvery = 8
)

// sample estimates some of the events of a stream.
func (h *held) sample(data []byte) {
	h.events++
	switch {
	case h.events <= sampledHead:
		h.written.Event(data)
	case (h.events-sampledHead)%sampledEvery == 1:
		h.later.Event(data)
	}
}

// writtenTokens is the estimate of what the model wrote.
//
// Sampled events stand for the ones between them, and the front of a long answer
// for the rest of it.
func (h *held) writtenTokens() int64 {
	n := h.written.Tokens()
	if later := int64(h.events - sampledHead); later > 0 {
		sampled := (later + sampledEvery - 1) / sampledEvery
		n += h.later.Tokens() * later / sampled
	}
	if r := h.relayed; r.all > r.front && r.front > 0 {
		n = n * r.all / r.front
	}
	return n
}

// relayStream commits the stream and carries it to its end.
func (h *held) relayStream(ctx context.Context, to *client) *failure {
	// The gateway may end the stream, or add an error event to it.
	h.resp.Header.Del("Content-Length")
	h.commit(to)
	if h.codec != nil {
		err := h.relayTranslated(ctx, to)
		h.learn()
		return err
	}
	err := h.stream.Relay(to, to.flush)
	h.learn()
	return h.ended(ctx, to, err)
}

// finished reports whether the gateway ended a stream for its silence after a
// finish reason. The Result shows it.
func (h *held) finished(ctx context.Context) bool {
	if !h.stream.MayEnd() || h.stream.InEvent() || !errors.Is(context.Cause(ctx), errFinished) {
		return false
	}
	h.a.endedSilent = true
	return true
}

// streamBroke is the failure of a stream before its commit.
func (h *held) streamBroke(ctx context.Context, err error) *failure {
	var event *relay.EventError
	switch {
	case errors.As(err, &event):
		return h.errorAnswer("the stream began with an error", event.Data)
	case errors.Is(err, relay.ErrNoAnswer), errors.Is(err, relay.ErrEmptyAnswer):
		return wrongAnswer(err.Error())
	case errors.Is(err, relay.ErrCut), errors.Is(context.Cause(ctx), errFinished):
		return wrongAnswer("the stream ended before it was complete")
	}
	return h.interrupted(ctx, err)
}

// ended returns nil if a relayed answer reached its end. If it did not, an event
// tells the client, if one may stand there. The client must never believe that it
// has the whole answer.
func (h *held) ended(ctx context.Context, to *client, err error) *failure {
	if err == nil {
		return nil
	}
	s := h.stream
	var (
		write *relay.WriteError
		event *relay.EventError
	)
	switch {
	case s != nil && h.finished(ctx):
		return nil
	case errors.As(err, &event) && !event.Hidden, s != nil && s.SawError() && errors.Is(err, relay.ErrCut):
		// The client has the upstream's own error event, which aborting could lose.
		return h.a.errorWithin(h.resp, s.ErrorEvent())
	// SDKs do not recognize this event as an error, so the stream must break off.
	case errors.As(err, &event):
		return h.brokenOff(to, h.a.errorWithin(h.resp, event), s.AtBoundary())
	case errors.As(err, &write), h.in.ctx.Err() != nil:
		if s != nil && s.Finished() {
			return nil // it stopped reading where the model stopped writing
		}
		return clientGone()
	}
	return h.brokenOff(to, h.whyBroken(ctx, err), s != nil && s.AtBoundary() && !s.SawError())
}

// errorWithin is the failure of a stream whose upstream sent an error behind its
// content. It is judged like an error before that: a conversation that grew too long is
// not the provider's fault. event may be nil.
func (a *attempt) errorWithin(resp *http.Response, event *relay.EventError) *failure {
	f := wrongAnswer("the upstream sent an error in its stream")
	if event == nil {
		return f
	}
	report := apierror.Read(event.Data)
	f.reason += a.secrets.Quoted(given(report.Message, report.Code))
	f.judge(report, resp.StatusCode, resp.Header, a)
	a.body = a.secrets.Scrub(event.Data)
	return f
}

// whyBroken is the failure of an answer that ended before its end.
func (h *held) whyBroken(ctx context.Context, err error) *failure {
	switch {
	case errors.Is(err, relay.ErrNotWhole):
		return wrongAnswer("the answer ended before it was complete")
	case errors.Is(err, relay.ErrCut), errors.Is(err, relay.ErrNoAnswer), errors.Is(err, relay.ErrEmptyAnswer), errors.Is(context.Cause(ctx), errFinished):
		return wrongAnswer("the stream ended before it was complete")
	}
	return h.interrupted(ctx, err)
}

// brokenOff tells the client about a stream that is over and not whole: by an
// event, if one may stand here, and by aborting the connection.
func (h *held) brokenOff(to *client, f *failure, event bool) *failure {
	f.abort = true
	if event {
		e := errorf(CodeStreamBroken, "the upstream's stream broke off: %s", f.reason)
		e.Status = http.StatusBadGateway
		to.Write(h.breakEvent(e)) //nolint:errcheck // the connection is aborted either way
		to.flush()                //nolint:errcheck // likewise
	}
	return f
}

// relayTranslated commits a stream and carries it to its end, event by event.
//
// The end is decided in this order: the client has a whole answer; the upstream sent an
// error, which the client has; the translation failed; the client left; the upstream broke.
func (h *held) relayTranslated(ctx context.Context, to *client) *failure {
	h.translated = h.codec.Stream()
	w := translatedWriter{to: to, stream: h.translated}
	err := h.stream.Relay(&w, w.flush)
	if err == nil || h.finished(ctx) {
		w.close()
	}
	var (
		write *relay.WriteError
		event *relay.EventError
	)
	switch fault := h.translated.Err(); {
	case h.translated.Whole():
		return nil
	case errors.Is(fault, dialect.ErrUpstream):
		// The client has the upstream's own error, which aborting could lose.
		return h.a.errorWithin(h.resp, h.stream.ErrorEvent())
	case fault != nil:
		f := wrongAnswer(fault.Error())
		f.abort = true
		return f
	case errors.As(err, &event):
		return h.brokenOff(to, h.a.errorWithin(h.resp, event), true)
	case errors.As(err, &write), h.in.ctx.Err() != nil:
		if h.stream.Finished() {
			return nil // it stopped reading where the model stopped writing
		}
		return clientGone()
	}
	return h.brokenOff(to, h.whyBroken(ctx, err), true)
}

// breakEvent is the event that tells a client that its stream broke off.
func (h *held) breakEvent(e *Error) []byte {
	if h.translated != nil {
		return h.translated.Broken(e.Status, e.Message)
	}
	return errorEvent(h.in.surface, e, h.in.id)
}

// wantsUsage reports whether the upstream was asked for usage in its stream.
func (h *held) wantsUsage() bool {
	if h.codec != nil {
		return wantsUsage(&h.codec.Request)
	}
	return h.in.wantsUsage()
}

// watchedBody arms the watch for each read of a committed answer. The time of a
// slow client then does not count against the upstream.
type watchedBody struct {
	body   io.Reader
	w      *watch
	limit  time.Duration // per_request_timeout
	each   bool          // whether each read is bounded, or another limit is at work
	events bool          // whether only events end a silence, or any byte
	phase  relay.Phase
	// advances counts the events with progress, and silent is the wait since the
	// last one. Comments and pings are silence: a server may send them with nothing
	// more to say.
	advances int
	silent   time.Duration
	mayEnd   bool // a silence may be taken for the end
	// drainBy bounds all reads after the stream's end.
	drainBy time.Time
	// deadline bounds the reads of a stream before its commit, by total_timeout.
	// Zero after the commit.
	deadline time.Time
	total    time.Duration
	silence  timeoutError // of all reads: the first one sets it
	began    time.Time    // likewise
}

// progress notes the state of the stream. Progress ends the silence.
func (b *watchedBody) progress(p relay.Phase, advances int, mayEnd bool) {
	if p != b.phase || advances != b.advances {
		b.phase, b.advances, b.silent = p, advances, 0
	}
	b.mayEnd = mayEnd
}

// Read reads under the limit of the stream's phase.
//
// Several limits may hold at once. The one that ends first is armed, with its cause. The
// silence of events adds up over reads that bring nothing but comments.
func (b *watchedBody) Read(p []byte) (int, error) {
	if !b.each {
		return b.body.Read(p)
	}
	if b.began.IsZero() {
		b.silence, b.began = timeoutError{"silent for per_request_timeout", b.limit}, time.Now()
	}
	limit, cause := b.limit-b.silent, error(&b.silence)
	switch {
	case b.phase == relay.Ended:
		if b.drainBy.IsZero() {
			b.drainBy = time.Now().Add(drainGrace)
		}
		limit, cause = time.Until(b.drainBy), errDrained
	case b.phase == relay.Finished && b.mayEnd && finishGrace-b.silent < limit:
		limit, cause = finishGrace-b.silent, errFinished
	}
	if !b.deadline.IsZero() {
		if left := time.Until(b.deadline); left < limit {
			limit, cause = left, errTotal(b.total)
		}
	}
	b.w.arm(limit, cause)
	before := time.Since(b.began) // reads one clock, and time.Now two
	n, err := b.body.Read(p)
	b.w.disarm()
	b.silent += time.Since(b.began) - before
	if n > 0 && !b.events {
		b.silent = 0
	}
	return n, err
}

// learn notes the habit that a stream of nobody's asking shows. Without usage it
// shows one only at its end.
func (h *held) learn() {
	m := h.a.model
	if !h.surface.usageOption || h.usageAsk != usageUnasked || m.streamHabit(h.s.habits) != habits.StreamUnknown {
		return
	}
	switch {
	case h.meter.Tokens().Known:
		h.s.habits.Learn(m.route(), habits.StreamUnasked)
	case h.stream.Whole():
		h.s.habits.Learn(m.route(), habits.StreamAsk)
	}
}

// hidesUsage prepares a stream that the gateway asked for usage. A compressed one
// goes on decoded, and its model is not asked again: its users had compressed
// streams before.
func (h *held) hidesUsage() (hide, decode bool) {
	if h.usageAsk != usageForGateway {
		return false, false
	}
	encoding := header.First(h.resp.Header, "Content-Encoding")
	if relay.IsPlain(encoding) {
		relay.DropOfBytes(h.resp.Header)
		return true, false
	}
	h.s.habits.Learn(h.a.model.route(), habits.StreamRefuse)
	if !relay.CanDecode(encoding) {
		return false, false
	}
	h.resp.Header.Del("Content-Encoding")
	relay.DropOfBytes(h.resp.Header)
	return true, true
}

// sessionIdle is the longest silence of a session's both sides.
const sessionIdle = 15 * time.Minute

// session is a WebSocket between the client and one candidate. After the provider's 101
// frames pass untouched.
//
// A session does not fail over: its state is at the provider.
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
	known bool // a response or a transcript has told its usage
}

// join commits the provider's answer to the handshake, and carries the session to its
// end. Without a good answer the next candidate may have one.
func (s *session) join(ctx context.Context) (committed bool, f *failure) {
	a := s.a
	server, writable := s.resp.Body.(io.ReadWriteCloser)
	offered := s.in.r.Header["Sec-Websocket-Protocol"]
	if realtime.CutAccount(offered) == "" {
		offered = nil // what stands there is not sent
	}
	switch {
	case s.resp.StatusCode != http.StatusSwitchingProtocols:
		return false, wrongAnswer("the provider answered like a page, and opened no WebSocket")
	case !realtime.Accepts(s.resp.Header, s.in.r.Header.Get("Sec-Websocket-Key"), offered):
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
	head := s.head(offered)
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

// head is the answer to the client's handshake, which offered some subprotocols.
func (s *session) head(offered []string) []byte {
	h := s.to.Header()
	relay.CopyResponseHeader(h, s.a.secrets.PlainHeader(s.resp.Header))
	h["Sec-Websocket-Accept"] = s.resp.Header["Sec-Websocket-Accept"]
	if chosen := realtime.Chosen(s.resp.Header, offered); len(chosen) > 0 {
		h["Sec-Websocket-Protocol"] = chosen
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

// meter adds the usage of a response or a transcript.
//
// It is called for each of them in the session, in the goroutine of
// [realtime.Session.Run].
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

// account notes the usage of all responses and transcripts.
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
