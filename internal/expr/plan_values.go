package expr

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// Errors of closures have the words of CEL's, as [plainError] puts them.

// noOverload is CEL's error of an operator without an implementation for a
// value's type.
func noOverload(function string) error {
	return plainError(errors.New("no such overload: " + function))
}

// noSuchKey is CEL's error of a missing key of a map.
func noSuchKey(key string) error { return fmt.Errorf("no such key: %s", key) }

// variable returns the slot of a loop variable.
func (c *planner) variable(e ast.Expr) (slot int, ok bool) {
	if e.Kind() != ast.IdentKind {
		return 0, false
	}
	slot, ok = c.vars[e.AsIdent()]
	return slot, ok
}

// ofVariable reads a field of a loop variable's model.
//
// The bit of the slot goes into vars: the node has another value in each round.
//
// read must not change the model, as the catalog owns it.
func ofVariable[T any](slot int, more deps, read func(*frame, *Model) (T, error)) node[T] {
	return node[T]{more, 1 << slot, func(f *frame) (T, error) { return read(f, f.prepared.models[f.vars[slot]]) }}
}

// model plans an expression whose type is a model.
//
// The planned forms are a loop variable, list.random(), list.random(m, weight),
// list[i] and a choice between two of them.
//
// A leaf's result can be null, when both the checker and the planner took it for
// a model. null empties the selection, as [Strategy.Eval] documents for
// look-ups.
func (c *planner) model(e ast.Expr) (none node[int32], ok bool) {
	if c.typeOf(e).TypeName() != "@model" {
		return none, false
	}
	switch e.Kind() {
	case ast.IdentKind:
		if slot, ok := c.variable(e); ok {
			return node[int32]{vars: 1 << slot, eval: func(f *frame) (int32, error) { return f.vars[slot], nil }}, true
		}
	case ast.ComprehensionKind:
		loop := e.AsComprehension()
		if loop.LoopStep().Kind() != ast.CallKind || loop.LoopStep().AsCall().FunctionName() != fnWeigh {
			return none, false
		}
		weighed, ok := c.weighed(loop)
		return node[int32]{weighed.deps | depChance, weighed.vars, func(f *frame) (int32, error) {
			w, err := weighed.eval(f)
			if err != nil {
				return 0, err
			}
			if len(w.sums) == 0 {
				return 0, errRandomOfNothing
			}
			return w.list.order[pickWeighted(w.sums, f.run.fraction)], nil
		}}, ok
	case ast.CallKind:
		// models_of_a_map['x'] is a model as well. Maps are CEL's.
		// A map of models can only come from CEL.
		if call := e.AsCall(); call.FunctionName() == fnAt && !c.isListOfModels(call.Args()[0]) {
			return none, false
		} else if n, ok := c.modelCall(call); ok {
			return n, true
		}
	}
	l, ok := c.leaf(e)
	if !ok {
		return none, false
	}
	return static(c, node[int32]{deps: l.deps, eval: func(f *frame) (int32, error) {
		v, err := l.eval(f)
		if err != nil {
			return 0, err
		}
		m, ok := v.(*modelRef)
		if !ok {
			return 0, errNullModel
		}
		return int32(m.index), nil
	}}), true
}

// modelCall plans a choice, list.random() and list[i]. CEL takes the others.
func (c *planner) modelCall(call ast.CallExpr) (none node[int32], ok bool) {
	switch args := call.Args(); call.FunctionName() {
	case operators.Conditional:
		condition, ok1 := c.condition(args[0])
		yes, ok2 := c.model(args[1])
		no, ok3 := c.model(args[2])
		return choose(condition, yes, no), ok1 && ok2 && ok3
	case fnRandom:
		list, ok := c.list(args[1])
		return derive(list, depChance, func(f *frame, l modelList) (int32, error) {
			if len(l.order) == 0 {
				return 0, errRandomOfNothing
			}
			return l.order[f.run.intN(len(l.order))], nil
		}), ok
	case fnAt:
		list, ok1 := c.list(args[0])
		index, ok2 := c.number(args[1])
		return both(list, index, func(_ *frame, l modelList, at num) (int32, error) {
			if at.i < 0 || at.i >= int64(len(l.order)) {
				return 0, &nothingError{fmt.Sprintf("index %d is out of range, the list has %d", at.i, len(l.order))}
			}
			return l.order[at.i], nil
		}), ok1 && ok2
	}
	return none, false
}

// The errors of a look-up without a model. They make a selection empty, with a note.
var (
	errNullModel       = &nothingError{"the result is null"}
	errRandomOfNothing = &nothingError{"random() of an empty list"}
)

// ofModel reports whether an expression is a field of a loop variable's model.
//
// has(m.field) does not count: its value is a bool.
func (c *planner) ofModel(e ast.Expr, field string) (slot int, ok bool) {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() || e.AsSelect().FieldName() != field {
		return 0, false
	}
	operand := e.AsSelect().Operand()
	if slot, ok = c.variable(operand); !ok || c.typeOf(operand).TypeName() != "@model" {
		return 0, false
	}
	return slot, true
}

// metadata plans m.metadata.x, m.metadata['x'] and m.getMetadata('x.y').
//
// A missing key is an error with CEL's words. A filter takes it for a model that
// lacks the key, and notes it.
func (c *planner) metadata(e ast.Expr) (none node[any], ok bool) {
	// The model's own metadata lies over its provider's, key by key.
	find := func(slot int, key string) (node[any], bool) {
		missing := noSuchKey(key)
		return ofVariable(slot, 0, func(_ *frame, m *Model) (any, error) {
			v, ok := layers{m.Metadata, m.provider().Metadata}.find(key)
			if !ok {
				return nil, missing
			}
			return v, nil
		}), true
	}
	switch e.Kind() {
	case ast.SelectKind:
		if slot, ok := c.ofModel(e.AsSelect().Operand(), "metadata"); ok && !e.AsSelect().IsTestOnly() {
			return find(slot, e.AsSelect().FieldName())
		}
	case ast.CallKind:
		switch call := e.AsCall(); call.FunctionName() {
		case fnAt:
			key, isConstant := constant(call.Args()[1])
			if slot, ok := c.ofModel(call.Args()[0], "metadata"); ok && isConstant {
				return find(slot, key)
			}
		case "getMetadata":
			path, isConstant := constant(call.Args()[0])
			slot, ok := c.variable(call.Target())
			if !ok || !isConstant || c.typeOf(call.Target()).TypeName() != "@model" {
				return none, false
			}
			missing := fmt.Errorf("no such metadata: %s", path)
			return ofVariable(slot, 0, func(_ *frame, m *Model) (any, error) {
				v, ok := metadataOf(m.Metadata, m.provider().Metadata, path)
				if !ok {
					return nil, missing
				}
				return v, nil
			}), true
		}
	}
	return none, false
}
