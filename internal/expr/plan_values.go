package expr

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// Errors of closures have the words of CEL's, as [plainError] puts them.

func noOverload(function string) error {
	return plainError(errors.New("no such overload: " + function))
}

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
func ofVariable[T any](slot int, more deps, read func(*frame, *Model) (T, error)) node[T] {
	return node[T]{more, 1 << slot, func(f *frame) (T, error) { return read(f, f.prepared.models[f.vars[slot]]) }}
}

// model plans an expression whose type is a model.
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
		if !ok {
			return none, false
		}
		return node[int32]{weighed.deps | depChance, weighed.vars, func(f *frame) (int32, error) {
			w, err := weighed.eval(f)
			if err != nil {
				return 0, err
			}
			if len(w.sums) == 0 {
				return 0, &nothingError{"random() of an empty list"}
			}
			return w.list.order[pickWeighted(w.sums, f.run.fraction)], nil
		}}, true
	case ast.CallKind:
		call := e.AsCall()
		switch args := call.Args(); call.FunctionName() {
		case operators.Conditional:
			condition, ok1 := c.condition(args[0])
			yes, ok2 := c.model(args[1])
			no, ok3 := c.model(args[2])
			if ok1 && ok2 && ok3 {
				return choose(condition, yes, no), true
			}
		case fnRandom:
			if list, ok := c.list(args[1]); ok {
				return derive(list, depChance, func(f *frame, l modelList) (int32, error) {
					if len(l.order) == 0 {
						return 0, &nothingError{"random() of an empty list"}
					}
					return l.order[f.run.intN(len(l.order))], nil
				}), true
			}
		case fnAt:
			if !c.isListOfModels(args[0]) {
				return none, false
			}
			list, ok1 := c.list(args[0])
			index, ok2 := c.number(args[1])
			if ok1 && ok2 {
				return node[int32]{list.deps | index.deps, list.vars | index.vars, func(f *frame) (int32, error) {
					l, err := list.eval(f)
					if err != nil {
						return 0, err
					}
					at, err := index.eval(f)
					if err != nil {
						return 0, err
					}
					if at.i < 0 || at.i >= int64(len(l.order)) {
						return 0, &nothingError{fmt.Sprintf("index %d is out of range, the list has %d", at.i, len(l.order))}
					}
					return l.order[at.i], nil
				}}, true
			}
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

var errNullModel = &nothingError{"the result is null"}

// text plans an expression whose type is a string.
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

func (c *planner) nativeText(e ast.Expr) (none node[string], ok bool) {
	ofRequest := func(read func(*Request) string) (node[string], bool) {
		return node[string]{deps: depRequest, eval: func(f *frame) (string, error) { return read(f.run.requestOrEmpty()), nil }}, true
	}
	switch e.Kind() {
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
	missing := noSuchKey(name)
	return node[string]{deps: depRequest, eval: func(f *frame) (string, error) {
		values := f.run.requestOrEmpty().Header.Values(name)
		switch {
		case len(values) == 0:
			return "", missing
		case index < 0 || int(index) >= len(values):
			return "", &nothingError{fmt.Sprintf("index %d is out of range, the list has %d", index, len(values))}
		}
		return values[index], nil
	}}, true
}

// condition plans an expression whose type is bool.
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
	}
	return none, false
}

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
		long := (text.deps|part.deps)&depRequest != 0
		return both(text, part, func(f *frame, a, b string) (bool, error) {
			if long { // a client can send long texts
				f.run.spend((len(a) + len(b)) / textStep)
			}
			return test(a, b), nil
		}), true
	case "matches":
		if !call.IsMemberFunction() {
			return none, false
		}
		text, ok := c.text(call.Target())
		pattern, isConstant := constant(args[0])
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

// logical is && and ||. The side that decides does so even if the other fails.
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
			_, found := layers{m.Metadata, m.provider().Metadata}.find(name)
			return found, nil
		}), true
	}
	return none, false
}

// ofModel reports whether an expression is a field of a loop variable's model.
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
func (c *planner) metadata(e ast.Expr) (none node[any], ok bool) {
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

// equals plans a == b.
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
func sameText(v any, s string) bool {
	switch v := v.(type) {
	case string:
		return v == s
	case bool, float64, nil, map[string]any, []any:
		return false
	}
	return types.Equal(types.DefaultTypeAdapter.NativeToValue(v), types.String(s)) == types.True
}

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
func (c *planner) order(operator string, args []ast.Expr) (none node[bool], ok bool) {
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
		if c.isRequestField(b, "headers") {
			return node[bool]{text.deps | depRequest, text.vars, func(f *frame) (bool, error) {
				name, err := text.eval(f)
				if err != nil {
					return false, err
				}
				return len(http.Header(f.run.requestOrEmpty().Header).Values(name)) > 0, nil
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

// num is a number or null.
type num struct {
	kind numKind
	i    int64
	f    float64
}

type numKind uint8

const (
	numNull numKind = iota
	numInt
	numDouble
)

func intNum(i int64) num      { return num{kind: numInt, i: i} }
func doubleNum(f float64) num { return num{kind: numDouble, f: f} }

func (n num) isNaN() bool { return n.kind == numDouble && math.IsNaN(n.f) }

func (n num) val() ref.Val {
	switch n.kind {
	case numInt:
		return types.Int(n.i)
	case numDouble:
		return types.Double(n.f)
	}
	return types.NullValue
}

func (n num) equal(o num) bool {
	switch {
	case n.kind == numDouble && o.kind == numDouble:
		return n.f == o.f
	case n.kind != numNull && n.kind == o.kind:
		return n.i == o.i
	case n.kind == numNull || o.kind == numNull:
		return n.kind == o.kind
	}
	return types.Equal(n.val(), o.val()) == types.True
}

// compare orders two numbers that are neither null nor NaN.
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
func isPlainNumber(t *types.Type) bool {
	switch t.Kind() {
	case types.IntKind, types.DoubleKind:
		return true
	}
	return t.IsExactType(types.NewNullableType(types.DoubleType)) || t.IsExactType(types.NewNullableType(types.IntType))
}

// number plans an expression whose type is a number.
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
			undefined := noOverload(operators.Negate)
			return node[num]{x.deps, x.vars, func(f *frame) (num, error) {
				n, err := x.eval(f)
				switch {
				case err != nil:
					return num{}, err
				case n.kind == numDouble:
					return doubleNum(-n.f), nil
				case n.kind == numInt && n.i != math.MinInt64:
					return intNum(-n.i), nil
				case n.kind == numInt:
					return num{}, errOverflow
				}
				return num{}, undefined
			}}, ok
		case operators.Add, operators.Subtract, operators.Multiply, operators.Divide:
			return c.arithmetic(call.FunctionName(), args)
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

var errOverflow = errors.New("integer overflow")

// arithmetic plans + - * / of doubles.
func (c *planner) arithmetic(operator string, args []ast.Expr) (none node[num], ok bool) {
	do := map[string]func(a, b float64) float64{
		operators.Add:      func(a, b float64) float64 { return a + b },
		operators.Subtract: func(a, b float64) float64 { return a - b },
		operators.Multiply: func(a, b float64) float64 { return a * b },
		operators.Divide:   func(a, b float64) float64 { return a / b },
	}[operator]
	for _, a := range args {
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

// numberField plans a field that is a number.
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
