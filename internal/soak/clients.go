package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/coding"
)

// A moment is when a client leaves.
type moment int

const (
	stays       moment = iota
	atAnyTime          // within the first 400 ms
	withinBody         // of the request
	behindBody         // before the answer can be there
	atHeader           // of the answer
	atFirstByte        // of its body
	within             // its body
	atEndMark          // before its clean end
	moments
)

// request is one request of a client.
type request struct {
	id          string
	path        string
	contentType string
	encoding    string
	body        []byte
	stream      bool
	slow        time.Duration // between two quarters of the body
	stall       time.Duration // behind the first byte of the answer
	leaves      moment

	kind   string
	came   int       // bytes of the answer
	latest time.Time // of them
}

// A kind of request, and its share of the traffic.
type kind struct {
	name  string
	share int
	make  func(s *soak, r *request)
}

var kinds = []kind{
	{"plain", 12, func(*soak, *request) {}},
	{"messages", 6, func(_ *soak, r *request) { r.path = "/v1/messages" }},
	{"long prompt", 2, func(_ *soak, r *request) {
		r.body = prompt(r.id, r.stream, strings.Repeat("long ", 40_000))
	}},
	{"gzip body", 3, func(_ *soak, r *request) { r.encoding, r.body = "gzip", gzipped(string(r.body)) }},
	{"zstd body", 3, func(_ *soak, r *request) { r.encoding, r.body = "zstd", zstdFramed(string(r.body)) }},
	{"form", 2, func(_ *soak, r *request) {
		r.path, r.contentType, r.stream = "/v1/audio/transcriptions", "multipart/form-data; boundary=b", false
		r.body = []byte("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n<" + r.id + ">\r\n--b--\r\n")
	}},
	{"cut body", 1, func(_ *soak, r *request) { r.body = r.body[:len(r.body)/2] }},
	{"unknown model", 1, func(_ *soak, r *request) { r.body = []byte(`{"model":"nobody"}`) }},
	{"leaving", 14, func(s *soak, r *request) {
		r.leaves = 1 + moment(s.random.intN(int(moments)-1))
		r.slow = 20 * time.Millisecond // so that there is something to leave from
	}},
	{"stalled reader", 2, func(_ *soak, r *request) {
		r.body = prompt(r.id, r.stream, askForMuch)
		r.stall = 2 * clientTimeout
	}},
	{"large answer", 1, func(_ *soak, r *request) { r.body = prompt(r.id, r.stream, askForMuch) }},
	{"slow sender", 2, func(_ *soak, r *request) { r.slow = clientTimeout / 8 }},
	{"stalled sender", 1, func(_ *soak, r *request) { r.slow = 2 * clientTimeout }},
}

// prompt is the body of a request. Its system prompt carries the id.
func prompt(id string, stream bool, text string) []byte {
	return fmt.Appendf(nil, `{"model":"m","max_tokens":100,"stream":%t,"messages":[{"role":"user","content":"<%s>"},{"role":"user","content":%q}]}`, stream, id, text)
}

// request makes a request of a kind by chance.
func (s *soak) request(id string) *request {
	r := &request{id: id, path: "/v1/chat/completions", contentType: "application/json", stream: s.random.intN(2) == 0}
	r.body = prompt(id, r.stream, "Say something.")
	all := 0
	for _, k := range kinds {
		all += k.share
	}
	for n, i := s.random.intN(all), 0; ; i++ {
		if n -= kinds[i].share; n < 0 {
			r.kind = kinds[i].name
			kinds[i].make(s, r)
			return r
		}
	}
}

// send plays one client with one request. The answer must be whole, an error, or end
// in an aborted connection.
func (s *soak) send(ctx context.Context, w way, r *request) {
	ctx, leave := context.WithTimeout(ctx, patience)
	defer leave()
	if r.leaves == atAnyTime || r.leaves == behindBody {
		t := time.AfterFunc(time.Duration(s.random.intN(400))*time.Millisecond, leave)
		defer t.Stop()
	}
	body := &sender{ctx: ctx, r: r, leave: leave, rest: r.body}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+r.path, body)
	if err != nil {
		s.fault("%v", err)
		return
	}
	if r.slow == 0 {
		req.Body = io.NopCloser(bytes.NewReader(r.body))
	}
	req.ContentLength = int64(len(r.body))
	req.Header.Set("Content-Type", r.contentType)
	req.Header.Set("Accept-Encoding", "gzip, zstd")
	if r.encoding != "" {
		req.Header.Set("Content-Encoding", r.encoding)
	}
	s.count[s.receive(w, req, r, leave)].Add(1)
	if w.inProcess {
		clear(r.body) // nobody may read it any more
	}
}

// patience is the time after which a client takes the gateway for hung. All
// timeouts of the gateway are far below.
const patience = 30 * time.Second

