package gatewayotel_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
)

func TestFailoverIsTracedAndMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, upstream{
			"first.example":       after(250*time.Millisecond, 503, jsonType, overloaded),
			"second.example:8443": after(500*time.Millisecond, 200, jsonType, completion),
		}, gatewayotel.Options{})
		require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"GPT-4o","messages":[]}`))

		spans := r.ended()
		require.Len(t, spans, 3)
		failed, answered, request := spans[0], spans[1], spans[2]

		assert.Equal(t, "aigateway chat", request.Name())
		assert.Equal(t, trace.SpanKindInternal, request.SpanKind())
		assert.Equal(t, codes.Unset, request.Status().Code)
		assert.Equal(t, 750*time.Millisecond, request.EndTime().Sub(request.StartTime()))
		got := attrs(request)
		assert.GreaterOrEqual(t, got["aigateway.gateway.duration"], 0.0)
		delete(got, "aigateway.gateway.duration")
		assert.Equal(t, map[string]any{
			"aigateway.request.id": "id-1", "aigateway.request.model": "GPT-4o", "aigateway.request.stream": false,
			"aigateway.surface": "chat-completions", "aigateway.format": "openai", "aigateway.attempts": int64(2),
			"aigateway.provider": "xai", "aigateway.model": "gpt-4o",
		}, got)

		for _, s := range []sdktrace.ReadOnlySpan{failed, answered} {
			assert.Equal(t, "chat gpt-4o", s.Name())
			assert.Equal(t, trace.SpanKindClient, s.SpanKind())
			assert.Equal(t, request.SpanContext().SpanID(), s.Parent().SpanID())
			assert.Equal(t, request.SpanContext().TraceID(), s.SpanContext().TraceID())
		}
		assert.Equal(t, 250*time.Millisecond, failed.EndTime().Sub(failed.StartTime()), "it ends when the attempt does")
		assert.Equal(t, 500*time.Millisecond, answered.EndTime().Sub(answered.StartTime()))
		assert.Equal(t, sdktrace.Status{Code: codes.Error, Description: "503 Service Unavailable: overloaded"}, failed.Status())
		assert.Equal(t, map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
			"server.address": "first.example", "server.port": int64(443), "http.response.status_code": int64(503),
			"error.type": "503", "aigateway.attempt.number": int64(1),
		}, attrs(failed))
		assert.Equal(t, codes.Unset, answered.Status().Code)
		assert.Equal(t, map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.provider.name": "x_ai", "gen_ai.request.model": "gpt-4o",
			"gen_ai.usage.input_tokens": int64(12), "gen_ai.usage.output_tokens": int64(34),
			"server.address": "second.example", "server.port": int64(8443), "http.response.status_code": int64(200),
			"aigateway.attempt.number": int64(2),
		}, attrs(answered))

		const model = "gpt-4o"
		const first = "error.type=503,gen_ai.operation.name=chat,gen_ai.provider.name=openai,gen_ai.request.model=gpt-4o,server.address=first.example,server.port=443"
		const second = "gen_ai.operation.name=chat,gen_ai.provider.name=x_ai,gen_ai.request.model=" + model + ",server.address=second.example,server.port=8443"
		const usage = "gen_ai.operation.name=chat,gen_ai.provider.name=x_ai,gen_ai.request.model=" + model + ",gen_ai.token.type=%,server.address=second.example,server.port=8443"
		assert.Equal(t, map[string]map[string]float64{
			"gen_ai.client.operation.duration": {first: 0.25, second: 0.5},
			"gen_ai.client.token.usage": {
				strings.Replace(usage, "%", "input", 1): 12, strings.Replace(usage, "%", "output", 1): 34,
			},
			"aigateway.attempts": {first: 1, second: 1},
			"aigateway.failovers": {
				"aigateway.failover.next_provider=x_ai,error.type=503,gen_ai.operation.name=chat,gen_ai.provider.name=openai": 1,
			},
			"aigateway.request.duration": {"gen_ai.operation.name=chat": 0.75},
		}, r.metrics())
	})
}

func TestStreamHasTimeToFirstChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, upstream{"first.example": after(2*time.Second, 200, "text/event-stream", stream)}, gatewayotel.Options{})
		require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"gpt-4o","stream":true,"messages":[]}`))
		got := attrs(r.ended()[0])
		assert.Equal(t, 2.0, got["gen_ai.response.time_to_first_chunk"])
		assert.Equal(t, true, got["gen_ai.request.stream"])
		assert.Equal(t, int64(7), got["gen_ai.usage.output_tokens"])
		assert.Equal(t, []float64{2}, slices.Collect(maps.Values(r.metrics()["gen_ai.client.operation.time_to_first_chunk"])))
	})
}

