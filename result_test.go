package aigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestResultJSON is the contract of a Result's JSON: every name, and its value
// after a failover. Time is the bubble's, so latencies are exact.
func TestResultJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := gatewaytest.NewNetwork()
		network.Serve(t, "a.internal", gatewaytest.Scripted(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(200 * time.Millisecond)
			w.Header().Set("Set-Cookie", "session=hunter2-upstream")
			w.Header().Set("X-Echo", r.Header.Get("Authorization"))
			gatewaytest.Error(http.StatusServiceUnavailable, "overloaded", "try "+r.Header.Get("Authorization"))(w, r)
		}))
		network.Serve(t, "b.internal", gatewaytest.Scripted(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(100 * time.Millisecond)
			w.Header().Set("Content-Type", "application/json")
			answer := gatewaytest.LeastAnswer(r.URL.Path, "hi", `"usage":{"prompt_tokens":11,"completion_tokens":22}`)
			w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
			w.(http.Flusher).Flush()
			<-time.After(50 * time.Millisecond)
			fmt.Fprint(w, answer)
		}))
		var res *aigateway.Result
		cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - id: a
    base_url: http://a.internal
    api_keys: [{value: "sk-hunter2-of-provider-a"}]
    models: [{id: m, author_id: them, metadata: {rank: 1}}]
  - {id: b, base_url: "http://b.internal/api", models: [{id: m}]}
