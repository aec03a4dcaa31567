package ids

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// maxID bounds an id, in bytes. Real ids have less than a hundred.
const maxID = 512

// Valid reports whether an id may stand in a path: it cannot be taken for a step up,
// or for two parts of a path.
//
// Ids are printable ASCII. An id of the client's goes into the path of an
// upstream request, so the rule is one of safety.
func Valid(id string) bool {
	if id == "" || id == "." || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c <= ' ' || c > '~', c == '/', c == '\\', c == '%', c == '?', c == '#':
			return false
		case c == '.' && i > 0 && id[i-1] == '.':
			return false
		}
	}
	return true
}

// fields are the fields of a request that hold ids, in lower case: an id, an object
// with one, or a list of ids.
var fields = map[string]field{
	"previous_response_id": {kind: Response, top: true},
	"conversation":         {kind: Conversation, top: true, object: true},
	"file_id":              {kind: File},
	"file_ids":             {kind: File},
	"input_file_id":        {kind: File},
	"vector_store_id":      {kind: VectorStore},
	"vector_store_ids":     {kind: VectorStore},
	"container":            {kind: Container, object: true},
	"container_id":         {kind: Container},
	"audio":                {kind: Audio, object: true, only: true},
	"video":                {kind: Video, object: true, only: true},
	"thread":               {kind: Message, top: true, object: true, only: true, id: "previous_message_id"},
}

// field is a place of ids, by the name of the member that holds them.
type field struct {
	kind   Kind
	top    bool // only at the top level
	object bool // it may be an object with the id
	only   bool // and nothing else is one: a text is a sound or its address
	// id is the name of the id in the object. Empty means id.
	id string
}

// foreign are the fields whose content belongs to the client and its tools: a word in
// them is not an id of the provider's. Annotations repeat what an earlier answer said.
var foreign = map[string]bool{
	"metadata": true, "parameters": true, "input_schema": true, "schema": true, "json_schema": true, "arguments": true,
	"examples": true, "annotations": true, "attributes": true,
}

// inputField belongs to a tool below the top level, and to the API at it.
const inputField = "input"

// Mentions reports whether a request may hold an id: a quick look, for bodies that
// are not checked.
//
// It may be true without an id.
func Mentions(body []byte) bool {
	if bytes.Contains(body, []byte(`"audio"`)) && bytes.Contains(body, []byte(`"assistant"`)) {
		return true
	}
	for _, word := range [...]string{`previous_response_id"`, `"conversation"`, `file_id`, `"vector_store_id`, `"container`, `"video"`, `item_reference"`, `previous_message_id"`, imageCall + `"`} {
		if bytes.Contains(body, []byte(word)) {
			return true
		}
	}
	return false
}

// InRequest yields each id in the JSON body of a request, at any depth, a repeated one
// each time. Names are compared as the most lenient provider would: decoded, in any
// case.
//
// The caller refuses a request whose ids belong to another caller. So a name
// that only one parser would take for the field counts here too.
func InRequest(body []byte) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		w := walker{c: jsonscan.Lenient(body), yield: yield}
		w.value(0)
	}
}

// InForm yields the ids in a part of a form, such as input_reference[file_id].
//
// Words in brackets are steps into the field. The last known word decides. A part without
// a file may hold JSON: a list of ids, or an object that is gone through like a body. Some
// servers decode percent signs in names.
func InForm(name, value []byte, file bool) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		value := bytes.TrimSpace(value)
		if len(value) == 0 {
			return
		}
		f, known := formField(name)
		switch {
		case !file && (value[0] == '{' || value[0] == '['):
			w := walker{c: jsonscan.Lenient(value), yield: yield}
			if known {
				w.ids(f, 0)
			} else {
				w.value(1)
			}
		case known && !f.only && len(value) <= maxID:
			yield(Ref{Kind: f.kind, ID: string(value)})
		}
	}
}

