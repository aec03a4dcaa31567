package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

func TestCheck(t *testing.T) {
	const withSecrets = `
providers:
  - id: "a"
    base_url: "https://a.example.com"
    api_keys:
      - value: ${secrets.get('server-test', 'in-dir')}
      - value: ${secrets.get('server-test', 'in-env')}
`
	for _, row := range []struct {
		name, config string
		want         string // each line holds its counterpart
		code         int
	}{
		{"all resolves, from the directory and the environment", withSecrets, "ok", exitOK},
		{"empty", "{}", "ok", exitOK},
		{"faults of shape, all of them", "providers:\n  - id: a\n    base_ulr: https://a.example.com\nmax_atempts: 3\n",
			"providers[0].base_ulr: line 3: \nmax_atempts: line 4: ", exitFailed},
		{"faults of meaning, all of them",
			"providers:\n  - id: a\n    base_url: http://a.example.com\nmodel_selection:\n  strategy: [\"ai.model\"]\n",
			"model_selection.strategy[0]: \nproviders[0].base_url: ", exitFailed},
		{"faults of shape and meaning together", "max_atempts: 3\nproviders:\n  - id: a\n    base_url: http://a.example.com\n",
			"max_atempts: line 1: \nproviders[0].base_url: ", exitFailed},
		{"secrets that nobody has", strings.ReplaceAll(withSecrets, "'in-", "'not-in-"),
			"providers[0].api_keys[0].value: \nproviders[0].api_keys[1].value: ", exitFailed},
		{"slips, which could be meant", `
providers:
  - {id: "a", base_url: "http://a.internal", api_keys: [{value: "%SECOND_API_KEY%"}, {value: "A_KEY"}, {value: "sk-from-file"}]}
  - {id: "b", base_url: "http://B.internal.:8080/v1"}
internal_endpoints:
  a.internal: "http://127.0.0.1:1"
  a.internal:81: "http://127.0.0.1:1"
  b.internal:8080: "http://127.0.0.1:1"
  c.internal: "http://127.0.0.1:1"
model_selection:
  strategy:
    - "ai.models.onlyProviders(['A', \"opnai\", 'gemini']).ignore('gtp-4o') + ai.models.only(req.headers['x-model']).only('gpt-4o')"
`, `warning: providers[0].api_keys[0].value: looks like
warning: providers[0].api_keys[1].value: looks like
warning: model_selection.strategy[0]: "opnai": 1:31: no provider
warning: model_selection.strategy[0]: "gtp-4o": 1:58: no model
warning: internal_endpoints["a.internal:81"]: no
warning: internal_endpoints["c.internal"]: no
ok`, exitOK},
		{"no YAML", "\t", "line 1: ", exitFailed},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("SERVER_TEST_IN_ENV", "sk-from-env")
			secrets := t.TempDir()
			putSecret(t, secrets, "server-test", "in-dir", "sk-from-dir")
			file := filepath.Join(t.TempDir(), "gateway.yaml")
			require.NoError(t, os.WriteFile(file, []byte(row.config), 0o600))

			var stdout, stderr bytes.Buffer
			code := run(t.Context(), nil, []string{"-check", "-config", file, "-secrets-dir", secrets}, &stdout, &stderr)
			assert.Equal(t, row.code, code)
			assert.Empty(t, stderr.String())
			want := strings.Split(row.want, "\n")
			got := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
			require.Len(t, got, len(want), stdout.String())
			for i := range want {
				assert.Contains(t, got[i], want[i])
			}
			assert.NotContains(t, stdout.String(), "sk-from")
		})
	}
}

func TestCheckOfTheExample(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-example")
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitOK, run(t.Context(), nil, []string{"-check", "-config", "gateway.yaml"}, &stdout, &stderr))
	assert.Equal(t, "ok\n", stdout.String())

	t.Setenv("OPENAI_API_KEY", "")
	stdout.Reset()
	assert.Equal(t, exitFailed, run(t.Context(), nil, []string{"-check", "-config", "gateway.yaml"}, &stdout, &stderr))
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), "\n"+stdout.String(), "the README shows something else")
}

// A check that a newer config has overtaken says nothing of the old one.
func TestCheckIsOvertaken(t *testing.T) {
	asked := make(chan struct{})
	old := aigateway.Config{
		Headers: map[string]aigateway.Template{"X-A": "${secrets.get('slow', 'a')}"},
		Secrets: aigateway.SecretResolverFunc(func(ctx context.Context, _, _ string) (string, error) {
			close(asked)
			<-t.Context().Done() // when the test is over
			return "", ctx.Err()
		}),
	}
	slow, err := aigateway.New(old)
	require.NoError(t, err)
	quick, err := aigateway.New(aigateway.Config{})
	require.NoError(t, err)

	var c checker
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	c.start(t.Context(), slow, old, logger)
	<-asked
	c.start(t.Context(), quick, aigateway.Config{}, logger)
	<-c.done
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	assert.Contains(t, log.String(), "every secret resolves")
}
