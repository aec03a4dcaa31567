package expr

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/vocabulary.txt")

// TestVocabulary freezes every name that an expression can use: configurations
// out there depend on them. Adding a name is a change of the file; changing or
// removing one breaks somebody.
func TestVocabulary(t *testing.T) {
	var b strings.Builder
	for _, l := range []struct {
		name string
		get  func() (*language, error)
	}{{"strategy", strategyLanguage}, {"key strategy", keyStrategyLanguage}, {"template", templateLanguage}, {"identity", identityLanguage}} {
		lang, err := l.get()
		require.NoError(t, err)
		lines := []string{}
		for _, v := range lang.env.Variables() {
			if lang.isVariable(v.Name()) {
				lines = append(lines, fmt.Sprintf("variable %s: %s", v.Name(), plainType(v.Type())))
			}
		}
		for _, st := range lang.vocab.structs {
			for name, f := range st.fields {
				lines = append(lines, fmt.Sprintf("field %s.%s: %s", strings.TrimPrefix(st.name, "@"), name, plainType(f.Type)))
			}
		}
		for name, fn := range lang.env.Functions() {
			if !isWord(name) {
				continue
			}
			for _, o := range fn.OverloadDecls() {
				params, receiver := o.ArgTypes(), ""
				if o.IsMemberFunction() {
					params, receiver = params[1:], "("+plainType(params[0])+")."
				}
				lines = append(lines, fmt.Sprintf("function %s%s(%s): %s", receiver, name, plainTypes(params, ", "), plainType(o.ResultType())))
			}
		}
		for _, m := range lang.env.Macros() {
			lines = append(lines, fmt.Sprintf("macro %s/%d", m.Function(), m.ArgCount()))
		}
		slices.Sort(lines)
		fmt.Fprintf(&b, "# %s\n%s\n\n", l.name, strings.Join(slices.Compact(lines), "\n"))
	}
	const file = "testdata/vocabulary.txt"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), b.String(), "if this is meant: go test -run TestVocabulary -update")
}
