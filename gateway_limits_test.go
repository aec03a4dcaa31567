package aigateway_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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

// upstreamLimits are headers of providers about their own limits.
var upstreamLimits = []string{
	"Anthropic-Ratelimit-Tokens-Limit", "Ratelimit", "Ratelimit-Policy", "Ratelimitbysize-Remaining", "X-Ratelimit-Limit",
	"X-Ratelimitbysize-Remaining-Minute", "X-Rate-Limit-Remaining", "X-Tokenlimit-Remaining", "X-Ms-Ratelimit-Remaining-Tokens",
}

// limited is a gateway whose callers are named by X-Tenant, in front of a provider
// that answers at once with 9 tokens in and 3 out.
func limited(t *testing.T, edit func(*aigateway.Config), limits ...aigateway.ClientLimit) *aigateway.Gateway {
	cfg := testbed.Config(1, "a")
	cfg.CallerExpr, cfg.ClientLimits = "req.headers['x-tenant'][0]", limits
	cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: new(1e5), Output: new(1e5)} // 1.2 USD a request
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("X-Ratelimit-Remaining-Requests", "the upstream's")
		for _, name := range upstreamLimits {
			w.Header().Set(name, "the upstream's")
		}
		gatewaytest.Chat("a")(w, r)
		return w.Result(), nil
	})
	if edit != nil {
		edit(&cfg)
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g
}

// askAs sends a request of a tenant.
func askAs(h http.Handler, tenant string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
	if tenant != "" {
		r.Header.Set("X-Tenant", tenant)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestClientLimitsOfThreeTenants: three tenants send twice their limits for ten
// virtual minutes, from full buckets. Each is served eleven times its minute's
// limit, and does not change another's number.
func TestClientLimitsOfThreeTenants(t *testing.T) {
	limits := map[string]int64{"small": 60, "middle": 120, "large": 600}
	var entries []aigateway.ClientLimit
	for name, n := range limits {
		entries = append(entries, aigateway.ClientLimit{Key: fmt.Sprintf("req.caller == '%s' ? req.caller : ''", name), RequestsPerMinute: n})
	}
	served := func(t *testing.T, tenants ...string) map[string]*atomic.Int64 {
		accepted := map[string]*atomic.Int64{}
		synctest.Test(t, func(t *testing.T) {
			g := limited(t, nil, entries...)
			for _, name := range tenants {
				count := new(atomic.Int64)
				accepted[name] = count
				go func() {
					pause := time.Minute / time.Duration(2*limits[name])
					for range 10 * 2 * limits[name] {
						gatewaytest.Pass(pause)
						if askAs(g, name).Code == 200 {
							count.Add(1)
						}
					}
				}()
			}
			gatewaytest.Pass(10*time.Minute + time.Second)
			synctest.Wait()
		})
		return accepted
	}
	together := served(t, "small", "middle", "large")
	for name, n := range limits {
		got := float64(together[name].Load())
		assert.LessOrEqual(t, math.Abs(got-float64(11*n)), 0.01*float64(11*n), "%s: %v", name, got)
		alone := served(t, name)
		assert.Equal(t, alone[name].Load(), together[name].Load(), "%s is not changed by the others", name)
	}
}

// TestClientLimitsSharePerKey: callers with equal requests and limits share nothing.
func TestClientLimitsSharePerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := limited(t, nil, aigateway.ClientLimit{RequestsPerMinute: 2})
		for range 2 {
			assert.Equal(t, 200, askAs(g, "a").Code)
		}
		assert.Equal(t, 429, askAs(g, "a").Code)
		assert.Equal(t, "1", askAs(g, "b").Header().Get("X-Ratelimit-Remaining-Requests"))
		assert.Equal(t, 200, askAs(g, "").Code, "the empty key is not bounded by an entry that does not require one")
	})
}

