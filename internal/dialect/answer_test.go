package dialect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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

// event is an event of a client's stream.
type event struct {
	name string
	data string
}

// events cuts a client's stream, strictly: an event line, a data line, a blank one.
func events(t testing.TB, stream string) (list []event) {
	for _, block := range strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		var e event
		lines := strings.Split(block, "\n")
		if name, ok := strings.CutPrefix(lines[0], "event: "); ok {
			e.name, lines = name, lines[1:]
		}
		require.Len(t, lines, 1, "%q", block)
		data, ok := strings.CutPrefix(lines[0], "data: ")
		require.True(t, ok, "%q", block)
		e.data = data
		list = append(list, e)
	}
	return list
}

// collect reads a client's stream as its SDK does, and checks the order of its
// events to the letter. It returns the whole answer.
func collect(t testing.TB, f dialect.Format, stream string) object {
	switch f {
	case dialect.Chat:
		return collectChat(t, events(t, stream))
	case dialect.Responses:
		return collectResponses(t, events(t, stream))
	}
	return collectMessages(t, events(t, stream))
}

func collectChat(t testing.TB, list_ []event) object {
	message := object{"role": "assistant", "content": nil, "refusal": nil}
	var calls list
	var details list
	join := func(m object, key string, v any) {
		if s, ok := v.(string); ok {
			old, _ := m[key].(string)
			m[key] = old + s
		}
	}
	finish, usage := any(nil), any(nil)
	var frame object
	require.Equal(t, "[DONE]", list_[len(list_)-1].data)
	for i, e := range list_[:len(list_)-1] {
		require.Empty(t, e.name)
		chunk := decode(e.data).(object)
		require.Equal(t, "chat.completion.chunk", chunk["object"])
		choices := chunk["choices"].(list)
		if len(choices) == 0 {
			require.Equal(t, len(list_)-2, i, "usage comes last")
			usage, frame = chunk["usage"], chunk
			continue
		}
		choice := choices[0].(object)
		delta := choice["delta"].(object)
		if i == 0 {
			require.Equal(t, object{"role": "assistant", "content": ""}, delta)
			continue
		}
		require.Nil(t, finish, "nothing follows the finish reason")
		finish = choice["finish_reason"]
		for k, v := range delta {
			switch k {
			case "content", "refusal", "reasoning_content":
				join(message, k, v)
			case "reasoning_details":
				details = append(details, v.(list)...)
			case "tool_calls":
				for _, v := range v.(list) {
					c := v.(object)
					n := int(c["index"].(float64))
					function := c["function"].(object)
					if n == len(calls) {
						require.Contains(t, c, "id")
						require.Equal(t, "", function["arguments"])
						calls = append(calls, object{"id": c["id"], "type": c["type"], "function": object{"name": function["name"], "arguments": ""}})
						continue
					}
					require.Less(t, n, len(calls))
					join(calls[n].(object)["function"].(object), "arguments", function["arguments"])
				}
			default:
				require.Fail(t, "unknown field of a delta", k)
			}
		}
	}
	require.NotNil(t, finish)
	require.NotNil(t, usage)
	if calls != nil {
		message["tool_calls"] = calls
	}
	if details != nil {
		message["reasoning_details"] = details
	}
	if message["content"] == nil && calls == nil && message["refusal"] == nil {
		message["content"] = ""
	}
	return object{
		"id": frame["id"], "object": "chat.completion", "created": frame["created"], "model": frame["model"],
		"choices": list{object{"index": 0.0, "message": message, "logprobs": nil, "finish_reason": finish}}, "usage": usage,
	}
}

