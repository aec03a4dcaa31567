package aigateway

import (
	"fmt"
	"strings"

	"github.com/aigateway-go/aigateway/internal/expr"
)

// warnings finds the slips of the catalog as a whole.
func (s *selector) warnings(cfg Config) problems {
	var p problems
	if s.catalog == nil {
		return nil
	}
	for i, over := range cfg.Providers {
		for j, m := range over.Models {
			s.warnHidden(&p, fmt.Sprintf("providers[%d].models[%d].id", i, j), over.ID, m.ID)
		}
	}
	for i, st := range s.strategies {
		if st.eval == nil {
			continue
		}
		providers, models := st.eval.Names()
		path := fmt.Sprintf("model_selection.strategy[%d]", i)
		warnUnknown(&p, path, "provider", providers, s.providerIDs(), func(name string) bool { return s.byName[fold(name)] != nil })
		warnUnknown(&p, path, "model", models, s.modelIDs(), func(name string) bool { return s.models[fold(name)] != nil })
	}
	return p
}

// warnHidden warns of a model with an id like another provider's prefix: a request
// for it goes to the other provider.
func (s *selector) warnHidden(p *problems, path, provider, id string) {
	prefix, rest, _ := strings.Cut(id, ":")
	other := s.byName[fold(prefix)]
	if rest == "" || other == nil || !other.configured || other == s.byName[fold(provider)] {
		return
	}
	p.add(path, id, "is hidden: %q is a provider, so that a client that sends this name asks it for %q; clients reach this model as %q",
		other.id, rest, provider+":"+id)
}

// warnUnknown warns of unknown names in a strategy, if a known name is similar.
// Without a similar one, the name may be an unlisted model.
func warnUnknown(p *problems, path, kind string, names []expr.Literal, known []string, knows func(string) bool) {
	for _, n := range names {
		if knows(n.Value) {
			continue
		}
		if near := expr.Nearest(n.Value, known); near != "" {
			p.add(path, n.Value, "%d:%d: no %s has this id, did you mean %q?", n.Line, n.Column, kind, near)
		}
	}
}

// providerIDs lists the ids and aliases of all providers.
func (s *selector) providerIDs() []string {
	var ids []string
	for _, p := range s.providers {
		ids = append(append(ids, p.id), p.view.IDAliases...)
	}
	return ids
}

// modelIDs lists the ids and aliases of all listed models.
func (s *selector) modelIDs() []string {
	var ids []string
	for _, m := range s.listed {
		ids = append(append(ids, m.id), m.view.IDAliases...)
	}
	return ids
}
