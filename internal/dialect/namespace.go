package dialect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxToolName is the longest name of a function in the APIs of OpenAI and Gemini. Clients
// of messages, and namespaces, have longer ones.
const maxToolName = 64

// shortName is a name that all APIs take. The same name always becomes the same one:
// providers cache prompts by their text.
//
// APIs take letters, digits, "_" and "-". Names of MCP servers may have dots and
// slashes, which become "_". The name is cut, and ends in eight hexadecimal digits of
// its SHA-256. Two names that become the same one stay apart by them.
func shortName(name raw) raw {
	odd := bytes.ContainsFunc(inner(name), func(r rune) bool { return r > 'z' || !isNameByte(byte(r)) || r == '.' })
	if !odd && len(inner(name)) <= maxToolName {
		return name
	}
	own := text(name)
	sum := sha256.Sum256([]byte(own))
	mark := "_" + hex.EncodeToString(sum[:4])
	return quote(strings.ReplaceAll(safeName(own[:min(len(own), maxToolName-len(mark))]), ".", "_") + mark)
}

// shorten gives all tools, and the calls of them, names that all APIs take. It returns
// the tools' own names by the short ones.
//
// It changes the conversation in place. own is nil if all names are short.
func (c *conversation) shorten() (own map[string]raw) {
	for i := range c.tools {
		name := c.tools[i].name
		short := shortName(name)
		if string(short) == string(name) {
			continue
		}
		if own == nil {
			own = map[string]raw{}
		}
		own[text(short)] = name
		c.tools[i].name = short
	}
	for i := range c.turns {
		for j := range c.turns[i].parts {
			if p := &c.turns[i].parts[j]; p.kind == kindCall {
				p.name = shortName(p.name)
			}
		}
	}
	c.choice.name = shortName(c.choice.name)
	for i := range c.allowed {
		c.allowed[i] = shortName(c.allowed[i])
	}
	return own
}

// ownName is a tool's own name, from the name that the upstream knows it by.
//
// Names that the model made up come back as they are.
func (t *Translator) ownName(name raw) raw {
	if t.long != nil {
		if own, ok := t.long[text(name)]; ok {
			return own
		}
	}
	return name
}

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
//
// The tools are read in a second pass, as the namespace's name may stand behind
// them. A namespace in a namespace is lost.
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
