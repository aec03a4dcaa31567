package suite_test

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

// lister is a provider that answers chats, and its list of models.
type lister struct {
	list  atomic.Pointer[string]
	down  atomic.Bool // refuses both
	chats atomic.Int64

	mu    sync.Mutex
	asked []*http.Request // for the list
}

func newLister(list string) *lister {
	l := new(lister)
	l.list.Store(&list)
	return l
}

func (l *lister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	reading := r.Method == http.MethodGet
	if !reading {
		l.chats.Add(1)
	} else if strings.HasSuffix(r.URL.Path, "/models") {
		l.mu.Lock()
		l.asked = append(l.asked, r.Clone(context.Background()))
		l.mu.Unlock()
	}
	switch list := *l.list.Load(); {
	case l.down.Load():
		gatewaytest.Error(http.StatusServiceUnavailable, "down", "down")(w, r)
	case !reading:
		gatewaytest.Chat("hello")(w, r)
	case list == "" || r.URL.Path != "/v1/models":
		http.NotFound(w, r)
	default:
		io.WriteString(w, list)
	}
}

func (l *lister) questions() []*http.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*http.Request(nil), l.asked...)
}

// running starts a gateway with Run, in the test's bubble.
func running(t *testing.T, cfg aigateway.Config, hosts map[string]http.Handler) *aigateway.Gateway {
	t.Helper()
	n := gatewaytest.NewNetwork()
	for host, h := range hosts {
		n.Serve(t, host+".internal", h)
	}
	if cfg.Registry == nil {
		cfg.Registry = aigateway.NoRegistry()
	}
	cfg.Transport = n.Transport(t)
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	var ended sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	ended.Go(func() { g.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
	return g
}

// offers are the models of GET models, by id.
func offers(t *testing.T, g *aigateway.Gateway) map[string]map[string]any {
	t.Helper()
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/models", nil))
	var list struct{ Data []map[string]any }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
	byID := map[string]map[string]any{}
	for _, m := range list.Data {
		byID[m["id"].(string)] = m
	}
	return byID
}

// chat sends a chat for a model, and returns the status.
func chat(g *aigateway.Gateway, model string) int {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(fmt.Sprintf(`{"model":%q,"messages":[]}`, model)))
	r.Header.Set("Content-Type", "application/json")
	g.ServeHTTP(w, r)
	return w.Code
}

const vllmList = `{"data":[{"id":"llama3","max_model_len":8192},{"id":"qwen","max_model_len":32768}]}`

// The models of a provider that discovers are served, with their facts, under the
// listed ones.
func TestDiscover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := newLister(vllmList)
		g := running(t, parsed(t, `
only_allow_configured_providers: true
providers:
  - id: gpu
    base_url: "http://gpu.internal"
    discover: true
    api_keys: [{value: "sk-gpu-0123456789abcdef"}]
    headers: {x-team: blue}
    query_params: {zone: eu}
    models: [{id: Llama3, max_output_tokens: 100, pricing: {input: 1, output: 2}}]
  - {id: other, base_url: "http://other.internal", models: [{id: m}]}
`), map[string]http.Handler{"gpu": gpu, "other": newLister("")})
		synctest.Wait()
		models := offers(t, g)
		assert.Equal(t, map[string]any{
			"id": "Llama3", "object": "model", "created": 0., "owned_by": "gpu", "context_window": 8192., "max_output_tokens": 100.,
			"pricing": map[string]any{"input": 1., "output": 2.}, "providers": []any{"gpu"},
		}, models["Llama3"], "listed facts stay, others are filled in")
		assert.Equal(t, 32768., models["qwen"]["context_window"])
		assert.Equal(t, http.StatusOK, chat(g, "qwen"))
		assert.Len(t, models, 3)

		q := gpu.questions()
		require.Len(t, q, 1)
		assert.Equal(t, "Bearer sk-gpu-0123456789abcdef", q[0].Header.Get("Authorization"))
		assert.Equal(t, "blue", q[0].Header.Get("X-Team"))
		assert.Equal(t, "zone=eu", q[0].URL.RawQuery)

		// Each minute, give or take the jitter.
		gone := `{"data":[{"id":"qwen","max_model_len":16384},{"id":"new"}]}`
		gpu.list.Store(&gone)
		gatewaytest.Pass(70 * time.Second)
		synctest.Wait()
		models = offers(t, g)
		assert.Equal(t, 16384., models["qwen"]["context_window"])
		assert.Contains(t, models, "new")
		assert.Contains(t, models, "Llama3", "a listed model stays")
		assert.NotContains(t, models["Llama3"], "context_window")
		assert.GreaterOrEqual(t, len(gpu.questions()), 2)

		// The last good list stays.
		gpu.down.Store(true)
		gatewaytest.Pass(10 * time.Minute)
		synctest.Wait()
		assert.Contains(t, offers(t, g), "new")
		assert.InDelta(t, 12, len(gpu.questions()), 3)
	})
}

