package dialect

import "bytes"

// messagesDecoder reads the events of messages.
type messagesDecoder struct {
	s     *Stream
	calls int
	open  []openBlock // nearly always one
}

// openBlock is a block that has begun and not stopped.
type openBlock struct {
	index int64
	kind  blockKind
	call  int
	seal  seal
	input raw // of a call, from its start
	said  bool
}

type blockKind uint8

const (
	blockNone blockKind = iota
	blockText
	blockThinking
	blockCall
	blockOther // a kind that has no counterpart
)

// messagesEvent is what the members of an event say.
type messagesEvent struct {
	what, contentType             []byte
	index                         int64
	id, model                     raw
	body, signature, data, input  raw
	callID, name, reason, stopped raw
}

// event reads one event: message_start, content_block_start, …_delta and …_stop,
// message_delta, message_stop, error. A ping says nothing, and unknown events are
// skipped, as the API asks of its clients.
func (d *messagesDecoder) event(name, data []byte) {
	s := d.s
	c := cursor{b: data}
	var e messagesEvent
	if !c.enter('{') {
		s.broken(ErrEvent)
		return
	}
	for key := range c.members() {
		switch string(key) {
		case "type":
			e.what = c.word()
		case "index":
			e.index = c.integer()
		case "message":
			if c.object() {
				e.message(&c, s)
			}
		case "content_block", "delta":
			if c.object() {
				e.content(&c)
			}
		case "usage":
			c.usage(&s.tokens)
		case "error":
			if c.value() != nil && e.what == nil {
				e.what = []byte("error")
			}
		default:
			c.value()
		}
	}
	if !c.done() {
		s.broken(ErrEvent)
		return
	}
	if e.what == nil {
		e.what = name
	}
	switch string(e.what) {
	case "message_start":
		s.begin(e.id, e.model, 0)
	case "content_block_start":
		s.begin(nil, nil, 0)
		d.start(&e)
	case "content_block_delta":
		d.delta(&e)
	case "content_block_stop":
		d.stop(e.index)
	case "message_delta":
		if stop := messagesStop(text(e.reason)); stop != stopUnset {
			s.stop, s.sequence = stop, clone(e.stopped)
		}
	case "message_stop":
		if s.stop == stopUnset {
			s.broken(ErrEnded)
			return
		}
		for len(d.open) > 0 && !s.over() {
			d.stop(d.open[0].index)
		}
		s.end()
	case "error":
		s.failed(data)
	}
}

func (e *messagesEvent) message(c *cursor, s *Stream) {
	for key := range c.members() {
		switch string(key) {
		case "id":
			e.id = c.str()
		case "model":
			e.model = c.str()
		case "usage":
			c.usage(&s.tokens)
		default:
			c.value()
		}
	}
}

// content reads a content block, or a delta.
func (e *messagesEvent) content(c *cursor) {
	for key := range c.members() {
		switch string(key) {
		case "type":
			e.contentType = c.word()
		case "text", "thinking", "partial_json":
			e.body = c.str()
		case "signature":
			e.signature = c.str()
		case "data":
			e.data = c.str()
		case "id":
			e.callID = c.str()
		case "name":
			e.name = c.str()
		case "input":
			e.input = c.value()
		case "stop_reason":
			e.reason = c.str()
		case "stop_sequence":
			e.stopped = c.str()
		default:
			c.value()
		}
	}
}

// start begins a block. A block of a hosted tool is followed and not passed on.
func (d *messagesDecoder) start(e *messagesEvent) {
	s := d.s
	if len(d.open) == maxCalls || d.calls == maxCalls {
		s.broken(ErrTooLong)
		return
	}
	b := openBlock{index: e.index}
	switch string(e.contentType) {
	case "text":
		b.kind = blockText
		if !blank(e.body) {
			s.to.text(e.body)
		}
	case "thinking":
		b.kind = blockThinking
		b.seal = seal{origin: originMessages, data: bytes.Clone(inner(e.signature))}
		if !blank(e.body) {
			s.to.reasoning(e.body, b.seal)
			b.said = true
		}
	case "redacted_thinking":
		b.kind = blockOther
		s.to.sealed(seal{origin: originRedacted, data: inner(e.data)})
	case "tool_use":
		b.kind, b.call = blockCall, d.calls
		if string(e.input) != "{}" {
			b.input = clone(e.input)
		}
		d.calls++
		s.call(b.call, s.t.callID(e.callID), e.name)
	default:
		b.kind = blockOther
	}
	d.open = append(d.open, b)
}

