package dialect_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// TestReasoningDetailsOfServers: OpenRouter has the proof of reasoning in a list, and models
// of Google and Anthropic refuse the next turn without (claude-code-router#1081,
// agent-framework#2947, continue#8980). The list comes back whole, through clients of
// other formats, with the pieces of a stream put together.
func TestReasoningDetailsOfServers(t *testing.T) {
	const (
		text      = `{"type":"reasoning.text","text":"let \"us\" see","signature":"sig+/=","format":"anthropic-claude-v1","index":0}`
		encrypted = `{"type":"reasoning.encrypted","data":"ZW5j","id":"c1","format":"google-gemini-v1","index":1}`
		call      = `{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}`
		open      = `{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}`
	)
	message := `"content":"so","reasoning":"let \"us\" see","reasoning_details":[` + text + `,` + encrypted + `],"tool_calls":[` + call + `]`
	piece := func(members string) string {
		return chunk(`{"reasoning":"x","reasoning_details":[{"type":"reasoning.text",` + members + `,"format":"anthropic-claude-v1","index":0}]}`)
	}
	texts := piece(`"text":"let "`) + piece(`"text":"\"us\" see","signature":null`) + chunk(`{"reasoning_details":[{"type":"reasoning.text","text":"","signature":"sig+/=","format":"anthropic-claude-v1","index":0}]}`)
	streams := map[string]string{
		"one chunk":        chunk(`{` + message + `}`),
		"pieces":           texts + chunk(`{"reasoning_details":[`+encrypted+`]}`) + chunk(`{"content":"so"}`) + chunk(`{"tool_calls":[`+call+`]}`),
		"beside the call":  texts + chunk(`{"content":"so"}`) + chunk(`{"tool_calls":[`+call+`],"reasoning_details":[`+encrypted+`]}`),
		"behind the call":  texts + chunk(`{"content":"so"}`) + chunk(`{"tool_calls":[`+call+`]}`) + chunk(`{"reasoning_details":[`+encrypted+`]}`),
		"within the call":  texts + chunk(`{"content":"so"}`) + chunk(`{"tool_calls":[`+open+`]}`) + chunk(`{"reasoning_details":[`+encrypted+`]}`) + chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}`),
		"without thoughts": chunk(`{"content":"so"}`) + chunk(`{"tool_calls":[`+call+`],"reasoning_details":[`+text+`,`+encrypted+`]}`),
	}
	for _, client := range []dialect.Format{dialect.Responses, dialect.Messages} {
		answers := map[string]object{}
		whole, err := begun(t, client, dialect.Chat, false).Answer([]byte(chatReply(message, "tool_calls", "")))
		require.NoError(t, err)
		answers["whole"] = decode(string(whole)).(object)
		streamed, err := begun(t, client, dialect.Chat, true).AnswerStream([]byte(chatReply(message, "tool_calls", "")))
		require.NoError(t, err)
		answers["whole to a stream"] = collect(t, client, string(streamed))
		for name, stream := range streams {
			s := begun(t, client, dialect.Chat, true).Stream()
			got := string(s.Write([]byte(stream + finish("tool_calls") + done)))
			require.True(t, s.Whole(), "%s %s: %v", client, name, s.Err())
			answers[name] = collect(t, client, got)
		}
		for name, answer := range answers {
			var request string
			if client == dialect.Messages {
				request = `{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":` + compact(answer["content"]) +
					`},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r"}]}]}`
			} else {
				items := strings.TrimSuffix(compact(answer["output"]), "]")
				request = `{"model":"m","input":` + items + `,{"type":"function_call_output","call_id":"c1","output":"r"}]}`
			}
			out, report, err := translator(t, client, dialect.Chat).Request([]byte(request), dialect.Options{})
			require.NoError(t, err)
			assert.Contains(t, string(out), `"reasoning_details":[`+text+`,`+encrypted+`]`, "%s %s", client, name)
			assert.Contains(t, string(out), `"content":"so"`)
			assert.Equal(t, name != "without thoughts", strings.Contains(string(out), `"reasoning":"`), "%s %s", client, name)
			assert.Empty(t, report.Lost, "%s %s", client, name)
			assert.NotContains(t, string(out), "aigateway")
			assert.NotContains(t, string(dialect.Cut(client, []byte(request))), "aigateway:")

			out, report, err = translator(t, client, dialect.Format(3)-client).Request([]byte(request), dialect.Options{})
			require.NoError(t, err)
			assert.Contains(t, report.Lost, "reasoning")
			assert.NotContains(t, string(out), "aigateway")
		}
	}
}

