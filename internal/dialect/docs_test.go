package dialect_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

const document = "../../docs/translation.md"

// surfaces are the formats as their users call them.
var surfaces = [...]string{"chat/completions", "responses", "messages"}

// TestDocument compares the tables of the document with those of the package.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile(document)
	require.NoError(t, err)
	doc := string(b)
	for name, table := range map[string]string{"requests": requestTables(), "answers": answerTables(), "efforts": effortTable()} {
		begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->"
		head, rest, ok := strings.Cut(doc, begin)
		require.True(t, ok, name)
		old, tail, ok := strings.Cut(rest, end)
		require.True(t, ok, name)
		if *update {
			doc = head + begin + table + end + tail
			continue
		}
		assert.Equal(t, table, old, "go test ./internal/dialect -update writes it")
	}
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(doc), 0o644))
	}
}

func others(f dialect.Format) (a, b dialect.Format) {
	a, b = (f+1)%3, (f+2)%3
	return min(a, b), max(a, b)
}

// cell is a way as the document shows it.
func cell(way string) string {
	fate, place, _ := strings.Cut(way, ": ")
	switch fate {
	case "carried":
		return place
	case "lost":
		fate = "**lost**"
	}
	if place != "" {
		return fate + ": " + place
	}
	return fate
}

func requestTables() string {
	var b strings.Builder
	for f := range dialect.Format(3) {
		first, second := others(f)
		fmt.Fprintf(&b, "\n### From %s\n\n| name | to %s | to %s |\n|---|---|---|\n", surfaces[f], surfaces[first], surfaces[second])
		for _, e := range fieldExamples(f) {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", e.name, cell(e.ways[0]), cell(e.ways[1]))
		}
	}
	b.WriteString("\n")
	return b.String()
}

func answerTables() string {
	var b strings.Builder
	for f := range dialect.Format(3) {
		first, second := others(f)
		fmt.Fprintf(&b, "\n### Of a provider that speaks %s\n\n| name | for clients of %s | for clients of %s |\n|---|---|---|\n", surfaces[f], surfaces[first], surfaces[second])
		for _, e := range answered {
			if e.format == f {
				fmt.Fprintf(&b, "| %s | %s | %s |\n", e.name, e.ways[0], e.ways[1])
			}
		}
	}
	b.WriteString("\n")
	return b.String()
}

func effortTable() string {
	var b strings.Builder
	b.WriteString("\n| effort | budget in tokens |\n|---|---|\n")
	for _, e := range dialect.Efforts() {
		fmt.Fprintf(&b, "| `%s` | %d |\n", e.Word, e.Budget)
	}
	b.WriteString("\n")
	return b.String()
}
