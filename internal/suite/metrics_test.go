package suite_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// The metrics of earlier requests, as strategies see them, to the millisecond.
func TestMetrics(t *testing.T) {
	const usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\n"
	fast, slow := metricsAfter(100*time.Millisecond, gatewaytest.Chat("")), metricsAfter(500*time.Millisecond, gatewaytest.Chat(""))
	failed := metricsAfter(time.Second, gatewaytest.KeyError(500, ""))
	stream := metricsStream(400*time.Millisecond, 50*time.Millisecond, gatewaytest.ChatRole,
		gatewaytest.ChatDelta("a"), gatewaytest.ChatDelta("b"), gatewaytest.ChatDelta("c"), gatewaytest.ChatDelta("d"),
		gatewaytest.ChatStop+usage+gatewaytest.ChatDone)
	tests := []struct {
		name   string
		script []http.HandlerFunc
		want   map[string]string // of m.metrics.endpoint; all else is zero
	}{
		{"nothing", nil, nil},
		{"answers", []http.HandlerFunc{fast, slow, fast, fast}, map[string]string{
			"request_count": "4", "latency.upstream_ms_avg": "200.0", "latency.upstream_ms_p95": "500.0",
			"token.provider_input": "36", "token.provider_output": "12",
		}},
		{"stream", []http.HandlerFunc{stream}, map[string]string{
			// The role at 400 ms, the first content 50 ms later, the end 200 ms after that.
			"request_count": "1", "latency.upstream_ms_avg": "650.0", "latency.upstream_ms_p95": "650.0",
			"latency.time_to_first_token_ms_avg": "450.0", "latency.time_to_first_token_ms_p95": "450.0",
			"latency.time_per_output_token_ms_avg": "50.0", "latency.time_per_output_token_ms_p95": "50.0",
			"token.provider_input": "7", "token.provider_output": "5",
		}},
		{"a failure says nothing of speed", []http.HandlerFunc{failed, fast}, map[string]string{
			"request_count": "2", "latency.upstream_ms_avg": "100.0", "latency.upstream_ms_p95": "100.0",
			"error_rate.total": "0.5", "error_rate.server": "0.5", "token.provider_input": "9", "token.provider_output": "3",
		}},
		{"429", []http.HandlerFunc{gatewaytest.KeyError(429, "")}, map[string]string{
			"request_count": "1", "error_rate.total": "1.0", "error_rate.rate_limit": "1.0",
		}},
		{"400", []http.HandlerFunc{gatewaytest.KeyError(400, "")}, map[string]string{
			"request_count": "1", "error_rate.total": "1.0", "error_rate.client": "1.0",
		}},
		{"content filter", []http.HandlerFunc{gatewaytest.KeyError(400, "content_filter")}, map[string]string{
			"request_count": "1", "error_rate.total": "1.0", "error_rate.client": "1.0",
		}},
		{"a key that is refused is not the client's fault", []http.HandlerFunc{gatewaytest.KeyError(401, "")}, map[string]string{
			"request_count": "1", "error_rate.total": "1.0", "error_rate.server": "1.0",
		}},
		{"silence took at least as long", []http.HandlerFunc{gatewaytest.Silence}, map[string]string{
			"request_count": "1", "error_rate.total": "1.0", "error_rate.timeout": "1.0",
			"latency.upstream_ms_avg": "10000.0", "latency.upstream_ms_p95": "10000.0",
		}},
		{"broken answer", []http.HandlerFunc{gatewaytest.JSON(200, "{")}, map[string]string{
			"request_count": "1", "error_rate.total": "1.0", "error_rate.server": "1.0",
		}},
		{"broken stream", []http.HandlerFunc{gatewaytest.Stream(gatewaytest.ChatDelta("a"))}, map[string]string{
			"request_count": "1", "error_rate.total": "1.0", "error_rate.server": "1.0",
		}},
		{"one of each", []http.HandlerFunc{gatewaytest.KeyError(429, ""), gatewaytest.KeyError(422, ""), gatewaytest.Silence, gatewaytest.Abort, fast, fast, fast, fast}, map[string]string{
			"request_count": "8", "error_rate.total": "0.5", "error_rate.rate_limit": "0.125", "error_rate.client": "0.125",
			"error_rate.timeout": "0.125", "error_rate.server": "0.125",
			"latency.upstream_ms_avg": "2080.0", "latency.upstream_ms_p95": "10000.0", "token.provider_input": "36", "token.provider_output": "12",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMetered(t, tt.script...)
				for range tt.script {
					s.ask(s.gateway)
				}
				key := s.keyID(t)
				for _, field := range metricsFields {
					want := tt.want[field]
					if want == "" {
						want = "0"
						if strings.Contains(field, "_ms_") || strings.Contains(field, "rate.") {
							want = "0.0"
						}
					}
					for _, of := range []string{"endpoint", "api_keys['" + key + "']"} {
						s.assert(t, s.gateway, "m.metrics."+of+"."+field, want)
					}
				}
			})
		})
	}
}

