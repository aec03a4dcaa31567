package reqbody

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Facts are the settings and counts of a body, never its text. One form serves
// chats, completions, responses, messages and embeddings: the names of their fields
// do not collide.
//
// Absent texts are empty and absent numbers 0. The values are the client's
// claim. A wrong type counts as absent.
type Facts struct {
	Stream          bool
	MaxOutputTokens int64 // 0 without a limit, the least of several
	Tools           int   // hosted tools (web search and so on) included
	Images          int   // images in the results of tools included
	Audio           int
	Documents       int  // files and documents
	JSONSchema      bool // the answer must follow a schema
	Reasoning       bool // reasoning is asked for
	ServiceTier     string
	// User is the field user or safety_identifier, or the user_id of metadata.
	User               string
	PreviousResponseID string

	added int // tools in items of the input, until they are counted in
}

// Facts reads the facts of a scanned object. Each call is a pass over the body: ask
// once, and only if needed.
//
// Of repeated members the last one counts for the words and the tools. All of them count
// for the parts.
func (d *Document) Facts() Facts {
	var f Facts
	members := d.members()
	for i := range members {
		f.read(d.name(&members[i]), d.value(&members[i]))
	}
	f.Tools, f.added = f.Tools+f.added, 0
	f.Stream = d.asks(streamField)
	f.ServiceTier = d.text("service_tier")
	f.PreviousResponseID = d.text("previous_response_id")
	if f.User = d.text("user"); f.User == "" {
		f.User = d.text("safety_identifier")
	}
	if f.User == "" {
		f.User = d.userID()
	}
	return f
}

// text returns the string under a name, empty for other values.
func (d *Document) text(name string) string {
	s, _, _ := d.String(name)
	return s
}

// userID returns the user_id of metadata, as the messages format has it.
func (d *Document) userID() string {
	value, _ := d.Get("metadata")
	return inner(value, "user_id")
}

// inner returns the string under a name of an object, see [under].
func inner(object []byte, name string) string {
	if value := under(object, name); len(value) > 0 && value[0] == '"' {
		return unquote(value)
	}
	return ""
}

// under returns the value under a name of an object, as it is written.
//
// Of a repeated name the last one counts. The name is compared as written: an
// escaped one is not found.
func under(object []byte, name string) (value []byte) {
	c := jsonscan.Lenient(object)
	for k, ok := c.First(); ok; k, ok = c.Key() {
		if v := c.Value(); string(k) == name {
			value = v
		}
	}
	return value
}

// read reads one top-level member.
//
// A member of an unknown name tells nothing.
func (f *Facts) read(name, value []byte) {
	c := jsonscan.Lenient(value)
	switch string(name) {
	case "max_tokens", "max_completion_tokens", "max_output_tokens":
		n, err := strconv.ParseFloat(string(value), 64)
		if err == nil && n > 0 && n < 1<<53 && (f.MaxOutputTokens == 0 || int64(n) < f.MaxOutputTokens) {
			f.MaxOutputTokens = int64(n)
		}
	case "tools", "functions":
		f.Tools = elements(&c)
	case "messages", "input", "system", "instructions", "prompt":
		f.parts(&c, maxParts)
	case "response_format": // of chats: {"type":"json_schema"}
		f.JSONSchema = inner(value, "type") == "json_schema" || f.JSONSchema
	case "text": // of responses: {"format":{"type":"json_schema"}}
		f.schema(&c, "format")
	case "output_config": // of messages
		f.schema(&c, "format")
		switch inner(value, "effort") {
		case "", "none":
		default:
			f.Reasoning = true
		}
	case "output_format": // of messages, in an older version
		f.JSONSchema = inner(value, "type") == "json_schema" || f.JSONSchema
	case "reasoning_effort":
		f.Reasoning = value[0] == '"' && c.Skip() && string(value) != `"none"` || f.Reasoning
	case "reasoning": // of responses: {"effort":…}; of OpenRouter: {"enabled":true}
		f.Reasoning = f.Reasoning || value[0] == '{' && c.Skip() && inner(value, "effort") != "none" && string(under(value, "enabled")) != "false"
	case "thinking": // of messages: {"type":"enabled"} or adaptive
		typ := inner(value, "type")
		f.Reasoning = f.Reasoning || typ != "" && typ != "disabled"
	}
}

