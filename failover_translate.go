package aigateway

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

const (
	// maxTranslated bounds a whole answer that is held to be translated, in bytes.
	maxTranslated = 16 << 20
	// messagesVersion is the version of the messages API that translated requests
	// are written in.
	messagesVersion = "2023-06-01"
	// headerTranslated says what was translated to what, and which fields were lost.
	headerTranslated = "X-Aigateway-Translated"
)

// codec carries a request and its answer between the client's surface and the
// upstream's. It belongs to one candidate. Nil is the null codec: the bytes pass as
// they are.
//
// Config stands on the upstream's side of it: body fields, the cap of the output
// and lists of parameters act on the translated request.
type codec struct {
	*dialect.Translator
	surface *surface // the upstream's
	request reqbody.Document
	report  dialect.Report
	// estimated is set for a count of tokens. The gateway estimates it, and sends
	// nothing.
	estimated bool
}

// codecFor makes the codec to a candidate; nil where its provider speaks the client's
// surface. With an error the codec still tells what would be lost.
func (f *failover) codecFor(m *model) (*codec, *Error) {
	to := m.provider.translates[f.in.surface]
	if to == nil {
		return nil, nil
	}
	client, _ := dialectOf(f.in.surface)
	upstream, _ := dialectOf(to)
	t, _ := dialect.For(client, upstream)
	k := &codec{Translator: t, surface: to, estimated: f.in.surface.path == client.CountPath()}
	if k.estimated {
		return k, nil
	}
	return k, k.translate(f.s, f.in, m)
}

// translate makes the upstream's request of the client's. The output is capped
// before, so that a budget for reasoning fits below the cap.
func (k *codec) translate(s *settings, in *inbound, m *model) *Error {
	o := outbound{s: s, in: in, model: m, surface: in.surface, body: in.body}
	raw := bytes.TrimPrefix(in.raw, []byte("\ufeff"))
	var e edits
	if o.capOutput(&e); len(e) > 0 {
		body, err := in.body.Splice(e)
		if err != nil {
			return k.malformed(in, err)
		}
		raw = body.Bytes()
	}
	o.surface = k.surface
	out, report, err := k.Request(raw, dialect.Options{
		Model: m.id, MaxTokens: m.view.MaxOutputTokens, MaxCompletionTokens: m.provider.refusesMaxTokens,
		NoStreamUsage: !o.passes("stream_options") || s.habits.of(m) == habitRefuse, Now: time.Now().Unix(),
	})
	k.report = report
	switch {
	case err != nil:
		return k.malformed(in, err)
	case report.Refuse != "":
		return errorf(CodeNotTranslatable, "%s cannot be translated to %s: %s", in.surface.name, k.surface.name, report.Refuse)
	case m.provider.strict && len(report.Lost) > 0:
		return errorf(CodeNotTranslatable, "%s is translated to %s only without loss, and would lose %s",
			in.surface.name, k.surface.name, strings.Join(report.Lost, ", "))
	}
	if err := reqbody.Scan(out, &k.request); err != nil {
		return k.malformed(in, err)
	}
	return nil
}

// malformed is the error of a body that no provider of the client's format would
// take.
func (k *codec) malformed(in *inbound, err error) *Error {
	e := errorf(CodeInvalidRequestBody, "the body does not have the form of a request to %s", in.surface.name)
	e.Err = err
	return e
}

// header is the value of X-Aigateway-Translated.
func (k *codec) header() string {
	if k.estimated {
		return k.Name() + "; estimated"
	}
	return k.report.Header(k.Name())
}

// line says all that the operator may know, for the debug page.
func (k *codec) line() string {
	text := "translated " + k.header()
	if len(k.report.Dropped) > 0 {
		text += "; dropped=" + strings.Join(k.report.Dropped, ",")
	}
	return text
}

// translateError makes the client's error of an upstream's. The body is decoded, and
// without secrets.
func (k *codec) translateError(answer *upstreamAnswer, body []byte) {
	answer.body = k.Error(answer.status, body)
	answer.header.Set("Content-Type", "application/json")
	answer.header.Del("Content-Encoding")
	k.mark(answer.header)
}

// mark says in the header of an answer that it was translated, and has the upstream's
// id of the request under the name that the client's SDK reads.
func (k *codec) mark(h http.Header) {
	h.Set(headerTranslated, k.header())
	for _, pair := range [...][2]string{{"Request-Id", "X-Request-Id"}, {"X-Request-Id", "Request-Id"}} {
		if id := h[pair[1]]; len(id) > 0 && h[pair[0]] == nil {
			h[pair[0]] = id
		}
	}
}

