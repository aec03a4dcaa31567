package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// largeJSON is an answer that is too large to be held.
func largeJSON() string {
	var items []string
	for i := range 9000 {
		items = append(items, fmt.Sprintf(`{"index":%d,"text":"line \"%d\"\n \\","embedding":[%d.5,-0.25]}`, i, i, i))
	}
	text, _ := json.Marshal(strings.Repeat("The quick brown fox \"jumps\".\n", 20_000))
	return `{"object":"list","data":[` + strings.Join(items, ",") + `],"text":` + string(text) + `,"usage":{"prompt_tokens":5}}`
}

// copyCut copies the front of an answer, of which held bytes were read before.
func copyCut(in string, held int, encoding string, end error) (out string, usage string, err error) {
	var w bytes.Buffer
	err = CopyJSON(&w, &script{pieces: pieces(in[held:]), err: end}, JSONCopy{
		Held: []byte(in[:held]), Encoding: encoding, Usage: func(value []byte) { usage = string(value) },
	})
	return w.String(), usage, err
}

// Every cut of a large answer that ends cleanly is an error, and never fills the
// length that was announced.
func TestCopyJSONCuts(t *testing.T) {
	doc := largeJSON()
	require.Greater(t, len(doc), 1<<20)
	for _, encoding := range []string{"", "identity", "gzip", "deflate", "zstd", "gzip, zstd"} {
		in := doc
		for _, form := range strings.Split(encoding, ", ") {
			if form != "" && form != "identity" {
				in = strings.Join(compress(t, form, []string{in}, true), "")
			}
		}
		for _, held := range []int{0, len(in) / 3, len(in)} {
			out, usage, err := copyCut(in, held, encoding, nil)
			require.NoError(t, err, encoding)
			require.True(t, out == in, "%s: not byte for byte", encoding)
			assert.JSONEq(t, `{"prompt_tokens":5}`, usage, encoding)
		}
		cuts := 480
		if encoding != "" {
			cuts = 24
		}
		for i := range cuts {
			at := len(in)*i/cuts + i%7
			if i%4 == 0 {
				at = len(in) - 1 - i/4 // near the end
			}
			at = min(max(at, 0), len(in)-1)
			out, _, err := copyCut(in[:at], min(at, len(in)/2), encoding, nil)
			require.ErrorIs(t, err, ErrNotWhole, "%s cut at %d of %d", encoding, at, len(in))
			require.True(t, at == 0 || len(out) < at, "%s cut at %d: all of it was written", encoding, at)
			require.True(t, strings.HasPrefix(in, out))
		}
	}
}

