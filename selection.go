package aigateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// selector chooses the models and keys of a request. It reads the catalog, the
// restriction flags and the strategies, and nothing else of the gateway: it does
// no I/O and counts nothing. It is safe for concurrent use.
type selector struct {
	*catalog

	onlyProviders bool // only_allow_configured_providers
	onlyModels    bool // only_allow_configured_models
	// passThrough is set where nothing is configured: the client's own key goes
	// to the provider that it asks for.
	passThrough bool
	// sole is the one allowed provider, if exactly one is allowed and it lists no
	// models. Names that nobody knows go to it.
	sole *provider

	strategies    []strategy
	keyStrategies []keyStrategy
	usesMetrics   bool // whether one of the strategies does
	usesEstimates bool // of tokens

	memo     memo
	recorder *stats.Recorder
	metrics  *stats.Snapshot[*metrics]
}

// strategy is one entry of model_selection.
type strategy struct {
	text string
	eval *expr.Strategy
}

// keyStrategy is one entry of api_key_selection.
type keyStrategy struct {
	text string
	eval *expr.KeyStrategy
}

// query is the part of a request that decides where it may go.
type query struct {
	surface *surface
	// names are the models that the client asked for, model first. Words that
	// leave the choice to the gateway are left out.
	names []string
	// credential is set if the client brought a key of its own.
	credential bool
	request    *expr.Request
}

// plan is the result of a selection.
type plan struct {
	candidates []*model
	rejections []rejection
	runs       []strategyRun
}

// strategyRun is one run of one strategy.
type strategyRun struct {
	strategy int    // index in selector.strategies, -1 if there are no strategies
	name     string // the client's name that it ran for
	chosen   []*model
	notes    []string
	err      error
}

// choose decides which models a request is sent to, in order.
func (s *selector) choose(ctx context.Context, q query) (plan, *Error) {
	var p plan
	if len(q.names) == 0 {
		all := s.memo.get(memoKey{surface: q.surface}, func() *resolved { return &resolved{models: s.unnamed(q)} })
		if err := s.run(ctx, q, &p, "", all); err != nil {
			return p, err
		}
		if len(p.candidates) == 0 {
			return p, s.nothingChosen(q, &p)
		}
		return p, nil
	}
	var sole *provider // in pass-through, the one that gets the client's key
	found := false
	for _, name := range q.names {
		r := s.memo.get(memoKey{q.surface, name, q.credential}, func() *resolved { return s.resolve(q, name) })
		if s.passThrough && len(r.models) > 0 {
			if sole == nil {
				sole = r.models[0].provider
			}
			r = r.at(sole, name)
		}
		p.rejections = append(p.rejections, r.rejected...)
		if len(r.models) == 0 {
			continue
		}
		found = true
		if err := s.run(ctx, q, &p, name, r); err != nil {
			return p, err
		}
	}
	switch {
	case !found:
		return p, s.unresolved(q, p.rejections)
	case len(p.candidates) == 0:
		return p, s.nothingChosen(q, &p)
	}
	return p, nil
}

// unnamed returns the models that a request without a name may use. The
// strategies choose from them. Without a strategy only the configured models
// are used, if there are any.
func (s *selector) unnamed(q query) []*model {
	if s.passThrough {
		return nil // the client's key is for the provider that it names
	}
	var all, configured []*model
	for _, m := range s.listed {
		if s.rejects(q, m) != reasonNone || !m.outputs(q.surface.modality) {
			continue
		}
		all = append(all, m)
		if m.configured {
			configured = append(configured, m)
		}
	}
	if len(s.strategies) == 0 && len(configured) > 0 {
		return configured
	}
	return all
}

// outputs reports whether a model can produce a modality, as far as the catalog
// knows. A chat must not be routed to a model that only draws.
func (m *model) outputs(modality string) bool {
	return modality == "" || len(m.view.OutputModalities) == 0 || slices.Contains(m.view.OutputModalities, modality)
}

