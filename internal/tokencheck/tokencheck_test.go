package tokencheck

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tiktoken-go/tokenizer"

	"github.com/aigateway-go/aigateway/internal/usage"
)

// The rows of the table: what the estimate was fitted to.
var materials = []struct {
	name  string
	files []string
}{
	{"English prose", []string{"english.txt"}},
	{"German, French, Spanish", []string{"german.txt", "french.txt", "spanish.txt"}},
	{"Russian, Greek", []string{"russian.txt", "greek.txt"}},
	{"Arabic, Hebrew, Hindi, Thai", []string{"arabic.txt", "hebrew.txt", "hindi.txt", "thai.txt"}},
	{"Chinese", []string{"chinese.txt"}},
	{"Japanese", []string{"japanese.txt"}},
	{"Korean", []string{"korean.txt"}},
	{"several scripts in one text", []string{"mixed.txt"}},
	{"emoji", []string{"emoji.txt"}},
	{"Go, Python, TypeScript, SQL", []string{"code.txt"}},
	{"a chat body with tools", []string{"chat.json"}},
	{"JSON with numbers", []string{"data.json"}},
	{"logs, hashes, tokens", []string{"logs.txt"}},
}

// TestError measures each material. The estimate may be too high, by a quarter
// at most, and hardly too low.
func TestError(t *testing.T) {
	count := newCounter(t)
	var table strings.Builder
	for _, m := range materials {
		var want, got int64
		for _, name := range m.files {
			text := readFile(t, filepath.Join("testdata", name))
			w, g := count(text), usage.Estimate(text)
			assert.InDelta(t, 12.5, deviation(g, w), 12.5, "%s: %d tokens, estimated %d", name, w, g)
			want, got = want+w, got+g
		}
		fmt.Fprintf(&table, "| %s | %d | %d | %+.0f %% |\n", m.name, want, got, deviation(got, want))
	}
	t.Log("\n" + table.String())
	assert.True(t, strings.Contains(string(readFile(t, "../../docs/headers.md")), "|\n"+table.String()+"\n"), "docs/headers.md has the table otherwise")

	listed := map[string]bool{}
	for _, m := range materials {
		for _, name := range m.files {
			listed[name] = true
		}
	}
	files, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	for _, name := range files {
		assert.True(t, listed[filepath.Base(name)], "%s is in no row", name)
	}
}

// TestErrorElsewhere measures texts that nothing was fitted to.
func TestErrorElsewhere(t *testing.T) {
	count := newCounter(t)
	for _, name := range []string{"README.md", "gateway.go", "failover_test.go", "internal/builtin/catalog.json", ".golangci.yml"} {
		text := readFile(t, filepath.Join("../..", name))
		want, got := count(text), usage.Estimate(text)
		t.Logf("%s: %d tokens, estimated %d, %+.0f %%", name, want, got, deviation(got, want))
		assert.InDelta(t, 12.5, deviation(got, want), 17.5, name)
	}
}

// TestNoise measures what has no words. Such text is underestimated, and by how
// much is said where the estimate is described.
func TestNoise(t *testing.T) {
	count := newCounter(t)
	var noise strings.Builder
	state := uint32(1)
	for i := range 3000 {
		state = state*1664525 + 1013904223
		if noise.WriteByte('a' + byte(state>>24)%26); i%7 == 6 {
			noise.WriteByte(' ')
		}
	}
	want, got := count([]byte(noise.String())), usage.Estimate([]byte(noise.String()))
	t.Logf("random letters: %d tokens, estimated %d, %+.0f %%", want, got, deviation(got, want))
	assert.Greater(t, deviation(got, want), -65.0)
}

// deviation is how far got is from want, in percent.
func deviation(got, want int64) float64 {
	return math.Round(1000*(float64(got)/float64(want)-1)) / 10
}

func newCounter(t *testing.T) func(text []byte) int64 {
	t.Helper()
	codec, err := tokenizer.Get(tokenizer.O200kBase)
	require.NoError(t, err)
	return func(text []byte) int64 {
		n, err := codec.Count(string(text))
		require.NoError(t, err)
		return int64(n)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}
