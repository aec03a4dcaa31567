package aigateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
)

// maxOutdated is how much newer the metrics may be than a choice that still
// serves while another request makes it anew.
const maxOutdated = 10 * metricsInterval

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
	v, uses, err := s.evaluate(ctx, q, now, name, r)
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
func (s *selector) evaluate(ctx context.Context, q query, now *metrics, name string, r *resolved) (v verdict, uses expr.Uses, _ *Error) {
	if len(s.strategies) == 0 {
		v.chosen = r.models
		v.runs = []strategyRun{{strategy: -1, name: name, chosen: r.models}}
		return v, uses, nil
	}
	in := s.input(q, now, name, r.models)
	for i, prepared := range s.prepare(r) {
		uses = uses.Or(s.strategies[i].eval.Uses())
		sel, err := prepared.Eval(ctx, &in)
		run := strategyRun{strategy: i, name: name, notes: sel.Notes, err: err, chosen: chosenOf(&sel, r.models), affinity: sel.Affinity}
		v.runs = append(v.runs, run)
		if err != nil {
			e := errorf(CodeModelSelectionFailed, "%s", publicCause(err))
			e.Err = fmt.Errorf("model_selection.strategy[%d]: %w", i, err)
			return v, uses, e
		}
		if len(run.chosen) > 0 {
			v.chosen = run.chosen
			break
		}
	}
	return v, uses, nil
}

// prepare binds the strategies to the models of a name, once.
func (s *selector) prepare(r *resolved) []*expr.Prepared {
	r.prepare.Do(func() {
		in := expr.Input{Models: make([]*expr.Model, len(r.models)), Providers: s.views, Authors: s.authors}
		for i, m := range r.models {
			in.Models[i] = m.view
		}
		r.prepared = make([]*expr.Prepared, len(s.strategies))
		for i, st := range s.strategies {
			r.prepared[i] = st.eval.Prepare(&in)
		}
	})
	return r.prepared
}

// input is the material of an evaluation, but for the lists.
func (s *selector) input(q query, now *metrics, name string, models []*model) expr.Input {
	in := expr.Input{Request: q.request, Rand: s.rand}
	if now != nil {
		in.Snapshot = now.at.UnixNano()
		in.Metrics = func(view *expr.Model) *expr.ModelMetrics {
			if m := s.byView[view]; m != nil {
				return now.of(m)
			}
			i := slices.IndexFunc(models, func(m *model) bool { return m.view == view })
			return now.of(models[i])
		}
	}
	if s.uses.InFlight {
		in.InFlight = func(i int) int64 { return s.inFlight(models[i]) }
	}
	if s.uses.Sticky {
		in.Pinned = func(sum uint64) *expr.Model { return s.pinnedModel(q, name, sum, models) }
	}
	return in
}

// inFlight returns the requests under way at a model. An unlisted one has a track
// only while it is in use.
func (s *selector) inFlight(m *model) int64 {
	track := m.track
	if track == nil {
		track = s.recorder.Find(fold(m.provider.id), fold(m.id))
	}
	if track == nil {
		return 0
	}
	return track.InFlight()
}

// chosenOf returns the models of a selection. Evaluations with the same list share
// the slice.
func chosenOf(sel *expr.Selection, among []*model) []*model {
	if len(sel.Order) == 0 {
		return nil
	}
	pick := func() []*model {
		out := make([]*model, len(sel.Order))
		for n, i := range sel.Order {
			out[n] = among[i]
		}
		return out
	}
	if sel.Shared == nil {
		return pick()
	}
	return sel.Shared.Attached(func() any { return pick() }).([]*model)
}

// publicCause says in words for the client that an evaluation failed. Its source
// and the values that it read are for the operator.
func publicCause(err error) string {
	var failed *expr.EvalError
	if errors.As(err, &failed) {
		return failed.Public()
	}
	return "the gateway's rules failed for this request"
}
