package dialect

// responsesAnswer reads an answer of responses:
//
//	{"id": "resp_1", "status": "completed", "output": [{"type": "message", …}], "usage": {…}}
//
// Its items are read as those of a request.
func (a *answerReader) responsesAnswer() bool {
	r := a.reply
	if !a.enter('{') {
		return false
	}
	var u tokens
	status, reason := "", ""
	for name := range a.members() {
		switch string(name) {
		case "id":
			r.id = a.str()
		case "model":
			r.model = a.str()
		case "created_at":
			r.created = a.integer()
		case "status":
			status = a.text()
		case "error":
			// An answer with status failed has an error beside an output.
			if a.value() != nil {
				return false
			}
		case "incomplete_details":
			reason = a.incompleteReason()
		case "output":
			if !a.array() {
				continue
			}
			// The cursor goes into the reader of requests and comes back. Faults come
			// back with it.
			d := reader{cursor: a.cursor, report: &Report{}, conversation: &conversation{}, answer: true}
			for d.elem() {
				d.responsesItem()
			}
			a.cursor = d.cursor
			if d.wrong || d.report.Refuse != "" {
				return false
			}
			for _, t := range d.conversation.turns {
				r.parts = append(r.parts, t.parts...)
			}
			a.t.nameCalls(r.parts)
			for i := range r.parts {
				r.parts[i].name = a.t.ownName(r.parts[i].name)
			}
		case "usage":
			a.usage(&u)
		default:
			a.value()
		}
	}
	r.usage = u.usage()
	r.stop = responsesStop(status, reason, r.has(kindCall))
	return r.stop != stopUnset
}

// incompleteReason reads incomplete_details.
//
// It is empty for null, and for a server that gives no reason.
func (c *cursor) incompleteReason() (reason string) {
	if !c.object() {
		return ""
	}
	for name := range c.members() {
		if string(name) == "reason" {
			reason = c.text()
		} else {
			c.value()
		}
	}
	return reason
}

// responsesStop reads the status of an answer. Other statuses are not the end of
// an answer.
//
//	completed                                           the end, or calls of tools
//	incomplete  {"reason": "max_output_tokens"}         the limit on the output
//	incomplete  {"reason": "content_filter"}            a refusal
func responsesStop(status, reason string, calls bool) stopReason {
	switch {
	case status == "incomplete" && reason == "content_filter":
		return stopRefusal
	case status == "incomplete":
		return stopLength
	case status != "completed":
		return stopUnset
	case calls:
		return stopTool
	}
	return stopEnd
}

// responsesAnswer writes an answer of responses. Texts and refusals in a row are
// one message; reasoning and calls are items of their own.
//
// Ids of items are new: the upstream's format has none.
func (w *answerWriter) responsesAnswer(r *reply) {
	o := responsesObject{t: w.t, id: w.t.answerID("resp_", r.id), model: r.model, created: r.created}
	o.end(r.stop)
	var items writer
	for i := 0; i < len(r.parts); i++ {
		p := &r.parts[i]
		switch p.kind {
		case kindText, kindRefusal:
			n := i
			for n < len(r.parts) && (r.parts[n].kind == kindText || r.parts[n].kind == kindRefusal) {
				n++
			}
			items.messageItem(quote(w.t.newID("msg_")), itemStatus(o.status), r.parts[i:n])
			i = n - 1
		case kindReasoning:
			items.wrappedReasoning(quote(w.t.newID("rs_")), orEmpty(p.text), p.seal)
		case kindCall:
			items.callItem(quote(w.t.newID("fc_")), "completed", p)
		}
	}
	o.items, o.usage = items.b, r.usage
	o.write(&w.writer)
}

// itemStatus is the status of the last message of an answer.
//
// An answer that ended at a limit has an incomplete last message.
func itemStatus(status string) string {
	if status == "in_progress" {
		return status
	}
	if status == "incomplete" {
		return "incomplete"
	}
	return "completed"
}

// messageItem writes a message of texts and refusals.
func (w *writer) messageItem(id raw, status string, parts []part) {
	w.open('{')
	w.field("id", id)
	w.word("type", "message")
	w.word("status", status)
	w.word("role", "assistant")
	w.array("content")
	for i := range parts {
		w.contentPart(parts[i].kind, orEmpty(parts[i].text), parts[i].cites)
	}
	w.close("]}")
}

