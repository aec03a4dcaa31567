package aigateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestAnswerSaysWho: answers of all kinds say who answered, after how many
// attempts, and under which id.
func TestAnswerSaysWho(t *testing.T) {
	ok := gatewaytest.Chat("a")
	fails := gatewaytest.Error(500, "x", "no")
	const chat, ask = "/v1/chat/completions", `{"model":"m"}`
	for _, tt := range []struct {
		name            string
		a, b            http.HandlerFunc
		path, body      string
		status          int
		model, attempts string
	}{
		{"an answer", ok, ok, chat, ask, 200, "a:m", "1"},
		{"failed over", fails, ok, chat, ask, 200, "b:m", "2"},
		{"a stream", gatewaytest.Stream(gatewaytest.ChatDelta("a"), gatewaytest.ChatStop, gatewaytest.ChatDone), ok, chat, `{"model":"m","stream":true}`, 200, "a:m", "1"},
		{"all failed", fails, fails, chat, ask, 503, "b:m", "2"},
		{"relayed", gatewaytest.Error(400, "x", "no"), gatewaytest.Error(400, "x", "no"), chat, ask, 400, "a:m", "2"},
		{"nothing sent", ok, ok, chat, `{"model":"nope"}`, 422, "", "0"},
		{"no JSON", ok, ok, chat, `{`, 400, "", "0"},
		{"an unknown path", ok, ok, "/v1/nope", ask, 404, "", "0"},
		{"a wrong method", ok, ok, "/v1/models", ask, 405, "", "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nested := func(next http.HandlerFunc) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("X-Aigateway-Model", "the upstream's")
						w.Header().Set("X-Aigateway-Cost", "7")
						next(w, r)
					}
				}
				h := testbed.Start(t, testbed.Config(1, "a", "b"), testbed.Hosts{"a": nested(tt.a), "b": nested(tt.b)}, nil)
				a := h.Post(tt.path, tt.body, "X-Request-Id", "r-1")
				assert.Equal(t, tt.status, a.Status, a.Body)
				assert.Equal(t, "r-1", a.Header.Get("X-Aigateway-Request-Id"))
				assert.Equal(t, tt.attempts, a.Header.Get("X-Aigateway-Attempts"))
				assert.Equal(t, tt.model, a.Header.Get("X-Aigateway-Model"))
				assert.Empty(t, a.Header.Get("X-Aigateway-Cost"))
			})
		})
	}
}

// TestAnswerHeadersChosen: response_headers chooses among all headers.
func TestAnswerHeadersChosen(t *testing.T) {
	all := []aigateway.ResponseHeader{"request-id", "model", "attempts", "removed-params", "rejected-models", "affinity", "cost"}
	for _, tt := range []struct {
		name string
		list []aigateway.ResponseHeader
		want string
	}{
		{"none", []aigateway.ResponseHeader{}, ""},
		{"all", all, "Attempts=1 Cost=0.000015 Model=a:m%20%C3%A9 Rejected-Models=nope Removed-Params=seed, top%2Ck Request-Id=r-1"},
		{"one", []aigateway.ResponseHeader{"cost"}, "Cost=0.000015"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var res *aigateway.Result
				cfg := testbed.Config(1, "a")
				cfg.ResponseHeaders, cfg.Hooks = tt.list, testbed.KeepResult(&res)
				cfg.Providers[0].Models[0] = aigateway.Model{
					ID: "m é", IDAliases: []string{"m"}, Pricing: &aigateway.Pricing{Input: new(1.0), Output: new(2.0)},
					UnsupportedParams: []aigateway.Param{{Name: "seed"}, {Name: "top,k"}, {Name: "absent"}},
				}
				h := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Chat("a")}, nil)
				a := h.Post("/v1/chat/completions", `{"models":["nope","m"],"seed":1,"top,k":2}`, "X-Request-Id", "r-1")
				require.Equal(t, 200, a.Status, a.Body)
				assert.Equal(t, tt.want, ourHeaders(a.Header))
				assert.Equal(t, []string{"seed", "top,k"}, res.ModelsTried[0].RequestsMade[0].Request.RemovedParams)
			})
		})
	}
	_, err := aigateway.New(aigateway.Config{ResponseHeaders: []aigateway.ResponseHeader{"costs"}})
	require.ErrorContains(t, err, `response_headers[0]`)
	assert.ErrorContains(t, err, `"cost"`)
	cfg, err := aigateway.ParseConfig([]byte("on_http_request: [{type: ai-gateway, config: {response_headers: []}}]"))
	require.NoError(t, err)
	assert.NotNil(t, cfg.ResponseHeaders, "[] is none, and not the default")
}

