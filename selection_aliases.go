package aigateway

import "slices"

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
