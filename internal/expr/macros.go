package expr

import (
	"cmp"
	"errors"
	"math"
	"reflect"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
	"github.com/google/cel-go/parser"
)

// Macros expand to these functions. Source text cannot call them.
const (
	fnPick      = "@pick"      // (run) → picks(T): an empty accumulator
	fnKeep      = "@keep"      // (picks(T), T, predicate) → picks(T)
	fnPicked    = "@picked"    // (picks(T)) → list(T)
	fnRank      = "@rank"      // (picks(T), T, key) → picks(T)
	fnSorted    = "@sorted"    // (picks(T)) → list(T)
	fnRandom    = "@random"    // (run, list(T)) → T
	fnRandomize = "@randomize" // (run, list(T)) → list(T)
	fnSticky    = "@sticky"    // (run, list(T), source, key[, bound]) → list(T)
	fnLeastBusy = "@leastBusy" // (run, list(T)) → list(T)
	fnAble      = "@able"      // (run, list(model)) → list(model)
	fnWeigh     = "@weigh"     // (picks(T), T, weight) → picks(T)
	fnWeighed   = "@weighed"   // (picks(T)) → T
	fnWeighedBy = "@weighedBy" // (picks(T)) → list(T)
	fnAt        = "@at"        // indexing, see rewriteIndexing
)

var (
	runType   = types.NewOpaqueType("@run")
	picksType = types.NewOpaqueType("@picks", types.NewTypeParamType("T"))
)

// macros are CEL's own, with another filter, and these:
//
//   - list.filter(m, predicate) keeps the elements that fulfil the predicate. An
//     element with a failing predicate is left out, with a note: one model in a
//     hundred may lack a metadata key, and the request must not fail for it.
//   - list.sortBy(m, key) orders by a number or string, ascending and stable.
//     Elements without a key (null, or the key fails) come last.
//   - list.random() is one element, list.randomize() all of them shuffled.
//   - list.random(m, weight) and list.randomize(m, weight) do so with weights.
func macros() []cel.Macro {
	return []cel.Macro{
		cel.HasMacro, cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, parser.ExistsOneMacroNew, cel.MapMacro, cel.MapFilterMacro,
		cel.ReceiverMacro("filter", 2, expandFold("filter(variable, predicate)", fnKeep, fnPicked)),
		cel.ReceiverMacro("sortBy", 2, expandFold("sortBy(variable, expression)", fnRank, fnSorted)),
		cel.ReceiverMacro("random", 0, expandWithRun(fnRandom)),
		cel.ReceiverMacro("randomize", 0, expandWithRun(fnRandomize)),
		cel.ReceiverMacro("random", 2, expandFold("random(variable, weight)", fnWeigh, fnWeighed)),
		cel.ReceiverMacro("randomize", 2, expandFold("randomize(variable, weight)", fnWeigh, fnWeighedBy)),
	}
}