// Of twenty answers, p95 leaves the slowest out. It is exact to 9 %.
func TestMetricsPercentile(t *testing.T) {
	for slow, want := range map[int]float64{1: 100, 2: 500} {
		t.Run(fmt.Sprint(slow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := make([]http.HandlerFunc, 20)
				for i := range script {
					script[i] = metricsAfter(100*time.Millisecond, gatewaytest.Chat(""))
					if i < slow {
						script[i] = metricsAfter(500*time.Millisecond, gatewaytest.Chat(""))
					}
				}
				s := newMetered(t, script...)
				for range script {
					s.ask(s.gateway)
				}
				s.assert(t, s.gateway, "m.metrics.endpoint.latency.upstream_ms_avg", fmt.Sprint(100+20*slow)+".0")
				s.assert(t, s.gateway, fmt.Sprintf("m.metrics.endpoint.latency.upstream_ms_p95 > %f", 0.91*want), "true")
				s.assert(t, s.gateway, fmt.Sprintf("m.metrics.endpoint.latency.upstream_ms_p95 < %f", 1.09*want), "true")
			})
		})
	}
}

// The gateway's own latency does not include its waits: for the client's body,
// for a retry, and for earlier attempts.
func TestMetricsOfGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetered(t, metricsAfter(time.Second, gatewaytest.RateLimited("2")), metricsAfter(100*time.Millisecond, gatewaytest.Chat("")))
		s.cfg.MaxRetries, s.cfg.MaxInputTokens = 1, 10
		s.cfg.TokenCounter = aigateway.TokenCounterFunc(func(context.Context, string, []byte) (int64, error) {
			gatewaytest.Pass(30 * time.Millisecond)
			return 7, nil
		})
		require.NoError(t, s.gateway.Reload(s.cfg))
		slowly, w := io.Pipe()
		go func() {
			gatewaytest.Pass(5 * time.Second)
			io.WriteString(w, testbed.ChatRequest)
			w.Close()
		}()
		s.gateway.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", slowly))
		for field, want := range map[string]string{
			"request_count": "2", "latency.upstream_ms_avg": "100.0", "latency.gateway_ms_avg": "30.0", "latency.gateway_ms_p95": "30.0",
			"token.estimated_input": "14", "error_rate.rate_limit": "0.5",
		} {
			s.assert(t, s.gateway, "m.metrics.endpoint."+field, want)
		}
	})
}

// The cost of a model is that of its priced answers; a failed attempt costs nothing.
func TestMetricsOfCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetered(t,
			gatewaytest.JSON(200, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":500,"cost":0.25}}`),
			gatewaytest.JSON(500, `{"error":{"message":"down"}}`),
			gatewaytest.JSON(200, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":500,"cost":0.5}}`),
			gatewaytest.JSON(200, `{"choices":[{"message":{"content":"x"},"finish_reason":"stop","usage":{"prompt_tokens":1000,"completion_tokens":500,"cost":0.5}}]}`), // as Moonshot
		)
		for _, want := range []string{"0.25", "0.25", "0.75", "1.25"} {
			s.ask(s.gateway)
			s.assert(t, s.gateway, "m.metrics.endpoint.cost_usd", want)
			s.assert(t, s.gateway, "m.metrics.global.cost_usd", want)
		}
	})
}

