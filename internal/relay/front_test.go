package relay

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// peekEvents peeks at a body, and returns all of it.
func peekEvents(body io.Reader, form string) (events bool, rest io.Reader, err error) {
	f := new(Front)
	events, err = f.PeekEvents(body, form)
	return events, f, err
}

// The bytes decide, under any type, and all of them stay.
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
				events, rest, err := peekEvents(body, form)
				require.NoError(t, err)
				assert.Equal(t, want, events, "%.20q %s", in, form)
				all, err := io.ReadAll(rest)
				require.NoError(t, err)
				assert.True(t, string(all) == raw, "%.20q %s", in, form)
			}
		}
	}
	events, rest, err := peekEvents(strings.NewReader(hello), "br")
	require.NoError(t, err)
	assert.False(t, events)
	all, _ := io.ReadAll(rest)
	assert.Equal(t, hello, string(all))
	_, _, err = peekEvents(&script{err: errBroken}, "")
	require.ErrorIs(t, err, errBroken)
	_, rest, err = peekEvents(&script{pieces: []string{"data: x"}, err: errBroken}, "")
	require.NoError(t, err)
	_, err = io.ReadAll(rest)
	require.ErrorIs(t, err, errBroken)
	_, _, err = peekEvents(emptyReader{}, "")
	require.NoError(t, err, "left to whoever reads it")
	events, _, err = peekEvents(strings.NewReader("not gzip"), "gzip")
	require.NoError(t, err)
	assert.False(t, events)
}

// A stream goes on behind a front, whatever the encoding and the reads: what the client
// gets, and what the tap sees, is what it would be without a look at the front.
func TestStreamBehindFront(t *testing.T) {
	in := []string{role, hello, hello, strings.Repeat(": comment\n", 2000) + "\n", hello, stop, doneEv}
	for _, form := range []string{"", "gzip", "zstd", "br"} {
		pieces := in
		if form == "gzip" || form == "zstd" {
			pieces = compress(t, form, in, true)
		}
		raw := strings.Join(pieces, "")
		for name, reader := range map[string]func() io.Reader{
			"pieces":       func() io.Reader { return &script{pieces: slices.Clone(pieces)} },
			"one read":     func() io.Reader { return strings.NewReader(raw) },
			"bytes":        func() io.Reader { return iotest.OneByteReader(strings.NewReader(raw)) },
			"end with all": func() io.Reader { return iotest.DataErrReader(strings.NewReader(raw)) },
			"broken":       func() io.Reader { return &script{pieces: slices.Clone(pieces[:2]), err: errBroken} },
			"empty":        func() io.Reader { return strings.NewReader("") },
		} {
			for _, decode := range []bool{false, true} {
				run := func(peek bool) string {
					var out, tapped bytes.Buffer
					body := reader()
					o := Options{Dialect: Chat, Encoding: form, Decode: decode, Tap: func(data []byte, _ bool) { tapped.Write(data) }}
					if peek {
						o.Front = new(Front)
						_, err := o.Front.PeekEvents(body, form)
						require.NoError(t, err)
					}
					s := NewStream(body, o)
					held := s.Hold()
					err := s.Relay(&out, nil)
					s.Release()
					return fmt.Sprint(out.String(), tapped.String(), held, err, s.Whole(), s.Events())
				}
				assert.Equal(t, run(false), run(true), "%q, %s, %v", form, name, decode)
			}
		}
	}
}
