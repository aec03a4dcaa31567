//go:build unix

package aigateway

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A config that is not a regular file does not hang.
func TestConfigOfPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	_, err := readConfigFile(fifo, time.Minute)
	require.ErrorContains(t, err, "nothing writes to the pipe")
	_, err = LoadConfig(fifo)
	require.ErrorContains(t, err, fifo)

	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	require.NoError(t, err)
	defer writer.Close()
	_, err = writer.WriteString("max_attempts: 3\n")
	require.NoError(t, err)
	_, err = readConfigFile(fifo, time.Millisecond)
	require.ErrorContains(t, err, "did not end within 1ms", "a writer that never ends")
}

// A pipe is read as <(…) of a shell gives it, and so are links and devices.
func TestConfigOfOtherFiles(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	_, err = w.WriteString("max_attempts: 3\n")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	cfg, err := LoadConfig(fmt.Sprintf("/dev/fd/%d", r.Fd()))
	require.NoError(t, err)
	assert.Equal(t, 3, cfg.MaxAttempts)
	_, err = readConfigFile("/dev/null", time.Minute)
	require.NoError(t, err)

	file := filepath.Join(t.TempDir(), "config.yaml")
	link := filepath.Join(t.TempDir(), "link.yaml")
	require.NoError(t, os.WriteFile(file, []byte("max_attempts: 4\n"), 0o600))
	require.NoError(t, os.Symlink(file, link))
	cfg, err = LoadConfig(link)
	require.NoError(t, err)
	assert.Equal(t, 4, cfg.MaxAttempts)
	_, err = readConfigFile("/dev/zero", time.Minute)
	require.NoError(t, err, "and no more than a config may have")
}
