package suite_test

import (
	"bytes"
	"io"
	"math"
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

// Each benchmark does the same work through a bare reverse proxy in the same run,
// and reports the ratio. internal/bench measures the same over sockets and
// between processes, for the documents.

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

func benchBareProxy(transport http.RoundTripper) http.Handler {
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
		body := benchBody(bb.size, bb.answer)
		gateway, bare := benchGateway(b, bb.answer), benchBareProxy(bb.answer)
		for _, h := range []struct {
			name    string
			handler http.Handler
		}{{"gateway", gateway}, {"bare proxy", bare}} {
			b.Run(bb.name+"/"+h.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					benchServe(h.handler, body)
				}
			})
		}
		b.Run(bb.name+"/ratio", func(b *testing.B) {
			benchRatio(b, func() { benchServe(gateway, body) }, func() { benchServe(bare, body) })
		})
	}
}

// TestHandlerAllocations compares the allocations of a request with those of the
// bare proxy. An innocent line can easily add some.
func TestHandlerAllocations(t *testing.T) {
	for _, bb := range benchRows {
		t.Run(bb.name, func(t *testing.T) {
			body := benchBody(bb.size, bb.answer)
			gateway, bare := benchGateway(t, bb.answer), benchBareProxy(bb.answer)
			require.LessOrEqual(t, benchAllocations(gateway, body), benchAllocations(bare, body)+10)
		})
	}
}

// benchAllocations is the least number of allocations of a request: a collection in
// between empties pools, and adds some.
func benchAllocations(h http.Handler, body []byte) float64 {
	least := math.Inf(1)
	for range 3 {
		least = min(least, testing.AllocsPerRun(5, func() { benchServe(h, body) }))
	}
	return least
}

// benchBody is the request of a row. It asks for a stream if the row has one.
func benchBody(size int, answer gatewaytest.Canned) []byte {
	if answer.ContentType == "text/event-stream" {
		return gatewaytest.ChatStreamBody("llama3", size)
	}
	return gatewaytest.ChatBody("llama3", size)
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

// benchRatio lets two sides take turns, and reports the time of the first as a
// multiple of the second, the time added, and the time of each. All are medians over all turns: a
// machine that is slow for a while does not count.
func benchRatio(b *testing.B, mine, proxy func()) {
	const turn = 20
	var ratios, added, mines, proxies []float64
	for b.Loop() {
		begin := time.Now()
		for range turn {
			proxy()
		}
		middle := time.Now()
		for range turn {
			mine()
		}
		m, p := float64(time.Since(middle)), float64(middle.Sub(begin))
		ratios, added = append(ratios, m/p), append(added, (m-p)/turn)
		mines, proxies = append(mines, m/turn), append(proxies, p/turn)
	}
	for unit, values := range map[string][]float64{"ratio": ratios, "added-ns": added, "mine-ns": mines, "other-ns": proxies} {
		slices.Sort(values)
		b.ReportMetric(values[len(values)/2], unit)
	}
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
}
