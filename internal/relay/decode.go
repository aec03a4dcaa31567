package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/aigateway-go/aigateway/internal/coding"
)

// decoder reads the decoded copy of a stream, for inspection. It takes the raw
// bytes out of the stream's buffer as it needs them. Of the decoded bytes it holds
// at most one buffer, however far they expand.
//
// A nil decoder is that of a stream without an encoding.
type decoder struct {
	s    *Stream
	r    *coding.Reader
	out  *buffer
	over bool  // nothing more will be decoded
	err  error // why, unless the encoding came to its end
}

// newDecoder makes a decoder for codings in the order of Content-Encoding.
func newDecoder(s *Stream, list coding.List) *decoder {
	d := &decoder{s: s}
	d.r = list.NewReader(d)
	return d
}

// active reports whether decoded bytes may still come.
func (d *decoder) active() bool { return d != nil && !d.over }

// failed reports whether the answer is not of its encoding, or ended within it.
func (d *decoder) failed() bool { return d != nil && d.err != nil }

// next decodes some bytes. It reads from the body as often as they take.
func (d *decoder) next() []byte {
	if d.out == nil {
		d.out = buffers.Get().(*buffer)
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
	var corrupt *coding.CorruptError
	switch {
	case err == io.EOF: //nolint:errorlint // the io.Reader contract: EOF is returned as it is
	case d.s.rerr != nil && !errors.Is(d.s.rerr, io.EOF) || d.s.werr != nil: // not its fault
	case errors.Is(err, io.ErrUnexpectedEOF):
		d.err = io.ErrUnexpectedEOF
	case errors.As(err, &corrupt):
		d.err = fmt.Errorf("answer does not decode: %w", corrupt.Err)
	default:
		d.err = fmt.Errorf("answer does not decode: %w", err)
	}
}

// release gives the buffer and the decompressor back. The stream may still be relayed.
func (d *decoder) release() {
	if d == nil {
		return
	}
	if d.out != nil {
		buffers.Put(d.out)
		d.out = nil
	}
	d.r.Close()
	d.over = true
}

// Read and ReadByte hand raw bytes to the decompressor. They read from the body
// only when all its bytes so far were taken. Both methods are there so that a
// decompressor does not read ahead.
func (d *decoder) Read(p []byte) (int, error) {
	if err := d.more(); err != nil {
		return 0, err
	}
	n := copy(p, d.s.buf[d.s.pos:d.s.n])
	d.s.pos += n
	return n, nil
}

// ReadByte is described at Read.
func (d *decoder) ReadByte() (byte, error) {
	if err := d.more(); err != nil {
		return 0, err
	}
	b := d.s.buf[d.s.pos]
	d.s.pos++
	return b, nil
}

// UnreadByte takes one ReadByte back.
func (d *decoder) UnreadByte() error {
	if d.s.pos == 0 {
		return bufio.ErrInvalidUnreadByte
	}
	d.s.pos--
	return nil
}

// more makes sure that a byte is left to read. It is the only place that waits for
// the body.
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

// Reasons why [Decode] has no decoded copy to give. The data may be sound all the
// same.
var (
	ErrUnknownEncoding = errors.New("the encoding is not known here")
	ErrDecodedTooLong  = errors.New("the decoded answer is too long to inspect")
)

// Decode returns a decoded copy of data, for inspection. The error is
// [ErrUnknownEncoding], [ErrDecodedTooLong] for a copy over limit bytes, or tells
// of data that is incomplete or not of its encoding. Without an encoding Decode
// returns data itself.
func Decode(data []byte, contentEncoding string, limit int64) ([]byte, error) {
	list, err := coding.Parse(contentEncoding)
	if err != nil {
		return nil, ErrUnknownEncoding
	}
	out, err := list.Decode(data, limit)
	if err == nil {
		return out, nil
	}
	var corrupt *coding.CorruptError
	if errors.As(err, &corrupt) {
		return nil, fmt.Errorf("answer does not decode: %w", corrupt.Err)
	}
	return nil, ErrDecodedTooLong
}
