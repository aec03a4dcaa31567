package expr

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTextLimits: what makes text is stopped before it makes too much, whatever
// the config or a client's header asks for.
func TestTextLimits(t *testing.T) {
	long := strings.Repeat("ab", 10_000)
	in := &TemplateInput{Request: &Request{Method: "POST", Header: map[string][]string{"X-Long": {long}}}}
	const head = "req.headers['x-long'][0]"
	for _, c := range []struct{ name, src string }{
		{"replace", head + strings.Repeat(".replace('a', 'aaaa')", 40)},
		{"replace with much", head + ".replace('', " + head + ")"},
		{"replace of some", head + strings.Repeat(".replace('b', 'bbbb', 1000000)", 40)},
		{"join", head + ".split('').join(" + head + ")"},
		{"join of much", "[" + strings.Repeat(head+",", 60) + "''].join()"},
		{"format", "'" + strings.Repeat("%s", 60) + "'.format([" + strings.Repeat(head+",", 60) + "])"},
		{"format of lists of lists", "'%s'.format([[" + head + "]" + strings.Repeat(".map(a, [a, a])", 30) + "])"},
		{"many small ones", "[0,1,2,3,4,5,6,7,8,9].map(a, [0,1,2,3,4,5,6,7,8,9].map(b, [0,1,2,3,4,5,6,7,8,9].map(c, " + head + ".replace('a', 'b').size()))).size() > 0 ? 'x' : ''"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tpl, problems := CompileTemplate("${" + c.src + "}")
			require.Empty(t, problems)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := tpl.Text(t.Context(), in)
			runtime.ReadMemStats(&after)
			assert.ErrorIs(t, err, ErrTooCostly)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<20))
		})
	}
	for src, want := range map[string]string{
		"req.method.replace('P', 'G')":                                     "GOST",
		"req.method.replace('', '-', 2)":                                   "-P-OST",
		head + ".replace('b', '').size() == 10000 ? 'half' : 'not'":        "half",
		"[req.method, 'x'].join('+') + ['a'].join()":                       "POST+xa",
		"'%s %d %.2f %s'.format([req.method, 7, 1.5, [1, 'a', {'k': 2}]])": "POST 7 1.50 [1, a, {k: 2}]",
		"'a,b'.split(',')[1] + 'ab'.reverse() + strings.quote('q')":        `bba"q"`,
	} {
		tpl, problems := CompileTemplate("${" + src + "}")
		require.Empty(t, problems, src)
		got, err := tpl.Text(t.Context(), in)
		require.NoError(t, err, src)
		assert.Equal(t, want, got)
	}

	tpl, problems := CompileTemplate("${'%.1000000000f'.format([1.0])}")
	require.Empty(t, problems)
	_, err := tpl.Text(t.Context(), in)
	assert.ErrorContains(t, err, "precision")
}
