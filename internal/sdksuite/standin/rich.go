package standin

import (
	"bytes"
	"fmt"
	"strings"
)

// What a conversation with a model of the scenario "rich" is made of.
const (
	// Image is what clients show the model, in base64.
	Image = "iVBORw0KGgo="
	// Thought is the model's reasoning, and proof its signature where the API has one.
	Thought = "Let me look."
	proof   = "c2lnbmVkIQ=="
)

// rich is an answer of the scenario: a thought and two calls at once, a document of the
// wanted schema, or a text that says what the request had.
type rich struct {
	thought, text string
	calls         []richCall
}

// richCall is a call of the tool weather.
type richCall struct{ id, city string }

func (r richCall) arguments() string { return `{\"city\":\"` + r.city + `\"}` }

// richAnswer makes the answer to a request in the words of any API.
func (c *call) richAnswer() rich {
	has := func(word string) bool { return bytes.Contains(c.body, []byte(word)) }
	if _, tools := c.fields["tools"]; tools && !has("sunny") {
		return rich{Thought, "I look.", []richCall{{"call_1", "Paris"}, {"call_2", "Rome"}}}
	}
	if has(`"json_schema"`) {
		return rich{text: `{\"city\":\"Paris\"}`}
	}
	var saw []string
	for _, s := range []struct {
		name string
		seen bool
	}{
		{"an image", has(Image)},
		{"a question for reasoning", has(`"reasoning_effort"`) || has(`"effort"`) || has(`"thinking":{`)},
		{"both results", has("sunny") && has("rainy")},
		{"both calls", has(`"call_1"`) && has(`"call_2"`) || has(`"toolu_1"`) && has(`"toolu_2"`)},
		{"the thought", has(Thought)},
		{"its proof", has(proof)},
		{"a mark of a gateway", has("aigateway:")},
	} {
		if s.seen {
			saw = append(saw, s.name)
		}
	}
	return rich{text: "I saw " + strings.Join(saw, ", ") + "."}
}

// finish is the first word for an answer with calls, and else the second.
func (r rich) finish(calls, end string) string {
	if len(r.calls) > 0 {
		return calls
	}
	return end
}

// richChat answers in chat/completions. The calls come in turns in a stream.
func (c *call) richChat() {
	r := c.richAnswer()
	finish := r.finish("tool_calls", "stop")
	usage := `"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}`
	if !c.fields.isTrue("stream") {
		var calls []string
		for _, k := range r.calls {
			calls = append(calls, `{"id":"`+k.id+`","type":"function","function":{"name":"weather","arguments":"`+k.arguments()+`"}}`)
		}
		message := `{"role":"assistant","content":"` + r.text + `","refusal":null`
		if r.thought != "" {
			message += `,"reasoning_content":"` + r.thought + `"`
		}
		if calls != nil {
			message += `,"tool_calls":[` + strings.Join(calls, ",") + `]`
		}
		c.json(`{"id":"chatcmpl-1","object":"chat.completion","created":1792540800,"model":"$MODEL","choices":[{"index":0,"message":` +
			message + `},"logprobs":null,"finish_reason":"` + finish + `"}],` + usage + `}`)
		return
	}
	var list []event
	chunk := func(delta, finish string) {
		list = append(list, event{data: `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1792540800,"model":"$MODEL","choices":[{"index":0,"delta":` +
			delta + `,"logprobs":null,"finish_reason":` + finish + `}]}`})
	}
	chunk(`{"role":"assistant","content":""}`, "null")
	if r.thought != "" {
		chunk(`{"reasoning_content":"`+r.thought+`"}`, "null")
	}
	chunk(`{"content":"`+r.text+`"}`, "null")
	for i, k := range r.calls {
		chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":"%s","type":"function","function":{"name":"weather","arguments":""}}]}`, i, k.id), "null")
	}
	for i, k := range r.calls {
		chunk(fmt.Sprintf(`{"tool_calls":[{"index":%d,"function":{"arguments":"%s"}}]}`, i, k.arguments()), "null")
	}
	chunk(`{}`, `"`+finish+`"`)
	if bytes.Contains(c.fields["stream_options"].raw, []byte(`"include_usage":true`)) {
		list = append(list, event{data: `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1792540800,"model":"$MODEL","choices":[],` + usage + `}`})
	}
	c.stream(append(list, event{data: "[DONE]"}))
}

