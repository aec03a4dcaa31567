package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// TestEndsOfServers: an answer that is there reaches the client, whatever word its end
// has, or if it lacks one. The word is the one that goes with the answer.
func TestEndsOfServers(t *testing.T) {
	text, tool := `{"type":"text","text":"hi"}`, `{"type":"tool_use","id":"c","name":"f","input":{}}`
	for name, c := range map[string]struct {
		upstream   dialect.Format
		body, want string
	}{
		"chat, null":                {dialect.Chat, `{"choices":[{"message":{"content":"hi"},"finish_reason":null}]}`, "end_turn"},
		"chat, nothing":             {dialect.Chat, `{"choices":[{"message":{"content":"hi"}}]}`, "end_turn"},
		"chat, empty, behind calls": {dialect.Chat, `{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},"finish_reason":""}]}`, "tool_use"},
		"a new word":                {dialect.Messages, messagesReply(text, "compaction"), "stop"},
		"a word of chat":            {dialect.Messages, messagesReply(text, "length"), "length"},
		"the end, behind calls":     {dialect.Messages, messagesReply(text+","+tool, "end_turn"), "tool_calls"},
		"null":                      {dialect.Messages, strings.Replace(messagesReply(text, "x"), `"x"`, "null", 1), "stop"},
		"null, behind calls":        {dialect.Messages, strings.Replace(messagesReply(tool, "x"), `"x"`, "null", 1), "tool_calls"},
	} {
		client := dialect.Messages - c.upstream
		out, err := begun(t, client, c.upstream, false).Answer([]byte(c.body))
		require.NoError(t, err, name)
		if client == dialect.Messages {
			assert.Equal(t, c.want, decode(string(out)).(object)["stop_reason"], name)
		} else {
			assert.Equal(t, c.want, decode(string(out)).(object)["choices"].(list)[0].(object)["finish_reason"], name)
		}
	}
	event := func(what, members string) string { return `data: {"type":"` + what + `"` + members + "}\n\n" }
	said := event("content_block_start", `,"index":0,"content_block":`+text) + event("content_block_stop", `,"index":0`)
	called := event("content_block_start", `,"index":1,"content_block":`+tool) + event("content_block_stop", `,"index":1`)
	stop := func(reason string) string {
		return event("message_delta", `,"delta":{"stop_reason":`+reason+`}`) + event("message_stop", "")
	}
	for in, want := range map[string]string{
		said + stop(`"compaction"`):        "stop",
		said + stop(`"length"`):            "length",
		said + called + stop(`"end_turn"`): "tool_calls",
		said + stop("null"):                "stop",
		called + event("message_stop", ""): "tool_calls",
		said + stop(`"error"`):             "",
		stop("null"):                       "",
	} {
		s := begun(t, dialect.Chat, dialect.Messages, true).Stream()
		got := string(s.Write([]byte(in)))
		if want == "" {
			assert.Error(t, s.Err(), in)
			continue
		}
		require.True(t, s.Whole(), "%v %s", s.Err(), in)
		assert.Equal(t, want, collect(t, dialect.Chat, got)["choices"].(list)[0].(object)["finish_reason"], in)
	}
}

// TestPiecesOfServers reads servers of messages whose pieces do not go with their blocks.
// The type of a piece tells what it is.
func TestPiecesOfServers(t *testing.T) {
	event := func(what, members string) string { return `data: {"type":"` + what + `"` + members + "}\n\n" }
	piece := func(index, delta string) string {
		return event("content_block_delta", `,"index":`+index+`,"delta":{"type":`+delta+"}")
	}
	end := event("message_delta", `,"delta":{"stop_reason":"end_turn"}`) + event("message_stop", "")
	open := event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
	for name, in := range map[string]string{
		"one block for all": open + piece("0", `"thinking_delta","thinking":"hm"`) + piece("0", `"text_delta","text":"hi"`) + event("content_block_stop", `,"index":0`),
		"no blocks":         piece("0", `"thinking_delta","thinking":"hm"`) + piece("1", `"text_delta","text":"h"`) + piece("1", `"text_delta","text":"i"`) + event("content_block_stop", `,"index":1`),
		"a block that is over": open + event("content_block_stop", `,"index":0`) + piece("0", `"thinking_delta","thinking":"hm"`) +
			piece("0", `"text_delta","text":"hi"`),
	} {
		s := begun(t, dialect.Chat, dialect.Messages, true).Stream()
		got := string(s.Write([]byte(in + end)))
		require.True(t, s.Whole(), "%s: %v", name, s.Err())
		message := collect(t, dialect.Chat, got)["choices"].(list)[0].(object)["message"].(object)
		assert.Equal(t, "hi", message["content"], name)
		assert.Equal(t, "hm", message["reasoning_content"], name)

		s = begun(t, dialect.Responses, dialect.Messages, true).Stream()
		collect(t, dialect.Responses, string(s.Write([]byte(in+end))))
		require.True(t, s.Whole(), name)
	}
	s := begun(t, dialect.Chat, dialect.Messages, true).Stream()
	s.Write([]byte(open + piece("3", `"input_json_delta","partial_json":"{}"`) + end))
	require.ErrorIs(t, s.Err(), dialect.ErrEvent)
}

