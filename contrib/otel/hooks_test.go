package gatewayotel_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
)

// upstream stands for all providers: the answer depends on the host alone.
type upstream map[string]func(*http.Request) (*http.Response, error)

func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) { return u[r.URL.Host](r) }

// after answers when the time has come, or the request has ended.
func after(d time.Duration, status int, kind, body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {kind}}, ContentLength: -1,
			Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	}
}

const (
	jsonType   = "application/json"
	completion = `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}`
	overloaded = `{"error":{"message":"overloaded","type":"server_error"}}`
	stream     = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n" +
		"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" +
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n"
)

// harness is a gateway with its spans and metrics.
type harness struct {
	t       *testing.T
	gateway *aigateway.Gateway
	spans   *tracetest.SpanRecorder
	reader  *metric.ManualReader
}

// newHarness makes a gateway with two providers of the catalog and one of its own,
// in this order: first.example and second.example both have gpt-4o.
func newHarness(t *testing.T, u upstream, o gatewayotel.Options, edit ...func(*aigateway.Config)) *harness {
	t.Helper()
	r := &harness{t: t, spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	o.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	o.MeterProvider = metric.NewMeterProvider(metric.WithReader(r.reader))
	cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - id: openai
    base_url: https://first.example/v1
    api_keys: [{value: sk-first-secret-0123456789}]
    query_params: {account: q-secret-0123456789}
  - id: xai
    base_url: https://second.example:8443/accounts/path-secret-0123456789
    api_keys: [{value: sk-second-secret-0123456789}]
    models: [{id: gpt-4o}, {id: grok-4}]
  - id: mine
    base_url: https://mine.example
    models: [{id: house}]
`))
	require.NoError(t, err)
	cfg.Hooks = gatewayotel.Hooks(o)
	cfg.Transport = gatewayotel.Transport(u)
	for _, f := range edit {
		f(&cfg)
	}
	r.gateway, err = aigateway.New(cfg)
	require.NoError(t, err)
	return r
}

// do sends a request and returns the answer's status.
func (r *harness) do(ctx context.Context, path, body string) int {
	r.t.Helper()
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Authorization", "Bearer client-secret-0123456789")
	req.Header.Set("X-Request-Id", "id-1")
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if v := recover(); v != nil {
				require.Equal(r.t, http.ErrAbortHandler, v)
			}
		}()
		r.gateway.ServeHTTP(w, req)
	}()
	return w.Code
}

// ended returns the spans by their end, the request's last.
func (r *harness) ended() []sdktrace.ReadOnlySpan {
	r.t.Helper()
	spans := r.spans.Ended()
	require.Len(r.t, r.spans.Started(), len(spans), "spans that never end")
	return spans
}

// metrics returns all points by metric and attributes: a histogram's sum and a
// counter's value.
func (r *harness) metrics() map[string]map[string]float64 {
	r.t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(r.t, r.reader.Collect(context.Background(), &data))
	out := map[string]map[string]float64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			points := map[string]float64{}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Sum[float64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = p.Value
				}
			case metricdata.Histogram[int64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = float64(p.Sum)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = p.Sum
				}
			default:
				r.t.Fatalf("%s is of kind %T", m.Name, d)
			}
			out[m.Name] = points
		}
	}
	return out
}

// told is all that anybody gets to read.
func (r *harness) told() string {
	r.t.Helper()
	var all strings.Builder
	for _, s := range r.ended() {
		all.WriteString(s.Name() + s.Status().Description)
		for _, kv := range s.Attributes() {
			all.WriteString(kv.Value.String() + "\n")
		}
	}
	for name, points := range r.metrics() {
		for labels := range points {
			all.WriteString(name + labels)
		}
	}
	return all.String()
}

func labels(set attribute.Set) string { return set.Encoded(attribute.DefaultEncoder()) }

func attrs(s sdktrace.ReadOnlySpan) map[string]any {
	out := map[string]any{}
	for _, kv := range s.Attributes() {
		out[string(kv.Key)] = kv.Value.AsInterface()
	}
	return out
}

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

// A failed attempt is classed by what is known of it, and each class is a word
// of a short list.
func TestErrorType(t *testing.T) {
	fails := func(err error) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	never := after(time.Hour, 200, jsonType, completion)
	cut := func(r *http.Request) (*http.Response, error) {
		resp, err := after(0, 200, jsonType, "")(r)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"id":`), iotest.ErrReader(io.ErrUnexpectedEOF)))
		return resp, err
	}
	slow := func(r *http.Request) (*http.Response, error) {
		resp, err := after(0, 500, jsonType, "")(r)
		resp.Body = io.NopCloser(readerFunc(func([]byte) (int, error) {
			<-r.Context().Done()
			return 0, r.Context().Err()
		}))
		return resp, err
	}
	gone := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Second, cancel)
		return ctx
	}
	late := func(ctx context.Context) context.Context {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	for name, tt := range map[string]struct {
		play             func(*http.Request) (*http.Response, error)
		ctx              func(context.Context) context.Context
		attempt, request string
	}{
		"status":             {play: after(0, 429, jsonType, overloaded), attempt: "429", request: "upstream_error"},
		"a redirect":         {play: after(0, 302, jsonType, ""), attempt: "302"},
		"no connection":      {play: fails(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), attempt: "connect"},
		"reset":              {play: fails(syscall.ECONNRESET), attempt: "network"},
		"an answer in error": {play: after(0, 200, jsonType, overloaded), attempt: "answer"},
		"half an answer":     {play: cut, attempt: "answer"},
		"silence":            {play: never, attempt: "timeout", request: "request_timeout"},
		"half a refusal":     {play: slow, attempt: "timeout", request: "request_timeout"},
		"client gone":        {play: never, ctx: gone, attempt: "canceled", request: "client_gone"},
		"embedder's limit":   {play: never, ctx: late, attempt: "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.ctx != nil {
					ctx = tt.ctx(ctx)
				}
				r := newHarness(t, upstream{"mine.example": tt.play}, gatewayotel.Options{})
				r.do(ctx, "/v1/chat/completions", `{"model":"house","messages":[]}`)
				spans := r.ended()
				require.Len(t, spans, 2)
				assert.Equal(t, tt.attempt, attrs(spans[0])["error.type"])
				assert.Equal(t, codes.Error, spans[0].Status().Code)
				assert.Equal(t, codes.Error, spans[1].Status().Code)
				assert.NotEmpty(t, attrs(spans[1])["error.type"])
				if tt.request != "" {
					assert.Equal(t, tt.request, attrs(spans[1])["error.type"])
				}
				got := r.metrics()
				for _, name := range []string{"aigateway.attempts", "gen_ai.client.operation.duration"} {
					labels := "error.type=" + tt.attempt + ",gen_ai.operation.name=chat,gen_ai.provider.name=mine,gen_ai.request.model=house,server.address=mine.example,server.port=443"
					assert.Equal(t, []string{labels}, slices.Collect(maps.Keys(got[name])), name)
				}
			})
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// What was not sent is no operation of the conventions', but its failure shows.
func TestUnsentAttempt(t *testing.T) {
	for name, edit := range map[string]func(*aigateway.Provider){
		"secret":  func(p *aigateway.Provider) { p.APIKeys = []aigateway.APIKey{{Value: "${secrets.get('v', 'missing')}"}} },
		"request": func(p *aigateway.Provider) { p.Body = map[string]any{"user": "${req.headers['x-user'][0]}"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, upstream{"second.example:8443": after(0, 200, jsonType, completion)}, gatewayotel.Options{},
				func(cfg *aigateway.Config) {
					cfg.Secrets = aigateway.MapSecrets(nil)
					edit(&cfg.Providers[0])
				})
			require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"gpt-4o","stream":true,"messages":[]}`))
			spans := r.ended()
			require.Len(t, spans, 3)
			assert.Equal(t, "aigateway attempt", spans[0].Name())
			assert.Equal(t, codes.Error, spans[0].Status().Code)
			assert.Equal(t, map[string]any{
				"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
				"error.type": name, "aigateway.attempt.number": int64(1),
			}, attrs(spans[0]))
			assert.Equal(t, "chat gpt-4o", spans[1].Name())
			assert.Equal(t, int64(1), attrs(spans[2])["aigateway.attempts"], "as the log counts them")

			const answered = "gen_ai.operation.name=chat,gen_ai.provider.name=x_ai,gen_ai.request.model=gpt-4o,server.address=second.example,server.port=8443"
			unsent := "error.type=" + name + ",gen_ai.operation.name=chat,gen_ai.provider.name=openai"
			got := r.metrics()
			assert.Equal(t, map[string]float64{unsent + ",gen_ai.request.model=gpt-4o": 1, answered: 1}, got["aigateway.attempts"])
			assert.Equal(t, []string{answered}, slices.Collect(maps.Keys(got["gen_ai.client.operation.duration"])))
			assert.Equal(t, map[string]float64{"aigateway.failover.next_provider=x_ai," + unsent: 1}, got["aigateway.failovers"])
		})
	}
}

// A request that nothing was sent for is a span and a duration all the same.
func TestRequestWithoutAttempt(t *testing.T) {
	r := newHarness(t, upstream{}, gatewayotel.Options{})
	require.Equal(t, 400, r.do(t.Context(), "/v1/embeddings", `{`))
	spans := r.ended()
	require.Len(t, spans, 1)
	assert.Equal(t, "aigateway embeddings", spans[0].Name())
	assert.Equal(t, "invalid_request_body", attrs(spans[0])["error.type"])
	got := r.metrics()
	assert.Contains(t, got["aigateway.request.duration"], "error.type=invalid_request_body,gen_ai.operation.name=embeddings")
	assert.NotContains(t, got, "gen_ai.client.operation.duration")
	assert.NotContains(t, got, "aigateway.attempts")
}

// A model that fails before anything is sent is left for a reason, too.
func TestFailoverWithoutAttempt(t *testing.T) {
	r := newHarness(t, upstream{"mine.example": after(0, 200, jsonType, completion)}, gatewayotel.Options{},
		func(cfg *aigateway.Config) {
			cfg.MaxInputTokens = 1
			cfg.TokenCounter = counter(func(model string) int64 {
				if model == "house" {
					return 1
				}
				return 2
			})
		})
	require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"models":["xai:grok-4","house"],"messages":[]}`))
	assert.Equal(t, map[string]float64{
		"aigateway.failover.next_provider=mine,error.type=no_attempt,gen_ai.operation.name=chat,gen_ai.provider.name=x_ai": 1,
	}, r.metrics()["aigateway.failovers"])
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

// A model that is tried although it cooldowns says so.
func TestAttemptInCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, upstream{"mine.example": after(0, 503, jsonType, overloaded)}, gatewayotel.Options{})
		var last map[string]any
		for range 6 { // five failures in a row make it rest, for 5 s
			r.do(t.Context(), "/v1/chat/completions", `{"model":"house","messages":[]}`)
			spans := r.ended()
			assert.NotContains(t, last, "aigateway.attempt.cooldown")
			last = attrs(spans[len(spans)-2])
		}
		assert.Equal(t, 5.0, last["aigateway.attempt.cooldown"])
	})
}

