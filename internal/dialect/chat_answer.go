package dialect

import "slices"

// chatAnswer reads an answer of chat/completions: its first choice.
//
// It reports false for an error in place of an answer, for an answer without a
// choice, and for one whose finish_reason tells a failure, or is missing where nothing
// was said. Further choices are skipped: a request with n over 1 was refused before.
func (a *answerReader) chatAnswer() bool {
	r := a.reply
	if !a.enter('{') {
		return false
	}
	var u tokens
	found := false
	for name := range a.members() {
		switch string(name) {
		case "id":
			r.id = a.str()
		case "model":
			r.model = a.str()
		case "created":
			r.created = a.integer()
		case "choices":
			if !a.array() {
				continue
			}
			for a.elem() {
				if found {
					a.value()
					continue
				}
				found = a.chatChoice()
			}
		case "usage":
			a.usage(&u)
		case "error":
			if a.value() != nil {
				return false
			}
		default:
			a.value()
		}
	}
	r.usage = u.usage()
	if r.stop == stopUnset && !a.failed && len(r.parts) > 0 {
		r.stop = stopEnd // some servers never say
	}
	switch calls := r.has(kindCall); {
	case r.stop == stopEnd && calls:
		r.stop = stopTool // some servers say stop
	case r.stop == stopTool && !calls:
		r.stop = stopEnd // others could not read the call that they announce
	}
	return found && r.stop != stopUnset
}

// chatChoice reads the first choice, and reports whether it holds a message:
//
//	{"index": 0, "message": {…}, "finish_reason": "stop"}
//
// A chunk of a stream has a delta in the place of the message, and does not count.
func (a *answerReader) chatChoice() bool {
	if !a.object() {
		return false
	}
	found := false
	for name := range a.members() {
		switch string(name) {
		case "message":
			if a.object() {
				found = true
				a.chatMessage()
			}
		case "finish_reason":
			word := a.text()
			a.reply.stop = chatStop(word)
			a.failed = !unfinished(word) && a.reply.stop == stopUnset
		case "stop_reason", "matched_stop":
			// vLLM and SGLang tell the stop sequence here, or the number of a token.
			if v := a.str(); v != nil {
				a.reply.sequence = v
			}
		default:
			a.value()
		}
	}
	return found
}

// chatStop reads a finish_reason. The words of a failure are not an end, and an
// empty one says nothing yet.
//
// Servers add words of their own for a good end, such as eos. They count as the
// end.
func chatStop(word string) stopReason {
	switch word {
	case "", "null", "None", "error", "network_error", "insufficient_system_resource", "abort", "cancelled", "timeout":
		return stopUnset
	case "length", "max_tokens":
		return stopLength
	case "tool_calls", "function_call":
		return stopTool
	case "content_filter", "sensitive":
		return stopRefusal
	}
	return stopEnd
}

// unfinished reports whether a finish_reason says nothing yet. Some servers write a
// missing value as a word.
func unfinished(word string) bool { return word == "" || word == "null" || word == "None" }

// chatMessage reads the message of a choice:
//
//	{"role": "assistant", "content": "…", "refusal": null, "tool_calls": […]}
//
// Servers give reasoning as reasoning_content or as reasoning, some as both. The
// first one counts, and its name is kept for the way back.
//
// The parts come in the order of messages and responses: reasoning, text, calls.
// A call with extra_content has its seal before it, see [sealOf].
func (a *answerReader) chatMessage() {
	r := a.reply
	var reasoning part
	var content, calls, old []part
	var cites []citation
	var details chatDetails
	d := reader{report: &Report{}}
	for name := range a.members() {
		switch string(name) {
		case "content":
			content = append(content, a.chatContent()...)
		case "refusal":
			if v := a.str(); !blank(v) {
				content = append(content, part{kind: kindRefusal, text: v})
			}
		case "reasoning_content", "reasoning":
			if v := a.str(); !blank(v) && reasoning.text == nil {
				reasoning = part{kind: kindReasoning, text: v, seal: seal{origin: originChat, data: name}}
			}
		case "annotations":
			cites = a.citations()
		case "reasoning_details":
			details.read(a.value())
		case "tool_calls":
			if !a.array() {
				continue
			}
			for a.elem() {
				d.cursor = a.cursor
				p := d.chatCall()
				a.cursor = d.cursor
				calls = a.chatCall(calls, p)
			}
		case "function_call":
			// Servers older than tool_calls have one call, and no id.
			if a.object() {
				var p callPiece
				p.function(&a.cursor)
				old = a.chatCall(old, part{kind: kindCall, name: p.name, args: p.args})
			}
		default:
			a.value()
		}
	}
	if len(content) > 0 && content[0].kind == kindText {
		content[0].cites = cites
	}
	if reasoning.text != nil {
		r.parts = append(r.parts, reasoning)
	}
	if details.proven() {
		r.parts = append(r.parts, part{kind: kindReasoning, seal: details.seal()})
	}
	if len(calls) == 0 {
		calls = old
	}
	a.t.nameCalls(calls)
	r.parts = append(r.parts, content...)
	for _, p := range calls {
		if p.extra != nil {
			// The client's format has no place at the call for what the provider wants
			// back.
			r.parts = append(r.parts, part{kind: kindReasoning, seal: sealOf(p.id, p.extra)})
		}
		r.parts = append(r.parts, p)
	}
}

