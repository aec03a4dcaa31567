package redact

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// reading is a text after some unescaping, with the way back to the original.
//
// starts and ends have one element for each byte of text: one byte of a reading
// may stand for six of the original, as \u0041 does.
type reading struct {
	text string
	// starts and ends are the bytes of the original behind each byte of text. Nil for the original itself.
	starts, ends []int32
}

// span returns the part of the original that became text[from:to].
func (r reading) span(from, to int) (start, end int) {
	if r.starts == nil {
		return from, to
	}
	return int(r.starts[from]), int(r.ends[to-1])
}

// unescaper knows one kind of escape.
type unescaper struct {
	// seek returns the offset of the next byte that may begin an escape, or -1.
	seek func(s string) int
	// next reads the escape at the start of s. It takes size bytes. If s does not
	// start with an escape, -size bytes are stepped over, at least one.
	next func(s string) (replacement string, size int)
}

// unescapers are the ways in which a text hides a secret from a plain search.
func unescapers() [4]unescaper {
	return [...]unescaper{
		{func(s string) int { return strings.IndexByte(s, '\\') }, backslashed},
		{func(s string) int { return strings.IndexByte(s, '%') }, percented},
		{func(s string) int { return strings.IndexByte(s, '&') }, entity},
		{seekDropped, dropped},
	}
}

// A text is unescaped in every order of the unescapers, up to three deep: JSON in
// JSON around a URL. To bound the cost, a long text is unescaped only two deep.
const (
	maxDepth     = 3
	maxDepthLong = 2
	longText     = 64 << 10
)

// eachReading calls f with the text and with each of its readings.
//
// f gets each different text once. The number of readings is bounded by the
// depth, and each takes time linear in the text.
func eachReading(text string, f func(reading)) {
	depth := maxDepth
	if len(text) > longText {
		depth = maxDepthLong
	}
	var seen map[string]bool // made for the first that is unescaped
	list := unescapers()
	var visit func(r reading, depth int)
	visit = func(r reading, depth int) {
		f(r)
		if depth == 0 {
			return
		}
		for _, u := range list {
			if next, ok := r.unescape(u); ok && !seen[next.text] {
				if seen == nil {
					seen = map[string]bool{}
				}
				seen[next.text] = true
				visit(next, depth-1)
			}
		}
	}
	visit(reading{text: text}, depth)
}

// unescape returns the reading with the escapes of one kind replaced. False means
// a text without such escapes.
//
// A position of the result leads to the original in one step, however deep r
// itself is.
func (r reading) unescape(u unescaper) (reading, bool) {
	var (
		out  reading
		b    strings.Builder
		done int // bytes of r.text that are in b
	)
	for i := 0; i < len(r.text); {
		at := u.seek(r.text[i:])
		if at < 0 {
			break
		}
		i += at
		replacement, size := u.next(r.text[i:])
		if size <= 0 {
			i += max(1, -size)
			continue
		}
		if out.starts == nil {
			out.starts = make([]int32, 0, len(r.text))
			out.ends = make([]int32, 0, len(r.text))
			b.Grow(len(r.text))
		}
		out.copy(&b, r, done, i)
		start, end := r.span(i, i+size)
		for range len(replacement) {
			out.starts, out.ends = append(out.starts, int32(start)), append(out.ends, int32(end))
		}
		b.WriteString(replacement)
		i += size
		done = i
	}
	if done == 0 {
		return reading{}, false
	}
	out.copy(&b, r, done, len(r.text))
	out.text = b.String()
	return out, true
}

// copy appends from[i:j] unchanged.
// Each byte leads to its own place in the original.
func (r *reading) copy(b *strings.Builder, from reading, i, j int) {
	b.WriteString(from.text[i:j])
	for k := i; k < j; k++ {
		start, end := from.span(k, k+1)
		r.starts, r.ends = append(r.starts, int32(start)), append(r.ends, int32(end))
	}
}

