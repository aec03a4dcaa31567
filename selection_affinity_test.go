package aigateway_test

import (
	"fmt"
	"io"
	"net/http"
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

// sessions is a gateway whose strategies are sticky.
type sessions struct {
	*testbed.Scripts
	t testing.TB
}

func newSessions(t testing.TB, cfg aigateway.Config, strategy string) *sessions {
	if strategy != "" {
		cfg.ModelSelection.Strategy = []string{strategy}
	}
	s := &sessions{testbed.NewScripts(t, cfg), t}
	s.reload(cfg)
	return s
}

// reload replaces the config. Callers are told apart only if it says how.
func (s *sessions) reload(cfg aigateway.Config) {
	s.t.Helper()
	cfg.Transport, cfg.Hooks = s.Harness, s.Hooks()
	require.NoError(s.t, s.Gateway.Reload(cfg))
}

// ask sends a request of a session, and returns the route and the place of its
// last attempt.
func (s *sessions) ask(session string, header ...string) (route, place string) {
	s.t.Helper()
	s.Post("/v1/chat/completions", testbed.ChatRequest, append(header, "X-Session-Id", session)...)
	routes := s.Routes()
	require.NotEmpty(s.t, routes)
	res := s.Result()
	require.NotNil(s.t, res.Affinity)
	assert.Equal(s.t, "session", res.Affinity.Source)
	return routes[len(routes)-1], res.Affinity.Place
}

// drain sends a request, and reads its answer to the end.
func (s *sessions) drain(body string) {
	resp, err := s.Open(s.t.Context(), "/v1/chat/completions", body)
	if err != nil {
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// A session stays where it was served, and its Result says so.
func TestAffinity(t *testing.T) {
	fail := gatewaytest.KeyError(500, "")
	others := func(first string) []string {
		return strings.Fields(strings.Replace("a b c", first, "", 1))
	}
	for _, row := range []struct {
		name string
		run  func(t *testing.T, s *sessions, first string)
	}{
		{"stays at the first", func(t *testing.T, s *sessions, first string) {
			for range 5 {
				route, place := s.ask("s")
				assert.Equal(t, first, route)
				assert.Equal(t, "first", place)
			}
		}},
		{"stays at the one that served after a failover", func(t *testing.T, s *sessions, first string) {
			s.Set(first, fail, gatewaytest.Chat("fine"))
			route, place := s.ask("s")
			assert.NotEqual(t, first, route)
			assert.Equal(t, "moved", place)
			for range 3 {
				again, place := s.ask("s")
				assert.Equal(t, route, again)
				assert.Equal(t, "pinned", place)
			}
		}},
		{"stays at the one that served in a cooldown", func(t *testing.T, s *sessions, first string) {
			s.Set(first, fail)
			for range 5 {
				s.Post("/v1/chat/completions", `{"model":"`+first+`:m"}`, "X-Session-Id", "another")
			}
			s.Set(first)
			route, _ := s.ask("s")
			assert.NotEqual(t, first, route)
			gatewaytest.Pass(time.Minute)
			again, place := s.ask("s")
			assert.Equal(t, route, again)
			assert.Equal(t, "pinned", place)
		}},
		{"comes back after ten minutes without a success", func(t *testing.T, s *sessions, first string) {
			s.Set(first, fail, gatewaytest.Chat("fine"))
			moved, _ := s.ask("s")
			gatewaytest.Pass(9 * time.Minute)
			route, _ := s.ask("s")
			assert.Equal(t, moved, route)
			gatewaytest.Pass(9 * time.Minute)
			route, _ = s.ask("s")
			assert.Equal(t, moved, route)
			gatewaytest.Pass(10 * time.Minute)
			route, place := s.ask("s")
			assert.Equal(t, first, route)
			assert.Equal(t, "first", place)
		}},
		{"comes back where the pinned one fails", func(t *testing.T, s *sessions, first string) {
			s.Set(first, fail, gatewaytest.Chat("fine"))
			moved, _ := s.ask("s")
			s.Set(moved, fail, gatewaytest.Chat("fine"))
			route, place := s.ask("s")
			assert.Equal(t, first, route)
			assert.Equal(t, "first", place)
			route, _ = s.ask("s")
			assert.Equal(t, first, route, "it is not pinned any more")
		}},
		{"is not pinned by a failure", func(t *testing.T, s *sessions, first string) {
			for _, id := range []string{"a", "b", "c"} {
				s.Set(id, fail, gatewaytest.Chat("fine"))
			}
			s.ask("s")
			route, _ := s.ask("s")
			assert.Equal(t, first, route)
		}},
		{"survives a reload", func(t *testing.T, s *sessions, first string) {
			s.Set(first, fail, gatewaytest.Chat("fine"))
			moved, _ := s.ask("s")
			cfg := testbed.Config(0, "c", "b", "a")
			cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.session)"}
			s.reload(cfg)
			route, place := s.ask("s")
			assert.Equal(t, moved, route)
			assert.Equal(t, "pinned", place)
		}},
		{"is the next one where the pinned one has gone", func(t *testing.T, s *sessions, first string) {
			s.Set(first, fail, gatewaytest.Chat("fine"))
			moved, _ := s.ask("s")
			left := others(moved)
			cfg := testbed.Config(0, left...)
			cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.session)"}
			s.reload(cfg)
			route, place := s.ask("s")
			assert.Equal(t, first, route)
			assert.Equal(t, "first", place)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSessions(t, testbed.Config(0, "a", "b", "c"), "ai.models.sticky(req.session)")
				first, place := s.ask("s")
				assert.Equal(t, "first", place)
				row.run(t, s, first)
			})
		})
	}
}

