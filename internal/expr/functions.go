package expr

import (
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// priceTypes are the words of underCost, and the prices behind them. Besides
// them there is "tools." and the key of a tool price.
func priceTypes() map[string]func(*Pricing) *float64 {
	return map[string]func(*Pricing) *float64{
		"text.input":             func(p *Pricing) *float64 { return p.Input },
		"text.output":            func(p *Pricing) *float64 { return p.Output },
		"text.input_cache_read":  func(p *Pricing) *float64 { return p.InputCacheRead },
		"text.input_cache_write": func(p *Pricing) *float64 { return p.InputCacheWrite },
		"text.input_batch":       func(p *Pricing) *float64 { return p.InputBatch },
		"text.output_batch":      func(p *Pricing) *float64 { return p.OutputBatch },
	}
}

const toolPricePrefix = "tools."

// priceOf returns the reader of a price type, or false for an unknown word.
func priceOf(types map[string]func(*Pricing) *float64, word string) (func(*Pricing) *float64, bool) {
	if tool, ok := strings.CutPrefix(word, toolPricePrefix); ok {
		return func(p *Pricing) *float64 {
			if price, ok := p.Tools[tool]; ok {
				return &price
			}
			return nil
		}, true
	}
	get, ok := types[word]
	return get, ok
}

// strategyFunctions are the functions of a model strategy besides CEL's own
// and the macros of macros.go.
func strategyFunctions() []cel.EnvOption {
	models, providers, authors := listOf(object("model")), listOf(object("provider")), listOf(object("author"))
	model, provider := object("model"), object("provider")
	return append(choiceFunctions("model"),
		cel.Function(fnAble, cel.Overload("@able_models", []*cel.Type{runType, models}, models, cel.BinaryBinding(able))),

		// only(ids), ignore(ids): elements whose id or alias is one of ids,
		// or is none of them. Letter case does not matter.
		// ai.models.only(['gpt-4o', 'gpt-4o-mini'])
		cel.Function("only", slices.Concat(
			byNames("only", "models", models, keepWhere(modelNamed)),
			byNames("only", "providers", providers, keepWhere(providerNamed)),
			byNames("only", "authors", authors, keepWhere(authorNamed)),
		)...),
		cel.Function("ignore", slices.Concat(
			byNames("ignore", "models", models, keepUnless(modelNamed)),
			byNames("ignore", "providers", providers, keepUnless(providerNamed)),
			byNames("ignore", "authors", authors, keepUnless(authorNamed)),
		)...),

		// onlyProviders(ids) and the like: models by their provider or author.
		// ai.models.ignoreProviders(['google'])
		cel.Function("onlyProviders", byNames("onlyProviders", "models", models, keepWhere(modelAtProvider))...),
		cel.Function("ignoreProviders", byNames("ignoreProviders", "models", models, keepUnless(modelAtProvider))...),
		cel.Function("onlyAuthors", byNames("onlyAuthors", "models", models, keepWhere(modelByAuthor))...),
		cel.Function("ignoreAuthors", byNames("ignoreAuthors", "models", models, keepUnless(modelByAuthor))...),

		// inRegion(regions), inCountryCode(codes): models with a datacenter
		// in one of them. ai.models.inCountryCode(['DE', 'FR'])
		cel.Function("inRegion", byNames("inRegion", "models", models, keepWhere(modelInRegion))...),
		cel.Function("inCountryCode", byNames("inCountryCode", "models", models, keepWhere(modelInCountry))...),

		// underCost(type, max): models whose price is known and less than max,
		// in USD per million tokens. ai.models.underCost('text.input', 0.5)
		cel.Function("underCost",
			cel.MemberOverload("models_underCost_double", []*cel.Type{models, cel.StringType, cel.DoubleType}, models, cel.FunctionBinding(underCost)),
			cel.MemberOverload("models_underCost_int", []*cel.Type{models, cel.StringType, cel.IntType}, models, cel.FunctionBinding(underCost)),
		),

		// sortBy('price'): cheapest input first, see sortByPrice. The form
		// with an expression is a macro. ai.models.sortBy('price')
		cel.Function("sortBy",
			cel.MemberOverload("models_sortBy_string", []*cel.Type{models, cel.StringType}, models, cel.BinaryBinding(sortByPrice)),
		),

		// get(provider, model) on models, get(id) on the others; one that is
		// not there makes the result empty. ai.models.get('openai', 'gpt-4o')
		cel.Function("get",
			cel.MemberOverload("models_get_string_string", []*cel.Type{models, cel.StringType, cel.StringType}, model, cel.FunctionBinding(getModelAt)),
			cel.MemberOverload("providers_get_string", []*cel.Type{providers, cel.StringType}, provider, cel.BinaryBinding(getByName("provider", providerNamed))),
			cel.MemberOverload("authors_get_string", []*cel.Type{authors, cel.StringType}, object("author"), cel.BinaryBinding(getByName("author", authorNamed))),
		),

		// getModel(id): the first such model of a list, or of a provider.
		// ai.providers.get('openai').getModel('gpt-4o')
		cel.Function("getModel",
			cel.MemberOverload("models_getModel_string", []*cel.Type{models, cel.StringType}, model, cel.BinaryBinding(getByName("model", modelNamed))),
			cel.MemberOverload("provider_getModel_string", []*cel.Type{provider, cel.StringType}, model, cel.BinaryBinding(getModelOf)),
		),

		// getMetadata('a.b'): metadata by a path. A key that holds dots itself
		// wins over the path. m.getMetadata('limits.tier')
		cel.Function("getMetadata",
			cel.MemberOverload("model_getMetadata_string", []*cel.Type{model, cel.StringType}, cel.DynType, cel.BinaryBinding(getMetadata)),
			cel.MemberOverload("provider_getMetadata_string", []*cel.Type{provider, cel.StringType}, cel.DynType, cel.BinaryBinding(getMetadata)),
		),
	)
}

// keyStrategyFunctions are those of a key strategy.
func keyStrategyFunctions() []cel.EnvOption {
	keys := listOf(object("key"))
	return append(choiceFunctions("key"),
		cel.Function("only", byNames("only", "keys", keys, keepWhere(keyNamed))...),
		cel.Function("ignore", byNames("ignore", "keys", keys, keepUnless(keyNamed))...),
		cel.Function("get",
			cel.MemberOverload("keys_get_string", []*cel.Type{keys, cel.StringType}, object("key"), cel.BinaryBinding(getByName("key", keyNamed))),
		),
	)
}

// templateFunctions are those of a `${…}`.
func templateFunctions() []cel.EnvOption {
	return []cel.EnvOption{
		// secrets.get(vault, name): the secret's text.
		cel.Function("get",
			cel.MemberOverload("secrets_get_string_string", []*cel.Type{object("secrets"), cel.StringType, cel.StringType}, cel.StringType, cel.FunctionBinding(getSecret)),
		),
	}
}

// able is models.able(): the models whose known facts fit the request.
func able(runArg, list ref.Val) ref.Val {
	r, elems, errVal := runAndElements(runArg, list)
	if errVal != nil {
		return errVal
	}
	r.spend(2 * len(elems))
	facts := r.requestOrEmpty().facts()
	var kept []ref.Val
	for _, e := range elems {
		if m, ok := e.(*modelRef); ok && Able(m.model, facts) {
			kept = append(kept, e)
		}
	}
	return &objectList{kept}
}

// nameSet is a set of names with letter case folded.
type nameSet map[string]struct{}

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

// The matchers say whether an element is meant by one of the names. An
// element of another type, which only a dynamic expression can bring, is not.

func modelNamed(e ref.Val, names nameSet) bool {
	m, ok := e.(*modelRef)
	return ok && names.has(m.model.ID, m.model.IDAliases...)
}

func modelAtProvider(e ref.Val, names nameSet) bool {
	m, ok := e.(*modelRef)
	return ok && m.provider().named(names)
}

// named reports whether a provider goes by one of the names.
func (p *Provider) named(names nameSet) bool {
	return !p.Shadowed && names.has(p.ID) || slices.ContainsFunc(p.IDAliases, func(a string) bool { return names.has(a) })
}

func modelByAuthor(e ref.Val, names nameSet) bool {
	m, ok := e.(*modelRef)
	return ok && names.has(m.model.AuthorID, m.model.AuthorIDAliases...)
}

func modelInRegion(e ref.Val, regions nameSet) bool {
	m, ok := e.(*modelRef)
	return ok && slices.ContainsFunc(m.model.Datacenters, func(d Datacenter) bool { return regions.has(d.Region) })
}

func modelInCountry(e ref.Val, codes nameSet) bool {
	m, ok := e.(*modelRef)
	return ok && slices.ContainsFunc(m.model.Datacenters, func(d Datacenter) bool { return codes.has(d.CountryCode) })
}

func providerNamed(e ref.Val, names nameSet) bool {
	p, ok := e.(*providerRef)
	return ok && p.provider.named(names)
}

func authorNamed(e ref.Val, names nameSet) bool {
	v, ok := e.(*structVal)
	if !ok {
		return false
	}
	a, ok := v.self.(*Author)
	return ok && names.has(a.ID, a.IDAliases...)
}

func keyNamed(e ref.Val, names nameSet) bool {
	k, ok := e.(*keyRef)
	return ok && names.has(k.key.ID)
}

type matcher func(e ref.Val, names nameSet) bool

func keepWhere(match matcher) matcher { return match }

func keepUnless(match matcher) matcher {
	return func(e ref.Val, names nameSet) bool { return !match(e, names) }
}

// byNames declares a member function of a list that takes names, as a list or
// as a single string, and keeps some of the elements.
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

// namesOf reads an argument that is a string or a list of strings.
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

func underCost(args ...ref.Val) ref.Val {
	elems, ok := elements(args[0])
	if !ok {
		return types.MaybeNoSuchOverloadErr(args[0])
	}
	spendOn(elems)
	word, _ := args[1].(types.String)
	price, ok := priceOf(priceTypes(), string(word))
	if !ok {
		return types.NewErr("unknown price type '%s'", string(word))
	}
	var limit float64
	switch v := args[2].(type) {
	case types.Double:
		limit = float64(v)
	case types.Int:
		limit = float64(v)
	}
	var kept []ref.Val
	for _, e := range elems {
		m, ok := e.(*modelRef)
		if !ok || m.model.Pricing == nil {
			continue
		}
		if p := price(m.model.Pricing); p != nil && *p < limit {
			kept = append(kept, e)
		}
	}
	return &objectList{kept}
}

// sortWords are the words that sortBy takes instead of an expression.
func sortWords() []string { return []string{"price"} }

// sortByPrice orders by the price of input tokens, by that of output tokens
// where those are equal, and leaves the rest in its order. Input comes first
// since it is most of what chat requests consist of. Unknown is last.
func sortByPrice(target, arg ref.Val) ref.Val {
	elems, ok := elements(target)
	if !ok {
		return types.MaybeNoSuchOverloadErr(target)
	}
	if word, _ := arg.(types.String); !slices.Contains(sortWords(), string(word)) {
		return types.NewErr("unknown order '%v'", arg)
	}
	spendOn(elems)
	sorted := slices.Clone(elems)
	slices.SortStableFunc(sorted, func(a, b ref.Val) int {
		pa, pb := pricingOf(a), pricingOf(b)
		if c := comparePrices(pa.Input, pb.Input); c != 0 {
			return c
		}
		return comparePrices(pa.Output, pb.Output)
	})
	return &objectList{sorted}
}

func pricingOf(e ref.Val) *Pricing {
	if m, ok := e.(*modelRef); ok && m.model.Pricing != nil {
		return m.model.Pricing
	}
	return new(Pricing)
}

func comparePrices(a, b *float64) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	case *a < *b:
		return -1
	case *a > *b:
		return 1
	}
	return 0
}