// Tokens are estimated if a strategy asks for them, whatever the provider
// reports: for a stream of words, a whole answer, and a broken answer.
func TestMetricsOfEstimates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetered(t,
			gatewaytest.Chat("One two three."),
			gatewaytest.Chat("One two three."),
			gatewaytest.Stream(gatewaytest.ChatRole, gatewaytest.ChatDelta("One"), gatewaytest.ChatDelta(" two three."), gatewaytest.ChatStop, gatewaytest.ChatDone),
			gatewaytest.Stream(gatewaytest.ChatDelta("One two")),
			gatewaytest.JSON(500, `{"error":{"message":"One two three."}}`),
		)
		sum := func(input, output int) {
			t.Helper()
			s.assert(t, s.gateway, "m.metrics.endpoint.token.estimated_input", fmt.Sprint(input))
			s.assert(t, s.gateway, "m.metrics.global.token.estimated_output", fmt.Sprint(output))
		}
		s.ask(s.gateway)
		sum(0, 0) // nobody has asked before

		const prompt = 25 // the estimate of metricsRequest
		for i, output := range []int{5, 10, 12, 12} {
			s.ask(s.gateway)
			sum((i+1)*prompt, output)
		}
		s.cfg.APIKeySelection.Strategy = []string{"ai.keys.sortBy(k, k.metrics.token.estimated_output)"}
		require.NoError(t, s.gateway.Reload(s.cfg))
		s.ask(s.gateway)
		sum(5*prompt, 12)
	})
}

// A client that leaves counts, but not as a failure of the model.
func TestMetricsOfClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetered(t, gatewaytest.Silence)
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		s.gateway.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest)))
		for field, want := range map[string]string{
			"request_count": "1", "error_rate.client": "1.0", "error_rate.total": "1.0", "error_rate.server": "0.0", "latency.upstream_ms_avg": "0.0", "in_flight": "0",
		} {
			s.assert(t, s.gateway, "m.metrics.endpoint."+field, want)
		}
	})
}

// Requests in flight are sent and have not ended. Streams count while they are
// read.
func TestMetricsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetered(t, metricsAfter(time.Second, gatewaytest.Chat("")),
			metricsStream(time.Second, time.Second, gatewaytest.ChatDelta("a"), gatewaytest.ChatStop+gatewaytest.ChatDone))
		inFlight := func(want string) {
			s.assert(t, s.gateway, "m.metrics.endpoint.in_flight", want)
			s.assert(t, s.gateway, "m.metrics.global.in_flight", want)
			s.assert(t, s.gateway, "m.metrics.api_keys['"+s.keyID(t)+"'].in_flight", want)
		}
		inFlight("0")
		go s.ask(s.gateway)
		synctest.Wait()
		inFlight("1")
		go s.ask(s.gateway)
		synctest.Wait()
		inFlight("2")
		gatewaytest.Pass(1500 * time.Millisecond)
		inFlight("1")
		gatewaytest.Pass(time.Second)
		inFlight("0")
	})
}

// Measurements are forgotten after five minutes.
func TestMetricsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetered(t, gatewaytest.Chat(""))
		counted := func(want string) { s.assert(t, s.gateway, "m.metrics.endpoint.request_count", want) }
		s.ask(s.gateway)
		gatewaytest.Pass(2 * time.Minute)
		s.ask(s.gateway)
		counted("2")
		gatewaytest.Pass(3*time.Minute - time.Second)
		counted("2")
		gatewaytest.Pass(time.Second)
		counted("1")
		gatewaytest.Pass(2 * time.Minute)
		counted("0")
		s.assert(t, s.gateway, "m.metrics.endpoint.token.provider_input", "0")
	})
}

