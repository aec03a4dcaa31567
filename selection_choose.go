package aigateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/pins"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// choose decides the models for a request, in order. It does no I/O and changes no
// counters.
//
// Names are tried in the client's order, and the plan keeps that order. Each
// model stands in it once.
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
	for _, name := range s.aliases.expand(q.names, s.catalog) {
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
// Models without a single fact spare the look into the body.
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
//
// They come behind all models that were named or chosen, and are not chosen by
// strategies.
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
// The list is that of what expr.Able looks at.
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
//
// rejections must not be empty. The message has one sentence a name.
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
//
// It serves Explain. Its cost grows with the catalog.
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
// The order is from the client's wish to the operator's rules.
func (s *selector) unchosen(q query, m *model) reason {
	if len(q.names) > 0 {
		means := func(name string) bool { return slices.Contains(s.resolve(q, name).models, m) }
		if !slices.ContainsFunc(s.aliases.expand(q.names, s.catalog), means) {
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

// add appends models, each of them once. A model is not tried twice, however often
// it was asked for. The slice is not changed.
// From the second name on it compares each model with each.
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

// resolved is the meaning of a name. Requests share it. Only its verdict is ever
// replaced.
type resolved struct {
	models   []*model
	rejected []rejection
	unlisted bool // nobody lists the name, so there can be any number of them

	once     sync.Once
	prepared []*expr.Prepared // the strategies over models
	tracks   []*stats.Track   // of models, nil for unlisted ones
	choice   choice
}

// maxMemo bounds the number of remembered names, as clients can write a name in
// many ways. Further names are resolved each time.
const maxMemo = 4096

// memo remembers the meaning of names, and the strategies' choice for each. It
// lives as long as its settings. A strategy that depends only on the catalog
// therefore runs once a name. A strategy that depends on metrics runs once a
// snapshot.
type memo struct {
	known sync.Map // memoKey to *resolved
	size  atomic.Int64
}

// memoKey holds all inputs to the models of a name. The name is empty for requests
// without a name.
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
// It is immutable, and shared by requests.
type verdict struct {
	runs   []strategyRun
	chosen []*model
	// metrics is the snapshot that it was made from. Nil if it depends on no
	// metrics and holds for ever.
	metrics *metrics
}

// get returns the remembered meaning, or finds and remembers it. Requests without a
// name have one entry a surface. It covers all models and is the dearest to find,
// so it is kept however many names there are. Unknown names are not kept: a flood
// of them would leave no room for the others.
//
// The size may be passed by a few entries, where several requests find new names
// at once.
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

// keyChoice is the strategies' choice from a provider's keys.
type keyChoice struct {
	keys     []*apiKey
	affinity *expr.Affinity[expr.Key] // nil unless sticky() placed the first key
	notes    []string                 // which keys the strategies left out by themselves
	err      *Error
}

// keysFor has the strategies choose from a candidate's keys, and order them.
// inFlight returns the requests under way with a key.
//
// The first strategy with a key in its result decides. The rest of the keys are
// not tried: a strategy that leaves a key out means it.
func (s *selector) keysFor(ctx context.Context, m *model, q query, inFlight func(*apiKey) int64) (c keyChoice) {
	keys := m.provider.keys
	in := expr.KeyInput{
		Keys: make([]*expr.Key, len(keys)), Request: q.request, Rand: s.rand,
		InFlight: func(i int) int64 { return inFlight(keys[i]) },
	}
	now := s.metrics.Get(time.Now())
	for i, k := range keys {
		in.Keys[i] = now.Key(k.id, k.track)
	}
	// Pins are looked up only if a strategy calls sticky().
	if s.uses.Sticky {
		in.Pinned = func(sum uint64) *expr.Key {
			at, ok := s.pins.Get(time.Now(), keyPin(q.owner, sum, m.provider))
			if i := slices.IndexFunc(keys, func(k *apiKey) bool { return k.pin() == at }); ok && i >= 0 {
				return in.Keys[i]
			}
			return nil
		}
	}
	for i, st := range s.keyStrategies {
		sel, err := st.eval.Eval(ctx, &in)
		for _, n := range sel.Notes {
			c.notes = append(c.notes, fmt.Sprintf("api_key_selection.strategy[%d] for provider %q: %s", i, m.provider.id, n))
		}
		if err != nil {
			c.err = errorf(CodeAPIKeySelectionFailed, "%s", publicCause(err))
			c.err.Err = fmt.Errorf("api_key_selection.strategy[%d] for provider %q: %w", i, m.provider.id, err)
			return c
		}
		if len(sel.Keys) == 0 {
			continue
		}
		c.affinity = sel.Affinity
		c.keys = make([]*apiKey, 0, len(sel.Keys))
		for _, v := range sel.Keys {
			// The same key is not tried twice.
			if j := slices.Index(in.Keys, v); j >= 0 && !slices.Contains(c.keys, keys[j]) {
				c.keys = append(c.keys, keys[j])
			}
		}
		return c
	}
	c.err = errorf(CodeNoAPIKey, "no strategy of api_key_selection chose a key of provider %q", m.provider.id)
	return c
}

// maxOutdated is the greatest age of a choice's metrics, against the newest ones,
// while another request makes the choice anew. Within it the old choice still
// serves.
// It is one second: long enough for a dear strategy to finish, and short against
// the five minutes of the figures.
const maxOutdated = 10 * metricsInterval

// run has the strategies choose from the models of one of the client's names, and
// adds their choice to the plan.
func (s *selector) run(ctx context.Context, q query, p *plan, name string, r *resolved) *Error {
	var now *metrics
	if s.usesMetrics {
		now = s.metrics.Get(time.Now())
	}
	// The usual case: a verdict from the same snapshot, or one that depends on no
	// metrics.
	if v := r.choice.verdict.Load(); v != nil {
		holds := v.metrics == nil || v.metrics == now
		if !holds && now.At.Sub(v.metrics.At) < maxOutdated {
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
	// A verdict with chance, or with facts of the request, holds for this request
	// only.
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
//
// A strategy that chooses nothing passes the request on to the next one. A
// strategy that fails ends the selection: a rule that cannot be evaluated must
// not be skipped.
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
//
// The order of the models is that of r, and indexes of selections refer to it.
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
// It lives for one run of the strategies, in the request's goroutine.
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
		in.Snapshot, in.Metrics = e.now.At.UnixNano(), e.metricsOf
	}
	if e.uses.InFlight {
		in.InFlight = e.inFlight
	}
	if e.uses.Sticky {
		in.Pinned = e.pinnedModel
	}
	return in
}

// metricsOf returns the metrics of a model's view. Unlisted models are not in the
// catalog's index.
func (e *evaluation) metricsOf(view *expr.Model) *expr.ModelMetrics {
	if m := e.byView[view]; m != nil {
		return m.metrics(e.now)
	}
	i := slices.IndexFunc(e.models, func(m *model) bool { return m.view == view })
	return e.models[i].metrics(e.now)
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
	return track.Everywhere()
}

// pinnedModel returns the pinned model of a key of sticky(). Nil without one.
// A pin leads to the model by its names. A reload makes new models, and pins
// outlive it.
func (e *evaluation) pinnedModel(sum uint64) *expr.Model {
	at, ok := e.pins.Get(time.Now(), modelPin(e.q.owner, sum, e.name))
	if !ok {
		return nil
	}
	// A pin may name a model that a reload has removed.
	if p := e.byName[at.Provider]; p != nil && p.byName[at.ID] != nil {
		return p.byName[at.ID].view
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

// modelPin is the place of a pin. Each name in requests has pins of its own,
// because its models differ.
func modelPin(owner, sum uint64, name string) pins.Key {
	return pins.Key{Caller: owner, Sum: sum ^ uint64(expr.Hash("model "+fold(name)))}
}

// keyPin is the place of a pin for a provider's keys.
func keyPin(owner, sum uint64, p *provider) pins.Key {
	return pins.Key{Caller: owner, Sum: sum ^ uint64(expr.Hash("key "+fold(p.id)))}
}

// modelPlace says how sticky() placed the model that served.
func modelPlace(a *expr.Affinity[expr.Model], served *model) expr.Place {
	switch served.view {
	case a.First:
		return expr.PlaceFirst
	case a.Pinned:
		return expr.PlacePinned
	}
	return expr.PlaceMoved
}

// keyPlace is modelPlace for keys. It compares ids, because each snapshot of the
// metrics has new views of the keys.
func keyPlace(a *expr.Affinity[expr.Key], served *apiKey) expr.Place {
	switch {
	case a.First != nil && a.First.ID == served.id:
		return expr.PlaceFirst
	case a.Pinned != nil && a.Pinned.ID == served.id:
		return expr.PlacePinned
	}
	return expr.PlaceMoved
}
