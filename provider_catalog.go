package aigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/builtin"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/discover"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fields"
	"github.com/aigateway-go/aigateway/internal/habits"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/price"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// provider is a Provider in the form for serving requests: merged, checked and
// compiled. Only its forms, its gates and the tracks change.
type provider struct {
	id         string
	names      []string // folded: the id, then the aliases
	view       *expr.Provider
	configured bool // in the config
	known      bool // in the registry
	disabled   bool
	models     []*model
	byName     map[string]*model // folded ids and aliases

	base      *url.URL // with the path that surfaces are joined to
	target    *url.URL // where base's host really is; its scheme and host are dialled
	hasTarget bool     // target was mapped by internal_endpoints
	keys      []*apiKey
	keyless   []*apiKey // stands in if there are no keys
	needsKey  bool      // without a key there is no use in asking
	// refusesMaxTokens is set for hosts whose newer models take only
	// max_completion_tokens.
	refusesMaxTokens bool
	// sendsUsage is set for providers of streams with usage that nobody asked for.
	sendsUsage bool
	auth       Auth
	timeout    time.Duration
	firstToken time.Duration // 0: off
	limits     limit.Limits
	gate       *limit.Gate   // nil without limits
	limited    bool          // it or one of its keys has limits
	network    dial.Settings // how target is reached
	transport  http.RoundTripper
	dialled    bool // transport ends in the gateway's own
	surfaces   offers
	translates map[*surface]*surface // from the client's to the provider's; nil: off
	unproven   map[*surface]*surface // likewise, once the provider turns out not to speak the client's
	strict     bool                  // translate: strict
	// sharedLists lets all callers list the things behind the provider's keys, and
	// uncheckedBatches lets batches pass whose requests cannot be checked.
	sharedLists, uncheckedBatches bool
	headers                       []fields.Field // the provider's over the gateway's
	query                         []fields.Field
	body                          []fields.Body
	// operatorAuth lists the configured headers that carry a credential. They beat
	// the key.
	operatorAuth []string
	forms        habits.Keys
	discover     Discover
}

// apiKey is a configured key. Its value is resolved for each use.
type apiKey struct {
	id       string
	provider string // folded
	value    *expr.Template
	// perRequest is set if the value depends on the request. Each value then has a
	// health of its own.
	perRequest bool
	// none is set for the stand-in of a provider without keys. Its limits are the
	// provider's.
	none   bool
	track  *stats.Track // of the text in the config
	limits limit.Limits
	gate   *limit.Gate // nil without limits
}

// model is a Model at its provider, compiled.
type model struct {
	id         string
	full       string   // with the provider's prefix; empty: not made beforehand
	names      []string // folded: the id, then the aliases
	provider   *provider
	view       *expr.Model
	configured bool
	disabled   bool
	unlisted   bool     // neither the catalog nor the config lists it
	discovered bool     // only the provider itself lists it
	denied     []string // parameters that must not reach it
	timeout    time.Duration
	firstToken time.Duration // 0: off
	fallbacks  []fallback
	track      *stats.Track

	pricing     *Pricing // nil if unknown
	prices      *price.List
	priceSource CostSource
	limits      limit.Limits
	gate        *limit.Gate // nil without limits
}

// fallback is a model that another one falls back to, as the config names it.
type fallback struct {
	path, name string
	provider   *provider
	id         string
}

// name is the model's name with its provider's prefix. A client can ask for it so.
//
// A request without a model has the provider's name alone.
func (m *model) name() string {
	switch {
	case m.full != "":
		return m.full
	case m.id == "":
		return m.provider.id
	}
	return m.provider.id + ":" + m.id
}

// credential is the key that a client brought. It is zero if the client brought no
// key.
type credential struct {
	value redact.Secret
	// bearer is set if it came as Authorization: Bearer.
	bearer bool
}

// given reports whether the client brought a key.
func (c credential) given() bool { return c.value.Reveal() != "" }

