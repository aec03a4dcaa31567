package confdoc

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// Value is a value of a document with its place. The zero Value stands for a
// missing one.
type Value struct {
	doc  *Document
	node *yaml.Node
	at   *place
}

// Entry is one key of a mapping with its value.
type Entry struct {
	Name  string
	Value Value

	line   int // of the key
	parent *place
}

// Given reports whether there is a value.
func (v Value) Given() bool { return v.node != nil }

// IsNull reports a null, or an alias to one.
func (v Value) IsNull() bool { return isNull(v.node) }

// Kind names the kind of the value for messages: "a list", "a string", "null".
func (v Value) Kind() string { return describe(unaliased(v.node)) }

// IsMapping reports a mapping, or an alias to one.
func (v Value) IsMapping() bool { return unaliased(v.node).Kind == yaml.MappingNode }

// Faulty reports whether the document has a fault so far.
func (v Value) Faulty() bool { return len(v.doc.faults) > 0 }

// Faultf notes a problem of the value.
func (v Value) Faultf(format string, args ...any) { v.doc.fault(v.node, v.at, format, args...) }

// FieldFaultf notes a problem of a field of the mapping v, which may be missing.
func (v Value) FieldFaultf(name, format string, args ...any) {
	v.doc.faultAt(v.node.Line, v.at.key(name), format, args...)
}

// Mapping returns the entries of a mapping, in its order, and after them the ones
// that merge keys (<<) add. For another value it notes a fault that begins with
// must, such as "must be a mapping, not a list", and returns false.
func (v Value) Mapping(must string) ([]Entry, bool) {
	n, ok := v.doc.visit(v.node, v.at)
	if !ok {
		return nil, false
	}
	if n.Kind != yaml.MappingNode {
		v.doc.fault(n, v.at, "%s, not %s", must, describe(n))
		return nil, false
	}
	return v.doc.entries(n, v.at), true
}

// List returns the items of a list. For another value it notes a fault.
func (v Value) List() []Value {
	n, ok := v.doc.visit(v.node, v.at)
	if !ok {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		v.doc.fault(n, v.at, "must be a list, not %s", describe(n))
		return nil
	}
	items := make([]Value, len(n.Content))
	for i, item := range n.Content {
		items[i] = Value{v.doc, item, v.at.item(i)}
	}
	return items
}

// Text returns a string. For another value it notes a fault and returns false.
func (v Value) Text() (string, bool) {
	var text string
	before := len(v.doc.faults)
	v.doc.value(v.node, reflect.ValueOf(&text).Elem(), v.at)
	return text, len(v.doc.faults) == before && !v.doc.stopped
}

// Decode stores the value in the struct behind dst.
func (v Value) Decode(dst any) { v.doc.value(v.node, reflect.ValueOf(dst).Elem(), v.at) }

// AsRoot returns the value as a root: the paths of its faults start at it.
func (v Value) AsRoot() Value { return Value{v.doc, v.node, &place{index: -1}} }

// Faultf notes a problem of the key.
func (e Entry) Faultf(format string, args ...any) {
	e.Value.doc.faultAt(e.line, e.parent.key(e.Name), format, args...)
}

// Unknown notes an unknown field, and suggests a near one of the known names. The
// value is not shown: a misspelt field may hold anything.
func (e Entry) Unknown(known []string) { e.Value.doc.unknown(e, known) }

// Assign stores the entries of the mapping v in the struct behind dst. An entry
// without a field is a fault; also lists further names for its hint.
func (v Value) Assign(entries []Entry, dst any, also ...string) {
	v.doc.assign(entries, reflect.ValueOf(dst).Elem(), also)
}

// FieldNames lists the fields of the struct behind dst, by their names in a document.
func FieldNames(dst any) []string {
	return slices.Clone(fieldsOf(reflect.TypeOf(dst).Elem()).names)
}

// assign stores the entries of a mapping in the fields of the struct v. A null leaves
// its field alone: tools that generate a document write one for an empty value.
func (d *Document) assign(entries []Entry, v reflect.Value, also []string) {
	f := d.fieldsOf(v.Type())
	for _, e := range entries {
		i, ok := f.index[e.Name]
		switch {
		case !ok:
			d.unknown(e, append(slices.Clone(f.names), also...))
		case !isNull(e.Value.node):
			d.value(e.Value.node, v.Field(i), e.parent.field(e.Name, d.opts.Secret(e.Name)))
		}
	}
}

// home asks for the part of a document that has a field.
func (d *Document) home(field string) string {
	if d.opts.Home == nil {
		return ""
	}
	return d.opts.Home(field)
}

// unknown notes a field outside of known. If a similar field is known, the remedy
// is that one.
func (d *Document) unknown(e Entry, known []string) {
	if d.full() {
		return
	}
	f := Fault{Path: e.parent.key(e.Name).String(), Line: e.line, Reason: "unknown field"}
	if near := d.opts.Nearest(e.Name, known); near != "" {
		f.Reason = fmt.Sprintf("unknown field; did you mean %q?", near)
		f.Meant = e.parent.key(near).String()
	} else if home := d.home(e.Name); home != "" {
		f.Reason = "unknown field here; it is a field of " + home
	} else if len(known) <= 8 {
		f.Reason = "unknown field; known here: " + strings.Join(known, ", ")
	}
	d.faults = append(d.faults, f)
}
