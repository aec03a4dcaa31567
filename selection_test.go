package aigateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// selectionProviders are the providers of most tests here. llama3 is at three of
// them; their order follows from the config, not from the ids or the sizes of
// the lists.
const selectionProviders = `
providers:
  - id: beta
    id_aliases: [b]
    base_url: "https://beta.internal"
    models: [{id: llama3, id_aliases: [llama], metadata: {size: 70}}, {id: mistral}]
  - id: alpha
    base_url: "https://alpha.internal"
    models: [{id: llama3, metadata: {size: 8}}, {id: "qwen:7b"}, {id: off, disabled: true}]
  - id: ollama
    base_url: "https://ollama.internal"
  - {id: down, disabled: true, base_url: "https://down.internal", models: [{id: llama3}, {id: downed}]}
  - {id: claude-only, base_url: "https://c.internal", models: [{id: sonnet}], supported_api_surfaces: [{format: anthropic}]}
  - {id: vectors, base_url: "https://v.internal", models: [{id: embed}], supported_api_surfaces: [{format: openai, surface: embeddings}]}
`

// TestSelectionOfNames compares the client's names with the plan, without
// strategies.
func TestSelectionOfNames(t *testing.T) {
	tests := []struct {
		name, body string
		tried      []string
		rejected   []string // "name at provider: reason"
	}{
		{"one", `{"model":"mistral"}`, []string{"beta:mistral"}, nil},
		{"at several, in config order", `{"model":"llama3"}`, []string{"beta:llama3", "alpha:llama3"}, []string{"llama3 at down: provider_disabled"}},
		{"case", `{"model":"MISTRAL"}`, []string{"beta:mistral"}, nil},
		{"alias", `{"model":"Llama"}`, []string{"beta:llama3"}, nil},
		{"prefix", `{"model":"alpha:llama3"}`, []string{"alpha:llama3"}, nil},
		{"prefix and alias", `{"model":"beta:llama"}`, []string{"beta:llama3"}, nil},
		{"provider's alias", `{"model":"B:llama3"}`, []string{"beta:llama3"}, nil},
		{"prefix, unknown model", `{"model":"alpha:new-model"}`, []string{"alpha:new-model"}, nil},
		{"unknown model keeps its case", `{"model":"alpha:New/Model"}`, []string{"alpha:New/Model"}, nil},
		{"colons in the rest", `{"model":"ollama:llama3.2:1b"}`, []string{"ollama:llama3.2:1b"}, nil},
		{"colon, no prefix", `{"model":"qwen:7b"}`, []string{"alpha:qwen:7b"}, nil},
		{"prefix and colon", `{"model":"alpha:qwen:7b"}`, []string{"alpha:qwen:7b"}, nil},
		{"built-in prefix without key", `{"models":["openai:gpt-4o","mistral"]}`, []string{"beta:mistral"}, []string{"openai:gpt-4o at openai: no_api_key"}},

		{"model before models", `{"models":["alpha:llama3"],"model":"mistral"}`, []string{"beta:mistral", "alpha:llama3"}, nil},
		{"models in order", `{"models":["mistral","alpha:llama3","beta:llama3"]}`, []string{"beta:mistral", "alpha:llama3", "beta:llama3"}, nil},
		{"once each", `{"model":"alpha:llama3","models":["ALPHA:LLAMA3","llama3","alpha:x","alpha:x"]}`,
			[]string{"alpha:llama3", "beta:llama3", "alpha:x"}, []string{"llama3 at down: provider_disabled"}},
		{"auto among models", `{"model":"auto","models":["ngrok/AUTO","mistral",""]}`, []string{"beta:mistral"}, nil},
		{"unknown among models", `{"models":["nope","mistral"]}`, []string{"beta:mistral"}, []string{"nope at : no_matching_models"}},
		{"disabled model among models", `{"models":["off","mistral"]}`, []string{"beta:mistral"}, []string{"off at alpha: model_disabled"}},
		{"disabled by prefix", `{"models":["down:llama3","down:other","mistral"]}`, []string{"beta:mistral"},
			[]string{"down:llama3 at down: provider_disabled", "down:other at down: provider_disabled"}},
		{"format", `{"models":["sonnet","mistral"]}`, []string{"beta:mistral"}, []string{"sonnet at claude-only: format_not_supported"}},
		{"surface", `{"models":["embed","mistral"]}`, []string{"beta:mistral"}, []string{"embed at vectors: surface_not_supported"}},

		{"none", `{}`, []string{"beta:llama3", "beta:mistral", "alpha:llama3", "alpha:qwen:7b"}, nil},
		{"auto", `{"model":"auto"}`, []string{"beta:llama3", "beta:mistral", "alpha:llama3", "alpha:qwen:7b"}, nil},
		{"ngrok/auto", `{"model":"ngrok/auto","models":[]}`, []string{"beta:llama3", "beta:mistral", "alpha:llama3", "alpha:qwen:7b"}, nil},
		{"null", `{"model":null,"models":null}`, []string{"beta:llama3", "beta:mistral", "alpha:llama3", "alpha:qwen:7b"}, nil},
		{"empty", `{"model":"","models":["auto"]}`, []string{"beta:llama3", "beta:mistral", "alpha:llama3", "alpha:qwen:7b"}, nil},
	}
	g := selectionGateway(t, selectionProviders)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := testbed.Explain(g, "/v1/chat/completions", tt.body)
			require.NoError(t, err)
			var rejected []string
			for _, r := range res.Client.RejectedModels {
				rejected = append(rejected, r.Model+" at "+r.Provider+": "+r.Reason)
				assert.Contains(t, r.Message, fmt.Sprintf("%q", r.Model))
			}
			assert.Equal(t, tt.tried, testbed.Tried(res))
			assert.Equal(t, tt.rejected, rejected)
		})
	}
}

