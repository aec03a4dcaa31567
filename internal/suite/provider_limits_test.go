package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
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

// crowd sends requests that are under way at the same time.
type crowd struct {
	*testbed.Scripts
	t    testing.TB
	mu   sync.Mutex
	done []string // names in the order of their ends, with the status
}

func newCrowd(t testing.TB, cfg aigateway.Config) *crowd {
	return &crowd{Scripts: testbed.NewScripts(t, cfg), t: t}
}

// send starts a request, and returns when nothing goes on any more without time.
func (c *crowd) send(ctx context.Context, name, body string, header ...string) {
	go func() {
		resp, err := c.Open(ctx, "/v1/chat/completions", body, header...)
		status := "gone"
		if err == nil {
			if _, err = io.Copy(io.Discard, resp.Body); err == nil {
				status = fmt.Sprint(resp.StatusCode)
			}
			resp.Body.Close()
		}
		c.mu.Lock()
		c.done = append(c.done, name+" "+status)
		c.mu.Unlock()
	}()
	synctest.Wait()
}

// ended returns the requests that have ended since the last call.
func (c *crowd) ended() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := c.done
	c.done = nil
	return ended
}

// slow answers after a time.
func slow(d time.Duration) http.HandlerFunc {
	return gatewaytest.Drip(d/4, `{"choices":[{"message":`, `{"content":"hi"}}`, `],"usage":`, `{"prompt_tokens":10,"completion_tokens":20}}`)
}

func limitsConfig(l aigateway.Limits, providers ...string) aigateway.Config {
	cfg := testbed.Config(0, providers...)
	for i := range cfg.Providers {
		cfg.Providers[i].Limits = l
	}
	return cfg
}

// A candidate at a limit is skipped, whichever limit it is and wherever it stands.
func TestLimitsSkip(t *testing.T) {
	for _, row := range []struct {
		name   string
		limits aigateway.Limits
		limit  string
	}{
		{"in flight", aigateway.Limits{InFlight: 1}, "in_flight"},
		{"requests", aigateway.Limits{RequestsPerMinute: 1}, "requests_per_minute"},
		{"tokens", aigateway.Limits{TokensPerMinute: 20}, "tokens_per_minute"},
	} {
		for _, at := range []string{"provider", "model", "key"} {
			t.Run(row.name+" of a "+at, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a", "b")
					switch p := &cfg.Providers[0]; at {
					case "provider":
						p.Limits = row.limits
					case "model":
						p.Models[0].Limits = row.limits
					default:
						p.APIKeys[0].Limits = row.limits
					}
					c := newCrowd(t, cfg)
					c.Set("a1", slow(time.Second))
					c.send(t.Context(), "first", testbed.ChatRequest)
					answer := c.Post("/v1/chat/completions", testbed.ChatRequest)
					assert.Equal(t, 200, answer.Status)
					assert.Equal(t, []string{"b1"}, c.Routes())
					assert.Zero(t, answer.Took)
					require.Len(t, c.Result().Skipped, 1)
					assert.Equal(t, aigateway.SkippedModel{Model: "m", Provider: "a", Limit: row.limit}, c.Result().Skipped[0])
					gatewaytest.Pass(2 * time.Minute)
					c.Post("/v1/chat/completions", testbed.ChatRequest)
					assert.Equal(t, []string{"a1"}, c.Routes())
				})
			})
		}
	}
}