// TestOddNames: tools of MCP servers have dots and slashes in their names, which APIs
// refuse. The client gets the call under its own name.
func TestOddNames(t *testing.T) {
	for _, name := range []string{"calendar.read", "github.com/x/list", "suche_für", "a\\\"b", "f"} {
		tr := translator(t, dialect.Chat, dialect.Messages)
		out, report, err := tr.Request([]byte(`{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"`+name+`"}}]}`), dialect.Options{})
		require.NoError(t, err)
		assert.Empty(t, report.Lost)
		sent := decode(string(out)).(object)["tools"].(list)[0].(object)["name"].(string)
		assert.Regexp(t, `^[a-zA-Z0-9_-]{1,64}$`, sent)
		assert.Equal(t, name == "f", sent == "f")
		answer, err := tr.Answer([]byte(messagesReply(`{"type":"tool_use","id":"c","name":"`+sent+`","input":{}}`, "tool_use")))
		require.NoError(t, err)
		assert.Contains(t, string(answer), `"name":"`+name+`"`)
	}
}

// TestStopSequences reads the sequence that an answer ended at from servers that tell it.
// A number is a token of the model's own.
func TestStopSequences(t *testing.T) {
	for member, want := range map[string]any{`"stop_reason":"END"`: "END", `"matched_stop":"END"`: "END", `"matched_stop":"END","stop_reason":null`: "END", `"matched_stop":151645`: nil} {
		out, err := begun(t, dialect.Messages, dialect.Chat, false).Answer([]byte(chatReply(`"content":"so"`, "stop", ","+member)))
		require.NoError(t, err)
		assert.Equal(t, want, decode(string(out)).(object)["stop_sequence"], member)
		s := begun(t, dialect.Messages, dialect.Chat, true).Stream()
		got := string(s.Write([]byte(chunk(`{"content":"so"}`) + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop",` + member + "}]}\n\n" + done)))
		assert.Equal(t, want, collect(t, dialect.Messages, got)["stop_sequence"], member)
	}
}

// TestBillingLine: Claude Code tells Anthropic whom to bill in the first line of its
// instructions. It is another one each time, so no other provider's cache would find the
// prompt.
func TestBillingLine(t *testing.T) {
	for _, to := range []dialect.Format{dialect.Chat, dialect.Responses} {
		for system, want := range map[string]string{
			`"x-anthropic-billing-header: cch=1;\nBe \"brief\"."`:                                                  `"Be \"brief\"."`,
			`[{"type":"text","text":"x-anthropic-billing-header: cch=2;"},{"type":"text","text":"Be \"brief\"."}]`: `"Be \"brief\"."`,
			`"Be x-anthropic-billing-header: brief."`:                                                              `"Be x-anthropic-billing-header: brief."`,
			`"x-anthropic-billing-header: cch=3;"`:                                                                 "",
		} {
			out, report, err := translator(t, dialect.Messages, to).Request([]byte(`{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"hi"}],"system":`+system+`}`), dialect.Options{})
			require.NoError(t, err)
			assert.Empty(t, report.Lost)
			if want == "" {
				assert.NotContains(t, string(out), "system")
				assert.NotContains(t, string(out), "instructions")
			}
			assert.Contains(t, string(out), want)
			assert.NotContains(t, string(out), "cch")
		}
	}
}

