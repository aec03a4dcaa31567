package dialect_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

var update = flag.Bool("update", false, "write the golden files and docs/translation.md")

// example is a row of the table with members of a request that use the field.
type example struct {
	format dialect.Format
	name   string
	json   string
	// The fates and places in the other formats, in the order of the formats. Those
	// of top-level fields are the table's.
	ways []string
}

// request is a whole request with the example's members.
func (e *example) request() string {
	members := `"model":"m"`
	if e.format != dialect.Responses && !strings.Contains(e.json, `"messages"`) {
		members += `,"messages":[{"role":"user","content":"hi"}]`
	}
	if e.format == dialect.Responses && !strings.Contains(e.json, `"input":`) {
		members += `,"input":"hi"`
	}
	if e.format == dialect.Messages && !strings.Contains(e.json, `"max_tokens"`) {
		members += `,"max_tokens":4096`
	}
	if strings.Contains(e.json, `"model"`) {
		members = strings.TrimPrefix(members, `"model":"m",`)
	}
	return "{" + members + "," + e.json + "}"
}

const (
	chatTool  = `"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{}}}}]`
	respTool  = `"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object","properties":{}},"strict":false}]`
	anthTool  = `"tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{}}}]`
	chatTurns = `"messages":[{"role":"user","content":"hi"},%s]`
	respTurns = `"input":[{"role":"user","content":"hi"},%s]`
)

