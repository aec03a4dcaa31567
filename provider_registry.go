package aigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aigateway-go/aigateway/internal/builtin"
)

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

// merger lays the configured providers over the registry's, and compiles both.
type merger struct {
	*compiler
	listed   []Provider     // the registry's
	owner    map[string]int // which configured provider a name belongs to
	overlaid map[int]int    // from a listed provider to the configured one over it
	all      []*provider
}

// mergeProviders merges and compiles the providers: the configured ones first, in
// the config's order, then the others of the registry.
func mergeProviders(c *compiler, cfg Config, listed []Provider) []*provider {
	m := merger{compiler: c, listed: listed, overlaid: map[int]int{}}
	for _, base := range listed {
		c.known = append(append(c.known, base.ID), base.IDAliases...)
	}
	c.duplicates(listed)
	m.owner = c.owners(cfg.Providers)
	for i, p := range cfg.Providers {
		m.configured(i, p, cfg.Providers)
	}
	for i, base := range listed {
		if _, ok := m.overlaid[i]; !ok {
			c.ownBase = false
			base.IDAliases = unowned(base.IDAliases, m.owner, -1)
			m.all = append(m.all, c.provider(fmt.Sprintf("registry[%q]", base.ID), base, base.Models, nil, false, true))
		}
	}
	return m.all
}

// configured compiles the i-th provider of the config. If the registry has a
// provider of its name, it is laid over that one.
func (m *merger) configured(i int, p Provider, providers []Provider) {
	path := fmt.Sprintf("providers[%d]", i)
	at := m.find(p.ID)
	if at < 0 {
		m.ownBase = false
		m.all = append(m.all, m.provider(path, p, p.Models, nil, true, false))
		return
	}
	base := m.listed[at]
	if first, ok := m.overlaid[at]; !ok {
		m.overlaid[at] = i
	} else if !strings.EqualFold(p.ID, providers[first].ID) { // else owners has said so
		m.add(path+".id", p.ID, "is the built-in %q, which providers[%d] configures already: put both into one", base.ID, first)
	}
	m.ownBase = p.BaseURL != ""
	if !strings.EqualFold(base.ID, p.ID) {
		base.Models = authored(base)
	}
	merged := overlay(base, p)
	merged.IDAliases = unowned(merged.IDAliases, m.owner, i)
	m.all = append(m.all, m.provider(path, merged, p.Models, base.Models, true, true))
}

// find is the index of the listed provider with an id: by its id, otherwise by an
// alias. -1 if the registry has no such provider.
func (m *merger) find(id string) int {
	if id == "" {
		return -1
	}
	if at := slices.IndexFunc(m.listed, func(base Provider) bool { return strings.EqualFold(base.ID, id) }); at >= 0 {
		return at
	}
	return slices.IndexFunc(m.listed, func(base Provider) bool { return hasName(base.ID, base.IDAliases, id) })
}

// authored returns a provider's models. Models without an author get the provider's
// id: an overlay may give the provider another name.
func authored(p Provider) []Model {
	models := slices.Clone(p.Models)
	for i := range models {
		models[i].AuthorID = given(models[i].AuthorID, p.ID)
	}
	return models
}

// unowned returns a provider's aliases without those that the config gives to
// another provider than its i-th.
func unowned(aliases []string, owner map[string]int, i int) []string {
	return slices.DeleteFunc(slices.Clone(aliases), func(a string) bool {
		j, ok := owner[fold(a)]
		return ok && j != i
	})
}