// speaks returns the provider's entry for a surface.
func (p *provider) speaks(s *surface) (*apiSurface, bool) { return p.surfaces.speaks(s) }

// speaksFormat reports whether the provider has any surface of the format.
func (p *provider) speaksFormat(f format) bool { return p.surfaces.speaksFormat(f) }

// catalog holds every provider and model that a request may name: the configured
// ones in the config's order, then the registry's. It is immutable once the gateway
// serves.
type catalog struct {
	providers []*provider
	byName    map[string]*provider // folded ids and aliases
	models    map[string][]*model  // folded ids and aliases, in the providers' order
	listed    []*model             // all of them, in that order
	byView    map[*expr.Model]*model
	views     []*expr.Provider
	authors   []*expr.Author
}

// learn takes over the accepted forms of keys from the catalog before a reload, for
// providers with the same id, address and auth.
func (c *catalog) learn(old *catalog) {
	for _, p := range c.providers {
		was := old.byName[fold(p.id)]
		if was != nil && p.base != nil && fold(was.id) == fold(p.id) && was.base.String() == p.base.String() && was.auth == p.auth {
			p.forms.Inherit(&was.forms)
		}
	}
}

// lists reports whether a model has a name, which may have a provider's prefix.
func (c *catalog) lists(name string) bool {
	if len(c.models[fold(name)]) > 0 {
		return true
	}
	prefix, rest, _ := strings.Cut(name, ":")
	p := c.byName[fold(prefix)]
	return p != nil && p.byName[fold(rest)] != nil
}

// newCatalog indexes the providers. If several have a name, the first keeps it.
//
// Providers come in the order of the config, then of the registry: so a name of the config
// wins over one of the registry. Models of one name keep that order as well.
func newCatalog(providers []*provider) *catalog {
	c := &catalog{
		providers: providers, byName: map[string]*provider{}, models: map[string][]*model{},
		byView: map[*expr.Model]*model{},
	}
	authors := map[string]*expr.Author{}
	for _, p := range providers {
		c.views = append(c.views, p.view)
		for _, name := range p.names {
			if c.byName[name] == nil {
				c.byName[name] = p
			}
		}
		p.view.Shadowed = c.byName[fold(p.id)] != p
		p.byName = make(map[string]*model, len(p.models))
		for _, m := range p.models {
			c.listed = append(c.listed, m)
			c.byView[m.view] = m
			for _, name := range m.names {
				p.byName[name] = m
				c.models[name] = append(c.models[name], m)
			}
			if id := m.view.AuthorID; authors[fold(id)] == nil {
				a := &expr.Author{ID: id, DisplayName: id}
				authors[fold(id)] = a
				c.authors = append(c.authors, a)
			}
		}
	}
	// An author that is also a provider goes by the provider's names.
	for _, a := range c.authors {
		if p := c.byName[fold(a.ID)]; p != nil {
			names := append([]string{p.id}, p.view.IDAliases...)
			a.IDAliases = slices.DeleteFunc(names, func(name string) bool { return strings.EqualFold(name, a.ID) })
			a.DisplayName = p.view.DisplayName
		}
	}
	for _, m := range c.listed {
		m.view.AuthorIDAliases = authors[fold(m.view.AuthorID)].IDAliases
	}
	return c
}

// track attaches the health and metrics of each model and key. They outlive the
// settings, so a reload forgets nothing.
func (c *catalog) track(r *stats.Recorder) {
	for _, p := range c.providers {
		for _, m := range p.models {
			m.track = r.Model(fold(p.id), fold(m.id))
		}
		for _, k := range append(slices.Clone(p.keys), p.keyless...) {
			k.track = r.Key(fold(p.id), k.id)
		}
	}
}

// addressField is the field of the config that sets the provider's address.
func addressField(p *provider) string {
	if p.hasTarget {
		return "internal_endpoints"
	}
	return "base_url"
}

