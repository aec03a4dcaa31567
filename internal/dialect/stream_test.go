package dialect_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// chunk is a chunk of a chat's stream.
func chunk(delta string) string {
	return `data: {"id":"c","model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":null}]}` + "\n\n"
}

func call(index int, id, name, args string) string {
	if id != "" {
		id = fmt.Sprintf(`"id":%q,`, id)
	}
	if name != "" {
		name = fmt.Sprintf(`"name":%q,`, name)
	}
	return chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,%s"function":{%s"arguments":%s}}]}`, index, id, name, compact(args)))
}

func finish(reason string) string {
	return `data: {"choices":[{"index":0,"delta":{},"finish_reason":"` + reason + `"}]}` + "\n\n"
}

const done = "data: [DONE]\n\n"

// names are the events of a client's stream, in short.
func names(t *testing.T, stream string) string {
	var out []string
	for _, e := range events(t, stream) {
		m := decode(e.data).(object)
		switch e.name {
		case "content_block_start":
			out = append(out, fmt.Sprint("+", m["index"], " ", m["content_block"].(object)["type"]))
		case "content_block_delta":
			d := m["delta"].(object)
			for _, k := range []string{"text", "thinking", "partial_json", "signature"} {
				if v, ok := d[k]; ok {
					out = append(out, v.(string))
				}
			}
		case "content_block_stop":
			out = append(out, fmt.Sprint("-", m["index"]))
		case "message_delta":
			out = append(out, m["delta"].(object)["stop_reason"].(string))
		}
	}
	return strings.Join(out, " | ")
}

// TestInterleavedCalls checks what is passed on at once, and what waits.
func TestInterleavedCalls(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
	}{
		{"one after the other", call(0, "a", "f", "") + call(0, "", "", `{"x":`) + call(0, "", "", `"}"}`) + call(1, "b", "g", `{}`) + finish("tool_calls"),
			`+0 tool_use | {"x": | "}"} | -0 | +1 tool_use | {} | -1 | tool_use`},
		{"the second waits", call(0, "a", "f", `{"x":`) + call(1, "b", "g", `{"y":`) + call(0, "", "", `1}`) + call(1, "", "", `2}`) + finish("tool_calls"),
			`+0 tool_use | {"x": | 1} | -0 | +1 tool_use | {"y": | 2} | -1 | tool_use`},
		{"text waits too", call(0, "a", "f", `{"x":`) + chunk(`{"content":"hi"}`) + chunk(`{"content":" you"}`) + call(0, "", "", `1}`) + chunk(`{"content":"!"}`) + finish("stop"),
			`+0 tool_use | {"x": | 1} | -0 | +1 text | hi you | ! | -1 | end_turn`},
		{"a call without arguments", call(0, "a", "f", "") + call(1, "b", "g", `{}`) + finish("tool_calls"),
			`+0 tool_use | -0 | +1 tool_use | {} | -1 | tool_use`},
		{"each call has the index 0", call(0, "a", "f", `{"x":1}`) + call(0, "b", "g", `{"y":2}`) + finish("tool_calls"),
			`+0 tool_use | {"x":1} | -0 | +1 tool_use | {"y":2} | -1 | tool_use`},
		{"the id in each piece", call(0, "a", "f", `{"x":`) + call(0, "a", "f", `1}`) + finish("tool_calls"),
			`+0 tool_use | {"x": | 1} | -0 | tool_use`},
		{"arguments before the name", call(0, "a", "", `{"x":`) + call(0, "", "f", `1}`) + finish("tool_calls"),
			`+0 tool_use | {"x": | 1} | -0 | tool_use`},
		{"the finish reason is stop", call(0, "a", "f", `{}`) + finish("stop"), `+0 tool_use | {} | -0 | tool_use`},
		{"a call that the server served", call(0, "a", "f", `{}`) + finish("tool_calls") + chunk(`{"content":"hi"}`) + finish("stop"),
			`+0 tool_use | {} | -0 | +1 text | hi | -1 | end_turn`},
		{"space behind arguments", call(0, "a", "f", `{}`) + call(1, "b", "f", `{}`) + call(0, "", "", " \n") + finish("tool_calls"),
			`+0 tool_use | {} | -0 | +1 tool_use | {} | -1 | tool_use`},
		{"reasoning", chunk(`{"reasoning":"hm"}`) + chunk(`{"content":"hi"}`) + finish("stop"),
			`+0 thinking | hm | aigateway:chat::reasoning | -0 | +1 text | hi | -1 | end_turn`},
		{"reasoning in content", chunk(`{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}`) + chunk(`{"content":"hi"}`) + finish("stop"),
			`+0 thinking | hm | aigateway:chat:: | -0 | +1 text | hi | -1 | end_turn`},
		{"a finish reason in each chunk", strings.ReplaceAll(chunk(`{"content":"a"}`)+chunk(`{"content":"b"}`), `"finish_reason":null`, `"finish_reason":"stop"`),
			`+0 text | a | b | -0 | end_turn`},
		{"another choice", chunk(`{"content":"a"}`) + strings.Replace(chunk(`{"content":"other"}`), `"index":0`, `"index":1`, 1) + finish("stop"),
			`+0 text | a | -0 | end_turn`},
		{"data without anything", "data:\n\n" + chunk(`{"content":"a"}`) + "data\n\nevent: ping\ndata:\n\n: comment\n\n" + finish("stop"), `+0 text | a | -0 | end_turn`},
		{"content_filter", chunk(`{"content":"a"}`) + finish("content_filter"), `+0 text | a | -0 | refusal`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := begun(t, dialect.Messages, dialect.Chat, true).Stream()
			got := string(s.Write([]byte(c.in + done)))
			require.True(t, s.Whole(), "%v", s.Err())
			assert.Equal(t, c.want, names(t, got))
			collect(t, dialect.Messages, got)
			s = begun(t, dialect.Responses, dialect.Chat, true).Stream()
			collect(t, dialect.Responses, string(s.Write([]byte(c.in+done))))
			require.True(t, s.Whole())
		})
	}
}

// TestStreamsThatBreak gives streams that cannot be translated to their end.
func TestStreamsThatBreak(t *testing.T) {
	many := func(n int, piece string) string { return strings.Repeat(piece, n) }
	for _, c := range []struct {
		name     string
		client   dialect.Format
		upstream dialect.Format
		in       string
		err      error
	}{
		{"more than 1 MiB waits", dialect.Messages, dialect.Chat, call(0, "a", "f", `{"x":`) + call(1, "b", "f", `{"y":"`) + many(11, call(1, "", "", strings.Repeat("y", 100_000))), dialect.ErrTooLong},
		{"arguments of no tool", dialect.Messages, dialect.Chat, call(0, "a", "", `{"x":1}`) + finish("tool_calls") + done, dialect.ErrEvent},
		{"arguments behind their end", dialect.Messages, dialect.Chat, call(0, "a", "f", `{}`) + call(1, "b", "f", `{}`) + call(0, "", "", `{}`), dialect.ErrEvent},
		{"arguments behind their end", dialect.Responses, dialect.Chat, call(0, "a", "f", `{}`) + call(1, "b", "f", `{}`) + call(0, "", "", `{}`), dialect.ErrEvent},
		{"a long answer, for a client that gets it twice", dialect.Responses, dialect.Chat, many(170, chunk(`{"content":"`+strings.Repeat("y", 100_000)+`"}`)), dialect.ErrTooLong},
		{"an error", dialect.Messages, dialect.Chat, chunk(`{"content":"a"}`) + `data: {"error":{"message":"m","code":429}}` + "\n\n", dialect.ErrUpstream},
		{"an error field", dialect.Messages, dialect.Chat, chunk(`{"content":"a"}`) + `error: {"code":500,"message":"m"}` + "\n\n", dialect.ErrUpstream},
		{"an error of a choice", dialect.Responses, dialect.Chat, `data: {"choices":[{"index":0,"delta":{"content":""},"error":{"message":"m"},"finish_reason":"error"}]}` + "\n\n", dialect.ErrUpstream},
		{"a finish reason of a failure", dialect.Messages, dialect.Chat, chunk(`{"content":"a"}`) + finish("network_error"), dialect.ErrUpstream},
		{"nothing but the end", dialect.Messages, dialect.Chat, done, dialect.ErrEnded},
		{"not JSON", dialect.Messages, dialect.Chat, "data: <html>\n\n", dialect.ErrEvent},
		{"half an event", dialect.Messages, dialect.Chat, `data: {"choices":[{"index":0,"delta":{"content":"a"` + "\n\n", dialect.ErrEvent},
		{"an error of messages", dialect.Chat, dialect.Messages, "event: error\n" + `data: {"type":"error","error":{"type":"overloaded_error","message":"m"}}` + "\n\n", dialect.ErrUpstream},
		{"no stop reason", dialect.Chat, dialect.Messages, "event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n", dialect.ErrEnded},
		{"response.failed", dialect.Messages, dialect.Responses, `data: {"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"m"}}}` + "\n\n", dialect.ErrUpstream},
		{"an error of responses", dialect.Chat, dialect.Responses, `data: {"type":"error","code":"server_error","message":"m"}` + "\n\n", dialect.ErrUpstream},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := begun(t, c.client, c.upstream, true).Stream()
			got := string(s.Write([]byte(c.in)))
			require.ErrorIs(t, s.Err(), c.err)
			require.True(t, looksBroken(c.client, got), got[max(0, len(got)-300):])
			got += string(s.Write([]byte(finish("stop") + done)))
			last, whole := s.Close()
			got += string(last)
			require.False(t, whole)
			require.False(t, looksWhole(c.client, got))
			if errors.Is(c.err, dialect.ErrUpstream) && c.name != "a finish reason of a failure" {
				require.Contains(t, got, `"message":"m"`)
			}
			require.Empty(t, s.Broken(500, "again"))
		})
	}
}

