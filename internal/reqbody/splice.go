package reqbody

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Edit changes one top-level field of a body, JSON or a form.
//
// A present field gets the value in its place. An absent one is added at the end.
// Of a repeated field the last one gets the value, and the others go. Of several
// edits with the same name the last counts.
type Edit struct {
	Name  string
	Value []byte // raw JSON, also for a form. Nil or empty removes the field
}

// errNotScanned is for a caller who overlooks a failed scan.
var errNotScanned = errors.New("there is no body to splice")

// editSet finds the edit for a name.
type editSet struct {
	edits []Edit
	index map[string]int // nil for few edits: they are faster to compare
	last  []int          // per edit, the last field with its name, or -1
	room  [4]int         // for last
}

// keep checks that each value is JSON, and keeps the edits.
func (s *editSet) keep(edits []Edit) error {
	s.edits = edits
	s.last = append(s.room[:0], make([]int, len(edits))...)
	for i, e := range edits {
		s.last[i] = -1
		if len(e.Value) > 0 && !jsonscan.IsValue(e.Value) {
			return fmt.Errorf("the value for %q is not JSON", e.Name)
		}
	}
	// An allowlist makes an edit for each field beside it, and a client may send
	// thousands.
	if len(edits) > 16 {
		s.index = make(map[string]int, len(edits))
		for i, e := range edits {
			s.index[e.Name] = i
		}
	}
	return nil
}

// find returns the index of the last edit for a name, or -1.
func (s *editSet) find(name []byte) int {
	if s.index != nil {
		if i, ok := s.index[string(name)]; ok {
			return i
		}
		return -1
	}
	for i := len(s.edits) - 1; i >= 0; i-- {
		if s.edits[i].Name == string(name) {
			return i
		}
	}
	return -1
}

// adds reports whether edit i is one of an absent field.
// Of several edits with one name only the last adds.
func (s *editSet) adds(i int) bool {
	e := &s.edits[i]
	return s.last[i] < 0 && len(e.Value) > 0 && s.find([]byte(e.Name)) == i
}

// Splice returns the object with the edits made, and every other byte as the
// client sent it. A removed member takes one comma and the white space before it
// along, or behind it at the start of the object. The body aliases the scanned
// bytes and the edits' values. The error is the caller's mistake, never the
// client's: a value is not JSON, or d holds no object.
//
// The time is linear in the members: up to 16 edits are compared one by one,
// more are looked up.
func (d *Document) Splice(edits []Edit) (*Body, error) {
	if len(d.src) == 0 {
		return nil, errNotScanned
	}
	if len(edits) == 0 {
		return Whole(d.src), nil
	}
	var set editSet
	if err := set.keep(edits); err != nil {
		return nil, err
	}
	members := d.members()
	for i := range members {
		if e := set.find(d.name(&members[i])); e >= 0 {
			set.last[e] = i
		}
	}

	out := splicer{src: d.src, body: newBody()}
	end := d.open + 1 // of the member before, or of the opening brace
	kept := 0
	for i := range members {
		m := &members[i]
		e := set.find(d.name(m))
		drop := e >= 0 && (set.last[e] != i || len(edits[e].Value) == 0)
		switch {
		case drop && kept > 0:
			out.cut(end, m.value.end)
		case !drop && kept == 0 && i > 0:
			// Nothing is left before m: the comma before it goes. The white space at
			// the start of the object stays.
			out.cut(members[0].key.start, m.key.start)
		}
		if !drop {
			kept++
			// An unchanged value is not cut out: a body in one piece is
			// cheaper to send than one in three.
			if e >= 0 && !bytes.Equal(edits[e].Value, d.value(m)) {
				out.put(m.value.start, edits[e].Value)
				out.cut(m.value.start, m.value.end)
			}
		}
		end = m.value.end
	}
	if kept == 0 {
		out.cut(d.open+1, end)
	}

	added := out.body.room[:0]
	for i, e := range edits {
		if !set.adds(i) {
			continue
		}
		added = slices.Grow(added, len(e.Name)+len(e.Value)+len(`,"":`))
		if kept > 0 || len(added) > 0 {
			added = append(added, ',')
		}
		added = appendQuoted(added, e.Name)
		added = append(added, ':')
		added = append(added, e.Value...)
	}
	if len(added) > 0 {
		out.put(end, added)
	}
	return out.finish(), nil
}