// estimate answers a count of tokens.
func (f *failover) estimate(t *tried) (outcome, bool) {
	n, err := f.s.counter.CountTokens(f.in.ctx, t.model.id, f.in.raw)
	if err != nil {
		t.err = errorf(CodeInputTooLarge, "the prompt's tokens cannot be counted")
		t.err.Err = err
		return outcome{}, false
	}
	f.in.tokens = n
	client, _ := dialectOf(f.in.surface)
	return outcome{made: &upstreamAnswer{
		status: http.StatusOK, body: dialect.Counted(client, n),
		header: http.Header{"Content-Type": {"application/json"}, headerTranslated: {t.codec.header()}},
	}}, true
}

// speak has the next attempts go through a codec.
func (c *call) speak(k *codec) {
	c.codec = k
	if k == nil {
		c.surface, c.path, c.body = c.in.surface, c.in.path, c.in.own()
		return
	}
	c.surface, c.path, c.body = k.surface, k.surface.path, &k.request
}

// own is the client's body for a provider that speaks its format. Reasoning that
// another provider made, and the gateway marked, is cut: this one could not verify it.
func (in *inbound) own() clientBody {
	f, ok := dialectOf(in.surface)
	if !ok || len(in.raw) == 0 {
		return in.body
	}
	cut := dialect.Cut(f, in.raw)
	if len(cut) == len(in.raw) {
		return in.body
	}
	doc := new(reqbody.Document)
	if reqbody.Scan(cut, doc) != nil {
		return in.body
	}
	return doc
}

// formHint is the client's credential as far as its form tells in which form this
// API wants a key.
func (o *outbound) formHint() credential {
	if o.codec != nil {
		return credential{}
	}
	return o.in.credential
}

// maxHeld bounds a whole answer that is held, in bytes.
func (h *held) maxHeld() int64 {
	if h.codec != nil {
		return maxTranslated
	}
	return maxHeldJSON
}

// translateBody makes the client's answer of a whole one.
func (h *held) translateBody(encoding string) *failure {
	plain, err := relay.Decode(h.data, encoding, maxTranslated)
	if err != nil {
		return wrongAnswer("the answer cannot be translated: " + err.Error())
	}
	out, err := h.codec.Answer(plain)
	if err != nil {
		return wrongAnswer("the answer cannot be translated: " + err.Error())
	}
	relay.ReleaseBody(h.data)
	h.data = out
	h.reframe("application/json")
	return nil
}

// reframe gives a translated answer a header of its own. The attempt keeps the
// upstream's.
func (h *held) reframe(kind string) {
	h.resp.Header = maps.Clone(h.resp.Header)
	h.resp.Header.Del("Content-Encoding")
	h.resp.Header.Set("Content-Type", kind)
}

// relayTranslated commits a stream and carries it to its end, event by event.
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
		return wrongAnswer("the upstream sent an error in its stream")
	case fault != nil:
		f := wrongAnswer(fault.Error())
		f.abort = true
		return f
	case errors.As(err, &event):
		return h.brokenOff(to, wrongAnswer("the upstream sent an error in its stream"), true)
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

// writeMade answers with an answer of the gateway's own.
func writeMade(w http.ResponseWriter, answer *upstreamAnswer) {
	h := w.Header()
	maps.Copy(h, answer.header)
	h.Set("Content-Length", strconv.Itoa(len(answer.body)))
	w.WriteHeader(answer.status)
	w.Write(answer.body) //nolint:errcheck // the client is gone: nobody is left to tell
}

// translated is the codec of the answer that the client got; nil if it was not
// translated.
func (t *trail) translated() *codec {
	for _, a := range t.attempts {
		if a.committed || a.relayed {
			return a.tried.codec
		}
	}
	if n := len(t.tried); n > 0 && t.tried[n-1].err == nil && t.tried[n-1].codec != nil && t.tried[n-1].codec.estimated {
		return t.tried[n-1].codec
	}
	return nil
}

// wantsUsage reports whether the upstream was asked for usage in its stream.
func (h *held) wantsUsage() bool {
	if h.codec != nil {
		return wantsUsage(&h.codec.request)
	}
	return h.in.wantsUsage()
}
