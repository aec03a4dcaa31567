package dialect_test

import (
	"encoding/base64"
	"regexp"
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
		"a forced tool where thinking is the default": {
			dialect.Chat, dialect.Messages, "claude-sonnet-5", chatTool + `,"tool_choice":"required"`,
			[]string{`"thinking":{"type":"disabled"}`, `"tool_choice":{"type":"any"}`}, nil, nil,
		},
		"a forced tool of a model that always thinks": {
			dialect.Responses, dialect.Messages, "claude-fable-5-1", respTool + `,"parallel_tool_calls":false,"tool_choice":{"type":"function","name":"f"}`,
			[]string{`"tool_choice":{"type":"auto","disable_parallel_tool_use":true}`}, []string{"thinking"}, []string{"tool_choice"},
		},
		"a forced tool of an earlier one": {
			dialect.Chat, dialect.Messages, "claude-fable-5", chatTool + `,"tool_choice":"required"`, []string{`"tool_choice":{"type":"any"}`}, []string{"thinking"}, nil,
		},
		"a last turn of the assistant": {
			dialect.Chat, dialect.Messages, "claude-opus-4-8", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"so"},{"role":"system","content":"x"}]`,
			[]string{`{"role":"assistant","content":"so"},{"role":"user","content":"Continue."}]`}, nil, []string{"system.position", "last_turn"},
		},
		"a last turn of the assistant, of an earlier model": {
			dialect.Responses, dialect.Messages, "claude-sonnet-4-5", `"input":[{"role":"user","content":"hi"},{"role":"assistant","content":"so"}]`,
			[]string{`{"role":"assistant","content":"so"}]`}, nil, nil,
		},
		"white space for words": {
			dialect.Chat, dialect.Messages, "m", `"messages":[{"role":"system","content":"\n"},{"role":"user","content":"\u00a0 "},{"role":"assistant","content":" "},{"role":"user","content":[{"type":"text","text":"hi"},{"type":"text","text":"\n"}]}]`,
			[]string{`"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"text","text":"\n"}]}]`}, []string{"system"}, nil,
		},
		"white space beside an image and a call": {
			dialect.Chat, dialect.Messages, "m", `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a.example/x.png"}},{"type":"text","text":" "}]},` +
				`{"role":"assistant","content":"\n\n","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":" \t"},{"role":"user","content":"  "}]`,
			[]string{`"content":[{"type":"image","source":{"type":"url","url":"https://a.example/x.png"}}]`, `"content":[{"type":"tool_use","id":"c","name":"f","input":{}}]`, `"content":[{"type":"tool_result","tool_use_id":"c"}]}]`}, nil, nil,
		},
		"white space alone in a conversation": {
			dialect.Responses, dialect.Messages, "m", `"input":[{"role":"user","content":""}]`, []string{`"messages":[{"role":"user","content":"Begin."}]`}, nil, []string{"first_turn"},
		},
		"white space, and then the assistant": {
			dialect.Chat, dialect.Messages, "m", `"messages":[{"role":"user","content":" "},{"role":"assistant","content":"so"}]`,
			[]string{`"messages":[{"role":"user","content":"Begin."},{"role":"assistant","content":"so"}]`}, nil, []string{"first_turn"},
		},
		"a last turn of white space": {
			dialect.Chat, dialect.Messages, "claude-sonnet-4-5", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"so"},{"role":"user","content":"\n"}]`,
			[]string{`{"role":"assistant","content":"so"},{"role":"user","content":"Continue."}]`}, nil, []string{"last_turn"},
		},
		"a turn with another provider's file alone": {
			dialect.Chat, dialect.Messages, "m", `"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file_1"}}]},{"role":"user","content":"hi"}]`,
			[]string{`"messages":[{"role":"user","content":"hi"}]`}, nil, []string{"documents.file_id"},
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
		"open schemas": {
			dialect.Chat, dialect.Messages, "m",
			`"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"type":{"type":"object","properties":{"a":{"enum":[{"type":"object"}]}}},"l":{"type":"array","items":{"type":["object","null"]}},"u":{"anyOf":[{"type":"object"},{"$ref":"#/$defs/d"}]}},"$defs":{"d":{"properties":{}}}}}}`,
			[]string{`"schema":{"type":"object","properties":{"type":{"type":"object","properties":{"a":{"enum":[{"type":"object"}]}},"additionalProperties":false},"l":{"type":"array","items":{"type":["object","null"],"additionalProperties":false}},` +
				`"u":{"anyOf":[{"type":"object","additionalProperties":false},{"$ref":"#/$defs/d"}]}},"$defs":{"d":{"properties":{},"additionalProperties":false}},"additionalProperties":false}`}, nil, nil,
		},
		"bounds in a schema": {
			dialect.Responses, dialect.Messages, "m",
			`"text":{"format":{"type":"json_schema","name":"a","strict":true,"schema":{"type":"object","properties":{"n":{"type":"integer","description":"How \"many\"","minimum":1,"maximum":5},"s":{"type":"string","format":"uri","minLength":2},` +
				`"l":{"type":"array","items":{"type":"string","format":"regex"},"minItems":1},"m":{"type":"array","minItems":2},"o":{"oneOf":[{"type":"null"}]}},"additionalProperties":{"type":"string"}}}}`,
			[]string{
				`"n":{"type":"integer","description":"How \"many\"\n\n{minimum: 1, maximum: 5}"}`, `"s":{"type":"string","format":"uri","description":"{minLength: 2}"}`,
				`"items":{"type":"string","description":"{format: \"regex\"}"},"minItems":1}`, `"m":{"type":"array","description":"{minItems: 2}"}`, `"o":{"anyOf":[{"type":"null"}]}`,
				`"additionalProperties":false,"description":"{additionalProperties: {\"type\":\"string\"}}"}`,
			}, nil, []string{"schema.minimum", "schema.maximum", "schema.minLength", "schema.format", "schema.minItems", "schema.oneOf", "schema.additionalProperties"},
		},
		"a schema that fits": {
			dialect.Chat, dialect.Messages, "m", `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{ "description":"d", "type":"object","additionalProperties":false ,"properties":{"minimum":{"type":"string"}}}}}`,
			[]string{`"schema":{ "description":"d", "type":"object","additionalProperties":false ,"properties":{"minimum":{"type":"string"}}}`}, nil, nil,
		},
		"strict tools and other tools": {
			dialect.Chat, dialect.Messages, "m",
			`"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"n":{"type":"integer","minimum":1}},"required":["n"],"additionalProperties":false}}},{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}}}]`,
			[]string{`"n":{"type":"integer","description":"{minimum: 1}"}`, `"name":"g","input_schema":{"type":"object","properties":{"n":{"type":"integer","minimum":1}}}`}, nil, []string{"schema.minimum"},
		},
		"an optional property": {
			dialect.Messages, dialect.Responses, "m", `"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"],"additionalProperties":false}}}`,
			[]string{`"strict":false`}, []string{`"strict":true`}, []string{"schema.strict"},
		},
		"a required one": {
			dialect.Messages, dialect.Chat, "m", `"output_format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"anyOf":[{"type":"string","format":"date"},{"$ref":"#/$defs/d"}]}},"required":["a"],"additionalProperties":false,"$defs":{"d":{"type":"array","items":{"type":"string"}}}}}`,
			[]string{`"strict":true`}, nil, nil,
		},
		"strict tools of messages": {
			dialect.Messages, dialect.Responses, "m", `"tools":[{"name":"f","strict":true,"input_schema":{"type":"object","properties":{"a":{"type":"string","default":"x"}},"required":["a"],"additionalProperties":false}},` +
				`{"name":"g","strict":true,"input_schema":{"type":"object","properties":{},"additionalProperties":false}}]`,
			[]string{`"name":"f","parameters":{"type":"object","properties":{"a":{"type":"string","default":"x"}},"required":["a"],"additionalProperties":false},"strict":false`, `"additionalProperties":false},"strict":true`}, nil, []string{"tools.strict"},
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
		"counted pieces":     call(0, "a", "f", "") + call(1, "", "", `{"a":`) + call(2, "", "", `1}`) + call(1, "b", "f", `{"a"`) + call(9, "", "", `:2}`) + call(3, "c", "g", `{}`),
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
		"a call of nothing":             {`"content":"so","tool_calls":[{"id":"c","type":"function","function":{"name":"","arguments":"{}"}}]`, "tool_calls", "end_turn"},
		"an older server":               {`"content":null,"function_call":{"name":"f","arguments":"{}"}`, "function_call", "tool_use"},
		"an older server's null":        {`"content":"so","function_call":null,"tool_calls":null`, "stop", "end_turn"},
		"a newer server's copy":         {`"content":null,"function_call":{"name":"","arguments":""},` + one, "tool_calls", "tool_use"},
	} {
		out, err := begun(t, dialect.Messages, dialect.Chat, false).Answer([]byte(chatReply(c.message, c.finish, "")))
		require.NoError(t, err, name)
		assert.Equal(t, c.want, decode(string(out)).(object)["stop_reason"], name)
		assert.Equal(t, map[bool]int{true: 1}[c.want == "tool_use"], strings.Count(string(out), `"type":"tool_use"`), name)
	}
	_, err := begun(t, dialect.Messages, dialect.Chat, false).Answer([]byte(chatReply(`"content":"so","tool_calls":[{"id":"c","function":{"arguments":"{\"a\":1}"}}]`, "tool_calls", "")))
	require.ErrorIs(t, err, dialect.ErrMalformed, "arguments of no tool")
	for name, c := range map[string]struct{ stream, want string }{
		"a line end behind a call": {call(0, "c", "f", "{}") + chunk(`{"content":"\n"}`) + finish("stop"), "tool_use"},
		"an answer behind a call":  {call(0, "c", "f", "{}") + chunk(`{"content":"It rains."}`) + finish("stop"), "end_turn"},
		"no call, and tool_calls":  {chunk(`{"content":"so"}`) + finish("tool_calls"), "end_turn"},
		"a call of nothing":        {chunk(`{"content":"so"}`) + call(0, "c", "", "") + finish("tool_calls"), "end_turn"},
		"an older server": {chunk(`{"content":null,"function_call":{"name":"f","arguments":"{\"a\""}}`) + chunk(`{"function_call":{"arguments":":1}"}}`) +
			chunk(`{"function_call":null}`) + finish("function_call"), "tool_use"},
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
			assert.Contains(t, report.Lost, "reasoning")
			assert.NotContains(t, string(out), "aigateway")
		}
	}
}

