package aigateway_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

func TestEnvSecrets(t *testing.T) {
	tests := []struct{ vault, name, variable string }{
		{"my-provider", "api-key", "MY_PROVIDER_API_KEY"},
		{"openai", "key", "OPENAI_KEY"},
		{"OpenAI", "Key2", "OPENAI_KEY2"},
		{"inference.net", "api key", "INFERENCE_NET_API_KEY"},
		{"a--b", "..c", "A_B_C"},
		{"a_", "_b", "A_B"},
		{"a-", "b!", "A_B_"},
		{"-a", "b", "_A_B"},
		{"", "key", "_KEY"},
		{"clé", "x", "CL_X"},
	}
	for _, tt := range tests {
		t.Run(tt.variable, func(t *testing.T) {
			_, err := aigateway.EnvSecrets().ResolveSecret(t.Context(), tt.vault, tt.name)
			require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
			assert.Contains(t, err.Error(), tt.variable+" is not set")

			t.Setenv(tt.variable, "")
			_, err = aigateway.EnvSecrets().ResolveSecret(t.Context(), tt.vault, tt.name)
			require.ErrorIs(t, err, aigateway.ErrSecretNotFound, "empty counts as not found")

			t.Setenv(tt.variable, "value \n")
			got, err := aigateway.EnvSecrets().ResolveSecret(t.Context(), tt.vault, tt.name)
			require.NoError(t, err)
			assert.Equal(t, "value \n", got)
		})
	}
}