// braced reads an escape of JavaScript and Rust: \u{1f600}.
//
// It has one to six digits. An incomplete one is not an escape.
func braced(s string) (string, int) {
	end := strings.IndexByte(s[:min(len(s), len(`\u{000000}`))], '}')
	if end < 0 {
		return "", 0
	}
	n, ok := hex(s, 3, end)
	if !ok || !utf8.ValidRune(n) {
		return "", 0
	}
	return string(n), end + 1
}

// backslashed reads an escape of JSON, or of a language that quotes strings in its
// error messages: \u0026, \x26, \', \/ and the like.
//
// An unknown escape is left as it is. A surrogate pair becomes one character,
// half of one stays half.
func backslashed(s string) (string, int) {
	if len(s) < 2 {
		return "", 0
	}
	switch c := s[1]; c {
	case '"', '\\', '/', '\'', '`':
		return s[1:2], 2
	case 'n':
		return "\n", 2
	case 't':
		return "\t", 2
	case 'r':
		return "\r", 2
	case 'b':
		return "\b", 2
	case 'f':
		return "\f", 2
	case 'x':
		if n, ok := hex(s, 2, 4); ok {
			return string([]byte{byte(n)}), 4
		}
	case 'u':
		if strings.HasPrefix(s[2:], "{") {
			return braced(s)
		}
		n, ok := hex(s, 2, 6)
		if !ok {
			return "", 0
		}
		if utf16.IsSurrogate(n) && strings.HasPrefix(s[6:], `\u`) {
			if low, ok := hex(s, 8, 12); ok {
				if r := utf16.DecodeRune(n, low); r != utf8.RuneError {
					return string(r), 12
				}
			}
		}
		return string(n), 6
	case 'U':
		if n, ok := hex(s, 2, 10); ok {
			return string(n), 10
		}
	}
	return "", 0
}

// percented reads a %XX, in either case.
// A plus sign stays as it is.
func percented(s string) (string, int) {
	if n, ok := hex(s, 1, 3); ok {
		return string([]byte{byte(n)}), 3
	}
	return "", 0
}

// hex reads the hexadecimal digits s[i:j].
// It takes exactly j-i digits.
func hex(s string, i, j int) (rune, bool) {
	if len(s) < j {
		return 0, false
	}
	n, err := strconv.ParseUint(s[i:j], 16, 31)
	return rune(n), err == nil
}

// longestEntity is enough for each named entity, and for padded numbers.
const longestEntity = 40

// entity reads an entity of HTML or XML: decimal, hexadecimal or named.
//
// Entities end in a semicolon, but for numbers. A name that HTML does not know
// is left as it is.
func entity(s string) (string, int) {
	s = s[:min(len(s), longestEntity)]
	size := 1 + strings.IndexByte(s, ';')
	if strings.HasPrefix(s, "&#") {
		// Readers also take a number without its semicolon.
		digits := "0123456789"
		body := s[2:]
		if body != "" && (body[0] == 'x' || body[0] == 'X') {
			digits, body = "0123456789abcdefABCDEF", body[1:]
		}
		body = strings.TrimLeft(body, digits)
		if size = len(s) - len(body); strings.HasPrefix(body, ";") {
			size++
		}
	}
	text := html.UnescapeString(s[:size])
	if text == s[:size] || strings.HasSuffix(text, ";") && text != ";" {
		return "", 0
	}
	return text, size
}

// seekDropped finds the next byte that dropped may read, -1 without one.
func seekDropped(s string) int {
	for i := range len(s) {
		if c := s[i]; c == 0 || c >= utf8.RuneSelf {
			return i
		}
	}
	return -1
}

// dropped reads a byte that readers drop: invalid UTF-8, its replacement U+FFFD, and
// NUL. NULs stand between the letters of UTF-16.
func dropped(s string) (string, int) {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError || r == 0 {
		return "", size
	}
	return "", -size
}
