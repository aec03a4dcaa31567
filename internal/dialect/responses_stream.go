package dialect

import (
	"bytes"
	"strings"
)

// responsesDecoder reads the events of responses.
//
// A stream is a row of items. Each begins with output_item.added, has deltas, and
// ends with output_item.done, which repeats it whole:
//
//	response.created
//	response.output_item.added      {"output_index": 0, "item": {"type": "message", …}}
//	response.output_text.delta      {"output_index": 0, "content_index": 0, "delta": "Hel"}
//	response.output_text.done       a repetition
//	response.output_item.done       {"output_index": 0, "item": {…}}
//	response.completed              {"response": {"output": […], "usage": {…}}}
//
// Servers leave out some of them. The decoder passes each content on once: from
// the deltas, else from the repetition behind them, else from the item that is
// done, else from response.completed.
type responsesDecoder struct {
	s     *Stream
	calls int
	items []openItem
	said  bool // an item has begun
	spoke bool // a text or a refusal was passed on
}

// openItem is an item under way.
//
// parts is the number of the latest part of reasoning. said tells an item with
// deltas.
type openItem struct {
	index int64
	kind  kind
	call  int
	said  bool // its deltas came
	parts int64
	cited bool // its citations came
}

// responsesEvent is what the members of an event say.
type responsesEvent struct {
	what     []byte
	output   int64
	part     int64
	delta    raw // of a repetition: all of it
	item     raw
	response raw
	cites    []citation
}

