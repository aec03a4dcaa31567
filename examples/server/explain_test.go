package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExplain(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-from-env")
	config := filepath.Join(t.TempDir(), "gateway.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`
providers:
  - id: "a"
    base_url: "https://a.example.com"
    api_keys: [{value: "${secrets.get('nobody', 'a')}"}, {value: "sk-literal"}]
    models: [{id: "one", metadata: {gpu: "x"}}, {id: "two"}, {id: "three"}, {id: "four"}, {id: "five"}, {id: "six"}]
only_allow_configured_models: true
model_selection:
  strategy: ["ai.models.filter(m, m.metadata.gpu == 'x')"]
`), 0o600))
	failing := filepath.Join(t.TempDir(), "failing.yaml")
	require.NoError(t, os.WriteFile(failing, []byte(`
providers:
  - {id: "a", base_url: "https://a.example.com", models: [{id: "one"}]}
only_allow_configured_models: true
model_selection:
  strategy: ["req.headers['x-tier'][0] == 'gold' ? ai.models : ai.models.only('one')"]
`), 0o600))
	for _, row := range []struct {
		name, body, args string
		want             string // lines, in order, among others
		without          string // what must not be there
		code             int
	}{
		{name: "in the client's order", body: `{"models":["llama3.2","openai:gpt-4o"]}`, args: "-config gateway.yaml",
			want: "ASKED FOR  WHAT BECOMES OF IT\nllama3.2  tried as ollama:llama3.2\nopenai:gpt-4o  tried as openai:gpt-4o\n" +
				"TURN  PROVIDER  MODEL  KEYS\n1  ollama  llama3.2  none is sent\n2  openai  gpt-4o  \n not_named (-v lists them)",
			without: "gpt-4.1"},
		{name: "with those that are not tried", body: `{"models":["llama3.2","openai:gpt-4o"]}`, args: "-config gateway.yaml -v",
			want: "TURN  PROVIDER  MODEL  KEYS\nNOT TRIED  MODEL  REASON\nopenai  gpt-4.1  not_named", without: "lists them"},
		{name: "one of two names", body: `{"models":["gtp-4o","llama3.2","llama3.2"]}`, args: "-config gateway.yaml",
			want: "gtp-4o  no provider has a model \"gtp-4o\", did you mean \"gpt-4o\"?\nllama3.2  tried as\n1  ollama  llama3.2", without: "refused"},
		{name: "left to the gateway", body: `{"model":"auto"}`, args: "-config gateway.yaml", want: "1  ollama  llama3.2", without: "ASKED"},
		{name: "refused, and that first", body: `{"model":"gtp-4o"}`, args: "-config gateway.yaml", code: exitFailed,
			want: "refused with 422 no_matching_models: no\nASKED FOR  WHAT BECOMES OF IT\ngtp-4o  no provider\nnot tried: ", without: "TURN"},
		{name: "no such path", body: `{}`, args: "-config gateway.yaml -path /v1/nothing", code: exitFailed,
			want: "refused with 404 not_found: ", without: "not tried"},
		{name: "no JSON", body: `model=x`, args: "-config gateway.yaml", code: exitFailed,
			want: "refused with 400 invalid_request_body: ", without: "not tried"},
		{name: "a strategy's notes, and a key that is not there", body: `{}`, args: "-config " + config,
			want:    "1  a  one  \nnote: ai.models.filter\na:two left out\nnote: 2 more like these\nwarning: providers[0].api_keys[0].value: secret \"a\"\nnot tried: ",
			without: "a:six"},
		{name: "all notes", body: `{}`, args: "-v -config " + config, want: "a:six left out", without: "more like"},
		{name: "a strategy that fails", body: `{}`, args: "-config " + failing, code: exitFailed,
			want: "refused with 422 model_selection_failed\nfailed: req.headers['x-tier'][0] == 'gold' ? ai.models : ai.models.only('one'): no such key: x-tier\nnot tried: "},
		{name: "not chosen", body: `{"model":"two"}`, args: "-config " + config, code: exitFailed,
			want: "refused with 422 model_selection_empty\ntwo  no strategy of model_selection chose a model for it", without: "warning"},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "request.json")
			require.NoError(t, os.WriteFile(file, []byte(row.body), 0o600))
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), nil, append(strings.Fields(row.args), "-explain", file), &stdout, &stderr)
			assert.Equal(t, row.code, code)
			assert.Empty(t, stderr.String())

			rest := stdout.String()
			for _, want := range strings.Split(row.want, "\n") {
				_, after, found := strings.Cut(collapse(rest), collapse(want))
				require.True(t, found, "%q is not in what follows of\n%s", want, stdout.String())
				rest = after
			}
			if row.without != "" {
				assert.NotContains(t, stdout.String(), row.without)
			}
		})
	}
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(t.Context(), nil, []string{"-config", "gateway.yaml", "-explain", "no-such-file"}, &stdout, &stderr))
	assert.Contains(t, stdout.String(), "no-such-file")
}

// collapse makes each run of spaces one, as the table's columns are as wide as
// they need to be.
func collapse(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}
