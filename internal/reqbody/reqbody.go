// Package reqbody reads the body of a client's request, finds the top-level fields
// for routing, and splices edits into it.
//
// A body is never decoded and encoded again. The client's own bytes go upstream,
// with the edited values in their place: key order, number text, white space and
// unknown fields survive. [Scan] reads a JSON object into a [Document], [ScanForm]
// a multipart form into a [Form]. Both have the same methods and take the same
// [Edit]s. A caller decides once and need not know the kind.
//
// Bodies are not trusted, and the upstream has a parser of its own. Two parsers
// could disagree on the model of a body: by a repeated key, a key in other case, a
// boundary inside a value. Such a body is refused.
//
// # Files
//
// scan.go and document.go are for JSON, scanform.go and form.go for forms. splice.go
// puts edits into either. facts.go reads the facts of req.ai out of a body, and batch.go the
// requests of a batch. reqbody.go reads the bytes of a request and holds them as a
// [Body].
package reqbody

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrTooLarge is returned by [Read] for a body of more bytes than its limit.
var ErrTooLarge = errors.New("request body is too large")

// maxMembers bounds the top-level members of an object, the parts of a form
// and the entries of a list of models. Real requests have some tens of each.
const maxMembers = 10_000

// SyntaxError reports a body that cannot be read. Its text is for the client.
type SyntaxError struct {
	Format string // "JSON" or "form"
	Offset int64  // of the first bad byte, counted from 0
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid %s at byte %d: %s", e.Format, e.Offset, e.Msg)
}

// InvalidError reports a well-formed body with a field that cannot be used or is
// ambiguous. Its text is for the client.
type InvalidError struct {
	Name string // the field's name as the client wrote it, empty for the whole body
	Msg  string // the whole message, the name included
}

func (e *InvalidError) Error() string { return e.Msg }

// readAhead is the most that Read allocates on the word of a Content-Length, in
// bytes. Beyond it, memory follows the bytes that came: readGrowth times as much.
// Of a body of 4 MB a fourth is copied once. Doubling would copy three.
const (
	readAhead  = 1 << 20
	readGrowth = 4
)

// Read reads body to its end. It returns [ErrTooLarge] for more than limit bytes,
// without reading anything if contentLength already says so, and
// [io.ErrUnexpectedEOF] if body ends before contentLength bytes. A negative
// contentLength is unknown. Bytes beyond contentLength are read like any other:
// middleware has replaced the body, and its length is counted anew. A nil body is
// empty.
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
				// Complete by its announced length. One byte beside the buffer
				// finds the end without doubling it.
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

// readDone says whether reading is over after a Read with the result err, and how
// it ended.
//
// The limit is checked first: a body over it is too large whatever came with the
// last bytes.
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
// It copies neither: those bytes must not change while it is in use. A Body is
// immutable, and safe for concurrent use.
type Body struct {
	segments [][]byte // without empty ones
	n        int64

	// inline backs segments for the usual handful of edits: a body costs one
	// allocation.
	inline [6][]byte
	room   [48]byte // likewise for a short field that is added

	// first is the reader that NewReader returns first, as nearly all bodies are read
	// once. taken says that it did.
	first bytes.Reader
	taken atomic.Bool

	loan *Loan // nil: the bytes may be read for ever
}

// Loan is the time for which the bytes of a [Body] may be read, if they belong to
// somebody else. A transport may still send a body after its call has failed, or after an
// answer that came early. The zero Loan is open.
type Loan struct {
	mu   sync.RWMutex // held for reading while the bytes are read
	over bool
}

// errLoanOver ends a transport's reading of a body after its request.
var errLoanOver = errors.New("the request is over, and its body has gone back to its owner")

// End ends the reading of all bodies of the loan. It waits for a read under way. One that
// writes to a connection ends with the connection at the latest.
func (l *Loan) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

// begin lets a read begin, unless the loan is over. The caller calls end after it. A nil
// Loan is never over.
func (l *Loan) begin() error {
	if l == nil {
		return nil
	}
	l.mu.RLock()
	if l.over {
		l.mu.RUnlock()
		return errLoanOver
	}
	return nil
}

// end is the counterpart of begin.
func (l *Loan) end() {
	if l != nil {
		l.mu.RUnlock()
	}
}

// Within binds the body to a loan, and returns it. It is called before the first reader
// is made.
func (b *Body) Within(l *Loan) *Body {
	b.loan = l
	return b
}

// Whole returns a body of the bytes of src, unchanged.
func Whole(src []byte) *Body {
	b := newBody()
	b.add(src)
	return b
}

