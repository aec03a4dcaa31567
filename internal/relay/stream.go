package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

const (
	defaultHoldBytes  = 64 << 10
	defaultHoldEvents = 32
	defaultMaxWhole   = 32 << 20

	// minRead is the least room that a read is offered while an answer is held.
	minRead = 4 << 10
	// maxTrailing bounds what is relayed after the End, so that an upstream that
	// goes on for ever cannot keep the request alive by it.
	maxTrailing = 64 << 10
	// maxEmptyReads is how often a reader may return nothing before it is broken.
	maxEmptyReads = 100
)

// Phase says how far a stream has come. What a silence means depends on it.
type Phase uint8

const (
	// Waiting: nothing that commits has been seen, and nothing was relayed.
	Waiting Phase = iota
	// Streaming: the answer is under way.
	Streaming
	// Finished: the model said why it stopped. A clean end of the body is good.
	Finished
	// Ended: the last event was seen. What is left to read is of no interest to
	// the client; reaching the end of the body only lets its connection be reused.
	Ended
)

// Options says how a [Stream] reads. The zero value relays without looking.
type Options struct {
	// Dialect classifies the events. If nil, the stream is opaque: its first byte
	// commits and its clean end makes it whole.
	Dialect Dialect

	// Encoding is the Content-Encoding of the answer. Gzip and deflate are
	// inspected through a copy that is decoded as it passes; the client gets the
	// bytes as they are. A stream in any other encoding is opaque.
	Encoding string

	// HoldBytes and HoldEvents bound what Hold holds: 64 KiB and 32 events if zero.
	// Comments count towards the bytes alone.
	HoldBytes, HoldEvents int

	// MaxWhole bounds what HoldWhole holds, in bytes: 32 MiB if zero.
	MaxWhole int64

	// Choices is how many the answer is to have, each with a finish reason of its
	// own. Zero is one.
	Choices int

	// Tap, if not nil, is called with the data of each whole event, before the event
	// is relayed (of a compressed stream, it may be after). It must not keep data,
	// nor panic: it runs between reading from the upstream and writing to the client.
	Tap func(data []byte)

	// Progress, if not nil, is called at least once after each read that brought
	// something, and when Relay has written what was held. The body is not being read
	// while it runs: it is where the caller re-arms its timer.
	Progress func(Phase)
}

// Stream carries one event stream. Use it from one goroutine: Hold or HoldWhole
// (or Hold, then HoldWhole) to decide, Relay to carry it, Release at the end.
type Stream struct {
	body   io.Reader
	o      Options
	split  splitter
	small  *smallBuffer // what buf is made of, unless it is
	pooled *buffer      // this, or had to grow beyond it
	filled bool         // the last read took all that fits
	buf    []byte
	n      int // bytes of buf that were read
	out    int // bytes of buf that were written
	pos    int // bytes of buf that the decoder has taken

	decode  *decoder
	opaque  bool
	rerr    error // what ended the reading
	werr    error // what ended the writing, if wrapped
	failure *EventError

	content, finished, ended bool
	sawError                 bool
	relaying, endWritten     bool
	over                     bool // nothing is left to read or to decode
	clean                    bool // over, by a proper end of the body and of its encoding

	w        io.Writer
	flush    func() error
	read     int64 // bytes inspected
	written  int64
	trailing int // bytes read after the End
	events   int
	said     int              // of the events, those that are no formality
	ends     map[int]struct{} // choices that have finished, where there are several
}

// NewStream returns a stream that reads the answer from body. It reads nothing yet,
// and does not close body.
func NewStream(body io.Reader, o Options) *Stream {
	if o.HoldBytes <= 0 {
		o.HoldBytes = defaultHoldBytes
	}
	if o.HoldEvents <= 0 {
		o.HoldEvents = defaultHoldEvents
	}
	if o.MaxWhole <= 0 {
		o.MaxWhole = defaultMaxWhole
	}
	s := &Stream{body: body, o: o, opaque: o.Dialect == nil}
	if !s.opaque {
		switch enc := coding(o.Encoding); enc {
		case codingNone:
		case codingGzip, codingDeflate:
			s.decode = newDecoder(s, enc)
		default:
			s.opaque = true
		}
	}
	return s
}

