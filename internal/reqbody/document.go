package reqbody

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Document is a JSON object as [Scan] found it: the places of its top-level
// members. The zero Document is an object without members, and cannot be spliced. A
// scanned Document is safe for concurrent use.
//
// Of a repeated name the last member counts, as in encoding/json and in the JSON
// parsers of Python and JavaScript.
type Document struct {
	src  []byte
	open int // offset of the object's '{'

	n       int
	inline  [16]member // the members, while there are no more of them
	spilled []member   // all members, once there are more
	decoded [][]byte   // the names with escapes
}

// span is a place in the source: from start up to end, without it.
type span struct{ start, end int }

// member is a top-level member, by its place in the source.
type member struct {
	key, value span // the key with its quotes
	decoded    int  // 1 + index into Document.decoded; 0 for a key without escapes
}

// reset forgets the members of an earlier body.
func (d *Document) reset(src []byte) {
	d.src, d.open, d.n, d.spilled, d.decoded = src, 0, 0, nil, nil
}

// add keeps the first members inline, so that usual bodies need no allocation.
func (d *Document) add(m member) {
	switch {
	case d.n < len(d.inline):
		d.inline[d.n] = m
	case d.n == len(d.inline):
		d.spilled = append(make([]member, 0, 4*len(d.inline)), d.inline[:]...)
		fallthrough
	default:
		d.spilled = append(d.spilled, m)
	}
	d.n++
}

// members are all members in their order.
func (d *Document) members() []member {
	if d.spilled != nil {
		return d.spilled
	}
	return d.inline[:d.n]
}

// name returns the decoded name of m.
func (d *Document) name(m *member) []byte {
	if m.decoded > 0 {
		return d.decoded[m.decoded-1]
	}
	return d.src[m.key.start+1 : m.key.end-1]
}

// value is the member's text, never empty: a scanned member has a value.
func (d *Document) value(m *member) []byte { return d.src[m.value.start:m.value.end] }

// Names yields the name of each top-level member in order, a repeated name
// each time. Names are decoded: "mod\u0065l" is model.
func (d *Document) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range d.members() {
			if !yield(string(d.name(&d.members()[i]))) {
				return
			}
		}
	}
}

// Get returns the value of the member called name as the client wrote it,
// without the white space around it. It aliases the scanned bytes.
func (d *Document) Get(name string) (value []byte, ok bool) {
	members := d.members()
	for i := len(members) - 1; i >= 0; i-- {
		if string(d.name(&members[i])) == name {
			return d.value(&members[i]), true
		}
	}
	return nil, false
}

// String returns the text of the member called name. present: there is such a
// member, null included. isString: it is a string.
//
// A name in another spelling is another member, see [Alike].
func (d *Document) String(name string) (text string, present, isString bool) {
	value, ok := d.Get(name)
	if !ok || value[0] != '"' {
		return "", ok, false
	}
	return unquote(value), true, true
}

// Number returns the member called name as a number. present: there is such a
// member, null included. isNumber: it is a number. A number beyond the range of a
// float64 is an infinity, and so above every limit.
func (d *Document) Number(name string) (n float64, present, isNumber bool) {
	value, ok := d.Get(name)
	if !ok || kindOf(value[0]) != "a number" {
		return 0, ok, false
	}
	// The only possible error is one of range. It comes with the infinity.
	n, _ = strconv.ParseFloat(string(value), 64)
	return n, true, true
}

