package expr

import (
	"errors"
	"maps"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// maxLeaves bounds the parts of one expression left to CEL.
//
// Each leaf costs a program of CEL. An expression of 8 KB could ask for many.
const maxLeaves = 32

// fnArg is (run, i) → any: the i-th planned part of a leaf.
const fnArg = "@arg"

// argFunction declares [fnArg]. Its result type is any; the checked expression
// keeps the type of the replaced list.
func argFunction() cel.EnvOption {
	return cel.Function(fnArg, cel.Overload("@arg_int", []*cel.Type{runType, cel.IntType}, cel.DynType, cel.BinaryBinding(
		func(runArg, index ref.Val) ref.Val {
			r, ok := runArg.(runVal)
			i, _ := index.(types.Int)
			// An expression cannot spell @arg. Only a leaf has it, and a leaf sets
			// arg.
			if !ok || r.run.arg == nil {
				return types.NewErr("not a value of the language")
			}
			return r.run.arg(int(i))
		})))
}

// leaf has CEL evaluate a part of the expression. The part must not read loop
// variables. Lists in it are still planned if they can be kept.
//
// The part gets a program of its own. Lists of models that the planner knows are
// cut out of it: the call @arg(i) stands in their place, and answers with the
// list of the i-th argument node. In ai.models.filter(m, m.known).map(m, m.id) the
// map is CEL's, and the filter stays a kept node.
func (c *planner) leaf(e ast.Expr) (node[ref.Val], bool) {
	if c.leaves++; c.leaves > maxLeaves || !c.isClosed(e, map[string]bool{}) {
		return node[ref.Val]{}, false
	}
	checked := c.program.checked
	copied := ast.NewExprFactory().CopyExpr(e)
	// The maps are cloned, for the checked expression serves evalCEL as well.
	typeMap, refMap := maps.Clone(checked.TypeMap()), maps.Clone(checked.ReferenceMap())
	sub := ast.NewCheckedAST(ast.NewAST(copied, checked.SourceInfo()), typeMap, refMap)
	next := ast.MaxID(checked)
	var args []node[modelList]
	c.replaceLists(copied, func(old ast.Expr, n node[modelList]) {
		factory := ast.NewExprFactory()
		runID, indexID := next, next+1
		next += 2
		old.SetKindCase(factory.NewCall(old.ID(), fnArg, factory.NewIdent(runID, runVar), factory.NewLiteral(indexID, types.Int(len(args)))))
		refMap[old.ID()] = ast.NewFunctionReference("@arg_int")
		refMap[runID] = ast.NewIdentReference(runVar, nil)
		typeMap[runID], typeMap[indexID] = runType, types.IntType
		args = append(args, n)
	})
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize), cel.InterruptCheckFrequency(interruptEvery)}
	// A leaf gets CEL's tracker by its own nodes: one with a cheap part only runs
	// without it, whatever the rest of the expression holds.
	if !boundedNodes(sub) {
		opts = append(opts, cel.CostTracking(textCost{}), cel.CostLimit(costLimit))
	}
	prog, err := c.program.lang.env.PlanProgram(sub, opts...)
	if err != nil {
		return node[ref.Val]{}, false
	}
	p := &program{source: c.program.source, lang: c.program.lang, checked: sub, prog: prog}
	n := node[ref.Val]{deps: depsOf(usesOf(p))}
	for _, a := range args {
		n.deps |= a.deps
	}
	n.eval = func(f *frame) (ref.Val, error) {
		// Leaves can nest: an argument of this leaf may hold a leaf with arguments
		// of its own.
		before := f.run.arg
		defer func() { f.run.arg = before }()
		f.run.arg = func(i int) (v ref.Val) {
			defer func() {
				// CEL would take other panics than its own for faults.
				if r := recover(); r != nil {
					if err := abortion(r); errors.Is(err, ErrTooCostly) {
						panic(tooCostly())
					} else {
						v = types.WrapErr(err)
					}
				}
			}()
			list, err := args[i].eval(f)
			if err != nil {
				return types.WrapErr(err)
			}
			return f.run.listOf(list.order)
		}
		v, err := p.eval(f.ctx, f.run)
		// An error value could be absorbed by a filter around the leaf.
		if err != nil && (errors.Is(err, ErrTooCostly) || f.ctx.Err() != nil) {
			panic(aborted{err})
		}
		return v, err
	}
	return n, true
}