// If everything is full, the request waits for its turn, or is refused.
func TestLimitsWait(t *testing.T) {
	wait := aigateway.Limits{InFlight: 1, Wait: "2s"}
	for _, row := range []struct {
		name    string
		limits  aigateway.Limits
		total   aigateway.Duration
		patient time.Duration // of the client; 0: for ever
		busy    time.Duration // of the one in its way
		status  int
		took    time.Duration
		retry   string
	}{
		{"room in time", wait, "", 0, time.Second, 200, time.Second, ""},
		{"no room in time", wait, "", 0, time.Minute, 429, 2 * time.Second, "1"},
		{"no wait", aigateway.Limits{InFlight: 1}, "", 0, time.Second, 429, 0, "1"},
		{"total_timeout", wait, "1500ms", 0, time.Minute, 429, 1500 * time.Millisecond, "1"},
		{"requests", aigateway.Limits{RequestsPerMinute: 1}, "", 0, time.Second, 429, 0, "60"},
		{"requests, in time", aigateway.Limits{RequestsPerMinute: 2, Wait: "61s"}, "", 0, time.Second, 200, 0, ""},
		{"the client leaves", wait, "", time.Second, time.Minute, 0, time.Second, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := limitsConfig(row.limits, "a")
				cfg.TotalTimeout = row.total
				c := newCrowd(t, cfg)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				c.Set("a", gatewaytest.Steps(gatewaytest.ChatDelta("x"), row.busy), gatewaytest.Chat("fine"))
				c.send(ctx, "first", testbed.StreamRequest)
				begin := time.Now()
				patience, cancel := context.WithCancel(t.Context())
				defer cancel()
				if row.patient > 0 {
					time.AfterFunc(row.patient, cancel)
				}
				resp, err := c.Open(patience, "/v1/chat/completions", testbed.ChatRequest)
				assert.Equal(t, row.took, time.Since(begin))
				if row.status == 0 {
					require.Error(t, err)
					synctest.Wait()
					assert.Equal(t, aigateway.CodeClientGone, c.Result().Error.Code)
				} else {
					require.NoError(t, err)
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					synctest.Wait()
					assert.Equal(t, row.status, resp.StatusCode)
					assert.Equal(t, row.retry, resp.Header.Get("Retry-After"))
					if row.status == 429 {
						assert.Contains(t, string(body), `"code":"at_capacity"`)
						assert.NotContains(t, string(body), `"a"`, "the client is not told of providers")
						assert.Contains(t, c.Result().Error.Detail, map[bool]string{true: `provider "a"`, false: "total_timeout"}[row.total == ""])
						assert.NotEmpty(t, c.Result().Skipped[0].Limit)
					}
					assert.InDelta(t, row.took.Seconds()*1000, c.Result().QueuedMS, 1)
				}
				leave()
				synctest.Wait()
				gatewaytest.Pass(2 * time.Minute)
				c.Set("a")
				assert.Equal(t, 200, c.Post("/v1/chat/completions", testbed.ChatRequest).Status, "the room is given back")
			})
		})
	}
}

// A prompt over max_input_tokens is refused at once: it does not wait for room, and
// its tokens are counted once a candidate.
func TestLimitsDoNotHoldUpARefusal(t *testing.T) {
	for _, providers := range [][]string{{"a"}, {"a", "b"}} {
		t.Run(strings.Join(providers, " "), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := limitsConfig(aigateway.Limits{InFlight: 1, Wait: "20s"}, providers...)
				cfg.MaxInputTokens = 200
				counts := 0
				cfg.TokenCounter = aigateway.TokenCounterFunc(func(context.Context, string, []byte) (int64, error) { counts++; return 201, nil })
				c := newCrowd(t, cfg)
				for _, p := range providers {
					c.Set(p, slow(10*time.Second))
					c.send(t.Context(), p, testbed.ChatRequest)
				}
				require.Zero(t, counts)
				large := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 300) + `"}]}`
				answer := c.Post("/v1/chat/completions", large)
				assert.Equal(t, 413, answer.Status, answer.Body)
				assert.Zero(t, answer.Took)
				assert.Zero(t, c.Result().QueuedMS)
				assert.Equal(t, len(providers), counts)
				gatewaytest.Pass(10 * time.Second)
				assert.Len(t, c.ended(), len(providers))
			})
		})
	}
}

// A slot is held to the end of a stream, and given back by each end of an attempt.
func TestLimitsHold(t *testing.T) {
	for _, row := range []struct {
		name   string
		script []http.HandlerFunc
		free   time.Duration // when the slot is free
	}{
		{"stream", []http.HandlerFunc{gatewaytest.Steps(time.Second, gatewaytest.ChatDelta("a"), time.Second, gatewaytest.ChatDelta("b"), time.Second, "data: [DONE]\n\n")}, 3 * time.Second},
		{"whole answer", []http.HandlerFunc{slow(2 * time.Second)}, 2 * time.Second},
		{"failure", []http.HandlerFunc{gatewaytest.KeyError(500, "")}, 0},
		{"cut stream", []http.HandlerFunc{gatewaytest.Steps(gatewaytest.ChatDelta("a"), time.Second)}, time.Second},
		{"timeout", []http.HandlerFunc{gatewaytest.Silence}, 5 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := limitsConfig(aigateway.Limits{InFlight: 1, Wait: "1m"}, "a")
				cfg.PerRequestTimeout = "5s"
				c := newCrowd(t, cfg)
				c.Set("a", append(row.script, gatewaytest.Chat("fine"))...)
				c.send(t.Context(), "first", testbed.StreamRequest)
				answer := c.Post("/v1/chat/completions", testbed.ChatRequest)
				assert.Equal(t, 200, answer.Status)
				assert.Equal(t, row.free, answer.Took)
			})
		})
	}
}