// TestBroken gives a client the error of a gateway, in each format.
func TestBroken(t *testing.T) {
	for client, want := range map[dialect.Format]string{
		dialect.Chat:      `data: {"error":{"message":"too slow","type":"timeout_error","param":null,"code":null}}` + "\n\n",
		dialect.Messages:  "event: error\n" + `data: {"type":"error","error":{"type":"timeout_error","message":"too slow"},"request_id":null}` + "\n\n",
		dialect.Responses: "event: error\n" + `data: {"type":"error","sequence_number":0,"code":"timeout_error","message":"too slow","param":null,"error":{"message":"too slow","type":"timeout_error","param":null,"code":"timeout_error"}}` + "\n\n",
	} {
		upstream := (client + 1) % 3
		s := begun(t, client, upstream, true).Stream()
		assert.Equal(t, want, string(s.Broken(504, "too slow")))
		_, whole := s.Close()
		assert.False(t, whole)
	}
}

// TestCustomTools gives a client a call of its custom tool, from
// an upstream with functions and no more.
func TestCustomTools(t *testing.T) {
	in := `{"model":"m","stream":true,"tools":[{"type":"custom","name":"apply_patch","description":"d"}],"input":"hi"}`
	args := []string{`{"in`, `put":"*** Begin\n+a\"b`, `\""}`}
	stream := call(0, "a", "apply_patch", "")
	for _, a := range args {
		stream += call(0, "", "", a)
	}
	tr := translator(t, dialect.Responses, dialect.Chat)
	_, _, err := tr.Request([]byte(in), dialect.Options{})
	require.NoError(t, err)
	s := tr.Stream()
	got := string(s.Write([]byte(stream + finish("tool_calls") + done)))
	final := collect(t, dialect.Responses, got)
	item := final["output"].(list)[0].(object)
	assert.Equal(t, "custom_tool_call", item["type"])
	assert.Equal(t, "*** Begin\n+a\"b\"", item["input"])

	out, err := tr.Answer([]byte(chatReply(`"content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"apply_patch","arguments":`+compact(strings.Join(args, ""))+`}}]`, "tool_calls", "")))
	require.NoError(t, err)
	item = decode(string(out)).(object)["output"].(list)[0].(object)
	assert.Equal(t, "custom_tool_call", item["type"])
	assert.Equal(t, "*** Begin\n+a\"b\"", item["input"])
}

