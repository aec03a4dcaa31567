package dialect_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// TestRequestsThatUpstreamsRefuse holds requests that are right in the client's format.
// Written as they are, the upstream's API would answer 400.
func TestRequestsThatUpstreamsRefuse(t *testing.T) {
	jpg := `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/jpg;base64,AAAA"}}]}]`
	text := base64.StdEncoding.EncodeToString([]byte("a \"b\"\nü"))
	file := `"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,` + text + `"}}]}]`
	for name, c := range map[string]struct {
		from, to dialect.Format
		model    string
		in       string
		want     []string
		not      []string
		lost     []string
	}{
		"white space stops nothing": {
			dialect.Chat, dialect.Messages, "m", `"stop":["\n\n"," END ","","\t\u0020"]`,
			[]string{`"stop_sequences":[" END "]`}, nil, []string{"stop"},
		},
		"white space alone": {dialect.Chat, dialect.Messages, "m", `"stop":"\n"`, nil, []string{"stop_sequences"}, []string{"stop"}},
		"two samplers": {
			dialect.Chat, dialect.Messages, "claude-sonnet-4-5", `"temperature":0.3,"top_p":0.9`,
			[]string{`"temperature":0.3`}, []string{"top_p"}, []string{"top_p"},
		},
		"two samplers, with a default": {
			dialect.Responses, dialect.Messages, "claude-opus-4-6", `"temperature":0.3,"top_p":1.0`, []string{`"temperature":0.3`}, []string{"top_p"}, nil,
		},
		"one sampler": {dialect.Chat, dialect.Messages, "claude-opus-4-1", `"top_p":0.9`, []string{`"top_p":0.9`}, nil, nil},
		"two samplers of an older model": {
			dialect.Chat, dialect.Messages, "anthropic.claude-sonnet-4-20250514-v1:0", `"temperature":0.3,"top_p":0.9`, []string{`"temperature":0.3,"top_p":0.9`}, nil, nil,
		},
		"two samplers of another maker": {dialect.Chat, dialect.Messages, "glm-5", `"temperature":0.3,"top_p":0.9`, []string{`"temperature":0.3,"top_p":0.9`}, nil, nil},
		"no sampler": {
			dialect.Chat, dialect.Messages, "claude-opus-4-8", `"temperature":0.3,"top_p":0.9`, nil, []string{"temperature", "top_p"}, []string{"temperature", "top_p"},
		},
		"no sampler, by its family": {dialect.Responses, dialect.Messages, "claude-sonnet-5", `"temperature":0`, nil, []string{"temperature"}, []string{"temperature"}},
		"no sampler, and defaults":  {dialect.Chat, dialect.Messages, "claude-haiku-5-5", `"temperature":1,"top_p":1`, []string{`"temperature":1`}, []string{"top_p"}, nil},
		"a temperature over the range": {
			dialect.Chat, dialect.Messages, "claude-sonnet-5", `"temperature":1.5`, []string{`"temperature":1`}, nil, []string{"temperature"},
		},
		"a schema without a type": {
			dialect.Chat, dialect.Messages, "m",
			`"tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"function","function":{"name":"g","parameters":{ "properties":{"type":{"type":"string"}}}}}]`,
			[]string{`"name":"f","input_schema":{"type":"object"}`, `"name":"g","input_schema":{"type":"object","properties":{"type":{"type":"string"}}}`}, nil, nil,
		},
		"a schema with null for a type": {
			dialect.Responses, dialect.Messages, "m", `"tools":[{"type":"function","name":"f","parameters":{"type":null,"properties":{}}}]`,
			[]string{`"input_schema":{"type":"object","properties":{}}`}, nil, nil,
		},
		"a common name of JPEG": {dialect.Chat, dialect.Messages, "m", jpg, []string{`"media_type":"image/jpeg"`}, nil, nil},
		"a document of text": {
			dialect.Chat, dialect.Messages, "m", file, []string{`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a \"b\"\nü"},"title":"a.txt"}`}, nil, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := example{format: c.from, json: c.in}
			out, report, err := translator(t, c.from, c.to).Request([]byte(e.request()), dialect.Options{Model: c.model})
			require.NoError(t, err)
			require.NotNil(t, decode(string(out)), "JSON: %s", out)
			for _, w := range c.want {
				assert.Contains(t, string(out), w)
			}
			for _, w := range c.not {
				assert.NotContains(t, string(out), w)
			}
			assert.Equal(t, c.lost, report.Lost)
		})
	}
}

