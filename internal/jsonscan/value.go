// Package jsonscan reads JSON text where it lies. It decodes nothing.
//
// Four readers share the package. The Skip functions check one whole text
// strictly, as [encoding/json.Valid] does. A [Cursor] visits the members of
// objects. Neither allocates. A [Follower] sees a text in pieces and finds its end,
// and a [Digest] keeps the short values of one.
//
// # Files
//
// value.go is the strict check. Package reqbody has the words for its faults.
// text_amd64.s skips the text of its strings; text_generic.go does on other processors, and
// under the build tag purego. cursor.go visits members, follow.go follows a text in pieces,
// and digest.go keeps its short values.
package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// MaxDepth bounds the nesting of arrays and objects, the top level included.
// encoding/json allows 10,000 levels, but many parsers recurse. The deepest tool
// schemas stay under a hundred.
const MaxDepth = 1000

// Fault says what is wrong at an offset. It is a number, not an error: the good
// path stays free of interfaces and allocations.
type Fault uint8

// The faults. OK is the zero value.
const (
	OK Fault = iota
	UnexpectedEnd
	WantValue
	WantKey
	WantColon
	WantObjectNext
	WantArrayNext
	BadNumber
	BadLiteral
	BadEscape
	ControlInString
	TooDeep
)

// IsValue reports whether p is one JSON value. White space may surround it.
func IsValue(p []byte) bool {
	i := SkipSpace(p, 0)
	if i == len(p) {
		return false
	}
	i, f := SkipValue(p, i)
	return f == OK && SkipSpace(p, i) == len(p)
}

// SkipValue takes the offset of a value's first byte, and returns the offset
// behind the value. With a fault it returns the offset of the first byte that
// does not fit. The other Skip functions do the same for their parts.
//
// It keeps a stack of one bit a level and does not recurse: input cannot make
// it use memory.
//
// The jumps are the states of the parser: value is before a value, key before the name
// of a member, next behind a value, and closing at a closing bracket.
func SkipValue(src []byte, i int) (int, Fault) {
	var objects [MaxDepth/64 + 1]uint64 // bit n: level n is an object, not an array
	depth := 0
	inObject := false
	var f Fault
value:
	if i == len(src) {
		return i, UnexpectedEnd
	}
	switch c := src[i]; c {
	case '"':
		if i, f = SkipString(src, i+1); f != OK {
			return i, f
		}
	case '{', '[':
		// The object around the value is one level too.
		if depth+1 == MaxDepth {
			return i, TooDeep
		}
		depth++
		inObject = c == '{'
		bit := uint64(1) << (depth & 63)
		if inObject {
			objects[depth>>6] |= bit
		} else {
			objects[depth>>6] &^= bit
		}
		i = SkipSpace(src, i+1)
		if i == len(src) {
			return i, UnexpectedEnd
		}
		if src[i] == c+2 { // '}' and ']' are each two behind their opening
			goto closing
		}
		if inObject {
			goto key
		}
		goto value
	case 't':
		if i, f = skipLiteral(src, i, "true"); f != OK {
			return i, f
		}
	case 'f':
		if i, f = skipLiteral(src, i, "false"); f != OK {
			return i, f
		}
	case 'n':
		if i, f = skipLiteral(src, i, "null"); f != OK {
			return i, f
		}
	default:
		if c != '-' && (c < '0' || c > '9') {
			return i, WantValue
		}
		if i, f = skipNumber(src, i); f != OK {
			return i, f
		}
	}
next:
	if depth == 0 {
		return i, OK
	}
	i = SkipSpace(src, i)
	if i == len(src) {
		return i, UnexpectedEnd
	}
	if src[i] == ',' {
		i = SkipSpace(src, i+1)
		if inObject {
			goto key
		}
		goto value
	}
	if inObject {
		if src[i] != '}' {
			return i, WantObjectNext
		}
	} else if src[i] != ']' {
		return i, WantArrayNext
	}
closing:
	i++
	depth--
	inObject = objects[depth>>6]&(1<<(depth&63)) != 0
	goto next
key:
	if i == len(src) {
		return i, UnexpectedEnd
	}
	if src[i] != '"' {
		return i, WantKey
	}
	if i, f = SkipString(src, i+1); f != OK {
		return i, f
	}
	if i, f = SkipColon(src, i); f != OK {
		return i, f
	}
	goto value
}

