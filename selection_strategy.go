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
			e := errorf(CodeModelSelectionFailed, "%s", publicCause(err))
			e.Err = fmt.Errorf("model_selection.strategy[%d]: %w", i, err)
			return v, uses, e
		}
		if len(r.chosen) > 0 {
			v.chosen = r.chosen
			break
		}
	}
	return v, uses, nil
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
