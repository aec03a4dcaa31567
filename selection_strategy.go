package aigateway

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
)

// maxMemo bounds the names that are remembered, as clients can write a name in
// many ways. Further names are resolved each time.
const maxMemo = 4096

// maxOutdated is how much newer the metrics may be than a choice that still
// serves while another request makes it anew.
const maxOutdated = 10 * metricsInterval

// memo remembers the meaning of names, and the strategies' choice for each. It
// lives as long as its settings. A strategy that depends on the catalog alone
// therefore runs once a name. A strategy that depends on metrics runs once a
// snapshot.
type memo struct {
	known sync.Map // memoKey to *resolved
	size  atomic.Int64
}

// memoKey holds everything that the models of a name depend on. The name is empty
// for requests without one.
type memoKey struct {
	surface    *surface
	name       string
	credential bool
}

// choice keeps the latest verdict on the models of a name.
type choice struct {
	verdict  atomic.Pointer[verdict]
	renewing atomic.Bool // whether a request makes the verdict anew
}

// verdict is the strategies' choice from some models.
type verdict struct {
	runs   []strategyRun
	chosen []*model
	// metrics is the snapshot that it was made from. Nil if it depends on no
	// metrics and holds for ever.
	metrics *metrics
}

// get returns the remembered meaning, or finds and remembers it. Requests without
// a name have one entry a surface. It is the dearest to find, over all models, so
// it is kept however many names there are. Names that nobody has are not kept: a
// flood of them would leave no room for the others.
func (m *memo) get(key memoKey, find func() *resolved) *resolved {
	if r, ok := m.known.Load(key); ok {
		return r.(*resolved)
	}
	r := find()
	if key.name != "" && (len(r.models) == 0 || r.unlisted || len(key.name) > 256 || m.size.Load() >= maxMemo) {
		return r
	}
	if first, loaded := m.known.LoadOrStore(key, r); loaded {
		return first.(*resolved)
	}
	m.size.Add(1)
	return r
}

// run has the strategies choose from the models of one of the client's names, and
// adds their choice to the plan.
func (s *selector) run(ctx context.Context, q query, p *plan, name string, r *resolved) *Error {
	var now *metrics
	if s.usesMetrics {
		now = s.metrics.Get(time.Now())
	}
	if v := r.choice.verdict.Load(); v != nil {
		holds := v.metrics == nil || v.metrics == now
		if !holds && now.at.Sub(v.metrics.at) < maxOutdated {
			// One request pays for the new verdict. If each request in the meantime
			// made its own, a large catalog under load would be busy with nothing
			// else.
			if holds = !r.choice.renewing.CompareAndSwap(false, true); !holds {
				defer r.choice.renewing.Store(false)
			}
		}
		if holds {
			p.note(v.runs)
			p.add(v.chosen)
			return nil
		}
	}
	v, uses, err := s.evaluate(ctx, q, now, name, r.models)
	p.note(v.runs)
	if err != nil {
		return err
	}
	p.add(v.chosen)
	if !uses.Random && !uses.Request {
		if uses.Metrics {
			v.metrics = now
		}
		r.choice.verdict.Store(&v)
	}
	return nil
}

// evaluate runs the strategies until one chooses a model. It also reports what
// those runs depend on.
func (s *selector) evaluate(ctx context.Context, q query, now *metrics, name string, models []*model) (v verdict, uses expr.Uses, _ *Error) {
	if len(s.strategies) == 0 {
		v.chosen = models
		v.runs = []strategyRun{{strategy: -1, name: name, chosen: models}}
		return v, uses, nil
	}
	in := expr.Input{
		Models:    make([]*expr.Model, len(models)),
		Providers: s.views,
		Authors:   s.authors,
		Request:   q.request,
	}
	for i, m := range models {
		in.Models[i] = m.view
	}
	if now != nil {
		in.Metrics = func(view *expr.Model) *expr.ModelMetrics {
			if m := s.byView[view]; m != nil {
				return now.of(m)
			}
			i := slices.IndexFunc(models, func(m *model) bool { return m.view == view })
			return now.of(models[i])
		}
	}
	for i, st := range s.strategies {
		u := st.eval.Uses()
		uses = expr.Uses{
			Metrics: uses.Metrics || u.Metrics, Random: uses.Random || u.Random, Request: uses.Request || u.Request,
		}
		sel, err := st.eval.Eval(ctx, &in)
		r := strategyRun{strategy: i, name: name, notes: sel.Notes, err: err, chosen: s.modelsOf(sel.Models, models)}
		v.runs = append(v.runs, r)
		if err != nil {
			e := errorf(CodeModelSelectionFailed, "model_selection.strategy[%d] failed: %v", i, err)
			e.Err = err
			return v, uses, e
		}
		if len(r.chosen) > 0 {
			v.chosen = r.chosen
			break
		}
	}
	return v, uses, nil
}

// modelsOf returns the models of the views that a strategy chose.
func (s *selector) modelsOf(views []*expr.Model, among []*model) []*model {
	if len(views) == 0 {
		return nil
	}
	out := make([]*model, 0, len(views))
	for _, v := range views {
		m := s.byView[v]
		if m == nil { // unlisted: the catalog does not have it
			i := slices.IndexFunc(among, func(m *model) bool { return m.view == v })
			m = among[i]
		}
		out = append(out, m)
	}
	return out
}