func collectMessages(t testing.TB, list_ []event) object {
	var message object
	var open object
	input := ""
	blocks := list{}
	stopped := false
	for i, e := range list_ {
		m := decode(e.data).(object)
		require.Equal(t, e.name, m["type"])
		require.Equal(t, i == 0, e.name == "message_start")
		require.Equal(t, i == len(list_)-1, e.name == "message_stop")
		switch e.name {
		case "message_start":
			message = m["message"].(object)
			require.Equal(t, list{}, message["content"])
		case "content_block_start":
			require.Nil(t, open, "one block at a time")
			require.Equal(t, float64(len(blocks)), m["index"])
			open, input = m["content_block"].(object), ""
		case "content_block_delta":
			require.Equal(t, float64(len(blocks)), m["index"])
			d := m["delta"].(object)
			switch d["type"] {
			case "text_delta":
				require.Equal(t, "text", open["type"])
				open["text"] = open["text"].(string) + d["text"].(string)
			case "thinking_delta":
				open["thinking"] = open["thinking"].(string) + d["thinking"].(string)
			case "signature_delta":
				open["signature"] = d["signature"]
			case "input_json_delta":
				require.Equal(t, "tool_use", open["type"])
				input += d["partial_json"].(string)
			default:
				require.Fail(t, "unknown delta", d["type"])
			}
		case "content_block_stop":
			require.Equal(t, float64(len(blocks)), m["index"])
			require.NotNil(t, open)
			if open["type"] == "tool_use" && input != "" {
				open["input"] = decode(input)
			}
			blocks = append(blocks, open)
			open = nil
		case "message_delta":
			require.Nil(t, open)
			require.False(t, stopped)
			stopped = true
			d := m["delta"].(object)
			message["stop_reason"], message["stop_sequence"], message["usage"] = d["stop_reason"], d["stop_sequence"], m["usage"]
		case "message_stop":
			require.True(t, stopped)
		default:
			require.Fail(t, "unknown event", e.name)
		}
	}
	message["content"] = blocks
	return message
}

func collectResponses(t testing.TB, list_ []event) object {
	type state struct {
		item object
		text string
		part object
	}
	items := map[float64]*state{}
	done := map[float64]any{}
	var final object
	for i, e := range list_ {
		m := decode(e.data).(object)
		require.Equal(t, e.name, m["type"])
		require.Equal(t, float64(i), m["sequence_number"])
		require.Equal(t, i == 0, e.name == "response.created")
		require.Equal(t, i == 1, e.name == "response.in_progress")
		index, _ := m["output_index"].(float64)
		s := items[index]
		if _, ok := m["item_id"]; ok {
			require.NotNil(t, s, e.name)
			require.Equal(t, s.item["id"], m["item_id"])
		}
		switch name := strings.TrimPrefix(e.name, "response."); name {
		case "created", "in_progress":
			require.Equal(t, list{}, m["response"].(object)["output"])
		case "output_item.added":
			require.Equal(t, float64(len(items)), index)
			item := m["item"].(object)
			for _, k := range []string{"arguments", "input"} {
				if v, ok := item[k]; ok {
					require.Equal(t, "", v)
				}
			}
			items[index] = &state{item: item}
		case "content_part.added", "reasoning_summary_part.added":
			require.Nil(t, s.part)
			s.part, s.text = m["part"].(object), ""
		case "output_text.delta", "refusal.delta", "reasoning_summary_text.delta":
			require.NotNil(t, s.part)
			s.text += m["delta"].(string)
		case "output_text.done", "reasoning_summary_text.done":
			require.Equal(t, s.text, m["text"])
		case "refusal.done":
			require.Equal(t, s.text, m["refusal"])
		case "content_part.done", "reasoning_summary_part.done":
			part := m["part"].(object)
			require.Equal(t, s.part["type"], part["type"])
			s.part = nil
		case "function_call_arguments.delta", "custom_tool_call_input.delta":
			s.text += m["delta"].(string)
		case "function_call_arguments.done":
			require.Equal(t, s.text, m["arguments"])
		case "custom_tool_call_input.done":
			require.Equal(t, s.text, m["input"])
		case "output_item.done":
			require.Nil(t, s.part)
			item := m["item"].(object)
			require.Equal(t, s.item["id"], item["id"])
			require.NotContains(t, done, index)
			done[index] = item
		case "completed", "incomplete":
			require.Equal(t, len(list_)-1, i)
			final = m["response"].(object)
			require.Equal(t, name, final["status"])
		default:
			require.Fail(t, "unknown event", e.name)
		}
	}
	require.NotNil(t, final)
	require.Len(t, done, len(items))
	for i, item := range final["output"].(list) {
		require.Equal(t, done[float64(i)], item)
	}
	return final
}

