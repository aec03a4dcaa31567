package dialect

import "bytes"

// messagesRequest reads a request of messages:
//
//	{"model": …, "max_tokens": 1024, "system": …, "messages": [{"role": "user", "content": …}]}
//
// System text is the first turn, wherever the member stands.
func (d *reader) messagesRequest() {
	c := d.conversation
	if !d.enter('{') {
		d.wrong = true
		return
	}
	var system []part
	for name := range d.members() {
		if d.settle(name) {
			continue
		}
		switch string(name) {
		case "model":
			c.model = d.value()
		case "messages":
			c.turns = c.turns[:0]
			if !d.enter('[') {
				d.wrong = true
				return
			}
			for d.elem() {
				d.messagesMessage()
			}
		case "system":
			system = d.withoutBilling(d.messagesContent())
		case "max_tokens":
			c.maxTokens = d.numeral()
		case "temperature":
			c.temperature = d.numeral()
		case "top_p":
			if c.topP = d.numeral(); float(c.topP) < 0 {
				c.topP = nil // the API's default, in the words of some clients
			}
		case "stop_sequences":
			c.stop = d.strings()
		case "stream":
			c.stream = d.boolean()
		case "tools":
			c.tools = c.tools[:0]
			if d.array() {
				for d.elem() {
					d.messagesTool()
				}
			}
		case "tool_choice":
			d.messagesChoice()
		case "thinking":
			d.messagesThinking()
		case "output_config":
			if !d.object() {
				continue
			}
			for name := range d.members() {
				switch string(name) {
				case "effort":
					c.thinking.effort = d.str()
				case "format":
					d.messagesFormat()
				default:
					if d.value() != nil {
						d.report.Lose("output_config." + string(name))
					}
				}
			}
		case "output_format":
			d.messagesFormat()
		default:
			d.value()
		}
	}
	if n := len(c.turns); n > 0 && c.turns[n-1].role == roleAssistant && len(c.turns[n-1].parts) > 0 {
		d.report.Lose("messages.prefill") // other APIs do not go on from there
	}
	// The member may stand behind the messages.
	if len(system) > 0 {
		c.turns = append([]turn{{role: roleSystem, parts: system}}, c.turns...)
	}
}

// billingHeader begins a line that Claude Code puts before its instructions. It tells
// Anthropic whom to bill, and is another one in each request.
const billingHeader = `"x-anthropic-billing-header:`

// withoutBilling leaves the billing line out of the instructions. Other providers cache a
// prompt by its front, and would never find it again.
func (d *reader) withoutBilling(system []part) []part {
	if len(system) == 0 || !bytes.HasPrefix(system[0].text, []byte(billingHeader)) {
		return system
	}
	d.report.hint("system.billing_header")
	_, rest, more := bytes.Cut(inner(system[0].text), []byte(`\n`))
	if !more {
		return system[1:]
	}
	var w writer
	w.inside(rest)
	system[0].text = w.b
	return system
}

// messagesFormat reads the form of the output. It is always strict.
// The schema of chat has a member for that, so it is set here, if OpenAI takes the
// schema as a strict one.
func (d *reader) messagesFormat() {
	d.openAIFormat()
	if o := &d.conversation.output; o.kind == outputSchema {
		o.strict = raw("true")
		if !strictSchema(o.schema) {
			o.strict = raw("false")
			d.report.Lose("schema.strict")
		}
	}
}

// messagesTool reads an element of tools:
//
//	{"name": "f", "description": "…", "input_schema": {…}}
//	{"type": "web_search_20250305", "name": "web_search"}
//
// Of the tools with a type of Anthropic's, those that the client runs become functions.
// Those that run at Anthropic are lost.
//
// Unknown members of a tool are lost under their names.
func (d *reader) messagesTool() {
	if !d.object() {
		return
	}
	var t tool
	// A tool without a type is a function of the client's.
	what := "custom"
	for name := range d.members() {
		switch string(name) {
		case "type":
			if w := d.text(); w != "" {
				what = w
			}
		case "name":
			t.name = d.str()
		case "description":
			t.description = d.str()
		case "input_schema":
			t.schema = d.value()
		case "strict":
			t.strict = d.value()
		case "cache_control", "eager_input_streaming":
			if d.value() != nil {
				d.report.hint(string(name))
			}
		case "max_characters":
			if d.value() != nil {
				d.report.hint(string(name)) // the client cuts what it shows
			}
		case "defer_loading":
			// The tool is offered at once, and not found by a search.
			if d.boolean() {
				d.report.hint("defer_loading")
			}
		default:
			if d.value() != nil {
				d.report.Lose("tools." + string(name))
			}
		}
	}
	if what != "custom" && !t.describe(what) {
		d.report.Lose("tools." + what)
		return
	}
	// The other formats want more of a strict tool's schema.
	if string(t.strict) == "true" && !strictSchema(t.schema) {
		t.strict = nil
		d.report.Lose("tools.strict")
	}
	d.conversation.tools = append(d.conversation.tools, t)
}

