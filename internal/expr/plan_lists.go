package expr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// list plans an expression whose type is a list of models, by CEL if need be.
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

func (c *planner) isVariable(e ast.Expr, name, typeName string) bool {
	_, shadowed := c.vars[name]
	return e.Kind() == ast.IdentKind && e.AsIdent() == name && !shadowed && c.typeOf(e).TypeName() == typeName
}

// literal is [model, …].
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
		return modelList{order: order, distinct: len(order) < 2}, nil
	}
	return n, len(parts) > 0
}

// holdsNull reports whether an expression could be null.
func holdsNull(e ast.Expr) bool {
	found := false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		found = found || e.Kind() == ast.LiteralKind && e.AsLiteral() == types.NullValue
	}))
	return found
}

func (c *planner) listCall(call ast.CallExpr) (none node[modelList], ok bool) {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case fnSpend:
		inner, ok := c.list(args[1])
		steps, isInt := args[2].AsLiteral().(types.Int)
		if !ok || !isInt {
			return none, false
		}
		return derive(inner, 0, func(f *frame, l modelList) (modelList, error) {
			f.run.spend(len(l.order) * int(steps))
			return l, nil
		}), true
	case operators.Conditional:
		condition, ok1 := c.condition(args[0])
		yes, ok2 := c.list(args[1])
		no, ok3 := c.list(args[2])
		return choose(condition, yes, no), ok1 && ok2 && ok3
	case operators.Add:
		a, ok1 := c.list(args[0])
		b, ok2 := c.list(args[1])
		if !ok1 || !ok2 {
			return none, false
		}
		return node[modelList]{a.deps | b.deps, a.vars | b.vars, func(f *frame) (modelList, error) {
			first, err := a.eval(f)
			if err != nil {
				return modelList{}, err
			}
			second, err := b.eval(f)
			if err != nil {
				return modelList{}, err
			}
			f.run.spend(len(first.order) + len(second.order))
			return modelList{order: append(slices.Clip(first.order), second.order...)}, nil
		}}, true
	case fnRandomize:
		inner, ok := c.list(args[1])
		return derive(inner, depChance, (*frame).randomized), ok
	case fnLeastBusy:
		inner, ok := c.list(args[1])
		return derive(inner, depChance|depLive, (*frame).leastBusy), ok
	case fnAble:
		inner, ok := c.list(args[1])
		return derive(inner, depRequest, func(f *frame, l modelList) (modelList, error) {
			f.run.spend(2 * len(l.order))
			facts := f.run.requestOrEmpty().facts()
			kept := make([]int32, 0, len(l.order))
			for _, i := range l.order {
				if Able(f.prepared.models[i], facts) {
					kept = append(kept, i)
				}
			}
			return modelList{order: kept, distinct: l.distinct}, nil
		}), ok
	case fnSticky:
		return c.sticky(args)
	case "underCost":
		return c.underCost(call)
	case "sortBy":
		inner, ok := c.list(call.Target())
		if word, isConstant := constant(args[0]); !ok || !isConstant || word != sortWords()[0] {
			return none, false
		}
		return derive(inner, 0, func(f *frame, l modelList) (modelList, error) {
			f.run.spend(len(l.order))
			order := slices.Clone(l.order)
			slices.SortStableFunc(order, func(a, b int32) int {
				return comparePricing(f.prepared.models[a].Pricing, f.prepared.models[b].Pricing)
			})
			return modelList{order: order, distinct: l.distinct}, nil
		}), true
	default:
		by, known := modelsByName()[name]
		if !known || !call.IsMemberFunction() || len(args) != 1 {
			return none, false
		}
		inner, ok1 := c.list(call.Target())
		names, ok2 := c.names(args[0])
		if !ok1 || !ok2 {
			return none, false
		}
		return node[modelList]{inner.deps | names.deps, inner.vars | names.vars, func(f *frame) (modelList, error) {
			l, err := inner.eval(f)
			if err != nil {
				return modelList{}, err
			}
			set, err := names.eval(f)
			if err != nil {
				return modelList{}, err
			}
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
		}}, true
	}
}

