package expr

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errVault = errors.New("vault sealed")

func secretsOf(ctx context.Context, vault, name string) (string, error) {
	if vault == "down" {
		return "", fmt.Errorf("%s: %w", vault, errVault)
	}
	return "s3cret-" + vault + "-" + name, nil
}

func TestTemplates(t *testing.T) {
	for _, row := range []struct {
		src  string
		want any    // of Eval
		text string // of Text; "!" is an error
	}{
		{``, "", ""},
		{`plain`, "plain", "plain"},
		{`$5 {x} $`, "$5 {x} $", "$5 {x} $"},
		{`$${x}`, "${x}", "${x}"},
		{`a $${ b $$${c} $$`, "a ${ b $${c} $$", "a ${ b $${c} $$"},
		{`${secrets.get('openai', 'api-key')}`, "s3cret-openai-api-key", "s3cret-openai-api-key"},
		{`Bearer ${secrets.get("a", "b")}`, "Bearer s3cret-a-b", "Bearer s3cret-a-b"},
		{`${secrets.get('a', 'b')}:${secrets.get('c', 'd')}!`, "s3cret-a-b:s3cret-c-d!", "s3cret-a-b:s3cret-c-d!"},
		{`${secrets.get('a', req.headers['x-tier'][0])}`, "s3cret-a-gold", "s3cret-a-gold"},
		{`${secrets.get('a', 'b').upperAscii()}`, "S3CRET-A-B", "S3CRET-A-B"},
		{`${req.method} ${req.url.path}`, "POST /v1/chat/completions", "POST /v1/chat/completions"},
		{`${req.headers['x-team'][0]}`, "search", "search"},
		{`${req.headers['x-team']}`, []any{"search", "ads"}, "!"},
		{`${req.headers}`, map[string]any{"x-team": []any{"search", "ads"}, "x-tier": []any{"gold"}}, "!"},
		{`${req.host}/${req.id}/${conn.client_ip}`, "ai.example.com/req_1/192.0.2.7", "ai.example.com/req_1/192.0.2.7"},
		{`${1 + 1}`, int64(2), "2"},
		{`${1u}`, int64(1), "1"},
		{`${1.5}`, 1.5, "1.5"},
		{`${1e21}`, 1e21, "1000000000000000000000"},
		{`${true}`, true, "true"},
		{`${null}`, nil, "!"},
		{`n=${2}, f=${2.0}, b=${!true}`, "n=2, f=2, b=false", "n=2, f=2, b=false"},
		{`${[1, 'a', null, [true]]}`, []any{int64(1), "a", nil, []any{true}}, "!"},
		{`${{'a': {'b': 1.5}}}`, map[string]any{"a": map[string]any{"b": 1.5}}, "!"},
		{`${ {'}': '}'}['}'] }`, "}", "}"},
		{`${'it\'s }' + "\"}" + r'\' + '''a'}b'''}`, `it's }"}\a'}b`, `it's }"}\a'}b`},
		{"${1 // a comment with }\n}", int64(1), "1"},
		{`${duration('90s')}`, "90s", "90s"},
		{`${req.method == 'GET' ? 'a' : 'b'}`, "b", "b"},
		{`${[3, 1].sortBy(n, n).filter(n, n > 1)}`, []any{int64(3)}, "!"},
		{"${req.method}\nüber ${req.id}", "POST\nüber req_1", "POST\nüber req_1"},
	} {
		tpl, problems := CompileTemplate(row.src)
		if !assert.Empty(t, problems, row.src) {
			continue
		}
		in := &TemplateInput{Request: newRequest(), Secret: secretsOf}
		got, err := tpl.Eval(t.Context(), in)
		require.NoError(t, err, row.src)
		assert.Equal(t, row.want, got, row.src)
		text, err := tpl.Text(t.Context(), in)
		if row.text == "!" {
			var evalErr *EvalError
			assert.ErrorAs(t, err, &evalErr, row.src)
			continue
		}
		require.NoError(t, err, row.src)
		assert.Equal(t, row.text, text, row.src)
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, row := range []struct{ src, want string }{
		{`${secrets.get('down', 'x')}`, `secrets.get("down", "x"): down: vault sealed`},
		{`a ${secrets.get('down', 'x')}`, `secrets.get("down", "x"): down: vault sealed`},
		{`${secrets.get('down', 'x') + 'y'}`, `secrets.get('down', 'x') + 'y': down: vault sealed`},
		{`${secrets.get('a', 'b') + secrets.get('down', 'x')}`, `secrets.get('a', 'b') + secrets.get('down', 'x'): down: vault sealed`},
		{`${req.headers['x-none'][0]}`, `req.headers['x-none'][0]: no such key: x-none`},
		{`${req.headers['x-team'][2]}`, `req.headers['x-team'][2]: index 2 is out of range, the list has 2`},
		{`a ${dyn(null)}`, `dyn(null): null cannot be written as text`},
		{`a ${dyn([1])}`, `dyn([1]): a list or map cannot be written as text`},
		{`${ {1: 2} }`, ` {1: 2} : the key of a map must be string, is int`},
		{`${18446744073709551615u}`, `18446744073709551615u: 18446744073709551615 is too large`},
		{`${1.0 / 0.0}`, `1.0 / 0.0: the number has no decimal form`},
		{`${dyn(req)}`, `dyn(req): not a plain value: request`},
		// An error of CEL may quote what it failed on.
		{`${int(secrets.get('a', 'b'))}`, `int(secrets.get('a', 'b')): the expression failed after it read a secret`},
		{`${req.headers[secrets.get('a', 'b')]}`, `req.headers[secrets.get('a', 'b')]: the expression failed after it read a secret`},
	} {
		tpl, problems := CompileTemplate(row.src)
		require.Empty(t, problems, row.src)
		_, err := tpl.Eval(t.Context(), &TemplateInput{Request: newRequest(), Secret: secretsOf})
		assert.EqualError(t, err, row.want, row.src)
		_, textErr := tpl.Text(t.Context(), &TemplateInput{Request: newRequest(), Secret: secretsOf})
		assert.EqualError(t, textErr, row.want, row.src)
		if assert.NotContains(t, err.Error(), "s3cret") && errors.Is(err, errVault) {
			assert.NotContains(t, row.src, "'b')}")
		}
	}
	tpl, _ := CompileTemplate(`${secrets.get('down', 'x') + 'y'}`)
	_, err := tpl.Eval(t.Context(), &TemplateInput{Secret: secretsOf})
	require.ErrorIs(t, err, errVault)
	_, err = tpl.Eval(t.Context(), &TemplateInput{})
	require.ErrorContains(t, err, "there are no secrets")
}

func TestTemplateSecrets(t *testing.T) {
	for _, row := range []struct {
		src     string
		refs    []SecretRef
		all     bool
		literal bool
	}{
		{`x`, nil, true, true},
		{``, nil, true, true},
		{`$${x}`, nil, true, true},
		{`${req.id}`, nil, true, false},
		{`${secrets.get('a', 'b')}`, []SecretRef{{"a", "b"}}, true, false},
		{`x ${secrets.get('a', 'b')}${secrets.get('a', 'b') + secrets.get('c', 'd')}`, []SecretRef{{"a", "b"}, {"c", "d"}}, true, false},
		{`${secrets.get('a', req.id)} ${secrets.get('c', 'd')}`, []SecretRef{{"c", "d"}}, false, false},
		{`${dyn(secrets).get('a', 'b')}`, nil, false, false},
	} {
		tpl, problems := CompileTemplate(row.src)
		require.Empty(t, problems, row.src)
		refs, all := tpl.Secrets()
		assert.Equal(t, row.refs, refs, row.src)
		assert.Equal(t, row.all, all, row.src)
		_, literal := tpl.Literal()
		assert.Equal(t, row.literal, literal, row.src)
	}
}

// The shapes that nearly every key and header has are on the path of each
// request, and allocate nothing but the text itself.
func TestTemplateAllocations(t *testing.T) {
	in := &TemplateInput{Secret: func(context.Context, string, string) (string, error) { return "sk-1", nil }}
	for src, most := range map[string]float64{
		`application/json`:                0,
		`${secrets.get('a', 'b')}`:        0,
		`Bearer ${secrets.get('a', 'b')}`: 2,
	} {
		tpl, problems := CompileTemplate(src)
		require.Empty(t, problems)
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := tpl.Text(context.Background(), in); err != nil {
				t.Error(err)
			}
		})
		assert.LessOrEqual(t, allocs, most, src)
	}
}

