package coding

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encode applies one coding. Raw is deflate without the zlib frame.
func encode(t testing.TB, form string, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	switch form {
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "deflate":
		w = zlib.NewWriter(&buf)
	case "raw":
		w, _ = flate.NewWriter(&buf, 5)
	case "zstd":
		w, _ = zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
	default:
		t.Fatalf("form %q", form)
	}
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.Bytes()
}

var text = []byte(strings.Repeat("Hello, wörld! ", 1000))

func encodings(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"gzip":                   encode(t, "gzip", text),
		"X-GZip":                 encode(t, "gzip", text),
		"deflate":                encode(t, "deflate", text),
		" Deflate ":              encode(t, "raw", text),
		"ZSTD":                   encode(t, "zstd", text),
		"gzip, zstd":             encode(t, "zstd", encode(t, "gzip", text)),
		"zstd,,identity , gzip":  encode(t, "gzip", encode(t, "zstd", text)),
		"deflate, gzip, deflate": encode(t, "raw", encode(t, "gzip", encode(t, "deflate", text))),
		"":                       text,
		"identity":               text,
		"Identity, identity":     text,
	}
}

func TestDecode(t *testing.T) {
	for header, data := range encodings(t) {
		l, err := Parse(header)
		require.NoError(t, err, header)
		got, err := l.Decode(data, int64(len(text)))
		require.NoError(t, err, header)
		assert.Equal(t, text, got, header)
		_, err = l.Decode(data, int64(len(text))-1)
		require.ErrorIs(t, err, ErrTooLarge, header)
		if l.Identity() {
			continue
		}
		var corrupt *CorruptError
		for _, at := range []int{0, 1, 3, len(data) / 2, len(data) - 1} {
			_, err = l.Decode(data[:at], 1<<20)
			require.ErrorAs(t, err, &corrupt, "%s cut at %d", header, at)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s cut at %d", header, at)
		}
		_, err = l.Decode(append(bytes.Clone(data), "xyz"...), 1<<20)
		require.ErrorAs(t, err, &corrupt, "%s with more behind", header)
		_, err = l.Decode([]byte("<html>not encoded</html>"), 1<<20)
		require.ErrorAs(t, err, &corrupt, header)
	}
}

func TestParse(t *testing.T) {
	for header, name := range map[string]string{
		"br": "br", "gzip, br": "br", "compress;q=1": "compress;q=1",
		"gzip,gzip,gzip,gzip": "gzip,gzip,gzip,gzip",
	} {
		_, err := Parse(header)
		var unknown *UnknownError
		require.ErrorAs(t, err, &unknown, header)
		assert.Equal(t, name, unknown.Coding)
		assert.Contains(t, err.Error(), name)
	}
}

func TestDecodeRequest(t *testing.T) {
	var corrupt *CorruptError
	var unknown *UnknownError
	bomb := encode(t, "zstd", make([]byte, 8<<20))
	require.Less(t, len(bomb), 64<<10)
	twice := encode(t, "gzip", encode(t, "gzip", make([]byte, 8<<20)))

	_, err := DecodeRequest(bomb, "zstd", 1<<30)
	require.ErrorIs(t, err, ErrTooLarge, "over 100 times its size")
	_, err = DecodeRequest(twice, "gzip, gzip", 1<<30)
	require.ErrorIs(t, err, ErrTooLarge, "the size that counts is the outer one")
	_, err = DecodeRequest(encode(t, "gzip", text), "gzip", 100)
	require.ErrorIs(t, err, ErrTooLarge, "over MaxBodyBytes")
	_, err = DecodeRequest(text, "", 100)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = DecodeRequest(text, "br", 1<<20)
	require.ErrorAs(t, err, &unknown)
	_, err = DecodeRequest(text, "zstd", 1<<20)
	require.ErrorAs(t, err, &corrupt)
	_, err = DecodeRequest(nil, "gzip", 1<<20)
	require.ErrorAs(t, err, &corrupt)
	small, err := DecodeRequest(encode(t, "gzip", make([]byte, 900<<10)), "gzip", 64<<20)
	require.NoError(t, err, "1 MiB is free")
	assert.Len(t, small, 900<<10)
}

