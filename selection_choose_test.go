package aigateway_test

import (
	"errors"
	"fmt"
	"io"
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

const aliasesProviders = `
providers:
  - id: beta
    base_url: "https://beta.internal"
    models: [{id: llama3}, {id: mistral, fallbacks: ["alpha:qwen", "alpha:new", "beta:llama3"]}, {id: off, disabled: true, fallbacks: ["alpha:qwen"]}]
  - id: alpha
    base_url: "https://alpha.internal"
    models: [{id: llama3, fallbacks: ["beta:mistral", "down:x"]}, {id: qwen, fallbacks: ["beta:llama3"]}]
  - {id: down, disabled: true, base_url: "https://down.internal"}
aliases:
  chat: ["mistral", "alpha:llama3"]
  Fast: ["alpha:unlisted"]
  gone: ["off", "down:x"]
`

// An alias stands for its names. Fallbacks stand behind all candidates, once.
func TestAliasesAndFallbacks(t *testing.T) {
	for _, row := range []struct{ name, strategy, body, want string }{
		{"alias", "", `{"model":"chat"}`, "beta:mistral alpha:llama3 alpha:qwen alpha:new beta:llama3"},
		{"in any case", "", `{"model":"CHAT"}`, "beta:mistral alpha:llama3 alpha:qwen alpha:new beta:llama3"},
		{"unlisted", "", `{"model":"fast"}`, "alpha:unlisted"},
		{"among names, in its place", "", `{"models":["beta:llama3","fast","qwen"]}`, "beta:llama3 alpha:unlisted alpha:qwen"},
		{"twice", "", `{"models":["fast","Fast"]}`, "alpha:unlisted"},
		{"not behind a prefix", "", `{"model":"beta:chat"}`, "beta:chat"},
		{"strategies choose within each name", "ai.models.ignoreProviders('beta')", `{"model":"chat"}`, "alpha:llama3 beta:mistral"},
		{"fallbacks of what a strategy chose", "ai.models.only('qwen')", `{}`, "alpha:qwen beta:llama3"},
		{"fallbacks of a fallback do not count", "", `{"model":"qwen"}`, "alpha:qwen beta:llama3"},
		{"disabled ones are left out", "", `{"model":"alpha:llama3"}`, "alpha:llama3 beta:mistral"},
		{"behind all names, once", "", `{"models":["mistral","qwen"]}`, "beta:mistral alpha:qwen alpha:new beta:llama3"},
		{"nothing", "", `{"model":"gone"}`, "!no_matching_models"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(aliasesProviders))
			require.NoError(t, err)
			if row.strategy != "" {
				cfg.ModelSelection.Strategy = []string{row.strategy}
			}
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			res, err := testbed.Explain(g, "/v1/chat/completions", row.body)
			got := strings.Join(testbed.Tried(res), " ")
			if err != nil {
				got = "!" + string(testbed.Code(err))
			}
			assert.Equal(t, row.want, got)
		})
	}
}

// The flags hold for fallbacks too.
func TestFallbacksPassTheFlags(t *testing.T) {
	g := selectionGateway(t, aliasesProviders+"only_allow_configured_models: true\n")
	res, err := testbed.Explain(g, "/v1/chat/completions", `{"model":"mistral"}`)
	require.NoError(t, err)
	assert.Equal(t, []string{"beta:mistral", "alpha:qwen", "beta:llama3"}, testbed.Tried(res))
}

// GET models lists the aliases that somebody can serve.
func TestAliasesAreListed(t *testing.T) {
	g := selectionGateway(t, aliasesProviders)
	get := func(path string) string {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		body, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		return string(body)
	}
	list := get("/v1/models")
	assert.Contains(t, list, `"id":"chat"`)
	assert.Contains(t, list, `"id":"Fast"`)
	assert.NotContains(t, list, `"id":"gone"`)
	assert.Equal(t, 1, strings.Count(list, `"id":"chat"`))
	assert.Contains(t, get("/v1/models/chat"), `"owned_by":"beta"`)
	assert.Contains(t, get("/v1/models/gone"), `"code":"model_not_found"`)
}

