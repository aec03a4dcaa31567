package gatewayredis_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The README's program is Example, which the compiler has seen.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	_, code, ok := strings.Cut(string(readme), "```go\n")
	require.True(t, ok)
	code, _, _ = strings.Cut(code, "```")
	_, body, ok := strings.Cut(string(source), "func Example() {\n")
	require.True(t, ok)
	body = strings.TrimSuffix(strings.TrimSpace(body), "}")
	assert.Equal(t, strings.TrimSpace(code), strings.TrimSpace(strings.ReplaceAll("\n"+body, "\n\t", "\n")))
}