// Splice returns the form with the edits made, and every other byte as the
// client sent it. The JSON value of an edit becomes a part's text: a string its
// text, a number, boolean or object its JSON. A list becomes one part for each
// element, called name[], in place of the earlier ones. Forms have no null, so null
// removes the field. The headers of a changed part stay, but a Content-Length is
// updated. A new part goes before the final boundary.
//
// The error is an edit that cannot be written into this form: its value is not JSON
// or contains the form's boundary, or a new name is empty or has a control
// character in it.
func (f *Form) Splice(edits []Edit) (*Body, error) {
	if len(f.src) == 0 {
		return nil, errNotScanned
	}
	if len(edits) == 0 {
		return Whole(f.src), nil
	}
	var set editSet
	if err := set.keep(edits); err != nil {
		return nil, err
	}
	texts := make([][][]byte, len(edits)) // one per future part, empty to remove
	for i, e := range edits {
		texts[i] = formTexts(e.Value)
		for _, text := range texts[i] {
			if bytes.Contains(text, f.boundary) {
				return nil, fmt.Errorf("the value for %q has the form's boundary in it", e.Name)
			}
		}
	}
	parts := f.parts()
	for i := range parts {
		// A value that is not a list needs a part of the exact name.
		e := set.find(fieldName(parts[i].name))
		if e >= 0 && len(parts[i].name) == len(edits[e].Name) && !isList(edits[e].Value) {
			set.last[e] = i
		}
	}

	out := splicer{src: f.src, body: newBody()}
	kept := 0
	for i := range parts {
		p := &parts[i]
		e := set.find(fieldName(p.name))
		if e >= 0 && (set.last[e] != i || texts[e] == nil) {
			out.cut(p.start, f.partEnd(i))
			continue
		}
		kept++
		if e >= 0 && !bytes.Equal(texts[e][0], f.value(p)) {
			if p.length != (span{}) {
				out.put(p.length.start, strconv.AppendInt(nil, int64(len(texts[e][0])), 10))
				out.cut(p.length.start, p.length.end)
			}
			out.put(p.body.start, texts[e][0])
			out.cut(p.body.start, p.body.end)
		}
	}
	var added []byte
	var err error
	for i, e := range edits {
		if set.last[i] >= 0 || set.find([]byte(e.Name)) != i {
			continue
		}
		name := e.Name
		if isList(e.Value) {
			name += "[]"
		}
		for _, text := range texts[i] {
			if added, err = f.appendPart(added, name, text); err != nil {
				return nil, err
			}
		}
	}
	if f.newline == "\n" && kept == 0 && added == nil {
		// A reader learns from the first boundary line how lines end. Here the final
		// line would be the only one, and LF would not do.
		return nil, &InvalidError{Msg: "the form would have no part left"}
	}
	out.put(f.final, added)
	return out.finish(), nil
}

// partEnd is the offset of the boundary line after part i.
// The last part ends at the final boundary.
func (f *Form) partEnd(i int) int {
	if i+1 < f.n {
		return f.parts()[i+1].start
	}
	return f.final
}

// appendPart writes a part with a name and a text, in the line ends of the form:
//
//	--B\r\n
//	Content-Disposition: form-data; name="model"\r\n
//	\r\n
//	whisper-1\r\n
func (f *Form) appendPart(dst []byte, name string, text []byte) ([]byte, error) {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7F }) {
		return nil, fmt.Errorf("the name %q cannot be written into a form", name)
	}
	dst = append(append(dst, f.boundary...), f.newline...)
	dst = append(dst, `Content-Disposition: form-data; name="`...)
	for i := range len(name) {
		if name[i] == '"' || name[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, name[i])
	}
	dst = append(append(append(dst, '"'), f.newline...), f.newline...)
	return append(append(dst, text...), f.newline...), nil
}

// formTexts returns a JSON value as the texts of form parts.
// Null and an empty value give an empty list. The value was checked, so the walk over a
// list needs no look at errors.
func formTexts(value []byte) [][]byte {
	value = bytes.Trim(value, " \t\r\n")
	switch {
	case len(value) == 0 || value[0] == 'n':
		return nil
	case value[0] == '"':
		return [][]byte{[]byte(unquote(value))}
	case value[0] != '[':
		return [][]byte{value}
	}
	var texts [][]byte
	for i := jsonscan.SkipSpace(value, 1); value[i] != ']'; {
		start := i
		i, _ = jsonscan.SkipValue(value, i)
		if element := value[start:i]; element[0] == '"' {
			texts = append(texts, []byte(unquote(element)))
		} else {
			texts = append(texts, element)
		}
		if i = jsonscan.SkipSpace(value, i); value[i] == ',' {
			i = jsonscan.SkipSpace(value, i+1)
		}
	}
	return texts
}

// isList reports whether a checked JSON value is a list.
func isList(value []byte) bool {
	value = bytes.TrimLeft(value, " \t\r\n")
	return len(value) > 0 && value[0] == '['
}
