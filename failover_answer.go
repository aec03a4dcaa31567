package aigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/apierror"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/reqbody"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// maxHeldJSON bounds a JSON answer that is held until it is whole, in bytes.
const maxHeldJSON = 1 << 20

// held is an upstream's answer with a success status. hold reads it until it is
// known to be good: up to its first content, or whole. relay then commits it.
type held struct {
	s        *settings
	in       *inbound
	surface  *surface // the upstream's
	choices  int
	deadline time.Time   // total_timeout
	more     func() bool // whether another candidate may have its turn
	a        *attempt
	resp     *http.Response
	limit    *watch

	meter   usage.Meter
	written usage.Written // if a strategy asks for estimates
	stream  *relay.Stream // of an event stream
	body    *watchedBody
	data    []byte // of any other answer, as far as it was held
	whole   bool   // data is the whole answer
	silence bool   // each silence is bounded, and not the whole answer
}

// hold reads the answer until it may be committed.
func (h *held) hold(ctx context.Context) *failure {
	kind, _, _ := header.MediaType(h.resp.Header.Get("Content-Type"))
	if h.in.sel.Stream && h.surface.stream != nil && h.surface.answer != answerBinary && isVague(kind) {
		// Some servers leave the type of their streams to their framework.
		events, err := peekEvents(h.resp)
		if err != nil {
			return h.interrupted(ctx, err)
		}
		if events {
			kind = "text/event-stream"
		}
	}
	switch {
	case kind == "text/event-stream" && h.surface.stream != nil:
		return h.holdStream(ctx)
	case h.surface.answer == answerBinary && !header.IsJSON(kind) && kind != "text/html":
		// Its first byte commits, not the header before it.
		first, _, err := relay.HoldBody(h.resp.Body, -1, 0)
		switch {
		case err != nil:
			return h.interrupted(ctx, err)
		case len(first) == 0:
			return wrongAnswer(relay.ErrEmptyBody.Error())
		}
		h.data, h.silence = first, true
		return nil
	}
	return h.holdBody(ctx, kind)
}

// holdBody holds an answer until it is whole, or too large.
func (h *held) holdBody(ctx context.Context, kind string) *failure {
	encoding := h.resp.Header.Get("Content-Encoding")
	var err error
	h.data, h.whole, err = relay.HoldBody(h.resp.Body, h.resp.ContentLength, maxHeldJSON)
	switch {
	case err != nil:
		return h.interrupted(ctx, err)
	case !h.whole && kind == "text/html":
		return wrongAnswer("the answer is a web page")
	case !h.whole && !h.mayBeJSON(kind, encoding):
		return wrongAnswer(relay.ErrNotJSON.Error())
	case !h.whole:
		return nil
	}
	if f := h.judge(kind, encoding); f != nil {
		f.stray = true
		return f
	}
	return nil
}

func (h *held) interrupted(ctx context.Context, err error) *failure {
	return interrupted(ctx, h.in, &h.a.secrets, FailureAnswer, err)
}

// peekEvents reads the front of an answer until it tells whether the answer is an
// event stream, and puts it back.
func peekEvents(resp *http.Response) (bool, error) {
	var front []byte
	for {
		piece, complete, err := relay.HoldBody(resp.Body, -1, 0)
		if err != nil {
			return false, err
		}
		front = append(front, piece...)
		if yes, sure := relay.LooksLikeEvents(front); sure || complete {
			resp.Body = &peekedBody{Reader: io.MultiReader(bytes.NewReader(front), resp.Body), Closer: resp.Body}
			return yes, nil
		}
	}
}

// peekedBody is a body whose front was read already.
type peekedBody struct {
	io.Reader
	io.Closer
}

// isVague reports whether a type says nothing about an answer.
func isVague(kind string) bool {
	return kind == "" || kind == "text/plain" || kind == "application/octet-stream"
}

// mayBeJSON reports whether an answer that is too large to be held may be good, as
// far as its front tells.
func (h *held) mayBeJSON(kind, encoding string) bool {
	if encoding != "" && !strings.EqualFold(encoding, "identity") || h.surface.answer == answerText && !header.IsJSON(kind) {
		return true
	}
	front := bytes.TrimLeft(h.data, " \t\r\n")
	return len(front) == 0 || front[0] == '{' || front[0] == '[' || front[0] == '"'
}

