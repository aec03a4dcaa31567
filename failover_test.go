package aigateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// The three ways to go on after a failure, as the following routes when all of
// provider "a" fails and "b" answers.
var (
	failoverByKey       = []string{"a1", "a2", "b1"}
	failoverByCandidate = []string{"a1", "b1"}
	failoverStops       = []string{"a1"}
)

// The whole table of failures: the next route while another provider answers,
// and the client's answer if every provider fails.
func TestFailoverTable(t *testing.T) {
	const broken = `{"id":"chatcmpl-1","choices":[{"index":0,"message":{"role":"assist`
	unreachable := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	tests := []struct {
		name   string
		fail   http.HandlerFunc
		err    error // of the transport, in place of a handler
		next   []string
		status int                                           // where all fail
		code   string                                        // of the gateway's own error; else the answer is an upstream's
		ask    func(*gatewaytest.Harness) gatewaytest.Answer // nil: without a stream
	}{
		{name: "401", fail: gatewaytest.KeyError(401, "invalid_api_key"), next: failoverByKey, status: 502, code: "upstream_authentication_failed"},
		{name: "402", fail: gatewaytest.KeyError(402, "insufficient_balance"), next: failoverByKey, status: 502, code: "upstream_authentication_failed"},
		{name: "403", fail: gatewaytest.KeyError(403, "forbidden"), next: failoverByKey, status: 403},
		{name: "404", fail: gatewaytest.KeyError(404, "model_not_found"), next: failoverByKey, status: 404},
		{name: "408", fail: gatewaytest.KeyError(408, "timeout"), next: failoverByKey, status: 408},
		{name: "409", fail: gatewaytest.KeyError(409, "conflict"), next: failoverByKey, status: 409},
		{name: "429", fail: gatewaytest.KeyError(429, "rate_limit_exceeded"), next: failoverByKey, status: 429},
		{name: "400 of a dead key", fail: gatewaytest.KeyError(400, "invalid_api_key"), next: failoverByKey, status: 502, code: "upstream_authentication_failed"},
		{name: "412 of a dead key", fail: gatewaytest.KeyError(412, "invalid_api_key"), next: failoverByKey, status: 502, code: "upstream_authentication_failed"},
		{name: "429 of a dead key", fail: gatewaytest.KeyError(429, "insufficient_quota"), next: failoverByKey, status: 502, code: "upstream_authentication_failed"},
		{name: "424", fail: gatewaytest.KeyError(424, ""), next: failoverByKey, status: 424},
		{name: "499", fail: gatewaytest.KeyError(499, ""), next: failoverByKey, status: 499},
		{name: "400", fail: gatewaytest.KeyError(400, "context_length_exceeded"), next: failoverByCandidate, status: 400},
		{name: "413", fail: gatewaytest.KeyError(413, "too_large"), next: failoverByCandidate, status: 413},
		{name: "415", fail: gatewaytest.KeyError(415, "media_type"), next: failoverByCandidate, status: 415},
		{name: "422", fail: gatewaytest.KeyError(422, "unprocessable"), next: failoverByCandidate, status: 422},
		{name: "418, another 4xx", fail: gatewaytest.KeyError(418, "teapot"), next: failoverByCandidate, status: 418},
		{name: "451, another 4xx", fail: gatewaytest.KeyError(451, "legal"), next: failoverByCandidate, status: 451},
		{name: "400 content filter", fail: gatewaytest.KeyError(400, "content_filter"), next: failoverStops, status: 400},
		{name: "400 content policy", fail: gatewaytest.KeyError(400, "content_policy_violation"), next: failoverStops, status: 400},
		{name: "403 content filter", fail: gatewaytest.KeyError(403, "content_filter"), next: failoverStops, status: 403},
		{name: "400 content filter of Azure", next: failoverStops, status: 400, fail: gatewaytest.JSON(400,
			`{"error":{"message":"filtered, asked by a1","code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`)},
		{name: "429 content filter is a 429", fail: gatewaytest.KeyError(429, "content_filter"), next: failoverByKey, status: 429},
		{name: "500", fail: gatewaytest.KeyError(500, "internal"), next: failoverByKey, status: 503, code: "all_providers_failed"},
		{name: "502", fail: gatewaytest.KeyError(502, ""), next: failoverByKey, status: 503, code: "all_providers_failed"},
		{name: "503", fail: gatewaytest.KeyError(503, ""), next: failoverByKey, status: 503, code: "all_providers_failed"},
		{name: "529", fail: gatewaytest.KeyError(529, "overloaded_error"), next: failoverByKey, status: 503, code: "all_providers_failed"},
		{name: "302", next: failoverByKey, status: 503, code: "all_providers_failed", fail: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://b.internal/v1/chat/completions", http.StatusFound)
		}},
		{name: "304", next: failoverByKey, status: 503, code: "all_providers_failed", fail: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotModified)
		}},
		{name: "reset", fail: gatewaytest.Abort, next: failoverByKey, status: 503, code: "all_providers_failed"},
		{name: "no HTTP", next: failoverByKey, status: 503, code: "all_providers_failed", fail: gatewaytest.RawBytes("SSH-2.0-OpenSSH_9.9\r\n")},
		{name: "refused", err: unreachable, next: failoverByKey, status: 502, code: "upstream_unreachable"},
		{name: "unknown host", err: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "a.internal", IsNotFound: true}},
			next: failoverByKey, status: 502, code: "upstream_unreachable"},
		{name: "TLS", err: &tls.CertificateVerificationError{Err: errors.New("x509: unknown authority")},
			next: failoverByKey, status: 502, code: "upstream_unreachable"},
		{name: "silence", fail: gatewaytest.Silence, next: failoverByKey, status: 504, code: "request_timeout"},
		{name: "silence after the header", fail: gatewaytest.Partial(""), next: failoverByKey, status: 504, code: "request_timeout"},
		{name: "silence half-way", fail: gatewaytest.Partial(broken), next: failoverByKey, status: 504, code: "request_timeout"},
		{name: "broken JSON", fail: gatewaytest.JSON(200, broken), next: failoverByKey, status: 503, code: "all_providers_failed"},
		{name: "empty", fail: gatewaytest.JSON(200, ""), next: failoverByKey, status: 503, code: "all_providers_failed"},
		{name: "204", next: failoverByKey, status: 503, code: "all_providers_failed", fail: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		}},
		{name: "sign-in page", next: failoverByKey, status: 503, code: "all_providers_failed",
			fail: gatewaytest.Content("text/html; charset=utf-8", "<!DOCTYPE html><title>Sign in</title>")},
		{name: "error under 200", next: failoverByKey, status: 503, code: "all_providers_failed",
			fail: gatewaytest.JSON(200, `{"error":{"message":"no capacity","code":503}}`)},
		{name: "error as first event", next: failoverByKey, status: 503, code: "all_providers_failed", ask: testbed.AskStream,
			fail: gatewaytest.Stream("data: {\"error\":{\"message\":\"no capacity\"}}\n\n")},
		{name: "events that nobody asked for", next: failoverByKey, status: 503, code: "all_providers_failed",
			fail: gatewaytest.Stream(streamChat...)},
		{name: "stream without events", next: failoverByKey, status: 503, code: "all_providers_failed", ask: testbed.AskStream, fail: gatewaytest.Stream()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := func(t *testing.T, b http.HandlerFunc, err error) *gatewaytest.Harness {
				cfg := testbed.Config(2, "a", "b")
				cfg.PerRequestTimeout = "10s"
				return testbed.Start(t, cfg, testbed.Hosts{"a": tt.fail, "b": b}, testbed.Unreachable{"a": tt.err, "b": err})
			}
			ask := tt.ask
			if ask == nil {
				ask = testbed.Ask
			}
			t.Run("then an answer", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					harness := start(t, gatewaytest.Chat("from b"), nil)
					got := ask(harness)
					require.NoError(t, got.Err)
					assert.Equal(t, tt.next, harness.Routes())
					if len(tt.next) == 1 {
						assert.Equal(t, tt.status, got.Status)
						assert.Contains(t, got.Body, "a1")
						return
					}
					assert.Equal(t, http.StatusOK, got.Status)
					assert.Contains(t, got.Body, "from b")
				})
			})
			t.Run("and nothing else", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					harness := start(t, tt.fail, tt.err)
					got := ask(harness)
					require.NoError(t, got.Err)
					assert.Equal(t, tt.status, got.Status, got.Body)
					want := map[int][]string{1: {"a1"}, 2: {"a1", "b1"}, 3: {"a1", "a2", "b1", "b2"}}[len(tt.next)]
					assert.Equal(t, want, harness.Routes())
					if tt.code != "" {
						assert.Equal(t, tt.code, failoverCode(t, got))
						return
					}
					// The last answer of the first candidate, as it was.
					last := map[int]string{1: "a1", 2: "a1", 3: "a2"}[len(tt.next)]
					assert.Contains(t, got.Body, "asked by "+last)
				})
			})
		})
	}
}