// formField returns the field that the name of a part ends in.
func formField(name []byte) (f field, known bool) {
	text := string(name)
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return r == '[' || r == ']' || r == '.' })
	for i := len(words) - 1; i >= 0; i-- {
		word := string(folded([]byte(strings.TrimSpace(words[i]))))
		if f, known := fields[word]; known && f.id == "" {
			f.only = f.only && i == len(words)-1 // video[id] is an id, and video is one if it is an object
			return f, true
		}
		// Numbers are places in a list, and id is that of the thing around it.
		if word != "id" && strings.Trim(word, "0123456789") != "" {
			break
		}
	}
	return field{}, false
}

// Types of items that hold the id of another one, or of themselves at the provider.
const (
	itemReference = "item_reference"
	imageCall     = "image_generation_call"
)

// item is an element of a response's input, as far as it may stand for one that the
// provider stores.
type item struct {
	ids     []string
	members int
	refers  bool // to another item
	image   bool // by a call
	results int  // of the call
	whole   bool // a result is there
}

// member reads a member that tells about the item, if it is one.
func (it *item) member(name []byte, c jsonscan.Cursor) {
	it.members++
	value := ""
	if c.Peek() == '"' {
		value = text(c.Text())
	}
	switch string(name) {
	case "id":
		if value != "" {
			it.ids = append(it.ids, value)
		}
	case "type":
		if c.Peek() == 'n' { // null is the same as none
			it.members--
		}
		it.refers, it.image = it.refers || value == itemReference, it.image || value == imageCall
	case "result":
		it.results++
		it.whole = value != ""
	}
}

// stored reports whether the item is one that the provider stores: it has nothing but an
// id, or it is an image without its bytes.
func (it *item) stored() bool {
	return it.refers || it.image && !(it.whole && it.results == 1) || it.members == len(it.ids)
}

// walker goes through JSON. It recurses down to jsonscan.MaxDepth: the depth of a request was
// checked before, that of an answer was not.
//
// over is set when the caller has ended the walk. A fault of the text ends it as
// well.
type walker struct {
	c      jsonscan.Cursor
	yield  func(Ref) bool
	answer bool // it is an answer
	past   bool // it is in the input: what the client tells of earlier answers
	over   bool
}

// value goes through the value at the cursor. Depth 0 is the whole document.
func (w *walker) value(depth int) {
	if depth > jsonscan.MaxDepth {
		w.c.Skip()
		return
	}
	switch w.c.Peek() {
	case '{':
		if w.answer {
			w.answerObject(depth)
		} else {
			w.object(depth)
		}
	case '[':
		w.c.Enter('[')
		for !w.over && w.c.Elem() {
			w.value(depth + 1)
		}
	default:
		w.c.Skip()
	}
}

// object goes through the members of an object. Fields of ids are read, foreign ones
// are skipped, and all others are gone into.
func (w *walker) object(depth int) { w.members(depth, nil) }

// members is object, for an item of the input too.
func (w *walker) members(depth int, it *item) {
	for raw, ok := w.c.First(); ok; raw, ok = w.c.Key() {
		name := folded(raw)
		f, known := fields[string(name)]
		if it != nil {
			it.member(name, w.c)
		}
		switch {
		case known && (depth == 0 || !f.top):
			w.ids(f, depth)
		case depth == 0 && (string(name) == inputField || string(name) == "items"):
			w.past = true
			w.input(depth + 1)
			w.past = false
		case foreign[string(name)], depth > 0 && string(name) == inputField:
			w.c.Skip()
		default:
			w.value(depth + 1)
		}
		if w.over {
			return
		}
	}
}

// input goes through the input of a response, or the items of a conversation.
func (w *walker) input(depth int) {
	if w.c.Peek() != '[' {
		w.value(depth)
		return
	}
	w.c.Enter('[')
	for !w.over && w.c.Elem() {
		if w.c.Peek() != '{' {
			w.value(depth + 1)
			continue
		}
		var it item
		w.members(depth+1, &it)
		if it.stored() {
			for _, id := range it.ids {
				w.yieldRef(Ref{Kind: Item, ID: id})
			}
		}
	}
}