// messagesChoice reads tool_choice:
//
//	{"type": "tool", "name": "f", "disable_parallel_tool_use": true}
//
// An unknown type leaves the choice unset: the model decides.
func (d *reader) messagesChoice() {
	if !d.object() {
		return
	}
	c := d.conversation
	for name := range d.members() {
		switch string(name) {
		case "type":
			switch d.text() {
			case "auto":
				c.choice.kind = choiceAuto
			case "none":
				c.choice.kind = choiceNone
			case "any":
				c.choice.kind = choiceAny
			case "tool":
				c.choice.kind = choiceTool
			}
		case "name":
			c.choice.name = d.str()
		case "disable_parallel_tool_use":
			if d.boolean() {
				c.parallel = raw("false")
			}
		default:
			d.value()
		}
	}
}

// messagesThinking reads how much the model shall think:
//
//	{"type": "enabled", "budget_tokens": 10000}
//	{"type": "adaptive"}
//	{"type": "disabled"}
//
// "enabled" needs no case: the budget says it.
// The budget is in tokens.
func (d *reader) messagesThinking() {
	if !d.object() {
		return
	}
	th := &d.conversation.thinking
	for name := range d.members() {
		switch string(name) {
		case "type":
			switch d.text() {
			case "disabled":
				th.off = true
			case "adaptive":
				th.adaptive = true
			}
		case "budget_tokens":
			th.budget = d.integer()
		default:
			if d.value() != nil {
				d.report.hint("thinking." + string(name))
			}
		}
	}
}

// messagesMessage reads an element of messages. Results of tools stand in the
// user's turn here, and become a turn of their own.
//
// A turn of role system stays at its place.
//
// The format has a single role for what people and tools say. The other formats
// keep them apart, results first: a call must have its result before anything
// else.
func (d *reader) messagesMessage() {
	if !d.object() {
		d.wrong = true
		return
	}
	var who string
	var parts []part
	for name := range d.members() {
		switch string(name) {
		case "role":
			who = d.text()
		case "content":
			d.checkContent()
			parts = d.messagesContent()
		default:
			if d.value() != nil {
				d.report.hint(string(name))
			}
		}
	}
	c := d.conversation
	switch who {
	case "assistant":
		c.turns = append(c.turns, turn{role: roleAssistant, parts: parts})
	case "system":
		c.turns = append(c.turns, turn{role: roleSystem, parts: parts})
	case "user":
		d.userTurns(parts)
	default:
		d.wrong = true
	}
}

// userTurns adds a turn of the user. The results in it answer the assistant, and become
// a turn of their own. The rest is the user's next word.
func (d *reader) userTurns(parts []part) {
	c := d.conversation
	results := 0
	for i := range parts {
		if parts[i].kind == kindResult {
			results++
		}
	}
	if results == 0 {
		c.turns = append(c.turns, turn{role: roleUser, parts: parts})
		return
	}
	tools := make([]part, 0, results)
	// The slice is used again. Each part is read before its place is written.
	rest := parts[:0]
	for _, p := range parts {
		if p.kind == kindResult {
			tools = append(tools, p)
		} else {
			rest = append(rest, p)
		}
	}
	c.turns = append(c.turns, turn{role: roleTool, parts: tools})
	if len(rest) > 0 {
		c.turns = append(c.turns, turn{role: roleUser, parts: rest})
	}
}

// maxBlocks bounds how deep blocks stand in blocks.
const maxBlocks = 4

// messagesContent reads a string, or a list of blocks.
//
// Nil is an absent content, and content of another type.
func (d *reader) messagesContent() []part {
	if d.peek() != '[' {
		if v := d.str(); v != nil {
			return []part{{kind: kindText, text: v}}
		}
		return nil
	}
	// A result may hold a document, and its source blocks. Any deeper, the
	// depth of the body must not become the depth of the stack.
	if d.depth == maxBlocks {
		d.value()
		d.report.Lose("content.nested")
		return nil
	}
	d.depth++
	var parts []part
	d.enter('[')
	for d.elem() {
		parts = d.messagesBlock(parts)
	}
	d.depth--
	return parts
}

// block is what the members of a content block say.
//
// Which members count depends on the type, and the type may come last. So all
// are read, and judged afterwards.
// Its part is the result; the other fields are on their way into it.
type block struct {
	part
	what            string
	signature, data raw
	title, context  raw
	sourceKind      string
	sourceText      raw
	origin          raw    // where a search result is from
	inside          []part // of a source that is content
}

