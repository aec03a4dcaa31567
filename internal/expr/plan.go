package expr

import (
	"context"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// A plan is a strategy as Go closures. CEL stays the definition of the language:
// a plan gives the same models, notes and errors. A test compares the two on
// random expressions. The planner leaves unknown parts to CEL, see
// [planner.leaf].
//
// A plan is fast for two reasons. Its lists are indexes into the prepared models
// and not CEL values. And it keeps each list on the models alone, see [static].
//
// Errors inside of a plan are values with the words of CEL's errors. Two things
// end an evaluation at once, by a panic: the budget of steps, and the context.

// deps are the dependencies of a node besides the prepared lists.
type deps uint8

const (
	depRequest deps = 1 << iota
	depChance
	depMetrics
	depLive // requests in flight, pins
)

// node is a part of a plan whose result is a T.
//
// A node with neither deps nor vars has one value for ever. For the predicate of
// ai.models.filter(m, m.author_id == req.caller), deps is depRequest, and vars
// has the bit of m.
type node[T any] struct {
	deps deps
	vars uint8 // the loop variables it reads, a bit each
	eval func(*frame) (T, error)
}

// frame is one evaluation of a plan. It belongs to one goroutine.
//
// The arrays of loop variables are indexed by the depth of the loop. A slot holds
// an index of a model in vars, or a string in texts, by the kind of the loop.
type frame struct {
	ctx      context.Context
	run      *run
	in       *Input
	prepared *Prepared
	vars     [maxLoops]int32  // loop variables: indexes of models
	texts    [maxLoops]string // and strings
	once     []onceValue
}

// maxLoops bounds the depth of nested loops in a plan.
const maxLoops = 4

// modelList is a list of models: indexes into the prepared ones. The slice must
// not be changed.
type modelList struct {
	order    []int32
	distinct bool          // no index is there twice
	shared   *sharedModels // nil for a list of one evaluation
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

// planOf plans a program for a model or a list of models. It returns nil if CEL
// has to evaluate all of it.
//
// The plan of ai.models.filter(m, m.known).randomize() is a node for randomize
// around a static node for the filter around the list of all models. The filter
// runs once for each list of models; only the shuffle runs in each evaluation.
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

// asList makes a list of one model.
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

// aborted is the value of a panic at the end of a cancelled evaluation. A
// filter or "||" would absorb an error value.
type aborted struct{ err error }

// abortion returns the error behind such a panic. Other panics go on.
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
//
// It looks at the context in each 128th round, see [interruptEvery].
func (f *frame) tick(i int) {
	if i%interruptEvery == 0 && f.ctx.Err() != nil {
		panic(aborted{context.Cause(f.ctx)})
	}
}
