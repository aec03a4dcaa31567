package dialect

import (
	"bytes"
	"slices"
)

// messagesRequest writes a request of messages:
//
//	{"model": …, "system": …, "max_tokens": 1024, "thinking": {…}, "messages": […], "tools": […]}
//
// Thinking is settled first: it decides on the limit, and on the sampling.
func (w *requestWriter) messagesRequest(c *conversation) {
	w.open('{')
	w.field("model", c.model)
	offered := c.offered()
	c.settleMarks(offered)
	w.messagesSystem(c.turns)
	tools, ch := offered, w.choiceOf(c, offered)
	forced := len(tools) > 0 && (ch.kind == choiceAny || ch.kind == choiceTool)
	// Such a model refuses a forced call. A choice of its own is nearer to the
	// client's wish.
	if model := text(c.model); forced && alwaysThinks(model) && claudeVersion(model) >= claudeUnforced {
		w.report.Lose("tool_choice")
		ch, forced = choice{kind: choiceAuto}, false
	}
	on := w.messagesThinking(c, forced)
	w.key("messages")
	c.uniqueCalls()
	c.mergeResults()
	w.messagesTurns(c.turns, claudeVersion(text(c.model)) >= claudeNoPrefill)
	if len(tools) == 0 {
		if tools = c.called(); len(tools) > 0 {
			ch = choice{kind: choiceNone}
		}
	}
	if len(tools) > 0 {
		w.array("tools")
		for i := range tools {
			w.open('{')
			w.function(&tools[i], "input_schema")
			w.field("cache_control", tools[i].cache)
			w.close("}")
		}
		w.close("]")
		w.messagesChoice(ch, string(c.parallel) == "false")
	}
	if len(offered) == 0 && (c.choice.kind == choiceAny || c.choice.kind == choiceTool) {
		w.report.Lose("tool_choice")
	}
	if c.verbosity != nil {
		w.report.Lose("verbosity")
	}
	w.messagesSampling(c, on)
	w.messagesStops(c.stop)
	if c.stream {
		w.constant("stream", "true")
	}
	w.close("}")
}

// messagesChoice writes tool_choice. One call at a time is a member of it, so
// it may have to say auto.
// Single is parallel_tool_calls: false of the other formats.
func (w *requestWriter) messagesChoice(ch choice, single bool) {
	if ch.kind == choiceUnset {
		if !single {
			return
		}
		ch.kind = choiceAuto
	}
	w.object("tool_choice")
	switch ch.kind {
	case choiceAny:
		w.word("type", "any")
	case choiceNone:
		w.word("type", "none")
		// none has no such member.
		single = false
	case choiceTool:
		w.word("type", "tool")
		w.field("name", ch.name)
	default:
		w.word("type", "auto")
	}
	if single {
		w.constant("disable_parallel_tool_use", "true")
	}
	w.close("}")
}

// messagesSystem writes the system turns, wherever they stand.
//
// The format has one place for them. A system turn between others moves to the
// front, and its position counts as lost. Blank texts are left out: they are
// refused.
func (w *requestWriter) messagesSystem(turns []turn) {
	var kept []part
	lead := true
	for i := range turns {
		if !isSystem(turns[i].role) {
			lead = false
			continue
		}
		if !lead {
			w.report.Lose("system.position")
		}
		for _, p := range turns[i].parts {
			switch {
			case p.kind != kindText && p.kind != kindRefusal:
				w.report.Lose("system.content")
			case !white(p.text):
				kept = append(kept, p)
			}
		}
	}
	switch {
	case len(kept) == 0:
	case len(kept) == 1 && kept[0].cache == nil:
		w.field("system", kept[0].text)
	default:
		w.array("system")
		for i := range kept {
			w.textPart(&kept[i])
		}
		w.close("]")
	}
}

// textPart writes a text block with its mark.
func (w *writer) textPart(p *part) {
	w.typed("text")
	w.field("text", p.text)
	w.field("cache_control", p.cache)
	w.close("}")
}

// textBlock writes {"type": "text", "text": "…"}.
func (w *writer) textBlock(t raw) {
	w.typed("text")
	w.field("text", t)
	w.close("}")
}

// beginTurn stands where a conversation has no first turn of the user. The format wants
// one, and other formats do not. Words that the client did not write may change the
// answer, so the turn counts as lost.
const beginTurn = `{"role":"user","content":"Begin."}`