// macroNames are the receiver-style macros, for "did you mean".
func (l *language) macroNames() []string {
	var names []string
	for _, m := range l.env.Macros() {
		if m.IsReceiverStyle() {
			names = append(names, m.Function())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// expandFold expands list.f(x, e) to a comprehension with one call of step per
// element. The accumulator is not a CEL list. Elements are neither wrapped nor
// copied, and the step sees errors.
//
// m.filter(x, p) becomes the fold
//
//	acc = @pick(run); for x in m: acc = @keep(acc, x, p); result @picked(acc)
//
// CEL's own filter makes a new list for each element that it keeps.
//
// usage is the macro's form, for the error of a first argument that is not a
// name, such as filter(m.id, …).
func expandFold(usage, step, result string) cel.MacroFactory {
	return func(eh cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
		if args[0].Kind() != ast.IdentKind {
			return nil, eh.NewError(args[0].ID(), "the first argument of "+usage+" must be a plain name")
		}
		variable := args[0].AsIdent()
		return eh.NewComprehension(target, variable, eh.AccuIdentName(),
			eh.NewCall(fnPick, eh.NewIdent(runVar)),
			eh.NewLiteral(types.True),
			eh.NewCall(step, eh.NewAccuIdent(), eh.NewIdent(variable), args[1]),
			eh.NewCall(result, eh.NewAccuIdent()),
		), nil
	}
}

// expandWithRun expands list.f() to f(run, list).
//
// A function of CEL sees its arguments only. The run holds the source of chance,
// the budget and the request.
func expandWithRun(function string) cel.MacroFactory {
	return func(eh cel.MacroExprFactory, target ast.Expr, _ []ast.Expr) (ast.Expr, *cel.Error) {
		return eh.NewCall(function, eh.NewIdent(runVar), target), nil
	}
}

// choiceMacros are the macros of models and of keys.
func choiceMacros() []cel.Macro {
	return []cel.Macro{
		cel.ReceiverMacro("sticky", 1, stickyMacro),
		cel.ReceiverMacro("sticky", 2, stickyMacro),
		cel.ReceiverMacro("leastBusy", 0, expandWithRun(fnLeastBusy)),
	}
}

// choiceFunctions are the functions behind [choiceMacros], for a list.
//
// kind is "model" or "key". The bound of sticky may be written as an int or a
// double.
func choiceFunctions(kind string) []cel.EnvOption {
	list := listOf(object(kind))
	return []cel.EnvOption{
		cel.Function(fnSticky,
			cel.Overload("@sticky_"+kind, []*cel.Type{runType, list, cel.StringType, cel.StringType}, list, cel.FunctionBinding(sticky)),
			cel.Overload("@sticky_"+kind+"_int", []*cel.Type{runType, list, cel.StringType, cel.StringType, cel.IntType}, list, cel.FunctionBinding(sticky)),
			cel.Overload("@sticky_"+kind+"_double", []*cel.Type{runType, list, cel.StringType, cel.StringType, cel.DoubleType}, list, cel.FunctionBinding(sticky)),
		),
		cel.Function(fnLeastBusy, cel.Overload("@leastBusy_"+kind, []*cel.Type{runType, list}, list, cel.BinaryBinding(leastBusy))),
	}
}

// macroFunctions declares the functions behind the macros, and indexing.
//
// keep, rank and weigh are non-strict: CEL hands them errors, and the loop goes on.
// The type of a predicate is a parameter. [diagnosis.checkCall] checks it afterwards.
func macroFunctions() []cel.EnvOption {
	elem := types.NewTypeParamType("T")
	list := listOf(elem)
	whatever, key, value := types.NewTypeParamType("P"), types.NewTypeParamType("K"), types.NewTypeParamType("V")
	return []cel.EnvOption{
		cel.Variable(runVar, runType),
		cel.Function(fnPick, cel.Overload("@pick_run", []*cel.Type{runType}, picksType, cel.UnaryBinding(newPicks))),
		cel.Function(fnKeep, cel.Overload("@keep_picks", []*cel.Type{picksType, elem, whatever}, picksType,
			cel.OverloadIsNonStrict(), cel.FunctionBinding(keep))),
		cel.Function(fnPicked, cel.Overload("@picked_picks", []*cel.Type{picksType}, list, cel.UnaryBinding(picked))),
		cel.Function(fnRank, cel.Overload("@rank_picks", []*cel.Type{picksType, elem, whatever}, picksType,
			cel.OverloadIsNonStrict(), cel.FunctionBinding(rank))),
		cel.Function(fnSorted, cel.Overload("@sorted_picks", []*cel.Type{picksType}, list, cel.UnaryBinding(sorted))),
		cel.Function(fnRandom, cel.Overload("@random_list", []*cel.Type{runType, list}, elem, cel.BinaryBinding(randomOf))),
		cel.Function(fnRandomize, cel.Overload("@randomize_list", []*cel.Type{runType, list}, list, cel.BinaryBinding(randomize))),
		cel.Function(fnWeigh, cel.Overload("@weigh_picks", []*cel.Type{picksType, elem, whatever}, picksType,
			cel.OverloadIsNonStrict(), cel.FunctionBinding(weigh))),
		cel.Function(fnWeighed, cel.Overload("@weighed_picks", []*cel.Type{picksType}, elem, cel.UnaryBinding(weighedRandom))),
		cel.Function(fnWeighedBy, cel.Overload("@weighedBy_picks", []*cel.Type{picksType}, list, cel.UnaryBinding(weighedOrder))),
		cel.Function(fnAt,
			cel.Overload("@at_list", []*cel.Type{list, cel.IntType}, elem, cel.BinaryBinding(at)),
			cel.Overload("@at_map", []*cel.Type{cel.MapType(key, value), key}, value, cel.BinaryBinding(at)),
		),
	}
}

// picks accumulates the result of one comprehension of one run. Only the hidden
// variable of that comprehension holds it, so it may change.
//
// It is a CEL value only because an accumulator has to be one.
type picks struct {
	run   *run
	elems []ref.Val
	keys  []ref.Val // for sortBy: the key of each element, null if it has no place

	weights []float64 // for random and randomize: of each element, 0 for the last
}

func (p *picks) Type() ref.Type                 { return picksType }
func (p *picks) Value() any                     { return p.elems }
func (p *picks) Equal(other ref.Val) ref.Val    { return types.Bool(ref.Val(p) == other) }
func (p *picks) ConvertToType(ref.Type) ref.Val { return types.NewErr("not a value of the language") }
func (p *picks) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("not a value of the language")
}

// newPicks starts an accumulator.
func newPicks(arg ref.Val) ref.Val {
	r, ok := arg.(runVal)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	return &picks{run: r.run}
}

// stepArgs unpacks the arguments of a step. An early val is the result of the
// step.
//
// args are the accumulator, the element, and the value of the macro's body, which
// may be an error.
func stepArgs(args []ref.Val) (p *picks, val ref.Val) {
	p, ok := args[0].(*picks)
	if !ok {
		return nil, types.MaybeNoSuchOverloadErr(args[0])
	}
	if err, ok := args[2].(*types.Err); ok && errors.Is(err, interpreter.InterruptError{}) {
		// The evaluation was cancelled inside a nested loop. The element is not
		// at fault, and CEL ends the outer loop next.
		return nil, p
	}
	return p, nil
}

// keep is the step of filter. It takes errors as values, see
// cel.OverloadIsNonStrict.
//
// The kept elements are appended in place. See [picks] why that is safe.
func keep(args ...ref.Val) ref.Val {
	p, early := stepArgs(args)
	if early != nil {
		return early
	}
	switch predicate := args[2].(type) {
	case types.Bool:
		if predicate == types.True {
			p.elems = append(p.elems, args[1])
		}
	case *types.Err:
		p.run.note("filter: %s left out: %v", labelOf(args[1]), plainError(predicate))
	default:
		p.run.note("filter: %s left out: the predicate is %s, not bool", labelOf(args[1]), plainTypeName(predicate.Type()))
	}
	return p
}

// picked ends a filter.
func picked(arg ref.Val) ref.Val {
	p, ok := arg.(*picks)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	return &objectList{p.elems}
}

// rank is the step of sortBy. It takes errors as values.
func rank(args ...ref.Val) ref.Val {
	p, early := stepArgs(args)
	if early != nil {
		return early
	}
	key := args[2]
	switch k := key.(type) {
	case types.Null:
	case types.Double:
		if math.IsNaN(float64(k)) {
			key = types.NullValue // it has no place in any order
		}
	case *types.Err:
		p.run.note("sortBy: %s is last: %v", labelOf(args[1]), plainError(k))
		key = types.NullValue
	default:
		if keyRank(key) == rankNone {
			p.run.note("sortBy: %s is last: cannot order by %s", labelOf(args[1]), plainTypeName(key.Type()))
			key = types.NullValue
		}
	}
	p.elems = append(p.elems, args[1])
	p.keys = append(p.keys, key)
	return p
}

// Keys of different types have no natural order. Metadata can mix them, so they
// get one: numbers, strings, booleans, the rest.
const (
	rankNumber = iota
	rankString
	rankBool
	rankNone
)

// keyRank is the rank of a key of sortBy.
func keyRank(key ref.Val) int {
	switch key.(type) {
	case types.Int, types.Uint, types.Double:
		return rankNumber
	case types.String:
		return rankString
	case types.Bool:
		return rankBool
	}
	return rankNone
}

// sorted ends a sortBy.
//
// It charges a step for each element once more, for the sort itself.
func sorted(arg ref.Val) ref.Val {
	p, ok := arg.(*picks)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	p.run.spend(len(p.elems))
	order := make([]int, len(p.elems))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return compareKeys(p.keys[i], p.keys[j]) })
	elems := make([]ref.Val, len(order))
	for i, o := range order {
		elems[i] = p.elems[o]
	}
	return &objectList{elems}
}