// derive makes a node of what a function makes of a list.
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
			if p := price(m.Pricing); p != nil && *p < limit {
				kept = append(kept, i)
			}
		}
		return modelList{order: kept, distinct: l.distinct}, nil
	}), true
}

// names is an argument that is a string or a list of strings.
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

// loop is a list that a macro walks over: filter, sortBy and randomize.
func (c *planner) loop(loop ast.ComprehensionExpr) (none node[modelList], ok bool) {
	if loop.LoopStep().Kind() != ast.CallKind {
		return none, false
	}
	switch loop.LoopStep().AsCall().FunctionName() {
	case fnKeep:
		return c.filter(loop)
	case fnRank:
		return c.sortBy(loop)
	case fnWeigh:
		if loop.Result().AsCall().FunctionName() != fnWeighedBy {
			return none, false
		}
		weighed, ok := c.weighed(loop)
		if !ok {
			return none, false
		}
		return node[modelList]{weighed.deps | depChance, weighed.vars, func(f *frame) (modelList, error) {
			w, err := weighed.eval(f)
			if err != nil {
				return modelList{}, err
			}
			f.run.spend(2 * len(w.list.order))
			order := make([]int32, len(w.list.order))
			for i, at := range weightedOrder(w.weights, f.run.fraction) {
				order[i] = w.list.order[at]
			}
			return modelList{order: order, distinct: w.list.distinct}, nil
		}}, true
	}
	return none, false
}

// body plans the list of a loop, and has its body planned with the variable in
// scope.
func (c *planner) body(loop ast.ComprehensionExpr, plan func(slot int, body ast.Expr) bool) (list node[modelList], slot int, ok bool) {
	list, ok = c.list(loop.IterRange())
	if !ok || len(c.vars) == maxLoops || loop.HasIterVar2() {
		return list, 0, false
	}
	if _, shadows := c.vars[loop.IterVar()]; shadows {
		return list, 0, false
	}
	slot = len(c.vars)
	c.vars[loop.IterVar()] = slot
	defer delete(c.vars, loop.IterVar())
	return list, slot, plan(slot, loop.LoopStep().AsCall().Args()[2])
}

func (c *planner) filter(loop ast.ComprehensionExpr) (none node[modelList], ok bool) {
	var predicate node[bool]
	var key *equality
	list, slot, ok := c.body(loop, func(slot int, body ast.Expr) (ok bool) {
		if predicate, ok = c.condition(body); ok {
			key = c.equality(body, slot)
		}
		return ok
	})
	if !ok {
		return none, false
	}
	bit := uint8(1) << slot
	n := node[modelList]{list.deps | predicate.deps, list.vars | predicate.vars&^bit, func(f *frame) (modelList, error) {
		l, err := list.eval(f)
		if err != nil {
			return modelList{}, err
		}
		return f.filter(l, slot, predicate)
	}}
	if key == nil || list.deps != 0 || list.vars != 0 {
		return n, true
	}
	// The predicate asks for one value of a field: an index has the models.
	index := static(c, node[map[string]modelList]{eval: func(f *frame) (map[string]modelList, error) {
		l, err := list.eval(f)
		if err != nil {
			return nil, err
		}
		byValue := map[string]modelList{}
		for _, i := range l.order {
			v := key.field(f.prepared.models[i])
			same := byValue[v]
			if same.shared == nil {
				same.distinct, same.shared = l.distinct, &sharedModels{}
			}
			same.order = append(same.order, i)
			byValue[v] = same
		}
		return byValue, nil
	}})
	scan := n.eval
	n.eval = func(f *frame) (modelList, error) {
		value, err := key.value.eval(f)
		if err != nil {
			return scan(f) // it fails for each element, which is noted
		}
		byValue, err := index.eval(f)
		if err != nil {
			return modelList{}, err
		}
		l := byValue[value]
		if key.alone {
			return l, nil
		}
		return f.filter(l, slot, predicate)
	}
	return n, true
}

