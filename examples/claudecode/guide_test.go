// Package claudecode holds the test of the guide in this folder.
package claudecode

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

// turn is a request in the shape of Claude Code's: system prompt with cache marks,
// tools, thinking, and the results of two calls.
const turn = `{"model":"qwen3-coder","max_tokens":32000,"stream":true,"temperature":1,
	"metadata":{"user_id":"{\"session_id\":\"s\"}"},
	"system":[{"type":"text","text":"You are Claude Code.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"cwd: /src","cache_control":{"type":"ephemeral"}}],
	"tools":[{"name":"Bash","description":"Run","input_schema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}],
	"thinking":{"type":"enabled","budget_tokens":31999},
	"messages":[
		{"role":"user","content":[{"type":"text","text":"<system-reminder>x</system-reminder>"},{"type":"text","text":"list files"}]},
		{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"call_1","name":"Bash","input":{"command":"ls"}},{"type":"tool_use","id":"call_2","name":"Bash","input":{"command":"pwd"}}]},
		{"role":"user","content":[{"tool_use_id":"call_1","type":"tool_result","content":"a.go","is_error":false},{"tool_use_id":"call_2","type":"tool_result","content":[{"type":"text","text":"/src"}],"cache_control":{"type":"ephemeral"}}]}
	]}`

// standIn speaks only chat, as the guide says, and calls a tool where it has one.
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
		gatewaytest.Stream(gatewaytest.ChatRole, gatewaytest.ChatDelta("One file."),
			`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_3","type":"function","function":{"name":"Bash","arguments":"{\"command\":\"cat a.go\"}"}}]},"finish_reason":null}]}`+"\n\n",
			`data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`+"\n\n",
			`data: {"choices":[],"usage":{"prompt_tokens":28,"completion_tokens":7,"total_tokens":35}}`+"\n\n", gatewaytest.ChatDone)(w, r)
	})
}

func TestGuide(t *testing.T) {
	up := standIn()
	guide := testbed.OpenExample(t, ".", map[string]http.Handler{addr: up}, nil)
	answers := guide.Curls()
	require.Len(t, answers, 2)
	assert.Equal(t, "messages-to-chat", answers[0].Header.Get("X-Aigateway-Translated"))
	assert.Contains(t, answers[0].Body, `"type":"message"`)
	assert.Contains(t, answers[0].Body, "Hello.")
	assert.Equal(t, "messages-to-chat; estimated", answers[1].Header.Get("X-Aigateway-Translated"))
	assert.Contains(t, answers[1].Body, `"input_tokens":`)
	assert.Equal(t, 1, up.Count(), "counts are not sent")

	// The path, the query and the headers are Claude Code's.
	got, res := guide.Post("/v1/messages?beta=true", turn, "Authorization", "Bearer any-key",
		"Anthropic-Version", "2023-06-01", "Anthropic-Beta", "claude-code-20250219,interleaved-thinking-2025-05-14", "X-App", "cli")
	require.Equal(t, http.StatusOK, got.Status, got.Body)
	assert.Empty(t, res.Translation.Lost)
	assert.ElementsMatch(t, []string{"metadata", "cache_control"}, res.Translation.Dropped)
	assert.Equal(t, []int64{28, 7}, []int64{res.InputTokens, res.OutputTokens})
	order := []string{
		"event: message_start", `"text":"One file."`, `"type":"tool_use","id":"call_3","name":"Bash"`, "input_json_delta",
		`"stop_reason":"tool_use"`, "event: message_stop",
	}
	rest := got.Body
	for _, want := range order {
		_, after, ok := strings.Cut(rest, want)
		require.True(t, ok, "%s in %s", want, rest)
		rest = after
	}
	sent := up.Last()
	assert.NotContains(t, sent.Header, "Anthropic-Beta")
	assert.NotContains(t, sent.Header, "Authorization", "the client's key stays in the gateway")
	for _, want := range []string{`"You are Claude Code.\n\ncwd: /src"`, `"tool_call_id":"call_2","content":"/src"`, `"parameters":{"$schema"`, `"max_tokens":32000`} {
		assert.Contains(t, string(sent.Body), want)
	}

	got, _ = guide.Post("/v1/messages", `{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`)
	assert.Equal(t, http.StatusUnprocessableEntity, got.Status, "as the guide says of small tasks")
}
