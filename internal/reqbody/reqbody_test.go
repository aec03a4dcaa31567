package reqbody_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// fields is what the two kinds of body have in common, and what callers may
// rely on to treat them alike.
type fields interface {
	Selection() (reqbody.Selection, error)
	Get(name string) ([]byte, bool)
	String(name string) (string, bool, bool)
	Number(name string) (float64, bool, bool)
	Bool(name string) (bool, bool)
	Splice(edits []reqbody.Edit) (*reqbody.Body, error)
}

var (
	_ fields = (*reqbody.Document)(nil)
	_ fields = (*reqbody.Form)(nil)
)

func TestRead(t *testing.T) {
	errBroken := errors.New("broken")
	text := strings.Repeat("0123456789", 1000)
	big := strings.Repeat("x", 5<<20+3)
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		limit  int64
		want   string
		err    error
	}{
		"known length":            {strings.NewReader(text), 10000, 10000, text, nil},
		"known length, by bytes":  {iotest.OneByteReader(strings.NewReader(text)), 10000, 10000, text, nil},
		"data with EOF":           {iotest.DataErrReader(strings.NewReader(text)), 10000, 10000, text, nil},
		"unknown length":          {strings.NewReader(text), -1, 10000, text, nil},
		"unknown, data with EOF":  {iotest.DataErrReader(strings.NewReader(text)), -1, 10000, text, nil},
		"unknown length, 4 KiB":   {strings.NewReader(text[:4096]), -1, 4096, text[:4096], nil},
		"empty":                   {strings.NewReader(""), 0, 10, "", nil},
		"empty, unknown length":   {strings.NewReader(""), -1, 10, "", nil},
		"nil":                     {nil, -1, 10, "", nil},
		"nil but announced":       {nil, 3, 10, "", io.ErrUnexpectedEOF},
		"over MiB":                {strings.NewReader(big), int64(len(big)), int64(len(big)), big, nil},
		"over MiB, unknown":       {strings.NewReader(big), -1, int64(len(big)), big, nil},
		"announced too large":     {iotest.ErrReader(errBroken), 11, 10, "", reqbody.ErrTooLarge},
		"one too many":            {strings.NewReader(text), -1, 9999, "", reqbody.ErrTooLarge},
		"one too many with EOF":   {iotest.DataErrReader(strings.NewReader(text)), -1, 9999, "", reqbody.ErrTooLarge},
		"longer than announced":   {strings.NewReader(text), 10, 10000, text, nil},
		"longer, over the limit":  {strings.NewReader(text), 10, 10, "", reqbody.ErrTooLarge},
		"shorter than announced":  {strings.NewReader(text), 10001, 20000, "", io.ErrUnexpectedEOF},
		"broken":                  {io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errBroken)), 10, 10, "", errBroken},
		"broken after the length": {io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errBroken)), 3, 10, "", errBroken},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := reqbody.Read(c.body, c.length, c.limit)
			require.ErrorIs(t, err, c.err)
			if c.err == nil {
				assert.True(t, c.want == string(got), "got %d bytes, want %d", len(got), len(c.want))
			}
		})
	}
}

// A client that announces a gigabyte and sends nothing must not cost one.
func TestReadAllocatesWhatComes(t *testing.T) {
	got, err := reqbody.Read(strings.NewReader("abc"), 1<<30, 1<<40)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.LessOrEqual(t, cap(got), 1<<20)

	got, err = reqbody.Read(strings.NewReader("abc"), 3, 1<<40)
	require.NoError(t, err)
	assert.Equal(t, 3, cap(got))

	got, err = reqbody.Read(strings.NewReader(strings.Repeat("x", 3<<20)), 3<<20, 1<<40)
	require.NoError(t, err)
	assert.Equal(t, 3<<20, cap(got))
}