func (f *frame) filter(l modelList, slot int, predicate node[bool]) (modelList, error) {
	kept := make([]int32, 0, min(len(l.order), 64))
	for n, i := range l.order {
		f.tick(n)
		f.vars[slot] = i
		is, err := predicate.eval(f)
		switch {
		case err != nil:
			f.run.noteOf("filter: %s left out: %v", f.prepared.models[i], err)
		case is:
			kept = append(kept, i)
		}
	}
	return modelList{order: kept, distinct: l.distinct}, nil
}

// noteOf is note for an element, and formats nothing once there are enough.
func (r *run) noteOf(format string, m *Model, why any) {
	if len(r.notes) >= maxNotes {
		r.moreNotes++
		return
	}
	r.note(format, m.provider().ID+":"+m.ID, why)
}

// equality is m.field == value, where no loop variable changes the value.
type equality struct {
	field func(*Model) string
	value node[string]
	alone bool // the predicate is nothing else
}

// equality finds one that all kept elements fulfil.
func (c *planner) equality(e ast.Expr, slot int) *equality {
	if e.Kind() != ast.CallKind {
		return nil
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.LogicalAnd:
		for _, arg := range call.Args() {
			if eq := c.equality(arg, slot); eq != nil {
				eq.alone = false
				return eq
			}
		}
	case operators.Equals:
		for i, arg := range call.Args() {
			other := call.Args()[1-i]
			if arg.Kind() != ast.SelectKind || c.typeOf(other).Kind() != types.StringKind {
				continue
			}
			if at, ok := c.variable(arg.AsSelect().Operand()); !ok || at != slot {
				continue
			}
			field := modelTexts()[arg.AsSelect().FieldName()]
			value, ok := c.text(other)
			if field != nil && ok && value.vars == 0 && value.deps == depRequest {
				return &equality{field, value, true}
			}
		}
	}
	return nil
}

func (c *planner) sortBy(loop ast.ComprehensionExpr) (none node[modelList], ok bool) {
	var key node[sortKey]
	list, slot, ok := c.body(loop, func(_ int, body ast.Expr) (ok bool) {
		key, ok = c.sortKey(body)
		return ok
	})
	if !ok {
		return none, false
	}
	bit := uint8(1) << slot
	return node[modelList]{list.deps | key.deps, list.vars | key.vars&^bit, func(f *frame) (modelList, error) {
		l, err := list.eval(f)
		if err != nil {
			return modelList{}, err
		}
		f.run.spend(len(l.order))
		type keyed struct {
			key   sortKey
			index int32
		}
		all := make([]keyed, len(l.order))
		for n, i := range l.order {
			f.tick(n)
			f.vars[slot] = i
			k, err := key.eval(f)
			if err != nil {
				f.run.noteOf("sortBy: %s is last: %v", f.prepared.models[i], err)
				k = sortKey{rank: rankNone}
			}
			all[n] = keyed{k, i}
		}
		slices.SortStableFunc(all, func(a, b keyed) int { return a.key.compare(b.key) })
		order := make([]int32, len(all))
		for i, k := range all {
			order[i] = k.index
		}
		return modelList{order: order, distinct: l.distinct}, nil
	}}, true
}

// sortKey is a key of sortBy.
type sortKey struct {
	rank int
	n    num
	text string
	is   bool
}

func (k sortKey) compare(o sortKey) int {
	switch {
	case k.rank != o.rank:
		return k.rank - o.rank
	case k.rank == rankNumber:
		return k.n.compare(o.n)
	case k.rank == rankString:
		return strings.Compare(k.text, o.text)
	case k.rank == rankBool && k.is != o.is:
		if o.is {
			return -1
		}
		return 1
	}
	return 0
}

