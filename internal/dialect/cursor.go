package dialect

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math/bits"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects nest in a value.
//
// It bounds the bits of [cursor.skip].
const maxDepth = 1000

// raw is the text of one JSON value, as its sender wrote it. A string keeps its
// quotes and escapes: it is copied and never decoded. Nil is an absent value, or
// null. A raw aliases its body.
type raw = []byte

// cursor reads JSON text in one pass and checks its syntax. The first
// fault sets bad; every later read returns nothing. It never recurses.
//
// A user reads all members of an object, or gives the cursor up: it stands
// wherever the last read left it. A value that was not asked for is still
// checked.
type cursor struct {
	b     []byte
	i     int
	first bool // no member or element of the open value was read yet
	bad   bool
}

// fail makes a fault of the bytes at the cursor.
//
// The place moves to the end, so that all loops end.
func (c *cursor) fail() {
	c.bad = true
	c.i = len(c.b)
}

// peek skips white space and returns the next byte, or 0 at the end.
func (c *cursor) peek() byte {
	for c.i < len(c.b) {
		switch b := c.b[c.i]; b {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return b
		}
	}
	return 0
}

// enter steps into the object or array if it starts with open.
//
// Where the value starts with another byte, the cursor stays before it.
func (c *cursor) enter(open byte) bool {
	if c.bad || c.peek() != open {
		return false
	}
	c.i++
	c.first = true
	return true
}

// object steps into an object. Any other value is skipped.
func (c *cursor) object() bool {
	if c.enter('{') {
		return true
	}
	c.value()
	return false
}

// array steps into an array. Any other value is skipped.
func (c *cursor) array() bool {
	if c.enter('[') {
		return true
	}
	c.value()
	return false
}

// next moves to the next element before the closing byte. It returns false,
// behind the closing byte, at the end.
//
// A comma before the closing byte is a fault, as JSON has it.
func (c *cursor) next(closing byte) bool {
	if c.bad {
		return false
	}
	b := c.peek()
	if b == closing {
		c.i++
		c.first = false
		return false
	}
	if !c.first {
		if b != ',' {
			c.fail()
			return false
		}
		c.i++
		if b = c.peek(); b == closing {
			c.fail()
			return false
		}
	}
	c.first = false
	return true
}

// key moves to the value of the next member and returns its decoded name. It
// returns false, behind the object, after the last member.
//
// The name aliases the body unless it has escapes: a client may write "model" as
// "\u006dodel", and means the same.
func (c *cursor) key() ([]byte, bool) {
	if !c.next('}') {
		return nil, false
	}
	if c.peek() != '"' {
		c.fail()
		return nil, false
	}
	start := c.i
	escaped := c.skipString()
	if c.bad {
		return nil, false
	}
	name := c.b[start+1 : c.i-1]
	if c.peek() != ':' {
		c.fail()
		return nil, false
	}
	c.i++
	// Escapes in names are rare: the usual name costs no copy.
	if escaped {
		name = appendUnescaped(nil, name)
	}
	return name, true
}

// members yields the names of the remaining members of the open object. Its
// user reads each value, or skips it.
//
// A break leaves the cursor where it is.
func (c *cursor) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			name, ok := c.key()
			if !ok || !yield(name) {
				return
			}
		}
	}
}

// elem moves to the next element of the open array.
func (c *cursor) elem() bool { return c.next(']') }

// value moves behind the next value and returns its text; nil for null.
func (c *cursor) value() raw {
	if c.bad {
		return nil
	}
	first := c.peek()
	start := c.i
	c.skip()
	c.first = false
	if c.bad || first == 'n' {
		return nil
	}
	return c.b[start:c.i]
}

// numeral is value for a number. A number in quotes counts as the number: servers in
// Python take it, and the APIs of other formats do not.
func (c *cursor) numeral() raw {
	v := c.value()
	quoted := cursor{b: inner(v)}
	if b := quoted.peek(); b != '-' && (b < '0' || b > '9') {
		return v
	}
	if n := quoted.value(); quoted.peek() == 0 && !quoted.bad {
		return n
	}
	return v
}

