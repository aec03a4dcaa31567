package aigateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// maxOutdated is the greatest age of a choice's metrics, against the newest ones,
// while another request makes the choice anew. Within it the old choice still
// serves.
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

// evaluate runs the strategies until one chooses a model. It also reports
// everything that those runs depend on.
func (s *selector) evaluate(ctx context.Context, q query, now *metrics, name string, r *resolved) (v verdict, uses expr.Uses, _ *Error) {
	if len(s.strategies) == 0 {
		v.chosen = r.models
		v.runs = []strategyRun{{strategy: -1, name: name, chosen: r.models}}
		return v, uses, nil
	}
	prepared := r.prepare(s)
	in := (&evaluation{s, q, name, r.models, r.tracks, now}).input()
	for i, prepared := range prepared {
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
func (r *resolved) prepare(s *selector) []*expr.Prepared {
	r.once.Do(func() {
		in := expr.Input{Models: make([]*expr.Model, len(r.models)), Providers: s.views, Authors: s.authors}
		for i, m := range r.models {
			in.Models[i] = m.view
			r.tracks = append(r.tracks, m.track)
		}
		r.prepared = make([]*expr.Prepared, len(s.strategies))
		for i, st := range s.strategies {
			r.prepared[i] = st.eval.Prepare(&in)
		}
	})
	return r.prepared
}

// evaluation answers the questions of strategies about the models of a name.
type evaluation struct {
	*selector
	q      query
	name   string
	models []*model
	tracks []*stats.Track // of the models
	now    *metrics
}

// input holds the material of the evaluation, except for the lists.
func (e *evaluation) input() expr.Input {
	in := expr.Input{Request: e.q.request, Rand: e.rand, OrderOnly: true}
	if e.now != nil {
		in.Snapshot, in.Metrics = e.now.at.UnixNano(), e.metricsOf
	}
	if e.uses.InFlight {
		in.InFlight = e.inFlight
	}
	if e.uses.Sticky {
		in.Pinned = e.pinnedModel
	}
	return in
}

func (e *evaluation) metricsOf(view *expr.Model) *expr.ModelMetrics {
	if m := e.byView[view]; m != nil {
		return e.now.of(m)
	}
	i := slices.IndexFunc(e.models, func(m *model) bool { return m.view == view })
	return e.now.of(e.models[i])
}

// inFlight returns the number of requests under way at a model. An unlisted model
// has a track only while it is in use.
func (e *evaluation) inFlight(i int) int64 {
	track := e.tracks[i]
	if track == nil {
		m := e.models[i]
		track = e.recorder.Find(fold(m.provider.id), fold(m.id))
	}
	if track == nil {
		return 0
	}
	return track.InFlight()
}

// pinnedModel returns the pinned model of a key of sticky(). Nil without one.
func (e *evaluation) pinnedModel(sum uint64) *expr.Model {
	at, ok := e.pins.Get(time.Now(), modelPin(e.q.owner, sum, e.name))
	if !ok {
		return nil
	}
	if p := e.byName[at.provider]; p != nil && p.byName[at.id] != nil {
		return p.byName[at.id].view
	}
	if i := slices.IndexFunc(e.models, func(m *model) bool { return m.unlisted && m.pin() == at }); i >= 0 {
		return e.models[i].view
	}
	return nil
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

// publicCause describes the failure of an evaluation for the client. The source and
// the values are for the operator.
func publicCause(err error) string {
	var failed *expr.EvalError
	if errors.As(err, &failed) {
		return failed.Public()
	}
	return "the gateway's rules failed for this request"
}
