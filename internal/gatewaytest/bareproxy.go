package gatewaytest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// BareProxy is a reverse proxy of ten lines, without routing, failover or
// metrics. The gateway is measured against it. Like the gateway it reads the
// whole request body first: a piped body breaks streams under load.
func BareProxy(upstream *url.URL, transport http.RoundTripper) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport: transport,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	})
}

// BareProxyTransport is the transport of a BareProxy over sockets. It keeps 256
// idle connections; the default of two would slow every proxy down.
func BareProxyTransport() *http.Transport {
	return &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true}
}

// ChatBody is a chat request of about size bytes, whose text has a line break or
// a quotation mark every hundred bytes or so, as prompts have.
func ChatBody(model string, size int) []byte {
	const prose = `The quick brown fox jumps over the lazy dog, and then \"sits down\" to think about it.\n` +
		`Meanwhile nobody is looking at it at all; it was a bright cold day in April, and the clocks were striking thirteen.\n\n`
	text := strings.Repeat(prose, size/len(prose)+1)
	if cut := max(size-100, 0); cut < len(text) {
		text = strings.TrimRight(text[:cut], `\`) // no half of an escape
	}
	return fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"user","content":"%s"}],"temperature":0.7}`, model, text)
}

// ChatStreamBody is a ChatBody that asks for a stream.
func ChatStreamBody(model string, size int) []byte {
	body := ChatBody(model, size)
	return append(body[:len(body)-1], `,"stream":true}`...)
}

// ChatAnswer is a whole chat answer of about size bytes.
func ChatAnswer(size int) []byte {
	return fmt.Appendf(nil, `{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},`+
		`"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`, strings.Repeat("x", max(size-220, 0)))
}

// ChatEvents are the n events of a streamed chat answer, the last two being the
// finish reason and [DONE].
func ChatEvents(n int) []string {
	var events []string
	for range n - 2 {
		events = append(events, `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"llama3",`+
			`"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}`+"\n\n")
	}
	return append(events,
		`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"llama3",`+
			`"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n",
		"data: [DONE]\n\n")
}

// Canned answers every request at once, without a network, to measure only the
// handler.
type Canned struct {
	ContentType string
	Body        []byte
}

// RoundTrip implements http.RoundTripper.
func (c Canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {c.ContentType}, "X-Request-Id": {"req_1"}},
		Body:          io.NopCloser(bytes.NewReader(c.Body)),
		ContentLength: int64(len(c.Body)),
	}, nil
}

// Discard is a ResponseWriter. It keeps the header and discards the body.
type Discard http.Header

// Header implements http.ResponseWriter.
func (d Discard) Header() http.Header { return http.Header(d) }

// Write implements http.ResponseWriter.
func (Discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (Discard) WriteHeader(int) {}

// Flush implements http.Flusher.
func (Discard) Flush() {}

// SetWriteDeadline and SetReadDeadline take deadlines as the writer of net/http does.
func (Discard) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline is like SetWriteDeadline.
func (Discard) SetReadDeadline(time.Time) error { return nil }
