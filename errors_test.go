package aigateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
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

// After a single attempt the client gets its answer unchanged, whatever the
// status. A refusal of the gateway's own key is not for the client: see
// TestErrorsOwnKey.
func TestErrorsSingleAttemptIsRelayed(t *testing.T) {
	const body = "{ \"error\" : {\"message\":\"as \\u0069t was\",\"code\":1e2} }\n"
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		for _, status := range []int{400, 403, 404, 409, 413, 418, 422, 429, 451, 500, 502, 503, 504, 529} {
			t.Run(path+http.StatusText(status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var res *aigateway.Result
					cfg := testbed.Config(1, "a")
					cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
					harness := testbed.Start(t, cfg, testbed.Hosts{"a": func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Type", "application/problem+json")
						w.Header().Set("Retry-After", "17")
						w.Header().Set("Anthropic-Ratelimit-Requests-Remaining", "0")
						w.WriteHeader(status)
						io.WriteString(w, body)
					}}, nil)
					got := harness.Post(path, testbed.ChatRequest)
					require.NoError(t, got.Err)
					assert.Equal(t, status, got.Status)
					assert.Equal(t, body, got.Body)
					assert.Equal(t, "application/problem+json", got.Header.Get("Content-Type"))
					assert.Equal(t, "17", got.Header.Get("Retry-After"))
					assert.Equal(t, "0", got.Header.Get("Anthropic-Ratelimit-Requests-Remaining"))
					assert.Empty(t, got.Header.Get("X-Should-Retry"), "the SDK decides")
					require.NotNil(t, res.Error)
					assert.Equal(t, aigateway.ResultError{Code: "upstream_error", Status: status, Message: res.Error.Message}, *res.Error)
					assert.Equal(t, aigateway.AttemptRelayed, res.ModelsTried[0].RequestsMade[0].Status)
				})
			})
		}
	}
}

// A key that the provider refuses is either the gateway's own, of which the client
// knows nothing, or the client's.
func TestErrorsOwnKey(t *testing.T) {
	google := gatewaytest.JSON(400, `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]`)
	perTenant := func(c *aigateway.Config) {
		c.Providers[0].APIKeys[0].Value = "${req.headers['x-key'][0]}"
	}
	fromStore := func(c *aigateway.Config) {
		c.Providers[0].APIKeys[0].Value = "${secrets.get('tenants', req.headers['x-key'][0])}"
		c.Secrets = aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return "sk-a1-0123456789", nil })
	}
	sealed := func(c *aigateway.Config) {
		c.Providers[0].APIKeys[0].Value = "${secrets.get('vault', 'key')}"
		c.Secrets = aigateway.MapSecrets(nil)
	}
	passedThrough := func(c *aigateway.Config) {
		p := c.Providers[0]
		p.APIKeys = nil
		c.Registry, c.Providers = aigateway.StaticRegistry(p), nil
	}
	for _, tt := range []struct {
		name   string
		set    func(*aigateway.Config)
		a      http.HandlerFunc
		status int
	}{
		{"401", nil, gatewaytest.KeyError(401, "invalid_api_key"), 502},
		{"402", nil, gatewaytest.KeyError(402, ""), 502},
		{"a dead key told by 400", nil, google, 502},
		{"a dead key told by 429", nil, gatewaytest.KeyError(429, "insufficient_quota"), 502},
		{"a dead key told by 403", nil, gatewaytest.KeyError(403, "invalid_api_key"), 502},
		{"a dead key under 200", nil, gatewaytest.JSON(200, `{"error":{"code":"invalid_api_key","message":"no"}}`), 502},
		{"a dead key as the first event", nil, gatewaytest.Stream("data: {\"error\":{\"code\":\"invalid_api_key\",\"message\":\"no\"}}\n\n"), 502},
		{"of a tenant, from the gateway's store", fromStore, gatewaytest.KeyError(401, ""), 502},
		{"a secret that does not resolve", sealed, gatewaytest.Chat("unexpected"), 502},
		{"403 that does not speak of the key", nil, gatewaytest.KeyError(403, ""), 403},
		{"the client's own key, in a header", perTenant, gatewaytest.KeyError(401, ""), 401},
		{"the client's own key, passed through", passedThrough, gatewaytest.KeyError(401, ""), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				if tt.set != nil {
					tt.set(&cfg)
				}
				var res *aigateway.Result
				cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
				body := strings.Replace(testbed.ChatRequest, `"m"`, `"a:m"`, 1)
				if strings.Contains(tt.name, "event") {
					body = testbed.StreamRequest
				}
				got := testbed.Start(t, cfg, testbed.Hosts{"a": tt.a}, nil).Post("/v1/chat/completions", body, "X-Key", "sk-client-0123456789", "Authorization", "Bearer sk-client-0123456789")
				require.NoError(t, got.Err)
				assert.Equal(t, tt.status, got.Status, got.Body)
				if tt.status == 502 {
					assert.Equal(t, "upstream_authentication_failed", failoverCode(t, got))
					assert.Equal(t, "false", got.Header.Get("X-Should-Retry"))
					require.NotNil(t, res.Error)
					assert.NotContains(t, got.Body, "asked by")
					assert.Equal(t, aigateway.CodeUpstreamAuthenticationFailed, res.Error.Code)
					return
				}
				assert.Empty(t, got.Header.Get("X-Should-Retry"))
			})
		})
	}
}