// A 401 has the secret resolved anew, once, and only a changed one is sent.
func TestFailoverRefreshesSecret(t *testing.T) {
	tests := []struct {
		name   string
		values []string // of the secret, in the order in which it is asked for
		good   string   // the key that the provider takes
		routes []string
		status int
	}{
		{"rotated", []string{"sk-old-1234567890", "sk-new-1234567890"}, "new", []string{"old", "new"}, 200},
		{"unchanged", []string{"sk-old-1234567890", "sk-old-1234567890"}, "new", []string{"old", "b1"}, 200},
		{"rotated to another bad one", []string{"sk-old-1234567890", "sk-mid-1234567890", "sk-new-1234567890"}, "new", []string{"old", "mid", "b1"}, 200},
		{"gone", []string{"sk-old-1234567890", ""}, "new", []string{"old", "b1"}, 200},
		{"not resolved at all", []string{""}, "new", []string{"b1"}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.Providers[0].APIKeys[0].Value = "${secrets.get('vault', 'key')}"
				asked := 0
				cfg.Secrets = aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
					value := tt.values[min(asked, len(tt.values)-1)]
					asked++
					if value == "" {
						return "", errors.New("the vault is sealed")
					}
					return value, nil
				})
				harness := testbed.Start(t, cfg, testbed.Hosts{
					"a": func(w http.ResponseWriter, r *http.Request) {
						if strings.Contains(r.Header.Get("Authorization"), "-"+tt.good+"-") {
							gatewaytest.Chat("from a")(w, r)
							return
						}
						gatewaytest.Error(401, "invalid_api_key", "wrong key")(w, r)
					},
					"b": gatewaytest.Chat("from b"),
				}, nil)
				got := testbed.Ask(harness)
				assert.Equal(t, tt.status, got.Status, got.Body)
				assert.Equal(t, tt.routes, harness.Routes())
			})
		})
	}
}

