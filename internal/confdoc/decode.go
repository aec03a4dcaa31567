package confdoc

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/redact"
	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// fields are the fields of a struct that a document may have, by name.
type fields struct {
	names []string
	index map[string]int
	// first is the leading field where it is required, for hints.
	first string
}

// fieldsOf returns the fields of a type, listed once a document.
func (d *Document) fieldsOf(t reflect.Type) fields {
	f, ok := d.fields[t]
	if !ok {
		f = fieldsOf(t)
		d.fields[t] = f
	}
	return f
}

// fieldsOf lists the tagged fields of a struct type. A field tagged "-" is not part
// of a document.
func fieldsOf(t reflect.Type) fields {
	f := fields{index: make(map[string]int)}
	for i := range t.NumField() {
		name, option, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if i == 0 && option == "" {
			f.first = name
		}
		f.names = append(f.names, name)
		f.index[name] = i
	}
	return f
}

// visit counts a node and follows an alias. The decoder calls it for each node
// before it looks at one. False means not to look.
func (d *Document) visit(n *yaml.Node, at *place) (*yaml.Node, bool) {
	n = unaliased(n)
	if d.stopped {
		return n, false
	}
	d.nodes++
	d.text += len(n.Value)
	switch {
	case at.depth > maxDepth:
		// An anchor that holds its own alias ends here as well.
		d.stop(n, at, "nested more than %d levels deep", maxDepth)
	case d.nodes > maxNodes:
		d.stop(n, at, "the document holds more than %d values, with aliases counted where they are used", maxNodes)
	case d.text > maxText:
		d.stop(n, at, "the document holds more than %d bytes of text, with aliases counted where they are used", maxText)
	case n.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!seq", "!!map"}, n.Tag):
		// To YAML, a password that starts with ! is a tag.
		tag := redact.Shorten(n.Tag)
		if at.secret || redact.LooksSecret(n.Tag) {
			tag = "(!…)"
		}
		d.faultAt(n.Line, at, "the tag %s is not supported: leave it out, or put a text that starts with ! in quotes", tag)
		return n, false
	}
	return n, !d.stopped
}

// entries lists the entries of a mapping, in its order, and then those of its merge
// keys (<<). A key of the mapping itself wins over a merged one; of several merged
// mappings, the first wins.
//
// A key that is given twice is a fault, and its first value counts. Merging
// copies no values: merged entries share the nodes of their mapping.
func (d *Document) entries(n *yaml.Node, at *place) []Entry {
	list := make([]Entry, 0, len(n.Content)/2)
	lines := make(map[string]int)
	var merges []*yaml.Node
	for pair := range slices.Chunk(n.Content, 2) {
		key, ok := d.visit(pair[0], at)
		switch {
		case d.stopped:
			return nil
		case !ok:
			continue
		case key.Tag == "!!merge":
			merges = append(merges, pair[1])
			continue
		case key.Tag != "!!str" && key.Tag != "!!timestamp":
			d.faultAt(key.Line, at, "a key must be a string, not %s: put it in quotes", describe(key))
			continue
		}
		if line, twice := lines[key.Value]; twice {
			d.faultAt(key.Line, at.key(key.Value), "duplicate key: it is also on line %d", line)
			continue
		}
		lines[key.Value] = key.Line
		list = append(list, Entry{key.Value, Value{d, pair[1], at.key(key.Value)}, key.Line, at})
	}
	for _, m := range merges {
		for _, e := range d.merged(m, at.key("<<")) {
			if _, given := lines[e.Name]; !given {
				lines[e.Name] = e.line
				e.Value.at, e.parent = at.key(e.Name), at
				list = append(list, e)
			}
		}
	}
	return list
}

