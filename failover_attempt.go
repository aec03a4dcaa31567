package aigateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/reqbody"
	"github.com/aigateway-go/aigateway/internal/usage"
)

const (
	// maxHeldJSON bounds a JSON answer that is held until it is whole, in bytes.
	maxHeldJSON = 1 << 20
	// maxErrorBody bounds the body of a failed answer that is kept for relaying,
	// in bytes.
	maxErrorBody = 1 << 20
)

// timeoutError says which limit ended an attempt.
type timeoutError struct {
	what  string
	limit time.Duration
}

func (e *timeoutError) Error() string { return fmt.Sprintf("%s (%s)", e.what, e.limit) }

// watch cancels an attempt's context when its time is up, and says why: one
// timer for whichever limit comes first.
type watch struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer

	mu    sync.Mutex // the timer's goroutine reads the cause
	cause error
}

// arm replaces the limit that is watched.
func (w *watch) arm(d time.Duration, cause error) {
	w.mu.Lock()
	w.cause = cause
	w.mu.Unlock()
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.expire)
		return
	}
	w.timer.Reset(d)
}

func (w *watch) expire() {
	w.mu.Lock()
	cause := w.cause
	w.mu.Unlock()
	w.cancel(cause)
}

// disarm stops watching, until arm.
func (w *watch) disarm() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// reasonClientGone is the reason of an attempt that nobody waited for any more.
const reasonClientGone = "the client is gone"

// failure is an attempt that failed, with what the next steps need to know.
type failure struct {
	Failure
	reason string  // short, for the client too
	detail string  // what more the operator may know; without a secret
	hint   string  // what the operator should look at
	cause  error   // the transport's, where there was no answer
	stray  bool    // a success, but of something that is not the API
	answer *answer // an error answer that can be relayed as it was
}

// answer is an upstream's error answer, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// attempt sends the request once to a candidate with one of its keys. It
// returns committed once something of the answer has gone to the client; a
// failure then means that the answer broke on the way.
func (x *exchange) attempt(m *model, key *apiKey) (committed bool, f *failure) {
	a := x.beginAttempt(m)
	if key != nil {
		a.keyID = key.id
	}
	report := x.measure(m, key, a)
	parent := x.ctx
	if hook := x.s.hooks.AttemptStart; hook != nil {
		if ctx := hook(parent, x.publicAttempt(a)); ctx != nil {
			parent = ctx
		}
	}
	ctx, cancel := context.WithCancelCause(parent)
	w := watch{cancel: cancel}
	defer func() {
		w.disarm()
		cancel(nil)
		x.endAttempt(a, f)
		report(f)
		if hook := x.s.hooks.AttemptDone; hook != nil {
			hook(parent, x.publicAttempt(a))
		}
	}()
	w.arm(x.attemptLimit(m.provider, a.start))

	var conn connWatch
	req, err := x.newRequest(conn.Context(ctx), m, key, a)
	if err != nil {
		if kind, ok := isRequestError(err); ok && ctx.Err() == nil {
			return false, x.unmade(kind, err)
		}
		return false, x.broke(ctx, FailureTimeout, err)
	}
	a.sent, a.sentAt = true, time.Now()
	m.track.Begin()
	if key != nil {
		key.track.Begin()
	}
	resp, err := x.s.transport.RoundTrip(req)
	if err != nil && ctx.Err() == nil && conn.Stale(err, a.sentAt) {
		x.note("%s: sent once more, as the kept connection was closed", m.name())
		resp, err = x.s.transport.RoundTrip(again(req))
	}
	if err != nil {
		return false, x.broke(ctx, FailureNetwork, err)
	}
	defer resp.Body.Close()
	a.firstByte = time.Since(a.start)
	a.status, a.header = resp.StatusCode, resp.Header
	if key != nil {
		key.allows(resp.Header, time.Now())
	}
	if resp.StatusCode/100 != 2 {
		return false, x.refused(ctx, a, resp)
	}
	return x.answer(ctx, &w, a, resp)
}

// attemptLimit returns how long an attempt may take until it is committed, and
// which limit that is.
func (x *exchange) attemptLimit(p *provider, start time.Time) (time.Duration, error) {
	limit, what := p.timeout, "no answer within per_request_timeout"
	if x.sel.Stream && x.s.firstToken > 0 && x.s.firstToken < limit {
		limit, what = x.s.firstToken, "no first token within first_token_timeout"
	}
	return x.within(limit, start, what)
}

