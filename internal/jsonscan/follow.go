package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

const (
	// maxMember bounds the value that a Follower keeps, in bytes.
	maxMember = 8 << 10
	// maxText bounds the text that a Follower keeps, in bytes.
	maxText = 1 << 10
	// maxName bounds the name of the member to keep.
	maxName = 16
	// maxKinds bounds the levels whose bracket kinds are compared. Deeper levels
	// are counted.
	maxKinds = 1024
)

// followState says how far a Follower has come in its document.
type followState uint8

const (
	before followState = iota // only white space so far
	within
	inString
	ended
	broken
)

// Follower sees one JSON document in pieces and finds its end. It reads nesting
// and strings, at a fraction of the cost of a validation: an ended document may
// still hold a fault inside. A front of a valid document
// is never ended. Documents are objects, arrays and strings.
//
// The zero Follower is ready to use. It is not for concurrent use.
type Follower struct {
	// Member, if not empty, is the name of a top-level member whose object is kept
	// for [Follower.Value]: at most 16 bytes, without escapes.
	Member string
	// TextMember, if not empty, is the name of a top-level member whose string is kept
	// for [Follower.Text], under the same conditions.
	TextMember string

	state  followState
	odd    bool // within a string: an odd number of backslashes came last
	depth  int
	kinds  [maxKinds / 64]uint64 // bit n: level n is an object, not an array
	name   [maxName]byte         // front of the latest string of the top level
	length int                   // of that string
	member memberState
	value  []byte
	isText bool   // the named member is TextMember
	text   []byte // as it stands between its quotes
	texts  bool   // the text is whole
}

// memberState says how far the search for the member is.
//
// The search begins anew with each string of the top level: a value of the
// member's name is followed by a comma, and a name by a colon.
type memberState uint8

const (
	memberNone  memberState = iota
	memberNamed             // a string of the name came, a colon must follow
	memberColon             // the colon came, the value must follow
	memberOpen              // inside the value
	memberText              // inside the text
)

// Ended reports whether the document has ended, and only white space came after
// it.
func (f *Follower) Ended() bool { return f.state == ended }

// Broken reports whether the text cannot become a document any more: it began
// like none, a bracket does not fit, or something follows the end.
func (f *Follower) Broken() bool { return f.state == broken }

// Value returns the last whole object under the name Member, nil without one. It
// is valid until the next call of Follow.
func (f *Follower) Value() []byte {
	if f.member == memberOpen {
		return nil
	}
	return f.value
}

// Text returns the last whole string under the name TextMember as it stands between its
// quotes, nil without one. It is valid until the next call of Follow.
func (f *Follower) Text() []byte {
	if !f.texts {
		return nil
	}
	return f.text
}

// names reports whether names of the top level are read.
func (f *Follower) names() bool { return f.Member != "" || f.TextMember != "" }

// Follow reads the next piece of the document. It does not keep p.
//
// Its time is linear in p, wherever the pieces are cut. A kept value is copied
// once.
func (f *Follower) Follow(p []byte) {
	from := 0 // of the kept value, while it is open
	for i := 0; i < len(p); {
		switch f.state {
		case before:
			i = SkipSpace(p, i)
			if i == len(p) {
				return
			}
			switch p[i] {
			case '{', '[':
				f.state = within // read there
			case '"':
				f.state, f.odd = inString, false
				i++
			default:
				f.state = broken
			}
		case within:
			if f.member == memberNamed || f.member == memberColon {
				if i = f.expect(p, i); i == len(p) {
					return
				}
				from = i
			}
			i = skipPlain(p, i)
			if i == len(p) {
				break
			}
			c := p[i]
			i++
			switch c {
			case '"':
				if f.depth != 1 || !f.names() {
					if next := skipShort(p, i); next > 0 {
						i = next
						continue
					}
				}
				f.state, f.odd, f.length = inString, false, 0
			case '{', '[':
				f.push(c)
			case '}', ']':
				f.pop(c)
				if f.member == memberOpen && f.depth <= 1 {
					f.keep(p[from:i])
					f.member = memberNone
				}
			}
		case inString:
			start := i
			var closed bool
			i, f.odd, closed = skipText(p, i, f.odd)
			if f.depth == 1 && f.names() {
				f.note(p[start:i], closed)
			}
			if closed {
				f.state = within
				if f.depth == 0 {
					f.state = ended
				}
			}
		case ended:
			if i = SkipSpace(p, i); i < len(p) {
				f.state = broken
			}
		case broken:
			return
		}
	}
	if f.member == memberOpen {
		f.keep(p[from:])
	}
}

// skipPlain returns the offset of the next quote or bracket, eight bytes at a time.
// It may stop at a few other bytes, y and _ among them.
func skipPlain(p []byte, i int) int {
	for i <= len(p)-8 {
		x := binary.LittleEndian.Uint64(p[i:])
		quote := x ^ '"'*eachByte
		// Lower case turns [ and ] into { and }. Those two differ in two bits, and
		// with both cleared only y and DEL are like them. Neither matters here: the
		// caller looks at the byte.
		bracket := (x|0x20*eachByte)&^(0x06*eachByte) ^ 0x79*eachByte
		m := ((quote - eachByte) &^ quote & highBits) | ((bracket - eachByte) &^ bracket & highBits)
		if m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
		i += 8
	}
	for ; i < len(p); i++ {
		switch p[i] {
		case '"', '{', '}', '[', ']':
			return i
		}
	}
	return i
}