// The client's answer after several failed attempts: the first rule that fits.
func TestErrorsOfSeveralAttempts(t *testing.T) {
	with := func(status int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			gatewaytest.KeyError(status, "")(w, r)
		}
	}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	tests := []struct {
		name      string
		a, b      http.HandlerFunc
		aErr      error
		bErr      error
		status    int
		body      string // the key whose answer it is, or the gateway's own code
		after, ms string // Retry-After and retry-after-ms
	}{
		{name: "429: the smallest Retry-After", a: with(429, "Retry-After", "30"), b: with(429, "Retry-After", "5"), status: 429, body: "asked by a1", after: "5", ms: "5000"},
		{name: "429: the first one's is the smallest", a: with(429, "Retry-After", "5"), b: with(429, "Retry-After", "30"), status: 429, body: "asked by a1", after: "5", ms: "5000"},
		{name: "429: one alone says when", a: with(429), b: with(429, "Retry-After", "9"), status: 429, body: "asked by a1", after: "9", ms: "9000"},
		{name: "429: in milliseconds", a: with(429, "Retry-After", "30"), b: with(429, "retry-after-ms", "1500"), status: 429, body: "asked by a1", after: "2", ms: "2000"},
		{name: "429: at once", a: with(429, "Retry-After", "30"), b: with(429, "Retry-After", "0"), status: 429, body: "asked by a1", after: "0", ms: "0"},
		{name: "429: nobody says when", a: with(429), b: with(429), status: 429, body: "asked by a1"},
		{name: "all 4xx", a: with(404), b: with(400), status: 404, body: "asked by a1"},
		{name: "429 and another 4xx", a: with(429, "Retry-After", "7"), b: with(401), status: 429, body: "asked by a1", after: "7"},
		{name: "another 4xx and 429", a: with(400), b: with(429, "Retry-After", "7"), status: 400, body: "asked by a1"},
		{name: "the own key refused and 429", a: with(401), b: with(429, "Retry-After", "7"), status: 429, body: "asked by b1", after: "7"},
		{name: "the own key refused and 5xx", a: with(401), b: with(500), status: 503, body: "all_providers_failed"},
		{name: "all timed out", a: gatewaytest.Silence, b: gatewaytest.Silence, status: 504, body: "request_timeout"},
		{name: "none could connect", aErr: refused, bErr: refused, status: 502, body: "upstream_unreachable"},
		{name: "4xx and 5xx", a: with(404), b: with(500), status: 503, body: "all_providers_failed"},
		{name: "5xx alike", a: with(529), b: with(529), status: 503, body: "all_providers_failed"},
		{name: "429 and no connection", a: with(429, "Retry-After", "7"), bErr: refused, status: 503, body: "all_providers_failed"},
		{name: "429 and silence", a: with(429, "Retry-After", "7"), b: gatewaytest.Silence, status: 503, body: "all_providers_failed"},
		{name: "no connection and silence", aErr: refused, b: gatewaytest.Silence, status: 503, body: "all_providers_failed"},
		{name: "no connection and broken", aErr: refused, b: gatewaytest.Abort, status: 503, body: "all_providers_failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := testbed.Start(t, testbed.Config(1, "a", "b"), testbed.Hosts{"a": tt.a, "b": tt.b}, testbed.Unreachable{"a": tt.aErr, "b": tt.bErr})
				got := testbed.Ask(harness)
				require.NoError(t, got.Err)
				assert.Equal(t, []string{"a1", "b1"}, harness.Routes())
				assert.Equal(t, tt.status, got.Status)
				assert.Contains(t, got.Body, tt.body)
				assert.Equal(t, tt.after, got.Header.Get("Retry-After"))
				assert.Equal(t, tt.ms, got.Header.Get("Retry-After-Ms"))
				if tt.body == "all_providers_failed" {
					assert.Equal(t, "false", got.Header.Get("X-Should-Retry"))
				}
			})
		})
	}
}