// plain removes made-up parts of an answer before a comparison: ids that were
// made up, and settings that a responses answer repeats.
func plain(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for k, e := range v {
			switch k {
			case "id":
				if s, _ := e.(string); !strings.HasPrefix(s, "call_") {
					continue
				}
			case "annotations", "logprobs", "refusal", "created", "created_at", "error", "object", "reasoning_details":
				if k != "refusal" || e == nil {
					continue
				}
			case "reasoning_tokens", "completion_tokens_details", "output_tokens_details":
				continue
			case "incomplete_details":
				if e == nil {
					continue
				}
			case "background", "instructions", "max_output_tokens", "max_tool_calls", "parallel_tool_calls", "previous_response_id",
				"reasoning", "store", "temperature", "text", "tool_choice", "tools", "top_p", "truncation", "user", "metadata":
				if _, isText := e.(string); k != "text" || !isText {
					continue
				}
			case "signature", "encrypted_content":
				continue
			case "status":
				if v["type"] == "message" {
					continue
				}
			}
			out[k] = plain(e)
		}
		return out
	case list:
		out := list{}
		for _, e := range v {
			out = append(out, plain(e))
		}
		return out
	}
	return v
}

// expected is the answer that a client of a format must get.
func (a *answer) expected(client dialect.Format, upstream dialect.Format) any {
	b := *a
	if upstream == dialect.Messages && b.refusal != "" {
		b.text, b.refusal, b.stop = b.text+b.refusal, "", "filter"
	}
	whole := b.whole(client)
	if client == dialect.Messages {
		whole["model"] = "m" // as the client named it
	}
	return plain(decode(compact(whole)))
}

