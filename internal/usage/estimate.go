package usage

import (
	"bytes"
	"unicode/utf8"
)

// Estimate guesses how many tokens the prompt in a request's body has, from its
// bytes alone: JSON, or a form. It reads the body as it stands, names and
// settings included, as nobody tells what of it a provider shows to the model.
//
// It divides text into words much as current vocabularies do, and counts a word
// by its script and length. The numbers were fitted to o200k_base, and lean to
// the high side: what is refused too early is noticed, what is let through is
// paid for. internal/tokencheck measures the error.
//
// Escapes in JSON count as what they stand for. Media do not count as text:
// each base64 value of a field that holds such things, and each file of a form,
// counts [MediaTokens].
//
// Estimate allocates nothing, and takes time in proportion to the length.
func Estimate(body []byte) int64 {
	var e estimator
	front := bytes.TrimLeft(body, " \t\r\n")
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

// MediaTokens is what an image, a recording or a document counts. What a model
// charges goes by pixels, seconds and pages, which the length does not tell. It
// is what Anthropic charges at most for an image of usual size; OpenAI and Google
// charge less. A recording or a document can cost far more.
const MediaTokens = 1600

// minMedia is the least length of a base64 value that is taken for a medium. It
// is below any image, and above the ids and signatures that look alike.
const minMedia = 256

// kind is what a character is to the estimate.
type kind uint8

const (
	kindNone   kind = iota
	kindSpace       // blanks, of which the first belongs to the word behind it
	kindBreak       // line ends
	kindDigit       // three of which are a token
	kindSign        // ASCII punctuation, which comes in runs
	kindLower       // Latin, of which a capital behind a small letter starts anew
	kindUpper       //
	kindAccent      // a letter of a Latin word that is not ASCII
	kindCyrillic
	kindGreek
	kindHebrew
	kindArabic
	kindIndic
	kindHangul
	kindThai // and the other scripts from here on, which do not part words
	kindKana
	kindHan
	kindEmoji
	kindJoiner // what joins and varies emoji
	kindOther
)

// The unit of the estimate is a hundredth of a token.
const unit = 100

// script says what a word costs in hundredths of a token: one token for its
// first letters, and more for each letter beyond.
type script struct{ free, more int64 }

func (s script) cost(letters int64) int64 { return unit + max(0, letters-s.free)*s.more }

// estimator adds up the words of a text that comes in pieces.
type estimator struct {
	sum  int64 // of the words that have ended
	kind kind  // of the open word
	size int64 // of the open word, in characters
	odd  int64 // how many of them are kindAccent
}

func (e *estimator) total() int64 {
	e.end()
	return (e.sum + unit - 1) / unit
}

// text reads bytes that mean what they are.
func (e *estimator) text(b []byte) {
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			e.add(asciiKind(c), c == '\'')
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		e.add(runeKind(r), false)
		i += size
	}
}

// add appends a character to the open word, or ends that and opens another.
func (e *estimator) add(k kind, quote bool) {
	if k == e.kind && k < kindEmoji {
		e.size++
		return
	}
	switch {
	case k == kindLower && e.kind == kindUpper:
		// The last capital belongs to the small letters: "HTTPServer" is two words.
		if e.size > 1 {
			e.size--
			e.end()
			e.size = 1
		}
		e.kind = kindLower
		e.size++
	case k == kindAccent && (e.kind == kindLower || e.kind == kindUpper):
		e.kind = kindLower
		e.size++
		e.odd++
	case k == kindJoiner:
		e.sum += unit / 2
	case k == kindSign && quote && e.kind == kindLower:
		e.size++ // an apostrophe: "don't" is one word
	default:
		if e.kind == kindSign && e.size == 1 && k >= kindLower && k < kindEmoji {
			e.sum -= unit * 35 / 100 // a single sign may be one token with the word behind it
		}
		if e.kind == kindSign && k == kindBreak {
			e.sum -= unit * 3 / 10 // and signs with the line's end
		}
		e.end()
		e.kind, e.size = k, 1
		if k == kindAccent {
			e.kind, e.odd = kindLower, 1
		}
	}
}

// end counts the open word.
func (e *estimator) end() {
	n := e.size
	switch e.kind {
	case kindSpace:
		if n > 1 {
			e.sum += unit
		}
	case kindBreak:
		e.sum += unit * 3 / 5
	case kindDigit:
		e.sum += (n + 2) / 3 * unit
	case kindSign:
		e.sum += script{2, 40}.cost(n)
	case kindLower:
		e.sum += script{4, 20}.cost(n) + e.odd*55
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
	case kindThai:
		e.sum += n * 45
	case kindKana:
		e.sum += n * 75
	case kindHan:
		e.sum += n * 85
	case kindEmoji:
		e.sum += n * unit * 21 / 10
	case kindOther:
		e.sum += n * unit
	}
	e.kind, e.size, e.odd = kindNone, 0, 0
}

func asciiKind(c byte) kind {
	switch {
	case 'a' <= c && c <= 'z':
		return kindLower
	case 'A' <= c && c <= 'Z':
		return kindUpper
	case '0' <= c && c <= '9':
		return kindDigit
	case c == ' ' || c == '\t':
		return kindSpace
	case c == '\n' || c == '\r':
		return kindBreak
	}
	return kindSign
}

func runeKind(r rune) kind {
	switch {
	case r < 0x00c0:
		return kindOther
	case r < 0x0300, 0x1e00 <= r && r < 0x1f00:
		return kindAccent
	case 0x0370 <= r && r < 0x0400, 0x1f00 <= r && r < 0x2000:
		return kindGreek
	case 0x0400 <= r && r < 0x0530:
		return kindCyrillic
	case 0x0590 <= r && r < 0x0600:
		return kindHebrew
	case 0x0600 <= r && r < 0x0780:
		return kindArabic
	case 0x0900 <= r && r < 0x0e00:
		return kindIndic
	case 0x0e00 <= r && r < 0x0e80:
		return kindThai
	case 0x3040 <= r && r < 0x3100:
		return kindKana
	case 0x3400 <= r && r < 0xa000, 0x20000 <= r && r < 0x32000:
		return kindHan
	case 0xac00 <= r && r < 0xd7a4:
		return kindHangul
	case r == 0x200d, 0xfe00 <= r && r < 0xfe10, 0x1f3fb <= r && r <= 0x1f3ff:
		return kindJoiner
	case r >= 0x1f000:
		return kindEmoji
	}
	return kindOther
}
