package aigateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
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

// A model of the catalog takes facts from the answer only where it has none.
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
		w := modelsGet(g, "/v1/models/claude-x", true)
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

// A provider is asked around the end of a cooldown. One that nobody needs is not
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

const modelsProviders = selectionProviders + `
  - id: both
    base_url: "https://both.internal"
    models: [{id: "Meta/Llama-4", id_aliases: ["llama4"], display_name: "Llama 4", author_id: meta}, {id: mistral}]
    supported_api_surfaces: [{format: openai}, {format: anthropic}]
`

// TestModels lists exactly the models that a client may send without a prefix.
func TestModels(t *testing.T) {
	openai := []string{"llama3", "llama", "mistral", "qwen:7b", "embed", "Meta/Llama-4", "llama4"}
	for _, tt := range []struct {
		name, doc string
		anthropic bool
		want      []string
	}{
		{"each name once", modelsProviders, false, openai},
		{"anthropic", modelsProviders, true, []string{"sonnet", "Meta/Llama-4", "llama4", "mistral"}},
		{"built in without a key", modelsProviders + "only_allow_configured_providers: true", false, openai},
		{"providers alone", "providers: [{id: openai, api_keys: [{value: k}], models: [{id: ft}]}, {id: groq, api_keys: [{value: k}], disabled: true}]\nonly_allow_configured_providers: true",
			false, append([]string{"ft"}, modelsOfBuiltin(t, "openai")...)},
		{"configured models alone", "providers: [{id: openai, api_keys: [{value: k}], models: [{id: ft}, {id: gpt-5.1}]}]\nonly_allow_configured_models: true",
			false, []string{"ft", "gpt-5.1", "gpt-5.1-2025-11-13"}},
		{"like a built-in provider's", prefixProviders, false, []string{"mistral:7b", "big", "openai:gpt-4o"}},
		{"like a built-in provider's, and no other", prefixProviders + "only_allow_configured_models: true", false, []string{"mistral:7b", "big", "openai:gpt-4o"}},
		{"no key", "providers: [{id: openai}]", false, nil},
		{"none", "{}", false, nil},
		{"none in the other format", "{}", true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := selectionGateway(t, tt.doc)
			w := modelsGet(g, "/v1/models", tt.anthropic)
			require.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
			var list struct {
				Object  string
				HasMore *bool   `json:"has_more"`
				FirstID *string `json:"first_id"`
				LastID  *string `json:"last_id"`
				Data    []struct{ ID, Object, Type string }
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &list))
			require.NotNil(t, list.Data, "a list, also where it is empty")
			var ids []string
			for _, m := range list.Data {
				ids = append(ids, m.ID)
				assert.Equal(t, []string{"model", ""}, map[bool][]string{false: {m.Object, m.Type}, true: {m.Type, m.Object}}[tt.anthropic])
			}
			assert.Equal(t, tt.want, ids)
			if tt.anthropic {
				require.NotNil(t, list.HasMore)
				assert.False(t, *list.HasMore)
				if len(ids) > 0 {
					assert.Equal(t, []string{ids[0], ids[len(ids)-1]}, []string{*list.FirstID, *list.LastID})
				}
			} else {
				assert.Equal(t, "list", list.Object)
			}

			// Each of them can be sent as it stands there, on some surface.
			for _, id := range ids {
				paths := []string{"/v1/chat/completions", "/v1/embeddings"}
				if tt.anthropic {
					paths = []string{"/v1/messages"}
				}
				assert.True(t, slices.ContainsFunc(paths, func(path string) bool {
					body, err := json.Marshal(map[string]string{"model": id})
					require.NoError(t, err)
					_, err = g.Explain(httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(body))))
					return err == nil
				}), id)
				assert.Equal(t, http.StatusOK, modelsGet(g, "/v1/models/"+id, tt.anthropic).Code, id)
			}
		})
	}
}

// TestModelsPassThrough lists the catalog for a client with a key.
func TestModelsPassThrough(t *testing.T) {
	g, err := aigateway.New(aigateway.Config{})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/v1/models", nil)
	r.Header.Set("Authorization", "Bearer sk-mine")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	for _, id := range []string{"gpt-4o", "claude-haiku-4-5", "claude-haiku-4-5-20251001", "groq/compound"} {
		assert.Equal(t, 1, strings.Count(w.Body.String(), `"id":"`+id+`"`), id)
	}
}

