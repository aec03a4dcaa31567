// Package relay carries an upstream's answer to the client without changing a
// byte of it. It can hold an answer back until it is known to be worth
// committing to, copy it as it arrives, and say in the end whether it was whole.
//
// The package knows wire formats, not policy: which failure leads to another
// provider, how long a silence may last and what the client is told are the
// caller's. It starts no goroutine and sets no timer. A caller that wants one
// re-arms it in [Options.Progress] and cancels the read of the body, the one
// place where a [Stream] can wait.
package relay

import (
	"errors"
	"sync"
)

// ErrCut reports an answer that ended without an error, but before anything
// showed that it was whole. Servers do that when the model's process dies: the
// front end closes the chunked encoding properly.
var ErrCut = errors.New("answer ended before it was complete")

// EventError is an error event that came before the answer was committed.
// Both fields are copies. Error does not quote them, as they are the
// upstream's words and may echo a secret.
type EventError struct {
	Name string // the value of the event: line, empty without one
	Data []byte // the data lines, joined by LF
}

func (e *EventError) Error() string { return "upstream sent an error event" }

// WriteError wraps a failure to write or flush towards the client: it tells a
// client that went away from an upstream that broke, which may well fail with
// the same kind of network error.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return "write to client: " + e.Err.Error() }

func (e *WriteError) Unwrap() error { return e.Err }

// What one read may take. A stream begins with a small buffer, and has another
// once a read has filled it: most of the memory of ten thousand idle streams is
// what they would read into, and the events of nearly all come one at a time.
const (
	smallSize  = 8 << 10
	bufferSize = 32 << 10 // as net/http/httputil has it
)

type (
	smallBuffer [smallSize]byte
	buffer      [bufferSize]byte
)

// The pools are the one piece of state that the streams of a process share.
// Nothing that leaves the package may alias a buffer of theirs.
var (
	smallBuffers = sync.Pool{New: func() any { return new(smallBuffer) }}
	buffers      = sync.Pool{New: func() any { return new(buffer) }}
	wholes       = sync.Pool{New: func() any { return new(whole) }}
)

// A held body of more than pooledFrom bytes comes from a pool, as far as it fits:
// answers of a megabyte each otherwise keep the collector as busy as the sockets.
const (
	pooledFrom = 128 << 10
	wholeSize  = 1<<20 + 1 // a body of 1 MiB, and the byte that HoldBody reads more
)

type whole [wholeSize]byte
