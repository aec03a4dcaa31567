package dialect

import (
	"bytes"
	"errors"
	"slices"
)

// maxWaiting bounds the calls in wait for an earlier one, in bytes.
const maxWaiting = 1 << 20

// maxAnswer bounds a streamed answer if its last event repeats it, in bytes.
const maxAnswer = 16 << 20

// The reasons why a stream cannot go on.
var (
	// ErrEnded says that the upstream's stream ended before its answer did.
	ErrEnded = errors.New("the provider's stream ended before the answer was whole")
	// ErrEvent says that an event of the upstream's could not be read.
	ErrEvent = errors.New("the provider sent an event that cannot be read")
	// ErrTooLong says that the answer is longer than the format can carry here.
	ErrTooLong = errors.New("the provider's answer is too long to be translated")
	// ErrUpstream says that the upstream sent an error event. It was translated.
	ErrUpstream = errors.New("the provider ended the answer with an error")
)

// Stream translates a streamed answer, event by event. It is not for concurrent
// use. Its memory is bounded.
//
// The decoder calls the encoder through it. The stream starts the client's answer
// once, ends it once, and holds the calls of custom tools until they are whole.
//
// Once over, it writes nothing more: later events are skipped. There are two
// ways to be over. ended means that the client has the whole answer. err means
// that it has an error event.
type Stream struct {
	t        *Translator
	splitter splitter
	from     decoder
	to       encoder
	out      writer

	tokens   tokens
	stop     stopReason
	sequence raw
	started  bool
	closing  bool  // the upstream's bytes are over
	ended    bool  // the upstream's answer was whole, and the client has its end
	err      error // the stream is over, and not whole
	onEvent  func(name, data []byte)
	held     []heldCall
	given    map[string]struct{} // the ids of the calls so far
}

// heldCall is a call of a custom tool's stand-in. Its input can be read when its
// arguments are whole.
type heldCall struct {
	n    int
	args []byte // the inside of a string
}

// decoder reads the events of a format.
//
// A decoder keeps what it needs of an event by [clone]: the event's bytes are
// used again. It calls begin before anything else, and end at most once.
type decoder interface {
	event(name, data []byte)
	// finish is called at the end of the upstream's bytes.
	finish()
}

// encoder writes the events of a format. Its arguments are valid during the call.
//
// The order of calls is: start; then any of text, mark, cite, refusal, reasoning, sealed,
// call, args and called; then end or fail. fail may come at any time, before
// start as well.
type encoder interface {
	start(id, model raw, created int64)
	text(body raw)
	// mark begins a text of the upstream's, of which the client has one text.
	mark()
	// cite tells a citation of the text since the last mark.
	cite(cited citation)
	refusal(body raw)
	// reasoning is a piece of reasoning. The seal is what is known of it so far.
	reasoning(body raw, s seal)
	// sealed ends a piece of reasoning, or is one without text.
	sealed(s seal)
	// call starts the n-th call of a tool. Calls are numbered from 0.
	call(n int, id, name raw, free bool)
	// args is a piece of the arguments of a call: a string of JSON text, or plain
	// text for a free call.
	args(n int, piece raw)
	// called says that the arguments of a call are whole.
	called(n int)
	// end writes the end of a whole answer.
	end(stop stopReason, sequence raw, u Usage)
	// fail writes an error event.
	fail(status int, p *problem)
}

// Stream starts the translation of a streamed answer.
//
// [Translator.Request] must have run: the answer repeats parts of the request.
func (t *Translator) Stream() *Stream {
	s := &Stream{t: t}
	s.onEvent = s.event
	switch t.upstream {
	case Chat:
		s.from = &chatDecoder{s: s}
	case Responses:
		s.from = &responsesDecoder{s: s}
	case Messages:
		s.from = &messagesDecoder{s: s}
	}
	switch t.client {
	case Chat:
		s.to = &chatEncoder{s: s}
	case Responses:
		t.echo.flatten()
		s.to = &responsesEncoder{s: s}
	case Messages:
		s.to = &messagesEncoder{s: s, open: blockNone}
	}
	return s
}