// schema looks for the type json_schema in an object within the object at c.
func (f *Facts) schema(c *jsonscan.Cursor, name string) {
	for k, ok := c.First(); ok; k, ok = c.Key() {
		if v := c.Value(); string(k) == name && inner(v, "type") == "json_schema" {
			f.JSONSchema = true
		}
	}
}

// elements counts the elements of the array at c, and moves behind the value.
func elements(c *jsonscan.Cursor) int {
	n := 0
	if !c.Enter('[') {
		c.Skip()
		return 0
	}
	for c.Elem() {
		c.Skip()
		n++
	}
	return n
}

// maxParts bounds how deep the parts of messages are looked for. A file in the
// result of a tool in a message is eight levels deep.
const maxParts = 16

// parts counts the media in the value at c: objects with the type of a medium, at
// any depth.
//
// Content is a list in most formats, and may hold results of tools with content
// of their own.
func (f *Facts) parts(c *jsonscan.Cursor, depth int) {
	switch {
	case depth == 0:
		c.Skip()
	case c.Enter('['):
		for c.Elem() {
			f.parts(c, depth-1)
		}
	default:
		for k, ok := c.First(); ok; k, ok = c.Key() {
			switch string(k) {
			case "type":
				f.medium(c.Text())
			case "arguments", "input", "parameters", "input_schema":
				c.Skip() // of a tool: it may name anything a type
			case "tools": // of an item such as additional_tools, as Codex gives its own
				f.added += elements(c)
			default:
				f.parts(c, depth-1)
			}
		}
	}
}

// medium counts a part by its type.
//
// The types are those of chat, responses and messages, and of their followers.
func (f *Facts) medium(typ []byte) {
	switch string(typ) {
	case "image_url", "input_image", "image":
		f.Images++
	case "input_audio", "audio", "audio_url":
		f.Audio++
	case "file", "input_file", "document", "document_url":
		f.Documents++
	}
}

// SessionSource names the part of a body that identifies its conversation.
type SessionSource string

// The sources, in their order.
const (
	NoSession        SessionSource = ""
	SessionCacheKey  SessionSource = "prompt_cache_key"
	SessionConverse  SessionSource = "conversation"
	SessionUserID    SessionSource = "metadata.user_id"
	SessionFirstTurn SessionSource = "first_turn" // system prompt, tools and first user message
)

// Session returns a hash, in hex, that identifies the conversation of a body, and
// its source: prompt_cache_key, conversation (its id), the user_id of metadata, or
// the system prompt, tools and first user message. Both are empty without any of
// these. The hash is the same in each process.
//
// The first part that is there decides. Later turns of a conversation repeat its
// beginning, so the hash of the beginning stays. Marks of a prompt cache are left
// out, because clients move them to the newest turn.
func (d *Document) Session() (source SessionSource, key string) {
	if s := d.text("prompt_cache_key"); s != "" {
		return SessionCacheKey, hashText(s)
	}
	if value, ok := d.Get("conversation"); ok {
		s := d.text("conversation")
		if s == "" {
			s = inner(value, "id")
		}
		if s != "" {
			return SessionConverse, hashText(s)
		}
	}
	if s := d.userID(); s != "" {
		return SessionUserID, hashText(s)
	}
	h := sha256.New()
	any := false
	for _, name := range []string{"system", "instructions", "tools"} {
		if value, ok := d.Get(name); ok {
			hashValue(h, name, nil)
			hashBlocks(h, value)
			any = true
		}
	}
	for _, name := range []string{"messages", "input", "prompt"} {
		if value, ok := d.Get(name); ok && firstTurn(h, value) {
			return SessionFirstTurn, digest(h)
		}
	}
	if !any {
		return NoSession, ""
	}
	return SessionFirstTurn, digest(h)
}

