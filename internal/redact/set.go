package redact

import (
	"net/http"
	"slices"
	"strings"
)

// UsedSecret is a secret of an attempt.
type UsedSecret struct {
	Vault, Name string // empty for a literal key
	Value       Secret
}

// Set holds the secrets of an attempt, for two uses: to resolve them again
// after a 401, and to cut them out of the answer. The zero set is empty. It belongs
// to the request's goroutine.
type Set struct {
	used  []UsedSecret
	cut   *Scrubber
	cutOf int           // the length of used that cut was made of
	room  [2]UsedSecret // for used: a key, and the value made from it
}

// Add remembers a secret that this call uses. The first two need no memory of their own.
func (s *Set) Add(u UsedSecret) {
	if s.used == nil {
		s.used = s.room[:0]
	}
	s.used = append(s.used, u)
}

// Hide notes a secret value, to be cut out of the answer.
// A value known already is not noted twice. Empty values cut nothing.
func (s *Set) Hide(value string) {
	if value != "" && !s.knows(value) {
		s.Add(UsedSecret{Value: NewSecret(value)})
	}
}

// knows reports whether a value was noted.
func (s *Set) knows(value string) bool {
	return slices.ContainsFunc(s.used, func(u UsedSecret) bool { return u.Value.Reveal() == value })
}

// HideLiteral notes a configured value under the name of a credential. If it has a
// scheme, the part behind the scheme is a secret too.
func (s *Set) HideLiteral(value string) {
	s.Hide(value)
	if _, bare, ok := strings.Cut(value, " "); ok {
		s.Hide(bare)
	}
}

// HideDerived notes the texts in a value that hold a piece of its secrets.
// A header made as "Bearer " + secret hides both forms: the whole text, and the
// part behind the scheme.
func (s *Set) HideDerived(v any, of []UsedSecret) {
	switch v := v.(type) {
	case string:
		_, bare, _ := strings.Cut(v, " ") // behind a scheme
		for _, text := range []string{v, bare} {
			if !s.knows(text) && slices.ContainsFunc(of, func(u UsedSecret) bool { return holdsPiece(text, u.Value.Reveal()) }) {
				s.Hide(text)
			}
		}
	case []any:
		for _, child := range v {
			s.HideDerived(child, of)
		}
	case map[string]any:
		for _, child := range v {
			s.HideDerived(child, of)
		}
	}
}

// minPiece is the length, in bytes, from which a piece of a secret makes a value
// secret. An expression may also look at a secret and return another text, such as
// "application/json". Such a text gives nothing away, and is found in many answers.
const minPiece = 6

// holdsPiece reports whether a piece of a secret is in a value. Letter case does
// not count.
// It costs the product of both lengths.
func holdsPiece(value, secret string) bool {
	value, secret = strings.ToLower(value), strings.ToLower(secret)
	for i := 0; i+minPiece <= len(value); i++ {
		if strings.Contains(secret, value[i:i+minPiece]) {
			return true
		}
	}
	return false
}

// Scrub cuts the set's secrets out of an upstream's text.
// Without secrets or without text it returns the text itself.
func (s *Set) Scrub(text []byte) []byte {
	if len(s.used) == 0 || len(text) == 0 {
		return text
	}
	return s.scrubber().ScrubBytes(text)
}

// ScrubText is Scrub for a string.
func (s *Set) ScrubText(text string) string { return string(s.Scrub([]byte(text))) }

// ScrubLine is Scrub for a text, cut to one line of at most n bytes afterwards. The
// order matters: half a secret would not be found any more.
func (s *Set) ScrubLine(text string, n int) string { return OneLine(s.ScrubText(text), n) }

// Quoted is an upstream's message, for the end of a reason of the gateway.
// It begins with a colon, or is empty.
func (s *Set) Quoted(message string) string {
	if message == "" {
		return ""
	}
	return ": " + s.ScrubLine(message, 200)
}

// scrubber is made again only after another secret was added.
func (s *Set) scrubber() *Scrubber {
	if s.cut == nil || s.cutOf != len(s.used) {
		values := make([]string, len(s.used))
		for i, u := range s.used {
			values[i] = u.Value.Reveal()
		}
		s.cut, s.cutOf = NewScrubber(values...), len(s.used)
	}
	return s.cut
}

// ScrubHeader is the header of an error answer without the secrets in it.
func (s *Set) ScrubHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		for _, v := range values {
			out[name] = append(out[name], s.ScrubText(v))
		}
	}
	return out
}

// PlainHeader is the header of a good answer without literal secrets. It does not
// look for encoded ones, because it runs for each answer.
func (s *Set) PlainHeader(h http.Header) http.Header {
	for _, u := range s.used {
		value := u.Value.Reveal()
		for _, values := range h {
			if len(value) >= minScrubbed && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, value) }) {
				return s.ScrubHeader(h)
			}
		}
	}
	return h
}

// Used lists the secrets of the set, in the order of their use. The caller must not
// change it.
func (s *Set) Used() []UsedSecret { return s.used }

// OneLine cuts an upstream's text to one line of at most n bytes, and an ellipsis.
func OneLine(s string, n int) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
