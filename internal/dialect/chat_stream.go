package dialect

import "bytes"

// maxCalls bounds the calls of tools in one answer.
//
// It bounds the memory of a stream whose server numbers its pieces at will.
const maxCalls = 1024

// maxCallName bounds the id and the name of a call, in bytes.
const maxCallName = 64 << 10

// chatDecoder reads the chunks of chat/completions.
//
// Chunks have no end of a call and no start of a text: a piece of another kind
// ends the one before it. Whole calls are told only by the finish reason.
type chatDecoder struct {
	s       *Stream
	calls   []chatCallState
	begun   int  // calls with a name
	content bool // something was said
	// afterCall is set until something follows a call.
	afterCall bool
	field     []byte // the name of the field that reasoning came in
	details   chatDetails
}

// chatCallState is a call under way.
//
// A call is known by its first piece and started by its name. id is the
// server's, and given is the client's: they differ where the server gives none,
// or one twice.
type chatCallState struct {
	index   int64
	id      raw
	given   raw // the client's id for it
	extra   raw // extra_content that came before the name
	started bool
	name    raw
	early   []byte // the inside of arguments that came before the name
	args    balance
}

// event reads one chunk.
//
//	{"id": …, "choices": [{"index": 0, "delta": {…}, "finish_reason": null}], "usage": null}
//
// The whole chunk is read before its delta is passed on. Nothing of a broken
// chunk reaches the client.
//
// The stream ends by [DONE]. Without a finish reason and without any content it is
// broken. An error may stand in an event's name, in the chunk, or in its choice.
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
				var d, m, f, q raw
				for name := range c.members() {
					switch string(name) {
					case "index":
						index = c.integer()
					case "delta":
						d = c.value()
					case "message":
						m = c.value()
					case "finish_reason":
						f = c.str()
					case "stop_reason", "matched_stop":
						if v := c.str(); v != nil {
							q = v
						}
					case "error":
						if v := c.value(); v != nil {
							failure = v
						}
					default:
						c.value()
					}
				}
				if d == nil {
					d = m // some servers give the message in one chunk, others beside each delta
				}
				// Of several choices only the first one is the client's.
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
	if s.over() || blank(finish) || unfinished(text(finish)) {
		return
	}
	stop := chatStop(text(finish))
	if stop == stopUnset {
		s.fail(ErrUpstream, 502, &problem{message: raw(`"the provider ended the answer with an error"`), code: finish})
		return
	}
	// The end waits for [DONE]: the usage comes in a chunk behind the finish
	// reason.
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
//	{"function_call": {"name": "f", …}}          servers older than tool_calls
//
// A chunk may hold several kinds. They go out in the order of messages.
func (d *chatDecoder) delta(v raw) {
	s := d.s
	c := cursor{b: v}
	if v == nil || !c.object() {
		return
	}
	var content, cites, refusal, reasoning, details, calls, old raw
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
		case "annotations":
			cites = c.value()
		case "reasoning_details":
			details = c.value()
		case "tool_calls":
			calls = c.value()
		case "function_call":
			old = c.value()
		default:
			c.value()
		}
	}
	if !blank(reasoning) {
		d.content, d.afterCall = true, false
		s.to.reasoning(reasoning, seal{origin: originChat, data: d.field})
	}
	if details != nil {
		if d.details.read(details); d.details.size > maxAnswer {
			s.broken(ErrTooLong)
			return
		}
	}
	if len(content) > 0 && !blank(content) || calls != nil || old != nil {
		d.prove()
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
		// White space behind a call is not an answer to it: some models add a line
		// end.
		d.content, d.afterCall = true, d.afterCall && white(content)
		s.to.text(content)
	}
	if c = (cursor{b: cites}); cites != nil {
		s.cite(c.citations())
	}
	if !blank(refusal) {
		d.content, d.afterCall = true, false
		s.to.refusal(refusal)
	}
	if calls == nil {
		if c = (cursor{b: old}); old != nil && c.object() {
			var p callPiece
			p.function(&c)
			d.piece(&p)
		}
		return
	}
	c = cursor{b: calls}
	if calls[0] == '{' {
		d.call(&c) // TGI
		return
	}
	if !c.array() {
		return
	}
	for c.elem() && !s.over() {
		d.call(&c)
	}
}

// prove passes the details of the reasoning on, once they have a proof.
func (d *chatDecoder) prove() {
	if d.details.proven() {
		d.content = true
		d.s.to.sealed(d.details.seal())
	}
}

// call passes on a piece of a call:
//
//	{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}
//	{"index": 0, "function": {"arguments": "{\"a"}}
//	{"id": "call_1", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"google": {…}}}
//
// A call begins with its name. Earlier arguments are kept for it.
func (d *chatDecoder) call(c *cursor) {
	if p, ok := readCallPiece(c); ok {
		d.piece(&p)
	}
}