// TestSelectionRefused: the code, the status and the words for each way to have
// nothing left to try.
func TestSelectionRefused(t *testing.T) {
	only := selectionProviders + "only_allow_configured_providers: true\n"
	both := only + "only_allow_configured_models: true\n"
	tests := []struct {
		name, doc, path, body string
		code                  aigateway.Code
		status                int
		says                  []string
	}{
		{"unknown", selectionProviders, "", `{"model":"mistrl"}`, aigateway.CodeNoMatchingModels, 422, []string{`"mistrl"`, `did you mean "mistral"?`, `"provider:`}},
		{"prefix typo", selectionProviders, "", `{"model":"olama:llama3.2:1b"}`, aigateway.CodeNoMatchingModels, 422, []string{`did you mean "ollama:llama3.2:1b"?`}},
		{"all unknown", selectionProviders, "", `{"models":["zzz","yyy"]}`, aigateway.CodeNoMatchingModels, 422, []string{`"zzz"`, `"yyy"`}},
		{"disabled provider", selectionProviders, "", `{"model":"downed"}`, aigateway.CodeNoMatchingModels, 422, []string{`"downed"`, `"down" is disabled`}},
		{"disabled model", selectionProviders, "", `{"model":"off"}`, aigateway.CodeNoMatchingModels, 422, []string{`"off" is disabled at provider "alpha"`}},
		{"format", selectionProviders, "", `{"model":"sonnet"}`, aigateway.CodeNoMatchingModels, 422, []string{`"claude-only" does not speak the openai format`}},
		{"other format", selectionProviders, "/v1/messages", `{"model":"mistral"}`, aigateway.CodeNoMatchingModels, 422, []string{`"beta" does not speak the anthropic format`}},
		{"surface", selectionProviders, "", `{"model":"embed"}`, aigateway.CodeNoMatchingModels, 422, []string{`"vectors" does not offer chat-completions`}},
		{"no key", selectionProviders, "", `{"model":"gpt-4o"}`, aigateway.CodeNoAPIKey, 400, []string{`"gpt-4o"`, `"openai" needs an API key`}},
		{"the configured one's reason first", "providers: [{id: mine, base_url: 'https://m.internal', models: [{id: gpt-4o, disabled: true}]}]", "", `{"model":"gpt-4o"}`,
			aigateway.CodeNoMatchingModels, 422, []string{`"gpt-4o" is disabled at provider "mine"`}},
		{"provider not allowed", only, "", `{"model":"gpt-4o"}`, aigateway.CodeProviderNotAllowed, 422, []string{`"gpt-4o"`, `"openai"`, "only_allow_configured_providers"}},
		{"prefix not allowed", only, "", `{"model":"openai:x"}`, aigateway.CodeProviderNotAllowed, 422, []string{`"openai:x"`}},
		{"unknown is not refused by name", only, "", `{"model":"gpt-4oo"}`, aigateway.CodeNoMatchingModels, 422, []string{`"gpt-4oo"`}},
		{"model not allowed", both, "", `{"model":"alpha:new"}`, aigateway.CodeModelNotAllowed, 422, []string{`"alpha:new"`, `"alpha"`, "only_allow_configured_models"}},
		{"first names the code", both, "", `{"models":["alpha:new","gpt-4o","zzz"]}`, aigateway.CodeModelNotAllowed, 422, []string{`"alpha:new"`, `"gpt-4o"`, `"zzz"`}},
		{"first is unknown", both, "", `{"models":["zzz","gpt-4o"]}`, aigateway.CodeNoMatchingModels, 422, []string{`"gpt-4o"`}},
		{"nothing on the surface", "providers: [{id: v, base_url: 'https://v.internal', models: [{id: e}], supported_api_surfaces: [{format: openai, surface: embeddings}]}]\nonly_allow_configured_providers: true",
			"", `{}`, aigateway.CodeNoMatchingModels, 422, []string{"chat-completions"}},
		{"strategies empty", selectionProviders + "model_selection: {strategy: [\"ai.models.only('x')\", \"ai.models.filter(m, false)\"]}", "", `{"model":"mistral"}`,
			aigateway.CodeModelSelectionEmpty, 422, []string{"model_selection"}},
		{"strategies empty over everything", selectionProviders + "model_selection: {strategy: [\"ai.models.only('x')\"]}", "", `{}`,
			aigateway.CodeModelSelectionEmpty, 422, []string{"model_selection"}},
		{"strategy fails", selectionProviders + "model_selection: {strategy: [\"req.headers['x-tier'][0] == 'gold' ? ai.models : ai.models.only('x')\", ai.models]}", "", `{"model":"mistral"}`,
			aigateway.CodeModelSelectionFailed, 422, []string{"the gateway's rules failed for this request"}},
		{"strategies do not save the refused", both + "model_selection: {strategy: [ai.models]}", "", `{"model":"gpt-4o"}`, aigateway.CodeProviderNotAllowed, 422, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := selectionGateway(t, tt.doc)
			path := tt.path
			if path == "" {
				path = "/v1/chat/completions"
			}
			res, err := testbed.Explain(g, path, tt.body)
			var e *aigateway.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, tt.code, e.Code)
			assert.Equal(t, tt.status, e.Status)
			assert.Empty(t, res.ModelsTried)
			for _, piece := range tt.says {
				assert.Contains(t, e.Message, piece)
			}

			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(tt.body)))
			assert.Equal(t, tt.status, w.Code)
			message, err := json.Marshal(e.Message)
			require.NoError(t, err)
			assert.Contains(t, w.Body.String(), string(message), "the client reads the same")
			assert.Contains(t, w.Body.String(), `code":"`+string(tt.code)+`"`)
		})
	}
}