// delta passes on a piece of an open block. A signature is kept until the block
// stops. Citations are dropped.
func (d *messagesDecoder) delta(e *messagesEvent) {
	s := d.s
	for i := range d.open {
		b := &d.open[i]
		if b.index != e.index {
			continue
		}
		switch b.kind {
		case blockText:
			if !blank(e.body) {
				s.to.text(e.body)
			}
		case blockThinking:
			if e.signature != nil {
				b.seal.data = append(b.seal.data, inner(e.signature)...)
			}
			if !blank(e.body) {
				b.said = true
				s.to.reasoning(e.body, seal{origin: originMessages})
			}
		case blockCall:
			if !blank(e.body) {
				b.said = true
				s.args(b.call, e.body)
			}
		}
		return
	}
}

// stop ends a block.
func (d *messagesDecoder) stop(index int64) {
	s := d.s
	for i := range d.open {
		b := d.open[i]
		if b.index != index {
			continue
		}
		d.open = append(d.open[:i], d.open[i+1:]...)
		switch b.kind {
		case blockThinking:
			if b.said || len(b.seal.data) > 0 {
				s.to.sealed(b.seal)
			}
		case blockCall:
			if !b.said {
				// Some servers give the whole input at the start.
				if b.input == nil {
					b.input = raw("{}")
				}
				s.args(b.call, quotedJSON(b.input))
			}
			s.called(b.call)
		}
		return
	}
}

// finish does nothing: without message_stop the answer is not whole.
func (d *messagesDecoder) finish() {}

// messagesEncoder writes the events of messages. One block is open at a time.
type messagesEncoder struct {
	s        *Stream
	open     blockKind
	openCall int     // number of an open call
	whole    bool    // the open call has all of its arguments
	balance  balance // of the open call
	seal     seal    // of open thinking
	data     []byte  // memory of the seal
	index    int64   // of the open block, or of the next one
	refused  bool

	// waiting is what came while an unfinished call was open, in order.
	waiting []waitingPiece
	size    int
}

// waitingPiece is a block that could not start yet.
type waitingPiece struct {
	kind     blockKind
	call     int
	id, name raw
	body     []byte // the inside of a string
	seal     seal
	whole    bool
}

// start writes message_start. What the prompt has cost is often not known yet;
// message_delta tells it at the end.
func (e *messagesEncoder) start(id, model raw, _ int64) {
	o := &e.s.out
	o.openEvent("message_start")
	o.object("message")
	o.key("id")
	o.put(e.s.t.answerID("msg_", id))
	o.word("type", "message")
	o.word("role", "assistant")
	o.orElse("model", model, `""`)
	o.constant("content", "[]")
	o.constant("stop_reason", "null")
	o.constant("stop_sequence", "null")
	o.key("usage")
	u := e.s.tokens.usage()
	u.Output = max(u.Output, 1)
	o.messagesUsage(u)
	o.close("}")
	o.closeEvent()

}

// busy reports whether something must wait: an unfinished call is open, or others
// wait already.
func (e *messagesEncoder) busy() bool {
	return len(e.waiting) > 0 || e.open == blockCall && !e.whole && !e.balance.closed()
}

// wait keeps a piece for later. A piece of the same block joins the last one.
func (e *messagesEncoder) wait(p waitingPiece, body raw) {
	e.size += len(body) + 64
	if e.size > maxWaiting {
		e.s.broken(ErrTooLong)
		return
	}
	if n := len(e.waiting); n > 0 && p.kind != blockCall {
		if last := &e.waiting[n-1]; last.kind == p.kind && len(last.seal.data) == 0 {
			last.body = append(last.body, inner(body)...)
			last.seal = p.seal
			return
		}
	}
	p.body = append(p.body, inner(body)...)
	e.waiting = append(e.waiting, p)
}

