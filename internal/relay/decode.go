package relay

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
)

type encoding uint8

const (
	codingUnknown encoding = iota
	codingNone
	codingGzip
	codingDeflate
)

// coding reads a Content-Encoding. A list of several is unknown: nobody sends
// one, and an opaque stream is still relayed as it is.
func coding(header string) encoding {
	header = strings.TrimSpace(header)
	switch {
	case header == "", strings.EqualFold(header, "identity"):
		return codingNone
	case strings.EqualFold(header, "gzip"), strings.EqualFold(header, "x-gzip"):
		return codingGzip
	case strings.EqualFold(header, "deflate"):
		return codingDeflate
	}
	return codingUnknown
}

// newReader starts to decode r. HTTP's "deflate" is the zlib format, but some
// servers send the bare one: the two bytes of zlib's header tell.
func (e encoding) newReader(r interface {
	io.Reader
	io.ByteScanner
}) (io.Reader, error) {
	if e == codingGzip {
		return gzip.NewReader(r)
	}
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	if err := r.UnreadByte(); err != nil {
		return nil, err
	}
	// The low half of zlib's first byte is 8 (deflate). A bare stream that starts so
	// would be a stored block of unusual padding, which no encoder writes.
	if first&0x0f == 8 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}

// decoder reads the decoded copy of a stream, for inspection alone. It takes the
// raw bytes out of the stream's buffer as it needs them, and never holds more of
// the decoded ones than a buffer, whatever they expand to.
//
// A nil decoder is that of a stream without an encoding.
type decoder struct {
	s      *Stream
	coding encoding
	r      io.Reader
	out    *buffer
	over   bool  // nothing more will be decoded
	err    error // why, unless the encoding came to its end
}

func newDecoder(s *Stream, c encoding) *decoder { return &decoder{s: s, coding: c} }

func (d *decoder) active() bool { return d != nil && !d.over }

func (d *decoder) failed() bool { return d != nil && d.err != nil }

// next decodes some bytes, reading from the body for them as often as it takes.
func (d *decoder) next() []byte {
	if d.r == nil {
		// Not in the constructor: the formats begin with a header, which is a read.
		r, err := d.coding.newReader(d)
		if err != nil {
			d.stop(err)
			return nil
		}
		d.r, d.out = r, buffers.Get().(*buffer)
	}
	n, err := d.r.Read(d.out[:])
	if err != nil {
		d.stop(err)
	}
	return d.out[:n]
}

// stop ends the decoding. The raw bytes behind it are relayed all the same: a
// client may know better than this decoder.
func (d *decoder) stop(err error) {
	d.over = true
	switch {
	case errors.Is(err, io.EOF) && d.r != nil: // complete
	case d.s.rerr != nil && !errors.Is(d.s.rerr, io.EOF) || d.s.werr != nil: // not its fault
	case errors.Is(err, io.EOF):
		d.err = io.ErrUnexpectedEOF
	default:
		d.err = fmt.Errorf("answer does not decode: %w", err)
	}
}

func (d *decoder) release() {
	if d != nil && d.out != nil {
		buffers.Put(d.out)
		d.out, d.r = nil, nil
	}
}

// Read and ReadByte hand raw bytes to the decompressor. They read from the body
// only when all that is there was taken. That a decompressor finds both methods
// is what keeps it from reading ahead on its own.
func (d *decoder) Read(p []byte) (int, error) {
	if err := d.more(); err != nil {
		return 0, err
	}
	n := copy(p, d.s.buf[d.s.pos:d.s.n])
	d.s.pos += n
	return n, nil
}

func (d *decoder) ReadByte() (byte, error) {
	if err := d.more(); err != nil {
		return 0, err
	}
	b := d.s.buf[d.s.pos]
	d.s.pos++
	return b, nil
}

func (d *decoder) UnreadByte() error {
	if d.s.pos == 0 {
		return bufio.ErrInvalidUnreadByte
	}
	d.s.pos--
	return nil
}

func (d *decoder) more() error {
	if d.s.pos < d.s.n {
		return nil
	}
	got := d.s.fill()
	switch {
	case len(got) > 0:
		d.s.progress()
		return nil
	case d.s.werr != nil:
		return d.s.werr
	default:
		return d.s.rerr
	}
}

// Why [Decode] has no decoded copy to give, where the data may be sound all the same.
var (
	ErrUnknownEncoding = errors.New("the encoding is not known here")
	ErrDecodedTooLong  = errors.New("the decoded answer is too long to inspect")
)

// Decode returns a decoded copy of data, for inspection. The error is
// [ErrUnknownEncoding], [ErrDecodedTooLong] where the copy would exceed limit bytes,
// or that of data that is not of its encoding, or incomplete. Without an encoding
// it returns data itself.
func Decode(data []byte, contentEncoding string, limit int64) ([]byte, error) {
	enc := coding(contentEncoding)
	switch enc {
	case codingNone:
		if int64(len(data)) > limit {
			return nil, ErrDecodedTooLong
		}
		return data, nil
	case codingUnknown:
		return nil, ErrUnknownEncoding
	}
	r, err := enc.newReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("answer does not decode: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case int64(len(out)) > limit:
		return nil, ErrDecodedTooLong
	case err != nil:
		return nil, fmt.Errorf("answer does not decode: %w", err)
	}
	return out, nil
}
