package aigateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/apierror"
	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/translate"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// maxHeldJSON bounds a JSON answer held to its end, in bytes. A larger answer is
// relayed as it comes.
//
// Up to it a broken answer can still fail over. Beyond it the first byte
// commits.
const maxHeldJSON = 1 << 20

// held is an upstream's answer with a success status. hold reads it until it is
// known to be good: up to its first content, or whole. relay then commits it.
//
// Its memory belongs to the call, and is used again for the next attempt.
// Methods run in the request's goroutine, but for the timers of limit.
type held struct {
	s        *settings
	in       *inbound
	surface  *surface // the upstream's
	codec    *codec
	choices  int
	usageAsk usageAsk
	deadline time.Time // total_timeout
	lineup   *lineup   // knows whether another candidate may have its turn
	trail    *trail
	a        *attempt
	resp     *http.Response
	front    relay.Front
	source   io.Reader // the body, from its start
	limit    *watch

	meter   usage.Meter
	written usage.OutputEstimate // of streams, and of what does not tell its usage
	later   usage.OutputEstimate // of a sample of a stream's later events
	events  int                  // of the stream, if it is sampled
	stream  *relay.Stream        // of an event stream
	note    ids.Note
	// translated is the client's side of it; nil without a codec.
	translated *dialect.Stream
	body       watchedBody
	data       []byte // of any other answer, as far as it was held
	whole      bool   // data is the whole answer
	binary     bool   // nothing tells where the answer ends
	declined   bool   // by its first words, see declines
	// answered is set if a whole answer was judged to be one.
	answered bool
	length   [1]string // the Content-Length of a whole answer
	// relayed counts the bytes of a long answer, if its front was estimated.
	relayed struct{ front, all int64 }
}

// hold reads the answer until it may be committed.
//
// Three ways follow: an event stream, a binary answer, and a body held to its end. The
// surface and the client's wish decide before the answer's type does: servers label
// answers wrongly.
func (h *held) hold(ctx context.Context) *failure {
	kind, _, _ := header.MediaType(header.First(h.resp.Header, "Content-Type"))
	binary := h.surface.answer == answerContent || h.surface.answer == answerBinary && !header.IsJSON(kind) && kind != "text/html" && kind != "text/event-stream"
	finite := header.IsJSON(kind) && h.resp.ContentLength >= 0 && !h.in.wantsStream
	if !binary && !finite && h.surface.stream != nil {
		// The bytes decide, because servers label streams with any type.
		events, err := h.front.PeekEvents(h.resp.Body, header.First(h.resp.Header, "Content-Encoding"))
		h.source = &h.front
		switch {
		case err != nil:
			return h.interrupted(ctx, err)
		case events && !h.in.wantsStream:
			return wrongAnswer("the answer is an event stream, which the request did not ask for")
		case events || kind == "text/event-stream":
			if kind != "text/event-stream" {
				h.resp.Header.Set("Content-Type", "text/event-stream")
			}
			return h.holdStream(ctx)
		}
	}
	if binary {
		return h.holdFirst(ctx)
	}
	return h.holdBody(ctx, kind)
}

// holdFirst holds a binary answer until its first byte. The header does not commit
// it: an upstream may fail between the two.
func (h *held) holdFirst(ctx context.Context) *failure {
	first, _, err := relay.HoldBody(h.source, -1, 0)
	switch {
	case err != nil:
		return h.interrupted(ctx, err)
	case len(first) == 0 && h.surface.answer != answerContent:
		return wrongAnswer(relay.ErrEmptyBody.Error())
	}
	h.data, h.binary = first, true
	return nil
}