// messagesBlock reads a content block and adds its parts.
//
//	{"type": "text", "text": "…"}
//	{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "…"}}
//	{"type": "document", "title": "a.pdf", "source": {"type": "url", "url": "…"}}
//	{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {…}}
//	{"type": "tool_result", "tool_use_id": "toolu_1", "content": …, "is_error": true}
//	{"type": "thinking", "thinking": "…", "signature": "…"}
//	{"type": "redacted_thinking", "data": "…"}
//	{"type": "search_result", "source": "https://…", "title": "…", "content": […]}
//	{"type": "tool_reference", "tool_name": "f"}
//	{"type": "compaction", "content": "…"}
//
// Other blocks are lost under the name of their type.
//
// A document of text becomes text, with its title as a text before it. A search
// result becomes its title, its source and its texts. A compaction becomes its summary of
// all that was said before.
func (d *reader) messagesBlock(parts []part) []part {
	if !d.object() {
		return parts
	}
	var b block
	for name := range d.members() {
		switch string(name) {
		case "type":
			b.what = d.text()
		case "text", "thinking":
			b.text = d.str()
		case "signature":
			b.signature = d.str()
		case "data":
			b.data = d.str()
		case "id", "tool_use_id":
			b.id = d.str()
		case "name", "tool_name":
			b.name = d.str()
		case "input":
			b.args = d.value()
		case "is_error":
			b.fail = d.boolean()
		case "content":
			b.parts = d.messagesContent()
		case "source":
			if d.peek() == '"' {
				b.origin = d.str()
			} else if d.object() {
				d.messagesSource(&b)
			}
		case "title":
			b.title = d.str()
		case "context":
			b.context = d.str()
		case "citations":
			if d.answer {
				b.cites = d.citations()
			} else if v := d.value(); v != nil && string(v) != "[]" {
				d.report.Lose("citations")
			}
		case "cache_control":
			b.cache = d.cacheMark(name)
		default:
			d.value()
		}
	}
	p := b.part
	switch b.what {
	case "text":
		p.kind = kindText
	case "thinking":
		p.kind = kindReasoning
		// A wrapped seal belongs to a provider of another format. Any other
		// signature is the format's own.
		p.seal = unwrap(b.signature, originMessages, nil)
	case "redacted_thinking":
		p.kind = kindReasoning
		p.seal = seal{origin: originRedacted, data: inner(b.data)}
	case "tool_use":
		p.kind = kindCall
	case "tool_result":
		p.kind = kindResult
	case "tool_reference":
		// A search among tools found it. It is offered already.
		p.kind, p.text = kindText, b.name
	case "image":
		p.kind = kindImage
	case "document":
		if b.context != nil {
			d.report.Lose("documents.context")
		}
		switch b.sourceKind {
		case "text":
			p.kind, p.text = kindText, b.sourceText
			if !blank(b.title) {
				parts = append(parts, part{kind: kindText, text: b.title})
			}
		case "content":
			if !blank(b.title) {
				parts = append(parts, part{kind: kindText, text: b.title})
			}
			return append(parts, b.inside...)
		default:
			p.kind = kindFile
			p.media.name = b.title
		}
	case "search_result":
		for _, line := range []raw{b.title, b.origin} {
			if !blank(line) {
				parts = append(parts, part{kind: kindText, text: line})
			}
		}
		return append(parts, b.parts...)
	case "compaction":
		// A blank line parts the summary from the answer: chat has one text for both.
		for _, said := range b.parts {
			var w writer
			w.joined(`\n\n`, orEmpty(said.text), raw(`""`))
			parts = append(parts, part{kind: kindText, text: w.b, own: true})
		}
		return parts
	default:
		d.report.Lose("content." + b.what)
		return parts
	}
	return append(parts, p)
}

// messagesSource reads the source of an image or a document. A source of type file
// leaves the media empty: its id means something to one provider.
//
// The type decides what "data" is, and may stand behind it: base64 of a file, or
// plain text.
func (d *reader) messagesSource(b *block) {
	var data raw
	for name := range d.members() {
		switch string(name) {
		case "type":
			b.sourceKind = d.text()
		case "media_type":
			b.media.mime = inner(d.str())
		case "data":
			data = d.str()
		case "url":
			b.media.url = d.str()
		case "content":
			b.inside = d.messagesContent()
		default:
			d.value()
		}
	}
	switch b.sourceKind {
	case "base64":
		b.media.data = inner(data)
	case "text":
		b.sourceText = data
	}
}
