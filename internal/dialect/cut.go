package dialect

import "bytes"

// Cut removes marked reasoning from a request in a provider's own format. The mark
// is the gateway's, and the provider could not verify such reasoning. Cut returns
// the body itself if it has nothing to cut, or is not JSON. Values keep their text;
// white space between them may go.
//
// A client gets such reasoning from a candidate of another format, and sends it
// back with the next turn. That turn may go to a provider of the client's own
// format. The provider would refuse it, for the signature is not one of its own.
func Cut(f Format, body []byte) []byte {
	// Nearly all bodies have no mark, and are not parsed.
	if !hasMark(body) {
		return body
	}
	list, element := "messages", cutChatMessage
	switch f {
	case Responses:
		list, element = "input", cutItem
	case Messages:
		element = cutMessage
	}
	c := cursor{b: body}
	cut := false
	out := mapMembers(&c, func(name []byte, value raw) raw {
		if string(name) != list || value[0] != '[' {
			return value
		}
		return mapElements(value, func(v raw) raw {
			left := element(v)
			cut = cut || len(left) != len(v)
			return left
		})
	})
	if !cut || !c.done() {
		return body
	}
	return out
}

// mapMembers writes the object at c with the values of change. A nil value leaves
// the member out. A null is passed as null.
//
// Names keep their meaning and not their spelling: escapes in a name go. nil is
// the result for anything else than an object, or for broken text.
func mapMembers(c *cursor, change func(name []byte, value raw) raw) raw {
	if !c.enter('{') {
		return nil
	}
	w := writer{b: make([]byte, 0, len(c.b))}
	w.open('{')
	for name := range c.members() {
		value := c.value()
		if value == nil {
			value = raw("null")
		}
		if value = change(name, value); value != nil {
			w.sep()
			w.b = append(appendQuoted(w.b, name), ':')
			w.b = append(w.b, value...)
		}
	}
	w.close("}")
	if c.bad {
		return nil
	}
	return w.b
}

// mapElements writes an array with the elements of change. A nil element is left
// out.
func mapElements(array raw, change func(raw) raw) raw {
	c := cursor{b: array}
	c.enter('[')
	w := writer{b: make([]byte, 0, len(array))}
	w.open('[')
	for c.elem() {
		value := c.value()
		if value == nil {
			value = raw("null")
		}
		if value = change(value); value != nil {
			w.put(value)
		}
	}
	w.close("]")
	return w.b
}

// hasMark is a quick look for a string that starts with the mark, before a value is
// read. It goes from colon to colon, with which the mark ends: a JSON text has at least
// two quotes for each of them, and prose has few. [bytes.Index] would compare at each
// byte, and give up its search for a first one.
func hasMark(v raw) bool {
	for at := 0; ; {
		i := bytes.IndexByte(v[at:], ':')
		if i < 0 {
			return false
		}
		if at += i + 1; bytes.HasSuffix(v[:at], []byte(`"`+sealMark)) {
			return true
		}
	}
}

// member is the value of a member of an object.
//
// Of repeated members the last one counts. Nil is an absent one, or another
// value than an object.
func member(object raw, name string) (found raw) {
	c := cursor{b: object}
	if c.object() {
		for key := range c.members() {
			if v := c.value(); string(key) == name {
				found = v
			}
		}
	}
	return found
}

// cutMessage cuts thinking blocks from a message, and a message of nothing else.
//
// The first result is the message itself if nothing is cut, and nil if nothing
// is left. Messages refuses an empty turn.
func cutMessage(v raw) raw {
	if !hasMark(v) {
		return v
	}
	empty := false
	c := cursor{b: v}
	out := mapMembers(&c, func(name []byte, value raw) raw {
		if string(name) != "content" || value[0] != '[' {
			return value
		}
		left := mapElements(value, func(block raw) raw {
			if is(member(block, "type"), "thinking") && isMarked(member(block, "signature")) {
				return nil
			}
			return block
		})
		empty = string(left) == "[]"
		return left
	})
	switch {
	case out == nil:
		return v
	case empty:
		return nil
	}
	return out
}

// cutItem cuts a reasoning item.
func cutItem(v raw) raw {
	if hasMark(v) && is(member(v, "type"), "reasoning") && isMarked(member(v, "encrypted_content")) {
		return nil
	}
	return v
}

// cutChatMessage cuts reasoning_details from a message, and the text of the same
// reasoning.
func cutChatMessage(v raw) raw {
	if !hasMark(v) || !markedDetails(member(v, "reasoning_details")) {
		return v
	}
	c := cursor{b: v}
	out := mapMembers(&c, func(name []byte, value raw) raw {
		switch string(name) {
		case "reasoning_details", "reasoning_content":
			return nil
		}
		return value
	})
	if out == nil {
		return v
	}
	return out
}

// markedDetails reports whether an element of reasoning_details has the mark.
func markedDetails(list raw) bool {
	c := cursor{b: list}
	marked := false
	if list != nil && c.array() {
		for c.elem() {
			marked = isMarked(member(c.value(), "format")) || marked
		}
	}
	return marked
}