// holdBody holds an answer until it is whole or over maxHeldJSON.
//
// An answer that is larger goes on as it comes. Its front is judged, and what follows can
// fail no more.
func (h *held) holdBody(ctx context.Context, kind string) *failure {
	encoding := header.First(h.resp.Header, "Content-Encoding")
	var err error
	h.data, h.whole, err = relay.HoldBody(h.source, h.resp.ContentLength, h.maxHeld())
	if relay.IsPlain(encoding) {
		h.data = withoutMark(h.resp, h.data)
	}
	switch {
	case err != nil:
		return h.interrupted(ctx, err)
	case !h.whole && kind == "text/html":
		return wrongAnswer("the answer is a web page")
	case !h.whole && h.codec != nil:
		return wrongAnswer("the answer is too long to be translated")
	case !h.whole:
		h.binary = h.surface.answer == answerText && !header.IsJSON(kind)
		plain := relay.IsPlain(encoding)
		if plain && !h.binary && !relay.JudgeFront(h.data) {
			return wrongAnswer(relay.ErrNotJSON.Error())
		}
		if plain {
			h.note.Answer(h.data)
		}
		return nil
	}
	if f := h.judge(kind, encoding); f != nil {
		f.stray = f.Cause == CauseAnswer
		return f
	}
	switch {
	case h.codec != nil:
		return h.translateBody(encoding)
	case h.surface.kind == ids.MessageBatch && relay.IsPlain(encoding):
		if home := relay.HomeResults(h.data); len(home) != len(h.data) {
			h.data = home
			relay.DropOfBytes(h.resp.Header)
		}
	}
	return nil
}

// withoutMark cuts the byte order mark before JSON off, as it is cut off requests.
// JSON parsers refuse it, and those of browsers alone do not.
func withoutMark(resp *http.Response, front []byte) []byte {
	text, marked := bytes.CutPrefix(front, []byte("\ufeff"))
	if !marked || len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return front
	}
	resp.ContentLength = -1
	delete(resp.Header, "Content-Length")
	relay.DropOfBytes(resp.Header)
	return text
}

// interrupted is the failure of an answer whose reading ended with an error.
func (h *held) interrupted(ctx context.Context, err error) *failure {
	return interrupted(ctx, h.in, &h.a.secrets, FailureAnswer, err)
}

// judge returns a failure if a whole answer with a success status is not a real
// answer.
//
// Many servers answer 200 with an error in the body, or with a page of a proxy.
// Such an answer must not reach the client as a success.
func (h *held) judge(kind, encoding string) *failure {
	if len(h.data) == 0 && (h.surface.answer == answerRecord || h.surface.answer == answerText && isSilence(h.in, h.resp, kind)) {
		return nil // such as the answer to a DELETE
	}
	plain, err := relay.Decode(h.data, encoding, 16*maxHeldJSON)
	switch {
	case err == nil:
	case len(h.data) == 0:
		return wrongAnswer(relay.ErrEmptyBody.Error())
	case kind == "text/html":
		return wrongAnswer("the answer is a web page")
	case errors.Is(err, relay.ErrUnknownEncoding), errors.Is(err, relay.ErrDecodedTooLong):
		return nil // nobody asked for it, but the client may understand it
	default:
		return wrongAnswer(err.Error())
	}
	if h.surface.answer == answerText && !header.IsJSON(kind) && kind != "text/html" {
		if len(plain) == 0 {
			return wrongAnswer("the answer is empty")
		}
		return nil
	}
	v := relay.Judge(h.surface.judge, plain, h.meterMember)
	switch {
	case errors.Is(v.Err, relay.ErrBodyError):
		reason := "status 200 with an error"
		if len(v.FinishReason) > 0 {
			reason = "the finish reason " + h.a.secrets.ScrubLine(string(v.FinishReason), 40)
		}
		return h.errorAnswer(reason, v.Detail)
	case v.Err != nil && kind == "text/html":
		return wrongAnswer("the answer is a web page")
	case v.Err != nil && apierror.Read(plain).Found:
		return h.errorAnswer(v.Err.Error(), plain)
	case v.Err != nil:
		h.a.body = h.a.secrets.Scrub(plain)
		return wrongAnswer(v.Err.Error())
	}
	h.meterWhole(plain)
	h.note.Answer(plain)
	switch {
	case v.Refusal, h.s.failRefusals && declines(plain):
		return h.refusal()
	case v.Empty && h.s.failEmpty:
		return wrongAnswer(relay.ErrEmptyAnswer.Error())
	}
	return nil
}

