package aigateway

import (
	"reflect"
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

// discover compiles the provider's discover.
func (c *compiler) discover(path string, d Discover, out *provider) {
	out.discover = oneOf(c.problems, path, d, DiscoverOff, DiscoverOn, DiscoverConfigured)
	if out.isAsked() && len(out.keys) > 0 && len(out.askKeys()) == 0 {
		c.warnings.add(path, string(d), "asks without a key: the value of each key depends on a request, and discovery has none")
	}
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

// discovered compiles the models that only the answer lists.
func (c *compiler) discovered(p *provider, found foundModels, seen map[string]string) {
	for _, m := range found {
		if seen[fold(m.ID)] != "" {
			continue
		}
		c.source = CostOfCatalog
		before := len(p.models)
		c.model("discovered", p, m, p.discover == DiscoverConfigured, false, seen)
		for _, added := range p.models[before:] {
			added.discovered = true
		}
	}
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

// newOrigin keeps a Config with the providers of its registry, to compile it again
// when an answer changes. It shares no setting with the caller's Config, and the
// registry is not asked again.
func newOrigin(cfg Config, listed []Provider) *Config {
	kept := deepCopy(reflect.ValueOf(cfg)).Interface().(Config)
	kept.Registry = StaticRegistry(listed...)
	return &kept
}

// deepCopy copies lists, maps and pointers to the depth of plain data. Interfaces
// with methods and functions are the dependencies of a Config: they are shared.
func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("json"); tag != "-" && v.Type().Field(i).IsExported() {
				out.Field(i).Set(deepCopy(v.Field(i)))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(deepCopy(v.Index(i)))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for it := v.MapRange(); it.Next(); {
				out.SetMapIndex(it.Key(), deepCopy(it.Value()))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() != reflect.Struct {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		} else if !v.IsNil() && v.Type() == reflect.TypeFor[*Pricing]() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		}
	case reflect.Interface:
		if v.NumMethod() == 0 && !v.IsNil() {
			if k := v.Elem().Kind(); k == reflect.Map || k == reflect.Slice {
				out.Set(deepCopy(v.Elem()))
			}
		}
	}
	return out
}
