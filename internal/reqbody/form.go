package reqbody

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Form is a multipart/form-data body as [ScanForm] found it. It has the methods of
// a [Document]. The parts of a field have its name, or its name with "[]" behind
// it, as SDKs write the elements of an array. Of a repeated name the last part
// counts. The zero Form has no parts. A scanned Form is safe for concurrent use.
type Form struct {
	src      []byte
	boundary []byte // with the two dashes before it
	newline  string // "\r\n", or "\n" throughout
	final    int    // offset of the final boundary line

	n       int
	inline  [16]part // the parts, while there are no more of them
	spilled []part   // all parts, once there are more
}

// part is one part of a form, by its place in the source.
type part struct {
	start  int    // offset of the boundary line before it
	name   []byte // decoded
	length span   // the value of its Content-Length header; zero without one
	body   span
	file   bool // it has a file name, be it an empty one
}

// reset forgets the parts, and the source with them.
func (f *Form) reset() { *f = Form{} }

// add keeps the first parts inline, so that usual forms need no allocation.
func (f *Form) add(p part) {
	switch {
	case f.n < len(f.inline):
		f.inline[f.n] = p
	case f.n == len(f.inline):
		f.spilled = append(make([]part, 0, 4*len(f.inline)), f.inline[:]...)
		fallthrough
	default:
		f.spilled = append(f.spilled, p)
	}
	f.n++
}

// parts are all parts in their order.
func (f *Form) parts() []part {
	if f.spilled != nil {
		return f.spilled
	}
	return f.inline[:f.n]
}

// value is the content of a part, without the line end before its boundary.
func (f *Form) value(p *part) []byte { return f.src[p.body.start:p.body.end] }

// fieldName is the field of a part with the name.
func fieldName(name []byte) []byte { return bytes.TrimSuffix(name, []byte("[]")) }

// Names yields the field name of each part in order, a repeated name each
// time.
func (f *Form) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, p := range f.parts() {
			if !yield(string(fieldName(p.name))) {
				return
			}
		}
	}
}

// Member is a part of a form. Name and Value alias the scanned bytes, or memory of the
// form, and must not be changed.
type Member struct {
	Name  []byte // as the client wrote it, "[]" included
	Value []byte
	File  bool // it has a file name
}

// Members yields the parts in order.
func (f *Form) Members() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		parts := f.parts()
		for i := range parts {
			if !yield(Member{parts[i].name, f.value(&parts[i]), parts[i].file}) {
				return
			}
		}
	}
}

// Get returns the content of the last part of the field called name, a file's
// included. It aliases the scanned bytes.
func (f *Form) Get(name string) (value []byte, ok bool) {
	if p := f.last(name); p != nil {
		return f.value(p), true
	}
	return nil, false
}

// last returns the last part of a name, nil without one. Servers take the last of
// several.
func (f *Form) last(name string) *part {
	parts := f.parts()
	for i := len(parts) - 1; i >= 0; i-- {
		if string(fieldName(parts[i].name)) == name {
			return &parts[i]
		}
	}
	return nil
}

// String returns the text of the field called name. present: there is such a
// field. isString: it is not a file.
func (f *Form) String(name string) (text string, present, isString bool) {
	p := f.last(name)
	if p == nil || p.file {
		return "", p != nil, false
	}
	return string(f.value(p)), true, true
}

// Number returns the field called name as a number. present: there is such a
// field. isNumber: its text is a number in JSON. A number beyond the range of a
// float64 is an infinity.
func (f *Form) Number(name string) (n float64, present, isNumber bool) {
	text, present, isString := f.String(name)
	if !isString || text == "" || kindOf(text[0]) != "a number" || !jsonscan.IsValue([]byte(text)) {
		return 0, present, false
	}
	n, _ = strconv.ParseFloat(strings.TrimRight(text, " \t\r\n"), 64)
	return n, true, true
}

// Bool returns the field called name as a boolean. ok is false for other texts and
// without the field. Case does not matter: Python's str writes True.
func (f *Form) Bool(name string) (b, ok bool) {
	text, _, _ := f.String(name)
	switch strings.ToLower(text) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// asks reports whether the field called name is a text that [IsTrue].
func (f *Form) asks(name string) bool {
	text, _, _ := f.String(name)
	return IsTrue(text)
}

// Selection returns the fields that pick a route. models is a repeated field. The
// error is an [*InvalidError]:
//   - model is repeated
//   - a value is a file, or not UTF-8
//   - a value is longer or shorter than its Content-Length: a reader could cut
//     "gpt-4o-mini" to "gpt-4o"
//   - a name may be taken for model or models by another reader: it differs in
//     case, is percent-encoded, or has an index, as in "models[0]"
func (f *Form) Selection() (Selection, error) {
	var s Selection
	seen := false
	for i := range f.parts() {
		p := &f.parts()[i]
		field, err := formSelects(p.name)
		if err != nil {
			return Selection{}, err
		}
		if field == "" {
			continue
		}
		if p.file {
			return Selection{}, &InvalidError{Name: field, Msg: fmt.Sprintf("%q must be a text field, not a file", field)}
		}
		value := f.value(p)
		if !utf8.Valid(value) {
			return Selection{}, &InvalidError{Name: field, Msg: fmt.Sprintf("%q is not valid UTF-8", field)}
		}
		if said := f.src[p.length.start:p.length.end]; p.length != (span{}) && string(said) != strconv.Itoa(len(value)) {
			return Selection{}, &InvalidError{
				Name: field, Msg: fmt.Sprintf("%q has the Content-Length %q, but %d bytes", field, clip(said), len(value)),
			}
		}
		switch {
		case field == modelsField:
			s.Models = append(s.Models, string(value))
		case seen:
			return Selection{}, errTwice(field)
		default:
			seen = true
			s.Model, s.HasModel = string(value), true
		}
	}
	s.Stream = f.asks(streamField)
	return s, nil
}

// formSelects returns the field, model or models, of a part's name, and an error if
// readers may disagree on it.
//
// Percent signs, indexes and white space are read as some server might read
// them. Only the plain spellings are accepted.
func formSelects(name []byte) (string, error) {
	base := bytes.TrimSpace(percentDecode(name))
	if i := bytes.IndexByte(base, '['); i >= 0 {
		base = base[:i]
	}
	field := selects(base)
	switch {
	case field == "" || string(name) == field || string(name) == modelsField+"[]":
		return field, nil
	case len(name) == len(field):
		return "", checkSpelling(name, field)
	}
	return "", errAlike(name, field)
}

// percentDecode decodes %XX the way some form parsers do: browsers send a
// quote in a name as %22.
//
// An incomplete escape stays as it is.
func percentDecode(name []byte) []byte {
	if bytes.IndexByte(name, '%') < 0 {
		return name
	}
	decoded := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) && jsonscan.IsHex(name[i+1]) && jsonscan.IsHex(name[i+2]) {
			n, _ := strconv.ParseUint(string(name[i+1:i+3]), 16, 8)
			decoded = append(decoded, byte(n))
			i += 2
			continue
		}
		decoded = append(decoded, name[i])
	}
	return decoded
}
