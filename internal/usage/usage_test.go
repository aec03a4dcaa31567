package usage

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var meterCases = []struct {
	name   string
	events []string
	want   Tokens
}{
	{"chat stream", []string{
		`{"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],"usage":null}`,
		`{"choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":0}}}`,
	}, Tokens{Input: 19, Output: 10, CacheRead: 4, Reasoning: 3, Known: true}},
	{"null and object in one event", []string{`{"x":{"usage":null},"usage" : {"prompt_tokens":1,"completion_tokens":2}}`}, Tokens{Input: 1, Output: 2, Known: true}},
	{"running totals", []string{
		`{"usage":{"prompt_tokens":5,"completion_tokens":1}}`,
		`{"usage":{"prompt_tokens":5,"completion_tokens":2}}`,
	}, Tokens{Input: 5, Output: 2, Known: true}},
	{"responses", []string{
		`{"type":"response.created","response":{"usage":null}}`,
		`{"type":"response.completed","response":{"output":[{"content":[{"text":"\"usage\":{\"input_tokens\":9}"}]}],"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":7},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":48}}}`,
	}, Tokens{Input: 37, Output: 11, CacheRead: 7, Reasoning: 2, Known: true}},
	{"messages", []string{
		`{"type":"message_start","message":{"usage":{"input_tokens":25,"cache_creation_input_tokens":100,"cache_read_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":100},"output_tokens":1}}}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}`,
	}, Tokens{Input: 425, Output: 15, CacheRead: 300, CacheWrite: 100, Known: true}},
	{"messages, input at the end", []string{
		`{"type":"message_start","message":{"usage":{"input_tokens":0,"output_tokens":0}}}`,
		`{"type":"message_delta","usage":{"input_tokens":25,"cache_read_input_tokens":null,"output_tokens":15}}`,
	}, Tokens{Input: 25, Output: 15, Known: true}},
	{"messages, zero at the end", []string{
		`{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}`,
		`{"type":"message_delta","usage":{"input_tokens":0,"output_tokens":15}}`,
	}, Tokens{Input: 25, Output: 15, Known: true}},
	{"messages, with a compaction", []string{
		`{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1,"iterations":[{"input_tokens":7,"type":"compaction"}]}}}`,
		`{"type":"message_delta","usage":{"input_tokens":23000,"cache_read_input_tokens":10,"output_tokens":1000,"iterations":[{"cache_creation_input_tokens":40,"cache_read_input_tokens":500,"input_tokens":180000,"output_tokens":3500,"type":"compaction"},{"type":"message","input_tokens":23000,"cache_read_input_tokens":10,"output_tokens":1000}]}}`,
	}, Tokens{Input: 203550, Output: 4500, CacheRead: 510, CacheWrite: 40, Known: true}},
	{"messages, with a declined fallback", []string{
		`{"type":"message","usage":{"input_tokens":412,"output_tokens":264,"iterations":[{"type":"message","input_tokens":535,"output_tokens":0},{"type":"fallback_message","input_tokens":412,"output_tokens":264},7,[]]}}`,
	}, Tokens{Input: 412, Output: 264, Known: true}},
	{"groq", []string{`{"choices":[],"x_groq":{"id":"r","usage":{"prompt_tokens":3,"completion_tokens":4}}}`}, Tokens{Input: 3, Output: 4, Known: true}},
	{"deepseek", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":1,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":1}}`}, Tokens{Input: 9, Output: 1, CacheRead: 8, Known: true}},
	{"moonshot", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":1,"cached_tokens":8}}`}, Tokens{Input: 9, Output: 1, CacheRead: 8, Known: true}},
	{"moonshot, in a choice", []string{`{"choices":[7,{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":1}}],"x":1}`}, Tokens{Input: 9, Output: 1, Known: true}},
	{"choices of another kind", []string{`{"choices":{"usage":{"prompt_tokens":9}}}`}, Tokens{}},
	{"chat, with the cache's counts by Anthropic's names too", []string{
		`{"usage":{"prompt_tokens":2459,"completion_tokens":23,"total_tokens":2482,"prompt_tokens_details":{"cached_tokens":2455},"cache_read_input_tokens":2455,"cache_creation_input_tokens":0}}`,
	}, Tokens{Input: 2459, Output: 23, CacheRead: 2455, Known: true}},
	{"chat, with a cache write by Anthropic's name", []string{
		`{"usage":{"cache_creation_input_tokens":15624,"prompt_tokens":15635,"completion_tokens":8,"total_tokens":15643}}`,
	}, Tokens{Input: 15635, Output: 8, CacheWrite: 15624, Known: true}},
	{"chat, with the cache's counts beside the prompt", []string{
		`{"usage":{"prompt_tokens":3,"completion_tokens":7,"total_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":50}}`,
	}, Tokens{Input: 153, Output: 7, CacheRead: 100, CacheWrite: 50, Known: true}},
	{"chat, with the cache's counts beside the prompt, by the total", []string{
		`{"usage":{"prompt_tokens":300,"completion_tokens":7,"total_tokens":457,"cache_read_input_tokens":100,"cache_creation_input_tokens":50}}`,
	}, Tokens{Input: 450, Output: 7, CacheRead: 100, CacheWrite: 50, Known: true}},
	{"chat, with a cache write beside the prompt, by the total", []string{
		`{"usage":{"prompt_tokens":103,"completion_tokens":7,"total_tokens":160,"cache_read_input_tokens":100,"cache_creation_input_tokens":50}}`,
	}, Tokens{Input: 153, Output: 7, CacheRead: 100, CacheWrite: 50, Known: true}},
	{"chat of DashScope, with a cache write", []string{
		`{"usage":{"prompt_tokens":3019,"completion_tokens":104,"total_tokens":3123,"prompt_tokens_details":{"cached_tokens":0,"cache_type":"ephemeral","cache_creation_input_tokens":2064,"cache_creation":{"ephemeral_5m_input_tokens":1064,"ephemeral_1h_input_tokens":1000}}}}`,
	}, Tokens{Input: 3019, Output: 104, CacheWrite: 2064, CacheWriteHour: 1000, Known: true}},
	{"chat of Bifrost", []string{
		`{"usage":{"prompt_tokens":3019,"completion_tokens":104,"total_tokens":3123,"prompt_tokens_details":{"cached_read_tokens":900,"cached_write_tokens":2000}}}`,
	}, Tokens{Input: 3019, Output: 104, CacheRead: 900, CacheWrite: 2000, Known: true}},
	{"embeddings", []string{`{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`}, Tokens{Input: 8, Known: true}},
	{"rerank", []string{`{"usage":{"total_tokens":815}}`}, Tokens{Input: 815, Known: true}},
	{"zero is known", []string{`{"usage":{"prompt_tokens":0,"completion_tokens":0}}`}, Tokens{Known: true}},
	{"floats", []string{`{"usage":{"prompt_tokens":8.0,"completion_tokens":1e1}}`}, Tokens{Input: 8, Output: 10, Known: true}},
	{"duration", []string{`{"usage":{"type":"duration","seconds":27}}`}, Tokens{}},
	{"garbage", []string{`{"usage":{"prompt_tokens":-1,"completion_tokens":"7","total_tokens":99999999999999999999}}`, `{"usage":{`, `{"usage":{"a`, `"usage":{"prompt_tokens":1}`, `{"usage":[1]}`, `{"usage" {`, `usage`, ``}, Tokens{}},
	{"elsewhere", []string{`{"metadata":{"usage":{"prompt_tokens":1}}}`, `{"x":"usage","y":"\"usage\":{\"prompt_tokens\":1}"}`}, Tokens{}},
	{"escapes", []string{`{"a\\":"\\\"","b":["}",{"c":"]"}],"usage":{"prompt_tokens":1}}`}, Tokens{Input: 1, Known: true}},
}