func parsed(t *testing.T, doc string) aigateway.Config {
	t.Helper()
	cfg, err := aigateway.ParseConfig([]byte(doc))
	require.NoError(t, err)
	return cfg
}

// Discovered models count as configured only if the provider says so.
func TestDiscoverConfigured(t *testing.T) {
	for _, tt := range []struct {
		discover aigateway.Discover
		want     int
	}{{aigateway.DiscoverOn, http.StatusUnprocessableEntity}, {aigateway.DiscoverConfigured, http.StatusOK}} {
		t.Run(string(tt.discover), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := running(t, aigateway.Config{
					OnlyAllowConfiguredModels: true,
					Providers: []aigateway.Provider{
						{ID: "gpu", BaseURL: "http://gpu.internal", Discover: tt.discover},
						{ID: "other", BaseURL: "http://other.internal", Models: []aigateway.Model{{ID: "m"}}},
					},
				}, map[string]http.Handler{"gpu": newLister(vllmList), "other": newLister("")})
				synctest.Wait()
				assert.Equal(t, tt.want, chat(g, "qwen"))
				assert.Equal(t, tt.want, chat(g, "gpu:qwen"))
			})
		})
	}
	// Before the first answer no model is configured, and that is not a mistake.
	_, err := aigateway.New(aigateway.Config{OnlyAllowConfiguredModels: true, Registry: aigateway.NoRegistry(), Providers: []aigateway.Provider{
		{ID: "gpu", BaseURL: "http://gpu.internal", Discover: aigateway.DiscoverConfigured}}})
	assert.NoError(t, err)
}

// A model of the catalog takes facts from the answer only where it lacks them.
func TestDiscoverUnderCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := aigateway.StaticRegistry(aigateway.Provider{ID: "cloud", BaseURL: "http://cloud.internal", Models: []aigateway.Model{
			{ID: "a", IDAliases: []string{"a-latest"}, MaxContextWindow: 1000}, {ID: "b"},
		}})
		calls := 0
		g := running(t, aigateway.Config{
			Registry:  aigateway.ProviderRegistryFunc(func(ctx context.Context) ([]aigateway.Provider, error) { calls++; return registry.Providers(ctx) }),
			Providers: []aigateway.Provider{{ID: "cloud", APIKeys: []aigateway.APIKey{{Value: "sk-cloud-0123456789abcdef"}}, Discover: aigateway.DiscoverOn}},
		}, map[string]http.Handler{"cloud": newLister(`{"data":[{"id":"A","context_window":5,"max_completion_tokens":7},{"id":"a-latest","context_window":9},{"id":"c","context_window":5}]}`)})
		synctest.Wait()
		models := offers(t, g)
		assert.Equal(t, 1000., models["a"]["context_window"])
		assert.Equal(t, 7., models["a"]["max_output_tokens"])
		assert.Contains(t, models, "a-latest")
		assert.Contains(t, models, "b")
		assert.Equal(t, 5., models["c"]["context_window"])
		assert.Equal(t, 1, calls, "the registry is asked by New alone")
	})
}

