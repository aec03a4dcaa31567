package dialect

import "slices"

// A custom tool becomes a function with one argument, its stand-in.
const (
	customSchema   = `{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`
	customFormat   = `\n\nThe input must have this format: `
	emptySchema    = `{"type":"object","properties":{}}`
	seeNextMessage = "The result is in the next message."
	toolFailed     = `"The tool failed."`
)

// maxStops is the most stop sequences of a chat request.
//
// It is OpenAI's limit. Further ones would have the request refused.
const maxStops = 4

// chatRequest writes a request of chat/completions:
//
//	{"model": …, "messages": […], "max_tokens": 1024, "tools": […], "stream": true, "stream_options": {…}}
//
// Streams always ask for the usage, unless the upstream is known to refuse it.
//
// tool_choice and parallel_tool_calls are written beside tools only: OpenAI
// refuses them without.
func (w *requestWriter) chatRequest(c *conversation) {
	w.open('{')
	w.field("model", c.model)
	w.key("messages")
	model := text(c.model)
	if w.opts.MaxCompletionTokens {
		shortIDs(c.turns, maxChatID)
	}
	w.chatMessages(c.turns, isMistral(model), wantsReasoning(model))
	if c.maxTokens != nil {
		if w.opts.MaxCompletionTokens {
			w.field("max_completion_tokens", c.maxTokens)
		} else {
			w.field("max_tokens", c.maxTokens)
		}
	}
	// The range of a temperature is the same in chat and responses, and half of it
	// in messages: nothing has to be cut here.
	w.field("temperature", c.temperature)
	w.field("top_p", c.topP)
	if len(c.stop) > 0 {
		w.array("stop")
		for i, s := range c.stop {
			if i == maxStops {
				w.report.Lose("stop_sequences")
				break
			}
			w.put(s)
		}
		w.close("]")
	}
	if tools := c.offered(); len(tools) > 0 {
		w.array("tools")
		for i := range tools {
			w.typed("function")
			w.object("function")
			w.function(&tools[i], "parameters")
			w.close("}}")
		}
		w.close("]")
		switch ch := w.choiceOf(c, tools); ch.kind {
		case choiceTool:
			w.object("tool_choice")
			w.word("type", "function")
			w.object("function")
			w.field("name", ch.name)
			w.close("}}")
		default:
			w.choiceWord(ch)
		}
		w.field("parallel_tool_calls", c.parallel)
	} else if c.choice.kind == choiceAny || c.choice.kind == choiceTool {
		// The client demanded a call. All of its tools were lost or are not allowed.
		w.report.Lose("tool_choice")
	}
	switch o := &c.output; o.kind {
	case outputObject:
		w.constant("response_format", `{"type":"json_object"}`)
	case outputSchema:
		w.object("response_format")
		w.word("type", "json_schema")
		w.object("json_schema")
		w.schemaMembers(o)
		w.close("}}")
	}
	w.field("reasoning_effort", c.thinking.word())
	// Chat has no word for "do not think" that all servers know.
	if c.thinking.off && c.thinking.effort == nil {
		w.report.hint("thinking")
	}
	w.field("verbosity", c.verbosity)
	if c.stream {
		w.constant("stream", "true")
		if !w.opts.NoStreamUsage {
			w.constant("stream_options", `{"include_usage":true}`)
		}
	}
	w.close("}")
}

// schemaMembers writes the members of a JSON schema for chat and responses.
// A schema must have a name in both formats, but not in messages: so there is a
// stand-in.
func (w *requestWriter) schemaMembers(o *output) {
	w.orElse("name", o.name, `"response"`)
	w.field("description", o.description)
	w.orElse("schema", o.schema, "{}")
	w.field("strict", o.strict)
}

// choiceWord writes a tool_choice of one word, for chat and responses.
// An unset choice writes nothing.
func (w *requestWriter) choiceWord(ch choice) {
	switch ch.kind {
	case choiceAuto:
		w.word("tool_choice", "auto")
	case choiceNone:
		w.word("tool_choice", "none")
	case choiceAny:
		w.word("tool_choice", "required")
	}
}

// offered are the tools that the model may call.
//
// Allowed tools come from chat or responses. Not offering the others has the
// same effect, at the cost of the provider's cache of the prompt.
func (c *conversation) offered() []tool {
	if c.allowed == nil {
		return c.tools
	}
	// The names compare as they are written, with their escapes: both come from
	// one client.
	allowed := make(map[string]struct{}, len(c.allowed))
	for _, name := range c.allowed {
		allowed[string(name)] = struct{}{}
	}
	var tools []tool
	for _, t := range c.tools {
		if _, ok := allowed[string(t.name)]; ok {
			tools = append(tools, t)
		}
	}
	return tools
}