// TestAffinityHeader: on request an answer says how sticky() placed it, also a failed
// one. The key of the affinity is not in it.
func TestAffinityHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.ResponseHeaders = []aigateway.ResponseHeader{aigateway.HeaderAffinity}
		s := newSessions(t, cfg, "ai.models.sticky(req.headers['x-group'][0])")
		ask := func() string {
			return ourHeaders(s.Post("/v1/chat/completions", testbed.ChatRequest, "X-Group", "group-1").Header)
		}
		assert.Equal(t, "Affinity=header:first", ask())
		first := s.Routes()[0]
		s.Set(first, gatewaytest.Error(503, "busy", "busy"))
		assert.Equal(t, "Affinity=header:moved", ask())
		gatewaytest.Pass(time.Minute)
		assert.Equal(t, "Affinity=header:pinned", ask())
		for _, route := range []string{"a1", "b1"} {
			s.Set(route, gatewaytest.Error(400, "bad", "bad"))
		}
		assert.Equal(t, "Affinity=header:first", ask(), "an error is of the model that was tried last")
		require.NotNil(t, s.Result().Error)
		cfg.APIKeySelection.Strategy = []string{"ai.keys.sticky(req.session)"}
		cfg.ModelSelection.Strategy = nil
		s.reload(cfg)
		assert.Regexp(t, "^Affinity=session:", ask())
		cfg.APIKeySelection.Strategy = nil
		s.reload(cfg)
		assert.Empty(t, ask(), "without sticky()")
		cfg.ModelSelection.Strategy, cfg.ResponseHeaders = []string{"ai.models.sticky(req.session)"}, nil
		s.reload(cfg)
		assert.NotContains(t, ask(), "Affinity", "only on request")
	})
}

// ourHeaders are the gateway's own headers of an answer, in order.
func ourHeaders(h http.Header) string {
	var list []string
	for _, name := range []string{"Affinity", "Attempts", "Cost", "Model", "Rejected-Models", "Removed-Params", "Request-Id"} {
		if v := h.Get("X-Aigateway-" + name); v != "" {
			list = append(list, name+"="+v)
		}
	}
	return strings.Join(list, " ")
}

// TestCostTrailer: a stream has its cost behind it.
func TestCostTrailer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a")
		cfg.ResponseHeaders = []aigateway.ResponseHeader{aigateway.HeaderCost}
		cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: new(1.0), Output: new(2.0)}
		h := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Stream(streamChat...)}, nil)
		resp, err := h.Open(t.Context(), "/v1/chat/completions", `{"model":"m","stream":true}`)
		require.NoError(t, err)
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Empty(t, resp.Header.Get("X-Aigateway-Cost"))
		assert.Equal(t, "0.000015", resp.Trailer.Get("X-Aigateway-Cost"))
	})
}

// TestKeepaliveSaysID: behind a keepalive, before any answer.
func TestKeepaliveSaysID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a")
		cfg.StreamKeepalive = "2s"
		h := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Steps(5*time.Second, gatewaytest.ChatDelta("a"), gatewaytest.ChatStop, gatewaytest.ChatDone)}, nil)
		a := h.Post("/v1/chat/completions", `{"model":"m","stream":true}`, "X-Request-Id", "r-1")
		require.NoError(t, a.Err)
		assert.Contains(t, a.Body, ": keep-alive")
		assert.Equal(t, "Request-Id=r-1", ourHeaders(a.Header))
	})
}

// TestCostTrailerBehindKeepalive: a stream that a keepalive opened has its cost behind
// it, if it was asked for.
func TestCostTrailerBehindKeepalive(t *testing.T) {
	for _, tt := range []struct {
		name string
		list []aigateway.ResponseHeader
		cost []string
	}{
		{"cost", []aigateway.ResponseHeader{"cost"}, []string{"0.000015"}},
		{"the default", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				cfg.StreamKeepalive, cfg.ResponseHeaders = "2s", tt.list
				cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: new(1.0), Output: new(2.0)}
				h := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Steps(5*time.Second, strings.Join(streamChat, ""))}, nil)
				resp, err := h.Open(t.Context(), "/v1/chat/completions", `{"model":"m","stream":true}`)
				require.NoError(t, err)
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Contains(t, string(body), ": keep-alive")
				assert.Empty(t, resp.Header.Get("X-Aigateway-Cost"))
				assert.Equal(t, tt.cost, resp.Trailer["X-Aigateway-Cost"])
			})
		})
	}
}

