package usage

import "unicode/utf8"

// Estimate guesses how many tokens a request's body has, from its bytes alone.
// A word of Latin letters counts as one token for each four letters, digits as
// one for three, other scripts by what their characters take in current
// vocabularies, and punctuation as half a token a sign. It reads the body as
// it stands, JSON syntax included, so that it errs on the high side.
func Estimate(body []byte) int64 {
	const scale = 60 // so that thirds, quarters and fifths add up exactly
	var n, letters, digits int64
	word := func() {
		n += (letters + 3) / 4 * scale
		n += (digits + 2) / 3 * scale
		letters, digits = 0, 0
	}
	for i := 0; i < len(body); {
		c := body[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
				letters++
				continue
			case '0' <= c && c <= '9':
				digits++
				continue
			}
			word()
			if c > ' ' {
				n += scale / 2
			}
			continue
		}
		r, size := utf8.DecodeRune(body[i:])
		i += size
		word()
		n += runeCost(r, scale)
	}
	word()
	return (n + scale - 1) / scale
}

// runeCost is what a character outside ASCII counts, in parts of scale.
func runeCost(r rune, scale int64) int64 {
	switch {
	case r < 0x0250: // Latin with accents
		return scale / 2
	case r < 0x0600: // Greek, Cyrillic, Armenian, Hebrew
		return scale / 3
	case r < 0x0e80: // Arabic, the scripts of India, Thai
		return scale / 2
	case 0x3040 <= r && r <= 0x30ff, 0xac00 <= r && r <= 0xd7a3: // Kana, Hangul
		return scale * 4 / 5
	case 0x3400 <= r && r <= 0x9fff: // Han
		return scale * 4 / 5
	case r >= 0x1f000: // emoji
		return scale * 2
	default:
		return scale
	}
}
