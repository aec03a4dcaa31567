package dialect_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

func chatReply(message, finish, more string) string {
	return `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant",` + message +
		`},"finish_reason":"` + finish + `"` + more + `}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}`
}

func responsesReply(status, output, more string) string {
	return `{"id":"resp_1","object":"response","created_at":1700000000,"model":"m","status":"` + status + `","output":[` + output + `],"usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}` + more + `}`
}

func messagesReply(content, stop string) string {
	return `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[` + content + `],"stop_reason":"` + stop + `","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5}}`
}

// answered are the fields of answers, by the format of the upstream.
var answered = []example{
	{dialect.Chat, "message.content", chatReply(`"content":"hi"`, "stop", ""), []string{"message, output_text", "text block"}},
	{dialect.Chat, "message.refusal", chatReply(`"content":null,"refusal":"no"`, "stop", ""), []string{"refusal part", "text block, stop_reason refusal"}},
	{dialect.Chat, "message.reasoning_content, message.reasoning", chatReply(`"content":"hi","reasoning_content":"hm"`, "stop", ""), []string{"reasoning item, its name in encrypted_content", "thinking block, its name in signature"}},
	{dialect.Chat, "message.tool_calls", chatReply(`"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"c2","type":"function","function":{"name":"f","arguments":""}}]`, "tool_calls", ""), []string{"function_call", "tool_use"}},
	{dialect.Chat, "message.annotations: url_citation", chatReply(`"content":"hi","annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A","start_index":0,"end_index":2}}]`, "stop", ""), []string{"annotations of output_text", "dropped"}},
	{dialect.Chat, "message.audio, logprobs", chatReply(`"content":"hi","audio":null`, "stop", `,"logprobs":{"content":[]}`), []string{"dropped", "dropped"}},
	{dialect.Chat, "message.tool_calls[].extra_content", chatReply(`"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"sig"}}}]`, "tool_calls", ""), []string{"reasoning item before the call, in encrypted_content", "thinking block before the call, in signature"}},
	{dialect.Chat, "message.reasoning_details, with a proof", chatReply(`"content":"hi","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig","format":"anthropic-claude-v1","index":0}]`, "stop", ""), []string{"reasoning item, in encrypted_content", "thinking block, in signature"}},
	{dialect.Chat, "finish_reason: tool_calls without a call", chatReply(`"content":"hi"`, "tool_calls", ""), []string{"status completed", "end_turn"}},
	{dialect.Chat, "finish_reason: stop", chatReply(`"content":"hi"`, "stop", ""), []string{"status completed", "end_turn"}},
	{dialect.Chat, "finish_reason: length", chatReply(`"content":"hi"`, "length", ""), []string{"status incomplete, max_output_tokens", "max_tokens"}},
	{dialect.Chat, "finish_reason: content_filter", chatReply(`"content":""`, "content_filter", ""), []string{"status incomplete, content_filter", "refusal"}},
	{dialect.Chat, "stop_reason, where a server tells the stop sequence", chatReply(`"content":"hi"`, "stop", `,"stop_reason":"END"`), []string{"dropped", "stop_reason stop_sequence, stop_sequence"}},
	{dialect.Chat, "usage.prompt_tokens_details.cached_tokens", `{"id":"chatcmpl-1","created":1700000000,"model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}`, []string{"usage.input_tokens_details.cached_tokens", "usage.cache_read_input_tokens, not in input_tokens"}},

	{dialect.Responses, "output_text", responsesReply("completed", `{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}`, ""), []string{"message.content", "text block"}},
	{dialect.Responses, "a message without a role", responsesReply("completed", `{"type":"message","content":[{"type":"output_text","text":"hi"}]}`, ""), []string{"message.content", "text block"}},
	{dialect.Responses, "refusal", responsesReply("completed", `{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"refusal","refusal":"no"}]}`, ""), []string{"message.refusal", "text block, stop_reason refusal"}},
	{dialect.Responses, "reasoning", responsesReply("completed", `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"},{"type":"summary_text","text":"so"}],"encrypted_content":"enc"},{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}`, ""), []string{"message.reasoning_content; id and encrypted_content in reasoning_details", "thinking block; id and encrypted_content in signature"}},
	{dialect.Responses, "function_call", responsesReply("completed", `{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1}","status":"completed"}`, ""), []string{"message.tool_calls, finish_reason tool_calls", "tool_use, stop_reason tool_use"}},
	{dialect.Responses, "annotations: url_citation", responsesReply("completed", `{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[{"type":"url_citation","url":"https://a.example","title":"A","start_index":0,"end_index":2}]}]}`, ""), []string{"message.annotations", "dropped"}},
	{dialect.Responses, "calls of hosted tools, other annotations", responsesReply("completed", `{"type":"web_search_call","id":"ws_1","status":"completed"},{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[{"type":"file_citation","file_id":"f","index":0}]}]}`, ""), []string{"dropped", "dropped"}},
	{dialect.Responses, "incomplete: max_output_tokens", responsesReply("incomplete", `{"type":"message","id":"msg_1","role":"assistant","status":"incomplete","content":[{"type":"output_text","text":"hi","annotations":[]}]}`, `,"incomplete_details":{"reason":"max_output_tokens"}`), []string{"finish_reason length", "max_tokens"}},
	{dialect.Responses, "incomplete: content_filter", responsesReply("incomplete", ``, `,"incomplete_details":{"reason":"content_filter"}`), []string{"finish_reason content_filter", "refusal"}},
	{dialect.Responses, "usage", `{"id":"resp_1","created_at":1700000000,"model":"m","status":"completed","output":[],"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2}}}`, []string{"usage, its details", "usage; cached tokens beside input_tokens"}},

	{dialect.Messages, "text", messagesReply(`{"type":"text","text":"hi"}`, "end_turn"), []string{"message.content", "output_text"}},
	{dialect.Messages, "text.citations: web_search_result_location", messagesReply(`{"type":"text","text":"hi","citations":[{"type":"web_search_result_location","url":"https://a.example","title":"A","cited_text":"x","encrypted_index":"e"}]}`, "end_turn"), []string{"message.annotations", "annotations of output_text"}},
	{dialect.Messages, "text.citations of documents", messagesReply(`{"type":"text","text":"hi","citations":[{"type":"char_location"}]}`, "end_turn"), []string{"dropped", "dropped"}},
	{dialect.Messages, "thinking", messagesReply(`{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"text","text":"hi"}`, "end_turn"), []string{"message.reasoning_content; signature in reasoning_details", "reasoning item, signature in encrypted_content"}},
	{dialect.Messages, "redacted_thinking", messagesReply(`{"type":"redacted_thinking","data":"xx"},{"type":"text","text":"hi"}`, "end_turn"), []string{"reasoning_details", "reasoning item without a summary, data in encrypted_content"}},
	{dialect.Messages, "tool_use", messagesReply(`{"type":"text","text":"hi"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}`, "tool_use"), []string{"message.tool_calls, finish_reason tool_calls", "function_call"}},
	{dialect.Messages, "server_tool_use and results of hosted tools", messagesReply(`{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"s","content":[]},{"type":"text","text":"hi"}`, "end_turn"), []string{"dropped", "dropped"}},
	{dialect.Messages, "stop_reason: max_tokens, model_context_window_exceeded", messagesReply(`{"type":"text","text":"hi"}`, "max_tokens"), []string{"finish_reason length", "status incomplete, max_output_tokens"}},
	{dialect.Messages, "stop_reason: stop_sequence", messagesReply(`{"type":"text","text":"hi"}`, "stop_sequence"), []string{"finish_reason stop", "status completed"}},
	{dialect.Messages, "stop_reason: refusal", messagesReply(``, "refusal"), []string{"finish_reason content_filter", "status incomplete, content_filter"}},
	{dialect.Messages, "stop_reason: pause_turn", messagesReply(`{"type":"text","text":"hi"}`, "pause_turn"), []string{"finish_reason stop", "status completed"}},
	{dialect.Messages, "usage", `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":3,"cache_read_input_tokens":4,"cache_creation_input_tokens":2,"output_tokens":5}}`, []string{"usage; prompt_tokens has the cached ones too", "usage; input_tokens has the cached ones too"}},
}