// isSilence reports whether an empty answer is the transcript of nothing said: the client
// asked for plain text, and the server says that there is none.
func isSilence(in *inbound, resp *http.Response, kind string) bool {
	if resp.ContentLength != 0 || !strings.HasPrefix(kind, "text/") || kind == "text/html" {
		return false
	}
	format, _ := in.body.Get("response_format")
	switch strings.Trim(string(format), `"`) {
	case "text", "srt", "vtt":
		return true
	}
	return false
}

// meterMember meters a member of a whole answer. The usage of choices comes as a member
// of its own: they are most of all bytes, and are not walked again.
func (h *held) meterMember(name, value []byte) {
	if string(name) != "choices" {
		h.meter.Member(name, value)
	}
	if h.s.selector.uses.Estimates {
		h.written.Member(name, value)
	}
}

// refusal is the failure of a declining answer, under refusals: fail_over. The last
// candidate's refusal is relayed.
// It is nil if the setting is off, or after the last candidate.
func (h *held) refusal() *failure {
	if !h.s.failRefusals || !h.lineup.more(h.trail) {
		return nil
	}
	f := wrongAnswer("the answer is a refusal")
	f.Cause = CauseRefusal
	return f
}

// declines reports whether an answer, or an event, is a refusal by its text only, in
// the words of a known provider.
func declines(data []byte) bool {
	return apierror.Classify(http.StatusOK, nil, apierror.Read(data)).Kind == apierror.Refusal
}

// errorAnswer is the failure of an error with a success status. If the error names
// its real status, or its words stand for one, it can be relayed with it.
//
// Another error without a status of its own cannot be relayed.
func (h *held) errorAnswer(reason string, data []byte) *failure {
	report := apierror.Read(data)
	f := wrongAnswer(reason + h.a.secrets.Quoted(given(report.Message, report.Code)))
	v := f.judge(report, h.resp.StatusCode, h.resp.Header, h.a)
	h.a.body = h.a.secrets.Scrub(data)
	if status := cmp.Or(report.Status, v.StandsFor()); status >= 400 && status < 600 {
		f.Status = status
		f.answer = &upstreamAnswer{status, http.Header{"Content-Type": {"application/json"}}, nil}
		if h.codec != nil {
			f.answer.body = h.codec.Refused(status, f.answer.header, h.a.body)
		} else {
			f.answer.body = h.errorObject(report, status, data)
		}
	}
	return f
}

// errorObject is an upstream's error in a shape for the client's SDK: unchanged if
// it fits, otherwise in the client's format.
//
// An SDK reads error.message. An object without one, or a bare text, would
// become an exception about the SDK's own parsing.
func (h *held) errorObject(r apierror.Report, status int, data []byte) []byte {
	var shape struct {
		Error map[string]json.RawMessage `json:"error"`
	}
	if json.Unmarshal(data, &shape) == nil && shape.Error["message"] != nil {
		return h.a.secrets.Scrub(data)
	}
	e := errorf(CodeUpstreamError, "%s", h.a.secrets.ScrubLine(given(r.Message, r.Code), 400))
	e.Status = status
	// Clients act on codes: Codex makes a conversation shorter at context_length_exceeded.
	if r.Code != "" && h.in.surface.format == formatOpenAI {
		e.Code = Code(h.a.secrets.ScrubLine(r.Code, 100))
	}
	return errorBody(h.in.surface.format, e, h.in.id)
}