type counter func(model string) int64

func (f counter) CountTokens(_ context.Context, model string, _ []byte) (int64, error) {
	return f(model), nil
}

// Clients choose names, and metrics do not grow with them.
func TestUnlistedModels(t *testing.T) {
	r := newHarness(t, upstream{"mine.example": after(0, 200, jsonType, completion)}, gatewayotel.Options{})
	long := strings.Repeat("x", 1_000)
	for _, name := range []string{"a", "b", long, "HOUSE"} {
		require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"mine:`+name+`","messages":[]}`))
	}
	got := map[string]float64{}
	for labels, n := range r.metrics()["aigateway.attempts"] {
		_, model, _ := strings.Cut(labels, "gen_ai.request.model=")
		model, _, _ = strings.Cut(model, ",")
		got[model] = n
	}
	assert.Equal(t, map[string]float64{"_OTHER": 3, "house": 1}, got)

	var names, models []string
	for _, s := range r.ended() {
		if s.SpanKind() == trace.SpanKindClient {
			names = append(names, s.Name())
			models = append(models, attrs(s)["gen_ai.request.model"].(string))
		} else {
			assert.LessOrEqual(t, len(attrs(s)["aigateway.request.model"].(string)), 256)
		}
	}
	assert.Equal(t, []string{"chat", "chat", "chat", "chat house"}, names)
	assert.Equal(t, []string{"a", "b", long[:256], "house"}, models)
}

// A cut must not fall within a character, and a form may name a model in bytes
// that are not text: exporters refuse both.
func TestAttributesAreUTF8(t *testing.T) {
	for name, model := range map[string]string{"cut": strings.Repeat("€", 1000), "no text": "a\xffb"} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, upstream{"mine.example": after(0, 200, jsonType, `{"text":"hi"}`)}, gatewayotel.Options{})
			body := "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nmine:" + model + "\r\n--b--\r\n"
			req := httptest.NewRequest(http.MethodPost, "/v1/audio/transcriptions", strings.NewReader(body))
			req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
			r.gateway.ServeHTTP(httptest.NewRecorder(), req)
			spans := r.ended()
			require.NotEmpty(t, spans)
			for _, s := range spans {
				for _, kv := range s.Attributes() {
					assert.True(t, utf8.ValidString(kv.Value.AsString()), kv.Key)
				}
			}
		})
	}
}

// The names, units and bounds that dashboards are made for.
func TestInstruments(t *testing.T) {
	r := newHarness(t, upstream{
		"first.example":       after(0, 401, jsonType, overloaded),
		"second.example:8443": after(time.Millisecond, 200, "text/event-stream", stream),
	}, gatewayotel.Options{})
	require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"gpt-4o","stream":true,"messages":[]}`))
	var data metricdata.ResourceMetrics
	require.NoError(t, r.reader.Collect(t.Context(), &data))
	require.Len(t, data.ScopeMetrics, 1)
	assert.Equal(t, "github.com/aigateway-go/aigateway/contrib/otel", data.ScopeMetrics[0].Scope.Name)

	type shape struct {
		unit   string
		bounds []float64
	}
	got := map[string]shape{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		s := shape{unit: m.Unit}
		switch d := m.Data.(type) {
		case metricdata.Histogram[int64]:
			s.bounds = d.DataPoints[0].Bounds
		case metricdata.Histogram[float64]:
			s.bounds = d.DataPoints[0].Bounds
		}
		got[m.Name] = s
	}
	seconds := []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	assert.Equal(t, map[string]shape{
		"gen_ai.client.operation.duration":            {"s", seconds},
		"gen_ai.client.operation.time_to_first_chunk": {"s", seconds},
		"gen_ai.client.token.usage": {"{token}", []float64{
			1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
		}},
		"aigateway.request.duration": {"s", append(slices.Clone(seconds), 163.84, 327.68, 655.36)},
		"aigateway.attempts":         {unit: "{attempt}"},
		"aigateway.failovers":        {unit: "{failover}"},
		"aigateway.cooldowns":        {unit: "{cooldown}"},
	}, got)
}