func (c *planner) sortKey(e ast.Expr) (none node[sortKey], ok bool) {
	switch t := c.typeOf(e); {
	case t.Kind() == types.StringKind:
		s, ok := c.text(e)
		return node[sortKey]{s.deps, s.vars, func(f *frame) (sortKey, error) {
			text, err := s.eval(f)
			return sortKey{rank: rankString, text: text}, err
		}}, ok
	case t.Kind() == types.BoolKind:
		b, ok := c.condition(e)
		return node[sortKey]{b.deps, b.vars, func(f *frame) (sortKey, error) {
			is, err := b.eval(f)
			return sortKey{rank: rankBool, is: is}, err
		}}, ok
	case t.Kind() == types.DynKind:
		x, ok := c.metadata(e)
		return node[sortKey]{x.deps, x.vars, func(f *frame) (sortKey, error) {
			v, err := x.eval(f)
			if err != nil {
				return sortKey{}, err
			}
			return sortKeyOf(v)
		}}, ok
	case isPlainNumber(t):
		x, ok := c.number(e)
		return node[sortKey]{x.deps, x.vars, func(f *frame) (sortKey, error) {
			n, err := x.eval(f)
			if n.kind == numNull || n.kind == numDouble && math.IsNaN(n.f) {
				return sortKey{rank: rankNone}, err
			}
			return sortKey{rank: rankNumber, n: n}, err
		}}, ok
	}
	return none, false
}

// sortKeyOf is the key of a value of metadata.
func sortKeyOf(v any) (sortKey, error) {
	switch v := v.(type) {
	case nil:
		return sortKey{rank: rankNone}, nil
	case string:
		return sortKey{rank: rankString, text: v}, nil
	case bool:
		return sortKey{rank: rankBool, is: v}, nil
	}
	if n := numOf(v); n.kind != numNull {
		if n.isNaN() {
			return sortKey{rank: rankNone}, nil
		}
		return sortKey{rank: rankNumber, n: n}, nil
	}
	return sortKey{}, fmt.Errorf("cannot order by %s", plainTypeName(types.DefaultTypeAdapter.NativeToValue(v).Type()))
}

// weighedList is a list with a weight for each element.
type weighedList struct {
	list    modelList
	weights []float64
	sums    []float64
}

func (c *planner) weighed(loop ast.ComprehensionExpr) (none node[*weighedList], ok bool) {
	var weight node[ref.Val]
	list, slot, ok := c.body(loop, func(_ int, body ast.Expr) (ok bool) {
		switch t := c.typeOf(body); {
		case isPlainNumber(t):
			var n node[num]
			n, ok = c.number(body)
			weight = node[ref.Val]{n.deps, n.vars, func(f *frame) (ref.Val, error) {
				x, err := n.eval(f)
				return x.val(), err
			}}
		case t.Kind() == types.DynKind:
			var n node[any]
			n, ok = c.metadata(body)
			weight = node[ref.Val]{n.deps, n.vars, func(f *frame) (ref.Val, error) {
				v, err := n.eval(f)
				return types.DefaultTypeAdapter.NativeToValue(v), err
			}}
		}
		return ok
	})
	if !ok {
		return none, false
	}
	bit := uint8(1) << slot
	return static(c, node[*weighedList]{list.deps | weight.deps, list.vars | weight.vars&^bit, func(f *frame) (*weighedList, error) {
		l, err := list.eval(f)
		if err != nil {
			return nil, err
		}
		w := &weighedList{list: l, weights: make([]float64, len(l.order))}
		for n, i := range l.order {
			f.tick(n)
			f.vars[slot] = i
			x, err := weight.eval(f)
			complaint := ""
			if err != nil {
				complaint = err.Error()
			} else {
				w.weights[n], complaint = weightOf(x)
			}
			if complaint != "" {
				f.run.noteOf("random: %s is last: %s", f.prepared.models[i], complaint)
			}
		}
		w.sums = cumulated(w.weights)
		return w, nil
	}}), true
}

func (f *frame) randomized(l modelList) (modelList, error) {
	f.run.spend(len(l.order))
	order := slices.Clone(l.order)
	f.shuffle(order)
	return modelList{order: order, distinct: l.distinct}, nil
}

