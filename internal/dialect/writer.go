package dialect

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// writer appends JSON to b. It sets the commas.
//
// It does not check what it writes: keys and values must come in turn. Tests
// parse its output.
type writer struct {
	b     []byte
	comma bool // a value stands before the next one at this level
}

// sep writes the comma before a value, if it needs one.
func (w *writer) sep() {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
}

// open starts an object or array.
func (w *writer) open(bracket byte) {
	w.sep()
	w.b = append(w.b, bracket)
	w.comma = false
}

// close ends objects and arrays, the innermost first.
//
// brackets holds their closing bytes, as in "}]".
func (w *writer) close(brackets string) {
	w.b = append(w.b, brackets...)
	w.comma = true
}

// object starts a member whose value is an object.
func (w *writer) object(name string) {
	w.key(name)
	w.open('{')
}

// array starts a member whose value is an array.
func (w *writer) array(name string) {
	w.key(name)
	w.open('[')
}

// typed starts an object with its type.
func (w *writer) typed(what string) {
	w.open('{')
	w.word("type", what)
}

// constant writes a member with constant text for its value.
func (w *writer) constant(name, value string) {
	w.key(name)
	w.lit(value)
}

// key writes the name of a member. Names need no escapes.
func (w *writer) key(name string) {
	w.sep()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
	w.comma = false
}

// put writes a value as its text.
func (w *writer) put(v raw) {
	w.sep()
	w.b = append(w.b, v...)
}

// lit writes constant text.
func (w *writer) lit(v string) {
	w.sep()
	w.b = append(w.b, v...)
}

// integer writes a number.
func (w *writer) integer(n int64) {
	w.sep()
	w.b = strconv.AppendInt(w.b, n, 10)
}

// str writes plain text as a string.
func (w *writer) str(s string) {
	w.sep()
	w.b = appendQuoted(w.b, []byte(s))
}

// field writes a member, unless its value is absent.
func (w *writer) field(name string, v raw) {
	if v != nil {
		w.key(name)
		w.put(v)
	}
}

// word writes a member with a string for its value.
func (w *writer) word(name, value string) {
	w.key(name)
	w.str(value)
}

// number writes a member with a number for its value.
func (w *writer) number(name string, n int64) {
	w.key(name)
	w.integer(n)
}

// orNull writes a member, null if its value is absent.
func (w *writer) orNull(name string, v raw) {
	if v == nil {
		v = raw("null")
	}
	w.field(name, v)
}

// orElse writes a member, with other text if its value is absent.
func (w *writer) orElse(name string, v raw, other string) {
	w.key(name)
	if v == nil {
		w.lit(other)
		return
	}
	w.put(v)
}

// joined writes one string of the insides of several, with a separator of plain
// JSON text between them.
func (w *writer) joined(sep string, texts ...raw) {
	w.sep()
	w.b = append(w.b, '"')
	for i, t := range texts {
		if i > 0 {
			w.b = append(w.b, sep...)
		}
		w.b = append(w.b, inner(t)...)
	}
	w.b = append(w.b, '"')
}

// appendQuoted appends p as a JSON string. Bytes above 0x7F stay as they are.
//
// Invalid UTF-8 stays as well. Control characters become escapes.
func appendQuoted(dst, p []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for {
		n := plainRun(p)
		dst = append(dst, p[:n]...)
		if n == len(p) {
			return append(dst, '"')
		}
		switch c := p[n]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		p = p[n+1:]
	}
}

// quote returns s as a JSON string.
func quote(s string) raw { return appendQuoted(make([]byte, 0, len(s)+2), []byte(s)) }

// inner is a string without its quotes, its escapes kept.
func inner(v raw) []byte {
	if len(v) < 2 || v[0] != '"' {
		return nil
	}
	return v[1 : len(v)-1]
}

// text decodes a string; empty for any other value.
func text(v raw) string {
	in := inner(v)
	if bytes.IndexByte(in, '\\') < 0 {
		return string(in)
	}
	return string(appendUnescaped(make([]byte, 0, len(in)), in))
}

// is reports whether a value is the string s. s needs no escapes.
func is(v raw, s string) bool {
	return len(v) == len(s)+2 && v[0] == '"' && string(v[1:len(v)-1]) == s
}

// blank reports whether a string is absent or empty.
func blank(v raw) bool { return len(v) <= 2 }

// white reports whether a string is absent, or holds nothing but white space.
//
// The first letter tells it of nearly all texts, so that none is copied for it.
func white(v raw) bool {
	in := inner(v)
	for len(in) > 0 && in[0] != '\\' {
		r, n := utf8.DecodeRune(in)
		if !unicode.IsSpace(r) {
			return false
		}
		in = in[n:]
	}
	return len(bytes.TrimSpace(appendUnescaped(nil, in))) == 0
}

// integer reads a number; 0 for any other value.
func integer(v raw) int64 {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err == nil {
		return n
	}
	return int64(float(v))
}

// float reads a number; 0 for any other value.
func float(v raw) float64 {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		return 0
	}
	return f
}

// quotedJSON returns the text of a JSON value as a string.
func quotedJSON(v raw) raw { return appendQuoted(make([]byte, 0, len(v)+len(v)/8+2), v) }

// objectIn returns the JSON object in a string: {} for an empty string, nil for
// other text.
//
// Models write the arguments of a call as text, and break off at a limit. A part
// of an object is nil.
func objectIn(v raw) raw {
	decoded := bytes.TrimSpace(appendUnescaped(make([]byte, 0, len(v)), inner(v)))
	if len(decoded) == 0 {
		return raw("{}")
	}
	c := cursor{b: decoded}
	if decoded[0] != '{' || c.value() == nil || !c.done() {
		return nil
	}
	return decoded
}
