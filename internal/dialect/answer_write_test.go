package dialect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// answer is an answer in the subset that the formats share. It writes itself as
// an upstream of each format does, whole and as a stream.
type answer struct {
	reasoning, signature string
	text, refusal        string
	calls                []scenePart
	stop                 string // end, length, tool, filter
	in, cached, out      int
	thought              int // tokens of reasoning
}

func newAnswer(r *rand.Rand) *answer {
	a := &answer{stop: "end", in: 20 + r.IntN(100), cached: r.IntN(20), out: 1 + r.IntN(100)}
	if r.IntN(2) == 0 {
		a.reasoning, a.signature = phrase(r), "c2lnbmF0dXJl"
		a.thought = 1 + r.IntN(9)
	}
	if r.IntN(3) > 0 {
		a.text = phrase(r)
	}
	for range r.IntN(4) {
		a.calls = append(a.calls, scenePart{
			id: fmt.Sprintf("call_%d", len(a.calls)), name: "tool", args: compact(object{"q": phrase(r), "deep": object{"x": list{1, "}", 2}}}),
		})
	}
	switch {
	case len(a.calls) > 0:
		a.stop = "tool"
	case a.text == "":
		a.text = "x"
		fallthrough
	default:
		a.stop = []string{"end", "length", "filter"}[r.IntN(3)]
	}
	if a.stop == "end" && r.IntN(6) == 0 {
		a.text, a.refusal = "", phrase(r)
	}
	return a
}

var chatFinish = map[string]string{"end": "stop", "length": "length", "tool": "tool_calls", "filter": "content_filter"}
var messagesStop = map[string]string{"end": "end_turn", "length": "max_tokens", "tool": "tool_use", "filter": "refusal"}

func (a *answer) chatUsage() object {
	return object{
		"prompt_tokens": a.in, "completion_tokens": a.out, "total_tokens": a.in + a.out,
		"prompt_tokens_details": object{"cached_tokens": a.cached}, "completion_tokens_details": object{"reasoning_tokens": a.thought},
	}
}

func (a *answer) responsesUsage() object {
	return object{
		"input_tokens": a.in, "output_tokens": a.out, "total_tokens": a.in + a.out,
		"input_tokens_details": object{"cached_tokens": a.cached}, "output_tokens_details": object{"reasoning_tokens": a.thought},
	}
}

func (a *answer) messagesUsage() object {
	return object{"input_tokens": a.in - a.cached, "cache_read_input_tokens": a.cached, "cache_creation_input_tokens": 0, "output_tokens": a.out}
}

func (a *answer) whole(f dialect.Format) object {
	switch f {
	case dialect.Chat:
		m := object{"role": "assistant", "content": nil}
		if a.text != "" {
			m["content"] = a.text
		}
		if a.refusal != "" {
			m["refusal"] = a.refusal
		}
		if a.reasoning != "" {
			m["reasoning_content"] = a.reasoning
		}
		var calls list
		for _, c := range a.calls {
			calls = append(calls, object{"id": c.id, "type": "function", "function": object{"name": c.name, "arguments": c.args}})
		}
		if calls != nil {
			m["tool_calls"] = calls
		}
		return object{
			"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "served",
			"choices": list{object{"index": 0, "message": m, "finish_reason": chatFinish[a.stop], "logprobs": nil}}, "usage": a.chatUsage(),
		}
	case dialect.Responses:
		r := object{"id": "resp_1", "object": "response", "created_at": 7, "model": "served", "status": "completed", "error": nil, "usage": a.responsesUsage()}
		switch a.stop {
		case "length":
			r["status"], r["incomplete_details"] = "incomplete", object{"reason": "max_output_tokens"}
		case "filter":
			r["status"], r["incomplete_details"] = "incomplete", object{"reason": "content_filter"}
		}
		r["output"] = a.items()
		return r
	}
	var blocks list
	if a.reasoning != "" {
		blocks = append(blocks, object{"type": "thinking", "thinking": a.reasoning, "signature": a.signature})
	}
	if a.text+a.refusal != "" {
		blocks = append(blocks, object{"type": "text", "text": a.text + a.refusal})
	}
	for _, c := range a.calls {
		blocks = append(blocks, object{"type": "tool_use", "id": c.id, "name": c.name, "input": decode(c.args)})
	}
	stop := messagesStop[a.stop]
	if a.refusal != "" {
		stop = "refusal"
	}
	return object{
		"id": "msg_1", "type": "message", "role": "assistant", "model": "served", "content": blocks,
		"stop_reason": stop, "stop_sequence": nil, "usage": a.messagesUsage(),
	}
}