// piece passes on a piece that was read.
func (d *chatDecoder) piece(p *callPiece) {
	s := d.s
	n := d.find(p)
	if n < 0 {
		s.broken(ErrTooLong)
		return
	}
	if !d.calls[n].started && !d.begin(n, p) {
		return
	}
	d.content, d.afterCall = true, true
	if p.extra != nil {
		s.to.sealed(sealOf(d.calls[n].given, p.extra))
	}
	if !blank(p.args) && !s.over() {
		d.args(n, p.args)
	}
}

// callPiece is a piece of a call. Its values alias the event.
type callPiece struct {
	index           int64 // -1 where the server leaves it out
	id, name, extra raw
	args            raw // a string
}

// readCallPiece reads a piece of a call.
func readCallPiece(c *cursor) (p callPiece, ok bool) {
	if !c.object() {
		return p, false
	}
	p.index = -1
	for key := range c.members() {
		switch string(key) {
		case "index":
			p.index = c.integer()
		case "id":
			p.id = c.str()
		case "extra_content":
			p.extra = c.value()
		case "function":
			if c.object() {
				p.function(c)
			}
		default:
			c.value()
		}
	}
	return p, true
}

// function reads the name and the arguments of a piece.
func (p *callPiece) function(c *cursor) {
	for key := range c.members() {
		switch string(key) {
		case "name":
			p.name = c.str()
		case "arguments":
			// Some servers give the object itself.
			if p.args = c.value(); p.args != nil && p.args[0] != '"' {
				p.args = quotedJSON(p.args)
			}
		default:
			c.value()
		}
	}
}

// begin begins a call, and reports whether it has: not before its name. What came before
// is kept. The piece gives up what it has passed on.
func (d *chatDecoder) begin(n int, p *callPiece) bool {
	s, call := d.s, &d.calls[n]
	if p.extra != nil {
		call.extra = clone(p.extra)
		p.extra = nil
	}
	if blank(p.name) {
		call.early = append(call.early, inner(p.args)...)
		if len(call.early) > maxWaiting {
			s.broken(ErrTooLong)
		}
		return false
	}
	call.started, call.name = true, clone(p.name)
	d.begun++
	call.given = clone(s.callID(call.id))
	if call.extra != nil {
		s.to.sealed(sealOf(call.given, call.extra))
	}
	s.call(n, call.given, call.name)
	if len(call.early) > 0 {
		var w writer
		w.inside(call.early)
		d.args(n, w.b)
		call.early = nil
	}
	return true
}

// args passes a piece of arguments on. It follows them, as their end may tell where the
// next call begins.
func (d *chatDecoder) args(n int, piece raw) {
	d.calls[n].args.feed(inner(piece))
	d.s.args(n, piece)
}

// find returns the number of the call for a piece, a new one for the first piece.
// Some servers give all calls the index 0, or leave it out, and some give no ids.
//
// The search begins at the latest call. A piece with the index of a call belongs
// to it, with two exceptions. Another id is a new call, if a name comes with it.
// And without ids another name, or anything behind whole arguments, is a new
// call. A piece with the index of no call, and nothing but arguments, belongs to the
// latest call if that one is not whole: some servers count the pieces. -1 means that the
// answer has too many calls, or one with a huge id or name.
func (d *chatDecoder) find(p *callPiece) int {
	for n := len(d.calls) - 1; n >= 0; n-- {
		call := &d.calls[n]
		if p.index >= 0 && call.index != p.index {
			continue
		}
		if !blank(p.id) && !blank(call.id) && string(p.id) != string(call.id) {
			if blank(p.name) {
				return n
			}
			break
		}
		if blank(p.id) && blank(call.id) && call.followed(p.name, p.args) {
			break
		}
		if blank(call.id) && !blank(p.id) {
			call.id = clone(p.id)
		}
		return n
	}
	if n := len(d.calls) - 1; n >= 0 && blank(p.id) && blank(p.name) && d.calls[n].started && !d.calls[n].args.closed() {
		return n
	}
	if len(d.calls) == maxCalls || len(p.id)+len(p.name) > maxCallName {
		return -1
	}
	d.calls = append(d.calls, chatCallState{index: max(p.index, 0), id: clone(p.id)})
	return len(d.calls) - 1
}

// followed reports whether a piece belongs to another call without an id, and not to
// this one. It has another name, or this call is whole.
func (c *chatCallState) followed(name, args raw) bool {
	return c.started && !blank(name) && (string(name) != string(c.name) || c.args.closed() && !blank(args))
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
//
// Arguments without the name of a call are a fault. A call without both is none.
func (d *chatDecoder) close() {
	s := d.s
	for n := range d.calls {
		if call := &d.calls[n]; !call.started && len(call.early) > 0 && string(call.early) != "{}" {
			s.broken(ErrEvent)
			return
		}
	}
	if s.started {
		d.prove() // Gemini's may come behind the calls
	}
	switch {
	case d.afterCall && (s.stop == stopEnd || s.stop == stopUnset):
		s.stop = stopTool // some servers say stop
	case s.stop == stopUnset, s.stop == stopTool && d.begun == 0:
		s.stop = stopEnd
	}
	s.end()
}