func TestZstdWindow(t *testing.T) {
	random := make([]byte, 1<<20)
	for i := range random {
		random[i] = byte(i * i >> 7)
	}
	for size, want := range map[int]error{8 << 20: nil, 16 << 20: ErrTooLarge} {
		var buf bytes.Buffer
		w, err := zstd.NewWriter(&buf, zstd.WithWindowSize(size), zstd.WithEncoderConcurrency(1))
		require.NoError(t, err)
		_, err = w.Write(random)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		l, _ := Parse("zstd")
		_, err = l.Decode(buf.Bytes(), 64<<20)
		require.ErrorIs(t, err, want, "window of %d", size)
	}
}

// Decoded bytes come before more of the source is asked for.
func TestReaderDoesNotReadAhead(t *testing.T) {
	for _, form := range []string{"gzip", "deflate", "zstd"} {
		var buf bytes.Buffer
		var w interface {
			io.WriteCloser
			Flush() error
		}
		switch form {
		case "gzip":
			w = gzip.NewWriter(&buf)
		case "deflate":
			w = zlib.NewWriter(&buf)
		case "zstd":
			w, _ = zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
		}
		src := &feed{}
		l, _ := Parse(form)
		r := l.NewReader(src)
		for i := range 5 {
			line := fmt.Sprintf("line %d", i)
			_, err := io.WriteString(w, line)
			require.NoError(t, err)
			require.NoError(t, w.Flush())
			src.Write(buf.Bytes())
			buf.Reset()
			got := make([]byte, len(line))
			_, err = io.ReadFull(r, got)
			require.NoError(t, err, form)
			assert.Equal(t, line, string(got))
		}
		require.NoError(t, r.Close())
	}
}

// feed fails where a reader asks for more than there is.
type feed struct{ bytes.Buffer }

var errStarved = errors.New("asked for more")

func (f *feed) Read(p []byte) (int, error) {
	if f.Len() == 0 {
		return 0, errStarved
	}
	return f.Buffer.Read(p)
}

func (f *feed) ReadByte() (byte, error) {
	if f.Len() == 0 {
		return 0, errStarved
	}
	return f.Buffer.ReadByte()
}

// The error of a source is the source's own.
func TestReaderSourceErrors(t *testing.T) {
	for header, data := range encodings(t) {
		l, _ := Parse(header)
		r := l.NewReader(io.MultiReader(bytes.NewReader(data[:len(data)/2]), iotest.ErrReader(errStarved)))
		_, err := io.Copy(io.Discard, r)
		require.ErrorIs(t, err, errStarved, header)
		_, again := r.Read(make([]byte, 1))
		if !l.Identity() {
			assert.Equal(t, err, again)
		}
		require.NoError(t, r.Close())
		if !l.Identity() {
			_, err = r.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.ErrClosedPipe)
		}
	}
}

// Pooled decoders give each reader its own bytes, and a broken one spoils nothing.
func TestReadersArePooled(t *testing.T) {
	var wg sync.WaitGroup
	all := encodings(t)
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for header, data := range all {
					l, _ := Parse(header)
					_, _ = l.Decode(data[:len(data)/2], 1<<20)
					got, err := l.Decode(data, 1<<20)
					assert.NoError(t, err)
					assert.True(t, bytes.Equal(text, got))
				}
			}
		})
	}
	wg.Wait()
}

// A decoder serves bubbles of testing/synctest at the same time.
func TestReadersInBubbles(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				all := encodings(t)
				for range 100 {
					for header, data := range all {
						l, err := Parse(header)
						require.NoError(t, err)
						got, err := l.Decode(data, 1<<20)
						require.NoError(t, err, header)
						assert.True(t, bytes.Equal(text, got), header)
					}
					runtime.Gosched() // a decoder of the pool changes hands
				}
			})
		})
	}
}

func FuzzDecode(f *testing.F) {
	for header, data := range encodings(f) {
		f.Add(data[:min(len(data), 512)], header)
	}
	f.Fuzz(func(t *testing.T, data []byte, header string) {
		const limit = 1 << 16
		out, err := DecodeRequest(data, header, limit)
		if err == nil {
			require.LessOrEqual(t, len(out), limit)
			return
		}
		var corrupt *CorruptError
		var unknown *UnknownError
		require.True(t, errors.Is(err, ErrTooLarge) || errors.As(err, &corrupt) || errors.As(err, &unknown), "%v", err)
	})
}