// Bool returns the member called name as a boolean. ok is false for other values and
// without the member.
func (d *Document) Bool(name string) (b, ok bool) {
	value, _ := d.Get(name)
	switch string(value) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// Selection is the fields of a body that pick a route.
type Selection struct {
	Model    string   // empty if absent or null
	HasModel bool     // model is there, and is not null
	Models   []string // nil if absent or null
	Stream   bool     // the client asks for a stream
}

// The names of the fields that pick a route.
const (
	modelField  = "model"
	modelsField = "models"
	streamField = "stream"
)

// Selection returns the fields that pick a route. The error is an
// [*InvalidError]: model is not a string, models is not a list of strings (null
// counts as absent for both), one of them is repeated, or a name is [Alike] one of
// them. A stream other than true is false, but for what lenient servers take for true, such
// as "true" and 1. The upstream will have its opinion.
func (d *Document) Selection() (Selection, error) {
	var model, models *member
	members := d.members()
	for i := range members {
		name := d.name(&members[i])
		field := selects(name)
		if field == "" {
			continue
		}
		if err := checkSpelling(name, field); err != nil {
			return Selection{}, err
		}
		seen := &model
		if field == modelsField {
			seen = &models
		}
		if *seen != nil {
			return Selection{}, errTwice(field)
		}
		*seen = &members[i]
	}

	var s Selection
	if model != nil {
		switch value := d.value(model); value[0] {
		case '"':
			s.Model, s.HasModel = unquote(value), true
		case 'n':
		default:
			return Selection{}, &InvalidError{
				Name: modelField,
				Msg:  fmt.Sprintf("%q must be a string, not %s", modelField, kindOf(value[0])),
			}
		}
	}
	if models != nil {
		var err error
		if s.Models, err = stringList(modelsField, d.value(models)); err != nil {
			return Selection{}, err
		}
	}
	s.Stream = d.asks(streamField)
	return s, nil
}

// asks reports whether a member is true, or 1, or a text that [IsTrue].
func (d *Document) asks(name string) bool {
	value, _ := d.Get(name)
	switch {
	case len(value) == 0:
		return false
	case value[0] == '"':
		return IsTrue(string(value[1 : len(value)-1]))
	}
	return string(value) == "true" || string(value) == "1"
}

// SaysNothing reports whether a body is null or an empty list. Some clients write so where
// there is nothing to say: PHP's empty array is a list, and Rust's unit is null.
func SaysNothing(body []byte) bool {
	c := jsonscan.Lenient(body)
	if c.Peek() == '[' {
		empty := c.Enter('[') && !c.Elem()
		return empty && !c.Bad() && jsonscan.IsValue(body)
	}
	return string(bytes.TrimSpace(body)) == "null"
}

// IsTrue reports whether a text of a form, a query or JSON is one that servers in Python
// take for true.
func IsTrue(text string) bool {
	switch strings.ToLower(text) {
	case "true", "t", "yes", "y", "on", "1":
		return true
	}
	return false
}

// selects returns the field, model or models, that a name is or is alike. It is
// empty for other names.
func selects(name []byte) string {
	name = readable(name)
	switch {
	case len(name) == 0 || name[0]|0x20 != 'm': // no other letter folds to an m
		return ""
	case bytes.EqualFold(name, []byte(modelField)):
		return modelField
	case bytes.EqualFold(name, []byte(modelsField)):
		return modelsField
	}
	return ""
}

// Alike reports whether some parser may take name for field. Case is folded as in
// encoding/json ("modelſ" is models). Broken UTF-8 is left out ("mod\xffel"). A NUL
// ends the name, as it ends a string of C.
func Alike(name, field string) bool {
	return strings.EqualFold(string(readable([]byte(name))), field)
}

// readable is a name up to a NUL, without broken UTF-8 and its replacement
// character.
func readable(name []byte) []byte {
	if !bytes.ContainsFunc(name, func(r rune) bool { return r == 0 || r == utf8.RuneError }) {
		return name
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	return bytes.ReplaceAll(bytes.ToValidUTF8(name, nil), []byte("\uFFFD"), nil)
}

// checkSpelling reports a name that an upstream could take for the field.
func checkSpelling(name []byte, field string) error {
	if string(name) == field {
		return nil
	}
	if !bytes.EqualFold(name, []byte(field)) {
		return errAlike(name, field)
	}
	return &InvalidError{Name: string(name), Msg: fmt.Sprintf("%q differs from %q only in case", name, field)}
}

// errAlike is the error of a name with broken characters in it.
func errAlike(name []byte, field string) error {
	return &InvalidError{Name: string(name), Msg: fmt.Sprintf("%q may be taken for %q", name, field)}
}

// errTwice is the error of a repeated field: parsers disagree on which one
// counts.
func errTwice(name string) error {
	return &InvalidError{Name: name, Msg: fmt.Sprintf("%q appears twice", name)}
}

// stringList reads a checked JSON value as a list of strings.
//
// null is nil, and an empty list is not. value was scanned, so its syntax is
// sound.
func stringList(name string, value []byte) ([]string, error) {
	switch value[0] {
	case 'n':
		return nil, nil
	case '[':
	default:
		return nil, &InvalidError{
			Name: name, Msg: fmt.Sprintf("%q must be a list of strings, not %s", name, kindOf(value[0])),
		}
	}
	list := []string{}
	for i := jsonscan.SkipSpace(value, 1); value[i] != ']'; {
		if value[i] != '"' {
			return nil, &InvalidError{
				Name: name,
				Msg:  fmt.Sprintf("%q must be a list of strings, but element %d is %s", name, len(list), kindOf(value[i])),
			}
		}
		if len(list) == maxMembers {
			return nil, &InvalidError{Name: name, Msg: fmt.Sprintf("%q has more than %d elements", name, maxMembers)}
		}
		start := i
		i, _ = jsonscan.SkipString(value, i+1)
		list = append(list, unquote(value[start:i]))
		if i = jsonscan.SkipSpace(value, i); value[i] == ',' {
			i = jsonscan.SkipSpace(value, i+1)
		}
	}
	return list, nil
}

// kindOf names the kind of a value by its first byte. It is empty if no value starts
// with the byte.
func kindOf(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	if first == '-' || first >= '0' && first <= '9' {
		return "a number"
	}
	return ""
}

// unquote decodes a checked JSON string.
func unquote(quoted []byte) string {
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
		return string(text)
	}
	var s string
	// It cannot fail: the string was checked. encoding/json has the last word on
	// escapes and broken UTF-8.
	_ = json.Unmarshal(quoted, &s)
	return s
}

// Quote returns s as a JSON string. Unlike encoding/json it leaves <, > and &
// as they are; invalid UTF-8 becomes U+FFFD.
func Quote(s string) []byte {
	return appendQuoted(make([]byte, 0, len(s)+2), s)
}

// appendQuoted appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
