package expr

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// A plan is a strategy as Go closures. CEL stays the definition of the language:
// a plan gives the same models, notes and errors, and a test compares the two on
// random expressions. Whatever the planner does not know it leaves to CEL, which
// then evaluates that part alone, see [planner.leaf].
//
// A plan is fast for two reasons. Lists are indexes into the prepared models,
// not CEL values. And each list that depends on the models alone is kept, see
// [static].

// deps says what a node depends on besides the prepared lists.
type deps uint8

const (
	depRequest deps = 1 << iota
	depChance
	depMetrics
	depLive // requests in flight, pins
)

// node is a part of a plan whose result is a T.
type node[T any] struct {
	deps deps
	vars uint8 // the loop variables that it reads, a bit each
	eval func(*frame) (T, error)
}

// frame is one evaluation of a plan. It belongs to one goroutine.
type frame struct {
	ctx      context.Context
	run      *run
	in       *Input
	prepared *Prepared
	vars     [maxLoops]int32 // loop variables: indexes of models
	once     []onceValue
}

// maxLoops bounds the depth of nested loops in a plan.
const maxLoops = 4

// maxLeaves bounds the parts of one expression that CEL evaluates.
const maxLeaves = 32

// modelList is a list of models: indexes into the prepared ones. The slice must
// not be changed.
type modelList struct {
	order    []int32
	distinct bool          // no index is there twice
	shared   *sharedModels // nil for a list of this evaluation alone
}

// sharedModels is a kept list as a result.
type sharedModels struct {
	Shared
	once   sync.Once
	order  []int32
	models []*Model
}

// planner turns a checked expression into nodes.
type planner struct {
	program *program
	vars    map[string]int // loop variables in scope
	slots   int
	onces   int
	leaves  int
}

// plan is a compiled strategy.
type plan struct {
	root  node[modelList]
	slots int
	onces int
}

// planOf plans a program whose result is a model or a list of models. It returns
// nil where CEL has to evaluate all of it.
func planOf(p *program) *plan {
	c := &planner{program: p, vars: map[string]int{}}
	root := p.checked.Expr()
	var result node[modelList]
	var ok bool
	if c.typeOf(root).TypeName() == "@model" {
		var m node[int32]
		if m, ok = c.model(root); ok {
			result = asList(m)
		}
	} else {
		result, ok = c.list(root)
	}
	if !ok {
		return nil
	}
	return &plan{root: result, slots: c.slots, onces: c.onces}
}

func asList(m node[int32]) node[modelList] {
	return node[modelList]{m.deps, m.vars, func(f *frame) (modelList, error) {
		i, err := m.eval(f)
		if err != nil {
			return modelList{}, err
		}
		return modelList{order: []int32{i}, distinct: true}, nil
	}}
}

func (c *planner) typeOf(e ast.Expr) *types.Type { return c.program.checked.GetType(e.ID()) }

// eval evaluates the plan. A panic of [run.spend] becomes an error, as under CEL.
func (p *plan) eval(f *frame) (list modelList, err error) {
	defer func() {
		if r := recover(); r != nil {
			list, err = modelList{}, abortion(r)
		}
	}()
	if p.onces > 0 {
		f.once = make([]onceValue, p.onces)
	}
	return p.root.eval(f)
}

// aborted is panicked with to end an evaluation that must not go on: an error
// value would be absorbed by a filter or by "||".
type aborted struct{ err error }

// abortion returns the error of a panic that ends an evaluation. Other panics go
// on.
func abortion(r any) error {
	switch r := r.(type) {
	case aborted:
		return r.err
	case interpreter.EvalCancelledError: // of [run.spend]
		if r.Cause == interpreter.CostLimitExceeded {
			return ErrTooCostly
		}
	}
	panic(r)
}

// tick ends a loop when the evaluation was cancelled.
func (f *frame) tick(i int) {
	if i%interruptEvery == 0 && f.ctx.Err() != nil {
		panic(aborted{context.Cause(f.ctx)})
	}
}

// slot keeps the result of a node for the evaluations to come.
type slot struct {
	mu   sync.Mutex
	kept atomic.Pointer[kept]
}

type kept struct {
	value    any
	err      error
	notes    []string
	more     int
	snapshot int64
}

// maxStale is how old a kept result may be while another evaluation renews it,
// in nanoseconds.
const maxStale = 1e9

// static has a node evaluated once per list of models, or once per snapshot
// where it depends on metrics. Other nodes stay as they are.
func static[T any](c *planner, n node[T]) node[T] {
	if n.vars != 0 || n.deps&^depMetrics != 0 {
		return n
	}
	id, measured := c.slots, n.deps != 0
	c.slots++
	eval := func(f *frame) (any, error) {
		v, err := n.eval(f)
		if l, ok := any(v).(modelList); ok && l.shared == nil {
			l.shared = &sharedModels{}
			return l, err
		}
		return v, err
	}
	return node[T]{deps: n.deps, eval: func(f *frame) (T, error) {
		if measured && f.in.Snapshot == 0 {
			return n.eval(f)
		}
		k := f.prepared.slots[id].get(f, measured, eval)
		for _, note := range k.notes {
			f.run.note("%s", note)
		}
		f.run.moreNotes += k.more
		return k.value.(T), k.err
	}}
}