// TestPrefill: the last turn of the assistant is the front of its next one in messages.
// Other APIs begin a new one, and the client would glue the two together.
func TestPrefill(t *testing.T) {
	for _, to := range []dialect.Format{dialect.Chat, dialect.Responses} {
		for turns, lost := range map[string][]string{
			`{"role":"user","content":"hi"},{"role":"assistant","content":"{"}`:                                 {"messages.prefill"},
			`{"role":"user","content":"hi"},{"role":"assistant","content":"so"},{"role":"user","content":"go"}`: nil,
		} {
			out, report, err := translator(t, dialect.Messages, to).Request([]byte(`{"model":"m","max_tokens":99,"messages":[`+turns+`]}`), dialect.Options{})
			require.NoError(t, err)
			assert.Equal(t, lost, report.Lost)
			assert.Contains(t, string(out), `"assistant"`)
		}
	}
}

// TestSearchResults: what a client found is text for the model, like a document of blocks.
func TestSearchResults(t *testing.T) {
	block := `{"type":"search_result","source":"https://a.example/x","title":"About x","content":[{"type":"text","text":"x is y"}],"citations":{"enabled":true}}`
	turns := `{"role":"user","content":"x?"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"find","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[` + block + `]},` + block + `]}`
	for _, to := range []dialect.Format{dialect.Chat, dialect.Responses} {
		out, report, err := translator(t, dialect.Messages, to).Request([]byte(`{"model":"m","max_tokens":99,"messages":[`+turns+`]}`), dialect.Options{})
		require.NoError(t, err)
		assert.Equal(t, []string{"citations"}, report.Lost)
		for _, w := range []string{"https://a.example/x", "About x", "x is y"} {
			assert.Contains(t, string(out), w)
		}
	}
}