// TestNamespaces gives a client calls of functions in a namespace.
func TestNamespaces(t *testing.T) {
	in := `{"model":"m","input":"hi","tools":[{"type":"namespace","tools":[{"type":"function","name":"find","parameters":{}},{"type":"custom","name":"say"}],"name":"crm","description":"d"},{"type":"function","name":"find"}]}`
	tr := translator(t, dialect.Responses, dialect.Chat)
	out, _, err := tr.Request([]byte(in), dialect.Options{})
	require.NoError(t, err)
	assert.Contains(t, string(out), `"name":"crm__find"`)
	want := func(output any) {
		t.Helper()
		items := output.(list)
		require.Len(t, items, 3)
		for i, w := range []object{
			{"type": "function_call", "namespace": "crm", "name": "find", "arguments": "{}"},
			{"type": "custom_tool_call", "namespace": "crm", "name": "say", "input": "a"},
			{"type": "function_call", "name": "find", "arguments": "{}"},
		} {
			got := items[i].(object)
			for _, k := range []string{"id", "call_id", "status"} {
				delete(got, k)
			}
			assert.Equal(t, w, got)
		}
	}
	stream := call(0, "a", "crm__find", "{}") + call(1, "b", "crm__say", `{"input":"a"}`) + call(2, "c", "find", "{}")
	s := tr.Stream()
	want(collect(t, dialect.Responses, string(s.Write([]byte(stream+finish("tool_calls")+done))))["output"])
	answer, err := tr.Answer([]byte(chatReply(`"content":null,"tool_calls":[{"id":"a","function":{"name":"crm__find","arguments":"{}"}},{"id":"b","function":{"name":"crm__say","arguments":"{\"input\":\"a\"}"}},{"id":"c","function":{"name":"find","arguments":"{}"}}]`, "tool_calls", "")))
	require.NoError(t, err)
	want(decode(string(answer)).(object)["output"])
}

