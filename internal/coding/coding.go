// Package coding decodes HTTP's content codings: gzip, deflate and zstd, also
// several in a row. It serves the bodies of requests and the inspection of answers.
//
// A decoder works in the caller's goroutine and starts none. Decoders are pooled, but
// for those of zstd.
package coding

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrTooLarge reports decoded data over its limit, or a zstd window over 8 MiB.
var ErrTooLarge = errors.New("decoded data is too large")

// UnknownError reports an unknown content coding.
type UnknownError struct{ Coding string }

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown content coding %q", e.Coding) }

// CorruptError reports data that is not of its coding, or incomplete. Err is
// [io.ErrUnexpectedEOF] for data that ends early.
type CorruptError struct{ Err error }

func (e *CorruptError) Error() string { return "data does not decode: " + e.Err.Error() }

func (e *CorruptError) Unwrap() error { return e.Err }

// method is one content coding. Zero is the identity.
type method uint8

const (
	gzipMethod method = iota + 1
	deflateMethod
	zstdMethod
)

// methods are the names of the codings (RFC 9110, RFC 8878). Case is folded.
var methods = []struct {
	name   string
	method method
}{
	{"gzip", gzipMethod},
	{"x-gzip", gzipMethod}, // RFC 9110, section 8.4.1.3
	{"deflate", deflateMethod},
	{"zstd", zstdMethod},
	{"identity", 0},
	// Servers and clients put charsets and MIME's encodings here by mistake. No
	// byte is changed under them.
	{"utf-8", 0},
	{"utf8", 0},
	{"us-ascii", 0},
	{"none", 0},
	{"7bit", 0},
	{"8bit", 0},
	{"binary", 0},
}

// maxCodings bounds the codings in a row. Each multiplies the expansion.
const maxCodings = 3

// List is the codings of one body, in the order of their application. The zero
// List is the identity.
type List struct {
	n       int
	methods [maxCodings]method
}

// Parse reads a Content-Encoding. Identity and empty elements do not count. The
// error is an [*UnknownError]: of one unknown name, or of the whole header if more
// than three codings are in a row.
func Parse(header string) (List, error) {
	var l List
	for name := range strings.SplitSeq(header, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		m, ok := find(name)
		switch {
		case !ok:
			return List{}, &UnknownError{Coding: name}
		case m == 0:
		case l.n == maxCodings:
			return List{}, &UnknownError{Coding: header}
		default:
			l.methods[l.n] = m
			l.n++
		}
	}
	return l, nil
}

// find looks a coding up by its name. Case does not count.
func find(name string) (method, bool) {
	for _, row := range methods {
		if strings.EqualFold(row.name, name) {
			return row.method, true
		}
	}
	return 0, false
}

// Identity reports whether there is nothing to decode.
func (l List) Identity() bool { return l.n == 0 }

// Decode returns the decoded data. Its error is [ErrTooLarge] over limit bytes, or
// a [*CorruptError]. Bytes behind the end of the encoded data are an error too.
// Under the identity the result is data itself.
func (l List) Decode(data []byte, limit int64) ([]byte, error) {
	if l.Identity() {
		if int64(len(data)) > limit {
			return nil, ErrTooLarge
		}
		return data, nil
	}
	src := bytes.NewReader(data)
	r := l.NewReader(src)
	defer r.Close()
	// Most JSON shrinks to a fifth. A wrong guess costs a copy.
	out := bytes.NewBuffer(make([]byte, 0, min(int64(len(data))*5+bytes.MinRead, limit+1, 1<<20)))
	n, err := out.ReadFrom(io.LimitReader(r, limit+1))
	switch {
	case n > limit:
		return nil, ErrTooLarge
	case err != nil:
		return nil, err
	case src.Len() > 0:
		return nil, &CorruptError{Err: errTrailing}
	}
	return out.Bytes(), nil
}

const (
	// maxExpansion and freeExpansion bound the decoded size of a request by its
	// encoded size.
	maxExpansion  = 100
	freeExpansion = 1 << 20
)

// DecodeRequest returns the decoded body of a request. Its size is bounded by
// maxBody, and by 100 times the encoded size plus 1 MiB. The errors and their
// statuses: [*UnknownError] 415, [ErrTooLarge] 413, [*CorruptError] 400.
func DecodeRequest(data []byte, contentEncoding string, maxBody int64) ([]byte, error) {
	l, err := Parse(contentEncoding)
	if err != nil {
		return nil, err
	}
	if l.Identity() {
		return l.Decode(data, maxBody)
	}
	return l.Decode(data, min(maxBody, maxExpansion*int64(len(data))+freeExpansion))
}
