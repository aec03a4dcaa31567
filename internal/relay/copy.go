package relay

import (
	"bufio"
	"errors"
	"io"

	"github.com/aigateway-go/aigateway/internal/coding"
	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// CopyRest writes to w the rest of body, each read as it comes. It calls flush,
// unless nil, after each write and progress, unless nil, after each read. It
// returns nil at the body's clean end, a [*WriteError] when the client is gone, and
// the body's own error otherwise. Nothing tells whether the end is a true one: see
// [CopyJSON].
func CopyRest(w io.Writer, flush func() error, body io.Reader, progress func()) error {
	s := NewStream(body, Options{})
	defer s.Recycle()
	if progress != nil {
		s.o.Progress = func(Phase) { progress() }
	}
	err := s.Relay(w, flush)
	if errors.Is(err, ErrCut) {
		return nil // nothing was left
	}
	return err
}

// ErrNotWhole reports a JSON answer whose document did not end where the body
// ended: before its end, or with something behind it.
var ErrNotWhole = errors.New("answer ended before its JSON document did")

// JSONCopy says how [CopyJSON] carries an answer.
type JSONCopy struct {
	// Held is the front of the answer, already read from the body.
	Held []byte
	// Encoding is the Content-Encoding. Gzip, deflate and zstd are followed through
	// a decoder of a copy. An answer in another encoding is not followed.
	Encoding string
	// Flush, unless nil, is called after each write.
	Flush func() error
	// Progress, unless nil, is called after each read.
	Progress func()
	// Usage, unless nil, is called at the end with the object under the top-level
	// name usage, if the document has one. It must not keep it.
	Usage func(value []byte)
	// ID, unless nil, is called with the string under the top-level name id, as it
	// stands between its quotes, before the last bytes go out. It must not keep it.
	ID func(raw []byte)
	// Digest, unless nil, is called with the whole document without its long strings,
	// before the last bytes go out. It must not keep it. A document of many numbers has
	// none.
	Digest func(doc []byte)
}

// CopyJSON writes to w a JSON answer that is too large to be held, and follows the
// document to its end. Each read goes out when the next one came: the last one is
// kept back until the document's end was seen. So a broken answer never fills its
// Content-Length. It returns nil for a whole document, and else [ErrNotWhole], a
// [*WriteError], or the body's own error. The bytes of a whole answer are all
// written.
func CopyJSON(w io.Writer, body io.Reader, o JSONCopy) error {
	list, err := coding.Parse(o.Encoding)
	if err != nil {
		return copyUnknown(w, body, o)
	}
	c := &jsonCopier{w: w, body: body, o: o, kept: o.Held, follow: jsonscan.Follower{Member: "usage"}}
	if o.ID != nil {
		c.follow.TextMember = "id"
	}
	c.encoded = !list.Identity()
	defer c.release()
	if c.encoded {
		err = c.decode(list)
	} else {
		err = c.plain()
	}
	if err == nil && o.Usage != nil {
		if usage := c.follow.Value(); len(usage) > 0 {
			o.Usage(usage)
		}
	}
	return err
}

// copyUnknown copies an answer in an unknown encoding. Its end is the end of the
// body.
// The client may understand it.
func copyUnknown(w io.Writer, body io.Reader, o JSONCopy) error {
	if len(o.Held) > 0 {
		if err := write(w, o.Held, o.Flush); err != nil {
			return err
		}
	}
	return CopyRest(w, o.Flush, body, o.Progress)
}

// write writes all of b and flushes. Its error is a [*WriteError].
// A short write without an error is one too.
func write(w io.Writer, b []byte, flush func() error) error {
	n, err := w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err == nil && flush != nil {
		err = flush()
	}
	if err != nil {
		return &WriteError{Err: err}
	}
	return nil
}

// jsonCopier reads a body, and writes each read when the next one came. It is the
// source of a decoder, or followed directly. Two buffers take turns: the kept read
// must survive the next.
type jsonCopier struct {
	w    io.Writer
	body io.Reader
	o    JSONCopy

	follow  jsonscan.Follower
	digest  jsonscan.Digest
	encoded bool
	kept    []byte // the latest read, not written yet
	pos     int    // bytes of kept that the decoder has taken
	room    [2]*buffer
	turn    int // the buffer of the next read
	err     error
}

// plain follows the bytes themselves.
// A body that goes on behind the whole document is broken, unless it is white
// space.
func (c *jsonCopier) plain() error {
	for {
		c.see(c.kept)
		if c.follow.Broken() {
			return ErrNotWhole
		}
		if c.follow.Ended() {
			c.tell()
			// The client has waited for these bytes, and more may never come.
			if err := c.writeKept(); err != nil {
				return err
			}
		}
		switch err := c.next(); {
		case err == io.EOF: //nolint:errorlint // the io.Reader contract: EOF is returned as it is
			if !c.follow.Ended() {
				return ErrNotWhole
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// see follows a piece of the document. The id is told as soon as it is known.
func (c *jsonCopier) see(piece []byte) {
	c.follow.Follow(piece)
	if c.o.Digest != nil {
		c.digest.Add(piece)
	}
	if c.o.ID == nil {
		return
	}
	if id := c.follow.Text(); id != nil {
		c.o.ID(id)
		c.o.ID = nil
	}
}

// tell tells the digest, once.
func (c *jsonCopier) tell() {
	if c.o.Digest == nil {
		return
	}
	if doc := c.digest.Document(); len(doc) > 0 {
		c.o.Digest(doc)
	}
	c.o.Digest = nil
}

// decode follows the decoded copy. The last read is kept back to the end of the
// encoding.
//
// The decoder takes its bytes by Read and ReadByte below. Each read of the body
// happens there, and writes the one before it.
func (c *jsonCopier) decode(list coding.List) error {
	r := list.NewReader(c)
	defer r.Close()
	out := buffers.Get().(*buffer)
	defer buffers.Put(out)
	for {
		n, err := r.Read(out[:])
		c.see(out[:n])
		switch {
		case c.follow.Broken():
			return ErrNotWhole
		case err == nil:
			continue
		case err != io.EOF: //nolint:errorlint // the io.Reader contract: EOF is returned as it is
			var corrupt *coding.CorruptError
			if errors.As(err, &corrupt) || errors.Is(err, coding.ErrTooLarge) {
				return ErrNotWhole
			}
			return err
		case !c.follow.Ended():
			return ErrNotWhole
		}
		c.tell()
		// The bytes behind the encoding's end, if any, are relayed unseen.
		for err = nil; err == nil; err = c.next() {
			c.pos = len(c.kept)
		}
		if err != io.EOF { //nolint:errorlint // likewise
			return err
		}
		return c.writeKept()
	}
}

// next reads once, and then writes the read before it. An error that came with
// bytes is kept for the next call: the bytes count first.
func (c *jsonCopier) next() error {
	if c.err != nil {
		return c.err
	}
	if c.room[c.turn] == nil {
		c.room[c.turn] = buffers.Get().(*buffer)
	}
	into := c.room[c.turn][:]
	for range maxEmptyReads {
		n, err := c.body.Read(into)
		if n > 0 {
			if c.o.Progress != nil {
				c.o.Progress()
			}
			if werr := c.writeKept(); werr != nil {
				c.err = werr
				return werr
			}
			c.kept, c.pos, c.err = into[:n], 0, err
			c.turn = 1 - c.turn
			return nil
		}
		if err != nil {
			c.err = err
			return err
		}
	}
	c.err = io.ErrNoProgress
	return c.err
}

// writeKept writes the read that was kept back.
// What was written is gone from kept, so that the decoder cannot read it twice.
func (c *jsonCopier) writeKept() error {
	if len(c.kept) == 0 {
		return nil
	}
	kept := c.kept
	c.kept, c.pos = nil, 0
	return write(c.w, kept, c.o.Flush)
}

// release gives the buffers back to their pool.
func (c *jsonCopier) release() {
	for i, b := range c.room {
		if b != nil {
			buffers.Put(b)
			c.room[i] = nil
		}
	}
}

// Read hands raw bytes to a decoder.
func (c *jsonCopier) Read(p []byte) (int, error) {
	if err := c.more(); err != nil {
		return 0, err
	}
	n := copy(p, c.kept[c.pos:])
	c.pos += n
	return n, nil
}

// ReadByte hands one raw byte to a decoder.
func (c *jsonCopier) ReadByte() (byte, error) {
	if err := c.more(); err != nil {
		return 0, err
	}
	c.pos++
	return c.kept[c.pos-1], nil
}

// UnreadByte takes one ReadByte back.
func (c *jsonCopier) UnreadByte() error {
	if c.pos == 0 {
		return bufio.ErrInvalidUnreadByte
	}
	c.pos--
	return nil
}

// more makes sure that a kept byte is left to read.
func (c *jsonCopier) more() error {
	if c.pos < len(c.kept) {
		return nil
	}
	return c.next()
}