// TestModel asks for one model, by each of its names.
func TestModel(t *testing.T) {
	g := selectionGateway(t, modelsProviders)
	const openaiLlama = `{"id":"Meta/Llama-4","object":"model","created":0,"owned_by":"meta","providers":["both"]}`
	for _, tt := range []struct {
		name, path string
		anthropic  bool
		want       string // empty for 404
	}{
		{"own", "/v1/models/mistral", false, `{"id":"mistral","object":"model","created":0,"owned_by":"beta","providers":["beta","both"]}`},
		{"slash", "/v1/models/Meta/Llama-4", false, openaiLlama},
		{"escaped slash", "/v1/models/Meta%2FLlama-4", false, openaiLlama},
		{"case", "/v1/models/meta/llama-4", false, openaiLlama},
		{"mounted", "/ai/v1/models/Meta/Llama-4", false, openaiLlama},
		{"without version", "/models/Meta/Llama-4", false, openaiLlama},
		{"alias", "/v1/models/llama4", false, `{"id":"llama4","object":"model","created":0,"owned_by":"meta","providers":["both"]}`},
		{"colon", "/v1/models/qwen:7b", false, `{"id":"qwen:7b","object":"model","created":0,"owned_by":"alpha","providers":["alpha"]}`},
		{"anthropic", "/v1/models/llama4", true, `{"type":"model","id":"llama4","display_name":"Llama 4","created_at":"1970-01-01T00:00:00Z","providers":["both"]}`},
		{"without a display name", "/v1/models/sonnet", true, `{"type":"model","id":"sonnet","display_name":"sonnet","created_at":"1970-01-01T00:00:00Z","providers":["claude-only"]}`},
		{"slash at the end", "/v1/models/mistral/", false, `{"id":"mistral","object":"model","created":0,"owned_by":"beta","providers":["beta","both"]}`},
		{"two slashes at the end", "/v1/models/mistral//", false, ""},
		{"unknown", "/v1/models/mistrl", false, ""},
		{"unknown in anthropic", "/v1/models/nope", true, ""},
		{"disabled", "/v1/models/off", false, ""},
		{"disabled provider", "/v1/models/downed", false, ""},
		{"other format", "/v1/models/sonnet", false, ""},
		{"no key", "/v1/models/gpt-4o", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := modelsGet(g, tt.path, tt.anthropic)
			if tt.want != "" {
				assert.Equal(t, http.StatusOK, w.Code)
				assert.JSONEq(t, tt.want, w.Body.String())
				return
			}
			assert.Equal(t, http.StatusNotFound, w.Code)
			var body struct {
				Type  string
				Error struct {
					Code, Message string
					Details       struct {
						ErrorCode string `json:"error_code"`
					}
				}
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			if tt.anthropic {
				assert.Equal(t, "error", body.Type)
				assert.Equal(t, "model_not_found", body.Error.Details.ErrorCode)
			} else {
				assert.Equal(t, "model_not_found", body.Error.Code)
			}
			if tt.name == "unknown" {
				assert.Contains(t, body.Error.Message, `did you mean "mistral"?`)
			}
		})
	}
}

// TestModelSlash prefers an id with a slash at its end to the one without.
func TestModelSlash(t *testing.T) {
	g := selectionGateway(t, "providers: [{id: mine, base_url: 'https://mine.internal', models: [{id: nick}, {id: nick/}]}]")
	assert.Contains(t, modelsGet(g, "/v1/models/nick/", false).Body.String(), `"id":"nick/"`)
	assert.Contains(t, modelsGet(g, "/v1/models/nick", false).Body.String(), `"id":"nick"`)
}

// TestModelCost asks for one name among ten thousand, known and unknown. The whole
// list is not made for it.
func TestModelCost(t *testing.T) {
	cfg := aigateway.Config{Registry: aigateway.NoRegistry(), Providers: []aigateway.Provider{{ID: "p", BaseURL: "https://p.internal"}}}
	for i := range 10_000 {
		cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: fmt.Sprintf("vendor/model-%d", i)})
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	for id, status := range map[string]int{"vendor/model-9999": 200, "VENDOR/Model-9999": 200, "vendor/modl-77": 404, "p:vendor/model-1": 404, strings.Repeat("x", 2000): 404} {
		assert.Equal(t, status, modelsGet(g, "/v1/models/"+id, false).Code)
		allocs := testing.AllocsPerRun(10, func() { modelsGet(g, "/v1/models/"+id, false) })
		assert.Less(t, allocs, 200., "%.20s", id)
	}
}

// TestModelAsListed asks for each listed name by itself, in both formats. The answer
// is the list's.
func TestModelAsListed(t *testing.T) {
	g := selectionGateway(t, modelsProviders+"\naliases: {fast: [mistral], Best: [meta/llama-4, mistral], none: ['openai:gpt-4o']}")
	for _, anthropic := range []bool{false, true} {
		var list struct{ Data []json.RawMessage }
		require.NoError(t, json.Unmarshal(modelsGet(g, "/v1/models", anthropic).Body.Bytes(), &list))
		require.Greater(t, len(list.Data), 3)
		for _, one := range list.Data {
			var named struct{ ID string }
			require.NoError(t, json.Unmarshal(one, &named))
			for _, id := range []string{named.ID, strings.ToUpper(named.ID), named.ID + "/"} {
				assert.JSONEq(t, string(one), modelsGet(g, "/v1/models/"+id, anthropic).Body.String(), id)
			}
		}
	}
}

