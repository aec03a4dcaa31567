package dialect

import "slices"

// responsesEncoder writes the events of responses. It keeps the answer's text,
// as the last event repeats it. Calls may be open beside each other.
//
// One message or one item of reasoning is open at a time. A call is open from
// call until called, or until its arguments are whole and something else begins.
// [Stream] writes through it in one goroutine.
//
// The bound on what it keeps is [maxAnswer]: response.completed repeats all
// items.
type responsesEncoder struct {
	s      *Stream
	object responsesObject
	seq    int64
	next   int64 // output index of the next item
	size   int   // bytes that are kept

	open  itemKind
	id    raw   // of the open item
	index int64 // output index of the open item
	parts []part
	kind  kind   // of the open part of a message
	on    bool   // a part is open
	body  []byte // the inside of the open part, or of the open summary
	said  int64  // the length of the open text, up to the byte told, in code points
	told  int
	base  int64      // that length at the last mark
	cites []citation // of the open text
	seal  seal       // of open reasoning
	data  []byte     // memory of the seal

	calls []*openCall
	done  []outputItem
}

// itemKind is what the open item is. Calls are open beside it.
type itemKind uint8

const (
	itemNone itemKind = iota
	itemMessage
	itemReasoning
)

// openCall is a call whose item is open.
//
// n is the number of the call for the decoder, and index its place in the
// output.
type openCall struct {
	n       int
	index   int64
	part    part
	id      raw
	args    []byte // the inside of a string
	balance balance
}

// outputItem is a finished item, and its place.
type outputItem struct {
	index int64
	json  []byte
}

// begin starts an event with the next sequence number. They rise from 0.
// SDKs order events by it.
func (e *responsesEncoder) begin(name string) *writer {
	o := &e.s.out
	o.openEvent(name)
	o.number("sequence_number", e.seq)
	e.seq++
	return o
}

// start writes response.created and response.in_progress.
//
// The values are copied, as the last event repeats them.
func (e *responsesEncoder) start(id, model raw, created int64) {
	e.object = responsesObject{
		t: e.s.t, id: clone(e.s.t.answerID("resp_", id)), model: clone(model), created: created, status: "in_progress",
	}
	// The API sends both, in this order.
	for _, name := range []string{"response.created", "response.in_progress"} {
		e.frame(name)
	}
}

// frame writes an event with the frame of the answer: {"response": {…}}.
func (e *responsesEncoder) frame(name string) {
	o := e.begin(name)
	o.key("response")
	e.object.write(o)
	o.closeEvent()
}

// keeps counts kept bytes, and ends the stream if they are too many.
func (e *responsesEncoder) keeps(n int) bool {
	if e.size += n; e.size > maxAnswer {
		e.s.broken(ErrTooLong)
		return false
	}
	return true
}

// place writes the place of a part or piece of the open item.
func (e *responsesEncoder) place(o *writer) {
	o.field("item_id", e.id)
	o.number("output_index", e.index)
}

// contentPlace writes the place of a part of a message.
//
// The finished parts count the place of the open one.
func (e *responsesEncoder) contentPlace(o *writer) {
	e.place(o)
	o.number("content_index", int64(len(e.parts)))
}

// Text and refusals are parts of one message.
func (e *responsesEncoder) text(body raw)    { e.say(kindText, body) }
func (e *responsesEncoder) refusal(body raw) { e.say(kindRefusal, body) }

// say writes a piece of text or of a refusal. Its events, in order:
//
//	response.output_item.added, response.content_part.added
//	response.output_text.delta …
//	response.output_text.done, response.content_part.done, response.output_item.done
//
// An open call stays open beside it: calls and texts may mix.
func (e *responsesEncoder) say(k kind, body raw) {
	if !e.keeps(len(body)) {
		return
	}
	if e.open != itemMessage {
		e.openItem(itemMessage, "msg_")
	}
	if e.on && e.kind != k {
		e.closePart()
	}
	if !e.on {
		e.on, e.kind = true, k
		o := e.begin("response.content_part.added")
		e.contentPlace(o)
		o.key("part")
		o.contentPart(k, raw(`""`), nil)
		o.closeEvent()
	}
	name := "response.output_text.delta"
	if k == kindRefusal {
		name = "response.refusal.delta"
	}
	o := e.begin(name)
	e.contentPlace(o)
	o.field("delta", body)
	if k == kindText {
		o.constant("logprobs", "[]")
	}
	o.closeEvent()
	e.body = append(e.body, inner(body)...)
}

// mark remembers where a text of the upstream's begins in the open one.
func (e *responsesEncoder) mark() {
	if e.base = 0; e.open == itemMessage && e.on && e.kind == kindText {
		e.base = e.length()
	}
}

// length is the length of the open text in code points. What was counted is not counted
// again: a text may have many marks and citations.
func (e *responsesEncoder) length() int64 {
	e.said += points(e.body[e.told:])
	e.told = len(e.body)
	return e.said
}

