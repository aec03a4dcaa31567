package aigateway_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

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
