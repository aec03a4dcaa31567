package redact_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/redact"
)

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