// A hanging secret store counts against total_timeout like an upstream.
func TestFailoverSecretHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a")
		cfg.Providers[0].APIKeys[0].Value = "${secrets.get('vault', 'key')}"
		cfg.TotalTimeout = "3s"
		asked := 0
		cfg.Secrets = aigateway.SecretResolverFunc(func(ctx context.Context, _, _ string) (string, error) {
			if asked++; asked == 1 {
				return "sk-old-1234567890", nil
			}
			<-ctx.Done()
			return "", ctx.Err()
		})
		harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.KeyError(401, "invalid_api_key")}, nil)
		got := testbed.Ask(harness)
		assert.Equal(t, 3*time.Second, got.Took)
		assert.Equal(t, 502, got.Status, got.Body)
		assert.Equal(t, []string{"old"}, harness.Routes())
		gatewaytest.Pass(time.Minute) // the store's own timeout
	})
}

func TestFailoverMaxAttempts(t *testing.T) {
	for attempts, want := range map[int][]string{
		1: {"a1"}, 2: {"a1", "a1"}, 3: {"a1", "a1", "a2"}, 5: {"a1", "a1", "a2", "a2", "b1"},
		0: {"a1", "a1", "a2", "a2", "b1", "b1", "b2", "b2", "c1", "c1"},
	} {
		t.Run(strconv.Itoa(attempts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(2, "a", "b", "c")
				cfg.MaxAttempts, cfg.MaxRetries = attempts, 1
				harness := testbed.Start(t, cfg, testbed.Hosts{
					"a": gatewaytest.KeyError(500, ""), "b": gatewaytest.KeyError(500, ""), "c": gatewaytest.KeyError(500, ""),
				}, nil)
				got := testbed.Ask(harness)
				assert.Equal(t, want, harness.Routes())
				if attempts == 1 {
					assert.Equal(t, 500, got.Status, "one attempt alone is relayed")
					return
				}
				assert.Equal(t, 503, got.Status)
			})
		})
	}
}

