package expr

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// priceTypes are the words of underCost, and the prices behind them. Besides
// them there is "tools." and the key of a tool price.
//
// The words are "text.input", "text.output" and so on, see [prices].
func priceTypes() map[string]func(*Pricing) *float64 {
	all := map[string]func(*Pricing) *float64{}
	for name, read := range prices() {
		all["text."+name] = read
	}
	return all
}

// toolPricePrefix begins the price type of a tool, as in
// "tools.web_search.per_search_call".
const toolPricePrefix = "tools."

// priceOf returns the reader of a price type, or false for an unknown word.
//
// Any name of a tool is good: a model without that price is left out, as with
// any unknown price. The reader returns nil for it.
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
//
// Overloads are named by receiver, function and argument: models_only_list.
func strategyFunctions() []cel.EnvOption {
	models, providers, authors := listOf(object("model")), listOf(object("provider")), listOf(object("author"))
	model, provider := object("model"), object("provider")
	// Lists of providers and of authors share two of the names.
	others := map[string][]cel.FunctionOpt{
		"only": slices.Concat(
			byNames("only", "providers", providers, keepWhere(providerNamed)),
			byNames("only", "authors", authors, keepWhere(authorNamed)),
		),
		"ignore": slices.Concat(
			byNames("ignore", "providers", providers, keepUnless(providerNamed)),
			byNames("ignore", "authors", authors, keepUnless(authorNamed)),
		),
	}
	functions := choiceFunctions("model")
	for name, by := range modelsByName() {
		keep := keepWhere(ofModel(by.match))
		if by.drop {
			keep = keepUnless(ofModel(by.match))
		}
		functions = append(functions, cel.Function(name, append(byNames(name, "models", models, keep), others[name]...)...))
	}
	return append(functions,
		argFunction(),
		cel.Function(fnAble, cel.Overload("@able_models", []*cel.Type{runType, models}, models, cel.BinaryBinding(able))),

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

		// get(provider, model) on models, get(id) on the others. An unknown
		// name makes the result empty. ai.models.get('openai', 'gpt-4o')
		cel.Function("get",
			cel.MemberOverload("models_get_string_string", []*cel.Type{models, cel.StringType, cel.StringType}, model, cel.FunctionBinding(getModelAt)),
			cel.MemberOverload("providers_get_string", []*cel.Type{providers, cel.StringType}, provider, cel.BinaryBinding(getByName("provider", providerNamed))),
			cel.MemberOverload("authors_get_string", []*cel.Type{authors, cel.StringType}, object("author"), cel.BinaryBinding(getByName("author", authorNamed))),
		),

		// getModel(id): the first such model of a list, or of a provider.
		// ai.providers.get('openai').getModel('gpt-4o')
		cel.Function("getModel",
			cel.MemberOverload("models_getModel_string", []*cel.Type{models, cel.StringType}, model, cel.BinaryBinding(getByName("model", ofModel(modelNamed)))),
			cel.MemberOverload("provider_getModel_string", []*cel.Type{provider, cel.StringType}, model, cel.BinaryBinding(getModelOf)),
		),

		// getMetadata('a.b'): metadata by a path. A key with dots of its own
		// wins over the path. m.getMetadata('limits.tier')
		cel.Function("getMetadata",
			cel.MemberOverload("model_getMetadata_string", []*cel.Type{model, cel.StringType}, cel.DynType, cel.BinaryBinding(getMetadata)),
			cel.MemberOverload("provider_getMetadata_string", []*cel.Type{provider, cel.StringType}, cel.DynType, cel.BinaryBinding(getMetadata)),
		),
	)
}

// keyStrategyFunctions are the functions of a key strategy.
//
// Keys have ids only, so the functions over names shrink to three.
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

// templateFunctions are the functions of `${…}`.
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

// Matchers compare an element with names. A dynamic expression can bring an
// element of another type, which does not match.

// underCost is models.underCost(type, max). A model without that price is not
// under any cost.
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
	// A bound of another type, which a dynamic expression can bring, is 0. The list
	// is empty then.
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

// sortWords are the words of sortBy, in place of an expression.
func sortWords() []string { return []string{"price"} }

// sortByPrice orders by the price of input tokens, and then by the price of
// output tokens. It is stable. Input comes first, as chat requests mostly
// consist of it. Unknown prices are last.
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
	slices.SortStableFunc(sorted, func(a, b ref.Val) int { return comparePricing(pricingOf(a), pricingOf(b)) })
	return &objectList{sorted}
}

// pricingOf returns the prices of an element. Nil if they are unknown, or the
// element is not a model.
func pricingOf(e ref.Val) *Pricing {
	if m, ok := e.(*modelRef); ok {
		return m.model.Pricing
	}
	return nil
}

// noPricing stands for unknown prices: each of them is nil.
var noPricing = new(Pricing)

// comparePricing orders by the input price, then by the output price. Nil has
// no prices.
func comparePricing(a, b *Pricing) int {
	if a == nil {
		a = noPricing
	}
	if b == nil {
		b = noPricing
	}
	return cmp.Or(comparePrices(a.Input, b.Input), comparePrices(a.Output, b.Output))
}

// comparePrices puts unknown prices last.
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

// getModelAt is models.get(provider, model), by ids or aliases.
//
// The first match counts. Without one the selection is empty, with a note.
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
		if m, ok := e.(*modelRef); ok && modelAtProvider(m.model, atProvider) && modelNamed(m.model, named) {
			return e
		}
	}
	return nothing("there is no model '%s' at '%s'", string(model), string(provider))
}

// getByName makes a look-up of the first element with a name. kind is its word
// in the note of a failure.
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

// getModelOf is provider.getModel(model). It looks among ai.models: a provider
// may have others that this request must not use.
func getModelOf(target, arg ref.Val) ref.Val {
	p, ok := target.(*providerRef)
	if !ok {
		return types.MaybeNoSuchOverloadErr(target)
	}
	return getModelAt(p.run.modelList(), types.String(p.provider.ID), arg)
}

// getMetadata is getMetadata(path) of a model or provider.
//
// A missing path is an error, as a missing key of a map is.
func getMetadata(target, arg ref.Val) ref.Val {
	var own, base map[string]any
	switch t := target.(type) {
	case *modelRef:
		own, base = t.model.Metadata, t.model.provider().Metadata
	case *providerRef:
		own = t.provider.Metadata
	}
	path, _ := arg.(types.String)
	if v, ok := metadataOf(own, base, string(path)); ok {
		return types.DefaultTypeAdapter.NativeToValue(v)
	}
	return types.NewErr("no such metadata: %s", string(path))
}

// metadataOf looks a path up in a model's metadata, and then in its provider's.
// The latter shows through for whole top-level keys: 'limits' of a model hides
// the provider's 'limits.tier'.
func metadataOf(own, base map[string]any, path string) (any, bool) {
	for _, metadata := range []map[string]any{own, base} {
		if v, ok := metadataAt(metadata, path); ok {
			return v, true
		}
		first, _, _ := strings.Cut(path, ".")
		if _, hidden := metadata[first]; hidden {
			break
		}
	}
	return nil, false
}

// metadataAt looks a path up. It tries the whole path as a key, then each split
// at a dot, the shortest first key first.
//
// With {"a.b": 1, "a": {"b": 2}} the path a.b is 1. A value that is not a map ends a
// path.
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

// getSecret is secrets.get(vault, name). Each call asks the callback.
//
// The run notes that a secret was read: later errors then lose their text.
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
