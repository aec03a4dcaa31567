package relay

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/aigateway-go/aigateway/internal/coding"
)

// maxBlank is how much blank space may stand before an event stream, in bytes.
const maxBlank = 64

// looksLikeEvents reports whether an answer begins like an event stream, by its
// first bytes, and whether these are enough to be sure. JSON and HTML never begin
// like one. The Content-Type does not matter: servers label streams as anything.
//
// A field must stand at the start, behind blank lines only: "data:" anywhere else
// is text.
func looksLikeEvents(front []byte) (yes, sure bool) {
	if mark := []byte("\ufeff"); len(front) < len(mark) && bytes.HasPrefix(mark, front) {
		return false, false
	}
	text := trimBlankLines(bytes.TrimPrefix(front, []byte("\ufeff")))
	if len(bytes.TrimLeft(text, " \t")) == 0 {
		return false, len(front) > maxBlank
	}
	sure = true
	for _, field := range []string{"data:", "event:", "id:", "retry:", "error:", ":"} {
		switch {
		case bytes.HasPrefix(text, []byte(field)):
			return true, true
		case strings.HasPrefix(field, string(text)):
			sure = false
		}
	}
	return false, sure
}

// trimBlankLines cuts off the lines at the front that hold nothing but blanks. Such lines
// keep a connection open, before JSON as well.
func trimBlankLines(text []byte) []byte {
	for {
		text = bytes.TrimLeft(text, "\r\n")
		rest := bytes.TrimLeft(text, " \t")
		if len(rest) == len(text) || len(rest) == 0 || rest[0] != '\r' && rest[0] != '\n' {
			return text
		}
		text = rest
	}
}

// Front reads the front of an answer's body, and then gives all of the body from its
// start. It is an [io.Reader] of it, or goes into [Options.Front]. The zero Front is ready
// for one body.
type Front struct {
	body  io.Reader
	front []byte       // backed by small, until it grows beyond
	small *smallBuffer // nil once it was given on
	at    int          // bytes of front that were read
	err   error        // came with the front
}

// PeekEvents reads the front of body until the kind of the answer is clear: an event
// stream or another one. A gzip, deflate or zstd answer is read through a decoder. Any
// other encoding is not an event stream here. The error is body's own.
func (f *Front) PeekEvents(body io.Reader, contentEncoding string) (events bool, err error) {
	f.body = body
	list, unknown := coding.Parse(contentEncoding)
	if unknown != nil {
		return false, nil
	}
	defer func() { f.at = 0 }()
	f.small = smallBuffers.Get().(*smallBuffer)
	f.front = f.small[:0]
	if list.Identity() {
		return f.peekPlain()
	}
	r := list.NewReader((*peeker)(f))
	defer r.Close()
	var front [maxBlank + 1]byte
	n, empty := 0, 0
	for n < len(front) && empty < maxEmptyReads {
		m, err := r.Read(front[n:])
		n += m
		yes, sure := looksLikeEvents(front[:n])
		if sure || err != nil {
			if f.err != nil && !errors.Is(f.err, io.EOF) {
				return false, f.err
			}
			return yes, nil
		}
		empty++
		if m > 0 {
			empty = 0
		}
	}
	return false, nil
}

// peekPlain looks at the bytes themselves, in the place where they are kept.
func (f *Front) peekPlain() (events bool, err error) {
	for len(f.front) <= maxBlank {
		f.at = len(f.front)
		err := f.fill()
		yes, sure := looksLikeEvents(f.front)
		switch {
		case sure || err != nil && errors.Is(err, io.EOF), errors.Is(err, io.ErrNoProgress):
			return yes, nil
		case err != nil:
			return false, err
		}
	}
	return false, nil
}

// fill reads until there is an unread byte. A reader that returns nothing a hundred
// times is given up, as in bufio.
func (f *Front) fill() error {
	for range maxEmptyReads {
		if f.at < len(f.front) {
			return nil
		}
		if f.err != nil {
			return f.err
		}
		if len(f.front) == cap(f.front) {
			f.front = append(f.front, 0)[:len(f.front)]
		}
		n, err := f.body.Read(f.front[len(f.front):cap(f.front)])
		f.front = f.front[:len(f.front)+n]
		f.err = err
	}
	return io.ErrNoProgress
}

// Read gives the front first. It joins the front with no further byte, so a
// first event goes on at once.
func (f *Front) Read(b []byte) (int, error) {
	if f.at < len(f.front) {
		n := copy(b, f.front[f.at:])
		f.at += n
		return n, nil
	}
	f.Release()
	if f.err != nil {
		return 0, f.err
	}
	return f.body.Read(b)
}

// Release gives the memory of the front back. Bytes that were not read are lost.
func (f *Front) Release() {
	if f.small != nil {
		smallBuffers.Put(f.small)
	}
	f.small, f.front, f.at = nil, nil, 0
}

// fits reports whether the front lies in a buffer as a stream has it, unread.
func (f *Front) fits() bool { return f.small != nil && f.at == 0 && cap(f.front) == smallSize }

// give gives a front on that fits, with its memory and the error that came with it.
func (f *Front) give() (small *smallBuffer, n int, err error) {
	small, n = f.small, len(f.front)
	f.small, f.front = nil, nil
	return small, n, f.err
}

// peeker is the body for a decoder, which reads no further than it must: it implements
// [io.ByteReader]. The bytes are kept, to be given once more.
type peeker Front

// Read gives kept bytes before new ones.
func (p *peeker) Read(b []byte) (int, error) {
	if err := (*Front)(p).fill(); err != nil {
		return 0, err
	}
	n := copy(b, p.front[p.at:])
	p.at += n
	return n, nil
}

// ReadByte and UnreadByte keep a decompressor from reading ahead.
func (p *peeker) ReadByte() (byte, error) {
	if err := (*Front)(p).fill(); err != nil {
		return 0, err
	}
	p.at++
	return p.front[p.at-1], nil
}

// UnreadByte takes back the byte of the last ReadByte.
func (p *peeker) UnreadByte() error {
	p.at--
	return nil
}
