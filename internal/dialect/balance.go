package dialect

import "bytes"

// balance follows the brackets of arguments in pieces.
//
// Arguments that are whole end a call: some servers begin the next call without a
// mark between the two.
//
// It does not check the syntax. "]" closes "{" as well, and words count as used
// only.
type balance struct {
	depth    int
	used     bool // something other than white space came
	inString bool
	escape   bool
	scratch  []byte
}

// closed reports whether an object or array came to its end.
func (b *balance) closed() bool { return b.used && b.depth == 0 && !b.inString }

// feed takes a piece: the inside of a string of JSON text.
//
// A piece never ends within an escape of its string, for each piece is a string
// of its own. It may end within an escape of the JSON text inside.
func (b *balance) feed(in []byte) {
	p := in
	if bytes.IndexByte(in, '\\') >= 0 {
		b.scratch = appendUnescaped(b.scratch[:0], in)
		p = b.scratch
		if cap(b.scratch) > keepCarry {
			b.scratch = nil
		}
	}
	for _, c := range p {
		switch {
		case b.escape:
			b.escape = false
		case b.inString:
			switch c {
			case '\\':
				b.escape = true
			case '"':
				b.inString = false
			}
		default:
			switch c {
			case ' ', '\n', '\r', '\t':
				continue
			case '"':
				b.inString = true
			case '{', '[':
				b.depth++
			case '}', ']':
				b.depth--
			}
			b.used = true
		}
	}
}