// A failure that has a key or a model left alone is counted, and says for how
// long.
func TestRests(t *testing.T) {
	limited := func(r *http.Request) (*http.Response, error) {
		resp, err := after(0, 429, jsonType, overloaded)(r)
		resp.Header.Set("Retry-After", "7")
		return resp, err
	}
	for name, tt := range map[string]struct {
		model    string
		play     func(*http.Request) (*http.Response, error)
		requests int
		seconds  any // of the last attempt's rest
		want     map[string]float64
	}{
		"rate limit of a key":  {model: "openai:gpt-4o", play: limited, requests: 1, seconds: 7.0, want: map[string]float64{"error.type=429,gen_ai.provider.name=openai,gen_ai.request.model=gpt-4o": 1}},
		"key refused":          {model: "openai:gpt-4o", play: after(0, 401, jsonType, overloaded), requests: 1, seconds: 60.0, want: map[string]float64{"error.type=401,gen_ai.provider.name=openai,gen_ai.request.model=gpt-4o": 1}},
		"fifth failure":        {model: "house", play: after(0, 503, jsonType, overloaded), requests: 5, seconds: 5.0, want: map[string]float64{"error.type=503,gen_ai.provider.name=mine,gen_ai.request.model=house": 1}},
		"fourth failure":       {model: "house", play: after(0, 503, jsonType, overloaded), requests: 4},
		"client's own fault":   {model: "house", play: after(0, 400, jsonType, overloaded), requests: 6},
		"a name of a client's": {model: "mine:made-up", play: limited, requests: 1, seconds: 7.0, want: map[string]float64{"error.type=429,gen_ai.provider.name=mine,gen_ai.request.model=_OTHER": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHarness(t, upstream{"first.example": tt.play, "mine.example": tt.play}, gatewayotel.Options{})
				for range tt.requests {
					r.do(t.Context(), "/v1/chat/completions", `{"model":"`+tt.model+`","messages":[]}`)
				}
				spans := r.ended()
				assert.Equal(t, tt.seconds, attrs(spans[len(spans)-2])["aigateway.cooldown.duration"])
				assert.Equal(t, tt.want, r.metrics()["aigateway.cooldowns"])
			})
		})
	}
}

