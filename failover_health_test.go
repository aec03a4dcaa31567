package aigateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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

// A key in cooldown is the last to be asked. It is back in its place as soon as
// the cooldown ends.
func TestCooldownOfKeys(t *testing.T) {
	ok, failing := gatewaytest.Chat("fine"), gatewaytest.KeyError(500, "")
	inADate := func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.RateLimited(time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))(w, r)
	}
	inMilliseconds := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After-Ms", "1500")
		gatewaytest.KeyError(429, "rate_limit_exceeded")(w, r)
	}
	refusedFor := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		gatewaytest.KeyError(401, "invalid_api_key")(w, r)
	}
	busyFor := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		gatewaytest.KeyError(503, "overloaded")(w, r)
	}
	tests := []struct {
		name   string
		a1, a2 []http.HandlerFunc // what each key meets, in turn
		steps  []testbed.Step
	}{
		{"429 with Retry-After", []http.HandlerFunc{gatewaytest.RateLimited("30"), ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {0, "a2"}, {29999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"}, {0, "a1"},
		}},
		{"429 with a date", []http.HandlerFunc{inADate, ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {29999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"429 with retry-after-ms", []http.HandlerFunc{inMilliseconds, ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {1499 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"429 without", []http.HandlerFunc{gatewaytest.KeyError(429, ""), ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {4999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"429 without, again and again", []http.HandlerFunc{gatewaytest.KeyError(429, "")}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {5 * time.Second, "a1 a2"}, {9999 * time.Millisecond, "a2"}, {time.Millisecond, "a1 a2"}, {20 * time.Second, "a1 a2"},
			{40 * time.Second, "a1 a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "a1 a2"}, // and not 80 s
		}},
		{"429 for a day", []http.HandlerFunc{gatewaytest.RateLimited("86400"), ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {10*time.Minute - 1, "a2"}, {1, "a1"},
		}},
		{"401", []http.HandlerFunc{gatewaytest.KeyError(401, ""), ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"401 with Retry-After", []http.HandlerFunc{refusedFor, ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {6999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"402", []http.HandlerFunc{gatewaytest.KeyError(402, ""), ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"402, again and again", []http.HandlerFunc{gatewaytest.KeyError(402, "")}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {time.Minute, "a1 a2"}, {2*time.Minute - 1, "a2"}, {1, "a1 a2"}, {4 * time.Minute, "a1 a2"}, {8 * time.Minute, "a1 a2"},
			{10*time.Minute - 1, "a2"}, {1, "a1 a2"}, {10*time.Minute - 1, "a2"}, {1, "a1 a2"},
		}},
		{"403 on one caller's word", []http.HandlerFunc{gatewaytest.KeyError(403, ""), ok}, []http.HandlerFunc{ok}, []testbed.Step{{0, "a1 a2"}, {0, "a1"}}},
		{"403 on two callers' word", []http.HandlerFunc{gatewaytest.KeyError(403, ""), gatewaytest.KeyError(403, ""), ok}, []http.HandlerFunc{ok}, []testbed.Step{
			{0, "a1 a2"}, {time.Second, "a1 a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"503 with Retry-After is not the key's", []http.HandlerFunc{busyFor, ok}, []http.HandlerFunc{ok}, []testbed.Step{{0, "a1 a2"}, {0, "a1"}}},
		{"all in cooldown: the first to end it", []http.HandlerFunc{gatewaytest.RateLimited("60"), ok}, []http.HandlerFunc{gatewaytest.RateLimited("30"), ok}, []testbed.Step{
			{0, "a1 a2"}, {10 * time.Second, "a2"},
		}},
		{"the longest cooldown wins", []http.HandlerFunc{gatewaytest.RateLimited("60"), gatewaytest.RateLimited("5"), ok}, []http.HandlerFunc{gatewaytest.RateLimited("30"), gatewaytest.RateLimited("5"), ok}, []testbed.Step{
			// Were it the last one, both would be healthy after 15 s.
			{0, "a1 a2"}, {10 * time.Second, "a2 a1"}, {6 * time.Second, "a2"}, {43999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"the longest cooldown wins when it comes last", []http.HandlerFunc{gatewaytest.RateLimited("5"), gatewaytest.RateLimited("30"), ok}, []http.HandlerFunc{gatewaytest.RateLimited("5"), ok}, []testbed.Step{
			{0, "a1 a2"}, {time.Second, "a1 a2"}, {29999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"a later success ends it", []http.HandlerFunc{gatewaytest.RateLimited("60"), ok}, []http.HandlerFunc{gatewaytest.RateLimited("30"), failing, ok}, []testbed.Step{
			{0, "a1 a2"}, {time.Second, "a2 a1"}, {0, "a1"},
		}},
		{"a later failure does not", []http.HandlerFunc{gatewaytest.RateLimited("60"), failing, ok}, []http.HandlerFunc{gatewaytest.RateLimited("30"), failing, ok}, []testbed.Step{
			{0, "a1 a2"}, {time.Second, "a2 a1"}, {0, "a2"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testbed.NewScripts(t, testbed.Config(2, "a"))
				h.Set("a1", tt.a1...)
				h.Set("a2", tt.a2...)
				h.Walk(t, tt.steps)
			})
		})
	}
}

// A candidate with all keys in cooldown comes after those with a healthy key.
// Among several such candidates the first to end its cooldown comes first.
func TestCooldownOfAllKeysOfCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testbed.NewScripts(t, testbed.Config(2, "a", "b", "c"))
		h.Set("a1", gatewaytest.RateLimited("40"), gatewaytest.Chat(""))
		h.Set("a2", gatewaytest.RateLimited("50"), gatewaytest.Chat(""))
		h.Set("b1", gatewaytest.RateLimited("90"), gatewaytest.Chat(""))
		h.Set("b2", gatewaytest.RateLimited("20"), gatewaytest.Chat(""))
		h.Set("c1", gatewaytest.Chat(""), gatewaytest.KeyError(400, ""), gatewaytest.KeyError(400, ""), gatewaytest.Chat(""))
		h.Set("c2", gatewaytest.Chat(""))
		h.Walk(t, []testbed.Step{
			{0, "a1 a2 b1 b2 c1"},
			{time.Second, "c1 b2"},           // c refuses the prompt; b2 is ready at 20 s, and answers
			{0, "b2"},                        // so that its second key is healthy
			{38999 * time.Millisecond, "b2"}, // a1 is ready at 40 s
			{time.Millisecond, "a1"},
		})
	})
}

// A model without keys cools down itself.
func TestCooldownWithoutKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testbed.NewScripts(t, testbed.Config(0, "a", "b"))
		h.Set("a", gatewaytest.RateLimited("30"), gatewaytest.Chat(""))
		h.Walk(t, []testbed.Step{{0, "a b"}, {29999 * time.Millisecond, "b"}, {time.Millisecond, "a"}})
	})
}

// A rotated key is not a refused key, whatever becomes of the request with the
// new one.
func TestCooldownAndRotatedSecret(t *testing.T) {
	tests := []struct {
		name   string
		values []string // of the secret, in the order in which it is asked for
		script map[string][]http.HandlerFunc
		steps  []testbed.Step
	}{
		{"changed", []string{"sk-old-123456", "sk-new-123456"}, nil, []testbed.Step{{0, "old new"}, {0, "new"}}},
		{"changed, and then a fault of the provider", []string{"sk-old-123456", "sk-new-123456"},
			map[string][]http.HandlerFunc{"new": {gatewaytest.KeyError(500, ""), gatewaytest.Chat("")}},
			[]testbed.Step{{0, "old new a2"}, {0, "new"}}},
		{"changed to another bad one", []string{"sk-old-123456", "sk-old-654321", "sk-new-123456"}, nil,
			[]testbed.Step{{0, "old old a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "old new"}}},
		{"unchanged", []string{"sk-old-123456"}, map[string][]http.HandlerFunc{"old": {gatewaytest.KeyError(401, ""), gatewaytest.Chat("")}},
			[]testbed.Step{{0, "old a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "old"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(2, "a")
				cfg.Providers[0].APIKeys[0].Value = "${secrets.get('vault', 'key')}"
				asked := 0
				cfg.Secrets = aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
					asked++
					return tt.values[min(asked, len(tt.values))-1], nil
				})
				h := testbed.NewScripts(t, cfg)
				h.Set("old", gatewaytest.KeyError(401, ""))
				for route, script := range tt.script {
					h.Set(route, script...)
				}
				h.Walk(t, tt.steps)
			})
		})
	}
}

// Five failures in a row cool a candidate down for 5 s. Then it is probed. Each
// failed probe doubles the cooldown, up to 15 s.
func TestCooldownOfCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
		h.Set("a1", gatewaytest.KeyError(500, ""))
		h.Walk(t, []testbed.Step{
			{0, "a1 b1"}, {0, "a1 b1"}, {time.Hour, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, // in a row, however slowly
			{0, "b1"}, {4999 * time.Millisecond, "b1"},
			{time.Millisecond, "a1 b1"}, // a probe
			{0, "b1"}, {9999 * time.Millisecond, "b1"},
			{time.Millisecond, "a1 b1"},
			{0, "b1"}, {14999 * time.Millisecond, "b1"},
			{time.Millisecond, "a1 b1"},
			{0, "b1"}, {14999 * time.Millisecond, "b1"}, // and not 20 s
		})
		h.Set("a1", gatewaytest.Chat(""))
		h.Walk(t, []testbed.Step{{time.Millisecond, "a1"}, {0, "a1"}})
		h.Set("a1", gatewaytest.KeyError(500, ""))
		h.Walk(t, []testbed.Step{
			{0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, {0, "b1"},
			{4999 * time.Millisecond, "b1"}, {time.Millisecond, "a1 b1"}, // all over again
		})
	})
}

// Some failures bring a candidate nearer to its cooldown, and a success starts
// the count anew. Mistakes of the client do neither. A refused key cools down
// itself, and does not count against the candidate.
func TestCooldownCounts(t *testing.T) {
	const counts, resets, neither, ofKey = "counts", "resets", "neither", "of the key"
	unreachable := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	tests := []struct {
		name string
		a    http.HandlerFunc
		err  error // of the transport, in place of a handler
		does string
	}{
		{"answer", gatewaytest.Chat(""), nil, resets},
		{"stream", gatewaytest.Stream(gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, gatewaytest.ChatDone), nil, resets},
		{"400", gatewaytest.KeyError(400, "context_length_exceeded"), nil, neither},
		{"413", gatewaytest.KeyError(413, ""), nil, neither},
		{"415", gatewaytest.KeyError(415, ""), nil, neither},
		{"422", gatewaytest.KeyError(422, ""), nil, neither},
		{"418", gatewaytest.KeyError(418, ""), nil, neither},
		{"content filter", gatewaytest.KeyError(400, "content_filter"), nil, neither},
		{"403 content filter", gatewaytest.KeyError(403, "content_filter"), nil, neither},
		{"the client leaves", gatewaytest.Silence, nil, neither},
		{"403", gatewaytest.KeyError(403, ""), nil, neither},
		{"404", gatewaytest.KeyError(404, ""), nil, neither},
		{"404 of a file", gatewaytest.Error(404, "", "No vector store found with id vs_1"), nil, neither},
		{"408", gatewaytest.KeyError(408, ""), nil, neither},
		{"409", gatewaytest.KeyError(409, ""), nil, neither},
		{"401", gatewaytest.KeyError(401, ""), nil, ofKey},
		{"402", gatewaytest.KeyError(402, ""), nil, ofKey},
		{"429", gatewaytest.KeyError(429, ""), nil, ofKey},
		{"404 of the model", gatewaytest.Error(404, "model_not_found", "The model m does not exist"), nil, counts},
		{"424", gatewaytest.KeyError(424, ""), nil, counts},
		{"499", gatewaytest.KeyError(499, ""), nil, counts},
		{"500", gatewaytest.KeyError(500, ""), nil, counts},
		{"529", gatewaytest.KeyError(529, ""), nil, counts},
		{"302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, nil, counts},
		{"reset", gatewaytest.Abort, nil, counts},
		{"unreachable", nil, unreachable, counts},
		{"silence", gatewaytest.Silence, nil, counts},
		{"broken JSON", gatewaytest.JSON(200, `{"choices":[`), nil, counts},
		{"error under 200", gatewaytest.JSON(200, `{"error":{"message":"no capacity"}}`), nil, counts},
		{"error event", gatewaytest.Stream("data: {\"error\":{\"message\":\"no capacity\"}}\n\n"), nil, counts},
		{"stream that breaks after the commit", gatewaytest.Stream(gatewaytest.ChatDelta("x")), nil, counts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.PerRequestTimeout = "20s"
				h := testbed.NewScripts(t, cfg)
				fail := func(n int) {
					h.Set("a1", gatewaytest.KeyError(500, ""))
					for range n {
						h.Walk(t, []testbed.Step{{0, "a1 b1"}})
					}
				}
				fail(4)
				h.Set("a1", tt.a)
				h.Unreachable("a", tt.err)
				if tt.name == "the client leaves" {
					ctx, leave := context.WithTimeout(t.Context(), time.Second)
					_, err := h.Open(ctx, "/v1/chat/completions", testbed.ChatRequest)
					leave()
					require.ErrorIs(t, err, context.DeadlineExceeded)
					synctest.Wait()
				} else {
					h.Post("/v1/chat/completions", testbed.StreamRequest)
				}
				require.Equal(t, "a1", h.Routes()[0], "four failures are not enough")
				h.Unreachable("a", nil)
				switch tt.does {
				case neither:
					fail(1)
				case resets:
					fail(5)
				case ofKey:
					h.Walk(t, []testbed.Step{{0, "b1"}})
					gatewaytest.Pass(9 * time.Minute)
					fail(1)
					assert.Equal(t, 5000.0, h.Result().ModelsTried[0].RequestsMade[0].CooldownMS, "the fifth failure, and not a failed probe")
				}
				h.Walk(t, []testbed.Step{{0, "b1"}})
			})
		})
	}
}

// One request at a time probes a candidate after its cooldown. The others do not
// wait for it: they go elsewhere at once.
func TestCooldownProbe(t *testing.T) {
	slowly := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(2 * time.Second):
				h(w, r)
			case <-r.Context().Done():
			}
		}
	}
	tests := []struct {
		name  string
		a     http.HandlerFunc
		steps []testbed.Step // after it
	}{
		{"answered", slowly(gatewaytest.Chat("from a1")), []testbed.Step{{0, "a1"}}},
		{"failed", slowly(gatewaytest.KeyError(500, "")), []testbed.Step{{0, "b1"}, {9999 * time.Millisecond, "b1"}, {time.Millisecond, "a1 b1"}}},
		{"refused for the client's fault", slowly(gatewaytest.KeyError(400, "")), []testbed.Step{{0, "a1 b1"}, {0, "a1 b1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
				h.CoolDown()
				gatewaytest.Pass(5 * time.Second)
				h.Set("a1", tt.a)
				before := len(h.Sent())
				var group sync.WaitGroup
				for range 8 {
					group.Go(func() { h.Send() })
				}
				gatewaytest.Pass(time.Second)
				routes := h.Routes()[before:]
				slices.Sort(routes)
				assert.Equal(t, strings.Fields("a1 b1 b1 b1 b1 b1 b1 b1"), routes)
				group.Wait()
				h.Walk(t, tt.steps)
			})
		})
	}
	t.Run("given up by its client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
			h.CoolDown()
			gatewaytest.Pass(5 * time.Second)
			h.Set("a1", gatewaytest.Silence)
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			_, err := h.Open(ctx, "/v1/chat/completions", testbed.ChatRequest)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			synctest.Wait()
			h.Set("a1", gatewaytest.Chat(""))
			h.Walk(t, []testbed.Step{{0, "a1"}})
		})
	})
	t.Run("spent before it was sent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cfg := testbed.Config(1, "a", "b")
			cfg.APIKeySelection.Strategy = []string{"'x-none' in req.headers ? ai.keys.filter(k, false) : ai.keys"}
			h := testbed.NewScripts(t, cfg)
			h.CoolDown()
			gatewaytest.Pass(5 * time.Second)
			h.Set("a1", gatewaytest.Chat(""))
			assert.Equal(t, 400, h.Send("X-None", "1").Code)
			h.Walk(t, []testbed.Step{{0, "a1"}})
		})
	})
}

