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
	for _, row := range []struct {
		name, body, path string
		want             []string // lines, in order, among others
		code             int
	}{
		{"in the client's order", `{"models":["llama3.2","openai:gpt-4o"]}`, "/v1/chat/completions",
			[]string{"TURN  PROVIDER  MODEL  WHY", "1  ollama  llama3.2  without a key", "2  openai  gpt-4o  with its key", "-  openai  gpt-4.1  not_named"}, exitOK},
		{"refused", `{"model":"gtp-4o"}`, "/v1/chat/completions",
			[]string{`-  -  gtp-4o  no provider has a model "gtp-4o", did you mean "gpt-4o"?`, "aigateway: no_matching_models:"}, exitFailed},
		{"no such path", `{}`, "/v1/nothing", []string{"aigateway: not_found:"}, exitFailed},
		{"no JSON", `model=x`, "/v1/chat/completions", []string{"aigateway: invalid_request_body:"}, exitFailed},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "request.json")
			require.NoError(t, os.WriteFile(file, []byte(row.body), 0o600))
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), nil, []string{"-config", "gateway.yaml", "-explain", file, "-path", row.path}, &stdout, &stderr)
			assert.Equal(t, row.code, code)
			assert.Empty(t, stderr.String())

			rest := stdout.String()
			for _, want := range row.want {
				_, after, found := strings.Cut(collapse(rest), collapse(want))
				require.True(t, found, "%q is not in what follows of\n%s", want, stdout.String())
				rest = after
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