func TestBody(t *testing.T) {
	src := []byte(`{"model":"a","x":[1,2,3],"models":["b"]}`)
	var d reqbody.Document
	require.NoError(t, reqbody.Scan(src, &d))
	body, err := d.Splice([]reqbody.Edit{
		{Name: "model", Value: []byte(`"other"`)}, {Name: "models"}, {Name: "y", Value: []byte("1")},
	})
	require.NoError(t, err)
	const want = `{"model":"other","x":[1,2,3],"y":1}`
	assert.Equal(t, int64(len(want)), body.Len())
	assert.Equal(t, want, string(body.Bytes()))
	require.NoError(t, iotest.TestReader(body.NewReader(), []byte(want)))

	t.Run("readers are independent", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				r := body.NewReader()
				got, err := io.ReadAll(iotest.OneByteReader(r))
				assert.NoError(t, err)
				assert.Equal(t, want, string(got))
				assert.NoError(t, r.Close())
			})
		}
		wg.Wait()
	})
	t.Run("WriteTo goes on where Read stopped", func(t *testing.T) {
		r := body.NewReader()
		start := make([]byte, 12)
		_, err := io.ReadFull(r, start)
		require.NoError(t, err)
		var rest bytes.Buffer
		n, err := r.(io.WriterTo).WriteTo(&rest)
		require.NoError(t, err)
		assert.Equal(t, body.Len()-12, n)
		assert.Equal(t, want, string(start)+rest.String())
		_, err = r.Read(start)
		assert.Equal(t, io.EOF, err)
	})
	t.Run("WriteTo reports a short write", func(t *testing.T) {
		_, err := body.NewReader().(io.WriterTo).WriteTo(shortWriter{})
		assert.ErrorIs(t, err, io.ErrShortWrite)
	})
	t.Run("empty", func(t *testing.T) {
		empty := reqbody.Whole(nil)
		assert.Zero(t, empty.Len())
		assert.Empty(t, empty.Bytes())
		require.NoError(t, iotest.TestReader(empty.NewReader(), nil))
	})
}

// A large body has a reader of its own: it tells its length, and is written from where
// it lies. Other readers of the body stay as they are.
func TestLargeBodyReaders(t *testing.T) {
	text := strings.Repeat("x", 20<<10)
	src := []byte(`{"model":"a","prompt":"` + text + `","models":["b"]}`)
	want := `{"model":"bb","prompt":"` + text + `"}`
	var d reqbody.Document
	require.NoError(t, reqbody.Scan(src, &d))
	pieces, err := d.Splice([]reqbody.Edit{{Name: "model", Value: []byte(`"bb"`)}, {Name: "models"}})
	require.NoError(t, err)
	for name, body := range map[string]*reqbody.Body{"in pieces": pieces, "in one": reqbody.Whole([]byte(want))} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, iotest.TestReader(body.NewReader(), []byte(want)))
			for _, front := range []int{0, 5, 15, 1000, len(want)} {
				r := body.NewReader()
				start := make([]byte, front)
				_, err := io.ReadFull(r, start)
				require.NoError(t, err)
				assert.EqualValues(t, len(want)-front, r.(interface{ Len() int64 }).Len())
				var rest bytes.Buffer
				n, err := r.(io.WriterTo).WriteTo(&rest)
				require.NoError(t, err)
				assert.EqualValues(t, len(want)-front, n)
				assert.Equal(t, want, string(start)+rest.String())
				assert.Zero(t, r.(interface{ Len() int64 }).Len())
				n, err = r.(io.WriterTo).WriteTo(&rest)
				assert.NoError(t, err)
				assert.Zero(t, n)
				_, err = r.Read(make([]byte, 1))
				assert.Equal(t, io.EOF, err)
			}
			_, err := body.NewReader().(io.WriterTo).WriteTo(shortWriter{})
			assert.ErrorIs(t, err, io.ErrShortWrite)
		})
	}
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

// A large prompt must not be copied, neither whole nor in pieces.
func TestBodyAliasesTheSource(t *testing.T) {
	src := []byte(`{"model":"a","prompt":"` + strings.Repeat("x", 1000) + `"}`)
	var d reqbody.Document
	require.NoError(t, reqbody.Scan(src, &d))
	body, err := d.Splice(nil)
	require.NoError(t, err)
	assert.Same(t, &src[0], &body.Bytes()[0])

	same, err := d.Splice([]reqbody.Edit{{Name: "model", Value: []byte(`"a"`)}, {Name: "models"}})
	require.NoError(t, err)
	assert.Same(t, &src[0], &same.Bytes()[0], "edits that change nothing")

	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = d.Splice(nil) }), 1.0)
	edits := []reqbody.Edit{{Name: "model", Value: []byte(`"bb"`)}, {Name: "models"}}
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = d.Splice(edits) }), 3.0)
}