// richResponse answers in responses.
func (c *call) richResponse() {
	r := c.richAnswer()
	var items []string
	if r.thought != "" {
		items = append(items, `{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"`+r.thought+`"}],"encrypted_content":"`+proof+`"}`)
	}
	items = append(items, `{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"`+r.text+`"}]}`)
	for i, k := range r.calls {
		items = append(items, fmt.Sprintf(`{"id":"fc_%d","type":"function_call","status":"completed","arguments":"%s","call_id":"%s","name":"weather"}`, i+1, k.arguments(), k.id))
	}
	whole := c.responseObject("completed", strings.Join(items, ","))
	if !c.fields.isTrue("stream") {
		c.json(whole)
		return
	}
	var list []event
	add := func(name, rest string) {
		list = append(list, event{name: name, data: fmt.Sprintf(`{"type":"%s","sequence_number":%d,%s}`, name, len(list), rest)})
	}
	add("response.created", `"response":`+c.responseObject("in_progress", ""))
	add("response.in_progress", `"response":`+c.responseObject("in_progress", ""))
	n := 0
	if r.thought != "" {
		at := `"item_id":"rs_1","output_index":0,"summary_index":0`
		add("response.output_item.added", `"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}`)
		add("response.reasoning_summary_part.added", at+`,"part":{"type":"summary_text","text":""}`)
		add("response.reasoning_summary_text.delta", at+`,"delta":"`+r.thought+`"`)
		add("response.reasoning_summary_text.done", at+`,"text":"`+r.thought+`"`)
		add("response.reasoning_summary_part.done", at+`,"part":{"type":"summary_text","text":"`+r.thought+`"}`)
		add("response.output_item.done", `"output_index":0,"item":`+items[0])
		n++
	}
	at := fmt.Sprintf(`"item_id":"msg_1","output_index":%d,"content_index":0`, n)
	add("response.output_item.added", fmt.Sprintf(`"output_index":%d,"item":`, n)+c.responseItem(false, "in_progress", nil))
	add("response.content_part.added", at+`,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":""}`)
	add("response.output_text.delta", at+`,"logprobs":[],"delta":"`+r.text+`"`)
	add("response.output_text.done", at+`,"logprobs":[],"text":"`+r.text+`"`)
	add("response.content_part.done", at+`,"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"`+r.text+`"}`)
	add("response.output_item.done", fmt.Sprintf(`"output_index":%d,"item":`, n)+items[n])
	for i, k := range r.calls {
		n++
		at := fmt.Sprintf(`"item_id":"fc_%d","output_index":%d`, i+1, n)
		add("response.output_item.added", fmt.Sprintf(`"output_index":%d,"item":{"id":"fc_%d","type":"function_call","status":"in_progress","arguments":"","call_id":"%s","name":"weather"}`, n, i+1, k.id))
		add("response.function_call_arguments.delta", at+`,"delta":"`+k.arguments()+`"`)
		add("response.function_call_arguments.done", at+`,"name":"weather","arguments":"`+k.arguments()+`"`)
		add("response.output_item.done", fmt.Sprintf(`"output_index":%d,"item":`, n)+items[n])
	}
	add("response.completed", `"response":`+whole)
	c.stream(list)
}

// richMessage answers in messages.
func (c *call) richMessage() {
	r := c.richAnswer()
	stop := r.finish("tool_use", "end_turn")
	var list []event
	add := func(name, rest string) {
		list = append(list, event{name: name, data: `{"type":"` + name + `"` + rest + `}`})
	}
	var blocks []string
	block := func(whole, start string, deltas ...string) {
		at := fmt.Sprintf(`,"index":%d`, len(blocks))
		blocks = append(blocks, whole)
		add("content_block_start", at+`,"content_block":`+start)
		for _, d := range deltas {
			add("content_block_delta", at+`,"delta":`+d)
		}
		add("content_block_stop", at)
	}
	add("message_start", `,"message":`+c.messageObject("", "null", 1))
	if r.thought != "" {
		block(`{"type":"thinking","thinking":"`+r.thought+`","signature":"`+proof+`"}`, `{"type":"thinking","thinking":"","signature":""}`,
			`{"type":"thinking_delta","thinking":"`+r.thought+`"}`, `{"type":"signature_delta","signature":"`+proof+`"}`)
	}
	block(`{"type":"text","text":"`+r.text+`"}`, `{"type":"text","text":""}`, `{"type":"text_delta","text":"`+r.text+`"}`)
	for i, k := range r.calls {
		start := fmt.Sprintf(`{"type":"tool_use","id":"toolu_%d","name":"weather","input":`, i+1)
		block(start+`{"city":"`+k.city+`"}}`, start+`{}}`, `{"type":"input_json_delta","partial_json":"`+k.arguments()+`"}`)
	}
	if !c.fields.isTrue("stream") {
		c.json(c.messageObject(strings.Join(blocks, ","), `"`+stop+`"`, 3))
		return
	}
	add("message_delta", `,"delta":{"stop_reason":"`+stop+`","stop_sequence":null},"usage":`+c.usage(3))
	add("message_stop", "")
	c.stream(list)
}