// get returns the kept result, or evaluates and keeps it. An evaluation that is
// aborted keeps nothing.
func (s *slot) get(f *frame, measured bool, eval func(*frame) (any, error)) *kept {
	holds := func(k *kept) bool { return k != nil && (!measured || k.snapshot == f.in.Snapshot) }
	k := s.kept.Load()
	if holds(k) {
		return k
	}
	if k != nil && f.in.Snapshot-k.snapshot < maxStale {
		// One evaluation pays for the renewal. The others go on with the old.
		if !s.mu.TryLock() {
			return k
		}
	} else {
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if k = s.kept.Load(); holds(k) {
		return k
	}
	inner := *f
	inner.run = f.run.nested()
	value, err := eval(&inner)
	f.run.spent = inner.run.spent
	k = &kept{value: value, err: err, notes: inner.run.notes, more: inner.run.moreNotes, snapshot: f.in.Snapshot}
	s.kept.Store(k)
	return k
}

// nested returns a run that collects notes of its own.
func (r *run) nested() *run {
	if r.snapshots == nil && r.source != nil {
		r.snapshots = make([]*ModelMetrics, len(r.models))
	}
	return &run{
		vocab: r.vocab, ctx: r.ctx, models: r.models, providers: r.providers, authors: r.authors,
		source: r.source, snapshots: r.snapshots, request: r.request, spent: r.spent,
	}
}

// onceValue is a value of one evaluation.
type onceValue struct {
	known bool
	value any
	err   error
}

// once has a node that no loop variable changes evaluated once per evaluation,
// inside of a loop. A value that depends on the models alone is kept longer.
func once[T any](c *planner, n node[T]) node[T] {
	switch {
	case n.vars != 0 || n.deps&depChance != 0 || len(c.vars) == 0:
		return n
	case n.deps == 0:
		return static(c, n)
	}
	id := c.onces
	c.onces++
	return node[T]{deps: n.deps, eval: func(f *frame) (T, error) {
		o := &f.once[id]
		if !o.known {
			v, err := n.eval(f)
			*o = onceValue{true, v, err}
		}
		return o.value.(T), o.err
	}}
}

// fnArg is (run, i) → any: the i-th part of a leaf that was planned.
const fnArg = "@arg"

func argFunction() cel.EnvOption {
	return cel.Function(fnArg, cel.Overload("@arg_int", []*cel.Type{runType, cel.IntType}, cel.DynType, cel.BinaryBinding(
		func(runArg, index ref.Val) ref.Val {
			r, ok := runArg.(runVal)
			i, _ := index.(types.Int)
			if !ok || r.run.arg == nil {
				return types.NewErr("not a value of the language")
			}
			return r.run.arg(int(i))
		})))
}

// leaf has CEL evaluate a part of the expression that reads no loop variable. The
// lists in it that can be kept are planned all the same.
func (c *planner) leaf(e ast.Expr) (node[ref.Val], bool) {
	if c.leaves++; c.leaves > maxLeaves || !c.isClosed(e, map[string]bool{}) {
		return node[ref.Val]{}, false
	}
	checked := c.program.checked
	copied := ast.NewExprFactory().CopyExpr(e)
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
		if err != nil && (errors.Is(err, ErrTooCostly) || f.ctx.Err() != nil) {
			panic(aborted{err})
		}
		return v, err
	}
	return n, true
}

// listOf returns a list of models as a CEL value.
func (r *run) listOf(order []int32) ref.Val {
	all := r.modelList().elems
	elems := make([]ref.Val, len(order))
	for i, at := range order {
		elems[i] = all[at]
	}
	return &objectList{elems}
}

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

// replaceLists hands each largest list of models within e that can be kept to
// replace. The root of a leaf is not among them.
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
		if c.isListOfModels(child) && child.Kind() != ast.SelectKind && child.Kind() != ast.IdentKind {
			if call := child; call.Kind() != ast.CallKind || call.AsCall().FunctionName() != fnSpend {
				// A list in a leaf may stand in a loop of the leaf.
				outer := planner{program: c.program, vars: map[string]int{}, slots: c.slots, onces: c.onces, leaves: c.leaves}
				if outer.isClosed(child, map[string]bool{}) {
					n, ok := outer.native(child)
					c.leaves = outer.leaves
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

func (c *planner) isListOfModels(e ast.Expr) bool {
	t := c.typeOf(e)
	return t.Kind() == types.ListKind && t.Parameters()[0].TypeName() == "@model"
}
