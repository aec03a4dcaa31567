package dialect

import "bytes"

// messagesEncoder writes the events of messages. One block is open at a time.
//
// Chat and responses may open several calls at once, and messages may not.
// Whatever comes while a call is unfinished waits, up to [maxWaiting] bytes, and
// goes out in its order.
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

// waitingPiece is a block before its start.
// Its texts are copies: the event that brought them is gone by then.
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
//
// The output is 1 at least, as in the API's own first event.
func (e *messagesEncoder) start(id, model raw, _ int64) {
	o := &e.s.out
	o.openEvent("message_start")
	o.object("message")
	o.key("id")
	o.put(e.s.t.answerID("msg_", id))
	o.word("type", "message")
	o.word("role", "assistant")
	o.orElse("model", e.s.t.modelName(model), `""`)
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
// A call counts as finished once its arguments are a closed object, even before
// the upstream says so.
func (e *messagesEncoder) busy() bool {
	return len(e.waiting) > 0 || e.open == blockCall && !e.whole && !e.balance.closed()
}

// keeps counts bytes that wait, and ends the stream if they are too many.
func (e *messagesEncoder) keeps(n int) bool {
	if e.size += n; e.size > maxWaiting {
		e.s.broken(ErrTooLong)
		return false
	}
	return true
}

// wait keeps a piece for later. A piece of the same block joins the last one.
//
// 64 stands for the piece itself. The body is copied.
func (e *messagesEncoder) wait(p waitingPiece, body raw) {
	if !e.keeps(len(body) + len(p.seal.data) + len(p.id) + len(p.name) + 64) {
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

// text writes a piece of text, in the open text block if there is one.
func (e *messagesEncoder) text(body raw) {
	if e.busy() {
		e.wait(waitingPiece{kind: blockText}, body)
		return
	}
	e.openBlock(blockText, nil, nil)
	e.delta("text_delta", "text", body)
}

// Citations have no place: the API's own hold a proof that clients give back.
func (e *messagesEncoder) mark()         {}
func (e *messagesEncoder) cite(citation) {}

// refusal writes text. The stop reason at the end says what it is.
func (e *messagesEncoder) refusal(body raw) {
	e.refused = true
	e.text(body)
}

// reasoning writes a piece of a thinking block, and remembers its seal.
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
// The memory serves one seal after another.
func (e *messagesEncoder) keep(s seal) {
	e.data = append(append(e.data[:0], s.id...), s.data...)
	e.seal = seal{origin: s.origin, id: e.data[:len(s.id)], data: e.data[len(s.id):]}
}

// sealed ends thinking with its signature. Without text it is a block of its own.
func (e *messagesEncoder) sealed(s seal) {
	if e.busy() {
		s.id, s.data = bytes.Clone(s.id), bytes.Clone(s.data)
		if n := len(e.waiting); n > 0 && s.origin != originDetails && e.waiting[n-1].kind == blockThinking && len(e.waiting[n-1].seal.data) == 0 {
			if e.keeps(len(s.data)) {
				e.waiting[n-1].seal = s
			}
			return
		}
		e.wait(waitingPiece{kind: blockThinking, seal: s}, nil)
		return
	}
	if s.origin == originCall || s.origin == originDetails {
		e.closeBlock() // the open thinking has a seal of its own
	}
	if e.open != blockThinking {
		e.openBlock(blockThinking, nil, nil)
	}
	e.keep(s)
	e.closeBlock()
}

// call opens the block of a call, or lets it wait.
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

// args writes a piece of arguments, or keeps it for a waiting call. As soon as the
// open call is whole, the next one begins.
func (e *messagesEncoder) args(n int, piece raw) {
	if e.open == blockCall && e.openCall == n {
		e.balance.feed(inner(piece))
		e.delta("input_json_delta", "partial_json", piece)
		e.drain(false)
		return
	}
	for i := range e.waiting {
		if p := &e.waiting[i]; p.kind == blockCall && p.call == n {
			if !e.keeps(len(piece)) {
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
// A call without its end from the upstream is whole at the end of the stream.
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
//
// It stops at a call that is not whole: the pieces of its arguments go straight
// out from here on.
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
//
//	{"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
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

// delta writes a piece of the open block:
//
//	{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "…"}}
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
//
// The signature wraps the seal of another format, see [seal.wrap]. The index
// then names the next block.
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
// Whatever waits goes out first, even a call that was cut short.
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

// fail writes an error event. SDKs ignore an error without its event line. The open
// block stays open: message_stop does not follow.
func (e *messagesEncoder) fail(status int, p *problem) {
	o := &e.s.out
	o.b = append(o.b, "event: error\ndata: "...)
	o.comma = false
	o.problem(Messages, status, p)
	o.b = append(o.b, '\n', '\n')
}
