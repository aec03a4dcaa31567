package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

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

// settleResults moves results right behind the turn of their calls. Responses finds them
// by their ids, wherever they stand: Codex has words of its hooks and images in between.
// Chat and messages refuse any turn between calls and their results.
//
// A result without a call keeps its place.
func (c *conversation) settleResults() {
	if !c.scattered() {
		return
	}
	made := map[string]int{}   // the turn that made the latest call of an id
	follow := map[int][]part{} // the results behind a turn
	rest := map[int][]part{}   // the results of a turn without a call
	for i := range c.turns {
		for _, p := range c.turns[i].parts {
			switch p.kind {
			case kindCall:
				made[string(p.id)] = i
			case kindResult:
				if at, ok := made[string(p.id)]; ok {
					follow[at] = append(follow[at], p)
				} else {
					rest[i] = append(rest[i], p)
				}
			}
		}
	}
	out := make([]turn, 0, len(c.turns)+len(follow))
	for i := range c.turns {
		switch {
		case c.turns[i].role != roleTool:
			out = append(out, c.turns[i])
		case len(rest[i]) > 0:
			out = append(out, turn{role: roleTool, parts: rest[i]})
		}
		if len(follow[i]) > 0 {
			out = append(out, turn{role: roleTool, parts: follow[i]})
		}
	}
	c.turns = out
}

// mergeResults makes one result of those that answer one call: messages refuses a second
// one. Some clients tell what a tool says step by step.
func (c *conversation) mergeResults() {
	for i := range c.turns {
		t := &c.turns[i]
		if t.role != roleTool || len(t.parts) < 2 {
			continue
		}
		first := make(map[string]int, len(t.parts))
		kept := t.parts[:0]
		for _, p := range t.parts {
			at, again := first[string(p.id)]
			if !again {
				first[string(p.id)] = len(kept)
				kept = append(kept, p)
				continue
			}
			to := &kept[at]
			to.parts = append(to.parts, p.parts...)
			to.fail = to.fail || p.fail
			if p.cache != nil {
				to.cache = p.cache
			}
		}
		t.parts = kept
	}
}

// scattered reports whether a result does not stand right behind the turn of its call.
func (c *conversation) scattered() bool {
	var made map[string]int
	for i := range c.turns {
		for j := range c.turns[i].parts {
			switch p := &c.turns[i].parts[j]; p.kind {
			case kindCall:
				if made == nil {
					made = map[string]int{}
				}
				made[string(p.id)] = i
			case kindResult:
				if at, ok := made[string(p.id)]; ok && at != i-1 {
					return true
				}
			}
		}
	}
	return false
}

// The longest ids of calls that OpenAI takes, in bytes. Other APIs make longer ones.
const (
	maxChatID      = 40
	maxResponsesID = 64
)

// shortIDs cuts the ids of calls that are longer than limit. A cut id ends in eight
// hexadecimal digits of its SHA-256, so that ids stay apart and the same id always
// becomes the same one.
func shortIDs(turns []turn, limit int) {
	for i := range turns {
		for j := range turns[i].parts {
			p := &turns[i].parts[j]
			if p.kind != kindCall && p.kind != kindResult || len(inner(p.id)) <= limit {
				continue
			}
			sum := sha256.Sum256(p.id)
			mark := "_" + hex.EncodeToString(sum[:4])
			in := inner(messagesID(p.id))
			p.id = quote(string(in[:limit-len(mark)]) + mark)
		}
	}
}
