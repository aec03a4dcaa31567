package dialect_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

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
		item  object
		text  string
		part  object
		cites list
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
			s.part, s.text, s.cites = m["part"].(object), "", list{}
		case "output_text.delta", "refusal.delta", "reasoning_summary_text.delta":
			require.NotNil(t, s.part)
			s.text += m["delta"].(string)
		case "output_text.annotation.added":
			require.Equal(t, float64(len(s.cites)), m["annotation_index"])
			require.NotNil(t, s.part)
			s.cites = append(s.cites, m["annotation"])
		case "output_text.done", "reasoning_summary_text.done":
			require.Equal(t, s.text, m["text"])
		case "refusal.done":
			require.Equal(t, s.text, m["refusal"])
		case "content_part.done", "reasoning_summary_part.done":
			part := m["part"].(object)
			require.Equal(t, s.part["type"], part["type"])
			if part["type"] == "output_text" {
				require.Equal(t, s.cites, part["annotations"])
			}
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