// continueTurn stands behind a last turn of the assistant. Other formats answer such a
// conversation, and late Claude models refuse it. It counts as lost too.
const continueTurn = `{"role":"user","content":"Continue."}`

// wordless reports whether the texts among the parts are nothing but white space. The
// format refuses such a text, unless a turn has another one.
func wordless(parts []part) bool {
	return !slices.ContainsFunc(parts, func(p part) bool {
		return (p.kind == kindText || p.kind == kindRefusal) && !white(p.text)
	})
}

// messagesTurns writes the turns. The system's stand elsewhere. ends is set if the last
// one must be the user's.
//
// Results and the user's next words become one turn of the user's. A turn of which
// nothing can be said is left out. An earlier Claude would go on with the words of the
// assistant if that was the user's last turn, so one stands in for it.
func (w *requestWriter) messagesTurns(turns []turn, ends bool) {
	w.open('[')
	start := len(w.b)
	first, last := roleSystem, roleSystem // of the turns in the request
	silent := false                       // the last turn of the user said nothing
	for i := 0; i < len(turns); i++ {
		t := &turns[i]
		who, before := t.role, len(w.b)
		switch t.role {
		case roleSystem, roleDeveloper:
			continue
		case roleAssistant:
			w.messagesAssistant(t.parts)
		case roleUser:
			comma := w.comma
			w.open('{')
			w.word("role", "user")
			w.key("content")
			if w.messagesUser(t.parts) {
				w.close("}")
			} else {
				w.b, w.comma = w.b[:before], comma
			}
		case roleTool:
			who = roleUser
			w.open('{')
			w.word("role", "user")
			w.array("content")
			for j := range t.parts {
				w.messagesResult(&t.parts[j])
			}
			// The user's next word stands in the same turn.
			if i+1 < len(turns) && turns[i+1].role == roleUser {
				i++
				w.messagesBlocks(turns[i].parts)
			}
			w.close("]}")
		}
		silent = who == roleUser && len(w.b) == before
		if len(w.b) == before {
			continue
		}
		if last = who; first == roleSystem {
			first = who
		}
	}
	if first != roleUser && len(turns) > 0 {
		w.report.Lose("first_turn")
		lead := beginTurn
		if first == roleAssistant {
			lead += ","
		}
		w.b, w.comma = slices.Insert(w.b, start, []byte(lead)...), true
	}
	if last == roleAssistant && (ends || silent) {
		w.lit(continueTurn)
		w.report.Lose("last_turn")
	}
	w.close("]")
}

// messagesUser writes content: a string for one text, else blocks. It reports whether
// there is any.
func (w *requestWriter) messagesUser(parts []part) (said bool) {
	if len(parts) == 1 && parts[0].kind == kindText && parts[0].cache == nil && !white(parts[0].text) {
		w.put(parts[0].text)
		return true
	}
	w.open('[')
	w.messagesBlocks(parts)
	said = w.comma
	w.close("]")
	return said
}

// messagesBlocks writes the blocks of a user's turn or of a result. Empty text is
// left out, as is white space without other text: it is refused.
//
// What has no place is named and left out, one part at a time. The rest of the
// turn still reaches the model.
func (w *requestWriter) messagesBlocks(parts []part) {
	mute := wordless(parts)
	for i := range parts {
		p := &parts[i]
		switch p.kind {
		case kindText, kindRefusal:
			if !mute && !blank(p.text) {
				w.textPart(p)
			}
		case kindImage:
			if p.media.missing() || p.media.isData() {
				w.report.Lose("images.file_id")
				continue
			}
			// The format has no resolution of an image to ask for.
			if d := p.media.detail; d != nil && !is(d, "auto") {
				w.report.Lose("images.detail")
			}
			w.typed("image")
			w.source(&p.media, "image/png")
			w.field("cache_control", p.cache)
			w.close("}")
		case kindFile:
			if p.media.missing() || p.media.isData() {
				w.report.Lose("documents.file_id")
				continue
			}
			body, ok := p.media.plain()
			// The format knows PDF and plain text. Another type would be refused with
			// the whole request.
			if !ok && len(p.media.mime) > 0 && string(p.media.mime) != "application/pdf" {
				w.report.Lose("documents.type")
				continue
			}
			w.typed("document")
			if ok {
				w.object("source")
				w.word("type", "text")
				w.word("media_type", "text/plain")
				w.field("data", body)
				w.close("}")
			} else {
				w.source(&p.media, "application/pdf")
			}
			w.field("title", p.media.name)
			w.field("cache_control", p.cache)
			w.close("}")
		case kindAudio:
			w.report.Lose("content.input_audio")
		default:
			w.report.Lose("user.content")
		}
	}
}