func (a *answer) items() (items list) {
	if a.reasoning != "" {
		items = append(items, object{"id": "rs_1", "type": "reasoning", "encrypted_content": a.signature, "summary": list{object{"type": "summary_text", "text": a.reasoning}}})
	}
	var parts list
	if a.text != "" {
		parts = append(parts, object{"type": "output_text", "text": a.text, "annotations": list{}})
	}
	if a.refusal != "" {
		parts = append(parts, object{"type": "refusal", "refusal": a.refusal})
	}
	if parts != nil {
		items = append(items, object{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": parts})
	}
	for i, c := range a.calls {
		items = append(items, object{"id": fmt.Sprintf("fc_%d", i), "type": "function_call", "status": "completed", "call_id": c.id, "name": c.name, "arguments": c.args})
	}
	return items
}

// pieces cuts text at random places between characters.
func pieces(r *rand.Rand, s string) (out []string) {
	for s != "" {
		n := 1 + r.IntN(len(s))
		for n < len(s) && s[n]&0xC0 == 0x80 {
			n++
		}
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}

// stream writes the answer as the event stream of an upstream. Chat interleaves
// its calls where mixed is set.
func (a *answer) stream(f dialect.Format, r *rand.Rand, mixed bool) string {
	var b strings.Builder
	send := func(name string, m object) {
		if name != "" {
			m["type"] = name
			fmt.Fprintf(&b, "event: %s\n", name)
		}
		fmt.Fprintf(&b, "data: %s\n\n", compact(m))
	}
	switch f {
	case dialect.Chat:
		chunk := func(delta object, finish any) {
			send("", object{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "served",
				"choices": list{object{"index": 0, "delta": delta, "finish_reason": finish}}})
		}
		chunk(object{"role": "assistant", "content": ""}, nil)
		for _, p := range pieces(r, a.reasoning) {
			chunk(object{"reasoning_content": p}, nil)
		}
		for _, p := range pieces(r, a.text) {
			chunk(object{"content": p}, nil)
		}
		for _, p := range pieces(r, a.refusal) {
			chunk(object{"refusal": p}, nil)
		}
		var rest [][]string
		for i, c := range a.calls {
			rest = append(rest, pieces(r, c.args))
			start := func() {
				chunk(object{"tool_calls": list{object{"index": i, "id": c.id, "type": "function", "function": object{"name": c.name, "arguments": ""}}}}, nil)
			}
			start()
			for !mixed && len(rest[i]) > 0 {
				chunk(object{"tool_calls": list{object{"index": i, "function": object{"arguments": rest[i][0]}}}}, nil)
				rest[i] = rest[i][1:]
			}
		}
		for left := true; left; {
			left = false
			for i := range rest {
				if len(rest[i]) > 0 {
					left = true
					if r.IntN(2) == 0 {
						chunk(object{"tool_calls": list{object{"index": i, "function": object{"arguments": rest[i][0]}}}}, nil)
						rest[i] = rest[i][1:]
					}
				}
			}
		}
		chunk(object{}, chatFinish[a.stop])
		send("", object{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "served", "choices": list{}, "usage": a.chatUsage()})
		b.WriteString("data: [DONE]\n\n")
	case dialect.Responses:
		seq := 0
		event := func(name string, m object) {
			m["sequence_number"] = seq
			seq++
			send(name, m)
		}
		frame := a.whole(f)
		event("response.created", object{"response": object{"id": "resp_1", "created_at": 7, "model": "served", "status": "in_progress", "output": list{}}})
		for i, v := range a.items() {
			item := v.(object)
			at := func(m object) object {
				m["output_index"], m["item_id"] = i, item["id"]
				return m
			}
			frame := object{"id": item["id"], "type": item["type"]}
			switch item["type"] {
			case "message":
				frame["role"], frame["content"] = "assistant", list{}
				event("response.output_item.added", at(object{"item": frame}))
				for n, v := range item["content"].(list) {
					p := v.(object)
					if p["type"] == "refusal" {
						for _, s := range pieces(r, a.refusal) {
							event("response.refusal.delta", at(object{"content_index": n, "delta": s}))
						}
						continue
					}
					event("response.content_part.added", at(object{"content_index": n, "part": object{"type": "output_text", "text": ""}}))
					for _, s := range pieces(r, a.text) {
						event("response.output_text.delta", at(object{"content_index": n, "delta": s}))
					}
					event("response.output_text.done", at(object{"content_index": n, "text": a.text}))
				}
			case "reasoning":
				frame["summary"] = list{}
				event("response.output_item.added", at(object{"item": frame}))
				for _, s := range pieces(r, a.reasoning) {
					event("response.reasoning_summary_text.delta", at(object{"summary_index": 0, "delta": s}))
				}
			case "function_call":
				frame["call_id"], frame["name"], frame["arguments"] = item["call_id"], item["name"], ""
				event("response.output_item.added", at(object{"item": frame}))
				for _, s := range pieces(r, item["arguments"].(string)) {
					event("response.function_call_arguments.delta", at(object{"delta": s}))
				}
				event("response.function_call_arguments.done", at(object{"arguments": item["arguments"]}))
			}
			event("response.output_item.done", at(object{"item": item}))
		}
		event("response."+frame["status"].(string), object{"response": frame})
	default:
		whole := a.whole(f)
		usage := a.messagesUsage()
		usage["output_tokens"] = 1
		send("message_start", object{"message": object{"id": "msg_1", "type": "message", "role": "assistant", "model": "served", "content": list{}, "usage": usage}})
		send("ping", object{})
		blocks, _ := whole["content"].(list)
		for i, v := range blocks {
			block := v.(object)
			delta := func(what, field, s string) {
				send("content_block_delta", object{"index": i, "delta": object{"type": what, field: s}})
			}
			switch block["type"] {
			case "thinking":
				send("content_block_start", object{"index": i, "content_block": object{"type": "thinking", "thinking": "", "signature": ""}})
				for _, s := range pieces(r, a.reasoning) {
					delta("thinking_delta", "thinking", s)
				}
				delta("signature_delta", "signature", a.signature)
			case "text":
				send("content_block_start", object{"index": i, "content_block": object{"type": "text", "text": ""}})
				for _, s := range pieces(r, block["text"].(string)) {
					delta("text_delta", "text", s)
				}
			case "tool_use":
				send("content_block_start", object{"index": i, "content_block": object{"type": "tool_use", "id": block["id"], "name": block["name"], "input": object{}}})
				for _, s := range pieces(r, compact(block["input"])) {
					delta("input_json_delta", "partial_json", s)
				}
			}
			send("content_block_stop", object{"index": i})
		}
		send("message_delta", object{"delta": object{"stop_reason": whole["stop_reason"], "stop_sequence": nil}, "usage": object{"output_tokens": a.out}})
		send("message_stop", object{})
	}
	return b.String()
}