func request(client dialect.Format, stream bool) string {
	m := object{"model": "m", "stream": stream}
	switch client {
	case dialect.Responses:
		m["input"] = "hi"
		m["tools"] = list{object{"type": "function", "name": "tool", "parameters": object{}}}
	case dialect.Chat:
		m["stream_options"] = object{"include_usage": true}
		fallthrough
	default:
		m["max_tokens"] = 10
		m["messages"] = list{object{"role": "user", "content": "hi"}}
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

func begun(t testing.TB, client, upstream dialect.Format, stream bool) *dialect.Translator {
	tr := translator(t, client, upstream)
	_, _, err := tr.Request([]byte(request(client, stream)), dialect.Options{Now: 7})
	require.NoError(t, err)
	return tr
}

// TestAnswersOfTheSharedSubset translates answers, whole and streamed, and
// compares them with the ones that the client's own provider would have sent.
func TestAnswersOfTheSharedSubset(t *testing.T) {
	pairs(func(client, upstream dialect.Format) {
		t.Run(client.String()+"-to-"+upstream.String(), func(t *testing.T) {
			for seed := range uint64(150) {
				r := rand.New(rand.NewPCG(seed, 2))
				a := newAnswer(r)
				want := a.expected(client, upstream)

				tr := begun(t, client, upstream, false)
				in := compact(a.whole(upstream))
				out, err := tr.Answer([]byte(in))
				require.NoError(t, err, in)
				require.Equal(t, want, plain(decode(string(out))), "seed %d: %s", seed, in)
				require.Equal(t, int64(a.in), tr.Usage().Input)
				require.Equal(t, int64(a.cached), tr.Usage().Cached)
				require.Equal(t, int64(a.out), tr.Usage().Output)

				tr = begun(t, client, upstream, true)
				in = a.stream(upstream, r, seed%2 == 0)
				s := tr.Stream()
				var got bytes.Buffer
				for rest := in; rest != ""; {
					n := 1 + r.IntN(min(len(rest), 200))
					got.Write(s.Write([]byte(rest[:n])))
					rest = rest[n:]
				}
				last, whole := s.Close()
				got.Write(last)
				require.True(t, whole, "seed %d", seed)
				require.NoError(t, s.Err())
				require.Equal(t, want, plain(collect(t, client, got.String())), "seed %d: %s\n%s", seed, in, got.String())
				require.Equal(t, int64(a.in), tr.Usage().Input)
			}
		})
	})
}

// endings are the marks of a whole answer in a client's stream.
func looksWhole(f dialect.Format, stream string) bool {
	switch f {
	case dialect.Chat:
		return strings.Contains(stream, "[DONE]") || strings.Contains(stream, `"finish_reason":"`)
	case dialect.Responses:
		return strings.Contains(stream, "event: response.completed") || strings.Contains(stream, "event: response.incomplete")
	}
	return strings.Contains(stream, "event: message_stop") || strings.Contains(stream, "event: message_delta")
}

func looksBroken(f dialect.Format, stream string) bool {
	if f == dialect.Chat {
		return strings.Contains(stream, `data: {"error":{`)
	}
	return strings.Contains(stream, "event: error\n")
}

// TestStreamsThatEndEarly cuts streams at every byte. The client never gets an
// answer that looks whole, but for a chat that lacks nothing but [DONE].
func TestStreamsThatEndEarly(t *testing.T) {
	pairs(func(client, upstream dialect.Format) {
		t.Run(client.String()+"-to-"+upstream.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 3))
			a := &answer{reasoning: "thought", signature: "c2ln", text: "some text", stop: "tool", in: 9, out: 3,
				calls: []scenePart{{id: "call_0", name: "tool", args: `{"q":"}\""}`}, {id: "call_1", name: "tool", args: `{}`}}}
			in := a.stream(upstream, r, true)
			for n := range len(in) {
				s := begun(t, client, upstream, true).Stream()
				got := string(s.Write([]byte(in[:n])))
				last, whole := s.Close()
				got += string(last)
				ended := strings.Contains(in[:n], "event: message_stop\ndata: {\"type\":\"message_stop\"}") ||
					strings.Contains(in[:n], `"type":"response.completed"}`)
				if upstream == dialect.Chat && strings.Contains(in[:n], `"finish_reason":"tool_calls"`) {
					continue // whole with the chunk's last brace, cut off behind it
				}
				if whole != ended || looksWhole(client, got) != ended || looksBroken(client, got) == ended {
					require.Failf(t, "wrong end", "cut at %d behind %q: whole %v\n%s", n, in[max(0, n-80):n], whole, got)
				}
			}
		})
	})
}

// TestEveryBoundary translates streams that are cut in two at every byte.
func TestEveryBoundary(t *testing.T) {
	pairs(func(client, upstream dialect.Format) {
		a := &answer{reasoning: "thöught", signature: "c2ln", text: "some 😀 text", stop: "tool", in: 9, out: 3,
			calls: []scenePart{{id: "call_0", name: "tool", args: `{"q":"}\""}`}}}
		in := a.stream(upstream, rand.New(rand.NewPCG(4, 4)), false)
		for i, in := range []string{in, strings.ReplaceAll(in, "\n", "\r\n"), strings.ReplaceAll(in, "\n", "\r")} {
			step := 1 + 6*i
			s := begun(t, client, upstream, true).Stream()
			want := string(s.Write([]byte(in)))
			last, whole := s.Close()
			require.True(t, whole)
			want += string(last)
			for n := 0; n < len(in); n += step {
				s := begun(t, client, upstream, true).Stream()
				got := string(s.Write([]byte(in[:n])))
				got += string(s.Write([]byte(in[n:])))
				last, _ := s.Close()
				got += string(last)
				if got != want {
					require.Equal(t, want, got, "cut at %d", n)
				}
			}
		}
	})
}
