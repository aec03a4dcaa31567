package confdoc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/confdoc"
)

// A syntax error names the line that is to be changed.
func TestSyntaxErrorLines(t *testing.T) {
	tests := []struct {
		name, doc string
		line      int
		reason    string
	}{
		{"key of a list item, outdented", "providers:\n  - id: a\n    base_url: https://a\n   api_keys: []\n", 4, "'-' indicator (is this line indented"},
		{"key outdented by several levels", "providers:\n  - id: a\n    models:\n      - id: m\n        pricing:\n          input: 1\n     description: x\n", 7, "expected key"},
		{"key indented too far", "providers:\n  - id: a\n      base_url: https://a\n", 3, "indented too far"},
		{"second key indented", "max_attempts: 1\n  max_retries: 2\n", 2, "indented too far"},
		{"first key indented", "  max_attempts: 1\nmax_retries: 2\n", 2, ""},
		{"key between two levels", "headers:\n  a: b\n max_retries: 2\nx: y\n", 3, "expected key"},
		{"item outdented", "providers:\n  - id: a\n - id: b\n", 3, "expected key"},
		{"item indented too far", "providers:\n  - id: a\n    - id: b\n", 3, "expected key"},
		{"item beside keys", "a: 1\n- b\n", 2, ""},
		{"key beside items", "a:\n  - x\n  b: 1\n", 3, ""},
		{"after fifty comments", "providers:\n  - id: a\n    k: v\n" + strings.Repeat("    # c\n", 50) + "   z: 1\nq: [\n", 54, ""},
		{"after a list over lines", "m: [a,\n  b,\n  c]\np:\n  - id: a\n    x: y\n   z: 1\n", 7, ""},
		{"after another document's markers", "---\n# x\nproviders:\n  - id: a\n   b: c\n", 5, ""},
		{"Windows line ends", "providers:\r\n  - id: a\r\n    base_url: x\r\n   api_keys: []\r\n", 4, ""},
		{"text outdented", "a: |\n  text\n more\nb: 1\n", 3, ""},
		{"tab", "a:\n\tb: 1\n", 2, "a tab?"},
		{"no space after the colon", "a: 1\nb:2\nc: 3\n", 2, "a colon and a space"},
		{"no colon", "a: 1\nbcd\nc: 3\n", 2, "a colon and a space"},
		{"colon in a text", "a: 1\nb: c: d\ne: 1\n", 2, "a text without quotes"},
		{"text after a quote", "a: 1\nb: 2\nc: \"x\" y\nd: 4\n", 3, ""},
		{"quote not closed", "a: 1\nb: \"x\nc: 3\nd: 4\n", 2, "end of stream"},
		{"list not closed", "a: 1\nb: [x, y\nc: 3\nd: 4\n", 2, ""},
		{"mapping not closed", "a: 1\nb: {x: 1\nc: 3\nd: 4\n", 2, ""},
		{"list closed twice", "p:\n  - id: a\n    keys: [a, b]]\n    x: 1\n", 3, ""},
		{"unknown escape", "a: 1\nb: \"\\q\"\nc: 1\n", 2, ""},
		{"at sign", "a: 1\nb: @x\n", 2, ""},
		{"alias without an anchor", "a: 1\nb: *x\n", 2, "put a text that starts with * in quotes"},
		{"no line end", "a: 1\n  b: 2", 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, fault := confdoc.Parse([]byte(tt.doc), confdoc.Options{})
			require.NotNil(t, fault)
			assert.Equal(t, tt.line, fault.Line, fault.Reason)
			assert.Contains(t, fault.Reason, tt.reason)
		})
	}
}

// TestParseIsBounded has hostile documents of two sizes cost in proportion. 16 MiB
// of a list of nothing is a tree of 16 million nodes to the parser.
func TestParseIsBounded(t *testing.T) {
	size := 0
	fill := func(piece string) string { return strings.Repeat(piece, (size-64)/len(piece)) }
	docs := func(n int) map[string]string {
		size = n
		return map[string]string{
			"items":            fill("-\n"),
			"flow items":       "[" + fill("a,") + "]",
			"flow lists":       fill("["),
			"flow mappings":    fill("{a: "),
			"keys":             fill("a:\n"),
			"nested items":     fill("- "),
			"comments":         fill("#\n"),
			"long comment":     "#" + fill("x"),
			"quotes":           fill(`"`),
			"JSON items":       `{"a":[` + fill("1,") + `1]}`,
			"JSON lists":       `{"a":` + fill("["),
			"question marks":   fill("? "),
			"anchors":          fill("&a "),
			"documents":        fill("---\n"),
			"blank":            fill("\n"),
			"text":             "a: |\n  " + fill("x "),
			"error at the end": "a: " + fill("x ") + "\n b: c\n",
		}
	}
	parse := func(doc string) time.Duration {
		began := time.Now()
		if d, _ := confdoc.Parse([]byte(doc), confdoc.Options{}); d != nil {
			var dst struct {
				A any `json:"a"`
			}
			d.Root().Decode(&dst)
		}
		return time.Since(began)
	}
	small := docs(confdoc.MaxBytes / 64)
	for name, doc := range docs(confdoc.MaxBytes / 4) {
		t.Run(name, func(t *testing.T) {
			base := parse(small[name])
			took := parse(doc)
			t.Log(base, took)
			// 16 times the bytes: quadratic work would be 256 times.
			assert.Less(t, took, 80*max(base, 20*time.Millisecond))
		})
	}
}
