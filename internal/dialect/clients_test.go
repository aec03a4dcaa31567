package dialect_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// TestClients translates requests in the shapes of coding agents.
func TestClients(t *testing.T) {
	for _, c := range []struct {
		name             string
		client, upstream dialect.Format
		in, want         string
		lost, dropped    []string
	}{
		{
			"Claude Code onto chat", dialect.Messages, dialect.Chat,
			`{"model":"claude-opus-4-6","max_tokens":32000,"stream":true,"temperature":1,
			"metadata":{"user_id":"{\"session\":\"s\"}"},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},
			"system":[{"type":"text","text":"You are an agent.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"cwd: /src","cache_control":{"type":"ephemeral"}}],
			"tools":[{"name":"Bash","description":"Run","input_schema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"command":{"type":"string"}},"required":["command"]},"cache_control":{"type":"ephemeral"}}],
			"thinking":{"type":"enabled","budget_tokens":31999},
			"messages":[
				{"role":"user","content":[{"type":"text","text":"<system-reminder>x</system-reminder>"},{"type":"text","text":"list files","cache_control":{"type":"ephemeral"}}]},
				{"role":"assistant","content":[{"type":"thinking","thinking":"ls it is","signature":"aigateway:chat::reasoning_content"},{"type":"text","text":"I look."},{"type":"tool_use","id":"call_1","name":"Bash","input":{"command":"ls"}},{"type":"tool_use","id":"call_2","name":"Bash","input":{"command":"pwd"}}]},
				{"role":"user","content":[{"tool_use_id":"call_1","type":"tool_result","content":"a.go","is_error":false},{"tool_use_id":"call_2","type":"tool_result","content":[{"type":"text","text":"/src"}],"cache_control":{"type":"ephemeral"}}]}
			]}`,
			`{"model":"claude-opus-4-6","messages":[
				{"role":"system","content":"You are an agent.\n\ncwd: /src"},
				{"role":"user","content":[{"type":"text","text":"<system-reminder>x</system-reminder>"},{"type":"text","text":"list files"}]},
				{"role":"assistant","content":"I look.","reasoning_content":"ls it is","tool_calls":[
					{"id":"call_1","type":"function","function":{"name":"Bash","arguments":"{\"command\":\"ls\"}"}},
					{"id":"call_2","type":"function","function":{"name":"Bash","arguments":"{\"command\":\"pwd\"}"}}]},
				{"role":"tool","tool_call_id":"call_1","content":"a.go"},
				{"role":"tool","tool_call_id":"call_2","content":"/src"}],
			"max_tokens":32000,"temperature":1,
			"tools":[{"type":"function","function":{"name":"Bash","description":"Run","parameters":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"command":{"type":"string"}},"required":["command"]}}}],
			"reasoning_effort":"high","stream":true,"stream_options":{"include_usage":true}}`,
			nil, []string{"metadata", "cache_control"},
		},
		{
			"Codex onto chat", dialect.Responses, dialect.Chat,
			`{"model":"gpt-5-codex","instructions":"You are Codex.","stream":true,"store":false,"parallel_tool_calls":false,"tool_choice":"auto",
			"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","reasoning":{"effort":"medium","summary":"auto"},"text":{"verbosity":"low"},
			"tools":[
				{"type":"function","name":"shell","description":"Run","strict":false,"parameters":{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}}},"required":["command"],"additionalProperties":false}},
				{"type":"custom","name":"apply_patch","description":"Edit files.","format":{"type":"text"}}],
			"input":[
				{"type":"message","role":"developer","content":[{"type":"input_text","text":"<permissions>"}]},
				{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>"}]},
				{"type":"message","role":"user","content":[{"type":"input_text","text":"fix it"}]},
				{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"look"}],"content":null,"encrypted_content":"aigateway:chat::reasoning"},
				{"type":"function_call","name":"shell","arguments":"{\"command\":[\"ls\"]}","call_id":"call_1"},
				{"type":"function_call_output","call_id":"call_1","output":"a.go"},
				{"type":"custom_tool_call","status":"completed","call_id":"call_2","name":"apply_patch","input":"*** Begin Patch\n"},
				{"type":"custom_tool_call_output","call_id":"call_2","output":"Done"}
			]}`,
			`{"model":"gpt-5-codex","messages":[
				{"role":"system","content":"You are Codex.\n\n<permissions>"},
				{"role":"user","content":"<environment_context>"},
				{"role":"user","content":"fix it"},
				{"role":"assistant","content":null,"reasoning":"look","tool_calls":[{"id":"call_1","type":"function","function":{"name":"shell","arguments":"{\"command\":[\"ls\"]}"}}]},
				{"role":"tool","tool_call_id":"call_1","content":"a.go"},
				{"role":"assistant","content":null,"tool_calls":[{"id":"call_2","type":"function","function":{"name":"apply_patch","arguments":"{\"input\":\"*** Begin Patch\\n\"}"}}]},
				{"role":"tool","tool_call_id":"call_2","content":"Done"}],
			"tools":[
				{"type":"function","function":{"name":"shell","description":"Run","parameters":{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}}},"required":["command"],"additionalProperties":false}}},
				{"type":"function","function":{"name":"apply_patch","description":"Edit files.","parameters":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}}}],
			"tool_choice":"auto","parallel_tool_calls":false,"reasoning_effort":"medium","verbosity":"low","stream":true,"stream_options":{"include_usage":true}}`,
			nil, []string{"store", "include", "prompt_cache_key", "reasoning.summary"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, report, err := translator(t, c.client, c.upstream).Request([]byte(c.in), dialect.Options{})
			require.NoError(t, err)
			assert.JSONEq(t, c.want, string(out))
			assert.Equal(t, c.lost, report.Lost)
			assert.ElementsMatch(t, c.dropped, report.Dropped)
		})
	}
}

