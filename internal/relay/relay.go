// Package relay carries an upstream's answer to the client byte for byte. It can
// hold an answer back until the answer is worth committing to, copy it as it
// arrives, and report whether it was whole.
//
// The package knows wire formats, not policy. The caller decides about failover,
// the longest silence and the client's error. The package starts no goroutine and
// sets no timer. A [Stream] waits in one place, the read of the body. A caller with
// a timer re-arms it in [Options.Progress] and cancels that read.
//
// # Files
//
//   - body.go holds a JSON answer and looks for its errors by answer.go and
//     error_shape.go; copy.go copies the rest of one that is too large.
//   - stream.go is a stream, stream_read.go reads it, and stream_event.go decides
//     what each event means. events.go splits events, stream_shape.go recognizes
//     those like the one before, and choices.go and finish.go know when all is said.
//   - dialects.go and dialects_typed.go know the events of each format.
//   - stream_edit.go cuts out usage that the client did not ask for.
//   - decode.go reads the decoded copy of a compressed stream.
//   - front.go tells an event stream by its first bytes.
//   - header.go copies headers, and header_dropped.go lists those that stay.
package relay

import (
	"errors"
	"sync"
)

// Reasons for rejecting an answer.
var (
	// ErrCut reports an answer that ended without an error, but with its end
	// missing. Servers do so when the model's process dies: the front end closes
	// the chunked encoding properly.
	ErrCut = errors.New("answer ended before it was complete")
	// ErrNoAnswer reports a stream that said [DONE] before any content or finish
	// reason.
	ErrNoAnswer = errors.New("stream ended without an answer")
	// ErrEmptyAnswer reports a whole answer without text, a call of a tool or a
	// refusal.
	ErrEmptyAnswer = errors.New("answer has no content")
)

// EventError is an error event of a stream. Name and Data are copies. Error does
// not quote them: they are the upstream's words and may echo a secret.
type EventError struct {
	Name string // the value of the event: line, empty without one
	Data []byte // the data lines, joined by LF
	// Hidden: SDKs do not take the event for an error, and a stream that goes on
	// behind it would look whole to them.
	Hidden bool
}

func (e *EventError) Error() string { return "upstream sent an error event" }

// WriteError wraps a failure to write or flush towards the client. It tells a
// client's departure from an upstream's failure: both may have the same kind of
// network error.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return "write to client: " + e.Err.Error() }

func (e *WriteError) Unwrap() error { return e.Err }

// The sizes of one read, in bytes. A stream begins with a small buffer, and gets a
// larger one when a read has filled it. Buffers are most of the memory of ten
// thousand idle streams, and nearly all events come one at a time.
const (
	smallSize  = 8 << 10
	bufferSize = 32 << 10 // as net/http/httputil has it
)

type (
	smallBuffer [smallSize]byte
	buffer      [bufferSize]byte
)

// The pools, and that of streams, are the only state shared by the streams of a process.
// Their buffers must not be aliased outside of the package.
var (
	smallBuffers = sync.Pool{New: func() any { return new(smallBuffer) }}
	buffers      = sync.Pool{New: func() any { return new(buffer) }}
	wholes       = sync.Pool{New: func() any { return new(whole) }}
)

// A held body of more than pooledFrom bytes comes from a pool, as far as it fits.
// Without it answers of a megabyte keep the collector as busy as the sockets.
const (
	pooledFrom = 128 << 10
	wholeSize  = 1<<20 + 1 // a body of 1 MiB, and the byte that HoldBody reads more
)

type whole [wholeSize]byte