// TestRequestID: one id stands in the answer, the Result, the log and the error.
func TestRequestID(t *testing.T) {
	for _, tt := range []struct{ name, own, header, want string }{
		{"the service's", "svc-1", "client-1", "svc-1"},
		{"the client's", "", "client-1", "client-1"},
		{"a bad one of the service", "a b", "client-1", "client-1"},
		{"not ASCII", "", "é", "req_"},
		{"128 characters", "", strings.Repeat("x", 128), strings.Repeat("x", 128)},
		{"129 characters", "", strings.Repeat("x", 129), "req_"},
		{"none", "", "", "req_"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var res *aigateway.Result
			var log bytes.Buffer
			cfg := testbed.Config(1, "a")
			cfg.Hooks, cfg.Logger = testbed.KeepResult(&res), slog.New(slog.NewJSONHandler(&log, nil))
			cfg.RequestID = func(*http.Request) string { return tt.own }
			cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				w.Header().Set("X-Request-Id", "up-1")
				gatewaytest.Error(400, "x", "no")(w, r)
				return w.Result(), nil
			})
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
			r.Header.Set("X-Request-Id", tt.header)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			id := w.Header().Get("X-Aigateway-Request-Id")
			assert.True(t, id == tt.want || tt.want == "req_" && strings.HasPrefix(id, "req_"), id)
			assert.Equal(t, id, res.RequestID)
			assert.Equal(t, "up-1", res.ModelsTried[0].RequestsMade[0].Response.RequestID)
			var line map[string]any
			require.NoError(t, json.Unmarshal(log.Bytes(), &line))
			assert.Equal(t, id, line["request_id"])
			assert.Equal(t, "up-1", line["aigateway.upstream.request_id"])
		})
	}
}

// TestWithResult: middleware around the gateway reads the Result, also of a stream
// that breaks.
func TestWithResult(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"whole": gatewaytest.Chat("a"),
		"broken": func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.StartStream(w)
			gatewaytest.Send(w, gatewaytest.ChatDelta("a"))
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := gatewaytest.NewHarness(t)
				up.Host("a", answer)
				cfg := testbed.Config(1, "a")
				cfg.Transport = up
				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				var got *aigateway.Result
				up.ServeGateway(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r = r.WithContext(aigateway.WithResult(r.Context()))
					_, early := aigateway.ResultFromContext(r.Context())
					assert.False(t, early)
					defer func() { got, _ = aigateway.ResultFromContext(r.Context()) }()
					g.ServeHTTP(w, r)
				}))
				up.Post("/v1/chat/completions", `{"model":"m","stream":true}`)
				require.NotNil(t, got)
				assert.Equal(t, name == "whole", got.Status == aigateway.StatusSuccess)
				assert.Len(t, got.ModelsTried, 1)
			})
		})
	}
	_, ok := aigateway.ResultFromContext(t.Context())
	assert.False(t, ok)
}

// TestJoinHooks: hooks enclose each other, and each sees the context of the one
// before.
func TestJoinHooks(t *testing.T) {
	type key string
	var log []string
	hooks := func(name string) *aigateway.Hooks {
		return &aigateway.Hooks{
			RequestStart: func(ctx context.Context, _ aigateway.ClientRequest) context.Context {
				log = append(log, "start "+name)
				if name == "b" {
					return nil
				}
				return context.WithValue(ctx, key("seen"), name)
			},
			AttemptStart: func(ctx context.Context, _ aigateway.Attempt) context.Context {
				log = append(log, fmt.Sprintf("attempt %s %v", name, ctx.Value(key("seen"))))
				return context.WithValue(ctx, key("seen"), "attempt "+name)
			},
			AttemptDone: func(ctx context.Context, _ aigateway.Attempt) {
				log = append(log, fmt.Sprintf("attempt done %s %v", name, ctx.Value(key("seen"))))
			},
			RequestDone: func(context.Context, *aigateway.Result) { log = append(log, "done "+name) },
		}
	}
	cfg := testbed.Config(1, "a")
	cfg.Hooks = aigateway.JoinHooks(nil, hooks("a"), &aigateway.Hooks{}, hooks("b"))
	cfg.Transport = gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(10)}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
	assert.Equal(t, []string{
		"start a", "start b", "attempt a a", "attempt b attempt a", "attempt done b attempt b", "attempt done a attempt b", "done b", "done a",
	}, log)
	assert.Nil(t, aigateway.JoinHooks().RequestDone)
}

