package standin

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// scenarios are the names that a client can put behind any text model's.
func scenarios() []string {
	list := []string{"", "vendor", "rich", "step", "hang", "silent", "reset", "endless", "errorfirst", "errormid", "cut", "end"}
	for _, s := range Statuses() {
		list = append(list, fmt.Sprint(s))
	}
	return list
}

func models(base string) []string {
	var ids []string
	for _, s := range scenarios() {
		ids = append(ids, strings.TrimSuffix(base+"-standin-"+s, "-"))
	}
	return ids
}

// OpenAIModels are the models of the OpenAI side. The part after "gpt-standin-" is
// the scenario: an error status, or
//
//	vendor      takes unknown fields, and answers with some
//	rich        reasons, calls two tools at once, keeps to a schema, or says what the request had
//	step        streams a piece at a time, as the client sees them
//	hang        never answers
//	silent      never answers; a gateway may give it another timeout
//	reset       closes the connection before an answer
//	endless     streams until the client leaves
//	errorfirst  streams an error event, and nothing else
//	errormid    streams two pieces of content, and an error event
//	cut         streams two pieces of content, and closes the connection
//	end         streams two pieces of content, and ends cleanly without an end
func OpenAIModels() []string {
	return append(models("gpt"), "embed-standin", "transcribe-standin", "speech-standin")
}

// AnthropicModels are the models of the Anthropic side, with the same scenarios.
func AnthropicModels() []string { return models("claude") }

func known(a api, id string) bool {
	if a == anthropic {
		return slices.Contains(AnthropicModels(), id)
	}
	return slices.Contains(OpenAIModels(), id)
}

// vendor is added to the answers of the models with this name: numbers that a
// second encoding would change.
const vendor = `"vendor_score":0.70,"vendor_big":9007199254740993,"vendor_list":[1.0,{"z":1,"a":2}]`

func (c *call) vendor() string {
	if c.scenario == "vendor" {
		return "," + vendor
	}
	return ""
}

// wantsTool reports whether a conversation with tools waits for a call, and not for
// an answer to one.
func (c *call) wantsTool(answered string) bool {
	_, has := c.fields["tools"]
	return has && !bytes.Contains(c.fields["messages"].raw, []byte(answered)) && !bytes.Contains(c.fields["input"].raw, []byte(answered))
}

func chatCompletion(c *call) {
	if c.scenario == "rich" {
		c.richChat()
		return
	}
	tool := c.wantsTool(`"role":"tool"`)
	if c.fields.isTrue("stream") {
		c.stream(c.chatEvents(tool))
		return
	}
	message := fmt.Sprintf(`{"role":"assistant","content":"Hello, world (%d bytes).","refusal":null,"annotations":[]}`, len(c.fields["messages"].raw))
	finish := "stop"
	if tool {
		finish = "tool_calls"
		message = `{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Paris\"}"}}]}`
	}
	c.json(`{
  "id": "chatcmpl-1", "object": "chat.completion", "created": 1792540800, "model": "$MODEL",
  "choices": [{"index": 0, "message": ` + message + `, "logprobs": null, "finish_reason": "` + finish + `"}],
  "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 0}},
  "service_tier": "default", "system_fingerprint": "fp_standin"` + c.vendor() + `
}`)
}

func (c *call) chatEvents(tool bool) []event {
	chunk := func(delta, finish string, content bool) event {
		return event{content: content, data: `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1792540800,"model":"$MODEL","service_tier":"default","system_fingerprint":"fp_standin","choices":[{"index":0,"delta":` +
			delta + `,"logprobs":null,"finish_reason":` + finish + `}],"obfuscation":"xY7"` + c.vendor() + `}`}
	}
	list := []event{chunk(`{"role":"assistant","content":"","refusal":null}`, "null", false)}
	finish := `"stop"`
	if tool {
		finish = `"tool_calls"`
		list = []event{
			chunk(`{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}],"refusal":null}`, "null", true),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}`, "null", true),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"\"Paris\"}"}}]}`, "null", true),
		}
	} else {
		for _, piece := range pieces() {
			list = append(list, chunk(`{"content":"`+piece+`"}`, "null", true))
		}
	}
	list = append(list, chunk(`{}`, finish, false))
	if bytes.Contains(c.fields["stream_options"].raw, []byte(`"include_usage":true`)) {
		list = append(list, event{data: `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1792540800,"model":"$MODEL","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`})
	}
	return append(list, event{data: "[DONE]"})
}

// pieces are the contents of the streams of all surfaces.
func pieces() []string { return []string{"Hello", ", ", "world."} }

// arguments are the pieces of a tool call, escaped for a JSON string.
func arguments() []string { return []string{`{\"city\":`, `\"Paris\"}`} }

func response(c *call) {
	if c.scenario == "rich" {
		c.richResponse()
		return
	}
	tool := c.wantsTool(`"function_call_output"`)
	if c.fields.isTrue("stream") {
		c.stream(c.responseEvents(tool))
		return
	}
	text := pieces()
	if tool {
		text = arguments()
	}
	c.json(c.responseObject("completed", c.responseItem(tool, "completed", text)))
}

