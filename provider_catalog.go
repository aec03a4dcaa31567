package aigateway

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// provider is a Provider in the form that requests are served from: merged,
// checked, compiled and never changed again.
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
	auth      Auth
	timeout   time.Duration
	network   dial.Settings // how target is reached
	transport http.RoundTripper
	dialled   bool // transport ends in the gateway's own
	surfaces  []apiSurface
	headers   []field // the provider's over the gateway's
	query     []field
	body      []bodyField
	// operatorAuth are the configured headers that carry the credential
	// themselves; they beat the key.
	operatorAuth []string
	forms        knownForms
}

// apiSurface is an APISurface, compiled.
type apiSurface struct {
	format format
	name   string // empty: all of the format
	params map[string]bool
}

// apiKey is a configured key. Its value is known only when it is used.
type apiKey struct {
	id       string
	provider string // folded
	value    *expr.Template
	// perRequest is set if the value depends on the request. Its health then is
	// that of each value.
	perRequest bool
	// none is set for the stand-in of a provider without keys: limits are its
	// provider's then.
	none  bool
	track *stats.Track // of the text in the config
}

// field is a configured header or query parameter.
type field struct {
	name   string
	value  *expr.Template
	secret bool // by its name, a literal value is a credential
}

// bodyField is a configured field of the body: raw JSON where it is constant,
// else a tree to evaluate.
type bodyField struct {
	name string
	raw  []byte
	tree any
}

// model is a Model at its provider, compiled.
type model struct {
	id         string
	names      []string // folded: the id, then the aliases
	provider   *provider
	view       *expr.Model
	configured bool
	disabled   bool
	unlisted   bool     // neither the catalog nor the config lists it
	denied     []string // parameters that must not reach it
	track      *stats.Track
}

// name is the candidate as a client could ask for it.
func (m *model) name() string { return m.provider.id + ":" + m.id }

// fold is the form in which ids and aliases are compared.
func fold(name string) string { return strings.ToLower(name) }

// speaks returns the provider's entry for a surface: the one that names it
// before the one for the whole format.
func (p *provider) speaks(s *surface) (*apiSurface, bool) {
	var found *apiSurface
	for i := range p.surfaces {
		a := &p.surfaces[i]
		if a.format != s.format {
			continue
		}
		if a.name == s.name {
			return a, true
		}
		if a.name == "" && found == nil {
			found = a
		}
	}
	return found, found != nil
}

// speaksFormat reports whether the provider has any surface of the format.
func (p *provider) speaksFormat(f format) bool {
	return slices.ContainsFunc(p.surfaces, func(a apiSurface) bool { return a.format == f })
}

// catalog is every provider and model that a request may name: the configured
// ones in the config's order, then the registry's.
type catalog struct {
	providers []*provider
	byName    map[string]*provider // folded ids and aliases
	models    map[string][]*model  // folded ids and aliases, in the providers' order
	listed    []*model             // all of them, in that order
	byView    map[*expr.Model]*model
	views     []*expr.Provider
	authors   []*expr.Author
}

// newCatalog indexes the providers. Those that come first win a name.
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

// track gives each model and key what the gateway remembers of it. It outlives
// the settings: a reload forgets nothing.
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

// overlay lays a configured provider over the registry's: given fields win, the
// others stay.
func overlay(base, over Provider) Provider {
	p := over
	if strings.EqualFold(base.ID, over.ID) {
		p.ID = base.ID
	} else if !hasName(p.ID, p.IDAliases, base.ID) {
		p.IDAliases = append(slices.Clone(p.IDAliases), base.ID)
	}
	for _, alias := range base.IDAliases {
		if !hasName(p.ID, p.IDAliases, alias) {
			p.IDAliases = append(slices.Clone(p.IDAliases), alias)
		}
	}
	p.BaseURL = given(over.BaseURL, base.BaseURL)
	p.DisplayName = given(over.DisplayName, base.DisplayName)
	p.Description = given(over.Description, base.Description)
	p.Website = given(over.Website, base.Website)
	p.PerRequestTimeout = given(over.PerRequestTimeout, base.PerRequestTimeout)
	p.Auth = given(over.Auth, base.Auth)
	p.TLS, p.Proxy = given(over.TLS, base.TLS), given(over.Proxy, base.Proxy)
	p.Disabled = over.Disabled || base.Disabled
	if len(over.APIKeys) == 0 {
		p.APIKeys = base.APIKeys
	}
	if len(over.SupportedAPISurfaces) == 0 {
		p.SupportedAPISurfaces = base.SupportedAPISurfaces
	}
	p.Metadata = merged(base.Metadata, over.Metadata)
	p.Headers = maps.Clone(base.Headers)
	maps.DeleteFunc(p.Headers, func(name string, _ Template) bool { return hasHeader(over.Headers, name) })
	p.Headers = merged(p.Headers, over.Headers)
	p.QueryParams = merged(base.QueryParams, over.QueryParams)
	p.Body = merged(base.Body, over.Body)
	return p
}