// TestClientLimitAnswers: what a client is told, on answers and refusals.
func TestClientLimitAnswers(t *testing.T) {
	for _, tt := range []struct {
		name      string
		limit     aigateway.ClientLimit
		accepted  int
		headers   string // of the first answer: limit, remaining, reset; requests and tokens
		after     string // Retry-After of the refusal
		retry     string
		what      string
		stillFull time.Duration
	}{
		{"requests", aigateway.ClientLimit{RequestsPerMinute: 3}, 3, "3 2 20s - - -", "20", "", "requests_per_minute", 20 * time.Second},
		{"tokens", aigateway.ClientLimit{TokensPerMinute: 30}, 3, "- - - 30 30 0s", "14", "", "tokens_per_minute", 14 * time.Second},
		{"both", aigateway.ClientLimit{RequestsPerMinute: 6, TokensPerMinute: 600}, 6, "6 5 10s 600 600 0s", "10", "", "requests_per_minute", 10 * time.Second},
		{"a day", aigateway.ClientLimit{USDPerDay: 2}, 2, "- - - - - -", "86400", "false", "usd_per_day", 24 * time.Hour},
		{"a month", aigateway.ClientLimit{USDPerMonth: 3.5}, 3, "- - - - - -", "2678400", "false", "usd_per_month", 31 * 24 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // from 2000-01-01, at midnight
				g := limited(t, nil, tt.limit)
				for i := range tt.accepted {
					w := askAs(g, "a")
					require.Equal(t, 200, w.Code, w.Body.String())
					for _, name := range upstreamLimits {
						assert.Empty(t, w.Header().Get(name), name)
					}
					if i > 0 {
						continue
					}
					var got []string
					for _, what := range []string{"Requests", "Tokens"} {
						for _, part := range []string{"Limit", "Remaining", "Reset"} {
							v := w.Header().Get("X-Ratelimit-" + part + "-" + what)
							if v == "" {
								v = "-"
							}
							got = append(got, v)
						}
					}
					assert.Equal(t, tt.headers, strings.Join(got, " "))
				}
				w := askAs(g, "a")
				assert.Equal(t, 429, w.Code)
				assert.Contains(t, w.Body.String(), `"client_limit_exceeded"`)
				assert.Contains(t, w.Body.String(), tt.what)
				assert.Equal(t, tt.after, w.Header().Get("Retry-After"))
				assert.Equal(t, tt.retry, w.Header().Get("X-Should-Retry"))
				assert.Equal(t, "0", w.Header().Get("X-Aigateway-Attempts"))
				gatewaytest.Pass(tt.stillFull)
				assert.Equal(t, 200, askAs(g, "a").Code, "after the wait that it was told")
			})
		})
	}
}

// TestClientLimitsAndReload: counters survive a Reload, and limits change with it.
func TestClientLimitsAndReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfg aigateway.Config
		g := limited(t, func(c *aigateway.Config) { cfg = *c }, aigateway.ClientLimit{RequestsPerMinute: 2})
		askAs(g, "a")
		askAs(g, "a")
		require.NoError(t, g.Reload(cfg))
		assert.Equal(t, 429, askAs(g, "a").Code)
		cfg.ClientLimits = []aigateway.ClientLimit{{RequestsPerMinute: 100}}
		require.NoError(t, g.Reload(cfg))
		assert.Equal(t, 429, askAs(g, "a").Code, "an empty bucket stays empty")
		gatewaytest.Pass(time.Second)
		assert.Equal(t, 200, askAs(g, "a").Code, "and fills at the new rate")
	})
}

// TestClientLimitRequired: an entry in USD refuses a request without a key.
func TestClientLimitRequired(t *testing.T) {
	for _, tt := range []struct {
		limit  aigateway.ClientLimit
		status int
	}{
		{aigateway.ClientLimit{USDPerDay: 1}, 403},
		{aigateway.ClientLimit{USDPerDay: 1, Required: new(false)}, 200},
		{aigateway.ClientLimit{RequestsPerMinute: 1}, 200},
		{aigateway.ClientLimit{RequestsPerMinute: 1, Required: new(true)}, 403},
	} {
		w := askAs(limited(t, nil, tt.limit), "")
		assert.Equal(t, tt.status, w.Code, w.Body.String())
		if tt.status == 403 {
			assert.Contains(t, w.Body.String(), "not_admitted")
		}
	}
}

// TestClientLimitKeysReadTheBody: a key may be anything that a request tells, also
// where no strategy reads it.
func TestClientLimitKeysReadTheBody(t *testing.T) {
	for _, key := range []string{"req.ai.user", "req.session", "req.ai.tools > 0 ? 'agents' : ''", "req.ai.input_tokens > 0 ? 'prompts' : ''"} {
		g := limited(t, nil, aigateway.ClientLimit{Key: key, RequestsPerMinute: 1})
		for _, status := range []int{200, 429} {
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(
				`{"model":"m","user":"u","tools":[{"type":"function","function":{"name":"f"}}],"messages":[{"role":"user","content":"hi"}]}`)))
			assert.Equal(t, status, w.Code, key)
		}
	}
}

// TestCallerReadsNoBody: the caller is found before the body is read.
func TestCallerReadsNoBody(t *testing.T) {
	for _, caller := range []string{"req.ai.user", "req.session", "req.headers['x-team'][0] + req.ai.user"} {
		_, err := aigateway.New(aigateway.Config{CallerExpr: caller})
		assert.ErrorContains(t, err, "before the body is read", caller)
	}
}

