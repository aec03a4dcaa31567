package dialect

import "slices"

// responsesRequest reads a request of responses:
//
//	{"model": …, "instructions": "…", "input": [{"role": "user", "content": …}], "tools": […]}
//
// The answer repeats many settings, so their text is kept beside their meaning.
func (d *reader) responsesRequest() {
	c := d.conversation
	if !d.enter('{') {
		d.wrong = true
		return
	}
	var instructions raw
	d.added = nil
	for name := range d.members() {
		d.echoes(name)
		if d.settle(name) {
			continue
		}
		switch string(name) {
		case "model":
			c.model = d.value()
		case "input":
			c.turns, d.added = c.turns[:0], nil
			if d.peek() == '"' {
				c.turns = append(c.turns, turn{role: roleUser, parts: []part{{kind: kindText, text: d.str()}}})
				continue
			}
			if d.array() {
				for d.elem() {
					d.responsesItem()
				}
			}
		case "instructions":
			instructions = d.str()
			c.echo.instructions = instructions
		case "max_output_tokens":
			c.maxTokens = d.numeral()
			c.echo.maxOutput = c.maxTokens
		case "temperature":
			c.temperature = d.numeral()
			c.echo.temperature = c.temperature
		case "top_p":
			c.topP = d.numeral()
			c.echo.topP = c.topP
		case "stream":
			c.stream = d.boolean()
		case "tools":
			c.tools, c.flat = c.tools[:0], nil
			start := d.mark()
			if d.array() {
				for d.elem() {
					d.openAITool()
				}
			}
			c.echo.tools = d.since(start)
		case "tool_choice":
			start := d.mark()
			d.openAIChoice()
			c.echo.choice = d.since(start)
		case "prompt_cache_key":
			c.cacheKey = d.value()
		case "parallel_tool_calls":
			c.parallel = d.value()
			c.echo.parallel = c.parallel
		case "text":
			start := d.mark()
			d.responsesText()
			c.echo.text = d.since(start)
		case "reasoning":
			start := d.mark()
			d.responsesReasoning()
			c.echo.reasoning = d.since(start)
		default:
			d.value()
		}
	}
	d.addTools()
	// Instructions may stand behind the input, and are its first turn all the
	// same.
	if !blank(instructions) {
		c.turns = append([]turn{{role: roleSystem, parts: []part{{kind: kindText, text: instructions}}}}, c.turns...)
	}
}

// mark is the start of the next value.
// The cursor passes white space first, so that the text begins with the value.
func (d *reader) mark() int {
	d.peek()
	return d.i
}

// since is the text of the value behind a mark; nil for null.
//
// It serves values that are read member by member and echoed as a whole.
func (d *reader) since(start int) raw {
	if d.bad || d.b[start] == 'n' {
		return nil
	}
	return d.b[start:d.i]
}

// echoes keeps a field for the answer to repeat, and does not move.
//
// An answer of responses repeats instructions, tools, metadata and other settings
// of its request. The upstream does not, so they are kept from the request.
//
// It looks at the value through a copy of the cursor. The caller reads it again.
func (d *reader) echoes(name []byte) {
	e := &d.conversation.echo
	var to *raw
	switch string(name) {
	case "metadata":
		to = &e.metadata
	case "user":
		to = &e.user
	case "truncation":
		to = &e.truncation
	case "max_tool_calls":
		to = &e.maxCalls
	default:
		return
	}
	peeked := d.cursor
	*to = peeked.value()
}

// responsesText reads the form of the output:
//
//	{"format": {"type": "json_schema", …}, "verbosity": "low"}
func (d *reader) responsesText() {
	if !d.object() {
		return
	}
	for name := range d.members() {
		switch string(name) {
		case "format":
			d.openAIFormat()
		case "verbosity":
			d.conversation.verbosity = d.value()
		default:
			d.value()
		}
	}
}

// responsesReasoning reads how much the model shall reason:
//
//	{"effort": "high", "summary": "auto"}
//
// A summary is text for people. Its loss is a hint, for the answer stays the
// same.
func (d *reader) responsesReasoning() {
	if !d.object() {
		return
	}
	th := &d.conversation.thinking
	for name := range d.members() {
		switch string(name) {
		case "effort":
			th.effort = d.str()
			th.off = is(th.effort, "none")
		default:
			if d.value() != nil {
				d.report.hint("reasoning." + string(name))
			}
		}
	}
}

