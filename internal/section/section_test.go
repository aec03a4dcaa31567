package section

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const doc = "# A\n<!-- a:begin -->\nold\n<!-- a:end -->\n<!-- b:begin -->\n<!-- b:end -->\nend\n"

func TestReplace(t *testing.T) {
	for _, row := range []struct {
		name, doc, part, text string
		want, err             string
	}{
		{name: "a text", doc: doc, part: "a", text: "new\nlines", want: "# A\n<!-- a:begin -->\nnew\nlines\n<!-- a:end -->\n<!-- b:begin -->\n<!-- b:end -->\nend\n"},
		{name: "an empty part", doc: doc, part: "b", text: "new\n\n", want: "# A\n<!-- a:begin -->\nold\n<!-- a:end -->\n<!-- b:begin -->\nnew\n<!-- b:end -->\nend\n"},
		{name: "no such part", doc: doc, part: "c", err: "c:begin"},
		{name: "twice", doc: doc + doc, part: "a", err: "once each"},
		{name: "without an end", doc: "<!-- a:begin -->\n", part: "a", err: "once each"},
		{name: "the wrong way round", doc: "<!-- a:end -->\n<!-- a:begin -->\n", part: "a", err: "ends before it begins"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Replace(row.doc, row.part, row.text)
			_, textErr := Text(row.doc, row.part)
			if row.err != "" {
				assert.ErrorContains(t, err, row.err)
				assert.Equal(t, err, textErr)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, row.want, got)
		})
	}
}

func TestText(t *testing.T) {
	text, err := Text(doc, "a")
	require.NoError(t, err)
	assert.Equal(t, "old\n", text)
}

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.md")
	assert.ErrorIs(t, Write(file, "a", "new"), os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte(doc), 0o600))
	assert.ErrorContains(t, Write(file, "c", "new"), "a.md: ")
	require.NoError(t, Write(file, "a", "new"))
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(got), "begin -->\nnew\n<!--")
}
