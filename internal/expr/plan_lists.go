package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// list plans an expression whose type is a list of models, by CEL if need be.
//
// The result of a leaf is kept if it depends on the models and metrics only.
func (c *planner) list(e ast.Expr) (node[modelList], bool) {
	if n, ok := c.native(e); ok {
		return n, true
	}
	l, ok := c.leaf(e)
	if !ok {
		return node[modelList]{}, false
	}
	return static(c, node[modelList]{deps: l.deps, eval: func(f *frame) (modelList, error) {
		v, err := l.eval(f)
		if err != nil {
			return modelList{}, err
		}
		return indexesOf(v)
	}}), true
}

// indexesOf reads a CEL list of models.
//
// The checker promised models. A dynamic expression can still bring something
// else, with an error that names its type. The list may hold a model twice.
func indexesOf(v ref.Val) (modelList, error) {
	elems, ok := elements(v)
	if !ok {
		return modelList{}, fmt.Errorf("the result holds %s, not a model", plainTypeName(v.Type()))
	}
	order := make([]int32, len(elems))
	for i, e := range elems {
		m, ok := e.(*modelRef)
		if !ok {
			return modelList{}, fmt.Errorf("the result holds %s, not a model", plainTypeName(e.Type()))
		}
		order[i] = int32(m.index)
	}
	return modelList{order: order}, nil
}

// native plans a list of models as closures.
//
// The result is kept by [static], unless keeping it costs more than making it.
func (c *planner) native(e ast.Expr) (node[modelList], bool) {
	n, ok := c.nativeList(e)
	if !ok {
		return n, false
	}
	if e.Kind() == ast.SelectKind || e.Kind() == ast.CallKind && e.AsCall().FunctionName() == fnSpend {
		return n, true // ai.models is kept already, and a charge is due each time
	}
	return static(c, n), true
}

// nativeList plans the known forms of a list of models. It reports false for
// all else.
//
// The forms are ai.models, a literal list, the macros filter, sortBy and
// randomize, and calls of functions with a list as their result.
func (c *planner) nativeList(e ast.Expr) (none node[modelList], ok bool) {
	if !c.isListOfModels(e) {
		return none, false
	}
	switch e.Kind() {
	case ast.SelectKind:
		if c.isVariable(e.AsSelect().Operand(), "ai", "@ai") && e.AsSelect().FieldName() == "models" {
			return node[modelList]{eval: func(f *frame) (modelList, error) { return f.prepared.all, nil }}, true
		}
	case ast.ListKind:
		return c.literal(e)
	case ast.ComprehensionKind:
		return c.loop(e.AsComprehension())
	case ast.CallKind:
		return c.listCall(e.AsCall())
	}
	return none, false
}

// isVariable reports whether an expression is the variable of that name and not
// a loop variable in its place.
func (c *planner) isVariable(e ast.Expr, name, typeName string) bool {
	_, shadowed := c.vars[name]
	return e.Kind() == ast.IdentKind && e.AsIdent() == name && !shadowed && c.typeOf(e).TypeName() == typeName
}

// literal is [model, …].
//
// A list with null in it has another type in CEL, and is left to CEL.
func (c *planner) literal(e ast.Expr) (none node[modelList], ok bool) {
	var parts []node[int32]
	n := node[modelList]{}
	for _, element := range e.AsList().Elements() {
		m, ok := c.model(element)
		if !ok || holdsNull(element) {
			return none, false
		}
		parts = append(parts, m)
		n.deps |= m.deps
		n.vars |= m.vars
	}
	n.eval = func(f *frame) (modelList, error) {
		order := make([]int32, len(parts))
		for i, m := range parts {
			at, err := m.eval(f)
			if err != nil {
				return modelList{}, err
			}
			order[i] = at
		}
		// Two elements of the literal may be one model.
		return modelList{order: order, distinct: len(order) < 2}, nil
	}
	return n, len(parts) > 0
}

// holdsNull reports whether an expression could be null.
//
// It looks at literals: a null from a field, such as m.pricing, is not a model
// to the checker.
func holdsNull(e ast.Expr) bool {
	found := false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue
	}))
	return found
}

