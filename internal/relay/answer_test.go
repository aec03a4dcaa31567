package relay

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

const (
	good    = "good"
	failed  = "error"
	missing = "missing"
	notJSON = "not JSON"
	nothing = "empty body"
)

var surfaceNames = map[string]Surface{
	"any": AnySurface, "chat": ChatSurface, "completions": CompletionsSurface, "embeddings": EmbeddingsSurface,
	"responses": ResponsesSurface, "messages": MessagesSurface, "images": ImagesSurface, "moderations": ModerationsSurface,
	"rerank": RerankSurface, "transcription": TranscriptionSurface, "count_tokens": CountTokensSurface,
}

var judgeCases = []struct {
	surface, body string
	want          string
	empty         bool
	refusal       bool
}{
	{"chat", `{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"error":null}`, good, false, false},
	{"chat", `{"error":{},"choices":[{"message":{"content":[{"type":"text","text":"Hi"}]}}]}`, good, false, false},
	{"chat", `{"code":0,"message":"ok","choices":[{"message":{"content":"Hi"}}]}`, good, false, false},
	{"chat", `{"choices":[]}`, missing, false, false},
	{"chat", `{"choices":[ ]}`, missing, false, false},
	{"chat", `{"choices":null}`, missing, false, false},
	{"chat", `{"choices":{"a":1}}`, missing, false, false},
	{"chat", `{"choices":[{"finish_reason":"stop"}]}`, missing, false, false},
	{"chat", `{"choices":[{"message":null}]}`, missing, false, false},
	{"chat", `{"choices":["x"]}`, missing, false, false},
	{"chat", `{}`, missing, false, false},
	{"chat", `null`, missing, false, false},
	{"chat", `[]`, missing, false, false},
	{"chat", `[{"error":{"code":400,"message":"API key not valid"}}]`, failed, false, false},
	{"chat", `{"error":{"message":"boom"}}`, failed, false, false},
	{"chat", `{"error":"boom"}`, failed, false, false},
	{"chat", `{"error":{"message":"boom"},"choices":[{"message":{"content":"Hi"}}]}`, failed, false, false},
	{"chat", `{"id":"","choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`, failed, false, false},
	{"chat", `{"choices":[{"message":{"content":"Hi"}}],"base_resp":{"status_code":0}}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":""},"finish_reason":"error","error":{"code":502,"message":"Provider returned error"}}]}`, failed, false, false},
	{"chat", `{"choices":[{"message":{"content":"half"},"finish_reason":"error"}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":""},"finish_reason":"network_error"}]}`, failed, false, false},
	{"chat", `{"choices":[{"message":{"content":null},"finish_reason":"insufficient_system_resource"}]}`, failed, false, false},
	{"chat", `{"choices":[{"message":{},"finish_reason":"abort"}]}`, failed, false, false},
	{"chat", `{"choices":[{"message":{"content":"a"}},{"index":1,"message":{},"finish_reason":"error"}]}`, failed, false, false},
	{"chat", `{"object":"error","message":"boom","code":500}`, failed, false, false},
	{"chat", `{"detail":"Not Found"}`, failed, false, false},
	{"chat", `{"message":"no healthy upstream"}`, failed, false, false},
	{"chat", `{"type":"error","message":"boom"}`, failed, false, false},
	{"chat", `{"code":"500","msg":"boom","data":null,"success":false}`, failed, false, false},
	{"chat", `{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}`, good, true, false},
	{"chat", `{"choices":[{"message":{"content":" \n\t"}}]}`, good, true, false},
	{"chat", `{"choices":[{"message":{"content":null,"reasoning_content":"Hm"},"finish_reason":"stop"}]}`, good, true, false},
	{"chat", `{"choices":[{"message":{"content":null,"reasoning_content":"Hm"},"finish_reason":"length"}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":"","tool_calls":[{"id":"c"}]},"finish_reason":"tool_calls"}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":""}},{"message":{"content":"b"}}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]}]},"finish_reason":"stop"}]}`, good, true, false},
	{"chat", `{"choices":[{"message":{"content":[{"type":"reasoning","summary":[]}]},"finish_reason":"length"}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":[{"type":"reasoning","summary":[]},{"type":"text","text":"Hi"}]},"finish_reason":"stop"}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":[{"image":"https://x"}]},"finish_reason":"stop"}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":["Hi"]},"finish_reason":"stop"}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":[]},"finish_reason":"stop"}]}`, good, true, false},
	{"chat", `{"choices":[{"message":{"content":""},"finish_reason":"stop","native_finish_reason":"network_error"}]}`, failed, false, false},
	{"chat", `{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop","native_finish_reason":"error"}]}`, good, false, false},
	{"chat", `{"choices":[{"message":{"content":""},"finish_reason":"stop","native_finish_reason":"completed"}]}`, good, true, false},
	{"chat", `{"choices":[{"message":{"content":null,"refusal":"No."},"finish_reason":"stop"}]}`, good, false, true},
	{"chat", `{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`, good, false, true},
	{"chat", `{"choices":[{"message":{},"finish_reason":"content_filter: PROHIBITED_CONTENT"}]}`, good, false, true},
	{"chat", `{"choices":[{"message":{"content":"x"},"finish_reason":"sensitive"}]}`, good, false, true},
	{"chat", `{"a":{"error":{"x":1}},"choices":[{"message":{"content":"{\"error\":{}}"}}]}`, good, false, false},
	{"completions", `{"choices":[{"text":"Hi"}]}`, good, false, false},
	{"completions", `{"choices":[{"text":""}]}`, good, true, false},
	{"completions", `{"choices":[{}]}`, missing, false, false},
	{"embeddings", `{"object":"list","data":[{"embedding":[0.1]}]}`, good, false, false},
	{"embeddings", `{"object":"list","data":[]}`, missing, false, false},
	{"embeddings", `{"object":"list"}`, missing, false, false},
	{"responses", `{"status":"completed","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}`, good, false, false},
	{"responses", `{"status":"failed","error":{"code":"server_error"}}`, failed, false, false},
	{"responses", `{"status":"failed","error":null}`, failed, false, false},
	{"responses", `{"status":"queued","output":[]}`, good, false, false},
	{"responses", `{"output":[{"type":"function_call","name":"f"}]}`, good, false, false},
	{"responses", `{"status":"completed","output":[{"type":"reasoning","summary":[]}]}`, good, true, false},
	{"responses", `{"status":"completed","output":[]}`, good, true, false},
	{"responses", `{"status":"completed","output":[{"type":"message","content":[{"type":"refusal","refusal":"No."}]}]}`, good, false, true},
	{"responses", `{"status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[]}`, good, false, true},
	{"responses", `{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"type":"reasoning"}]}`, good, false, false},
	{"responses", `{"output":[]}`, missing, false, false},
	{"responses", `{}`, missing, false, false},
	{"messages", `{"type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}`, good, false, false},
	{"messages", `{"type":"message","content":[],"stop_reason":"end_turn"}`, good, true, false},
	{"messages", `{"type":"message","content":[{"type":"tool_use","name":"f","input":{}}],"stop_reason":"tool_use"}`, good, false, false},
	{"messages", `{"type":"message","content":[],"stop_reason":"refusal"}`, good, false, true},
	{"messages", `{"type":"message","content":[],"stop_reason":"sensitive"}`, good, false, true},
	{"messages", `{"type":"message","content":[],"stop_reason":"error"}`, failed, false, false},
	{"messages", `{"type":"error","error":{"type":"overloaded_error"}}`, failed, false, false},
	{"messages", `{"type":"error","message":"boom"}`, failed, false, false},
	{"messages", `{"content":[{"type":"text","text":"Hi"}]}`, missing, false, false},
	{"images", `{"created":1,"data":[{"b64_json":"aa"}]}`, good, false, false},
	{"images", `{"created":1,"data":[]}`, missing, false, false},
	{"moderations", `{"results":[{"flagged":false}]}`, good, false, false},
	{"moderations", `{"id":"m"}`, missing, false, false},
	{"rerank", `{"results":[]}`, good, false, false},
	{"rerank", `{"data":[{"index":0}]}`, good, false, false},
	{"rerank", `{"id":"x"}`, missing, false, false},
	{"rerank", `[{"score":0.95,"index":0,"document":"x"}]`, good, false, false},
	{"rerank", `[]`, good, false, false},
	{"rerank", `[0.5]`, missing, false, false},
	{"rerank", `[{"error":{"code":400,"message":"boom"}}]`, failed, false, false},
	{"rerank", `"x"`, missing, false, false},
	{"transcription", `{"text":""}`, good, false, false},
	{"transcription", `{"task":"transcribe"}`, missing, false, false},
	{"transcription", `"Hello World!"`, good, false, false},
	{"transcription", `["x"]`, missing, false, false},
	{"count_tokens", `{"input_tokens":7}`, good, false, false},
	{"count_tokens", `{"input_tokens":0}`, good, false, false},
	{"count_tokens", `{"tokens":7}`, missing, false, false},
	{"any", `{"id":"x"}`, good, false, false},
	{"any", `[1]`, good, false, false},
	{"any", `true`, good, false, false},
	{"any", `{"error":{"message":"boom"}}`, failed, false, false},
	{"any", `{"detail":"Not Found"}`, failed, false, false},
	{"any", `{"message":"deleted","id":"x"}`, good, false, false},
	{"any", `{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`, good, false, false},
	{"any", ``, nothing, false, false},
	{"chat", " \r\n", nothing, false, false},
	{"chat", `<html>`, notJSON, false, false},
	{"chat", `{"choices":[{"message":{"content":"x"}}]`, notJSON, false, false},
	{"chat", `{"choices":[{"message":{"content":"x"}}]}{`, notJSON, false, false},
	{"chat", `{"choices":[{"message":{"content":"x",}}]}`, notJSON, false, false},
	{"chat", `data: {}`, notJSON, false, false},
	{"any", `12 13`, notJSON, false, false},
}