// topLevel are the examples of the table's rows: values of the public
// documentation's shapes.
var topLevel = map[dialect.Format]map[string]string{
	dialect.Chat: {
		"model":                  `"model":"gpt-5"`,
		"messages":               `"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]`,
		"max_tokens":             `"max_tokens":100`,
		"max_completion_tokens":  `"max_completion_tokens":100`,
		"temperature":            `"temperature":0.7`,
		"top_p":                  `"top_p":0.9`,
		"stop":                   `"stop":["END"]`,
		"stream":                 `"stream":true`,
		"stream_options":         `"stream":true,"stream_options":{"include_usage":true}`,
		"tools":                  chatTool,
		"tool_choice":            chatTool + `,"tool_choice":{"type":"function","function":{"name":"f"}}`,
		"parallel_tool_calls":    chatTool + `,"parallel_tool_calls":false`,
		"response_format":        `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","additionalProperties":false},"strict":true}}`,
		"reasoning_effort":       `"reasoning_effort":"high"`,
		"verbosity":              `"verbosity":"low"`,
		"n":                      `"n":2`,
		"metadata":               `"metadata":{"a":"b"}`,
		"user":                   `"user":"u"`,
		"safety_identifier":      `"safety_identifier":"u"`,
		"prompt_cache_key":       `"prompt_cache_key":"k"`,
		"prompt_cache_retention": `"prompt_cache_retention":"24h"`,
		"prompt_cache_options":   `"prompt_cache_options":{}`,
		"store":                  `"store":true`,
		"service_tier":           `"service_tier":"flex"`,
		"seed":                   `"seed":1`,
		"logprobs":               `"logprobs":true`,
		"top_logprobs":           `"top_logprobs":2`,
		"logit_bias":             `"logit_bias":{"50256":-100}`,
		"frequency_penalty":      `"frequency_penalty":0.5`,
		"presence_penalty":       `"presence_penalty":0.5`,
		"modalities":             `"modalities":["text","audio"]`,
		"audio":                  `"audio":{"voice":"alloy","format":"mp3"}`,
		"prediction":             `"prediction":{"type":"content","content":"x"}`,
		"web_search_options":     `"web_search_options":{}`,
		"moderation":             `"moderation":{}`,
		"functions":              `"functions":[{"name":"f","parameters":{}}]`,
		"function_call":          `"functions":[{"name":"f","parameters":{}}],"function_call":{"name":"f"}`,
	},
	dialect.Responses: {
		"model":                  `"model":"gpt-5"`,
		"input":                  `"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]`,
		"instructions":           `"instructions":"be brief"`,
		"max_output_tokens":      `"max_output_tokens":100`,
		"temperature":            `"temperature":0.7`,
		"top_p":                  `"top_p":0.9`,
		"stream":                 `"stream":true`,
		"stream_options":         `"stream":true,"stream_options":{"include_obfuscation":false}`,
		"tools":                  respTool,
		"tool_choice":            respTool + `,"tool_choice":{"type":"function","name":"f"}`,
		"parallel_tool_calls":    respTool + `,"parallel_tool_calls":false`,
		"text":                   `"text":{"format":{"type":"json_schema","name":"a","schema":{"type":"object","additionalProperties":false},"strict":true}}`,
		"reasoning":              `"reasoning":{"effort":"high"}`,
		"metadata":               `"metadata":{"a":"b"}`,
		"user":                   `"user":"u"`,
		"safety_identifier":      `"safety_identifier":"u"`,
		"prompt_cache_key":       `"prompt_cache_key":"k"`,
		"prompt_cache_retention": `"prompt_cache_retention":"24h"`,
		"prompt_cache_options":   `"prompt_cache_options":{}`,
		"client_metadata":        `"client_metadata":{"a":"b"}`,
		"include":                `"include":["reasoning.encrypted_content"]`,
		"store":                  `"store":true`,
		"service_tier":           `"service_tier":"flex"`,
		"truncation":             `"truncation":"auto"`,
		"top_logprobs":           `"top_logprobs":2`,
		"max_tool_calls":         `"max_tool_calls":3`,
		"context_management":     `"context_management":[{"type":"compaction"}]`,
		"moderation":             `"moderation":{}`,
		"access_programs":        `"access_programs":["a"]`,
		"background":             `"background":true`,
		"previous_response_id":   `"previous_response_id":"resp_1"`,
		"conversation":           `"conversation":"conv_1"`,
		"prompt":                 `"prompt":{"id":"pmpt_1"}`,
	},
	dialect.Messages: {
		"model":              `"model":"claude-opus-4-6"`,
		"messages":           `"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`,
		"system":             `"system":[{"type":"text","text":"be brief"},{"type":"text","text":"and kind"}]`,
		"max_tokens":         `"max_tokens":100`,
		"temperature":        `"temperature":0.7`,
		"top_p":              `"top_p":0.9`,
		"top_k":              `"top_k":40`,
		"stop_sequences":     `"stop_sequences":["END"]`,
		"stream":             `"stream":true`,
		"tools":              anthTool,
		"tool_choice":        anthTool + `,"tool_choice":{"type":"any","disable_parallel_tool_use":true}`,
		"thinking":           `"thinking":{"type":"enabled","budget_tokens":10000}`,
		"output_config":      `"output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object","additionalProperties":false}}}`,
		"output_format":      `"output_format":{"type":"json_schema","schema":{"type":"object","additionalProperties":false}}`,
		"metadata":           `"metadata":{"user_id":"u"}`,
		"cache_control":      `"cache_control":{"type":"ephemeral"}`,
		"diagnostics":        `"diagnostics":{}`,
		"service_tier":       `"service_tier":"standard_only"`,
		"inference_geo":      `"inference_geo":"us"`,
		"speed":              `"speed":"fast"`,
		"container":          `"container":"container_1"`,
		"thread":             `"thread":{"type":"create"}`,
		"context_management": `"context_management":{"edits":[]}`,
		"mcp_servers":        `"mcp_servers":[{"type":"url","url":"https://example.com","name":"a"}]`,
	},
}