// within cuts a limit to what is left of total_timeout.
func (x *exchange) within(limit time.Duration, start time.Time, what string) (time.Duration, error) {
	if left := x.deadline.Sub(start); left < limit {
		return left, errTotal(x.s.total)
	}
	return limit, &timeoutError{what, limit}
}

func errTotal(limit time.Duration) error { return &timeoutError{"total_timeout", limit} }

// broke is the failure of an attempt that an error ended. A timeout of ours
// and a connection that could not be made are told apart from the rest.
func (x *exchange) broke(ctx context.Context, kind FailureKind, err error) *failure {
	f := &failure{Failure: Failure{Kind: kind, RetryAfter: -1}, cause: err}
	var timeout *timeoutError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &timeout):
		f.Kind, f.reason = FailureTimeout, timeout.Error()
		return f
	case cause != nil && x.ctx.Err() != nil:
		f.reason = reasonClientGone
		return f
	}
	if kind == FailureNetwork && isConnectError(err) {
		f.Kind = FailureConnect
	}
	f.reason = networkReason(f.Kind, err)
	f.reason = x.scrubLine(f.reason, 200)
	if detail := x.scrubLine(err.Error(), 400); !strings.Contains(f.reason, detail) {
		f.detail = detail
	}
	return f
}

// networkReason puts an error of the network into a few words, without the
// addresses that it names: they are the operator's own.
func networkReason(kind FailureKind, err error) string {
	var refused *addrError
	switch {
	case errors.As(err, &refused):
		return "cannot connect: the URL policy does not allow its address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case kind == FailureConnect:
		return "cannot connect: " + withoutAddress(err).Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer was complete"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	default:
		return withoutAddress(err).Error()
	}
}

// withoutAddress is what the network's own errors wrap, if it is one of them.
func withoutAddress(err error) error {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	return err
}

// unmade is the failure of an attempt whose request could not be made. Why is a
// matter of the config and the secret store, and not for the client.
func (x *exchange) unmade(kind FailureKind, err error) *failure {
	f := &failure{Failure: Failure{Kind: kind, RetryAfter: -1}, detail: string(x.scrub([]byte(err.Error())))}
	if kind == FailureSecret {
		f.reason = "a secret could not be resolved"
	} else {
		f.reason = "its request could not be made from the config"
	}
	return f
}

// full is the reason with all that the operator may know.
func (f *failure) full() string {
	text := f.reason
	if f.detail != "" {
		text += ": " + f.detail
	}
	if f.hint != "" {
		text += " (" + f.hint + ")"
	}
	return text
}

// isConnectError reports whether an error says that there never was a
// connection: DNS, dialling, or TLS.
func isConnectError(err error) bool {
	var (
		op     *net.OpError
		dns    *net.DNSError
		record tls.RecordHeaderError
		verify *tls.CertificateVerificationError
		alert  tls.AlertError
		host   x509.HostnameError
		author x509.UnknownAuthorityError
	)
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || errors.As(err, &record) ||
		errors.As(err, &verify) || errors.As(err, &alert) || errors.As(err, &host) || errors.As(err, &author)
}

// refused is the failure of an attempt that got an error status. Its answer is
// kept, to be relayed should nothing else answer.
func (x *exchange) refused(ctx context.Context, a *attemptRecord, resp *http.Response) *failure {
	f := &failure{Failure: Failure{Kind: FailureStatus, Status: resp.StatusCode, RetryAfter: -1}}
	if after, ok := usage.RetryAfter(resp.Header, time.Now()); ok {
		f.RetryAfter = after
	}
	f.reason = strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
	switch resp.StatusCode / 100 {
	case 3:
		// To follow it would take the credentials along, and to relay it would
		// have the client do so.
		f.reason += ": redirects are not followed; set base_url to where it points"
		return f
	case 4, 5, 6, 7, 8, 9:
	default:
		// 101: what follows is not HTTP, and relayed it would have the client
		// take the rest of its connection for something else too. And 042 is no
		// status that a server could send on.
		return f
	}
	data, complete, err := relay.HoldBody(resp.Body, resp.ContentLength, maxErrorBody)
	if err != nil {
		broken := x.broke(ctx, FailureNetwork, err)
		f.reason += "; " + broken.reason
		if broken.Kind == FailureTimeout {
			f.Kind = FailureTimeout
		}
		return f
	}
	plain, err := relay.Decode(data, resp.Header.Get("Content-Encoding"), maxErrorBody)
	if err != nil {
		plain = nil
	}
	var message string
	f.Code, message = upstreamError(plain)
	f.Code = string(x.scrub([]byte(f.Code)))
	f.reason += x.quoted(message)
	a.body = x.scrub(plain)
	if !complete {
		return f
	}
	f.answer = &answer{resp.StatusCode, x.scrubHeader(resp.Header), x.scrub(data)}
	switch {
	case err != nil && len(data) > 0 && len(x.templates.used) > 0:
		// A key that it echoes could not be found, but a client may well decode it.
		e := errorf(CodeUpstreamError, "the provider's error came in an encoding that cannot be read here")
		e.Status = resp.StatusCode
		f.answer.body = errorBody(x.surface.format, e, x.id)
		f.answer.header.Set("Content-Type", "application/json")
		f.answer.header.Del("Content-Encoding")
	case !bytes.Equal(a.body, plain):
		// It echoes a key, and perhaps behind a compression.
		f.answer.body = a.body
		f.answer.header.Del("Content-Encoding")
	}
	return f
}