// TestSelectionSoleProvider: unknown names go to the only provider, if it lists
// no models.
func TestSelectionSoleProvider(t *testing.T) {
	const local = "providers:\n  - id: local\n    base_url: https://local.internal\n"
	for _, tt := range []struct {
		name, doc, body string
		tried           []string
		code            aigateway.Code
	}{
		{"passed on", local + "only_allow_configured_providers: true", `{"model":"llama3:8b"}`, []string{"local:llama3:8b"}, ""},
		{"a name that others know", local + "only_allow_configured_providers: true", `{"model":"gpt-4o"}`, []string{"local:gpt-4o"}, ""},
		{"another's prefix", local + "only_allow_configured_providers: true", `{"model":"openai:gpt-4o"}`, nil, aigateway.CodeProviderNotAllowed},
		{"no name", local + "only_allow_configured_providers: true", `{}`, nil, aigateway.CodeNoMatchingModels},
		{"not the only one allowed", local, `{"model":"llama3:8b"}`, nil, aigateway.CodeNoMatchingModels},
		{"two", local + "  - {id: other, base_url: 'https://o.internal'}\nonly_allow_configured_providers: true", `{"model":"x"}`, nil, aigateway.CodeNoMatchingModels},
		{"the other disabled", local + "  - {id: other, disabled: true, base_url: 'https://o.internal'}\nonly_allow_configured_providers: true", `{"model":"x"}`, []string{"local:x"}, ""},
		{"lists models", local + "    models: [{id: m}]\nonly_allow_configured_providers: true", `{"model":"x"}`, nil, aigateway.CodeNoMatchingModels},
		{"strategies still choose", local + "only_allow_configured_providers: true\nmodel_selection: {strategy: [\"ai.models.filter(m, m.id != 'x')\"]}", `{"models":["x","y"]}`, []string{"local:y"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, err := testbed.Explain(selectionGateway(t, tt.doc), "/v1/chat/completions", tt.body)
			assert.Equal(t, tt.code, testbed.Code(err))
			assert.Equal(t, tt.tried, testbed.Tried(res))
		})
	}
}