// A failed attempt gives its slot back before the next one waits: two requests that
// fail over crosswise do not block each other.
func TestLimitsFailOverCrosswise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, limitsConfig(aigateway.Limits{InFlight: 1, Wait: "1m"}, "a", "b"))
		failing := func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.Pass(time.Second)
			gatewaytest.KeyError(500, "")(w, r)
		}
		c.Set("a", failing, gatewaytest.Chat("fine"))
		c.Set("b", failing, gatewaytest.Chat("fine"))
		c.send(t.Context(), "ab", `{"models":["a:m","b:m"]}`)
		c.send(t.Context(), "ba", `{"models":["b:m","a:m"]}`)
		gatewaytest.Pass(time.Second)
		assert.ElementsMatch(t, []string{"ab 200", "ba 200"}, c.ended())
	})
}

// A key at its limit is passed over for the next key. If the others fail, the
// request waits for it.
func TestLimitsOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(2, "a")
		cfg.Providers[0].APIKeys[0].Limits = aigateway.Limits{InFlight: 1, Wait: "1m"}
		c := newCrowd(t, cfg)
		c.Set("a1", slow(2*time.Second), gatewaytest.Chat("fine"))
		c.send(t.Context(), "first", testbed.ChatRequest)
		c.Post("/v1/chat/completions", testbed.ChatRequest)
		assert.Equal(t, []string{"a2"}, c.Routes())
		assert.Empty(t, c.Result().Skipped)

		c.Set("a2", gatewaytest.KeyError(500, ""))
		answer := c.Post("/v1/chat/completions", testbed.ChatRequest)
		assert.Equal(t, 200, answer.Status)
		assert.Equal(t, []string{"a2", "a1"}, c.Routes())
		assert.Equal(t, 2*time.Second, answer.Took)
		require.Len(t, c.Result().ModelsTried, 1)
		assert.Len(t, c.Result().ModelsTried[0].RequestsMade, 2)
	})
}

// What is full comes after what cools down, and is waited for only then.
func TestLimitsAndCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.Providers[0].Limits = aigateway.Limits{InFlight: 1, Wait: "1m"}
		c := newCrowd(t, cfg)
		c.Set("b1", gatewaytest.RateLimited("30"))
		c.Post("/v1/chat/completions", `{"model":"b:m"}`)
		c.Set("a1", slow(2*time.Second), gatewaytest.Chat("fine"))
		c.send(t.Context(), "first", testbed.ChatRequest)
		answer := c.Post("/v1/chat/completions", testbed.ChatRequest)
		assert.Equal(t, []string{"b1", "a1"}, c.Routes())
		assert.Equal(t, 2*time.Second, answer.Took)
	})
}

// Callers wait in turn, and those of one caller as they came.
func TestLimitsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := limitsConfig(aigateway.Limits{InFlight: 1, Wait: "1m"}, "a")
		cfg.CallerExpr = "req.headers['x-team'][0]"
		c := newCrowd(t, cfg)
		c.Set("a", slow(time.Second))
		for _, name := range []string{"red 1", "red 2", "red 3", "blue 1", "blue 2"} {
			team, _, _ := strings.Cut(name, " ")
			c.send(t.Context(), name, testbed.ChatRequest, "X-Team", team)
		}
		gatewaytest.Pass(10 * time.Second)
		assert.Equal(t, []string{"red 1 200", "red 2 200", "blue 1 200", "red 3 200", "blue 2 200"}, c.ended())
	})
}

// Tokens are reserved by the estimate with the client's limit, and settled by the
// usage.
func TestLimitsOfTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := limitsConfig(aigateway.Limits{TokensPerMinute: 1000}, "a")
		c := newCrowd(t, cfg)
		c.Set("a", gatewaytest.JSON(200, `{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":10,"completion_tokens":90}}`))
		const large = `{"model":"m","max_tokens":800,"messages":[]}`
		assert.Equal(t, 200, c.Post("/v1/chat/completions", large).Status, "100 of 1000 are used")
		assert.Equal(t, 200, c.Post("/v1/chat/completions", large).Status, "200")
		assert.Equal(t, 429, c.Post("/v1/chat/completions", large).Status, "800 are left, and it has a prompt")
		assert.Equal(t, 200, c.Post("/v1/chat/completions", `{"model":"m","messages":[]}`).Status)

		c.Set("a", gatewaytest.KeyError(500, ""))
		gatewaytest.Pass(time.Hour)
		for range 3 {
			assert.Equal(t, 500, c.Post("/v1/chat/completions", large).Status, "a refused attempt used none")
			gatewaytest.Pass(time.Millisecond)
		}
		c.Set("a", gatewaytest.JSON(200, `{"choices":[{"message":{"content":"hi"}}]}`))
		gatewaytest.Pass(time.Hour)
		assert.Equal(t, 200, c.Post("/v1/chat/completions", large).Status)
		assert.Equal(t, 429, c.Post("/v1/chat/completions", large).Status, "without usage the estimate stands")
		gatewaytest.Pass(time.Hour)
		assert.Equal(t, 200, c.Post("/v1/chat/completions", `{"model":"m","max_tokens":5000}`).Status, "more than there can be goes when the bucket is full")
	})
}

