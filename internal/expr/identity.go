package expr

import (
	"context"
	"fmt"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// Identity is a compiled expression for the sender of a request: the `caller`
// of the config, and the `key` of a client limit. It sees req and conn. It is
// immutable and safe for concurrent use.
type Identity struct {
	program *program
	uses    Uses
	// plan evaluates the usual ones without CEL: a field of the request, or one
	// header. Nil for the others.
	plan func(*frame) (string, error)
}

// CompileIdentity compiles an expression whose result is a string. The identity
// is nil if there are problems. An expression for `caller` must not use the
// caller: see [Uses.Caller].
func CompileIdentity(src string) (*Identity, []Problem) {
	l, err := identityLanguage()
	if err != nil {
		return nil, []Problem{{Line: 1, Column: 1, Message: err.Error()}}
	}
	p, problems := l.compile(src, []rune(src), 0, func(d *diagnosis) {
		root := d.checked.Expr()
		if t := d.checked.GetType(root.ID()); t.Kind() != types.StringKind && t.Kind() != types.DynKind {
			remedy := ""
			if t.Kind() == types.ListKind {
				remedy = ": choose one of it, such as the first by [0]"
			}
			d.report(d.start(root), "", "the result must be a string, is %s%s", plainType(t), remedy)
		}
	})
	if len(problems) > 0 {
		return nil, problems
	}
	return &Identity{program: p, uses: usesOf(p), plan: planIdentity(p)}, nil
}

// planIdentity plans an expression for one field or header.
// The usual expression is one header, and it runs for each request.
func planIdentity(p *program) func(*frame) (string, error) {
	c := &planner{program: p, vars: map[string]int{}}
	root := p.checked.Expr()
	isField := root.Kind() == ast.SelectKind && !root.AsSelect().IsTestOnly()
	isHeader := root.Kind() == ast.CallKind && root.AsCall().FunctionName() == fnAt
	if !isField && !isHeader {
		return nil
	}
	n, ok := c.nativeText(root)
	if !ok {
		return nil
	}
	return n.eval
}

// Uses reports the dependencies of the identity.
func (i *Identity) Uses() Uses { return i.uses }

// Eval returns the name. Errors are of type [*EvalError]. A header missing from
// the request is one.
func (i *Identity) Eval(ctx context.Context, request *Request) (string, error) {
	if i.plan != nil {
		name, err := i.plan(&frame{ctx: ctx, run: &run{request: request}})
		if err != nil {
			return "", &EvalError{Source: i.program.source, Err: err}
		}
		return name, nil
	}
	val, err := i.program.eval(ctx, &run{request: request})
	if err != nil {
		return "", &EvalError{Source: i.program.source, Err: err}
	}
	name, ok := val.(types.String)
	if !ok {
		return "", &EvalError{Source: i.program.source, Err: fmt.Errorf("the result is %s, not a string", plainTypeName(val.Type()))}
	}
	return string(name), nil
}
