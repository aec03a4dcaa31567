package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, 2, 0))
	assert.Contains(t, out.String(), `"content":"Bearer token-1"`)
	assert.NotContains(t, out.String(), "token-2", "one token serves both")
}
