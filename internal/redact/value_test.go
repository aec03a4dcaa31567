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
		{"a template", map[string]any{"password": "x ${secrets.get('a','b')}"}, map[string]any{"password": "…${secrets.get('a','b')}"}},
		{"a type of Go", map[string]any{"list": []string{"a", key}}, map[string]any{"list": []any{"a", "…"}}},
	} {
		assert.Equal(t, tt.want, redact.Object(tt.in), tt.name)
	}
}

func TestValue(t *testing.T) {
	in := map[string]any{
		"word": "eu", "key": "sk-proj-0123456789abcdef", "template": "Bearer ${secrets.get('v', 'n')}",
		"list": []any{1.5, true, nil, "sk-proj-0123456789abcdef"}, "unknown": struct{ Key string }{"k"},
	}
	want := map[string]any{
		"word": "eu", "key": "…", "template": "…${secrets.get('v', 'n')}",
		"list": []any{1.5, true, nil, "…"}, "unknown": "…",
	}
	assert.Equal(t, want, redact.Value(in, redact.HasSecret))
	assert.Equal(t, "sk-proj-0123456789abcdef", in["key"], "the original stays")
	assert.Equal(t, []any{"…"}, redact.Value([]any{"eu"}, func(string) bool { return true }))
}

func TestKeys(t *testing.T) {
	in := map[string]int{"X-Team": 1, "sk-proj-0123456789abcdef": 2}
	assert.Equal(t, map[string]int{"X-Team": 1, "…": 2}, redact.Keys(in))
	assert.Len(t, in, 2)
	assert.Nil(t, redact.Keys[int](nil))
}