// SkipColon skips the colon behind a name, and the white space around it.
func SkipColon(src []byte, i int) (int, Fault) {
	if i < len(src) && src[i] == ':' { // few writers put space before a colon
		return SkipSpace(src, i+1), OK
	}
	i = SkipSpace(src, i)
	if i == len(src) {
		return i, UnexpectedEnd
	}
	if src[i] != ':' {
		return i, WantColon
	}
	return SkipSpace(src, i+1), OK
}

// SkipSpace skips white space.
//
// White space is the four characters of RFC 8259.
func SkipSpace(src []byte, i int) int {
	for i < len(src) && src[i] <= ' ' {
		switch src[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

const (
	eachByte = 0x0101010101010101 // times b: b in each of eight bytes
	highBits = 0x80 * eachByte
)

// stringEnds marks, in the high bit of its byte, each of the eight bytes of x
// that ends a plain run of string bytes: a quote, a backslash, or a control
// character. The lowest mark is always right. Bytes above it may be marked
// without cause: a subtraction borrows from its neighbour.
func stringEnds(x uint64) uint64 {
	// b^2 < 0x21 holds for 0x00-0x1F, which the xor only swaps among
	// themselves, and for the quote, which becomes 0x20.
	quoteOrControl := (x ^ 0x02*eachByte) - 0x21*eachByte
	backslash := (x ^ '\\'*eachByte) - eachByte
	// A byte of 0x80 and above is text, whatever the subtractions say.
	return (quoteOrControl | backslash) &^ x & highBits
}

// SkipString skips the rest of a string. Its opening quote stands before i.
//
// Invalid UTF-8 passes, as in encoding/json.Valid.
func SkipString(src []byte, i int) (int, Fault) {
	for {
		// Two words at a time: most strings are short and end in one of the
		// first two.
		for near := min(len(src)-16, i+nearRun); i <= near; i += 16 {
			words := src[i : i+16]
			if m := stringEnds(binary.LittleEndian.Uint64(words)); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				goto end
			}
			if m := stringEnds(binary.LittleEndian.Uint64(words[8:])); m != 0 {
				i += 8 + bits.TrailingZeros64(m)/8
				goto end
			}
		}
		if i <= len(src)-16 {
			i += plainText(src[i:])
			continue
		}
		for i < len(src) && src[i] != '"' && src[i] != '\\' && src[i] >= ' ' {
			i++
		}
	end:
		if i >= len(src) {
			return i, UnexpectedEnd
		}
		if src[i] == '"' {
			return i + 1, OK
		}
		if src[i] != '\\' {
			return i, ControlInString
		}
		i++
		switch {
		case i >= len(src):
			return i, UnexpectedEnd
		case shortEscapes[src[i]]:
			i++
		case src[i] == 'u':
			for n := 0; n < 4; n++ {
				i++
				if i >= len(src) {
					return i, UnexpectedEnd
				}
				if !IsHex(src[i]) {
					return i, BadEscape
				}
			}
			i++
		default:
			return i, BadEscape
		}
	}
}

// shortEscapes are the bytes that may follow a backslash by themselves. Text mixes \n and
// \" in an order that no branch predictor guesses: a table leaves it nothing to guess.
var shortEscapes = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// IsHex reports whether c is a hexadecimal digit.
func IsHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// skipNumber skips a number. Its first byte is known to be '-' or a digit. The
// caller checks the byte behind it.
func skipNumber(src []byte, i int) (int, Fault) {
	if src[i] == '-' {
		i++
	}
	switch {
	case i == len(src):
		return i, UnexpectedEnd
	case src[i] == '0':
		i++
	default:
		var f Fault
		if i, f = skipDigits(src, i); f != OK {
			return i, f
		}
	}
	if i < len(src) && src[i] == '.' {
		var f Fault
		if i, f = skipDigits(src, i+1); f != OK {
			return i, f
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		return skipDigits(src, i)
	}
	return i, OK
}

// skipDigits skips one digit or more. JSON has no number without them.
func skipDigits(src []byte, i int) (int, Fault) {
	if i == len(src) {
		return i, UnexpectedEnd
	}
	if src[i] < '0' || src[i] > '9' {
		return i, BadNumber
	}
	for i < len(src) && src[i] >= '0' && src[i] <= '9' {
		i++
	}
	return i, OK
}

// skipLiteral moves behind true, false or null. A fault is at the first wrong byte.
func skipLiteral(src []byte, i int, literal string) (int, Fault) {
	for n := range len(literal) {
		if i+n == len(src) {
			return i + n, UnexpectedEnd
		}
		if src[i+n] != literal[n] {
			return i + n, BadLiteral
		}
	}
	return i + len(literal), OK
}