func TestCopyJSON(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		err  error
		out  string // where it is not all of in
	}{
		{"whole", []string{`{"a":`, `1}`}, nil, ""},
		{"white space behind", []string{`{"a":1}`, " \r\n", "\t"}, nil, ""},
		{"a string", []string{`"te`, `xt"`}, nil, ""},
		{"more behind", []string{`{"a":1}`, `x`}, ErrNotWhole, `{"a":1}`},
		{"another behind", []string{`{"a":1}`, ` `, `{}`}, ErrNotWhole, `{"a":1} `},
		{"more behind in one read", []string{`{"a":1}x`}, ErrNotWhole, "\x00"},
		{"not JSON", []string{`<html>`}, ErrNotWhole, "\x00"},
		{"brackets", []string{`{"a":`, `]`, `}`}, ErrNotWhole, "{\"a\":"},
		{"nothing", nil, ErrNotWhole, "\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for held := range min(len(c.in), 1) + 1 {
				var w record
				err := CopyJSON(&w, &script{pieces: append([]string(nil), c.in[held:]...)}, JSONCopy{Held: []byte(strings.Join(c.in[:held], ""))})
				require.ErrorIs(t, err, c.err)
				want := c.out
				if want == "" {
					want = strings.Join(c.in, "")
				}
				assert.Equal(t, strings.Trim(want, "\x00"), strings.Join(w.log, ""))
			}
		})
	}
	// The document's end goes out without waiting for more.
	var w record
	reads := 0
	body := readerFunc(func(p []byte) (int, error) {
		if reads++; reads == 1 {
			return copy(p, `1}`), nil
		}
		assert.Equal(t, []string{`{"a":`, "flush", `1}`, "flush"}, w.log)
		return 0, io.EOF
	})
	var progressed int
	require.NoError(t, CopyJSON(&w, body, JSONCopy{Held: []byte(`{"a":`), Flush: w.flush, Progress: func() { progressed++ }}))
	assert.Equal(t, 1, progressed)

	var we *WriteError
	require.ErrorAs(t, CopyJSON(&record{err: errBroken}, strings.NewReader(`{}`), JSONCopy{}), &we)
	gz := strings.Join(compress(t, "gzip", []string{`{"a":1}`}, true), "")
	require.ErrorAs(t, CopyJSON(&record{err: errBroken}, iotest.OneByteReader(strings.NewReader(gz)), JSONCopy{Encoding: "gzip"}), &we)
	_, _, err := copyCut(`{"a":1`, 2, "", errBroken)
	require.ErrorIs(t, err, errBroken)
	_, _, err = copyCut(gz[:15], 2, "gzip", errBroken)
	require.ErrorIs(t, err, errBroken)
	out, _, err := copyCut(gz+"tail", 2, "gzip", nil)
	require.ErrorIs(t, err, ErrNotWhole, "gzip takes it for another member: %q", out)
	require.ErrorIs(t, CopyJSON(io.Discard, emptyReader{}, JSONCopy{}), io.ErrNoProgress)
	out, _, err = copyCut("whatever", 3, "br", nil)
	require.NoError(t, err, "nobody can tell")
	assert.Equal(t, "whatever", out)
}

// A document that is copied as whole is one that encoding/json does not find cut,
// in pieces of any size, compressed or not.
func FuzzCopyJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\"]"]}`), uint8(3), false)
	f.Add([]byte(`{"a":[1`), uint8(1), true)
	f.Add([]byte(`{"usage":{"a":1}} {}`), uint8(7), false)
	f.Fuzz(func(t *testing.T, doc []byte, step uint8, zip bool) {
		in, encoding := string(doc), ""
		if zip {
			in, encoding = strings.Join(compress(t, "gzip", []string{in}, true), ""), "gzip"
		}
		var parts []string
		for rest, n := in, int(step)+1; rest != ""; {
			n = min(n, len(rest))
			parts, rest = append(parts, rest[:n]), rest[n:]
		}
		var out bytes.Buffer
		err := CopyJSON(&out, &script{pieces: parts}, JSONCopy{Encoding: encoding})
		require.True(t, strings.HasPrefix(in, out.String()))
		front := bytes.TrimLeft(doc, " \t\r\n")
		document := len(front) > 0 && strings.IndexByte(`{["`, front[0]) >= 0
		if document && json.Valid(doc) {
			require.NoError(t, err)
		}
		if err == nil {
			require.Equal(t, in, out.String())
			var syntax *json.SyntaxError
			if e := json.Unmarshal(doc, new(any)); e != nil {
				require.ErrorAs(t, e, &syntax)
				require.NotEqual(t, "unexpected end of JSON input", e.Error(), "%q", doc)
			}
		} else if len(in) > 0 {
			require.Less(t, out.Len(), len(in), "a broken answer is never written to its end")
		}
	})
}

func BenchmarkCopyJSON(b *testing.B) {
	doc := largeJSON()
	for _, encoding := range []string{"", "gzip"} {
		in := doc
		if encoding != "" {
			in = strings.Join(compress(b, encoding, []string{doc}, true), "")
		}
		b.Run("encoding="+encoding, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if err := CopyJSON(io.Discard, struct{ io.Reader }{strings.NewReader(in)}, JSONCopy{Encoding: encoding}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("valid", func(b *testing.B) {
		data := []byte(doc)
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			json.Valid(data)
		}
	})
	b.Run("follower", func(b *testing.B) {
		data := []byte(doc)
		b.SetBytes(int64(len(doc)))
		for b.Loop() {
			var f jsonscan.Follower
			f.Follow(data)
		}
	})
}
