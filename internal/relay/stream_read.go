package relay

import (
	"encoding/json"
	"io"
)

const (
	// minRead is the least room that a read is offered while an answer is held.
	minRead = 4 << 10
	// maxTrailing bounds the bytes relayed after the End: an upstream that goes on
	// for ever must not keep the request alive.
	maxTrailing = 64 << 10
	// maxEmptyReads is how often a reader may return nothing before it is broken.
	maxEmptyReads = 100
)

// step reads once and inspects the bytes.
//
// A read may bring more decoded bytes than one step takes. Later steps take the
// rest before they read again.
func (s *Stream) step() {
	if s.decode.active() {
		if chunk := s.decode.next(); len(chunk) > 0 {
			s.inspect(chunk)
			s.progress()
		}
		if s.rerr != nil && !s.decode.active() {
			s.finish()
		}
		return
	}
	if chunk := s.fill(); len(chunk) > 0 {
		switch {
		case s.opaque:
			s.content = true
		case s.decode == nil:
			s.inspect(chunk)
		}
		s.progress()
	}
	if s.rerr != nil {
		s.finish()
	}
}

// fill reads once from the body, behind the held bytes. While relaying, earlier
// bytes go out first: no byte waits for the one after it.
//
// It reads into buf behind what is held. The result aliases buf, and is valid
// until the next call.
func (s *Stream) fill() []byte {
	if s.relaying {
		s.forward()
		if s.werr == nil {
			s.compact()
		}
	}
	if s.rerr != nil || s.werr != nil {
		return nil
	}
	if f := s.o.Front; f != nil {
		s.o.Front = nil
		s.small, s.n, s.rerr = f.give()
		s.buf, s.filled = s.small[:], s.n == smallSize
		if s.n > 0 || s.rerr != nil {
			return s.buf[:s.n]
		}
	}
	s.room()
	for range maxEmptyReads {
		n, err := s.body.Read(s.buf[s.n:])
		chunk := s.buf[s.n : s.n+n]
		s.n += n
		s.filled = s.n == len(s.buf)
		s.rerr = err
		if s.ended {
			s.trailing += n
		}
		if n > 0 || err != nil {
			return chunk
		}
	}
	s.rerr = io.ErrNoProgress
	return nil
}

// compact drops the written bytes from buf.
func (s *Stream) compact() {
	if s.edit.on {
		s.edit.compact(s)
		return
	}
	s.n, s.out, s.pos = 0, 0, 0
}

// room makes sure that buf can take another read.
//
// A stream goes from a small pooled buffer to a large one, and to memory of its
// own only for a long hold.
func (s *Stream) room() {
	held := s.buf[:s.n]
	switch {
	case s.n == 0 && s.small == nil && s.pooled == nil && !s.filled:
		// The start, or the end of a long hold. The grown buffer is left to the
		// collector: the rest of the stream needs a pooled one.
		s.small = smallBuffers.Get().(*smallBuffer)
		s.buf = s.small[:]
	case s.n == 0 && s.pooled == nil && s.filled, s.small != nil && len(s.buf)-s.n < minRead:
		larger := buffers.Get().(*buffer)
		copy(larger[:], held)
		s.dropBuffer()
		s.pooled, s.buf = larger, larger[:]
	case len(s.buf)-s.n < minRead:
		grown := make([]byte, 2*len(s.buf))
		copy(grown, held)
		s.dropBuffer()
		s.buf = grown
	}
}

// dropBuffer gives pooled buffers back.
func (s *Stream) dropBuffer() {
	if s.small != nil {
		smallBuffers.Put(s.small)
	}
	if s.pooled != nil {
		buffers.Put(s.pooled)
	}
	s.small, s.pooled = nil, nil
}

// ready is the number of bytes of buf that may be written.
func (s *Stream) ready() int {
	if s.edit.on {
		return s.edit.ready
	}
	return s.n
}

// forward writes and flushes the bytes that are ready.
//
// A failed write is kept in werr and ends the relaying. Nothing is written after
// it.
func (s *Stream) forward() {
	end := s.ready()
	rest := s.buf[s.out:end]
	if len(rest) == 0 || s.werr != nil {
		return
	}
	n, err := s.w.Write(rest)
	if err == nil && n < len(rest) {
		err = io.ErrShortWrite
	}
	if err == nil && s.flush != nil {
		err = s.flush()
	}
	if err != nil {
		s.werr = &WriteError{Err: err}
		return
	}
	s.out = end
	s.endWritten = s.ended
}

// finish is called once, at the end of the reading.
func (s *Stream) finish() {
	s.over = true
	s.clean = s.atEOF() && !s.decode.failed()
	if s.opaque || !s.clean || s.ended || s.severed {
		s.edit.finish(s)
		return
	}
	if s.split.finish() {
		// The last event lacks its blank line. It counts if nothing else is missing:
		// half of a response.completed looks like a whole one to a dialect.
		if data := s.split.data; !s.split.cut && (s.split.failed || isDone(data) || json.Valid(data)) {
			s.event(s.split.name(), data, false)
			s.edit.event(s, s.n)
		}
	}
	s.edit.finish(s)
}

// atEOF reports whether the body ended properly. A wrapped EOF is not a proper
// end: somebody had something to say about it.
func (s *Stream) atEOF() bool {
	return s.rerr == io.EOF //nolint:errorlint // the io.Reader contract: EOF is returned as it is
}
