package dialect

// minOutputTokens is the least limit of an answer in responses.
//
// OpenAI refuses a lower max_output_tokens. A client of chat that asks for one
// token gets up to 16.
const minOutputTokens = 16

// responsesRequest writes a request of responses:
//
//	{"model": …, "instructions": "…", "input": […], "tools": […], "store": false}
//
// The first system turn becomes the instructions, later ones keep their place.
func (w *requestWriter) responsesRequest(c *conversation) {
	w.open('{')
	w.field("model", c.model)
	turns := c.turns
	// A developer's turn stays in the input: instructions are the system's.
	if len(turns) > 0 && turns[0].role == roleSystem && len(turns[0].parts) > 0 {
		w.key("instructions")
		w.joined(`\n\n`, w.texts(nil, turns[0].parts)...)
		turns = turns[1:]
	}
	shortIDs(turns, maxResponsesID)
	sealed := false
	w.array("input")
	for i := range turns {
		sealed = w.responsesTurn(&turns[i]) || sealed
	}
	w.close("]")
	if tools := c.offered(); len(tools) > 0 {
		w.array("tools")
		for i := range tools {
			w.responsesTool(&tools[i])
		}
		w.close("]")
		switch ch := w.choiceOf(c, tools); ch.kind {
		case choiceTool:
			w.object("tool_choice")
			// The type in the choice must be that of the tool.
			what := "function"
			for i := range tools {
				if tools[i].custom && string(tools[i].name) == string(ch.name) {
					what = "custom"
				}
			}
			w.word("type", what)
			w.field("name", ch.name)
			w.close("}")
		default:
			w.choiceWord(ch)
		}
		w.field("parallel_tool_calls", c.parallel)
	} else if c.choice.kind == choiceAny || c.choice.kind == choiceTool {
		w.report.Lose("tool_choice")
	}
	// An empty "text" object would be valid too. The usual request does without.
	if c.output.kind != outputText || c.verbosity != nil {
		w.object("text")
		switch c.output.kind {
		case outputObject:
			w.constant("format", `{"type":"json_object"}`)
		case outputSchema:
			w.object("format")
			w.word("type", "json_schema")
			w.schemaMembers(&c.output)
			w.close("}")
		}
		w.field("verbosity", c.verbosity)
		w.close("}")
	}
	if word := c.thinking.word(); word != nil {
		w.object("reasoning")
		w.field("effort", word)
		w.close("}")
	}
	if c.thinking.off && c.thinking.effort == nil {
		w.report.hint("thinking")
	}
	if v := c.maxTokens; v != nil {
		// A limit that is not a number goes out as it is: the provider has the words
		// for it.
		if n := integer(v); n > 0 && n < minOutputTokens {
			w.report.Lose("max_tokens")
			w.number("max_output_tokens", minOutputTokens)
		} else {
			w.field("max_output_tokens", v)
		}
	}
	w.field("temperature", c.temperature)
	w.field("top_p", c.topP)
	w.field("metadata", c.metadata)
	w.field("user", c.user)
	w.field("safety_identifier", c.safetyID)
	w.field("prompt_cache_key", c.cacheKey)
	w.field("service_tier", c.tier)
	// Nobody could ask for a stored answer. Without one, reasoning goes back by its
	// encrypted content. Other models than reasoning ones refuse to include it.
	w.constant("store", "false")
	if sealed || c.thinking.asked() {
		w.constant("include", `["reasoning.encrypted_content"]`)
	}
	if c.stream {
		w.constant("stream", "true")
	}
	w.close("}")
}

// responsesTool writes a tool. A custom one needs no stand-in here.
func (w *requestWriter) responsesTool(t *tool) {
	w.open('{')
	if t.custom {
		w.word("type", "custom")
		w.field("name", t.name)
		w.field("description", t.description)
		w.field("format", t.grammar)
		w.close("}")
		return
	}
	w.word("type", "function")
	w.field("name", t.name)
	w.field("description", t.description)
	w.key("parameters")
	w.put(withProperties(schemaOf(t.schema)))
	// Left out, it means true here, and false elsewhere.
	w.orElse("strict", t.strict, "false")
	w.close("}")
}

// responsesTurn writes the items of a turn, and reports whether reasoning with
// its encrypted content is among them.
//
//	{"role": "user", "content": …}
//	{"type": "function_call_output", "call_id": "call_1", "output": …}
//
// Turns without a counterpart do not exist: each role has an item, or several.
//
// A failed result has no member of its own here, see failure.
func (w *requestWriter) responsesTurn(t *turn) (sealed bool) {
	switch t.role {
	case roleSystem, roleDeveloper, roleUser:
		w.open('{')
		switch t.role {
		case roleSystem:
			w.word("role", "system")
		case roleDeveloper:
			w.word("role", "developer")
		default:
			w.word("role", "user")
		}
		w.key("content")
		w.responsesInput(t.parts)
		w.close("}")
	case roleTool:
		for i := range t.parts {
			p := &t.parts[i]
			w.failure(p)
			w.open('{')
			if p.free {
				w.word("type", "custom_tool_call_output")
			} else {
				w.word("type", "function_call_output")
			}
			w.field("call_id", orEmpty(p.id))
			w.key("output")
			w.responsesInput(p.parts)
			w.close("}")
		}
	case roleAssistant:
		return w.responsesAssistant(t.parts)
	}
	return false
}

