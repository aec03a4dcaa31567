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

// bufferSize is what one read may take: the size that net/http/httputil uses
// too, so that ten thousand idle streams cost what they cost there.
const bufferSize = 32 << 10

type buffer [bufferSize]byte

// buffers is the one piece of state that the streams of a process share. Nothing
// that leaves the package may alias a buffer of it.
var buffers = sync.Pool{New: func() any { return new(buffer) }}
