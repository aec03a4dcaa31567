package dialect_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// TestRowsOfSeveralNames: where a row of the tables names several fields or values, all
// of them become the same.
func TestRowsOfSeveralNames(t *testing.T) {
	for _, c := range []struct {
		format       dialect.Format
		answer, word string
		others       []string
	}{
		{dialect.Messages, messagesReply(`{"type":"text","text":"hi"}`, "max_tokens"), "max_tokens", []string{"model_context_window_exceeded"}},
		{dialect.Chat, chatReply(`"content":"hi","annotations":[{"type":"url_citation"}]`, "stop", ""), `"annotations":[{"type":"url_citation"}]`,
			[]string{`"audio":{"id":"a","data":"AAAA"}`, `"logprobs":{"content":[]}`}},
		{dialect.Responses, responsesReply("completed", `{"type":"web_search_call","id":"x","status":"completed"}`, ""), "web_search_call",
			[]string{"file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call", "computer_call"}},
	} {
		require.Contains(t, c.answer, c.word)
		for client := range dialect.Format(3) {
			if client == c.format {
				continue
			}
			want, err := begun(t, client, c.format, false).Answer([]byte(c.answer))
			require.NoError(t, err)
			for _, other := range c.others {
				got, err := begun(t, client, c.format, false).Answer([]byte(strings.ReplaceAll(c.answer, c.word, other)))
				require.NoError(t, err, other)
				assert.Equal(t, string(want), string(got), "%s to %s", other, client)
			}
		}
	}
}

// TestReasoningUnderEachName: servers name the reasoning of chat differently. Each name
// comes back in the next request.
func TestReasoningUnderEachName(t *testing.T) {
	for _, name := range []string{"reasoning", "reasoning_content"} {
		for _, client := range []dialect.Format{dialect.Responses, dialect.Messages} {
			out, err := begun(t, client, dialect.Chat, false).Answer([]byte(chatReply(`"content":"hi","`+name+`":"hm"`, "stop", "")))
			require.NoError(t, err)
			assert.Contains(t, string(out), "hm")
			assert.Contains(t, string(out), ":"+name+`"`, "for %s", client)
		}
	}
}

// TestFilesOfOneProvider: files live at one provider, whatever part of a message names
// them.
func TestFilesOfOneProvider(t *testing.T) {
	for _, c := range []struct {
		format  dialect.Format
		content string
	}{
		{dialect.Chat, `"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file_1"}},{"type":"text","text":"hi"}]}]`},
		{dialect.Responses, `"input":[{"role":"user","content":[{"type":"input_file","file_id":"file_1"},{"type":"input_text","text":"hi"}]}]`},
		{dialect.Responses, `"input":[{"role":"user","content":[{"type":"input_image","file_id":"file_1"},{"type":"input_text","text":"hi"}]}]`},
		{dialect.Messages, `"max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"file_1"}},{"type":"text","text":"hi"}]}]`},
		{dialect.Messages, `"max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_1"}},{"type":"text","text":"hi"}]}]`},
	} {
		for to := range dialect.Format(3) {
			if to == c.format {
				continue
			}
			out, report, err := translator(t, c.format, to).Request([]byte(`{"model":"m",`+c.content+`}`), dialect.Options{})
			require.NoError(t, err)
			assert.NotEmpty(t, report.Lost, "%s to %s", c.content, to)
			assert.NotContains(t, string(out), "file_1")
			assert.Contains(t, string(out), `"hi"`)
		}
	}
}
