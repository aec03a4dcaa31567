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
)

// A key that was told to come back later is the last to be asked until then,
// and in its place again from then on.
func TestRestOfKeys(t *testing.T) {
	ok, failing := gatewaytest.Chat("fine"), failoverStatus(500, "")
	inADate := func(w http.ResponseWriter, r *http.Request) {
		failoverLimited(time.Now().Add(30*time.Second).UTC().Format(http.TimeFormat))(w, r)
	}
	inMilliseconds := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After-Ms", "1500")
		failoverStatus(429, "rate_limit_exceeded")(w, r)
	}
	refusedFor := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		failoverStatus(401, "invalid_api_key")(w, r)
	}
	busyFor := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		failoverStatus(503, "overloaded")(w, r)
	}
	tests := []struct {
		name   string
		a1, a2 []http.HandlerFunc // what each key meets, in turn
		steps  []healthStep
	}{
		{"429 with Retry-After", []http.HandlerFunc{failoverLimited("30"), ok}, []http.HandlerFunc{ok}, []healthStep{
			{0, "a1 a2"}, {0, "a2"}, {29999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"}, {0, "a1"},
		}},
		{"429 with a date", []http.HandlerFunc{inADate, ok}, []http.HandlerFunc{ok}, []healthStep{
			{0, "a1 a2"}, {29999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"429 with retry-after-ms", []http.HandlerFunc{inMilliseconds, ok}, []http.HandlerFunc{ok}, []healthStep{
			{0, "a1 a2"}, {1499 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"429 without", []http.HandlerFunc{failoverStatus(429, ""), ok}, []http.HandlerFunc{ok}, []healthStep{{0, "a1 a2"}, {0, "a1"}}},
		{"401", []http.HandlerFunc{failoverStatus(401, ""), ok}, []http.HandlerFunc{ok}, []healthStep{
			{0, "a1 a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"401 with Retry-After", []http.HandlerFunc{refusedFor, ok}, []http.HandlerFunc{ok}, []healthStep{
			{0, "a1 a2"}, {6999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"402", []http.HandlerFunc{failoverStatus(402, ""), ok}, []http.HandlerFunc{ok}, []healthStep{{0, "a1 a2"}, {0, "a1"}}},
		{"403", []http.HandlerFunc{failoverStatus(403, ""), ok}, []http.HandlerFunc{ok}, []healthStep{{0, "a1 a2"}, {0, "a1"}}},
		{"503 with Retry-After is not the key's", []http.HandlerFunc{busyFor, ok}, []http.HandlerFunc{ok}, []healthStep{{0, "a1 a2"}, {0, "a1"}}},
		{"all rest: the one that wakes first", []http.HandlerFunc{failoverLimited("60"), ok}, []http.HandlerFunc{failoverLimited("30"), ok}, []healthStep{
			{0, "a1 a2"}, {10 * time.Second, "a2"},
		}},
		{"the longest rest wins", []http.HandlerFunc{failoverLimited("60"), failoverLimited("5"), ok}, []http.HandlerFunc{failoverLimited("30"), failoverLimited("5"), ok}, []healthStep{
			// Were it the last one, both would be awake after 15 s.
			{0, "a1 a2"}, {10 * time.Second, "a2 a1"}, {6 * time.Second, "a2"}, {43999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"the longest rest wins when it comes last", []http.HandlerFunc{failoverLimited("5"), failoverLimited("30"), ok}, []http.HandlerFunc{failoverLimited("5"), ok}, []healthStep{
			{0, "a1 a2"}, {time.Second, "a1 a2"}, {29999 * time.Millisecond, "a2"}, {time.Millisecond, "a1"},
		}},
		{"a later success ends it", []http.HandlerFunc{failoverLimited("60"), ok}, []http.HandlerFunc{failoverLimited("30"), failing, ok}, []healthStep{
			{0, "a1 a2"}, {time.Second, "a2 a1"}, {0, "a1"},
		}},
		{"a later failure does not", []http.HandlerFunc{failoverLimited("60"), failing, ok}, []http.HandlerFunc{failoverLimited("30"), failing, ok}, []healthStep{
			{0, "a1 a2"}, {time.Second, "a2 a1"}, {0, "a2"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHealth(t, failoverConfig(2, "a"))
				h.script["a1"], h.script["a2"] = tt.a1, tt.a2
				h.walk(t, tt.steps)
			})
		})
	}
}

// A candidate all of whose keys rest comes after those that have one awake, and
// among several such the one that wakes first comes first.
func TestRestOfAllKeysOfCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, failoverConfig(2, "a", "b", "c"))
		h.script["a1"] = []http.HandlerFunc{failoverLimited("40"), gatewaytest.Chat("")}
		h.script["a2"] = []http.HandlerFunc{failoverLimited("50"), gatewaytest.Chat("")}
		h.script["b1"] = []http.HandlerFunc{failoverLimited("90"), gatewaytest.Chat("")}
		h.script["b2"] = []http.HandlerFunc{failoverLimited("20"), gatewaytest.Chat("")}
		h.script["c1"] = []http.HandlerFunc{gatewaytest.Chat(""), failoverStatus(400, ""), failoverStatus(400, ""), gatewaytest.Chat("")}
		h.script["c2"] = []http.HandlerFunc{gatewaytest.Chat("")}
		h.walk(t, []healthStep{
			{0, "a1 a2 b1 b2 c1"},
			{time.Second, "c1 b2"},           // c refuses the prompt; b wakes at 20 s, and answers
			{0, "b2"},                        // so that its second key no longer rests
			{38999 * time.Millisecond, "b2"}, // a wakes at 40 s
			{time.Millisecond, "a1"},
		})
	})
}

// A model that is called without a key rests itself.
func TestRestWithoutKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, failoverConfig(0, "a", "b"))
		h.script["a"] = []http.HandlerFunc{failoverLimited("30"), gatewaytest.Chat("")}
		h.walk(t, []healthStep{{0, "a b"}, {29999 * time.Millisecond, "b"}, {time.Millisecond, "a"}})
	})
}

