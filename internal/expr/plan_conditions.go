package expr

import (
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// condition plans an expression whose type is bool.
//
// The forms are tried in the order of [planner.text]. A leaf that reads the
// models only is kept, see [static].
func (c *planner) condition(e ast.Expr) (none node[bool], ok bool) {
	if c.typeOf(e).Kind() != types.BoolKind {
		return none, false
	}
	n, ok := c.nativeCondition(e)
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
	return once(c, static(c, node[bool]{deps: l.deps, eval: func(f *frame) (bool, error) {
		v, err := l.eval(f)
		if err != nil {
			return false, err
		}
		b, ok := v.(types.Bool)
		if !ok {
			return false, noOverload("")
		}
		return bool(b), nil
	}})), true
}

// nativeCondition plans literals, flags and calls. It reports false for all
// else.
func (c *planner) nativeCondition(e ast.Expr) (none node[bool], ok bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		b, ok := e.AsLiteral().(types.Bool)
		return node[bool]{eval: func(*frame) (bool, error) { return bool(b), nil }}, ok
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			return c.presence(e.AsSelect())
		}
		operand, name := e.AsSelect().Operand(), e.AsSelect().FieldName()
		if slot, ok := c.variable(operand); ok && c.typeOf(operand).TypeName() == "@model" {
			read := modelFlags()[name]
			return ofVariable(slot, 0, func(_ *frame, m *Model) (bool, error) { return read(m), nil }), read != nil
		}
		if c.isRequestField(operand, "ai") {
			for _, fact := range factTable() {
				if fact.name == name && fact.is != nil {
					return node[bool]{deps: depRequest, eval: func(f *frame) (bool, error) { return fact.is(f.run.requestOrEmpty().facts()), nil }}, true
				}
			}
		}
	case ast.CallKind:
		return c.conditionCall(e.AsCall())
	case ast.ComprehensionKind:
		return c.quantifier(e.AsComprehension())
	}
	return none, false
}

// conditionCall plans operators and functions with a bool as their result.
//
// A pattern for matches is compiled here if it is constant and short. A computed
// pattern, and text that a client chooses, stay with CEL, which bounds them.
func (c *planner) conditionCall(call ast.CallExpr) (none node[bool], ok bool) {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.LogicalNot:
		n, ok := c.condition(args[0])
		return node[bool]{n.deps, n.vars, func(f *frame) (bool, error) {
			b, err := n.eval(f)
			return !b && err == nil, err
		}}, ok
	case operators.LogicalAnd, operators.LogicalOr:
		return c.logical(args, name == operators.LogicalOr)
	case operators.Conditional:
		condition, ok1 := c.condition(args[0])
		yes, ok2 := c.condition(args[1])
		no, ok3 := c.condition(args[2])
		return choose(condition, yes, no), ok1 && ok2 && ok3
	case operators.Equals, operators.NotEquals:
		// An error of == is an error of != too. Only a value is negated.
		n, ok := c.equals(args[0], args[1])
		if ok && name == operators.NotEquals {
			equal := n.eval
			n.eval = func(f *frame) (bool, error) {
				b, err := equal(f)
				return !b && err == nil, err
			}
		}
		return n, ok
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return c.order(name, args)
	case operators.In:
		return c.in(args[0], args[1])
	case "startsWith", "endsWith", "contains":
		test := map[string]func(string, string) bool{"startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix, "contains": strings.Contains}[name]
		text, ok1 := c.text(call.Target())
		part, ok2 := c.text(args[0])
		if !ok1 || !ok2 {
			return none, false
		}
		// Texts of the config and the catalog are short: only a client's text is
		// charged.
		long := (text.deps|part.deps)&depRequest != 0
		return both(text, part, func(f *frame, a, b string) (bool, error) {
			if long { // a client can send long texts
				f.run.spend((len(a) + len(b)) / textStep)
			}
			return test(a, b), nil
		}), true
	case "matches":
		// The function matches(text, pattern) has no target, and stays with CEL.
		if !call.IsMemberFunction() {
			return none, false
		}
		text, ok := c.text(call.Target())
		pattern, isConstant := constant(args[0])
		// The config's author is trusted with 200 bytes. A longer pattern goes to CEL,
		// which bounds the compiled program, see [maxRegexProgram].
		if !ok || !isConstant || len(pattern) > 200 || text.deps&depRequest != 0 {
			return none, false
		}
		re, err := regexp.Compile(pattern)
		return node[bool]{text.deps, text.vars, func(f *frame) (bool, error) {
			s, err := text.eval(f)
			return err == nil && re.MatchString(s), err
		}}, err == nil
	}
	return none, false
}

