package aigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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

type builtinRegistry struct{}

func (builtinRegistry) Providers(context.Context) ([]Provider, error) {
	providers, err := builtinProviders()
	if err != nil {
		return nil, fmt.Errorf("aigateway: built-in catalog: %w", err)
	}
	return cloneProviders(providers), nil
}

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