// max_retries: the cases in which the same route is asked again, and the waits.
func TestFailoverRetries(t *testing.T) {
	limited := func(header, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(header, value)
			gatewaytest.KeyError(429, "rate_limit_exceeded")(w, r)
		}
	}
	const random = -1
	tests := []struct {
		name  string
		fail  http.HandlerFunc
		err   error
		total aigateway.Duration
		gap   time.Duration // before each of the two retries; 0: there are none
	}{
		{name: "429 with Retry-After", fail: limited("Retry-After", "2"), gap: 2 * time.Second},
		{name: "429 with retry-after-ms", fail: limited("retry-after-ms", "1500"), gap: 1500 * time.Millisecond},
		{name: "429 with the longest wait", fail: limited("Retry-After", "30"), gap: 30 * time.Second},
		{name: "429 with too long a wait", fail: limited("Retry-After", "31")},
		{name: "429 that waits past total_timeout", fail: limited("Retry-After", "2"), total: "2s"},
		{name: "429 without", fail: gatewaytest.KeyError(429, "rate_limit_exceeded")},
		{name: "500", fail: gatewaytest.KeyError(500, ""), gap: random},
		{name: "503 with Retry-After", gap: 3 * time.Second, fail: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3")
			gatewaytest.KeyError(503, "")(w, r)
		}},
		{name: "529", fail: gatewaytest.KeyError(529, ""), gap: random},
		{name: "reset", fail: gatewaytest.Abort, gap: random},
		{name: "401", fail: gatewaytest.KeyError(401, "")},
		{name: "404", fail: gatewaytest.KeyError(404, "")},
		{name: "408", fail: gatewaytest.KeyError(408, "")},
		{name: "silence", fail: gatewaytest.Silence},
		{name: "stream cut while held", fail: gatewaytest.Stream(gatewaytest.ChatRole)},
		{name: "stream stalled while held", fail: func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.Stream(gatewaytest.ChatRole)(w, r)
			<-r.Context().Done()
		}},
		{name: "refused", err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.MaxRetries, cfg.TotalTimeout = 2, tt.total
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": tt.fail, "b": gatewaytest.Chat("from b")}, testbed.Unreachable{"a": tt.err})
				got := testbed.Ask(harness)
				require.Equal(t, 200, got.Status, got.Body)
				if tt.gap == 0 {
					assert.Equal(t, []string{"a1", "b1"}, harness.Routes())
					return
				}
				require.Equal(t, []string{"a1", "a1", "a1", "b1"}, harness.Routes())
				at := harness.Times()
				assert.Equal(t, at[2], at[3], "the next candidate does not wait")
				if tt.gap != random {
					assert.Equal(t, []time.Duration{0, tt.gap, 2 * tt.gap, 2 * tt.gap}, at)
					return
				}
				assert.LessOrEqual(t, at[1], 500*time.Millisecond)
				assert.LessOrEqual(t, at[2]-at[1], time.Second)
			})
		})
	}
}

// Clients that failed together must not return together.
func TestFailoverBackoffIsRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a")
		cfg.MaxRetries = 1
		var n atomic.Int64
		harness := testbed.Start(t, cfg, testbed.Hosts{"a": func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%2 == 1 {
				gatewaytest.KeyError(500, "")(w, r)
				return
			}
			gatewaytest.Chat("again")(w, r)
		}}, nil)
		waits := map[time.Duration]bool{}
		for range 20 {
			require.Equal(t, 200, testbed.Ask(harness).Status)
			waits[harness.Times()[1]] = true
		}
		assert.Greater(t, len(waits), 10)
	})
}