// chatCall adds a call. Arguments without the name of a call are a fault. A call without
// both is none: some servers announce what they could not read.
func (a *answerReader) chatCall(calls []part, p part) []part {
	switch {
	case !blank(p.name):
		return append(calls, a.t.ownCall(p))
	case !blank(p.args) && string(p.args) != "{}" && !is(p.args, "{}"):
		a.fail()
	}
	return calls
}

// nameCalls gives an id to each call without one, and to each with the id of an earlier
// call.
// A client answers a call by its id, so that two calls must not share one.
func (t *Translator) nameCalls(parts []part) {
	given := map[string]struct{}{}
	for i := range parts {
		if p := &parts[i]; p.kind == kindCall {
			p.id = t.callID(p.id, given)
		}
	}
}

// chatContent reads the content of an answer: a string, or a list of texts and
// thoughts.
//
// Mistral's models answer with such a list. Empty texts are left out.
func (a *answerReader) chatContent() []part {
	if a.peek() != '[' {
		if v := a.str(); !blank(v) {
			return []part{{kind: kindText, text: v}}
		}
		return nil
	}
	var parts []part
	a.enter('[')
	for a.elem() {
		if !a.object() {
			continue
		}
		var p part
		for name := range a.members() {
			switch string(name) {
			case "text":
				p.text = a.str()
			case "thinking":
				p.kind = kindReasoning
				p.text = a.thoughts()
			default:
				a.value()
			}
		}
		if !blank(p.text) {
			parts = append(parts, p)
		}
	}
	return parts
}

// thoughts reads the text of a list of texts.
//
// It may be a string as well. Other values read as an empty string.
func (c *cursor) thoughts() raw {
	if c.peek() == '"' {
		return c.str()
	}
	var w writer
	var texts []raw
	if c.array() {
		for c.elem() {
			if !c.object() {
				continue
			}
			for name := range c.members() {
				if string(name) == "text" {
					texts = append(texts, orEmpty(c.str()))
				} else {
					c.value()
				}
			}
		}
	}
	w.joined("", texts...)
	return w.b
}

// ownCall turns a call of a stand-in back into one of the custom tool, and a flat
// name into the function's own.
//
// A provider of responses knows custom tools, and its calls need no turning.
func (t *Translator) ownCall(p part) part {
	p.name = t.ownName(p.name)
	if len(t.custom) > 0 && t.upstream != Responses && t.isCustom(p.name) {
		p.args = inputOf(p.argsObject(nil), p.args)
		p.free = true
	}
	t.spaced(&p)
	return p
}

// inputOf is the input of a custom tool: the one argument of its stand-in, or all
// arguments if the model gave others.
//
// object is nil or an object. all is the arguments as they came, in either form.
func inputOf(object, all raw) raw {
	c := cursor{b: object}
	if c.object() {
		for name := range c.members() {
			if v := c.value(); string(name) == "input" && len(v) > 0 && v[0] == '"' {
				return v
			}
		}
	}
	if len(all) > 0 && all[0] == '"' {
		return all
	}
	return quotedJSON(orEmpty(all))
}

// chatAnswer writes an answer of chat/completions, with one choice:
//
//	{"id": "chatcmpl-…", "object": "chat.completion", "choices": [{"index": 0, "message": {…}}], "usage": {…}}
func (w *answerWriter) chatAnswer(r *reply) {
	w.open('{')
	w.key("id")
	w.put(w.t.answerID("chatcmpl-", r.id))
	w.word("object", "chat.completion")
	w.number("created", r.created)
	w.orElse("model", w.t.served(r.model), `""`)
	w.array("choices")
	w.open('{')
	w.number("index", 0)
	w.key("message")
	w.chatMessage(r)
	// The API always has the member.
	w.constant("logprobs", "null")
	w.word("finish_reason", w.t.chatFinish(r.stop))
	w.close("}]")
	w.key("usage")
	w.chatUsage(r.usage)
	w.close("}")
}

// chatFinish is the finish_reason for a stop.
//
//	stop            the end of an answer, or a stop sequence
//	length          the limit on the output
//	tool_calls      the client is to run tools
//	content_filter  a refusal
//	function_call   the same, for a client older than tool_calls
func (t *Translator) chatFinish(stop stopReason) string {
	switch stop {
	case stopLength:
		return "length"
	case stopTool:
		if t.functions {
			return "function_call"
		}
		return "tool_calls"
	case stopRefusal:
		return "content_filter"
	}
	return "stop"
}