// The first candidate's last answer stands for it, though its keys got others.
func TestErrorsFirstCandidatesLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := testbed.Start(t, testbed.Config(2, "a", "b"), testbed.Hosts{
			"a": gatewaytest.Scripted(gatewaytest.KeyError(401, ""), gatewaytest.KeyError(403, "")).ServeHTTP,
			"b": gatewaytest.Scripted(gatewaytest.KeyError(402, ""), gatewaytest.KeyError(404, "")).ServeHTTP,
		}, nil)
		got := testbed.Ask(harness)
		assert.Equal(t, []string{"a1", "a2", "b1", "b2"}, harness.Routes())
		assert.Equal(t, 403, got.Status)
		assert.Contains(t, got.Body, "asked by a2")
	})
}

// The list of attempts names each provider, model, status and reason. It
// contains no key, not even one echoed by an upstream.
func TestErrorsListAttempts(t *testing.T) {
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := testbed.Start(t, testbed.Config(1, "a", "b", "c"), testbed.Hosts{
					"a": gatewaytest.Error(401, "invalid_api_key", "wrong key sk-a1-0123456789abcdef, sir"),
					"b": gatewaytest.JSON(500, "<html>"),
					"c": gatewaytest.Silence,
				}, nil)
				got := harness.Post(path, testbed.ChatRequest)
				assert.Equal(t, 503, got.Status)
				message := failoverError(t, got.Body).Error.Message
				for _, want := range []string{"3 attempts", "a:m: 401 ", "wrong key", "b:m: 500 Internal Server Error", "c:m: no answer within per_request_timeout"} {
					assert.Contains(t, message, want)
				}
				assert.NotContains(t, got.Body, "0123456789abcdef")
				assert.Equal(t, "false", got.Header.Get("X-Should-Retry"))
			})
		})
	}
}

// If an upstream echoes the gateway's key, the client does not see it.
func TestErrorsCutEchoedKey(t *testing.T) {
	const key = "sk-a1-0123456789abcdef"
	echo := `{"error":{"message":"Cannot bill ` + key + ` for this."}}`
	for name, handler := range map[string]http.HandlerFunc{
		"plain": gatewaytest.JSON(422, echo),
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			w.Write(failoverGzip(echo))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var res *aigateway.Result
				cfg := testbed.Config(1, "a")
				cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": handler}, nil)
				got := testbed.Ask(harness)
				require.NoError(t, got.Err)
				assert.Equal(t, 422, got.Status)
				assert.Contains(t, got.Body, "Cannot bill ")
				assert.Empty(t, got.Header.Get("Content-Encoding"))
				assert.NotContains(t, got.Body, key)
				told, err := json.Marshal(res)
				require.NoError(t, err)
				assert.NotContains(t, string(told), key)
			})
		})
	}
}

