package redact_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/redact"
)

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

// An error that quotes a secret is replaced, and its chain with it.
func TestError(t *testing.T) {
	kept, inner := errors.New("kept"), errors.New("wrong key hunter2hunter2")
	got := redact.Error(fmt.Errorf("%w: %w", kept, inner), kept, "hunter2hunter2")
	require.ErrorIs(t, got, kept)
	require.NotErrorIs(t, got, inner)
	assert.NotContains(t, fmt.Sprintf("%v %+v", got, errors.Unwrap(got)), "hunter2hunter2")
	require.NotErrorIs(t, redact.Error(inner, kept, "hunter2hunter2"), kept)
	assert.Same(t, inner, redact.Error(inner, kept, "another", ""), "nothing to hide")
}