// answer holds a success answer until it may be committed, and then relays it.
func (x *exchange) answer(ctx context.Context, w *watch, a *attemptRecord, resp *http.Response) (committed bool, f *failure) {
	kind, _, _ := mediaType(resp.Header.Get("Content-Type"))
	if x.sel.Stream && x.surface.stream != nil && x.surface.answer != answerBinary && isVague(kind) {
		// Some servers leave the type of their streams to their framework.
		events, err := peekEvents(resp)
		if err != nil {
			return false, x.broke(ctx, FailureAnswer, err)
		}
		if events {
			kind = "text/event-stream"
		}
	}
	switch {
	case kind == "text/event-stream" && x.surface.stream != nil:
		return x.stream(ctx, w, a, resp)
	case x.surface.answer == answerBinary && !isJSONType(kind) && kind != "text/html":
		// Its first byte commits, not the header before it.
		first, _, err := relay.HoldBody(resp.Body, -1, 0)
		switch {
		case err != nil:
			return false, x.broke(ctx, FailureAnswer, err)
		case len(first) == 0:
			return false, wrongAnswer(relay.ErrEmptyBody.Error())
		}
		return x.copyAnswer(ctx, w, a, resp, first, true)
	}
	data, complete, err := relay.HoldBody(resp.Body, resp.ContentLength, maxHeldJSON)
	if err != nil {
		return false, x.broke(ctx, FailureAnswer, err)
	}
	if !complete {
		switch {
		case kind == "text/html":
			return false, wrongAnswer("the answer is a web page")
		case !x.mayBe(kind, data, resp.Header.Get("Content-Encoding")):
			return false, wrongAnswer(relay.ErrNotJSON.Error())
		}
		return x.copyAnswer(ctx, w, a, resp, data, false)
	}
	if f := x.wrong(kind, data, resp.Header.Get("Content-Encoding")); f != nil {
		f.stray = true
		return false, f
	}
	resp.Header.Set("Content-Length", strconv.Itoa(len(data)))
	x.commit(a, resp)
	_, err = x.w.Write(data)
	relay.ReleaseBody(data)
	if err != nil {
		return true, x.clientGone()
	}
	return true, nil
}

// peekEvents reads the front of an answer until it tells whether that is an event
// stream, and puts it back.
func peekEvents(resp *http.Response) (bool, error) {
	var front []byte
	for {
		piece, complete, err := relay.HoldBody(resp.Body, -1, 0)
		if err != nil {
			return false, err
		}
		front = append(front, piece...)
		if yes, sure := relay.LooksLikeEvents(front); sure || complete {
			resp.Body = &behind{Reader: io.MultiReader(bytes.NewReader(front), resp.Body), Closer: resp.Body}
			return yes, nil
		}
	}
}

// behind is a body of which the front was read already.
type behind struct {
	io.Reader
	io.Closer
}

// isVague reports whether a type says nothing of what an answer is.
func isVague(kind string) bool {
	return kind == "" || kind == "text/plain" || kind == "application/octet-stream"
}

