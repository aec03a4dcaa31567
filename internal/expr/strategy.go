package expr

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Strategy is a compiled expression that chooses models. It is immutable and
// safe for concurrent use.
type Strategy struct {
	program *program
	plan    *plan // nil: CEL evaluates all of it
	uses    Uses
}

// Selection is the result of a [Strategy].
//
// A selection without models is not an error.
type Selection struct {
	// Models is in order of preference, each model once. It is empty if the
	// strategy matched nothing. Evaluations may share the slice: do not change
	// it.
	Models []*Model

	// Order holds the index of each of Models in [Input.Models].
	Order []int32

	// Shared is common to all evaluations with this very list. It is nil for a
	// list of one evaluation.
	Shared *Shared

	// Affinity is set if sticky() placed the first model.
	Affinity *Affinity[Model]

	// Notes explain gaps: elements left out because their predicate failed, and
	// look-ups without a result. They are without duplicates, and no more than
	// a handful. They are for operators.
	Notes []string
}

// Uses are the dependencies of a strategy besides the lists of its input. A
// strategy without any gives each request the same answer.
type Uses struct {
	Metrics  bool // metrics, quotas or error rates
	Random   bool // chance
	Request  bool // req or conn, and everything else of one request
	Session  bool // req.session
	Caller   bool // req.caller
	InFlight bool // live counters: leastBusy() and sticky() with a bound
	Sticky   bool // sticky(), and with it pins

	// Facts are the fields of req.ai, able() included.
	Facts Facts

	// Estimates is set for metrics of estimated tokens. Somebody has to count
	// these first.
	Estimates bool
}

// Or returns the dependencies of both.
//
// A gateway joins the uses of all its strategies, to know what a request must
// gather.
func (u Uses) Or(v Uses) Uses {
	return Uses{
		Metrics: u.Metrics || v.Metrics, Random: u.Random || v.Random, Request: u.Request || v.Request,
		Session: u.Session || v.Session, Caller: u.Caller || v.Caller, InFlight: u.InFlight || v.InFlight,
		Sticky: u.Sticky || v.Sticky, Facts: u.Facts | v.Facts, Estimates: u.Estimates || v.Estimates,
	}
}

// CompileStrategy compiles an expression whose result is a model or a list of
// models. The strategy is nil if there are problems.
func CompileStrategy(src string) (*Strategy, []Problem) {
	p, problems := compileChoice(strategyLanguage, src, "model")
	if problems != nil {
		return nil, problems
	}
	return &Strategy{program: p, plan: planOf(p), uses: usesOf(p)}, nil
}

// Uses reports the dependencies of the strategy. It errs on the side of more.
func (s *Strategy) Uses() Uses { return s.uses }

// Eval chooses among in.Models. Errors are of type [*EvalError]. They wrap
// [ErrTooCostly], or the cause of ctx if the context ended. Notes come with an
// error, too.
//
// [Strategy.Prepare] makes repeated evaluations over the same models cheap.
func (s *Strategy) Eval(ctx context.Context, in *Input) (Selection, error) {
	return s.Prepare(in).Eval(ctx, in)
}

// evalCEL evaluates without a plan. It is the definition of the language.
//
// It serves strategies that the planner does not know as a whole, and tests,
// which compare every plan with it.
func (s *Strategy) evalCEL(ctx context.Context, in *Input) (Selection, error) {
	r := newRun(in, func(m *Model) int32 { return int32(slices.Index(in.Models, m)) })
	var sel Selection
	err := s.program.choose(ctx, r, func(elems []ref.Val) error {
		sel.Models, sel.Order = make([]*Model, 0, len(elems)), make([]int32, 0, len(elems))
		for _, e := range elems {
			m, ok := e.(*modelRef)
			if !ok {
				return fmt.Errorf("the result holds %s, not a model", plainTypeName(e.Type()))
			}
			if !m.chosen {
				m.chosen = true
				sel.Models, sel.Order = append(sel.Models, m.model), append(sel.Order, int32(m.index))
			}
		}
		return nil
	})
	if err != nil {
		sel.Models, sel.Order = nil, nil
	}
	if len(sel.Order) > 0 {
		sel.Affinity = affinityOf(r, sel.Order[0], in.Models)
	}
	sel.Notes = r.allNotes()
	return sel, err
}