// Cooldown means last, not away.
func TestCooldownOfSoleCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testbed.NewScripts(t, testbed.Config(1, "a"))
		h.CoolDown()
		h.Walk(t, []testbed.Step{{0, "a1"}, {time.Second, "a1"}})
		h.Set("a1", gatewaytest.Chat(""))
		got := testbed.Ask(h.Harness)
		assert.Equal(t, 200, got.Status)
		assert.Equal(t, []string{"a1"}, h.Routes())
	})
}

// If all candidates are in cooldown, they are tried in the order of its end.
func TestCooldownOfAllCandidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
		down := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
		h.Unreachable("b", down)
		for range 5 {
			h.Set("a1", gatewaytest.KeyError(400, ""))
			h.Walk(t, []testbed.Step{{0, "a1 b1"}})
		}
		gatewaytest.Pass(time.Second)
		h.Unreachable("a", down)
		h.Walk(t, []testbed.Step{
			{0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, // b until 5 s, a until 6 s
			{0, "b1 a1"},               // for want of anything better
			{4 * time.Second, "b1 a1"}, // b is probed, and cools down until 15 s
			{time.Second, "a1 b1"},     // a is probed, and cools down until 16 s
			{0, "b1 a1"},
		})
		h.Unreachable("a", nil)
		h.Unreachable("b", nil)
		h.Set("a1", gatewaytest.RateLimited("60"))
		h.Set("b1", gatewaytest.KeyError(500, ""))
		h.Walk(t, []testbed.Step{{0, "b1 a1"}, {10 * time.Second, "b1 a1"}, {time.Second, "b1 a1"}})
		h.Set("b1", gatewaytest.Chat(""))
		h.Walk(t, []testbed.Step{{0, "b1"}, {0, "b1"}})
	})
}

