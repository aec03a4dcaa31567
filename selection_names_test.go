package aigateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

// prefixProviders name models as Ollama does: "mistral" is a built-in provider
// too, and so is "openai".
const prefixProviders = `
providers:
  - id: local
    base_url: "https://local.internal"
    models: [{id: "mistral:7b"}, {id: big, id_aliases: ["openai:gpt-4o"]}, {id: "groq:off", disabled: true}, {id: "Other:x"}]
  - {id: other, base_url: "https://other.internal"}
`

// TestSelectionOfBuiltInPrefixes regresses models that were listed, but could not
// be sent, because their ids began like the name of a built-in provider.
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
			res, err := selectionExplain(selectionGateway(t, tt.doc), "/v1/chat/completions", `{"model":"`+tt.model+`"}`)
			assert.Equal(t, tt.code, selectionCode(err))
			assert.Equal(t, tt.tried, selectionTried(res))
		})
	}
}

// TestSelectionOfUnknownNames holds the advice for a name that nobody has to what
// the client can do next.
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
		{"near a built-in one with a key", "providers: [{id: openai, api_keys: [{value: k}]}]", "gpt-4oo", `did you mean "gpt-4o"?`, nil},
		{"near one that is not allowed", "providers: [{id: openai, api_keys: [{value: k}], models: [{id: ft}]}]\nonly_allow_configured_models: true", "gpt-4oo",
			`no provider has a model "gpt-4oo"`, []string{"did you mean", "put a provider's id before it"}},
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
			res, err := selectionExplain(selectionGateway(t, tt.doc), "/v1/chat/completions", `{"model":"`+tt.model+`"}`)
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

// TestSelectionSuggestsWithKey suggests a built-in model only to a client that
// brought a key for it.
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

// TestSelectionOfNoName says what is missing where there is nothing to choose
// from.
func TestSelectionOfNoName(t *testing.T) {
	const nothing = "the request names no model, and no model is configured to choose from: send a model, or list models under providers[].models"
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
				_, err := selectionExplain(g, "/v1/chat/completions", body)
				var e *aigateway.Error
				require.ErrorAs(t, err, &e, body)
				assert.Equal(t, aigateway.CodeNoMatchingModels, e.Code)
				assert.Equal(t, tt.says, e.Message)
			}
		})
	}
}
