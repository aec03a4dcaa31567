package coding

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory of a zstd decoder (RFC 9659).
const maxWindow = 8 << 20

// Source is read by a decoder byte by byte: a decoder takes no byte before it needs
// it.
type Source interface {
	io.Reader
	io.ByteScanner
}

// Reader decodes a stream. It reads from its source only when its caller asks for
// bytes and no decoded ones are left. Decoding starts with the first Read: the
// formats begin with a header.
//
// A decoding error is a [*CorruptError] or [ErrTooLarge]. An error of the source
// comes through unchanged, but io.EOF in the midst of the data is a [*CorruptError].
type Reader struct {
	list   List
	src    *watched
	stages [maxCodings]stage
	inner  [maxCodings]*bufio.Reader // the source of each stage but the first
	n      int
	err    error
}

// NewReader returns a reader that decodes src. It reads ahead unless src is a
// [Source].
func (l List) NewReader(src io.Reader) *Reader {
	scanner, ok := src.(Source)
	if !ok {
		scanner = bufio.NewReader(src)
	}
	return &Reader{list: l, src: &watched{Source: scanner}}
}

// watched remembers the last error of a source. It is not the decoder's fault.
type watched struct {
	Source
	err error
}

// Read reads the source, and remembers its error.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Source.Read(p)
	w.note(err)
	return n, err
}

// ReadByte does the same for a byte.
func (w *watched) ReadByte() (byte, error) {
	b, err := w.Source.ReadByte()
	w.note(err)
	return b, err
}

// note keeps an error, which then counts as the source's.
func (w *watched) note(err error) {
	if err != nil {
		w.err = err
	}
}

// Read returns decoded bytes.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.list.Identity() {
		return r.src.Read(p)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := r.read(p)
	if err != nil {
		r.err = r.explain(err)
	}
	return n, r.err
}

// read opens the stages on its first call, so that a header's errors come from
// Read.
func (r *Reader) read(p []byte) (int, error) {
	// The coding applied last is taken off first.
	for r.n < r.list.n {
		var src Source = r.src
		if r.n > 0 {
			r.inner[r.n] = bufio.NewReader(r.stages[r.n-1])
			src = r.inner[r.n]
		}
		s, err := open(r.list.methods[r.list.n-1-r.n], src)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // a header is missing
			}
			return 0, err
		}
		r.stages[r.n] = s
		r.n++
	}
	n, err := r.stages[r.n-1].Read(p)
	// At the end of the last coding the others must end too.
	for i := r.n - 1; i > 0 && err == io.EOF; i-- { //nolint:errorlint // the io.Reader contract
		if _, err = r.inner[i].ReadByte(); err == nil {
			err = errTrailing
		}
	}
	return n, err
}

// errTrailing becomes a CorruptError: bytes after the end may hide another
// document.
var errTrailing = errors.New("data follows the end")

// explain tells the errors of the source from the errors of the coding.
func (r *Reader) explain(err error) error {
	switch {
	case err == io.EOF: //nolint:errorlint // the io.Reader contract: EOF is returned as it is
		return io.EOF
	case r.src.err != nil && !errors.Is(r.src.err, io.EOF):
		return r.src.err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrWindowSizeTooSmall), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return ErrTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &CorruptError{Err: io.ErrUnexpectedEOF}
	}
	return &CorruptError{Err: err}
}

// Close gives the decoders back. The reader must not be used any more.
// A second Close has nothing left to give back.
func (r *Reader) Close() error {
	for i := range r.n {
		r.stages[i].release()
		r.stages[i], r.inner[i] = nil, nil
	}
	r.n, r.err = 0, io.ErrClosedPipe
	return nil
}

// stage is a decoder of one coding.
type stage interface {
	io.Reader
	release()
}

// The pools hold decoders without a source: a pooled decoder must not keep the body
// of a finished request alive.
var (
	gzips  sync.Pool
	zlibs  sync.Pool
	flates sync.Pool
)

