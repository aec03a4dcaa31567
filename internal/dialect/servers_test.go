package dialect_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// TestEndsOfServers: an answer that is there reaches the client, whatever word its end
// has, or if it has none. The word is the one that goes with the answer.
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