// A cut must not fall within a character, and a form may name a model in bytes
// that are no text: exporters refuse both.
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

// Only the providers that are named learn of the trace, and baggage stays.
func TestPropagation(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]http.Header{}
	record := func(next func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			seen[r.URL.Host] = r.Header
			return next(r)
		}
	}
	u := upstream{
		"first.example":       record(after(0, 503, jsonType, overloaded)),
		"second.example:8443": record(after(0, 200, jsonType, completion)),
	}
	for name, tt := range map[string]struct {
		propagate     []string
		first, second bool
	}{
		"nobody by default": {},
		"one":               {propagate: []string{"XAI"}, second: true},
		"both":              {propagate: []string{"openai", "xai"}, first: true, second: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, u, gatewayotel.Options{Propagate: tt.propagate})
			member, err := baggage.NewMember("user", "alice")
			require.NoError(t, err)
			bag, err := baggage.New(member)
			require.NoError(t, err)
			ctx := baggage.ContextWithBaggage(t.Context(), bag)
			require.Equal(t, 200, r.do(ctx, "/v1/chat/completions", `{"model":"gpt-4o","messages":[]}`))
			spans := r.ended()
			for i, want := range []struct {
				host string
				told bool
			}{{"first.example", tt.first}, {"second.example:8443", tt.second}} {
				got := ""
				if want.told {
					sc := spans[i].SpanContext()
					got = "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
				}
				assert.Equal(t, got, seen[want.host].Get("Traceparent"), want.host)
				assert.NotContains(t, seen[want.host], "Baggage")
			}
		})
	}
}