// A key that was rotated is no key that was refused, whatever becomes of the
// request with the new one.
func TestRestAndRotatedSecret(t *testing.T) {
	tests := []struct {
		name   string
		values []string // of the secret, in the order in which it is asked for
		script map[string][]http.HandlerFunc
		steps  []healthStep
	}{
		{"changed", []string{"sk-old-123456", "sk-new-123456"}, nil, []healthStep{{0, "old new"}, {0, "new"}}},
		{"changed, and then a fault of the provider", []string{"sk-old-123456", "sk-new-123456"},
			map[string][]http.HandlerFunc{"new": {failoverStatus(500, ""), gatewaytest.Chat("")}},
			[]healthStep{{0, "old new a2"}, {0, "new"}}},
		{"changed to another bad one", []string{"sk-old-123456", "sk-old-654321", "sk-new-123456"}, nil,
			[]healthStep{{0, "old old a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "old new"}}},
		{"unchanged", []string{"sk-old-123456"}, map[string][]http.HandlerFunc{"old": {failoverStatus(401, ""), gatewaytest.Chat("")}},
			[]healthStep{{0, "old a2"}, {59999 * time.Millisecond, "a2"}, {time.Millisecond, "old"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := failoverConfig(2, "a")
				cfg.Providers[0].APIKeys[0].Value = "${secrets.get('vault', 'key')}"
				asked := 0
				cfg.Secrets = aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
					asked++
					return tt.values[min(asked, len(tt.values))-1], nil
				})
				h := newHealth(t, cfg)
				h.script["old"] = []http.HandlerFunc{failoverStatus(401, "")}
				for route, script := range tt.script {
					h.script[route] = script
				}
				h.walk(t, tt.steps)
			})
		})
	}
}

// Five failures in a row rest a candidate for 5 s. Then it is probed, and each
// probe that fails doubles the rest, up to 15 s.
func TestRestOfCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, failoverConfig(1, "a", "b"))
		h.script["a1"] = []http.HandlerFunc{failoverStatus(500, "")}
		h.walk(t, []healthStep{
			{0, "a1 b1"}, {0, "a1 b1"}, {time.Hour, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, // in a row, however slowly
			{0, "b1"}, {4999 * time.Millisecond, "b1"},
			{time.Millisecond, "a1 b1"}, // a probe
			{0, "b1"}, {9999 * time.Millisecond, "b1"},
			{time.Millisecond, "a1 b1"},
			{0, "b1"}, {14999 * time.Millisecond, "b1"},
			{time.Millisecond, "a1 b1"},
			{0, "b1"}, {14999 * time.Millisecond, "b1"}, // and not 20 s
		})
		h.set("a1", gatewaytest.Chat(""))
		h.walk(t, []healthStep{{time.Millisecond, "a1"}, {0, "a1"}})
		h.set("a1", failoverStatus(500, ""))
		h.walk(t, []healthStep{
			{0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, {0, "a1 b1"}, {0, "b1"},
			{4999 * time.Millisecond, "b1"}, {time.Millisecond, "a1 b1"}, // all over again
		})
	})
}

