package aigateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
)

// query is what selection goes by: the part of a request that decides where it
// may go. Selection reads nothing else, and does no I/O.
type query struct {
	surface *surface
	// names are what the client asked for, model first, less the words that
	// ask for nothing in particular.
	names []string
	// credential is set where the client brought a key of its own.
	credential bool
	request    *expr.Request
}

// plan is what selection came to.
type plan struct {
	candidates []*model
	rejections []rejection
	runs       []strategyRun
}

// rejection is a model that cannot serve the request, and why.
type rejection struct {
	name     string    // as the client sent it, or the model's id
	provider *provider // nil where no provider knows the name
	reason   reason
}

// strategyRun is one run of one strategy.
type strategyRun struct {
	strategy int    // index in settings.strategies, -1 where there are none
	name     string // the client's name that it ran for
	chosen   []*model
	notes    []string
	err      error
}

// reason is why a model cannot serve a request.
type reason uint8

const (
	reasonNone reason = iota
	reasonUnknown
	reasonProviderNotAllowed
	reasonModelNotAllowed
	reasonProviderDisabled
	reasonModelDisabled
	reasonFormat
	reasonSurface
	reasonNoKey
	reasonOtherProvider
	reasonTooLong
	// Those below are given by Explain alone, of models that could serve.
	reasonNotNamed
	reasonNotChosen
	reasonModality
	reasonNotConfigured
)

// String is the word for programs.
func (r reason) String() string {
	switch r {
	case reasonProviderNotAllowed:
		return string(CodeProviderNotAllowed)
	case reasonModelNotAllowed:
		return string(CodeModelNotAllowed)
	case reasonProviderDisabled:
		return "provider_disabled"
	case reasonModelDisabled:
		return "model_disabled"
	case reasonFormat:
		return "format_not_supported"
	case reasonSurface:
		return "surface_not_supported"
	case reasonNoKey, reasonOtherProvider:
		return string(CodeNoAPIKey)
	case reasonNotNamed:
		return "not_named"
	case reasonNotChosen:
		return "not_chosen"
	case reasonModality:
		return "modality_not_supported"
	case reasonNotConfigured:
		return "not_configured"
	default:
		return string(CodeNoMatchingModels)
	}
}

// message is the sentence for people.
func (r rejection) message(s *settings, q query) string {
	var id string
	if r.provider != nil {
		id = r.provider.id
	}
	switch r.reason {
	case reasonProviderNotAllowed:
		message := fmt.Sprintf("model %q: provider %q is not configured, and only_allow_configured_providers is set", r.name, id)
		if s.sole != nil && strings.Contains(r.name, ":") {
			message += fmt.Sprintf("; to ask %q for a model of that name, send %q", s.sole.id, s.sole.id+":"+r.name)
		}
		return message
	case reasonModelNotAllowed:
		return fmt.Sprintf("model %q is not configured at provider %q, and only_allow_configured_models is set", r.name, id)
	case reasonProviderDisabled:
		return fmt.Sprintf("model %q: provider %q is disabled", r.name, id)
	case reasonModelDisabled:
		return fmt.Sprintf("model %q is disabled at provider %q", r.name, id)
	case reasonFormat:
		return fmt.Sprintf("model %q: provider %q does not speak the %s format of this request", r.name, id, q.surface.format)
	case reasonSurface:
		return fmt.Sprintf("model %q: provider %q does not offer %s", r.name, id, q.surface.name)
	case reasonNoKey:
		return fmt.Sprintf("model %q: provider %q needs an API key and has none: give it api_keys", r.name, id)
	case reasonOtherProvider:
		return fmt.Sprintf("model %q: the client's key went with its first model, and is not sent to provider %q as well", r.name, id)
	case reasonNotNamed:
		return fmt.Sprintf("model %q of %q: the request names others", r.name, id)
	case reasonNotChosen:
		return fmt.Sprintf("model %q of %q: no strategy of model_selection chose it", r.name, id)
	case reasonModality:
		return fmt.Sprintf("model %q of %q: it does not put out %s", r.name, id, q.surface.modality)
	case reasonNotConfigured:
		return fmt.Sprintf("model %q of %q: the request names no model, and those that are configured come alone", r.name, id)
	case reasonTooLong:
		return fmt.Sprintf("model %q: the name is too long, %d bytes are the limit", r.name, maxModelName)
	default:
		return s.unknownModel(r.name, q.surface.format, q.credential)
	}
}

// maxModelName bounds a name that a client may ask for, in bytes. No model has
// one near it, and what is searched for and remembered should not be a client's
// to size.
const maxModelName = 1 << 10

// shown is a name as it may stand in a log or a Result.
func shown(name string) string {
	if len(name) <= maxModelName {
		return name
	}
	return oneLine(name, 64)
}

