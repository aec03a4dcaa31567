package suite_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

const (
	translateToResults = `{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call","call_id":"b","name":"f","arguments":"{}"}`
	translateLongID    = "cursor-pi-bridge-run-c2417032-9686-40f2-bd3c-a763fbaa7693-tool-10"
)

// TestFieldTranslatedRequests sends requests of clients, whose first translation a provider
// of another API refused.
func TestFieldTranslatedRequests(t *testing.T) {
	for name, tt := range map[string]struct {
		path   string
		speaks []aigateway.APISurface
		ask    string
		want   []string // in the provider's request
		not    []string
		lost   string // named to the client
	}{
		// DeepSeek-V3#1588, opencodex#1292, livekit/agents#1977: a hook of Codex speaks
		// between a call and its result.
		"words between calls and results, at chat": {
			fieldResponses, translateChat,
			`"input":[{"role":"user","content":"hi"},` + translateToResults + `,{"role":"developer","content":"hook"},{"type":"function_call_output","call_id":"a","output":"1"},{"role":"user","content":"look"},{"type":"function_call_output","call_id":"b","output":"2"}]`,
			[]string{`}]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":"2"},{"role":"user",`}, nil, "system.role",
		},
		"words between calls and results, at messages": {
			fieldResponses, translateMessages,
			`"input":[{"role":"user","content":"hi"},` + translateToResults + `,{"role":"user","content":"look"},{"type":"function_call_output","call_id":"b","output":"2"},{"type":"function_call_output","call_id":"a","output":"1"}],"tools":[{"type":"function","name":"f"}]`,
			[]string{`{"role":"user","content":[{"type":"tool_result","tool_use_id":"b","content":"2"},{"type":"tool_result","tool_use_id":"a","content":"1"},{"type":"text","text":"look"}]}`}, nil, "",
		},
		"a result behind the next calls": {
			fieldResponses, translateChat,
			`"input":[{"role":"user","content":"hi"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"role":"user","content":"and?"},{"type":"function_call","call_id":"b","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"b","output":"2"},{"type":"function_call_output","call_id":"a","output":"1"}]`,
			[]string{`}]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"user","content":"and?"},{"role":"assistant",`, `}]},{"role":"tool","tool_call_id":"b","content":"2"}]`}, nil, "",
		},
		"a result without a call": {
			fieldResponses, translateChat,
			`"input":[{"type":"function_call_output","call_id":"z","output":"0"},{"role":"user","content":"hi"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"role":"user","content":"and?"},{"type":"function_call_output","call_id":"a","output":"1"}]`,
			[]string{`[{"role":"tool","tool_call_id":"z","content":"0"},{"role":"user","content":"hi"}`, `}]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"user","content":"and?"}]`}, nil, "",
		},

		// opencode#10259, strands-agents/sdk-python#998: a conversation with calls is
		// summed up, and no tool is offered.
		"calls without tools, of chat": {
			fieldChat, translateMessages,
			`"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":"1"},{"role":"user","content":"sum up"}]`,
			[]string{`"tools":[{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"none"}`}, nil, "",
		},
		"calls without tools, of responses": {
			fieldResponses, translateMessages, `"input":[{"role":"user","content":"hi"},` + translateToResults + `,{"type":"function_call_output","call_id":"a","output":"1"},{"type":"function_call_output","call_id":"b","output":"1"}],"tools":[]`,
			[]string{`"tools":[{"name":"f",`, `"tool_choice":{"type":"none"}`}, nil, "",
		},
		"results without calls and tools": {
			fieldChat, translateMessages, `"messages":[{"role":"tool","tool_call_id":"a","content":"1"},{"role":"user","content":"sum up"}]`,
			[]string{`"tools":[{"name":"tool",`, `"tool_choice":{"type":"none"}`}, nil, "",
		},
		"no calls and no tools": {
			fieldChat, translateMessages, `"messages":[{"role":"user","content":"hi"}],"tools":[],"tool_choice":"none"`, nil, []string{"tools", "tool_choice"}, "",
		},

		// 9router#393, ungate#26, vercel/ai#8132: ids of another API are longer than
		// OpenAI takes.
		"a long id, at responses": {
			fieldMessages, translateResponses,
			`"max_tokens":99,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"` + translateLongID + `","name":"f","input":{}},{"type":"tool_use","id":"` + translateLongID + `1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"` + translateLongID + `","content":"1"},{"type":"tool_result","tool_use_id":"` + translateLongID + `1","content":"2"}]}]`,
			[]string{
				`{"type":"function_call","call_id":"cursor-pi-bridge-run-c2417032-9686-40f2-bd3c-a763fbaa76_`, `"output":"1"},{"type":"function_call_output","call_id":"cursor-pi-bridge-run-c2417032-9686-40f2-bd3c-a763fbaa76_`,
			}, []string{translateLongID}, "",
		},

		// dario#203: Cursor writes tools and turns as messages has them, for models with
		// claude in their names.
		"tools of messages in chat": {
			fieldChat, translateMessages, `"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{}}}},{"type":"custom","name":"g","input_schema":{"type":"object","properties":{"b":{}}}}],"tool_choice":{"type":"any"}`,
			[]string{`{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{}}}},{"name":"g","input_schema":{"type":"object","properties":{"b":{}}}}`, `"tool_choice":{"type":"any"}`}, nil, "",
		},
		"tools of messages in chat, at responses": {
			fieldChat, translateResponses, `"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{}}}}],"tool_choice":{"type":"tool","name":"f"}`,
			[]string{`{"type":"function","name":"f","parameters":{"type":"object","properties":{"a":{}}},"strict":false}`, `"tool_choice":{"type":"function","name":"f"}`}, nil, "",
		},
		// archestra#7375: and custom tools as responses has them.
		"a custom tool of responses in chat": {
			fieldChat, translateResponses, `"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"custom","name":"ApplyPatch","format":{"type":"grammar","syntax":"lark","definition":"x"}}]`,
			[]string{`"tools":[{"type":"custom","name":"ApplyPatch","format":{"type":"grammar","syntax":"lark","definition":"x"}}]`}, nil, "",
		},
		"turns of messages in chat": {
			fieldChat, translateMessages,
			`"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}]},{"role":"assistant","content":[{"type":"text","text":"so"},{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"text","text":"more"},{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"r"}],"is_error":true}]}],"tools":[{"name":"f","input_schema":{}}]`,
			[]string{
				`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}`, `{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}`,
				`{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r","is_error":true},{"type":"text","text":"more"}]}`,
			}, nil, "",
		},
		"turns of messages in chat, at responses": {
			fieldChat, translateResponses,
			`"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r"}]}],"tools":[{"name":"f","input_schema":{}}]`,
			[]string{`{"type":"function_call","call_id":"t1","name":"f","arguments":"{\"a\":1}"},{"type":"function_call_output","call_id":"t1","output":"r"}`}, nil, "",
		},

		// LocalAI#11158, litellm#33573: a provider of messages caches nothing that is not
		// marked. Clients of OpenRouter and LiteLLM mark in chat as well.
		"marks of a chat": {
			fieldChat, translateMessages,
			`"messages":[{"role":"system","content":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"user","content":"hi","cache_control":{"type":"ephemeral"}},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"1","cache_control":{"type":"ephemeral"}}]}],"tools":[{"type":"function","function":{"name":"f","parameters":{}},"cache_control":{"type":"ephemeral"}}]`,
			[]string{
				`"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral","ttl":"1h"}}]`, `{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}`,
				`{"type":"tool_result","tool_use_id":"a","content":"1","cache_control":{"type":"ephemeral"}}`, `"input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}]`,
			}, nil, "",
		},
		"too many marks": {
			fieldChat, translateMessages,
			`"messages":[{"role":"user","content":[{"type":"text","text":"1","cache_control":{"type":"ephemeral"}},{"type":"text","text":"2","cache_control":{"type":"ephemeral"}},{"type":"text","text":"3","cache_control":{"type":"ephemeral"}},{"type":"image_url","image_url":{"url":"https://a.example/b.png"},"cache_control":{"type":"ephemeral"}}]},{"role":"system","content":"late","cache_control":{"type":"ephemeral"}}],"tools":[{"type":"function","function":{"name":"f","parameters":{},"cache_control":{"type":"ephemeral"}}}]`,
			[]string{`{"type":"text","text":"1","cache_control":{"type":"ephemeral"}}`, `"input_schema":{"type":"object"}}]`, `"system":"late"`}, nil, "system.position",
		},
		"a key for the cache": {
			fieldResponses, translateMessages, `"prompt_cache_key":"thread","instructions":"be brief","input":[{"role":"user","content":"hi"},{"role":"assistant","content":"so"},{"role":"user","content":[{"type":"input_text","text":"more"},{"type":"input_text","text":" "}]}],"tools":[{"type":"function","name":"f"}]`,
			[]string{`"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}]`, `{"role":"user","content":"hi"}`, `{"type":"text","text":"more","cache_control":{"type":"ephemeral"}}`}, nil, "",
		},
		"a key for the cache, and tools": {
			fieldChat, translateMessages, `"prompt_cache_key":"thread","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]`,
			[]string{`{"name":"f","input_schema":{"type":"object","properties":{}}}`, `{"name":"g","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral"}}`}, nil, "",
		},
		"a key for the cache beside a mark": {
			fieldResponses, translateMessages, `"prompt_cache_key":"thread","instructions":"be brief","input":[{"role":"user","content":[{"type":"input_text","text":"hi","prompt_cache_breakpoint":{"mode":"explicit"}},{"type":"input_text","text":"more"}]}]`,
			[]string{`"system":"be brief"`, `[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}},{"type":"text","text":"more"}]`}, nil, "",
		},
		"no mark": {fieldChat, translateMessages, `"prompt_cache_key":"","messages":[{"role":"user","content":"hi"}]`, nil, []string{"cache_control"}, ""},
		"marks at responses": {
			fieldChat, translateResponses, `"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}],"tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}}]`,
			[]string{`"content":"hi"`}, []string{"cache_control"}, "",
		},
		"marks in blocks of messages in a chat": {
			fieldChat, translateMessages, `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://a.example/b.png"},"cache_control":{"type":"ephemeral"}}]}]`,
			[]string{`"source":{"type":"url","url":"https://a.example/b.png"},"cache_control":{"type":"ephemeral"}}`}, nil, "",
		},

		// litellm#16711, claude-code-proxy#86: two results of one call.
		"two results of a call": {
			fieldChat, translateMessages,
			`"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":"2"},{"role":"tool","tool_call_id":"a","content":"3"}],"tools":[{"type":"function","function":{"name":"f"}}]`,
			[]string{`[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"},{"type":"text","text":"3"}]},{"type":"tool_result","tool_use_id":"b","content":"2"}]`}, nil, "",
		},

		// Tools of Anthropic's own types, run by the client: another model is
		// told of them (langchain#33510, vscode#274987).
		"tools of Anthropic's types, at chat": {
			fieldMessages, translateChat,
			`"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"str_replace_based_edit_tool","max_characters":100},{"type":"text_editor_20250124","name":"str_replace_editor"},{"type":"memory_20250818","name":"memory","cache_control":{"type":"ephemeral"}},{"type":"computer_20250124","name":"computer","display_width_px":9}],"tool_choice":{"type":"tool","name":"bash"}`,
			[]string{`"name":"bash","description":"Runs`, `"restart":{"type":"boolean"}`, `"name":"str_replace_based_edit_tool"`, `"insert_text"`, `"undo_edit"`, `"name":"memory"`, `"old_path"`, `"tool_choice":{"type":"function","function":{"name":"bash"}}`},
			[]string{"computer", "max_characters"}, "tools.display_width_px,tools.computer_20250124",
		},
		"tools of Anthropic's types, at responses": {
			fieldMessages, translateResponses, `"max_tokens":99,"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"bash_20250124","name":"bash"},{"type":"web_search_20250305","name":"web_search"}]`,
			[]string{`{"type":"function","name":"bash","description":"Runs`}, []string{"web_search"}, "tools.web_search_20250305",
		},

		// A repeated name is refused by messages and Gemini (n8n and Zed offer
		// tools of several MCP servers).
		"a name twice, at messages": {
			fieldChat, translateMessages, `"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","description":"one"}},{"type":"function","function":{"name":"f","description":"two"}},{"type":"function","function":{"name":"g"}}]`,
			[]string{`"tools":[{"name":"f","description":"one","input_schema":{"type":"object","properties":{}}},{"name":"g","input_schema":{"type":"object","properties":{}}}]`}, nil, "tools.name",
		},
		"a tool twice": {
			fieldMessages, translateChat, `"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"f","input_schema":{"type":"object"}}]`,
			[]string{`"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]`}, nil, "",
		},

		// OpenAI wants the properties of an object, and tools of MCP servers leave them out.
		"a schema without properties, at responses": {
			fieldMessages, translateResponses, `"max_tokens":99,"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{"$schema":"x","type":"object","properties":null}},{"name":"g","input_schema":{"type":"object"}}]`,
			[]string{`"parameters":{"$schema":"x","type":"object","properties":{}}`, `"name":"g","parameters":{"type":"object","properties":{}}`}, nil, "",
		},
		"no schema, at responses": {
			fieldChat, translateResponses, `"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]`,
			[]string{`"parameters":{"type":"object","properties":{}}`}, nil, "",
		},

		// archestra#7375: an empty list of parts is refused by OpenAI.
		"turns that nothing is left of, at chat": {
			fieldMessages, translateChat, `"max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"x"}}]},{"role":"assistant","content":[]},{"role":"user","content":[]}]`,
			[]string{`"messages":[{"role":"user","content":""},{"role":"assistant","content":""},{"role":"user","content":""}]`}, nil, "documents.file_id",
		},
		"turns that nothing is left of, at responses": {
			fieldChat, translateResponses, `"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"x"}}]},{"role":"user","content":[]}]`,
			[]string{`"input":[{"role":"user","content":""},{"role":"user","content":""}]`}, nil, "documents.file_id",
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := map[*aigateway.APISurface]string{&translateChat[0]: translateOfChat, &translateResponses[0]: translateOfResps, &translateMessages[0]: translateOfMsgs}[&tt.speaks[0]]
			for _, stream := range []string{"", `,"stream":true`} {
				var cfg aigateway.Config
				up := translateProvider(t, &cfg, "p", aigateway.TranslateOn, tt.speaks, gatewaytest.JSON(200, answer))
				resp, got := requestPost(t, testbed.Serve(t, cfg)+tt.path, nil, `{"model":"m",`+tt.ask+stream+`}`)
				require.Equal(t, http.StatusOK, resp.StatusCode, got)
				sent := string(up.Last().Body)
				for _, w := range tt.want {
					assert.Contains(t, sent, w)
				}
				for _, w := range tt.not {
					assert.NotContains(t, sent, w)
				}
				_, lost, _ := strings.Cut(resp.Header.Get(translateMark), "lost=")
				assert.Equal(t, tt.lost, lost)
			}
		})
	}
}