// Hold reads until the answer is worth committing to: its first content was
// seen, it ended whole without any, or the bounds of the hold are reached. What
// was read stays held for Relay.
//
// Otherwise it returns an [*EventError] for an error event that came first,
// [ErrCut] for a clean end that came too early, or the body's own error.
func (s *Stream) Hold() error {
	for {
		switch {
		case s.content || s.ended && s.failure == nil:
			return nil
		case s.failure != nil:
			return s.failure
		case s.over || s.decode.failed():
			return s.verdict()
		case s.n >= s.o.HoldBytes || s.read >= int64(s.o.HoldBytes) || s.events >= s.o.HoldEvents:
			return nil
		}
		s.step()
	}
}

// HoldWhole reads until the answer is whole, or exceeds Options.MaxWhole: then it
// returns nil too, and Whole reports false. An error event fails it wherever
// it comes. Its errors are those of Hold.
//
// A caller that cancels the read after a finish reason gets the body's error
// here, sees Finished, and may go on to Relay: nothing that was held is lost.
func (s *Stream) HoldWhole() error {
	for {
		switch {
		case s.failure != nil:
			return s.failure
		case s.ended:
			return nil
		case s.over || s.decode.failed():
			return s.verdict()
		case int64(s.n) >= s.o.MaxWhole:
			return nil
		}
		s.step()
	}
}

// Relay writes what is held in one piece, then each read as it comes, and
// calls flush, unless nil, after each write. It returns nil when the answer was
// whole, else [ErrCut], a [*WriteError], or the body's own error.
//
// After the End it reads on to the end of the body, relaying what still comes.
// No error counts from there on: the caller cuts this short by its own timer.
func (s *Stream) Relay(w io.Writer, flush func() error) error {
	s.w, s.flush, s.relaying = w, flush, true
	held := s.n > s.out
	for {
		s.forward()
		if s.werr != nil {
			if s.endWritten {
				return nil
			}
			return s.werr
		}
		if s.over || s.trailing > maxTrailing {
			return s.verdict()
		}
		if held {
			held = false
			s.progress()
		}
		s.step()
	}
}

// Release gives the stream's memory back. Of the methods, only those that
// report something may be called after it.
func (s *Stream) Release() {
	s.dropBuffer()
	s.decode.release()
	s.buf, s.split = nil, splitter{}
	s.n, s.out, s.pos = 0, 0, 0
	s.body, s.w, s.flush = nil, nil, nil
}

// Whole reports whether all of the answer has been read.
func (s *Stream) Whole() bool { return s.ended || s.clean && s.finishedOrOpaque() }

// Finished reports whether a finish reason or the End was seen. It turns false
// again when another choice of the same answer goes on.
func (s *Stream) Finished() bool { return s.finished || s.ended }

// AtBoundary reports whether the bytes that were written end where another
// event may follow. In a compressed or opaque stream they never do.
func (s *Stream) AtBoundary() bool {
	return s.body != nil && s.out == s.n && s.decode == nil && !s.opaque && s.split.boundary()
}

// SawError reports whether the upstream sent an error event, or response.failed.
func (s *Stream) SawError() bool { return s.sawError }

// Written is the number of bytes that were written to the client.
func (s *Stream) Written() int64 { return s.written }

// Events is the number of events that were read, comments not counted.
func (s *Stream) Events() int { return s.events }

// AllFinished reports whether a finish reason was seen of each choice.
func (s *Stream) AllFinished() bool {
	return s.Finished() && (s.o.Choices <= 1 || len(s.ends) >= s.o.Choices)
}

// InEvent reports whether an event has begun that is not whole. In an opaque
// stream nobody knows, and it is false.
func (s *Stream) InEvent() bool { return s.body != nil && !s.opaque && s.split.inEvent() }

// Said is the number of events that said something to the client: all but pings
// and the like. Usage is something.
func (s *Stream) Said() int { return s.said }

// Phase is how far the stream has come.
func (s *Stream) Phase() Phase {
	switch {
	case s.ended:
		return Ended
	case s.finished:
		return Finished
	case s.content || s.relaying:
		return Streaming
	}
	return Waiting
}

// step reads once and inspects what came.
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