// ids reads the value of a field that holds ids. Any other value is gone through as
// usual.
func (w *walker) ids(f field, depth int) {
	if f.only && w.c.Peek() != '{' {
		w.value(depth + 1)
		return
	}
	switch w.c.Peek() {
	case '"':
		w.found(f.kind, w.c.Text())
	case '[':
		w.c.Enter('[')
		for !w.over && w.c.Elem() {
			if w.c.Peek() == '"' {
				w.found(f.kind, w.c.Text())
			} else {
				w.value(depth + 1)
			}
		}
	case '{':
		if !f.object {
			w.object(depth + 1)
			return
		}
		w.holder(f, depth)
	default:
		w.c.Skip()
	}
}

// holder reads an object with an id, such as a conversation's.
func (w *walker) holder(f field, depth int) {
	id := f.id
	if id == "" {
		id = "id"
	}
	for raw, ok := w.c.First(); ok; raw, ok = w.c.Key() {
		name := folded(raw)
		inner, known := fields[string(name)]
		switch {
		case string(name) == id && w.c.Peek() == '"':
			w.found(f.kind, w.c.Text())
		case known && !inner.top:
			w.ids(inner, depth+1)
		default:
			w.value(depth + 1)
		}
		if w.over {
			return
		}
	}
}

// found hands an id to the caller, who may end the walk.
func (w *walker) found(kind Kind, raw []byte) {
	if id := text(raw); id != "" {
		w.yieldRef(Ref{Kind: kind, ID: id, Past: kind == Container && w.past})
	}
}

// yieldRef hands on a reference.
func (w *walker) yieldRef(ref Ref) {
	if !w.over {
		w.over = !w.yield(ref)
	}
}

// folded is a name as a lenient parser reads it: decoded, up to a NUL, in lower case.
//
// A name of plain ASCII in lower case, as nearly all are, is returned without a
// copy.
func folded(raw []byte) []byte {
	plain := true
	for _, c := range raw {
		if c == '\\' || c >= 0x80 || 'A' <= c && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return raw
	}
	name, _, _ := bytes.Cut([]byte(text(raw)), []byte{0})
	name = bytes.ReplaceAll(bytes.ToValidUTF8(name, nil), []byte("\uFFFD"), nil)
	for field := range fields {
		if bytes.EqualFold(name, []byte(field)) { // the long s folds to an s, and lower case keeps it
			return []byte(field)
		}
	}
	return bytes.ToLower(name)
}

// text decodes the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD.
func text(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw)
	}
	var s string
	quoted := append(append([]byte{'"'}, raw...), '"')
	if json.Unmarshal(quoted, &s) != nil {
		return ""
	}
	return s
}

// InAnswer returns the ids of a made thing that a JSON answer tells: its own, and those
// of files that a batch wrote or that an upload became. The answer may be cut off behind
// them.
func InAnswer(kind Kind, answer []byte) []Ref {
	var refs []Ref
	c := jsonscan.Lenient(answer)
	for name, ok := c.First(); ok; name, ok = c.Key() {
		refs = member(refs, kind, name, &c)
	}
	return refs
}

// member reads a top-level member of an answer, and moves the cursor behind it.
//
// An id that is not [Valid] is not remembered: no path could hold it later.
func member(refs []Ref, kind Kind, name []byte, c *jsonscan.Cursor) []Ref {
	of := None
	switch {
	case string(name) == "id":
		of = kind
	case kind == Batch && (string(name) == "output_file_id" || string(name) == "error_file_id"):
		of = File
	case kind == Upload && string(name) == "file" && c.Peek() == '{':
		refs = append(refs, InAnswer(File, c.Rest())...)
		c.Skip()
		return refs
	}
	if of == None || c.Peek() != '"' {
		c.Skip()
		return refs
	}
	raw := c.Text()
	if id := text(raw); !c.Bad() && Valid(id) {
		refs = append(refs, Ref{Kind: of, ID: id})
	}
	return refs
}

