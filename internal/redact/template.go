package redact

import "strings"

// Template returns a text with expressions in ${…}, with each literal part hidden as "…".
// Text quoted inside an expression is shown.
func Template(text string) string {
	var b strings.Builder
	hidden := false
	for s := text; s != ""; {
		var n int
		switch {
		case strings.HasPrefix(s, "$${"):
			s = s[len("$${"):]
			hidden = true
			continue
		case strings.HasPrefix(s, "${"):
			n = expressionLen(s)
			if n == 0 {
				// It has no end: the rest could be anything.
				return b.String() + "…"
			}
		default:
			s = s[1:]
			hidden = true
			continue
		}
		if hidden {
			b.WriteString("…")
			hidden = false
		}
		b.WriteString(s[:n])
		s = s[n:]
	}
	if hidden {
		b.WriteString("…")
	}
	return b.String()
}

// expressionLen returns the length of the ${…} that s starts with, 0 if it has
// no end. Braces in CEL's strings do not count.
func expressionLen(s string) int {
	depth := 0
	for i := 1; i < len(s); {
		switch c := s[i]; {
		case c == '{':
			depth++
			i++
		case c == '}':
			depth--
			i++
			if depth == 0 {
				return i
			}
		case c == '\'' || c == '"':
			n := quotedLen(s[i:], isRawPrefix(s[:i]))
			if n == 0 {
				return 0
			}
			i += n
		case strings.HasPrefix(s[i:], "//"):
			end := strings.IndexByte(s[i:], '\n')
			if end < 0 {
				return 0
			}
			i += end
		default:
			i++
		}
	}
	return 0
}

// isRawPrefix reports whether a quote after s opens a raw string: r'…', rb'…'
// or br'…'.
func isRawPrefix(s string) bool {
	s = strings.ToLower(s[max(0, len(s)-2):])
	return strings.HasSuffix(s, "r") || s == "rb"
}

// quotedLen returns the length of the CEL string that s starts with, 0 if it has
// no end.
func quotedLen(s string, raw bool) int {
	quote := s[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s, triple) {
		quote = triple
	}
	for i := len(quote); i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		case s[i] == '\\' && !raw:
			i++
		case (s[i] == '\n' || s[i] == '\r') && len(quote) == 1:
			return 0
		}
	}
	return 0
}
