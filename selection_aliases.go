package aigateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/header"
)

// maxAliasEntries bounds the names of one alias.
const maxAliasEntries = maxClientModels

// aliases are the operator's own names for lists of names.
type aliases struct {
	byName map[string][]string // by the folded name
	names  []string            // as in the config, sorted
}

// expand replaces aliases by their names, each alias once.
func (a *aliases) expand(names []string) []string {
	if len(a.byName) == 0 || !slices.ContainsFunc(names, a.has) {
		return names
	}
	var out []string
	seen := map[string]bool{}
	for _, name := range names {
		entries, ok := a.byName[fold(name)]
		switch {
		case !ok:
			out = append(out, name)
		case !seen[fold(name)]:
			seen[fold(name)] = true
			out = append(out, entries...)
		}
	}
	return out
}

// has reports whether a name is an alias. Case does not count.
func (a *aliases) has(name string) bool { return a.byName[fold(name)] != nil }

// compileAliases checks the aliases of a config against its catalog, and compiles
// them. Without the registry it cannot report unknown names.
func (s *selector) compileAliases(p, warnings *problems, cfg Config, blind bool) {
	s.aliases = aliases{byName: map[string][]string{}}
	for _, name := range sortedKeys(cfg.Aliases) {
		path := confdoc.JoinKey("aliases", name)
		switch {
		case isAuto(name), !header.IsLine(name):
			p.add(path, name, "cannot be an alias: it is empty, means no model in particular, or has spaces around it or control characters")
			continue
		case len(name) > maxModelName:
			p.add(path, "", "is too long: %d bytes are the limit", maxModelName)
			continue
		case s.aliases.has(name):
			p.add(path, name, "is there twice: case does not count")
			continue
		}
		s.checkAliasName(p, warnings, path, name)
		entries := cfg.Aliases[name]
		if len(entries) == 0 || len(entries) > maxAliasEntries {
			p.add(path, "", "must list 1 to %d names", maxAliasEntries)
		}
		s.aliases.byName[fold(name)] = append([]string{}, entries...)
		s.aliases.names = append(s.aliases.names, name)
	}
	// Entries are checked after all names are known, so that an alias in another
	// one is found.
	for _, name := range s.aliases.names {
		for i, entry := range cfg.Aliases[name] {
			at := fmt.Sprintf("%s[%d]", confdoc.JoinKey("aliases", name), i)
			switch {
			case s.aliases.has(entry):
				p.add(at, entry, "is an alias itself: list the names that it stands for")
			case isAuto(entry):
				p.add(at, entry, "is not the name of a model")
			case !blind && !s.knows(entry):
				p.add(at, entry, "%s", s.unknownEntry(entry))
			}
		}
	}
}

// checkAliasName reports an alias with another meaning, such as a model's name.
func (s *selector) checkAliasName(p, warnings *problems, path, name string) {
	if other, _ := s.prefixed(name); other != nil {
		p.add(path, name, "reads as a model of provider %q: choose a name without its prefix", other.id)
		return
	}
	known := s.models[fold(name)]
	if i := slices.IndexFunc(known, func(m *model) bool { return m.configured }); i >= 0 {
		// The operator has both in hand, so this is an error. A model of the
		// catalog only warns.
		p.add(path, name, "is the name of a configured model of provider %q: choose another name", known[i].provider.id)
	} else if len(known) > 0 {
		warnings.add(path, name, "hides the model of the same name of provider %q in the catalog; clients reach that as %q",
			known[0].provider.id, known[0].name())
	}
}

// knows reports whether some provider has a name, allowed or not.
func (s *selector) knows(name string) bool {
	p, _ := s.prefixed(name)
	return p != nil || len(s.models[fold(name)]) > 0 || s.sole != nil || s.familyOf(name) != nil
}

// unknownEntry says why a name leads to no provider.
func (s *selector) unknownEntry(name string) string {
	if prefix, rest, ok := strings.Cut(name, ":"); ok && rest != "" {
		message := fmt.Sprintf("no provider has the id %q", prefix)
		if near := expr.Nearest(prefix, s.providerIDs()); near != "" {
			message += fmt.Sprintf(", did you mean %q?", near+":"+rest)
		}
		return message
	}
	message := "no provider lists this model"
	if near := expr.Nearest(name, s.modelIDs()); near != "" {
		message += fmt.Sprintf(", did you mean %q?", near)
	}
	return message + `; to send a name on as it is, write it as "provider:model"`
}

// fallback is an entry of a model's fallbacks.
type fallback struct {
	path, name string
	provider   *provider
	id         string
}

// linkFallbacks finds the providers of all fallbacks.
func (s *selector) linkFallbacks(p *problems, blind bool) {
	for _, m := range s.listed {
		for i := range m.fallbacks {
			f := &m.fallbacks[i]
			prefix, rest, _ := strings.Cut(f.name, ":")
			switch f.provider, f.id = s.byName[fold(prefix)], rest; {
			case rest == "" || prefix == "":
				p.add(f.path, f.name, `must be written as "provider:model"`)
			case f.provider == nil && !blind:
				p.add(f.path, f.name, "%s", s.unknownEntry(f.name))
			}
			s.fallbacks = true
		}
	}
}

// addFallbacks appends the fallbacks of the candidates, once. Fallbacks have no
// fallbacks.
func (s *selector) addFallbacks(q query, p *plan) {
	if !s.fallbacks {
		return
	}
	for _, m := range p.candidates {
		for _, f := range m.fallbacks {
			p.add(s.resolveAt(q, f.name, f.provider, f.id).models)
		}
	}
}
