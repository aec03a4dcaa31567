package dialect

import "bytes"

// maxCalls bounds the calls of tools in one answer.
const maxCalls = 1024

// chatDecoder reads the chunks of chat/completions.
//
// Chunks have no end of a call and no start of a text: a piece of another kind
// ends the one before it. Whole calls are told only by the finish reason.
type chatDecoder struct {
	s       *Stream
	calls   []chatCallState
	content bool // something was said
	// afterCall is set until something follows a call.
	afterCall bool
	field     []byte // the name of the field that reasoning came in
}

// chatCallState is a call under way.
type chatCallState struct {
	index   int64
	id      raw
	started bool
	name    raw
	early   []byte // the inside of arguments that came before the name
}

// event reads one chunk.
//
//	{"id": …, "choices": [{"index": 0, "delta": {…}, "finish_reason": null}], "usage": null}
//
// The whole chunk is read before its delta is passed on. Nothing of a broken
// chunk reaches the client.
func (d *chatDecoder) event(name, data []byte) {
	s := d.s
	if len(data) < 16 && string(bytes.TrimSpace(data)) == "[DONE]" {
		if s.stop == stopUnset && !d.content {
			s.broken(ErrEnded)
			return
		}
		d.close()
		return
	}
	if string(name) == "error" {
		s.failed(data)
		return
	}
	c := cursor{b: data}
	var id, model, delta, finish, sequence raw
	created := int64(0)
	bad := false
	var failure raw // of a choice
	if !c.enter('{') {
		s.broken(ErrEvent)
		return
	}
	for name := range c.members() {
		switch string(name) {
		case "id":
			id = c.str()
		case "model":
			model = c.str()
		case "created":
			created = c.integer()
		case "choices":
			if !c.array() {
				continue
			}
			for c.elem() {
				if !c.object() {
					continue
				}
				index := int64(0)
				var d, f, q raw
				for name := range c.members() {
					switch string(name) {
					case "index":
						index = c.integer()
					case "delta", "message":
						d = c.value()
					case "finish_reason":
						f = c.str()
					case "stop_reason":
						q = c.str()
					case "error":
						if v := c.value(); v != nil {
							failure = v
						}
					default:
						c.value()
					}
				}
				if index == 0 {
					delta, finish, sequence = d, f, q
				}
			}
		case "usage":
			c.usage(&s.tokens)
		case "error":
			if c.value() != nil {
				bad = true
			}
		case "object":
			if is(c.str(), "error") {
				bad = true
			}
		default:
			c.value()
		}
	}
	switch {
	case !c.done():
		s.broken(ErrEvent)
		return
	case failure != nil:
		var w writer
		w.open('{')
		w.field("error", failure)
		w.close("}")
		s.failed(w.b)
		return
	case bad:
		s.failed(data)
		return
	}
	if delta != nil || finish != nil {
		s.begin(id, model, created)
	}
	d.delta(delta)
	if s.over() || blank(finish) {
		return
	}
	stop := chatStop(text(finish))
	if stop == stopUnset {
		s.fail(ErrUpstream, 502, &problem{message: raw(`"the provider ended the answer with an error"`), code: finish})
		return
	}
	s.stop = stop
	if !blank(sequence) {
		s.sequence = clone(sequence)
	}
}

