package schema

import (
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/bounds"
)

// rule constrains a field beyond its type. The rule of a list or a map constrains
// its items.
//
// Patterns are those of JSON Schema: without anchors they match anywhere, and they know no
// letter case to ignore.
//
// It says what a Go type cannot: a string field becomes a pattern or an enum,
// and a number gets its bounds. New checks the same rules, and more. The schema
// is for editors.
type rule struct {
	required bool
	min, max float64
	bounded  bool // a number from min to max; a max of 0 is none
	pattern  string
	names    string // the pattern of a map's keys
	words    []string
	def      any
	examples []any
	notEmpty bool
	// minItems and maxItems bound the lists of a map. Zero is no bound.
	minItems, maxItems int
}

const (
	// durationPattern matches the texts that time.ParseDuration reads, but no
	// negative ones.
	durationPattern = `^$|^[+]?(0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	tokenPattern    = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
	providerPattern = `^[^\s:]+$`
	modelPattern    = `^\S(.*\S)?$`
	urlPattern      = `^$|^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+([/?][^#]*)?$`
	proxyPattern    = `^(none|[Hh][Tt][Tt][Pp]://[^/?#]+/?)?$`
	endpointPattern = `^([Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+/?|[Uu][Nn][Ii][Xx]:///.+)$`
	internalPattern = `^[^/?#@:\s]+[.][Ii][Nn][Tt][Ee][Rr][Nn][Aa][Ll][.]?(:[0-9]+)?$`
	datePattern     = `^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}$`
)

// rules is the table, by type and name. Defaults and bounds come from package bounds.
// A test in the root package compares the rules with those of New.
//
// Keys are "Struct.name", with the name of the field in a document. A field without a
// row has only its type.
func rules() map[string]rule {
	all := map[string]rule{
		"Config.first_token_timeout": {examples: []any{"10s"}},
		"Config.headers":             {names: tokenPattern},
		"Config.query_params":        {names: "."},
		"Config.aliases":             {minItems: 1, maxItems: 100},
		"Config.forward_headers":     {pattern: tokenPattern},
		"Config.internal_endpoints":  {names: internalPattern, pattern: endpointPattern},

		"ModelSelection.strategy":  {examples: []any{[]any{"ai.models.filter(m, m.metadata.gpu == 'A100')", "ai.models"}}},
		"APIKeySelection.strategy": {examples: []any{[]any{"ai.keys.filter(k, k.error_rate.rate_limit < 0.1)", "ai.keys"}}},

		"Provider.id":           {required: true, pattern: providerPattern},
		"Provider.id_aliases":   {pattern: providerPattern},
		"Provider.base_url":     {pattern: urlPattern, examples: []any{"https://api.example.com/v1", "http://ollama.internal"}},
		"Provider.headers":      {names: tokenPattern},
		"Provider.query_params": {names: "."},
		"Provider.proxy":        {pattern: proxyPattern, examples: []any{"http://proxy.example.com:3128", "none"}},
		"APIKey.value":          {required: true, notEmpty: true, examples: []any{"${secrets.get('openai', 'api-key')}"}},
		"Auth.header":           {pattern: "^$|" + tokenPattern, examples: []any{"x-api-key", "api-key"}},
		"Auth.scheme":           {pattern: "^$|" + tokenPattern, examples: []any{"Bearer"}},
		"APISurface.format":     {required: true, words: []string{"openai", "anthropic"}},
		"APISurface.surface": {words: []string{
			"chat-completions", "responses", "responses-compact", "messages", "embeddings", "completions", "messages-count-tokens", "moderations", "rerank",
			"images", "images-edits", "images-generations", "images-variations",
			"audio", "audio-speech", "audio-transcriptions", "audio-translations", "realtime",
			"responses-input-tokens", "tokenize", "detokenize", "score", "pooling", "classify",
			"conversations", "files", "uploads", "batches", "videos", "vector-stores", "containers", "messages-batches",
		}},
		"Param.name": {required: true, notEmpty: true},

		"Model.id":                       {required: true, pattern: modelPattern},
		"Model.id_aliases":               {pattern: modelPattern},
		"Model.shutdown_date":            {pattern: datePattern, examples: []any{"2026-12-31"}},
		"PricingTier.above_input_tokens": {required: true, bounded: true, min: 1},
	}
	for _, b := range bounds.Table() {
		if b.Field == "MaxBodyBytes" {
			continue // only Go can set it
		}
		name := b.Struct + "." + b.Field
		r := all[name]
		r.bounded, r.max = r.bounded || b.Unit != "", float64(b.Max)
		switch def := b.Default.(type) {
		case time.Duration:
			r.def = shortDuration(def)
		default:
			r.def = def
		}
		all[name] = r
	}
	return all
}

// shortDuration writes a duration as people do: 3m, not 3m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// apply adds the rule to the schema of its field.
//
// A list or a map hands the constraint to its items, and keeps the default and
// the examples. An enum of an optional field also takes null, as the reader of
// documents does.
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
		of.Enum = append(of.Enum, "", nil) // the default
	}
	if r.minItems > 0 {
		of.MinItems = &r.minItems
	}
	if r.maxItems > 0 {
		of.MaxItems = &r.maxItems
	}
}
