package inprocess

import (
	"bytes"
	"io"
	"net/http"
	"reflect"
)

// minLent is the size from which a body is lent, in bytes. Copying a smaller one takes
// a few microseconds, and the caller need not wait for its bytes.
const minLent = 32 << 10

// Borrow returns the body of a handler's request as it lies in the caller's memory, if
// it is one of package bytes that has not been read. The body counts as read then. Nil
// is any other body, a small one, and one of more than limit bytes: read it.
//
// The bytes must not be changed. They are the handler's until [GiveBack], at the latest
// until it returns. A caller that leaves before waits for that: it may change its bytes
// as soon as its call has failed, or the answer's body is closed.
func Borrow(r *http.Request, limit int64) []byte {
	u, ok := r.Body.(*upload)
	if !ok || u.n > 0 || u.length < minLent || u.length > limit {
		return nil
	}
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	if u.c.left {
		return nil
	}
	data := inMemory(u.body, u.length)
	if data != nil {
		u.n, u.c.lent = u.length, make(chan struct{})
	}
	return data
}

// GiveBack ends the use of borrowed bytes. It does nothing if none were borrowed.
func GiveBack(r *http.Request) {
	if u, ok := r.Body.(*upload); ok {
		u.c.mu.Lock()
		defer u.c.mu.Unlock()
		u.c.giveBack()
	}
}

// giveBack lets a caller go that waits for its bytes. The lock is held.
func (c *call) giveBack() {
	if c.lent != nil && !c.returned {
		c.returned = true
		close(c.lent)
	}
}

// The types of io.NopCloser, in which http.NewRequest wraps a body. net/http looks into
// them in the same way.
var (
	nopCloser         = reflect.TypeOf(io.NopCloser(nil))
	nopCloserWriterTo = reflect.TypeOf(io.NopCloser(new(bytes.Reader)))
)

// unwrapped is a body as http.NewRequest was given it.
func unwrapped(body io.Reader) io.Reader {
	if t := reflect.TypeOf(body); t == nopCloser || t == nopCloserWriterTo {
		body, _ = reflect.ValueOf(body).Field(0).Interface().(io.Reader)
	}
	return body
}

// inMemory takes the unread bytes out of a body, if they lie in memory and have the
// size that the request says.
func inMemory(body io.Reader, size int64) []byte {
	var data []byte
	switch b := unwrapped(body).(type) {
	case *bytes.Buffer:
		if int64(b.Len()) == size {
			data = b.Next(b.Len())
		}
	case *bytes.Reader:
		if int64(b.Len()) == size {
			b.WriteTo((*taker)(&data)) //nolint:errcheck // a taker has no error
		}
	}
	return data[:len(data):len(data)]
}

// taker keeps what is written, without a copy. Only a [bytes.Reader] writes to it: that
// writes all of its bytes at once, from where they lie.
type taker []byte

func (t *taker) Write(p []byte) (int, error) {
	*t = p
	return len(p), nil
}