// relay commits the answer and carries it to the client. A failure means a broken
// answer. Only an answer that ends before its first write is not committed.
func (h *held) relay(ctx context.Context, to *client) *failure {
	// A keepalive is for plain streams alone: a comment would be bytes within JSON, or
	// within a content coding.
	other := h.stream == nil || !relay.IsPlain(header.First(h.resp.Header, "Content-Encoding"))
	events := h.whole && h.codec != nil && h.in.sel.Stream // made of a whole answer
	switch {
	case other && to.quiet() && !events:
		// The client was promised a plain stream.
		h.a.committed, h.a.committedAt = true, time.Now()
		return h.brokenOff(to, wrongAnswer("the answer is not a plain stream, and a keepalive has begun one"), true)
	case h.stream != nil:
		return h.relayStream(ctx, to)
	case !h.whole:
		return h.relayRest(ctx, to)
	}
	if h.resp.StatusCode != http.StatusNoContent {
		if h.codec != nil || h.resp.ContentLength != int64(len(h.data)) || len(h.resp.Header["Content-Length"]) != 1 {
			h.length[0] = strconv.Itoa(len(h.data))
			h.resp.Header["Content-Length"] = h.length[:]
		}
	}
	h.commit(to)
	if len(h.data) == 0 {
		return nil // a 204 has no body to write
	}
	_, err := to.Write(h.data)
	relay.ReleaseBody(h.data)
	if err != nil {
		return clientGone()
	}
	return nil
}

// commit sends the answer's header to the client. After the commit the gateway
// cannot fail over.
//
// The cost of a whole answer is known here, in time for its header.
func (h *held) commit(to *client) {
	h.a.committed, h.a.committedAt = true, time.Now()
	if h.whole {
		h.account() // for the header
	}
	header := h.a.secrets.PlainHeader(h.resp.Header)
	if h.codec != nil {
		h.codec.Mark(header)
	}
	to.commit(h.resp.StatusCode, header, h.stream != nil)
}

// relayRest commits an answer before its end, and copies it. A limit bounds each
// silence of a binary answer, which may play as it comes.
func (h *held) relayRest(ctx context.Context, to *client) *failure {
	h.body = watchedBody{body: h.source, w: h.limit, limit: h.a.model.timeout, each: h.binary}
	if !h.binary {
		return restWriter{h, to}.relay(ctx)
	}
	h.limit.disarm() // until the next read: a slow client is not the upstream's fault
	h.commit(to)
	if len(h.data) > 0 {
		if _, err := to.Write(h.data); err != nil {
			return clientGone()
		}
		if err := to.flush(); err != nil {
			return clientGone()
		}
	}
	return h.ended(ctx, to, relay.CopyRest(to, to.flush, &h.body, nil))
}

// restWriter carries a JSON answer that was not held to its end. The first write
// commits it: an answer that ends before is a failed attempt like any other.
type restWriter struct {
	h  *held
	to *client
}

// relay copies the answer, followed to the end of its document. A limit bounds the
// whole answer.
func (w restWriter) relay(ctx context.Context) *failure {
	h := w.h
	o := relay.JSONCopy{
		Held: h.data, Encoding: header.First(h.resp.Header, "Content-Encoding"), Flush: w.to.flush,
		Usage: func(value []byte) { h.meter.Member([]byte("usage"), value) },
		ID:    h.note.OwnID,
	}
	if h.surface.stream != nil || h.note.Kind != ids.None || h.note.Items {
		o.Digest = func(doc []byte) {
			h.meter.Body(doc)
			h.note.Answer(doc)
		}
	}
	err := relay.CopyJSON(w, &h.body, o)
	if _, lacks := h.meter.Lacks(); lacks && relay.IsPlain(o.Encoding) && h.surface.metered {
		// The front tells how many tokens a byte is.
		h.written.Body(append(h.data, '"'))
		h.relayed.front = int64(len(h.data))
	}
	if h.a.committed || h.in.ctx.Err() != nil {
		return h.ended(ctx, w.to, err)
	}
	w.to.resume()
	return h.whyBroken(ctx, err)
}