// both makes a node of a function of two values. The error of the first comes
// first.
//
// do runs only if both values are good. The order of the sides shows in the
// error alone, for no value has an effect.
func both[A, B, T any](a node[A], b node[B], do func(*frame, A, B) (T, error)) node[T] {
	return node[T]{a.deps | b.deps, a.vars | b.vars, func(f *frame) (T, error) {
		var zero T
		x, err := a.eval(f)
		if err != nil {
			return zero, err
		}
		y, err := b.eval(f)
		if err != nil {
			return zero, err
		}
		return do(f, x, y)
	}}
}

// logical is && and ||. A deciding side wins even if the other one fails.
//
// false && error is false, and error && false is false as well: the sides have no
// order in CEL. The error of the left side comes first.
func (c *planner) logical(args []ast.Expr, decides bool) (none node[bool], ok bool) {
	a, ok1 := c.condition(args[0])
	b, ok2 := c.condition(args[1])
	if !ok1 || !ok2 || len(args) != 2 {
		return none, false
	}
	return node[bool]{a.deps | b.deps, a.vars | b.vars, func(f *frame) (bool, error) {
		x, errA := a.eval(f)
		if errA == nil && x == decides {
			return decides, nil
		}
		y, errB := b.eval(f)
		switch {
		case errB == nil && y == decides:
			return decides, nil
		case errA != nil:
			return false, errA
		case errB != nil:
			return false, errB
		}
		return !decides, nil
	}}, true
}

// presence is has(…).
//
// A field is there if it is not null, zero or empty. m.pricing.input is not there
// if the model has no prices at all.
//
// A field that the tables do not know is left to CEL, which asks [isZero].
func (c *planner) presence(sel ast.SelectExpr) (none node[bool], ok bool) {
	operand, name := sel.Operand(), sel.FieldName()
	if slot, ok := c.variable(operand); ok && c.typeOf(operand).TypeName() == "@model" {
		var test func(*Model) bool
		if read := modelTexts()[name]; read != nil {
			test = func(m *Model) bool { return read(m) != "" }
		} else if read := modelLists()[name]; read != nil {
			test = func(m *Model) bool { return len(read(m)) > 0 }
		} else if read := modelCounts()[name]; read != nil {
			test = func(m *Model) bool { return read(m) != 0 }
		} else if read := modelFlags()[name]; read != nil {
			test = read
		} else if name == "pricing" {
			test = func(m *Model) bool { return m.Pricing != nil }
		} else if name == "datacenters" {
			test = func(m *Model) bool { return len(m.Datacenters) > 0 }
		}
		return ofVariable(slot, 0, func(_ *frame, m *Model) (bool, error) { return test(m), nil }), test != nil
	}
	if slot, ok := c.ofModel(operand, "pricing"); ok {
		read := prices()[name]
		return ofVariable(slot, 0, func(_ *frame, m *Model) (bool, error) {
			if m.Pricing == nil {
				return false, nil
			}
			p := read(m.Pricing)
			return p != nil && *p != 0, nil
		}), read != nil
	}
	if slot, ok := c.ofModel(operand, "metadata"); ok {
		return ofVariable(slot, 0, func(_ *frame, m *Model) (bool, error) {
			// has() of a map asks for the key. Its value may be null or empty.
			_, found := layers{m.Metadata, m.provider().Metadata}.find(name)
			return found, nil
		}), true
	}
	return none, false
}

