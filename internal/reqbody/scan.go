package reqbody

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// maxDepth bounds how deep arrays and objects nest, the top level included.
// encoding/json allows 10,000, but many parsers recurse, and the deepest tool
// schemas stay under a hundred.
const maxDepth = 1000

// Scan reads src, a whole JSON object, into d, in one pass that checks the
// syntax to its end. It is as strict as [json.Valid] and no stricter: invalid
// UTF-8 inside strings is accepted, since it goes upstream as it came. Beyond
// that it wants an object at the top level, at most 1,000 levels of nesting
// and at most 10,000 top-level members.
//
// d keeps src, which must not change while d is in use; what d held before is
// forgotten. Nothing is allocated for an object of up to 16 members without
// escapes in their names. After an error, d is empty.
func Scan(src []byte, d *Document) error {
	d.reset(src)
	at, f := d.scan(src)
	if f == none {
		return nil
	}
	d.reset(nil)
	return f.describe(src, at)
}

func (d *Document) scan(src []byte) (int, fault) {
	i := skipSpace(src, 0)
	if i == len(src) {
		return i, emptyBody
	}
	if src[i] != '{' {
		return i, notObject
	}
	d.open = i
	i = skipSpace(src, i+1)
	if i < len(src) && src[i] == '}' {
		return trailing(src, i+1)
	}
	for {
		m := member{key: span{start: i}}
		var escaped bool
		var f fault
		if m.key.end, escaped, f = skipKey(src, i); f != none {
			return m.key.end, f
		}
		if i, f = skipColon(src, m.key.end); f != none {
			return i, f
		}
		m.value.start = i
		if i, f = skipValue(src, i); f != none {
			return i, f
		}
		m.value.end = i
		if d.n == maxMembers {
			return m.key.start, tooMany
		}
		if escaped {
			// Kept, so that looking names up does not decode again each
			// time: escapes in names are cheap to send by the thousand.
			d.decoded = append(d.decoded, []byte(unquote(src[m.key.start:m.key.end])))
			m.decoded = len(d.decoded)
		}
		d.add(m)

		i = skipSpace(src, i)
		switch {
		case i == len(src):
			return i, unexpectedEnd
		case src[i] == ',':
			i = skipSpace(src, i+1)
		case src[i] == '}':
			return trailing(src, i+1)
		default:
			return i, wantObjectNext
		}
	}
}

func trailing(src []byte, i int) (int, fault) {
	if i = skipSpace(src, i); i < len(src) {
		return i, trailingData
	}
	return i, none
}

// isValue reports whether p is one JSON value, with white space around it or
// without.
func isValue(p []byte) bool {
	i := skipSpace(p, 0)
	if i == len(p) {
		return false
	}
	i, f := skipValue(p, i)
	return f == none && skipSpace(p, i) == len(p)
}

// The functions below take the offset of the first byte of what they skip and
// return the offset behind it, or the offset of the first byte that does not
// fit and what is wrong with it. A fault is a number and not an error, which
// keeps the good path free of interfaces and allocations.

