package reqbody

import (
	"bytes"
	"fmt"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Scan reads src, a whole JSON object, into d. One pass checks the syntax to its
// end, exactly as [json.Valid] does: invalid UTF-8 inside strings is accepted and
// goes upstream as it came. Beyond that Scan wants an object at the top level, at
// most 1,000 levels of nesting and at most 10,000 top-level members. A byte order
// mark before the object is dropped, and goes nowhere.
//
// d keeps src. It must not change while d is in use. Earlier contents of d are
// forgotten. Nothing is allocated for an object of up to 16 members without
// escapes in their names. After an error, d is empty.
func Scan(src []byte, d *Document) error {
	src = bytes.TrimPrefix(src, byteOrderMark)
	d.reset(src)
	at, f := d.scan(src)
	if f == jsonscan.OK {
		return nil
	}
	d.reset(nil)
	return describe(f, src, at)
}

// byteOrderMark stands before the JSON of some Windows clients.
var byteOrderMark = []byte("\xEF\xBB\xBF")

// scan reads the object at the top level, and skips over its values. It returns the
// place of a fault.
//
// A fault is placed at the first byte that cannot stand there. Its time is
// linear in src.
func (d *Document) scan(src []byte) (int, fault) {
	i := jsonscan.SkipSpace(src, 0)
	if i == len(src) {
		return i, emptyBody
	}
	if src[i] != '{' {
		return i, notObject
	}
	d.open = i
	i = jsonscan.SkipSpace(src, i+1)
	if i < len(src) && src[i] == '}' {
		return trailing(src, i+1)
	}
	for {
		m := member{key: span{start: i}}
		var escaped bool
		var f fault
		if m.key.end, escaped, f = skipKey(src, i); f != jsonscan.OK {
			return m.key.end, f
		}
		if i, f = jsonscan.SkipColon(src, m.key.end); f != jsonscan.OK {
			return i, f
		}
		m.value.start = i
		if i, f = jsonscan.SkipValue(src, i); f != jsonscan.OK {
			return i, f
		}
		m.value.end = i
		if d.n == maxMembers {
			return m.key.start, tooMany
		}
		if escaped {
			// Kept, so that a look-up does not decode it again: escapes in names
			// are cheap to send by the thousand.
			d.decoded = append(d.decoded, []byte(unquote(src[m.key.start:m.key.end])))
			m.decoded = len(d.decoded)
		}
		d.add(m)

		i = jsonscan.SkipSpace(src, i)
		switch {
		case i == len(src):
			return i, jsonscan.UnexpectedEnd
		case src[i] == ',':
			i = jsonscan.SkipSpace(src, i+1)
		case src[i] == '}':
			return trailing(src, i+1)
		default:
			return i, jsonscan.WantObjectNext
		}
	}
}

// trailing allows only white space from i on.
//
// A second document behind the first one is refused: another parser might read
// that one.
func trailing(src []byte, i int) (int, fault) {
	if i = jsonscan.SkipSpace(src, i); i < len(src) {
		return i, trailingData
	}
	return i, jsonscan.OK
}

// skipKey skips a name in quotes, and reports whether it is written with escapes.
//
// i is at the place of the quote. end is behind the closing quote, or at the
// fault.
func skipKey(src []byte, i int) (end int, escaped bool, f fault) {
	if i == len(src) {
		return i, false, jsonscan.UnexpectedEnd
	}
	if src[i] != '"' {
		return i, false, jsonscan.WantKey
	}
	if end, f = jsonscan.SkipString(src, i+1); f != jsonscan.OK {
		return end, false, f
	}
	return end, bytes.IndexByte(src[i:end], '\\') >= 0, jsonscan.OK
}

// fault is what is wrong at an offset: one of jsonscan's, or one of a body.
type fault = jsonscan.Fault

const (
	emptyBody fault = 0x80 + iota
	notObject
	tooMany
	trailingData
)

// describe makes the error for a fault at an offset of src.
func describe(f fault, src []byte, at int) error {
	var msg string
	switch f {
	case emptyBody:
		return &InvalidError{Msg: "the request body is empty, but must be a JSON object"}
	case notObject:
		// A whole value is named by its kind. A form's dashes are not a number.
		if kind := kindOf(src[at]); kind != "" && jsonscan.IsValue(src[at:]) {
			return &InvalidError{Msg: "the request body must be a JSON object, not " + kind}
		}
		msg = "expected an object" + found(src, at)
	case tooMany:
		return &InvalidError{Msg: fmt.Sprintf("the request body has more than %d top-level members", maxMembers)}
	case jsonscan.UnexpectedEnd:
		msg = "unexpected end of the body"
	case jsonscan.WantValue:
		msg = "expected a value" + found(src, at)
	case jsonscan.WantKey:
		msg = "expected a name in double quotes" + found(src, at)
	case jsonscan.WantColon:
		msg = "expected ':' after a name" + found(src, at)
	case jsonscan.WantObjectNext:
		msg = "expected ',' or '}' after a member" + found(src, at)
	case jsonscan.WantArrayNext:
		msg = "expected ',' or ']' after an element" + found(src, at)
	case jsonscan.BadNumber:
		msg = "expected a digit in a number" + found(src, at)
	case jsonscan.BadLiteral:
		msg = "expected true, false or null" + found(src, at)
	case jsonscan.BadEscape:
		msg = "invalid escape in a string" + found(src, at)
	case jsonscan.ControlInString:
		msg = "control character in a string" + found(src, at)
	case jsonscan.TooDeep:
		msg = fmt.Sprintf("nested more than %d levels deep", jsonscan.MaxDepth)
	case trailingData:
		msg = "expected nothing more after the object" + found(src, at)
	case jsonscan.OK:
	}
	return &SyntaxError{Format: "JSON", Offset: int64(at), Msg: msg}
}

// found names the byte at an offset. A byte of a longer UTF-8 sequence is written
// in hexadecimal.
//
// at must be inside of src.
func found(src []byte, at int) string {
	if c := src[at]; c < 0x80 {
		return fmt.Sprintf(", found %q", rune(c))
	}
	return fmt.Sprintf(", found byte 0x%X", src[at])
}