// targetURL is the provider's real address, in the notation of internal_endpoints.
func targetURL(p *provider) string {
	if address.Socket(p.target.Host) != "" {
		return "unix://" + shownTarget(p.target.Host)
	}
	return p.target.Scheme + "://" + p.target.Host
}

// shownTarget is the host of a target; a unix socket by its path.
func shownTarget(host string) string {
	if socket := address.Socket(host); socket != "" {
		return socket
	}
	return host
}

// route is the model at its address, for what is remembered of it.
func (m *model) route() habits.Route {
	return habits.Route{Host: m.provider.base.Host, Path: m.provider.base.Path, Model: m.id}
}

// streamHabit is what is known of the model's streams. A model of the catalog is asked for
// usage at once; one of the config's own shows by its first stream whether it sends
// usage unasked.
func (m *model) streamHabit(known *habits.Streams) habits.Stream {
	if m.provider.sendsUsage {
		return habits.StreamUnasked
	}
	if habit := known.Of(m.route()); habit != habits.StreamUnknown || !m.provider.known {
		return habit
	}
	return habits.StreamAsk
}

// allKeys are the provider's keys, or the stand-in for none.
func (p *provider) allKeys() []*apiKey {
	if len(p.keys) == 0 {
		return p.keyless
	}
	return p.keys
}

// serves reports whether a provider takes requests on a client's surface, be they
// translated. A surface without a name stands for any of its format.
func (p *provider) serves(s *surface) bool {
	if s.name != "" {
		_, ok := p.speaks(s)
		return ok || p.translates[s] != nil
	}
	if p.speaksFormat(s.format) {
		return true
	}
	for from := range p.translates {
		if from.format == s.format {
			return true
		}
	}
	return false
}

// estimates reports whether the gateway counts the tokens of a client's surface in the
// place of a provider. Nothing is sent, so no limit of the provider's holds.
func (p *provider) estimates(s *surface) bool { return s.counts() && p.translates[s] != nil }

// nativeFirst puts the models first whose providers speak the client's surface. All
// else stays in order. The slice is not changed.
func nativeFirst(s *surface, models []*model) []*model {
	translated := func(m *model) bool { return m.provider.translates[s] != nil }
	if !slices.ContainsFunc(models, translated) {
		return models
	}
	out := slices.DeleteFunc(slices.Clone(models), translated)
	return append(out, slices.DeleteFunc(slices.Clone(models), func(m *model) bool { return !translated(m) })...)
}

// limit gives each provider, model and key with limits its gate. The gates outlive
// the settings: a reload changes limits and keeps counts.
//
// A gate is found by its kind and names. Renaming a provider begins new counts.
func (c *catalog) limit(l *limit.Limiter, now time.Time) {
	wanted := map[string]bool{}
	gate := func(lim limit.Limits, kind string, names ...string) *limit.Gate {
		if lim == (limit.Limits{}) {
			return nil
		}
		name := fmt.Sprintf("%s%q", kind, names)
		wanted[name] = true
		return l.Gate(name, now, lim)
	}
	// Gates have names and not pointers to models, to be found again after a
	// reload.
	for _, p := range c.providers {
		id := fold(p.id)
		p.gate = gate(p.limits, "provider", id)
		p.limited = p.gate != nil
		for _, m := range p.models {
			m.gate = gate(m.limits, "model", id, fold(m.id))
		}
		for _, k := range p.keys {
			k.gate = gate(k.limits, "key", id, k.id)
			p.limited = p.limited || k.gate != nil
		}
	}
	// A gate without limits lets its waiters go. Only then is it forgotten.
	var gone []string
	l.Keep(func(name string) bool {
		if !wanted[name] {
			gone = append(gone, name)
		}
		return true
	})
	for _, name := range gone {
		l.Gate(name, now, limit.Limits{}) // whoever waits there may go
	}
	l.Keep(func(name string) bool { return wanted[name] })
}

// limited reports whether a request for the model can meet a limit.
// It spares most requests the look at gates.
func (m *model) limited() bool { return m.provider.limited || m.gate != nil }

