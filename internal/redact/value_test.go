package redact_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/redact"
)

// TestObject hides texts under secret-sounding names, and texts and names that look like
// credentials. Numbers and booleans stay.
func TestObject(t *testing.T) {
	template := func(text string) any { return "template of " + text }
	const key = "sk-proj-0123456789abcdef"
	for _, tt := range []struct {
		name     string
		in, want map[string]any
	}{
		{"empty", map[string]any{}, nil},
		{"not JSON", map[string]any{"f": func() {}}, nil},
		{"plain", map[string]any{"tier": "gold", "on": true}, map[string]any{"tier": "gold", "on": true}},
		{"a secret's name", map[string]any{"password": "gold", "max_tokens": 5}, map[string]any{"password": "…", "max_tokens": json.Number("5")}},
		{"however deep", map[string]any{"credentials": []any{map[string]any{"of": "me", "n": 1}}},
			map[string]any{"credentials": []any{map[string]any{"of": "…", "n": json.Number("1")}}}},
		{"a key", map[string]any{"a": key, key: "b"}, map[string]any{"a": "…", "…": "b"}},
		{"a large number", map[string]any{"n": uint64(1<<63 + 1)}, map[string]any{"n": json.Number("9223372036854775809")}},
		{"a template", map[string]any{"password": "x ${secrets.get('a','b')}"}, map[string]any{"password": "template of x ${secrets.get('a','b')}"}},
		{"a type of Go", map[string]any{"list": []string{"a", key}}, map[string]any{"list": []any{"a", "…"}}},
	} {
		assert.Equal(t, tt.want, redact.Object(tt.in, template), tt.name)
	}
}
