package gatewaytest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Request is a request as the provider received it.
type Request struct {
	Method string
	URL    string // path and query, as sent
	Host   string
	Header http.Header
	Body   []byte
	// Gone is closed when the request's context ends: when its handler has
	// returned, or the gateway has left before.
	Gone <-chan struct{}
}

// Upstream is a scripted provider. The first handler answers the first request,
// and so on. The last handler answers all further requests.
type Upstream struct {
	// URL is the address of an Upstream from NewUpstream, and empty for others.
	URL string

	mu       sync.Mutex
	script   []http.HandlerFunc
	requests []Request
}

// NewUpstream returns an upstream on a loopback socket, until the test ends.
func NewUpstream(t testing.TB, script ...http.HandlerFunc) *Upstream {
	u := Scripted(script...)
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.URL = server.URL
	return u
}

// Scripted returns an upstream without a server: a handler for a [Network] or
// for the test's own server.
func Scripted(script ...http.HandlerFunc) *Upstream { return &Upstream{script: script} }

// ServeHTTP records the request and answers by the script.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway left while sending
	}
	u.mu.Lock()
	n := len(u.requests)
	u.requests = append(u.requests, Request{
		Method: r.Method, URL: r.RequestURI, Host: r.Host, Header: r.Header.Clone(), Body: body, Gone: r.Context().Done(),
	})
	h := u.script[min(n, len(u.script)-1)]
	u.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	h(w, r)
}

// Requests returns all requests so far.
func (u *Upstream) Requests() []Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]Request(nil), u.requests...)
}

// Count is the number of requests received so far.
func (u *Upstream) Count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.requests)
}

// Last returns the latest request. It panics before the first.
func (u *Upstream) Last() Request {
	r := u.Requests()
	return r[len(r)-1]
}

// JSON answers with a status and a JSON body.
func JSON(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// Chat answers a chat completion with a text.
func Chat(text string) http.HandlerFunc {
	return JSON(http.StatusOK, LeastAnswer("chat/completions", text, ""))
}

// Error answers with an error in the OpenAI shape.
func Error(status int, code, message string) http.HandlerFunc {
	return JSON(status, fmt.Sprintf(`{"error":{"message":%q,"type":"some_error","param":null,"code":%q}}`, message, code))
}

// Stream answers with server-sent events, each flushed on its own, and ends
// properly.
func Stream(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		StartStream(w)
		for _, e := range events {
			Send(w, e)
		}
	}
}

// StartStream sends the header of an event stream.
func StartStream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
}

// Send writes bytes of a stream, and flushes them.
func Send(w http.ResponseWriter, event string) {
	io.WriteString(w, event)
	w.(http.Flusher).Flush()
}

// Abort breaks the connection off.
func Abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// The events of a chat stream.
const (
	ChatRole = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
	ChatStop = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	ChatDone = "data: [DONE]\n\n"
)

// ChatDelta is an event with a piece of text.
func ChatDelta(text string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", text)
}
