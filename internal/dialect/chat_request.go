package dialect

import "strconv"

// chatRequest reads a request of chat/completions:
//
//	{"model": …, "messages": [{"role": "user", "content": …}], "tools": […]}
//
// Fields without a counterpart never come to the switch: settle has named them.
// Of repeated members the last one counts.
func (d *reader) chatRequest() {
	c := d.conversation
	if !d.enter('{') {
		d.wrong = true
		return
	}
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
				d.chatMessage()
			}
		// The newer name goes before the older one, in either order.
		case "max_tokens":
			if v := d.numeral(); c.maxTokens == nil {
				c.maxTokens = v
			}
		case "max_completion_tokens":
			if v := d.numeral(); v != nil {
				c.maxTokens = v
			}
		case "temperature":
			c.temperature = d.numeral()
		case "top_p":
			c.topP = d.numeral()
		case "stop":
			if d.peek() == '[' {
				c.stop = d.strings()
			} else if v := d.str(); v != nil {
				c.stop = []raw{v}
			}
		case "stream":
			c.stream = d.boolean()
		case "stream_options":
			if !d.object() {
				continue
			}
			for name := range d.members() {
				if string(name) == "include_usage" {
					c.includeUsage = d.boolean()
				} else {
					d.value()
				}
			}
		case "tools":
			c.tools = c.tools[:0]
			if d.array() {
				for d.elem() {
					d.openAITool()
				}
			}
		case "functions":
			// Older than tools. The client looks for its call where it was then.
			if d.array() {
				c.tools = c.tools[:0]
				for d.elem() {
					c.functions = true
					d.openAITool()
				}
			}
		case "function_call":
			if d.peek() == '{' {
				c.choice.kind = choiceTool
			}
			d.openAIChoice()
		case "tool_choice":
			d.openAIChoice()
		case "parallel_tool_calls":
			c.parallel = d.value()
		case "response_format":
			d.openAIFormat()
		case "reasoning_effort":
			c.thinking.effort = d.str()
			c.thinking.off = is(c.thinking.effort, "none")
		case "verbosity":
			c.verbosity = d.value()
		case "metadata":
			c.metadata = d.value()
		case "user":
			c.user = d.value()
		case "safety_identifier":
			c.safetyID = d.value()
		case "prompt_cache_key":
			c.cacheKey = d.value()
		case "service_tier":
			c.tier = d.value()
		default:
			d.value()
		}
	}
}

// strings reads a list of strings.
//
// Elements of other types are skipped.
func (d *reader) strings() []raw {
	var list []raw
	if d.array() {
		for d.elem() {
			if v := d.str(); v != nil {
				list = append(list, v)
			}
		}
	}
	return list
}

// chatMessage reads an element of messages and adds a turn:
//
//	{"role": "assistant", "content": "…", "tool_calls": […], "reasoning_content": "…"}
//	{"role": "tool", "tool_call_id": "…", "content": "…"}
//
// Messages of tools in a row are one turn, as they answer one turn. The parts of
// an assistant's turn stand in the order of messages: reasoning, text,
// calls. Reasoning with its proof stands in for the bare text of the same.
//
// The role may come after the content, so the parts are collected first and
// judged at the end.
func (d *reader) chatMessage() {
	if !d.enter('{') {
		d.wrong = true
		d.value()
		return
	}
	var t turn
	var who string
	var callID, named, cache raw
	var reasoning part
	var details, content, calls, older []part
	for name := range d.members() {
		switch string(name) {
		case "role":
			who = d.text()
		case "content":
			d.checkContent()
			content = d.chatContent()
		case "refusal":
			if v := d.str(); !blank(v) {
				content = append(content, part{kind: kindRefusal, text: v})
			}
		case "reasoning_content", "reasoning":
			if v := d.str(); !blank(v) && reasoning.text == nil {
				reasoning = part{kind: kindReasoning, text: v, seal: seal{origin: originChat, data: name}}
			}
		case "reasoning_details":
			details = d.reasoningDetails(details)
		case "tool_calls":
			if d.array() {
				for d.elem() {
					calls = append(calls, d.chatCall())
				}
			}
		case "tool_call_id":
			callID = d.str()
		case "name":
			named = d.str()
		case "cache_control":
			cache = d.cacheMark(name)
		// A rarer field of an assistant's message has no place in the other formats.
		case "audio":
			if v := d.value(); v != nil {
				d.report.Lose(string(name))
			}
		case "function_call":
			// Older than tool_calls, and without an id.
			if d.object() {
				var p callPiece
				p.function(&d.cursor)
				older = append(older, part{kind: kindCall, id: quote("call_" + strconv.Itoa(len(d.conversation.turns))), name: p.name, args: p.args})
			}
		default:
			if v := d.value(); v != nil {
				d.report.hint(string(name))
			}
		}
	}
	if len(calls) == 0 {
		calls = older
	}
	// The name beside a result repeats its tool, and the id says the same.
	if named != nil && who != "tool" && who != "function" {
		d.report.Lose("messages.name")
	}
	switch who {
	case "system":
		t.role = roleSystem
	case "developer":
		t.role = roleDeveloper
	case "user":
		t.role = roleUser
	case "assistant":
		t.role = roleAssistant
	// "function" is the role of results before tools.
	case "tool", "function":
		c := d.conversation
		if callID == nil {
			callID = c.lastCall()
		}
		markLast(content, cache)
		result := part{kind: kindResult, id: callID, parts: content, cache: takeMarks(content)}
		if n := len(c.turns); n > 0 && c.turns[n-1].role == roleTool {
			c.turns[n-1].parts = append(c.turns[n-1].parts, result)
			return
		}
		t.role, t.parts = roleTool, []part{result}
		c.turns = append(c.turns, t)
		return
	default:
		d.wrong = true
		return
	}
	if len(details) == 0 && reasoning.text != nil {
		details = []part{reasoning}
	}
	if len(details) == 0 && len(calls) == 0 {
		t.parts = content
	} else {
		t.parts = between(details, content, calls)
	}
	markLast(t.parts, cache)
	if t.role == roleUser {
		d.userTurns(t.parts)
		return
	}
	d.conversation.turns = append(d.conversation.turns, t)
}