// compareKeys orders keys by rank, and keys of one rank by value. Keys without
// a rank are equal, and so stay in their order.
func compareKeys(a, b ref.Val) int {
	ra, rb := keyRank(a), keyRank(b)
	if ra != rb || ra == rankNone {
		return cmp.Compare(ra, rb)
	}
	c, _ := a.(traits.Comparer).Compare(b).(types.Int)
	return int(c)
}

// runAndElements unpacks the arguments of a function over a list of a run.
func runAndElements(runArg, list ref.Val) (*run, []ref.Val, ref.Val) {
	r, ok := runArg.(runVal)
	if !ok {
		return nil, nil, types.MaybeNoSuchOverloadErr(runArg)
	}
	elems, ok := elements(list)
	if !ok {
		return nil, nil, types.MaybeNoSuchOverloadErr(list)
	}
	return r.run, elems, nil
}

// at is operand[index]. It replaces CEL's own operator: an index out of range
// must differ by type from other errors.
//
// A filter leaves an element out for either error. At the top of a strategy they
// differ: an index out of range makes the selection empty, and a missing key
// fails.
func at(operand, index ref.Val) ref.Val {
	switch o := operand.(type) {
	case traits.Mapper:
		if v, ok := o.Find(index); ok || types.IsError(v) {
			return v
		}
		return types.NewErr("no such key: %v", index)
	case traits.Lister:
		i, err := types.IndexOrError(index)
		if err != nil {
			return types.WrapErr(err)
		}
		if n := int(o.Size().(types.Int)); i < 0 || i >= n {
			return nothing("index %d is out of range, the list has %d", i, n)
		}
		return o.Get(types.Int(i))
	case traits.Indexer:
		return o.Get(index)
	}
	return types.NewErr("%s cannot be indexed", plainTypeName(operand.Type()))
}

// labelOf names an element in a note.
func labelOf(e ref.Val) string {
	if l, ok := e.(interface{ label() string }); ok {
		return l.label()
	}
	return plainTypeName(e.Type())
}
