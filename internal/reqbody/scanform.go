package reqbody

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	maxPreamble   = 1 << 10 // bytes before the first boundary
	maxPartHeader = 16 << 10
)

// ScanForm reads src, a whole multipart/form-data body, into f. contentType is
// the header of the same request. It names the boundary.
//
// ScanForm accepts the forms of HTTP clients. It refuses forms that two parsers
// could read in two ways, stricter than mime/multipart:
//   - a line that starts with the boundary and goes on
//   - boundary lines with padding
//   - line ends that change, though all may be LF
//   - folded headers, transfer encodings
//   - a part without exactly one Content-Disposition, with exactly one name
//
// Bytes before the first boundary (up to 1 KiB) and after the last are kept and
// mean nothing.
//
// The error is a [*SyntaxError] for a body that is not a form, and an
// [*InvalidError] for a part or a contentType that is not acceptable. f keeps src.
// It must not change while f is in use. After an error, f is empty.
func ScanForm(src []byte, contentType string, f *Form) error {
	f.reset()
	boundary, err := formBoundary(contentType)
	if err != nil {
		return err
	}
	f.src = src
	f.boundary = append([]byte("--"), boundary...)
	if err := f.scan(); err != nil {
		f.reset()
		return err
	}
	return nil
}

// scan finds the parts between the boundaries (RFC 2046):
//
//	--B\r\n
//	Content-Disposition: form-data; name="model"\r\n
//	\r\n
//	whisper-1\r\n
//	--B--\r\n
//
// The search for boundaries goes through the contents of files as well.
func (f *Form) scan() error {
	header := -1 // offset of the headers of the part under way
	start := 0
	for at := f.nextBoundary(0); at >= 0; at = f.nextBoundary(at + 1) {
		after := at + len(f.boundary)
		if f.newline != "" && header < 0 {
			return formError(at, "a boundary after the final one")
		}
		final := bytes.HasPrefix(f.src[after:], []byte("--"))
		if final {
			after += 2
		}
		if err := f.checkLine(at, after, final); err != nil {
			return err
		}
		if header < 0 {
			if at > maxPreamble {
				return formError(at, fmt.Sprintf("more than %d bytes before the first boundary", maxPreamble))
			}
		} else {
			p, err := f.parsePart(start, header, at)
			if err != nil {
				return err
			}
			if f.n == maxMembers {
				return &InvalidError{Msg: fmt.Sprintf("the form has more than %d parts", maxMembers)}
			}
			f.add(p)
		}
		if final {
			f.final, header = at, -1
			continue
		}
		start, header = at, after+len(f.newline)
	}
	switch {
	case len(f.src) == 0:
		return &InvalidError{Msg: "the request body is empty, but must be a form"}
	case f.newline == "":
		return formError(0, "the boundary that the content type names does not appear")
	case header >= 0:
		return formError(len(f.src), "the final boundary is missing")
	}
	return nil
}

// nextBoundary returns the offset of the next boundary at the start of a line,
// from i on, or -1. A lone CR starts a line too: parsers disagree on it.
func (f *Form) nextBoundary(i int) int {
	for i < len(f.src) {
		n := bytes.Index(f.src[i:], f.boundary)
		if n < 0 {
			return -1
		}
		i += n
		if i == 0 || f.src[i-1] == '\n' || f.src[i-1] == '\r' {
			return i
		}
		i++
	}
	return -1
}

// checkLine checks that the boundary at offset at is a line of its own. The rest
// of the line begins at after. The first boundary line decides how lines end.
func (f *Form) checkLine(at, after int, final bool) error {
	rest := f.src[after:]
	if f.newline == "" {
		f.newline = "\r\n"
		if !final && bytes.HasPrefix(rest, []byte("\n")) {
			f.newline = "\n"
		}
	}
	// Before a boundary, "\r\n" is not "\n": some parsers would give the "\r" to the
	// part and some to the boundary.
	before := f.src[:at]
	if at > 0 && (!bytes.HasSuffix(before, []byte(f.newline)) || f.newline == "\n" && bytes.HasSuffix(before, []byte("\r\n"))) {
		return formError(at, "the line before a boundary does not end like the other lines")
	}
	if !bytes.HasPrefix(rest, []byte(f.newline)) && (!final || len(rest) > 0) {
		return formError(after, "a line starts with the boundary but goes on")
	}
	return nil
}

