package aigateway_test

import (
	"errors"
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
