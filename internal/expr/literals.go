package expr

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// Literal is a constant name in an expression.
//
// Two occurrences of a name are two Literals, each with its place.
type Literal struct {
	Value        string
	Line, Column int // from 1, Column in characters
}

// Constants are the constants of a strategy that stand for something, by what they
// name. A caller with the list of all names can find the misspelt ones.
type Constants struct {
	Providers, Models []Literal // ids
	Metadata          []Literal // keys of m.metadata and p.metadata
	Features          []Literal
	Modalities        []Literal
	Countries         []Literal
	Surfaces          []Literal // endpoints
}

// Constants returns the constants that are compared with a field, such as
// m.provider_id, or are arguments of only(), get() and the like. Constants behind
// other functions are not found.
func (s *Strategy) Constants() Constants {
	f := constantsFinder{d: &diagnosis{text: []rune(s.program.source), src: []rune(s.program.source), checked: s.program.checked}}
	ast.PreOrderVisit(s.program.checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.CallKind:
			f.call(e.AsCall())
		case ast.SelectKind:
			if sel := e.AsSelect(); f.isMetadata(sel.Operand()) {
				f.take(&f.found.Metadata, sel.FieldName(), e)
			}
		}
	}))
	return f.found
}

// constantsFinder collects constants. Its diagnosis only serves to find their
// places.
type constantsFinder struct {
	d     *diagnosis
	found Constants
}

// call collects the constants of one call.
//
// The type of the receiver tells names of models from names of providers. Names
// of authors are free text, and are not collected.
func (f *constantsFinder) call(call ast.CallExpr) {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.Equals, operators.NotEquals:
		f.add(f.namedBy(args[0]), args[1])
		f.add(f.namedBy(args[1]), args[0])
	case operators.In:
		f.add(f.namedBy(args[0]), args[1])
		f.add(f.namedBy(args[1]), args[0]) // 'x' in m.id_aliases
		if f.isMetadata(args[1]) {
			f.add(&f.found.Metadata, args[0])
		}
	case fnAt:
		if f.isMetadata(args[0]) {
			f.add(&f.found.Metadata, args[1])
		}
	case "getMetadata":
		if path, ok := constant(args[0]); ok {
			first, _, _ := strings.Cut(path, ".")
			f.take(&f.found.Metadata, first, args[0])
		}
	case "inCountryCode":
		f.add(&f.found.Countries, args[0])
	case "onlyProviders", "ignoreProviders":
		f.add(&f.found.Providers, args[0])
	case "only", "ignore", "get", "getModel":
		target := f.d.checked.GetType(call.Target().ID())
		switch kind := plainType(target); {
		case len(args) == 2:
			f.add(&f.found.Providers, args[0])
			f.add(&f.found.Models, args[1])
		case kind == "list of models", name == "getModel":
			f.add(&f.found.Models, args[0])
		case kind == "list of providers":
			f.add(&f.found.Providers, args[0])
		}
	}
}

// namedBy returns the list for the values of a field. It is nil for other
// fields.
func (f *constantsFinder) namedBy(e ast.Expr) *[]Literal {
	switch f.field(e) {
	case "@model.provider_id", "@model.provider_id_aliases", "@provider.id", "@provider.id_aliases":
		return &f.found.Providers
	case "@model.id", "@model.id_aliases":
		return &f.found.Models
	case "@model.supported_features":
		return &f.found.Features
	case "@model.input_modalities", "@model.output_modalities":
		return &f.found.Modalities
	case "@datacenter.country_code":
		return &f.found.Countries
	case "@request_facts.surface":
		return &f.found.Surfaces
	}
	return nil
}

// isMetadata reports whether an expression is the metadata of a model or a provider.
func (f *constantsFinder) isMetadata(e ast.Expr) bool {
	field := f.field(e)
	return field == "@model.metadata" || field == "@provider.metadata"
}

// field is the type and the name of a field, such as "@model.id". It is empty for
// other expressions.
func (f *constantsFinder) field(e ast.Expr) string {
	if e.Kind() != ast.SelectKind {
		return ""
	}
	sel := e.AsSelect()
	return f.d.checked.GetType(sel.Operand().ID()).TypeName() + "." + sel.FieldName()
}

// add takes a constant, or the constants of a list.
//
// Computed names are passed over. A nil list is the answer of namedBy for a
// field without names.
func (f *constantsFinder) add(to *[]Literal, e ast.Expr) {
	if to == nil {
		return
	}
	if e.Kind() == ast.ListKind {
		for _, element := range e.AsList().Elements() {
			f.add(to, element)
		}
		return
	}
	if value, ok := constant(e); ok {
		f.take(to, value, e)
	}
}

// take adds a name at the place of an expression.
func (f *constantsFinder) take(to *[]Literal, value string, e ast.Expr) {
	at := problemAt(f.d.text, f.d.at(e), "", "")
	literal := Literal{Value: value, Line: at.Line, Column: at.Column}
	if !slices.Contains(*to, literal) {
		*to = append(*to, literal)
	}
}