// Counts survive a reload, and the new limits hold at once.
func TestLimitsSurviveReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, limitsConfig(aigateway.Limits{InFlight: 1, Wait: "1m"}, "a"))
		reload := func(l aigateway.Limits) {
			cfg := limitsConfig(l, "a")
			cfg.Transport, cfg.Hooks = c.Harness, c.Hooks()
			require.NoError(t, c.Gateway.Reload(cfg))
		}
		c.Set("a", slow(time.Minute))
		c.send(t.Context(), "1", testbed.ChatRequest)
		reload(aigateway.Limits{InFlight: 1})
		assert.Equal(t, 429, c.Post("/v1/chat/completions", testbed.ChatRequest).Status)
		reload(aigateway.Limits{InFlight: 1, Wait: "1m"})
		c.send(t.Context(), "2", testbed.ChatRequest)
		reload(aigateway.Limits{})
		synctest.Wait()
		c.Set("a")
		assert.Equal(t, 200, c.Post("/v1/chat/completions", testbed.ChatRequest).Status)
		gatewaytest.Pass(30 * time.Second)
		assert.Empty(t, c.ended())
		gatewaytest.Pass(40 * time.Second)
		assert.Len(t, c.ended(), 2, "the one that waited went when the limit went")
	})
}

// Explain takes nothing, and puts what is full last.
func TestLimitsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, limitsConfig(aigateway.Limits{InFlight: 1}, "a", "b"))
		c.Set("a", slow(time.Second))
		for range 3 {
			res, err := testbed.Explain(c.Gateway, "/v1/chat/completions", testbed.ChatRequest)
			require.NoError(t, err)
			assert.Equal(t, []string{"a:m", "b:m"}, testbed.Tried(res))
		}
		c.send(t.Context(), "1", testbed.ChatRequest)
		res, err := testbed.Explain(c.Gateway, "/v1/chat/completions", testbed.ChatRequest)
		require.NoError(t, err)
		assert.Equal(t, []string{"b:m", "a:m"}, testbed.Tried(res))
		assert.Equal(t, "in_flight", res.ModelsTried[1].Limit)
		assert.Empty(t, res.ModelsTried[0].Limit)
	})
}

// Clients, upstreams and queues are killed at random: no slot and no token is lost.
func TestLimitsSoak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(2, "a", "b", "c")
		for i := range cfg.Providers {
			p := &cfg.Providers[i]
			p.Limits = aigateway.Limits{InFlight: 4, Wait: "3s"}
			p.Models[0].Limits = aigateway.Limits{InFlight: 3, RequestsPerMinute: 6000, Wait: "1s"}
			p.APIKeys[0].Limits = aigateway.Limits{InFlight: 2, TokensPerMinute: 2_000_000, Wait: "2s"}
		}
		cfg.MaxRetries, cfg.PerRequestTimeout, cfg.TotalTimeout = 1, "2s", "5s"
		cfg.CallerExpr = "req.headers['x-team'][0]"
		cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.session, 1.5)"}
		c := newCrowd(t, cfg)
		var seed atomic.Uint64
		chaos := func(w http.ResponseWriter, r *http.Request) {
			at := rand.New(rand.NewPCG(3, seed.Add(1)))
			pause := time.Duration(at.Int64N(int64(time.Second)))
			switch at.IntN(8) {
			case 0:
				gatewaytest.KeyError(500, "")(w, r)
			case 1:
				gatewaytest.RateLimited("1")(w, r)
			case 2:
				gatewaytest.Abort(w, r)
			case 3:
				gatewaytest.Silence(w, r)
			case 4:
				gatewaytest.Steps(pause, gatewaytest.ChatDelta("a"), pause)(w, r)
			case 5:
				gatewaytest.Steps(pause, gatewaytest.ChatDelta("a"), pause, gatewaytest.ChatDelta("b"), "data: [DONE]\n\n")(w, r)
			default:
				slow(pause)(w, r)
			}
		}
		for _, route := range []string{"a1", "a2", "b1", "b2", "c1", "c2"} {
			c.Set(route, chaos)
		}
		statuses := map[int]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				at := rand.New(rand.NewPCG(7, uint64(i)))
				for range 30 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(at.Int64N(int64(8*time.Second))))
					body := testbed.ChatRequest
					if at.IntN(2) == 0 {
						body = testbed.StreamRequest
					}
					resp, err := c.Open(ctx, "/v1/chat/completions", body, "X-Team", fmt.Sprint(i%7), "X-Session-Id", fmt.Sprint(at.IntN(20)))
					status := 0
					if err == nil {
						status = resp.StatusCode
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					cancel()
					mu.Lock()
					statuses[status]++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for _, status := range []int{0, 200, 429} {
			assert.Positive(t, statuses[status], "%d in %v", status, statuses)
		}
		// Everything is free again: as many as the limits allow go at once.
		gatewaytest.Pass(time.Hour)
		for _, route := range []string{"a1", "a2", "b1", "b2", "c1", "c2"} {
			c.Set(route, slow(time.Second))
		}
		for i := range 9 {
			c.send(t.Context(), fmt.Sprint(i), testbed.ChatRequest, "X-Team", "x")
		}
		gatewaytest.Pass(time.Second)
		assert.Len(t, c.ended(), 9)
	})
}