// What brings a candidate nearer to its rest, what starts the count anew, and
// what does neither, because it is the client's own doing.
func TestRestCounts(t *testing.T) {
	const counts, resets, neither = "counts", "resets", "neither"
	unreachable := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	tests := []struct {
		name string
		a    http.HandlerFunc
		err  error // of the transport, in place of a handler
		does string
	}{
		{"answer", gatewaytest.Chat(""), nil, resets},
		{"stream", gatewaytest.Stream(gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, gatewaytest.ChatDone), nil, resets},
		{"400", failoverStatus(400, "context_length_exceeded"), nil, neither},
		{"413", failoverStatus(413, ""), nil, neither},
		{"415", failoverStatus(415, ""), nil, neither},
		{"422", failoverStatus(422, ""), nil, neither},
		{"418", failoverStatus(418, ""), nil, neither},
		{"content filter", failoverStatus(400, "content_filter"), nil, neither},
		{"403 content filter", failoverStatus(403, "content_filter"), nil, neither},
		{"the client leaves", failoverSilence, nil, neither},
		{"402", failoverStatus(402, ""), nil, counts},
		{"403", failoverStatus(403, ""), nil, counts},
		{"404", failoverStatus(404, ""), nil, counts},
		{"408", failoverStatus(408, ""), nil, counts},
		{"409", failoverStatus(409, ""), nil, counts},
		{"429", failoverStatus(429, ""), nil, counts},
		{"500", failoverStatus(500, ""), nil, counts},
		{"529", failoverStatus(529, ""), nil, counts},
		{"302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, nil, counts},
		{"reset", gatewaytest.Abort, nil, counts},
		{"unreachable", nil, unreachable, counts},
		{"silence", failoverSilence, nil, counts},
		{"broken JSON", gatewaytest.JSON(200, `{"choices":[`), nil, counts},
		{"error under 200", gatewaytest.JSON(200, `{"error":{"message":"no capacity"}}`), nil, counts},
		{"error event", gatewaytest.Stream("data: {\"error\":{\"message\":\"no capacity\"}}\n\n"), nil, counts},
		{"stream that breaks after the commit", gatewaytest.Stream(gatewaytest.ChatDelta("x")), nil, counts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := failoverConfig(1, "a", "b")
				cfg.PerRequestTimeout = "20s"
				h := newHealth(t, cfg)
				fail := func(n int) {
					h.set("a1", failoverStatus(500, ""))
					for range n {
						h.walk(t, []healthStep{{0, "a1 b1"}})
					}
				}
				fail(4)
				h.set("a1", tt.a)
				h.rig.Unreachable("a", tt.err)
				if tt.name == "the client leaves" {
					ctx, leave := context.WithTimeout(t.Context(), time.Second)
					_, err := h.rig.Open(ctx, "/v1/chat/completions", failoverBody)
					leave()
					require.ErrorIs(t, err, context.DeadlineExceeded)
					synctest.Wait()
				} else {
					failoverAsk(h.rig)
				}
				require.Equal(t, "a1", h.rig.Routes()[0], "four failures are not enough")
				h.rig.Unreachable("a", nil)
				switch tt.does {
				case neither:
					fail(1)
				case resets:
					fail(5)
				}
				h.walk(t, []healthStep{{0, "b1"}})
			})
		})
	}
}