// TestAnswerFields translates an answer for each row to the clients of both of
// the other formats, and compares the outcome with a golden file.
func TestAnswerFields(t *testing.T) {
	for f := range dialect.Format(3) {
		var golden bytes.Buffer
		for _, e := range answered {
			if e.format != f {
				continue
			}
			fmt.Fprintf(&golden, "== %s\n%s\n", e.name, e.json)
			for client := range dialect.Format(3) {
				if client == f {
					continue
				}
				tr := begun(t, client, f, false)
				out, err := tr.Answer([]byte(e.json))
				require.NoError(t, err, "%s to %s", e.name, client)
				decode(string(out))
				fmt.Fprintf(&golden, "-> %s\n%s\nusage: %+v\n", client, out, tr.Usage())
			}
			golden.WriteString("\n")
		}
		checkGolden(t, "testdata/answers/"+f.String()+".golden", golden.Bytes())
	}
}

// checkGolden compares with a golden file, or writes it.
func checkGolden(t *testing.T, path string, got []byte) {
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "go test -update writes it")
}

// TestNoAnswer gives bodies that hold no whole answer.
func TestNoAnswer(t *testing.T) {
	for f, bodies := range map[dialect.Format][]string{
		dialect.Chat: {
			`{}`, `null`, `[]`, ``, `{"choices":[]}`, `{"choices":null}`, `{"error":{"message":"no"}}`, `{"choices":[{"message":{"content":""},"finish_reason":null}]}`,
			`{"choices":[{"message":{"content":"hi"},"finish_reason":"error"}]}`, `{"choices":[{"finish_reason":"stop"}]}`,
			`{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]`, `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]} x`,
		},
		dialect.Responses: {
			`{}`, `{"status":"failed","error":{"message":"no"}}`, `{"status":"in_progress","output":[]}`, `{"status":"queued"}`, `{"status":"completed","error":{"message":"no"},"output":[]}`,
		},
		dialect.Messages: {
			`{}`, `{"type":"error","error":{"type":"overloaded_error","message":"no"}}`, `{"type":"message","content":[],"stop_reason":null}`, `{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"error"}`, `{"content":[],"stop_reason":"end_turn"}`,
		},
	} {
		for _, body := range bodies {
			for client := range dialect.Format(3) {
				if client != f {
					want := dialect.ErrMalformed
					if strings.Contains(body, `"hi"`) && strings.Contains(body, `"error"`) {
						want = dialect.ErrUpstream // a finish reason of failure, behind content
					}
					_, err := begun(t, client, f, false).Answer([]byte(body))
					require.ErrorIs(t, err, want, "%s: %s", f, body)
				}
			}
		}
	}
}

