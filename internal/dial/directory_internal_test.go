package dial

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// directory holds the files of a test.
type directory struct {
	t    *testing.T
	path string
}

func newDirectory(t *testing.T) directory { return directory{t, t.TempDir()} }

// put replaces a file at once, and returns its path.
func (d directory) put(name string, data []byte) string {
	d.t.Helper()
	path := filepath.Join(d.path, name)
	require.NoError(d.t, os.WriteFile(path+".new", data, 0o600))
	require.NoError(d.t, os.Rename(path+".new", path))
	return path
}