// fill reads once from the body, behind what is held. While relaying, what was
// read before goes out first: no byte waits for the one after it.
func (s *Stream) fill() []byte {
	if s.relaying {
		s.forward()
		if s.werr == nil {
			s.n, s.out, s.pos = 0, 0, 0
		}
	}
	if s.rerr != nil || s.werr != nil {
		return nil
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

// room makes sure that buf can take another read.
func (s *Stream) room() {
	held := s.buf[:s.n]
	switch {
	case s.n == 0 && s.small == nil && s.pooled == nil && !s.filled:
		// The start, or the end of a long hold: what it had to grow is left to the
		// collector, as the rest of the stream needs no more than a pooled buffer.
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

// dropBuffer gives back what is pooled.
func (s *Stream) dropBuffer() {
	if s.small != nil {
		smallBuffers.Put(s.small)
	}
	if s.pooled != nil {
		buffers.Put(s.pooled)
	}
	s.small, s.pooled = nil, nil
}

// forward writes and flushes what is held.
func (s *Stream) forward() {
	rest := s.buf[s.out:s.n]
	if len(rest) == 0 || s.werr != nil {
		return
	}
	n, err := s.w.Write(rest)
	s.written += int64(n)
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
	s.out = s.n
	s.endWritten = s.ended
}

// finish is called once, at the end of what can be read.
func (s *Stream) finish() {
	s.over = true
	s.clean = s.atEOF() && !s.decode.failed()
	if s.opaque || !s.clean || s.ended || !s.split.finish() {
		return
	}
	// The last event lacks its blank line. It counts if nothing else is missing:
	// half of a response.completed looks like a whole one to a dialect.
	if data := s.split.data; !s.split.cut && (done(data) || json.Valid(data)) {
		s.event(s.split.name(), data)
	}
}

// atEOF reports whether the body ended properly. A wrapped EOF is no such end:
// somebody had something to say about it.
func (s *Stream) atEOF() bool {
	return s.rerr == io.EOF //nolint:errorlint // the io.Reader contract: EOF is returned as it is
}

func (s *Stream) inspect(chunk []byte) {
	s.read += int64(len(chunk))
	for {
		n, ok := s.split.next(chunk)
		if !ok {
			return
		}
		chunk = chunk[n:]
		s.event(s.split.name(), s.split.data)
	}
}

// event notes what one event means. Nothing is undone by an event after the End.
func (s *Stream) event(name, data []byte) {
	s.events++
	kind := s.o.Dialect(name, data)
	if s.split.cut {
		if kind == Other {
			kind = s.o.Dialect(name, nil)
		}
		kind = max(kind, Content) // nothing of this size is a formality
	} else if s.o.Tap != nil {
		s.o.Tap(data)
	}
	if s.ended {
		return
	}
	if kind != Other || s.finished && bytes.Contains(data, []byte(`"usage"`)) {
		s.said++
	}
	switch kind {
	case Content:
		// The first event that decides wins: content after an error commits nothing.
		s.content = s.content || s.failure == nil
		s.finished = false
	case Finish:
		s.content = s.content || s.failure == nil
		s.finished = true
		s.noteEnds(data)
	case End:
		s.ended = true
	case Error:
		s.fail(name, data)
	case Failed:
		s.fail(name, data)
		s.ended = true
	}
}

// noteEnds notes which choices an event finishes. One answer in a thousand has
// several, so that the event is read once more for it.
func (s *Stream) noteEnds(data []byte) {
	var event struct {
		Choices []struct {
			Index  int    `json:"index"`
			Reason string `json:"finish_reason"`
		} `json:"choices"`
	}
	if s.o.Choices <= 1 || json.Unmarshal(data, &event) != nil {
		return
	}
	for _, c := range event.Choices {
		if c.Reason == "" || len(s.ends) >= s.o.Choices {
			continue
		}
		if s.ends == nil {
			s.ends = map[int]struct{}{}
		}
		s.ends[c.Index] = struct{}{}
	}
}

func (s *Stream) fail(name, data []byte) {
	s.sawError = true
	if !s.relaying && s.failure == nil {
		s.failure = &EventError{Name: string(name), Data: bytes.Clone(data)}
	}
}

func (s *Stream) progress() {
	if s.o.Progress != nil {
		s.o.Progress(s.Phase())
	}
}

func (s *Stream) finishedOrOpaque() bool {
	return s.finished || s.opaque && s.content
}

// verdict says what an end of the reading means.
func (s *Stream) verdict() error {
	switch {
	case s.Whole():
		return nil
	case s.decode.failed() && !errors.Is(s.decode.err, io.ErrUnexpectedEOF):
		return s.decode.err
	case s.rerr == nil || s.atEOF():
		return ErrCut
	default:
		return s.rerr
	}
}