func (c *call) responseObject(status, output string) string {
	usage := "null"
	if status == "completed" {
		usage = `{"input_tokens":9,"input_tokens_details":{"cached_tokens":0},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}`
	}
	return `{"id":"resp_1","object":"response","created_at":1792540800,"status":"` + status + `","background":false,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":"$MODEL","output":[` + output + `],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"store":true,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":` + usage + `,"user":null,"metadata":{}` + c.vendor() + `}`
}

func (c *call) responseItem(tool bool, status string, text []string) string {
	if tool {
		return `{"id":"fc_1","type":"function_call","status":"` + status + `","arguments":"` + strings.Join(text, "") + `","call_id":"call_1","name":"weather"}`
	}
	content := ""
	if text != nil {
		content = `{"type":"output_text","annotations":[],"logprobs":[],"text":"` + strings.Join(text, "") + `"}`
	}
	return `{"id":"msg_1","type":"message","status":"` + status + `","content":[` + content + `],"role":"assistant"}`
}

func (c *call) responseEvents(tool bool) []event {
	var list []event
	add := func(name, rest string, content bool) {
		list = append(list, event{name: name, content: content,
			data: fmt.Sprintf(`{"type":"%s","sequence_number":%d,%s}`, name, len(list), rest)})
	}
	at := `"item_id":"msg_1","output_index":0,"content_index":0`
	add("response.created", `"response":`+c.responseObject("in_progress", ""), false)
	add("response.in_progress", `"response":`+c.responseObject("in_progress", ""), false)
	if tool {
		at = `"item_id":"fc_1","output_index":0`
		args := arguments()
		add("response.output_item.added", `"output_index":0,"item":`+c.responseItem(true, "in_progress", nil), false)
		for _, a := range args {
			add("response.function_call_arguments.delta", at+`,"delta":"`+a+`"`, true)
		}
		add("response.function_call_arguments.done", at+`,"name":"weather","arguments":"`+strings.Join(args, "")+`"`, false)
		add("response.output_item.done", `"output_index":0,"item":`+c.responseItem(true, "completed", args), false)
		add("response.completed", `"response":`+c.responseObject("completed", c.responseItem(true, "completed", args)), false)
		return list
	}
	add("response.output_item.added", `"output_index":0,"item":`+c.responseItem(false, "in_progress", nil), false)
	add("response.content_part.added", at+`,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}`, false)
	for _, p := range pieces() {
		add("response.output_text.delta", at+`,"logprobs":[],"delta":"`+p+`","obfuscation":"q"`, true)
	}
	whole := strings.Join(pieces(), "")
	add("response.output_text.done", at+`,"logprobs":[],"text":"`+whole+`"`, false)
	add("response.content_part.done", at+`,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"`+whole+`"}`, false)
	add("response.output_item.done", `"output_index":0,"item":`+c.responseItem(false, "completed", pieces()), false)
	add("response.completed", `"response":`+c.responseObject("completed", c.responseItem(false, "completed", pieces())), false)
	return list
}

// embeddings answers in base64 if the request asks for it. The SDKs ask.
func embeddings(c *call) {
	vector := `[0.5,-0.25,1]`
	if c.fields["encoding_format"].text == "base64" {
		vector = `"AAAAPwAAgL4AAIA/"` // the same three, as little-endian float32
	}
	c.json(`{"object":"list","data":[{"object":"embedding","index":0,"embedding":` + vector + `}],"model":"$MODEL","usage":{"prompt_tokens":2,"total_tokens":2}}`)
}

func transcription(c *call) {
	if f := c.fields["response_format"].text; f != "" && f != "json" && f != "verbose_json" {
		c.fail(badRequest("response_format %q is not served", f))
		return
	}
	c.json(fmt.Sprintf(`{"text":"%d bytes of speech","usage":{"type":"tokens","input_tokens":14,"output_tokens":4,"total_tokens":18}}`, len(c.fields["file"].raw)))
}

// SpeechBytes is the audio of speech: every byte value, over and over. Any
// transformation of text would change it.
func SpeechBytes() []byte {
	b := make([]byte, 100_000)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func speech(c *call) {
	c.w.Header().Set("Content-Type", "audio/mpeg")
	c.w.Write(SpeechBytes()) //nolint:errcheck // the client is gone
}

func modelList(c *call) {
	var data []string
	if c.api == anthropic {
		ids := AnthropicModels()
		for _, id := range ids {
			data = append(data, anthropicModel(id))
		}
		c.json(`{"data":[` + strings.Join(data, ",") + `],"has_more":false,"first_id":"` + ids[0] + `","last_id":"` + ids[len(ids)-1] + `"}`)
		return
	}
	for _, id := range OpenAIModels() {
		data = append(data, openaiModel(id))
	}
	c.json(`{"object":"list","data":[` + strings.Join(data, ",") + `]}`)
}

func modelOne(c *call) {
	if c.api == anthropic {
		c.json(anthropicModel(c.model))
		return
	}
	c.json(openaiModel(c.model))
}

func openaiModel(id string) string {
	return `{"id":"` + id + `","object":"model","created":1792540800,"owned_by":"standin"}`
}

func anthropicModel(id string) string {
	return `{"type":"model","id":"` + id + `","display_name":"` + id + `","created_at":"2026-10-21T00:00:00Z"}`
}
