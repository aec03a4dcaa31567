package expr

import (
	"context"
	"sync"
)

// Shared is a list of models that evaluations have in common. It carries what
// the caller makes of the list, so that this is done once.
type Shared struct {
	once  sync.Once
	value any
}

// Attached returns the value that the first caller made. It is safe for
// concurrent use.
func (s *Shared) Attached(make func() any) any {
	s.once.Do(func() { s.value = make() })
	return s.value
}

// Prepared is a strategy with the models that it chooses from. It remembers
// everything that depends on these alone. It is safe for concurrent use.
type Prepared struct {
	strategy *Strategy
	models   []*Model
	in       Input
}

// Prepare binds a strategy to in.Models, in.Providers and in.Authors, which must
// not change any more. Nothing else of in is used.
func (s *Strategy) Prepare(in *Input) *Prepared {
	return &Prepared{strategy: s, in: Input{Models: in.Models, Providers: in.Providers, Authors: in.Authors}}
}

// Eval is [Strategy.Eval] over the prepared lists. The lists of in are not used.
func (p *Prepared) Eval(ctx context.Context, in *Input) (Selection, error) {
	bound := *in
	bound.Models, bound.Providers, bound.Authors = p.in.Models, p.in.Providers, p.in.Authors
	return p.strategy.Eval(ctx, &bound)
}
