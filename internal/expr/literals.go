package expr

import (
	"slices"

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

// Names returns the ids of providers and models in the strategy: constants
// compared with m.provider_id, m.id and p.id, and arguments of only(), get()
// and the like. A caller with the list of all ids can find the misspelt ones.
// Constants behind other functions are not found.
func (s *Strategy) Names() (providers, models []Literal) {
	n := namesFinder{d: &diagnosis{text: []rune(s.program.source), src: []rune(s.program.source), checked: s.program.checked}}
	ast.PreOrderVisit(s.program.checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.CallKind {
			n.call(e.AsCall())
		}
	}))
	return n.providers, n.models
}

// namesFinder collects constants. Its diagnosis only serves to find their
// places.
type namesFinder struct {
	d                 *diagnosis
	providers, models []Literal
}

// call collects the constants of one call.
//
// The type of the receiver tells names of models from names of providers. Names
// of authors are free text, and are not collected.
func (n *namesFinder) call(call ast.CallExpr) {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.Equals, operators.NotEquals:
		n.add(n.namedBy(args[0]), args[1])
		n.add(n.namedBy(args[1]), args[0])
	case operators.In:
		n.add(n.namedBy(args[0]), args[1])
		n.add(n.namedBy(args[1]), args[0]) // 'x' in m.id_aliases
	case "onlyProviders", "ignoreProviders":
		n.add(&n.providers, args[0])
	case "only", "ignore", "get", "getModel":
		target := n.d.checked.GetType(call.Target().ID())
		switch kind := plainType(target); {
		case len(args) == 2:
			n.add(&n.providers, args[0])
			n.add(&n.models, args[1])
		case kind == "list of models", name == "getModel":
			n.add(&n.models, args[0])
		case kind == "list of providers":
			n.add(&n.providers, args[0])
		}
	}
}

// namedBy returns the list for the values of a field. It is nil for other
// fields.
func (n *namesFinder) namedBy(e ast.Expr) *[]Literal {
	if e.Kind() != ast.SelectKind {
		return nil
	}
	holder := n.d.checked.GetType(e.AsSelect().Operand().ID()).TypeName()
	switch holder + "." + e.AsSelect().FieldName() {
	case "@model.provider_id", "@model.provider_id_aliases", "@provider.id", "@provider.id_aliases":
		return &n.providers
	case "@model.id", "@model.id_aliases":
		return &n.models
	}
	return nil
}

// add takes a constant, or the constants of a list.
//
// Computed names are passed over. A nil list is the answer of namedBy for a
// field without names.
func (n *namesFinder) add(to *[]Literal, e ast.Expr) {
	if to == nil {
		return
	}
	if e.Kind() == ast.ListKind {
		for _, element := range e.AsList().Elements() {
			n.add(to, element)
		}
		return
	}
	value, ok := constant(e)
	if !ok {
		return
	}
	at := problemAt(n.d.text, n.d.at(e), "", "")
	literal := Literal{Value: value, Line: at.Line, Column: at.Column}
	if !slices.Contains(*to, literal) {
		*to = append(*to, literal)
	}
}