// The scopes of metrics: all gateways of the process, those of a region, and
// those of an account.
func TestMetricsScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetered(t, gatewaytest.Chat(""))
		at := func(region, account string, requests int) *aigateway.Gateway {
			cfg := s.cfg
			cfg.Region, cfg.Account = region, account
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			for range requests {
				s.ask(g)
			}
			return g
		}
		eu, euToo, us, nowhere := at("eu", "one", 1), at("eu", "two", 2), at("us", "one", 4), at("", "", 8)
		assertAll := func(g *aigateway.Gateway, region, account, endpoint, region4, account4, global string) {
			t.Helper()
			cfg := s.cfg
			cfg.Region, cfg.Account = region, account
			for scope, want := range map[string]string{"endpoint": endpoint, "region": region4, "account": account4, "global": global} {
				s.assertWith(t, g, cfg, "m.metrics."+scope+".request_count", want)
			}
		}
		assertAll(eu, "eu", "one", "1", "3", "5", "15")
		assertAll(euToo, "eu", "two", "2", "3", "2", "15")
		assertAll(us, "us", "one", "4", "4", "5", "15")
		assertAll(nowhere, "", "", "8", "8", "8", "15")
		assertAll(euToo, "us", "one", "2", "6", "7", "15") // it has moved, and taken its numbers along
		assertAll(eu, "eu", "one", "1", "1", "7", "15")
		runtime.KeepAlive([]any{eu, euToo, us, nowhere}) // the numbers of a gateway go with it
	})
}

// A strategy by latency leaves a provider that turns slow, and returns to it
// after the slow requests have left the window.
func TestMetricsLeaveSlowProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.ModelSelection.Strategy = []string{"ai.models.sortBy(m, m.metrics.endpoint.latency.upstream_ms_p95)"}
		h := testbed.NewScripts(t, cfg)
		h.Set("b1", metricsAfter(200*time.Millisecond, gatewaytest.Chat("")))
		begin := time.Now()
		ask := func(d time.Duration) (last string) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				next := time.After(time.Second)
				require.Equal(t, 200, testbed.Ask(h.Harness).Status)
				last = h.Routes()[0]
				<-next
			}
			return last
		}
		h.Set("a1", metricsAfter(100*time.Millisecond, gatewaytest.Chat("")))
		assert.Equal(t, "a1", ask(100*time.Second))
		h.Set("a1", metricsAfter(900*time.Millisecond, gatewaytest.Chat("")))
		assert.Equal(t, "b1", ask(10*time.Second), "6 of 105 are slow, and so over 5 %%")
		assert.Equal(t, "b1", ask(100*time.Second))
		h.Set("a1", metricsAfter(100*time.Millisecond, gatewaytest.Chat("")))
		assert.Equal(t, "b1", ask(60*time.Second), "nobody has seen yet that it has recovered")
		// The last slow answer came in the slot from 90 s to 120 s.
		assert.Equal(t, "b1", ask(time.Until(begin.Add(389*time.Second))))
		assert.Equal(t, "a1", ask(5*time.Second))
		assert.Equal(t, "a1", ask(100*time.Second))
	})
}

