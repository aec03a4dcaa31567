package expr

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// text plans an expression whose type is a string.
//
// A native form comes first. CEL takes the rest as a leaf.
// A literal costs nothing, so [once] does not wrap it.
// A leaf may yield another type at run time, where its static type was "any".
// CEL's error is the result then.
func (c *planner) text(e ast.Expr) (none node[string], ok bool) {
	if c.typeOf(e).Kind() != types.StringKind {
		return none, false
	}
	n, ok := c.nativeText(e)
	switch {
	case ok && e.Kind() == ast.LiteralKind:
		return n, true
	case ok:
		return once(c, n), true
	}
	l, ok := c.leaf(e)
	if !ok {
		return none, false
	}
	return once(c, node[string]{deps: l.deps, eval: func(f *frame) (string, error) {
		v, err := l.eval(f)
		if err != nil {
			return "", err
		}
		s, ok := v.(types.String)
		if !ok {
			return "", noOverload("")
		}
		return string(s), nil
	}}), true
}

// nativeText plans literals, fields, headers and a few calls.
//
// The calls are a choice, an index into a header, and lowerAscii(). The zero node and
// false mean that CEL has to take the expression.
func (c *planner) nativeText(e ast.Expr) (none node[string], ok bool) {
	// An expression can run without a request. Its fields are empty then.
	ofRequest := func(read func(*Request) string) (node[string], bool) {
		return node[string]{deps: depRequest, eval: func(f *frame) (string, error) { return read(f.run.requestOrEmpty()), nil }}, true
	}
	switch e.Kind() {
	case ast.IdentKind:
		// This is a loop variable over strings, as in exists and all.
		slot, ok := c.variable(e)
		return node[string]{vars: 1 << slot, eval: func(f *frame) (string, error) { return f.texts[slot], nil }}, ok
	case ast.LiteralKind:
		s, ok := e.AsLiteral().(types.String)
		return node[string]{eval: func(*frame) (string, error) { return string(s), nil }}, ok
	case ast.SelectKind:
		operand, name := e.AsSelect().Operand(), e.AsSelect().FieldName()
		if slot, ok := c.variable(operand); ok && c.typeOf(operand).TypeName() == "@model" {
			read := modelTexts()[name]
			return ofVariable(slot, 0, func(_ *frame, m *Model) (string, error) { return read(m), nil }), read != nil
		}
		switch {
		case c.isVariable(operand, "conn", "@connection") && name == "client_ip":
			return ofRequest(func(r *Request) string { return r.ClientIP })
		case c.isVariable(operand, "req", "@request"):
			switch name {
			case "method":
				return ofRequest(func(r *Request) string { return r.Method })
			case "host":
				return ofRequest(func(r *Request) string { return r.Host })
			case "id":
				return ofRequest(func(r *Request) string { return r.ID })
			case "caller":
				return ofRequest(func(r *Request) string { return r.Caller })
			case "session":
				return ofRequest((*Request).session)
			}
		case c.isRequestField(operand, "url") && name == "path":
			return ofRequest(func(r *Request) string { return r.Path })
		case c.isRequestField(operand, "ai"):
			for _, fact := range factTable() {
				if fact.name == name && fact.text != nil {
					return ofRequest(func(r *Request) string { return fact.text(r.facts()) })
				}
			}
		}
	case ast.CallKind:
		call := e.AsCall()
		switch args := call.Args(); call.FunctionName() {
		case operators.Conditional:
			condition, ok1 := c.condition(args[0])
			yes, ok2 := c.text(args[1])
			no, ok3 := c.text(args[2])
			return choose(condition, yes, no), ok1 && ok2 && ok3
		case fnAt:
			return c.header(args)
		case "lowerAscii":
			text, ok := c.text(call.Target())
			return node[string]{text.deps, text.vars, func(f *frame) (string, error) {
				s, err := text.eval(f)
				return lowerASCII(s), err
			}}, ok
		}
	}
	return none, false
}

// lowerASCII is string.lowerAscii(): only A to Z change.
//
// strings.ToLower would change letters beyond ASCII as well, and give another text than
// CEL.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// isRequestField reports whether an expression is req.name.
func (c *planner) isRequestField(e ast.Expr, name string) bool {
	return e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly() && e.AsSelect().FieldName() == name &&
		c.isVariable(e.AsSelect().Operand(), "req", "@request")
}

// header is req.headers['name'][i] with constants.
//
// An index out of range is a [nothingError], and a missing header a plain error, as
// in [at]. The header's canonical name is computed once, here.
func (c *planner) header(args []ast.Expr) (none node[string], ok bool) {
	if args[0].Kind() != ast.CallKind || args[0].AsCall().FunctionName() != fnAt || args[1].Kind() != ast.LiteralKind {
		return none, false
	}
	inner := args[0].AsCall().Args()
	name, isConstant := constant(inner[1])
	index, isInt := args[1].AsLiteral().(types.Int)
	if !c.isRequestField(inner[0], "headers") || !isConstant || !isInt {
		return none, false
	}
	missing, key := noSuchKey(name), http.CanonicalHeaderKey(name)
	return node[string]{deps: depRequest, eval: func(f *frame) (string, error) {
		values := f.run.requestOrEmpty().Header[key]
		switch {
		case len(values) == 0:
			return "", missing
		case index < 0 || int(index) >= len(values):
			return "", &nothingError{fmt.Sprintf("index %d is out of range, the list has %d", index, len(values))}
		}
		return values[index], nil
	}}, true
}