// add appends models that the plan does not hold yet. The same model is not
// tried twice, however often it was asked for. The slice is not changed.
func (p *plan) add(models []*model) {
	if len(p.candidates) == 0 {
		p.candidates = slices.Clip(models)
		return
	}
	for _, m := range models {
		if !slices.ContainsFunc(p.candidates, func(c *model) bool {
			return c == m || c.provider == m.provider && c.id == m.id
		}) {
			p.candidates = append(p.candidates, m)
		}
	}
}

// note appends the runs of a verdict. The verdict is shared and must not change;
// nearly all requests have the runs of one verdict and need no copy.
func (p *plan) note(runs []strategyRun) {
	if len(p.runs) == 0 {
		p.runs = slices.Clip(runs)
		return
	}
	p.runs = append(p.runs, runs...)
}

// unresolved is the error for a request if none of its names can be served. The
// first reason of the first name gives the code.
func (s *selector) unresolved(q query, rejections []rejection) *Error {
	first := rejections[0]
	code := CodeNoMatchingModels
	switch first.reason {
	case reasonProviderNotAllowed:
		code = CodeProviderNotAllowed
	case reasonModelNotAllowed:
		code = CodeModelNotAllowed
	case reasonNoKey, reasonOtherProvider:
		code = CodeNoAPIKey
	}
	var b strings.Builder
	last := ""
	for _, r := range rejections {
		if r.name == last {
			continue // the first reason of a name stands for it
		}
		last = r.name
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(r.message(s, q))
	}
	return errorf(code, "%s", b.String())
}

// nothingChosen is the error for a request that may be served, if no model was
// chosen for it.
func (s *selector) nothingChosen(q query, p *plan) *Error {
	switch {
	case s.passThrough && len(q.names) == 0:
		return errorf(CodeNoMatchingModels, "the request names no model, and no provider is configured to choose one from")
	case len(s.strategies) > 0 && len(p.runs) > 0:
		return errorf(CodeModelSelectionEmpty, "no strategy of model_selection chose a model for this request")
	case len(q.names) == 0 && slices.ContainsFunc(s.listed, func(m *model) bool { return s.rejects(q, m) == reasonNone }):
		return errorf(CodeNoMatchingModels, "the request names no model, and no model to choose from outputs %s: send a model", q.surface.modality)
	case len(q.names) == 0 && slices.ContainsFunc(s.providers, func(p *provider) bool {
		return s.rejects(q, &model{provider: p, configured: true}) == reasonNone
	}):
		return errorf(CodeNoMatchingModels, "the request names no model, and no model is configured to choose from: send a model, or list models under providers[].models")
	default:
		return errorf(CodeNoMatchingModels, "no configured provider can serve %s requests", q.surface.name)
	}
}

// keysFor has the strategies choose from a candidate's keys, and order them. The
// notes say which keys the strategies left out by themselves.
func (s *selector) keysFor(ctx context.Context, m *model, req *expr.Request) (_ []*apiKey, notes []string, _ *Error) {
	keys := m.provider.keys
	in := expr.KeyInput{Keys: make([]*expr.Key, len(keys)), Request: req}
	now := s.metrics.Get(time.Now())
	for i, k := range keys {
		in.Keys[i] = now.ofKey(k)
	}
	for i, st := range s.keyStrategies {
		sel, err := st.eval.Eval(ctx, &in)
		for _, n := range sel.Notes {
			notes = append(notes, fmt.Sprintf("api_key_selection.strategy[%d] for provider %q: %s", i, m.provider.id, n))
		}
		if err != nil {
			e := errorf(CodeAPIKeySelectionFailed, "api_key_selection.strategy[%d] failed for provider %q: %v", i, m.provider.id, err)
			e.Err = err
			return nil, notes, e
		}
		if len(sel.Keys) == 0 {
			continue
		}
		chosen := make([]*apiKey, 0, len(sel.Keys))
		for _, v := range sel.Keys {
			if j := slices.Index(in.Keys, v); j >= 0 && !slices.Contains(chosen, keys[j]) {
				chosen = append(chosen, keys[j])
			}
		}
		return chosen, notes, nil
	}
	return nil, notes, errorf(CodeNoAPIKey, "no strategy of api_key_selection chose a key of provider %q", m.provider.id)
}
