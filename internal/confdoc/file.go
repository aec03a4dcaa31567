package confdoc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// ReadFile reads a document, up to one byte over [MaxBytes]. The byte shows that the file is
// too large; a path such as /dev/zero delivers bytes for ever. A pipe or a device must deliver
// the whole document within patience.
func ReadFile(path string, patience time.Duration) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	mode := os.O_RDONLY
	if !info.Mode().IsRegular() {
		// Without it, opening a named pipe waits for a writer.
		mode |= syscall.O_NONBLOCK
	}
	f, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !info.Mode().IsRegular() {
		// A device without deadlines, such as /dev/null, does not wait either.
		if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
			return nil, err
		}
	}
	doc, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("the pipe did not end within %v", patience)}
	case err != nil:
		return nil, err
	case len(doc) == 0 && info.Mode()&fs.ModeNamedPipe != 0:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("nothing writes to the pipe")}
	}
	return doc, nil
}