// A tier by error rate is left when the rate is too high, and taken again when
// it is not.
func TestMetricsLeaveFailingProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.ModelSelection.Strategy = []string{
			"ai.models.onlyProviders('a').filter(m, m.metrics.endpoint.error_rate.total < 0.2)",
			"ai.models.onlyProviders('b')",
		}
		h := testbed.NewScripts(t, cfg)
		var story []string // where each request went, and its status, without repetitions
		ask := func(seconds int) {
			for range seconds {
				got := testbed.Ask(h.Harness)
				s := fmt.Sprint(strings.Join(h.Routes(), " "), " ", got.Status)
				if len(story) == 0 || story[len(story)-1] != s {
					story = append(story, s)
				}
				gatewaytest.Pass(time.Second)
			}
		}
		ask(20)
		h.Set("a1", gatewaytest.KeyError(500, ""))
		ask(5) // 5 of 25: no less than a fifth
		assert.Equal(t, []string{"a1 200", "a1 500"}, story)
		ask(100)
		h.Set("a1", gatewaytest.Chat(""))
		ask(174) // 299 s since the first answer
		assert.Equal(t, []string{"a1 200", "a1 500", "b1 200"}, story)
		gatewaytest.Pass(time.Second)
		ask(60)
		assert.Equal(t, []string{"a1 200", "a1 500", "b1 200", "a1 200"}, story)
	})
}

// Keys by their limits, from the headers of either family, and by their results.
func TestMetricsOrderKeys(t *testing.T) {
	with := func(next http.HandlerFunc, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			next(w, r)
		}
	}
	failed, ok := gatewaytest.KeyError(500, ""), gatewaytest.Chat("")
	const least = "ai.keys.sortBy(k, -k.quota.remaining_requests)"
	anHour := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			with(next, "anthropic-ratelimit-requests-remaining", "90",
				"anthropic-ratelimit-requests-reset", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))(w, r)
		}
	}
	tests := []struct {
		name       string
		strategies []string
		// a1, a2 and a3 are the first answers of each key. Later answers are
		// good.
		a1, a2, a3 http.HandlerFunc
		steps      []testbed.Step
	}{
		{"most requests left", []string{least},
			with(failed, "x-ratelimit-remaining-requests", "10", "x-ratelimit-limit-requests", "60"),
			with(failed, "x-ratelimit-remaining-requests", "30"), with(ok, "x-ratelimit-remaining-requests", "20"),
			[]testbed.Step{{0, "a1 a2 a3"}, {time.Second, "a2"}, {58999 * time.Millisecond, "a2"}, {time.Second, "a1"}}}, // by then they are too old
		{"of Anthropic", []string{least},
			with(failed, "anthropic-ratelimit-requests-remaining", "10"), anHour(failed), with(ok, "anthropic-ratelimit-requests-remaining", "20"),
			[]testbed.Step{{0, "a1 a2 a3"}, {time.Second, "a2"}, {59 * time.Minute, "a2"}, {time.Minute, "a1"}}},
		{"one unknown is last", []string{least}, failed, with(ok, "x-ratelimit-remaining-requests", "30"), nil,
			[]testbed.Step{{0, "a1 a2"}, {time.Second, "a2"}, {time.Minute, "a1"}}},
		{"until the reset", []string{least},
			with(failed, "x-ratelimit-remaining-requests", "1", "x-ratelimit-reset-requests", "2m0s"),
			with(ok, "x-ratelimit-remaining-requests", "2", "x-ratelimit-reset-requests", "3s"), nil,
			[]testbed.Step{{0, "a1 a2"}, {2900 * time.Millisecond, "a2"}, {100 * time.Millisecond, "a1"}}},
		{"a filter leaves out what is unknown", []string{"ai.keys.filter(k, k.quota.remaining_tokens > 1000)", "ai.keys"},
			with(failed, "x-ratelimit-remaining-tokens", "900"), failed, with(ok, "x-ratelimit-remaining-tokens", "5000", "x-ratelimit-reset-tokens", "1h"),
			[]testbed.Step{{0, "a1 a2 a3"}, {time.Second, "a3"}, {59 * time.Minute, "a3"}, {time.Minute, "a1"}}},
		{"a filter for what is known", []string{"ai.keys.filter(k, k.quota.limit_requests != null)", "ai.keys"},
			failed, with(ok, "x-ratelimit-limit-requests", "100"), nil,
			[]testbed.Step{{0, "a1 a2"}, {time.Second, "a2"}, {time.Minute, "a1"}}},
		{"fewest errors", []string{"ai.keys.sortBy(k, k.error_rate.total)"}, failed, nil, nil,
			[]testbed.Step{{0, "a1 a2"}, {time.Second, "a2"}, {5 * time.Minute, "a1"}}},
		{"not over the rate", []string{"ai.keys.filter(k, k.error_rate.rate_limit < 0.5)"}, gatewaytest.KeyError(429, ""), nil, nil,
			[]testbed.Step{{0, "a1 a2"}, {time.Second, "a2"}}},
		{"its other metrics", []string{"ai.keys.sortBy(k, k.metrics.request_count)"}, nil, nil, nil,
			[]testbed.Step{{0, "a1"}, {time.Second, "a2"}, {time.Second, "a3"}, {time.Second, "a1"}, {0, "a1"}, {time.Second, "a2"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(3, "a")
				cfg.APIKeySelection.Strategy = tt.strategies
				h := testbed.NewScripts(t, cfg)
				for route, first := range map[string]http.HandlerFunc{"a1": tt.a1, "a2": tt.a2, "a3": tt.a3} {
					if first != nil {
						h.Set(route, first, ok)
					}
				}
				h.Walk(t, tt.steps)
			})
		})
	}
}

