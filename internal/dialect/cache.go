package dialect

// ephemeral is the mark for a cache of the prompt in messages.
const ephemeral = `{"type":"ephemeral"}`

// maxMarks is the most marks that messages takes.
const maxMarks = 4

// cacheMark reads a mark for a cache of the prompt, in the form of messages or of OpenAI:
//
//	"cache_control": {"type": "ephemeral", "ttl": "1h"}
//	"prompt_cache_breakpoint": {"mode": "explicit"}
//
// OpenRouter, LiteLLM and their clients write the first one in chat too. A provider of
// messages caches nothing without. To other providers it is a hint.
func (d *reader) cacheMark(name []byte) raw {
	v := d.value()
	if v == nil || d.to != Messages || v[0] != '{' {
		if v != nil {
			d.report.hint(string(name))
		}
		return nil
	}
	if string(name) == "cache_control" {
		return v
	}
	return raw(ephemeral)
}

// marks are the marks of a conversation, those that are set, in the order of the prompt:
// tools, instructions, turns.
func (c *conversation) marks(tools []tool) (set []*raw) {
	for i := range tools {
		if tools[i].cache != nil {
			set = append(set, &tools[i].cache)
		}
	}
	for _, system := range []bool{true, false} {
		for i := range c.turns {
			if isSystem(c.turns[i].role) != system {
				continue
			}
			for j := range c.turns[i].parts {
				if p := &c.turns[i].parts[j]; p.cache != nil {
					set = append(set, &p.cache)
				}
			}
		}
	}
	return set
}

// settleMarks leaves out the first marks of too many: the later ones cache what stands
// before them too.
//
// A client with a key for the cache of OpenAI, where nothing has to be marked, gets the
// end of its instructions and of the conversation marked.
func (c *conversation) settleMarks(tools []tool) {
	set := c.marks(tools)
	if len(set) > maxMarks {
		for _, m := range set[:len(set)-maxMarks] {
			*m = nil
		}
	}
	if len(set) > 0 || blank(c.cacheKey) {
		return
	}
	front, end := (*raw)(nil), (*raw)(nil)
	if len(tools) > 0 {
		front = &tools[len(tools)-1].cache
	}
	for i := range c.turns {
		for j := range c.turns[i].parts {
			p := &c.turns[i].parts[j]
			switch {
			case p.kind == kindReasoning, (p.kind == kindText || p.kind == kindRefusal) && white(p.text):
			case isSystem(c.turns[i].role):
				front = &p.cache
			default:
				end = &p.cache
			}
		}
	}
	for _, m := range []*raw{front, end} {
		if m != nil {
			*m = raw(ephemeral)
		}
	}
}

// markLast marks the last part of a turn, unless it is marked.
func markLast(parts []part, cache raw) {
	if n := len(parts); n > 0 && cache != nil && parts[n-1].cache == nil {
		parts[n-1].cache = cache
	}
}

// takeMarks takes the marks of parts, and returns the last one. The parts of a result
// have none of their own.
func takeMarks(parts []part) (last raw) {
	for i := range parts {
		if m := parts[i].cache; m != nil {
			last, parts[i].cache = m, nil
		}
	}
	return last
}
