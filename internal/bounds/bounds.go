// Package bounds is the table of the defaults and bounds of settings. New, the
// debug page, the JSON Schema and the documents read it. It is a leaf: it imports
// the standard library only.
package bounds

import "time"

// Setting is one row.
//
// A row without a default and without bounds still counts: the documents and the
// debug page list it.
type Setting struct {
	Struct string // the type of the field's owner, such as "Config"
	Field  string // the name in a document, or in Go if a document cannot set it
	// Default is the meaning of an empty or zero field: a time.Duration, an int64
	// or a string. Nil is off.
	Default any
	// Min and Max bound a number that is given. Zero is always allowed, and
	// stands for the default. A Max of zero is no upper bound.
	Min, Max int64
	Unit     string // of a number
}

// Of returns the row of a field. A missing row is a mistake in the program, and
// panics.
func Of(structName, field string) Setting {
	for _, s := range Table() {
		if s.Struct == structName && s.Field == field {
			return s
		}
	}
	panic("bounds: there is no row for " + structName + "." + field)
}

// Duration returns the default of a duration; 0 is off.
func (s Setting) Duration() time.Duration {
	d, _ := s.Default.(time.Duration)
	return d
}

// Number returns the default of a number; 0 is off.
func (s Setting) Number() int64 {
	n, _ := s.Default.(int64)
	return n
}

// Allows reports whether a number is within the bounds, or zero.
func (s Setting) Allows(n int64) bool {
	return n == 0 || n >= s.Min && (s.Max == 0 || n <= s.Max)
}

// Bounds of prices and budgets, in USD. Within them costs are exact integers.
const (
	MaxPrice     = 9_000_000 // of a million tokens, and a budget
	MaxToolPrice = 9         // of a call
)

// maxTokens bounds the limits on tokens.
const maxTokens = 500_000

// Table returns all rows, in the order of the documents.
func Table() []Setting {
	return []Setting{
		{Struct: "Config", Field: "per_request_timeout", Default: 3 * time.Minute},
		{Struct: "Config", Field: "total_timeout", Default: 6 * time.Minute},
		{Struct: "Config", Field: "first_token_timeout"},
		{Struct: "Config", Field: "stream_keepalive"},
		{Struct: "Config", Field: "client_timeout"}, // per_request_timeout
		{Struct: "Config", Field: "max_attempts", Default: int64(10), Min: 1, Max: 100, Unit: "upstream requests"},
		{Struct: "Config", Field: "max_retries", Default: int64(0), Max: 5, Unit: "upstream requests"},
		{Struct: "Config", Field: "stream_commit", Default: "first_content"},
		{Struct: "Config", Field: "empty_answers", Default: "relay"},
		{Struct: "Config", Field: "refusals", Default: "relay"},
		{Struct: "Config", Field: "stream_usage", Default: "always"},
		{Struct: "Config", Field: "response_headers"}, // request-id, model, attempts
		{Struct: "Config", Field: "max_input_tokens", Max: maxTokens, Unit: "tokens"},
		{Struct: "Config", Field: "max_output_tokens", Max: maxTokens, Unit: "tokens"},
		{Struct: "Config", Field: "on_error", Default: "halt"},
		{Struct: "Config", Field: "MaxBodyBytes", Default: int64(64 << 20), Unit: "bytes"},

		{Struct: "ClientLimit", Field: "requests_per_minute", Unit: "requests"},
		{Struct: "ClientLimit", Field: "tokens_per_minute", Unit: "tokens"},
		{Struct: "ClientLimit", Field: "usd_per_day", Max: MaxPrice, Unit: "USD"},
		{Struct: "ClientLimit", Field: "usd_per_month", Max: MaxPrice, Unit: "USD"},

		{Struct: "Model", Field: "max_context_window", Unit: "tokens"},
		{Struct: "Model", Field: "max_output_tokens", Unit: "tokens"},
		{Struct: "Model", Field: "parameter_count", Unit: "parameters"},
		{Struct: "Model", Field: "data_retention_days", Unit: "days"},
		{Struct: "Model", Field: "per_request_timeout"},
		{Struct: "Model", Field: "first_token_timeout"},
		{Struct: "Limits", Field: "in_flight", Unit: "upstream requests"},
		{Struct: "Limits", Field: "requests_per_minute", Unit: "upstream requests"},
		{Struct: "Limits", Field: "tokens_per_minute", Unit: "tokens"},
		{Struct: "Limits", Field: "wait"},
		{Struct: "Pricing", Field: "input", Max: MaxPrice, Unit: perMillion},
		{Struct: "Pricing", Field: "output", Max: MaxPrice, Unit: perMillion},
		{Struct: "Pricing", Field: "input_cache_read", Max: MaxPrice, Unit: perMillion},
		{Struct: "Pricing", Field: "input_cache_write", Max: MaxPrice, Unit: perMillion},
		{Struct: "Pricing", Field: "input_cache_write_1h", Max: MaxPrice, Unit: perMillion},
		{Struct: "Pricing", Field: "input_batch", Max: MaxPrice, Unit: perMillion},
		{Struct: "Pricing", Field: "output_batch", Max: MaxPrice, Unit: perMillion},
		{Struct: "Pricing", Field: "tools", Max: MaxToolPrice, Unit: "USD per call"},
		{Struct: "PricingTier", Field: "input", Max: MaxPrice, Unit: perMillion},
		{Struct: "PricingTier", Field: "output", Max: MaxPrice, Unit: perMillion},
		{Struct: "PricingTier", Field: "input_cache_read", Max: MaxPrice, Unit: perMillion},
		{Struct: "PricingTier", Field: "input_cache_write", Max: MaxPrice, Unit: perMillion},
		{Struct: "PricingTier", Field: "input_cache_write_1h", Max: MaxPrice, Unit: perMillion},
	}
}

// perMillion is the unit of the prices of tokens.
const perMillion = "USD per million tokens"