// lastCall is the id of the call at the end of the last turn; nil without one.
func (c *conversation) lastCall() raw {
	if n := len(c.turns); n > 0 {
		if m := len(c.turns[n-1].parts); m > 0 && c.turns[n-1].parts[m-1].kind == kindCall {
			return c.turns[n-1].parts[m-1].id
		}
	}
	return nil
}

// checkContent finds content of another form than text, a list or null.
//
// It does not move. A number or an object for content is refused as a request,
// for the client must have meant something by it.
func (d *reader) checkContent() {
	switch d.peek() {
	case '"', '[', 'n':
	default:
		d.wrong = true
	}
}

// chatContent reads the content of a message: a string, or a list of parts.
//
//	{"type": "text", "text": "…"}
//	{"type": "image_url", "image_url": {"url": "data:image/png;base64,…", "detail": "auto"}}
//	{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:…"}}
//
// Unknown parts are lost under the name of their type.
func (d *reader) chatContent() []part {
	if d.peek() != '[' {
		if v := d.str(); v != nil {
			return []part{{kind: kindText, text: v}}
		}
		return nil
	}
	var parts []part
	d.enter('[')
	for d.elem() {
		at := d.cursor
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
				// Some clients write the URL itself in the place of the object.
				if d.peek() == '"' {
					p.media = mediaOf(d.str())
				} else if d.object() {
					for name := range d.members() {
						switch string(name) {
						case "url":
							detail := p.media.detail
							p.media = mediaOf(d.str())
							p.media.detail = detail
						case "detail":
							p.media.detail = d.str()
						default:
							d.value()
						}
					}
				}
			case "file":
				p.media = d.fileObject()
			case "input_audio":
				p.media = d.audioObject()
			case "prompt_cache_breakpoint", "cache_control":
				p.cache = d.cacheMark(name)
			default:
				d.value()
			}
		}
		switch what {
		case "text", "input_text", "output_text":
			p.kind = kindText
		case "refusal":
			p.kind = kindRefusal
		case "image_url":
			p.kind = kindImage
		case "file":
			p.kind = kindFile
		case "input_audio":
			p.kind = kindAudio
		case "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking":
			// Cursor writes the turns of a Claude model as messages has them.
			block := *d
			block.cursor = at
			parts = block.messagesBlock(parts)
			continue
		default:
			d.report.Lose("content." + what)
			continue
		}
		parts = append(parts, p)
	}
	return parts
}

// fileObject reads file_data, file_url, file_id and filename.
//
// A file_id leaves the media empty: it names a file at another provider.
func (d *reader) fileObject() media {
	var m media
	if !d.object() {
		return m
	}
	for name := range d.members() {
		d.fileField(name, &m)
	}
	return m
}

// audioObject reads sound, which chat and responses write alike:
//
//	{"type": "input_audio", "input_audio": {"data": "…", "format": "wav"}}
//
// The format is a short name such as wav or mp3, and kept as it is.
func (d *reader) audioObject() media {
	var m media
	if !d.object() {
		return m
	}
	for name := range d.members() {
		switch string(name) {
		case "data":
			m.data = inner(d.str())
		case "format":
			m.mime = inner(d.str())
		default:
			d.value()
		}
	}
	return m
}

// fileField reads one member of a file.
//
// The name survives file_data, whichever comes first.
func (d *reader) fileField(name []byte, m *media) {
	switch string(name) {
	case "file_data":
		file := m.name
		*m = mediaOf(d.str())
		m.name = file
	case "file_url":
		m.url = d.str()
	case "filename":
		m.name = d.str()
	default:
		d.value()
	}
}

// chatCall reads an element of tool_calls:
//
//	{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{…}"}}
//	{"id": "call_1", "type": "custom", "custom": {"name": "f", "input": "…"}}
//
// The arguments are not checked here. An encoder that needs an object asks
// [part.argsObject].
// Nil arguments are absent ones.
func (d *reader) chatCall() part {
	p := part{kind: kindCall}
	if !d.object() {
		return p
	}
	for name := range d.members() {
		switch string(name) {
		case "id":
			p.id = d.str()
		case "extra_content":
			p.extra = d.value()
		case "function", "custom":
			p.free = string(name) == "custom"
			if !d.object() {
				continue
			}
			for name := range d.members() {
				switch string(name) {
				case "name":
					p.name = d.str()
				case "arguments", "input":
					p.args = d.value()
				default:
					d.value()
				}
			}
		default:
			d.value()
		}
	}
	return p
}