// A key with a refilled quota is not taken for a key of unknown quota, and does
// not come behind a nearly empty one.
func TestQuotaAfterReset(t *testing.T) {
	openAI := func(next http.HandlerFunc, left, in string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Ratelimit-Limit-Tokens", "150000")
			w.Header().Set("X-Ratelimit-Remaining-Tokens", left)
			w.Header().Set("X-Ratelimit-Reset-Tokens", in)
			next(w, r)
		}
	}
	anthropic := func(next http.HandlerFunc, left string, in time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Anthropic-Ratelimit-Requests-Limit", "4000")
			w.Header().Set("Anthropic-Ratelimit-Requests-Remaining", left)
			// A date, cut down to the second.
			w.Header().Set("Anthropic-Ratelimit-Requests-Reset", time.Now().Add(in).UTC().Format(time.RFC3339))
			next(w, r)
		}
	}
	for _, tt := range []struct {
		field  string
		a1, a2 http.HandlerFunc
	}{
		{"remaining_tokens", openAI(gatewaytest.KeyError(500, ""), "149984", "6ms"), openAI(gatewaytest.Chat(""), "10", "59s")},
		{"remaining_requests", anthropic(gatewaytest.KeyError(500, ""), "3999", 15*time.Millisecond), anthropic(gatewaytest.Chat(""), "3", 59*time.Second)},
	} {
		synctest.Test(t, func(t *testing.T) {
			gatewaytest.Pass(300 * time.Millisecond) // off the full second
			cfg := testbed.Config(2, "a")
			cfg.APIKeySelection.Strategy = []string{"ai.keys.sortBy(k, -k.quota." + tt.field + ")"}
			h := testbed.NewScripts(t, cfg)
			h.Set("a1", tt.a1, gatewaytest.Chat(""))
			h.Set("a2", tt.a2)
			h.Walk(t, []testbed.Step{{0, "a1 a2"}, {time.Second, "a1"}})
		})
	}
}

// The quotas of a model's keys are among its metrics.
func TestMetricsQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetered(t, func(w http.ResponseWriter, r *http.Request) {
			for name, value := range map[string]string{
				"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-limit-tokens": "150000", "x-ratelimit-remaining-tokens": "0",
			} {
				w.Header().Set(name, value)
			}
			gatewaytest.KeyError(429, "")(w, r)
		})
		quota := "m.metrics.api_keys['" + s.keyID(t) + "'].quota."
		assertAll := func(want ...string) {
			for i, field := range []string{"limit_requests", "remaining_requests", "limit_tokens", "remaining_tokens"} {
				s.assert(t, s.gateway, quota+field, want[i])
			}
		}
		assertAll("null", "null", "null", "null")
		s.ask(s.gateway)
		assertAll("60", "59", "150000", "0")
		gatewaytest.Pass(time.Minute)
		assertAll("null", "null", "null", "null")
	})
}

