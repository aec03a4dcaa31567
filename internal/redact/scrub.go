package redact

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
)

// minScrubbed is the length of the shortest value for a [Scrubber], in bytes. A shorter value occurs in half of all texts: shredding them would give it
// away all the same.
const minScrubbed = 4

// Scrubber replaces known secrets in a text by their redacted form. It finds them
// as they are, in base64, in UTF-16 and in dumps of bytes, and behind escapes of JSON, URLs and HTML
// in any mixture, such as JSON within JSON. It also finds a secret with invalid bytes
// in it: it would become whole when a reader drops them.
//
// It is safe for concurrent use. A nil Scrubber changes nothing.
//
// Its cost is that of a search for each form of each secret, in each reading of the
// text.
type Scrubber struct {
	secrets []Secret
	needles func() []needle
}

// needle is one form of a secret.
type needle struct {
	form  Secret // itself a secret; never empty
	shown string // the secret, redacted
}

// NewScrubber returns a Scrubber of the values. Values under minScrubbed bytes
// are left out.
func NewScrubber(values ...string) *Scrubber {
	s := &Scrubber{}
	for _, v := range values {
		if len(v) >= minScrubbed {
			s.secrets = append(s.secrets, NewSecret(v))
		}
	}
	// Most answers are never scrubbed, so the first scrub makes the needles.
	s.needles = sync.OnceValue(s.build)
	return s
}

// build makes the needles: each form of each secret, the longest first.
func (s *Scrubber) build() []needle {
	var all []needle
	for _, secret := range s.secrets {
		for _, form := range forms(secret.Reveal()) {
			all = append(all, needle{NewSecret(form), secret.String()})
		}
	}
	// Of two that overlap in a text, the longer tells more.
	slices.SortStableFunc(all, func(a, b needle) int { return len(b.form.Reveal()) - len(a.form.Reveal()) })
	return all
}

// forms returns the texts for a secret, without escapes.
//
// A form is a text that a reader can turn back into the secret. Escapes are left
// to the readings.
func forms(value string) []string {
	list := []string{value}
	if strings.Contains(value, " ") {
		list = append(list, strings.ReplaceAll(value, " ", "+")) // of a query
	}
	// The ASCII part of UTF-16 is found by dropping NULs; see [dropped].
	if strings.ContainsFunc(value, func(r rune) bool { return r > 0x7f }) {
		units := utf16.Encode([]rune(value))
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			var b []byte
			for _, u := range units {
				b = order.AppendUint16(b, u)
			}
			list = append(list, string(b))
		}
	}
	// In base64 a text looks different at each of three offsets, and its ends mix
	// with its neighbours. The part between is the same behind any prefix, such as
	// the user of Basic authentication. Short values have too little of it.
	if len(value) >= 8 {
		list = append(list, dumps(value)...)
		for offset := range 3 {
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				text := enc.EncodeToString(append(make([]byte, offset), value...))
				list = append(list, text[(8*offset+5)/6:8*(offset+len(value))/6])
			}
		}
	}
	return list
}

// dumps are the ways in which programs print bytes: in hex, and as lists of Go, JSON
// and Python.
func dumps(value string) []string {
	small := fmt.Sprintf("%x", value)
	list := []string{small, strings.ToUpper(small)}
	for _, gap := range []string{" ", ",", ", "} {
		var b []byte
		for i := range len(value) {
			if i > 0 {
				b = append(b, gap...)
			}
			b = strconv.AppendUint(b, uint64(value[i]), 10)
		}
		list = append(list, string(b))
	}
	return list
}

// Scrub returns text with the secrets in it redacted.
//
// The rest of the text stays byte for byte. Text without a secret is returned as
// it is.
func (s *Scrubber) Scrub(text string) string {
	if s == nil || len(s.secrets) == 0 || len(text) < minScrubbed {
		return text
	}
	found := s.find(text)
	if len(found) == 0 {
		return text
	}
	var b strings.Builder
	end := 0
	for _, f := range found {
		b.WriteString(text[end:f.start])
		b.WriteString(f.shown)
		end = f.end
	}
	b.WriteString(text[end:])
	return b.String()
}

// ScrubBytes is [Scrubber.Scrub] for bytes. It does not change its argument.
func (s *Scrubber) ScrubBytes(text []byte) []byte {
	if s == nil || len(s.secrets) == 0 || len(text) < minScrubbed {
		return text
	}
	return []byte(s.Scrub(string(text)))
}

// find returns the places of the secrets in a text, in order and apart from each
// other.
func (s *Scrubber) find(text string) []finding {
	var all []finding
	eachReading(text, func(r reading) {
		for _, n := range s.needles() {
			form := n.form.Reveal()
			for from := 0; ; {
				at := strings.Index(r.text[from:], form)
				if at < 0 {
					break
				}
				at += from
				from = at + len(form)
				start, end := r.span(at, from)
				all = append(all, finding{start, end, n.shown, len(form)})
			}
		}
	})
	// Overlapping ones become one, shown as its longest.
	slices.SortStableFunc(all, func(a, b finding) int { return a.start - b.start })
	apart := all[:0]
	for _, f := range all {
		if len(apart) == 0 || f.start >= apart[len(apart)-1].end {
			apart = append(apart, f)
			continue
		}
		last := &apart[len(apart)-1]
		if f.length > last.length {
			last.shown, last.length = f.shown, f.length
		}
		last.end = max(last.end, f.end)
	}
	return apart
}

// finding is a place of a text that holds a secret.
type finding struct {
	start, end int
	shown      string
	length     int // of the needle
}