// event reads one event:
//
//	{"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "…"}
//	{"type": "response.output_item.done", "output_index": 0, "item": {…}}
//	{"type": "response.completed", "response": {…}}
func (d *responsesDecoder) event(name, data []byte) {
	s := d.s
	if string(bytes.TrimSpace(data)) == "[DONE]" {
		return // some servers add it
	}
	c := cursor{b: data}
	var e responsesEvent
	if !c.enter('{') {
		s.broken(ErrEvent)
		return
	}
	for key := range c.members() {
		switch string(key) {
		case "type":
			e.what = c.word()
		case "output_index":
			e.output = c.integer()
		case "summary_index", "content_index":
			e.part = c.integer()
		case "delta", "text", "refusal", "arguments", "input":
			e.delta = c.str()
		case "annotation":
			if cited, ok := c.citation(); ok {
				e.cites = append(e.cites, cited)
			}
		case "item":
			e.item = c.value()
		case "response":
			e.response = c.value()
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
	d.apply(&e, data)
}

// apply passes an event on. Repetitions of earlier ones are skipped.
//
// response.incomplete is a good end: the answer met its limit. Events of hosted
// tools and unknown ones are skipped.
func (d *responsesDecoder) apply(e *responsesEvent, data []byte) {
	s := d.s
	switch string(e.what) {
	case "response.created", "response.in_progress":
		id, model, created := responseFrame(e.response)
		s.begin(id, model, created)
		return
	case "response.completed", "response.incomplete":
		d.complete(e)
		return
	case "response.failed", "error":
		s.failed(data)
		return
	case "response.cancelled":
		s.broken(ErrEnded)
		return
	}
	rest, ok := bytes.CutPrefix(e.what, []byte("response."))
	if !ok {
		return
	}
	switch string(rest) {
	case "output_item.added":
		s.begin(nil, nil, 0)
		d.added(e)
	case "output_item.done":
		s.begin(nil, nil, 0)
		d.done(e)
	case "content_part.added":
		s.to.mark()
	case "output_text.annotation.added":
		s.begin(nil, nil, 0)
		s.cite(e.cites)
		if item := d.find(e.output); item != nil {
			item.cited = true
		}
	case "output_text.delta", "refusal.delta", "reasoning_summary_text.delta", "reasoning_text.delta",
		"function_call_arguments.delta", "custom_tool_call_input.delta":
		if !blank(e.delta) {
			s.begin(nil, nil, 0)
			d.delta(e)
		}
	case "output_text.done", "refusal.done", "reasoning_summary_text.done", "reasoning_text.done",
		"function_call_arguments.done", "custom_tool_call_input.done":
		if item := d.find(e.output); !blank(e.delta) && (item != nil && !item.said || item == nil && !d.said) {
			s.begin(nil, nil, 0)
			e.what = append(bytes.TrimSuffix(bytes.Clone(e.what), []byte("done")), "delta"...)
			d.delta(e)
		}
	}
}

// responseFrame reads the frame of an answer.
//
// The frame is the answer before its content:
//
//	{"id": "resp_1", "object": "response", "created_at": 1700000000, "model": "…", "status": "in_progress", …}
func responseFrame(v raw) (id, model raw, created int64) {
	c := cursor{b: v}
	if v == nil || !c.object() {
		return nil, nil, 0
	}
	for key := range c.members() {
		switch string(key) {
		case "id":
			id = c.str()
		case "model":
			model = c.str()
		case "created_at":
			created = c.integer()
		default:
			c.value()
		}
	}
	return id, model, created
}

// item reads an item.
//
// An item of an answer has the form of an item of a request, so the reader of
// requests reads it, into a conversation of its own.
//
// what is the kind of its first part. An item without content, as in
// output_item.added, counts as text if it is a message.
func (d *responsesDecoder) item(v raw) (parts []part, what kind, ok bool) {
	r := reader{cursor: cursor{b: v}, report: &Report{}, conversation: &conversation{}, answer: true}
	if v == nil {
		return nil, 0, false
	}
	r.responsesItem()
	for _, t := range r.conversation.turns {
		parts = append(parts, t.parts...)
	}
	if r.wrong || r.bad {
		return nil, 0, false
	}
	if len(parts) == 0 {
		return nil, kindText, strings.Contains(itemType(v), "message")
	}
	return parts, parts[0].kind, true
}

// itemType is the type of an item.
func itemType(v raw) string {
	c := cursor{b: v}
	if c.object() {
		for key := range c.members() {
			if string(key) == "type" {
				return c.text()
			}
			c.value()
		}
	}
	return ""
}

// added begins an item. It returns nil for an item of another kind.
//
// It also serves output_item.done of an item that was never added.
func (d *responsesDecoder) added(e *responsesEvent) *openItem {
	s := d.s
	parts, what, ok := d.item(e.item)
	if !ok {
		return nil
	}
	if len(d.items) == maxCalls || d.calls == maxCalls {
		s.broken(ErrTooLong)
		return nil
	}
	d.said = true
	item := openItem{index: e.output, kind: what}
	if what == kindCall {
		item.call = d.calls
		d.calls++
		p := &parts[0]
		s.to.call(item.call, s.callID(p.id), orEmpty(s.t.ownName(p.name)), p.free)
	}
	if what == kindText {
		s.to.mark()
	}
	d.items = append(d.items, item)
	return &d.items[len(d.items)-1]
}

// find returns the item under way at an output index, or nil.
func (d *responsesDecoder) find(index int64) *openItem {
	for i := range d.items {
		if d.items[i].index == index {
			return &d.items[i]
		}
	}
	return nil
}

// delta passes on a piece of an item. A blank line parts the summaries of one
// reasoning item.
//
// A delta of arguments without its item is a fault: it could be any call's.
func (d *responsesDecoder) delta(e *responsesEvent) {
	s := d.s
	item := d.find(e.output)
	switch string(e.what) {
	case "response.output_text.delta":
		s.to.text(e.delta)
		d.spoke = true
	case "response.refusal.delta":
		s.to.refusal(e.delta)
		d.spoke = true
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		if item != nil && item.said && item.parts != e.part {
			s.to.reasoning(raw(`"\n\n"`), seal{origin: originResponses})
		}
		if item != nil {
			item.parts = e.part
		}
		s.to.reasoning(e.delta, seal{origin: originResponses})
	default:
		if item == nil || item.kind != kindCall {
			s.broken(ErrEvent)
			return
		}
		s.to.args(item.call, e.delta)
	}
	d.said = true
	if item != nil {
		item.said = true
	}
}

// done ends an item. It passes on what no delta has told: the proof of reasoning,
// and all of an item from servers without deltas.
//
// The item is forgotten first, so its index may be used again.
func (d *responsesDecoder) done(e *responsesEvent) {
	s := d.s
	item := d.find(e.output)
	if item == nil {
		if item = d.added(e); item == nil || s.over() {
			return
		}
	}
	parts, _, ok := d.item(e.item)
	said, call, what, cited := item.said, item.call, item.kind, item.cited
	for i := range d.items {
		if d.items[i].index == e.output {
			d.items = append(d.items[:i], d.items[i+1:]...)
			break
		}
	}
	switch {
	case what == kindCall:
		if !said && ok && len(parts) > 0 && !blank(parts[0].args) {
			s.to.args(call, parts[0].args)
		}
		s.to.called(call)
	case what == kindReasoning && ok && len(parts) > 0:
		p := &parts[0]
		if !said && !blank(p.text) {
			s.to.reasoning(p.text, seal{origin: originResponses})
			said = true
		}
		if said || len(p.seal.data) > 0 {
			s.to.sealed(p.seal)
		}
	case said && !cited && len(parts) == 1:
		s.cite(parts[0].cites) // no event told them
	case !said:
		s.whole(parts, 0)
		d.spoke = d.spoke || len(parts) > 0
	}
}

// complete takes the last event. It repeats the answer, and from some servers it
// is the only event.
//
// What no event before it told is passed on, and calls without output_item.done are
// closed here. The usage replaces earlier counts.
func (d *responsesDecoder) complete(e *responsesEvent) {
	s := d.s
	var r reply
	a := answerReader{cursor: cursor{b: e.response}, t: s.t, reply: &r}
	if e.response == nil || !a.responsesAnswer() {
		s.broken(ErrEvent)
		return
	}
	s.begin(r.id, r.model, r.created)
	if d.said {
		d.rest(r.parts)
	} else {
		d.calls += s.whole(r.parts, 0)
	}
	if s.over() {
		return
	}
	for i := range d.items {
		if d.items[i].kind == kindCall {
			s.to.called(d.items[i].call)
		}
	}
	u := r.usage
	s.tokens = tokens{input: u.Input, cached: u.Cached, written: u.CacheWrite, output: u.Output, reasoning: u.Reasoning, known: u.Known}
	s.stop = r.stop
	// Calls may have come in deltas only, and the last event without its output.
	if s.stop == stopEnd && d.calls > 0 {
		s.stop = stopTool
	}
	s.end()
}

// rest passes on what the last event alone tells of an answer whose items have begun:
// its text, the arguments of calls, and calls.
//
// Calls are known by their order, as some servers give them no ids.
func (d *responsesDecoder) rest(parts []part) {
	s := d.s
	n, spoke := 0, d.spoke
	for i := range parts {
		switch p := &parts[i]; p.kind {
		case kindText, kindRefusal:
			if !spoke {
				s.whole(parts[i:i+1], 0)
			}
		case kindCall:
			if n == d.calls {
				d.calls += s.whole(parts[i:i+1], n)
			} else if item := d.openCall(n); item != nil && !item.said && !blank(p.args) {
				s.to.args(n, p.args)
			}
			n++
		}
	}
}

// openCall returns the item of a call under way, or nil.
func (d *responsesDecoder) openCall(n int) *openItem {
	for i := range d.items {
		if item := &d.items[i]; item.kind == kindCall && item.call == n {
			return item
		}
	}
	return nil
}

// finish does nothing: without response.completed the answer is not whole.
func (d *responsesDecoder) finish() {}
