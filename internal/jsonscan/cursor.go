package jsonscan

import "bytes"

// Cursor walks a JSON text in place. A plain byte search cannot tell a key from
// the same word inside an answer, and encoding/json would allocate for each text.
//
// A cursor made by [Lenient] is not a validator. Text that it cannot follow makes
// it [Cursor.Bad], but misplaced commas and faults inside of skipped values may
// pass: Python's servers write NaN, and their clients read it. A cursor made by
// [Strict] accepts exactly the JSON grammar, up to [MaxDepth] inside a skipped
// value, as far as it was walked.
//
// Keys are compared as written: an escaped key is an unknown key.
//
// The zero Cursor is at the end of an empty text. A copy of a cursor is another
// cursor at the same place. Names and texts alias b.
type Cursor struct {
	b      []byte
	i      int
	bad    bool
	strict bool
	first  bool // the container at the cursor was just entered
}

// Lenient returns a cursor at the start of b.
func Lenient(b []byte) Cursor { return Cursor{b: b} }

// Strict returns a cursor at the start of b, for text that must be valid.
func Strict(b []byte) Cursor { return Cursor{b: b, strict: true} }

// Bad reports whether the text could not be followed. The cursor is then at its
// end.
func (c *Cursor) Bad() bool { return c.bad }

// Offset is the number of bytes before the cursor.
func (c *Cursor) Offset() int { return c.i }

// Since returns the text from an earlier offset to the cursor.
func (c *Cursor) Since(from int) []byte { return c.b[from:c.i] }

// Rest returns the text behind the cursor.
func (c *Cursor) Rest() []byte { return c.b[c.i:] }

// fail stops the cursor for good.
//
// All loops over members and elements end at once then.
func (c *Cursor) fail() {
	c.bad = true
	c.i = len(c.b)
}

// Peek skips white space and returns the next byte, or 0 at the end.
func (c *Cursor) Peek() byte {
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

// Enter steps into the object or array at the cursor. It reports false, and
// stays, where another byte than open stands there.
func (c *Cursor) Enter(open byte) bool {
	if c.Peek() != open {
		return false
	}
	c.i++
	c.first = true
	return true
}

// First steps into the object at the cursor, and moves to its first member as
// [Cursor.Key] does to the next one. It returns false, and moves behind the value, where
// the object is empty or another value stands there:
//
//	for name, ok := c.First(); ok; name, ok = c.Key() {
//		c.Skip() // or read the value
//	}
func (c *Cursor) First() ([]byte, bool) {
	if !c.Enter('{') {
		c.Skip()
		return nil, false
	}
	return c.Key()
}

// Key moves to the value of the next member of the current object, and returns
// the name as written. It returns false behind the object.
//
// Its caller reads or skips the value before the next call.
func (c *Cursor) Key() ([]byte, bool) {
	b := c.Peek()
	first := c.first
	c.first = false
	if b == ',' {
		if c.strict && first {
			c.fail()
			return nil, false
		}
		c.i++
		if b = c.Peek(); c.strict && b != '"' {
			c.fail()
			return nil, false
		}
	} else if c.strict && !first && b == '"' {
		c.fail()
		return nil, false
	}
	switch b {
	case '"':
		k := c.Text()
		if c.Peek() != ':' {
			c.fail()
			return nil, false
		}
		c.i++
		return k, !c.bad
	case '}':
		c.i++
	default:
		c.fail()
	}
	return nil, false
}

// Elem moves to the next element of the current array. It returns false behind
// the array.
//
// Its caller reads or skips the element before the next call.
func (c *Cursor) Elem() bool {
	b := c.Peek()
	first := c.first
	c.first = false
	if b == ',' {
		if c.strict && first {
			c.fail()
			return false
		}
		c.i++
		if b = c.Peek(); c.strict && b == ']' {
			c.fail()
			return false
		}
	} else if c.strict && !first && b != ']' {
		c.fail()
		return false
	}
	switch b {
	case ']':
		c.i++
		return false
	case 0:
		c.fail()
		return false
	}
	return !c.bad
}

// Text returns the inside of the string at the cursor, still escaped, and moves
// behind it. It returns nil, and moves behind the value, where another value
// stands there.
func (c *Cursor) Text() []byte {
	if c.Peek() != '"' {
		c.Skip()
		return nil
	}
	c.i++
	start := c.i
	if c.strict {
		end, f := SkipString(c.b, start)
		if f != OK {
			c.fail()
			return nil
		}
		c.i = end
		return c.b[start : end-1]
	}
	// Names and most values are short: a call would take longer than they do.
	short := c.b[start:min(start+24, len(c.b))]
	for n, b := range short {
		if b == '"' {
			c.i = start + n + 1
			return short[:n:n]
		}
		if b == '\\' {
			break
		}
	}
	for {
		n := bytes.IndexByte(c.b[c.i:], '"')
		if n < 0 {
			c.fail()
			return nil
		}
		end := c.i + n
		c.i = end + 1
		// A quote is escaped when an odd number of backslashes stands before it.
		esc := end
		for esc > start && c.b[esc-1] == '\\' {
			esc--
		}
		if (end-esc)%2 == 0 {
			return c.b[start:end]
		}
	}
}

// Skip moves behind the value at the cursor and reports whether the value says
// anything: null, false, "", {} and [] do not.
//
// To a lenient cursor NaN is a fault as the value itself, and passes inside of a
// skipped object or array.
func (c *Cursor) Skip() bool {
	b := c.Peek()
	if c.strict {
		return c.skipStrictly(b)
	}
	switch b {
	case '"':
		return len(c.Text()) > 0
	case '{', '[':
		return c.skipNested()
	case 'n', 'f', 't', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		for c.i < len(c.b) {
			switch c.b[c.i] {
			case ',', '}', ']', ' ', '\t', '\n', '\r':
				return b != 'n' && b != 'f'
			}
			c.i++
		}
		return b != 'n' && b != 'f'
	default:
		c.fail()
		return false
	}
}

// Value moves behind the value at the cursor, and returns it as it is written, without the
// white space around it.
func (c *Cursor) Value() []byte {
	c.Peek()
	from := c.i
	c.Skip()
	return c.b[from:c.i]
}

// skipStrictly is Skip for a value that must be valid. Its first byte is b.
func (c *Cursor) skipStrictly(b byte) bool {
	start := c.i
	end, f := SkipValue(c.b, start)
	if f != OK {
		c.fail()
		return false
	}
	c.i = end
	switch b {
	case 'n', 'f':
		return false
	case '"':
		return end-start > len(`""`)
	case '{', '[':
		return c.b[SkipSpace(c.b, start+1)] != b+2 // the closing byte is two behind its opening
	}
	return true
}

// skipNested moves behind the object or array at the cursor. It does not
// recurse: an upstream's depth must not become the depth of our stack.
func (c *Cursor) skipNested() bool {
	c.i++
	b := c.Peek()
	filled := b != '}' && b != ']'
	for depth := 1; ; {
		if c.i = skipPlain(c.b, c.i); c.i == len(c.b) {
			break
		}
		switch c.b[c.i] {
		case '"':
			c.Text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				c.i++
				return filled
			}
		}
		c.i++
	}
	c.bad = true
	return false
}