// Write takes bytes of the upstream's stream, cut anywhere, and returns the bytes
// for the client, whole events. They are valid until the next call.
func (s *Stream) Write(p []byte) (out []byte) {
	s.out.b = s.out.b[:0]
	s.splitter.feed(p, s.onEvent)
	if s.splitter.over {
		s.broken(ErrTooLong)
	}
	return s.out.b
}

// Close takes the end of the upstream's stream. It returns the last bytes for the
// client, and whether the answer was whole. For a broken answer the client
// gets an error event, unless it has one.
func (s *Stream) Close() (out []byte, whole bool) {
	s.out.b = s.out.b[:0]
	s.closing = true
	s.splitter.finish(s.onEvent)
	if !s.over() {
		s.from.finish()
	}
	if !s.over() {
		s.broken(ErrEnded)
	}
	return s.out.b, s.ended
}

// Finished reports whether the upstream has said why the model stopped. Usage and
// the end of the answer may still follow.
func (s *Stream) Finished() bool { return s.stop != stopUnset }

// Whole reports whether the client has the end of a whole answer.
func (s *Stream) Whole() bool { return s.ended }

// Err is the reason of a broken stream; nil for a whole one, and for one under
// way.
func (s *Stream) Err() error { return s.err }

// Broken ends the stream with an error event in the client's format. It returns
// nothing if the stream is over.
func (s *Stream) Broken(status int, message string) (out []byte) {
	s.out.b = s.out.b[:0]
	if !s.over() {
		s.fail(ErrEnded, status, &problem{message: quote(message)})
	}
	return s.out.b
}

// over reports whether the client has got its last event.
func (s *Stream) over() bool { return s.ended || s.err != nil }

// event passes one event on, unless the stream is over.
//
// An event of white space only is skipped without a name. Behind the upstream's
// last byte it is a cut-off event, and skipped as well.
func (s *Stream) event(name, data []byte) {
	if s.over() {
		return
	}
	if len(bytes.TrimSpace(data)) == 0 {
		if len(name) == 0 || s.closing {
			return
		}
		data = []byte("{}") // the name says it all
	}
	s.from.event(name, data)
	if s.tokens.known {
		s.t.usage = s.tokens.usage()
	}
}

// broken ends the stream for a reason of the gateway's.
func (s *Stream) broken(err error) {
	if !s.over() {
		s.fail(err, 502, &problem{message: quote(err.Error())})
	}
}

// fail ends the stream with an error event.
func (s *Stream) fail(err error, status int, p *problem) {
	s.err = err
	s.to.fail(status, p)
}

// failed passes an error event of the upstream's on.
func (s *Stream) failed(data []byte) {
	p := readProblem(data)
	if p.message == nil {
		p.message = plainText(data)
	}
	status := p.statusOf()
	if p.overflows(status) {
		status = 400
		p.overflow(s.t.client)
	}
	s.fail(ErrUpstream, status, &p)
}

// begin starts the client's answer, once.
//
// Later calls do nothing. A decoder whose upstream left out the first event
// calls it without an id.
func (s *Stream) begin(id, model raw, created int64) {
	if s.started {
		return
	}
	s.started = true
	if created == 0 {
		created = s.t.opts.Now
	}
	s.to.start(id, model, created)
}

// end ends a whole answer.
//
// An encoder may fail in its end, as on an answer that is too long. The answer
// is not whole then.
func (s *Stream) end() {
	if s.over() {
		return
	}
	s.begin(nil, nil, 0)
	for _, h := range s.held {
		s.release(h)
	}
	s.to.end(s.stop, s.sequence, s.tokens.usage())
	if s.err == nil {
		s.ended = true
	}
}

