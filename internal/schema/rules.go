package schema

// rule is what a field must be beyond its type. What holds of a list or a map
// holds of its items.
type rule struct {
	required bool
	min, max float64
	bounded  bool // whether min and max count; a max of 0 is none
	pattern  string
	names    string // the pattern of a map's keys
	words    []string
	def      any
	examples []any
	notEmpty bool
}

const (
	// durationPattern is what time.ParseDuration reads, less what is negative.
	durationPattern = `^$|^[+]?(0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	tokenPattern    = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
	providerPattern = `^[^\s:]+$`
	modelPattern    = `^\S+$`
	urlPattern      = `^$|^[Hh][Tt][Tt][Pp][Ss]?://[^@#]+$`
	proxyPattern    = `^(none|[Hh][Tt][Tt][Pp]://[^/?#]+/?)?$`
	endpointPattern = `^([Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+/?|[Uu][Nn][Ii][Xx]:///.+)$`
	internalPattern = `^[^/?@]*[.][Ii][Nn][Tt][Ee][Rr][Nn][Aa][Ll][.]?(:[0-9]+)?$`
	maxTokens       = 500_000
)

// rules is the table, by type and name. A test in the root package holds it to
// what New does.
func rules() map[string]rule {
	atLeastZero := rule{bounded: true}
	bound := func(limit float64, def any) rule { return rule{bounded: true, max: limit, def: def} }
	return map[string]rule{
		"Config.per_request_timeout": {def: "3m"},
		"Config.total_timeout":       {def: "6m"},
		"Config.first_token_timeout": {examples: []any{"10s"}},
		"Config.max_attempts":        bound(100, 10),
		"Config.max_retries":         bound(5, 0),
		"Config.stream_commit":       {def: "first_content"},
		"Config.on_error":            {def: "halt"},
		"Config.headers":             {names: tokenPattern},
		"Config.max_input_tokens":    bound(maxTokens, nil),
		"Config.max_output_tokens":   bound(maxTokens, nil),
		"Config.forward_headers":     {pattern: tokenPattern},
		"Config.internal_endpoints":  {names: internalPattern, pattern: endpointPattern},

		"ModelSelection.strategy":  {examples: []any{[]any{"ai.models.filter(m, m.metadata.gpu == 'A100')", "ai.models"}}},
		"APIKeySelection.strategy": {examples: []any{[]any{"ai.keys.filter(k, k.error_rate.rate_limit < 0.1)", "ai.keys"}}},

		"Provider.id":         {required: true, pattern: providerPattern},
		"Provider.id_aliases": {pattern: providerPattern},
		"Provider.base_url":   {pattern: urlPattern, examples: []any{"https://api.example.com/v1", "http://ollama.internal"}},
		"Provider.headers":    {names: tokenPattern},
		"Provider.proxy":      {pattern: proxyPattern, examples: []any{"http://proxy.example.com:3128", "none"}},
		"APIKey.value":        {required: true, notEmpty: true, examples: []any{"${secrets.get('openai', 'api-key')}"}},
		"Auth.header":         {pattern: "^$|" + tokenPattern, examples: []any{"x-api-key", "api-key"}},
		"Auth.scheme":         {pattern: "^$|" + tokenPattern, examples: []any{"Bearer"}},
		"APISurface.format":   {required: true, words: []string{"openai", "anthropic"}},
		"APISurface.surface": {words: []string{
			"chat-completions", "responses", "messages", "embeddings", "completions", "messages-count-tokens", "moderations", "rerank",
			"images", "images-edits", "images-generations", "images-variations",
			"audio", "audio-speech", "audio-transcriptions", "audio-translations",
		}},
		"Param.name": {required: true, notEmpty: true},

		"Model.id":                  {required: true, pattern: modelPattern},
		"Model.id_aliases":          {pattern: modelPattern},
		"Model.max_context_window":  atLeastZero,
		"Model.max_output_tokens":   atLeastZero,
		"Model.parameter_count":     atLeastZero,
		"Model.data_retention_days": atLeastZero,
		"Pricing.input":             atLeastZero,
		"Pricing.output":            atLeastZero,
		"Pricing.input_cache_read":  atLeastZero, "Pricing.input_cache_write": atLeastZero,
		"Pricing.input_batch": atLeastZero, "Pricing.output_batch": atLeastZero,
		"Pricing.tools": atLeastZero,
	}
}

// apply adds the rule to the schema of its field.
func (r rule) apply(n *node) {
	n.Default, n.Examples = r.def, r.examples
	if r.names != "" {
		n.PropertyNames = &node{Pattern: r.names}
	}
	of := n
	if n.Items != nil {
		of = n.Items
	} else if child, ok := n.AdditionalProperties.(*node); ok {
		of = child
	}
	if r.pattern != "" {
		of.Pattern = r.pattern
	}
	if r.notEmpty {
		one := 1
		of.MinLength = &one
	}
	if r.bounded {
		of.Minimum = &r.min
		if r.max > 0 {
			of.Maximum = &r.max
		}
	}
	for _, w := range r.words {
		of.Enum = append(of.Enum, w)
	}
	if len(r.words) > 0 && !r.required {
		of.Enum = append(of.Enum, nil)
	}
}