func TestLimitsFaults(t *testing.T) {
	cfg := testbed.Config(1, "a")
	p := &cfg.Providers[0]
	p.Limits = aigateway.Limits{InFlight: -1}
	p.Models[0].Limits = aigateway.Limits{Wait: "3s"}
	p.APIKeys[0].Limits = aigateway.Limits{TokensPerMinute: -5, RequestsPerMinute: 1}
	_, err := aigateway.New(cfg)
	var all aigateway.ConfigErrors
	require.ErrorAs(t, err, &all)
	said := map[string]string{}
	for _, e := range all {
		said[e.Path] = e.Reason
	}
	assert.Equal(t, map[string]string{
		"providers[0].limits.in_flight":                     "must not be negative",
		"providers[0].models[0].limits.wait":                "has no limit beside it to wait at: give in_flight, requests_per_minute or tokens_per_minute",
		"providers[0].api_keys[0].limits.tokens_per_minute": "must not be negative",
	}, said)
}

// The debug page shows what is used of the limits, and which limit was in the way.
func TestLimitsOnTheDebugPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.Providers[0].Limits = aigateway.Limits{InFlight: 1}
		cfg.Providers[0].Models[0].Limits = aigateway.Limits{RequestsPerMinute: 10}
		cfg.Providers[0].APIKeys[0].Limits = aigateway.Limits{TokensPerMinute: 1000}
		c := newCrowd(t, cfg)
		page := c.Gateway.DebugHandler()
		c.Set("a1", slow(time.Second))
		c.send(t.Context(), "1", testbed.ChatRequest)
		c.send(t.Context(), "2", testbed.ChatRequest)
		get := func(query string) string {
			w := httptest.NewRecorder()
			page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug"+query, nil))
			return w.Body.String()
		}
		text := get("")
		assert.Contains(t, text, "1 of 1 in flight")
		assert.Contains(t, text, "9 of 10 requests left")
		assert.Regexp(t, `9\d\d of 1000 tokens left`, text)
		assert.Contains(t, text, "at its limit in_flight")
		assert.True(t, strings.Contains(get("?format=json"), `"in_flight_limit": 1`))
		gatewaytest.Pass(2 * time.Second)
		assert.Contains(t, get(""), "0 of 1 in flight")
	})
}

// The log tells a request's wait for room, and is silent about it without one.
func TestLogTellsTheWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		cfg := limitsConfig(aigateway.Limits{InFlight: 1, Wait: "5s"}, "a")
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		c := newCrowd(t, cfg)
		c.Set("a", slow(2*time.Second))
		c.send(t.Context(), "first", testbed.ChatRequest)
		require.Equal(t, 200, c.Post("/v1/chat/completions", testbed.ChatRequest).Status)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		require.Len(t, lines, 2)
		for i, want := range []any{nil, 2000.0} {
			var line map[string]any
			require.NoError(t, json.Unmarshal([]byte(lines[i]), &line))
			assert.Equal(t, want, line["aigateway.queued_ms"])
		}
		assert.Len(t, c.ended(), 1)
	})
}