// newRun returns a run over the lists of an input. indexOf finds a model again.
func newRun(in *Input, indexOf func(*Model) int32) *run {
	r := &run{models: in.Models, providers: in.Providers, authors: in.Authors, source: in.Metrics, request: in.Request, rand: in.Rand, inFlight: in.InFlight}
	if in.Pinned != nil {
		r.pin = func(key uint64) int32 {
			if m := in.Pinned(key); m != nil {
				return indexOf(m)
			}
			return -1
		}
	}
	return r
}

// KeyStrategy is a compiled expression that chooses API keys. It is immutable
// and safe for concurrent use.
type KeyStrategy struct {
	program *program
	uses    Uses
}

// KeySelection is the result of a [KeyStrategy], see [Selection].
type KeySelection struct {
	Keys     []*Key
	Affinity *Affinity[Key]
	Notes    []string
}

// CompileKeyStrategy compiles an expression whose result is a key or a list of
// keys. The strategy is nil if there are problems.
func CompileKeyStrategy(src string) (*KeyStrategy, []Problem) {
	p, problems := compileChoice(keyStrategyLanguage, src, "key")
	if problems != nil {
		return nil, problems
	}
	return &KeyStrategy{program: p, uses: usesOf(p)}, nil
}

// Uses reports the dependencies of the strategy. It errs on the side of more.
func (s *KeyStrategy) Uses() Uses { return s.uses }

// Eval chooses among in.Keys, see [Strategy.Eval].
//
// It has no plan. CEL is fast enough for the few keys of a provider.
func (s *KeyStrategy) Eval(ctx context.Context, in *KeyInput) (KeySelection, error) {
	r := &run{keys: in.Keys, request: in.Request, rand: in.Rand, inFlight: in.InFlight}
	if in.Pinned != nil {
		r.pin = func(key uint64) int32 { return int32(slices.Index(in.Keys, in.Pinned(key))) }
	}
	var keys []*Key
	err := s.program.choose(ctx, r, func(elems []ref.Val) error {
		seen := make(map[*Key]bool, len(elems))
		for _, e := range elems {
			k, ok := e.(*keyRef)
			if !ok {
				return fmt.Errorf("the result holds %s, not a key", plainTypeName(e.Type()))
			}
			if !seen[k.key] {
				seen[k.key] = true
				keys = append(keys, k.key)
			}
		}
		return nil
	})
	if err != nil {
		keys = nil
	}
	sel := KeySelection{Keys: keys, Notes: r.allNotes()}
	if len(keys) > 0 {
		sel.Affinity = affinityOf(r, int32(slices.Index(in.Keys, keys[0])), in.Keys)
	}
	return sel, err
}

// compileChoice compiles an expression whose result is one or many of a kind.
//
// A list of a computed type, such as that of dyn(…), shows its type only when it
// is evaluated. It is refused, so that a config with a wrong type never starts.
func compileChoice(language func() (*language, error), src, kind string) (*program, []Problem) {
	l, err := language()
	if err != nil {
		return nil, []Problem{{Line: 1, Column: 1, Message: err.Error()}}
	}
	return l.compile(src, []rune(src), 0, func(d *diagnosis) {
		t := d.checked.GetType(d.checked.Expr().ID())
		if t.Kind() == types.ListKind {
			t = t.Parameters()[0]
		}
		if t.TypeName() != "@"+kind {
			result := plainType(d.checked.GetType(d.checked.Expr().ID()))
			if d.checked.GetType(d.checked.Expr().ID()).Kind() == types.DynKind {
				result = "of a type that only an evaluation shows"
			}
			d.report(d.skipSpace(0), "", "the result must be a %s or a list of %ss, is %s", kind, kind, result)
		}
	})
}

// choose evaluates, and hands the elements of the result to take. A look-up
// without a result is an empty selection with a note.
//
// A result of one model or key counts as a list of one. null is an empty
// selection.
func (p *program) choose(ctx context.Context, r *run, take func([]ref.Val) error) error {
	val, err := p.eval(ctx, r)
	var none *nothingError
	switch {
	case errors.As(err, &none):
		r.note("%s", none.what)
		return nil
	case err != nil:
		return &EvalError{Source: p.source, Err: err}
	}
	if val == types.NullValue {
		r.note("the result is null")
		return nil
	}
	elems, ok := elements(val)
	if !ok {
		elems = []ref.Val{val}
	}
	if err := take(elems); err != nil {
		return &EvalError{Source: p.source, Err: err}
	}
	return nil
}
