package expr

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"
)

// costLimit bounds an evaluation, in steps. A step is about one evaluated node,
// some 100 ns. A filter over a thousand models with a few conditions takes ten
// to twenty thousand.
//
// Two counters exist. CEL's own tracker watches each node, and makes an
// evaluation several times slower. It runs only for expressions with a node of
// unbounded cost, see [boundedNodes]. The other counter charges a loop as a
// whole when it begins, and a function over a list for the list's length. It
// costs next to nothing.
const costLimit = 1_000_000

// fnSpend is (run, T, steps per element) → T: it charges for walking over T.
const fnSpend = "@spend"

// chargeLoops wraps the range of every comprehension in a charge.
//
// list.map(m, f(m)) becomes @spend(@run, list, n).map(m, f(m)), where n is the
// number of nodes that a round evaluates.
func chargeLoops(tree *ast.AST) {
	factory := ast.NewExprFactory()
	next := ast.MaxID(tree) // the ids of new nodes
	newID := func() int64 { next++; return next - 1 }
	ast.PostOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.ComprehensionKind {
			return
		}
		c := e.AsComprehension()
		charge := factory.NewCall(newID(), fnSpend,
			factory.NewIdent(newID(), runVar),
			c.IterRange(),
			factory.NewLiteral(newID(), types.Int(steps(c.LoopCondition())+steps(c.LoopStep()))),
		)
		e.SetKindCase(factory.NewComprehension(e.ID(), charge, c.IterVar(), c.AccuVar(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()))
	}))
}

// steps counts the nodes of an expression. A nested loop counts as the nodes
// around its body; the body charges for itself.
//
// x.filter(m, y.filter(n, n.known)) charges the outer loop for the few nodes
// around the inner loop, and the inner loop for its own body in each round.
func steps(e ast.Expr) int {
	all, nested := map[int64]bool{}, map[int64]bool{}
	visit := func(e ast.Expr, f func(ast.Expr)) { ast.PreOrderVisit(e, ast.NewExprVisitor(f)) }
	visit(e, func(e ast.Expr) {
		all[e.ID()] = true
		if e.Kind() == ast.ComprehensionKind {
			mark := func(e ast.Expr) { nested[e.ID()] = true }
			visit(e.AsComprehension().LoopCondition(), mark)
			visit(e.AsComprehension().LoopStep(), mark)
		}
	})
	return len(all) - len(nested)
}

// spendFunction declares [fnSpend]. It charges lists and maps by their size,
// and other values not at all.
func spendFunction() cel.EnvOption {
	elem := types.NewTypeParamType("T")
	return cel.Function(fnSpend, cel.Overload("@spend_any", []*cel.Type{runType, elem, cel.IntType}, elem, cel.FunctionBinding(
		func(args ...ref.Val) ref.Val {
			r, ok := args[0].(runVal)
			n, _ := args[2].(types.Int)
			if sizer, sized := args[1].(traits.Sizer); ok && sized {
				size, _ := sizer.Size().(types.Int)
				r.run.spend(int(size) * int(n))
			}
			return args[1]
		})))
}

// spend charges steps, and ends the evaluation when they are used up. It
// panics, as CEL's tracker does, and [cel.Program] recovers. A filter or "||"
// would absorb an error value.
//
// Zero steps count as one, so an endless walk over empty lists ends too.
func (r *run) spend(steps int) {
	if r.spent += max(steps, 1); r.spent > costLimit || r.spent < 0 {
		panic(tooCostly())
	}
}

// tooCostly is the value of such a panic.
func tooCostly() interpreter.EvalCancelledError {
	return interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: ErrTooCostly.Error()}
}

// spendOn charges a function for walking over elements. They know their run;
// lists of other things are never long enough to matter.
func spendOn(elems []ref.Val) {
	if len(elems) == 0 {
		return
	}
	switch e := elems[0].(type) {
	case *modelRef:
		e.run.spend(len(elems))
	case *providerRef:
		e.run.spend(len(elems))
	case *keyRef:
		e.run.spend(len(elems))
	}
}

// boundedNodes reports whether each node takes about one step at most. Loops
// and functions with a charge of their own are left aside. Unknown nodes count
// as unbounded: strings and lists that can grow, computed patterns, and work on
// the client's text.
func boundedNodes(tree *ast.AST) bool {
	bounded := true
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			// A client decides how long its headers are.
			if name := e.AsIdent(); name == "req" || name == "conn" {
				bounded = false
			}
		case ast.CallKind:
			bounded = bounded && boundedCall(tree, e)
		}
	}))
	return bounded
}

// boundedCall is [boundedNodes] for a call. The named functions charge for
// themselves or look at one element.
func boundedCall(tree *ast.AST, e ast.Expr) bool {
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case fnPick, fnKeep, fnPicked, fnRank, fnSorted, fnRandom, fnRandomize, fnAt, fnSpend,
		fnSticky, fnLeastBusy, fnAble, fnWeigh, fnWeighed, fnWeighedBy,
		"only", "ignore", "onlyProviders", "ignoreProviders", "onlyAuthors", "ignoreAuthors",
		"inRegion", "inCountryCode", "underCost", "sortBy", "get", "getModel", "getMetadata",
		operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.NotStrictlyFalse, operators.Conditional,
		operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
		operators.Negate, operators.Subtract, operators.Multiply, operators.Divide, operators.Modulo,
		"size", "hash", "contains", "startsWith", "endsWith", "lowerAscii", "upperAscii":
		return true
	case "matches":
		_, ok := constant(args[len(args)-1])
		return ok
	case operators.Equals, operators.NotEquals:
		// Comparing lists walks over them.
		k := tree.GetType(args[0].ID()).Kind()
		return k != types.ListKind && k != types.MapKind
	case operators.In:
		// A field of a model and a literal are short lists.
		k := args[1].Kind()
		return k == ast.SelectKind || k == ast.ListKind
	case operators.Add:
		switch t := tree.GetType(e.ID()); t.Kind() {
		case types.IntKind, types.DoubleKind:
			return true
		case types.ListKind:
			// Appending in a loop, as map does it, is a part of the loop, and
			// lists of objects charge for being concatenated.
			return args[0].Kind() == ast.IdentKind || t.Parameters()[0].Kind() == types.StructKind
		}
	}
	return false
}
