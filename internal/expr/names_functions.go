package expr

import (
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// modelsByName are the functions from a list of models and names to a list of
// models. They keep the models with one of the names, or drop them.
func modelsByName() map[string]byName {
	return map[string]byName{
		"only":            {match: modelNamed},
		"ignore":          {match: modelNamed, drop: true},
		"onlyProviders":   {match: modelAtProvider},
		"ignoreProviders": {match: modelAtProvider, drop: true},
		"onlyAuthors":     {match: modelByAuthor},
		"ignoreAuthors":   {match: modelByAuthor, drop: true},
		"inRegion":        {match: modelInRegion},
		"inCountryCode":   {match: modelInCountry},
	}
}

// byName is a function that keeps or drops models by their names.
//
// match is called once per model, with the set made once per call.
type byName struct {
	match func(*Model, nameSet) bool
	drop  bool
}

// nameSet is a set of names with letter case folded.
type nameSet map[string]struct{}

// newNameSet folds the names: they compare case-insensitively.
func newNameSet(names ...string) nameSet {
	set := make(nameSet, len(names))
	for _, n := range names {
		set[strings.ToLower(n)] = struct{}{}
	}
	return set
}

// has reports whether a name or one of its aliases is in the set.
func (s nameSet) has(name string, aliases ...string) bool {
	if _, ok := s[strings.ToLower(name)]; ok {
		return true
	}
	for _, a := range aliases {
		if _, ok := s[strings.ToLower(a)]; ok {
			return true
		}
	}
	return false
}

// ofModel makes a matcher of elements from one of models.
func ofModel(match func(*Model, nameSet) bool) matcher {
	return func(e ref.Val, names nameSet) bool {
		m, ok := e.(*modelRef)
		return ok && match(m.model, names)
	}
}

// modelNamed matches a model's id and aliases.
func modelNamed(m *Model, names nameSet) bool { return names.has(m.ID, m.IDAliases...) }

// modelAtProvider matches the provider of a model.
func modelAtProvider(m *Model, names nameSet) bool { return m.provider().named(names) }

// named reports whether a provider goes by one of the names.
//
// A shadowed provider has an id that is another one's name. The id means the
// other provider, so only the aliases lead to the shadowed one.
func (p *Provider) named(names nameSet) bool {
	return !p.Shadowed && names.has(p.ID) || slices.ContainsFunc(p.IDAliases, func(a string) bool { return names.has(a) })
}

// modelByAuthor matches the author of a model.
func modelByAuthor(m *Model, names nameSet) bool { return names.has(m.AuthorID, m.AuthorIDAliases...) }

// modelInRegion reports whether one of the model's places is in a region. Unknown
// places match no region.
func modelInRegion(m *Model, regions nameSet) bool {
	return slices.ContainsFunc(m.Datacenters, func(d Datacenter) bool { return regions.has(d.Region) })
}

// modelInCountry reports whether one of the model's places is in a country. Unknown
// places match no country.
func modelInCountry(m *Model, codes nameSet) bool {
	return slices.ContainsFunc(m.Datacenters, func(d Datacenter) bool { return codes.has(d.CountryCode) })
}

// providerNamed matches a provider among ai.providers.
func providerNamed(e ref.Val, names nameSet) bool {
	p, ok := e.(*providerRef)
	return ok && p.provider.named(names)
}

// authorNamed matches an author. Authors have no wrapper of their own.
func authorNamed(e ref.Val, names nameSet) bool {
	v, ok := e.(*structVal)
	if !ok {
		return false
	}
	a, ok := v.self.(*Author)
	return ok && names.has(a.ID, a.IDAliases...)
}

// keyNamed matches a key by its id, the hash that the Result shows.
func keyNamed(e ref.Val, names nameSet) bool {
	k, ok := e.(*keyRef)
	return ok && names.has(k.key.ID)
}

// matcher reports whether an element has one of the names. An element of another
// type has not.
type matcher func(e ref.Val, names nameSet) bool

// keepWhere is the counterpart of keepUnless, for two readable rows of a table.
func keepWhere(match matcher) matcher { return match }

// keepUnless negates a matcher. Elements of other types then stay.
func keepUnless(match matcher) matcher {
	return func(e ref.Val, names nameSet) bool { return !match(e, names) }
}

// byNames declares a member function of a list with names as its argument, a
// list or a single string.
//
// receiver only names the overload: "models", "providers", "authors" or "keys".
func byNames(function, receiver string, list *cel.Type, keep matcher) []cel.FunctionOpt {
	impl := func(target, arg ref.Val) ref.Val {
		elems, ok := elements(target)
		if !ok {
			return types.MaybeNoSuchOverloadErr(target)
		}
		spendOn(elems)
		names, errVal := namesOf(arg)
		if errVal != nil {
			return errVal
		}
		var kept []ref.Val
		for _, e := range elems {
			if keep(e, names) {
				kept = append(kept, e)
			}
		}
		return &objectList{kept}
	}
	return []cel.FunctionOpt{
		cel.MemberOverload(receiver+"_"+function+"_list", []*cel.Type{list, listOf(cel.StringType)}, list, cel.BinaryBinding(impl)),
		cel.MemberOverload(receiver+"_"+function+"_string", []*cel.Type{list, cel.StringType}, list, cel.BinaryBinding(impl)),
	}
}

// namesOf reads an argument: a string or a list of strings.
//
// The second result is an error value of CEL, nil if the argument is good.
func namesOf(arg ref.Val) (nameSet, ref.Val) {
	if s, ok := arg.(types.String); ok {
		return newNameSet(string(s)), nil
	}
	elems, ok := elements(arg)
	if !ok {
		return nil, types.MaybeNoSuchOverloadErr(arg)
	}
	names := make([]string, len(elems))
	for i, e := range elems {
		s, ok := e.(types.String)
		if !ok {
			return nil, types.NewErr("a name must be a string, is %s", plainTypeName(e.Type()))
		}
		names[i] = string(s)
	}
	return newNameSet(names...), nil
}