// choiceOf is the choice. It is unset for a tool outside of the offered ones.
func (w *requestWriter) choiceOf(c *conversation, tools []tool) choice {
	if c.choice.kind == choiceTool {
		for i := range tools {
			if string(tools[i].name) == string(c.choice.name) {
				return c.choice
			}
		}
		w.report.Lose("tool_choice")
		return choice{}
	}
	return c.choice
}

// function writes the members of a function. schema names its parameters:
//
//	"name": "f", "description": "…", "parameters": {…}
//
// The stand-in of a custom tool has one argument, and the format of the input in
// its description.
func (w *requestWriter) function(t *tool, schema string) {
	w.field("name", t.name)
	if !t.custom {
		w.field("description", t.description)
		w.key(schema)
		parameters := schemaOf(t.schema)
		if schema == "input_schema" {
			parameters = w.inputSchema(parameters, string(t.strict) == "true")
		} else {
			parameters = withProperties(parameters)
		}
		w.put(parameters)
		// false is the default, and servers that do not know the field would refuse
		// it.
		if t.strict != nil && string(t.strict) != "false" {
			w.field("strict", t.strict)
		}
		return
	}
	switch {
	// A grammar binds a custom tool's input. As a part of the description it only
	// asks.
	case t.grammar != nil && string(t.grammar) != `{"type":"text"}`:
		w.report.Lose("tools.format")
		w.key("description")
		w.joined(customFormat, orEmpty(t.description), quotedJSON(t.grammar))
	default:
		w.field("description", t.description)
	}
	w.key(schema)
	w.lit(customSchema)
}

// withProperties is a schema that OpenAI takes for a function: an object must say which
// properties it has. Tools of MCP servers without arguments leave them out.
func withProperties(schema raw) raw {
	if schema[0] != '{' || member(schema, "properties") != nil || !is(member(schema, "type"), "object") {
		return schema
	}
	c := cursor{b: schema}
	rest := mapMembers(&c, func(name []byte, value raw) raw {
		if string(name) == "properties" {
			return nil
		}
		return value
	})
	if rest == nil {
		return schema
	}
	return append(rest[:len(rest)-1], `,"properties":{}}`...)
}

// schemaOf is the schema of a function's arguments. They are an object, and messages
// wants the schema to say so. Chat and responses take schemas without a type.
//
// A schema that is not an object, or has a type, is copied as it is. Otherwise
// the type is put first, and a type of null goes.
func schemaOf(schema raw) raw {
	switch {
	case schema == nil:
		return raw(emptySchema)
	case schema[0] != '{' || member(schema, "type") != nil:
		return schema
	}
	c := cursor{b: schema}
	rest := mapMembers(&c, func(name []byte, value raw) raw {
		if string(name) == "type" {
			return nil
		}
		return value
	})
	typed := append(raw(nil), `{"type":"object"`...)
	if len(rest) > len("{}") {
		typed = append(typed, ',')
	}
	return append(typed, rest[1:]...)
}

// orEmpty is a string, the empty one if it is absent.
func orEmpty(v raw) raw {
	if v == nil {
		return raw(`""`)
	}
	return v
}

// chatMessages writes the turns. System turns at the start become one message:
// templates of many models take no second one.
//
// waiting holds images and documents of results. They go into the next message
// of the user's, or into one of their own before the assistant speaks again.
// For a model of Mistral's a word of the assistant goes before it.
func (w *requestWriter) chatMessages(turns []turn, mistral, reasons bool) {
	w.open('[')
	lead := 0
	for lead < len(turns) && isSystem(turns[lead].role) {
		lead++
	}
	if !w.opts.MaxCompletionTokens {
		turns = w.withoutLateSystem(turns, lead)
	}
	if lead > 0 {
		var texts []raw
		for i := range turns[:lead] {
			texts = w.texts(texts, turns[i].parts)
		}
		w.open('{')
		w.word("role", "system")
		w.key("content")
		w.joined(`\n\n`, texts...)
		w.close("}")
	}
	if mistral {
		mistralIDs(turns)
	}
	var waiting []part // images and documents of results
	resulted := false  // the last message is a result
	user := func(parts []part) {
		if mistral && resulted {
			w.report.Lose("turn_order")
			w.put(raw(mistralBridge))
		}
		resulted = false
		w.chatUser(parts)
	}
	for i := lead; i < len(turns); i++ {
		t := &turns[i]
		// Results are followed by the assistant: what waits must not stand behind
		// its turn.
		if len(waiting) > 0 && t.role != roleUser {
			user(waiting)
			waiting = nil
		}
		resulted = resulted && t.role != roleAssistant || t.role == roleTool && len(t.parts) > 0
		switch t.role {
		case roleSystem, roleDeveloper:
			w.open('{')
			w.word("role", "system")
			w.key("content")
			w.joined(`\n\n`, w.texts(nil, t.parts)...)
			w.close("}")
		case roleUser:
			if len(waiting) > 0 {
				user(append(waiting, t.parts...))
				waiting = nil
				continue
			}
			user(t.parts)
		case roleAssistant:
			w.chatAssistant(t.parts, reasons)
		case roleTool:
			for j := range t.parts {
				waiting = w.chatResult(&t.parts[j], waiting)
			}
		}
	}
	if len(waiting) > 0 {
		user(waiting)
	}
	w.close("]")
}

