package usage

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var outputCases = []struct {
	name   string
	events []string // of a stream; else body is a whole answer
	body   string
	want   string // the text that counts
}{
	{name: "chat stream", want: "Hello, wörld!", events: []string{
		`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`,
		`{"choices":[{"index":0,"delta":{"content":"Hel"}}]}`, `{"choices":[{"index":0,"delta":{"content":"lo, w\u00f6rld!"}}]}`,
		`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, `{"choices":[],"usage":{"prompt_tokens":19}}`, `[DONE]`,
	}},
	{name: "reasoning, refusal and tools", want: `think so no {"a":1}`, events: []string{
		`{"choices":[{"delta":{"reasoning_content":"think "}}]}`, `{"choices":[{"delta":{"reasoning":"so "}}]}`, `{"choices":[{"delta":{"refusal":"no "}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]}}]}`,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}`,
	}},
	{name: "completions stream", want: "one two", events: []string{`{"choices":[{"text":"one "}]}`, `{"choices":[{"text":"two","logprobs":null}]}`}},
	{name: "responses stream", want: "one two", events: []string{
		`{"type":"response.created","response":{"instructions":"Be brief.","output":[]}}`,
		`{"type":"response.output_text.delta","delta":"one "}`, `{"type":"response.output_text.delta","delta":"two"}`,
		`{"type":"response.output_text.done","text":"one two"}`,
		`{"type":"response.completed","response":{"output":[{"content":[{"text":"one two"}]}]}}`,
	}},
	{name: "messages stream", want: `I think. one {"a":1}`, events: []string{
		`{"type":"message_start","message":{"content":[],"usage":{"input_tokens":25}}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"I think. "}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"abc"}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"one "}}`,
		`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}`,
	}},
	{name: "chat", want: "Hello!", body: `{"id":"x","model":"m","choices":[{"message":{"role":"assistant","content":"Hello!"},"finish_reason":"stop"}]}`},
	{name: "responses", want: "one", body: `{"instructions":"Be brief.","output":[{"type":"message","content":[{"type":"output_text","text":"one"}]}],"text":{"format":{"type":"text"}}}`},
	{name: "messages", want: "one", body: `{"role":"assistant","content":[{"type":"text","text":"one"}]}`},
	{name: "reasoning under two names, and in details", want: "so it is", events: []string{
		`{"choices":[{"delta":{"reasoning":"so it ","reasoning_content":"so it ","reasoning_details":[{"text":"so it "}]}}]}`,
		`{"choices":[{"delta":{"reasoning":"","reasoning_content":"is"}}]}`,
	}},
	{name: "sound", events: []string{`{"type":"response.audio.delta","delta":"AAAAAAAA"}`, `{"type":"response.output_audio.delta","delta":"AAAA"}`}},
	{name: "what others wrote", want: "one", body: `{"output":[{"type":"file_search_call","results":[{"text":"of a file"}]},{"content":[{"text":"one","annotations":[{"type":"url_citation","content":"of a page"}]}]}]}`},
	{name: "input of a tool", want: `{"city":"Berlin"}`, body: `{"content":[{"type":"tool_use","id":"x","input":{"city":"Berlin"}}]}`},
	{name: "embeddings", body: `{"data":[{"embedding":[0.1,0.2]}]}`},
	{name: "no JSON", events: []string{"", "{", `{"choices":`, `{"choices":[`, `{"choices":[}`, `{"choices":[{"delta"`, `{"choices":[,,:`, "text"}},
}

func TestOutputEstimate(t *testing.T) {
	for _, c := range outputCases {
		t.Run(c.name, func(t *testing.T) {
			want := Estimate([]byte(c.want))
			var w OutputEstimate
			for _, e := range c.events {
				w.Event([]byte(e))
			}
			if c.body == "" {
				assert.Equal(t, want, w.Tokens())
				return
			}
			w.Body([]byte(c.body))
			assert.Equal(t, want, w.Tokens())

			var members map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(c.body), &members))
			var parts OutputEstimate
			for _, name := range slices.Sorted(maps.Keys(members)) {
				parts.Member([]byte(name), members[name])
			}
			assert.Equal(t, want, parts.Tokens())
		})
	}
}

// A stream of one event a letter has the same estimate as its text.
func TestOutputEstimateInPieces(t *testing.T) {
	const text = "The HTTPServer don't answer 12345 times; naïve Größe, 東京 и Москва.\n\n👍🏽"
	var w OutputEstimate
	for _, r := range text {
		w.Event(fmt.Appendf(nil, `{"choices":[{"delta":{"content":%q}}]}`, string(r)))
		assert.Equal(t, w.Tokens(), w.Tokens(), "to ask changes nothing")
	}
	assert.Equal(t, Estimate([]byte(text)), w.Tokens())
}

// Text that is too deep is passed over, and does not end the process.
func TestOutputEstimateDepth(t *testing.T) {
	var w OutputEstimate
	w.Event([]byte(`{"choices":` + strings.Repeat(`[`, 1<<20)))
	w.Event([]byte(`{"choices":` + strings.Repeat(`{"content":`, 1<<20) + `"deep"`))
	assert.Zero(t, w.Tokens())
}

func FuzzOutputEstimate(f *testing.F) {
	for _, c := range outputCases {
		f.Add(c.body)
		for _, e := range c.events {
			f.Add(e)
		}
	}
	f.Fuzz(func(t *testing.T, data string) {
		var events, body OutputEstimate
		events.Event([]byte(data))
		body.Body([]byte(data))
		// No character comes to more than four tokens, nor an escape to less than two bytes.
		assert.LessOrEqual(t, events.Tokens(), int64(4*len(data)))
		assert.LessOrEqual(t, body.Tokens(), int64(4*len(data)))
		assert.GreaterOrEqual(t, min(events.Tokens(), body.Tokens()), int64(0))
	})
}

func BenchmarkOutputEstimate(b *testing.B) {
	in := []byte(`{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}`)
	b.ReportAllocs()
	for b.Loop() {
		var w OutputEstimate
		w.Event(in)
	}
}