func getModelAt(args ...ref.Val) ref.Val {
	elems, ok := elements(args[0])
	if !ok {
		return types.MaybeNoSuchOverloadErr(args[0])
	}
	spendOn(elems)
	provider, _ := args[1].(types.String)
	model, _ := args[2].(types.String)
	atProvider, named := newNameSet(string(provider)), newNameSet(string(model))
	for _, e := range elems {
		if modelAtProvider(e, atProvider) && modelNamed(e, named) {
			return e
		}
	}
	return nothing("there is no model '%s' at '%s'", string(model), string(provider))
}

func getByName(kind string, match matcher) func(target, name ref.Val) ref.Val {
	return func(target, arg ref.Val) ref.Val {
		elems, ok := elements(target)
		if !ok {
			return types.MaybeNoSuchOverloadErr(target)
		}
		spendOn(elems)
		name, _ := arg.(types.String)
		names := newNameSet(string(name))
		for _, e := range elems {
			if match(e, names) {
				return e
			}
		}
		return nothing("there is no %s '%s'", kind, string(name))
	}
}

func getModelOf(target, arg ref.Val) ref.Val {
	p, ok := target.(*providerRef)
	if !ok {
		return types.MaybeNoSuchOverloadErr(target)
	}
	return getModelAt(p.run.modelList(), types.String(p.provider.ID), arg)
}