// parsePart reads one part by its offsets: of the boundary line before it, of its
// headers, and of the boundary line after it.
func (f *Form) parsePart(start, header, end int) (part, error) {
	p := part{start: start}
	nl := f.newline
	// The line end before a boundary belongs to the boundary.
	text := f.src[header:max(header, end-len(nl))]
	head, _, ok := bytes.Cut(text, []byte(nl+nl))
	if !ok {
		return p, formError(header, "a part without a blank line after its headers")
	}
	if len(head) > maxPartHeader {
		return p, formError(header, fmt.Sprintf("part headers of more than %d bytes", maxPartHeader))
	}
	p.body = span{header + len(head) + 2*len(nl), end - len(nl)}

	dispositions, lengths := 0, 0
	for at, line := range splitLines(head, nl) {
		at += header
		name, value, err := parseHeader(at, line)
		if err != nil {
			return p, err
		}
		switch {
		case strings.EqualFold(name, "Content-Disposition"):
			if dispositions++; dispositions > 1 {
				return p, &InvalidError{Msg: "a part of the form has two Content-Disposition headers"}
			}
			if err := p.parseDisposition(at, value); err != nil {
				return p, err
			}
		case strings.EqualFold(name, "Content-Length"):
			// RFC 7578 does not use it, but some clients write it.
			if lengths++; lengths > 1 {
				return p, &InvalidError{Msg: "a part of the form has two Content-Length headers"}
			}
			start := at + len(line) - len(bytes.TrimLeft(line[len(name)+1:], " \t"))
			p.length = span{start, start + len(value)}
		case strings.EqualFold(name, "Content-Transfer-Encoding"):
			// Some parsers decode and some do not. RFC 7578 retired it. The values of
			// older clients encode nothing.
			switch strings.ToLower(string(value)) {
			case "7bit", "8bit", "binary":
			default:
				return p, &InvalidError{Msg: fmt.Sprintf("a part of the form has the transfer encoding %q", value)}
			}
		}
	}
	if dispositions == 0 {
		return p, formError(header, "a part without a Content-Disposition header")
	}
	return p, nil
}

// splitLines yields the lines of head, each with its offset.
func splitLines(head []byte, nl string) func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		at := 0
		for line := range bytes.SplitSeq(head, []byte(nl)) {
			if !yield(at, line) {
				return
			}
			at += len(line) + len(nl)
		}
	}
}

// parseHeader splits a header line. A line that starts with white space has no
// name: to some parsers it continues the line before.
//
// Other control characters than a tab are refused. A server could end the line
// at one.
func parseHeader(at int, line []byte) (name string, value []byte, err error) {
	before, after, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(before) == 0 || tokenLen(before) != len(before) {
		return "", nil, formError(at, fmt.Sprintf("malformed part header %q", clip(line)))
	}
	for i, c := range after {
		if c < ' ' && c != '\t' || c == 0x7F {
			return "", nil, formError(at+len(before)+1+i, "control character in a part header")
		}
	}
	return string(before), bytes.Trim(after, " \t"), nil
}