// A RoundTripper must not change the request that it was given.
func TestTransportChangesNoRequest(t *testing.T) {
	var given, sent *http.Request
	inner := gatewayotel.Transport(upstream{"mine.example": func(r *http.Request) (*http.Response, error) {
		sent = r
		return after(0, 200, jsonType, completion)(r)
	}})
	r := newHarness(t, nil, gatewayotel.Options{Propagate: []string{"mine"}}, func(cfg *aigateway.Config) {
		cfg.Transport = upstream{"mine.example": func(r *http.Request) (*http.Response, error) {
			given = r
			return inner.RoundTrip(r)
		}}
	})
	require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"house","messages":[]}`))
	assert.Contains(t, sent.Header, "Traceparent")
	assert.NotContains(t, given.Header, "Traceparent")
}

// Without a base, the transport brings one.
func TestTransportWithoutBase(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Traceparent")
		w.Header().Set("Content-Type", jsonType)
		_, err := io.WriteString(w, completion)
		assert.NoError(t, err)
	}))
	defer server.Close()
	r := newHarness(t, nil, gatewayotel.Options{Propagate: []string{"mine"}}, func(cfg *aigateway.Config) {
		cfg.Transport = gatewayotel.Transport(nil)
		cfg.URLPolicy = aigateway.LoopbackURLPolicy()
		cfg.Providers[2].BaseURL = server.URL
	})
	require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"house","messages":[]}`))
	assert.Contains(t, <-got, r.ended()[0].SpanContext().TraceID().String())
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

// Hooks of the global providers, and of none, must not disturb a request.
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