// Every code, its cause, and its body in both formats.
func TestErrorsCodes(t *testing.T) {
	strategy := func(text string) func(*aigateway.Config) {
		return func(c *aigateway.Config) { c.ModelSelection.Strategy = []string{text} }
	}
	tests := []struct {
		code   aigateway.Code
		status int
		kind   string // the body's type
		set    func(*aigateway.Config)
		body   string // of the request
		a      http.HandlerFunc
		err    error
		dryRun bool // whether Explain meets it too
		before int  // requests that are answered first
	}{
		{code: aigateway.CodeInvalidRequestBody, status: 400, kind: "invalid_request_error", body: `{"model":`, dryRun: true},
		{code: aigateway.CodeRequestTooLarge, status: 413, kind: "invalid_request_error", set: func(c *aigateway.Config) { c.MaxBodyBytes = 10 }, dryRun: true},
		{code: aigateway.CodeNoMatchingModels, status: 422, kind: "invalid_request_error", body: `{"model":"unheard-of"}`, dryRun: true},
		{code: aigateway.CodeModelNotAllowed, status: 422, kind: "invalid_request_error", body: `{"model":"a:other"}`, dryRun: true,
			set: func(c *aigateway.Config) { c.OnlyAllowConfiguredModels = true }},
		{code: aigateway.CodeProviderNotAllowed, status: 422, kind: "invalid_request_error", body: `{"model":"known:other"}`, dryRun: true,
			set: func(c *aigateway.Config) {
				c.Registry = aigateway.StaticRegistry(aigateway.Provider{ID: "known", BaseURL: "https://known.example.com"})
				c.OnlyAllowConfiguredProviders = true
			}},
		{code: aigateway.CodeNoAPIKey, status: 400, kind: "invalid_request_error", body: `{"model":"m"}`,
			set: func(c *aigateway.Config) { c.APIKeySelection.Strategy = []string{"ai.keys.filter(k, false)"} }},
		{code: aigateway.CodeAPIKeySelectionFailed, status: 422, kind: "invalid_request_error", body: `{"model":"m"}`,
			set: func(c *aigateway.Config) {
				c.APIKeySelection.Strategy = []string{"1 / size(req.headers['x-none'][0]) > 0 ? ai.keys : ai.keys"}
			}},
		{code: aigateway.CodeModelSelectionFailed, status: 422, kind: "invalid_request_error", set: strategy("1 / (size(ai.models) - 1) > 0 ? ai.models : ai.models"), dryRun: true},
		{code: aigateway.CodeModelSelectionEmpty, status: 422, kind: "invalid_request_error", set: strategy("ai.models.filter(m, false)"), dryRun: true},
		{code: aigateway.CodeInputTooLarge, status: 413, kind: "invalid_request_error", set: func(c *aigateway.Config) { c.MaxInputTokens = 1 }},
		{code: aigateway.CodeAtCapacity, status: 429, kind: "rate_limit_error", before: 1,
			set: func(c *aigateway.Config) { c.Providers[0].Limits.RequestsPerMinute = 1 }},
		{code: aigateway.CodeUpstreamUnreachable, status: 502, kind: "api_error", err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}},
		{code: aigateway.CodeRequestTimeout, status: 504, kind: "timeout_error", a: gatewaytest.Silence},
		{code: aigateway.CodeAllProvidersFailed, status: 503, kind: "api_error", a: gatewaytest.Abort},
	}
	for _, tt := range tests {
		t.Run(string(tt.code), func(t *testing.T) {
			assert.Equal(t, tt.status, tt.code.HTTPStatus())
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				if tt.set != nil {
					tt.set(&cfg)
				}
				a, body := tt.a, tt.body
				if a == nil {
					a = gatewaytest.Chat("unexpected")
				}
				if body == "" {
					body = testbed.ChatRequest
				}
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": a}, testbed.Unreachable{"a": tt.err})
				for range tt.before {
					require.Equal(t, 200, harness.Post("/v1/chat/completions", body).Status)
				}

				got := harness.Post("/v1/chat/completions", body)
				require.Equal(t, tt.status, got.Status, got.Body)
				assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
				e := failoverError(t, got.Body)
				assert.Equal(t, string(tt.code), e.Error.Code)
				assert.Equal(t, tt.kind, e.Error.Type)
				assert.NotEmpty(t, e.Error.Message)
				assert.Contains(t, got.Body, `"param":null`)
				assert.Empty(t, e.Type)

				got = harness.Post("/v1/messages", body, "X-Request-Id", "req-7", "X-Api-Key", "sk-client-1234")
				require.Equal(t, tt.status, got.Status, got.Body)
				e = failoverError(t, got.Body)
				assert.Equal(t, "error", e.Type)
				assert.Equal(t, string(tt.code), e.Error.Details.ErrorCode)
				assert.Equal(t, tt.kind, e.Error.Type)
				assert.NotEmpty(t, e.Error.Message)
				assert.Equal(t, "req-7", e.RequestID)

				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				res, err := g.Explain(r)
				require.NotNil(t, res)
				assert.Equal(t, aigateway.StatusDryRun, res.Status)
				if tt.dryRun {
					var e *aigateway.Error
					require.ErrorAs(t, err, &e)
					assert.Equal(t, tt.code, e.Code)
					assert.Equal(t, tt.status, e.Status)
					assert.NotEmpty(t, e.Message)
				}
			})
		})
	}
	for code, status := range map[aigateway.Code]int{
		aigateway.CodeUnsupportedMediaType: 415, aigateway.CodeNotFound: 404, aigateway.CodeModelNotFound: 404,
		aigateway.CodeMethodNotAllowed: 405, aigateway.CodeUpstreamError: 502, aigateway.CodeStreamBroken: 499, aigateway.CodeClientGone: 499,
		aigateway.CodeUpgradeRequired: 426, aigateway.CodeInvalidID: 400, aigateway.CodeIDNotFound: 404, aigateway.CodeProviderRequired: 400,
		aigateway.CodeThreadNotFound: 404, aigateway.CodeThreadUnsupported: 400,
		aigateway.CodeProviderConflict: 400, aigateway.CodeNotTranslatable: 422, aigateway.CodeNotAdmitted: 403, aigateway.CodeClientLimitExceeded: 429,
		aigateway.CodeUpstreamAuthenticationFailed: 502, aigateway.CodeInternal: 500,
	} {
		assert.Equal(t, status, code.HTTPStatus(), code)
	}
}