// nested are the fields inside of fields.
var nested = []example{
	{dialect.Chat, "messages[].role: developer", fmt.Sprintf(chatTurns, `{"role":"developer","content":"x"}`), []string{"carried: role developer", "lost: joins system; its place in the conversation is lost"}},
	{dialect.Chat, "messages[].name", `"messages":[{"role":"user","name":"bob","content":"hi"}]`, []string{"lost", "lost"}},
	{dialect.Chat, "content[].text", `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`, []string{"carried: input_text", "carried: text block"}},
	{dialect.Chat, "content[].image_url, data URL", `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,AAAA"}}]}]`, []string{"carried: input_image", "carried: image, source base64"}},
	{dialect.Chat, "content[].image_url, URL", `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}]`, []string{"carried: input_image", "carried: image, source url"}},
	{dialect.Chat, "content[].image_url.detail", `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"high"}}]}]`, []string{"carried: detail", "lost"}},
	{dialect.Chat, "content[].file.file_data", `"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}}]}]`, []string{"carried: input_file", "carried: document, source base64; only PDF and text"}},
	{dialect.Chat, "content[].file.file_data of text", `"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,c29tZSB0ZXh0"}}]}]`, []string{"carried: input_file", "carried: document, source text"}},
	{dialect.Chat, "content[].file.file_id", `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"file","file":{"file_id":"file-1"}}]}]`, []string{"lost: files live at one provider", "lost: files live at one provider"}},
	{dialect.Chat, "content[].input_audio", `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]`, []string{"carried: input_audio", "lost"}},
	{dialect.Chat, "messages[].refusal", fmt.Sprintf(chatTurns, `{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"why"}`), []string{"carried: refusal part", "carried: text block"}},
	{dialect.Chat, "messages[].tool_calls, tool messages", fmt.Sprintf(chatTurns, `{"role":"assistant","content":null,"tool_calls":[{"id":"functions.f:0","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]},{"role":"tool","tool_call_id":"functions.f:0","content":"r"}`), []string{"carried: function_call, function_call_output", "carried: tool_use, tool_result; letters that ids may not have become '_'"}},
	{dialect.Chat, "tool_calls[].function.arguments that are not JSON", fmt.Sprintf(chatTurns, `{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a"}}]},{"role":"tool","tool_call_id":"c","content":"r"}`), []string{"carried: as they are", "lost: {} in their place"}},
	{dialect.Chat, "messages[].reasoning_content", fmt.Sprintf(chatTurns, `{"role":"assistant","content":"a","reasoning_content":"hm"},{"role":"user","content":"b"}`), []string{"lost: it has no proof", "lost: it has no proof"}},
	{dialect.Chat, "messages[].reasoning_details of a translated answer of messages", fmt.Sprintf(chatTurns, `{"role":"assistant","content":"a","reasoning_details":[{"type":"reasoning.text","format":"aigateway:messages","text":"h","index":0},{"type":"reasoning.text","format":"aigateway:messages","text":"m","signature":"sig","index":0}]},{"role":"user","content":"b"}`), []string{"lost: the proof is another provider's", "carried: thinking block"}},
	{dialect.Chat, "messages[].reasoning_details of a translated answer of responses", fmt.Sprintf(chatTurns, `{"role":"assistant","content":"a","reasoning_details":[{"type":"reasoning.summary","format":"aigateway:responses","summary":"hm","index":0},{"type":"reasoning.encrypted","format":"aigateway:responses","id":"rs_1","data":"enc","index":0}]},{"role":"user","content":"b"}`), []string{"carried: reasoning item", "lost: the proof is another provider's"}},
	{dialect.Chat, "tools[].custom", `"tools":[{"type":"custom","custom":{"name":"patch","description":"d"}}]`, []string{"carried: custom tool", "carried: a function with one argument, input"}},
	{dialect.Chat, "tools[].custom.format", `"tools":[{"type":"custom","custom":{"name":"patch","description":"d","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"start: /.+/"}}}}]`, []string{"carried: format", "lost: told in the description"}},
	{dialect.Chat, "tool_choice: allowed_tools", chatTool + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"f"}}]}}`, []string{"carried: the other tools are left out", "carried: the other tools are left out"}},
	{dialect.Chat, "response_format: json_object", `"response_format":{"type":"json_object"}`, []string{"carried: text.format", "lost"}},
	{dialect.Chat, "response_format: bounds in the schema", `"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"n":{"type":"integer","minimum":1}},"required":["n"],"additionalProperties":false}}}`, []string{"carried: text.format", "lost: told in the description"}},
	{dialect.Chat, "tools[].function.parameters without a type", `"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]`, []string{"carried: parameters", "carried: input_schema, its type object"}},
	{dialect.Chat, "stop: only white space", `"stop":["\n\n"]`, []string{"lost", "lost: refused there"}},
	{dialect.Chat, "numbers in quotes", `"max_tokens":"100","temperature":"0.5"`, []string{"carried: numbers", "carried: numbers"}},
	{dialect.Chat, "temperature over 1", `"temperature":1.5`, []string{"carried: temperature", "lost: 1"}},
	{dialect.Chat, "temperature under 1, top_p, of Claude 4.7 and later", `"model":"claude-opus-4-8","temperature":0.5,"top_p":0.9`, []string{"carried: temperature, top_p", "lost: these models take only the defaults"}},
	{dialect.Chat, "temperature with top_p, of Claude 4.1 to 4.6", `"model":"claude-sonnet-4-5","temperature":0.5,"top_p":0.9`, []string{"carried: temperature, top_p", "lost: top_p; these models take one of the two"}},
	{dialect.Chat, "temperature with reasoning_effort", `"temperature":0.5,"reasoning_effort":"low"`, []string{"carried: temperature", "lost: models that think take only 1"}},
	{dialect.Chat, "reasoning_effort with a forced tool", chatTool + `,"tool_choice":"required","reasoning_effort":"low"`, []string{"carried: reasoning.effort", "lost: models that think choose by themselves"}},

	{dialect.Responses, "input[].role: developer", fmt.Sprintf(respTurns, `{"role":"developer","content":"x"}`), []string{"lost: words of the user, but at OpenAI", "lost: joins system; its place in the conversation is lost"}},
	{dialect.Responses, "input_image.image_url, data URL", `"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/jpeg;base64,AAAA","detail":"auto"}]}]`, []string{"carried: image_url", "carried: image, source base64"}},
	{dialect.Responses, "input_image.image_url, URL", `"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://example.com/a.png"}]}]`, []string{"carried: image_url", "carried: image, source url"}},
	{dialect.Responses, "input_image.detail", `"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://example.com/a.png","detail":"low"}]}]`, []string{"carried: detail", "lost"}},
	{dialect.Responses, "input_file.file_data", `"input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}]}]`, []string{"carried: file", "carried: document, source base64; only PDF and text"}},
	{dialect.Responses, "input_file.file_url", `"input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_file","file_url":"https://example.com/a.pdf"}]}]`, []string{"lost: chat has no URL of a file", "carried: document, source url"}},
	{dialect.Responses, "input_file.file_id, input_image.file_id", `"input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","file_id":"file-1"}]}]`, []string{"lost: files live at one provider", "lost: files live at one provider"}},
	{dialect.Responses, "input_audio", `"input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}]}]`, []string{"carried: input_audio", "lost"}},
	{dialect.Responses, "output_text, refusal", fmt.Sprintf(respTurns, `{"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[{"type":"output_text","text":"a","annotations":[]},{"type":"refusal","refusal":"no"}]},{"role":"user","content":"b"}`), []string{"carried: content, refusal", "carried: text blocks"}},
	{dialect.Responses, "function_call, function_call_output", fmt.Sprintf(respTurns, `{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call","id":"fc_2","call_id":"c2","name":"f","arguments":"{\"a\":1}"},{"type":"function_call_output","call_id":"c1","output":"r"},{"type":"function_call_output","call_id":"c2","output":"s"}`), []string{"carried: tool_calls of one message, tool messages", "carried: tool_use of one turn, tool_result of one turn"}},
	{dialect.Responses, "function_call_output.output with an image", fmt.Sprintf(respTurns, `{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"see"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]},{"role":"user","content":"b"}`), []string{"carried: in the next message of the user", "carried: tool_result"}},
	{dialect.Responses, "custom_tool_call, custom_tool_call_output", fmt.Sprintf(respTurns, `{"type":"custom_tool_call","call_id":"c1","name":"patch","input":"a\"b\n"},{"type":"custom_tool_call_output","call_id":"c1","output":"done"}`), []string{"carried: a call of the function", "carried: a call of the function"}},
	{dialect.Responses, "reasoning of a translated answer of chat", fmt.Sprintf(respTurns, `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"aigateway:chat::reasoning_content"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"r"}`), []string{"carried: under the name that it came by", "lost: it has no proof"}},
	{dialect.Responses, "reasoning of a translated answer of chat, before a call", fmt.Sprintf(respTurns, `{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"aigateway:call:YzE=:eyJnb29nbGUiOnsidGhvdWdodF9zaWduYXR1cmUiOiJzaWcifX0="},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"r"}`), []string{"carried: extra_content of the call", "lost: the proof is another provider's"}},
	{dialect.Responses, "reasoning of a translated answer of messages", fmt.Sprintf(respTurns, `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"aigateway:messages::sig"},{"role":"assistant","content":"a"},{"role":"user","content":"b"}`), []string{"lost: the proof is another provider's", "carried: thinking block"}},
	{dialect.Responses, "reasoning of another provider", fmt.Sprintf(respTurns, `{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"gAAAA"},{"role":"assistant","content":"a"},{"role":"user","content":"b"}`), []string{"lost: the proof is another provider's", "lost: the proof is another provider's"}},
	{dialect.Responses, "item_reference", fmt.Sprintf(respTurns, `{"type":"item_reference","id":"msg_1"}`), []string{"refused: the item lives at one provider", "refused: the item lives at one provider"}},
	{dialect.Responses, "compaction", fmt.Sprintf(respTurns, `{"type":"compaction","id":"cmp_1","encrypted_content":"enc"},{"role":"user","content":"b"}`), []string{"refused: only its provider can read the history", "refused: only its provider can read the history"}},
	{dialect.Responses, "compaction_trigger", fmt.Sprintf(respTurns, `{"type":"compaction_trigger"}`), []string{"refused: the answer would have no compaction", "refused: the answer would have no compaction"}},
	{dialect.Responses, "additional_tools", `"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"crm","tools":[{"type":"custom","name":"exec"}]},{"type":"function","name":"f","parameters":{"type":"object"}}]},{"role":"user","content":"hi"}],"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}]`, []string{"carried: tools, each name once", "carried: tools, each name once"}},
	{dialect.Responses, "agent_message", `"input":[{"type":"agent_message","author":"/root","recipient":"/root/a","content":[{"type":"input_text","text":"do it"}]}]`, []string{"lost: its author; words of the user", "lost: its author; words of the user"}},
	{dialect.Responses, "tool_search_output", fmt.Sprintf(respTurns, `{"type":"tool_search_call","call_id":"c1","execution":"client","arguments":{"query":"q"}},{"type":"tool_search_output","call_id":"c1","status":"completed","execution":"client","tools":[{"type":"function","name":"f","defer_loading":true,"parameters":{"type":"object"}}]},{"role":"user","content":"b"}`), []string{"lost: the search; the tools that it found are offered", "lost: the search; the tools that it found are offered"}},
	{dialect.Responses, "hosted tools", `"tools":[{"type":"web_search"}]`, []string{"lost", "lost"}},
	{dialect.Responses, "calls of hosted tools", fmt.Sprintf(respTurns, `{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}}`), []string{"lost", "lost"}},
	{dialect.Responses, "tools: custom", `"tools":[{"type":"custom","name":"patch","description":"d"}]`, []string{"carried: a function with one argument, input", "carried: a function with one argument, input"}},
	{dialect.Responses, "tools: namespace; calls of its functions", `"tools":[{"type":"namespace","name":"crm","tools":[{"type":"function","name":"find","parameters":{"type":"object"}}]}],"input":[{"role":"user","content":"hi"},{"type":"function_call","call_id":"c1","namespace":"crm","name":"find","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"r"}]`, []string{"carried: functions named crm__find", "carried: functions named crm__find"}},
	{dialect.Responses, "tools: namespace, description", `"tools":[{"type":"namespace","name":"crm","description":"d","tools":[{"type":"function","name":"find","parameters":{"type":"object"}}]}]`, []string{"lost", "lost"}},
	{dialect.Responses, "tools: custom, format", `"tools":[{"type":"custom","name":"patch","description":"d","format":{"type":"grammar","syntax":"lark","definition":"start: /.+/"}}]`, []string{"lost: told in the description", "lost: told in the description"}},
	{dialect.Responses, "tool_choice: allowed_tools", respTool + `,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}`, []string{"carried: the other tools are left out", "carried: the other tools are left out"}},
	{dialect.Responses, "numbers in quotes", `"max_output_tokens":"100","temperature":"0.5"`, []string{"carried: numbers", "carried: numbers"}},
	{dialect.Responses, "text.verbosity", `"text":{"verbosity":"low"}`, []string{"carried: verbosity", "lost"}},
	{dialect.Responses, "text.format: json_object", `"text":{"format":{"type":"json_object"}}`, []string{"carried: response_format", "lost"}},
	{dialect.Responses, "reasoning.summary", `"reasoning":{"effort":"low","summary":"auto"}`, []string{"hint", "hint"}},

	{dialect.Messages, "messages[].role: system", `"messages":[{"role":"user","content":"hi"},{"role":"system","content":"x"},{"role":"user","content":"b"}]`, []string{"lost: words of the user, but at OpenAI", "carried: role system"}},
	{dialect.Messages, "system, the billing line of Claude Code", `"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1; cch=36ee5;"},{"type":"text","text":"Be brief."}]`, []string{"hint: it changes with each request", "hint: it changes with each request"}},
	{dialect.Messages, "the assistant's turn at the end", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"{"}]`, []string{"lost: a message, not continued", "lost: a message, not continued"}},
	{dialect.Messages, "content[].cache_control", `"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}]`, []string{"hint", "hint"}},
	{dialect.Messages, "content[].text.citations", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"a","citations":[{"type":"char_location","cited_text":"x"}]}]},{"role":"user","content":"b"}]`, []string{"lost", "lost"}},
	{dialect.Messages, "image, source base64", `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AAAA"}}]}]`, []string{"carried: image_url, data URL", "carried: input_image"}},
	{dialect.Messages, "image, source url", `"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}]}]`, []string{"carried: image_url", "carried: input_image"}},
	{dialect.Messages, "image, document, source file", `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"file","file_id":"file_1"}}]}]`, []string{"lost: files live at one provider", "lost: files live at one provider"}},
	{dialect.Messages, "document, source base64", `"messages":[{"role":"user","content":[{"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}]}]`, []string{"carried: file", "carried: input_file"}},
	{dialect.Messages, "document, source url", `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}]}]`, []string{"lost: chat has no URL of a file", "carried: input_file"}},
	{dialect.Messages, "document, source text", `"messages":[{"role":"user","content":[{"type":"document","title":"t","source":{"type":"text","media_type":"text/plain","data":"some text"}},{"type":"text","text":"a"}]}]`, []string{"carried: text, its title before it", "carried: input_text, its title before it"}},
	{dialect.Messages, "document, source content", `"messages":[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"text","text":"some text"}]}},{"type":"text","text":"a"}]}]`, []string{"carried: its blocks", "carried: its blocks"}},
	{dialect.Messages, "search_result", `"messages":[{"role":"user","content":[{"type":"search_result","source":"https://example.com/a","title":"t","content":[{"type":"text","text":"some text"}]},{"type":"text","text":"a"}]}]`, []string{"carried: its title, source and texts", "carried: its title, source and texts"}},
	{dialect.Messages, "document.context", `"messages":[{"role":"user","content":[{"type":"document","context":"c","source":{"type":"text","media_type":"text/plain","data":"some text"}}]}]`, []string{"lost", "lost"}},
	{dialect.Messages, "document.citations", `"messages":[{"role":"user","content":[{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"some text"}}]}]`, []string{"lost", "lost"}},
	{dialect.Messages, "tool_use, tool_result", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a": 1}},{"type":"tool_use","id":"toolu_2","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"r"},{"type":"tool_result","tool_use_id":"toolu_2","content":[{"type":"text","text":"s"}]},{"type":"text","text":"go on"}]}]`, []string{"carried: tool_calls, tool messages", "carried: function_call, function_call_output"}},
	{dialect.Messages, "tool_result with an image", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}]}]`, []string{"carried: in the next message of the user", "carried: function_call_output"}},
	{dialect.Messages, "tool_result.is_error", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","is_error":true,"content":"no"}]}]`, []string{"lost: the text tells it", "lost: the text tells it"}},
	{dialect.Messages, "thinking of a translated answer of chat", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"aigateway:chat::reasoning"},{"type":"text","text":"a"}]},{"role":"user","content":"b"}]`, []string{"carried: under the name that it came by", "lost: it has no proof"}},
	{dialect.Messages, "thinking of a translated answer of chat, before a call", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"aigateway:call:YzE=:eyJnb29nbGUiOnsidGhvdWdodF9zaWduYXR1cmUiOiJzaWcifX0="},{"type":"tool_use","id":"c1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"r"}]}]`, []string{"carried: extra_content of the call", "lost: the proof is another provider's"}},
	{dialect.Messages, "thinking of a translated answer of responses", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"aigateway:responses:rs_1:enc"},{"type":"text","text":"a"}]},{"role":"user","content":"b"}]`, []string{"lost: the proof is another provider's", "carried: reasoning item"}},
	{dialect.Messages, "thinking, redacted_thinking of another provider", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"sig"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"a"}]},{"role":"user","content":"b"}]`, []string{"lost: the proof is another provider's", "lost: the proof is another provider's"}},
	{dialect.Messages, "server_tool_use and results of hosted tools", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}},{"type":"text","text":"a"}]},{"role":"user","content":"b"}]`, []string{"lost", "lost"}},
	{dialect.Messages, "compaction", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"compaction","content":"a summary"},{"type":"text","text":"a"}]},{"role":"user","content":"b"}]`, []string{"carried: text", "carried: text"}},
	{dialect.Messages, "tools of Anthropic's types that the client runs: bash, text_editor, memory", `"tools":[{"type":"bash_20250124","name":"bash"}]`, []string{"carried: functions", "carried: functions"}},
	{dialect.Messages, "other tools of Anthropic's types", `"tools":[{"type":"web_search_20250305","name":"web_search"},{"type":"computer_20250124","name":"computer"}]`, []string{"lost", "lost"}},
	{dialect.Messages, "thinking: adaptive", `"thinking":{"type":"adaptive"},"output_config":{"effort":"max"}`, []string{"carried: reasoning_effort", "carried: reasoning.effort"}},
	{dialect.Messages, "thinking: disabled", `"thinking":{"type":"disabled"}`, []string{"hint: models reason as they do", "hint: models reason as they do"}},
	{dialect.Messages, "numbers in quotes", `"max_tokens":"100","temperature":"0.5"`, []string{"carried: numbers", "carried: numbers"}},
	{dialect.Messages, "max_tokens under 16", `"max_tokens":1`, []string{"carried: max_tokens", "lost: 16"}},
	{dialect.Messages, "output_config.format, a schema with optional properties", `"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}}}`, []string{"lost: not strict", "lost: not strict"}},
	{dialect.Messages, "tool_result with a tool_reference", `"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"find_tools","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"tool_reference","tool_name":"f"}]}]}],"tools":[{"name":"find_tools","input_schema":{"type":"object"}},{"name":"f","defer_loading":true,"input_schema":{"type":"object"}}]`, []string{"carried: the tool's name; all tools are offered", "carried: the tool's name; all tools are offered"}},
	{dialect.Messages, "stop_sequences, over four", `"stop_sequences":["a","b","c","d","e"]`, []string{"lost: the first four are sent", "lost"}},
}