// parseDisposition reads the value of a Content-Disposition header.
//
// A part with an empty name is refused. Other parameters are kept and mean
// nothing.
func (p *part) parseDisposition(at int, value []byte) error {
	kind, params := cutToken(value)
	if !strings.EqualFold(string(kind), "form-data") {
		return formError(at, "a part whose Content-Disposition is not form-data")
	}
	named := false
	err := eachParam(params, func(name string, value []byte, plain bool) error {
		switch {
		case name == "name" && !plain:
			return &InvalidError{Name: string(value), Msg: fmt.Sprintf("the part name %q has a stray backslash", value)}
		case name == "name":
			named = true
			p.name = value
		case name == "filename" || name == "filename*":
			p.file = true
		case strings.Contains(name, "*"):
			// name*= and name*0= compete with name= in some parsers.
			return &InvalidError{Msg: fmt.Sprintf("the part parameter %q is not supported", name)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !named || len(p.name) == 0 {
		return &InvalidError{Msg: "a part of the form has no name"}
	}
	return nil
}

// IsForm reports whether a Content-Type header says multipart/form-data. The rest
// of the header need not be readable.
func IsForm(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(kind, " \t"), "multipart/form-data")
}

// formBoundary returns the boundary of a Content-Type header.
//
// RFC 2046 allows 70 bytes. A space inside is legal there, and refused here.
func formBoundary(contentType string) ([]byte, error) {
	if !IsForm(contentType) {
		return nil, &InvalidError{Msg: "the content type is not multipart/form-data"}
	}
	_, params, _ := strings.Cut(contentType, ";")
	if params != "" {
		params = ";" + params
	}
	var boundary []byte
	err := eachParam([]byte(params), func(name string, value []byte, plain bool) error {
		if strings.HasPrefix(name, "boundary*") || name == "boundary" && !plain {
			return &InvalidError{Msg: fmt.Sprintf("the parameter %q is not supported", name)}
		}
		if name == "boundary" {
			boundary = value
		}
		return nil
	})
	if err != nil {
		return nil, &InvalidError{Msg: fmt.Sprintf("the content type cannot be read: %v", err)}
	}
	if len(boundary) == 0 || len(boundary) > 70 || bytes.ContainsFunc(boundary, notBoundary) {
		return nil, &InvalidError{Msg: "the content type names no valid boundary"}
	}
	return boundary, nil
}

// notBoundary is about the characters of RFC 2046, less the space.
func notBoundary(r rune) bool {
	return (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') && !strings.ContainsRune("'()+_,-./:=?", r)
}

// eachParam calls f for each "; name=value" of a header value, with the name
// in lower case and the value without quotes. plain: every backslash in the value
// escaped a quote or a backslash, as RFC 9110 has it. Browsers once wrote file
// paths without escaping them. A repeated name is an error, even with the same
// value.
func eachParam(v []byte, f func(name string, value []byte, plain bool) error) error {
	var seen [8]string
	for n := 0; ; n++ {
		v = bytes.TrimLeft(v, " \t")
		if len(v) == 0 {
			return nil
		}
		rest := bytes.TrimLeft(v[1:], " \t")
		if v[0] == ';' && len(rest) == 0 {
			return nil // a semicolon at the end is a common slip, and harmless
		}
		nameLen := tokenLen(rest)
		if v[0] != ';' || nameLen == 0 || nameLen == len(rest) || rest[nameLen] != '=' {
			return &InvalidError{Msg: fmt.Sprintf("malformed header parameter %q", clip(v))}
		}
		name := strings.ToLower(string(rest[:nameLen]))
		value, rest, plain, ok := cutValue(rest[nameLen+1:])
		if !ok {
			return &InvalidError{Msg: fmt.Sprintf("malformed value of the header parameter %q", name)}
		}
		if n == len(seen) {
			return &InvalidError{Msg: "too many header parameters"}
		}
		for _, s := range seen[:n] {
			if s == name {
				return &InvalidError{Msg: fmt.Sprintf("the header parameter %q appears twice", name)}
			}
		}
		seen[n] = name
		if err := f(name, value, plain); err != nil {
			return err
		}
		v = rest
	}
}

// cutValue cuts a parameter's value, a token or a quoted string, off v.
//
// A backslash escapes a quote or a backslash. Before another byte it stands for
// itself, and plain is false. ok is false without a value, or without the
// closing quote.
func cutValue(v []byte) (value, rest []byte, plain, ok bool) {
	if len(v) == 0 || v[0] != '"' {
		value, rest = cutToken(v)
		return value, rest, true, len(value) > 0
	}
	plain = true
	var unescaped []byte // the value so far, once it has had an escape
	from := 1
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '"':
			if unescaped == nil {
				return v[1:i], v[i+1:], plain, true
			}
			return append(unescaped, v[from:i]...), v[i+1:], plain, true
		case '\\':
			if i+1 < len(v) && (v[i+1] == '"' || v[i+1] == '\\') {
				if unescaped == nil {
					unescaped = make([]byte, 0, len(v))
				}
				unescaped = append(unescaped, v[from:i]...)
				from = i + 1
				i++
				continue
			}
			plain = false
		}
	}
	return nil, nil, false, false
}

// cutToken parts a token from the rest of a header's value.
func cutToken(v []byte) (token, rest []byte) {
	n := tokenLen(v)
	return v[:n], v[n:]
}

// tokenLen is the length of the token, in the sense of RFC 9110, at the start
// of v.
func tokenLen(v []byte) int {
	for i, c := range v {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return i
		}
	}
	return len(v)
}

// clip shortens a quotation of the client's bytes.
func clip(p []byte) []byte { return p[:min(len(p), 40)] }

// formError is a fault of the form's shape at a byte.
func formError(at int, msg string) error {
	return &SyntaxError{Format: "form", Offset: int64(at), Msg: msg}
}