// skipShort returns the offset behind a string that ends within 16 bytes, as names
// do, or 0. Its opening quote stands before i.
func skipShort(p []byte, i int) int {
	if i > len(p)-16 {
		return 0
	}
	words := p[i : i+16]
	x := binary.LittleEndian.Uint64(words) ^ '"'*eachByte
	n := 0
	m := (x - eachByte) &^ x & highBits
	if m == 0 {
		x = binary.LittleEndian.Uint64(words[8:]) ^ '"'*eachByte
		if m = (x - eachByte) &^ x & highBits; m == 0 {
			return 0
		}
		n = 8
	}
	n += bits.TrailingZeros64(m) / 8
	if p[i+n-1] == '\\' { // perhaps escaped
		return 0
	}
	return i + n + 1
}

// skipText moves behind the closing quote of a string, or to the end of p. The string may
// have begun in an earlier piece: odd says whether an odd number of backslashes came last,
// and comes back for the next piece.
func skipText(p []byte, i int, odd bool) (next int, oddAfter, closed bool) {
	start := i
	for {
		n := -1
		if i <= len(p)-8 { // most strings are short, and a call costs more
			x := binary.LittleEndian.Uint64(p[i:]) ^ '"'*eachByte
			if m := (x - eachByte) &^ x & highBits; m != 0 {
				n = bits.TrailingZeros64(m) / 8
			}
		}
		if n < 0 {
			n = bytes.IndexByte(p[i:], '"')
		}
		end := len(p)
		if n >= 0 {
			end = i + n
		}
		// A quote is escaped when an odd number of backslashes stands before it.
		esc := end
		for esc > start && p[esc-1] == '\\' {
			esc--
		}
		escaped := (end-esc)%2 != 0
		if esc == start {
			escaped = escaped != odd // the run began in an earlier piece
		}
		switch {
		case n < 0:
			return end, escaped, false
		case !escaped:
			return end + 1, false, true
		}
		i, odd = end+1, false
		start = i
	}
}

// note compares a string of the top level with the member's name. The string may
// come in pieces. A value of the same text is told apart by the missing colon.
func (f *Follower) note(piece []byte, closed bool) {
	if closed {
		piece = piece[:len(piece)-1] // its quote
	}
	if f.member == memberText {
		f.keepText(piece, closed)
		return
	}
	if f.length < maxName {
		copy(f.name[f.length:], piece)
	}
	f.length += len(piece)
	if !closed || f.member == memberOpen || f.length > maxName {
		return
	}
	switch string(f.name[:f.length]) {
	case "":
	case f.Member:
		f.member, f.isText = memberNamed, false
	case f.TextMember:
		f.member, f.isText = memberNamed, true
	}
}

// expect looks for the colon behind the member's name, and for its value.
//
// Another value than the wanted kind ends the search, and the value is read as
// any other.
func (f *Follower) expect(p []byte, i int) int {
	for {
		if i = SkipSpace(p, i); i == len(p) {
			return i
		}
		switch {
		case f.member == memberNamed && p[i] == ':':
			f.member = memberColon
			i++
		case f.member == memberColon && p[i] == '"' && f.isText:
			f.member, f.text, f.texts = memberText, f.text[:0], false
			return i
		case f.member == memberColon && p[i] == '{' && !f.isText:
			f.member, f.value = memberOpen, f.value[:0]
			return i
		default:
			f.member = memberNone
			return i
		}
	}
}

// keep appends to the kept value, up to maxMember.
func (f *Follower) keep(b []byte) {
	if len(f.value)+len(b) > maxMember {
		f.value, f.member = nil, memberNone // too long to be of use
		return
	}
	f.value = append(f.value, b...)
}

// keepText appends to the kept text, up to maxText.
func (f *Follower) keepText(piece []byte, closed bool) {
	if len(f.text)+len(piece) > maxText {
		f.text, f.member = nil, memberNone // too long to be of use
		return
	}
	f.text = append(f.text, piece...)
	if closed {
		f.texts, f.member = true, memberNone
	}
}

// push enters an array or object.
//
// Levels beyond maxKinds are counted without their kind.
func (f *Follower) push(c byte) {
	f.depth++
	if f.depth >= maxKinds {
		return
	}
	bit := uint64(1) << (f.depth & 63)
	if c == '{' {
		f.kinds[f.depth>>6] |= bit
	} else {
		f.kinds[f.depth>>6] &^= bit
	}
}

// pop leaves an array or object. A bracket of the other kind breaks the document:
// two documents may have been mixed up, as by a proxy that lost bytes.
func (f *Follower) pop(c byte) {
	if f.depth < maxKinds {
		object := f.kinds[f.depth>>6]&(1<<(f.depth&63)) != 0
		if object != (c == '}') {
			f.state = broken
			return
		}
	}
	f.depth--
	if f.depth == 0 {
		f.state = ended
	}
}
