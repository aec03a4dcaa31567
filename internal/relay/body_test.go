package relay

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHoldBody(t *testing.T) {
	for _, c := range []struct {
		name     string
		body     io.Reader
		length   int64
		limit    int64
		want     string
		complete bool
		err      error
	}{
		{"known length", strings.NewReader("hello"), 5, 10, "hello", true, nil},
		{"unknown length", strings.NewReader("hello"), -1, 10, "hello", true, nil},
		{"empty", strings.NewReader(""), -1, 10, "", true, nil},
		{"empty and known", strings.NewReader(""), 0, 10, "", true, nil},
		{"exactly the limit", strings.NewReader("0123456789"), 10, 10, "0123456789", true, nil},
		{"over the limit", strings.NewReader("0123456789abc"), 13, 10, "0123456789a", false, nil},
		{"longer than announced", strings.NewReader("hello"), 2, 10, "hello", true, nil},
		{"shorter than announced", strings.NewReader("hel"), 5, 10, "hel", false, io.ErrUnexpectedEOF},
		{"broken", &script{pieces: []string{"hel"}, err: errBroken}, 5, 10, "hel", false, errBroken},
		{"data and end in one read", iotest.DataErrReader(strings.NewReader("hello")), 5, 10, "hello", true, nil},
		{"nothing for ever", emptyReader{}, -1, 10, "", false, io.ErrNoProgress},
		{"huge announcement", strings.NewReader("x"), 1 << 60, 10, "x", false, io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, complete, err := HoldBody(c.body, c.length, c.limit)
			assert.Equal(t, c.want, string(data))
			assert.Equal(t, c.complete, complete)
			assert.Equal(t, c.err, err)
		})
	}

	in := strings.Repeat("0123456789", 10_000)
	body := strings.NewReader(in)
	data, complete, err := HoldBody(body, -1, 50_000)
	require.NoError(t, err)
	assert.False(t, complete)
	out := bytes.NewBuffer(data)
	var reads int
	require.NoError(t, CopyRest(out, nil, body, func() { reads++ }))
	assert.True(t, out.String() == in)
	assert.Positive(t, reads)
}

func TestCopyRest(t *testing.T) {
	require.NoError(t, CopyRest(io.Discard, nil, strings.NewReader(""), nil))
	require.ErrorIs(t, CopyRest(io.Discard, nil, &script{pieces: []string{"x"}, err: errBroken}, nil), errBroken)
	var we *WriteError
	require.ErrorAs(t, CopyRest(&record{err: errBroken}, nil, strings.NewReader("x"), nil), &we)

	var w record
	require.NoError(t, CopyRest(&w, w.flush, &script{pieces: []string{"a", "b"}}, nil))
	assert.Equal(t, []string{"a", "flush", "b", "flush"}, w.log)
}

func TestDecode(t *testing.T) {
	want := strings.Repeat("hello ", 1000)
	for _, c := range []struct{ form, header string }{{"gzip", "gzip"}, {"deflate", "deflate"}, {"raw", " Deflate "}} {
		in := []byte(strings.Join(compress(t, c.form, []string{want}, true), ""))
		got, err := Decode(in, c.header, 6000)
		require.NoError(t, err, c.form)
		assert.Equal(t, want, string(got))
		_, err = Decode(in, c.header, 5999)
		assert.ErrorIs(t, err, ErrDecodedTooLong)
		_, err = Decode(in[:len(in)-9], c.header, 6000)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF, "incomplete")
	}
	got, err := Decode([]byte("x"), "identity", 1)
	require.NoError(t, err)
	assert.Equal(t, "x", string(got))
	_, err = Decode([]byte("xy"), "", 1)
	assert.ErrorIs(t, err, ErrDecodedTooLong)
	for header, want := range map[string]string{
		"br": ErrUnknownEncoding.Error(), "gzip, br": ErrUnknownEncoding.Error(),
		"gzip": "answer does not decode", "deflate": "answer does not decode", "zstd": "answer does not decode",
	} {
		_, err = Decode(nil, header, 10)
		assert.ErrorContains(t, err, want, header)
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"error":{"a":[1,"\""]}}`), "")
	f.Add([]byte(strings.Join(compress(f, "gzip", []string{"x"}, true), "")), "gzip")
	f.Fuzz(func(t *testing.T, data []byte, encoding string) {
		out, err := Decode(data, encoding, 1<<16)
		assert.True(t, err != nil || len(out) <= 1<<16)
		for surface := AnySurface; surface <= CountTokensSurface; surface++ {
			_ = Judge(surface, out, nil)
		}
	})
}

func TestCopyResponseHeader(t *testing.T) {
	room := []string{"a", "b", "not yours"}
	dst := http.Header{"Vary": {"Origin"}, "Access-Control-Allow-Origin": {"https://a"}, "X-Request-Id": {"mine"}, "X-Kept": {"1"}}
	src := http.Header{
		"Connection":                  {"X-Private"},
		"X-Private":                   {"1"},
		"Transfer-Encoding":           {"chunked"},
		"Set-Cookie":                  {"__cf_bm=1"},
		"Set-Cookie2":                 {"a"},
		"Alt-Svc":                     {`h3=":443"`},
		"Strict-Transport-Security":   {"max-age=1"},
		"Access-Control-Allow-Origin": {"*"},
		"Nel":                         {"{}"},
		"Report-To":                   {"{}"},
		"Clear-Site-Data":             {`"*"`},
		"Vary":                        {"Accept-Encoding"},
		"X-Request-Id":                {"req_1"},
		"x-ratelimit-limit-requests":  {"10"},
		"Content-Type":                {"application/json"},
		"Warning":                     room[:2],
	}
	before := src.Clone()
	CopyResponseHeader(dst, src)
	assert.Equal(t, http.Header{
		"Access-Control-Allow-Origin": {"https://a"},
		"Vary":                        {"Origin", "Accept-Encoding"},
		"X-Request-Id":                {"req_1"},
		"X-Kept":                      {"1"},
		"X-Ratelimit-Limit-Requests":  {"10"},
		"Content-Type":                {"application/json"},
		"Warning":                     {"a", "b"},
	}, dst)
	dst.Add("Warning", "c")
	assert.Equal(t, "not yours", room[2])
	assert.Equal(t, before, src, "the upstream's header is not touched")
}

func TestErrors(t *testing.T) {
	assert.Equal(t, "write to client: connection reset", (&WriteError{Err: errBroken}).Error())
	assert.True(t, errors.Is(&WriteError{Err: errBroken}, errBroken))
	assert.NotContains(t, (&EventError{Data: []byte("sk-secret")}).Error(), "sk-")
}