// str moves behind the next value and returns it if it is a string.
//
// Another value is skipped and reads as absent. The formats have members with
// several types, and servers with their own ideas of them.
func (c *cursor) str() raw {
	if v := c.value(); len(v) > 0 && v[0] == '"' {
		return v
	}
	return nil
}

// text is str, decoded. It reads short words.
func (c *cursor) text() string { return text(c.str()) }

// word is text without a copy, unless it has escapes.
func (c *cursor) word() []byte {
	in := inner(c.str())
	if bytes.IndexByte(in, '\\') >= 0 {
		return appendUnescaped(nil, in)
	}
	return in
}

// integer moves behind the next value and returns it if it is a number; a
// fraction is cut off.
func (c *cursor) integer() int64 { return integer(c.value()) }

// boolean moves behind the next value and reports whether it is true.
func (c *cursor) boolean() bool { return string(c.value()) == "true" }

// done reports whether the text was sound, and nothing follows the value.
func (c *cursor) done() bool { return !c.bad && c.peek() == 0 && c.i == len(c.b) }

// skip moves behind the next value. It keeps one bit a level and no stack.
//
// It is a machine with four states: at a value, behind a value, at a closing
// byte, and at the key of a member. depth is the number of open arrays and
// objects, and the bit of each level in objects tells an object from an array.
// The time is linear, with one pass over the bytes.
func (c *cursor) skip() {
	var objects [maxDepth/64 + 1]uint64
	depth := 0
	inObject := false
value:
	switch b := c.peek(); b {
	case '"':
		c.skipString()
	case '{', '[':
		if depth++; depth > maxDepth {
			c.fail()
			return
		}
		inObject = b == '{'
		bit := uint64(1) << (depth & 63)
		if inObject {
			objects[depth>>6] |= bit
		} else {
			objects[depth>>6] &^= bit
		}
		c.i++
		if c.peek() == b+2 { // '}' and ']' are each two behind their opening
			goto closing
		}
		if inObject {
			goto key
		}
		goto value
	case 't':
		c.literal("true")
	case 'f':
		c.literal("false")
	case 'n':
		c.literal("null")
	default:
		c.number()
	}
next:
	if c.bad || depth == 0 {
		return
	}
	switch b := c.peek(); {
	case b == ',':
		c.i++
		if inObject {
			goto key
		}
		goto value
	case inObject && b == '}', !inObject && b == ']':
	default:
		c.fail()
		return
	}
closing:
	c.i++
	depth--
	inObject = objects[depth>>6]&(1<<(depth&63)) != 0
	goto next
key:
	if c.peek() != '"' {
		c.fail()
		return
	}
	c.skipString()
	if c.bad || c.peek() != ':' {
		c.fail()
		return
	}
	c.i++
	goto value
}

// literal moves behind true, false or null.
func (c *cursor) literal(word string) {
	if end := c.i + len(word); end <= len(c.b) && string(c.b[c.i:end]) == word {
		c.i = end
		return
	}
	c.fail()
}

// number moves behind a number. Any other text is a fault.
func (c *cursor) number() {
	if c.i < len(c.b) && c.b[c.i] == '-' {
		c.i++
	}
	if c.i < len(c.b) && c.b[c.i] == '0' {
		c.i++
	} else {
		c.digits()
	}
	if c.i < len(c.b) && c.b[c.i] == '.' {
		c.i++
		c.digits()
	}
	if c.i < len(c.b) && c.b[c.i]|0x20 == 'e' {
		c.i++
		if c.i < len(c.b) && (c.b[c.i] == '+' || c.b[c.i] == '-') {
			c.i++
		}
		c.digits()
	}
}