// responsesItem reads an element of input, or of an answer's output.
//
//	{"role": "user", "content": …}
//	{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "…"}]}
//	{"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{…}"}
//	{"type": "function_call_output", "call_id": "call_1", "output": …}
//	{"type": "reasoning", "id": "rs_1", "summary": […], "encrypted_content": "…"}
//	{"type": "additional_tools", "role": "developer", "tools": […]}
//	{"type": "agent_message", "author": "/root", "recipient": "/root/a", "content": […]}
//
// Items of the assistant in a row are one turn, as are results in a row. Other
// items are lost under the name of their type.
//
// Another agent's message becomes words of the user: no other format has a third
// side. Codex sends an agent its task so.
func (d *reader) responsesItem() {
	if !d.object() {
		d.wrong = true
		return
	}
	var what, who string
	var id, callID, sealed, tools raw
	var content []part
	p := part{}
	for name := range d.members() {
		switch string(name) {
		case "type":
			what = d.text()
		case "role":
			who = d.text()
		case "id":
			id = d.str()
		case "call_id":
			callID = d.str()
		case "name":
			p.name = d.str()
		case "namespace":
			p.space = d.str()
		case "arguments", "input":
			p.args = d.value()
		case "content":
			// The text of a reasoning item is its own, and longer than its summary.
			content = append(content, d.responsesContent()...)
		case "output":
			p.parts = d.responsesContent()
		case "summary":
			content = append(content, d.responsesContent()...)
		case "encrypted_content":
			sealed = d.str()
		case "tools":
			tools = d.value()
		default:
			d.value()
		}
	}
	if d.answer && who == "" {
		who = "assistant" // some servers leave it out
	}
	switch what {
	case "", "message":
		t := turn{parts: content}
		switch who {
		case "user":
			t.role = roleUser
		case "assistant":
			d.assistant(content...)
			return
		case "system":
			t.role = roleSystem
		case "developer":
			t.role = roleDeveloper
		default:
			// {"id": "msg_1"} without a role is the short form of an item_reference.
			if what == "" && id != nil {
				d.report.refuse(itemReference)
				return
			}
			d.wrong = true
			return
		}
		d.conversation.turns = append(d.conversation.turns, t)
	case "function_call", "custom_tool_call":
		p.kind, p.id, p.free = kindCall, callID, what == "custom_tool_call"
		p.name = flat(p.space, p.name)
		d.assistant(p)
	case "function_call_output", "custom_tool_call_output":
		p.kind, p.id, p.free = kindResult, callID, what == "custom_tool_call_output"
		p.cache = takeMarks(p.parts)
		c := d.conversation
		if n := len(c.turns); n > 0 && c.turns[n-1].role == roleTool {
			c.turns[n-1].parts = append(c.turns[n-1].parts, p)
			return
		}
		c.turns = append(c.turns, turn{role: roleTool, parts: []part{p}})
	case "reasoning":
		d.assistant(reasoningItem(id, sealed, content))
	case "item_reference":
		d.report.refuse(itemReference)
	case "agent_message":
		d.report.Lose("input.agent_message.author")
		if len(content) > 0 {
			d.conversation.turns = append(d.conversation.turns, turn{role: roleUser, parts: content})
		}
	case "additional_tools":
		d.added = append(d.added, tools)
	case "tool_search_output":
		d.added = append(d.added, tools)
		d.report.Lose("input." + what)
	default:
		if reason := compactions[what]; reason != "" && !d.answer {
			d.report.refuse(reason)
			return
		}
		d.report.Lose("input." + what)
	}
}

// itemReference is the reason to refuse a reference. The item is stored at the
// provider that made it, and a translated answer is stored nowhere.
const itemReference = "item_reference names an item that the provider does not have"