// open takes a decoder out of its pool, or makes one, and reads the header of the
// data. A decoder that fails on the header goes back at once.
func open(m method, src Source) (stage, error) {
	switch m {
	case gzipMethod:
		return openGzip(src)
	case zstdMethod:
		return openZstd(src)
	}
	// HTTP's "deflate" is the zlib format, but some servers send the bare one. The
	// low half of zlib's first byte is 8 (deflate). A bare stream with such a start
	// would be a stored block of unusual padding, and encoders do not write it.
	first, err := src.ReadByte()
	if err != nil {
		return nil, err
	}
	if err := src.UnreadByte(); err != nil {
		return nil, err
	}
	if first&0x0f == 8 {
		return openZlib(src)
	}
	return openFlate(src)
}

// gzipStage, zlibStage and flateStage come from a pool; zstdStage does not.
type gzipStage struct{ gzip.Reader }

// openGzip takes a pooled decoder. Opening reads the header.
func openGzip(src Source) (stage, error) {
	s, _ := gzips.Get().(*gzipStage)
	if s == nil {
		s = new(gzipStage)
	}
	if err := s.Reset(src); err != nil {
		gzips.Put(s)
		return nil, err
	}
	return s, nil
}

// release lets go of the source before the decoder goes back to the pool.
func (s *gzipStage) release() {
	_ = s.Reset(nothing{}) // its error is that nothing comes
	gzips.Put(s)
}

// zlibStage decodes HTTP's "deflate" as RFC 9110 means it: the zlib format of
// RFC 1950.
type zlibStage struct{ io.ReadCloser }

// openZlib takes a pooled decoder. Opening reads the header.
func openZlib(src Source) (stage, error) {
	s, _ := zlibs.Get().(*zlibStage)
	if s == nil {
		r, err := zlib.NewReader(src)
		if err != nil {
			return nil, err
		}
		return &zlibStage{r}, nil
	}
	if err := s.ReadCloser.(zlib.Resetter).Reset(src, nil); err != nil {
		zlibs.Put(s)
		return nil, err
	}
	return s, nil
}

// release lets go of the source, as gzipStage's.
func (s *zlibStage) release() {
	_ = s.ReadCloser.(zlib.Resetter).Reset(nothing{}, nil) // its error is that nothing comes
	zlibs.Put(s)
}

// flateStage decodes a bare deflate stream (RFC 1951), the other thing servers
// send as "deflate".
type flateStage struct{ io.ReadCloser }

// openFlate takes a pooled decoder. Raw deflate has no header to read.
func openFlate(src Source) (stage, error) {
	s, _ := flates.Get().(*flateStage)
	if s == nil {
		return &flateStage{flate.NewReader(src)}, nil
	}
	return s, s.ReadCloser.(flate.Resetter).Reset(src, nil)
}

// release lets go of the source, as gzipStage's.
func (s *flateStage) release() {
	_ = s.ReadCloser.(flate.Resetter).Reset(nothing{}, nil)
	flates.Put(s)
}

// zstdStage decodes zstd (RFC 8878).
type zstdStage struct{ *zstd.Decoder }

// openZstd makes a decoder for each stream. It holds a channel, which testing/synctest
// binds to the bubble that made it: a pool would carry it into another one.
func openZstd(src Source) (stage, error) {
	// A frame is required: the decoder takes an empty source for an empty answer.
	if _, err := src.ReadByte(); err != nil {
		return nil, err
	}
	if err := src.UnreadByte(); err != nil {
		return nil, err
	}
	// A concurrency of 1 decodes in the caller's goroutine, without reading ahead.
	d, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return zstdStage{d}, nil
}

// release frees the decoder. It goes to no pool: see openZstd.
func (s zstdStage) release() { s.Close() }

// nothing is the source of a decoder in a pool.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

func (nothing) ReadByte() (byte, error) { return 0, io.EOF }