// withoutLateSystem makes words of the user of the system turns from lead on: Claude Code
// and Codex send such, and the templates of many models refuse them there. At the front
// they would change it in mid-conversation, and no cache of a prompt survives that.
//
// They join a turn of the user beside them, as many templates want the roles in turns.
func (w *requestWriter) withoutLateSystem(turns []turn, lead int) []turn {
	if !slices.ContainsFunc(turns[lead:], func(t turn) bool { return isSystem(t.role) }) {
		return turns
	}
	w.report.Lose("system.role")
	out := slices.Clone(turns[:lead])
	var late []part // before a turn of the user's
	for _, t := range turns[lead:] {
		if isSystem(t.role) {
			for _, text := range w.texts(nil, t.parts) {
				if !blank(text) {
					late = append(late, part{kind: kindText, text: text})
				}
			}
			if n := len(out) - 1; n >= lead && out[n].role == roleUser {
				out[n].parts, late = slices.Concat(out[n].parts, late), nil
			}
			continue
		}
		if len(late) > 0 {
			if t.role == roleUser {
				t.parts = slices.Concat(late, t.parts)
			} else {
				out = append(out, turn{role: roleUser, parts: late})
			}
			late = nil
		}
		out = append(out, t)
	}
	if len(late) > 0 {
		out = append(out, turn{role: roleUser, parts: late})
	}
	return out
}

// isSystem reports whether a turn instructs the model.
// Developer is OpenAI's newer word for it.
func isSystem(r role) bool { return r == roleSystem || r == roleDeveloper }

// texts adds the texts of the parts of a system prompt. Parts of another kind are
// lost.
//
// A refusal reads as text. list is extended in place.
func (w *requestWriter) texts(list []raw, parts []part) []raw {
	for i := range parts {
		if parts[i].kind == kindText || parts[i].kind == kindRefusal {
			list = append(list, orEmpty(parts[i].text))
			continue
		}
		w.report.Lose("system.content")
	}
	return list
}

// chatUser writes a message of the user: a string for one text, else parts.
//
// Parts that chat cannot say are left out and named.
func (w *requestWriter) chatUser(parts []part) {
	w.open('{')
	w.word("role", "user")
	w.key("content")
	if len(parts) == 1 && parts[0].kind == kindText {
		w.put(orEmpty(parts[0].text))
		w.close("}")
		return
	}
	start := len(w.b)
	w.open('[')
	for i := range parts {
		p := &parts[i]
		switch p.kind {
		case kindText, kindRefusal:
			w.typed("text")
			w.field("text", orEmpty(p.text))
			w.close("}")
		case kindImage:
			if p.media.missing() {
				w.report.Lose("images.file_id")
				continue
			}
			w.typed("image_url")
			w.object("image_url")
			w.key("url")
			w.dataURL(&p.media, "image/png")
			if d := p.media.detail; d != nil && !is(d, "auto") {
				w.field("detail", d)
			}
			w.close("}}")
		case kindFile:
			if p.media.missing() {
				w.report.Lose("documents.file_id")
				continue
			}
			// Chat takes a document as data only. Fetching it is not the gateway's
			// business.
			if p.media.url != nil {
				w.report.Lose("documents.url")
				continue
			}
			w.typed("file")
			w.object("file")
			w.orElse("filename", p.media.name, `"document.pdf"`)
			w.key("file_data")
			w.dataURL(&p.media, "application/pdf")
			w.close("}}")
		case kindAudio:
			w.audio(&p.media)
		default:
			w.report.Lose("user.content")
		}
	}
	w.closeContent(start)
	w.close("}")
}

// closeContent closes a list of parts. A list without any is refused: an empty text
// stands for it. start is the place of the list.
func (w *requestWriter) closeContent(start int) {
	if w.comma {
		w.close("]")
		return
	}
	w.b = append(w.b[:start], `""`...)
	w.comma = true
}