// TestLateInstructions: Claude Code and Codex send instructions in mid-conversation. The
// templates of many models refuse them there, and OpenAI's own API does not.
func TestLateInstructions(t *testing.T) {
	const (
		call   = `{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"r"}]}`
		called = `{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"r"}`
		system = `{"role":"system","content":"x"}`
	)
	for in, want := range map[string]string{
		`{"role":"user","content":"hi"},` + system:                                                 `{"role":"user","content":[{"type":"text","text":"hi"},{"type":"text","text":"x"}]}`,
		`{"role":"user","content":"hi"},` + call + "," + system:                                    `{"role":"user","content":"hi"},` + called + `,{"role":"user","content":"x"}`,
		`{"role":"user","content":"hi"},` + call + "," + system + "," + call:                       `{"role":"user","content":"hi"},` + called + `,{"role":"user","content":"x"},` + called,
		`{"role":"user","content":"hi"},` + call + "," + system + `,{"role":"user","content":"b"}`: `{"role":"user","content":"hi"},` + called + `,{"role":"user","content":[{"type":"text","text":"x"},{"type":"text","text":"b"}]}`,
		system + `,{"role":"user","content":"hi"},` + system + "," + system:                        `{"role":"system","content":"x"},{"role":"user","content":[{"type":"text","text":"hi"},{"type":"text","text":"x"},{"type":"text","text":"x"}]}`,
	} {
		out, report, err := translator(t, dialect.Messages, dialect.Chat).Request([]byte(`{"model":"m","max_tokens":9,"messages":[`+in+`]}`), dialect.Options{})
		require.NoError(t, err)
		assert.Contains(t, string(out), `"messages":[`+want+`]`)
		assert.Equal(t, []string{"system.role"}, report.Lost)
	}
	out, report, err := translator(t, dialect.Responses, dialect.Chat).Request([]byte(`{"model":"m","input":[{"role":"user","content":"hi"},{"role":"developer","content":"x"}]}`), dialect.Options{MaxCompletionTokens: true})
	require.NoError(t, err)
	assert.Contains(t, string(out), `{"role":"user","content":"hi"},{"role":"system","content":"x"}]`)
	assert.Empty(t, report.Lost)
}

// TestIDsOfTheConversation: some servers count the calls of each answer from 0. The client
// gets ids that no earlier call has, and messages, which refuses an id that stands twice,
// gets none twice. Each result stays with its call.
func TestIDsOfTheConversation(t *testing.T) {
	calls := func(ids ...string) string {
		var made []string
		for _, id := range ids {
			made = append(made, `{"id":"`+id+`","type":"function","function":{"name":"f","arguments":"{}"}}`)
		}
		return `{"role":"assistant","tool_calls":[` + strings.Join(made, ",") + `]}`
	}
	result := func(id, text string) string {
		return `{"role":"tool","tool_call_id":"` + id + `","content":"` + text + `"}`
	}
	body := `{"model":"m","messages":[` + strings.Join([]string{`{"role":"user","content":"q"}`,
		calls("c:0", "c:1"), result("c:1", "b"), result("c:0", "a"),
		calls("c:0"), result("c:0", "c"),
		calls("c:0", "c:0"), result("c:0", "d"), result("c:0", "e"),
		calls("c_0_2", "z"), result("z", "g"), result("c_0_2", "f"),
		calls("", ""), result("", "h"), result("", "i"),
	}, ",") + `]}`
	tr, _ := dialect.For(dialect.Chat, dialect.Messages)
	out, report, err := tr.Request([]byte(body), dialect.Options{})
	require.NoError(t, err)
	assert.Empty(t, report.Lost)
	var ids, results []string
	for _, turn := range decode(string(out)).(object)["messages"].(list)[1:] {
		for _, b := range turn.(object)["content"].(list) {
			switch b := b.(object); b["type"] {
			case "tool_use":
				ids = append(ids, b["id"].(string))
			case "tool_result":
				results = append(results, b["tool_use_id"].(string)+" "+compact(b["content"]))
			}
		}
	}
	assert.Equal(t, []string{"c_0", "c_1", "c_0_2", "c_0_3", "c_0_4", "c_0_2_2", "z", "call", "call_2"}, ids)
	assert.Equal(t, []string{"c_1 \"b\"", "c_0 \"a\"", "c_0_2 \"c\"", "c_0_3 \"d\"", "c_0_4 \"e\"", "z \"g\"", "c_0_2_2 \"f\"", "call \"h\"", "call_2 \"i\""}, results)

	again := `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"call_0","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_0","content":"r"}]}]`
	for _, stream := range []bool{false, true} {
		tr, _ := dialect.For(dialect.Messages, dialect.Chat)
		_, _, err := tr.Request([]byte(again+`,"stream":`+map[bool]string{false: "false", true: "true"}[stream]+`}`), dialect.Options{})
		require.NoError(t, err)
		var answer object
		if stream {
			s := tr.Stream()
			answer = collect(t, dialect.Messages, string(s.Write([]byte(call(0, "call_0", "f", "{}")+call(1, "call_1", "f", "{}")+finish("tool_calls")+done))))
		} else {
			out, err := tr.Answer([]byte(chatReply(`"tool_calls":[{"id":"call_0","function":{"name":"f","arguments":"{}"}},{"id":"call_1","function":{"name":"f","arguments":"{}"}}]`, "tool_calls", "")))
			require.NoError(t, err)
			answer = decode(string(out)).(object)
		}
		blocks := answer["content"].(list)
		require.Len(t, blocks, 2)
		assert.NotEqual(t, "call_0", blocks[0].(object)["id"])
		assert.Equal(t, "call_1", blocks[1].(object)["id"])
	}
}

