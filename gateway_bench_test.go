package aigateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/stretchr/testify/require"
)

// The yardstick is the reverse proxy that an engineer would write in ten lines:
// the body read first, 256 idle connections, no routing and no failover. Each
// benchmark has it as its twin in the same run.

// canned answers every request at once, without a network: what is left is what
// the handlers themselves cost.
type canned struct {
	contentType string
	body        string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header:        http.Header{"Content-Type": {c.contentType}, "X-Request-Id": {"req_1"}},
		Body:          io.NopCloser(strings.NewReader(c.body)),
		ContentLength: int64(len(c.body)),
	}, nil
}

func benchBody(size int) string {
	return fmt.Sprintf(`{"model":"llama3","messages":[{"role":"user","content":%q}],"temperature":0.7}`, strings.Repeat("lorem ipsum ", size/12))
}

func benchAnswer() string {
	return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},`+
		`"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`, strings.Repeat("x", 1000))
}

func benchStream() string {
	var b strings.Builder
	for range 40 {
		b.WriteString("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"token\"},\"finish_reason\":null}]}\n\n")
	}
	b.WriteString("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	return b.String()
}

// twin is that reverse proxy.
func twin(b *testing.B, upstream string, transport http.RoundTripper) http.Handler {
	u, err := url.Parse(upstream)
	require.NoError(b, err)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u) },
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

func benchGateway(b *testing.B, upstream string, transport http.RoundTripper) http.Handler {
	cfg := aigateway.Config{
		Providers: []aigateway.Provider{{
			ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "llama3"}},
			APIKeys: []aigateway.APIKey{{Value: "${secrets.get('p', 'api-key')}"}},
		}},
		Secrets:   aigateway.MapSecrets{"p": {"api-key": "sk-123456789012345678901234"}},
		Transport: transport,
	}
	if upstream != "" {
		cfg.InternalEndpoints = map[string]string{"p.internal": upstream}
	}
	g, err := aigateway.New(cfg)
	require.NoError(b, err)
	return g
}

// discardWriter is a ResponseWriter that keeps nothing.
type discardWriter struct{ h http.Header }

func (w *discardWriter) Header() http.Header         { return w.h }
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *discardWriter) WriteHeader(int)             {}
func (w *discardWriter) Flush()                      {}

func BenchmarkHandler(b *testing.B) {
	for _, bb := range []struct {
		name   string
		body   string
		answer canned
	}{
		{"1KB", benchBody(1 << 10), canned{"application/json", benchAnswer()}},
		{"215KB", benchBody(215 << 10), canned{"application/json", benchAnswer()}},
		{"stream", benchBody(1 << 10), canned{"text/event-stream", benchStream()}},
	} {
		for _, h := range []struct {
			name    string
			handler http.Handler
		}{
			{"gateway", benchGateway(b, "", bb.answer)},
			{"twin", twin(b, "http://p.internal", bb.answer)},
		} {
			b.Run(bb.name+"/"+h.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(bb.body))
					r.Header.Set("Content-Type", "application/json")
					r.Header.Set("Authorization", "Bearer sk-client")
					r.Header.Set("User-Agent", "OpenAI/Go 3.0")
					h.handler.ServeHTTP(&discardWriter{h: http.Header{}}, r)
				}
			})
		}
	}
}
