package relay

import (
	"bytes"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Responses is the dialect of the Responses API. A [DONE], as some servers add,
// is not an end: clients wait for one of the three terminal events.
//
// An event is judged by its type: the name of the SSE event may be missing, or
// differ. A delta is content if it says anything. A .done is content too.
func Responses(name, data []byte, e *Event) {
	e.reset()
	c := jsonscan.Lenient(data)
	if len(data) > 0 && !c.Enter('{') {
		readStray(&c, data, e)
		return
	}
	var typ, item []byte
	var says, text bool
	var w errorShape
	for len(data) > 0 {
		k, ok := c.Key()
		if !ok {
			break
		}
		switch string(k) {
		case "type":
			typ = c.Text()
			// The large events say their type first. The rest of them may be megabytes
			// and need not be walked.
			if kind := responseEnd(typ); kind == End || kind == Failed {
				e.Kind, e.Usage = kind, true
				e.Refusal = string(typ) == "response.incomplete" && wasFiltered(data)
				return
			} else if kind == Error {
				e.Kind = Error
				return
			}
		case "delta":
			says = c.Skip()
		case "text", "arguments", "refusal":
			text = c.Skip() || text
		case "item":
			item = member(&c, "type")
		default:
			w.read(k, &c)
		}
	}
	if c.Bad() {
		e.Ping = true
		return
	}
	if typ == nil {
		if kind := w.kind(false); kind == Error || kind == Suspect && name == nil {
			// A chat-style error comes from servers that share the code for it.
			e.Kind, e.Hidden = kind, !w.member
			return
		}
		typ = name
	}
	if e.Kind = responseEnd(typ); e.Kind != Other {
		e.Usage = e.Kind == End
		e.Refusal = string(typ) == "response.incomplete" && wasFiltered(data)
		return
	}
	switch string(typ) {
	case "response.output_item.added":
		// A message or reasoning item is an empty frame. The others are calls of
		// tools, and the frame holds the name of the tool.
		switch string(item) {
		case "", "message", "reasoning":
			return
		}
		e.Kind, e.Word = Content, true
		return
	case "response.image_generation_call.partial_image":
		e.Kind, e.Word = Content, true
		return
	}
	if !bytes.HasPrefix(typ, []byte("response.")) {
		e.Ping = typ == nil || isPing(typ)
		return
	}
	done := bytes.HasSuffix(typ, []byte(".done"))
	if says && bytes.HasSuffix(typ, []byte(".delta")) || done {
		e.Kind, e.Word = Content, !done || text
		e.Refusal = bytes.HasPrefix(typ, []byte("response.refusal."))
	}
}

// responseEnd is the kind of the terminal events of a response, and Other for the
// rest.
func responseEnd(typ []byte) Kind {
	switch string(typ) {
	case "response.completed", "response.incomplete":
		return End
	case "response.failed":
		return Failed
	case "error":
		return Error
	}
	return Other
}

// StoredResponse is [Responses] for a response that was made before, and is streamed
// again. That it failed or was canceled is what the client wants to know, and no fault of
// the server now.
func StoredResponse(name, data []byte, e *Event) {
	Responses(name, data, e)
	switch {
	case e.Kind == Failed:
		e.Kind = End
	case e.Kind == Other && string(frontType(name, data)) == "response.cancelled":
		e.Kind, e.Usage = End, true
	}
}

// frontType is the type of an event that its data tells, of which the front is enough; else
// its name.
func frontType(name, data []byte) []byte {
	c := jsonscan.Lenient(data)
	if c.Enter('{') && seek(&c, "type") {
		if typ := c.Text(); len(typ) > 0 && !c.Bad() {
			return typ
		}
	}
	return name
}

// wasFiltered reports whether the response of a response.incomplete event was cut
// for its content.
//
// Data:
//
//	{"response": {"incomplete_details": {"reason": "content_filter"}}}
func wasFiltered(data []byte) bool {
	c := jsonscan.Lenient(data)
	if !c.Enter('{') || !seek(&c, "response") || !c.Enter('{') || !seek(&c, "incomplete_details") {
		return false
	}
	return reasonOf(member(&c, "reason")) == RefusalReason
}

// seek moves to the value of a member of the current object.
//
// It returns false behind the object. The cursor then stands behind it.
func seek(c *jsonscan.Cursor, name string) bool {
	for k, ok := c.Key(); ok; k, ok = c.Key() {
		if string(k) == name {
			return true
		}
		c.Skip()
	}
	return false
}

// Messages is the dialect of Anthropic's Messages API. The stop_reason of a
// message_delta is Content, not Finish: it commits, but only message_stop makes
// the stream whole. Clients deliver no message without it.
//
// Data:
//
//	{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
//	{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}
func Messages(name, data []byte, e *Event) {
	e.reset()
	c := jsonscan.Lenient(data)
	if len(data) > 0 && !c.Enter('{') {
		readStray(&c, data, e)
		return
	}
	var typ []byte
	var d block
	var w errorShape
	for len(data) > 0 {
		k, ok := c.Key()
		if !ok {
			break
		}
		switch string(k) {
		case "type":
			typ = c.Text()
		case "delta", "content_block":
			d.read(&c)
		case "usage":
			e.Usage = c.Skip()
		case "message":
			if c.Peek() == '"' { // of an error, not of message_start
				w.read(k, &c)
			} else {
				e.Usage = member(&c, "type") != nil || e.Usage
			}
		default:
			w.read(k, &c)
		}
	}
	if c.Bad() {
		e.reset()
		e.Ping = true
		return
	}
	if typ == nil {
		if kind := w.kind(false); kind == Error || kind == Suspect && name == nil {
			e.Kind, e.Hidden = kind, string(name) != "error"
			return
		}
		typ = name
	}
	switch string(typ) {
	case "content_block_delta", "content_block_start":
		// The frame of a text or thinking block says nothing, that of a tool use has
		// its name and that of redacted thinking all of it.
		if d.says {
			e.Kind, e.Word = Content, true
		}
	case "message_delta":
		switch {
		case d.reason == ErrorReason:
			e.Kind, e.Hidden = Error, true
		case d.says:
			e.Kind = Content
			e.Refusal = d.reason == RefusalReason
		}
	case "message_stop":
		e.Kind = End
	case "error":
		// The SDKs go by the event's name.
		e.Kind, e.Hidden = Error, string(name) != "error"
	default:
		e.Ping = typ == nil || isPing(typ)
	}
}

// block is what an event of the messages format adds.
type block struct {
	says   bool // a member beside the type has a value
	reason Reason
}

// read reads a content_block or a delta:
//
//	{"type": "text_delta", "text": "Hel"}
//	{"stop_reason": "end_turn", "stop_sequence": null}
//
// An empty text and a null do not say anything.
func (b *block) read(c *jsonscan.Cursor) {
	for k, ok := c.First(); ok; k, ok = c.Key() {
		switch {
		case string(k) == "type":
			c.Skip()
		case string(k) == "stop_reason" && c.Peek() == '"':
			b.says = true
			b.reason = reasonOf(c.Text())
		default:
			b.says = c.Skip() || b.says
		}
	}
}

// member returns the string at a key of the object at the cursor, and moves
// behind the object.
//
// Of a repeated key the last one counts. Nil is an absent one, or a value of
// another type.
func member(c *jsonscan.Cursor, key string) (v []byte) {
	for k, ok := c.First(); ok; k, ok = c.Key() {
		if string(k) == key {
			v = c.Text()
		} else {
			c.Skip()
		}
	}
	return v
}

// Events is the dialect of streams without a form of their own here:
// transcriptions, speech, images. It goes by the type's last word. A .done or
// .completed is Finish, not End: several images each have theirs. An .error or .failed
// is an error, which SDKs do not take for one. Events without a
// type are read like Chat: so vLLM streams transcriptions. See also readBare.
//
// Data:
//
//	{"type": "transcript.text.delta", "delta": "Hel"}
//	{"type": "image_generation.partial_image", "b64_json": "…"}
//	{"type": "speech.audio.done", "usage": {…}}
func Events(name, data []byte, e *Event) {
	e.reset()
	if isDone(data) {
		e.Kind, e.Done = End, true
		return
	}
	c := jsonscan.Lenient(data)
	if len(data) > 0 && !c.Enter('{') {
		readStray(&c, data, e)
		return
	}
	var typ []byte
	var w errorShape
	var b bare
	for len(data) > 0 {
		k, ok := c.Key()
		if !ok {
			break
		}
		switch string(k) {
		case "type":
			typ = c.Text()
		case "usage":
			e.Usage = c.Skip()
		default:
			if !b.read(k, &c) {
				w.read(k, &c)
			}
		}
	}
	if c.Bad() {
		e.reset()
		e.Ping = true
		return
	}
	if typ == nil {
		if typ = name; typ == nil {
			Chat(name, data, e)
			b.judge(e)
			return
		}
	}
	last := typ[bytes.LastIndexByte(typ, '.')+1:]
	switch {
	case w.member, string(last) == "error", string(last) == "failed":
		e.Kind, e.Hidden = Error, !w.member
	case string(last) == "delta", string(last) == "segment", bytes.HasPrefix(last, []byte("partial")):
		e.Kind, e.Word = Content, true
	case string(last) == "done", string(last) == "completed":
		e.Kind, e.Word = Finish, true
	default:
		e.Ping = isPing(typ)
	}
}

// bare is what an event without a type says, by the members that hold an answer's text,
// sound or image.
//
// Data:
//
//	{"object": "audio.speech.chunk", "audio": {"data": "…"}, "finish_reason": null}  SGLang
//	{"text": "Hello", "start": 0.0, "end": 1.2}                                      WhisperLive, faster-whisper-server
//	{"created": 1, "data": [{"b64_json": "…"}]}                                      relays: a whole answer as an event
type bare struct {
	says   bool
	ends   bool   // the server tells where its answer ends
	reason []byte // its finish reason
}

// read reads a member of an event, and reports whether it was one of these.
func (b *bare) read(name []byte, c *jsonscan.Cursor) bool {
	switch string(name) {
	case "text", "audio", "b64_json", "url":
		b.says = c.Skip() || b.says
	case "data":
		list := c.Peek() == '[' // some errors have an object there
		b.says = c.Skip() && list || b.says
	case "finish_reason":
		b.ends = true
		b.reason = c.Text()
	default:
		return false
	}
	return true
}

// judge refines an event that Chat does not know. A text or image by itself is whole,
// unless the server tells where its answer ends.
func (b *bare) judge(e *Event) {
	if e.Kind != Other && e.Kind != Suspect {
		return
	}
	switch reason := reasonOf(b.reason); {
	case reason == ErrorReason:
		e.Kind, e.Hidden = Error, true
	case reason != NoReason, b.says && !b.ends:
		e.Kind, e.Hidden, e.Ping = Finish, false, false
	case b.says:
		e.Kind, e.Hidden, e.Ping = Content, false, false
	}
	e.Word = e.Word || b.says
}
