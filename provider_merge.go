package aigateway

import (
	"fmt"
	"slices"
	"strings"
)

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