// The health of candidates and keys outlives a config.
func TestCooldownOutlivesReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(2, "a", "b")
		h := testbed.NewScripts(t, cfg)
		h.Set("b1", gatewaytest.RateLimited("30"), gatewaytest.Chat(""))
		h.Set("a2", gatewaytest.KeyError(500, ""))
		h.CoolDown()
		h.Walk(t, []testbed.Step{{0, "b2"}})
		cfg.Providers[0].ID = "A" // as ids compare
		cfg.Transport = h.Harness
		require.NoError(t, h.Gateway.Reload(cfg))
		h.Walk(t, []testbed.Step{{0, "b2"}, {4999 * time.Millisecond, "b2"}, {time.Millisecond, "a1 a2 b2"}, {0, "b2"}})
	})
}

// A primary comes and goes. The clients do not notice, and within 30 s of each
// recovery it is back in its place.
func TestCooldownOfFlappingPrimary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
		begin := time.Now()
		up := func() bool { return time.Since(begin)/(100*time.Second)%2 == 0 }
		h.Set("a1", func(w http.ResponseWriter, r *http.Request) {
			if !up() {
				gatewaytest.KeyError(503, "")(w, r)
				return
			}
			gatewaytest.Chat("")(w, r)
		})
		var recovered time.Time
		late, wasted := 0, 0
		for range 900 {
			gatewaytest.Pass(time.Second)
			got := testbed.Ask(h.Harness)
			require.Equal(t, 200, got.Status, "%v", time.Since(begin))
			routes := h.Routes()
			switch {
			case !up():
				recovered = time.Time{}
				if routes[0] == "a1" {
					wasted++
				}
				continue
			case recovered.IsZero():
				recovered = time.Now()
			}
			if routes[0] != "a1" && time.Since(recovered) > 30*time.Second {
				late++
			}
		}
		assert.Zero(t, late)
		// In each outage of 100 s: five failures, and probes after 5, 15, 30, 45
		// s and so on.
		assert.LessOrEqual(t, wasted, 4*(5+8))
		assert.Positive(t, wasted)
	})
}