func TestFailoverTimeouts(t *testing.T) {
	const stream = `{"model":"m","stream":true,"messages":[]}`
	role := func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.Stream(gatewaytest.ChatRole)(w, r)
		<-r.Context().Done()
	}
	later := func(d time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(d):
				gatewaytest.Chat("late")(w, r)
			case <-r.Context().Done():
			}
		}
	}
	s := func(seconds ...int) (at []time.Duration) {
		for _, n := range seconds {
			at = append(at, time.Duration(n)*time.Second)
		}
		return at
	}
	tests := []struct {
		name   string
		set    func(cfg *aigateway.Config)
		body   string
		a, b   http.HandlerFunc
		at     []time.Duration
		took   time.Duration
		status int
	}{
		{"defaults", nil, "", gatewaytest.Silence, gatewaytest.Silence, s(0, 180), 6 * time.Minute, 504},
		{"per_request_timeout", func(c *aigateway.Config) { c.PerRequestTimeout = "10s" }, "",
			gatewaytest.Silence, gatewaytest.Silence, s(0, 10, 20, 30), 40 * time.Second, 504},
		{"per_request_timeout of a provider", func(c *aigateway.Config) { c.Providers[0].PerRequestTimeout = "3s" }, "",
			gatewaytest.Silence, gatewaytest.Chat("b"), s(0, 3, 6), 6 * time.Second, 200},
		{"per_request_timeout covers the whole answer", func(c *aigateway.Config) { c.PerRequestTimeout = "10s" }, "",
			gatewaytest.Drip(4*time.Second, `{"a":1,`, `"b":2,`, `"c":3,`, `"d":4}`), gatewaytest.Chat("b"), s(0, 10, 20), 20 * time.Second, 200},
		{"total_timeout cuts an attempt", func(c *aigateway.Config) { c.PerRequestTimeout, c.TotalTimeout = "10s", "25s" }, "",
			gatewaytest.Silence, gatewaytest.Silence, s(0, 10, 20), 25 * time.Second, 504},
		{"total_timeout alone", func(c *aigateway.Config) { c.TotalTimeout = "7s" }, "",
			gatewaytest.Silence, gatewaytest.Silence, s(0), 7 * time.Second, 504},
		{"total_timeout after other failures", func(c *aigateway.Config) { c.TotalTimeout = "7s" }, "",
			gatewaytest.KeyError(500, ""), gatewaytest.Silence, s(0, 0, 0), 7 * time.Second, 504},
		{"a timeout and other failures", func(c *aigateway.Config) { c.PerRequestTimeout = "10s" }, "",
			gatewaytest.Silence, gatewaytest.KeyError(500, ""), s(0, 10, 20, 20), 20 * time.Second, 503},
		{"total_timeout covers the hold", func(c *aigateway.Config) { c.TotalTimeout = "7s" }, stream,
			role, gatewaytest.Chat("b"), s(0), 7 * time.Second, 504},
		{"silent stream", func(c *aigateway.Config) { c.PerRequestTimeout = "10s" }, stream,
			role, gatewaytest.Chat("b"), s(0, 10, 20), 20 * time.Second, 200},
		{"first_token_timeout", func(c *aigateway.Config) { c.FirstTokenTimeout = "2s" }, stream,
			role, gatewaytest.Chat("b"), s(0, 2, 4), 4 * time.Second, 200},
		{"first_token_timeout before the header", func(c *aigateway.Config) { c.FirstTokenTimeout = "2s" }, stream,
			gatewaytest.Silence, gatewaytest.Chat("b"), s(0, 2, 4), 4 * time.Second, 200},
		{"pings are no token", func(c *aigateway.Config) { c.FirstTokenTimeout = "2s" }, stream,
			gatewaytest.SlowEvents(700*time.Millisecond, ": ping\n\n", ": ping\n\n", ": ping\n\n", ": ping\n\n"), gatewaytest.Chat("b"), s(0, 2, 4), 4 * time.Second, 200},
		{"first_token_timeout is for streams only", func(c *aigateway.Config) { c.FirstTokenTimeout = "2s" }, "",
			later(5 * time.Second), gatewaytest.Chat("b"), s(0), 5 * time.Second, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(2, "a", "b")
				if tt.set != nil {
					tt.set(&cfg)
				}
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": tt.a, "b": tt.b}, nil)
				body := tt.body
				if body == "" {
					body = testbed.ChatRequest
				}
				got := harness.Post("/v1/chat/completions", body)
				require.NoError(t, got.Err)
				assert.Equal(t, tt.status, got.Status, got.Body)
				assert.Equal(t, tt.at, harness.Times(), harness.Routes())
				assert.Equal(t, tt.took, got.Took)
			})
		})
	}
}