// compactions are the reasons to refuse a request with an item of a compaction.
//
// A compaction stands for the whole conversation before it, and only its provider can
// read it. An ordinary answer to a trigger has no compaction: Codex would give the turn
// up after it was paid for.
var compactions = map[string]string{
	"compaction_trigger": "compaction_trigger asks for a compaction, which the provider's API does not have",
	"compaction":         compacted,
	"compaction_summary": compacted,
	"context_compaction": compacted,
}

const compacted = "compaction holds a history that the provider cannot read"

// addTools offers the tools that stand in items of the input, behind the request's own.
// A name that is offered already is the same tool: a search may find it again.
//
// The items are read in a second pass, as the request's own tools may stand behind the
// input.
func (d *reader) addTools() {
	c := d.conversation
	for _, list := range d.added {
		if len(list) == 0 || list[0] != '[' {
			continue
		}
		first := len(c.tools)
		inside := *d
		inside.cursor = cursor{b: list}
		inside.array()
		for inside.elem() {
			inside.openAITool()
		}
		more := c.tools[first:]
		c.tools = c.tools[:first]
		for _, t := range more {
			if !slices.ContainsFunc(c.tools, func(have tool) bool { return string(have.name) == string(t.name) }) {
				c.tools = append(c.tools, t)
			}
		}
	}
}

// assistant adds parts to the assistant's turn.
//
// Other formats have one message for a text, its reasoning and its calls. Responses
// has an item for each.
func (d *reader) assistant(parts ...part) {
	c := d.conversation
	if n := len(c.turns); n > 0 && c.turns[n-1].role == roleAssistant {
		c.turns[n-1].parts = append(c.turns[n-1].parts, parts...)
		return
	}
	c.turns = append(c.turns, turn{role: roleAssistant, parts: parts})
}

// reasoningItem makes one part of a reasoning item. Its texts are parted by a
// blank line.
//
// An item without encrypted content keeps its id only. An encoder then has no
// proof to send.
func reasoningItem(id, sealed raw, texts []part) part {
	p := part{kind: kindReasoning, seal: unwrap(sealed, originResponses, inner(id))}
	if p.seal.origin == originNone && id != nil {
		p.seal = seal{origin: originResponses, id: inner(id)}
	}
	switch len(texts) {
	case 0:
	case 1:
		p.text = texts[0].text
	default:
		var w writer
		list := make([]raw, len(texts))
		for i := range texts {
			list[i] = texts[i].text
		}
		w.joined(`\n\n`, list...)
		p.text = w.b
	}
	return p
}

// responsesContent reads a string, or a list of parts.
//
//	{"type": "input_text", "text": "…"}
//	{"type": "input_image", "image_url": "data:…", "detail": "auto"}
//	{"type": "input_file", "filename": "a.pdf", "file_data": "data:…"}
//	{"type": "refusal", "refusal": "…"}
//
// Unknown parts are lost under the name of their type. input_image may be a
// file_id: its media is missing then.
func (d *reader) responsesContent() []part {
	if d.peek() != '[' {
		if v := d.str(); v != nil {
			return []part{{kind: kindText, text: v}}
		}
		return nil
	}
	var parts []part
	d.enter('[')
	for d.elem() {
		if !d.object() {
			continue
		}
		var p part
		var what string
		for name := range d.members() {
			switch string(name) {
			case "type":
				what = d.text()
			case "text", "refusal":
				p.text = d.str()
			case "image_url":
				detail := p.media.detail
				p.media = mediaOf(d.str())
				p.media.detail = detail
			case "detail":
				p.media.detail = d.str()
			case "file_data", "file_url", "filename":
				d.fileField(name, &p.media)
			case "input_audio":
				p.media = d.audioObject()
			case "annotations":
				if d.answer {
					p.cites = d.citations()
				} else {
					d.value()
				}
			case "prompt_cache_breakpoint", "cache_control":
				p.cache = d.cacheMark(name)
			default:
				d.value()
			}
		}
		switch what {
		case "input_text", "output_text", "text", "summary_text", "reasoning_text":
			p.kind = kindText
		case "refusal":
			p.kind = kindRefusal
		case "input_image":
			p.kind = kindImage
		case "input_file":
			p.kind = kindFile
		case "input_audio":
			p.kind = kindAudio
		default:
			d.report.Lose("content." + what)
			continue
		}
		parts = append(parts, p)
	}
	return parts
}