func outcomeOf(v Verdict) string {
	var miss *MissingError
	switch {
	case v.Err == nil:
		return good
	case errors.Is(v.Err, ErrBodyError):
		return failed
	case errors.Is(v.Err, ErrNotJSON):
		return notJSON
	case errors.Is(v.Err, ErrEmptyBody):
		return nothing
	case errors.As(v.Err, &miss):
		return missing
	}
	return v.Err.Error()
}

func TestJudge(t *testing.T) {
	for _, c := range judgeCases {
		v := Judge(surfaceNames[c.surface], []byte(c.body), nil)
		assert.Equal(t, c.want, outcomeOf(v), "%s %.100s", c.surface, c.body)
		assert.Equal(t, c.empty, v.Empty, "%s %.100s", c.surface, c.body)
		assert.Equal(t, c.refusal, v.Refusal, "%s %.100s", c.surface, c.body)
		assert.Equal(t, c.want == failed, len(v.Detail) > 0, "%s %.100s", c.surface, c.body)
	}
	v := Judge(ChatSurface, []byte(`{"choices":[{"message":{"content":""},"finish_reason":"error","error":{"code":502}}]}`), nil)
	assert.Equal(t, "error", string(v.FinishReason))
	assert.JSONEq(t, `{"message":{"content":""},"finish_reason":"error","error":{"code":502}}`, string(v.Detail))
	v = Judge(EmbeddingsSurface, []byte(`{}`), nil)
	assert.EqualError(t, v.Err, `answer has no "data"`)
}