// TestModelsMounted regresses a mount that strips the slash before "models".
func TestModelsMounted(t *testing.T) {
	g := selectionGateway(t, modelsProviders)
	for _, prefix := range []string{"", "/ai", "/ai/", "/ai/v1", "/ai/v1/"} {
		h := http.StripPrefix(prefix, g)
		for _, path := range []string{"models", "models/", "models/mistral", "models/Meta/Llama-4", "models/mistral/"} {
			w := modelsGet(h, "/ai/v1/"+path, false)
			assert.Equal(t, http.StatusOK, w.Code, "%q under %q", path, prefix)
		}
		assert.Equal(t, http.StatusNotFound, modelsGet(h, "/ai/v1/xmodels", false).Code)
		assert.Equal(t, http.StatusNotFound, modelsGet(h, "/ai/v1/xmodels/mistral", false).Code)
	}
}

// TestModelUnlisted gives the reason for an unlisted name: it may be sent all
// the same, or something speaks against it.
func TestModelUnlisted(t *testing.T) {
	const (
		mine = "providers: [{id: mine, base_url: 'https://mine.internal', models: [{id: model, id_aliases: [nick]}, {id: off, disabled: true}]}, {id: openai}, {id: second, base_url: 'https://s.internal'}]\n"
		sole = "providers: [{id: local, base_url: 'https://local.internal'}]\nonly_allow_configured_providers: true"
	)
	for _, tt := range []struct {
		doc, id, want string
		sent          bool // a client may send it
	}{
		{mine, "mine:nick", `model "mine:nick" may be sent, but is not listed: only names without a provider's prefix are listed`, true},
		{mine, "mine:new", `model "mine:new" may be sent, but is not listed: only names without a provider's prefix are listed`, true},
		{mine + "only_allow_configured_models: true", "mine:new", `model "mine:new" is not configured at provider "mine", and only_allow_configured_models is set`, false},
		{mine, "mine:off", `model "mine:off" is disabled at provider "mine"`, false},
		{mine, "off", `model "off" is disabled at provider "mine"`, false},
		{mine, "openai:gpt-4o", `model "openai:gpt-4o": provider "openai" needs an API key and has none`, false},
		{mine, "gpt-4o", `model "gpt-4o": provider "openai" needs an API key and has none`, false},
		{mine, "secnd:llama3", `model "secnd:llama3": no provider "secnd", did you mean "second:llama3"?`, false},
		{mine, "nikc", `no provider has a model "nikc", did you mean "nick"? To send a name on as it is, put a provider's id before it: "provider:nikc"`, false},
		{mine, "auto", `"auto" may be sent, but is not a model: it leaves the choice to the gateway`, true},
		{sole, "x", `model "x" may be sent, but is not listed: provider "local" lists no models`, true},
		{sole, "mistral:7b", `provider "mistral" is not configured, and only_allow_configured_providers is set; to ask "local" for a model of that name, send "local:mistral:7b"`, false},
		{sole, "gpt-4o", `model "gpt-4o" may be sent, but is not listed: provider "local" lists no models`, true},
		{mine, strings.Repeat("m", 1025), `the name is too long, 1024 bytes are the limit`, false},
	} {
		t.Run(fmt.Sprintf("%.20s", tt.id), func(t *testing.T) {
			g := selectionGateway(t, tt.doc)
			w := modelsGet(g, "/v1/models/"+tt.id, false)
			assert.Equal(t, http.StatusNotFound, w.Code)
			assert.Equal(t, "application/json", w.Result().Header.Get("Content-Type"))
			message := failoverError(t, w.Body.String()).Error.Message
			assert.True(t, strings.HasSuffix(message, tt.want), message)
			assert.JSONEq(t, fmt.Sprintf(`{"error":{"message":%s,"type":"invalid_request_error","param":null,"code":"model_not_found"}}`, resultQuote(message)),
				w.Body.String())
			_, err := testbed.Explain(g, "/v1/chat/completions", `{"model":"`+tt.id+`"}`)
			assert.Equal(t, tt.sent, err == nil)
		})
	}
}

// TestModelsMethods answers HEAD like GET, refuses others, and does so under
// Wrap too.
func TestModelsMethods(t *testing.T) {
	h := selectionGateway(t, modelsProviders).Wrap(http.NotFoundHandler())
	server := httptest.NewServer(h)
	defer server.Close()
	for _, path := range []string{"/v1/models", "/v1/models/", "/v1/models/mistral"} {
		for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405} {
			r := gatewayRequest(t, server.URL+path, "")
			r.Method = method
			status, body := gatewayDo(t, r)
			assert.Equal(t, want, status, "%s %s", method, path)
			assert.Equal(t, method == http.MethodHead, body == "")
		}
	}
}

// modelsOfBuiltin lists the names of a built-in provider's models.
func modelsOfBuiltin(t *testing.T, id string) []string {
	t.Helper()
	var names []string
	for _, p := range providersOf(t, aigateway.BuiltinRegistry()) {
		for _, m := range p.Models {
			if p.ID == id {
				names = append(append(names, m.ID), m.IDAliases...)
			}
		}
	}
	require.NotEmpty(t, names)
	return names
}

func modelsGet(h http.Handler, path string, anthropic bool) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if anthropic {
		r.Header.Set("Anthropic-Version", "2023-06-01")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
