package relay

import (
	"errors"
	"io"
	"sync"

	"github.com/aigateway-go/aigateway/internal/coding"
)

const (
	defaultHoldBytes  = 64 << 10
	defaultHoldEvents = 32
	defaultMaxWhole   = 32 << 20
)

// Phase says how far a stream has come. The meaning of a silence depends on it.
type Phase uint8

const (
	// Waiting: nothing that commits was seen, and nothing was relayed.
	Waiting Phase = iota
	// Streaming: the answer is under way.
	Streaming
	// Finished: the model said why it stopped, in each choice. A clean end of the
	// body is good. [Stream.MayEnd] says whether a silence is.
	Finished
	// Ended: the last event was seen, and the end of the encoding. The client needs
	// nothing more. The end of the body only lets its connection be used again.
	Ended
)

// Options says how a [Stream] reads. The zero value relays without looking.
type Options struct {
	// Dialect reads the events. If nil, the stream is opaque: its first byte commits
	// and its clean end makes it whole.
	Dialect Dialect

	// Encoding is the Content-Encoding of the answer. Gzip, deflate and zstd are
	// inspected through a copy, decoded as it passes. The client gets the bytes
	// unchanged. A stream in any other encoding is opaque.
	Encoding string

	// Decode: the client gets the decoded bytes of a gzip, deflate or zstd stream.
	// The caller removes the Content-Encoding header. See [CanDecode].
	Decode bool

	// HoldBytes and HoldEvents bound the hold: 64 KiB and 32 events if zero. Comments
	// count towards the bytes.
	HoldBytes, HoldEvents int

	// MaxWhole bounds the bytes that HoldWhole holds: 32 MiB if zero.
	MaxWhole int64

	// Front, if not nil, has read the front of the answer. The body is that behind it. A
	// stream without an encoding takes its memory over.
	Front *Front

	// Choices is the number of choices (or images) that the client asked for, as far
	// as known. Zero is one. The stream learns of more by their indices.
	Choices int

	// UsageWanted: the client asked for usage, and a silent stream does not end
	// without it.
	UsageWanted bool

	// HideUsage cuts the traces of the gateway's own include_usage from a chat
	// stream: the event with usage and without a choice, and "usage":null in the
	// others. The Tap sees all of it. Events are then relayed
	// whole. It has no effect on a compressed stream without Decode.
	HideUsage bool

	// FailEmpty: Hold waits for a word behind a finish reason too, and an answer that
	// ends without one is [ErrEmptyAnswer].
	FailEmpty bool

	// Tap, if not nil, is called with the data of each whole event, before the event
	// is relayed (in a compressed stream it may be after). An event that differs from an
	// earlier one in its text alone is plain: it tells no usage. Tap must not keep data,
	// nor panic: it runs between reading from the upstream and writing to the client.
	Tap func(data []byte, plain bool)

	// Progress, if not nil, is called at least once after each read that brought
	// something, and when Relay has written the held bytes. The body is not being
	// read meanwhile: here the caller re-arms its timer.
	Progress func(Phase)
}

// CanDecode reports whether the encoding is identity, gzip, deflate or zstd, or
// several of them in a row.
func CanDecode(contentEncoding string) bool {
	_, err := coding.Parse(contentEncoding)
	return err == nil
}

// IsPlain reports whether the encoding is none, or identity.
func IsPlain(contentEncoding string) bool {
	list, err := coding.Parse(contentEncoding)
	return err == nil && list.Identity()
}

