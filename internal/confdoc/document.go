// Package confdoc decodes configuration documents, YAML or JSON, into structs. It
// reports every fault of shape with its path and line, but hides a value that could
// be a credential. It knows the structs by their json tags only.
//
//	file.go      a document's file, be it a pipe
//	parse.go     from bytes to nodes: YAML, or JSON with a reader of its own
//	document.go  the document, its faults and limits
//	settings.go  the two forms of a document
//	value.go     values with their places: mappings, lists
//	decode.go    values into structs
//	scalar.go    scalars
//	path.go      places in words
package confdoc

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/aigateway-go/aigateway/internal/redact"
	yaml "sigs.k8s.io/yaml/goyaml.v3"
)

// The limits of a document. They are far above the needs of a configuration, and low
// enough against hostile documents. Aliases are counted at each use: a few lines of
// them could grow into gigabytes.
const (
	MaxBytes  = 16 << 20  // of the document
	maxText   = 32 << 20  // bytes of scalars
	maxNodes  = 1_000_000 // values and keys
	maxDepth  = 64
	MaxFaults = 100
)

// Fault is one problem of a document.
//
// Its texts are for the author of the document, and may be shown to anybody who
// sees the errors of New: credentials are left out.
type Fault struct {
	// Path is the place, such as "providers[1].models[0].id". Empty for the
	// document itself.
	Path string
	// Line is counted from 1; 0 if it is not known.
	Line int
	// Value is the text at the place; empty where it could be a credential.
	Value string
	// Reason says what is wrong.
	Reason string
	// Meant is the path of the field that was probably meant by a misspelt one.
	Meant string
}

// Options describe the structs to decode into. All are optional.
type Options struct {
	// Text is a string type. In a map of it, a number or boolean means its own
	// text.
	Text reflect.Type
	// Duration is a string type. The fault of a number in its place asks for a
	// unit.
	Duration reflect.Type
	// Switches are string types. A boolean means its own text.
	Switches []reflect.Type
	// Secret reports whether the field of that name may hold credentials, at any
	// depth.
	Secret func(field string) bool
	// Nearest returns the known word that a misspelt one probably means, or "".
	Nearest func(word string, known []string) string
	// Home says which part of a document has the field of that name, or "". It may be
	// nil.
	Home func(field string) string
}

// Document is a parsed document that is being decoded. It collects faults and goes
// on after each of them; it stops at the limits. It is for one goroutine.
type Document struct {
	opts    Options
	faults  []Fault
	fields  map[reflect.Type]fields
	nodes   int // visited so far
	text    int // bytes of scalars visited so far
	stopped bool
	root    *yaml.Node
}

// Parse reads a document. A fault is one of syntax or size.
func Parse(doc []byte, opts Options) (*Document, *Fault) {
	root, fault := parse(doc)
	if fault != nil {
		return nil, fault
	}
	if opts.Secret == nil {
		opts.Secret = func(string) bool { return false }
	}
	if opts.Nearest == nil {
		opts.Nearest = func(string, []string) string { return "" }
	}
	return &Document{opts: opts, fields: map[reflect.Type]fields{}, root: root}, nil
}

// Root returns the whole document as a value.
func (d *Document) Root() Value {
	return Value{doc: d, node: d.root, at: &place{index: -1}}
}

// Faults returns the faults so far, in the order of the document, at most [MaxFaults]
// and one that tells of the rest.
func (d *Document) Faults() []Fault { return d.faults }

// fault notes a problem of the node, with its text if that may be shown.
func (d *Document) fault(n *yaml.Node, at *place, format string, args ...any) {
	if d.full() {
		return
	}
	f := Fault{Path: at.String(), Line: n.Line, Reason: fmt.Sprintf(format, args...)}
	n = unaliased(n)
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && !at.secret {
		f.Value = shown(n.Value)
	}
	d.faults = append(d.faults, f)
}

// faultAt notes a problem of a line, without a value.
func (d *Document) faultAt(line int, at *place, format string, args ...any) {
	d.fault(&yaml.Node{Line: line}, at, format, args...)
}

// full reports whether no more faults are taken.
func (d *Document) full() bool {
	if !d.stopped && len(d.faults) == MaxFaults {
		d.stopped = true
		d.faults = append(d.faults, Fault{Reason: "and more: only the first " + strconv.Itoa(MaxFaults) + " are shown"})
	}
	return d.stopped
}

// stop ends the decoding: the rest could cost too much.
//
// The fault that tells of the stop is the last one.
func (d *Document) stop(n *yaml.Node, at *place, format string, args ...any) {
	if !d.stopped {
		d.faults = append(d.faults, Fault{Path: at.String(), Line: n.Line, Reason: fmt.Sprintf(format, args...)})
		d.stopped = true
	}
}

// shown returns a text for a fault to show.
func shown(text string) string {
	if redact.LooksSecret(text) {
		return ""
	}
	return redact.Shorten(text)
}