// If strategies choose among the keys, the chosen ones decide whether a
// candidate is in cooldown. A healthy key outside the choice does not count.
func TestCooldownOfChosenKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(2, "a", "b")
		cfg.APIKeySelection.Strategy = []string{"ai.keys[0]"}
		h := testbed.NewScripts(t, cfg)
		h.Set("a1", gatewaytest.RateLimited("60"), gatewaytest.Chat(""))
		h.Walk(t, []testbed.Step{{0, "a1 b1"}, {time.Second, "b1"}, {59 * time.Second, "a1"}})
	})
}

// The first content of a probe's stream proves that the provider answers: later
// requests do not wait for the end of the stream, minutes away. The first
// complete answer decides whether the provider is healthy again.
func TestCooldownProbeByStream(t *testing.T) {
	tests := []struct {
		name  string
		end   []string       // what the stream ends with
		steps []testbed.Step // after it
	}{
		{"whole", []string{gatewaytest.ChatStop, gatewaytest.ChatDone}, []testbed.Step{{0, "a1"}, {0, "a1"}}},
		{"broken", nil, []testbed.Step{{0, "b1"}, {9999 * time.Millisecond, "b1"}, {time.Millisecond, "a1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
				h.CoolDown()
				gatewaytest.Pass(5 * time.Second)
				content, end := make(chan bool), make(chan bool)
				h.Set("a1", func(w http.ResponseWriter, _ *http.Request) {
					gatewaytest.StartStream(w)
					gatewaytest.Send(w, gatewaytest.ChatRole)
					<-content
					gatewaytest.Send(w, gatewaytest.ChatDelta("much"))
					<-end
					for _, event := range tt.end {
						gatewaytest.Send(w, event)
					}
				})
				var stream sync.WaitGroup
				stream.Go(func() {
					defer func() { _ = recover() }() // of a stream that breaks
					h.SendBody(testbed.StreamRequest)
				})
				synctest.Wait()
				assert.Contains(t, h.Send().Body.String(), "from b1", "nothing is known of the primary yet")
				content <- true
				synctest.Wait()
				h.Set("a1", gatewaytest.KeyError(400, ""))
				for range 3 {
					assert.Contains(t, h.Send().Body.String(), "from b1")
					routes := h.Routes()
					assert.Equal(t, "a1", routes[len(routes)-2], "asked, though the stream goes on")
				}
				end <- true
				stream.Wait()
				h.Set("a1", gatewaytest.Chat("from a1"))
				h.Walk(t, tt.steps)
			})
		})
	}
}