// TestFieldToolsOfOpenAI: OpenAI's models from gpt-5.4 on refuse tools in chat while they
// reason (openai-openapi#541, litellm#34569, crush#2913). Translated requests go to its
// responses, unless the config names chat.
func TestFieldToolsOfOpenAI(t *testing.T) {
	for name, tt := range map[string]struct {
		provider aigateway.Provider
		url      string
	}{
		"built in":           {aigateway.Provider{ID: "openai"}, "https://api.openai.com/v1/responses"},
		"by its address":     {aigateway.Provider{ID: "mine", BaseURL: "https://eu.api.openai.com/v1"}, "https://eu.api.openai.com/v1/responses"},
		"strict":             {aigateway.Provider{ID: "openai", Translate: aigateway.TranslateStrict}, "https://api.openai.com/v1/responses"},
		"chat alone":         {aigateway.Provider{ID: "openai", SupportedAPISurfaces: translateChat}, "https://api.openai.com/v1/chat/completions"},
		"chat before all":    {aigateway.Provider{ID: "openai", SupportedAPISurfaces: append(slices.Clone(translateChat), aigateway.APISurface{Format: "openai"})}, "https://api.openai.com/v1/chat/completions"},
		"another host":       {aigateway.Provider{ID: "mine", BaseURL: "https://llm.example/v1"}, "https://llm.example/v1/chat/completions"},
		"a host like OpenAI": {aigateway.Provider{ID: "mine", BaseURL: "https://api.openai.com.example/v1"}, "https://api.openai.com.example/v1/chat/completions"},
	} {
		t.Run(name, func(t *testing.T) {
			var url string
			p := tt.provider
			p.APIKeys, p.Models = []aigateway.APIKey{{Value: "sk-0123456789"}}, []aigateway.Model{{ID: "gpt-9"}}
			if p.Translate == "" {
				p.Translate = aigateway.TranslateOn
			}
			g, err := aigateway.New(aigateway.Config{
				Providers: []aigateway.Provider{p},
				Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
					url = r.URL.String()
					w := httptest.NewRecorder()
					gatewaytest.Fitting("ok")(w, r)
					return w.Result(), nil
				}),
			})
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, fieldMessages, strings.NewReader(`{"model":"gpt-9","max_tokens":99,"messages":[{"role":"user","content":"hi"}]}`)))
			assert.Equal(t, http.StatusOK, w.Code, w.Body)
			assert.Equal(t, tt.url, url)
		})
	}
}