func (e *messagesEncoder) text(body raw) {
	if e.busy() {
		e.wait(waitingPiece{kind: blockText}, body)
		return
	}
	e.openBlock(blockText, nil, nil)
	e.delta("text_delta", "text", body)
}

func (e *messagesEncoder) refusal(body raw) {
	e.refused = true
	e.text(body)
}

func (e *messagesEncoder) reasoning(body raw, s seal) {
	if e.busy() {
		s.id, s.data = bytes.Clone(s.id), bytes.Clone(s.data)
		e.wait(waitingPiece{kind: blockThinking, seal: s}, body)
		return
	}
	e.openBlock(blockThinking, nil, nil)
	e.keep(s)
	e.delta("thinking_delta", "thinking", body)
}

// keep remembers the seal of the open thinking.
func (e *messagesEncoder) keep(s seal) {
	e.data = append(append(e.data[:0], s.id...), s.data...)
	e.seal = seal{origin: s.origin, id: e.data[:len(s.id)], data: e.data[len(s.id):]}
}

// sealed ends thinking with its signature. Without text it is a block of its own.
func (e *messagesEncoder) sealed(s seal) {
	if e.busy() {
		s.id, s.data = bytes.Clone(s.id), bytes.Clone(s.data)
		if n := len(e.waiting); n > 0 && e.waiting[n-1].kind == blockThinking {
			e.waiting[n-1].seal = s
			return
		}
		e.wait(waitingPiece{kind: blockThinking, seal: s}, nil)
		return
	}
	if e.open != blockThinking {
		e.openBlock(blockThinking, nil, nil)
	}
	e.keep(s)
	e.closeBlock()
}

func (e *messagesEncoder) call(n int, id, name raw, _ bool) {

	if e.busy() {
		e.wait(waitingPiece{kind: blockCall, call: n, id: clone(id), name: clone(name)}, nil)
		return
	}
	e.openBlock(blockCall, id, name)
	e.began(n)
}

// began makes a call the open one.
func (e *messagesEncoder) began(n int) {
	e.openCall, e.whole, e.balance = n, false, balance{}
}

// args writes a piece of arguments, or keeps it for a call that waits. As soon as
// the open call is whole, the next one begins.
func (e *messagesEncoder) args(n int, piece raw) {
	if e.open == blockCall && e.openCall == n {
		e.balance.feed(inner(piece))
		e.delta("input_json_delta", "partial_json", piece)
		e.drain(false)
		return
	}
	for i := range e.waiting {
		if p := &e.waiting[i]; p.kind == blockCall && p.call == n {
			if e.size += len(piece); e.size > maxWaiting {
				e.s.broken(ErrTooLong)
				return
			}
			p.body = append(p.body, inner(piece)...)
			return
		}
	}
	// The block of the call is closed, as its arguments were whole.
	var b balance
	if b.feed(inner(piece)); b.used {
		e.s.broken(ErrEvent)
	}
}

// called marks a call as whole, be it open or waiting.
func (e *messagesEncoder) called(n int) {
	if e.open == blockCall && e.openCall == n {
		e.whole = true
		e.drain(false)
		return
	}
	for i := range e.waiting {
		if p := &e.waiting[i]; p.kind == blockCall && p.call == n {
			p.whole = true
		}
	}
}

// drain writes what waits, as far as it may go on; all of it at the end.
func (e *messagesEncoder) drain(all bool) {
	for len(e.waiting) > 0 {
		if !all && e.open == blockCall && !e.whole && !e.balance.closed() {
			return
		}
		p := e.waiting[0]
		e.waiting = e.waiting[1:]
		if len(e.waiting) == 0 {
			e.waiting, e.size = nil, 0
		}
		e.openBlock(p.kind, p.id, p.name)
		var w writer
		w.inside(p.body)
		switch p.kind {
		case blockText:
			e.delta("text_delta", "text", w.b)
		case blockThinking:
			if len(p.body) > 0 {
				e.delta("thinking_delta", "thinking", w.b)
			}
			e.keep(p.seal)
			e.closeBlock()
		case blockCall:
			e.began(p.call)
			e.whole = p.whole
			if len(p.body) > 0 {
				e.balance.feed(p.body)
				e.delta("input_json_delta", "partial_json", w.b)
			}
		}
	}
}