// listOf returns a list of models as a CEL value.
//
// The wrappers are the run's own, so a model has one identity in all leaves.
func (r *run) listOf(order []int32) ref.Val {
	all := r.modelList().elems
	elems := make([]ref.Val, len(order))
	for i, at := range order {
		elems[i] = all[at]
	}
	return &objectList{elems}
}

// depsOf translates the dependencies of an expression into those of a node.
//
// Estimates are figures of a snapshot. A sticky order reads the pins, and they
// can change between two evaluations.
func depsOf(u Uses) (d deps) {
	if u.Request || u.Session || u.Caller || u.Facts != 0 {
		d |= depRequest
	}
	if u.Random {
		d |= depChance
	}
	if u.Metrics || u.Estimates {
		d |= depMetrics
	}
	if u.InFlight || u.Sticky {
		d |= depLive
	}
	return d
}

// isClosed reports whether an expression reads no variable of a loop around it.
//
// own holds the variables of loops inside the expression. A name in own, the
// four variables of the run, and names of types are closed; a loop variable of
// the plan is not.
func (c *planner) isClosed(e ast.Expr, own map[string]bool) bool {
	switch e.Kind() {
	case ast.IdentKind:
		switch name := e.AsIdent(); name {
		case "ai", "req", "conn", runVar:
			_, shadowed := c.vars[name]
			variable := map[string]string{"ai": "@ai", "req": "@request", "conn": "@connection", runVar: runVar}[name]
			return own[name] || !shadowed && c.typeOf(e).TypeName() == variable
		default:
			if c.program.checked.ReferenceMap()[e.ID()] != nil && c.program.checked.ReferenceMap()[e.ID()].Value != nil {
				return true // the name of a type
			}
			return own[name] || c.typeOf(e).Kind() == types.TypeKind
		}
	case ast.ComprehensionKind:
		loop := e.AsComprehension()
		if !c.isClosed(loop.IterRange(), own) || !c.isClosed(loop.AccuInit(), own) {
			return false
		}
		inner := maps.Clone(own)
		inner[loop.IterVar()], inner[loop.AccuVar()] = true, true
		if loop.HasIterVar2() {
			inner[loop.IterVar2()] = true
		}
		return c.isClosed(loop.LoopCondition(), inner) && c.isClosed(loop.LoopStep(), inner) && c.isClosed(loop.Result(), inner)
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			if !c.isClosed(element, own) {
				return false
			}
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			if !c.isClosed(entry.AsMapEntry().Key(), own) || !c.isClosed(entry.AsMapEntry().Value(), own) {
				return false
			}
		}
	// Source text cannot construct a struct of the vocabulary.
	case ast.StructKind:
		return false
	}
	if e.Kind() != ast.ComprehensionKind {
		for _, child := range children(e) {
			if !c.isClosed(child, own) {
				return false
			}
		}
	}
	return true
}

// replaceLists hands the largest lists of models within e to replace, if they
// can be kept. The root of a leaf is left out.
func (c *planner) replaceLists(e ast.Expr, replace func(ast.Expr, node[modelList])) {
	below := children(e)
	switch e.Kind() {
	case ast.ListKind:
		below = e.AsList().Elements()
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			below = append(below, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
	}
	for _, child := range below {
		// ai.models itself is cheap for CEL, and a variable is not a list of its
		// own.
		if c.isListOfModels(child) && child.Kind() != ast.SelectKind && child.Kind() != ast.IdentKind {
			if call := child; call.Kind() != ast.CallKind || call.AsCall().FunctionName() != fnSpend {
				// A list in a leaf may stand in a loop of the leaf.
				// It must not read variables of the leaf's loops, so none is in scope
				// here.
				outer := planner{program: c.program, vars: map[string]int{}, slots: c.slots, onces: c.onces, leaves: c.leaves}
				if outer.isClosed(child, map[string]bool{}) {
					n, ok := outer.native(child)
					c.leaves = outer.leaves
					// Only a list that is kept repays the detour through @arg.
					if ok && n.deps&^depMetrics == 0 {
						c.slots, c.onces = outer.slots, outer.onces
						replace(child, n)
						continue
					}
				}
			}
		}
		c.replaceLists(child, replace)
	}
}

// isListOfModels reports whether the checker gave an expression the type
// list(model).
func (c *planner) isListOfModels(e ast.Expr) bool {
	t := c.typeOf(e)
	return t.Kind() == types.ListKind && t.Parameters()[0].TypeName() == "@model"
}
