package relay

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The bytes decide, under any type, and none of them is lost.
func TestPeekEvents(t *testing.T) {
	for in, want := range map[string]bool{
		hello:                       true,
		"\r\n\r\nevent: x\n":        true,
		"\ufeffdata: x":             true,
		": comment\n\n":             true,
		"error: {}\n\n":             true,
		"id: 1\n":                   true,
		"retry: 1\n":                true,
		"dat":                       false,
		"":                          false,
		"\n\n\n":                    false,
		`{"data:":1}`:               false,
		"<html>":                    false,
		"hello":                     false,
		strings.Repeat("\n", 10000): false,
	} {
		for _, form := range []string{"", "identity", "gzip", "deflate", "zstd"} {
			raw := in
			if form != "" && form != "identity" {
				raw = strings.Join(compress(t, form, []string{in}, true), "")
			}
			for _, body := range []io.Reader{strings.NewReader(raw), iotest.OneByteReader(strings.NewReader(raw)), iotest.DataErrReader(strings.NewReader(raw))} {
				events, rest, err := PeekEvents(body, form)
				require.NoError(t, err)
				assert.Equal(t, want, events, "%.20q %s", in, form)
				all, err := io.ReadAll(rest)
				require.NoError(t, err)
				assert.True(t, string(all) == raw, "%.20q %s", in, form)
			}
		}
	}
	events, rest, err := PeekEvents(strings.NewReader(hello), "br")
	require.NoError(t, err)
	assert.False(t, events)
	all, _ := io.ReadAll(rest)
	assert.Equal(t, hello, string(all))
	_, _, err = PeekEvents(&script{err: errBroken}, "")
	require.ErrorIs(t, err, errBroken)
	_, rest, err = PeekEvents(&script{pieces: []string{"data: x"}, err: errBroken}, "")
	require.NoError(t, err)
	_, err = io.ReadAll(rest)
	require.ErrorIs(t, err, errBroken)
	_, _, err = PeekEvents(emptyReader{}, "")
	require.NoError(t, err, "left to whoever reads it")
	events, _, err = PeekEvents(strings.NewReader("not gzip"), "gzip")
	require.NoError(t, err)
	assert.False(t, events)
}
