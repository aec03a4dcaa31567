package usage

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// json reads a document whose strings mean what their escapes say. Text that
// is no JSON is read all the same, in one way or another.
func (e *estimator) json(b []byte) {
	var name []byte // of the latest member
	for i := 0; i < len(b); {
		open := bytes.IndexByte(b[i:], '"')
		if open < 0 {
			e.text(b[i:])
			return
		}
		start := i + open + 1
		e.text(b[i:start])
		size, plain := stringEnd(b[start:])
		value := b[start : start+size]
		i = start + size
		switch {
		case isName(b[i:]):
			name = value
			e.text(value)
		case size >= minMedia && plain && holdsMedia(name) && isBase64(value):
			e.end()
			e.sum += MediaTokens * unit
		case plain:
			e.text(value)
		default:
			e.escaped(value)
		}
	}
}

// stringEnd returns where a string that b starts with ends, at its closing
// quote or with b, and whether it is free of escapes.
func stringEnd(b []byte) (n int, plain bool) {
	plain = true
	for n < len(b) {
		i := bytes.IndexByte(b[n:], '"')
		if i < 0 {
			return len(b), plain && bytes.IndexByte(b[n:], '\\') < 0
		}
		esc := bytes.IndexByte(b[n:n+i], '\\')
		if esc < 0 {
			return n + i, plain
		}
		plain = false
		n += esc + 2
	}
	return len(b), plain
}

// isName reports whether the closing quote at the front of b ends a member's name.
func isName(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	b = bytes.TrimLeft(b[1:], " \t\r\n")
	return len(b) > 0 && b[0] == ':'
}

// escaped reads the inside of a string with escapes.
func (e *estimator) escaped(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\\')
		if i < 0 || i+1 == len(b) {
			break
		}
		e.text(b[:i])
		c := b[i+1]
		b = b[i+2:]
		switch c {
		case 'n', 'r':
			e.add(kindBreak, false)
		case 't':
			e.add(kindSpace, false)
		case 'u':
			r := hex4(b)
			b = b[min(4, len(b)):]
			if utf16.IsSurrogate(r) && len(b) >= 6 && b[0] == '\\' && b[1] == 'u' {
				r = utf16.DecodeRune(r, hex4(b[2:]))
				b = b[6:]
			}
			if r < utf8.RuneSelf {
				e.add(asciiKind(byte(r)), false)
			} else {
				e.add(runeKind(r), false)
			}
		default:
			e.add(kindSign, false)
		}
	}
	e.text(b)
}

// hex4 reads the four digits of \u. Anything else is U+FFFD.
func hex4(b []byte) rune {
	if len(b) >= 4 {
		if r, err := strconv.ParseUint(string(b[:4]), 16, 16); err == nil {
			return rune(r)
		}
	}
	return utf8.RuneError
}

// holdsMedia reports whether a member of this name holds media in the requests
// that the gateway knows. Under any other name base64 is text, whatever it
// looks like: a prompt must not get around a limit by its form.
func holdsMedia(name []byte) bool {
	switch string(name) {
	case "url", "image_url", // {"type":"image_url","image_url":{"url":"data:…"}}, {"type":"input_image","image_url":"data:…"}
		"data",                  // Anthropic's source, OpenAI's input_audio
		"file_data", "file_url", // OpenAI's files
		"image", "audio", "mask": // image and audio APIs of compatible servers
		return true
	}
	return false
}

// isBase64 reports whether all of b is base64, of either alphabet, or a data
// URL of it.
func isBase64(b []byte) bool {
	if bytes.HasPrefix(b, []byte("data:")) {
		const maxType = 128 // more than any media type with its parameters
		_, data, ok := bytes.Cut(b[:min(len(b), maxType)], []byte(";base64,"))
		if !ok {
			return false
		}
		b = b[min(len(b), maxType)-len(data):]
	}
	for _, c := range bytes.TrimRight(b, "=") {
		switch k := asciiKind(c); {
		case k == kindLower, k == kindUpper, k == kindDigit:
		case c == '+', c == '/', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// form reads a multipart/form-data body: the values of its fields, and a medium
// for each file.
func (e *estimator) form(b []byte) {
	boundary, rest, _ := bytes.Cut(b, []byte("\r\n"))
	for len(rest) > 0 {
		part := rest
		if i := bytes.Index(rest, boundary); i >= 0 {
			part, rest = rest[:i], rest[i+len(boundary):]
		} else {
			rest = nil
		}
		head, value, ok := bytes.Cut(part, []byte("\r\n\r\n"))
		switch {
		case !ok:
		case bytes.Contains(bytes.ToLower(head[:min(len(head), 4<<10)]), []byte("filename")):
			e.end()
			e.sum += MediaTokens * unit
		default:
			e.text(value)
		}
	}
}
