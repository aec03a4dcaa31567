package usage

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Estimate guesses the number of tokens of the prompt in a request's body, JSON or
// a form, from its bytes. It reads the whole body, names and settings included:
// providers do not say which of them the model sees.
//
// It parts text into words much as current vocabularies do, and counts a word
// by its script and length. The numbers were fitted to o200k_base, and lean to
// the high side: an early refusal is noticed, a late one is paid for.
// internal/tokencheck measures the error: 0 to 25 % too high for prose, code, JSON
// and logs. Random letters are unknown to every vocabulary, and come out at half
// of their true number.
//
// Escapes in JSON count as their characters. Media do not count as text: a
// base64 value in a field for media, and a file of a form, count [MediaTokens]
// each.
//
// It allocates nothing, and its time is in proportion to the length.
func Estimate(body []byte) int64 {
	var e estimator
	front := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n")
	switch {
	case len(front) > 0 && (front[0] == '{' || front[0] == '['):
		e.json(front)
	case bytes.HasPrefix(front, []byte("--")):
		e.form(front)
	default:
		e.text(body)
	}
	return e.total()
}

// unit is one token: the estimate adds up hundredths.
const unit = 100

// script is the price of its words: one token for the first letters, and a part
// of a token for each letter beyond.
//
// {4, 20} means one token for up to four letters, and a fifth of a token for
// each one beyond.
type script struct{ free, more int64 }

func (s script) cost(letters int64) int64 { return unit + max(0, letters-s.free)*s.more }

// kind is a class of characters. Characters of one kind in a row are a word.
//
// The classes are those in which vocabularies differ: a word of Latin letters is
// one token where a word of Thai letters is several.
type kind uint8

const (
	kindNone  kind = iota
	kindSpace      // blanks
	kindBreak      // line ends
	kindDigit
	kindSign  // ASCII punctuation
	kindLower // Latin words
	kindUpper
	kindAccent // a letter of a Latin word that is not ASCII
	kindCyrillic
	kindGreek
	kindHebrew
	kindArabic
	kindIndic
	kindHangul
	kindThai
	kindKana
	kindHan
	kindJoiner // joins emoji, or varies one
	kindEmoji
	kindSymbol // signs beyond ASCII
	kindRare   // scripts that are rare in vocabularies
)

// estimator adds up the words of a text that comes in pieces. A word may go on
// from one piece to the next.
//
// It keeps no text: the open word is a kind and a length. So pieces may be cut
// anywhere, but within a character.
type estimator struct {
	sum  int64 // of the words that have ended
	kind kind  // of the open word
	size int64 // its characters
	odd  int64 // how many of them are kindAccent
	// apart: a blank stands before the open word.
	apart bool
}

// total ends the text, and returns its tokens, rounded up.
func (e *estimator) total() int64 {
	e.open(kindNone)
	return (e.sum + unit - 1) / unit
}

// text reads characters without escapes.
func (e *estimator) text(b []byte) {
	for i := 0; i < len(b); {
		c := b[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(b[i:])
			k := runeKind(r)
			if size == 1 {
				k = kindSymbol // not a character: a token is never shorter than a byte
			}
			e.add(k)
			i += size
			continue
		}
		i++
		k := asciiKinds[c]
		switch {
		case e.kind != kindLower:
			e.add(k)
		case k == kindLower: // most of all text is this
			n := lowerRun(b[i:])
			e.size += 1 + int64(n)
			i += n
		case c == ' ' && i < len(b) && asciiKinds[b[i]] == kindLower: // and this is next
			e.sum += lowerCost(e.size, e.odd)
			e.apart, e.size, e.odd = true, 0, 0
		case c == '\'':
			e.size++ // an apostrophe: "don't" is one word
		default:
			e.add(k)
		}
	}
}

// lowerRun returns the number of small ASCII letters at the front of b.
// It looks at eight letters at a time.
func lowerRun(b []byte) (n int) {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(b)-n >= 8; n += 8 {
		// Each byte on its own: its high bit is set if it is a letter.
		x := binary.LittleEndian.Uint64(b[n:])
		y := x &^ high
		letters := (y + (0x80-'a')*ones) &^ (y + (0x7f-'z')*ones) &^ x & high
		if letters != high {
			return n + bits.TrailingZeros64(letters^high)/8
		}
	}
	for n < len(b) && asciiKinds[b[n]] == kindLower {
		n++
	}
	return n
}

// add appends a character to the open word, or opens another.
func (e *estimator) add(k kind) {
	switch {
	case k == e.kind:
		e.size++
	case k == kindLower && e.kind == kindUpper:
		// The last capital belongs to the small letters: "HTTPServer" is two words.
		if e.size > 1 {
			e.size--
			e.open(kindUpper)
		}
		e.kind, e.size = kindLower, 2
	case k == kindAccent:
		if e.kind != kindLower && e.kind != kindUpper {
			e.open(kindLower)
			e.size = 0
		}
		e.kind = kindLower
		e.size++
		e.odd++
	default:
		e.open(k)
	}
}

