package expr

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Strategy is a compiled expression that chooses models. It is immutable and
// safe for concurrent use.
type Strategy struct {
	program *program
	uses    Uses
}

// Selection is what a strategy chose.
type Selection struct {
	// Models is in order of preference, each model once. It is empty where
	// the strategy matched nothing.
	Models []*Model

	// Notes explain what is missing: elements that were left out because
	// their predicate failed, and look-ups that found nothing. They are
	// without duplicates, and no more than a handful.
	Notes []string
}

// Uses says what a strategy depends on besides the lists of its input. A
// strategy that uses nothing has the same answer for every request.
type Uses struct {
	Metrics bool // metrics, quotas or error rates
	Random  bool
	Request bool // req or conn

	// Estimates is set where the metrics are those of estimated tokens, which
	// somebody has to count first.
	Estimates bool
}

// CompileStrategy compiles an expression whose result is a model or a list of
// models. The strategy is nil if there are problems.
func CompileStrategy(src string) (*Strategy, []Problem) {
	p, problems := compileChoice(strategyLanguage, src, "model")
	if problems != nil {
		return nil, problems
	}
	return &Strategy{program: p, uses: usesOf(p)}, nil
}

// Uses reports what the strategy depends on. It errs on the side of more.
func (s *Strategy) Uses() Uses { return s.uses }

// Eval chooses among in.Models. Errors are of type [*EvalError]; they wrap
// [ErrTooCostly] or the cause of ctx where one of those ended the evaluation.
// Notes are given even with an error.
func (s *Strategy) Eval(ctx context.Context, in *Input) (Selection, error) {
	r := &run{models: in.Models, providers: in.Providers, authors: in.Authors, source: in.Metrics, request: in.Request, rand: in.Rand}
	var models []*Model
	err := s.program.choose(ctx, r, func(elems []ref.Val) error {
		models = make([]*Model, 0, len(elems))
		for _, e := range elems {
			m, ok := e.(*modelRef)
			if !ok {
				return fmt.Errorf("the result holds %s, not a model", plainTypeName(e.Type()))
			}
			if !m.chosen {
				m.chosen = true
				models = append(models, m.model)
			}
		}
		return nil
	})
	if err != nil {
		models = nil
	}
	return Selection{Models: models, Notes: r.allNotes()}, err
}

// KeyStrategy is a compiled expression that chooses API keys. It is immutable
// and safe for concurrent use.
type KeyStrategy struct {
	program *program
	uses    Uses
}

// KeySelection is what a key strategy chose, see [Selection].
type KeySelection struct {
	Keys  []*Key
	Notes []string
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

// Uses reports what the strategy depends on. It errs on the side of more.
func (s *KeyStrategy) Uses() Uses { return s.uses }

// Eval chooses among in.Keys, see [Strategy.Eval].
func (s *KeyStrategy) Eval(ctx context.Context, in *KeyInput) (KeySelection, error) {
	r := &run{keys: in.Keys, request: in.Request, rand: in.Rand}
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
	return KeySelection{Keys: keys, Notes: r.allNotes()}, err
}

// compileChoice compiles an expression whose result is one or many of a kind.
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

// choose evaluates and hands the elements of the result to take. A look-up
// that found nothing is an empty result with a note.
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

// usesOf reads off the checked expression what it depends on. Where a type is
// known only at run time the name alone decides, and a name that is computed
// could be any.
func usesOf(p *program) Uses {
	var u Uses
	measured := func(name string) bool {
		return name == "metrics" || name == "quota" || name == "error_rate"
	}
	estimated := func(name string) bool { return name == "estimated_input" || name == "estimated_output" }
	ast.PreOrderVisit(p.checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			if name := e.AsIdent(); name == "req" || name == "conn" {
				u.Request = true
			}
		case ast.SelectKind:
			u.Estimates = u.Estimates || estimated(e.AsSelect().FieldName())
			operand := p.checked.GetType(e.AsSelect().Operand().ID())
			holder := operand.TypeName() == "@model" || operand.TypeName() == "@key" || operand.Kind() == types.DynKind
			if holder && measured(e.AsSelect().FieldName()) {
				u.Metrics = true
			}
		case ast.CallKind:
			switch call := e.AsCall(); call.FunctionName() {
			case fnRandom, fnRandomize:
				u.Random = true
			case fnAt:
				if p.checked.GetType(call.Args()[0].ID()).Kind() == types.DynKind {
					name, known := constant(call.Args()[1])
					u.Metrics = u.Metrics || !known || measured(name)
					u.Estimates = u.Estimates || !known || estimated(name)
				}
			}
		}
	}))
	return u
}