// InEvent returns the id of the thing that an event of a stream is about: the first
// event of a stream tells it.
//
// The answer stands under "response", or under "message" in the messages format:
//
//	{"type": "response.created", "response": {"id": "resp_1", …}}
func InEvent(kind Kind, data []byte) (Ref, bool) {
	answer := "response"
	if kind == Message {
		answer = "message"
	}
	c := jsonscan.Lenient(data)
	for name, ok := c.First(); ok; name, ok = c.Key() {
		if string(name) != answer || c.Peek() != '{' {
			c.Skip()
			continue
		}
		if refs := InAnswer(kind, c.Rest()); len(refs) > 0 {
			return refs[0], true
		}
		break
	}
	return Ref{}, false
}

// Items returns the ids of the items in an answer with a response, a list of items or one
// item, or in the event that ends an item.
func Items(data []byte) []Ref {
	var refs []Ref
	c := jsonscan.Lenient(data)
	for name, ok := c.First(); ok; name, ok = c.Key() {
		switch {
		case string(name) == "item" && c.Peek() == '{':
			refs = append(refs, InAnswer(Item, c.Rest())...)
			c.Skip()
		case (string(name) == "output" || string(name) == "data") && c.Enter('['):
			for c.Elem() {
				if c.Peek() == '{' {
					refs = append(refs, InAnswer(Item, c.Rest())...)
				}
				c.Skip()
			}
		default:
			c.Skip()
		}
	}
	return refs
}

// itemDone is in the event that ends an item.
const itemDone = `"response.output_item.done"`

// Made returns the containers that a model's answer, or an event of it, worked in, the
// files that its code wrote there, and what it said aloud.
func Made(data []byte) []Ref {
	if !bytes.Contains(data, []byte(`"container`)) && !bytes.Contains(data, []byte(writtenFile)) && !bytes.Contains(data, []byte(`"audio"`)) {
		return nil
	}
	var refs []Ref
	w := walker{c: jsonscan.Lenient(data), answer: true, yield: func(r Ref) bool {
		if Valid(r.ID) && !slices.Contains(refs, r) {
			refs = append(refs, r)
		}
		return true
	}}
	w.value(0)
	return refs
}

// writtenFile ends the type of an object with a file that code of a model wrote, in the
// messages format. Other files in an answer are only mentioned.
const writtenFile = `code_execution_output"`

// answerObject goes through an object of an answer.
//
// The type of an object may follow its file_id, so the file is judged at the
// end.
func (w *walker) answerObject(depth int) {
	var file []byte
	written := false
	for raw, ok := w.c.First(); ok; raw, ok = w.c.Key() {
		switch name := folded(raw); string(name) {
		case "container", "container_id":
			w.holding(Container)
		case "audio":
			if w.c.Peek() == '{' {
				w.holding(Audio)
			} else {
				w.c.Skip()
			}
		case "type":
			kind := w.c.Text()
			written = written || bytes.HasSuffix(kind, []byte(strings.TrimSuffix(writtenFile, `"`)))
		case "file_id":
			file = w.c.Text()
		case "instructions", "tools": // the client's own words
			w.c.Skip()
		default:
			if foreign[string(name)] || depth > 0 && string(name) == inputField {
				w.c.Skip()
				continue
			}
			w.value(depth + 1)
		}
	}
	if written {
		w.found(File, file)
	}
}

// holding reads what an answer has of a kind: its id, or an object with it.
func (w *walker) holding(kind Kind) {
	if w.c.Peek() != '{' {
		w.found(kind, w.c.Text())
		return
	}
	for name, ok := w.c.First(); ok; name, ok = w.c.Key() {
		if string(name) == "id" {
			w.found(kind, w.c.Text())
		} else {
			w.c.Skip()
		}
	}
}