// TestSelectionByStrategy crosses the client's order with the strategies'.
func TestSelectionByStrategy(t *testing.T) {
	bySize := `ai.models.sortBy(m, int(m.metadata.size))`
	tests := []struct {
		name       string
		strategies []string
		body       string
		tried      []string
		runs       []string // "client's name, index of the strategy: how many"
	}{
		{"first that returns", []string{"ai.models.only('x')", "ai.models.only('mistral')", "ai.models"}, `{}`,
			[]string{"beta:mistral"}, []string{", 0: 0", ", 1: 1"}},
		{"orders one entry", []string{"ai.models.filter(m, m.provider_id == 'alpha')", "ai.models"}, `{"model":"llama3"}`,
			[]string{"alpha:llama3"}, []string{"llama3, 0: 1"}},
		{"once a name", []string{"ai.models.filter(m, m.provider_id == 'alpha')", "ai.models"}, `{"models":["mistral","llama3"]}`,
			[]string{"beta:mistral", "alpha:llama3"}, []string{"mistral, 0: 0", "mistral, 1: 1", "llama3, 0: 1"}},
		{"client's order is primary", []string{"ai.models.filter(m, m.provider_id == 'alpha')", "ai.models"}, `{"model":"beta:mistral","models":["alpha:llama3"]}`,
			[]string{"beta:mistral", "alpha:llama3"}, []string{"beta:mistral, 0: 0", "beta:mistral, 1: 1", "alpha:llama3, 0: 1"}},
		{"within an entry the strategy's", []string{bySize}, `{"model":"llama3"}`, []string{"alpha:llama3", "beta:llama3"}, []string{"llama3, 0: 2"}},
		{"an entry left empty", []string{"ai.models.only('llama3')"}, `{"models":["mistral","beta:llama3"]}`, []string{"beta:llama3"}, []string{"mistral, 0: 0", "beta:llama3, 0: 1"}},
		{"sees only what was asked for", []string{"ai.models"}, `{"model":"mistral"}`, []string{"beta:mistral"}, []string{"mistral, 0: 1"}},
		{"sees what is passed through", []string{"ai.models.filter(m, !m.known && !m.custom && m.provider_id == 'ollama')"}, `{"model":"ollama:x"}`, []string{"ollama:x"}, []string{"ollama:x, 0: 1"}},
		{"one model", []string{"ai.models[1]"}, `{"model":"llama3"}`, []string{"alpha:llama3"}, []string{"llama3, 0: 1"}},
		{"out of range goes on", []string{"ai.models[7]", "ai.models[0]"}, `{"model":"llama3"}`, []string{"beta:llama3"}, []string{"llama3, 0: 0", "llama3, 1: 1"}},
		{"nothing found goes on", []string{"ai.models.get('beta', 'nope')", "ai.models.only('x').random()", "ai.models.get('beta', 'mistral')"}, `{}`,
			[]string{"beta:mistral"}, []string{", 0: 0", ", 1: 0", ", 2: 1"}},
		{"predicate that fails", []string{"ai.models.filter(m, m.metadata.size > 10)"}, `{}`, []string{"beta:llama3"}, []string{", 0: 1"}},
		{"by the request", []string{"ai.models.filter(m, m.provider_id == req.headers['x-team'][0])"}, `{"model":"llama3"}`, []string{"alpha:llama3"}, []string{"llama3, 0: 1"}},
		{"dedupe over names", []string{"ai.models"}, `{"models":["llama3","alpha:llama3"]}`, []string{"beta:llama3", "alpha:llama3"}, []string{"llama3, 0: 2", "alpha:llama3, 0: 1"}},
		{"never another model", []string{"ai.models + ai.models"}, `{"model":"mistral"}`, []string{"beta:mistral"}, []string{"mistral, 0: 1"}},
		{"no strategies", nil, `{"model":"mistral"}`, []string{"beta:mistral"}, []string{"mistral, -1: 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(selectionProviders))
			require.NoError(t, err)
			cfg.ModelSelection.Strategy = tt.strategies
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			res, err := testbed.Explain(g, "/v1/chat/completions", tt.body)
			require.NoError(t, err)
			assert.Equal(t, tt.tried, testbed.Tried(res))
			var runs []string
			for _, r := range res.ModelSelection {
				index := -1
				for i, s := range tt.strategies {
					if s == r.Strategy {
						index = i
					}
				}
				runs = append(runs, fmt.Sprintf("%s, %d: %d", r.ClientModel, index, r.CandidatesReturned))
				assert.Len(t, r.ModelsToTry, r.CandidatesReturned)
				assert.Equal(t, r.CandidatesReturned, r.CandidatesAfterClientFilter)
			}
			assert.Equal(t, tt.runs, runs)
		})
	}
}

// TestSelectionNotes: a note lists the elements left out by a failing predicate.
func TestSelectionNotes(t *testing.T) {
	g := selectionGateway(t, selectionProviders+"model_selection: {strategy: ['ai.models.filter(m, m.metadata.size > 10)']}")
	res, err := testbed.Explain(g, "/v1/chat/completions", `{"models":["mistral","llama3"]}`)
	require.NoError(t, err)
	require.Len(t, res.ModelSelection, 2)
	require.NotEmpty(t, res.ModelSelection[0].Notes)
	assert.Contains(t, res.ModelSelection[0].Notes[0], "beta:mistral")
	assert.Contains(t, res.ModelSelection[0].Notes[0], "size")
	assert.Empty(t, res.ModelSelection[1].Notes)
	assert.Equal(t, []string{"beta:llama3"}, res.ModelSelection[1].ModelsToTry)
}

