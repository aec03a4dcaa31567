package aigateway

import (
	"slices"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// translations returns, for each surface that a provider does not speak, the one that
// takes its requests. It is empty if the provider has no surface to translate to.
//
// A surface that counts tokens may have one of its own format: a provider may speak
// messages, and not count them. Such a count is estimated, like all others in the map.
func translations(p *provider, all surfaces) map[*surface]*surface {
	targets := translationTargets(p, all)
	out := map[*surface]*surface{}
	for _, s := range all.byPath {
		from, ok := s.dialect()
		if _, native := p.speaks(s); !ok || native || len(targets) == 0 {
			continue
		}
		out[s] = targets[max(0, slices.IndexFunc(targets, func(to *surface) bool {
			f, _ := to.dialect()
			return f == from
		}))]
	}
	return out
}

// unproven returns, for each surface that a provider may not speak after all, the one
// that takes its requests then. An entry for a whole format says little about one of its
// surfaces: many servers of the openai format have no responses, and many of the
// anthropic format count no tokens. All servers of the openai format have chat.
func unproven(p *provider, all surfaces) map[*surface]*surface {
	targets := translationTargets(p, all)
	out := map[*surface]*surface{}
	for _, s := range all.byPath {
		from, ok := s.dialect()
		if entry, native := p.speaks(s); !ok || from == dialect.Chat || !native || entry.name != "" {
			continue
		}
		for _, to := range targets {
			if f, _ := to.dialect(); s.counts() == (f == from) {
				out[s] = to
				break
			}
		}
	}
	return out
}

// translationTargets are the surfaces that translated requests can go to, in the order
// of the provider's supported_api_surfaces. Chat comes before responses where an entry
// stands for both: all servers have it.
func translationTargets(p *provider, all surfaces) []*surface {
	var out []*surface
	for _, a := range p.surfaces {
		for _, f := range dialects {
			s := all.byPath[f.Path()]
			if a.format == s.format && (a.name == "" || a.name == s.name) && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
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
