package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Why [CheckJSON] takes a body for no answer.
var (
	ErrEmptyBody = errors.New("answer is empty")
	ErrNotJSON   = errors.New("answer is not JSON")
	ErrBodyError = errors.New("answer is an error under a success status")
)

// HoldBody reads body until its end, or until it exceeds limit bytes; data is
// then a little longer than limit, and complete is false: it must be written
// before what CopyRest brings. contentLength is the announced length or -1, and a
// body that ends before it is [io.ErrUnexpectedEOF]. data is the caller's own,
// who may give it back by [ReleaseBody].
func HoldBody(body io.Reader, contentLength, limit int64) (data []byte, complete bool, err error) {
	// One byte more than announced, so that the read that finds the end needs no
	// larger buffer. Announcing much does not get much: limit bounds it.
	size := int64(4 << 10)
	if contentLength >= 0 {
		size = min(contentLength, limit) + 1
	}
	if size > pooledFrom && size <= wholeSize {
		data = wholes.Get().(*whole)[:0]
	} else {
		data = make([]byte, 0, size)
	}
	for empty := 0; ; {
		switch {
		case len(data) < cap(data):
		case cap(data) >= pooledFrom && cap(data) < wholeSize && limit < wholeSize:
			data = append(wholes.Get().(*whole)[:0], data...)
		default:
			data = append(data, 0)[:len(data)]
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF && int64(len(data)) < contentLength:
			return data, false, io.ErrUnexpectedEOF
		case err != nil && err != io.EOF:
			return data, false, err
		case int64(len(data)) > limit: // be it the end: the next read says so again
			return data, false, nil
		case err == io.EOF:
			return data, true, nil
		case n > 0:
			empty = 0
		default:
			if empty++; empty >= maxEmptyReads {
				return data, false, io.ErrNoProgress
			}
		}
	}
}

// ReleaseBody gives back the memory of a body that HoldBody returned. Nothing may
// use it any more.
func ReleaseBody(data []byte) {
	if cap(data) == wholeSize {
		wholes.Put((*whole)(data[:wholeSize]))
	}
}

// CheckJSON says why data, a whole and decoded JSON answer with a success status,
// is none: [ErrEmptyBody], [ErrNotJSON], or [ErrBodyError] for an object whose
// top-level error says something. "error": null is part of a good answer.
func CheckJSON(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return ErrEmptyBody
	}
	if !json.Valid(data) {
		return ErrNotJSON
	}
	c := cursor{b: data}
	if !c.enter('{') {
		return nil
	}
	for {
		k, ok := c.key()
		if !ok {
			return nil
		}
		if c.skip() && string(k) == "error" {
			return ErrBodyError
		}
	}
}

// CopyRest writes to w what body still brings, each read as it comes, and
// calls flush, unless nil, after each write and progress, unless nil, after each
// read. It returns nil at the body's clean end, a [*WriteError] when the client
// is gone, and the body's own error otherwise.
func CopyRest(w io.Writer, flush func() error, body io.Reader, progress func()) error {
	s := NewStream(body, Options{})
	defer s.Release()
	if progress != nil {
		s.o.Progress = func(Phase) { progress() }
	}
	err := s.Relay(w, flush)
	if errors.Is(err, ErrCut) {
		return nil // nothing at all was left
	}
	return err
}