// TestSelectionRandom spreads requests within the client's names.
func TestSelectionRandom(t *testing.T) {
	for _, tt := range []struct {
		strategy, body string
		want           map[string]bool // the orders that come up in 100 draws, all likely
	}{
		{"ai.models.random()", `{"model":"llama3"}`, map[string]bool{"beta:llama3": true, "alpha:llama3": true}},
		{"ai.models.random()", `{"model":"mistral"}`, map[string]bool{"beta:mistral": true}},
		{"ai.models.randomize()", `{"model":"llama3"}`, map[string]bool{"beta:llama3 alpha:llama3": true, "alpha:llama3 beta:llama3": true}},
		{"ai.models.only('llama3').random()", `{}`, map[string]bool{"beta:llama3": true, "alpha:llama3": true}},
	} {
		g := selectionGateway(t, selectionProviders+"model_selection: {strategy: [\""+tt.strategy+"\"]}")
		got := map[string]bool{}
		for range 100 {
			res, err := testbed.Explain(g, "/v1/chat/completions", tt.body)
			require.NoError(t, err)
			got[strings.Join(testbed.Tried(res), " ")] = true
		}
		assert.Equal(t, tt.want, got, "%s for %s", tt.strategy, tt.body)
	}
}

// TestSelectionOfKeys tries keys in the order of the strategies.
func TestSelectionOfKeys(t *testing.T) {
	const fail = "size(ai.keys) / (size(ai.keys) - 3) == 0 ? ai.keys : ai.keys.filter(k, false)"
	for _, tt := range []struct {
		name       string
		strategies []string
		keys       []string // as they were tried
		status     int
		code       string
	}{
		{"listed order", nil, []string{"sk-key-one", "sk-key-two", "sk-key-three"}, 429, ""},
		{"one of them", []string{"ai.keys[1]"}, []string{"sk-key-two"}, 429, ""},
		{"once each", []string{"[ai.keys[1], ai.keys[0], ai.keys[1]]"}, []string{"sk-key-two", "sk-key-one"}, 429, ""},
		{"first that returns", []string{"ai.keys.filter(k, false)", "ai.keys[7]", "ai.keys[2]"}, []string{"sk-key-three"}, 429, ""},
		{"a predicate that fails", []string{"ai.keys.filter(k, k.quota.remaining_requests > 5)", "ai.keys[0]"}, []string{"sk-key-one"}, 429, ""},
		{"all empty", []string{"ai.keys.filter(k, false)"}, nil, 400, "no_api_key"},
		{"fails", []string{fail, "ai.keys"}, nil, 422, "api_key_selection_failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusTooManyRequests, "", "slow down"))
			cfg := selectionKeys(up.URL)
			cfg.APIKeySelection.Strategy = tt.strategies
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"a:m"}`)))
			assert.Equal(t, tt.status, w.Code)
			assert.Contains(t, w.Body.String(), tt.code)
			var keys []string
			for _, r := range up.Requests() {
				keys = append(keys, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			}
			assert.Equal(t, tt.keys, keys)
		})
	}

	t.Run("fails one candidate only", func(t *testing.T) {
		up := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
		cfg := selectionKeys(up.URL)
		cfg.Providers = append(cfg.Providers, aigateway.Provider{ID: "b", BaseURL: "http://a.internal"})
		cfg.APIKeySelection.Strategy = []string{"ai.keys.filter(k, false)"}
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"models":["a:m","b:n"]}`)))
		assert.Equal(t, http.StatusOK, w.Code)
		assert.JSONEq(t, `{"model":"n"}`, string(up.Last().Body))
	})
	t.Run("ids are hashes and stable", func(t *testing.T) {
		ids := func() (ids []string) {
			g, err := aigateway.New(selectionKeys("http://127.0.0.1:1"))
			require.NoError(t, err)
			res, err := testbed.Explain(g, "/v1/chat/completions", `{"model":"a:m"}`)
			require.NoError(t, err)
			for _, k := range res.ModelsTried[0].APIKeySelection {
				ids = append(ids, k.ID)
			}
			return ids
		}
		got := ids()
		require.Len(t, got, 3)
		assert.NotEqual(t, got[0], got[1])
		assert.NotContains(t, strings.Join(got, " "), "sk-")
		assert.Equal(t, got, ids())
	})
}

func selectionKeys(upstream string) aigateway.Config {
	return aigateway.Config{
		Registry:          aigateway.NoRegistry(),
		InternalEndpoints: map[string]string{"a.internal": upstream},
		Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal",
			APIKeys: []aigateway.APIKey{{Value: "sk-key-one"}, {Value: "sk-key-two"}, {Value: "sk-key-three"}}}},
	}
}