// listCall plans functions with a list of models as their result. Steps are
// charged as CEL's functions charge them.
//
// The last case takes the functions over names, such as
// list.onlyProviders(['a', 'b']). They differ in one predicate and in whether
// they keep or drop, see [modelsByName].
func (c *planner) listCall(call ast.CallExpr) (none node[modelList], ok bool) {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case fnSpend:
		return c.charged(args)
	case operators.Conditional:
		condition, ok1 := c.condition(args[0])
		yes, ok2 := c.list(args[1])
		no, ok3 := c.list(args[2])
		return choose(condition, yes, no), ok1 && ok2 && ok3
	case operators.Add:
		a, ok1 := c.list(args[0])
		b, ok2 := c.list(args[1])
		return both(a, b, func(f *frame, first, second modelList) (modelList, error) {
			f.run.spend(len(first.order) + len(second.order))
			// Clip makes append copy. The first list may be a kept one.
			return modelList{order: append(slices.Clip(first.order), second.order...)}, nil
		}), ok1 && ok2
	case fnRandomize:
		inner, ok := c.list(args[1])
		return derive(inner, depChance, (*frame).randomized), ok
	case fnLeastBusy:
		inner, ok := c.list(args[1])
		return derive(inner, depChance|depLive, (*frame).leastBusy), ok
	case fnAble:
		inner, ok := c.list(args[1])
		return derive(inner, depRequest, (*frame).able), ok
	case fnSticky:
		return c.sticky(args)
	case "underCost":
		return c.underCost(call)
	case "sortBy":
		inner, ok := c.list(call.Target())
		word, isConstant := constant(args[0])
		return derive(inner, 0, (*frame).byPrice), ok && isConstant && word == sortWords()[0]
	default:
		return c.byName(name, call)
	}
}

// charged is @spend(run, list, steps): the list of a loop, see [chargeLoops].
func (c *planner) charged(args []ast.Expr) (none node[modelList], ok bool) {
	inner, ok := c.list(args[1])
	steps, isInt := args[2].AsLiteral().(types.Int)
	return derive(inner, 0, func(f *frame, l modelList) (modelList, error) {
		f.run.spend(len(l.order) * int(steps))
		return l, nil
	}), ok && isInt
}

// byName plans list.only(names) and its like.
//
// An empty list charges nothing, as [spendOn] charges nothing for it.
func (c *planner) byName(name string, call ast.CallExpr) (none node[modelList], ok bool) {
	by, known := modelsByName()[name]
	if !known || !call.IsMemberFunction() || len(call.Args()) != 1 {
		return none, false
	}
	inner, ok1 := c.list(call.Target())
	names, ok2 := c.names(call.Args()[0])
	return both(inner, names, func(f *frame, l modelList, set nameSet) (modelList, error) {
		if len(l.order) > 0 {
			f.run.spend(len(l.order))
		}
		var kept []int32
		for _, i := range l.order {
			if by.match(f.prepared.models[i], set) != by.drop {
				kept = append(kept, i)
			}
		}
		return modelList{order: kept, distinct: l.distinct}, nil
	}), ok1 && ok2
}

// able is list.able(): the models that can serve the request, by its facts.
//
// Each model costs two steps: its facts are compared one by one.
func (f *frame) able(l modelList) (modelList, error) {
	f.run.spend(2 * len(l.order))
	facts := f.run.requestOrEmpty().facts()
	kept := make([]int32, 0, len(l.order))
	for _, i := range l.order {
		if Able(f.prepared.models[i], facts) {
			kept = append(kept, i)
		}
	}
	return modelList{order: kept, distinct: l.distinct}, nil
}

// byPrice is list.sortBy('price').
//
// Unknown prices are last, see [comparePricing].
func (f *frame) byPrice(l modelList) (modelList, error) {
	f.run.spend(len(l.order))
	order := slices.Clone(l.order)
	slices.SortStableFunc(order, func(a, b int32) int {
		return comparePricing(f.prepared.models[a].Pricing, f.prepared.models[b].Pricing)
	})
	return modelList{order: order, distinct: l.distinct}, nil
}

