package dialect

import (
	"bytes"
	"encoding/base64"
)

// origin is the format of the proof of a piece of reasoning.
//
// An encoder gives a seal back only to the format of its origin. Everywhere else
// the reasoning counts as lost.
type origin uint8

const (
	originNone      origin = iota
	originMessages         // a signature of a thinking block
	originRedacted         // the data of a redacted_thinking block
	originResponses        // the encrypted_content of a reasoning item, and its id
	originChat             // nothing but the name of the field that held the text
	originCall             // the extra_content of the call with the id
	originDetails          // the reasoning_details of a message in chat
)

// seal is what a provider wants back with its reasoning.
//
// Providers refuse a conversation with tools if the reasoning before a call does
// not come back with its proof. A client of another format keeps only fields that
// it knows. So the proof travels in a field of the client's format that is opaque
// to clients: signature in messages, encrypted_content in responses.
type seal struct {
	origin origin
	id     []byte // the inside of a string
	data   []byte // the inside of a string
}

// sealMark starts an opaque field of the gateway's making. The provider of the
// client's format could not verify it.
const sealMark = "aigateway:"

// origins are the words of a wrapped seal.
var origins = [...]string{
	originMessages: "messages", originRedacted: "redacted", originResponses: "responses", originChat: "chat",
	originCall: "call", originDetails: "details",
}

// wrap makes an opaque field, to carry a seal through a client of another format:
// the string aigateway:<origin>:<id>:<data>.
func (s seal) wrap() raw {
	o := s.origin
	if o == originNone {
		o = originChat
	}
	id := s.id
	// The colon parts the members. The id is a convenience: the data proves the
	// reasoning.
	if bytes.IndexByte(id, ':') >= 0 {
		id = nil
	}
	v := make([]byte, 0, len(sealMark)+len(id)+len(s.data)+16)
	v = append(v, '"')
	v = append(v, sealMark...)
	v = append(v, origins[o]...)
	v = append(v, ':')
	v = append(v, id...)
	v = append(v, ':')
	v = append(v, s.data...)
	return append(v, '"')
}

// unwrap reads an opaque field. Without the gateway's mark it belongs to the
// format of its body.
//
// "aigateway:responses:rs_1:gAAA…" is the encrypted content gAAA… of the item rs_1.
func unwrap(v raw, native origin, id []byte) seal {
	in := inner(v)
	rest, marked := bytes.CutPrefix(in, []byte(sealMark))
	if !marked {
		if len(in) == 0 {
			return seal{id: id}
		}
		return seal{origin: native, id: id, data: in}
	}
	word, rest, _ := bytes.Cut(rest, []byte(":"))
	id, data, _ := bytes.Cut(rest, []byte(":"))
	for o, name := range origins {
		if name != "" && string(word) == name {
			return seal{origin: origin(o), id: id, data: data}
		}
	}
	return seal{}
}

// sealOf is a seal for what a provider of chat wants back with a call. Gemini refuses the
// next turn without it:
//
//	{"google": {"thought_signature": "…"}}
//
// Other formats have no place for it at the call. It stands before, as reasoning
// without text.
func sealOf(id, extra raw) seal {
	return seal{origin: originCall, id: callMark(id), data: base64.StdEncoding.AppendEncode(nil, extra)}
}

// callMark is the id of a call as it stands in a seal.
//
// Base64 keeps colons of an id out of the wrapped form.
func callMark(id raw) []byte { return base64.StdEncoding.AppendEncode(nil, []byte(text(id))) }

// giveBack gives the calls of a turn what their seals hold.
//
// Only an object is given back: the text has been in a client's hands, and goes
// into the upstream's request as it is. A broken seal is passed over.
func giveBack(parts []part) {
	var held map[string]raw // by the marks of the calls
	for i := range parts {
		s := &parts[i].seal
		if s.origin != originCall {
			continue
		}
		extra, err := base64.StdEncoding.AppendDecode(nil, unslashed(s.data))
		c := cursor{b: extra}
		if err != nil || c.peek() != '{' || c.value() == nil || !c.done() {
			continue
		}
		if held == nil {
			held = map[string]raw{}
		}
		held[string(unslashed(s.id))] = extra
	}
	if held == nil {
		return
	}
	for i := range parts {
		if p := &parts[i]; p.kind == kindCall {
			p.extra = held[string(callMark(p.id))]
		}
	}
}

// isMarked reports whether the gateway made an opaque field.
func isMarked(v raw) bool { return bytes.HasPrefix(inner(v), []byte(sealMark)) }
