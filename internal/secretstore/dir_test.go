package secretstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/secretstore"
)

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
			got, err := secretstore.Dir(dir).Read(t.Context(), errNotFound, "vault", "name")
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				assert.Equal(t, tt.notFound, errors.Is(err, errNotFound))
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
			got, err := secretstore.Dir(dir).Read(t.Context(), errNotFound, tt.vault, tt.name)
			assert.Equal(t, tt.want, got)
			if tt.want != "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
			assert.Equal(t, tt.err == notFound, errors.Is(err, errNotFound), "%v", err)
		})
	}

	_, err := secretstore.Dir("").Read(t.Context(), errNotFound, "v", "n")
	require.Error(t, err)
	assert.NotErrorIs(t, err, errNotFound)

	_, err = secretstore.Dir(filepath.Join(base, "nowhere")).Read(t.Context(), errNotFound, "v", "n")
	require.ErrorIs(t, err, errNotFound)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = secretstore.Dir(dir).Read(ctx, errNotFound, "v", "n")
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

	got, err := secretstore.Dir(dir).Read(t.Context(), errNotFound, "openai", "api-key")
	require.NoError(t, err)
	assert.Equal(t, "old", got)

	writeFile(t, filepath.Join(vault, "..2026_02", "api-key"), "new")
	require.NoError(t, os.Symlink("..2026_02", filepath.Join(vault, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(vault, "..data_tmp"), filepath.Join(vault, "..data")))
	require.NoError(t, os.RemoveAll(filepath.Join(vault, "..2026_01")))

	got, err = secretstore.Dir(dir).Read(t.Context(), errNotFound, "openai", "api-key")
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
		got, err := secretstore.Dir(dir).Read(t.Context(), errNotFound, vault, name)
		if err == nil {
			assert.Equal(t, [3]string{"v", "n", "found"}, [3]string{vault, name, got})
		}
	})
}