// A client that leaves ends the current attempt at once. No further attempt
// follows.
func TestFailoverClientGone(t *testing.T) {
	for name, a := range map[string]http.HandlerFunc{
		"before the header":  gatewaytest.Silence,
		"in a JSON answer":   gatewaytest.Partial(`{"id":`),
		"while held":         gatewaytest.SlowEvents(0, gatewaytest.ChatRole),
		"between retries":    gatewaytest.RateLimited("20"),
		"after first tokens": gatewaytest.SlowEvents(0, gatewaytest.ChatRole, gatewaytest.ChatDelta("Hel")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(2, "a", "b")
				cfg.MaxRetries = 1
				var res *aigateway.Result
				cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
				ended := time.Duration(-1)
				begin := time.Now()
				harness := testbed.Start(t, cfg, testbed.Hosts{"b": gatewaytest.Chat("b"), "a": func(w http.ResponseWriter, r *http.Request) {
					a(w, r)
					ended = time.Since(begin)
				}}, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				body := testbed.StreamRequest
				if name == "in a JSON answer" {
					body = testbed.ChatRequest
				}
				resp, err := harness.Open(ctx, "/v1/chat/completions", body)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				require.ErrorIs(t, err, context.DeadlineExceeded)
				synctest.Wait()
				assert.Equal(t, []string{"a1"}, harness.Routes())
				if name != "between retries" {
					assert.Equal(t, 5*time.Second, ended, "the upstream's request ends with the client's")
				}
				require.NotNil(t, res)
				require.NotNil(t, res.Error)
				assert.Nil(t, res.Success)
				gatewaytest.Pass(10 * time.Minute)
				assert.Equal(t, []string{"a1"}, harness.Routes(), "nothing follows")
			})
		})
	}
}

// A policy of the user's own sees each failure whole, and decides within the
// limits of the config.
func TestFailoverPolicy(t *testing.T) {
	tests := []struct {
		name   string
		decide func(f aigateway.Failure) aigateway.Step
		routes []string
		status int
	}{
		{"stop", func(aigateway.Failure) aigateway.Step { return aigateway.StepStop }, []string{"a1"}, 429},
		{"next candidate", func(aigateway.Failure) aigateway.Step { return aigateway.StepNextCandidate }, []string{"a1", "b1"}, 200},
		{"next key", func(aigateway.Failure) aigateway.Step { return aigateway.StepNextKey }, []string{"a1", "a2", "b1"}, 200},
		{"retry once", func(f aigateway.Failure) aigateway.Step {
			if f.Retries == 0 {
				return aigateway.StepRetry
			}
			return aigateway.StepNextKey
		}, []string{"a1", "a1", "a2", "a2", "b1"}, 200},
		{"retry for ever", func(aigateway.Failure) aigateway.Step { return aigateway.StepRetry },
			[]string{"a1", "a1", "a1", "a1", "a1", "a1"}, 429},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(2, "a", "b")
				cfg.MaxAttempts = 6
				var first *aigateway.Failure
				cfg.FailoverPolicy = aigateway.FailoverPolicyFunc(func(f aigateway.Failure) aigateway.Step {
					if first == nil {
						first = &f
					}
					return tt.decide(f)
				})
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.RateLimited("7"), "b": gatewaytest.Chat("b")}, nil)
				got := testbed.Ask(harness)
				assert.Equal(t, tt.status, got.Status)
				assert.Equal(t, tt.routes, harness.Routes())
				assert.Equal(t, &aigateway.Failure{
					Provider: "a", Model: "m", Kind: aigateway.FailureStatus, Cause: aigateway.CauseRateLimit, Status: 429, Code: "rate_limit_exceeded", RetryAfter: 7 * time.Second,
				}, first)
			})
		})
	}
}

// If the policy stops after a failure without an answer, the client gets the
// error of the failure.
func TestFailoverPolicyStopsWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.FailoverPolicy = aigateway.FailoverPolicyFunc(func(f aigateway.Failure) aigateway.Step {
			assert.Equal(t, aigateway.FailureTimeout, f.Kind)
			assert.Negative(t, f.RetryAfter)
			return aigateway.StepStop
		})
		harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Silence, "b": gatewaytest.Chat("b")}, nil)
		got := testbed.Ask(harness)
		assert.Equal(t, 504, got.Status)
		assert.Equal(t, "request_timeout", failoverCode(t, got))
		assert.Equal(t, []string{"a1"}, harness.Routes())
	})
}

