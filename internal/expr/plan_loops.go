package expr

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// loop plans the list of a macro: filter, sortBy or randomize.
//
// The step function tells the macros apart: @keep is filter, @rank is sortBy, and
// @weigh is random or randomize with weights. random with weights has one model
// as its result, and is planned by model.
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
//
// A variable that shadows another one, a second variable and a fifth level are
// not planned.
//
// plan is called with the variable in scope and its slot. It reports whether it
// knows the body. The third argument of a step is the body, see [expandFold].
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

// filter plans list.filter(x, predicate).
//
// A predicate m.field == value has a second way: an index from the field's values
// to the models, made once. It serves filters such as
// ai.models.filter(m, m.id == req.headers['x-model'][0]) over large catalogs.
func (c *planner) filter(loop ast.ComprehensionExpr) (none node[modelList], ok bool) {
	var predicate node[bool]
	var key *equality
	list, slot, ok := c.body(loop, func(slot int, body ast.Expr) (ok bool) {
		if predicate, ok = c.condition(body); ok {
			key = c.equality(body, slot)
			// The index leads to a few models. A predicate that draws by chance, or
			// notes something about a list in it, would do less of both.
			// Other models must not be missed for their draws and notes.
			if key != nil && !key.alone && (predicate.deps&depChance != 0 || c.holdsLists(body)) {
				key = nil
			}
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
	// An index is worth its making only if it lasts: the list must be on the
	// models alone.
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
			// Each value of the index is a list that later evaluations share.
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
		byValue, err := index.eval(f)
		// An empty list has no element to fail for, so the value is not asked for.
		if err != nil || len(byValue) == 0 {
			return modelList{}, err
		}
		value, err := key.value.eval(f)
		if err != nil {
			return scan(f) // it fails for each element, with a note
		}
		l := byValue[value]
		// The predicate is the equality and nothing else: all models of the index
		// fulfil it.
		if key.alone {
			return l, nil
		}
		return f.filter(l, slot, predicate)
	}
	return n, true
}

// holdsLists reports whether a list of models stands anywhere in an expression.
// A filter within the predicate makes notes of its own for each element.
func (c *planner) holdsLists(e ast.Expr) bool {
	found := false
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) { found = found || c.isListOfModels(e) }))
	return found
}

// filter keeps the models that fulfil a predicate, and notes the ones it fails
// for.
//
// The budget was charged by @spend around the list. tick only watches the
// context.
// The first room is for up to 64 models.
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
// A predicate may fail for each of a thousand models: most of them cost no text.
func (r *run) noteOf(format string, m *Model, why any) {
	if len(r.notes) >= maxNotes {
		r.moreNotes++
		return
	}
	r.note(format, m.provider().ID+":"+m.ID, why)
}

// equality is m.field == value, with a value fixed for the whole loop.
// Models of the index are those with an equal field. The rest of the predicate
// may still refuse some of them.
type equality struct {
	field func(*Model) string
	value node[string]
	alone bool // the predicate is nothing else
}

// equality finds one in a predicate. All kept elements fulfil it.
//
// In a && b one of the sides is enough, and alone is false: the whole predicate
// still runs over the models that the index found. The value must come from the
// request alone, for the index is asked once in an evaluation.
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
			// The field may stand on either side.
			other := call.Args()[1-i]
			if arg.Kind() != ast.SelectKind || c.typeOf(other).Kind() != types.StringKind {
				continue
			}
			// A field of another loop's variable changes with that loop.
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

// sortBy plans list.sortBy(x, key).
//
// Keys are made once for each element, before the sort. A failing key puts its
// element last, with a note. The sort is stable: equal keys keep the list's
// order.
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
//
// rank says which of the other fields counts. rankNone has no value: null, NaN,
// and keys that failed.
type sortKey struct {
	rank int
	n    num
	text string
	is   bool
}

// compare is [compareKeys] for planned keys.
// Ranks come first, so that numbers, texts and the rest stand in groups.
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

// sortKey plans a key: a string, bool, number or metadata.
//
// A key of any other type, such as an unsigned int, is left to CEL.
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
//
// A list or a map has no place in an order, and is an error.
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
//
// sums are the weights up to each element, see [cumulated].
type weighedList struct {
	list    modelList
	weights []float64
	sums    []float64
}

// weighed plans the weights of random(x, weight) and randomize(x, weight).
// Weights on the models alone are summed up once, so that a draw is a binary
// search.
//
// An element whose weight fails, or is not a finite number above 0, weighs 0. It
// is last, with a note.
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
			var complaint string
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