model_selection: {strategy: ["ai.models.filter(m, m.metadata.rank == 0)", "ai.models"]}
`))
		require.NoError(t, err)
		cfg.Registry, cfg.Transport = aigateway.NoRegistry(), network.Transport(t)
		cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodPost, "/ai/v1/chat/completions?x=1", strings.NewReader(`{"model":"nope","models":["m"]}`))
		r.Header.Set("Authorization", "Bearer sk-hunter2-of-the-client")
		r.Header.Set("X-Request-Id", "r1")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)

		got, err := json.MarshalIndent(res, "", "  ")
		require.NoError(t, err)
		assert.NotContains(t, string(got), "hunter2")
		keys := selectionKeyIDs(res)
		require.Len(t, keys, 1)
		assert.JSONEq(t, `{
  "status": "success",
  "request_id": "r1",
  "surface": "chat-completions",
  "format": "openai",
  "client": {
    "method": "POST",
    "path": "/ai/v1/chat/completions",
    "headers": {"Authorization": ["`+res.Client.Headers.Get("Authorization")+`"], "X-Request-Id": ["r1"]},
    "model": "nope",
    "models": ["m"],
    "stream": false,
    "rejected_models": [{"model": "nope", "reason": "no_matching_models", "message": `+resultQuote(res.Client.RejectedModels[0].Message)+`}]
  },
  "model_selection": [
    {
      "strategy": "ai.models.filter(m, m.metadata.rank == 0)",
      "client_model": "m",
      "candidates_returned": 0,
      "candidates_after_allowed_filter": 0,
      "candidates_after_client_filter": 0,
      "notes": [`+resultQuote(res.ModelSelection[0].Notes[0])+`]
    },
    {
      "strategy": "ai.models",
      "client_model": "m",
      "candidates_returned": 2,
      "candidates_after_allowed_filter": 2,
      "candidates_after_client_filter": 2,
      "models_to_try": ["a:m", "b:m"]
    }
  ],
  "models_tried": [
    {
      "model": "m", "provider": "a", "author": "them", "known": false,
      "api_key_selection": [{"id": "`+keys[0]+`"}],
      "requests_made": [{
        "provider": "a", "model": "m", "number": 1, "status": "failed",
        "error": `+resultQuote(res.ModelsTried[0].RequestsMade[0].Error)+`, "kind": "status",
        "upstream_input_tokens": 0, "upstream_output_tokens": 0,
        "request": {"url": "http://a.internal/v1/chat/completions", "api_key": "`+res.ModelsTried[0].RequestsMade[0].Request.APIKey+`"},
        "response": {
          "status_code": 503,
          "headers": {"Content-Length": ["`+res.ModelsTried[0].RequestsMade[0].Response.Headers.Get("Content-Length")+`"], "Content-Type": ["application/json"],
            "Date": ["Sat, 01 Jan 2000 00:00:00 GMT"], "X-Echo": ["`+res.ModelsTried[0].RequestsMade[0].Response.Headers.Get("X-Echo")+`"]},
          "body_on_error": `+resultQuote(res.ModelsTried[0].RequestsMade[0].Response.BodyOnError)+`
        },
        "upstream_latency": {"time_to_first_byte_ms": 200, "total_ms": 200}
      }]
    },
    {
      "model": "m", "provider": "b", "author": "b", "known": false,
      "requests_made": [{
        "provider": "b", "model": "m", "number": 2, "status": "success",
        "upstream_input_tokens": 11, "upstream_output_tokens": 22,
        "usage": {"input_tokens": 11, "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": 22, "reasoning_tokens": 0, "estimated": false},
        "request": {"url": "http://b.internal/api/chat/completions"},
        "response": {"status_code": 200, "headers": {"Content-Length": ["`+res.ModelsTried[1].RequestsMade[0].Response.Headers.Get("Content-Length")+`"], "Content-Type": ["application/json"], "Date": ["Sat, 01 Jan 2000 00:00:00 GMT"]}},
        "upstream_latency": {"time_to_first_byte_ms": 100, "total_ms": 150}
      }]
    }
  ],
  "success": {"model_index": 1, "request_index": 0, "model": "m", "provider": "b", "author": "b"},
  "input_tokens": 11,
  "output_tokens": 22,
  "usage": {"input_tokens": 11, "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": 22, "reasoning_tokens": 0, "estimated": false},
  "gateway_latency_ms": 0
}`, string(got))
		failed := res.ModelsTried[0].RequestsMade[0]
		assert.Contains(t, failed.Error, "503")
		assert.Contains(t, failed.Response.BodyOnError, "overloaded")
		assert.Contains(t, res.ModelSelection[0].Notes[0], "b:m", "no such key in its metadata")
		assert.Contains(t, failed.Request.APIKey, "…", "shown in part")
	})
}

// TestResultError: the error of a request that could not be served.
func TestResultError(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.JSON(http.StatusBadGateway, `{"error":{"message":"`+strings.Repeat("long ", 1000)+`"}}`))
	for _, tt := range []struct {
		body   string
		code   aigateway.Code
		status int
		last   aigateway.AttemptStatus // the last attempt's status
	}{
		{`{"model":"a:m"}`, aigateway.CodeUpstreamError, 502, aigateway.AttemptRelayed},
		{`{"models":["a:m","a:n"]}`, aigateway.CodeAllProvidersFailed, 503, aigateway.AttemptFailed},
		{`{"model":"nope"}`, aigateway.CodeNoMatchingModels, 422, ""},
		{`[]`, aigateway.CodeInvalidRequestBody, 400, ""},
	} {
		var res *aigateway.Result
		cfg := gatewayLeaky(up.URL)
		cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, gatewayLeakyRequest("r1", tt.body))
		assert.Equal(t, aigateway.StatusError, res.Status)
		require.NotNil(t, res.Error)
		assert.Equal(t, tt.code, res.Error.Code)
		assert.Equal(t, tt.status, res.Error.Status)
		assert.Equal(t, tt.status, w.Code)
		assert.Nil(t, res.Success)
		last := aigateway.AttemptStatus("")
		for _, m := range res.ModelsTried {
			for _, a := range m.RequestsMade {
				last = a.Status
				assert.Len(t, a.Response.BodyOnError, 1024, "1 KB of it")
			}
		}
		assert.Equal(t, tt.last, last)
		data, err := json.Marshal(res)
		require.NoError(t, err)
		assert.NotContains(t, string(data), "hunter2")
		assert.Contains(t, string(data), `"model_selection":[`, "a list, also where it is empty")
		assert.Contains(t, string(data), `"models_tried":[`)
	}
}

// TestResultTokens reads the usage of each kind of answer.
func TestResultTokens(t *testing.T) {
	const messageStart = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n"
	with := func(path, usage string) http.HandlerFunc {
		return gatewaytest.JSON(http.StatusOK, gatewaytest.LeastAnswer(path, "hello", usage))
	}
	for _, tt := range []struct {
		name, path, body string
		answer           http.HandlerFunc
		input, output    int64
	}{
		{"chat", "chat/completions", `{"model":"a:m"}`, gatewaytest.Chat("hello"), 9, 3},
		{"chat without usage", "chat/completions", `{"model":"a:m"}`, gatewaytest.JSON(200, `{"choices":[{"message":{"content":"hello"}}]}`), 0, 0},
		{"chat stream", "chat/completions", `{"model":"a:m","stream":true}`, gatewaytest.Stream(gatewaytest.ChatRole, gatewaytest.ChatDelta("a"), gatewaytest.ChatStop,
			"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":6}}\n\n", gatewaytest.ChatDone), 4, 6},
		{"chat stream without usage", "chat/completions", `{"model":"a:m","stream":true}`, gatewaytest.Stream(gatewaytest.ChatDelta("a"), gatewaytest.ChatStop, gatewaytest.ChatDone), 0, 0},
		{"embeddings", "embeddings", `{"model":"a:m"}`, with("embeddings", `"usage":{"prompt_tokens":7,"total_tokens":7}`), 7, 0},
		{"responses", "responses", `{"model":"a:m"}`, with("responses", `"usage":{"input_tokens":8,"output_tokens":2}`), 8, 2},
		{"responses stream", "responses", `{"model":"a:m","stream":true}`, gatewaytest.Stream(
			"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n",
			"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":8,\"output_tokens\":2}}}\n\n"), 8, 2},
		{"messages", "messages", `{"model":"a:m"}`, with("messages", `"usage":{"input_tokens":5,"output_tokens":4}`), 5, 4},
		{"messages stream", "messages", `{"model":"a:m","stream":true}`, gatewaytest.Stream(messageStart,
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\n",
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), 5, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := gatewaytest.NewUpstream(t, gatewaytest.Abort, tt.answer)
			var res *aigateway.Result
			g, err := aigateway.New(aigateway.Config{
				Registry:          aigateway.NoRegistry(),
				InternalEndpoints: map[string]string{"a.internal": up.URL},
				MaxRetries:        1,
				Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal",
					APIKeys:              []aigateway.APIKey{{Value: "one"}, {Value: "two"}},
					SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}}}},
				FailoverPolicy: aigateway.FailoverPolicyFunc(func(aigateway.Failure) aigateway.Step { return aigateway.StepNextKey }),
				Hooks:          &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }},
			})
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/"+tt.path, strings.NewReader(tt.body)))
			require.Equal(t, aigateway.StatusSuccess, res.Status, w.Body)
			assert.Equal(t, tt.input, res.InputTokens)
			assert.Equal(t, tt.output, res.OutputTokens)
			require.Len(t, res.ModelsTried[0].RequestsMade, 2)
			assert.Equal(t, 1, res.Success.RequestIndex)
			assert.Equal(t, tt.output, res.ModelsTried[0].RequestsMade[1].UpstreamOutputTokens)
			assert.Zero(t, res.ModelsTried[0].RequestsMade[0].UpstreamOutputTokens)
		})
	}
}

// TestHooks: the order of the hooks, their arguments and contexts. A hook cannot
// disturb the request through its arguments.
func TestHooks(t *testing.T) {
	type key string
	var mu sync.Mutex
	var events, seen []string
	note := func(ctx context.Context, event string, given any) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, fmt.Sprintf("%s [%v %v]", event, ctx.Value(key("request")), ctx.Value(key("attempt"))))
		text, err := json.Marshal(given)
		assert.NoError(t, err)
		seen = append(seen, fmt.Sprintf("%+v", given), string(text))
	}
	spoil := func(h http.Header) {
		for name := range h {
			h[name][0] = "spoilt"
		}
	}
	up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("Authorization")+r.Header.Get("X-Tenant"))
		gatewaytest.Error(http.StatusInternalServerError, "", "no "+r.Header.Get("Authorization")+r.URL.RawQuery)(w, r)
	}, gatewaytest.Chat("hello"))
	attempt := 0
	cfg := gatewayLeaky(up.URL)
	cfg.Hooks = &aigateway.Hooks{
		RequestStart: func(ctx context.Context, r aigateway.ClientRequest) context.Context {
			note(ctx, "request "+r.Method+" "+r.Path, r)
			spoil(r.Headers)
			return context.WithValue(ctx, key("request"), "R")
		},
		AttemptStart: func(ctx context.Context, a aigateway.Attempt) context.Context {
			attempt++
			note(ctx, fmt.Sprintf("start %d %s:%s", a.Number, a.Provider, a.Model), a)
			return context.WithValue(ctx, key("attempt"), attempt)
		},
		AttemptDone: func(ctx context.Context, a aigateway.Attempt) {
			note(ctx, fmt.Sprintf("done %d %s %d", a.Number, a.Status, a.Response.StatusCode), a)
			spoil(a.Response.Headers)
		},
		RequestDone: func(ctx context.Context, res *aigateway.Result) {
			note(ctx, "result "+string(res.Status)+" "+res.Success.Model, res)
		},
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		note(r.Context(), "sent", nil)
		return transport.RoundTrip(r)
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	r := gatewayLeakyRequest("r1", `{"models":["a:m","a:n"]}`)
	r.Header.Set("User-Agent", "agent")
	g.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, []string{
		"request POST /v1/chat/completions [<nil> <nil>]",
		"start 1 a:m [R <nil>]", "sent [R 1]", "done 1 failed 500 [R 1]",
		"start 2 a:n [R <nil>]", "sent [R 2]", "done 2 success 200 [R 2]",
		"result success n [R <nil>]",
	}, events)
	assert.NotContains(t, strings.Join(seen, "\n"), "hunter2")
	assert.Equal(t, "agent", up.Last().Header.Get("User-Agent"), "what a hook changes is its own")
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
}

// TestHooksAreOptional serves with each hook by itself, and with nil contexts.
func TestHooksAreOptional(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	calls := 0
	for i, hooks := range []*aigateway.Hooks{
		nil, {},
		{RequestStart: func(context.Context, aigateway.ClientRequest) context.Context { calls++; return nil }},
		{AttemptStart: func(context.Context, aigateway.Attempt) context.Context { calls++; return nil }},
		{AttemptDone: func(context.Context, aigateway.Attempt) { calls++ }},
		{RequestDone: func(context.Context, *aigateway.Result) { calls++ }},
	} {
		cfg := gatewayLeaky(up.URL)
		cfg.Hooks = hooks
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, gatewayLeakyRequest("r1", `{"model":"m"}`))
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, max(0, i-1), calls)
	}
}

// TestResultIsTheReceivers hands a request on, after a hook has changed its
// Result: the next handler gets another.
func TestResultIsTheReceivers(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Abort)
	cfg := gatewayLeaky(up.URL)
	cfg.OnError = aigateway.OnErrorContinue
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) {
		res.Client.Models[0], res.ModelsTried[0].Model, res.ModelSelection[0].ModelsToTry[0] = "spoilt", "spoilt", "spoilt"
		res.Client.Headers.Set("X-Request-Id", "spoilt")
	}}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	called := false
	h := g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called = true
		res, ok := aigateway.ResultFromContext(r.Context())
		require.True(t, ok)
		assert.Equal(t, []string{"m"}, res.Client.Models)
		assert.Equal(t, "m", res.ModelsTried[0].Model)
		assert.Equal(t, "a:m", res.ModelSelection[0].ModelsToTry[0])
		assert.Equal(t, "r1", res.Client.Headers.Get("X-Request-Id"))
	}))
	h.ServeHTTP(httptest.NewRecorder(), gatewayLeakyRequest("r1", `{"models":["m"]}`))
	assert.True(t, called)

	_, ok := aigateway.ResultFromContext(t.Context())
	assert.False(t, ok)
}

// selectionKeyIDs lists the ids of the keys of a Result.
func selectionKeyIDs(res *aigateway.Result) []string {
	var ids []string
	for _, m := range res.ModelsTried {
		for _, k := range m.APIKeySelection {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// resultQuote is a text as JSON.
func resultQuote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Cooldowns can be read in the Result, of a request as of a dry run.
func TestCooldownInResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testbed.NewScripts(t, testbed.Config(2, "a", "b"))
		cooldowns := func(res *aigateway.Result) map[string]float64 {
			got := map[string]float64{}
			for _, m := range res.ModelsTried {
				got[m.Provider] = m.CooldownMS
				for i, k := range m.APIKeySelection {
					if k.CooldownMS != 0 {
						got[fmt.Sprintf("%s's key %d", m.Provider, i+1)] = k.CooldownMS
					}
				}
			}
			return got
		}
		explained := func() map[string]float64 {
			res, err := testbed.Explain(h.Gateway, "/v1/chat/completions", testbed.ChatRequest)
			require.NoError(t, err)
			return cooldowns(res)
		}
		assert.Equal(t, map[string]float64{"a": 0, "b": 0}, explained())

		h.Set("a1", gatewaytest.RateLimited("30"), gatewaytest.Chat(""))
		testbed.Ask(h.Harness)
		assert.Equal(t, map[string]float64{"a": 0}, cooldowns(h.Result()), "as they were when its turn came")
		assert.Equal(t, 30000.0, h.Result().ModelsTried[0].RequestsMade[0].CooldownMS, "what the failure led to")
		gatewaytest.Pass(1500 * time.Millisecond)
		assert.Equal(t, map[string]float64{"a": 0, "a's key 2": 28500, "b": 0}, explained(), "the key in cooldown is last")
		gatewaytest.Pass(28500 * time.Millisecond)
		assert.Equal(t, map[string]float64{"a": 0, "b": 0}, explained())

		for _, provider := range []string{"a", "b"} {
			h.Unreachable(provider, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")})
		}
		for range 3 {
			testbed.Ask(h.Harness) // two failures of each
		}
		gatewaytest.Pass(time.Second)
		assert.Equal(t, map[string]float64{"a": 4000, "b": 4000}, explained())
		testbed.Ask(h.Harness)
		assert.Equal(t, map[string]float64{"a": 4000, "b": 4000}, cooldowns(h.Result()))
		gatewaytest.Pass(4 * time.Second)
		assert.Equal(t, map[string]float64{"a": 0, "b": 0}, explained())
		testbed.Ask(h.Harness)
		assert.Equal(t, map[string]float64{"a": 0, "b": 0}, cooldowns(h.Result()), "the probe itself is not kept away")
		assert.Equal(t, map[string]float64{"a": 10000, "b": 0}, explained(), "a request makes one probe")
	})
}

// Candidates and keys that were passed over are named, with the reason.
func TestSkippedInResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		cfg := testbed.Config(1, "a", "b")
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		h := testbed.NewScripts(t, cfg)
		h.CoolDown()
		gatewaytest.Pass(1200 * time.Millisecond)
		testbed.Ask(h.Harness)
		assert.Equal(t, []aigateway.SkippedModel{{Model: "m", Provider: "a", CooldownMS: 3800}}, h.Result().Skipped)
		assert.Contains(t, log.String(), `"aigateway.skipped":["a:m: in cooldown for 3.8s"]`)

		// A probe hangs, with another request meanwhile.
		gatewaytest.Pass(3800 * time.Millisecond)
		h.Set("a1", gatewaytest.Silence)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var probe sync.WaitGroup
		probe.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest)).WithContext(ctx)
			h.Gateway.ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait()
		assert.Equal(t, 200, h.Send().Code)
		assert.Equal(t, []aigateway.SkippedModel{{Model: "m", Provider: "a", Probed: true}}, h.Result().Skipped)
		res, err := testbed.Explain(h.Gateway, "/v1/chat/completions", testbed.ChatRequest)
		require.NoError(t, err)
		last := res.ModelsTried[1]
		assert.True(t, last.Provider == "a" && last.Probed && last.CooldownMS == 0, "%+v", last)
		leave()
		probe.Wait()

		// A failed probe leads to a longer cooldown, shown by its attempt.
		h.Set("a1", gatewaytest.KeyError(500, ""))
		testbed.Ask(h.Harness)
		assert.Equal(t, 10000.0, h.Result().ModelsTried[0].RequestsMade[0].CooldownMS)
		assert.Empty(t, h.Result().Skipped)

		// A failed request beside a probe does not show a cooldown.
		gatewaytest.Pass(10 * time.Second)
		h.Set("a1", gatewaytest.Silence)
		ctx, leave = context.WithCancel(t.Context())
		defer leave()
		probe.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest)).WithContext(ctx)
			h.Gateway.ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait()
		h.Set("a1", gatewaytest.KeyError(500, ""))
		h.Set("b1", gatewaytest.KeyError(500, ""))
		h.Send()
		assert.Zero(t, h.Result().ModelsTried[1].RequestsMade[0].CooldownMS)
		leave()
		probe.Wait()
		h.Set("b1", gatewaytest.Chat(""))
		testbed.Ask(h.Harness) // the next probe, which fails

		// If every other candidate fails, the one in cooldown has its turn after
		// all.
		h.Set("b1", gatewaytest.KeyError(500, ""))
		testbed.Ask(h.Harness)
		assert.Empty(t, h.Result().Skipped)
		assert.Equal(t, 15000.0, h.Result().ModelsTried[1].CooldownMS)

		// Without a further attempt it does not have a turn.
		cfg.MaxAttempts, cfg.Transport = 1, h.Harness
		cfg.Hooks = h.Hooks()
		require.NoError(t, h.Gateway.Reload(cfg))
		testbed.Ask(h.Harness)
		require.Len(t, h.Result().Skipped, 1)
		assert.Len(t, h.Result().ModelsTried, 1)
	})
}

// The Result notes the keys left out by a failing key strategy.
func TestNotesOfKeyStrategies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a")
		cfg.APIKeySelection.Strategy = []string{"ai.keys.filter(k, k.quota.remaining_requests > 5)", "ai.keys"}
		h := testbed.NewScripts(t, cfg)
		testbed.Ask(h.Harness)
		require.Len(t, h.Result().Notes, 1)
		assert.Contains(t, h.Result().Notes[0], `api_key_selection.strategy[0] for provider "a": filter: `)
	})
}