// judge says why a whole answer under a success status is not an answer.
func (h *held) judge(kind, encoding string) *failure {
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
	if h.plainAnswer(plain) {
		return nil
	}
	switch err := relay.CheckJSON(plain); {
	case err == nil:
		h.meter.Body(plain)
		if h.s.selector.usesEstimates {
			h.written.Body(plain)
		}
		return nil
	case kind == "text/html":
		return wrongAnswer("the answer is a web page")
	case errors.Is(err, relay.ErrBodyError):
		return h.errorAnswer("status 200 with an error", plain)
	default:
		return wrongAnswer(err.Error())
	}
}

// plainAnswer reports whether data is a JSON object without an error, as nearly
// all answers are, and meters it. relay.CheckJSON judges the rest. This is ten
// times as fast: an answer with images or embeddings has megabytes, and json.Valid
// would take more time than the rest of the request.
func (h *held) plainAnswer(data []byte) bool {
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
		h.meter.Member(name, value)
		if h.s.selector.usesEstimates {
			h.written.Member(name, value)
		}
	}
	return true
}

// errorAnswer is the failure of an answer that is an error under a success status.
// If the error says which status it stands for, it can be relayed with that.
func (h *held) errorAnswer(reason string, data []byte) *failure {
	report := apierror.Read(data)
	f := wrongAnswer(reason + h.a.secrets.quoted(given(report.Message, report.Code)))
	f.judge(report, h.resp.StatusCode, h.resp.Header, h.a)
	h.a.body = h.a.secrets.scrub(data)
	if status := report.Status; status >= 400 && status < 600 {
		f.Status = status
		f.answer = &upstreamAnswer{status, http.Header{"Content-Type": {"application/json"}}, h.errorObject(report, status, data)}
	}
	return f
}

// errorObject is an upstream's error as the client's SDK reads it: as it came if it
// has that shape, else in the client's format.
func (h *held) errorObject(r apierror.Report, status int, data []byte) []byte {
	var shape struct {
		Error map[string]json.RawMessage `json:"error"`
	}
	if json.Unmarshal(data, &shape) == nil && shape.Error["message"] != nil {
		return h.a.secrets.scrub(data)
	}
	e := errorf(CodeUpstreamError, "%s", h.a.secrets.scrubLine(given(r.Message, r.Code), 400))
	e.Status = status
	return errorBody(h.in.surface.format, e, h.in.id)
}

// relay commits the answer and carries it to the client. A failure means that it
// broke on the way.
func (h *held) relay(ctx context.Context, w http.ResponseWriter) *failure {
	switch {
	case h.stream != nil:
		return h.relayStream(ctx, w)
	case !h.whole:
		return h.relayRest(ctx, w)
	}
	h.resp.Header.Set("Content-Length", strconv.Itoa(len(h.data)))
	h.commit(w)
	_, err := w.Write(h.data)
	relay.ReleaseBody(h.data)
	if err != nil {
		return clientGone()
	}
	return nil
}

// commit sends the answer's header to the client. After this nothing else can be
// tried.
func (h *held) commit(w http.ResponseWriter) {
	h.a.committed, h.a.committedAt = true, time.Now()
	relay.CopyResponseHeader(w.Header(), h.a.secrets.plainHeader(h.resp.Header))
	w.WriteHeader(h.resp.StatusCode)
}

// relayRest commits an answer that is not held to its end, and copies it. Binary
// answers are bounded by each silence, as they may play as they come; other
// answers as a whole.
func (h *held) relayRest(ctx context.Context, w http.ResponseWriter) *failure {
	h.body = &watchedBody{body: h.resp.Body, w: h.limit, limit: h.a.model.provider.timeout, each: h.silence}
	if !h.silence {
		// total_timeout no longer counts, and per_request_timeout goes on.
		h.limit.arm(time.Until(h.a.start.Add(h.body.limit)), &timeoutError{"no whole answer within per_request_timeout", h.body.limit})
	} else {
		h.limit.disarm() // until the next read: a slow client is not the upstream's fault
	}
	h.commit(w)
	if len(h.data) > 0 {
		if _, err := w.Write(h.data); err != nil {
			return clientGone()
		}
		if err := flush(w); err != nil {
			return clientGone()
		}
	}
	err := relay.CopyRest(w, func() error { return flush(w) }, h.body, nil)
	return h.ended(ctx, w, err)
}

// flush sends the written bytes on. A writer that cannot flush sends them when it
// is full.
func flush(w http.ResponseWriter) error {
	if err := http.NewResponseController(w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// release gives the answer's memory back.
func (h *held) release() {
	if h.stream != nil {
		h.stream.Release()
	}
}
