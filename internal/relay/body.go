package relay

import "io"

// HoldBody reads body until its end, or until it exceeds limit bytes. data is then
// a little longer than limit, and complete is false: [CopyRest] or [CopyJSON] take
// it from there. contentLength is the announced length or -1. A body that ends
// before it is [io.ErrUnexpectedEOF]. data belongs to the caller. [ReleaseBody]
// gives it back.
func HoldBody(body io.Reader, contentLength, limit int64) (data []byte, complete bool, err error) {
	// One byte more than announced: the read that finds the end then needs no larger
	// buffer. A large announcement does not get much: limit bounds it.
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
		case int64(len(data)) > limit: // even at the end: the next read says so again
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

// ReleaseBody gives the memory of a held body back. The body must not be used any
// more.
func ReleaseBody(data []byte) {
	if cap(data) == wholeSize {
		wholes.Put((*whole)(data[:wholeSize]))
	}
}
