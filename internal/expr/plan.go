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
//
// Plans follow these rules:
//
//   - An evaluation owns its [frame]. It writes to nothing else but the slots of
//     its [Prepared] and the scratch space of rankings.
//   - A closure never changes a list that it got. It returns the same list, or a
//     new one.
//   - A node charges the steps that CEL's function charges, so both ways stop at
//     the same expressions.
//   - The planner reports an unknown form by false. It never guesses.

// deps are the dependencies of a node besides the prepared lists.
//
// They say how long a value of a node may be kept: for ever without any, until
// the next snapshot with depMetrics only, for one evaluation without depChance,
// and not at all with it.
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
//
// The variables of a frame need no clearing between rounds: each loop writes its
// slot before it evaluates its body.
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
//
// It must not exceed the bits of node.vars. Deeper loops are left to CEL.
const maxLoops = 4

// modelList is a list of models: indexes into the prepared ones. The slice must
// not be changed.
type modelList struct {
	order    []int32
	distinct bool          // no index is there twice
	shared   *sharedModels // nil for a list of one evaluation
}

// planner turns a checked expression into nodes.
//
// It works once, when a strategy is compiled, in one goroutine. slots and onces
// count the kept values that the plan will need; leaves counts the parts left to
// CEL. A name is in vars only while the body of its loop is planned.
type planner struct {
	program *program
	vars    map[string]int // loop variables in scope
	slots   int
	onces   int
	leaves  int
}

// plan is a compiled strategy.
//
// slots says how many values a [Prepared] has to keep for it, onces how many an
// evaluation keeps for itself.
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

// typeOf is the type that the checker found. Each node of a checked expression
// has one.
func (c *planner) typeOf(e ast.Expr) *types.Type { return c.program.checked.GetType(e.ID()) }

// eval evaluates the plan. A panic of [run.spend] becomes an error, as under CEL.
//
// Panics of other kinds are faults of the code, and go on to the caller.
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
