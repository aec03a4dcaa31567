package expr

import (
	"errors"
	"math"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// num is a number or null.
//
// The zero num is null. CEL boxes each double in an interface. A num is a plain
// struct. Unsigned numbers have no num, and stay with CEL.
type num struct {
	kind numKind
	i    int64
	f    float64
}

// numKind says which field of a num holds the value.
type numKind uint8

const (
	numNull numKind = iota
	numInt
	numDouble
)

// intNum and doubleNum make the two kinds of values. Null is num{}.
func intNum(i int64) num      { return num{kind: numInt, i: i} }
func doubleNum(f float64) num { return num{kind: numDouble, f: f} }

// isNaN reports the one double unequal to itself. A comparison with it is false,
// whatever the other side.
func (n num) isNaN() bool { return n.kind == numDouble && math.IsNaN(n.f) }

// val is the number as CEL has it.
func (n num) val() ref.Val {
	switch n.kind {
	case numInt:
		return types.Int(n.i)
	case numDouble:
		return types.Double(n.f)
	}
	return types.NullValue
}

// equal is CEL's ==: NaN equals nothing, null equals null, and numbers of
// different types compare by value.
func (n num) equal(o num) bool {
	switch {
	case n.kind == numDouble && o.kind == numDouble:
		return n.f == o.f
	case n.kind != numNull && n.kind == o.kind:
		return n.i == o.i
	case n.kind == numNull || o.kind == numNull:
		return n.kind == o.kind
	}
	// An int64 beyond 2⁵³ has no exact double. CEL's own comparison knows.
	return types.Equal(n.val(), o.val()) == types.True
}

// compare orders two numbers. Null and NaN are not among them.
// Doubles with ints go through CEL: a conversion to double would make 2⁵³ and
// 2⁵³+1 equal.
func (n num) compare(o num) int {
	switch {
	case n.kind == numDouble && o.kind == numDouble:
		switch {
		case n.f < o.f:
			return -1
		case n.f > o.f:
			return 1
		}
		return 0
	case n.kind == o.kind:
		return compareInts(n.i, o.i)
	}
	c, _ := n.val().(traits.Comparer).Compare(o.val()).(types.Int)
	return int(c)
}

// isPlainNumber reports whether values of a type are an int, a double or null.
//
// A field such as m.pricing.input has a nullable type. Unsigned ints and "any" are not
// plain.
func isPlainNumber(t *types.Type) bool {
	switch t.Kind() {
	case types.IntKind, types.DoubleKind:
		return true
	}
	return t.IsExactType(types.NewNullableType(types.DoubleType)) || t.IsExactType(types.NewNullableType(types.IntType))
}

// number plans an expression whose type is a number.
//
// It goes the way of [planner.text]: a native form first, then a leaf.
func (c *planner) number(e ast.Expr) (none node[num], ok bool) {
	if !isPlainNumber(c.typeOf(e)) {
		return none, false
	}
	n, ok := c.nativeNumber(e)
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
	return once(c, node[num]{deps: l.deps, eval: func(f *frame) (num, error) {
		v, err := l.eval(f)
		if err != nil {
			return num{}, err
		}
		switch v := v.(type) {
		case types.Int:
			return intNum(int64(v)), nil
		case types.Double:
			return doubleNum(float64(v)), nil
		case types.Null:
			return num{}, nil
		}
		return num{}, noOverload("")
	}}), true
}

// nativeNumber plans literals, fields and calls. Arithmetic of ints is left to
// CEL, with its checks for overflows.
func (c *planner) nativeNumber(e ast.Expr) (none node[num], ok bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Int:
			return node[num]{eval: func(*frame) (num, error) { return intNum(int64(v)), nil }}, true
		case types.Double:
			return node[num]{eval: func(*frame) (num, error) { return doubleNum(float64(v)), nil }}, true
		}
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			return none, false
		}
		return c.numberField(e.AsSelect())
	case ast.CallKind:
		call := e.AsCall()
		switch args := call.Args(); call.FunctionName() {
		case operators.Conditional:
			condition, ok1 := c.condition(args[0])
			yes, ok2 := c.number(args[1])
			no, ok3 := c.number(args[2])
			return choose(condition, yes, no), ok1 && ok2 && ok3
		case operators.Negate:
			x, ok := c.number(args[0])
			// The error is made once: one per element of a large catalog would be garbage.
			undefined := noOverload(operators.Negate)
			return node[num]{x.deps, x.vars, func(f *frame) (num, error) {
				n, err := x.eval(f)
				switch {
				case err != nil:
					return num{}, err
				case n.kind == numDouble:
					return doubleNum(-n.f), nil
				// The smallest int has no positive counterpart.
				case n.kind == numInt && n.i != math.MinInt64:
					return intNum(-n.i), nil
				case n.kind == numInt:
					return num{}, errOverflow
				}
				return num{}, undefined
			}}, ok
		case operators.Add, operators.Subtract, operators.Multiply, operators.Divide:
			return c.arithmetic(call.FunctionName(), args)
		// size(list) and list.size() are one function to CEL.
		case "size":
			list := call.Target()
			if !call.IsMemberFunction() {
				list = args[0]
			}
			if !c.isListOfModels(list) {
				return none, false
			}
			l, ok := c.list(list)
			return derive(l, 0, func(_ *frame, l modelList) (num, error) { return intNum(int64(len(l.order))), nil }), ok
		}
	}
	return none, false
}