// One request at a time probes what comes back from its rest; the others do not
// wait for it, but go elsewhere at once.
func TestRestProbe(t *testing.T) {
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
		steps []healthStep // after it
	}{
		{"answered", slowly(gatewaytest.Chat("from a1")), []healthStep{{0, "a1"}}},
		{"failed", slowly(failoverStatus(500, "")), []healthStep{{0, "b1"}, {9999 * time.Millisecond, "b1"}, {time.Millisecond, "a1 b1"}}},
		{"refused for the client's fault", slowly(failoverStatus(400, "")), []healthStep{{0, "a1 b1"}, {0, "a1 b1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHealth(t, failoverConfig(1, "a", "b"))
				h.tire(t)
				pass(5 * time.Second)
				h.set("a1", tt.a)
				before := len(h.rig.Sent())
				var group sync.WaitGroup
				for range 8 {
					group.Go(func() { h.send() })
				}
				pass(time.Second)
				routes := h.rig.Routes()[before:]
				slices.Sort(routes)
				assert.Equal(t, strings.Fields("a1 b1 b1 b1 b1 b1 b1 b1"), routes)
				group.Wait()
				h.walk(t, tt.steps)
			})
		})
	}
	t.Run("given up by its client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHealth(t, failoverConfig(1, "a", "b"))
			h.tire(t)
			pass(5 * time.Second)
			h.set("a1", failoverSilence)
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			_, err := h.rig.Open(ctx, "/v1/chat/completions", failoverBody)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			synctest.Wait()
			h.set("a1", gatewaytest.Chat(""))
			h.walk(t, []healthStep{{0, "a1"}})
		})
	})
	t.Run("spent before it was sent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cfg := failoverConfig(1, "a", "b")
			cfg.APIKeySelection.Strategy = []string{"'x-none' in req.headers ? ai.keys.filter(k, false) : ai.keys"}
			h := newHealth(t, cfg)
			h.tire(t)
			pass(5 * time.Second)
			h.set("a1", gatewaytest.Chat(""))
			assert.Equal(t, 400, h.send("X-None", "1").Code)
			h.walk(t, []healthStep{{0, "a1"}})
		})
	})
}

// Resting means last, not away.
func TestRestOfSoleCandidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, failoverConfig(1, "a"))
		h.tire(t)
		h.walk(t, []healthStep{{0, "a1"}, {time.Second, "a1"}})
		h.set("a1", gatewaytest.Chat(""))
		got := failoverAsk(h.rig)
		assert.Equal(t, 200, got.Status)
		assert.Equal(t, []string{"a1"}, h.rig.Routes())
	})
}

// When all candidates rest, they are tried in the order of their waking.
func TestRestOfAllCandidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, failoverConfig(1, "a", "b"))
		h.set("a1", failoverStatus(500, ""))
		h.set("b1", failoverStatus(500, ""))
		steps := make([]healthStep, 5)
		for i := range steps {
			steps[i].routes = "a1 b1"
		}
		h.walk(t, append(steps,
			healthStep{5 * time.Second, "a1 b1"}, // both are probed, and rest for 10 s
			healthStep{time.Second, "a1 b1"},     // for want of anything better
		))
		h.set("a1", failoverLimited("60"))
		h.walk(t, []healthStep{{0, "a1 b1"}, {0, "b1 a1"}})
		h.set("b1", gatewaytest.Chat(""))
		h.walk(t, []healthStep{{0, "b1"}, {0, "b1"}})
	})
}

// Rests can be read in the Result, of a request as of a dry run.
func TestRestInResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, failoverConfig(2, "a", "b"))
		resting := func(res *aigateway.Result) map[string]float64 {
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
			res, err := selectionExplain(h.gateway, "/v1/chat/completions", failoverBody)
			require.NoError(t, err)
			return resting(res)
		}
		assert.Equal(t, map[string]float64{"a": 0, "b": 0}, explained())

		h.script["a1"] = []http.HandlerFunc{failoverLimited("30"), gatewaytest.Chat("")}
		failoverAsk(h.rig)
		assert.Equal(t, map[string]float64{"a": 0, "a's key 1": 30000}, resting(h.result), "as it is by the end")
		pass(1500 * time.Millisecond)
		assert.Equal(t, map[string]float64{"a": 0, "a's key 2": 28500, "b": 0}, explained(), "the key that rests is last")
		pass(28500 * time.Millisecond)
		assert.Equal(t, map[string]float64{"a": 0, "b": 0}, explained())

		for _, route := range []string{"a1", "a2", "b1", "b2"} {
			h.set(route, failoverStatus(500, ""))
		}
		for range 3 {
			failoverAsk(h.rig) // two failures of each
		}
		pass(time.Second)
		assert.Equal(t, map[string]float64{"a": 4000, "b": 4000}, explained())
		failoverAsk(h.rig)
		assert.Equal(t, map[string]float64{"a": 4000, "b": 4000}, resting(h.result))
		pass(4 * time.Second)
		assert.Equal(t, map[string]float64{"a": 0, "b": 0}, explained())
		failoverAsk(h.rig)
		assert.Equal(t, map[string]float64{"a": 0, "b": 0}, resting(h.result), "whose turn it is does not rest, though nobody else may have one")
		assert.Equal(t, map[string]float64{"a": 10000, "b": 10000}, explained())
	})
}