// newBody makes an empty Body. Its first segments need no further allocation.
func newBody() *Body {
	b := new(Body)
	b.segments = b.inline[:0]
	return b
}

// add appends a segment without copying it. p must not be changed afterwards.
func (b *Body) add(p []byte) {
	if len(p) == 0 {
		return
	}
	b.segments = append(b.segments, p)
	b.n += int64(len(p))
}

// Len returns the number of bytes, the Content-Length of the request.
func (b *Body) Len() int64 { return b.n }

// Bytes returns the body in one piece. The result must not be changed: without
// edits it is the client's bytes themselves.
func (b *Body) Bytes() []byte {
	switch len(b.segments) {
	case 0:
		return nil
	case 1:
		return b.segments[0]
	}
	whole := make([]byte, 0, b.n)
	for _, s := range b.segments {
		whole = append(whole, s...)
	}
	return whole
}

// joinLimit bounds a body in several pieces that is read as one, in bytes. Copying
// it takes less time than a system call.
const joinLimit = 16 << 10

// NewReader returns a reader over the body from its start. It is also an
// [io.WriterTo]. Readers are independent of each other: each attempt, and each
// replay of an attempt, takes its own, while a transport may still read an
// abandoned one. Close does nothing.
//
// A small body has a reader that net/http knows to be in memory, and sends along with
// the head of the request. The reader of a larger one tells its Len: package dial has
// its bytes written from where they lie, where net/http would copy them through a buffer.
func (b *Body) NewReader() io.ReadCloser {
	if b.n <= joinLimit && b.loan == nil {
		if b.taken.CompareAndSwap(false, true) {
			b.first.Reset(b.Bytes())
			return io.NopCloser(&b.first)
		}
		return io.NopCloser(bytes.NewReader(b.Bytes()))
	}
	return &bodyReader{rest: b.segments, n: b.n, loan: b.loan}
}

// bodyReader reads the segments of a Body, and changes nothing in it.
type bodyReader struct {
	rest [][]byte // the unread segments, the first perhaps in part
	off  int      // into rest[0]
	n    int64    // unread bytes
	loan *Loan
}

// Len is the number of unread bytes.
func (r *bodyReader) Len() int64 { return r.n }

// Read copies from as many segments as p has room for.
func (r *bodyReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if err := r.loan.begin(); err != nil {
		return 0, err
	}
	defer r.loan.end()
	n := 0
	for n < len(p) && len(r.rest) > 0 {
		c := copy(p[n:], r.rest[0][r.off:])
		n += c
		r.advance(c)
	}
	return n, nil
}

// WriteTo spares a copy: the segments are written as they lie in memory, and to a
// connection all in one call of the system.
func (r *bodyReader) WriteTo(w io.Writer) (total int64, err error) {
	if r.n == 0 {
		return 0, nil
	}
	if err := r.loan.begin(); err != nil {
		return 0, err
	}
	defer r.loan.end()
	switch {
	case len(r.rest) == 1:
		var n int
		n, err = w.Write(r.rest[0][r.off:])
		total = int64(n)
	default:
		pieces := net.Buffers(slices.Clone(r.rest)) // WriteTo changes them
		pieces[0] = pieces[0][r.off:]
		total, err = pieces.WriteTo(w)
	}
	for left := total; left > 0; {
		n := min(left, int64(len(r.rest[0])-r.off))
		r.advance(int(n))
		left -= n
	}
	if err == nil && r.n > 0 {
		err = io.ErrShortWrite
	}
	return total, err
}

// Close has nothing to give back: the bytes belong to the Body.
func (r *bodyReader) Close() error { return nil }

// advance moves on by n bytes of the first unread segment.
func (r *bodyReader) advance(n int) {
	r.off += n
	r.n -= int64(n)
	if r.off == len(r.rest[0]) {
		r.rest, r.off = r.rest[1:], 0
	}
}

// splicer writes a body from src, with parts cut out and other bytes put in.
// Positions only go forward.
type splicer struct {
	src    []byte
	body   *Body
	copied int // earlier bytes are either in body or cut
}

// cut takes src up to from, and leaves out the bytes up to to.
//
// from must not lie before the end of the last cut.
func (s *splicer) cut(from, to int) {
	s.body.add(s.src[s.copied:from])
	s.copied = to
}

// put takes src up to at, and then p.
func (s *splicer) put(at int, p []byte) {
	s.cut(at, at)
	s.body.add(p)
}

// finish takes the rest of src.
func (s *splicer) finish() *Body {
	s.cut(len(s.src), len(s.src))
	return s.body
}
