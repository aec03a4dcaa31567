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

// LooksLikeEvents reports whether an answer begins like an event stream, by its
// first bytes, and whether these are enough to be sure. JSON and HTML never begin
// like one. The Content-Type does not matter: servers label streams as anything.
//
// A field must stand at the start, behind line ends only: "data:" anywhere else
// is text.
func LooksLikeEvents(front []byte) (yes, sure bool) {
	if mark := []byte("\ufeff"); len(front) < len(mark) && bytes.HasPrefix(mark, front) {
		return false, false
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(front, []byte("\ufeff")), "\r\n")
	if len(text) == 0 {
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

// PeekEvents reads the front of body until the kind of the answer is clear. rest
// gives all of body from its start. A gzip, deflate or zstd answer is read through
// a decoder. Any other encoding is not an event stream here. The error is body's
// own.
func PeekEvents(body io.Reader, contentEncoding string) (events bool, rest io.Reader, err error) {
	list, unknown := coding.Parse(contentEncoding)
	if unknown != nil {
		return false, body, nil
	}
	p := &peeker{body: body}
	p.front = p.room[:0]
	if list.Identity() {
		return p.peekPlain()
	}
	r := list.NewReader(p)
	defer r.Close()
	var front [maxBlank + 1]byte
	n, empty := 0, 0
	for n < len(front) && empty < maxEmptyReads {
		m, err := r.Read(front[n:])
		n += m
		yes, sure := LooksLikeEvents(front[:n])
		if sure || err != nil {
			if p.err != nil && !errors.Is(p.err, io.EOF) {
				return false, p.rest(), p.err
			}
			return yes, p.rest(), nil
		}
		empty++
		if m > 0 {
			empty = 0
		}
	}
	return false, p.rest(), nil
}

// peekPlain looks at the bytes themselves, in the place where they are kept.
func (p *peeker) peekPlain() (events bool, rest io.Reader, err error) {
	for len(p.front) <= maxBlank {
		p.at = len(p.front)
		err := p.fill()
		yes, sure := LooksLikeEvents(p.front)
		switch {
		case sure || err != nil && errors.Is(err, io.EOF), errors.Is(err, io.ErrNoProgress):
			return yes, p.rest(), nil
		case err != nil:
			return false, p.rest(), err
		}
	}
	return false, p.rest(), nil
}

// peeker keeps the bytes read from a body, to give them once more. A decoder does
// not read ahead of it.
//
// It implements io.ByteReader for decompressors. The front is small, as the
// first few bytes tell the kind.
type peeker struct {
	body  io.Reader
	front []byte // backed by room, until it grows beyond
	at    int
	err   error
	room  [512]byte
}

// fill reads until there is an unread byte. A reader that returns nothing a hundred
// times is given up, as in bufio.
func (p *peeker) fill() error {
	for range maxEmptyReads {
		if p.at < len(p.front) {
			return nil
		}
		if p.err != nil {
			return p.err
		}
		if len(p.front) == cap(p.front) {
			p.front = append(p.front, 0)[:len(p.front)]
		}
		n, err := p.body.Read(p.front[len(p.front):cap(p.front)])
		p.front = p.front[:len(p.front)+n]
		p.err = err
	}
	return io.ErrNoProgress
}

// Read gives kept bytes before new ones.
func (p *peeker) Read(b []byte) (int, error) {
	if err := p.fill(); err != nil {
		return 0, err
	}
	n := copy(b, p.front[p.at:])
	p.at += n
	return n, nil
}

// ReadByte and UnreadByte keep a decompressor from reading ahead.
func (p *peeker) ReadByte() (byte, error) {
	if err := p.fill(); err != nil {
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

// rest returns the whole body.
func (p *peeker) rest() io.Reader {
	p.at = 0
	return (*restReader)(p)
}

// restReader reads a body after its front, and returns the error that may have come
// with the front.
type restReader peeker

// Read gives the front first. It joins the front with no further byte, so a
// first event goes on at once.
func (r *restReader) Read(b []byte) (int, error) {
	if r.at < len(r.front) {
		n := copy(b, r.front[r.at:])
		r.at += n
		return n, nil
	}
	if r.err != nil {
		return 0, r.err
	}
	return r.body.Read(b)
}