// skipValue skips a value. It keeps its own stack, one bit a level, instead of
// recursing: input cannot make it use memory.
func skipValue(src []byte, i int) (int, fault) {
	var objects [maxDepth/64 + 1]uint64 // bit n: level n is an object, not an array
	depth := 0
	inObject := false
	var f fault
value:
	if i == len(src) {
		return i, unexpectedEnd
	}
	switch c := src[i]; c {
	case '"':
		if i, f = skipString(src, i+1); f != none {
			return i, f
		}
	case '{', '[':
		// The object around the value is one level too.
		if depth+1 == maxDepth {
			return i, tooDeep
		}
		depth++
		inObject = c == '{'
		bit := uint64(1) << (depth & 63)
		if inObject {
			objects[depth>>6] |= bit
		} else {
			objects[depth>>6] &^= bit
		}
		i = skipSpace(src, i+1)
		if i == len(src) {
			return i, unexpectedEnd
		}
		if src[i] == c+2 { // '}' and ']' are each two behind their opening
			goto closing
		}
		if inObject {
			goto key
		}
		goto value
	case 't':
		if i, f = skipLiteral(src, i, "true"); f != none {
			return i, f
		}
	case 'f':
		if i, f = skipLiteral(src, i, "false"); f != none {
			return i, f
		}
	case 'n':
		if i, f = skipLiteral(src, i, "null"); f != none {
			return i, f
		}
	default:
		if c != '-' && (c < '0' || c > '9') {
			return i, wantValue
		}
		if i, f = skipNumber(src, i); f != none {
			return i, f
		}
	}
next:
	if depth == 0 {
		return i, none
	}
	i = skipSpace(src, i)
	if i == len(src) {
		return i, unexpectedEnd
	}
	if src[i] == ',' {
		i = skipSpace(src, i+1)
		if inObject {
			goto key
		}
		goto value
	}
	if inObject {
		if src[i] != '}' {
			return i, wantObjectNext
		}
	} else if src[i] != ']' {
		return i, wantArrayNext
	}
closing:
	i++
	depth--
	inObject = objects[depth>>6]&(1<<(depth&63)) != 0
	goto next
key:
	if i == len(src) {
		return i, unexpectedEnd
	}
	if src[i] != '"' {
		return i, wantKey
	}
	if i, f = skipString(src, i+1); f != none {
		return i, f
	}
	if i, f = skipColon(src, i); f != none {
		return i, f
	}
	goto value
}

// skipKey skips a member's name with its quotes, and reports whether there is
// an escape in it.
func skipKey(src []byte, i int) (end int, escaped bool, f fault) {
	if i == len(src) {
		return i, false, unexpectedEnd
	}
	if src[i] != '"' {
		return i, false, wantKey
	}
	if end, f = skipString(src, i+1); f != none {
		return end, false, f
	}
	return end, bytes.IndexByte(src[i:end], '\\') >= 0, none
}

// skipColon skips the colon behind a name, and the white space around it.
func skipColon(src []byte, i int) (int, fault) {
	if i < len(src) && src[i] == ':' { // nobody writes space before a colon
		return skipSpace(src, i+1), none
	}
	i = skipSpace(src, i)
	if i == len(src) {
		return i, unexpectedEnd
	}
	if src[i] != ':' {
		return i, wantColon
	}
	return skipSpace(src, i+1), none
}

func skipSpace(src []byte, i int) int {
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
// character. Bytes above the lowest mark may be marked without cause (a
// subtraction borrows from its neighbour); the lowest is always right.
func stringEnds(x uint64) uint64 {
	// b^2 < 0x21 holds for 0x00-0x1F, which the xor only swaps among
	// themselves, and for the quote, which becomes 0x20.
	quoteOrControl := (x ^ 0x02*eachByte) - 0x21*eachByte
	backslash := (x ^ '\\'*eachByte) - eachByte
	// A byte of 0x80 and above is text, whatever the subtractions say.
	return (quoteOrControl | backslash) &^ x & highBits
}

// skipString skips the rest of a string, its opening quote being behind.
func skipString(src []byte, i int) (int, fault) {
	for {
		// Two words at a time: the short strings that bodies are full of
		// end in one of the first two.
		for i <= len(src)-16 {
			words := src[i : i+16]
			if m := stringEnds(binary.LittleEndian.Uint64(words)); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				goto end
			}
			if m := stringEnds(binary.LittleEndian.Uint64(words[8:])); m != 0 {
				i += 8 + bits.TrailingZeros64(m)/8
				goto end
			}
			i += 16
		}
		for i < len(src) && src[i] != '"' && src[i] != '\\' && src[i] >= ' ' {
			i++
		}
	end:
		if i >= len(src) {
			return i, unexpectedEnd
		}
		if src[i] == '"' {
			return i + 1, none
		}
		if src[i] != '\\' {
			return i, controlInString
		}
		i++
		switch {
		case i >= len(src):
			return i, unexpectedEnd
		case isShortEscape(src[i]):
			i++
		case src[i] == 'u':
			for n := 0; n < 4; n++ {
				i++
				if i >= len(src) {
					return i, unexpectedEnd
				}
				if !isHex(src[i]) {
					return i, badEscape
				}
			}
			i++
		default:
			return i, badEscape
		}
	}
}

