//go:build unix

package confdoc_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/confdoc"
)

// A pipe does not make a reader wait for ever.
func TestReadFileOfPipe(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	_, err := confdoc.ReadFile(fifo, time.Minute)
	require.ErrorContains(t, err, "nothing writes to the pipe")

	writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
	require.NoError(t, err)
	defer writer.Close()
	_, err = writer.WriteString("max_attempts: 3\n")
	require.NoError(t, err)
	_, err = confdoc.ReadFile(fifo, time.Millisecond)
	require.ErrorContains(t, err, "did not end within 1ms", "a writer that never ends")
}

func TestReadFileOfDevice(t *testing.T) {
	doc, err := confdoc.ReadFile("/dev/null", time.Minute)
	require.NoError(t, err)
	assert.Empty(t, doc)
	doc, err = confdoc.ReadFile("/dev/zero", time.Minute)
	require.NoError(t, err)
	assert.Len(t, doc, confdoc.MaxBytes+1, "no more than shows that it is too large")
}