// mayBe reports whether an answer that is too large to be held may be one, as
// far as its front tells.
func (x *exchange) mayBe(kind string, front []byte, encoding string) bool {
	if encoding != "" && !strings.EqualFold(encoding, "identity") || x.surface.answer == answerText && !isJSONType(kind) {
		return true
	}
	front = bytes.TrimLeft(front, " \t\r\n")
	return len(front) == 0 || front[0] == '{' || front[0] == '[' || front[0] == '"'
}

// wrong says why a whole answer under a success status is none.
func (x *exchange) wrong(kind string, data []byte, encoding string) *failure {
	plain, err := relay.Decode(data, encoding, 16*maxHeldJSON)
	switch {
	case err == nil:
	case len(data) == 0:
		return wrongAnswer(relay.ErrEmptyBody.Error())
	case kind == "text/html":
		return wrongAnswer("the answer is a web page")
	case errors.Is(err, relay.ErrUnknownEncoding), errors.Is(err, relay.ErrDecodedTooLong):
		return nil // nobody asked for it, but the client may know what to do with it
	default:
		return wrongAnswer(err.Error())
	}
	if x.surface.answer == answerText && !isJSONType(kind) && kind != "text/html" {
		if len(plain) == 0 {
			return wrongAnswer("the answer is empty")
		}
		return nil
	}
	if x.plainAnswer(plain) {
		return nil
	}
	switch err := relay.CheckJSON(plain); {
	case err == nil:
		x.meter.Body(plain)
		if x.s.usesEstimates {
			x.written.Body(plain)
		}
		return nil
	case kind == "text/html":
		return wrongAnswer("the answer is a web page")
	case errors.Is(err, relay.ErrBodyError):
		code, message := upstreamError(plain)
		f := wrongAnswer("status 200 with an error" + x.quoted(given(message, code)))
		f.Code = string(x.scrub([]byte(code)))
		return f
	default:
		return wrongAnswer(err.Error())
	}
}

// plainAnswer reports whether data is a JSON object that says nothing of an
// error, as nearly all answers are, and meters it. Of the others relay.CheckJSON
// tells what they are. It is ten times as fast: an answer is megabytes where it
// holds images or embeddings, and json.Valid alone would then take more time
// than all else that a request costs.
func (x *exchange) plainAnswer(data []byte) bool {
	var object reqbody.Document
	if reqbody.Scan(data, &object) != nil {
		return false
	}
	for name, value := range object.Members() {
		if string(name) == "error" && string(value) != "null" {
			return false
		}
	}
	for name, value := range object.Members() {
		x.meter.Member(name, value)
		if x.s.usesEstimates {
			x.written.Member(name, value)
		}
	}
	return true
}

// meterEvent meters an event of a stream.
func (x *exchange) meterEvent(data []byte) {
	x.meter.Event(data)
	if x.s.usesEstimates {
		x.written.Event(data)
	}
}

func wrongAnswer(reason string) *failure {
	return &failure{Failure: Failure{Kind: FailureAnswer, RetryAfter: -1}, reason: reason}
}

func isJSONType(kind string) bool {
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// commit sends the answer's header to the client. Nothing can be tried any
// more after this.
func (x *exchange) commit(a *attemptRecord, resp *http.Response) {
	a.committed = true
	x.committedAt = time.Now()
	relay.CopyResponseHeader(x.w.Header(), x.plainHeader(resp.Header))
	x.w.WriteHeader(resp.StatusCode)
}

// copyAnswer commits an answer that is not held to its end, and copies it.
// Bytes that play as they come are bounded by each silence, others as a whole.
func (x *exchange) copyAnswer(ctx context.Context, w *watch, a *attemptRecord, resp *http.Response, held []byte, silence bool) (bool, *failure) {
	body := &watchedBody{body: resp.Body, w: w, limit: a.model.provider.timeout, each: silence}
	if !silence {
		// total_timeout no longer counts, and per_request_timeout goes on.
		w.arm(time.Until(a.start.Add(body.limit)), &timeoutError{"no whole answer within per_request_timeout", body.limit})
	} else {
		w.disarm() // until the next read: a slow client is not the upstream's fault
	}
	a.turn.Answers()
	x.commit(a, resp)
	if len(held) > 0 {
		if _, err := x.w.Write(held); err != nil {
			return true, x.clientGone()
		}
		if err := x.flush(); err != nil {
			return true, x.clientGone()
		}
	}
	err := relay.CopyRest(x.w, x.flush, body, nil)
	return true, x.afterCommit(ctx, err, nil)
}