func selectionGateway(t testing.TB, doc string) *aigateway.Gateway {
	t.Helper()
	cfg, err := aigateway.ParseConfig([]byte(doc))
	require.NoError(t, err)
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g
}

// prefixProviders name models as Ollama does: "mistral" is a built-in provider
// too, and so is "openai".
const prefixProviders = `
providers:
  - id: local
    base_url: "https://local.internal"
    models: [{id: "mistral:7b"}, {id: big, id_aliases: ["openai:gpt-4o"]}, {id: "groq:off", disabled: true}, {id: "Other:x"}]
  - {id: other, base_url: "https://other.internal"}
`

// TestSelectionOfBuiltInPrefixes regresses models that were listed, but could
// not be sent: their ids began like the name of a built-in provider.
func TestSelectionOfBuiltInPrefixes(t *testing.T) {
	const (
		only = "only_allow_configured_providers: true\n"
		both = only + "only_allow_configured_models: true\n"
		sole = "providers: [{id: local, base_url: 'https://local.internal'}]\n"
	)
	for _, tt := range []struct {
		name, doc, model string
		tried            []string
		code             aigateway.Code
	}{
		{"id", prefixProviders, "mistral:7b", []string{"local:mistral:7b"}, ""},
		{"case", prefixProviders, "Mistral:7B", []string{"local:mistral:7b"}, ""},
		{"alias", prefixProviders, "openai:gpt-4o", []string{"local:big"}, ""},
		{"with its prefix", prefixProviders, "local:mistral:7b", []string{"local:mistral:7b"}, ""},
		{"id, only its provider allowed", prefixProviders + only, "mistral:7b", []string{"local:mistral:7b"}, ""},
		{"id, only itself allowed", prefixProviders + both, "mistral:7b", []string{"local:mistral:7b"}, ""},
		{"alias, only itself allowed", prefixProviders + both, "openai:gpt-4o", []string{"local:big"}, ""},
		{"disabled is not passed to the built-in one", prefixProviders, "groq:off", nil, aigateway.CodeNoMatchingModels},
		{"a configured prefix stands", prefixProviders, "other:x", []string{"other:x"}, ""},
		{"nobody lists it", prefixProviders, "mistral:8b", nil, aigateway.CodeNoAPIKey},
		{"nobody lists it, nor is it allowed", prefixProviders + only, "mistral:8b", nil, aigateway.CodeProviderNotAllowed},

		{"sole provider, a built-in prefix that is not allowed", sole + only, "mistral:7b", nil, aigateway.CodeProviderNotAllowed},
		{"sole provider, its prefix", sole + only, "local:mistral:7b", []string{"local:mistral:7b"}, ""},
		{"not the sole one allowed", sole, "mistral:7b", nil, aigateway.CodeNoAPIKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, err := testbed.Explain(selectionGateway(t, tt.doc), "/v1/chat/completions", `{"model":"`+tt.model+`"}`)
			assert.Equal(t, tt.code, testbed.Code(err))
			assert.Equal(t, tt.tried, testbed.Tried(res))
		})
	}
}