// responsesInput writes content: a string for one text, else a list. Images and
// documents may stand in results too.
//
// Unlike chat, the format takes the URL of a document.
//
// A reader of this format wants file names for inline data, and a detail for
// every image. Both have defaults.
func (w *requestWriter) responsesInput(parts []part) {
	if len(parts) == 0 {
		w.lit(`""`)
		return
	}
	// A plain string is what all servers of this format take.
	if len(parts) == 1 && parts[0].kind == kindText {
		w.put(orEmpty(parts[0].text))
		return
	}
	start := len(w.b)
	w.open('[')
	for i := range parts {
		p := &parts[i]
		switch p.kind {
		case kindText, kindRefusal:
			w.typed("input_text")
			w.field("text", orEmpty(p.text))
			w.close("}")
		case kindImage:
			if p.media.missing() {
				w.report.Lose("images.file_id")
				continue
			}
			w.typed("input_image")
			w.key("image_url")
			w.dataURL(&p.media, "image/png")
			w.orElse("detail", p.media.detail, `"auto"`)
			w.close("}")
		case kindFile:
			if p.media.missing() {
				w.report.Lose("documents.file_id")
				continue
			}
			w.typed("input_file")
			if p.media.url != nil {
				w.field("filename", p.media.name)
				w.field("file_url", p.media.url)
			} else {
				w.orElse("filename", p.media.name, `"document.pdf"`)
				w.key("file_data")
				w.dataURL(&p.media, "application/pdf")
			}
			w.close("}")
		case kindAudio:
			w.audio(&p.media)
		default:
			w.report.Lose("input.content")
		}
	}
	w.closeContent(start)
}

// responsesAssistant writes the items of an assistant's turn. Texts in a row are
// one message. Reasoning without encrypted content is left out: nothing is
// stored, so its id means nothing.
//
// The result reports whether an item has encrypted content. The request then has
// to ask for it again.
func (w *requestWriter) responsesAssistant(parts []part) (sealed bool) {
	for i := 0; i < len(parts); i++ {
		p := &parts[i]
		switch p.kind {
		case kindText, kindRefusal:
			if blank(p.text) && len(parts) > 1 {
				continue // chat clients put it beside calls
			}
			n := 1
			for i+n < len(parts) && (parts[i+n].kind == kindText || parts[i+n].kind == kindRefusal) {
				n++
			}
			w.open('{')
			w.word("role", "assistant")
			w.key("content")
			if n == 1 && p.kind == kindText {
				w.put(orEmpty(p.text))
			} else {
				w.open('[')
				for j := range parts[i : i+n] {
					w.open('{')
					if q := &parts[i+j]; q.kind == kindText {
						w.word("type", "output_text")
						w.field("text", orEmpty(q.text))
						w.constant("annotations", "[]") // some servers want it
					} else {
						w.word("type", "refusal")
						w.field("refusal", orEmpty(q.text))
					}
					w.close("}")
				}
				w.close("]")
			}
			w.close("}")
			i += n - 1
		case kindCall:
			w.open('{')
			if p.free {
				w.word("type", "custom_tool_call")
				w.field("call_id", orEmpty(p.id))
				w.field("name", orEmpty(p.name))
				w.field("input", orEmpty(p.args))
			} else {
				w.word("type", "function_call")
				w.field("call_id", orEmpty(p.id))
				w.field("name", orEmpty(p.name))
				w.key("arguments")
				w.put(p.argsText())
			}
			w.close("}")
		case kindReasoning:
			if p.seal.origin != originResponses || len(p.seal.data) == 0 {
				w.report.Lose("reasoning")
				continue
			}
			sealed = true
			w.reasoningItem(p)
		default:
			w.report.Lose("assistant.content")
		}
	}
	return sealed
}

// reasoningItem writes a reasoning item with its own encrypted content.
//
// The id and the content go back inside of their strings, byte for byte.
func (w *writer) reasoningItem(p *part) {
	w.typed("reasoning")
	// The id may be lost on its way through a client, see [seal.wrap].
	if len(p.seal.id) > 0 {
		w.key("id")
		w.inside(p.seal.id)
	}
	w.array("summary")
	if !blank(p.text) {
		w.typed("summary_text")
		w.field("text", p.text)
		w.close("}")
	}
	w.close("]")
	w.key("encrypted_content")
	w.inside(p.seal.data)
	w.close("}")
}

// inside writes the inside of a string as a string.
//
// in has its escapes already. Plain text needs [writer.str].
func (w *writer) inside(in []byte) {
	w.sep()
	w.b = append(w.b, '"')
	w.b = append(w.b, in...)
	w.b = append(w.b, '"')
}
