package secretstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Dir is a directory with secrets in its files, dir/vault/name. It is opened anew for each
// secret, so that a rotated one is found.
type Dir string

// maxFile bounds a secret's file, in bytes: a mistaken name could read a large
// one into memory.
const maxFile = 64 << 10

// Read returns the content of the secret's file, without one final line break. notFound is
// wrapped by the error about a missing or empty file. A name that is not a plain file name is
// another error.
func (d Dir) Read(ctx context.Context, notFound error, vault, name string) (string, error) {
	if d == "" {
		return "", errors.New("the secret directory's path is empty")
	}
	if !isFileName(vault) || !isFileName(name) {
		return "", fmt.Errorf("vault %q and name %q must be plain file names", vault, name)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	path := filepath.Join(string(d), vault, name)
	data, err := d.read(vault, name)
	if errors.Is(err, fs.ErrNotExist) {
		// Kubernetes replaces the files of a mount by turning a link, and then
		// removes the old ones: a reader of the old link finds nothing.
		// A second look tells a turned link from a missing secret.
		data, err = d.read(vault, name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: file %q does not exist", notFound, path)
	case err != nil:
		return "", fmt.Errorf("secret file %q: %w", path, err)
	}
	value := strings.TrimSuffix(string(data), "\n")
	if len(value) < len(data) {
		value = strings.TrimSuffix(value, "\r")
	}
	if value == "" {
		return "", fmt.Errorf("%w: file %q is empty", notFound, path)
	}
	return value, nil
}

// read returns the bytes of a secret's file. The [os.Root] keeps the links of a mount
// from leading out of the directory.
func (d Dir) read(vault, name string) ([]byte, error) {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	path := filepath.Join(vault, name)
	// Asked before opening: opening a named pipe would wait for its writer.
	if info, err := root.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	return data, err
}

// isFileName reports whether s names a file directly inside a directory, on any
// system. Names that start with ".." are refused altogether: under such names,
// Kubernetes keeps the past and future versions of a mount.
func isFileName(s string) bool {
	return s != "" && s != "." && !strings.HasPrefix(s, "..") &&
		!strings.ContainsAny(s, "/\\\x00") && filepath.IsLocal(s)
}
