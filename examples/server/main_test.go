package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asCommand makes the test binary be the command, so that tests can send real
// signals to a process of its own without building one.
const asCommand = "AIGATEWAY_SERVER_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main() // does not return
	}
	os.Exit(m.Run())
}

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
		{"secrets that nobody has", strings.ReplaceAll(withSecrets, "'in-", "'not-in-"),
			"providers[0].api_keys[0].value: \nproviders[0].api_keys[1].value: ", exitFailed},
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

func TestSchema(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitOK, run(t.Context(), nil, []string{"-schema"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	committed, err := os.ReadFile("../../config.schema.json")
	require.NoError(t, err)
	assert.Equal(t, string(committed), stdout.String())
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("max_attempts: 101\n"), 0o600))
	for _, row := range []struct {
		name, args string
		code       int
		stderr     string
	}{
		{"help", "-h", exitOK, "Usage of server"},
		{"no config", "", exitUsage, "-config is missing"},
		{"no such flag", "-port 80", exitUsage, "-port"},
		{"an argument too many", "-config gateway.yaml now", exitUsage, `unexpected argument "now"`},
		{"no time to drain", "-config gateway.yaml -drain 0s", exitUsage, "-drain must be above zero"},
		{"no such file", "-config missing.yaml", exitFailed, "missing.yaml"},
		{"a bad config", "-config " + bad, exitFailed, `"problems":["max_attempts: `},
		{"a bad address", "-config gateway.yaml -listen nowhere", exitFailed, "cannot listen"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), nil, strings.Fields(row.args), &stdout, &stderr)
			assert.Equal(t, row.code, code)
			assert.Contains(t, stderr.String(), row.stderr)
			assert.Empty(t, stdout.String())
		})
	}
}

// The flags that others rely on.
func TestFlags(t *testing.T) {
	var usage bytes.Buffer
	_, err := parseOptions([]string{"-h"}, &usage)
	require.ErrorIs(t, err, flag.ErrHelp)
	for _, name := range []string{"-config FILE", "-listen ADDR", "-secrets-dir DIR", "-check", "-schema", "-drain"} {
		assert.Contains(t, usage.String(), "  "+name)
	}
}

// putSecret writes a secret the way an orchestrator does: whole, or not at all.
func putSecret(t *testing.T, dir, vault, name, value string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, vault), 0o700))
	file := filepath.Join(dir, vault, name)
	require.NoError(t, os.WriteFile(file+".new", []byte(value+"\n"), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}
