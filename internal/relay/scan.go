package relay

import "bytes"

// cursor walks JSON text in place. It exists because every event of every
// stream is looked at: encoding/json would validate and allocate for each, and
// a plain byte search cannot tell a key from the same word inside an answer.
//
// It is no validator. Text that it cannot follow sets bad; misplaced commas and
// faults inside of skipped values may pass, which is harmless for reading.
// Keys are compared as written: an escaped key is an unknown one.
type cursor struct {
	b   []byte
	i   int
	bad bool
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

// enter steps into the object or array that opens with open, if there is one.
func (c *cursor) enter(open byte) bool {
	if c.peek() != open {
		return false
	}
	c.i++
	return true
}

// key moves to the value of the next member of the current object. It returns
// false, behind the object, when there is none.
func (c *cursor) key() ([]byte, bool) {
	b := c.peek()
	if b == ',' {
		c.i++
		b = c.peek()
	}
	switch b {
	case '"':
		k := c.text()
		if c.peek() != ':' {
			c.bad = true
			return nil, false
		}
		c.i++
		return k, !c.bad
	case '}':
		c.i++
	default:
		c.bad = true
	}
	return nil, false
}

// elem moves to the next element of the current array. It returns false,
// behind the array, when there is none.
func (c *cursor) elem() bool {
	b := c.peek()
	if b == ',' {
		c.i++
		b = c.peek()
	}
	switch b {
	case ']':
		c.i++
		return false
	case 0:
		c.bad = true
		return false
	}
	return !c.bad
}

// text returns the inside of the string at the cursor, still escaped, and
// moves behind it. It returns nil, and moves behind the value, when it is not a string.
func (c *cursor) text() []byte {
	if c.peek() != '"' {
		c.skip()
		return nil
	}
	c.i++
	start := c.i
	for {
		n := bytes.IndexByte(c.b[c.i:], '"')
		if n < 0 {
			c.bad = true
			c.i = len(c.b)
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

// skip moves behind the value at the cursor and reports whether it says
// anything: null, false, "", {} and [] do not.
func (c *cursor) skip() bool {
	switch b := c.peek(); b {
	case '"':
		return len(c.text()) > 0
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
		c.bad = true
		c.i = len(c.b)
		return false
	}
}

// skipNested moves behind the object or array at the cursor, without recursion:
// the depth of what an upstream sends must not become the depth of our stack.
func (c *cursor) skipNested() bool {
	c.i++
	b := c.peek()
	filled := b != '}' && b != ']'
	for depth := 1; c.i < len(c.b); {
		switch c.b[c.i] {
		case '"':
			c.text()
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
