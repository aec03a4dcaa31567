package expr

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// catalogNames looks like the names of a large catalog.
func catalogNames(n int) []string {
	families := []string{"gpt", "claude", "gemini", "llama", "mistral-large", "qwen", "deepseek-chat", "command-r", "phi", "grok"}
	kinds := []string{"mini", "turbo", "instruct", "vision", "preview", "sonnet", "flash", "pro"}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d.%d-%s-%03d", families[i%10], i%7, i%9, kinds[i/10%8], i/80)
	}
	return names
}

// A slip of the keyboard is found among ten thousand names, as it is without
// the index.
func TestNamesFindsSlips(t *testing.T) {
	known := catalogNames(10_000)
	names := NewNames(known)
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		want := known[random.IntN(len(known))]
		typed := []byte(want)
		at := 1 + random.IntN(len(typed)-5) // the number at the end tells the names apart
		switch random.IntN(4) {
		case 0:
			typed[at], typed[at-1] = typed[at-1], typed[at]
		case 1:
			typed = append(typed[:at], typed[at+1:]...)
		case 2:
			typed[at] = '~'
		case 3:
			typed = []byte(strings.ToUpper(want))
		}
		got := names.Nearest(string(typed))
		q := newMisspelt(string(typed))
		q.compare(got, 0)
		if string(typed) == want {
			continue
		}
		assert.LessOrEqual(t, q.distance, 1, "%s: %s, not %s", typed, got, want)
		assert.NotEmpty(t, got, string(typed))
	}
	assert.Equal(t, "gpt-0.0-mini-000", names.Nearest("gpt-0.0-mini"), "the beginning of a name")
	assert.Empty(t, names.Nearest("zzzzzzzzzzzz"))
	assert.Empty(t, names.Nearest(""))
	assert.Empty(t, names.Nearest(strings.Repeat("gpt-", 100)), "longer than any name")
}

// What a look-up costs does not grow with what a client sends, or with the
// catalog.
func TestNearestIsBounded(t *testing.T) {
	known := catalogNames(100_000)
	q := newMisspelt(strings.Repeat("gpt-0.0-mini", 16))
	for i, k := range known {
		q.compare(k+strings.Repeat("-gpt-0.0-mini", 14), i)
	}
	assert.Greater(t, q.cells, -maxNearest*maxNearest, "it stops once its budget is spent")
}

func TestNamesConcurrently(t *testing.T) {
	names := NewNames(catalogNames(1000))
	done := make(chan string)
	for range 4 {
		go func() { done <- names.Nearest("gpt-0.0-mni-000") }()
	}
	for range 4 {
		assert.Equal(t, "gpt-0.0-mini-000", <-done)
	}
}

// BenchmarkNames is a refusal of 100 unknown names: at most a millisecond.
func BenchmarkNames(b *testing.B) {
	for _, shape := range []struct {
		name  string
		known []string
	}{{"catalog", catalogNames(10_000)}, {"numbers", func() []string {
		names := make([]string, 10_000)
		for i := range names {
			names[i] = fmt.Sprintf("m-%d", i)
		}
		return names
	}()}} {
		names := NewNames(shape.known)
		names.Nearest("build the index")
		for _, unknown := range []string{"gpt-9.9-mni-%03d", "m-1x%03d-qqqqqqqqqq", "claude-sonnet-latest-and-greatest-of-them-all-%03d"} {
			b.Run(fmt.Sprintf("%s/%.10s", shape.name, unknown), func(b *testing.B) {
				for b.Loop() {
					for i := range 100 {
						names.Nearest(fmt.Sprintf(unknown, i))
					}
				}
			})
		}
	}
}

func BenchmarkNearest(b *testing.B) {
	known := catalogNames(10_000)
	for b.Loop() {
		Nearest("gpt-9.9-mni-123", known)
	}
}