// A pin belongs to its caller. Where callers are not told apart, all share pins.
func TestAffinityOfCallers(t *testing.T) {
	for _, caller := range []string{"", "'x-team' in req.headers ? req.headers['x-team'][0] : ''"} {
		t.Run(caller, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(0, "a", "b", "c")
				cfg.CallerExpr = caller
				s := newSessions(t, cfg, "ai.models.sticky(req.session)")
				first, _ := s.ask("s", "X-Team", "red")
				s.Set(first, gatewaytest.KeyError(500, ""), gatewaytest.Chat("fine"))
				moved, _ := s.ask("s", "X-Team", "red")
				route, _ := s.ask("s", "X-Team", "blue")
				if caller == "" {
					assert.Equal(t, moved, route)
				} else {
					assert.Equal(t, first, route)
				}
				route, _ = s.ask("s", "X-Team", "red")
				assert.Equal(t, moved, route)
			})
		})
	}
}

// What the bound puts behind goes elsewhere, and comes back.
func TestAffinityWithBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t, testbed.Config(0, "a", "b", "c"), "ai.models.sticky(req.session, 1.5)")
		first, _ := s.ask("s")
		s.Set(first, gatewaytest.Steps(time.Minute))
		for range 3 { // 3 in flight, and the mean is 1
			go s.drain(`{"model":"` + first + `:m","stream":true}`)
			synctest.Wait()
		}
		s.Set(first)
		route, place := s.ask("s")
		assert.NotEqual(t, first, route)
		assert.Equal(t, "moved", place)
		gatewaytest.Pass(2 * time.Minute)
		route, place = s.ask("s")
		assert.Equal(t, first, route, "a spill-over does not pin")
		assert.Equal(t, "first", place)
	})
}

// Keys have affinity like models.
func TestAffinityOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(4, "a")
		cfg.APIKeySelection.Strategy = []string{"ai.keys.sticky(req.session)"}
		s := newSessions(t, cfg, "")
		seen := map[string]bool{}
		for i := range 40 {
			route, place := s.ask(fmt.Sprint(i))
			seen[route] = true
			assert.Equal(t, "first", place)
		}
		assert.Len(t, seen, 4)
		first, _ := s.ask("s")
		s.Set(first, gatewaytest.RateLimited("30"), gatewaytest.Chat("fine"))
		moved, place := s.ask("s")
		assert.NotEqual(t, first, moved)
		assert.Equal(t, "moved", place)
		gatewaytest.Pass(time.Minute)
		route, place := s.ask("s")
		assert.Equal(t, moved, route, "the key has cooled down, and the cache is at the other")
		assert.Equal(t, "pinned", place)
	})
}

// req.session is the first of the headers, then of the body. Equal sessions go the
// same way.
func TestSessionSources(t *testing.T) {
	cfg := testbed.Config(0, "a", "b", "c", "d", "e", "f", "g", "h")
	cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.session)"}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	plan := func(body string, header ...string) string {
		r, err := http.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
		require.NoError(t, err)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := g.Explain(r)
		require.NoError(t, err)
		order := strings.Join(testbed.Tried(res), " ")
		if res.Affinity == nil {
			return "unsorted"
		}
		return order
	}
	const hello = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`
	one := plan(hello, "X-Session-Id", "1")
	for _, row := range []struct {
		name   string
		body   string
		header []string
		same   bool
	}{
		{"the same header", hello, []string{"X-Session-Id", "1"}, true},
		{"another value", hello, []string{"X-Session-Id", "2"}, false},
		{"the first header counts", hello, []string{"Session_id", "2", "X-Session-Id", "1"}, true},
		{"Claude Code's header", hello, []string{"X-Claude-Code-Session-Id", "1"}, true},
		{"Codex' header", hello, []string{"session_id", "1"}, true},
		{"its other header", hello, []string{"Session-Id", "1", "session_id", "2"}, true},
		{"a header comes before the body", `{"model":"m","prompt_cache_key":"x"}`, []string{"Session-Id", "1"}, true},
		{"the body's key", `{"model":"m","prompt_cache_key":"1"}`, nil, true},
		{"the body's text", hello, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) { assert.Equal(t, row.same, one == plan(row.body, row.header...)) })
	}
	first := plan(`{"model":"m","messages":[{"role":"user","content":"hello"}]}`)
	assert.Equal(t, first, plan(`{"model":"m","messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"hi"},{"role":"user","content":"more"}]}`))
	assert.Equal(t, "unsorted", plan(`{"model":"m"}`), "nothing names a session")
}
