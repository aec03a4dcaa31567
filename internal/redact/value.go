package redact

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Name is the name of a header or a field. A name that is a credential, put into the
// wrong place, is redacted.
func Name(name string) string {
	if IsKey(name) {
		return hidden
	}
	return name
}

// hidden stands for a secret in a value.
const hidden = "…"

// Object is a copy of a JSON object without its possible secrets. A text with a template,
// "${…}", becomes what template makes of it. Nil if the map is empty, or is not JSON.
func Object(m map[string]any, template func(text string) any) map[string]any {
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
	return value(copied, false, template).(map[string]any)
}

// value is v, redacted. Values under secret-sounding names are redacted, except for
// numbers and booleans: they are more often limits and switches, such as max_tokens.
//
// Secret is inherited: everything under a name such as "credentials" is redacted,
// however deep.
func value(v any, secret bool, template func(text string) any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, child := range v {
			out[Name(name)] = value(child, secret || IsSecretName(name), template)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = value(child, secret, template)
		}
		return out
	case string:
		switch {
		case strings.Contains(v, "${"):
			return template(v)
		case v != "" && (secret || HasSecret(v)):
			return hidden
		}
		return v
	default:
		return v
	}
}
