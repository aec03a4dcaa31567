package dialect_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// TestFunctions: clients of chat older than tools give functions, and look for one
// call without an id.
func TestFunctions(t *testing.T) {
	const request = `{"model":"m","stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{\"a\":1}"}},{"role":"function","name":"f","content":"one"},` +
		`{"role":"assistant","content":"and","function_call":{"name":"f","arguments":""}},{"role":"function","name":"f","content":"two"}],"functions":[{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{}}}}],"function_call":%}`
	for _, c := range []struct {
		upstream     dialect.Format
		choice       string
		want         []string
		whole        string
		text, finish string
	}{
		{
			dialect.Messages, `{"name":"f"}`,
			[]string{
				`{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"one"}]}`,
				`{"type":"tool_use","id":"call_3","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_3","content":"two"}]}]`,
				`"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{}}}}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true}`,
			},
			messagesReply(`{"type":"text","text":"so"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}},{"type":"tool_use","id":"u","name":"f","input":{}}`, "tool_use"),
			"so", "function_call",
		},
		{
			dialect.Responses, `"auto"`,
			[]string{
				`{"type":"function_call","call_id":"call_1","name":"f","arguments":"{\"a\":1}"},{"type":"function_call_output","call_id":"call_1","output":"one"}`,
				`{"type":"function_call_output","call_id":"call_3","output":"two"}`, `"tools":[{"type":"function","name":"f","description":"d",`, `"tool_choice":"auto","parallel_tool_calls":false`,
			},
			responsesReply("completed", `{"type":"message","role":"assistant","content":[{"type":"output_text","text":"so"}]},{"type":"function_call","call_id":"t","name":"f","arguments":"{\"a\":1}"}`, ""),
			"so", "function_call",
		},
		{
			dialect.Messages, `"none"`, []string{`"tool_choice":{"type":"none"}`},
			messagesReply(`{"type":"text","text":"so"}`, "end_turn"), "so", "stop",
		},
	} {
		whole := translator(t, dialect.Chat, c.upstream)
		body := []byte(request[:len(request)-2] + c.choice + "}")
		out, report, err := whole.Request(body, dialect.Options{})
		require.NoError(t, err)
		assert.Empty(t, report.Lost)
		for _, w := range c.want {
			assert.Contains(t, string(out), w)
		}
		answer, err := whole.Answer([]byte(c.whole))
		require.NoError(t, err)
		choice := decode(string(answer)).(object)["choices"].(list)[0].(object)
		message := choice["message"].(object)
		assert.Equal(t, c.finish, choice["finish_reason"])
		assert.Equal(t, c.text, message["content"])
		assert.NotContains(t, message, "tool_calls")
		if c.finish == "function_call" {
			assert.Equal(t, object{"name": "f", "arguments": `{"a":1}`}, message["function_call"])
		}

		streamed := translator(t, dialect.Chat, c.upstream)
		_, _, err = streamed.Request(body, dialect.Options{})
		require.NoError(t, err)
		stream, err := streamed.AnswerStream([]byte(c.whole))
		require.NoError(t, err)
		name, args, finish := "", "", any(nil)
		for _, e := range events(t, string(stream)) {
			if e.data == "[DONE]" {
				continue
			}
			for _, choice := range decode(e.data).(object)["choices"].(list) {
				delta := choice.(object)["delta"].(object)
				assert.NotContains(t, delta, "tool_calls")
				if call, ok := delta["function_call"].(object); ok {
					n, _ := call["name"].(string)
					name += n
					args += call["arguments"].(string)
				}
				finish = choice.(object)["finish_reason"]
			}
		}
		assert.Equal(t, c.finish, finish)
		if c.finish == "function_call" {
			assert.Equal(t, "f", name)
			assert.Equal(t, `{"a":1}`, args)
		}
	}
}
