package aigateway

import (
	"slices"
	"sync"
	"time"

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

// unspokenFor is how long a surface counts as one that a provider does not speak. Then
// the provider is asked again: it may have learned to.
const unspokenFor = 10 * time.Minute

// unspoken remembers the surfaces that models turned out not to speak. It belongs to a
// gateway and outlives its settings. Surfaces beyond maxStreamHabits are forgotten.
type unspoken struct {
	mu    sync.RWMutex
	until map[unspokenRoute]time.Time
}

// unspokenRoute is a surface of a model at an address.
type unspokenRoute struct {
	streamRoute
	surface string
}

// knows reports whether a model does not speak a surface.
func (u *unspoken) knows(m *model, s *surface, now time.Time) bool {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return len(u.until) > 0 && now.Before(u.until[unspokenRoute{m.streamRoute(), s.path}])
}

// learn notes a surface that a model does not speak.
func (u *unspoken) learn(m *model, s *surface, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.until == nil || len(u.until) >= maxStreamHabits {
		u.until = map[unspokenRoute]time.Time{}
	}
	u.until[unspokenRoute{m.streamRoute(), s.path}] = now.Add(unspokenFor)
}

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
