package dialect

import "strconv"

// callIDs are the ids of the calls in a conversation.
func (c *conversation) callIDs() (ids []raw) {
	for i := range c.turns {
		for j := range c.turns[i].parts {
			if p := &c.turns[i].parts[j]; p.kind == kindCall {
				ids = append(ids, p.id)
			}
		}
	}
	return ids
}

// uniqueCalls gives the calls ids in the letters of messages, and no id twice: messages
// refuses such a request. Servers that count the calls of each answer from 0 make such
// conversations. The same conversation always gets the same ids.
//
// A result goes to the call of its id in the last turns of the assistant. Where there are
// several, the results come in the order of the calls.
func (c *conversation) uniqueCalls() {
	taken := map[string]int{}  // the number to try next for an id that comes again
	open := map[string][]raw{} // what the calls that wait for results are named, by their old ids
	before := roleSystem
	for i := range c.turns {
		t := &c.turns[i]
		if t.role == roleAssistant && before != roleAssistant {
			clear(open)
		}
		before = t.role
		for j := range t.parts {
			p := &t.parts[j]
			if p.kind != kindCall && p.kind != kindResult {
				continue
			}
			old := messagesID(p.id)
			if blank(old) {
				old = raw(`"call"`)
			}
			p.id = old
			if p.kind == kindCall {
				for n := taken[string(old)]; n > 0; n++ {
					p.id = append(append(make(raw, 0, len(old)+4), old[:len(old)-1]...), '_')
					p.id = append(strconv.AppendInt(p.id, int64(n+1), 10), '"')
					if _, again := taken[string(p.id)]; !again {
						taken[string(old)] = n + 1
						break
					}
				}
				taken[string(p.id)] = 1
				open[string(old)] = append(open[string(old)], p.id)
			} else if ids := open[string(old)]; len(ids) > 0 {
				p.id = ids[0]
				if len(ids) > 1 {
					open[string(old)] = ids[1:]
				}
			}
		}
	}
}

// messagesID is the id of a call in the letters of messages. The same id always
// becomes the same one.
//
// Letters, digits, "_" and "-" may stand in an id. Other bytes become "_", so
// the id of a result still matches its call's.
//
// Messages refuses a request with another letter in an id. OpenAI-like servers
// make ids with dots and colons. Two ids with different odd letters may become
// equal.
func messagesID(id raw) raw {
	in := inner(id)
	for i, c := range in {
		if !isNameByte(c) || c == '.' {
			clean := append(raw(nil), id...)
			for j := i + 1; j < len(clean)-1; j++ {
				if !isNameByte(clean[j]) || clean[j] == '.' {
					clean[j] = '_'
				}
			}
			return clean
		}
	}
	return orEmpty(id)
}