func getMetadata(target, arg ref.Val) ref.Val {
	var own, base map[string]any
	switch t := target.(type) {
	case *modelRef:
		own, base = t.model.Metadata, t.provider().Metadata
	case *providerRef:
		own = t.provider.Metadata
	}
	path, _ := arg.(types.String)
	for _, metadata := range []map[string]any{own, base} {
		if v, ok := metadataAt(metadata, string(path)); ok {
			return types.DefaultTypeAdapter.NativeToValue(v)
		}
		// The provider's metadata shows through for whole top-level keys:
		// a model that has 'limits' hides the provider's 'limits.tier'.
		first, _, _ := strings.Cut(string(path), ".")
		if _, hidden := metadata[first]; hidden {
			break
		}
	}
	return types.NewErr("no such metadata: %s", string(path))
}

func metadataAt(metadata map[string]any, path string) (any, bool) {
	if v, ok := metadata[path]; ok {
		return v, true
	}
	for i := range path {
		if path[i] != '.' {
			continue
		}
		if inner, ok := metadata[path[:i]].(map[string]any); ok {
			if v, ok := metadataAt(inner, path[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

func getSecret(args ...ref.Val) ref.Val {
	target, ok := args[0].(*secretsVal)
	if !ok {
		return types.MaybeNoSuchOverloadErr(args[0])
	}
	vault, _ := args[1].(types.String)
	name, _ := args[2].(types.String)
	value, err := target.self.(*run).readSecret(string(vault), string(name))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.String(value)
}
