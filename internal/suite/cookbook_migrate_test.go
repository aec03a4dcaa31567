package suite_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// TestCookbookMigrations sends requests through the migrated configs, before and
// after a failure: the recipes "From LiteLLM", "From Bifrost" and "From ngrok".
func TestCookbookMigrations(t *testing.T) {
	t.Chdir(docsRoot)
	var configs []string
	for _, block := range docsBlocks(t) {
		if block.file == "docs/migrating.md" && block.lang == "yaml" && block.info == "" {
			configs = append(configs, block.text)
		}
	}
	require.Len(t, configs, 3)
	down := gatewaytest.Error(http.StatusUnauthorized, "invalid_api_key", "down")
	for i, rows := range [][]struct{ model, failing, want string }{
		{ // ngrok
			{"llama3", "", "my-provider:llama3"},
			{"auto", "", "my-provider:llama3"},
			{"gpt-4o", "", "openai:gpt-4o"},
		},
		{ // LiteLLM
			{"gpt-4o", "my-resource.openai.azure.com", "openai:gpt-4o"},
			{"gpt-4o", "api.openai.com", "azure:gpt-4o-eu"},
			{"claude", "", "anthropic:claude-sonnet-4-5"},
			{"llama3", "vllm-1.internal", "vllm-2:llama3"},
			{"fast", "vllm-2.internal", "vllm-1:llama3"},
		},
		{ // Bifrost
			{"openai:gpt-4o-mini", "", "openai:gpt-4o-mini"},
			{"llama3.2", "", "ollama:llama3.2"},
		},
	} {
		for _, row := range rows {
			t.Run(row.model+" without "+row.failing, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := &kitchen{t: t, configs: configs[i : i+1], scripts: map[string][]http.HandlerFunc{row.failing: {down}}}
					k.serve(nil)
					assert.Equal(t, row.want, k.served(`{"model":"`+row.model+`"}`))
				})
			})
		}
	}
	t.Run("the second key", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := &kitchen{t: t, configs: configs[2:]}
			var keys []string
			k.scripts = map[string][]http.HandlerFunc{"api.openai.com": {func(w http.ResponseWriter, r *http.Request) {
				keys = append(keys, r.Header.Get("Authorization"))
				if len(keys) == 1 {
					gatewaytest.Error(http.StatusTooManyRequests, "insufficient_quota", "you exceeded your current quota")(w, r)
					return
				}
				gatewaytest.Chat("hi")(w, r)
			}}}
			k.serve(nil)
			assert.Equal(t, "openai:gpt-4o-mini", k.served(`{"model":"openai:gpt-4o-mini"}`))
			assert.ElementsMatch(t, []string{"Bearer sk-openai-key-1", "Bearer sk-openai-key-2"}, keys)
		})
	})
}
