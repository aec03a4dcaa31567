package aigateway

//go:generate go run ./internal/expr/refdoc -o docs/selection.md

// ModelSelection is the list of strategies that choose the models of a request.
// Each is a CEL expression whose result is a model or a list of models, in the
// order in which they are tried:
//
//	ai.models.filter(m, 'vision' in m.supported_features).sortBy('price')
//
// The first strategy that returns at least one model wins. [New] and
// [Gateway.Reload] check every name and type. The cookbook and the reference of
// the language are in docs/selection.md.
type ModelSelection struct {
	// Strategy holds the expressions in the order of their turn.
	Strategy []string `json:"strategy,omitempty"`
}

// APIKeySelection is the list of strategies that choose the keys of a provider.
// Each is a CEL expression whose result is a key or a list of keys, in the order
// in which they are tried:
//
//	ai.keys.filter(k, k.error_rate.rate_limit < 0.1)
//
// The first strategy that returns at least one key wins. A key in cooldown is
// tried last all the same. Without strategies the keys are tried in listed order.
// The language is that of [ModelSelection], see docs/selection.md.
type APIKeySelection struct {
	// Strategy holds the expressions in the order of their turn.
	Strategy []string `json:"strategy,omitempty"`
}