// A Reload keeps the answers of the same servers, and asks new ones at once.
func TestDiscoverReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newLister(vllmList), newLister(`{"data":[{"id":"second"}]}`)
		cfg := aigateway.Config{Providers: []aigateway.Provider{{ID: "one", BaseURL: "http://one.internal", Discover: aigateway.DiscoverOn, Models: []aigateway.Model{{ID: "x"}}}}}
		n := gatewaytest.NewNetwork()
		n.Serve(t, "one.internal", one)
		n.Serve(t, "two.internal", two)
		cfg.Registry, cfg.Transport = aigateway.NoRegistry(), n.Transport(t)
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		var ended sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		ended.Go(func() { g.Run(ctx) })
		defer func() { cancel(); ended.Wait() }()
		synctest.Wait()
		require.Contains(t, offers(t, g), "qwen")

		one.down.Store(true)
		cfg.Providers = append(cfg.Providers, aigateway.Provider{ID: "two", BaseURL: "http://two.internal", Discover: aigateway.DiscoverOn})
		require.NoError(t, g.Reload(cfg))
		assert.Contains(t, offers(t, g), "qwen")
		synctest.Wait()
		assert.Contains(t, offers(t, g), "second")
		assert.Contains(t, offers(t, g), "qwen")

		// The same name at another address is another server.
		cfg.Providers[0].BaseURL = "http://elsewhere.internal"
		require.NoError(t, g.Reload(cfg))
		synctest.Wait()
		assert.NotContains(t, offers(t, g), "qwen")
		assert.Contains(t, offers(t, g), "second")
	})
}

// The config that is compiled again is the one that New got: later changes of the
// embedder do not enter it.
func TestDiscoverSharesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		price := 1.5
		cfg := aigateway.Config{
			ModelSelection: aigateway.ModelSelection{Strategy: []string{"ai.models"}},
			Aliases:        map[string][]string{"nick": {"gpu:m"}},
			Headers:        map[string]aigateway.Template{"x-a": "1"},
			Providers: []aigateway.Provider{{ID: "gpu", BaseURL: "http://gpu.internal", Discover: aigateway.DiscoverOn,
				Models: []aigateway.Model{{ID: "m", Metadata: map[string]any{"k": []any{"v"}}, Pricing: &aigateway.Pricing{Input: &price}}}}},
		}
		n := gatewaytest.NewNetwork()
		gpu := newLister(vllmList)
		n.Serve(t, "gpu.internal", gpu)
		cfg.Registry, cfg.Transport = aigateway.NoRegistry(), n.Transport(t)
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		cfg.ModelSelection.Strategy[0] = "nonsense("
		cfg.Aliases["nick"][0] = "nobody:nothing"
		cfg.Headers["x-a"] = "bad\nvalue"
		cfg.Providers[0].Models[0].Metadata["k"].([]any)[0] = "w"
		cfg.Providers[0].Models[0].ID = ""
		price = -7
		var ended sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		ended.Go(func() { g.Run(ctx) })
		defer func() { cancel(); ended.Wait() }()
		synctest.Wait()
		models := offers(t, g)
		require.Contains(t, models, "qwen", "it was compiled again")
		assert.Equal(t, 1.5, models["m"]["pricing"].(map[string]any)["input"])
		assert.Contains(t, models, "nick")
	})
}

// A failure is told once, and so is its end.
func TestDiscoverLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		gpu := newLister(vllmList)
		gpu.down.Store(true)
		g := running(t, aigateway.Config{
			Logger:    slog.New(slog.NewTextHandler(&log, nil)),
			Providers: []aigateway.Provider{{ID: "gpu", BaseURL: "http://gpu.internal", Discover: aigateway.DiscoverOn}},
		}, map[string]http.Handler{"gpu": gpu})
		gatewaytest.Pass(10 * time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), "a provider does not tell its models"), log.String())
		assert.Contains(t, log.String(), `provider=gpu error="its list of models answers with status 503"`)
		assert.Contains(t, shownState(t, g), `"discovery":{"models":0,"error":"its list of models answers with status 503"}`)
		gpu.down.Store(false)
		gatewaytest.Pass(2 * time.Minute)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(log.String(), `"a provider tells its models" provider=gpu models=2`), log.String())
		assert.Contains(t, shownState(t, g), `"discovery":{"models":2,"age_ms":`)
	})
}