// merged lists the entries under a merge key, whose value is a mapping or a list of
// mappings.
// The fields of several mappings stand in their order, so that entries takes the
// first of each name.
func (d *Document) merged(n *yaml.Node, at *place) []Entry {
	n, ok := d.visit(n, at)
	switch {
	case !ok:
		return nil
	case n.Kind == yaml.MappingNode:
		return d.entries(n, at)
	case n.Kind != yaml.SequenceNode:
		d.fault(n, at, "a merge key takes a mapping or a list of mappings, not %s", describe(n))
		return nil
	}
	var list []Entry
	for i, item := range n.Content {
		// A list in the list is refused: merging is one level deep.
		if item, ok := d.visit(item, at.item(i)); ok && item.Kind == yaml.MappingNode {
			list = append(list, d.entries(item, at.item(i))...)
		} else if ok {
			d.fault(item, at.item(i), "must be a mapping, not %s", describe(item))
		}
	}
	return list
}

// value stores the node in v.
//
// v must be settable.
func (d *Document) value(n *yaml.Node, v reflect.Value, at *place) {
	line := n.Line
	n, ok := d.visit(n, at)
	if !ok {
		return
	}
	if n.Line != line {
		// Faults show the line of the alias, not that of its anchor.
		here := *n
		here.Line = line
		n = &here
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, at)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), at)
	case reflect.Slice:
		d.list(n, v, at)
	case reflect.Map:
		d.mapping(n, v, at)
	case reflect.Interface:
		if free := d.free(n, at); free != nil {
			v.Set(reflect.ValueOf(free))
		}
	default:
		d.scalar(n, v, at)
	}
}

// structure decodes a mapping with known keys. A null leaves its field alone:
// tools that generate a document write one for an empty value.
//
// An unknown key is a fault, with the known name that was probably meant.
func (d *Document) structure(n *yaml.Node, v reflect.Value, at *place) {
	fields := d.fieldsOf(v.Type())
	if n.Kind != yaml.MappingNode {
		hint := ""
		if fields.first != "" {
			hint = fmt.Sprintf(" with %q", fields.first)
		}
		d.fault(n, at, "must be a mapping%s, not %s", hint, describe(n))
		return
	}
	d.assign(d.entries(n, at), v, nil)
}

// list decodes a list. A null in it is a fault of the item's own type: an item does
// not have a default.
func (d *Document) list(n *yaml.Node, v reflect.Value, at *place) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, at, "must be a list, not %s", describe(n))
		return
	}
	if len(n.Content) == 0 {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0)) // an empty list is not a missing one
	}
	// Grown item by item: the limits have not seen the later items yet.
	for i, item := range n.Content {
		if d.stopped {
			return
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(item, elem, at.item(i))
		v.Set(reflect.Append(v, elem))
	}
}

// mapping decodes a mapping with keys of the user's own.
// An entry with a fault keeps its key, with the zero value: checks of names go
// on.
func (d *Document) mapping(n *yaml.Node, v reflect.Value, at *place) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, at, "must be a mapping, not %s", describe(n))
		return
	}
	entries := d.entries(n, at)
	v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	for _, e := range entries {
		elem := reflect.New(v.Type().Elem()).Elem()
		if elem.Type() == d.opts.Text {
			d.headerValue(e.Value.node, elem, e.Value.at)
		} else {
			d.value(e.Value.node, elem, e.Value.at)
		}
		v.SetMapIndex(reflect.ValueOf(e.Name), elem)
	}
}

// headerValue reads an element of a map of Options.Text, such as a header. It is
// text by nature: a number or boolean means its own text.
func (d *Document) headerValue(n *yaml.Node, v reflect.Value, at *place) {
	target, ok := d.visit(n, at)
	switch {
	case !ok:
	case target.Kind == yaml.ScalarNode && target.Tag != "!!null":
		v.SetString(target.Value)
	case target.Kind == yaml.ScalarNode:
		d.fault(n, at, `must not be null: an empty value is written ""`)
	default:
		d.fault(n, at, "must be a string, not %s", describe(target))
	}
}
