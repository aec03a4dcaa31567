package dialect

// reasoningDetails reads a list of the gateway's own making. It carries reasoning
// with its proof through clients of chat.
//
//	{"type": "reasoning.text", "format": "aigateway:messages", "text": "…", "signature": "…"}
//	{"type": "reasoning.encrypted", "format": "aigateway:responses", "id": "rs_1", "data": "…"}
//
// Chat has no field of its own for a proof. reasoning_details is OpenRouter's
// name for such a list, and clients that know it send it back unread.
func (d *reader) reasoningDetails(parts []part) []part {
	if !d.array() {
		return parts
	}
	for d.elem() {
		if !d.object() {
			continue
		}
		var what, format string
		var body, signature, data, id raw
		var after int64
		for name := range d.members() {
			switch string(name) {
			case "type":
				what = d.text()
			case "format":
				format = d.text()
			case "text", "summary":
				body = d.str()
			case "signature":
				signature = d.str()
			case "data":
				data = d.str()
			case "id":
				id = d.str()
			case "index":
				after = d.integer()
			default:
				d.value()
			}
		}
		had := len(parts)
		parts = addDetail(parts, what, format, body, signature, data, id)
		if len(parts) > had && (format == formatClaude || format == formatOpenAI) {
			parts[had].after = after
		}
	}
	return parts
}

// The formats of the gateway's reasoning_details. They have its mark: providers of
// chat could not verify them.
const (
	formatClaude = sealMark + "messages"
	formatOpenAI = sealMark + "responses"
)

// between puts reasoning back between the calls of a turn.
//
// details are in their order. An index beyond the calls is the end.
func between(details, content, calls []part) []part {
	parts := make([]part, 0, len(details)+len(content)+len(calls))
	next := 0
	upTo := func(n int) {
		for ; next < len(details) && (details[next].after <= int64(n) || n == len(calls)); next++ {
			parts = append(parts, details[next])
		}
	}
	upTo(0)
	parts = append(parts, content...)
	for i := range calls {
		parts = append(parts, calls[i])
		upTo(i + 1)
	}
	return parts
}

// addDetail adds an element of reasoning_details. A client may have collected
// them from a stream, so they continue each other.
//
// A client that collected a stream has the text and its proof in two elements, or
// the text in many. An element without a proof is still open, and the next one of
// the same origin continues it.
func addDetail(parts []part, what, format string, body, signature, data, id raw) []part {
	switch {
	case what == "reasoning.encrypted" && format == formatClaude:
		return append(parts, part{kind: kindReasoning, seal: seal{origin: originRedacted, data: inner(data)}})
	case what == "reasoning.encrypted" && format == formatOpenAI:
		s := seal{origin: originResponses, id: inner(id), data: inner(data)}
		if n := len(parts); n > 0 && parts[n-1].seal.origin == originResponses && len(parts[n-1].seal.data) == 0 {
			parts[n-1].seal = s
			return parts
		}
		return append(parts, part{kind: kindReasoning, seal: s})
	}
	s := seal{origin: originMessages, data: inner(signature)}
	switch {
	case format == formatOpenAI:
		s = seal{origin: originResponses, id: inner(id)}
	case format != formatClaude:
		// The upstream's own: no other format can carry its proof.
		s = seal{origin: originChat, data: []byte("reasoning_content")}
	}
	if n := len(parts); n > 0 && parts[n-1].seal.origin == s.origin && len(parts[n-1].seal.data) == 0 {
		last := &parts[n-1]
		switch {
		case blank(last.text):
			last.text = body
		case !blank(body):
			last.extend(body)
		}
		last.seal = s
		return parts
	}
	return append(parts, part{kind: kindReasoning, text: body, seal: s})
}

// extend adds a piece to the text of a part. The text moves to memory of its own
// with room to grow: a client may send very many pieces.
//
// The cost is linear in all pieces together, and not in their square.
func (p *part) extend(piece raw) {
	if !p.own {
		p.text = append(make(raw, 0, 2*(len(p.text)+len(piece))), p.text...)
		p.own = true
	}
	p.text = append(p.text[:len(p.text)-1], inner(piece)...)
	p.text = append(p.text, '"')
}
