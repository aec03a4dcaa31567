package usage

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// json reads a document. Escapes in strings count as their characters. It is not
// a parser: text that is not JSON is read too, string by string. The quotes are
// found here, not by package jsonscan: punctuation and broken strings count.
//
// Media are recognized by the name before them and by their form. Both must fit,
// see [holdsMedia].
func (e *estimator) json(b []byte) {
	var name []byte // of the latest member
	for {
		i := bytes.IndexByte(b, '"')
		if i < 0 {
			e.text(b)
			return
		}
		e.text(b[:i+1])
		b = b[i+1:]
		n, plain := stringEnd(b)
		value, rest := b[:n], b[n:]
		switch {
		case isName(rest):
			name = value
			e.text(value)
		case n >= minMedia && plain && holdsMedia(name) && isBase64(value):
			e.medium()
		case plain:
			e.text(value)
		default:
			e.escaped(value)
		}
		if len(rest) == 0 {
			return
		}
		e.add(kindSign) // the closing quote
		b = rest[1:]
	}
}

// stringEnd returns the length of the string at the front of b, up to its closing
// quote or to the end of b, and whether the string is free of escapes.
//
// A string that never ends is all of b. The quote behind an odd number of
// backslashes does not end it.
func stringEnd(b []byte) (n int, plain bool) {
	quote := -1 // the next one at n or behind it, once it was looked for
	for plain = true; n < len(b); {
		if quote < n {
			if quote = bytes.IndexByte(b[n:], '"'); quote < 0 {
				quote = len(b)
			} else {
				quote += n
			}
		}
		esc := bytes.IndexByte(b[n:quote], '\\')
		if esc < 0 {
			return quote, plain
		}
		plain = false
		n += esc + len(`\"`)
	}
	return len(b), plain
}

// isName reports whether a string is the name of a member: a colon follows its
// closing quote, the first byte of rest.
func isName(rest []byte) bool {
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return rest[i] == ':'
		}
	}
	return false
}

// escaped reads the inside of a string with escapes.
//
// \u escapes are decoded, as a client in Python writes all of Chinese that way.
// Escapes other than those of blanks count as a sign.
func (e *estimator) escaped(b []byte) {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 || i+1 == len(b) {
			e.text(b)
			return
		}
		e.text(b[:i])
		c := b[i+1]
		b = b[i+2:]
		switch c {
		case 'n', 'r':
			e.add(kindBreak)
		case 't':
			e.add(kindSpace)
		case 'u':
			r := hex4(b)
			b = b[min(4, len(b)):]
			if utf16.IsSurrogate(r) && len(b) >= 6 && b[0] == '\\' && b[1] == 'u' {
				r = utf16.DecodeRune(r, hex4(b[2:]))
				b = b[6:]
			}
			var room [utf8.UTFMax]byte
			e.text(utf8.AppendRune(room[:0], r))
		default:
			e.add(kindSign)
		}
	}
}

// hex4 reads the four digits of \u, as U+FFFD if they are not digits.
func hex4(b []byte) rune {
	if len(b) >= 4 {
		if r, err := strconv.ParseUint(string(b[:4]), 16, 16); err == nil {
			return rune(r)
		}
	}
	return utf8.RuneError
}