// TestResponsesInOneEvent reads servers that send nothing but the last event.
func TestResponsesInOneEvent(t *testing.T) {
	s := begun(t, dialect.Messages, dialect.Responses, true).Stream()
	got := string(s.Write([]byte(`data: {"type":"response.completed","response":` + responsesReply("completed", `{"type":"message","id":"m","role":"assistant","content":[{"type":"output_text","text":"hi"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}`, "") + "}\n\n")))
	require.True(t, s.Whole())
	assert.Equal(t, `+0 text | hi | -0 | +1 tool_use | {} | -1 | tool_use`, names(t, got))
}

// TestResponsesWithoutDeltas reads servers that begin an item and leave out its deltas.
// Its content stands in a later event, and reaches the client once.
func TestResponsesWithoutDeltas(t *testing.T) {
	event := func(what, members string) string {
		return `data: {"type":"response.` + what + `",` + members + "}\n\n"
	}
	const (
		message = `{"type":"message","id":"m","role":"assistant","content":[{"type":"output_text","text":"hi"}]}`
		fcall   = `{"type":"function_call","id":"f1","call_id":"c","name":"f","arguments":"{\"a\":1}"}`
	)
	text := event("output_item.added", `"output_index":0,"item":{"type":"message","id":"m","role":"assistant","content":[]}`)
	tool := event("output_item.added", `"output_index":0,"item":{"type":"function_call","id":"f1","call_id":"c","name":"f","arguments":""}`)
	end := func(output string) string {
		return event("completed", `"response":`+responsesReply("completed", output, ""))
	}
	textDone := event("output_text.done", `"output_index":0,"content_index":0,"text":"hi"`)
	argsDone := event("function_call_arguments.done", `"output_index":0,"arguments":"{\"a\":1}"`)
	said := event("output_text.delta", `"output_index":0,"delta":"hi"`)
	for name, c := range map[string]struct{ in, text, args string }{
		"a text that is done":             {text + textDone + end(""), "hi", ""},
		"a text that is done, no item":    {textDone + end(""), "hi", ""},
		"a text at the end":               {text + end(message), "hi", ""},
		"a refusal that is done":          {text + event("refusal.done", `"output_index":0,"content_index":0,"refusal":"hi"`) + end(""), "hi", ""},
		"arguments that are done":         {tool + argsDone + end(""), "", `{"a":1}`},
		"arguments at the end":            {tool + end(fcall), "", `{"a":1}`},
		"a call at the end, behind text":  {text + said + end(message+","+fcall), "hi", `{"a":1}`},
		"a text at the end, before calls": {tool + argsDone + end(message+","+fcall), "hi", `{"a":1}`},
		"all of it, each once": {text + said + textDone + event("output_item.done", `"output_index":0,"item":`+message) +
			strings.ReplaceAll(tool+event("function_call_arguments.delta", `"output_index":0,"delta":"{\"a\":1}"`)+argsDone+event("output_item.done", `"output_index":0,"item":`+fcall), `"output_index":0`, `"output_index":1`) +
			end(message+","+fcall), "hi", `{"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, client := range []dialect.Format{dialect.Chat, dialect.Messages} {
				s := begun(t, client, dialect.Responses, true).Stream()
				got := string(s.Write([]byte(c.in)))
				require.True(t, s.Whole(), "%v: %s", s.Err(), got)
				var texts, args string
				if m := collect(t, client, got); client == dialect.Messages {
					for _, b := range m["content"].(list) {
						switch b := b.(object); b["type"] {
						case "text":
							texts += b["text"].(string)
						case "tool_use":
							args += compact(b["input"])
						}
					}
				} else {
					m := m["choices"].(list)[0].(object)["message"].(object)
					for _, k := range []string{"content", "refusal"} {
						v, _ := m[k].(string)
						texts += v
					}
					if calls, ok := m["tool_calls"].(list); ok {
						args = calls[0].(object)["function"].(object)["arguments"].(string)
					}
				}
				assert.Equal(t, c.text, texts, client)
				assert.Equal(t, c.args, args, client)
			}
		})
	}
}

// TestThinking checks how much reasoning is asked for, in both directions.
func TestThinking(t *testing.T) {
	for _, c := range []struct {
		in, model, want string
		max             int64
		lost            []string
	}{
		{`"reasoning_effort":"high","max_tokens":32000`, "claude-sonnet-4-5", `"max_tokens":32000,"thinking":{"type":"enabled","budget_tokens":16384}`, 0, nil},
		{`"reasoning_effort":"high","max_tokens":4000`, "claude-sonnet-4-5", `"max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":3999}`, 0, nil},
		{`"reasoning_effort":"high","max_tokens":1000`, "claude-sonnet-4-5", `"max_tokens":1000,"messages"`, 0, []string{"reasoning_effort"}},
		{`"reasoning_effort":"low"`, "claude-3-7-sonnet", `"max_tokens":10240,"thinking":{"type":"enabled","budget_tokens":2048}`, 0, nil},
		{`"reasoning_effort":"high"`, "claude-3-7-sonnet", `"max_tokens":8000,"thinking":{"type":"enabled","budget_tokens":4000}`, 8000, nil},
		{`"reasoning_effort":"minimal"`, "claude-opus-4-7", `"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}`, 0, nil},
		{`"reasoning_effort":"xhigh"`, "claude-opus-4-7", `"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"xhigh"}`, 0, nil},
		{`"reasoning_effort":"none"`, "claude-opus-4-7", `"max_tokens":8192,"messages"`, 0, nil},
		{`"reasoning_effort":"none"`, "claude-sonnet-5", `"max_tokens":8192,"thinking":{"type":"disabled"},"messages"`, 0, nil},
		{`"reasoning_effort":"none"`, "anthropic/claude-opus-5.5", `"thinking":{"type":"disabled"}`, 0, nil},
		{`"reasoning_effort":"none"`, "claude-fable-5", `"max_tokens":8192,"messages"`, 0, []string{"reasoning_effort"}},
		{`"reasoning_effort":"none"`, "glm-5", `"max_tokens":8192,"messages"`, 0, nil},
		{`"reasoning_effort":"xhigh"`, "claude-opus-4-6", `"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}`, 0, []string{"reasoning_effort"}},
		{`"reasoning_effort":"max"`, "claude-opus-4-6", `"output_config":{"effort":"max"}`, 0, nil},
		{`"reasoning_effort":"medium"`, "glm-5", `"thinking":{"type":"enabled","budget_tokens":8192}`, 0, nil},
	} {
		tr := translator(t, dialect.Chat, dialect.Messages)
		out, report, err := tr.Request([]byte(`{"messages":[{"role":"user","content":"hi"}],`+c.in+`}`), dialect.Options{Model: c.model, MaxTokens: c.max})
		require.NoError(t, err)
		assert.Contains(t, string(out), c.want, c.in)
		assert.Equal(t, c.lost, report.Lost, c.in)
	}
	// A model that thinks on a budget cannot go on from calls without its thoughts.
	turns := `"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"r"}],"reasoning_effort":"high"`
	tr := translator(t, dialect.Chat, dialect.Messages)
	out, report, err := tr.Request([]byte(`{`+turns+`}`), dialect.Options{Model: "claude-sonnet-4-5"})
	require.NoError(t, err)
	assert.NotContains(t, string(out), `"thinking"`)
	assert.Equal(t, []string{"reasoning_effort"}, report.Lost)

	for budget, want := range map[int]string{1024: "low", 2048: "low", 8192: "medium", 10000: "medium", 16384: "high", 31999: "high"} {
		out, _, err := translator(t, dialect.Messages, dialect.Chat).Request([]byte(fmt.Sprintf(`{"messages":[],"max_tokens":40000,"thinking":{"type":"enabled","budget_tokens":%d}}`, budget)), dialect.Options{})
		require.NoError(t, err)
		assert.Contains(t, string(out), `"reasoning_effort":"`+want+`"`)
	}
}

