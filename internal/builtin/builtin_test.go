package builtin_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/builtin"
)

// TestLayout keeps the file reviewable: one model a line, each line a whole
// JSON object.
func TestLayout(t *testing.T) {
	var providers []struct {
		Models []json.RawMessage `json:"models"`
	}
	require.NoError(t, json.Unmarshal(builtin.Catalog(), &providers))
	want := 0
	for _, p := range providers {
		want += len(p.Models)
	}

	got := 0
	for line := range strings.Lines(string(builtin.Catalog())) {
		line, isModel := strings.CutPrefix(strings.TrimRight(line, "\n"), `    {"id": "`)
		if !isModel {
			continue
		}
		got++
		line = `{"id": "` + strings.TrimSuffix(line, ",")
		assert.True(t, json.Valid([]byte(line)), line)
	}
	assert.Equal(t, want, got)
	assert.Positive(t, got)
}

func TestCatalogIsTheCallers(t *testing.T) {
	first := builtin.Catalog()
	clear(first)
	assert.False(t, bytes.Equal(first, builtin.Catalog()))
}