// unknownModel says that nobody has a model of that name, and what to do. It
// suggests only what this client could use: a name that is refused next is no
// help.
func (s *settings) unknownModel(name string, f format, credential bool) string {
	near := expr.Nearest(name, s.modelNames(f, credential))
	prefix, rest, _ := strings.Cut(name, ":")
	if rest == "" || strings.HasPrefix(fold(near), fold(prefix)+":") {
		message := fmt.Sprintf("no provider has a model %q", name)
		if near != "" {
			message += fmt.Sprintf(", did you mean %q?", near)
		}
		if s.onlyModels {
			return message // whatever is put before it
		}
		if near == "" {
			message += "."
		}
		return message + " To send a name on as it is, put a provider's id before it: \"provider:" + name + "\""
	}
	// What stands before the colon was most likely meant for a provider. With an
	// id before all of it, the slip would be sent on as a part of the name.
	if near == "" {
		if near = expr.Nearest(prefix, s.providerNames(rest, f, credential)); near != "" {
			near += ":" + rest
		}
	}
	if near != "" {
		return fmt.Sprintf("model %q: no provider %q, did you mean %q?", name, prefix, near)
	}
	return fmt.Sprintf("model %q: no provider %q, and none has a model of that whole name", name, prefix)
}

// modelNames lists the names that GET models does.
func (s *settings) modelNames(f format, credential bool) []string {
	var names []string
	for _, m := range s.offered(f, credential) {
		names = append(names, m.name)
	}
	return names
}

// providerNames lists the prefixes that a client may put before a model's name.
func (s *settings) providerNames(name string, f format, credential bool) []string {
	var names []string
	for _, p := range s.providers {
		if m, _ := p.find(name); s.withholds(m, f, credential) == reasonNone {
			names = append(append(names, p.id), p.view.IDAliases...)
		}
	}
	return names
}

