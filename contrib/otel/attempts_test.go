package gatewayotel_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
)

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

// What was not sent is not an operation of the conventions', but its failure shows.
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

// A failure that has a key or a model left in peace is counted, and says for how
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
