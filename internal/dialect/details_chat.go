package dialect

import (
	"bytes"
	"encoding/base64"
)

// OpenRouter has the proof of reasoning in reasoning_details of a message in chat, and
// models of Google, Anthropic and OpenAI behind it want it back with their calls:
//
//	{"type": "reasoning.text", "text": "…", "signature": "…", "format": "anthropic-claude-v1", "index": 0}
//	{"type": "reasoning.encrypted", "data": "…", "id": "call_1", "format": "google-gemini-v1", "index": 0}
//
// Other formats have no place for such a list. It stands behind its reasoning, as
// reasoning without text.

// chatDetail is an element of the list.
type chatDetail struct {
	what, format, id, index raw
	text, summary           []byte // the inside of a string
	signature, data         raw
}

// chatDetails are the elements of an answer, put together of the pieces of a stream.
type chatDetails struct {
	list []chatDetail
	size int // in bytes
}

// read adds the elements of a list. A text continues the one before it at the same index,
// unless that one has its signature.
func (d *chatDetails) read(list raw) {
	c := cursor{b: list}
	if !c.array() {
		return
	}
	for c.elem() {
		if !c.object() {
			continue
		}
		var e chatDetail
		var text, summary raw
		for name := range c.members() {
			switch string(name) {
			case "type":
				e.what = clone(c.str())
			case "format":
				e.format = clone(c.str())
			case "id":
				e.id = clone(c.str())
			case "index":
				e.index = clone(c.value())
			case "text":
				text = c.str()
			case "summary":
				summary = c.str()
			case "signature":
				e.signature = clone(c.str())
			case "data":
				e.data = clone(c.str())
			default:
				c.value()
			}
		}
		d.size += len(text) + len(summary) + len(e.signature) + len(e.data) + len(e.id) + 64
		if n := len(d.list) - 1; n >= 0 && d.list[n].continued(&e) {
			d.list[n].extend(text, summary, e.signature)
			continue
		}
		e.extend(text, summary, nil)
		d.list = append(d.list, e)
	}
}

// continued reports whether a piece belongs to the element.
func (e *chatDetail) continued(piece *chatDetail) bool {
	return bytes.Equal(e.what, piece.what) && bytes.Equal(e.index, piece.index) && e.data == nil && piece.data == nil && blank(e.signature)
}

// extend adds a piece. Nil texts are absent ones.
func (e *chatDetail) extend(text, summary, signature raw) {
	if text != nil {
		e.text = append(e.text, inner(text)...)
	}
	if summary != nil {
		e.summary = append(e.summary, inner(summary)...)
	}
	if !blank(signature) {
		e.signature = signature
	}
}

// proven reports whether there is anything to give back.
func (d *chatDetails) proven() bool {
	for i := range d.list {
		if e := &d.list[i]; !blank(e.signature) || !blank(e.data) {
			return true
		}
	}
	return false
}

// seal takes the elements out.
func (d *chatDetails) seal() seal {
	var w writer
	w.open('[')
	for i := range d.list {
		e := &d.list[i]
		w.open('{')
		w.field("type", e.what)
		if len(e.text) > 0 {
			w.key("text")
			w.inside(e.text)
		}
		if len(e.summary) > 0 {
			w.key("summary")
			w.inside(e.summary)
		}
		w.field("signature", e.signature)
		w.field("data", e.data)
		w.field("id", e.id)
		w.field("format", e.format)
		w.field("index", e.index)
		w.close("}")
	}
	w.close("]")
	*d = chatDetails{}
	return seal{origin: originDetails, data: base64.StdEncoding.AppendEncode(nil, w.b)}
}

// givenDetails are the elements that the parts of a turn carry, without the brackets.
//
// Only lists are given back: the text has been in a client's hands.
func givenDetails(parts []part) (elements []byte) {
	for i := range parts {
		s := &parts[i].seal
		if parts[i].kind != kindReasoning || s.origin != originDetails {
			continue
		}
		list, err := base64.StdEncoding.AppendDecode(nil, unslashed(s.data))
		c := cursor{b: list}
		if err != nil || c.peek() != '[' || c.value() == nil || !c.done() {
			continue
		}
		list = bytes.TrimSpace(list)
		if list = bytes.TrimSpace(list[1 : len(list)-1]); len(list) == 0 {
			continue
		}
		if len(elements) > 0 {
			elements = append(elements, ',')
		}
		elements = append(elements, list...)
	}
	return elements
}
