package dialect

// namespaceSeparator stands between a namespace and a name in the name of a
// function. Other formats have no namespaces.
const namespaceSeparator = "__"

// flatName is a function of a namespace.
type flatName struct {
	space, name raw
}

// flat is the name of a function of a namespace in other formats.
//
// Chat and messages know no namespaces, and take letters, digits, "_" and "-" in
// names.
func flat(space, name raw) raw {
	if blank(space) {
		return name
	}
	var w writer
	w.joined(namespaceSeparator, space, orEmpty(name))
	return w.b
}

// namespace reads a namespace of tools in responses:
//
//	{"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find", …}]}
//
// Its functions are offered under their flat names.
func (d *reader) namespace(space, tools raw) {
	if len(tools) == 0 || tools[0] != '[' {
		return
	}
	c := d.conversation
	first := len(c.tools)
	inside := *d
	inside.cursor = cursor{b: tools}
	inside.inNamespace = true
	inside.array()
	for inside.elem() {
		inside.openAITool()
	}
	if c.flat == nil {
		c.flat = map[string]flatName{}
	}
	for i := first; i < len(c.tools); i++ {
		name := c.tools[i].name
		c.tools[i].name = flat(space, name)
		c.flat[text(c.tools[i].name)] = flatName{space, name}
	}
}

// spaced gives a call of a function of a namespace its own name back.
func (t *Translator) spaced(p *part) {
	if t.flat == nil {
		return
	}
	if f, ok := t.flat[text(p.name)]; ok {
		p.space, p.name = f.space, f.name
	}
}