// digits skips one digit or more.
func (c *cursor) digits() {
	start := c.i
	for c.i < len(c.b) && c.b[c.i] >= '0' && c.b[c.i] <= '9' {
		c.i++
	}
	if c.i == start {
		c.fail()
	}
}

const (
	eachByte = 0x0101010101010101 // times b: b in each of eight bytes
	highBits = 0x80 * eachByte
)

// endsRun looks for the end of a plain run in eight bytes: a quote, a backslash,
// or a control character. It marks the lowest one in the high bit of its byte. Marks above
// the lowest may be false.
func endsRun(x uint64) uint64 {
	quoteOrControl := (x ^ 0x02*eachByte) - 0x21*eachByte
	backslash := (x ^ '\\'*eachByte) - eachByte
	return (quoteOrControl | backslash) &^ x & highBits
}

// plainRun returns the number of plain bytes at the start of p: all but quotes,
// backslashes and control characters.
//
// Text is the bulk of a body. Eight bytes at a time go by with a few operations.
func plainRun(p []byte) int {
	n := 0
	for ; n+8 <= len(p); n += 8 {
		// The lowest mark is the right one, and the lowest byte comes first in
		// memory.
		if m := endsRun(binary.LittleEndian.Uint64(p[n:])); m != 0 {
			return n + bits.TrailingZeros64(m)/8
		}
	}
	for n < len(p) && p[n] != '"' && p[n] != '\\' && p[n] >= ' ' {
		n++
	}
	return n
}

// skipString moves behind the string at the cursor, and reports whether it has
// escapes.
//
// Bytes above 0x7F are passed as they are: UTF-8 is not checked.
func (c *cursor) skipString() (escaped bool) {
	c.i++
	for {
		c.i += plainRun(c.b[c.i:])
		if c.i >= len(c.b) || c.b[c.i] < ' ' {
			c.fail()
			return escaped
		}
		if c.b[c.i] == '"' {
			c.i++
			return escaped
		}
		escaped = true
		n := escapeLength(c.b[c.i:])
		if n == 0 {
			c.fail()
			return escaped
		}
		c.i += n
	}
}

// escapeLength returns the length of the escape at the start of p, 0 for an
// unknown or broken one.
func escapeLength(p []byte) int {
	if len(p) < 2 {
		return 0
	}
	switch p[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(p) < 6 {
			return 0
		}
		for _, h := range p[2:6] {
			if hexDigit(h) < 0 {
				return 0
			}
		}
		return 6
	}
	return 0
}

// hexDigit is the value of a hexadecimal digit, -1 for another byte.
func hexDigit(b byte) rune {
	switch {
	case b >= '0' && b <= '9':
		return rune(b - '0')
	case b|0x20 >= 'a' && b|0x20 <= 'f':
		return rune(b|0x20-'a') + 10
	}
	return -1
}

// hexRune is the value of four hexadecimal digits.
func hexRune(p []byte) rune {
	var r rune
	for _, h := range p[:4] {
		r = r<<4 | hexDigit(h)
	}
	return r
}

// appendUnescaped decodes the inside of a sound string. Half of a surrogate pair
// becomes U+FFFD, as in encoding/json.
func appendUnescaped(dst, inner []byte) []byte {
	for len(inner) > 0 {
		n := 0
		for n < len(inner) && inner[n] != '\\' {
			n++
		}
		dst = append(dst, inner[:n]...)
		inner = inner[n:]
		if len(inner) < 2 {
			return dst
		}
		switch c := inner[1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			if len(inner) < 6 {
				return dst
			}
			r := hexRune(inner[2:])
			inner = inner[4:]
			if r >= 0xD800 && r < 0xE000 {
				low := rune(0)
				if len(inner) >= 8 && inner[2] == '\\' && inner[3] == 'u' {
					low = hexRune(inner[4:])
				}
				if r < 0xDC00 && low >= 0xDC00 && low < 0xE000 {
					r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
					inner = inner[6:]
				} else {
					r = utf8.RuneError
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
		inner = inner[2:]
	}
	return dst
}