// chatAssistant writes a message of the assistant. Its texts are one string: many
// templates take no list there.
//
// Content is null beside calls or a refusal, and "" for a turn that would be
// empty. Of several fields of reasoning the last one names all. reasons is set if the
// model's API refuses a turn without reasoning: a space stands in for it.
func (w *requestWriter) chatAssistant(parts []part, reasons bool) {
	var texts, refusals, reasoning []raw
	field := ""
	calls := 0
	// Gemini's signatures go back to their calls before any part is written.
	giveBack(parts)
	for i := range parts {
		p := &parts[i]
		switch p.kind {
		case kindText:
			texts = append(texts, orEmpty(p.text))
		case kindRefusal:
			refusals = append(refusals, orEmpty(p.text))
		case kindCall:
			calls++
		case kindReasoning:
			if p.seal.origin == originCall || p.seal.origin == originDetails {
				continue
			}
			// The text goes back under the name of its field. Other servers might
			// refuse the field, so they do not get it.
			name := string(p.seal.data)
			if p.seal.origin != originChat || name != "reasoning_content" && name != "reasoning" {
				w.report.Lose("reasoning")
				continue
			}
			field = name
			reasoning = append(reasoning, orEmpty(p.text))
		default:
			w.report.Lose("assistant.content")
		}
	}
	if reasons && len(reasoning) == 0 {
		field, reasoning = "reasoning_content", []raw{raw(`" "`)}
	}
	w.open('{')
	w.word("role", "assistant")
	w.key("content")
	if len(texts) == 0 {
		if calls == 0 && len(refusals) == 0 {
			w.lit(`""`)
		} else {
			w.lit("null")
		}
	} else {
		w.joined("", texts...)
	}
	if len(refusals) > 0 {
		w.key("refusal")
		w.joined("", refusals...)
	}
	if len(reasoning) > 0 {
		w.key(field)
		w.joined(`\n\n`, reasoning...)
	}
	if details := givenDetails(parts); len(details) > 0 {
		w.constant("reasoning_details", "["+string(details)+"]")
	}
	if calls > 0 {
		w.array("tool_calls")
		for i := range parts {
			if p := &parts[i]; p.kind == kindCall {
				w.open('{')
				w.field("id", orEmpty(p.id))
				w.word("type", "function")
				w.object("function")
				w.field("name", orEmpty(p.name))
				w.key("arguments")
				w.put(p.argsText())
				w.close("}")
				w.field("extra_content", p.extra)
				w.close("}")
			}
		}
		w.close("]")
	}
	w.close("}")
}

// argsText is the arguments of a call as a string of JSON text.
//
// The input of a custom tool is wrapped, as its stand-in has one argument.
// Absent and empty arguments are "{}": many servers parse them.
func (p *part) argsText() raw {
	switch {
	case p.free:
		return quotedJSON(wrapInput(p.args))
	case len(p.args) == 0 || string(p.args) == `""`:
		return raw(`"{}"`)
	case p.args[0] == '"':
		return p.args
	}
	return quotedJSON(p.args)
}

// wrapInput makes the arguments of a custom tool's stand-in.
// The form is that of customSchema.
func wrapInput(input raw) raw {
	v := make(raw, 0, len(input)+12)
	v = append(v, `{"input":`...)
	v = append(v, orEmpty(input)...)
	return append(v, '}')
}

// failure names the mark of a failed tool as lost. A result without text gets one that
// tells it.
//
// Chat and responses have no such mark. The text of the result mostly says it
// anyway.
func (w *requestWriter) failure(p *part) {
	if !p.fail {
		return
	}
	w.report.Lose("is_error")
	if !slices.ContainsFunc(p.parts, func(q part) bool { return q.kind != kindText || !blank(q.text) }) {
		p.parts = []part{{kind: kindText, text: raw(toolFailed)}}
	}
}

// chatResult writes a message of the tool. Images and documents wait for the
// next message of the user: a tool's message takes nothing but text.
//
// A result without text and with images points at the next message, as an empty
// one may be refused.
func (w *requestWriter) chatResult(p *part, waiting []part) []part {
	w.failure(p)
	var texts []raw
	media := false
	for i := range p.parts {
		switch q := &p.parts[i]; q.kind {
		case kindText, kindRefusal:
			texts = append(texts, orEmpty(q.text))
		case kindImage, kindFile, kindAudio:
			media = true
			waiting = append(waiting, *q)
		default:
			w.report.Lose("tool_result.content")
		}
	}
	w.open('{')
	w.word("role", "tool")
	w.field("tool_call_id", orEmpty(p.id))
	w.key("content")
	if len(texts) == 0 && media {
		w.str(seeNextMessage)
	} else {
		w.joined(`\n`, texts...)
	}
	w.close("}")
	return waiting
}