// equals plans a == b.
//
// Pairs of other types, such as lists, are left to CEL.
//
// Metadata has no type before it is read: m.metadata.tier == 'gold' compares a
// value of any type with a string. Values of other types than the string's are
// unequal, and that is not an error.
func (c *planner) equals(a, b ast.Expr) (none node[bool], ok bool) {
	ta, tb := c.typeOf(a), c.typeOf(b)
	switch {
	case ta.Kind() == types.StringKind && tb.Kind() == types.StringKind:
		x, ok1 := c.text(a)
		y, ok2 := c.text(b)
		return both(x, y, func(_ *frame, x, y string) (bool, error) { return x == y, nil }), ok1 && ok2
	case ta.Kind() == types.BoolKind && tb.Kind() == types.BoolKind:
		x, ok1 := c.condition(a)
		y, ok2 := c.condition(b)
		return both(x, y, func(_ *frame, x, y bool) (bool, error) { return x == y, nil }), ok1 && ok2
	case isPlainNumber(ta) && isPlainNumber(tb):
		x, ok1 := c.number(a)
		y, ok2 := c.number(b)
		return both(x, y, func(_ *frame, x, y num) (bool, error) { return x.equal(y), nil }), ok1 && ok2
	// A comparison with null asks whether a number or the prices are known.
	case ta.Kind() == types.NullTypeKind:
		return c.isNull(b)
	case tb.Kind() == types.NullTypeKind:
		return c.isNull(a)
	case ta.Kind() == types.DynKind && tb.Kind() == types.StringKind:
		x, ok1 := c.metadata(a)
		y, ok2 := c.text(b)
		return both(x, y, func(_ *frame, x any, y string) (bool, error) { return sameText(x, y), nil }), ok1 && ok2
	case ta.Kind() == types.StringKind && tb.Kind() == types.DynKind:
		x, ok1 := c.text(a)
		y, ok2 := c.metadata(b)
		return both(x, y, func(_ *frame, x string, y any) (bool, error) { return sameText(y, x), nil }), ok1 && ok2
	}
	return none, false
}

// sameText compares metadata with a string.
//
// The listed types are never equal to a string. CEL compares the others.
func sameText(v any, s string) bool {
	switch v := v.(type) {
	case string:
		return v == s
	case bool, float64, nil, map[string]any, []any:
		return false
	}
	return types.Equal(types.DefaultTypeAdapter.NativeToValue(v), types.String(s)) == types.True
}

// isNull plans e == null for prices and other numbers that may be unknown.
//
// m.pricing == null and m.pricing.input == null are the usual ones: they ask
// whether a price is known.
func (c *planner) isNull(e ast.Expr) (none node[bool], ok bool) {
	if slot, ok := c.ofModel(e, "pricing"); ok {
		return ofVariable(slot, 0, func(_ *frame, m *Model) (bool, error) { return m.Pricing == nil, nil }), true
	}
	if !isPlainNumber(c.typeOf(e)) {
		return none, false
	}
	n, ok := c.number(e)
	return node[bool]{n.deps, n.vars, func(f *frame) (bool, error) {
		x, err := n.eval(f)
		return err == nil && x.kind == numNull, err
	}}, ok
}