// TestMistral: Mistral's API and the templates of its models take ids of nine letters and
// digits, and no words of the user behind a result.
func TestMistral(t *testing.T) {
	turns := `{"role":"user","content":"q"},` +
		`{"role":"assistant","content":[{"type":"tool_use","id":"toolu_01A","name":"f","input":{}},{"type":"tool_use","id":"D681PevKs","name":"f","input":{}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"D681PevKs","content":"b"},{"type":"tool_result","tool_use_id":"toolu_01A","content":%s},{"type":"text","text":"go on"}]},` +
		`{"role":"assistant","content":"so"},{"role":"user","content":"on"}`
	for name, result := range map[string]string{"text": `"a"`, "image": `[{"type":"image","source":{"type":"url","url":"https://a.example/x.png"}}]`} {
		for _, model := range []string{"mistral-large-latest", "mistralai/Devstral-Small-2-24B", "Ministral-8B", "pixtral-12b", "llama-4"} {
			tr, _ := dialect.For(dialect.Messages, dialect.Chat)
			out, report, err := tr.Request([]byte(`{"model":"m","max_tokens":9,"messages":[`+fmt.Sprintf(turns, result)+`]}`), dialect.Options{Model: model})
			require.NoError(t, err)
			var roles string
			var ids []string
			messages := decode(string(out)).(object)["messages"].(list)
			for _, m := range messages {
				m := m.(object)
				roles += m["role"].(string)[:1]
				if calls, ok := m["tool_calls"].(list); ok {
					ids = append(ids, calls[0].(object)["id"].(string), calls[1].(object)["id"].(string))
				}
				if id, ok := m["tool_call_id"].(string); ok {
					ids = append(ids, id)
				}
			}
			require.Len(t, ids, 4)
			assert.Equal(t, []string{ids[1], ids[0]}, ids[2:])
			assert.Equal(t, "D681PevKs", ids[1])
			if model == "llama-4" {
				assert.Equal(t, "uattuau", roles)
				assert.Equal(t, "toolu_01A", ids[0])
				assert.Empty(t, report.Lost)
				continue
			}
			assert.Equal(t, "uattauau", roles, name)
			assert.Equal(t, object{"role": "assistant", "content": "OK."}, messages[4])
			assert.Regexp(t, "^[A-Za-z0-9]{9}$", ids[0])
			assert.Equal(t, []string{"turn_order"}, report.Lost)
		}
	}
}

// TestTurnsWithoutReasoning: DeepSeek's API refuses turns of the assistant without their
// reasoning, and those of another model have none that it could get.
func TestTurnsWithoutReasoning(t *testing.T) {
	body := `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"q"},` +
		`{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"tool_use","id":"c","name":"f","input":{}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"b"}]},{"role":"assistant","content":"so"},{"role":"user","content":"on"}]}`
	for model, want := range map[string]int{"deepseek-v4-pro": 2, "deepseek/DeepSeek-V4-Flash": 2, "deepseek-reasoner": 2, "deepseek-r1-distill-llama-70b": 0, "m": 0} {
		tr, _ := dialect.For(dialect.Messages, dialect.Chat)
		out, _, err := tr.Request([]byte(body), dialect.Options{Model: model})
		require.NoError(t, err)
		assert.Equal(t, want, strings.Count(string(out), `"reasoning_content":" "`), "%s", out)
	}
}

// TestLongIDs: OpenAI's chat takes ids of calls up to 40 letters, and others take theirs as
// they are (vercel/ai#8132, autogen#6377).
func TestLongIDs(t *testing.T) {
	long := strings.Repeat("é.", 41)
	request := `{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"` + long + `","name":"f","input":{}},{"type":"tool_use","id":"` + long + `b","name":"f","input":{}}]},` +
		`{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + long + `b","content":"2"},{"type":"tool_result","tool_use_id":"` + long + `","content":"1"}]}]}`
	for openAI, want := range map[bool]int{true: 40, false: len(long)} {
		out, _, err := translator(t, dialect.Messages, dialect.Chat).Request([]byte(request), dialect.Options{MaxCompletionTokens: openAI})
		require.NoError(t, err)
		messages := decode(string(out)).(object)["messages"].(list)
		calls := messages[0].(object)["tool_calls"].(list)
		first, second := calls[0].(object)["id"].(string), calls[1].(object)["id"].(string)
		assert.Len(t, first, want)
		assert.NotEqual(t, first, second)
		assert.Equal(t, []any{second, first}, []any{messages[1].(object)["tool_call_id"], messages[2].(object)["tool_call_id"]})
	}
}