// TestErrors translates errors in the shapes of the field.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		status   int
		body     string
		openAI   string
		messages string
	}{
		{400, `{"error":{"message":"bad \"x\"","type":"invalid_request_error","param":"x","code":"c"}}`, `{"error":{"message":"bad \"x\"","type":"invalid_request_error","param":"x","code":"c"}}`, `{"type":"error","error":{"type":"invalid_request_error","message":"bad \"x\""},"request_id":null}`},
		{529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}`, `{"error":{"message":"Overloaded","type":"overloaded_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":null}`},
		{429, `{"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}}`, `{"error":{"message":"slow","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`, `{"type":"error","error":{"type":"rate_limit_error","message":"slow"},"request_id":null}`},
		{401, `{"error":"no key"}`, `{"error":{"message":"no key","type":"authentication_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"authentication_error","message":"no key"},"request_id":null}`},
		{400, `[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]`, `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"invalid_request_error","message":"m"},"request_id":null}`},
		{500, `{"object":"error","message":"m","code":500}`, `{"error":{"message":"m","type":"api_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"api_error","message":"m"},"request_id":null}`},
		{422, `{"detail":"m"}`, `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"invalid_request_error","message":"m"},"request_id":null}`},
		{502, "<html>\nno", `{"error":{"message":"the provider sent a web page","type":"api_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"api_error","message":"the provider sent a web page"},"request_id":null}`},
		{520, "\n<!DOCTYPE html>\n<HTML><Title> api | 520: \"x\" é </Title>Your IP is 192.0.2.1", `{"error":{"message":"the provider sent a web page: api | 520: \"x\" é","type":"api_error","param":null,"code":null}}`,
			`{"type":"error","error":{"type":"api_error","message":"the provider sent a web page: api | 520: \"x\" é"},"request_id":null}`},
		{503, "", `{"error":{"message":"the provider gave no reason","type":"api_error","param":null,"code":null}}`, `{"type":"error","error":{"type":"api_error","message":"the provider gave no reason"},"request_id":null}`},
	} {
		pairs(func(client, upstream dialect.Format) {
			want := c.openAI
			if client == dialect.Messages {
				want = c.messages
			}
			assert.JSONEq(t, want, string(translator(t, client, upstream).Error(c.status, []byte(c.body))), "%s", c.body)
		})
	}
}

// TestOverflow: clients make a conversation shorter where they know the word of their own API
// for one that is too long. Servers have many.
func TestOverflow(t *testing.T) {
	for words, code := range map[string]string{
		"This model's maximum context length is 8 tokens. However, you requested 9 tokens.":           "",
		"The input (9 tokens) is longer than the model's context length (8 tokens).":                  "",
		"request (9 tokens) exceeds the available context size (8 tokens), try increasing it":         "",
		"The input token count (9) exceeds the maximum number of tokens allowed (8).":                 "INVALID_ARGUMENT",
		"prompt is too long: 9 tokens > 8 maximum":                                                    "",
		"input length and `max_tokens` exceed context limit: 5 + 4 > 8, decrease input length":        "",
		"Input is too long for requested model.":                                                      "",
		"Your input exceeds the context window of this model. Please adjust your input and try again": "context_length_exceeded",
		"Your request exceeded model token limit: 8":                                                  "",
		"Zu lang": "context_length_exceeded",
	} {
		body := `{"error":{"message":"` + words + `","type":"x"}}`
		if code != "" {
			body = `{"error":{"message":"` + words + `","type":"x","code":"` + code + `"}}`
		}
		told := "prompt is too long: " + words
		if strings.HasPrefix(words, "prompt") || strings.HasPrefix(words, "input length") {
			told = words
		}
		pairs(func(client, upstream dialect.Format) {
			got := decode(string(translator(t, client, upstream).Error(400, []byte(body)))).(object)["error"].(object)
			s := begun(t, client, upstream, true).Stream()
			event := string(s.Write([]byte("event: error\ndata: " + body + "\n\n")))
			assert.ErrorIs(t, s.Err(), dialect.ErrUpstream)
			assert.Equal(t, "invalid_request_error", got["type"], words)
			assert.Contains(t, event, `"type":"invalid_request_error"`)
			if client == dialect.Messages {
				assert.Equal(t, told, got["message"])
				assert.Contains(t, event, told)
				return
			}
			assert.Equal(t, words, got["message"])
			assert.Equal(t, "context_length_exceeded", got["code"], words)
			assert.Contains(t, event, `"code":"context_length_exceeded"`)
		})
	}
	for status, words := range map[int]string{400: "the image is too long: 9000 pixels", 429: "too many tokens: maximum context length"} {
		got := string(translator(t, dialect.Messages, dialect.Chat).Error(status, []byte(`{"error":{"message":"`+words+`"}}`)))
		assert.Contains(t, got, `"message":"`+words+`"`)
	}
}

// TestCounted is the answer of each surface that counts tokens.
func TestCounted(t *testing.T) {
	assert.JSONEq(t, `{"input_tokens":11}`, string(dialect.Counted(dialect.Messages, 11)))
	assert.JSONEq(t, `{"object":"response.input_tokens","input_tokens":11}`, string(dialect.Counted(dialect.Responses, 11)))
}

// TestCut cuts marked reasoning, and nothing else.
func TestCut(t *testing.T) {
	for _, c := range []struct {
		format   dialect.Format
		in, want string
	}{
		{dialect.Messages, `{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"aigateway:chat::reasoning"},{"type":"thinking","thinking":"b","signature":"own"},{"type":"text","text":"c"}]}],"x":1e3}`,
			`{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"b","signature":"own"},{"type":"text","text":"c"}]}],"x":1e3}`},
		{dialect.Messages, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"a","signature":"aigateway:chat::"}]}]}`,
			`{"messages":[{"role":"user","content":"a"}]}`},
		{dialect.Messages, `{ "messages":[{"role":"user","content":"about aigateway: what is it?"}]}`, ``},
		{dialect.Responses, `{"input":[{"type":"reasoning","id":"rs","summary":[],"encrypted_content":"aigateway:messages::s"},{"type":"reasoning","id":"rs","summary":[],"encrypted_content":"own"}]}`,
			`{"input":[{"type":"reasoning","id":"rs","summary":[],"encrypted_content":"own"}]}`},
		{dialect.Chat, `{"messages":[{"role":"assistant","content":"a","reasoning_content":"h","reasoning_details":[{"type":"reasoning.text","format":"aigateway:messages","text":"h"}]},{"role":"assistant","content":"b","reasoning_content":"own"}]}`,
			`{"messages":[{"role":"assistant","content":"a"},{"role":"assistant","content":"b","reasoning_content":"own"}]}`},
		{dialect.Messages, `aigateway: not JSON`, ``},
	} {
		got := string(dialect.Cut(c.format, []byte(c.in)))
		if c.want == "" {
			assert.Equal(t, c.in, got)
			continue
		}
		assert.JSONEq(t, c.want, got)
	}
}

// TestReasoningComesBack sends an answer's reasoning back with the next request,
// as clients do: the provider gets what it gave.
func TestReasoningComesBack(t *testing.T) {
	for _, c := range []struct {
		client, upstream dialect.Format
		answer           string
		want             string // in the provider's next request
	}{
		{dialect.Chat, dialect.Messages, messagesReply(`{"type":"thinking","thinking":"h\"m","signature":"sig"},{"type":"redacted_thinking","data":"xx"},{"type":"text","text":"hi"}`, "end_turn"),
			`{"type":"thinking","thinking":"h\"m","signature":"sig"},{"type":"redacted_thinking","data":"xx"},{"type":"text","text":"hi"}`},
		{dialect.Responses, dialect.Messages, messagesReply(`{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"redacted_thinking","data":"xx"},{"type":"text","text":"hi"}`, "end_turn"),
			`{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"redacted_thinking","data":"xx"},{"type":"text","text":"hi"}`},
		{dialect.Messages, dialect.Responses, responsesReply("completed", `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"enc"}`, ""),
			`{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"enc"}`},
		{dialect.Chat, dialect.Responses, responsesReply("completed", `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"enc"}`, ""),
			`{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"enc"}`},
		{dialect.Messages, dialect.Chat, chatReply(`"content":"hi","reasoning":"hm"`, "stop", ""), `"reasoning":"hm"`},
		{dialect.Responses, dialect.Chat, chatReply(`"content":"hi","reasoning_content":"hm"`, "stop", ""), `"reasoning_content":"hm"`},
	} {
		tr := begun(t, c.client, c.upstream, false)
		out, err := tr.Answer([]byte(c.answer))
		require.NoError(t, err)
		comesBack(t, c.client, c.upstream, decode(string(out)).(object), c.want)
	}
	// And of streams, which clients put together.
	a := &answer{reasoning: "some \"thought\"", signature: "sig", text: "hi", stop: "end", in: 9, out: 3}
	want := map[dialect.Format]string{
		dialect.Chat:      `"reasoning_content":"some \"thought\""`,
		dialect.Responses: `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"some \"thought\""}],"encrypted_content":"sig"}`,
		dialect.Messages:  `{"type":"thinking","thinking":"some \"thought\"","signature":"sig"}`,
	}
	pairs(func(client, upstream dialect.Format) {
		s := begun(t, client, upstream, true).Stream()
		stream := string(s.Write([]byte(a.stream(upstream, rand.New(rand.NewPCG(8, 8)), false))))
		comesBack(t, client, upstream, collect(t, client, stream), want[upstream])
	})
}

// comesBack sends an answer back, and looks for its reasoning in the provider's
// next request.
func comesBack(t *testing.T, client, upstream dialect.Format, answer object, want string) {
	next := object{"model": "m", "max_tokens": 10}
	switch client {
	case dialect.Chat:
		next["messages"] = list{object{"role": "user", "content": "a"}, answer["choices"].(list)[0].(object)["message"], object{"role": "user", "content": "b"}}
	case dialect.Responses:
		next["input"] = append(answer["output"].(list), object{"role": "user", "content": "b"})
	case dialect.Messages:
		next["messages"] = list{object{"role": "user", "content": "a"}, object{"role": "assistant", "content": answer["content"]}, object{"role": "user", "content": "b"}}
	}
	sent, report, err := translator(t, client, upstream).Request([]byte(compact(next)), dialect.Options{})
	require.NoError(t, err)
	assert.NotContains(t, report.Lost, "reasoning")
	assert.Contains(t, string(sent), want, "%s to %s", client, upstream)
}