// Stream carries one event stream. Use it from one goroutine: Hold or HoldWhole
// (or Hold, then HoldWhole) to decide, Relay to carry it, Release at the end.
type Stream struct {
	body   io.Reader
	plain  *coding.Reader // body, under Options.Decode
	o      Options
	split  splitter
	small  *smallBuffer // backs buf at first
	pooled *buffer      // backs buf later, until it had to grow beyond
	filled bool         // the last read took all the room
	buf    []byte
	n      int // bytes of buf that were read
	out    int // bytes of buf that were written
	pos    int // bytes of buf that the decoder has taken
	edit   editor

	decode  *decoder
	opaque  bool
	rerr    error // ended the reading
	werr    error // ended the writing, if wrapped
	failure *EventError
	broken  *EventError // the first error event, before the commit or after it

	ev          Event
	shape       shape
	choiceRoom  [2]Choice
	choices     choices
	content     bool // something that commits was seen
	word        bool // text, a tool call or a refusal was seen
	refused     bool // a refusal was seen before any other word
	finished    bool // without choices: a finish reason was seen last
	finishes    int  // and how many came
	ended       bool
	nothing     bool // [DONE] came without content or finish reason
	severed     bool // an error that clients do not see ends the stream here
	sawError    bool
	relaying    bool
	endWritten  bool
	over        bool // nothing is left to read or to decode
	clean       bool // over, by a proper end of the body and of its encoding
	followed    bool // something came behind a finish reason
	usage       bool // usage came with or after the latest finish reason
	afterFinish int  // comments seen by the latest finish reason

	w        io.Writer
	flush    func() error
	read     int64 // bytes inspected
	trailing int   // bytes read after the End
	events   int
	advances int // events that were not pings
}

// streams are streams of earlier answers, emptied.
var streams = sync.Pool{New: func() any { return new(Stream) }}

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
	s := streams.Get().(*Stream)
	s.body, s.o, s.opaque = body, o, o.Dialect == nil
	s.ev.Choices = s.choiceRoom[:0]
	list, err := coding.Parse(o.Encoding)
	if f := o.Front; f != nil && (err != nil || !list.Identity() || !f.fits()) {
		f.body, s.o.Front = body, nil
		body, s.body = f, f
	}
	switch {
	case err != nil:
		s.opaque = true
	case list.Identity():
	case o.Decode:
		s.plain = list.NewReader(body)
		s.body = s.plain
	case !s.opaque:
		s.decode = newDecoder(s, list)
	}
	s.edit.on = o.HideUsage && !s.opaque && s.decode == nil
	return s
}