// TestClientLimitFaults names each bad entry.
func TestClientLimitFaults(t *testing.T) {
	_, err := aigateway.New(aigateway.Config{ClientLimits: []aigateway.ClientLimit{
		{RequestsPerMinute: 1}, {Key: "1", RequestsPerMinute: 1}, {Key: "req.host", RequestsPerMinute: -1}, {Key: "req.host", USDPerDay: -1}, {Key: "req.host"},
	}})
	for _, want := range []string{
		"client_limits[0].key", "set caller", "client_limits[1].key", "client_limits[2].requests_per_minute", "client_limits[3].usd_per_day", "client_limits[4]: limits nothing",
	} {
		assert.ErrorContains(t, err, want)
	}
}

// TestAdmission: the service's own rules refuse requests before anything is chosen,
// and done is called exactly once.
func TestAdmission(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		panics bool
		status int
		body   string
	}{
		{"admitted", nil, false, 200, ""},
		{"its own error", &aigateway.Error{Code: "over_budget", Status: 402, Message: "buy more", RetryAfter: 5 * time.Second}, false, 402, `"over_budget"`},
		{"a wrapped one", fmt.Errorf("x: %w", &aigateway.Error{Code: aigateway.CodeNotAdmitted, Message: "go away"}), false, 403, "go away"},
		{"another error", errors.New("the secret reason"), false, 403, `"not_admitted"`},
		{"a panic of a hook", nil, true, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen *aigateway.ClientRequest
			var done []*aigateway.Result
			next := 0
			g := limited(t, func(cfg *aigateway.Config) {
				cfg.OnError = aigateway.OnErrorContinue
				cfg.Admission = aigateway.AdmissionFunc(func(_ context.Context, r *aigateway.ClientRequest) (func(*aigateway.Result), error) {
					seen = r
					return func(res *aigateway.Result) { done = append(done, res) }, tt.err
				})
				cfg.Hooks = &aigateway.Hooks{AttemptStart: func(ctx context.Context, _ aigateway.Attempt) context.Context {
					if tt.panics {
						panic("a bug")
					}
					return ctx
				}}
			}, aigateway.ClientLimit{RequestsPerMinute: 9})
			h := g.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { next++ }))
			if tt.panics {
				assert.Panics(t, func() { askAs(h, "a") })
			} else {
				w := askAs(h, "a")
				assert.Equal(t, tt.status, w.Code)
				assert.Contains(t, w.Body.String(), tt.body)
				assert.NotContains(t, w.Body.String(), "secret")
				assert.Equal(t, "8", w.Header().Get("X-Ratelimit-Remaining-Requests"))
			}
			assert.Equal(t, "a", seen.Caller)
			assert.Equal(t, "m", seen.Model)
			require.Len(t, done, 1)
			if tt.status == 200 {
				assert.Equal(t, "1.2", done[0].Cost.USD.String())
			}
			assert.Zero(t, next, "a refusal is not handed on")
		})
	}
}

// passed sends requests to the replicas in turn, and counts those that passed.
func (f *replicas) passed(requests int, header ...string) (n int) {
	for i := range requests {
		if f.ask(i%len(f.gateways), header...).Code == 200 {
			n++
		}
	}
	return n
}

func clientLimited(l aigateway.ClientLimit) aigateway.Config {
	cfg := fleetConfig("a")
	l.Key = "req.headers['x-tenant'][0]"
	cfg.ClientLimits = []aigateway.ClientLimit{l}
	return cfg
}

func TestExactLimitsAreExactOverTheFleet(t *testing.T) {
	for name, row := range map[string]struct {
		limit aigateway.ClientLimit
		want  int
	}{
		"requests": {aigateway.ClientLimit{RequestsPerMinute: 100, Exact: true}, 100},
		"few":      {aigateway.ClientLimit{RequestsPerMinute: 3, Exact: true}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := startReplicas(t, 8, clientLimited(row.limit), nil)
				assert.Equal(t, row.want, f.passed(400, "X-Tenant", "CANARY-tenant"))
				f.pass(time.Minute)
				var mu sync.Mutex
				var all sync.WaitGroup
				n := 0
				for i := range 8 {
					all.Go(func() {
						for range 50 {
							if f.ask(i, "X-Tenant", "CANARY-tenant").Code == 200 {
								mu.Lock()
								n++
								mu.Unlock()
							}
						}
					})
				}
				all.Wait()
				assert.Equal(t, row.want, n)
			})
		})
	}
}

func TestExactTokensCountInTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startReplicas(t, 3, clientLimited(aigateway.ClientLimit{TokensPerMinute: 300, Exact: true}), nil)
		n := 0
		for i := range 30 { // each takes 30 tokens
			if f.ask(i%3, "X-Tenant", "t").Code == 200 {
				n++
			}
			f.pass(50 * time.Millisecond) // refills a quarter of a token
		}
		assert.InDelta(t, 10, n, 1)
	})
}

func TestAReplicaDecidesAloneWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startReplicas(t, 3, clientLimited(aigateway.ClientLimit{RequestsPerMinute: 100, Exact: true}), nil)
		f.store.Delay(time.Hour)
		begin := time.Now()
		assert.Equal(t, 30, f.passed(30, "X-Tenant", "t"))
		assert.LessOrEqual(t, time.Since(begin), 300*time.Millisecond, "each replica waits once")
		f.store.Delay(0)
		f.pass(3 * time.Second)
		begin = time.Now()
		f.passed(10, "X-Tenant", "t")
		assert.Zero(t, time.Since(begin))
	})
}

func TestSharesOfALimitStayWithinTenPercent(t *testing.T) {
	for _, n := range []int{3, 8} {
		for name, pick := range map[string]func(i int) int{
			"in turn": func(i int) int { return i % n }, "one after the other": func(i int) int { return i * n / 4000 },
			"one": func(int) int { return 0 },
		} {
			t.Run(fmt.Sprint(name, " of ", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := startReplicas(t, n, clientLimited(aigateway.ClientLimit{RequestsPerMinute: 600}), nil)
					passed := 0
					begin := time.Now()
					for i := range 4000 { // 20 s
						if f.ask(pick(i), "X-Tenant", "t").Code == 200 {
							passed++
						}
						<-time.After(5 * time.Millisecond)
					}
					refill := 10 * time.Since(begin).Seconds()
					t.Log(passed, "of", 600+refill)
					assert.LessOrEqual(t, float64(passed), 660+refill)
					assert.GreaterOrEqual(t, float64(passed), 0.8*(600+refill))
				})
			})
		}
	}
}

func TestSharesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startReplicas(t, 8, clientLimited(aigateway.ClientLimit{RequestsPerMinute: 400, TokensPerMinute: 1_000_000}), nil)
		first := f.passed(2000, "X-Tenant", "t")
		f.settle()
		second := f.passed(2000, "X-Tenant", "t")
		t.Log(first, second)
		assert.LessOrEqual(t, first+second, 440+8)
		assert.GreaterOrEqual(t, first, 300)
	})
}

// A burst that uses the limit up within a few exchanges: each replica knows the others
// only by what they told, and all of them have begun with a share.
func TestSharesOfABurst(t *testing.T) {
	for _, every := range []time.Duration{100 * time.Microsecond, 500 * time.Microsecond, 2 * time.Millisecond} {
		t.Run(every.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := startReplicas(t, 8, clientLimited(aigateway.ClientLimit{RequestsPerMinute: 1200}), nil)
				passed := 0
				begin := time.Now()
				for i := range 3600 {
					if f.ask(i%8, "X-Tenant", "t").Code == 200 {
						passed++
					}
					<-time.After(every)
				}
				refill := 20 * time.Since(begin).Seconds()
				t.Log(passed, "of", 1200+refill)
				assert.LessOrEqual(t, float64(passed), 1320+refill)
				assert.GreaterOrEqual(t, float64(passed), 1080.0)
			})
		})
	}
}

func TestBudgetsAreOfTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := clientLimited(aigateway.ClientLimit{USDPerDay: 1})
		cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: new(500.0), Output: new(500.0)} // per million tokens: 0.015 a request
		f := startReplicas(t, 3, cfg, nil)
		n := 0
		for i := range 200 {
			if f.ask(i%3, "X-Tenant", "t").Code == 200 {
				n++
			}
			f.pass(100 * time.Millisecond)
		}
		t.Log(n)
		assert.LessOrEqual(t, float64(n)*0.015, 1.1)
		assert.GreaterOrEqual(t, float64(n)*0.015, 0.9)
	})
}

// A replica that was restarted learns from the store what clients have spent.
func TestSpendingSurvivesARestart(t *testing.T) {
	for name, exact := range map[string]bool{"shares": false, "exact": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := clientLimited(aigateway.ClientLimit{USDPerMonth: 1, Exact: exact})
				cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: new(500.0), Output: new(500.0)}
				f := startReplicas(t, 1, cfg, nil)
				require.Positive(t, f.passed(100, "X-Tenant", "t"))
				f.settle()
				f.stops[0]()
				f.pass(time.Hour)
				cfg.Transport, cfg.Shared, cfg.SharedSecret = f, f.store, []byte("0123456789abcdef0123456789abcdef")
				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				f.gateways[0] = g
				f.run(0)
				f.settle()
				assert.Zero(t, f.passed(5, "X-Tenant", "t"))
				assert.Positive(t, f.passed(5, "X-Tenant", "another"))
			})
		})
	}
}