func TestAliasesFaults(t *testing.T) {
	const providers = `
providers:
  - {id: mine, base_url: "https://mine.internal", models: [{id: llama3, id_aliases: [llama]}]}
  - {id: openai, api_keys: [{value: k}]}
`
	for _, row := range []struct{ name, doc, path, says string }{
		{"a configured model", `aliases: {llama3: ["gpt-4o"]}`, "aliases.llama3", `is the name of a configured model of provider "mine"`},
		{"its alias", `aliases: {LLAMA: ["gpt-4o"]}`, "aliases.LLAMA", `is the name of a configured model`},
		{"another alias", `aliases: {chat: [llama], Chat: [llama]}`, "aliases.chat", "is there twice"},
		{"an alias in an alias", `aliases: {chat: [fast], fast: [llama]}`, "aliases.chat[0]", "is an alias itself"},
		{"itself", `aliases: {chat: [chat]}`, "aliases.chat[0]", "is an alias itself"},
		{"unknown", `aliases: {chat: [lama]}`, "aliases.chat[0]", `did you mean "llama"?`},
		{"unknown prefix", `aliases: {chat: ["min:x"]}`, "aliases.chat[0]", `did you mean "mine:x"?`},
		{"nothing", `aliases: {chat: []}`, "aliases.chat", "must list 1 to 100 names"},
		{"auto", `aliases: {auto: [llama]}`, "aliases.auto", "cannot be an alias"},
		{"auto inside", `aliases: {chat: [auto]}`, "aliases.chat[0]", "is not the name of a model"},
		{"a prefix", `aliases: {"mine:x": [llama]}`, `aliases["mine:x"]`, `reads as a model of provider "mine"`},
		{"fallback of no provider", `model_selection: {}`, "providers[0].models[0].fallbacks[0]", `no provider has the id "opnai", did you mean "openai:x"?`},
		{"fallback without a prefix", `model_selection: {}`, "providers[0].models[0].fallbacks[0]", `must be written as "provider:model"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			doc := providers
			switch row.name {
			case "fallback of no provider":
				doc = strings.Replace(doc, "id: llama3", `id: llama3, fallbacks: ["opnai:x"]`, 1)
			case "fallback without a prefix":
				doc = strings.Replace(doc, "id: llama3", `id: llama3, fallbacks: [llama]`, 1)
			}
			cfg, err := aigateway.ParseConfig([]byte(doc + row.doc))
			require.NoError(t, err)
			_, err = aigateway.New(cfg)
			var all aigateway.ConfigErrors
			require.True(t, errors.As(err, &all), "%v", err)
			require.Len(t, all, 1, "%v", err)
			assert.Equal(t, row.path, all[0].Path)
			assert.Contains(t, all[0].Reason, row.says)
		})
	}
	g := selectionGateway(t, providers+`aliases: {gpt-4o: [llama, "openai:gpt-4o", "openai:gpt-9", gpt-9]}`)
	warnings := g.Warnings()
	require.Len(t, warnings, 1)
	assert.Equal(t, "aliases.gpt-4o", warnings[0].Path)
	assert.Contains(t, warnings[0].Reason, `clients reach that as "openai:gpt-4o"`)
	res, err := testbed.Explain(g, "/v1/chat/completions", `{"model":"gpt-4o"}`)
	require.NoError(t, err)
	assert.Equal(t, []string{"mine:llama3", "openai:gpt-4o", "openai:gpt-9"}, testbed.Tried(res))
}

// A model's own timeouts hold in place of those of its provider and the config.
func TestTimeoutsOfModels(t *testing.T) {
	for _, row := range []struct {
		name   string
		stream bool
		set    func(p *aigateway.Provider, m *aigateway.Model)
		took   time.Duration
	}{
		{"the config's", false, func(*aigateway.Provider, *aigateway.Model) {}, 20 * time.Second},
		{"the provider's", false, func(p *aigateway.Provider, _ *aigateway.Model) { p.PerRequestTimeout = "10s" }, 10 * time.Second},
		{"the model's", false, func(p *aigateway.Provider, m *aigateway.Model) {
			p.PerRequestTimeout, m.PerRequestTimeout = "10s", "3s"
		}, 3 * time.Second},
		{"the model's, longer", false, func(_ *aigateway.Provider, m *aigateway.Model) { m.PerRequestTimeout = "30s" }, 30 * time.Second},
		{"first token of the config", true, func(*aigateway.Provider, *aigateway.Model) {}, 5 * time.Second},
		{"first token of the model", true, func(_ *aigateway.Provider, m *aigateway.Model) { m.FirstTokenTimeout = "2s" }, 2 * time.Second},
		{"first token only", false, func(_ *aigateway.Provider, m *aigateway.Model) { m.FirstTokenTimeout = "2s" }, 20 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(0, "a")
				cfg.PerRequestTimeout, cfg.FirstTokenTimeout = "20s", "5s"
				row.set(&cfg.Providers[0], &cfg.Providers[0].Models[0])
				s := testbed.NewScripts(t, cfg)
				s.Set("a", gatewaytest.Silence)
				body := testbed.ChatRequest
				if row.stream {
					body = testbed.StreamRequest
				}
				answer := s.Post("/v1/chat/completions", body)
				assert.Equal(t, 504, answer.Status)
				assert.Equal(t, row.took, answer.Took)
			})
		})
	}
}

// A spill-over by a limit does not pin.
func TestLimitsDoNotPin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(0, "a", "b", "c")
		for i := range cfg.Providers {
			cfg.Providers[i].Limits.InFlight = 1
		}
		s := newSessions(t, cfg, "ai.models.sticky(req.session)")
		first, _ := s.ask("s")
		s.Set(first, gatewaytest.Drip(250*time.Millisecond, `{"choices":`, `[{"message":`, `{"content":"hi"}}`, `]}`), gatewaytest.Chat("fine"))
		go s.drain(`{"model":"` + first + `:m"}`)
		synctest.Wait()
		route, place := s.ask("s")
		assert.NotEqual(t, first, route)
		assert.Equal(t, "moved", place)
		gatewaytest.Pass(2 * time.Second)
		route, _ = s.ask("s")
		assert.Equal(t, first, route)
	})
}