func TestMeter(t *testing.T) {
	for _, c := range meterCases {
		t.Run(c.name, func(t *testing.T) {
			var events, body Meter
			for _, e := range c.events {
				events.Event([]byte(e))
				body.Body([]byte(e))
			}
			assert.Equal(t, c.want, events.Tokens())
			assert.Equal(t, c.want, body.Tokens())
		})
	}
}

// Members that somebody else has found count like those of a body.
func TestMeterMember(t *testing.T) {
	for _, c := range meterCases {
		t.Run(c.name, func(t *testing.T) {
			var whole, parts Meter
			for _, e := range c.events {
				var members map[string]json.RawMessage
				if json.Unmarshal([]byte(e), &members) != nil {
					continue // Member is for what was found to be JSON
				}
				whole.Body([]byte(e))
				for _, name := range slices.Sorted(maps.Keys(members)) {
					parts.Member([]byte(name), members[name])
				}
			}
			assert.Equal(t, whole.Tokens(), parts.Tokens())
		})
	}
}

func FuzzMeter(f *testing.F) {
	for _, c := range meterCases {
		for _, e := range c.events {
			f.Add(e)
		}
	}
	f.Fuzz(func(t *testing.T, data string) {
		var m Meter
		m.Event([]byte(data))
		got := m.Tokens()
		assert.True(t, got.Input >= 0 && got.Output >= 0 && got.CacheRead >= 0)
		assert.True(t, got.Known || got == Tokens{CacheRead: got.CacheRead, CacheWrite: got.CacheWrite, Reasoning: got.Reasoning, Input: got.Input})
	})
}

func BenchmarkMeter(b *testing.B) {
	for name, data := range map[string]string{
		"no-usage":    `{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}`,
		"null-usage":  meterCases[0].events[0],
		"usage":       meterCases[0].events[1],
		"vectors-1MB": `{"data":[{"embedding":[` + strings.Repeat("0.0123456789,", 80_000) + `1]}],"usage":{"prompt_tokens":8}}`,
	} {
		in := []byte(data)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var m Meter
				m.Event(in)
			}
		})
	}
}

// Rerankers tell their counts in Cohere's form, under meta.
func TestMeterMeta(t *testing.T) {
	for meta, want := range map[string]Tokens{
		`{"billed_units":{"input_tokens":30,"search_units":1},"tokens":{"input_tokens":33,"output_tokens":0}}`: {Input: 30, Known: true},
		`{"api_version":null,"billed_units":null,"tokens":{"input_tokens":33}}`:                                {Input: 33, Known: true}, // Xinference
		`{"billed_units":{"search_units":1},"tokens":null}`:                                                    {},                       // bifrost#4239
		`7`: {},
	} {
		var m Meter
		m.Member([]byte("meta"), []byte(meta))
		assert.Equal(t, want, m.Tokens(), meta)
	}
}
