package dialect

import "bytes"

// messagesDecoder reads the events of messages.
//
// A stream is a row of blocks, each between its start and its stop:
//
//	message_start
//	content_block_start   {"index": 0, "content_block": {"type": "text", "text": ""}}
//	content_block_delta   {"index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
//	content_block_stop    {"index": 0}
//	message_delta         {"delta": {"stop_reason": "end_turn"}, "usage": {…}}
//	message_stop
//
// message_delta tells the stop reason, and message_stop ends the answer. Without
// the first one the second is believed only behind content.
type messagesDecoder struct {
	s      *Stream
	calls  int
	said   bool        // a block with content has begun
	failed bool        // the stop reason tells a failure
	open   []openBlock // nearly always one
}

// openBlock is a block between its start and its stop.
//
// said tells a block with deltas from one whose content stood in its start.
type openBlock struct {
	index int64
	kind  blockKind
	call  int
	seal  seal
	input raw // of a call, from its start
	cites []citation
	said  bool
}

// blockKind is what a content block holds.
type blockKind uint8

const (
	blockNone blockKind = iota
	blockText
	blockThinking
	blockCall
	blockOther // a kind that has no counterpart
)

// messagesEvent is what the members of an event say.
//
// The names of the members differ between events, so one struct holds those of
// all. Its values alias the event.
type messagesEvent struct {
	what, contentType             []byte
	index                         int64
	id, model                     raw
	body, signature, data, input  raw
	callID, name, reason, stopped raw
	cites                         []citation
}

// event reads one event: message_start, content_block_start, …_delta and …_stop,
// message_delta, message_stop, error. A ping says nothing, and unknown events are
// skipped, as the API asks of its clients.
//
// The type in the data goes before the name of the event.
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
		word := text(e.reason)
		if stop := messagesStop(word); stop != stopUnset {
			s.stop, s.sequence = stop, clone(e.stopped)
		}
		d.failed = !unfinished(word) && s.stop == stopUnset
	case "message_stop":
		if s.stop == stopUnset && (d.failed || !d.said) {
			s.broken(ErrEnded)
			return
		}
		switch {
		case d.calls > 0 && (s.stop == stopEnd || s.stop == stopUnset):
			s.stop = stopTool // some servers say end_turn
		case s.stop == stopUnset:
			s.stop = stopEnd
		}
		// A server that forgot a content_block_stop has ended its blocks all the
		// same.
		for len(d.open) > 0 && !s.over() {
			d.stop(d.open[0].index)
		}
		s.end()
	case "error":
		s.failed(data)
	}
}

// message reads the frame in message_start, with the cost of the prompt.
//
// It stands in the first event, and its usage has the tokens of the prompt:
//
//	{"type": "message_start", "message": {"id": "msg_1", "model": "…", "usage": {"input_tokens": 9, …}}}
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
//
// The delta of message_delta is read here too: its stop_reason is a member of
// delta.
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
		case "citations":
			e.cites = c.citations()
		case "citation":
			if cited, ok := c.citation(); ok {
				e.cites = append(e.cites, cited)
			}
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
	d.said = d.said || string(e.contentType) != "text" && string(e.contentType) != "thinking" || !blank(e.body)
	switch string(e.contentType) {
	case "text":
		b.kind = blockText
		b.cite(e.cites)
		s.to.mark()
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
		// The API starts each call with an empty input. Other servers put all of it
		// there.
		if string(e.input) != "{}" {
			b.input = clone(e.input)
		}
		d.calls++
		s.call(b.call, s.callID(e.callID), e.name)
	default:
		b.kind = blockOther
	}
	d.open = append(d.open, b)
}

// delta passes on a piece of an open block. A signature is kept until the block
// stops, and so are citations.
//
// The kinds of deltas:
//
//	{"type": "text_delta", "text": "…"}
//	{"type": "input_json_delta", "partial_json": "{\"a"}
//	{"type": "thinking_delta", "thinking": "…"}
//	{"type": "signature_delta", "signature": "…"}
//	{"type": "citations_delta", "citation": {…}}
//
// The type of the piece goes before that of its block: some servers have one block for
// all, or leave its start out. Arguments of a call that has not begun are a fault.
func (d *messagesDecoder) delta(e *messagesEvent) {
	s := d.s
	d.said = d.said || !blank(e.body)
	for i := range d.open {
		b := &d.open[i]
		if b.index != e.index {
			continue
		}
		b.cite(e.cites)
		what := b.kind
		if what == blockText || what == blockThinking && e.signature == nil {
			what = kindOfPiece(e, what)
		}
		switch what {
		case blockText:
			if !blank(e.body) {
				s.to.text(e.body)
			}
		case blockThinking:
			if e.signature != nil {
				b.seal.data = append(b.seal.data, inner(e.signature)...)
				if len(b.seal.data) > maxAnswer {
					s.broken(ErrTooLong)
					return
				}
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
	if blank(e.body) {
		return
	}
	s.begin(nil, nil, 0)
	switch kindOfPiece(e, blockNone) {
	case blockText:
		s.to.text(e.body)
	case blockThinking:
		s.to.reasoning(e.body, seal{origin: originMessages})
	case blockCall:
		s.broken(ErrEvent)
	}
}

// cite keeps citations until the block stops: they are of all its text.
func (b *openBlock) cite(cites []citation) {
	for _, cited := range cites {
		if len(b.cites) < maxCitations {
			b.cites = append(b.cites, cited.clone())
		}
	}
}

// kindOfPiece is the kind of block that a piece belongs to by its type, or else.
func kindOfPiece(e *messagesEvent, or blockKind) blockKind {
	switch string(e.contentType) {
	case "text_delta":
		return blockText
	case "thinking_delta":
		return blockThinking
	case "input_json_delta":
		return blockCall
	}
	return or
}

// stop ends a block.
//
// A call without arguments gets the empty object: clients of the other formats
// parse the arguments of every call.
func (d *messagesDecoder) stop(index int64) {
	s := d.s
	for i := range d.open {
		b := d.open[i]
		if b.index != index {
			continue
		}
		d.open = append(d.open[:i], d.open[i+1:]...)
		switch b.kind {
		case blockText:
			s.cite(b.cites)
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