// sender is a body that comes in quarters.
type sender struct {
	ctx   context.Context
	r     *request
	leave func()
	rest  []byte
	n     int
}

func (b *sender) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if b.n > 0 {
		wait(b.ctx, b.r.slow)
	}
	if b.n++; b.n == 3 && b.r.leaves == withinBody {
		b.leave()
	}
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n := copy(p[:min(len(p), len(b.r.body)/4+1)], b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *sender) Close() error { return nil }

// wait ends with the context, at the latest.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// outcome is the end of a request.
type outcome int

const (
	answered outcome = iota // whole
	refused                 // an error, whole
	broken                  // the connection or the stream was aborted
	left                    // by the client
	outcomes
)

func (o outcome) String() string { return [...]string{"answered", "refused", "broken", "left"}[o] }

func (s *soak) receive(w way, req *http.Request, r *request, leave func()) outcome {
	resp, err := w.client.Do(req)
	if err != nil {
		return s.failed(req, r, err)
	}
	defer resp.Body.Close()
	r.latest = time.Now()
	if id := resp.Header.Get(headerID); id != "" && id != r.id {
		s.fault("the answer to %s has the header of %s", r.id, id)
	}
	list, err := coding.Parse(resp.Header.Get("Content-Encoding"))
	if err != nil {
		s.fault("%v", err)
		return broken
	}
	decoder := list.NewReader(&receiver{Reader: resp.Body, ctx: req.Context(), r: r, leave: leave})
	defer decoder.Close()
	data, err := io.ReadAll(decoder)
	if id := foreign(data, r.id); id != "" {
		s.fault("the answer to %s has words of %s: %.200s", r.id, id, data)
	}
	whole, problem := inspect(data, r.id)
	if kind := resp.Header.Get("Content-Type"); problem == nil && kind == "text/event-stream" && err == nil {
		problem = framed(data)
	}
	var corrupt *coding.CorruptError
	switch isOK := resp.StatusCode == http.StatusOK; {
	case isOK && problem != nil:
		s.fault("%v", problem)
	case errors.As(err, &corrupt):
		s.fault("half a %s answer that looks whole: %v", resp.Header.Get("Content-Encoding"), err)
	case err != nil:
		return s.failed(req, r, err)
	case r.leaves != stays && req.Context().Err() != nil:
		return left
	case isOK && whole:
		s.exchanged(w, resp)
		return answered
	case bytes.Contains(data, []byte(`"error"`)): // also as the last event of a stream
		return refused
	default:
		s.fault("half an answer with status %d that looks whole: %d bytes, …%.300s", resp.StatusCode, len(data), data[max(0, len(data)-300):])
	}
	return broken
}

// progress says how much of the answer has come.
func (r *request) progress() string {
	if r.latest.IsZero() {
		return "without an answer"
	}
	return fmt.Sprintf("%d bytes of the answer came, the latest %v ago", r.came, time.Since(r.latest).Round(time.Millisecond))
}

// receiver reads an answer, stalls in it, and leaves it.
type receiver struct {
	io.Reader
	ctx   context.Context
	r     *request
	leave func()
	n     int
	tail  []byte
}

func (b *receiver) Read(p []byte) (int, error) {
	if b.n++; b.n == 1 && b.r.leaves == atHeader {
		b.leave()
	}
	n, err := b.Reader.Read(p[:min(len(p), 8<<10)])
	b.r.came, b.r.latest = b.r.came+n, time.Now()
	b.tail = append(b.tail[max(0, len(b.tail)-len(endMark)):], p[:n]...)
	switch {
	case b.n == 1 && b.r.leaves == atFirstByte, b.n == 4 && b.r.leaves == within,
		b.r.leaves == atEndMark && bytes.Contains(b.tail, []byte(endMark)):
		b.leave()
	case b.n == 1 && b.r.stall > 0:
		wait(b.ctx, b.r.stall)
	}
	return n, err
}

// failed judges the error of a client. A gateway that keeps a client waiting for too
// long is at fault.
func (s *soak) failed(req *http.Request, r *request, err error) outcome {
	switch cause := req.Context().Err(); {
	case errors.Is(cause, context.Canceled):
		return left
	case cause != nil && errors.Is(err, context.DeadlineExceeded):
		if time.Now().Before(s.until) {
			s.fault("a client has waited for %v: %q to %s, %s", patience, r.kind, req.URL, r.progress())
		}
		return left
	}
	var network *net.OpError
	if errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return broken
	}
	for _, known := range []string{"stream error", "EOF", "reset", "closed", "GOAWAY", "http2: "} {
		if strings.Contains(err.Error(), known) {
			return broken
		}
	}
	s.fault("%v", err)
	return broken
}