// priceList compiles prices. Nil is unknown.
// The dollars per million tokens of a Config become exact integers here, so that
// sums over many requests do not drift.
func priceList(p *Pricing) *price.List {
	if p == nil {
		return nil
	}
	l := &price.List{
		Tokens: price.Tokens{
			Input: price.PerMillion(p.Input), Output: price.PerMillion(p.Output), CacheRead: price.PerMillion(p.InputCacheRead),
			CacheWrite: price.PerMillion(p.InputCacheWrite), CacheWriteHour: price.PerMillion(p.InputCacheWrite1h),
		},
		InputBatch: price.PerMillion(p.InputBatch), OutputBatch: price.PerMillion(p.OutputBatch),
	}
	for _, t := range p.Tiers {
		l.Tiers = append(l.Tiers, price.Tier{Above: t.AboveInputTokens, Tokens: price.Tokens{
			Input: price.PerMillion(t.Input), Output: price.PerMillion(t.Output), CacheRead: price.PerMillion(t.InputCacheRead),
			CacheWrite: price.PerMillion(t.InputCacheWrite), CacheWriteHour: price.PerMillion(t.InputCacheWrite1h),
		}})
	}
	for name, usd := range p.Tools {
		if l.Tools == nil {
			l.Tools = map[string]price.Rate{}
		}
		l.Tools[name] = price.PerCall(usd)
	}
	return l
}

// cost is what a use of the model costs. It is false if that is unknown.
//
// A cost that the provider tells comes before the list: xAI tells ticks of 10⁻¹⁰
// USD, OpenRouter a decimal. A zero is free only where the list knows no price.
// hour is the part of the cache written for an hour.
func (m *model) cost(u Usage, hour int64, b usage.Bill) (c knownCost) {
	own, told := price.Parse(b.Cost)
	if told {
		if behind, ok := price.Parse(b.BehindCost); ok {
			own = own.Add(behind)
		}
		if own != 0 {
			return knownCost{Cost{USD: USD(own), Source: CostOfProvider}, true}
		}
	}
	if b.Ticks > 0 && b.Ticks < 1<<53 {
		return knownCost{Cost{USD: USD(b.Ticks) * 100, Source: CostOfProvider}, true}
	}
	use := price.Use{
		Input: u.InputTokens, Output: u.OutputTokens,
		CacheRead: u.CachedInputTokens, CacheWrite: u.CacheWriteTokens, CacheWriteHour: hour,
		ServiceTier: b.ServiceTier, Media: b.Media > 0,
	}
	for _, t := range b.Tools {
		use.Tools = append(use.Tools, price.Calls{Tool: t.Name, N: t.Calls})
	}
	usd, estimated, ok := m.prices.Cost(use)
	if told {
		// Gateways in between fill in a zero. It counts only where no price is known.
		if !ok || usd == 0 {
			return knownCost{Cost{Source: CostOfProvider}, true}
		}
		estimated = true
	}
	return knownCost{Cost{USD: USD(usd), Estimated: estimated || u.Estimated || b.Surcharge, Source: m.priceSource}, ok}
}

// modelLists holds the models that providers answered with, by listKey.
type modelLists map[string]foundModels

// foundModels are the models of one provider's answer, sorted by id.
type foundModels []Model

// listKey stands for a provider at an address. Another address is another server.
func listKey(p *provider) string { return fold(p.id) + " " + p.base.String() }

// isAsked reports whether the provider is to be asked for its models.
func (p *provider) isAsked() bool {
	return p.configured && !p.disabled && p.discover != DiscoverOff
}

// of returns the models of a provider's answer. It is empty before the first one.
func (l modelLists) of(p *provider) foundModels {
	if !p.isAsked() {
		return nil
	}
	return l[listKey(p)]
}

// askKeys are the keys to ask for models with: those whose value does not depend on
// a request.
func (p *provider) askKeys() []*apiKey {
	return slices.DeleteFunc(slices.Clone(p.keys), func(k *apiKey) bool { return k.perRequest })
}

