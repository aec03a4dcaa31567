package aigateway

import (
	"context"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/expr"
)

// choose decides the models for a request, in order. It does no I/O and changes no
// counters.
func (s *selector) choose(ctx context.Context, q query) (plan, *Error) {
	var p plan
	if len(q.names) == 0 {
		all := s.memo.get(memoKey{surface: q.surface}, func() *resolved { return &resolved{models: s.unnamed(q)} })
		if q.provider != nil {
			all = all.at(q.provider, "", reasonElsewhere)
		}
		if err := s.run(ctx, q, &p, "", all); err != nil {
			return p, err
		}
		if len(p.candidates) == 0 {
			return p, s.nothingChosen(q, &p)
		}
		// A strategy's order is the operator's decision. Without one the facts
		// decide.
		if len(s.strategies) == 0 {
			p.ableFirst(q)
		}
		s.addFallbacks(q, &p)
		return p, nil
	}
	var sole *provider // in pass-through, the one that gets the client's key
	found := false
	for _, name := range s.aliases.expand(q.names) {
		r := s.memo.get(memoKey{q.surface, name, q.credential}, func() *resolved { return s.resolve(q, name) })
		// The client's key goes to the provider of its first model, and to no
		// other.
		switch {
		case q.provider != nil:
			r = r.at(q.provider, name, reasonElsewhere)
		case s.passThrough && len(r.models) > 0:
			if sole == nil {
				sole = r.models[0].provider
			}
			r = r.at(sole, name, reasonOtherProvider)
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
	s.addFallbacks(q, &p)
	return p, nil
}

// unnamed returns the models for a request without a name. The strategies choose
// from them. Without a strategy only the configured models are used, if there are
// any.
func (s *selector) unnamed(q query) []*model {
	if s.passThrough {
		return nil // the client's key is for the provider that it names
	}
	var all, configured []*model
	// A model without a name must not surprise: a chat does not go to a model for
	// images.
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
		return nativeFirst(q.surface, configured)
	}
	return nativeFirst(q.surface, all)
}

// ableFirst puts models last if their known facts do not fit the request.
func (p *plan) ableFirst(q query) {
	if q.request.AI == nil || !slices.ContainsFunc(p.candidates, (*model).hasLimits) {
		return
	}
	facts := q.request.AI()
	if facts == nil {
		return
	}
	var able, others []*model
	for _, m := range p.candidates {
		if expr.Able(m.view, facts) {
			able = append(able, m)
		} else {
			others = append(others, m)
		}
	}
	// Without a fitting model the order stays: the facts may be outdated.
	if len(able) == 0 || len(others) == 0 {
		return
	}
	p.candidates = slices.Concat(able, others)
	p.runs = []strategyRun{{strategy: -1, chosen: p.candidates}}
}

// addFallbacks appends the fallbacks of the candidates, once. Fallbacks have no
// fallbacks.
func (s *selector) addFallbacks(q query, p *plan) {
	if !s.fallbacks {
		return
	}
	for _, m := range p.candidates {
		for _, f := range m.fallbacks {
			if q.provider != nil && f.provider != q.provider {
				continue
			}
			p.add(s.resolveAt(q, f.name, f.provider, f.id).models)
		}
	}
}

// hasLimits reports whether a fact about the model can rule it out for a request.
func (m *model) hasLimits() bool {
	v := m.view
	return v.MaxContextWindow > 0 || v.MaxOutputTokens > 0 || len(v.InputModalities) > 0 || len(v.SupportedFeatures) > 0
}

// outputs reports whether a model can produce a modality, as far as the catalog
// knows. A chat must not go to a model for images.
func (m *model) outputs(modality string) bool {
	return modality == "" || len(m.view.OutputModalities) == 0 || slices.Contains(m.view.OutputModalities, modality)
}

// unresolved is the error for a request if no name of it can be served. The first
// reason of the first name gives the code.
func (s *selector) unresolved(q query, rejections []rejection) *Error {
	// Codes beside no_matching_models tell the client about the operator's flags.
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
		return errorf(CodeNoMatchingModels, "the request names no model, and no model is configured to choose from: send a model")
	default:
		return errorf(CodeNoMatchingModels, "no configured provider can serve %s requests", q.surface.name)
	}
}

// notTried gives the reason for each model of the catalog that is not a candidate.
func (s *selector) notTried(q query, candidates []*model) []rejection {
	var out []rejection
	for _, m := range s.listed {
		if slices.Contains(candidates, m) {
			continue
		}
		r := rejection{name: m.id, provider: m.provider, reason: s.rejects(q, m)}
		if r.reason == reasonNone {
			r.reason = s.unchosen(q, m)
		}
		out = append(out, r)
	}
	return out
}

// unchosen gives the reason if a model may serve the request but is not a
// candidate.
func (s *selector) unchosen(q query, m *model) reason {
	if len(q.names) > 0 {
		means := func(name string) bool { return slices.Contains(s.resolve(q, name).models, m) }
		if !slices.ContainsFunc(s.aliases.expand(q.names), means) {
			return reasonNotNamed
		}
		return reasonNotChosen
	}
	switch {
	case !m.outputs(q.surface.modality):
		return reasonModality
	case len(s.strategies) == 0:
		return reasonNotConfigured
	}
	return reasonNotChosen
}