// firstTurn hashes the messages up to the first one of the user, and reports
// whether there is any.
//
// A string in the place of the list is one message. Without a message of the
// user all of them are hashed.
func firstTurn(h hash.Hash, value []byte) bool {
	c := jsonscan.Lenient(value)
	if !c.Enter('[') {
		if len(value) == 0 || value[0] != '"' {
			return false
		}
		hashBlocks(h, value)
		return true
	}
	any := false
	for c.Elem() {
		message := c.Value()
		hashValue(h, "message", nil)
		hashMembers(h, message)
		any = true
		if inner(message, "role") == "user" {
			break
		}
	}
	return any
}

// cacheMark is the member of a block, tool or message that ends a cached prefix.
const cacheMark = "cache_control"

// hashMembers hashes an object member by member, without its cache mark.
func hashMembers(h hash.Hash, object []byte) {
	c := jsonscan.Lenient(object)
	if c.Peek() != '{' {
		hashValue(h, "", object)
		return
	}
	for name, ok := c.First(); ok; name, ok = c.Key() {
		switch value := c.Value(); string(name) {
		case cacheMark:
		case "content":
			hashBlocks(h, value)
		default:
			hashValue(h, string(name), value)
		}
	}
}

// hashBlocks hashes content: a text, or a list of blocks.
//
// Only a block can bear a cache mark, so a client writes one text as a block while
// it is marked, and as a string in later turns. Both have the same hash.
func hashBlocks(h hash.Hash, content []byte) {
	c := jsonscan.Lenient(content)
	if !c.Enter('[') {
		hashValue(h, "text", content)
		return
	}
	for c.Elem() {
		block := c.Value()
		if text := textOf(block); text != nil {
			hashValue(h, "text", text)
		} else {
			hashMembers(h, block)
		}
	}
}

// textOf returns the text of a block of plain text, as it is written. It is nil for
// other blocks.
func textOf(block []byte) (text []byte) {
	c := jsonscan.Lenient(block)
	if c.Peek() != '{' {
		return nil
	}
	for name, ok := c.First(); ok; name, ok = c.Key() {
		switch string(name) {
		case "type":
			if kind := string(c.Text()); kind != "text" && kind != "input_text" {
				return nil
			}
		case "text":
			text = c.Value()
		default:
			c.Skip()
		}
	}
	return text
}

// hashValue adds a value with its name and length: different lists of values never
// give the same bytes.
func hashValue(h hash.Hash, name string, value []byte) {
	var length [20]byte
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write(strconv.AppendInt(length[:0], int64(len(value)), 10))
	h.Write([]byte{0})
	h.Write(value)
}

// hashText is half of a SHA-256 in hex. It is compared, and never turned back.
func hashText(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// digest is half of the sum in hex, as [hashText] has it.
func digest(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)[:16]) }

// Facts reads the facts of a form: settings, and the files by the name of their
// field.
//
// Forms are of images and of audio: their files have the field image, mask or
// file.
func (f *Form) Facts() Facts {
	var facts Facts
	facts.Stream = f.asks(streamField)
	facts.User, _, _ = f.String("user")
	facts.ServiceTier, _, _ = f.String("service_tier")
	for _, p := range f.parts() {
		if !p.file {
			continue
		}
		switch string(fieldName(p.name)) {
		case "image", "mask":
			facts.Images++
		case "file":
			facts.Audio++ // of transcriptions and translations
		}
	}
	return facts
}

// Session returns nothing: forms belong to no conversation.
func (f *Form) Session() (source SessionSource, key string) { return NoSession, "" }