// cite writes an annotation of the open text.
func (e *responsesEncoder) cite(cited citation) {
	if e.open != itemMessage || !e.on || e.kind != kindText || !e.keeps(cited.size()) {
		return
	}
	cited = cited.at(e.base, e.length()).clone()
	o := e.begin("response.output_text.annotation.added")
	e.contentPlace(o)
	o.number("annotation_index", int64(len(e.cites)))
	o.key("annotation")
	o.responsesCitation(&cited)
	o.closeEvent()
	e.cites = append(e.cites, cited)
}

// openItem opens a message or reasoning, and closes what is done.
func (e *responsesEncoder) openItem(k itemKind, prefix string) {
	e.closeItem("completed")
	e.closeCalls(false)
	e.open = k
	e.id = quote(e.s.t.newID(prefix))
	e.index = e.next
	e.next++
	o := e.begin("response.output_item.added")
	o.number("output_index", e.index)
	o.object("item")
	o.field("id", e.id)
	if k == itemMessage {
		o.word("type", "message")
		o.word("status", "in_progress")
		o.word("role", "assistant")
		o.key("content")
	} else {
		o.word("type", "reasoning")
		o.key("summary")
	}
	o.lit("[]")
	o.close("}")
	o.closeEvent()
}

// quotedBody is the open part, or the open summary, as a string.
//
// It empties the memory for the next part.
func (e *responsesEncoder) quotedBody() raw {
	v := make(raw, 0, len(e.body)+2)
	v = append(v, '"')
	v = append(v, e.body...)
	v = append(v, '"')
	e.body = e.body[:0]
	return v
}

// closePart writes the whole text of the open part, twice, as the API does.
//
//	response.output_text.done    {"text": "Hello"}
//	response.content_part.done   {"part": {"type": "output_text", "text": "Hello", "annotations": []}}
func (e *responsesEncoder) closePart() {
	if !e.on {
		return
	}
	body := e.quotedBody()
	name, field := "response.output_text.done", "text"
	if e.kind == kindRefusal {
		name, field = "response.refusal.done", "refusal"
	}
	o := e.begin(name)
	e.contentPlace(o)
	o.field(field, body)
	if e.kind == kindText {
		o.constant("logprobs", "[]")
	}
	o.closeEvent()
	o = e.begin("response.content_part.done")
	e.contentPlace(o)
	o.key("part")
	o.contentPart(e.kind, body, e.cites)
	o.closeEvent()
	e.parts = append(e.parts, part{kind: e.kind, text: body, cites: e.cites})
	e.on, e.said, e.told, e.base, e.cites = false, 0, 0, 0, nil
}

// reasoning writes a piece of reasoning as a summary with one part.
//
// All of it is one part of the summary, however many parts the upstream had.
func (e *responsesEncoder) reasoning(body raw, s seal) {
	if !e.keeps(len(body)) {
		return
	}
	if e.open != itemReasoning {
		e.openItem(itemReasoning, "rs_")
	}
	if !e.on {
		e.on = true
		o := e.begin("response.reasoning_summary_part.added")
		e.summaryPlace(o)
		o.constant("part", `{"type":"summary_text","text":""}`)
		o.closeEvent()
	}
	e.keep(s)
	o := e.begin("response.reasoning_summary_text.delta")
	e.summaryPlace(o)
	o.field("delta", body)
	o.closeEvent()
	e.body = append(e.body, inner(body)...)
}

// summaryPlace writes the place of a summary. Each item has one.
func (e *responsesEncoder) summaryPlace(o *writer) {
	e.place(o)
	o.number("summary_index", 0)
}

// keep remembers the seal of the open reasoning.
//
// The seal is valid during the call only, so its bytes are copied.
func (e *responsesEncoder) keep(s seal) {
	e.data = append(append(e.data[:0], s.id...), s.data...)
	e.seal = seal{origin: s.origin, id: e.data[:len(s.id)], data: e.data[len(s.id):]}
}

// sealed closes the item of reasoning with its proof. It may have no summary.
func (e *responsesEncoder) sealed(s seal) {
	if !e.keeps(len(s.data)) {
		return
	}
	if e.open != itemReasoning || s.origin == originCall || s.origin == originDetails {
		e.openItem(itemReasoning, "rs_") // open reasoning has a seal of its own
	}
	e.keep(s)
	e.closeItem("completed")
}

// closeItem closes the open message or reasoning.
//
// status is for a message: completed, or incomplete at the end of a cut-off
// answer.
func (e *responsesEncoder) closeItem(status string) {
	var item writer
	switch e.open {
	case itemNone:
		return
	case itemMessage:
		e.closePart()
		item.messageItem(e.id, status, e.parts)
		e.parts = e.parts[:0]
	case itemReasoning:
		body := e.quotedBody()
		if e.on {
			o := e.begin("response.reasoning_summary_text.done")
			e.summaryPlace(o)
			o.field("text", body)
			o.closeEvent()
			o = e.begin("response.reasoning_summary_part.done")
			e.summaryPlace(o)
			o.object("part")
			o.word("type", "summary_text")
			o.field("text", body)
			o.close("}")
			o.closeEvent()
			e.on = false
		}
		item.wrappedReasoning(e.id, body, e.seal)
		e.seal = seal{}
	}
	e.open = itemNone
	e.itemDone(e.index, item.b)
}