func TestTemplateContext(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "here")
	for _, src := range []string{`${secrets.get('a', 'b')}`, `${secrets.get('a', 'b') + ''}`} {
		tpl, problems := CompileTemplate(src)
		require.Empty(t, problems)
		got, err := tpl.Text(ctx, &TemplateInput{Secret: func(ctx context.Context, _, _ string) (string, error) {
			return ctx.Value(key{}).(string), nil
		}})
		require.NoError(t, err)
		assert.Equal(t, "here", got)
	}
}

func FuzzCompileTemplate(f *testing.F) {
	for _, seed := range []string{``, `$`, `$$`, `${`, `$${`, `${'}'}`, `${"""}"""}`, `${r'\'}`, `${{}}`, `${1 // }` + "\n}", `a${req.id}b${1}`, `${secrets.get('a','b')}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		tpl, problems := CompileTemplate(src)
		require.Equal(t, tpl == nil, len(problems) > 0)
		if tpl == nil {
			return
		}
		tpl.Secrets()
		if text, ok := tpl.Literal(); ok {
			got, err := tpl.Text(t.Context(), &TemplateInput{})
			require.NoError(t, err)
			require.Equal(t, text, got)
		}
		_, _ = tpl.Eval(t.Context(), &TemplateInput{Request: newRequest(), Secret: secretsOf})
	})
}