// TestLongNames: Claude Code's names of MCP tools have up to 128 letters, and the APIs of
// OpenAI and Gemini take 64. The model sees a short name, the client its own.
func TestLongNames(t *testing.T) {
	long := "mcp__ymir-privileged__get_failed_pipeline_jobs_from_merge_request_"
	one, two := long+"by_id", long+"by_name"
	tools := `"tools":[{"name":"` + one + `","input_schema":{"type":"object"}},{"name":"` + two + `","input_schema":{"type":"object"}},{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"` + two + `"}`
	turns := `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"` + one + `","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"r"}]}]`
	for _, up := range []dialect.Format{dialect.Chat, dialect.Responses} {
		tr := translator(t, dialect.Messages, up)
		out, report, err := tr.Request([]byte(`{"model":"m","max_tokens":99,`+turns+`,`+tools+`}`), dialect.Options{})
		require.NoError(t, err)
		assert.Empty(t, report.Lost)
		assert.NotContains(t, string(out), long)
		names := regexp.MustCompile(`"name":"([^"]*)"`).FindAllStringSubmatch(string(out), -1)
		require.Len(t, names, 5)
		for _, n := range names {
			assert.LessOrEqual(t, len(n[1]), 64)
		}
		asked, a, b, f, forced := names[0][1], names[1][1], names[2][1], names[3][1], names[4][1]
		assert.Equal(t, []string{a, "f", b}, []string{asked, f, forced})
		assert.NotEqual(t, a, b)

		again, _, err := translator(t, dialect.Messages, up).Request([]byte(`{"model":"m","max_tokens":99,`+turns+`,`+tools+`}`), dialect.Options{})
		require.NoError(t, err)
		assert.Equal(t, string(out), string(again), "prompts are cached by their text")

		var whole, stream string
		if up == dialect.Chat {
			whole = chatReply(`"content":null,"tool_calls":[{"id":"c","function":{"name":"`+b+`","arguments":"{}"}}]`, "tool_calls", "")
			stream = call(0, "c", b, "{}") + finish("tool_calls") + done
		} else {
			item := `{"type":"function_call","call_id":"c","name":"` + b + `","arguments":"{}"}`
			whole = responsesReply("completed", item, "")
			stream = `data: {"type":"response.output_item.added","output_index":0,"item":` + item + "}\n\n" +
				`data: {"type":"response.output_item.done","output_index":0,"item":` + item + "}\n\n" +
				`data: {"type":"response.completed","response":` + whole + "}\n\n"
			last := tr.Stream()
			got := string(last.Write([]byte(`data: {"type":"response.completed","response":` + whole + "}\n\n")))
			assert.Contains(t, got, `"name":"`+two+`"`)
		}
		answer, err := tr.Answer([]byte(whole))
		require.NoError(t, err)
		assert.Contains(t, string(answer), `"name":"`+two+`"`)
		got := string(tr.Stream().Write([]byte(stream)))
		assert.Contains(t, got, `"name":"`+two+`"`)
	}
	// A custom tool of a namespace is one through both.
	tr := translator(t, dialect.Responses, dialect.Chat)
	out, _, err := tr.Request([]byte(`{"model":"m","input":"hi","tools":[{"type":"namespace","name":"`+long+`","tools":[{"type":"custom","name":"say"}]}]}`), dialect.Options{})
	require.NoError(t, err)
	name := regexp.MustCompile(`"name":"([^"]*)"`).FindStringSubmatch(string(out))[1]
	got := string(tr.Stream().Write([]byte(call(0, "c", name, `{"input":"x"}`) + finish("tool_calls") + done)))
	item := collect(t, dialect.Responses, got)["output"].([]any)[0].(object)
	assert.Equal(t, []any{"custom_tool_call", long, "say", "x"}, []any{item["type"], item["namespace"], item["name"], item["input"]})
}