// TestSelectionOfUnknownNames: the advice for an unknown name is a next step for
// the client.
func TestSelectionOfUnknownNames(t *testing.T) {
	const (
		mine   = "providers: [{id: mine, base_url: 'https://mine.internal', models: [{id: llama3}]}]\n"
		second = "providers: [{id: second, base_url: 'https://second.internal', models: [{id: 'llama3.2:1b'}]}]\n"
		advice = `To send a name on as it is, put a provider's id before it: "provider:`
	)
	long := strings.Repeat("m", 2000)
	for _, tt := range []struct {
		name, doc, model string
		says             string
		saysNot          []string
	}{
		{"near", mine, "lama3", `no provider has a model "lama3", did you mean "llama3"? ` + advice + `lama3"`, nil},
		{"near a built-in one without a key", mine, "gpt-4", `no provider has a model "gpt-4". ` + advice, []string{"did you mean"}},
		{"near a built-in one with a key", "providers: [{id: openai, api_keys: [{value: k}]}]", "text-embeding-3-small", `did you mean "text-embedding-3-small"?`, nil},
		{"near one that is not allowed", "providers: [{id: openai, api_keys: [{value: k}], models: [{id: ft}]}]\nonly_allow_configured_models: true", "text-embeding-3-small",
			`no provider has a model "text-embeding-3-small"`, []string{"did you mean", "put a provider's id before it"}},
		{"near one of the other format", "providers: [{id: mine, base_url: 'https://m.internal', models: [{id: sonnet}], supported_api_surfaces: [{format: anthropic}]}]", "sonnett",
			"no provider", []string{"did you mean"}},
		{"near a disabled one", "providers: [{id: mine, base_url: 'https://m.internal', models: [{id: sonnet, disabled: true}]}]", "sonnett", "no provider", []string{"did you mean"}},

		{"unknown prefix", second, "secnd:llama3", `model "secnd:llama3": no provider "secnd", did you mean "second:llama3"?`, []string{"provider:secnd"}},
		{"prefix near a provider without a key", second, "opnai:gpt-4o", `no provider "opnai"`, []string{"did you mean", "provider:opnai"}},
		{"prefix near one that is not allowed", second + "only_allow_configured_providers: true", "opnai:gpt-4o", `no provider "opnai"`, []string{"did you mean"}},
		{"prefix near, the model not allowed", second + "only_allow_configured_models: true", "secnd:llama3", `no provider "secnd"`, []string{"did you mean"}},
		{"prefix like nothing", second, "zzz:llama3", `model "zzz:llama3": no provider "zzz", and no provider has a model of that whole name`, []string{"provider:zzz"}},
		{"a tag, not a prefix", second, "llama3.2:2b", `no provider has a model "llama3.2:2b", did you mean "llama3.2:1b"? ` + advice + `llama3.2:2b"`, nil},

		{"too long", second, long, "the name is too long, 1024 bytes are the limit", []string{"did you mean", "no provider has"}},
		{"too long behind a prefix", second, "second:" + long, "the name is too long, 1024 bytes are the limit", []string{"did you mean", "no provider has"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, err := testbed.Explain(selectionGateway(t, tt.doc), "/v1/chat/completions", `{"model":"`+tt.model+`"}`)
			var e *aigateway.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, aigateway.CodeNoMatchingModels, e.Code)
			assert.Contains(t, e.Message, tt.says)
			for _, not := range tt.saysNot {
				assert.NotContains(t, e.Message, not)
			}
			require.Len(t, res.Client.RejectedModels, 1)
			assert.Equal(t, e.Message, res.Client.RejectedModels[0].Message)
		})
	}
}