// TestReport checks names for headers: clients choose the names of their fields.
func TestReport(t *testing.T) {
	tr := translator(t, dialect.Chat, dialect.Messages)
	many := ""
	for i := range 100 {
		many += fmt.Sprintf(`,"f%d":1`, i)
	}
	_, report, err := tr.Request([]byte(`{"messages":[],"top_k":1,"bad\r\nname, x":1,"":1,"top_k":2,"null":null`+many+`}`), dialect.Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"top_k", "bad__name__x", "_"}, report.Lost[:3])
	assert.Len(t, report.Lost, 32)
	report.Lost = report.Lost[:2]
	assert.Equal(t, "chat-to-messages; lost=top_k,bad__name__x", report.Header(tr.Name()))
	report.Lost = nil
	assert.Equal(t, "chat-to-messages", report.Header(tr.Name()))
}

// TestFinished follows a chat to its end: the usage comes behind the reason.
func TestFinished(t *testing.T) {
	s := begun(t, dialect.Messages, dialect.Chat, true).Stream()
	s.Write([]byte(chunk(`{"content":"a"}`)))
	assert.False(t, s.Finished())
	s.Write([]byte(finish("stop")))
	assert.True(t, s.Finished())
	assert.False(t, s.Whole())
	last, whole := s.Close()
	assert.True(t, whole)
	assert.True(t, looksWhole(dialect.Messages, string(last)))
}

// TestMalformed gives requests that are not JSON, or not of their format.
func TestMalformed(t *testing.T) {
	for client, bodies := range map[dialect.Format][]string{
		dialect.Chat:      {``, `[]`, `{`, `{"messages":{}}`, `{"messages":[1]}`, `{"messages":[{"role":"narrator","content":"a"}]}`, `{"messages":[]} x`, `{"messages":[{"role":"user","content":5}]}`, `{"messages":[{"role":"user","content":"a` + "\n" + `"}]}`},
		dialect.Responses: {`{"input":[1]}`, `{"input":[{"type":"message","role":"narrator"}]}`},
		dialect.Messages:  {`{"messages":"hi"}`, `{"messages":[{"role":"user","content":{}}]}`, `{"messages":[{"role":"tool","content":"a"}]}`},
	} {
		for _, body := range bodies {
			for upstream := range dialect.Format(3) {
				if upstream != client {
					_, _, err := translator(t, client, upstream).Request([]byte(body), dialect.Options{})
					require.ErrorIs(t, err, dialect.ErrMalformed, "%s", body)
				}
			}
		}
	}
}

// TestDeepBodies gives bodies of great depth: it must not become the stack's.
func TestDeepBodies(t *testing.T) {
	deep := func(n int, open, end string) string {
		s := make([]byte, 0, n*(len(open)+len(end)))
		for range n {
			s = append(s, open...)
		}
		for range n {
			s = append(s, end...)
		}
		return string(s)
	}
	_, report, err := translator(t, dialect.Messages, dialect.Chat).Request(
		[]byte(`{"messages":[{"role":"user","content":`+deep(300, `[{"type":"tool_result","content":`, `}]`)[:300*len(`[{"type":"tool_result","content":`)]+`"a"`+deep(300, ``, `}]`)+`}]}`), dialect.Options{})
	require.NoError(t, err)
	assert.Contains(t, report.Lost, "content.nested")
	for _, body := range []string{
		`{"tools":[` + deep(100_000, `{"function":`, `}`) + `]}`,
		`{"tool_choice":` + deep(100_000, `{"function":`, `}`) + `}`,
		`{"x":` + deep(100_000, `[`, `]`) + `}`,
	} {
		_, _, err := translator(t, dialect.Chat, dialect.Messages).Request([]byte(body), dialect.Options{})
		require.ErrorIs(t, err, dialect.ErrMalformed)
	}
}