// TestFirstTurns: messages wants a turn of the user, and first. Chat does not.
func TestFirstTurns(t *testing.T) {
	for in, want := range map[string]string{
		`"messages":[{"role":"system","content":"Greet me."}]`:                                          `"system":"Greet me.","max_tokens":8192,"messages":[{"role":"user","content":"Begin."}]`,
		`"messages":[{"role":"assistant","content":"Hello!"},{"role":"user","content":"hi"}]`:           `"messages":[{"role":"user","content":"Begin."},{"role":"assistant","content":"Hello!"},{"role":"user","content":"hi"}]`,
		`"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"so"}]`:               `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"so"}]`,
		`"messages":[{"role":"developer","content":"x"},{"role":"assistant","content":"Hello!"}]`:       `"messages":[{"role":"user","content":"Begin."},{"role":"assistant","content":"Hello!"}]`,
		`"messages":[{"role":"assistant","content":"","tool_calls":[]},{"role":"user","content":"hi"}]`: `"messages":[{"role":"user","content":"hi"}]`,
	} {
		out, report, err := translator(t, dialect.Chat, dialect.Messages).Request([]byte(`{"model":"m",`+in+`}`), dialect.Options{})
		require.NoError(t, err)
		assert.Contains(t, string(out), want)
		if strings.Contains(want, "Begin.") {
			assert.Equal(t, []string{"first_turn"}, report.Lost)
		} else {
			assert.Empty(t, report.Lost)
		}
	}
	out, report, err := translator(t, dialect.Responses, dialect.Messages).Request([]byte(`{"model":"m","instructions":"Greet me.","input":[]}`), dialect.Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"first_turn"}, report.Lost)
	assert.Contains(t, string(out), `"messages":[{"role":"user","content":"Begin."}]`)
}