// Write commits the answer with its first bytes: the client's status and headers go out
// before them, and failover is over.
func (w restWriter) Write(p []byte) (int, error) {
	if h := w.h; !h.a.committed {
		// total_timeout no longer counts, and per_request_timeout goes on.
		h.limit.arm(time.Until(h.a.start.Add(h.body.limit)), &timeoutError{"no whole answer within per_request_timeout", h.body.limit})
		h.commit(w.to)
	}
	w.h.relayed.all += int64(len(p))
	return w.to.Write(p)
}

// release gives the answer's memory back.
func (h *held) release() {
	h.front.Release()
	if h.stream != nil {
		h.stream.Release()
	}
}

// maxHeld bounds a whole answer that is held, in bytes.
// A translation needs the whole answer, and so holds more.
func (h *held) maxHeld() int64 {
	if h.codec != nil {
		return translate.MaxAnswer
	}
	return maxHeldJSON
}

// translateBody makes the client's answer of a whole one.
//
// A failure here is a failed attempt: nothing was committed yet.
func (h *held) translateBody(encoding string) *failure {
	plain, err := relay.Decode(h.data, encoding, translate.MaxAnswer)
	if err != nil {
		return wrongAnswer("the answer cannot be translated: " + err.Error())
	}
	translate, kind := h.codec.Answer, "application/json"
	if h.in.sel.Stream { // the server does not stream, but the client's SDK reads nothing else
		translate, kind = h.codec.AnswerStream, "text/event-stream"
	}
	out, err := translate(plain)
	switch {
	case errors.Is(err, dialect.ErrUpstream):
		return wrongAnswer(err.Error())
	case err != nil:
		return wrongAnswer("the answer cannot be translated: " + err.Error())
	}
	relay.ReleaseBody(h.data)
	h.data = out
	h.reframe(kind)
	return nil
}

// reframe gives a translated answer a header of its own. The attempt keeps the
// upstream's.
func (h *held) reframe(kind string) {
	h.resp.Header = maps.Clone(h.resp.Header)
	h.resp.Header.Del("Content-Encoding")
	h.resp.Header.Set("Content-Type", kind)
	relay.DropOfBytes(h.resp.Header)
}

// meterWhole estimates the output of a whole answer that does not tell it.
func (h *held) meterWhole(data []byte) {
	h.answered = true
	if h.s.selector.uses.Estimates || !h.surface.metered {
		return
	}
	if _, output := h.meter.Lacks(); output {
		h.written.Body(data)
	}
}

// account notes what an attempt consumed and what it cost. An attempt without an
// answer consumed nothing that anybody could know.
//
// It may run twice for one answer, at the commit and at the end. The second run
// replaces the figures of the first one.
func (h *held) account() {
	if h.a == nil {
		return
	}
	told, bill := h.meter.Tokens(), h.meter.Bill()
	known := told.Known || bill.Known()
	if known && !h.a.pays(&h.note, h.in) {
		return
	}
	h.a.input, h.a.output = told.Input, told.Output
	if !known && !h.consumed() {
		return
	}
	u := h.a.consume()
	*u = Usage{
		InputTokens: told.Input, CachedInputTokens: told.CacheRead, CacheWriteTokens: told.CacheWrite,
		OutputTokens: told.Output, ReasoningTokens: told.Reasoning,
	}
	noInput, noOutput := h.meter.Lacks()
	lacks := h.surface.metered && h.consumed() && (noInput || noOutput && h.writtenTokens() > 0)
	if cut := h.stream != nil && !h.stream.Finished(); !known || cut || lacks {
		u.Estimated = true
		if noInput {
			h.a.guess = h.in
		}
		if cut || noOutput {
			u.OutputTokens = max(u.OutputTokens, h.writtenTokens())
		}
	}
	h.a.bill, h.a.cacheWriteHour = bill, told.CacheWriteHour
}

// ends reports whether all of the answer was there when it was committed.
func (h *held) ends() bool { return h.whole }

// consumed reports whether the upstream has answered something that is counted in
// tokens.
func (h *held) consumed() bool {
	switch {
	case !h.surface.metered:
		return false
	case h.stream != nil:
		return !h.stream.Empty()
	}
	return h.answered || h.a.committed
}