// whole passes on the parts of a whole answer, and returns the number of its calls.
// They are numbered from first on.
//
// It serves upstreams that tell an answer or an item only as a whole.
func (s *Stream) whole(parts []part, first int) (calls int) {
	for i := range parts {
		switch p := &parts[i]; p.kind {
		case kindCall:
			n := first + calls
			s.to.call(n, s.callID(p.id), orEmpty(p.name), p.free)
			if args := p.argsPiece(); !blank(args) {
				s.to.args(n, args)
			}
			s.to.called(n)
			calls++
		case kindReasoning:
			if !blank(p.text) {
				s.to.reasoning(p.text, p.seal)
			}
			if !blank(p.text) || len(p.seal.data) > 0 {
				s.to.sealed(p.seal)
			}
		case kindText:
			if !blank(p.text) {
				s.to.mark()
				s.to.text(p.text)
				s.cite(p.cites)
			}
		case kindRefusal:
			if !blank(p.text) {
				s.to.refusal(p.text)
			}
		}
	}
	return calls
}

// cite passes citations on.
func (s *Stream) cite(cites []citation) {
	for _, cited := range cites {
		if !s.over() {
			s.to.cite(cited)
		}
	}
}

// argsPiece is the arguments of a whole call as one piece.
func (p *part) argsPiece() raw {
	if p.free || len(p.args) > 0 && p.args[0] == '"' {
		return p.args
	}
	return p.argsText()
}

// call starts a call, be it of a custom tool.
func (s *Stream) call(n int, id, name raw) {
	name = s.t.ownName(name)
	free := s.t.isCustom(name)
	if free {
		s.held = append(s.held, heldCall{n: n})
	}
	s.to.call(n, id, orEmpty(name), free)
}

// callID is the id of a call, and no other call's.
func (s *Stream) callID(id raw) raw {
	if s.given == nil {
		s.given = map[string]struct{}{}
	}
	return s.t.callID(id, s.given)
}

// args passes a piece of arguments on, or holds it.
//
// The arguments of a stand-in are held until they are whole: no piece of JSON text
// is a piece of the input.
func (s *Stream) args(n int, piece raw) {
	for i := range s.held {
		if h := &s.held[i]; h.n == n {
			h.args = append(h.args, inner(piece)...)
			if len(h.args) > maxWaiting {
				s.broken(ErrTooLong)
			}
			return
		}
	}
	s.to.args(n, piece)
}

// called ends a call.
func (s *Stream) called(n int) {
	for i := range s.held {
		if s.held[i].n == n {
			s.release(s.held[i])
			s.held = slices.Delete(s.held, i, i+1)
			break
		}
	}
	s.to.called(n)
}

// release passes on the input of a held call.
//
// The model called the stand-in with {"input": "…"}. The client offered a tool that
// takes plain text, so it gets only the text.
func (s *Stream) release(h heldCall) {
	var w writer
	w.inside(h.args)
	p := part{args: w.b}
	if input := inputOf(p.argsObject(nil), w.b); !blank(input) {
		s.to.args(h.n, input)
	}
}

// openEvent starts an event with a name.
//
// The type stands twice, in the event line and in the data, as both APIs do it:
//
//	event: message_stop
//	data: {"type":"message_stop"}
func (w *writer) openEvent(name string) {
	w.b = append(w.b, "event: "...)
	w.b = append(w.b, name...)
	w.b = append(w.b, "\ndata: "...)
	w.comma = false
	w.typed(name)
}

// closeEvent ends an event.
func (w *writer) closeEvent() {
	w.close("}")
	w.b = append(w.b, '\n', '\n')
}

// clone copies a value to outlive its event.
func clone(v raw) raw {
	if v == nil {
		return nil
	}
	return append(make(raw, 0, len(v)), v...)
}

// flatten replaces line ends between the members of the values: they would end a
// line of an event.
//
// A line end inside of a string is escaped in JSON, so only white space can be
// one.
func (e *echo) flatten() {
	for _, v := range []*raw{&e.instructions, &e.maxOutput, &e.maxCalls, &e.metadata, &e.parallel, &e.reasoning,
		&e.temperature, &e.text, &e.choice, &e.tools, &e.topP, &e.truncation, &e.user} {
		for i, c := range *v {
			if c == '\n' || c == '\r' {
				flat := clone(*v)
				for j := i; j < len(flat); j++ {
					if flat[j] == '\n' || flat[j] == '\r' {
						flat[j] = ' '
					}
				}
				*v = flat
				break
			}
		}
	}
}
