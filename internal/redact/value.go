package redact

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
)

// hidden stands for a secret in a value.
const hidden = "…"

// Keys copies a map without the names that are credentials in the wrong place: "…" stands
// for them. The values stay as they are.
func Keys[V any](values map[string]V) map[string]V {
	out := maps.Clone(values)
	for name, v := range values {
		if IsKey(name) {
			delete(out, name)
			out[hidden] = v
		}
	}
	return out
}

// Value copies a value of the types that JSON decodes to. A text with an expression, or for
// which secret is true, is shown like a [Template]. A value of any other type could hold
// anything, and is shown as "…".
func Value(v any, secret func(text string) bool) any { return value(v, secret, false) }

// Object is a copy of a JSON object without its possible secrets. Texts with an expression,
// and those that look like a secret, are shown like a [Template]. Nil if the map is empty,
// or is not JSON.
//
// Names count as well. One that is a credential, put into the wrong place, is hidden.
// Everything under a name such as "credentials" is hidden, however deep, except for numbers
// and booleans: they are more often limits and switches, such as max_tokens.
func Object(m map[string]any) map[string]any {
	if len(m) == 0 {
		return nil
	}
	// A Go program may have put any type into the map. JSON has only a few.
	raw, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	var copied map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	// A float64 would change large numbers.
	d.UseNumber()
	if err := d.Decode(&copied); err != nil {
		return nil
	}
	return value(copied, HasSecret, true).(map[string]any)
}

// value is [Value], or [Object] if the names of a document count.
func value(v any, secret func(text string) bool, names bool) any {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "${") || secret(v) {
			return Template(v)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, child := range v {
			below := secret
			if names && IsSecretName(name) {
				below = anyText
			}
			if names && IsKey(name) {
				name = hidden
			}
			out[name] = value(child, below, names)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = value(child, secret, names)
		}
		return out
	case nil, bool, int, int64, uint64, float64:
		return v
	case json.Number:
		if names { // of a document, where it cannot be another text
			return v
		}
	}
	return hidden
}

// anyText takes every text for a secret.
func anyText(string) bool { return true }