// Hold reads until the answer is worth committing to: its first content was
// seen, it ended whole without any, or the bounds of the hold are reached. The
// bytes stay held for Relay.
//
// Its errors:
//   - [*EventError]: an error event came first
//   - [ErrNoAnswer]: a [DONE] came without an answer before it
//   - [ErrCut]: the body ended cleanly, but too early
//   - [ErrEmptyAnswer], under Options.FailEmpty
//   - the body's own error
func (s *Stream) Hold() error {
	for {
		switch {
		case s.content:
			return nil
		case s.failure != nil:
			return s.failure
		case s.ended, s.over, s.decode.failed():
			if err := s.verdict(); err != nil {
				return err
			}
			if s.o.FailEmpty && !s.word {
				return ErrEmptyAnswer
			}
			return nil
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
// here. It may ask MayEnd and go on to Relay: held bytes are never lost.
func (s *Stream) HoldWhole() error {
	for {
		switch {
		case s.failure != nil:
			return s.failure
		case s.ended, s.over, s.decode.failed():
			if err := s.verdict(); err != nil {
				return err
			}
			if s.o.FailEmpty && !s.word {
				return ErrEmptyAnswer
			}
			return nil
		case int64(s.n) >= s.o.MaxWhole:
			return nil
		}
		s.step()
	}
}

// Relay writes the held bytes in one piece, then each read as it comes, and
// calls flush, unless nil, after each write. It returns nil when the answer was
// whole, else an [*EventError], [ErrCut], a [*WriteError], or the body's own error.
// A body that breaks behind an error event is its own error.
//
// After the End it reads on to the end of the body, and relays those bytes. No
// error counts from there on: the caller cuts this short by its own timer.
//
// An error event that SDKs do not take for one ends the relaying behind it. Its
// [*EventError] is Hidden: the client must be told in another way.
func (s *Stream) Relay(w io.Writer, flush func() error) error {
	s.w, s.flush, s.relaying = w, flush, true
	held := s.ready() > s.out
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

// Release gives the stream's memory back. Only the methods that report something
// may be called after it.
func (s *Stream) Release() {
	s.dropBuffer()
	s.decode.release()
	if s.plain != nil {
		s.plain.Close()
		s.plain = nil
	}
	s.buf, s.split, s.shape = nil, splitter{}, shape{}
	s.n, s.out, s.pos = 0, 0, 0
	s.body, s.w, s.flush = nil, nil, nil
}

// Recycle releases the stream for another answer. Nothing of it may be used after it. A
// nil stream has nothing to give back.
func (s *Stream) Recycle() {
	if s == nil {
		return
	}
	text := s.shape.text
	s.Release()
	*s = Stream{}
	s.shape.text = text[:0]
	streams.Put(s)
}

// Whole reports whether all of the answer has been read.
func (s *Stream) Whole() bool {
	return !s.nothing && s.broken == nil && (s.ended || s.clean && (s.Finished() || s.opaque && s.content))
}

// Finished reports whether the End was seen, or a finish reason of each choice. It
// turns false again when a choice goes on.
func (s *Stream) Finished() bool {
	return s.ended || s.choices.finished(s.o.Choices) || s.finished && s.choices.none() && s.finishes >= s.o.Choices
}

// MayEnd reports whether a silence may be taken for the end of the answer.
//
// A compressed stream lacks the end of its encoding until it ends by itself. Only the
// End lets it go without. A plain stream must be of the chat format. Each choice
// finished by stop or length, in an event of its own without content. Nothing followed
// a finish reason, no comment came after it, and usage came if the client asked for it.
// A [DONE] that lacks its blank line is an end too.
func (s *Stream) MayEnd() bool {
	if s.broken != nil || s.body == nil || s.opaque {
		return false
	}
	if s.decode.active() {
		return s.ended
	}
	if s.ended {
		return false
	}
	if s.split.atDone() && !s.choices.none() {
		return s.content
	}
	return !s.followed && s.choices.finished(s.o.Choices) && s.choices.plainEnds() &&
		(s.usage || !s.o.UsageWanted) && s.split.comments == s.afterFinish && s.split.boundary()
}

// AtBoundary reports whether the bytes that were written end where another event
// or a comment may follow. During a hold nothing was written, and it is true. In a
// compressed or opaque stream they never do.
func (s *Stream) AtBoundary() bool {
	if s.body == nil || s.decode != nil || s.opaque {
		return false
	}
	switch {
	case !s.relaying:
		return true
	case s.edit.on:
		return s.out == s.edit.ready // edited streams are written in whole events
	}
	return s.out == s.n && (s.severed || s.split.boundary())
}

// SawError reports whether the upstream sent an error event, or response.failed.
func (s *Stream) SawError() bool { return s.sawError }

// ErrorEvent is the first error event of the upstream. It is nil without one, and for a
// response.failed behind the commit.
func (s *Stream) ErrorEvent() *EventError { return s.broken }

// Refused reports whether the first words of the answer were a refusal: of the
// model, or of a filter.
func (s *Stream) Refused() bool { return s.refused }

// Empty reports whether no text, call of a tool or refusal was seen so far.
// Reasoning counts as text.
func (s *Stream) Empty() bool { return !s.word }

// Events is the number of events that were read, comments not counted.
func (s *Stream) Events() int { return s.events }

// InEvent reports whether an event has begun that is not whole. In an opaque
// stream it is false.
func (s *Stream) InEvent() bool { return s.body != nil && !s.opaque && s.split.inEvent() }

// Advances is the number of events that brought the answer further: all but pings
// and empty chunks. Comments are not events. A timer for silence starts anew when
// it grows, not with each read.
func (s *Stream) Advances() int { return s.advances }

// Phase is how far the stream has come.
func (s *Stream) Phase() Phase {
	switch {
	case s.ended && !s.decode.active():
		return Ended
	case s.Finished():
		return Finished
	case s.content || s.relaying:
		return Streaming
	}
	return Waiting
}

// progress tells the caller of each read, see Options.Progress.
func (s *Stream) progress() {
	if s.o.Progress != nil {
		s.o.Progress(s.Phase())
	}
}

// verdict is the meaning of an end of the reading.
func (s *Stream) verdict() error {
	switch {
	case s.broken != nil && (s.severed || s.ended || s.rerr == nil || s.atEOF()):
		return s.broken
	case s.nothing:
		return ErrNoAnswer
	case s.Whole():
		return nil
	case s.decode.failed() && !errors.Is(s.decode.err, io.ErrUnexpectedEOF):
		return s.decode.err
	case s.rerr == nil || s.atEOF():
		return ErrCut
	}
	var corrupt *coding.CorruptError
	if errors.As(s.rerr, &corrupt) && errors.Is(corrupt.Err, io.ErrUnexpectedEOF) {
		return ErrCut // the decoded body ended early
	}
	return s.rerr
}