// The arguments of a policy, for failures of each kind.
func TestFailoverPolicyIsTold(t *testing.T) {
	tests := []struct {
		name string
		set  func(*aigateway.Config)
		a    http.HandlerFunc
		err  error
		want aigateway.Failure
	}{
		{"status", nil, gatewaytest.RateLimited("7"), nil, aigateway.Failure{Kind: aigateway.FailureStatus, Cause: aigateway.CauseRateLimit, Status: 429, Code: "rate_limit_exceeded", RetryAfter: 7 * time.Second}},
		{"type for a code", nil, gatewaytest.JSON(529, `{"type":"error","error":{"type":"overloaded_error"}}`), nil,
			aigateway.Failure{Kind: aigateway.FailureStatus, Cause: aigateway.CauseServer, Status: 529, Code: "overloaded_error", RetryAfter: -1}},
		{"connect", nil, nil, &net.OpError{Op: "dial", Err: errors.New("refused")}, aigateway.Failure{Kind: aigateway.FailureConnect, Cause: aigateway.CauseConnect, RetryAfter: -1}},
		{"network", nil, gatewaytest.Abort, nil, aigateway.Failure{Kind: aigateway.FailureNetwork, Cause: aigateway.CauseNetwork, RetryAfter: -1}},
		{"timeout", nil, gatewaytest.Silence, nil, aigateway.Failure{Kind: aigateway.FailureTimeout, Cause: aigateway.CauseTimeout, RetryAfter: -1}},
		{"answer", nil, gatewaytest.JSON(200, ""), nil, aigateway.Failure{Kind: aigateway.FailureAnswer, Cause: aigateway.CauseAnswer, RetryAfter: -1}},
		{"error under 200", nil, gatewaytest.JSON(200, `{"error":{"code":"busy"}}`), nil, aigateway.Failure{Kind: aigateway.FailureAnswer, Cause: aigateway.CauseAnswer, Code: "busy", RetryAfter: -1}},
		{"error event", nil, gatewaytest.Stream("data: {\"error\":{\"code\":\"busy\"}}\n\n"), nil,
			aigateway.Failure{Kind: aigateway.FailureAnswer, Cause: aigateway.CauseAnswer, Code: "busy", RetryAfter: -1}},
		{"secret", func(c *aigateway.Config) {
			c.Providers[0].APIKeys[0].Value, c.Secrets = "${secrets.get('vault', 'key')}", aigateway.MapSecrets(nil)
		}, gatewaytest.Chat("unexpected"), nil, aigateway.Failure{Kind: aigateway.FailureSecret, Cause: aigateway.CauseSecret, RetryAfter: -1}},
		{"request", func(c *aigateway.Config) { c.Body = map[string]any{"user": "${req.headers['x-none'][0]}"} },
			gatewaytest.Chat("unexpected"), nil, aigateway.Failure{Kind: aigateway.FailureRequest, Cause: aigateway.CauseRequest, RetryAfter: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				cfg.MaxRetries = 3
				if tt.set != nil {
					tt.set(&cfg)
				}
				var told []aigateway.Failure
				cfg.FailoverPolicy = aigateway.FailoverPolicyFunc(func(f aigateway.Failure) aigateway.Step {
					told = append(told, f)
					return aigateway.StepNextCandidate
				})
				testbed.AskStream(testbed.Start(t, cfg, testbed.Hosts{"a": tt.a}, testbed.Unreachable{"a": tt.err}))
				tt.want.Provider, tt.want.Model, tt.want.MaxRetries = "a", "m", 3
				assert.Equal(t, []aigateway.Failure{tt.want}, told)
			})
		})
	}
}

// A failed TLS handshake is a failed connection.
func TestFailoverTLS(t *testing.T) {
	quiet := log.New(io.Discard, "", 0)
	for name, start := range map[string]func(*httptest.Server){
		"certificate of nobody known": (*httptest.Server).StartTLS,
		"no TLS at all":               (*httptest.Server).Start,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(gatewaytest.Chat("unexpected"))
			server.Config.ErrorLog = quiet
			start(server)
			defer server.Close()
			cfg := testbed.Config(1, "a")
			cfg.Providers[0].BaseURL = "https://a.example.com"
			transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
			}}
			defer transport.CloseIdleConnections()
			cfg.Transport = transport
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest)))
			assert.Equal(t, 502, w.Code)
			assert.Equal(t, "upstream_unreachable", failoverError(t, w.Body.String()).Error.Code)
		})
	}
}