// under fills the empty facts of a listed model with those of the answer. It
// reports whether the answer has the model, by its id or an alias.
func (f foundModels) under(m Model) (Model, bool) {
	i := slices.IndexFunc(f, func(b Model) bool { return hasName(m.ID, nil, b.ID) })
	if i < 0 {
		i = slices.IndexFunc(f, func(b Model) bool { return hasName(m.ID, m.IDAliases, b.ID) })
	}
	if i < 0 {
		i = slices.IndexFunc(f, func(b Model) bool { return hasName(b.ID, b.IDAliases, m.ID) })
	}
	if i < 0 {
		return m, false
	}
	base := f[i]
	base.IDAliases = nil // the operator's names are enough
	id := m.ID
	m = overlayModel(base, m)
	m.ID = id // the operator's spelling
	return m, true
}

// others are the models of the answer without a namesake among the seen names. An alias
// that another model has for its own name is left out.
func (f foundModels) others(seen map[string]string) []Model {
	out := slices.DeleteFunc(slices.Clone(f), func(m Model) bool {
		return slices.ContainsFunc(foldedNames(m.ID, m.IDAliases), func(name string) bool { return seen[name] != "" })
	})
	for i := range out {
		out[i].IDAliases = slices.DeleteFunc(slices.Clone(out[i].IDAliases), func(alias string) bool {
			return slices.ContainsFunc(f, func(m Model) bool { return hasName(m.ID, nil, alias) })
		})
	}
	return out
}

// foundModel is a model of an answer in the terms of a config.
func foundModel(m discover.Model) Model {
	out := Model{
		ID: m.ID, DisplayName: m.DisplayName, Description: m.Description,
		MaxContextWindow: m.ContextWindow, MaxOutputTokens: m.MaxOutput,
		ParameterCount: m.ParameterCount, Quantization: m.Quantization,
		InputModalities: m.InputModalities, OutputModalities: m.OutputModalities, SupportedFeatures: m.Features,
	}
	if m.Alias != "" {
		out.IDAliases = []string{m.Alias}
	}
	if m.Prices != (discover.Prices{}) {
		out.Pricing = &Pricing{
			Input: m.Prices.Input, Output: m.Prices.Output, InputCacheRead: m.Prices.CacheRead, InputCacheWrite: m.Prices.CacheWrite,
		}
	}
	return out
}

// BuiltinRegistry returns the catalog of the library: public providers with
// their base URLs, models and prices. The providers are openai, anthropic,
// google, deepseek, groq, openrouter, hyperbolic, inceptionlabs, inference.net,
// xai, mistral, cerebras, together, fireworks and moonshotai. Openrouter and
// hyperbolic list no models: any name works behind their prefix. The catalog is
// as old as the library's release. A Config overlays it.
func BuiltinRegistry() ProviderRegistry { return builtinRegistry{} }

// StaticRegistry returns a registry of the given providers, in that order. It
// copies them, and so does each call of Providers: later changes on one side do
// not reach the other. Values of the types that JSON decodes to are copied in
// Metadata and Body; values of other types are shared.
func StaticRegistry(providers ...Provider) ProviderRegistry {
	return staticRegistry(cloneProviders(providers))
}

// NoRegistry returns an empty registry: only providers of the Config can be
// reached.
func NoRegistry() ProviderRegistry { return staticRegistry(nil) }

// builtinRegistry lists copies: the caller owns the result.
type builtinRegistry struct{}

// Providers decodes the catalog once in a process, and returns a copy.
func (builtinRegistry) Providers(context.Context) ([]Provider, error) {
	providers, err := builtinProviders()
	if err != nil {
		return nil, fmt.Errorf("aigateway: built-in catalog: %w", err)
	}
	return cloneProviders(providers), nil
}

// staticRegistry lists copies: the caller owns the result.
type staticRegistry []Provider