// TestSamplersThatSayNothing: LangChain sends -1 for top_k and top_p where nothing is set.
func TestSamplersThatSayNothing(t *testing.T) {
	for _, to := range []dialect.Format{dialect.Chat, dialect.Responses} {
		out, report, err := translator(t, dialect.Messages, to).Request([]byte(`{"model":"m","max_tokens":99,"top_k":-1,"top_p":-1,"messages":[{"role":"user","content":"hi"}]}`), dialect.Options{})
		require.NoError(t, err)
		assert.Empty(t, report.Lost)
		assert.NotContains(t, string(out), "top_")
	}
}

// TestModelsThatDoNotReason: APIs refuse reasoning_effort for such models, whatever its
// value. Claude Code always asks for thinking.
func TestModelsThatDoNotReason(t *testing.T) {
	for in, c := range map[string]struct {
		client dialect.Format
		lost   []string
	}{
		`"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}`: {dialect.Messages, []string{"thinking"}},
		`"thinking":{"type":"enabled","budget_tokens":2000}`:               {dialect.Messages, []string{"thinking"}},
		`"thinking":{"type":"disabled"}`:                                   {dialect.Messages, nil},
		`"reasoning":{"effort":"none"}`:                                    {dialect.Responses, nil},
		`"reasoning":{"effort":"low"}`:                                     {dialect.Responses, []string{"reasoning"}},
		`"reasoning_effort":"low"`:                                         {dialect.Chat, []string{"reasoning_effort"}},
	} {
		for to := range dialect.Format(3) {
			if to == c.client {
				continue
			}
			e := example{format: c.client, json: in}
			out, report, err := translator(t, c.client, to).Request([]byte(e.request()), dialect.Options{NoReasoning: true})
			require.NoError(t, err)
			assert.Equal(t, c.lost, report.Lost, in)
			for _, word := range []string{"reasoning", "thinking", "effort"} {
				assert.NotContains(t, string(out), word)
			}
		}
	}
}