// fieldExamples are all examples of a format.
func fieldExamples(f dialect.Format) (all []example) {
	for _, row := range dialect.Rows() {
		if row.Format != f {
			continue
		}
		e := example{format: f, name: row.Name, json: topLevel[f][row.Name]}
		for to := range row.Fates {
			if dialect.Format(to) != f {
				e.ways = append(e.ways, strings.TrimSuffix(row.Fates[to]+": "+row.Places[to], ": "))
			}
		}
		all = append(all, e)
	}
	for _, e := range nested {
		if e.format == f {
			all = append(all, e)
		}
	}
	return all
}

// TestFields translates a request for each row of the table to both of the other
// formats, and compares the outcome with the row and with a golden file.
func TestFields(t *testing.T) {
	for f := range dialect.Format(3) {
		var golden bytes.Buffer
		for _, e := range fieldExamples(f) {
			require.NotEmpty(t, e.json, "%s has no example of %s", f, e.name)
			fmt.Fprintf(&golden, "== %s\n%s\n", e.name, e.request())
			ways := e.ways
			for to := range dialect.Format(3) {
				if to == f {
					continue
				}
				tr := translator(t, f, to)
				out, report, err := tr.Request([]byte(e.request()), dialect.Options{})
				require.NoError(t, err, e.name)
				assert.Equal(t, f == dialect.Responses || report.Refuse != "" || json.Valid(out), true)
				fmt.Fprintf(&golden, "-> %s\n", to)
				if out != nil {
					fmt.Fprintf(&golden, "%s\n", out)
				}
				for _, l := range []struct {
					name  string
					names []string
				}{{"lost", report.Lost}, {"dropped", report.Dropped}} {
					if l.names != nil {
						fmt.Fprintf(&golden, "%s: %s\n", l.name, strings.Join(l.names, ", "))
					}
				}
				if report.Refuse != "" {
					fmt.Fprintf(&golden, "refused: %s\n", report.Refuse)
				}
				fate, _, _ := strings.Cut(ways[0], ":")
				ways = ways[1:]
				assert.Equal(t, fate == "refused", report.Refuse != "", "%s %s to %s", f, e.name, to)
				assert.Equal(t, fate == "lost", len(report.Lost) > 0, "%s %s to %s: %v", f, e.name, to, report.Lost)
				if fate == "hint" {
					assert.NotEmpty(t, report.Dropped, "%s %s to %s", f, e.name, to)
				}
			}
			golden.WriteString("\n")
		}
		path := "testdata/fields/" + f.String() + ".golden"
		if *update {
			require.NoError(t, os.MkdirAll("testdata/fields", 0o755))
			require.NoError(t, os.WriteFile(path, golden.Bytes(), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), golden.String(), "go test -update writes it")
	}
}
