package redact

import (
	"maps"
	"strings"
)

// Value copies a value of the types that JSON decodes to. A text with an expression, or for
// which secret is true, is shown like a [Template]. A value of any other type could hold
// anything, and is shown as "…".
func Value(v any, secret func(string) bool) any {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "${") || secret(v) {
			return Template(v)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, child := range v {
			out[name] = Value(child, secret)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = Value(child, secret)
		}
		return out
	case nil, bool, int, int64, uint64, float64:
		return v
	default:
		return "…"
	}
}

// Keys copies a map without the names that are credentials in the wrong place: "…" stands
// for them. The values stay as they are.
func Keys[V any](values map[string]V) map[string]V {
	out := maps.Clone(values)
	for name, v := range values {
		if IsKey(name) {
			delete(out, name)
			out["…"] = v
		}
	}
	return out
}