// openBlock makes a block the open one. An open text or thinking block of the
// same kind goes on.
func (e *messagesEncoder) openBlock(k blockKind, id, name raw) {
	if e.open == k && k != blockCall {
		return
	}
	e.closeBlock()
	e.open = k
	o := &e.s.out
	o.openEvent("content_block_start")
	o.number("index", e.index)
	o.object("content_block")
	switch k {
	case blockText:
		o.word("type", "text")
		o.word("text", "")
	case blockThinking:
		o.word("type", "thinking")
		o.word("thinking", "")
		o.word("signature", "")
	case blockCall:
		o.word("type", "tool_use")
		o.field("id", orEmpty(id))
		o.field("name", orEmpty(name))
		o.constant("input", "{}")
	}
	o.close("}")
	o.closeEvent()
}

func (e *messagesEncoder) delta(what, field string, body raw) {
	o := &e.s.out
	o.b = append(o.b, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":"...)
	o.comma = false
	o.integer(e.index)
	o.object("delta")
	o.word("type", what)
	o.field(field, body)
	o.close("}")
	o.closeEvent()
}

// closeBlock stops the open block. Thinking gets its signature before.
func (e *messagesEncoder) closeBlock() {
	if e.open == blockNone {
		return
	}
	if e.open == blockThinking {
		e.delta("signature_delta", "signature", e.seal.wrap())
		e.seal = seal{}
	}
	o := &e.s.out
	o.openEvent("content_block_stop")
	o.number("index", e.index)
	o.closeEvent()
	e.open = blockNone
	e.index++
}

// end writes what waits, message_delta with the stop reason, and message_stop.
func (e *messagesEncoder) end(stop stopReason, sequence raw, u Usage) {
	e.drain(true)
	e.closeBlock()
	word, sequence := messagesEnd(stop, sequence, e.refused)
	o := &e.s.out
	o.openEvent("message_delta")
	o.object("delta")
	o.word("stop_reason", word)
	o.orNull("stop_sequence", sequence)
	o.close("}")
	o.key("usage")
	o.messagesUsage(u)
	o.closeEvent()
	o.openEvent("message_stop")
	o.closeEvent()
}

func (e *messagesEncoder) fail(status int, p *problem) {
	o := &e.s.out
	o.b = append(o.b, "event: error\ndata: "...)
	o.comma = false
	o.problem(Messages, status, p)
	o.b = append(o.b, '\n', '\n')
}

// balance follows the brackets of arguments that arrive in pieces.
type balance struct {
	depth    int
	used     bool // something other than white space came
	inString bool
	escape   bool
	scratch  []byte
}

// closed reports whether an object or array came to its end.
func (b *balance) closed() bool { return b.used && b.depth == 0 && !b.inString }

// feed takes a piece: the inside of a string that holds JSON.
func (b *balance) feed(in []byte) {
	p := in
	if bytes.IndexByte(in, '\\') >= 0 {
		b.scratch = appendUnescaped(b.scratch[:0], in)
		p = b.scratch
		if cap(b.scratch) > keepCarry {
			b.scratch = nil
		}
	}
	for _, c := range p {
		switch {
		case b.escape:
			b.escape = false
		case b.inString:
			switch c {
			case '\\':
				b.escape = true
			case '"':
				b.inString = false
			}
		default:
			switch c {
			case ' ', '\n', '\r', '\t':
				continue
			case '"':
				b.inString = true
			case '{', '[':
				b.depth++
			case '}', ']':
				b.depth--
			}
			b.used = true
		}
	}
}