// contentPart writes a part of a message.
//
// logprobs are empty, as the API writes them.
func (w *writer) contentPart(k kind, body raw, cites []citation) {
	w.open('{')
	if k == kindRefusal {
		w.word("type", "refusal")
		w.field("refusal", body)
	} else {
		w.word("type", "output_text")
		w.field("text", body)
		w.array("annotations")
		end := int64(0)
		if len(cites) > 0 {
			end = points(inner(body))
		}
		for _, cited := range cites {
			cited = cited.at(0, end)
			w.responsesCitation(&cited)
		}
		w.close("]")
		w.constant("logprobs", "[]")
	}
	w.close("}")
}

// wrappedReasoning writes reasoning of another format as an item. Its seal
// stands in encrypted_content.
//
// The id is the gateway's. A client sends the item back, and unwrap finds the
// proof.
func (w *writer) wrappedReasoning(id, body raw, s seal) {
	w.open('{')
	w.field("id", id)
	w.word("type", "reasoning")
	w.array("summary")
	if !blank(body) {
		w.typed("summary_text")
		w.field("text", body)
		w.close("}")
	}
	w.close("]")
	w.key("encrypted_content")
	w.put(s.wrap())
	w.close("}")
}

// callItem writes a call of a tool:
//
//	{"type": "function_call", "id": "fc_…", "call_id": "call_1", "name": "f", "arguments": "{…}"}
//	{"type": "custom_tool_call", "id": "ctc_…", "call_id": "call_1", "name": "f", "input": "…"}
//
// status is in_progress for an item whose arguments are still to come, or
// completed.
func (w *writer) callItem(id raw, status string, p *part) {
	w.open('{')
	w.field("id", id)
	if p.free {
		w.word("type", "custom_tool_call")
	} else {
		w.word("type", "function_call")
	}
	w.word("status", status)
	w.field("call_id", orEmpty(p.id))
	w.field("name", orEmpty(p.name))
	w.field("namespace", p.space)
	if p.free {
		w.field("input", orEmpty(p.args))
	} else {
		w.key("arguments")
		if status == "in_progress" {
			w.put(p.args) // they are still to come
		} else {
			w.put(p.argsText())
		}
	}
	w.close("}")
}

// responsesObject is the frame of an answer of responses. The first and the last
// events of a stream repeat it.
type responsesObject struct {
	t       *Translator
	id      raw
	model   raw
	created int64
	status  string
	reason  string // of an incomplete answer
	items   []byte // the elements of output, with commas between them
	usage   Usage
}

// end sets the status of a whole answer.
//
// stopSequence and stopPause have no counterpart, and count as completed.
func (o *responsesObject) end(stop stopReason) {
	o.status = "completed"
	switch stop {
	case stopLength:
		o.status, o.reason = "incomplete", "max_output_tokens"
	case stopRefusal:
		o.status, o.reason = "incomplete", "content_filter"
	}
}

// write writes the frame. SDKs expect the request's settings in it.
//
// Values that the request left out have the API's defaults. store is false, as
// nothing is stored.
func (o *responsesObject) write(w *writer) {
	e := &o.t.echo
	w.open('{')
	w.field("id", o.id)
	w.word("object", "response")
	w.number("created_at", o.created)
	w.word("status", o.status)
	w.constant("background", "false")
	w.constant("error", "null")
	w.key("incomplete_details")
	if o.reason == "" {
		w.lit("null")
	} else {
		w.open('{')
		w.word("reason", o.reason)
		w.close("}")
	}
	w.orNull("instructions", e.instructions)
	w.orNull("max_output_tokens", e.maxOutput)
	w.orNull("max_tool_calls", e.maxCalls)
	w.orElse("model", o.t.served(o.model), `""`)
	w.array("output")
	w.b = append(w.b, o.items...)
	w.close("]")
	w.orElse("parallel_tool_calls", e.parallel, "true")
	w.constant("previous_response_id", "null")
	w.orElse("reasoning", e.reasoning, `{"effort":null,"summary":null}`)
	w.constant("store", "false")
	w.orElse("temperature", e.temperature, "1")
	w.orElse("text", e.text, `{"format":{"type":"text"}}`)
	w.orElse("tool_choice", e.choice, `"auto"`)
	w.orElse("tools", e.tools, "[]")
	w.orElse("top_p", e.topP, "1")
	w.orElse("truncation", e.truncation, `"disabled"`)
	w.key("usage")
	if o.status == "in_progress" {
		w.lit("null")
	} else {
		w.responsesUsage(o.usage)
	}
	w.orNull("user", e.user)
	w.orElse("metadata", e.metadata, "{}")
	w.close("}")
}