// Money, caches, callers and labels are in spans and metrics. Labels of metrics are
// bounded, whatever clients send.
func TestMoneyAndLabels(t *testing.T) {
	const cached = `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100,"prompt_tokens_details":{"cached_tokens":600},"completion_tokens_details":{"reasoning_tokens":40}}}`
	tenant := "acme"
	r := newHarness(t, upstream{"first.example": after(0, 200, jsonType, cached)}, gatewayotel.Options{}, func(cfg *aigateway.Config) {
		cfg.Caller = func(*http.Request) string { return tenant }
		cfg.Labels = func(*http.Request) []slog.Attr { return []slog.Attr{slog.String("team", "t-"+tenant)} }
	})
	require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"openai:gpt-4o","messages":[]}`))
	ended := r.ended()
	attempt, request := attrs(ended[0]), attrs(ended[1])
	assert.Equal(t, int64(600), attempt["gen_ai.usage.cache_read.input_tokens"])
	assert.Equal(t, int64(40), attempt["aigateway.usage.reasoning_tokens"])
	assert.Equal(t, 0.00275, attempt["aigateway.cost.usd"]) // (400×2.5 + 600×1.25 + 100×10)/1e6
	assert.Equal(t, "acme", request["aigateway.caller"])
	assert.Equal(t, "t-acme", request["aigateway.label.team"])
	point := "aigateway.caller=acme,aigateway.label.team=t-acme,gen_ai.operation.name=chat,gen_ai.provider.name=openai,gen_ai.request.model=gpt-4o,server.address=first.example,server.port=443"
	assert.Equal(t, map[string]float64{point: 0.00275}, r.metrics()["aigateway.cost"])
	assert.Equal(t, []float64{600}, slices.Collect(maps.Values(r.metrics()["aigateway.usage.cached_input_tokens"])))
	for i := range 300 {
		tenant = fmt.Sprint("made-up-", i)
		r.do(t.Context(), "/v1/chat/completions", `{"model":"openai:gpt-4o","messages":[]}`)
	}
	assert.Len(t, r.metrics()["aigateway.cost"], 101, "100 tenants, and all others as one")
	assert.Contains(t, fmt.Sprint(r.metrics()["aigateway.cost"]), "aigateway.caller=_OTHER")
}

// Hooks of the global providers, and without providers, must not disturb a request.
func TestZeroOptions(t *testing.T) {
	cfg := aigateway.Config{
		Providers: []aigateway.Provider{{ID: "mine", BaseURL: "https://mine.example", Models: []aigateway.Model{{ID: "house"}}}},
		Hooks:     gatewayotel.Hooks(gatewayotel.Options{}),
		Transport: gatewayotel.Transport(upstream{"mine.example": after(0, 200, jsonType, completion)}),
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"house"}`)))
	assert.Equal(t, 200, w.Code)

	// Hooks that somebody calls out of order do nothing.
	h := gatewayotel.Hooks(gatewayotel.Options{})
	ctx := h.AttemptStart(t.Context(), aigateway.Attempt{})
	h.AttemptDone(ctx, aigateway.Attempt{})
	h.RequestDone(ctx, &aigateway.Result{})
}

func TestRequestsAtTheSameTime(t *testing.T) {
	r := newHarness(t, upstream{
		"first.example":       after(0, 400, jsonType, overloaded), // without a cooldown
		"second.example:8443": after(0, 200, jsonType, completion),
	}, gatewayotel.Options{})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { r.do(t.Context(), "/v1/chat/completions", `{"model":"gpt-4o","messages":[]}`) })
	}
	wg.Wait()
	assert.Len(t, r.ended(), 60)
	var n float64
	for _, v := range r.metrics()["aigateway.attempts"] {
		n += v
	}
	assert.Equal(t, 40.0, n)
}