// isShortEscape reports whether c may follow a backslash by itself. A switch
// would do, but text mixes \n and \" in an order that no branch predictor
// guesses; the two sets of bits leave it nothing to guess.
func isShortEscape(c byte) bool {
	const (
		below64 = 1<<'"' | 1<<'/'
		from64  = 1<<('\\'-64) | 1<<('b'-64) | 1<<('f'-64) | 1<<('n'-64) | 1<<('r'-64) | 1<<('t'-64)
	)
	set := uint64(below64)
	if c >= 64 {
		set = from64
	}
	return c < 128 && set>>(c&63)&1 != 0
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// skipNumber skips a number, whose first byte is known to be '-' or a digit.
// What may follow a number is its caller's business.
func skipNumber(src []byte, i int) (int, fault) {
	if src[i] == '-' {
		i++
	}
	switch {
	case i == len(src):
		return i, unexpectedEnd
	case src[i] == '0':
		i++
	default:
		var f fault
		if i, f = skipDigits(src, i); f != none {
			return i, f
		}
	}
	if i < len(src) && src[i] == '.' {
		var f fault
		if i, f = skipDigits(src, i+1); f != none {
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
	return i, none
}

// skipDigits skips one digit or more.
func skipDigits(src []byte, i int) (int, fault) {
	if i == len(src) {
		return i, unexpectedEnd
	}
	if src[i] < '0' || src[i] > '9' {
		return i, badNumber
	}
	for i < len(src) && src[i] >= '0' && src[i] <= '9' {
		i++
	}
	return i, none
}

func skipLiteral(src []byte, i int, literal string) (int, fault) {
	for n := range len(literal) {
		if i+n == len(src) {
			return i + n, unexpectedEnd
		}
		if src[i+n] != literal[n] {
			return i + n, badLiteral
		}
	}
	return i + len(literal), none
}

// A fault is what is wrong at an offset.
type fault uint8

const (
	none fault = iota
	emptyBody
	notObject
	unexpectedEnd
	wantValue
	wantKey
	wantColon
	wantObjectNext
	wantArrayNext
	badNumber
	badLiteral
	badEscape
	controlInString
	tooDeep
	tooMany
	trailingData
)

// describe makes the error for a fault at offset at of src.
func (f fault) describe(src []byte, at int) error {
	var msg string
	switch f {
	case emptyBody:
		return &InvalidError{Msg: "the request body is empty, but must be a JSON object"}
	case notObject:
		// Only of a whole value: a form's dashes are no number.
		if kind := kindOf(src[at]); kind != "" && isValue(src[at:]) {
			return &InvalidError{Msg: "the request body must be a JSON object, not " + kind}
		}
		if bytes.HasPrefix(src, []byte("\xEF\xBB\xBF")) {
			msg = "the body starts with a byte order mark"
			break
		}
		msg = "expected an object" + found(src, at)
	case tooMany:
		return &InvalidError{Msg: fmt.Sprintf("the request body has more than %d top-level members", maxMembers)}
	case unexpectedEnd:
		msg = "unexpected end of the body"
	case wantValue:
		msg = "expected a value" + found(src, at)
	case wantKey:
		msg = "expected a name in double quotes" + found(src, at)
	case wantColon:
		msg = "expected ':' after a name" + found(src, at)
	case wantObjectNext:
		msg = "expected ',' or '}' after a member" + found(src, at)
	case wantArrayNext:
		msg = "expected ',' or ']' after an element" + found(src, at)
	case badNumber:
		msg = "expected a digit in a number" + found(src, at)
	case badLiteral:
		msg = "expected true, false or null" + found(src, at)
	case badEscape:
		msg = "invalid escape in a string" + found(src, at)
	case controlInString:
		msg = "control character in a string" + found(src, at)
	case tooDeep:
		msg = fmt.Sprintf("nested more than %d levels deep", maxDepth)
	case trailingData:
		msg = "expected nothing more after the object" + found(src, at)
	case none:
	}
	return &SyntaxError{Format: "JSON", Offset: int64(at), Msg: msg}
}

// found names the byte that stands where another was expected. A byte of a
// longer UTF-8 sequence says nothing to anybody and is written in hexadecimal.
func found(src []byte, at int) string {
	if c := src[at]; c < 0x80 {
		return fmt.Sprintf(", found %q", rune(c))
	}
	return fmt.Sprintf(", found byte 0x%X", src[at])
}