// overlayModel fills in the facts of a configured model from the catalog's.
func overlayModel(base, over Model) Model {
	m := over
	if strings.EqualFold(base.ID, over.ID) {
		m.ID = base.ID
		for _, alias := range base.IDAliases {
			if !hasName(m.ID, m.IDAliases, alias) {
				m.IDAliases = append(slices.Clone(m.IDAliases), alias)
			}
		}
	}
	m.AuthorID = given(over.AuthorID, base.AuthorID)
	m.DisplayName = given(over.DisplayName, base.DisplayName)
	m.Description = given(over.Description, base.Description)
	m.Disabled = over.Disabled || base.Disabled
	m.Metadata = merged(base.Metadata, over.Metadata)
	m.InputModalities = givenList(over.InputModalities, base.InputModalities)
	m.OutputModalities = givenList(over.OutputModalities, base.OutputModalities)
	m.SupportedFeatures = givenList(over.SupportedFeatures, base.SupportedFeatures)
	m.UnsupportedParams = givenList(over.UnsupportedParams, base.UnsupportedParams)
	m.Datacenters = givenList(over.Datacenters, base.Datacenters)
	m.MaxContextWindow = given(over.MaxContextWindow, base.MaxContextWindow)
	m.MaxOutputTokens = given(over.MaxOutputTokens, base.MaxOutputTokens)
	m.ParameterCount = given(over.ParameterCount, base.ParameterCount)
	m.Quantization = given(over.Quantization, base.Quantization)
	m.DataTrainingPolicy = given(over.DataTrainingPolicy, base.DataTrainingPolicy)
	m.DataRetentionDays = given(over.DataRetentionDays, base.DataRetentionDays)
	m.DataRetentionPolicy = given(over.DataRetentionPolicy, base.DataRetentionPolicy)
	m.ShutdownDate = given(over.ShutdownDate, base.ShutdownDate)
	m.Pricing = overlayPricing(base.Pricing, over.Pricing)
	return m
}

// overlayPricing fills in the prices missing in the config. The catalog's tiers
// belong to its own prices: they do not hold beside a config's input or output.
func overlayPricing(base, over *Pricing) *Pricing {
	if base == nil || over == nil {
		return given(over, base)
	}
	p := &Pricing{
		Input: given(over.Input, base.Input), Output: given(over.Output, base.Output),
		InputCacheRead:    given(over.InputCacheRead, base.InputCacheRead),
		InputCacheWrite:   given(over.InputCacheWrite, base.InputCacheWrite),
		InputCacheWrite1h: given(over.InputCacheWrite1h, base.InputCacheWrite1h),
		InputBatch:        given(over.InputBatch, base.InputBatch),
		OutputBatch:       given(over.OutputBatch, base.OutputBatch),
		Tiers:             over.Tiers,
		Tools:             merged(base.Tools, over.Tools),
	}
	if over.Input == nil && over.Output == nil {
		p.Tiers = givenList(over.Tiers, base.Tiers)
	}
	return p
}

// hasHeader reports whether a header is among some, in any letter case.
func hasHeader(headers map[string]Template, name string) bool {
	for given := range headers {
		if strings.EqualFold(given, name) {
			return true
		}
	}
	return false
}

// hasName reports whether a name is the id or one of the aliases.
func hasName(id string, aliases []string, name string) bool {
	return strings.EqualFold(id, name) ||
		slices.ContainsFunc(aliases, func(a string) bool { return strings.EqualFold(a, name) })
}

// given returns over, or base if over is zero.
func given[T comparable](over, base T) T {
	var zero T
	if over == zero {
		return base
	}
	return over
}

func givenList[T any](over, base []T) []T {
	if len(over) == 0 {
		return base
	}
	return over
}

// merged returns the entries of both, over's before base's.
func merged[V any](base, over map[string]V) map[string]V {
	if len(base) == 0 {
		return over
	}
	m := maps.Clone(base)
	maps.Copy(m, over)
	return m
}
