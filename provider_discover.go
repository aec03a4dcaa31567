package aigateway

import (
	"slices"

	"github.com/aigateway-go/aigateway/internal/discover"
)

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
		return m, false
	}
	id := m.ID
	m = overlayModel(f[i], m)
	m.ID = id // the operator's spelling
	return m, true
}

// others are the models of the answer without a namesake among the seen names.
func (f foundModels) others(seen map[string]string) []Model {
	return slices.DeleteFunc(slices.Clone(f), func(m Model) bool { return seen[fold(m.ID)] != "" })
}

// foundModel is a model of an answer in the terms of a config.
func foundModel(m discover.Model) Model {
	out := Model{
		ID: m.ID, DisplayName: m.DisplayName, Description: m.Description,
		MaxContextWindow: m.ContextWindow, MaxOutputTokens: m.MaxOutput,
		ParameterCount: m.ParameterCount, Quantization: m.Quantization,
		InputModalities: m.InputModalities, OutputModalities: m.OutputModalities, SupportedFeatures: m.Features,
	}
	if m.Prices != (discover.Prices{}) {
		out.Pricing = &Pricing{
			Input: m.Prices.Input, Output: m.Prices.Output, InputCacheRead: m.Prices.CacheRead, InputCacheWrite: m.Prices.CacheWrite,
		}
	}
	return out
}