// shuffle draws like the function of that name. Without a source of the caller's
// it takes two numbers from each word of a fast generator with a random seed.
func (f *frame) shuffle(order []int32) {
	if f.run.rand != nil {
		shuffle(f.run, order)
		return
	}
	state := rand.Uint64()
	for i := len(order) - 1; i > 0; {
		state += 0x9e3779b97f4a7c15
		word := spread(state)
		j := uint32(uint64(uint32(word)) * uint64(i+1) >> 32)
		order[i], order[j] = order[j], order[i]
		if i--; i > 0 {
			j = uint32((word >> 32) * uint64(i+1) >> 32)
			order[i], order[j] = order[j], order[i]
			i--
		}
	}
}

// leastBusy is the function of that name.
func (f *frame) leastBusy(l modelList) (modelList, error) {
	f.run.spend(2 * len(l.order))
	if f.run.rand != nil || f.run.inFlight == nil {
		out, err := f.randomizedFor(l)
		if f.run.inFlight == nil || err != nil {
			return out, err
		}
		slices.SortStableFunc(out.order, func(a, b int32) int {
			return compareInts(f.run.inFlight(int(a)), f.run.inFlight(int(b)))
		})
		return out, nil
	}
	// Counting sort, as nearly all counters are small.
	const buckets = 64
	scratch := rankings.Get().(*ranking)
	defer rankings.Put(scratch)
	loads := slices.Grow(scratch.loads[:0], len(l.order))[:len(l.order)]
	scratch.loads = loads
	var starts [buckets + 1]int
	for n, i := range l.order {
		load := int32(min(max(f.run.inFlight(int(i)), 0), math.MaxInt32))
		loads[n] = load
		starts[min(load, buckets-1)+1]++
	}
	for i := range buckets {
		starts[i+1] += starts[i]
	}
	order, next := make([]int32, len(l.order)), starts
	var many map[int32]int32
	for n, i := range l.order {
		b := min(loads[n], buckets-1)
		order[next[b]] = i
		next[b]++
		if b == buckets-1 {
			if many == nil {
				many = map[int32]int32{}
			}
			many[i] = loads[n]
		}
	}
	for b := range buckets {
		if starts[b] < starts[b+1] {
			f.shuffle(order[starts[b]:starts[b+1]])
		}
	}
	slices.SortStableFunc(order[starts[buckets-1]:], func(a, b int32) int { return int(many[a] - many[b]) })
	return modelList{order: order, distinct: l.distinct}, nil
}

func (f *frame) randomizedFor(l modelList) (modelList, error) {
	order := slices.Clone(l.order)
	f.shuffle(order)
	return modelList{order: order, distinct: l.distinct}, nil
}

// sticky is (run, list, source, key[, bound]).
func (c *planner) sticky(args []ast.Expr) (none node[modelList], ok bool) {
	list, ok1 := c.list(args[1])
	source, ok2 := constant(args[2])
	key, ok3 := c.text(args[3])
	if !ok1 || !ok2 || !ok3 {
		return none, false
	}
	n := node[modelList]{deps: list.deps | key.deps | depLive, vars: list.vars | key.vars}
	bound := node[num]{eval: func(*frame) (num, error) { return num{}, nil }}
	if len(args) > 4 {
		if bound, ok = c.number(args[4]); !ok {
			return none, false
		}
		n.deps |= bound.deps
		n.vars |= bound.vars
	}
	bounded := len(args) > 4
	n.eval = func(f *frame) (modelList, error) {
		l, err := list.eval(f)
		if err != nil {
			return modelList{}, err
		}
		text, err := key.eval(f)
		if err != nil {
			return modelList{}, err
		}
		limit := 0.0
		if bounded {
			b, err := bound.eval(f)
			if err != nil {
				return modelList{}, err
			}
			if limit, ok = number(b.val()); !ok || !(limit >= 1) {
				return modelList{}, fmt.Errorf("sticky: the bound must be 1 or more, is %v", b.val())
			}
		}
		f.run.spend(2 * len(l.order))
		if text == "" || len(l.order) == 0 {
			return l, nil
		}
		return f.sticky(l, source, text, limit), nil
	}
	return n, true
}

func (f *frame) sticky(l modelList, source, key string, bound float64) modelList {
	order := f.run.stickyOrder(l.order, f.prepared.elementHashes(), source, key, bound)
	return modelList{order: order, distinct: l.distinct}
}