// on_error: continue passes failed requests to the next handler.
func TestErrorsContinue(t *testing.T) {
	const bad = `{"model": "unheard-of" }`
	tests := []struct {
		name, body string
		a          http.HandlerFunc
		code       aigateway.Code // in the Result; empty: next is not called
		attempts   int
		status     int // where next is not called
	}{
		{"selection error", bad, nil, aigateway.CodeNoMatchingModels, 0, 0},
		{"broken body", `{"model":`, nil, aigateway.CodeInvalidRequestBody, 0, 0},
		{"exhausted", testbed.ChatRequest, gatewaytest.Abort, aigateway.CodeAllProvidersFailed, 2, 0},
		{"timeouts", testbed.ChatRequest, gatewaytest.Silence, aigateway.CodeRequestTimeout, 2, 0},
		{"relayed 400", testbed.ChatRequest, gatewaytest.KeyError(400, ""), aigateway.CodeUpstreamError, 1, 0},
		{"relayed 429", testbed.ChatRequest, gatewaytest.KeyError(429, ""), aigateway.CodeUpstreamError, 2, 0},
		{"content filter", testbed.ChatRequest, gatewaytest.KeyError(400, "content_filter"), "", 1, 400},
		{"success", testbed.ChatRequest, gatewaytest.Chat("fine"), "", 1, 200},
		{"after the commit", testbed.StreamRequest, gatewaytest.Stream(gatewaytest.ChatDelta("Hel")), "", 1, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(2, "a")
				cfg.OnError = aigateway.OnErrorContinue
				harness := gatewaytest.NewHarness(t)
				if tt.a != nil {
					harness.Host("a", tt.a)
				}
				cfg.Transport = harness
				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				called := false
				harness.ServeGateway(g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					called = true
					body, err := io.ReadAll(r.Body)
					assert.NoError(t, err)
					assert.Equal(t, tt.body, string(body))
					assert.EqualValues(t, len(tt.body), r.ContentLength)
					res, ok := aigateway.ResultFromContext(r.Context())
					if assert.True(t, ok) && assert.NotNil(t, res.Error) {
						assert.Equal(t, tt.code, res.Error.Code)
						made := 0
						for _, m := range res.ModelsTried {
							made += len(m.RequestsMade)
						}
						assert.Equal(t, tt.attempts, made)
					}
					w.WriteHeader(http.StatusTeapot)
				})))
				got := harness.Post("/v1/chat/completions", tt.body)
				assert.Len(t, harness.Sent(), tt.attempts)
				if tt.code == "" {
					assert.False(t, called)
					assert.Equal(t, tt.status, got.Status)
					return
				}
				assert.True(t, called)
				assert.Equal(t, http.StatusTeapot, got.Status)
				assert.Empty(t, got.Body, "nothing of the gateway's own")
			})
		})
	}
}

// If the gateway refuses to read a body, the next handler gets it untouched.
func TestErrorsContinueWithUnreadBody(t *testing.T) {
	cfg := testbed.Config(1, "a")
	cfg.OnError = aigateway.OnErrorContinue
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	sent := failoverGzip(testbed.ChatRequest)
	var got []byte
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
	})
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", bytes.NewReader(sent))
	r.Header.Set("Content-Encoding", "gzip")
	g.Wrap(next).ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, sent, got)
}

// Without a next handler, on_error: continue answers with the error.
func TestErrorsContinueHaltsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a")
		cfg.OnError, cfg.TotalTimeout = aigateway.OnErrorContinue, "3s"
		got := testbed.Ask(testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Silence}, nil))
		assert.Equal(t, 504, got.Status)
		assert.Equal(t, "request_timeout", failoverCode(t, got))
		assert.Equal(t, 3*time.Second, got.Took)
	})
}

// failoverErrorBody is an error body of either format.
type failoverErrorBody struct {
	Type  string
	Error struct {
		Message, Type, Code string
		Details             struct {
			ErrorCode string `json:"error_code"`
		}
	}
	RequestID string `json:"request_id"`
}

func failoverError(t *testing.T, body string) failoverErrorBody {
	t.Helper()
	var e failoverErrorBody
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	return e
}

func failoverGzip(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.Bytes()
}