// errOverflow has the text of CEL's own error.
var errOverflow = errors.New("integer overflow")

// arithmetic plans + - * / of doubles.
//
// Both sides must be doubles, or null at run time, as prices can be. Null is an error,
// with CEL's words: the left side's names the operator. Division by zero is infinity,
// as for any double.
func (c *planner) arithmetic(operator string, args []ast.Expr) (none node[num], ok bool) {
	do := map[string]func(a, b float64) float64{
		operators.Add:      func(a, b float64) float64 { return a + b },
		operators.Subtract: func(a, b float64) float64 { return a - b },
		operators.Multiply: func(a, b float64) float64 { return a * b },
		operators.Divide:   func(a, b float64) float64 { return a / b },
	}[operator]
	for _, a := range args {
		// CEL's arithmetic of ints stops at an overflow. Closures would have to do
		// the same.
		if t := c.typeOf(a); t.Kind() == types.IntKind || t.IsExactType(types.NewNullableType(types.IntType)) {
			return none, false
		}
	}
	a, ok1 := c.number(args[0])
	b, ok2 := c.number(args[1])
	undefined := noOverload(operator)
	return both(a, b, func(_ *frame, a, b num) (num, error) {
		if a.kind != numDouble {
			return num{}, undefined
		}
		if b.kind != numDouble {
			return num{}, errNoOverload
		}
		return doubleNum(do(a.f, b.f)), nil
	}), ok1 && ok2
}

// numberField plans a field with a number.
//
// The fields are counts of a model, its prices, numbers of req.ai, and metrics.
func (c *planner) numberField(sel ast.SelectExpr) (none node[num], ok bool) {
	operand, name := sel.Operand(), sel.FieldName()
	if slot, ok := c.variable(operand); ok && c.typeOf(operand).TypeName() == "@model" {
		read := modelCounts()[name]
		return ofVariable(slot, 0, func(_ *frame, m *Model) (num, error) { return intNum(read(m)), nil }), read != nil
	}
	if slot, ok := c.ofModel(operand, "pricing"); ok {
		read := prices()[name]
		return ofVariable(slot, 0, func(_ *frame, m *Model) (num, error) {
			if m.Pricing == nil {
				// m.pricing is null. Its fields have no value, not the value null.
				return num{}, errNoValue
			}
			if p := read(m.Pricing); p != nil {
				return doubleNum(*p), nil
			}
			return num{}, nil
		}), read != nil
	}
	if c.isRequestField(operand, "ai") {
		for _, fact := range factTable() {
			if fact.name == name && fact.count != nil {
				return node[num]{deps: depRequest, eval: func(f *frame) (num, error) { return intNum(fact.count(f.run.requestOrEmpty().facts())), nil }}, true
			}
		}
		return none, false
	}
	return c.measured(sel)
}

// measured plans m.metrics.scope.name and m.metrics.scope.group.name.
//
// name has a dot for a figure in a group, as the rows of [metricTable] do:
// m.metrics.global.error_rate.total is "error_rate.total" of the scope global.
func (c *planner) measured(sel ast.SelectExpr) (none node[num], ok bool) {
	name, scope := sel.FieldName(), sel.Operand()
	if scope.Kind() == ast.SelectKind && c.typeOf(scope).TypeName() != "@metrics" {
		name, scope = scope.AsSelect().FieldName()+"."+name, scope.AsSelect().Operand()
	}
	if scope.Kind() != ast.SelectKind || c.typeOf(scope).TypeName() != "@metrics" {
		return none, false
	}
	slot, ok := c.ofModel(scope.AsSelect().Operand(), "metrics")
	if !ok {
		return none, false
	}
	of := map[string]func(*ModelMetrics) *Metrics{
		"global":   func(m *ModelMetrics) *Metrics { return &m.Global },
		"region":   func(m *ModelMetrics) *Metrics { return &m.Region },
		"account":  func(m *ModelMetrics) *Metrics { return &m.Account },
		"endpoint": func(m *ModelMetrics) *Metrics { return &m.Endpoint },
	}[scope.AsSelect().FieldName()]
	// The search runs while the strategy is compiled. The closure holds the row.
	for _, m := range metricTable() {
		if m.name != name || m.isGroup() || of == nil {
			continue
		}
		return node[num]{depMetrics, 1 << slot, func(f *frame) (num, error) {
			at := of(f.run.metricsOf(int(f.vars[slot])))
			if m.count != nil {
				return intNum(m.count(at)), nil
			}
			return doubleNum(m.real(at)), nil
		}}, true
	}
	return none, false
}