// metricsFields are all the fields of a scope.
var metricsFields = []string{
	"request_count", "in_flight",
	"latency.upstream_ms_avg", "latency.upstream_ms_p95", "latency.gateway_ms_avg", "latency.gateway_ms_p95",
	"latency.time_to_first_token_ms_avg", "latency.time_to_first_token_ms_p95",
	"latency.time_per_output_token_ms_avg", "latency.time_per_output_token_ms_p95",
	"error_rate.total", "error_rate.timeout", "error_rate.rate_limit", "error_rate.client", "error_rate.server",
	"token.provider_input", "token.provider_output", "token.estimated_input", "token.estimated_output",
}

// metered is a gateway in a bubble with one model at one provider. The
// provider's name is unique in the process, because the scope global covers
// every gateway.
type metered struct {
	cfg     aigateway.Config
	gateway *aigateway.Gateway
}

func newMetered(t *testing.T, script ...http.HandlerFunc) *metered {
	t.Helper()
	id := "p" + strings.ToLower(rand.Text())
	harness := gatewaytest.NewHarness(t)
	if len(script) > 0 {
		harness.Host(id, gatewaytest.Scripted(script...))
	}
	s := &metered{cfg: testbed.Config(1, id)}
	s.cfg.PerRequestTimeout, s.cfg.Transport = "10s", harness
	var err error
	s.gateway, err = aigateway.New(s.cfg)
	require.NoError(t, err)
	return s
}

// metricsRequest takes a stream or a whole answer. Its messages are those of
// testbed.ChatRequest.
var metricsRequest = strings.Replace(testbed.ChatRequest, "{", `{"stream":true,`, 1)

func (s *metered) ask(g *aigateway.Gateway) {
	defer func() { recover() }() // a stream that breaks aborts its connection
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(metricsRequest)))
}

func (s *metered) keyID(t *testing.T) string {
	t.Helper()
	res, err := testbed.Explain(s.gateway, "/v1/chat/completions", testbed.ChatRequest)
	require.NoError(t, err)
	return res.ModelsTried[0].APIKeySelection[0].ID
}

// assert checks the current value of an expression about m at a gateway.
func (s *metered) assert(t *testing.T, g *aigateway.Gateway, expression, want string) {
	t.Helper()
	s.assertWith(t, g, s.cfg, expression, want)
}

// assertWith does so by a strategy that chooses m if the value is right: only
// strategies see metrics. The config is reloaded, for fresh numbers.
func (s *metered) assertWith(t *testing.T, g *aigateway.Gateway, cfg aigateway.Config, expression, want string) {
	t.Helper()
	explain := func(strategy string) (*aigateway.Result, error) {
		cfg.ModelSelection.Strategy = []string{strategy}
		require.NoError(t, g.Reload(cfg))
		return testbed.Explain(g, "/v1/chat/completions", testbed.ChatRequest)
	}
	if _, err := explain(fmt.Sprintf("ai.models.filter(m, (%s) == %s)", expression, want)); err != nil {
		// The note about the missing key contains the value.
		res, _ := explain(fmt.Sprintf("ai.models.filter(m, {'': true}[string(%s)])", expression))
		assert.Fail(t, expression, "is not %s: %v", want, res.ModelSelection[0].Notes)
	}
}

// metricsAfter answers after a pause.
func metricsAfter(d time.Duration, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			next(w, r)
		case <-r.Context().Done():
		}
	}
}

// metricsStream sends events, the first one after a time and the others each
// after a pause.
func metricsStream(first, pause time.Duration, events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i, e := range events {
			wait := pause
			if i == 0 {
				gatewaytest.StartStream(w)
				wait = first
			}
			select {
			case <-time.After(wait):
				gatewaytest.Send(w, e)
			case <-r.Context().Done():
				return
			}
		}
	}
}