// writeFile makes a file with the directories above it.
func writeFile(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestDirSecretsContent(t *testing.T) {
	const limit = 64 << 10
	tests := map[string]struct {
		content, want string
		notFound      bool
		err           string
	}{
		"plain":            {content: "sk-1", want: "sk-1"},
		"final newline":    {content: "sk-1\n", want: "sk-1"},
		"CRLF":             {content: "sk-1\r\n", want: "sk-1"},
		"only one newline": {content: "sk-1\n\n", want: "sk-1\n"},
		"lone CR stays":    {content: "sk-1\r", want: "sk-1\r"},
		"inner lines":      {content: "a\nb\n", want: "a\nb"},
		"spaces stay":      {content: " sk 1 ", want: " sk 1 "},
		"empty":            {content: "", notFound: true, err: "is empty"},
		"blank line":       {content: "\n", notFound: true, err: "is empty"},
		"at the limit":     {content: strings.Repeat("x", limit), want: strings.Repeat("x", limit)},
		"over the limit":   {content: strings.Repeat("x", limit+1), err: "larger than 65536 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "vault", "name"), tt.content)
			got, err := aigateway.DirSecrets(dir).ResolveSecret(t.Context(), "vault", "name")
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				assert.Equal(t, tt.notFound, errors.Is(err, aigateway.ErrSecretNotFound))
				assert.Empty(t, got)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestDirSecretsNames(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "secrets")
	writeFile(t, filepath.Join(base, "outside"), "stolen")
	writeFile(t, filepath.Join(dir, "flat"), "stolen")
	writeFile(t, filepath.Join(dir, "v", "n"), "found")
	writeFile(t, filepath.Join(dir, "v", "sub", "n"), "nested")
	writeFile(t, filepath.Join(dir, "v", ".hidden"), "hidden")
	writeFile(t, filepath.Join(dir, "v", "..data", "n"), "internal")
	require.NoError(t, os.Symlink(base, filepath.Join(dir, "escape")))
	require.NoError(t, os.Symlink("../outside", filepath.Join(dir, "v", "up")))
	require.NoError(t, os.Symlink("../../outside", filepath.Join(dir, "v", "out")))

	const refused, notFound = "plain file names", "does not exist"
	tests := []struct {
		vault, name, want, err string
	}{
		{"v", "n", "found", ""},
		{"v", ".hidden", "hidden", ""},
		{"v", "missing", "", notFound},
		{"missing", "n", "", notFound},
		{"v", "sub", "", "not a regular file"},
		{"v", "out", "", "escapes"},
		{"escape", "outside", "", "escapes"},
		{"v", "up", "", notFound}, // inside the directory, where no such file is
		{"", "n", "", refused},
		{"v", "", "", refused},
		{".", "flat", "", refused},
		{"v", ".", "", refused},
		{"..", "outside", "", refused},
		{"v", "..", "", refused},
		{"..data", "n", "", refused},
		{"v", "sub/n", "", refused},
		{"v/sub", "n", "", refused},
		{"v", "../flat", "", refused},
		{"/etc", "passwd", "", refused},
		{"v", `sub\n`, "", refused},
		{"v", "n\x00", "", refused},
	}
	for _, tt := range tests {
		t.Run(tt.vault+","+tt.name, func(t *testing.T) {
			got, err := aigateway.DirSecrets(dir).ResolveSecret(t.Context(), tt.vault, tt.name)
			assert.Equal(t, tt.want, got)
			if tt.want != "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
			assert.Equal(t, tt.err == notFound, errors.Is(err, aigateway.ErrSecretNotFound), "%v", err)
		})
	}

	_, err := aigateway.DirSecrets("").ResolveSecret(t.Context(), "v", "n")
	require.Error(t, err)
	assert.NotErrorIs(t, err, aigateway.ErrSecretNotFound)

	_, err = aigateway.DirSecrets(filepath.Join(base, "nowhere")).ResolveSecret(t.Context(), "v", "n")
	require.ErrorIs(t, err, aigateway.ErrSecretNotFound)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = aigateway.DirSecrets(dir).ResolveSecret(ctx, "v", "n")
	require.ErrorIs(t, err, context.Canceled)
}

// TestDirSecretsRotation turns the link of a Kubernetes mount.
func TestDirSecretsRotation(t *testing.T) {
	mount := t.TempDir()
	vault := filepath.Join(mount, "openai")
	writeFile(t, filepath.Join(vault, "..2026_01", "api-key"), "old")
	require.NoError(t, os.Symlink("..2026_01", filepath.Join(vault, "..data")))
	require.NoError(t, os.Symlink(filepath.Join("..data", "api-key"), filepath.Join(vault, "api-key")))
	// The directory itself may be a link to anywhere.
	dir := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(mount, dir))

	got, err := aigateway.DirSecrets(dir).ResolveSecret(t.Context(), "openai", "api-key")
	require.NoError(t, err)
	assert.Equal(t, "old", got)

	writeFile(t, filepath.Join(vault, "..2026_02", "api-key"), "new")
	require.NoError(t, os.Symlink("..2026_02", filepath.Join(vault, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(vault, "..data_tmp"), filepath.Join(vault, "..data")))
	require.NoError(t, os.RemoveAll(filepath.Join(vault, "..2026_01")))

	got, err = aigateway.DirSecrets(dir).ResolveSecret(t.Context(), "openai", "api-key")
	require.NoError(t, err)
	assert.Equal(t, "new", got)
}

func FuzzDirSecrets(f *testing.F) {
	base := f.TempDir()
	dir := filepath.Join(base, "dir")
	writeFile(f, filepath.Join(base, "outside"), "stolen")
	writeFile(f, filepath.Join(dir, "outside"), "stolen")
	writeFile(f, filepath.Join(dir, "v", "n"), "found")
	for _, s := range [][2]string{
		{"v", "n"}, {"..", "outside"}, {".", "outside"}, {"v", "../outside"}, {"v/..", "outside"}, {"", "outside"}, {"v\x00", "n"}, {"/", "etc"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, vault, name string) {
		got, err := aigateway.DirSecrets(dir).ResolveSecret(t.Context(), vault, name)
		if err == nil {
			assert.Equal(t, [3]string{"v", "n", "found"}, [3]string{vault, name, got})
		}
	})
}

func TestMapSecrets(t *testing.T) {
	m := aigateway.MapSecrets(map[string]map[string]string{"v": {"n": "value", "blank": ""}})
	got, err := m.ResolveSecret(t.Context(), "v", "n")
	require.NoError(t, err)
	assert.Equal(t, "value", got)
	for _, ref := range [][2]string{{"v", "other"}, {"other", "n"}, {"v", "blank"}} {
		_, err := m.ResolveSecret(t.Context(), ref[0], ref[1])
		require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
	}
	_, err = aigateway.MapSecrets(nil).ResolveSecret(t.Context(), "v", "n")
	require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
}

func TestChainSecrets(t *testing.T) {
	chain := aigateway.ChainSecrets
	outage := errors.New("store is down")
	broken := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return "half a va", outage })
	blank := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return "", nil })
	own := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
		return "", fmt.Errorf("attic: %w", aigateway.ErrSecretNotFound)
	})
	first := aigateway.MapSecrets(map[string]map[string]string{"v": {"a": "first"}})
	second := aigateway.MapSecrets(map[string]map[string]string{"v": {"a": "second", "b": "second"}})
	tests := map[string]struct {
		chain    aigateway.SecretResolver
		name     string
		want     string
		err      string
		notFound bool
	}{
		"first has it":          {chain(first, second), "a", "first", "", false},
		"second has it":         {chain(first, second), "b", "second", "", false},
		"nil is passed over":    {chain(nil, second), "b", "second", "", false},
		"blank is no answer":    {chain(blank, second), "b", "second", "", false},
		"outage ends it":        {chain(broken, second), "b", "", "store is down", false},
		"outage not reached":    {chain(second, broken), "b", "second", "", false},
		"outage after a miss":   {chain(first, broken), "b", "", "store is down", false},
		"none":                  {chain(first, own, aigateway.EnvSecrets()), "c", "", `secret not found: the map has no "c" in "v"; attic: secret not found; environment variable V_C is not set or empty`, true},
		"chains nest":           {chain(chain(first), chain(second)), "b", "second", "", false},
		"nested misses":         {chain(chain(first, second), first), "c", "", `"c" in "v"; the map has no "c" in "v"; the map`, true},
		"empty chain":           {chain(), "a", "", "there is no store to look in", true},
		"chain of nothing":      {chain(nil), "a", "", "there is no store to look in", true},
		"nothing in the blanks": {chain(blank), "a", "", "is empty", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.chain.ResolveSecret(t.Context(), "v", tt.name)
			assert.Equal(t, tt.want, got)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
			assert.Equal(t, tt.notFound, errors.Is(err, aigateway.ErrSecretNotFound))
		})
	}
}

func ExampleChainSecrets() {
	// The files of a mount come before the environment.
	cfg := aigateway.Config{
		Secrets: aigateway.ChainSecrets(
			aigateway.DirSecrets("/run/secrets"),
			aigateway.EnvSecrets(),
		),
	}
	_, err := cfg.Secrets.ResolveSecret(context.Background(), "no-such-provider", "api-key")
	fmt.Println(err)
	// Output:
	// secret not found: file "/run/secrets/no-such-provider/api-key" does not exist; environment variable NO_SUCH_PROVIDER_API_KEY is not set or empty
}