// derive makes a node of a function on a list.
//
// more are the dependencies that the function adds to those of its list.
func derive[T any](inner node[modelList], more deps, do func(*frame, modelList) (T, error)) node[T] {
	return node[T]{inner.deps | more, inner.vars, func(f *frame) (T, error) {
		l, err := inner.eval(f)
		if err != nil {
			var zero T
			return zero, err
		}
		return do(f, l)
	}}
}

// choose is condition ? yes : no.
//
// Only the chosen side is evaluated. The dependencies are those of all three
// parts, for any of them may be needed next time.
func choose[T any](condition node[bool], yes, no node[T]) node[T] {
	return node[T]{condition.deps | yes.deps | no.deps, condition.vars | yes.vars | no.vars, func(f *frame) (T, error) {
		is, err := condition.eval(f)
		switch {
		case err != nil:
			var zero T
			return zero, err
		case is:
			return yes.eval(f)
		}
		return no.eval(f)
	}}
}

// underCost plans models.underCost with constants.
//
// Only constants are planned. A price type that comes from the request would be
// looked up in each evaluation, and is left to CEL.
func (c *planner) underCost(call ast.CallExpr) (none node[modelList], ok bool) {
	args := call.Args()
	inner, ok := c.list(call.Target())
	word, isConstant := constant(args[0])
	if !ok || !isConstant || args[1].Kind() != ast.LiteralKind {
		return none, false
	}
	price, ok := priceOf(priceTypes(), word)
	limit, isNumber := number(args[1].AsLiteral())
	if !ok || !isNumber {
		return none, false
	}
	return derive(inner, 0, func(f *frame, l modelList) (modelList, error) {
		if len(l.order) > 0 {
			f.run.spend(len(l.order))
		}
		var kept []int32
		for _, i := range l.order {
			m := f.prepared.models[i]
			if m.Pricing == nil {
				continue
			}
			// An unknown price is under no limit.
			if p := price(m.Pricing); p != nil && *p < limit {
				kept = append(kept, i)
			}
		}
		return modelList{order: kept, distinct: l.distinct}, nil
	}), true
}

// names is an argument: a string or a list of strings.
//
// A literal list may hold computed strings. A list from elsewhere, such as
// req.headers['x-models'], is read by CEL, and only the set is made here. Names
// compare in lower case.
func (c *planner) names(e ast.Expr) (none node[nameSet], ok bool) {
	if e.Kind() == ast.ListKind {
		var parts []node[string]
		n := node[nameSet]{}
		for _, element := range e.AsList().Elements() {
			s, ok := c.text(element)
			if !ok {
				return none, false
			}
			parts = append(parts, s)
			n.deps |= s.deps
			n.vars |= s.vars
		}
		n.eval = func(f *frame) (nameSet, error) {
			// A set of constants is made once for each list of models, by [static].
			set := make(nameSet, len(parts))
			for _, s := range parts {
				name, err := s.eval(f)
				if err != nil {
					return nil, err
				}
				set[strings.ToLower(name)] = struct{}{}
			}
			return set, nil
		}
		return static(c, n), true
	}
	if c.typeOf(e).Kind() == types.StringKind {
		s, ok := c.text(e)
		return static(c, node[nameSet]{s.deps, s.vars, func(f *frame) (nameSet, error) {
			name, err := s.eval(f)
			if err != nil {
				return nil, err
			}
			return newNameSet(name), nil
		}}), ok
	}
	l, ok := c.leaf(e)
	if !ok || c.typeOf(e).Kind() != types.ListKind {
		return none, false
	}
	return static(c, node[nameSet]{l.deps, l.vars, func(f *frame) (nameSet, error) {
		v, err := l.eval(f)
		if err != nil {
			return nil, err
		}
		set, errVal := namesOf(v)
		if errVal != nil {
			return nil, plainError(errVal.(*types.Err))
		}
		return set, nil
	}}), true
}