// choose decides which models a request is sent to, in order.
func (s *settings) choose(ctx context.Context, q query) (plan, *Error) {
	var p plan
	if len(q.names) == 0 {
		all := s.memo.get(memoKey{surface: q.surface}, func() *resolved { return &resolved{models: s.unasked(q)} })
		if err := s.run(ctx, q, &p, "", all); err != nil {
			return p, err
		}
		if len(p.candidates) == 0 {
			return p, s.nothing(q, &p)
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
	if !found {
		return p, s.unresolved(q, p.rejections)
	}
	if len(p.candidates) == 0 {
		return p, s.nothing(q, &p)
	}
	return p, nil
}

// resolve finds the models that one of the client's names may mean, and says of
// those that cannot serve the request why. Where there are no models, there is
// at least one rejection.
func (s *settings) resolve(q query, name string) *resolved {
	if len(name) > maxModelName {
		return &resolved{rejected: []rejection{{name: shown(name), reason: reasonTooLong}}, passing: true}
	}
	if p, rest := s.prefixed(name); p != nil {
		return s.resolveAt(q, name, p, rest)
	}
	var (
		models   []*model
		rejected []rejection
	)
	known := s.models[fold(name)]
	allowed := false // whether an allowed provider has the name
	for _, m := range known {
		if !s.allows(m.provider) {
			continue
		}
		allowed = true
		if s.rejects(q, m) == reasonNone {
			models = append(models, m)
		}
	}
	if len(models) == 0 && !allowed && s.sole != nil {
		return s.resolveAt(q, name, s.sole, name)
	}
	for _, m := range known {
		if r := s.rejects(q, m); r != reasonNone {
			rejected = append(rejected, rejection{name, m.provider, r})
		}
	}
	if len(known) == 0 {
		rejected = append(rejected, rejection{name: name, reason: reasonUnknown})
	}
	// The configured providers come first in the catalog, and so do their
	// reasons: they are what an operator can change.
	return &resolved{models: models, rejected: rejected}
}

// prefixed returns the provider that a name begins with, and the name that it is
// asked for. It returns nil where the colon is part of a model's name: the
// operator chose which providers there are, and need not know all built-in ones
// to name a model "mistral:7b". So what a configured provider lists comes before
// the prefix of one that is only built in.
//
// Nobody gets further by that. It decides what a name means, not what may be
// used: each model that it may mean is held to the two flags as before. And what
// it means then, at a configured provider, a client could always ask for as
// "id-of-that-provider:name".
func (s *settings) prefixed(name string) (p *provider, rest string) {
	prefix, rest, _ := strings.Cut(name, ":")
	if rest == "" {
		return nil, ""
	}
	if p = s.byName[fold(prefix)]; p == nil || p.configured {
		return p, rest
	}
	ours := func(m *model) bool { return m.provider.configured }
	if slices.ContainsFunc(s.models[fold(name)], ours) {
		return nil, ""
	}
	return p, rest
}

// allows reports whether requests may use a provider, as far as
// only_allow_configured_providers goes.
func (s *settings) allows(p *provider) bool { return p.configured || !s.onlyProviders }

// resolveAt finds the model of a name at one provider. A name that the provider
// does not list is passed on as it is.
func (s *settings) resolveAt(q query, name string, p *provider, id string) *resolved {
	m, listed := p.find(id)
	if r := s.rejects(q, m); r != reasonNone {
		return &resolved{rejected: []rejection{{name, p, r}}, passing: !listed}
	}
	if !listed {
		m.track = s.recorder.Passing(fold(p.id), fold(id), time.Now())
	}
	return &resolved{models: []*model{m}, passing: !listed}
}

// find returns the provider's model of a name. One that it does not list is made
// up, for the provider may know it.
func (p *provider) find(name string) (m *model, listed bool) {
	if m = p.byName[fold(name)]; m != nil {
		return m, true
	}
	return &model{id: name, provider: p, view: &expr.Model{ID: name, Provider: p.view, AuthorID: p.id}}, false
}

// at keeps of a name's models those at one provider.
func (r *resolved) at(sole *provider, name string) *resolved {
	elsewhere := func(m *model) bool { return m.provider != sole }
	if !slices.ContainsFunc(r.models, elsewhere) {
		return r
	}
	out := &resolved{rejected: slices.Clone(r.rejected)}
	for _, m := range r.models {
		if elsewhere(m) {
			out.rejected = append(out.rejected, rejection{name, m.provider, reasonOtherProvider})
		} else {
			out.models = append(out.models, m)
		}
	}
	return out
}

// refuses says why no request at all may use a model.
func (s *settings) refuses(m *model) reason {
	switch {
	case !s.allows(m.provider):
		return reasonProviderNotAllowed
	case s.onlyModels && !m.configured:
		return reasonModelNotAllowed
	case m.provider.disabled:
		return reasonProviderDisabled
	case m.disabled:
		return reasonModelDisabled
	}
	return reasonNone
}

// rejects says why this request may not use a model.
func (s *settings) rejects(q query, m *model) reason {
	if r := s.refuses(m); r != reasonNone {
		return r
	}
	if _, ok := m.provider.speaks(q.surface); !ok {
		if m.provider.speaksFormat(q.surface.format) {
			return reasonSurface
		}
		return reasonFormat
	}
	if m.provider.needsKey && len(m.provider.keys) == 0 && !(s.passThrough && q.credential) {
		return reasonNoKey
	}
	return reasonNone
}

// unasked returns the models that a request which names none may use: what the
// strategies choose from. Without a strategy the configured models come alone,
// where there are any.
func (s *settings) unasked(q query) []*model {
	if s.passThrough {
		return nil // the client's key is for the provider that it names
	}
	var all, configured []*model
	for _, m := range s.listed {
		if s.rejects(q, m) != reasonNone || !m.puts(q.surface.modality) {
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

// puts reports whether a model can put out a modality, as far as is known: a
// chat must not be routed to a model that only draws.
func (m *model) puts(modality string) bool {
	return modality == "" || len(m.view.OutputModalities) == 0 || slices.Contains(m.view.OutputModalities, modality)
}

// add appends models that the plan does not hold yet: the same one is not tried
// twice, however often it was asked for. The models are not changed.
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

// unresolved is the error for a request none of whose names can be served. The
// first name's first reason gives the code.
func (s *settings) unresolved(q query, rejections []rejection) *Error {
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
	said := ""
	for _, r := range rejections {
		if r.name == said {
			continue // the first reason of a name stands for it
		}
		said = r.name
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(r.message(s, q))
	}
	return errorf(code, "%s", b.String())
}

// nothing is the error for a request that may be served, but that nothing was
// chosen for.
func (s *settings) nothing(q query, p *plan) *Error {
	switch {
	case s.passThrough && len(q.names) == 0:
		return errorf(CodeNoMatchingModels, "the request names no model, and no provider is configured to choose one from")
	case len(s.strategies) > 0 && len(p.runs) > 0:
		return errorf(CodeModelSelectionEmpty, "no strategy of model_selection chose a model for this request")
	case len(q.names) == 0 && slices.ContainsFunc(s.listed, func(m *model) bool { return s.rejects(q, m) == reasonNone }):
		return errorf(CodeNoMatchingModels, "the request names no model, and none of those to choose from puts out %s: send a model", q.surface.modality)
	case len(q.names) == 0 && slices.ContainsFunc(s.providers, func(p *provider) bool {
		return s.rejects(q, &model{provider: p, configured: true}) == reasonNone
	}):
		return errorf(CodeNoMatchingModels, "the request names no model, and none is configured to choose from: send a model, or list models under providers[].models")
	default:
		return errorf(CodeNoMatchingModels, "no configured provider can serve %s requests", q.surface.name)
	}
}

// keysFor has the strategies choose from a candidate's keys, and order them. The
// notes say what they left out by themselves.
func (s *settings) keysFor(ctx context.Context, m *model, req *expr.Request) (_ []*apiKey, notes []string, _ *Error) {
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
