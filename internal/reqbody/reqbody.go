// Package reqbody reads the body of a client's request, finds the few
// top-level fields that routing depends on, and splices edits into it.
//
// A body is never decoded and encoded again. What goes upstream is the
// client's own bytes, with the edited values in their place: key order, number
// text, white space and fields that nobody here has heard of survive. JSON
// objects are read by [Scan] into a [Document], multipart forms by [ScanForm]
// into a [Form]; both answer the same questions and take the same [Edit]s, so
// that a caller decides once and need not know which of them it holds.
//
// Bodies are not trusted, and the upstream has a parser of its own. Wherever
// two parsers could disagree on which model a body asks for (a repeated key, a
// key that differs in case alone, a boundary inside a value) the body is
// refused instead of being read one way or the other.
package reqbody

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrTooLarge is returned by [Read] for a body of more bytes than its limit.
var ErrTooLarge = errors.New("request body is too large")

// maxMembers bounds the top-level members of an object, the parts of a form
// and the entries of a list of models. Real requests have some tens.
const maxMembers = 10_000

// SyntaxError says where and why a body cannot be read at all. Its text is
// meant for the client.
type SyntaxError struct {
	Format string // "JSON" or "form"
	Offset int64  // of the first byte that does not fit, counted from 0
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid %s at byte %d: %s", e.Format, e.Offset, e.Msg)
}

// InvalidError says that a body is well formed, but that one of its fields
// cannot be used or is ambiguous. Its text is meant for the client.
type InvalidError struct {
	Name string // the field's name as the client wrote it; empty for the body as a whole
	Msg  string // whole sentence part, the name included
}

func (e *InvalidError) Error() string { return e.Msg }

// readAhead is the most that Read allocates because a Content-Length says so.
// Beyond it, memory follows the bytes that have really come: readGrowth times as
// much, which for a body of 4 MB means that a fourth of it is copied once, where
// doubling would copy three.
const (
	readAhead  = 1 << 20
	readGrowth = 4
)

// Read reads body to its end. It returns [ErrTooLarge] when there are more
// than limit bytes, without reading anything if contentLength already says so,
// and [io.ErrUnexpectedEOF] when body ends before contentLength bytes. A
// negative contentLength means that the length is not known. Bytes beyond
// contentLength are read like any other: something between the server and
// here has replaced the body, and the length that goes upstream is counted
// anew. A nil body is an empty one.
func Read(body io.Reader, contentLength, limit int64) ([]byte, error) {
	if contentLength > limit {
		return nil, ErrTooLarge
	}
	if body == nil {
		if contentLength > 0 {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, nil
	}
	size := int64(4 << 10)
	if contentLength >= 0 {
		size = min(contentLength, readAhead)
	}
	buf := make([]byte, 0, size)
	for {
		if len(buf) == cap(buf) {
			if int64(len(buf)) >= contentLength {
				// Complete, as far as anyone has said. One byte more,
				// beside the buffer, saves doubling it to see the end.
				var probe [1]byte
				n, err := body.Read(probe[:])
				if n > 0 {
					buf = append(slices.Grow(buf, len(buf)+1), probe[0])
				}
				if done, err := readDone(buf, err, contentLength, limit); done {
					return buf, err
				}
				continue
			}
			grown := make([]byte, len(buf), min(int64(cap(buf))*readGrowth, contentLength))
			copy(grown, buf)
			buf = grown
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if done, err := readDone(buf, err, contentLength, limit); done {
			return buf, err
		}
	}
}

// readDone says whether reading is over after a Read that ended with err, and
// how it ended.
func readDone(buf []byte, err error, contentLength, limit int64) (bool, error) {
	n := int64(len(buf))
	switch {
	case n > limit:
		return true, ErrTooLarge
	case err == nil:
		return false, nil
	case err != io.EOF: //nolint:errorlint // the io.Reader contract: EOF is returned as it is
		return true, err
	case n < contentLength:
		return true, io.ErrUnexpectedEOF
	}
	return true, nil
}

// Body is a request body made of pieces of the client's bytes and of edits.
// It copies neither: the bytes that it was made from must not change as long
// as it is in use. A Body is immutable, and safe for concurrent use.
type Body struct {
	segments [][]byte // none is empty
	n        int64

	// inline backs segments for the usual handful of edits, so that a body
	// costs one allocation.
	inline [6][]byte
}

// Whole returns a body of the bytes of src, unchanged.
func Whole(src []byte) *Body {
	b := newBody()
	b.add(src)
	return b
}

func newBody() *Body {
	b := new(Body)
	b.segments = b.inline[:0]
	return b
}

func (b *Body) add(p []byte) {
	if len(p) == 0 {
		return
	}
	b.segments = append(b.segments, p)
	b.n += int64(len(p))
}

// Len returns the number of bytes, the Content-Length of the request.
func (b *Body) Len() int64 { return b.n }

// Bytes returns the body in one piece. The result must not be changed: it is
// the client's bytes themselves where there were no edits.
func (b *Body) Bytes() []byte {
	if len(b.segments) == 1 {
		return b.segments[0]
	}
	whole := make([]byte, 0, b.n)
	for _, s := range b.segments {
		whole = append(whole, s...)
	}
	return whole
}

// NewReader returns a reader over the body from its start, which is also an
// [io.WriterTo]. Readers are independent of each other: each attempt, and each
// replay of an attempt, takes its own, while an abandoned one may still be
// read by a transport. Close does nothing.
func (b *Body) NewReader() io.ReadCloser { return &bodyReader{rest: b.segments} }

type bodyReader struct {
	rest [][]byte // the segments that are not read to their end
	off  int      // into rest[0]
}

func (r *bodyReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && len(r.rest) > 0 {
		c := copy(p[n:], r.rest[0][r.off:])
		n += c
		r.advance(c)
	}
	return n, nil
}

func (r *bodyReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for len(r.rest) > 0 {
		piece := r.rest[0][r.off:]
		n, err := w.Write(piece)
		total += int64(n)
		r.advance(n)
		if err == nil && n < len(piece) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

func (r *bodyReader) Close() error { return nil }

func (r *bodyReader) advance(n int) {
	r.off += n
	if r.off == len(r.rest[0]) {
		r.rest, r.off = r.rest[1:], 0
	}
}

// splicer writes a body that is src with parts of it cut out and other bytes
// put in. Positions only go forward.
type splicer struct {
	src    []byte
	body   *Body
	copied int // everything before is either in body or cut
}

// cut takes src up to from, and leaves out what is between from and to.
func (s *splicer) cut(from, to int) {
	s.body.add(s.src[s.copied:from])
	s.copied = to
}

// put takes src up to at, and then p.
func (s *splicer) put(at int, p []byte) {
	s.cut(at, at)
	s.body.add(p)
}

func (s *splicer) finish() *Body {
	s.cut(len(s.src), len(s.src))
	return s.body
}