func shownState(t *testing.T, g *aigateway.Gateway) string {
	w := httptest.NewRecorder()
	g.DebugHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?format=json", nil))
	require.Equal(t, http.StatusOK, w.Code)
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, w.Body.Bytes()))
	return compact.String()
}

// Keys are tried in turn, Anthropic's form too, and none that depends on a request.
func TestDiscoverKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		var mu sync.Mutex
		g := running(t, aigateway.Config{
			Providers: []aigateway.Provider{{
				ID: "gpu", BaseURL: "http://gpu.internal", Discover: aigateway.DiscoverOn,
				SupportedAPISurfaces: []aigateway.APISurface{{Format: "anthropic"}},
				APIKeys:              []aigateway.APIKey{{Value: "${req.headers['x-key'][0]}"}, {Value: "sk-dead-0123456789abcdef"}, {Value: "sk-good-0123456789abcdef"}},
			}},
		}, map[string]http.Handler{"gpu": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked = append(asked, r.Header.Get("X-Api-Key")+" "+r.Header.Get("Anthropic-Version"))
			mu.Unlock()
			if r.Header.Get("X-Api-Key") != "sk-good-0123456789abcdef" {
				gatewaytest.Error(http.StatusUnauthorized, "invalid_api_key", "no")(w, r)
				return
			}
			io.WriteString(w, `{"data":[{"type":"model","id":"claude-x","display_name":"X","max_input_tokens":5}],"has_more":false}`)
		})})
		synctest.Wait()
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/models/claude-x", nil)
		r.Header.Set("Anthropic-Version", "2023-06-01")
		g.ServeHTTP(w, r)
		assert.JSONEq(t, `{"type":"model","id":"claude-x","display_name":"X","created_at":"1970-01-01T00:00:00Z","context_window":5,"providers":["gpu"]}`, w.Body.String())
		gatewaytest.Pass(70 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"sk-dead-0123456789abcdef 2023-06-01", "sk-good-0123456789abcdef 2023-06-01"}, asked[:2])
		for _, a := range asked[2:] {
			assert.Equal(t, "sk-good-0123456789abcdef 2023-06-01", a, "the key that worked comes first")
		}
	})
	g, err := aigateway.New(aigateway.Config{Registry: aigateway.NoRegistry(), Providers: []aigateway.Provider{{
		ID: "gpu", BaseURL: "http://gpu.internal", Discover: aigateway.DiscoverOn, APIKeys: []aigateway.APIKey{{Value: "${req.headers['x-key'][0]}"}}}}})
	require.NoError(t, err)
	require.Len(t, g.Warnings(), 1)
	assert.Equal(t, "providers[0].discover", g.Warnings()[0].Path)
}

// A sole provider that discovers still takes unlisted names: its list is a minute
// old.
func TestDiscoverSole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := newLister(vllmList)
		g := running(t, aigateway.Config{Providers: []aigateway.Provider{{ID: "gpu", BaseURL: "http://gpu.internal", Discover: aigateway.DiscoverOn}}},
			map[string]http.Handler{"gpu": gpu})
		synctest.Wait()
		assert.Equal(t, http.StatusOK, chat(g, "just-pulled"))
		assert.Equal(t, http.StatusOK, chat(g, "qwen"))
	})
}

