package dialect

// messagesAnswer reads an answer of messages:
//
//	{"type": "message", "id": "msg_1", "content": [{"type": "text", "text": "…"}], "stop_reason": "end_turn"}
//
// It reports false for a body of another type than message, such as an error, for one
// whose stop_reason tells a failure, and for one without a stop_reason where nothing was
// said.
//
// The members come in any order, and so the verdict waits for the end.
func (a *answerReader) messagesAnswer() bool {
	r := a.reply
	if !a.enter('{') {
		return false
	}
	var u tokens
	what := ""
	for name := range a.members() {
		switch string(name) {
		case "type":
			what = a.text()
		case "id":
			r.id = a.str()
		case "model":
			r.model = a.str()
		case "content":
			// Blocks of an answer are read as those of a request.
			d := reader{cursor: a.cursor, from: Messages, report: &Report{}, answer: true}
			parts := d.messagesContent()
			a.cursor = d.cursor
			a.t.nameCalls(parts)
			for i := range parts {
				if parts[i].kind == kindCall {
					parts[i] = a.t.ownCall(parts[i])
				}
			}
			r.parts = parts
		case "stop_reason":
			word := a.text()
			r.stop = messagesStop(word)
			a.failed = !unfinished(word) && r.stop == stopUnset
		case "stop_sequence":
			r.sequence = a.str()
		case "usage":
			a.usage(&u)
		default:
			a.value()
		}
	}
	r.usage = u.usage()
	if r.stop == stopUnset && !a.failed && len(r.parts) > 0 {
		r.stop = stopEnd
	}
	if r.stop == stopEnd && r.has(kindCall) {
		r.stop = stopTool // some servers say end_turn
	}
	return what == "message" && r.stop != stopUnset
}

// messagesStop reads a stop_reason. The API may add words, so an unknown one is a good
// end. Some servers of the format have the words of chat.
//
// pause_turn means that a hosted tool is still at work. The client is to send
// the answer back to go on.
func messagesStop(word string) stopReason {
	switch word {
	case "end_turn":
		return stopEnd
	case "max_tokens", "model_context_window_exceeded":
		return stopLength
	case "stop_sequence":
		return stopSequence
	case "tool_use":
		return stopTool
	case "refusal":
		return stopRefusal
	case "pause_turn":
		return stopPause
	}
	return chatStop(word)
}

// messagesStopWord is the stop_reason for a stop.
// Any other stop is end_turn: clients know what to do with that.
func messagesStopWord(stop stopReason) string {
	switch stop {
	case stopLength:
		return "max_tokens"
	case stopSequence:
		return "stop_sequence"
	case stopTool:
		return "tool_use"
	case stopRefusal:
		return "refusal"
	case stopPause:
		return "pause_turn"
	}
	return "end_turn"
}

// messagesEnd is the stop reason of messages, and the stop sequence.
//
// A stop with a sequence is stop_sequence here, though chat and responses say
// only stop. refused tells that a refusal was written as text.
func messagesEnd(stop stopReason, sequence raw, refused bool) (string, raw) {
	switch {
	case refused:
		stop = stopRefusal
	case stop == stopEnd && !blank(sequence):
		stop = stopSequence
	}
	if stop != stopSequence {
		sequence = nil
	}
	return messagesStopWord(stop), sequence
}

// messagesAnswer writes an answer of messages. A call is left out if its arguments
// are not an object, as when the limit cut them off. Without a call, the stop reason
// does not promise one.
//
// A refusal is written as text, with the stop reason refusal: the format has no
// part for it.
func (w *answerWriter) messagesAnswer(r *reply) {
	w.open('{')
	w.key("id")
	w.put(w.t.answerID("msg_", r.id))
	w.word("type", "message")
	w.word("role", "assistant")
	w.orElse("model", w.t.modelName(r.model), `""`)
	w.array("content")
	calls := 0
	for i := range r.parts {
		p := &r.parts[i]
		switch p.kind {
		case kindText, kindRefusal:
			if !blank(p.text) {
				w.textBlock(p.text)
			}
		case kindReasoning:
			w.wrappedThinking(p)
		case kindCall:
			var report Report
			args := p.argsObject(&report)
			if len(report.Lost) > 0 {
				continue
			}
			calls++
			w.typed("tool_use")
			w.key("id")
			w.put(p.id)
			w.field("name", orEmpty(p.name))
			w.key("input")
			w.put(args)
			w.close("}")
		}
	}
	w.close("]")
	if r.stop == stopTool && calls == 0 {
		r.stop = stopEnd
	}
	stop, sequence := messagesEnd(r.stop, r.sequence, r.has(kindRefusal))
	w.word("stop_reason", stop)
	w.orNull("stop_sequence", sequence)
	w.key("usage")
	w.messagesUsage(r.usage)
	w.close("}")
}

// wrappedThinking writes reasoning of another format as a thinking block:
//
//	{"type": "thinking", "thinking": "…", "signature": "aigateway:responses:rs_1:…"}
func (w *writer) wrappedThinking(p *part) {
	w.typed("thinking")
	w.field("thinking", orEmpty(p.text))
	w.key("signature")
	w.put(p.seal.wrap())
	w.close("}")
}