// Each member is handed on once, in order, as it is written.
func TestJudgeMembers(t *testing.T) {
	var got []string
	Judge(ChatSurface, []byte(` {"id" : "x", "choices":[{"message":{"content":"Hi"}}] ,"usage":{"prompt_tokens":1} } `), func(name, value []byte) {
		got = append(got, string(name)+"="+string(value))
	})
	assert.Equal(t, []string{`id="x"`, `choices=[{"message":{"content":"Hi"}}]`, `usage={"prompt_tokens":1}`}, got)
	got = nil
	Judge(ChatSurface, []byte(`{"choices":[{"usage": {"prompt_tokens":1}},{"usage":null}]}`), func(name, value []byte) {
		got = append(got, string(name)+"="+string(value))
	})
	assert.Equal(t, []string{`usage={"prompt_tokens":1}`, `choices=[{"usage": {"prompt_tokens":1}},{"usage":null}]`}, got, "the usage of a choice")
	body := []byte(`{"choices":[{"message":{"content":"Hi"},"usage":{"prompt_tokens":1}}],"usage":{"prompt_tokens":1}}`)
	n := 0
	assert.Zero(t, testing.AllocsPerRun(10, func() { Judge(ChatSurface, body, func(_, value []byte) { n += len(value) }) }))
}

// A verdict agrees with encoding/json on the syntax, and calls no answer good that
// lacks what its surface must have.
func FuzzJudge(f *testing.F) {
	for _, c := range judgeCases {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		valid := json.Valid(body)
		for name, surface := range surfaceNames {
			v := Judge(surface, body, func(name, value []byte) {
				if !valid {
					return
				}
				require.True(t, json.Valid(value), "%s: %s", name, value)
			})
			if v.Err == nil {
				require.True(t, valid, "%s takes %q", name, body)
			}
			if errors.Is(v.Err, ErrNotJSON) {
				require.False(t, valid, "%s does not take %q", name, body)
			}
		}
		var chat struct{ Choices []json.RawMessage }
		if Judge(ChatSurface, body, nil).Err == nil && json.Unmarshal(body, &chat) == nil {
			require.NotEmpty(t, chat.Choices, "%q", body)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	text, _ := json.Marshal(strings.Repeat("The quick brown fox \"jumps\" over the lazy dog.\n", 100))
	for name, row := range map[string]struct {
		surface Surface
		body    string
	}{
		"chat-5KB":      {ChatSurface, `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":` + string(text) + `,"refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}`},
		"chat-small":    {ChatSurface, `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Hello!","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21}}`},
		"vectors-300KB": {EmbeddingsSurface, `{"object":"list","data":[{"object":"embedding","embedding":[` + strings.Repeat("-0.0123456789,", 23_000) + `0]}],"usage":{"prompt_tokens":9}}`},
	} {
		data := []byte(row.body)
		b.Run(name+"/scan", func(b *testing.B) { // the syntax and nothing else
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if !jsonscan.IsValue(data) {
					b.Fatal("not valid")
				}
			}
		})
		b.Run(name+"/judge", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if v := Judge(row.surface, data, func(name, _ []byte) { n += len(name) }); v.Err != nil {
					b.Fatal(v.Err)
				}
			}
		})
	}
}