// TestSelectionSuggestsWithKey suggests a built-in model only to a client with a
// key for it.
func TestSelectionSuggestsWithKey(t *testing.T) {
	g, err := aigateway.New(aigateway.Config{})
	require.NoError(t, err)
	for _, key := range []string{"", "Bearer sk-mine"} {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"models":["gpt-4oo","opnai:gpt-4o"]}`))
		if key != "" {
			r.Header.Set("Authorization", key)
		}
		_, err := g.Explain(r)
		require.Error(t, err)
		for _, near := range []string{`did you mean "gpt-4o"?`, `did you mean "openai:gpt-4o"?`} {
			assert.Equal(t, key != "", strings.Contains(err.Error(), near), "%q: %v", key, err)
		}
	}
}

// TestSelectionOfNoName: the error names the missing part if there is nothing to
// choose from.
func TestSelectionOfNoName(t *testing.T) {
	const nothing = "the request names no model, and no model is configured to choose from: send a model"
	provider := func(more string) string {
		return "providers: [{id: mine, base_url: 'https://mine.internal'" + more + "}]\n"
	}
	for _, tt := range []struct{ name, doc, says string }{
		{"no models", provider(""), nothing},
		{"no models, the sole provider", provider("") + "only_allow_configured_providers: true", nothing},
		{"all models disabled", provider(", models: [{id: m, disabled: true}]"), nothing},
		{"models of another kind", provider(", models: [{id: m, output_modalities: [embedding]}]"),
			"the request names no model, and no model to choose from outputs text: send a model"},
		{"no provider of the surface", provider(", models: [{id: e}], supported_api_surfaces: [{format: openai, surface: embeddings}]"),
			"no configured provider can serve chat-completions requests"},
		{"a disabled provider", provider(", disabled: true"), "no configured provider can serve chat-completions requests"},
		{"a provider without its key", "providers: [{id: openai}]", "no configured provider can serve chat-completions requests"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := selectionGateway(t, tt.doc)
			for _, body := range []string{`{}`, `{"model":"auto"}`, `{"model":"","models":["ngrok/auto"]}`} {
				_, err := testbed.Explain(g, "/v1/chat/completions", body)
				var e *aigateway.Error
				require.ErrorAs(t, err, &e, body)
				assert.Equal(t, aigateway.CodeNoMatchingModels, e.Code)
				assert.Equal(t, tt.says, e.Message)
			}
		})
	}
}

// A name of megabytes is refused at once. It is not compared with the known
// names, sent, remembered or repeated at length.
func TestLongNames(t *testing.T) {
	gateway, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{
		{ID: "p", BaseURL: "https://p.internal", Models: []aigateway.Model{{ID: "m"}}},
	}})
	require.NoError(t, err)
	for _, prefix := range []string{"", "p:"} {
		body := `{"model":"` + prefix + strings.Repeat("m", 5<<20) + `"}`
		res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
		var refused *aigateway.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, aigateway.CodeNoMatchingModels, refused.Code)
		assert.Less(t, len(refused.Message), 1000)
		assert.Less(t, len(res.Client.Model), 100)
		assert.Empty(t, res.ModelsTried)
	}
	// The longest valid name.
	res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions",
		strings.NewReader(`{"model":"p:`+strings.Repeat("m", 1022)+`"}`)))
	require.NoError(t, err)
	assert.Len(t, res.ModelsTried, 1)
}

// factsModels: the small one has known facts, those of the large one allow more, and
// nothing is known of the last.
const factsModels = `
providers:
  - id: p
    base_url: "https://p.internal"
    models:
      - {id: small, max_context_window: 1000, max_output_tokens: 100, input_modalities: [text], supported_features: [streaming]}
      - {id: large, max_context_window: 100000, max_output_tokens: 8000, input_modalities: [text, image], supported_features: [tool-calling, structured-output]}
      - {id: unknown}
    supported_api_surfaces: [{format: openai}, {format: anthropic}]
`

// Without strategies and names, the models whose facts do not fit the request are
// the last.
func TestAutoPutsUnableLast(t *testing.T) {
	const small, other = "p:small p:large p:unknown", "p:large p:unknown p:small"
	image := `{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,x"}}]}`
	for _, row := range []struct{ name, body, want string }{
		{"able", `{"messages":[]}`, small},
		{"output", `{"model":"auto","messages":[],"max_tokens":101}`, other},
		{"window", `{"messages":[{"role":"user","content":"` + strings.Repeat("word and ", 1000) + `"}]}`, other},
		{"window with the output", `{"max_tokens":100,"messages":[{"role":"user","content":"` + strings.Repeat("word ", 920) + `"}]}`, other},
		{"image", `{"messages":[` + image + `]}`, other},
		{"tools", `{"messages":[],"tools":[{"type":"function"}]}`, other},
		{"schema", `{"messages":[],"response_format":{"type":"json_schema"}}`, other},
		{"only the unknown one", `{"messages":[],"max_tokens":1000000}`, "p:unknown p:small p:large"},
		{"named", `{"models":["small","large"],"max_tokens":101}`, "p:small p:large"},
	} {
		t.Run(row.name, func(t *testing.T) {
			res, err := testbed.Explain(selectionGateway(t, factsModels), "/v1/chat/completions", row.body)
			require.NoError(t, err)
			assert.Equal(t, row.want, strings.Join(testbed.Tried(res), " "))
			if len(res.ModelSelection) == 1 {
				assert.Equal(t, strings.Fields(row.want), res.ModelSelection[0].ModelsToTry)
			}
		})
	}
}

// Expressions read the facts of the body, in strategies and in templates.
func TestRequestFacts(t *testing.T) {
	for _, row := range []struct{ path, body, fact string }{
		{"", `{}`, "req.ai.surface == 'chat-completions' && !req.ai.stream && req.ai.tools == 0"},
		{"", `{"stream":true}`, "req.ai.stream"},
		{"", `{"tools":[{},{}]}`, "req.ai.tools == 2"},
		{"", `{"max_completion_tokens":77}`, "req.ai.max_output_tokens == 77"},
		{"", `{"messages":[{"role":"user","content":"one two three four"}]}`, "req.ai.input_tokens > 3 && req.ai.input_tokens < 40"},
		{"", `{"user":"me","service_tier":"flex"}`, "req.ai.user == 'me' && req.ai.service_tier == 'flex'"},
		{"/v1/messages", `{"metadata":{"user_id":"me"},"thinking":{"type":"enabled"}}`, "req.ai.user == 'me' && req.ai.reasoning && req.ai.surface == 'messages'"},
		{"/v1/responses", `{"previous_response_id":"resp_1"}`, "req.ai.previous_response_id == 'resp_1'"},
	} {
		t.Run(row.fact, func(t *testing.T) {
			for _, fact := range []string{row.fact, "!(" + row.fact + ")"} {
				cfg, err := aigateway.ParseConfig([]byte(factsModels))
				require.NoError(t, err)
				cfg.ModelSelection.Strategy = []string{fact + " ? ai.models.only('large') : ai.models.only('small')"}
				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				path := row.path
				if path == "" {
					path = "/v1/chat/completions"
				}
				res, err := testbed.Explain(g, path, row.body)
				require.NoError(t, err)
				want := "p:large"
				if fact != row.fact {
					want = "p:small"
				}
				assert.Equal(t, want, testbed.Tried(res)[0])
			}
		})
	}
}