// TestReasoningDetails reads a chat stream as SDKs do: of a field that they do not know
// they keep the last value. It has all reasoning, whole and with its proof.
func TestReasoningDetails(t *testing.T) {
	in := ""
	for i, text := range []string{"one ", "two "} {
		at := fmt.Sprintf(`"index":%d`, i)
		in += "event: content_block_start\ndata: {\"type\":\"content_block_start\"," + at + `,"content_block":{"type":"thinking","thinking":"","signature":""}}` + "\n\n" +
			strings.Repeat("event: content_block_delta\ndata: {\"type\":\"content_block_delta\","+at+`,"delta":{"type":"thinking_delta","thinking":"`+text+`"}}`+"\n\n", 2) +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\"," + at + `,"delta":{"type":"signature_delta","signature":"sig` + fmt.Sprint(i) + `"}}` + "\n\n" +
			"event: content_block_stop\ndata: {\"type\":\"content_block_stop\"," + at + "}\n\n"
	}
	s := begun(t, dialect.Chat, dialect.Messages, true).Stream()
	got := string(s.Write([]byte(`data: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":1,"output_tokens":1}}}` + "\n\n" + in +
		`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}` + "\n\n" + `data: {"type":"message_stop"}` + "\n\n")))
	_, whole := s.Close()
	require.True(t, whole)
	assert.Equal(t, 4, strings.Count(got, `"reasoning_content":`), "each piece is shown at once")
	assert.Equal(t, 1, strings.Count(got, "reasoning_details"))
	assert.Contains(t, got, `"reasoning_details":[{"type":"reasoning.text","format":"aigateway:messages","text":"one one ","signature":"sig0","index":0},`+
		`{"type":"reasoning.text","format":"aigateway:messages","text":"two two ","signature":"sig1","index":0}]`)
}