// A request never finds out that a provider is still down: Run does, by its list. It
// comes back by the probe of a request.
func TestRunProbes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fail  func(h *gatewaytest.Network, t *testing.T) // nil: the provider answers 503
		list  string
		spare bool // no request is spent on the provider while it is down
	}{
		{"with a list", nil, vllmList, true},
		{"without a list", nil, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second := newLister(tt.list), newLister("")
				cfg := testbed.Config(1, "a", "b")
				cfg.Caller = testbed.EachCaller()
				cfg.Providers[0].Discover = aigateway.DiscoverOn
				g := running(t, cfg, map[string]http.Handler{"a": first, "b": second})
				synctest.Wait()
				each := func(d time.Duration) {
					for range int(d / time.Second) {
						assert.Equal(t, http.StatusOK, chat(g, "m"))
						gatewaytest.Pass(time.Second)
					}
				}
				first.down.Store(true)
				each(8 * time.Second)
				spent := first.chats.Load()
				each(5 * time.Minute)
				if tt.spare {
					assert.Equal(t, spent, first.chats.Load(), "no request probed the provider")
				} else {
					assert.Greater(t, first.chats.Load(), spent+10, "requests probe it, as without Run")
				}
				first.down.Store(false)
				served := second.chats.Load()
				each(15 * time.Second)
				assert.Less(t, second.chats.Load()-served, int64(16), "it is back within 15 s")
				served = second.chats.Load()
				each(10 * time.Second)
				assert.Equal(t, served, second.chats.Load(), "it is healthy again")
			})
		})
	}
}

// A list ends neither the cooldown of a refused key nor that of a rate limit, and a
// broken list keeps a provider away for ten minutes at most.
func TestRunProbeBounds(t *testing.T) {
	for name, status := range map[string]int{"401": http.StatusUnauthorized, "429": http.StatusTooManyRequests} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var chats atomic.Int64
				a := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet {
						io.WriteString(w, vllmList)
						return
					}
					chats.Add(1)
					w.Header().Set("Retry-After", "300")
					gatewaytest.Error(status, "refused", "refused")(w, r)
				})
				cfg := testbed.Config(1, "a", "b")
				cfg.Providers[0].Discover = aigateway.DiscoverOn
				g := running(t, cfg, map[string]http.Handler{"a": a, "b": newLister("")})
				synctest.Wait()
				for range 50 {
					assert.Equal(t, http.StatusOK, chat(g, "m"))
					gatewaytest.Pass(time.Second)
				}
				assert.EqualValues(t, 1, chats.Load())
			})
		})
	}
	t.Run("broken list", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newLister(vllmList)
			cfg := testbed.Config(1, "a", "b")
			cfg.Caller = testbed.EachCaller()
			cfg.Providers[0].Discover = aigateway.DiscoverOn
			broken := atomic.Bool{}
			g := running(t, cfg, map[string]http.Handler{"a": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if broken.Load() && r.Method == http.MethodGet {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				a.ServeHTTP(w, r)
			}), "b": newLister("")})
			synctest.Wait()
			a.down.Store(true)
			broken.Store(true)
			for range 6 {
				chat(g, "m")
			}
			a.down.Store(false)
			before := a.chats.Load()
			for range 11 * 60 {
				assert.Equal(t, http.StatusOK, chat(g, "m"))
				gatewaytest.Pass(time.Second)
			}
			assert.Greater(t, a.chats.Load(), before+10)
		})
	})
}

// A provider is asked around the end of a cooldown. One that is not needed is not
// asked for ever.
func TestRunProbesAreFew(t *testing.T) {
	for name, list := range map[string]string{"with a list": vllmList, "without a list": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newLister(list)
				cfg := testbed.Config(1, "a", "b")
				cfg.Caller = testbed.EachCaller()
				g := running(t, cfg, map[string]http.Handler{"a": a, "b": newLister("")})
				a.down.Store(true)
				for range 6 {
					chat(g, "m")
				}
				a.down.Store(false)
				gatewaytest.Pass(time.Hour)
				synctest.Wait()
				assert.NotEmpty(t, a.questions())
				assert.LessOrEqual(t, len(a.questions()), 5)
			})
		})
	}
}
