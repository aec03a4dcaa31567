package relay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shapeDialects are the dialects whose events a shape remembers.
var shapeDialects = map[string]Dialect{"chat": Chat, "responses": Responses, "messages": Messages, "events": Events}

// checkShape compares the readings of an event by a shape that remembers another,
// and by the dialect itself. It reports whether the shape recognized the event.
func checkShape(t testing.TB, d Dialect, name, first, second string) bool {
	var s shape
	var e, want Event
	d([]byte(name), []byte(first), &e)
	s.learn([]byte(name), []byte(first), &e)
	e = Event{Kind: Failed, Usage: true, Choices: make([]Choice, 1)}
	if !s.match([]byte(name), []byte(second), &e) {
		return false
	}
	d([]byte(name), []byte(second), &want)
	require.Equal(t, fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", e), "%s after %s", second, first)
	for _, field := range []string{"data:", "data: ", ": comment\ndata: "} {
		raw := []byte(field + second + "\n\n")
		from, to, known := s.cut(raw, len(second))
		if !known || strings.Contains(second, "\n") || strings.HasPrefix(second, " ") {
			continue
		}
		wantFrom, wantTo, ok := nullUsage(raw)
		if !ok {
			wantFrom, wantTo = 0, 0
		}
		require.Equal(t, string(raw[wantFrom:wantTo]), string(raw[from:to]), "%s after %s", raw, first)
		require.True(t, from == to || from == wantFrom, "%s after %s", raw, first)
	}
	return true
}

// An event that differs only in its text is recognized. Others are not.
func TestShape(t *testing.T) {
	chat := func(content, rest string) string {
		return `{"id":"c-1","choices":[{"index":0,"delta":{"content":"` + content + `"},"finish_reason":null}]` + rest + `}`
	}
	for _, tt := range []struct {
		dialect, name, first, second string
		want                         bool
	}{
		{"chat", "", chat("a", ""), chat("much longer", ""), true},
		{"chat", "", chat("a", ""), chat(`say \"usage\":{\\`, ""), true},
		{"chat", "", chat("a", `,"usage":null,"obfuscation":"abc"`), chat("bb", `,"usage":null,"obfuscation":"x"`), true},
		{"chat", "", `{"usage":null,` + chat("a", "")[1:], `{"usage":null,` + chat("bcd", "")[1:], true},
		{"chat", "", `{"x":1, "usage": null ,` + chat("a", "")[1:], `{"x":1, "usage": null ,` + chat("bcd", "")[1:], true},
		{"chat", "", chat("a", ""), chat("", ""), false},
		{"chat", "", chat("", ""), chat("a", ""), false},
		{"chat", "", chat("a", ""), chat("b", `,"usage":{"total_tokens":3}`), false},
		{"chat", "", chat("a", `,"usage":{"total_tokens":3}`), chat("b", `,"usage":{"total_tokens":3}`), false},
		{"chat", "", chat("a", `,"x_groq":{"usage":{"total_tokens":3}}`), chat("b", `,"x_groq":{"usage":{"total_tokens":3}}`), false},
		{"chat", "", chat("a", ""), chat("b", `,"error":{"message":"x"}`), false},
		{"chat", "", chat("a", ""), strings.Replace(chat("b", ""), "null", `"stop"`, 1), false},
		{"chat", "", chat("a", ""), strings.Replace(chat("b", ""), `index":0`, `index":1`, 1), false},
		{"chat", "", chat("a", ""), chat("b", "")[:70], false},
		{"chat", "", chat("a", ""), chat("open", "")[:56], false},
		{"chat", "", chat("a", ""), `[DONE]`, false},
		{"chat", "", `{"choices":[{"delta":{"content":"a","x":nul"l}}]}`, `{"choices":[{"delta":{"content":"b","x":nul"l}}]}`, false},
		{"messages", "content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"bb"}}`, true},
		{"messages", "content_block_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`, `{"type":"message_delta","delta":{"stop_reason":"refusal"}}`, false},
		{"responses", "response.output_text.delta", `{"type":"response.output_text.delta","delta":"a"}`, `{"type":"response.output_text.delta","delta":"b"}`, true},
		{"responses", "response.output_text.delta", `{"type":"response.output_text.delta","delta":"a"}`, `{"type":"response.output_text.done","delta":"b"}`, false},
		{"responses", "", `{"type":"response.output_text.delta","sequence_number":9,"delta":"a"}`, `{"type":"response.output_text.delta","sequence_number":10,"delta":"bb"}`, true},
		{"responses", "", `{"type":"response.output_text.delta","sequence_number":9,"delta":"a"}`, `{"type":"response.output_text.delta","sequence_number":-1,"delta":"b"}`, false},
		{"responses", "", `{"type":"response.output_text.delta","sequence_number":"9","delta":"a"}`, `{"type":"response.output_text.delta","sequence_number":"10","delta":"b"}`, false},
		{"events", "", `{"type":"transcript.text.delta","delta":"a"}`, `{"type":"transcript.text.delta","delta":"b"}`, true},
	} {
		assert.Equal(t, tt.want, checkShape(t, shapeDialects[tt.dialect], tt.name, tt.first, tt.second), "%s after %s", tt.second, tt.first)
	}
	var s shape
	var e Event
	Chat(nil, []byte(chat("a", "")), &e)
	s.learn(nil, []byte(chat("a", "")), &e)
	assert.False(t, s.match([]byte("error"), []byte(chat("b", "")), &e), "another name of the event")
}

// A server that gives each event an id of its own costs a few attempts, not one for
// each event.
func TestShapeGivesUp(t *testing.T) {
	var s shape
	var e Event
	learned := 0
	for i := range 100 {
		data := fmt.Appendf(nil, `{"id":"c-%d","choices":[{"index":0,"delta":{"content":"a"}}]}`, i)
		require.False(t, s.match(nil, data, &e))
		Chat(nil, data, &e)
		before := s.spent
		s.learn(nil, data, &e)
		learned += s.spent - before
	}
	assert.Equal(t, maxCredit, learned)
}

func FuzzShape(f *testing.F) {
	f.Add("chat", "", `{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null}`, `{"choices":[{"index":0,"delta":{"content":"b\\\"c"},"finish_reason":null}],"usage":null}`)
	f.Add("messages", "", `{"type":"content_block_delta","delta":{"text":"a"}}`, `{"type":"content_block_delta","delta":{"text":"b"}}`)
	f.Add("responses", "", `{"type":"response.output_text.delta","delta":"a"}`, `{"type":"response.output_text.delta","delta":"b"}`)
	f.Add("responses", "", `{"type":"response.output_text.delta","sequence_number":9,"delta":"a"}`, `{"type":"response.output_text.delta","sequence_number":10,"delta":"b"}`)
	f.Add("events", "", `{"choices":[{"text":"a"}]}`, `{"choices":[{"text":"b"}]}`)
	f.Fuzz(func(t *testing.T, dialect, name, first, second string) {
		d := shapeDialects[dialect]
		if d == nil {
			return
		}
		checkShape(t, d, name, first, second)
		// Most mutations break the likeness: one text for another does not.
		checkShape(t, d, name, first, strings.Replace(first, `"a"`, `"`+second+`"`, 1))
	})
}