// TestCallsWithoutIDs reads servers that give calls no ids, the same index, or the same
// id. Each call reaches the client as one, under an id of its own.
func TestCallsWithoutIDs(t *testing.T) {
	none := func(name, args string) string { return call(0, "", name, args) }
	for name, stream := range map[string]string{
		"one index":          none("f", `{"a":1}`) + none("f", `{"a":2}`) + none("g", `{}`),
		"one index, pieces":  none("f", `{"a"`) + none("", `:1}`) + none("f", `{"a":2}`) + none("g", `{}`),
		"names again":        none("f", `{"a"`) + none("f", `:1}`) + none("f", `{"a":2}`) + none("g", `{}`),
		"one id":             call(0, "c", "f", `{"a":1}`) + call(1, "c", "f", `{"a":2}`) + call(2, "c", "g", `{}`),
		"one chunk":          chunk(`{"tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}},{"function":{"name":"f","arguments":"{\"a\":2}"}},{"function":{"name":"g","arguments":"{}"}}]}`),
		"objects":            chunk(`{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"f","arguments":{"a":2}}},{"function":{"name":"g","arguments":{}}}]}`),
		"without arguments":  none("f", `{"a":1}`) + none("f", `{"a":2}`) + chunk(`{"tool_calls":[{"index":0,"function":{"name":"g"}}]}`),
		"an id in each call": call(0, "a", "f", `{"a":1}`) + call(0, "b", "f", `{"a":2}`) + call(0, "c", "g", `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			for _, client := range []dialect.Format{dialect.Responses, dialect.Messages} {
				s := begun(t, client, dialect.Chat, true).Stream()
				got := string(s.Write([]byte(stream + finish("tool_calls") + done)))
				require.True(t, s.Whole(), "%v: %s", s.Err(), got)
				ids := map[any]bool{}
				var calls []string
				if client == dialect.Messages {
					m := collect(t, client, got)
					for _, b := range m["content"].([]any) {
						b := b.(object)
						ids[b["id"]] = true
						calls = append(calls, b["name"].(string)+compact(b["input"]))
					}
				} else {
					for _, b := range collect(t, client, got)["output"].([]any) {
						b := b.(object)
						ids[b["call_id"]] = true
						calls = append(calls, b["name"].(string)+b["arguments"].(string))
					}
				}
				assert.Equal(t, []string{`f{"a":1}`, `f{"a":2}`, `g{}`}, calls)
				assert.Len(t, ids, 3)
			}
		})
	}
	for _, client := range []dialect.Format{dialect.Responses, dialect.Messages} {
		out, err := begun(t, client, dialect.Chat, false).Answer([]byte(chatReply(`"content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}},{"id":"c","function":{"name":"g","arguments":"{}"}},{"id":"d","function":{"name":"g","arguments":"{}"}}]`, "tool_calls", "")))
		require.NoError(t, err)
		ids := map[any]bool{}
		list, id := "content", "id"
		if client == dialect.Responses {
			list, id = "output", "call_id"
		}
		for _, b := range decode(string(out)).(object)[list].([]any) {
			ids[b.(object)[id]] = true
		}
		assert.Len(t, ids, 3)
	}
}

// TestStopsOfServers: the stop reason and the calls of an answer go together, whatever
// word the server has for its end.
func TestStopsOfServers(t *testing.T) {
	one := `"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]`
	cut := `"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a"}}]`
	for name, c := range map[string]struct{ message, finish, want string }{
		"a call, and stop":              {`"content":"so",` + one, "stop", "tool_use"},
		"no call, and tool_calls":       {`"content":"so"`, "tool_calls", "end_turn"},
		"arguments that are not JSON":   {`"content":"so",` + cut, "tool_calls", "end_turn"},
		"arguments that the limit cut":  {`"content":"so",` + cut, "length", "max_tokens"},
		"an empty list, and tool_calls": {`"content":"so","tool_calls":[]`, "tool_calls", "end_turn"},
	} {
		out, err := begun(t, dialect.Messages, dialect.Chat, false).Answer([]byte(chatReply(c.message, c.finish, "")))
		require.NoError(t, err, name)
		assert.Equal(t, c.want, decode(string(out)).(object)["stop_reason"], name)
	}
	for name, c := range map[string]struct{ stream, want string }{
		"a line end behind a call": {call(0, "c", "f", "{}") + chunk(`{"content":"\n"}`) + finish("stop"), "tool_use"},
		"an answer behind a call":  {call(0, "c", "f", "{}") + chunk(`{"content":"It rains."}`) + finish("stop"), "end_turn"},
		"no call, and tool_calls":  {chunk(`{"content":"so"}`) + finish("tool_calls"), "end_turn"},
	} {
		s := begun(t, dialect.Messages, dialect.Chat, true).Stream()
		got := string(s.Write([]byte(c.stream + done)))
		assert.True(t, s.Whole(), name)
		assert.Contains(t, got, `"stop_reason":"`+c.want+`"`, name)
	}
}

// TestSignaturesOfCalls: Gemini signs its calls in chat, and refuses the next turn without
// the signatures. They come back at their calls, through clients of other formats.
func TestSignaturesOfCalls(t *testing.T) {
	const (
		first  = `{"id":"a:1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"sig+/=A"}}}`
		second = `{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}`
		third  = `{"id":"c","type":"function","function":{"name":"g","arguments":"{}"},"extra_content":{"vertex":{"thought_signature":"sigC"}}}`
	)
	late := call(0, "a:1", "f", "") + call(1, "b", "g", "{}") + call(2, "c", "g", "") +
		chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{}"},"extra_content":{"google":{"thought_signature":"sig+/=A"}}}]}`) +
		chunk(`{"tool_calls":[{"index":2,"function":{"arguments":"{}"},"extra_content":{"vertex":{"thought_signature":"sigC"}}}]}`)
	for _, client := range []dialect.Format{dialect.Responses, dialect.Messages} {
		answers := map[string]object{}
		whole, err := begun(t, client, dialect.Chat, false).Answer([]byte(chatReply(`"content":"so","tool_calls":[`+first+","+second+","+third+`]`, "stop", "")))
		require.NoError(t, err)
		answers["whole"] = decode(string(whole)).(object)
		for name, stream := range map[string]string{"one chunk": chunk(`{"content":"so","tool_calls":[` + first + "," + second + "," + third + `]}`), "late": late} {
			s := begun(t, client, dialect.Chat, true).Stream()
			got := string(s.Write([]byte(stream + finish("stop") + done)))
			require.True(t, s.Whole(), "%v", s.Err())
			answers[name] = collect(t, client, got)
		}
		s := begun(t, client, dialect.Chat, true).Stream()
		answers["thoughts"] = collect(t, client, string(s.Write([]byte(chunk(`{"reasoning_content":"hm"}`)+chunk(`{"tool_calls":[`+first+","+second+","+third+`]}`)+finish("stop")+done))))
		for name, answer := range answers {
			var request string
			if client == dialect.Messages {
				request = `{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":` + compact(answer["content"]) +
					`},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a:1","content":"r"}]}]}`
			} else {
				items := strings.TrimSuffix(compact(answer["output"]), "]")
				request = `{"model":"m","input":` + items + `,{"type":"function_call_output","call_id":"a:1","output":"r"}]}`
			}
			out, report, err := translator(t, client, dialect.Chat).Request([]byte(request), dialect.Options{})
			require.NoError(t, err)
			assert.Contains(t, string(out), `"tool_calls":[`+first+","+second+","+third+`]`, "%s %s", client, name)
			assert.Empty(t, report.Lost, "%s %s", client, name)
			assert.NotContains(t, string(out), "aigateway")
			assert.Equal(t, name == "thoughts", strings.Contains(string(out), `"reasoning_content":"hm"`))
			assert.NotContains(t, string(dialect.Cut(client, []byte(request))), "aigateway:", "the provider of the client's own format could not verify them")

			// Another format has no place for them.
			other := dialect.Messages
			if client == dialect.Messages {
				other = dialect.Responses
			}
			out, report, err = translator(t, client, other).Request([]byte(request), dialect.Options{})
			require.NoError(t, err)
			assert.Equal(t, []string{"reasoning"}, report.Lost)
			assert.NotContains(t, string(out), "aigateway")
		}
	}
}