// TestLabels: caller and labels stand in the log and the Result, bounded.
func TestLabels(t *testing.T) {
	var res *aigateway.Result
	var log bytes.Buffer
	cfg := testbed.Config(1, "a")
	cfg.Hooks, cfg.Logger = testbed.KeepResult(&res), slog.New(slog.NewJSONHandler(&log, nil))
	cfg.Caller = func(r *http.Request) string { return r.Header.Get("X-Tenant") }
	cfg.Labels = func(r *http.Request) []slog.Attr {
		labels := []slog.Attr{slog.String("tenant", r.Header.Get("X-Tenant")), slog.Int("team", 7), slog.String("long", strings.Repeat("x", 5000)), slog.String("", "nameless")}
		for i := range 20 {
			labels = append(labels, slog.Int(fmt.Sprint("l", i), i))
		}
		return labels
	}
	cfg.Transport = gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(10)}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
	r.Header.Set("X-Tenant", "acme")
	g.ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, "acme", res.Client.Caller)
	assert.Equal(t, "acme", res.Client.Labels["tenant"])
	assert.Equal(t, "7", res.Client.Labels["team"])
	assert.Less(t, len(res.Client.Labels["long"]), 1000)
	assert.Len(t, res.Client.Labels, 8)
	var line map[string]any
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	assert.Equal(t, "acme", line["tenant"])
	assert.Equal(t, "7", line["team"])
	assert.Equal(t, "acme", line["aigateway.caller"])
}

// TestWriteError answers in the client's format.
func TestWriteError(t *testing.T) {
	for _, tt := range []struct{ path, header, want string }{
		{"/ai/v1/messages", "", `{"type":"error","error":{"type":"invalid_request_error","message":"no budget","details":{"error_code":"over_budget"}},"request_id":"r-1"}`},
		{"/ai/v1/chat/completions", "", `{"error":{"message":"no budget","type":"invalid_request_error","param":null,"code":"over_budget"}}`},
		{"/elsewhere", "2023-06-01", `{"type":"error","error":{"type":"invalid_request_error","message":"no budget","details":{"error_code":"over_budget"}},"request_id":"r-1"}`},
	} {
		r := httptest.NewRequest(http.MethodPost, tt.path, nil)
		r.Header.Set("X-Request-Id", "r-1")
		r.Header.Set("Anthropic-Version", tt.header)
		w := httptest.NewRecorder()
		aigateway.WriteError(w, r, &aigateway.Error{Code: "over_budget", Status: 402, Message: "no budget"})
		assert.Equal(t, 402, w.Code)
		assert.JSONEq(t, tt.want, w.Body.String())
	}
	w := httptest.NewRecorder()
	aigateway.WriteError(w, httptest.NewRequest(http.MethodPost, "/", nil), &aigateway.Error{Code: aigateway.CodeNotFound})
	assert.Equal(t, 404, w.Code)
}

// A service's own error is an answer whatever it holds: a status that is not one of an
// error is the code's, and a nil error refuses.
func TestServicesOwnErrors(t *testing.T) {
	for _, row := range []struct {
		name     string
		err      *aigateway.Error
		status   int
		admitted int // as the refusal of Admission
	}{
		{"whole", &aigateway.Error{Code: "over_budget", Status: 402, Message: "no budget"}, 402, 402},
		{"nothing", &aigateway.Error{}, 500, 500},
		{"a status below all", &aigateway.Error{Code: "x", Status: 99}, 500, 500},
		{"a status above all", &aigateway.Error{Code: "x", Status: 1000}, 500, 500},
		{"a status without a body", &aigateway.Error{Code: aigateway.CodeNotAdmitted, Status: 204}, 403, 403},
		{"a success", &aigateway.Error{Code: aigateway.CodeClientLimitExceeded, Status: 200}, 429, 429},
		{"none", nil, 500, 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			aigateway.WriteError(w, httptest.NewRequest(http.MethodPost, "/v1/messages", nil), row.err)
			assert.Equal(t, row.status, w.Code)
			assert.NotContains(t, w.Body.String(), `"message":""`)

			cfg, err := aigateway.ParseConfig([]byte("providers: [{id: p, base_url: https://p.internal, api_keys: [{value: k}], models: [{id: m}]}]"))
			require.NoError(t, err)
			cfg.Admission = refuses{row.err}
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			w = httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
			assert.Equal(t, row.admitted, w.Code, w.Body)
			assert.NotContains(t, w.Body.String(), `"message":""`)
		})
	}
}

// refuses refuses each request, also by a nil *Error.
type refuses struct{ err *aigateway.Error }

func (r refuses) Admit(context.Context, *aigateway.ClientRequest) (func(*aigateway.Result), error) {
	return nil, r.err
}
