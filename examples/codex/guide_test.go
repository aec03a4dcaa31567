// Package codex holds the test of the guide in this folder.
package codex

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

const (
	addr  = "127.0.0.1:8000"
	model = "Qwen/Qwen3-Coder-30B-A3B-Instruct"
)

// turn is a request in the shape of Codex's: the shell, the patch tool that takes plain
// text, and the calls of earlier turns.
const turn = `{"model":"qwen3-coder","instructions":"You are Codex.","stream":true,"store":false,"parallel_tool_calls":false,"tool_choice":"auto",
	"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","reasoning":{"effort":"medium","summary":"auto"},
	"tools":[
		{"type":"function","name":"shell","description":"Run","strict":false,"parameters":{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}}},"required":["command"],"additionalProperties":false}},
		{"type":"custom","name":"apply_patch","description":"Edit files.","format":{"type":"text"}}],
	"input":[
		{"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions>"}]},
		{"type":"message","role":"user","content":[{"type":"input_text","text":"fix it"}]},
		{"type":"function_call","name":"shell","arguments":"{\"command\":[\"ls\"]}","call_id":"call_1"},
		{"type":"function_call_output","call_id":"call_1","output":"a.go"}
	]}`

// standIn speaks only chat, as the guide says. A request with tools gets a patch.
func standIn() *gatewaytest.Upstream {
	return gatewaytest.Scripted(func(w http.ResponseWriter, r *http.Request) {
		var req struct {
			Model  string
			Stream bool
		}
		if r.URL.Path != "/v1/chat/completions" {
			http.NotFound(w, r)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || req.Model != model {
			gatewaytest.Error(http.StatusNotFound, "model_not_found", "no such model")(w, r)
			return
		}
		if !req.Stream {
			gatewaytest.Chat("Hello.")(w, r)
			return
		}
		gatewaytest.Stream(gatewaytest.ChatRole, gatewaytest.ChatDelta("I patch it."),
			`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_2","type":"function","function":{"name":"apply_patch","arguments":"{\"input\":"}}]},"finish_reason":null}]}`+"\n\n",
			`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"*** Begin Patch\\n\"}"}}]},"finish_reason":null}]}`+"\n\n",
			`data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`+"\n\n",
			`data: {"choices":[],"usage":{"prompt_tokens":28,"completion_tokens":7,"total_tokens":35}}`+"\n\n", gatewaytest.ChatDone)(w, r)
	})
}

func TestGuide(t *testing.T) {
	up := standIn()
	guide := testbed.OpenExample(t, ".", map[string]http.Handler{addr: up}, nil)
	answers := guide.Curls()
	require.Len(t, answers, 1)
	assert.Equal(t, "responses-to-chat", answers[0].Header.Get("X-Aigateway-Translated"))
	assert.Contains(t, answers[0].Body, `"object":"response"`)
	assert.Contains(t, answers[0].Body, "Hello.")

	got, res := guide.Post("/v1/responses", turn, "Authorization", "Bearer any-key", "Openai-Beta", "responses=experimental", "Accept", "text/event-stream")
	require.Equal(t, http.StatusOK, got.Status, got.Body)
	assert.Empty(t, res.Translation.Lost)
	assert.Equal(t, []int64{28, 7}, []int64{res.InputTokens, res.OutputTokens})
	order := []string{
		"event: response.created", `"delta":"I patch it."`, `"type":"custom_tool_call"`, `"name":"apply_patch"`,
		`"input":"*** Begin Patch\n"`, "event: response.completed",
	}
	rest := got.Body
	for _, want := range order {
		_, after, ok := strings.Cut(rest, want)
		require.True(t, ok, "%s in %s", want, rest)
		rest = after
	}
	sent := up.Last()
	assert.NotContains(t, sent.Header, "Authorization", "the client's key stays in the gateway")
	for _, want := range []string{`"You are Codex.\n\n<permissions>"`, `"tool_call_id":"call_1","content":"a.go"`, `"required":["input"]`} {
		assert.Contains(t, string(sent.Body), want)
	}

	got, _ = guide.Post("/v1/responses", `{"model":"qwen3-coder","input":"hi","previous_response_id":"resp_1"}`)
	assert.Equal(t, http.StatusUnprocessableEntity, got.Status)
	assert.Contains(t, got.Body, "previous_response_id")
}