// What a gateway knows of its candidates and keys outlives its config.
func TestRestOutlivesReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := failoverConfig(2, "a", "b")
		h := newHealth(t, cfg)
		h.script["b1"] = []http.HandlerFunc{failoverLimited("30"), gatewaytest.Chat("")}
		h.set("a2", failoverStatus(500, ""))
		h.tire(t)
		h.walk(t, []healthStep{{0, "b2"}})
		cfg.Providers[0].ID = "A" // as ids compare
		cfg.Transport = h.rig
		require.NoError(t, h.gateway.Reload(cfg))
		h.walk(t, []healthStep{{0, "b2"}, {4999 * time.Millisecond, "b2"}, {time.Millisecond, "a1 a2 b2"}, {0, "b2"}})
	})
}

// A primary that comes and goes: no client notices, and it is back in its place
// within 30 s of its recovery, each time.
func TestRestOfFlappingPrimary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(t, failoverConfig(1, "a", "b"))
		begin := time.Now()
		up := func() bool { return time.Since(begin)/(100*time.Second)%2 == 0 }
		h.set("a1", func(w http.ResponseWriter, r *http.Request) {
			if !up() {
				failoverStatus(503, "")(w, r)
				return
			}
			gatewaytest.Chat("")(w, r)
		})
		var recovered time.Time
		late, wasted := 0, 0
		for range 900 {
			pass(time.Second)
			got := failoverAsk(h.rig)
			require.Equal(t, 200, got.Status, "%v", time.Since(begin))
			routes := h.rig.Routes()
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
		// Of each 100 s that it is down: five failures, and probes after 5, 15, 30,
		// 45 s and so on.
		assert.LessOrEqual(t, wasted, 4*(5+8))
		assert.Positive(t, wasted)
	})
}

// health is a gateway in a bubble whose providers answer by key. What has no
// script answers well.
type health struct {
	rig     *gatewaytest.Rig
	gateway *aigateway.Gateway

	mu     sync.Mutex
	script map[string][]http.HandlerFunc
	result *aigateway.Result // of the latest request
}

// healthStep waits, asks, and says where the request was sent.
type healthStep struct {
	wait   time.Duration
	routes string
}

func newHealth(t *testing.T, cfg aigateway.Config) *health {
	t.Helper()
	h := &health{rig: gatewaytest.NewRig(t), script: map[string][]http.HandlerFunc{}}
	for _, p := range cfg.Providers {
		h.rig.Host(p.ID, http.HandlerFunc(h.answer))
	}
	cfg.Transport = h.rig
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.result = res
	}}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	h.gateway = g
	h.rig.Gateway(g)
	return h
}

func (h *health) answer(w http.ResponseWriter, r *http.Request) {
	route, _, _ := strings.Cut(r.Host, ".")
	if _, key, ok := strings.Cut(r.Header.Get("Authorization"), "-"); ok {
		route, _, _ = strings.Cut(key, "-")
	}
	h.mu.Lock()
	next := gatewaytest.Chat("from " + route)
	if s := h.script[route]; len(s) > 0 {
		next = s[0]
		h.script[route] = s[min(1, len(s)-1):]
	}
	h.mu.Unlock()
	next(w, r)
}

// set has a route answer in one way from now on.
func (h *health) set(route string, answer http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.script[route] = []http.HandlerFunc{answer}
}

// walk asks again and again, and checks each time where the request went.
func (h *health) walk(t *testing.T, steps []healthStep) {
	t.Helper()
	for i, s := range steps {
		pass(s.wait)
		failoverAsk(h.rig)
		require.Equal(t, strings.Fields(s.routes), h.rig.Routes(), "step %d", i+1)
	}
}

// tire has provider "a" fail by its first key until its candidate rests.
func (h *health) tire(t *testing.T) {
	t.Helper()
	h.set("a1", failoverStatus(500, ""))
	for n := 0; n < 5; {
		failoverAsk(h.rig)
		for _, r := range h.rig.Routes() {
			if r[0] == 'a' {
				n++
			}
		}
	}
}

// send asks the gateway without a connection between.
func (h *health) send(header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(failoverBody))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.gateway.ServeHTTP(w, r)
	return w
}