// TestReasoningDetailsWithoutProof: a list repeating the reasoning is not carried.
func TestReasoningDetailsWithoutProof(t *testing.T) {
	message := `"content":"so","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":null,"index":0},{"type":"reasoning.summary","summary":"hm"},7]`
	for _, client := range []dialect.Format{dialect.Responses, dialect.Messages} {
		whole, err := begun(t, client, dialect.Chat, false).Answer([]byte(chatReply(message, "stop", "")))
		require.NoError(t, err)
		s := begun(t, client, dialect.Chat, true).Stream()
		for _, got := range []string{string(whole), string(s.Write([]byte(chunk(`{`+message+`}`) + finish("stop") + done)))} {
			assert.NotContains(t, got, "aigateway:details")
			assert.Contains(t, got, "aigateway:chat::reasoning")
		}
	}
}

// TestForeignReasoningDetails: what a client made of the field is not passed on.
func TestForeignReasoningDetails(t *testing.T) {
	for _, data := range []string{"", "e30=", "W10=", "!!", "WzFd IF0="} {
		out, _, err := translator(t, dialect.Messages, dialect.Chat).Request([]byte(`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"aigateway:details::`+data+`"},{"type":"text","text":"so"}]}]}`), dialect.Options{})
		require.NoError(t, err)
		assert.Contains(t, string(out), `"messages":[{"role":"assistant","content":"so"}]`, data)
	}
}

// TestThoughtsBetweenCalls: a model thinking between two calls of a turn wants its
// thoughts back at the same place (hermes-agent#41266, litellm#23047). A client of chat has
// them apart from the calls.
func TestThoughtsBetweenCalls(t *testing.T) {
	messages := []string{
		`{"type":"thinking","thinking":"one","signature":"sig1"}`, `{"type":"text","text":"so"}`, `{"type":"tool_use","id":"t1","name":"f","input":{}}`,
		`{"type":"thinking","thinking":"two","signature":"sig2"}`, `{"type":"redacted_thinking","data":"sig3"}`, `{"type":"tool_use","id":"t2","name":"g","input":{}}`,
	}
	responses := []string{
		`{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"one"}],"encrypted_content":"enc1"}`, `{"type":"function_call","call_id":"t1","name":"f","arguments":"{}"}`,
		`{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"enc2"}`, `{"type":"function_call","call_id":"t2","name":"g","arguments":"{}"}`,
	}
	for upstream, c := range map[dialect.Format]struct {
		answer, want string
	}{
		dialect.Messages:  {messagesReply(strings.Join(messages, ","), "tool_use"), `"content":[` + strings.Join(messages, ",") + `]`},
		dialect.Responses: {responsesReply("completed", strings.Join(responses, ","), ""), strings.Join(responses, ",") + `]`},
	} {
		whole, err := begun(t, dialect.Chat, upstream, false).Answer([]byte(c.answer))
		require.NoError(t, err)
		streamed, err := begun(t, dialect.Chat, upstream, true).AnswerStream([]byte(c.answer))
		require.NoError(t, err)
		for name, answer := range map[string]object{"whole": decode(string(whole)).(object), "streamed": collect(t, dialect.Chat, string(streamed))} {
			message := answer["choices"].(list)[0].(object)["message"]
			out, report, err := translator(t, dialect.Chat, upstream).Request([]byte(`{"model":"m","messages":[{"role":"user","content":"hi"},`+compact(message)+`]}`), dialect.Options{})
			require.NoError(t, err)
			assert.Contains(t, string(out), c.want, "%s %s", upstream, name)
			assert.Empty(t, report.Lost)
		}
	}
}
