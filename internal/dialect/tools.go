package dialect

import "bytes"

// openAITool reads a tool of chat or of responses. In chat its members stand
// under the name of its type.
//
//	{"type": "function", "function": {"name": "f", "parameters": {…}}}
//	{"type": "function", "name": "f", "parameters": {…}, "strict": false}
//
// Hosted tools are lost under the name of their type.
func (d *reader) openAITool() {
	if !d.object() {
		return
	}
	var t tool
	what := "function"
	tools := d.toolMembers(&t, &what)
	switch what {
	case "namespace":
		if d.inNamespace {
			d.report.Lose("tools.namespace")
			return
		}
		if !blank(t.description) {
			d.report.Lose("tools.namespace.description")
		}
		d.namespace(t.name, tools)
	case "function", "custom":
		// Cursor writes the tools of a Claude model as messages has them.
		t.custom = what == "custom" && t.schema == nil
		d.conversation.tools = append(d.conversation.tools, t)
	default:
		d.report.Lose("tools." + what)
	}
}

// uniqueTools offers each name once, the first tool of it. Messages and Gemini refuse a
// name that comes twice, which OpenAI takes.
func (c *conversation) uniqueTools(report *Report) {
	if len(c.tools) < 2 {
		return
	}
	first := make(map[string]*tool, len(c.tools))
	kept := c.tools[:0]
	for i := range c.tools {
		t := c.tools[i]
		if was := first[string(t.name)]; was != nil {
			if !bytes.Equal(was.schema, t.schema) || !bytes.Equal(was.description, t.description) {
				report.Lose("tools.name")
			}
			continue
		}
		kept = append(kept, t)
		first[string(t.name)] = &kept[len(kept)-1]
	}
	c.tools = kept
}

// called are stand-ins for the tools that a conversation has calls or results of.
//
// Clients that have a conversation summed up offer no tools. Servers of messages refuse
// its calls then, and chat and responses take them.
func (c *conversation) called() (tools []tool) {
	results := false
	known := map[string]struct{}{}
	for i := range c.turns {
		for j := range c.turns[i].parts {
			p := &c.turns[i].parts[j]
			results = results || p.kind == kindResult
			if _, again := known[string(orEmpty(p.name))]; p.kind == kindCall && !again {
				tools = append(tools, tool{name: orEmpty(p.name)})
				known[string(orEmpty(p.name))] = struct{}{}
			}
		}
	}
	if len(tools) == 0 && results {
		tools = []tool{{name: raw(`"tool"`)}}
	}
	return tools
}

// toolMembers reads the members of a tool. what is nil inside of its type, and
// nothing stands deeper. The tools of a namespace are returned unread.
//
// One level is enough: chat puts the members under "function" or "custom",
// responses beside the type.
func (d *reader) toolMembers(t *tool, what *string) (tools raw) {
	for name := range d.members() {
		switch string(name) {
		case "type":
			if v := d.text(); what != nil {
				*what = v
			}
		case "function", "custom":
			if what == nil {
				d.value()
			} else if d.object() {
				d.toolMembers(t, nil)
			}
		case "name":
			t.name = d.str()
		case "description":
			t.description = d.str()
		case "parameters", "input_schema":
			t.schema = d.value()
		case "strict":
			t.strict = d.value()
		case "cache_control":
			t.cache = d.cacheMark(name)
		case "format":
			t.grammar = d.value()
		case "tools":
			tools = d.value()
		default:
			d.value()
		}
	}
	return tools
}

// openAIChoice reads the tool_choice of chat or of responses: a word, or an object.
//
//	"required"
//	{"type": "function", "function": {"name": "f"}}
//	{"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}
//	{"type": "tool", "name": "f"}
//
// The last one, and a word in an object, are those of messages: Cursor sends them.
//
// Allowed tools need no counterpart: the other tools are not offered.
//
// An unknown word leaves the choice unset. An unknown object is lost.
func (d *reader) openAIChoice() {
	ch := &d.conversation.choice
	if d.peek() == '"' {
		switch d.text() {
		case "auto":
			ch.kind = choiceAuto
		case "none":
			ch.kind = choiceNone
		case "required":
			ch.kind = choiceAny
		}
		return
	}
	if !d.object() {
		return
	}
	var m choiceMembers
	d.choiceMembers(&m, 0)
	ch.name = m.name
	// function_call, which is older, has no type: {"name": "f"}.
	if m.what == "" && ch.kind == choiceTool && m.name != nil {
		return
	}
	switch m.what {
	case "function", "custom", "tool":
		ch.kind = choiceTool
	case "auto":
		ch.kind = choiceAuto
	case "none":
		ch.kind = choiceNone
	case "any", "required":
		ch.kind = choiceAny
	case "allowed_tools":
		ch.kind = choiceAuto
		if m.mode == "required" {
			ch.kind = choiceAny
		}
		d.conversation.allowed = m.allowed
	default:
		*ch = choice{}
		d.report.Lose("tool_choice")
	}
}

// choiceMembers is what a tool_choice says.
type choiceMembers struct {
	what, mode string
	name       raw
	allowed    []raw
}

// choiceMembers reads a choice. In chat its members stand under the name of its
// type, and those of an allowed tool one level deeper.
//
// level is how many objects the reader is in: 0 in the choice itself, 1 under the
// name of its type, 2 in an element of tools, and 3 under the name of that
// element's type.
//
// The level bounds the recursion, whatever the client sends.
func (d *reader) choiceMembers(m *choiceMembers, level int) {
	for name := range d.members() {
		switch string(name) {
		case "type":
			if what := d.text(); level == 0 {
				m.what = what
			}
		case "mode":
			m.mode = d.text()
		case "name":
			m.name = d.str()
		case "function", "custom", "allowed_tools":
			if level == 3 {
				d.value()
			} else if d.object() {
				d.choiceMembers(m, level+1)
			}
		case "tools":
			if level > 1 {
				d.value()
				continue
			}
			if !d.array() {
				continue
			}
			// An empty list allows no tool, and nil allows all.
			m.allowed = []raw{}
			for d.elem() {
				if d.object() {
					var one choiceMembers
					d.choiceMembers(&one, 2)
					m.allowed = append(m.allowed, one.name)
				}
			}
		default:
			d.value()
		}
	}
}

// openAIFormat reads response_format of chat, text.format of responses, or the
// format in output_config of messages.
//
//	{"type": "json_schema", "json_schema": {"name": "a", "schema": {…}, "strict": true}}
//	{"type": "json_schema", "name": "a", "schema": {…}, "strict": true}
//	{"type": "json_schema", "schema": {…}}
//
// A later format replaces an earlier one as a whole.
func (d *reader) openAIFormat() {
	o := &d.conversation.output
	*o = output{}
	if !d.object() {
		return
	}
	what := ""
	d.formatMembers(o, &what)
	switch what {
	case "json_object":
		o.kind = outputObject
	case "json_schema":
		o.kind = outputSchema
	case "text", "":
	default:
		d.report.Lose("response_format")
	}
}

// formatMembers reads the members of a format. what is nil inside of its type.
//
// Chat has the members under json_schema, and the others beside the type.
func (d *reader) formatMembers(o *output, what *string) {
	for name := range d.members() {
		switch string(name) {
		case "type":
			if v := d.text(); what != nil {
				*what = v
			}
		case "json_schema":
			if what == nil {
				d.value()
			} else if d.object() {
				d.formatMembers(o, nil)
			}
		case "name":
			o.name = d.str()
		case "schema":
			o.schema = d.value()
		case "strict":
			o.strict = d.value()
		case "description":
			o.description = d.str()
		default:
			d.value()
		}
	}
}