// source writes the source of an image or a document.
//
// mime is the media type of media without one.
func (w *requestWriter) source(m *media, mime string) {
	w.object("source")
	if m.url != nil {
		w.word("type", "url")
		w.field("url", m.url)
	} else {
		w.word("type", "base64")
		w.key("media_type")
		switch {
		case bytes.EqualFold(m.mime, []byte("image/jpg")):
			w.str("image/jpeg") // the other name is common, and refused
		case len(m.mime) > 0:
			w.inside(m.mime)
		default:
			w.str(mime)
		}
		w.key("data")
		w.inside(m.data)
	}
	w.close("}")
}

// messagesResult writes the result of a call. The format takes images there.
//
// A result of which nothing can be said has no content, and the format takes that.
func (w *requestWriter) messagesResult(p *part) {
	w.typed("tool_result")
	w.key("tool_use_id")
	w.put(p.id)
	start := len(w.b)
	w.key("content")
	if !w.messagesUser(p.parts) {
		w.b, w.comma = w.b[:start], true
	}
	if p.fail {
		w.constant("is_error", "true")
	}
	w.field("cache_control", p.cache)
	w.close("}")
}

// messagesAssistant writes a turn of the assistant, its reasoning only with a
// seal of this format.
//
// A turn of which nothing can be said is taken back.
func (w *requestWriter) messagesAssistant(parts []part) {
	// The front of the turn is taken back if nothing of it can be said.
	start, comma := len(w.b), w.comma
	w.open('{')
	w.word("role", "assistant")
	w.key("content")
	if len(parts) == 1 && parts[0].kind == kindText && parts[0].cache == nil && !white(parts[0].text) {
		w.put(parts[0].text)
		w.close("}")
		return
	}
	mute := wordless(parts)
	w.open('[')
	for i := range parts {
		p := &parts[i]
		switch p.kind {
		case kindText, kindRefusal:
			if !mute && !blank(p.text) {
				w.textPart(p)
			}
		case kindCall:
			w.typed("tool_use")
			w.key("id")
			w.put(p.id)
			w.field("name", orEmpty(p.name))
			w.key("input")
			w.put(p.argsObject(w.report))
			w.field("cache_control", p.cache)
			w.close("}")
		case kindReasoning:
			if !p.seal.native() {
				w.report.Lose("reasoning")
				continue
			}
			w.thinkingBlock(p)
		default:
			w.report.Lose("assistant.content")
		}
	}
	if !w.comma {
		// Nothing is left of the turn, and an empty one is refused.
		w.b, w.comma = w.b[:start], comma
		return
	}
	w.close("]}")
}

// thinkingBlock writes reasoning with a seal of messages.
// A redacted block has no text, only data. Both must go back byte for byte, or
// the provider refuses the signature.
func (w *writer) thinkingBlock(p *part) {
	w.open('{')
	if p.seal.origin == originRedacted {
		w.word("type", "redacted_thinking")
		w.key("data")
		w.inside(p.seal.data)
	} else {
		w.word("type", "thinking")
		w.field("thinking", orEmpty(p.text))
		w.key("signature")
		w.inside(p.seal.data)
	}
	w.close("}")
}

// argsObject is the arguments of a call as an object. Text in another form is lost,
// and the object is empty then. report may be nil.
// A custom tool's input is bare text. It is wrapped into an object, for its
// stand-in has one member.
func (p *part) argsObject(report *Report) raw {
	switch {
	case p.free:
		return wrapInput(p.args)
	case p.args == nil:
		return raw("{}")
	case p.args[0] == '{':
		return p.args
	}
	if o := objectIn(p.args); o != nil {
		return o
	}
	if report != nil {
		report.Lose("tool_calls.arguments")
	}
	return raw("{}")
}