func (r staticRegistry) Providers(context.Context) ([]Provider, error) {
	return cloneProviders(r), nil
}

// builtinProviders decodes the embedded catalog, once. Its result is shared and
// must not be changed or handed out.
var builtinProviders = sync.OnceValues(func() ([]Provider, error) {
	return decodeCatalog(builtin.Catalog())
})

// decodeCatalog reads a catalog document. A field unknown to [Provider] or
// [Model] is an error: in a data file it can only be a slip.
func decodeCatalog(doc []byte) ([]Provider, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	var providers []Provider
	if err := dec.Decode(&providers); err != nil {
		return nil, err
	}
	return providers, nil
}

// cloneProviders copies providers. Copy and original share nothing that either
// side could change.
func cloneProviders(providers []Provider) []Provider {
	out := slices.Clone(providers)
	for i := range out {
		p := &out[i]
		p.IDAliases = slices.Clone(p.IDAliases)
		p.APIKeys = slices.Clone(p.APIKeys)
		p.Metadata = cloneMap(p.Metadata)
		p.Headers = maps.Clone(p.Headers)
		p.QueryParams = maps.Clone(p.QueryParams)
		p.Body = cloneMap(p.Body)
		p.SupportedAPISurfaces = slices.Clone(p.SupportedAPISurfaces)
		for j := range p.SupportedAPISurfaces {
			s := &p.SupportedAPISurfaces[j]
			s.SupportedParams = slices.Clone(s.SupportedParams)
		}
		p.Models = slices.Clone(p.Models)
		for j := range p.Models {
			p.Models[j] = cloneModel(p.Models[j])
		}
	}
	return out
}

// cloneModel copies a model to its depth. The caller of a registry owns the copy.
func cloneModel(m Model) Model {
	m.IDAliases = slices.Clone(m.IDAliases)
	m.Metadata = cloneMap(m.Metadata)
	m.InputModalities = slices.Clone(m.InputModalities)
	m.OutputModalities = slices.Clone(m.OutputModalities)
	m.SupportedFeatures = slices.Clone(m.SupportedFeatures)
	m.UnsupportedParams = slices.Clone(m.UnsupportedParams)
	m.Datacenters = slices.Clone(m.Datacenters)
	m.Fallbacks = slices.Clone(m.Fallbacks)
	m.Pricing = clonePricing(m.Pricing)
	return m
}

// clonePricing copies prices to their depth.
func clonePricing(p *Pricing) *Pricing {
	if p == nil {
		return nil
	}
	c := *p
	for _, price := range []**float64{
		&c.Input, &c.Output, &c.InputCacheRead, &c.InputCacheWrite, &c.InputCacheWrite1h, &c.InputBatch, &c.OutputBatch,
	} {
		*price = clonePrice(*price)
	}
	c.Tiers = slices.Clone(c.Tiers)
	for i := range c.Tiers {
		t := &c.Tiers[i]
		for _, price := range []**float64{&t.Input, &t.Output, &t.InputCacheRead, &t.InputCacheWrite, &t.InputCacheWrite1h} {
			*price = clonePrice(*price)
		}
	}
	c.Tools = maps.Clone(c.Tools)
	return &c
}

// clonePrice copies a price, so that callers cannot change the catalog's. Nil stays nil.
func clonePrice(p *float64) *float64 {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// pricingView copies prices for expressions. It shares nothing with the Config.
func pricingView(p *Pricing) *expr.Pricing {
	if p == nil {
		return nil
	}
	v := expr.Pricing{
		Input: clonePrice(p.Input), Output: clonePrice(p.Output),
		InputCacheRead: clonePrice(p.InputCacheRead), InputCacheWrite: clonePrice(p.InputCacheWrite),
		InputBatch: clonePrice(p.InputBatch), OutputBatch: clonePrice(p.OutputBatch),
	}
	if len(p.Tools) > 0 {
		v.Tools = maps.Clone(p.Tools)
	}
	return &v
}
