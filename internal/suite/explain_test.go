package suite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// explainCase is a config and a request that follow from a seed. Its strategies give
// the same order each time.
func explainCase(seed uint64) (aigateway.Config, string, string) {
	r := rand.New(rand.NewPCG(seed, 3))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	cfg := aigateway.Config{MaxAttempts: 100, Registry: aigateway.NoRegistry()}
	if r.IntN(4) == 0 {
		cfg.Registry = nil
	}
	models := []string{"m", "n", "org/o", "q:7b"}
	for i := range 1 + r.IntN(4) {
		p := aigateway.Provider{ID: fmt.Sprintf("p%d", i), BaseURL: fmt.Sprintf("https://p%d.example.com/v1", i), Disabled: i > 0 && r.IntN(9) == 0}
		if i > 0 && r.IntN(5) == 0 {
			p.ID, p.BaseURL = pick("openai", "anthropic", "groq", "mistral"), ""
			if cfg.Registry != nil {
				p.BaseURL = "https://own.example.com/v1"
			}
		}
		if r.IntN(3) == 0 {
			p.IDAliases = []string{fmt.Sprintf("alias%d", i)}
		}
		for _, id := range models {
			if i > 0 && r.IntN(2) == 0 {
				continue
			}
			m := aigateway.Model{ID: id, Disabled: r.IntN(9) == 0, MaxContextWindow: int64(r.IntN(3)) * 100, MaxOutputTokens: int64(r.IntN(3)) * 50}
			if r.IntN(4) == 0 {
				m.Fallbacks = []string{"p0:" + pick(models...), "p0:unlisted"}[:1+r.IntN(2)]
			}
			if r.IntN(4) == 0 {
				m.InputModalities = []string{"text"}
			}
			if r.IntN(4) == 0 {
				m.IDAliases = []string{"alias-of-" + strings.ReplaceAll(id, "/", "-")}
			}
			p.Models = append(p.Models, m)
		}
		for k := range r.IntN(3) {
			p.APIKeys = append(p.APIKeys, aigateway.APIKey{Value: aigateway.Template(fmt.Sprintf("sk-key-%d-%d-0123456789", i, k))})
		}
		switch r.IntN(5) {
		case 0:
			p.SupportedAPISurfaces = []aigateway.APISurface{{Format: "openai", Surface: "chat-completions"}}
		case 1:
			p.SupportedAPISurfaces = []aigateway.APISurface{{Format: "anthropic"}}
		}
		p.Translate = aigateway.Translate(pick("", "true", "strict"))
		cfg.Providers = append(cfg.Providers, p)
	}
	seen := map[string]bool{}
	for i, p := range cfg.Providers { // one id once
		if seen[p.ID] {
			cfg.Providers[i].ID, cfg.Providers[i].BaseURL = fmt.Sprintf("p%d", i), "https://other.example.com/v1"
		}
		seen[cfg.Providers[i].ID] = true
	}
	cfg.OnlyAllowConfiguredModels, cfg.OnlyAllowConfiguredProviders = r.IntN(4) == 0, r.IntN(3) == 0
	if r.IntN(4) == 0 {
		cfg.Aliases = map[string][]string{"best": {"p0:m", "n", "p0:unlisted"}}
	}
	if r.IntN(6) == 0 {
		cfg.MaxInputTokens = 40
	}
	for range r.IntN(3) {
		cfg.ModelSelection.Strategy = append(cfg.ModelSelection.Strategy, pick(
			"ai.models.filter(m, m.provider_id == 'p1')", "ai.models.filter(m, m.max_context_window > 50)", "ai.models.filter(m, false)",
			"ai.models", "ai.models.sortBy(m, m.id)", "ai.models.filter(m, req.headers['x-team'][0] == 'a')", "ai.models[0]",
			"ai.models.filter(m, 'tool-calling' in m.supported_features)"))
	}
	if r.IntN(4) == 0 {
		cfg.APIKeySelection.Strategy = []string{pick("ai.keys.filter(k, false)", "ai.keys", "ai.keys[0]")}
	}
	name := func() string {
		return pick("m", "n", "org/o", "q:7b", "p0:m", "p1:n", "alias0:m", "alias-of-m", "best", "auto", "unheard-of", "openai:gpt-4o", "gpt-4o-mini",
			"p2:unlisted", "P0:M", "anthropic/claude-sonnet-4-5", "none:m")
	}
	body := fmt.Sprintf(`"model":%q`, name())
	switch r.IntN(4) {
	case 0:
		body = fmt.Sprintf(`"models":[%q,%q]`, name(), name())
	case 1:
		body += fmt.Sprintf(`,"models":[%q]`, name())
	}
	content := pick(`"hi"`, `"`+strings.Repeat("many words ", 40)+`"`, `[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]`)
	body += pick("", `,"stream":true`, `,"max_tokens":60`, `,"tools":[{"type":"function","function":{"name":"f"}}]`)
	path := pick(fieldChat, fieldMessages, fieldResponses, "/v1/embeddings")
	input := `"messages":[{"role":"user","content":` + content + `}]`
	if path == fieldResponses || path == "/v1/embeddings" {
		input = `"input":"hi"`
	}
	return cfg, path, "{" + body + "," + input + "}"
}

// Explain tells which candidates are tried, in their order, or how a request is refused.
// A request whose candidates all fail shows whether that is so, for each of many
// configs.
func TestExplainTellsWhatHappens(t *testing.T) {
	tried, refused := 0, 0
	for seed := range uint64(600) {
		cfg, path, body := explainCase(seed)
		var sent []string
		cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			r.Body.Close()
			sent = append(sent, r.URL.Host)
			w := httptest.NewRecorder()
			gatewaytest.Error(500, "server_error", "down")(w, r)
			return w.Result(), nil
		})
		var after *aigateway.Result
		cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { after = res }}
		gateway, err := aigateway.New(cfg)
		require.NoError(t, err)
		request := func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Team", "a")
			r.Header.Set("Authorization", "Bearer sk-client-0123456789")
			return r
		}
		before, refusal := gateway.Explain(request())
		require.Empty(t, sent)
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, request())
		about := fmt.Sprintf("seed %d: %s %s", seed, path, body)
		if refusal != nil {
			refused++
			var e *aigateway.Error
			require.ErrorAs(t, refusal, &e, about)
			assert.Empty(t, sent, about)
			assert.Equal(t, e.Status, w.Code, about)
			require.NotNil(t, after.Error, about)
			assert.Equal(t, e.Code, after.Error.Code, about)
			assert.Equal(t, e.Message, after.Error.Message, about)
			continue
		}
		tried++
		assert.Equal(t, explainedModels(before), explainedModels(after), about)
	}
	assert.Greater(t, tried, 150)
	assert.Greater(t, refused, 150)
}

// explainedModels are the candidates of a Result, in their order.
func explainedModels(res *aigateway.Result) (list []string) {
	for _, m := range res.ModelsTried {
		keys := ""
		for _, k := range m.APIKeySelection {
			keys += " " + k.ID
		}
		list = append(list, fmt.Sprintf("%s:%s known=%t unlisted=%t translated=%t%s", m.Provider, m.Model, m.Known, m.Unlisted, m.Translation != nil, keys))
	}
	return list
}