// open ends the open word, counts it, and begins one of kind k with its first
// character.
//
// k is the kind of the next word, for signs and blanks may be a part of it.
func (e *estimator) open(k kind) {
	n := e.size
	switch e.kind {
	case kindSpace:
		// One blank is part of the word behind it, but not of a number.
		if n > 1 || k == kindDigit {
			e.sum += unit
		}
	case kindBreak:
		e.sum += unit * 6 / 10
	case kindDigit:
		e.sum += (n + 2) / 3 * unit // no token has more than three digits
	case kindSign:
		e.sum += script{2, 33}.cost(n)
		switch {
		case k == kindBreak:
			e.sum -= unit * 3 / 10 // a line end is often one with the signs before it
		case n == 1 && !e.apart && kindLower <= k && k <= kindHan:
			e.sum -= unit * 35 / 100 // and a sign with the word behind it
		}
	case kindLower:
		e.sum += lowerCost(n, e.odd)
	case kindUpper:
		e.sum += script{2, 40}.cost(n)
	case kindCyrillic:
		e.sum += script{3, 26}.cost(n)
	case kindGreek:
		e.sum += script{3, 50}.cost(n)
	case kindHebrew:
		e.sum += script{2, 45}.cost(n)
	case kindArabic, kindIndic:
		e.sum += script{2, 35}.cost(n)
	case kindHangul:
		e.sum += script{1, 65}.cost(n)
	// Scripts without blanks between words count by character.
	case kindThai:
		e.sum += n * 45
	case kindKana:
		e.sum += n * 75
	case kindHan:
		e.sum += n * 85
	case kindJoiner:
		e.sum += n * 50
	case kindEmoji:
		e.sum += n * 210
	case kindSymbol:
		e.sum += n * unit
	case kindRare:
		e.sum += n * 2 * unit
	}
	e.apart = e.kind == kindSpace
	e.kind, e.size, e.odd = k, 1, 0
}

// lowerCost is the cost of a Latin word.
func lowerCost(letters, odd int64) int64 {
	// Words of more letters than these are names at best, and noise else.
	const long = 16
	return script{4, 20}.cost(letters) + odd*55 + max(0, letters-long)*30
}

// medium counts an image, a recording or a document.
// An open word ends before it.
func (e *estimator) medium() {
	e.open(kindNone)
	e.sum += MediaTokens * unit
}

// asciiKinds are the kinds of ASCII characters. Other bytes have none.
var asciiKinds = func() (kinds [256]kind) {
	for c := range byte(utf8.RuneSelf) {
		kinds[c] = asciiKind(c)
	}
	return kinds
}()

// asciiKind is the kind of an ASCII character.
func asciiKind(c byte) kind {
	switch {
	case 'a' <= c && c <= 'z':
		return kindLower
	case 'A' <= c && c <= 'Z':
		return kindUpper
	case '0' <= c && c <= '9':
		return kindDigit
	case c == ' ', c == '\t':
		return kindSpace
	case c == '\n', c == '\r':
		return kindBreak
	}
	return kindSign
}

// runeKind is the kind of a character beyond ASCII.
//
// The ranges are blocks of Unicode, some of them joined. A few characters of
// another script in a block do not matter for an estimate.
func runeKind(r rune) kind {
	switch {
	case r < 0x00c0:
		return kindSymbol
	case r < 0x0370, 0x1e00 <= r && r < 0x1f00:
		return kindAccent
	case r < 0x0400, 0x1f00 <= r && r < 0x2000:
		return kindGreek
	case r < 0x0530:
		return kindCyrillic
	case 0x0590 <= r && r < 0x0600:
		return kindHebrew
	case 0x0600 <= r && r < 0x0780:
		return kindArabic
	case 0x0900 <= r && r < 0x0e00:
		return kindIndic
	case 0x0e00 <= r && r < 0x0e80:
		return kindThai
	case r == 0x200d, 0xfe00 <= r && r < 0xfe10, 0x1f3fb <= r && r < 0x1f400:
		return kindJoiner
	case 0x2000 <= r && r < 0x2c00, 0x3000 <= r && r < 0x3040, 0xff00 <= r && r < 0xfff0:
		return kindSymbol
	case 0x3040 <= r && r < 0x3100:
		return kindKana
	case 0x3400 <= r && r < 0xa000, 0x20000 <= r && r < 0x32000:
		return kindHan
	case 0xac00 <= r && r < 0xd7a4:
		return kindHangul
	case 0x1f000 <= r && r < 0x1fb00:
		return kindEmoji
	}
	return kindRare
}
