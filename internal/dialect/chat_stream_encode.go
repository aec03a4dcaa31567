package dialect

// chatEncoder writes the chunks of chat/completions.
//
// Text and arguments go out as they come. Reasoning is kept as well, for its
// proof at the end, up to [maxAnswer] bytes.
type chatEncoder struct {
	s       *Stream
	prefix  []byte // a chunk up to its choices
	thought []byte // the open reasoning, the inside of a string
	proven  writer // the elements of reasoning_details
	said    int64  // the length of the text, in code points
	base    int64  // that at the last mark
	calls   int64
}

// start writes the chunk with the role. It keeps the front of all chunks:
// they differ in their choices.
func (e *chatEncoder) start(id, model raw, created int64) {
	var w writer
	w.open('{')
	w.key("id")
	w.put(e.s.t.answerID("chatcmpl-", id))
	w.word("object", "chat.completion.chunk")
	w.number("created", created)
	w.orElse("model", e.s.t.served(model), `""`)
	w.key("choices")
	e.prefix = append([]byte("data: "), w.b...)
	e.openDelta()
	e.s.out.word("role", "assistant")
	e.s.out.word("content", "")
	e.closeDelta("null")
}

// openDelta starts a chunk up to the members of its delta.
// The front is copied as bytes: a stream has thousands of chunks.
func (e *chatEncoder) openDelta() {
	o := &e.s.out
	o.b = append(o.b, e.prefix...)
	o.b = append(o.b, `[{"index":0,"delta":{`...)
	o.comma = false
}

// closeDelta ends a chunk. finish is JSON text: null, or a word in quotes. Clients
// with usage get "usage":null in each chunk, as from OpenAI.
func (e *chatEncoder) closeDelta(finish string) {
	o := &e.s.out
	o.b = append(o.b, `},"logprobs":null,"finish_reason":`...)
	o.b = append(o.b, finish...)
	o.b = append(o.b, `}]`...)
	if e.s.t.includeUsage {
		o.b = append(o.b, `,"usage":null`...)
	}
	o.b = append(o.b, "}\n\n"...)
}

// text writes {"content": "…"}.
func (e *chatEncoder) text(body raw) {
	e.said += points(inner(body))
	e.openDelta()
	e.s.out.field("content", body)
	e.closeDelta("null")
}

func (e *chatEncoder) mark() { e.base = e.said }

// cite writes {"annotations": […]}, as OpenAI's models that search do.
func (e *chatEncoder) cite(cited citation) {
	cited = cited.at(e.base, e.said)
	e.openDelta()
	e.s.out.array("annotations")
	e.s.out.chatCitation(&cited)
	e.s.out.close("]")
	e.closeDelta("null")
}

// refusal writes {"refusal": "…"}.
func (e *chatEncoder) refusal(body raw) {
	e.openDelta()
	e.s.out.field("refusal", body)
	e.closeDelta("null")
}

// reasoning writes a piece of reasoning for clients to show, and keeps it for
// reasoning_details.
func (e *chatEncoder) reasoning(body raw, _ seal) {
	e.thought = append(e.thought, inner(body)...)
	if !e.fits(0) {
		return
	}
	e.openDelta()
	e.s.out.field("reasoning_content", body)
	e.closeDelta("null")
}

// fits ends the stream if what is kept, and n bytes more, are too many.
// Both the open reasoning and the finished proofs count.
func (e *chatEncoder) fits(n int) bool {
	if len(e.thought)+len(e.proven.b)+n > maxAnswer {
		e.s.broken(ErrTooLong)
		return false
	}
	return true
}

// sealed ends reasoning with its proof. Both go out at the end of the answer, whole and
// in one piece: SDKs keep only the last value of a field that they do not know.
func (e *chatEncoder) sealed(s seal) {
	if !e.fits(len(s.data)) {
		return
	}
	if len(s.data) > 0 {
		body := make(raw, 0, len(e.thought)+2)
		body = append(append(append(body, '"'), e.thought...), '"')
		e.proven.detail(s, body, e.calls)
	}
	e.thought = e.thought[:0]
}

// details writes {"reasoning_details": […]}, if there are some.
// It comes before the finish reason, the last word of a choice.
func (e *chatEncoder) details() {
	if len(e.proven.b) == 0 {
		return
	}
	e.openDelta()
	e.s.out.constant("reasoning_details", "["+string(e.proven.b)+"]")
	e.closeDelta("null")
}

// call writes the first chunk of a call, with its id and name. The arguments
// follow in chunks of their own.
// Clients add the later pieces to the element with the same index.
func (e *chatEncoder) call(n int, id, name raw, free bool) {
	o := &e.s.out
	e.calls++
	if e.s.t.functions {
		if n == 0 {
			e.openDelta()
			o.object("function_call")
			o.field("name", name)
			o.word("arguments", "")
			o.close("}")
			e.closeDelta("null")
		}
		return
	}
	e.openDelta()
	e.openCall(n)
	o.field("id", id)
	if free {
		o.word("type", "custom")
		o.object("custom")
		o.field("name", name)
		o.word("input", "")
	} else {
		o.word("type", "function")
		o.object("function")
		o.field("name", name)
		o.word("arguments", "")
	}
	o.close("}}]")
	e.closeDelta("null")
}

// openCall starts an element of tool_calls. Its index is the number of the call.
func (e *chatEncoder) openCall(n int) {
	o := &e.s.out
	o.array("tool_calls")
	o.open('{')
	o.number("index", int64(n))
}

// args writes {"tool_calls": [{"index": 0, "function": {"arguments": "…"}}]}.
func (e *chatEncoder) args(n int, piece raw) { e.piece(n, "function", "arguments", piece) }

// piece writes a chunk with a piece of a call.
func (e *chatEncoder) piece(n int, object, field string, piece raw) {
	o := &e.s.out
	if e.s.t.functions {
		if n == 0 {
			e.openDelta()
			o.object("function_call")
			o.field("arguments", piece)
			o.close("}")
			e.closeDelta("null")
		}
		return
	}
	e.openDelta()
	e.openCall(n)
	o.object(object)
	o.field(field, piece)
	o.close("}}]")
	e.closeDelta("null")
}

// called does nothing: chat has no mark for the end of a call.
func (e *chatEncoder) called(int) {}

// end writes the chunk with the finish reason, the one with the usage if the
// client asked for it, and the mark of the end.
func (e *chatEncoder) end(stop stopReason, _ raw, u Usage) {
	e.details()
	e.openDelta()
	e.closeDelta(`"` + e.s.t.chatFinish(stop) + `"`)
	o := &e.s.out
	if e.s.t.includeUsage {
		o.b = append(o.b, e.prefix...)
		o.b = append(o.b, `[],"usage":`...)
		o.comma = false
		o.chatUsage(u)
		o.b = append(o.b, "}\n\n"...)
	}
	o.b = append(o.b, "data: [DONE]\n\n"...)
}

// fail writes an error in place of a chunk. The mark of the end does not follow.
// A client of OpenAI's raises an error for a chunk with the member error.
func (e *chatEncoder) fail(status int, p *problem) {
	o := &e.s.out
	o.b = append(o.b, "data: "...)
	o.comma = false
	o.problem(Chat, status, p)
	o.b = append(o.b, "\n\n"...)
}
