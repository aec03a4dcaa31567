package suite_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/require"
)

// Each benchmark has the same work done by the yardstick, a bare reverse proxy,
// in the same run, and reports the ratio. internal/bench measures the same over
// sockets and between processes, for the README.

func benchGateway(b testing.TB, transport http.RoundTripper) http.Handler {
	g, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{{
			ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "llama3"}},
			APIKeys: []aigateway.APIKey{{Value: "${secrets.get('p', 'api-key')}"}},
		}},
		Secrets:   aigateway.MapSecrets(map[string]map[string]string{"p": {"api-key": "sk-123456789012345678901234"}}),
		Transport: transport,
	})
	require.NoError(b, err)
	return g
}

func benchTwin(transport http.RoundTripper) http.Handler {
	return gatewaytest.BareProxy(&url.URL{Scheme: "http", Host: "p.internal"}, transport)
}

// benchRows are the requests and answers of the in-process benchmarks.
var benchRows = []struct {
	name   string
	size   int
	answer gatewaytest.Canned
}{
	{"1KB", 1 << 10, gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(1200)}},
	{"16KB", 16 << 10, gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(1200)}},
	{"215KB", 215 << 10, gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(1200)}},
	{"4MB", 4 << 20, gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(1200)}},
	{"1MB answer", 1 << 10, gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(1 << 20)}},
	{"41 events", 1 << 10, gatewaytest.Canned{ContentType: "text/event-stream", Body: []byte(strings.Join(gatewaytest.ChatEvents(41), ""))}},
}

func BenchmarkHandler(b *testing.B) {
	for _, bb := range benchRows {
		body := gatewaytest.ChatBody("llama3", bb.size)
		gateway, twin := benchGateway(b, bb.answer), benchTwin(bb.answer)
		for _, h := range []struct {
			name    string
			handler http.Handler
		}{{"gateway", gateway}, {"twin", twin}} {
			b.Run(bb.name+"/"+h.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					benchServe(h.handler, body)
				}
			})
		}
		b.Run(bb.name+"/ratio", func(b *testing.B) {
			benchRatio(b, func() { benchServe(gateway, body) }, func() { benchServe(twin, body) })
		})
	}
}

// TestHandlerAllocations holds what a request allocates to what the yardstick
// allocates and a little: what keeps it so is easily lost by an innocent line.
func TestHandlerAllocations(t *testing.T) {
	for _, bb := range benchRows {
		t.Run(bb.name, func(t *testing.T) {
			body := gatewaytest.ChatBody("llama3", bb.size)
			gateway, twin := benchGateway(t, bb.answer), benchTwin(bb.answer)
			mine := testing.AllocsPerRun(5, func() { benchServe(gateway, body) })
			yardstick := testing.AllocsPerRun(5, func() { benchServe(twin, body) })
			require.LessOrEqual(t, mine, yardstick+25)
		})
	}
}

// benchServe has a handler answer one request.
func benchServe(h http.Handler, body []byte) {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", io.NopCloser(bytes.NewReader(body)))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer sk-client")
	r.Header.Set("User-Agent", "OpenAI/Go 3.0")
	h.ServeHTTP(gatewaytest.Discard{}, r)
}

// benchRatio has two sides take turns, and reports what the first takes per
// operation, as a multiple of the second: the median over all turns, so that
// what slows the machine down for a while does not count.
func benchRatio(b *testing.B, mine, yardstick func()) {
	const turn = 20
	var ratios []float64
	for b.Loop() {
		begin := time.Now()
		for range turn {
			yardstick()
		}
		middle := time.Now()
		for range turn {
			mine()
		}
		ratios = append(ratios, float64(time.Since(middle))/float64(middle.Sub(begin)))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
}
