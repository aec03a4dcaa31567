package expr

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// quantifier plans exists and all over a list of strings: ['vision',
// 'reasoning'].all(f, f in m.supported_features). One deciding element wins over
// failing elements.
//
// The parser has turned the macro into a loop. Its step is accumulator || predicate for
// exists, and accumulator && predicate for all; the range is wrapped by [chargeLoops].
// Loops of any other shape stay with CEL.
//
// The loop variable takes the next free slot of [frame.texts], for the time of planning
// the predicate only. It must not shadow a variable in scope.
func (c *planner) quantifier(loop ast.ComprehensionExpr) (none node[bool], ok bool) {
	if loop.HasIterVar2() || loop.LoopStep().Kind() != ast.CallKind || loop.Result().Kind() != ast.IdentKind {
		return none, false
	}
	step := loop.LoopStep().AsCall()
	decides := step.FunctionName() == operators.LogicalOr
	if !decides && step.FunctionName() != operators.LogicalAnd || step.Args()[0].Kind() != ast.IdentKind || step.Args()[0].AsIdent() != loop.AccuVar() {
		return none, false
	}
	charge := loop.IterRange().AsCall()
	steps, isInt := charge.Args()[2].AsLiteral().(types.Int)
	list, ok := c.texts(charge.Args()[1])
	if _, shadows := c.vars[loop.IterVar()]; !ok || !isInt || shadows || len(c.vars) == maxLoops {
		return none, false
	}
	slot := len(c.vars)
	c.vars[loop.IterVar()] = slot
	defer delete(c.vars, loop.IterVar())
	predicate, ok := c.condition(step.Args()[1])
	if !ok {
		return none, false
	}
	return node[bool]{list.deps | predicate.deps, list.vars | predicate.vars&^(1<<slot), func(f *frame) (bool, error) {
		texts, err := list.eval(f)
		if err != nil {
			return false, err
		}
		// The charge is the one of CEL's loop: the nodes of a round for each element.
		f.run.spend(len(texts) * int(steps))
		// An error counts when no element decides. The first one is reported.
		var failed error
		for _, text := range texts {
			f.texts[slot] = text
			is, err := predicate.eval(f)
			switch {
			case err == nil && is == decides:
				return decides, nil
			case failed == nil:
				failed = err
			}
		}
		return !decides && failed == nil, failed
	}}, true
}

// texts plans a list of strings: a field, a header or a literal.
//
// A literal list must hold constants only. A missing header is an error, as the missing
// key of a map is in CEL.
// The values are not copied, and so must not be changed.
func (c *planner) texts(e ast.Expr) (none node[[]string], ok bool) {
	if t := c.typeOf(e); t.Kind() != types.ListKind || t.Parameters()[0].Kind() != types.StringKind {
		return none, false
	}
	switch e.Kind() {
	case ast.SelectKind:
		slot, ok := c.variable(e.AsSelect().Operand())
		read := modelLists()[e.AsSelect().FieldName()]
		if !ok || read == nil || c.typeOf(e.AsSelect().Operand()).TypeName() != "@model" {
			return none, false
		}
		return ofVariable(slot, 0, func(_ *frame, m *Model) ([]string, error) { return read(m), nil }), true
	case ast.ListKind:
		var words []string
		for _, element := range e.AsList().Elements() {
			word, isConstant := constant(element)
			if !isConstant {
				return none, false
			}
			words = append(words, word)
		}
		return node[[]string]{eval: func(*frame) ([]string, error) { return words, nil }}, true
	case ast.CallKind:
		args := e.AsCall().Args()
		if e.AsCall().FunctionName() != fnAt || !c.isRequestField(args[0], "headers") {
			return none, false
		}
		name, isConstant := constant(args[1])
		missing := noSuchKey(name)
		return once(c, node[[]string]{deps: depRequest, eval: func(f *frame) ([]string, error) {
			values := f.run.requestOrEmpty().Header.Values(name)
			if len(values) == 0 {
				return nil, missing
			}
			return values, nil
		}}), isConstant
	}
	return none, false
}