// outage is a gateway of tenants in front of a provider that is down for a time, and
// another that is well. One tenant's prompts time out at the first provider, even
// when it is well.
type outage struct {
	hostile  int           // prompts a second, of the hostile tenant
	others   time.Duration // between two prompts of each other tenant
	lasts    time.Duration
	silent   bool // the provider answers nothing while it is down, and else 503
	everyone bool // the hostile prompts time out at the second provider too
}

// back returns the time from the end of the outage until all prompts of the other
// tenants go to the first provider again.
func (o outage) back(t *testing.T) (back time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const down = 20 * time.Second
		silence := func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		cfg := testbed.Config(1, "a", "b")
		cfg.CallerExpr, cfg.PerRequestTimeout = "req.headers['x-tenant'][0]", "20s"
		cfg.ForwardHeaders = []string{"X-Tenant"}
		cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			first, hostile := r.URL.Host == "a.internal", r.Header.Get("X-Tenant") == "hostile"
			if hostile && (first || o.everyone) {
				return silence(r)
			}
			w := httptest.NewRecorder()
			if at := time.Since(begin); first && at >= down && at < down+o.lasts {
				if o.silent {
					return silence(r)
				}
				gatewaytest.KeyError(503, "")(w, r)
			} else {
				gatewaytest.Chat(r.URL.Host)(w, r)
			}
			return w.Result(), nil
		})
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		end := begin.Add(down + o.lasts)
		var late time.Time
		var all sync.WaitGroup
		send := func(tenant string, pause time.Duration, note func(served string)) {
			all.Go(func() {
				for time.Since(end) < 40*time.Second {
					gatewaytest.Pass(pause)
					all.Go(func() {
						served := askAs(g, tenant).Body.String()
						if note != nil {
							note(served)
						}
					})
				}
			})
		}
		if o.hostile > 0 {
			send("hostile", time.Second/time.Duration(o.hostile), nil)
		}
		var mu sync.Mutex
		for i := range 7 {
			send(fmt.Sprint("tenant ", i), o.others+time.Duration(i)*time.Millisecond, func(served string) {
				mu.Lock()
				defer mu.Unlock()
				if !strings.Contains(served, "a.internal") {
					late = time.Now()
				}
			})
		}
		all.Wait()
		back = max(late.Sub(end), 0)
	})
	return back
}

// A tenant whose prompts time out does not delay a provider's return for the others:
// they get it back as soon as they would without that tenant.
func TestCooldownEndsDespiteTimeouts(t *testing.T) {
	for _, o := range []outage{
		{others: time.Second},
		{others: time.Second, everyone: true},
		{others: 200 * time.Millisecond, everyone: true},
	} {
		for _, lasts := range []time.Duration{24 * time.Second, 32 * time.Second, 40 * time.Second} {
			o.hostile, o.lasts = 0, lasts
			without := o.back(t)
			o.hostile = 25
			assert.LessOrEqual(t, o.back(t), without+2*time.Second, "%+v", o)
		}
	}
	// Where the provider was silent, a last probe of another tenant may be under way
	// for its lease of 15 s.
	silent := outage{hostile: 25, others: time.Second, silent: true, everyone: true, lasts: 32 * time.Second}
	assert.LessOrEqual(t, silent.back(t), 20*time.Second)
}