// itemDone writes a finished item, and keeps it for the end.
// The JSON is kept as it was written, for the last event to repeat it byte for
// byte.
func (e *responsesEncoder) itemDone(index int64, json []byte) {
	o := e.begin("response.output_item.done")
	o.number("output_index", index)
	o.key("item")
	o.put(json)
	o.closeEvent()
	e.done = append(e.done, outputItem{index, json})
}

// call opens the item of a call. Whole calls are closed before.
//
// 256 stands for the rest of the item.
func (e *responsesEncoder) call(n int, id, name raw, free bool) {
	if !e.keeps(len(id) + len(name) + 256) {
		return
	}
	e.closeItem("completed")
	e.closeCalls(false)
	c := &openCall{
		n: n, index: e.next, id: quote(e.s.t.newID("fc_")),
		part: part{kind: kindCall, id: clone(id), name: clone(name), args: raw(`""`), free: free},
	}
	e.s.t.spaced(&c.part)
	if free {
		c.id = quote(e.s.t.newID("ctc_"))
	}
	e.next++
	e.calls = append(e.calls, c)
	o := e.begin("response.output_item.added")
	o.number("output_index", c.index)
	o.key("item")
	o.callItem(c.id, "in_progress", &c.part)
	o.closeEvent()
}

// args writes a piece of the arguments of an open call.
func (e *responsesEncoder) args(n int, piece raw) {
	if !e.keeps(len(piece)) {
		return
	}
	for _, c := range e.calls {
		if c.n != n {
			continue
		}
		name := "response.function_call_arguments.delta"
		if c.part.free {
			name = "response.custom_tool_call_input.delta"
		} else {
			c.balance.feed(inner(piece))
		}
		o := e.begin(name)
		o.field("item_id", c.id)
		o.number("output_index", c.index)
		o.field("delta", piece)
		o.closeEvent()
		c.args = append(c.args, inner(piece)...)
		return
	}
	// A piece for a closed call with anything in it would change what the client
	// has.
	// The item of the call is done, as its arguments were whole.
	var b balance
	if b.feed(inner(piece)); b.used {
		e.s.broken(ErrEvent)
	}
}

// called closes the item of a call.
//
// A call that was closed before is not found, and nothing happens.
func (e *responsesEncoder) called(n int) {
	for _, c := range e.calls {
		if c.n == n {
			e.closeCall(c)
			return
		}
	}
}

// closeCalls closes the calls whose arguments are whole; all of them at the end.
// A call with open arguments stays, for pieces of it may still come.
func (e *responsesEncoder) closeCalls(all bool) {
	for i := 0; i < len(e.calls); {
		c := e.calls[i]
		if !all && !c.balance.closed() {
			i++
			continue
		}
		e.closeCall(c)
	}
}

// closeCall writes the end of a call. Without arguments it has the empty object.
func (e *responsesEncoder) closeCall(c *openCall) {
	if len(c.args) == 0 && !c.part.free {
		e.args(c.n, raw(`"{}"`))
	}
	e.calls = slices.DeleteFunc(e.calls, func(o *openCall) bool { return o == c })
	var args writer
	args.inside(c.args)
	c.part.args = args.b
	name, field := "response.function_call_arguments.done", "arguments"
	if c.part.free {
		name, field = "response.custom_tool_call_input.done", "input"
	}
	o := e.begin(name)
	o.field("item_id", c.id)
	o.number("output_index", c.index)
	if !c.part.free {
		o.field("name", orEmpty(c.part.name))
	}
	o.field(field, args.b)
	o.closeEvent()
	var item writer
	item.callItem(c.id, "completed", &c.part)
	e.itemDone(c.index, item.b)
}

// end closes what is open and writes the whole answer once more, its items in the
// order of their places.
//
// The sequence of a stop has no member here.
func (e *responsesEncoder) end(stop stopReason, _ raw, u Usage) {
	e.object.end(stop)
	e.closeItem(itemStatus(e.object.status))
	e.closeCalls(true)
	slices.SortFunc(e.done, func(a, b outputItem) int { return int(a.index - b.index) })
	var items []byte
	for i, item := range e.done {
		if i > 0 {
			items = append(items, ',')
		}
		items = append(items, item.json...)
	}
	e.object.items, e.object.usage = items, u
	e.frame("response." + e.object.status)
}

// fail writes an error event. It has the members of the API's own and the object
// of an error, as SDKs look for either.
// The answer ends here, without response.completed.
func (e *responsesEncoder) fail(status int, p *problem) {
	told := *p
	if told.code == nil {
		told.code = quote(errorType(Responses, status)) // some SDKs skip an error without one
	}
	o := e.begin("error")
	o.field("code", told.code)
	o.field("message", orEmpty(p.message))
	o.orNull("param", p.param)
	o.key("error")
	o.openAIProblem(Responses, status, &told)
	o.closeEvent()
}