// chatMessage writes the message of an answer. All texts are one string, and so
// are all refusals. Reasoning stands as text for clients to show, and with its
// proof for clients to send back.
//
//	{"role": "assistant", "content": "…", "refusal": null, "tool_calls": […], "reasoning_content": "…"}
//
// Content is null only beside calls or a refusal. A client that reads content
// without a look at the rest gets a string otherwise.
func (w *answerWriter) chatMessage(r *reply) {
	var texts, refusals, reasoning []raw
	var cites []citation
	said := int64(0)
	calls, sealed := 0, false
	for i := range r.parts {
		switch p := &r.parts[i]; p.kind {
		case kindText:
			texts = append(texts, orEmpty(p.text))
			base := said
			said += points(inner(p.text))
			for _, cited := range p.cites {
				cites = append(cites, cited.at(base, said))
			}
		case kindRefusal:
			refusals = append(refusals, orEmpty(p.text))
		case kindReasoning:
			if !blank(p.text) {
				reasoning = append(reasoning, p.text)
			}
			sealed = sealed || len(p.seal.data) > 0
		case kindCall:
			calls++
		}
	}
	w.open('{')
	w.word("role", "assistant")
	w.key("content")
	if len(texts) == 0 && (calls > 0 || len(refusals) > 0) {
		w.lit("null")
	} else {
		w.joined("", texts...)
	}
	w.key("refusal")
	if len(refusals) == 0 {
		w.lit("null")
	} else {
		w.joined("", refusals...)
	}
	if len(cites) > 0 {
		w.array("annotations")
		for i := range cites {
			w.chatCitation(&cites[i])
		}
		w.close("]")
	}
	if len(reasoning) > 0 {
		w.key("reasoning_content")
		w.joined(`\n\n`, reasoning...)
	}
	if sealed {
		w.array("reasoning_details")
		after := int64(0)
		for i := range r.parts {
			switch p := &r.parts[i]; p.kind {
			case kindReasoning:
				w.detail(p.seal, orEmpty(p.text), after)
			case kindCall:
				after++
			}
		}
		w.close("]")
	}
	if calls > 0 && w.t.functions {
		first := slices.IndexFunc(r.parts, func(p part) bool { return p.kind == kindCall })
		w.object("function_call")
		w.field("name", orEmpty(r.parts[first].name))
		w.field("arguments", r.parts[first].argsText())
		w.close("}")
	} else if calls > 0 {
		w.array("tool_calls")
		for i := range r.parts {
			p := &r.parts[i]
			if p.kind != kindCall {
				continue
			}
			w.open('{')
			w.key("id")
			w.put(p.id)
			if p.free {
				w.word("type", "custom")
				w.object("custom")
				w.field("name", orEmpty(p.name))
				w.field("input", orEmpty(p.args))
			} else {
				w.word("type", "function")
				w.object("function")
				w.field("name", orEmpty(p.name))
				w.key("arguments")
				w.put(p.argsText())
			}
			w.close("}}")
		}
		w.close("]")
	}
	w.close("}")
}

// detail writes the elements of reasoning_details for a piece of reasoning.
//
//	{"type": "reasoning.text", "format": "aigateway:messages", "text": "…", "signature": "…", "index": 0}
//	{"type": "reasoning.encrypted", "format": "aigateway:responses", "id": "rs_1", "data": "…", "index": 0}
//
// The types are those of OpenRouter's reasoning_details, as clients know them.
// The format tells whose proof it is, and the index how many calls came before: models
// that think between two calls want their thoughts back at the same place.
func (w *writer) detail(s seal, body raw, after int64) {
	switch s.origin {
	case originRedacted:
		w.typed("reasoning.encrypted")
		w.word("format", formatClaude)
		w.key("data")
		w.inside(s.data)
		w.number("index", after)
		w.close("}")
	case originResponses:
		if !blank(body) {
			w.typed("reasoning.summary")
			w.word("format", formatOpenAI)
			w.field("summary", body)
			w.number("index", after)
			w.close("}")
		}
		w.typed("reasoning.encrypted")
		w.word("format", formatOpenAI)
		if len(s.id) > 0 {
			w.key("id")
			w.inside(s.id)
		}
		w.key("data")
		w.inside(s.data)
		w.number("index", after)
		w.close("}")
	default:
		w.typed("reasoning.text")
		w.word("format", formatClaude)
		w.field("text", body)
		if len(s.data) > 0 {
			w.key("signature")
			w.inside(s.data)
		}
		w.number("index", after)
		w.close("}")
	}
}