// order plans < <= > >=.
//
// A comparison with null has no overload in CEL, and fails. A comparison with NaN
// is false. The order of the cases is CEL's: it looks at the left side first.
func (c *planner) order(operator string, args []ast.Expr) (none node[bool], ok bool) {
	// The operator is looked up once, while the strategy is compiled.
	holds := map[string]func(int) bool{
		operators.Less:          func(c int) bool { return c < 0 },
		operators.LessEquals:    func(c int) bool { return c <= 0 },
		operators.Greater:       func(c int) bool { return c > 0 },
		operators.GreaterEquals: func(c int) bool { return c >= 0 },
	}[operator]
	ta, tb := c.typeOf(args[0]), c.typeOf(args[1])
	switch {
	case ta.Kind() == types.StringKind && tb.Kind() == types.StringKind:
		x, ok1 := c.text(args[0])
		y, ok2 := c.text(args[1])
		return both(x, y, func(_ *frame, x, y string) (bool, error) { return holds(strings.Compare(x, y)), nil }), ok1 && ok2
	case isPlainNumber(ta) && isPlainNumber(tb):
		x, ok1 := c.number(args[0])
		y, ok2 := c.number(args[1])
		undefined := noOverload(operator)
		return both(x, y, func(_ *frame, x, y num) (bool, error) {
			if x.kind == numNull {
				return false, undefined
			}
			if x.isNaN() || y.isNaN() {
				return false, nil
			}
			if y.kind == numNull {
				return false, errNoOverload
			}
			return holds(x.compare(y)), nil
		}), ok1 && ok2
	case ta.Kind() == types.DynKind && (tb.Kind() == types.IntKind || tb.Kind() == types.DoubleKind):
		x, ok1 := c.metadata(args[0])
		y, ok2 := c.number(args[1])
		undefined := noOverload(operator)
		return both(x, y, func(_ *frame, v any, y num) (bool, error) {
			x := numOf(v)
			if x.kind == numNull {
				switch v.(type) {
				// CEL finds an overload for the left side here, and fails at the right
				// one.
				case string, bool:
					if y.isNaN() {
						return false, nil
					}
					return false, errNoOverload
				}
				return false, undefined
			}
			if x.isNaN() || y.isNaN() {
				return false, nil
			}
			return holds(x.compare(y)), nil
		}), ok1 && ok2
	}
	return none, false
}

// numOf returns a number of metadata, null for another value.
//
// A document gives int64 and float64, and a Go program may give int. A uint64,
// which a document holds above 2⁶³, reads as null.
func numOf(v any) num {
	switch v := v.(type) {
	case float64:
		return doubleNum(v)
	case int64:
		return intNum(v)
	case int:
		return intNum(int64(v))
	}
	return num{}
}

// in plans a in b.
//
// The planned forms of b are a list of a model, such as m.supported_features, the
// headers of the request, metadata (a key of it), and a literal list of strings.
//
// A header's name compares without regard to letter case. Elements of lists and
// keys of metadata compare byte by byte.
func (c *planner) in(a, b ast.Expr) (none node[bool], ok bool) {
	if c.typeOf(a).Kind() != types.StringKind {
		return none, false
	}
	text, ok := c.text(a)
	if !ok {
		return none, false
	}
	switch b.Kind() {
	case ast.SelectKind:
		if slot, ok := c.variable(b.AsSelect().Operand()); ok && !b.AsSelect().IsTestOnly() {
			read := modelLists()[b.AsSelect().FieldName()]
			if read == nil || c.typeOf(b.AsSelect().Operand()).TypeName() != "@model" {
				return none, false
			}
			list := ofVariable(slot, 0, func(_ *frame, m *Model) ([]string, error) { return read(m), nil })
			return both(text, list, func(_ *frame, s string, list []string) (bool, error) { return slices.Contains(list, s), nil }), true
		}
		// Values looks the name up in its canonical form.
		if c.isRequestField(b, "headers") {
			return node[bool]{text.deps | depRequest, text.vars, func(f *frame) (bool, error) {
				name, err := text.eval(f)
				if err != nil {
					return false, err
				}
				return len(f.run.requestOrEmpty().Header.Values(name)) > 0, nil
			}}, true
		}
		if slot, ok := c.ofModel(b, "metadata"); ok {
			return both(text, ofVariable(slot, 0, func(_ *frame, m *Model) (layers, error) {
				return layers{m.Metadata, m.provider().Metadata}, nil
			}), func(_ *frame, key string, l layers) (bool, error) {
				_, found := l.find(key)
				return found, nil
			}), true
		}
	case ast.ListKind:
		var words []string
		for _, element := range b.AsList().Elements() {
			word, isConstant := constant(element)
			if !isConstant {
				return none, false
			}
			words = append(words, word)
		}
		return node[bool]{text.deps, text.vars, func(f *frame) (bool, error) {
			s, err := text.eval(f)
			return err == nil && slices.Contains(words, s), err
		}}, true
	}
	return none, false
}