// TestChunksOfServers reads chunks of other shapes than OpenAI's.
func TestChunksOfServers(t *testing.T) {
	both := func(first, second string) string {
		return `data: {"id":"c","model":"m","choices":[{"index":0,` + first + "," + second + `,"finish_reason":null}]}` + "\n\n"
	}
	const one, two = `"message":{"role":"assistant","content":"It rains"}`, `"delta":{"role":"assistant","content":" rains"}`
	for name, c := range map[string]struct{ stream, want string }{
		"Perplexity's whole message beside the delta": {chunk(`{"content":"It"}`) + both(one, two) + both(two, one), "+0 text | It |  rains |  rains | -0 | end_turn"},
		"TGI's call without a list": {
			chunk(`{"tool_calls":{"index":0,"id":"","type":"function","function":{"name":"f","arguments":"{"}}}`) + chunk(`{"tool_calls":{"index":0,"id":"","type":"function","function":{"name":"f","arguments":"}"}}}`),
			"+0 tool_use | { | } | -0 | tool_use",
		},
	} {
		s := begun(t, dialect.Messages, dialect.Chat, true).Stream()
		got := string(s.Write([]byte(c.stream + finish("stop") + done)))
		require.True(t, s.Whole(), "%s: %v", name, s.Err())
		assert.Equal(t, c.want, names(t, got), name)
	}
}

// TestFailedToolsWithoutWords: other formats have no mark for a failure. An empty result
// must not read like a success.
func TestFailedToolsWithoutWords(t *testing.T) {
	for _, to := range []dialect.Format{dialect.Chat, dialect.Responses} {
		for result, want := range map[string]bool{
			`"is_error":true`:                true,
			`"is_error":true,"content":""`:   true,
			`"is_error":true,"content":"no"`: false,
			`"is_error":false,"content":""`:  false,
		} {
			turns := `{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a",` + result + `}]}`
			out, _, err := translator(t, dialect.Messages, to).Request([]byte(`{"model":"m","max_tokens":99,"messages":[`+turns+`]}`), dialect.Options{})
			require.NoError(t, err)
			assert.Equal(t, want, strings.Contains(string(out), `"The tool failed."`), "%s %s", to, result)
		}
	}
}

// TestWaitingSignatures: what waits for an open call is bounded, with its signatures.
func TestWaitingSignatures(t *testing.T) {
	s := begun(t, dialect.Messages, dialect.Chat, true).Stream()
	s.Write([]byte(call(0, "a", "f", "{") + call(1, "b", "g", "{")))
	piece := []byte(chunk(`{"tool_calls":[{"index":1,"extra_content":{"google":{"thought_signature":"` + strings.Repeat("A", 10_000) + `"}}}]}`))
	for n := 0; s.Err() == nil; n++ {
		require.Less(t, n, 200, "2 MB")
		s.Write(piece)
	}
	assert.ErrorIs(t, s.Err(), dialect.ErrTooLong)
}

// TestEndlessSignatures: a stream of nothing but proofs is bounded like one of text.
func TestEndlessSignatures(t *testing.T) {
	big := strings.Repeat("A", 1<<20)
	start := `data: {"type":"message_start","message":{"id":"m"}}` + "\n\n"
	for name, c := range map[string]struct{ begin, piece string }{
		"deltas": {
			`data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}` + "\n\n",
			`data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"` + big + `"}}` + "\n\n",
		},
		"blocks": {
			"", `data: {"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"` + big + `"}}` + "\n\n" +
				`data: {"type":"content_block_stop","index":0}` + "\n\n",
		},
	} {
		for _, client := range []dialect.Format{dialect.Chat, dialect.Responses} {
			s := begun(t, client, dialect.Messages, true).Stream()
			s.Write([]byte(start + c.begin))
			for n := 0; s.Err() == nil; n++ {
				require.Less(t, n, 20, "%s: 20 MB for %s", name, client)
				s.Write([]byte(c.piece))
			}
			assert.ErrorIs(t, s.Err(), dialect.ErrTooLong)
		}
	}
	s := begun(t, dialect.Messages, dialect.Chat, true).Stream()
	s.Write([]byte(call(0, big, "f", "{}")))
	assert.ErrorIs(t, s.Err(), dialect.ErrTooLong, "an id of a megabyte")
}