// delta passes on a delta of the first choice: reasoning, text, calls.
//
// The members of a delta that count are these; the role and unknown ones do not.
//
//	{"role": "assistant", "content": ""}
//	{"content": "Hel"}
//	{"reasoning_content": "The user"}            DeepSeek, vLLM and others
//	{"reasoning": "The user"}                    OpenRouter, Ollama and others
//	{"content": [{"type": "text", "text": "…"}]} Mistral
//	{"refusal": "I cannot"}
//	{"tool_calls": [{"index": 0, …}]}
func (d *chatDecoder) delta(v raw) {
	s := d.s
	c := cursor{b: v}
	if v == nil || !c.object() {
		return
	}
	var content, refusal, reasoning, calls raw
	for name := range c.members() {
		switch string(name) {
		case "content":
			content = c.value()
		case "refusal":
			refusal = c.str()
		case "reasoning_content", "reasoning":
			if v := c.str(); !blank(v) && blank(reasoning) {
				reasoning = v
				d.field = append(d.field[:0], name...)
			}
		case "tool_calls":
			calls = c.value()
		default:
			c.value()
		}
	}
	if !blank(reasoning) {
		d.content, d.afterCall = true, false
		s.to.reasoning(reasoning, seal{origin: originChat, data: d.field})
	}
	if len(content) > 0 && content[0] == '[' {
		a := answerReader{cursor: cursor{b: content}, t: s.t}
		for _, p := range a.chatContent() {
			d.content, d.afterCall = true, false
			if p.kind == kindReasoning {
				s.to.reasoning(p.text, seal{origin: originChat})
			} else {
				s.to.text(p.text)
			}
		}
	} else if len(content) > 0 && content[0] == '"' && !blank(content) {
		d.content, d.afterCall = true, false
		s.to.text(content)
	}
	if !blank(refusal) {
		d.content, d.afterCall = true, false
		s.to.refusal(refusal)
	}
	if calls == nil {
		return
	}
	c = cursor{b: calls}
	if !c.array() {
		return
	}
	for c.elem() && !s.over() {
		d.call(&c)
	}
}

// call passes on a piece of a call:
//
//	{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}
//	{"index": 0, "function": {"arguments": "{\"a"}}
//
// A call begins with its name. Earlier arguments are kept for it.
func (d *chatDecoder) call(c *cursor) {
	if !c.object() {
		return
	}
	s := d.s
	var id, name, args raw
	index := int64(-1)
	for key := range c.members() {
		switch string(key) {
		case "index":
			index = c.integer()
		case "id":
			id = c.str()
		case "function":
			if !c.object() {
				continue
			}
			for key := range c.members() {
				switch string(key) {
				case "name":
					name = c.str()
				case "arguments":
					// Some servers give the object itself.
					if args = c.value(); args != nil && args[0] != '"' {
						args = quotedJSON(args)
					}
				default:
					c.value()
				}
			}
		default:
			c.value()
		}
	}
	d.content, d.afterCall = true, true
	n := d.find(index, id, name)
	if n < 0 {
		s.broken(ErrTooLong)
		return
	}
	call := &d.calls[n]
	if !call.started {
		if blank(call.name) && blank(name) {
			call.early = append(call.early, inner(args)...)
			if len(call.early) > maxWaiting {
				s.broken(ErrTooLong)
			}
			return
		}
		call.started = true
		call.name = clone(name)
		s.call(n, s.t.callID(call.id), call.name)
		if len(call.early) > 0 {
			var w writer
			w.inside(call.early)
			s.args(n, w.b)
			call.early = nil
		}
	}
	if !blank(args) && !s.over() {
		s.args(n, args)
	}
}

// find returns the number of the call for a piece, a new one for the first piece.
// Some servers give all calls the index 0, or leave it out.
func (d *chatDecoder) find(index int64, id, name raw) int {
	for n := len(d.calls) - 1; n >= 0; n-- {
		call := &d.calls[n]
		if index >= 0 && call.index != index {
			continue
		}
		if !blank(id) && !blank(call.id) && string(id) != string(call.id) {
			if blank(name) {
				return n
			}
			break
		}
		if blank(call.id) && !blank(id) {
			call.id = clone(id)
		}
		return n
	}
	if len(d.calls) == maxCalls {
		return -1
	}
	d.calls = append(d.calls, chatCallState{index: max(index, 0), id: clone(id)})
	return len(d.calls) - 1
}

// finish takes a stream without the mark of the end for whole, if it told a
// finish reason.
//
// Some servers close the connection without [DONE].
func (d *chatDecoder) finish() {
	if d.s.stop != stopUnset {
		d.close()
	}
}

// close ends the answer. The upstream has told a finish reason, or the mark of the
// end behind content.
func (d *chatDecoder) close() {
	s := d.s
	for n := range d.calls {
		if !d.calls[n].started {
			s.broken(ErrEvent) // a call without a name
			return
		}
	}
	if d.afterCall && (s.stop == stopEnd || s.stop == stopUnset) {
		s.stop = stopTool // some servers say stop
	}
	if s.stop == stopUnset {
		s.stop = stopEnd
	}
	s.end()
}
