package expr

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Shared is a list of models common to several evaluations. It carries the
// caller's form of the list, so that the caller makes it once.
type Shared struct {
	attach sync.Once
	value  any
}

// Attached returns the value of the first call's function. It is safe for
// concurrent use.
//
// make must give the same value for each caller of one kind: only the first one
// is used.
func (s *Shared) Attached(make func() any) any {
	s.attach.Do(func() { s.value = make() })
	return s.value
}

// Prepared is a strategy with its models. It keeps every list on the models
// alone, and every list on metrics until the next snapshot. It is safe for
// concurrent use.
//
// A caller makes one for each strategy and list of models that it meets, and
// keeps it as long as the list. slots are the kept values of the plan's nodes,
// by their number. Hashes and indexes are made when sticky() first needs them.
type Prepared struct {
	strategy  *Strategy
	models    []*Model
	providers []*Provider
	authors   []*Author
	all       modelList // every model
	slots     []slot

	hash   sync.Once
	hashes []uint64

	index   sync.Once
	indexes map[*Model]int32
}

// Prepare binds a strategy to in.Models, in.Providers and in.Authors. The three
// must not change any more. The rest of in is not used.
func (s *Strategy) Prepare(in *Input) *Prepared {
	p := &Prepared{strategy: s, models: in.Models, providers: in.Providers, authors: in.Authors}
	if s.plan != nil {
		p.slots = make([]slot, s.plan.slots)
		order := make([]int32, len(in.Models))
		for i := range order {
			order[i] = int32(i)
		}
		p.all = modelList{order: order, distinct: true, shared: &sharedModels{}}
	}
	return p
}

// Eval is [Strategy.Eval] over the prepared lists. The lists of in are not used.
func (p *Prepared) Eval(ctx context.Context, in *Input) (Selection, error) {
	bound := *in
	bound.Models, bound.Providers, bound.Authors = p.models, p.providers, p.authors
	if p.strategy.plan == nil {
		return p.strategy.evalCEL(ctx, &bound)
	}
	r := newRun(&bound, p.indexOf)
	r.ctx, r.vocab = ctx, p.strategy.program.lang.vocab
	f := &frame{ctx: ctx, run: r, in: &bound, prepared: p}
	list, err := p.strategy.plan.eval(f)
	sel := p.selection(list, in.OrderOnly)
	// A look-up without a result empties the selection. It is not a failure of the
	// strategy.
	var none *nothingError
	switch {
	case errors.As(err, &none):
		sel, err = Selection{}, nil
		r.note("%s", none.what)
	case err != nil:
		sel, err = Selection{}, &EvalError{Source: p.strategy.program.source, Err: err}
	}
	if len(sel.Order) > 0 && len(r.sticky) > 0 {
		sel.Affinity = affinityOf(r, sel.Order[0], p.models)
	}
	sel.Notes = r.allNotes()
	return sel, err
}

// selection is a list as a result.
//
// A shared list is made once and handed to all evaluations, so its receivers must
// not change it. A list of one evaluation belongs to its receiver.
func (p *Prepared) selection(l modelList, orderOnly bool) (sel Selection) {
	if l.shared != nil {
		l.shared.once.Do(func() {
			l.shared.order = p.order(l)
			l.shared.models = p.modelsIn(l.shared.order)
		})
		return Selection{Order: l.shared.order, Models: l.shared.models, Shared: &l.shared.Shared}
	}
	sel.Order = p.order(l)
	if !orderOnly {
		sel.Models = p.modelsIn(sel.Order)
	}
	return sel
}

// order lists the index of each model once.
//
// ai.models.only('a') + ai.models has a model twice. The first place counts.
func (p *Prepared) order(l modelList) []int32 {
	order := l.order
	if !l.distinct {
		// A slice of flags is faster than a map for indexes.
		seen := make([]bool, len(p.models))
		order = make([]int32, 0, len(l.order))
		for _, i := range l.order {
			if !seen[i] {
				seen[i] = true
				order = append(order, i)
			}
		}
	}
	return slices.Clip(order)
}

// modelsIn returns the models of indexes, in their order.
func (p *Prepared) modelsIn(order []int32) []*Model {
	models := make([]*Model, len(order))
	for n, i := range order {
		models[n] = p.models[i]
	}
	return models
}

// elementHashes are the hashes of the models, for sticky.
func (p *Prepared) elementHashes() []uint64 {
	p.hash.Do(func() {
		p.hashes = make([]uint64, len(p.models))
		for i, m := range p.models {
			p.hashes[i] = m.hash()
		}
	})
	return p.hashes
}

// indexOf returns the place of a model, or -1.
func (p *Prepared) indexOf(m *Model) int32 {
	p.index.Do(func() {
		p.indexes = make(map[*Model]int32, len(p.models))
		for i, m := range p.models {
			p.indexes[m] = int32(i)
		}
	})
	if i, ok := p.indexes[m]; ok {
		return i
	}
	return -1
}
