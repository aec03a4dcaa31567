package aigateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

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

// TestModelsPages reads the list in the Anthropic format page by page, in both directions.
func TestModelsPages(t *testing.T) {
	g := selectionGateway(t, modelsProviders)
	all := []string{"sonnet", "Meta/Llama-4", "llama4", "mistral"}
	for _, tt := range []struct {
		query  string
		status int
		want   []string
		more   bool
	}{
		{"?limit=1000", 200, all, false},
		{"?limit=4", 200, all, false},
		{"?limit=3", 200, all[:3], true},
		{"?limit=3&after_id=llama4", 200, all[3:], false},
		{"?after_id=sonnet", 200, all[1:], false},
		{"?limit=2&after_id=SONNET", 200, all[1:3], true},
		{"?after_id=mistral", 200, nil, false},
		{"?limit=2&before_id=mistral", 200, all[1:3], true},
		{"?limit=3&before_id=mistral", 200, all[:3], false},
		{"?before_id=Meta%2FLlama-4", 200, all[:1], false},
		{"?before_id=sonnet", 200, nil, false},
		{"?limit=&after_id=&before_id=", 200, all, false},
		{"?after_id=unheard-of", 404, nil, false},
		{"?after_id=sonnet&before_id=mistral", 400, nil, false},
		{"?limit=0", 400, nil, false}, {"?limit=1001", 400, nil, false}, {"?limit=x", 400, nil, false},
	} {
		w := modelsGet(g, "/v1/models"+tt.query, true)
		require.Equal(t, tt.status, w.Code, "%s: %s", tt.query, w.Body)
		var page struct {
			Type    string
			HasMore bool    `json:"has_more"`
			FirstID *string `json:"first_id"`
			LastID  *string `json:"last_id"`
			Data    []struct{ ID string }
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
		assert.Equal(t, tt.status != 200, page.Type == "error", tt.query)
		var ids []string
		for _, m := range page.Data {
			ids = append(ids, m.ID)
		}
		assert.Equal(t, tt.want, ids, tt.query)
		assert.Equal(t, tt.more, page.HasMore, tt.query)
		if len(ids) > 0 {
			assert.Equal(t, []string{ids[0], ids[len(ids)-1]}, []string{*page.FirstID, *page.LastID}, tt.query)
		} else {
			assert.Nil(t, page.FirstID, tt.query)
		}
	}
	assert.Equal(t, modelsGet(g, "/v1/models", false).Body.String(), modelsGet(g, "/v1/models?limit=1&after_id=x", false).Body.String(),
		"the OpenAI format has no pages of models")
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
