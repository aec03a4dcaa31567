// Package header holds the rules for the names and values of HTTP headers. It is
// a leaf: it imports the standard library only.
package header

import (
	"mime"
	"strings"
	"unicode"
)

// IsName reports whether s is a token of RFC 9110, the grammar of header names
// and authentication schemes.
func IsName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// IsValue reports whether s may be the value of a header. A line break in a
// value would begin another header.
func IsValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// IsConnection reports whether a header concerns one connection or one message.
// Such a header is never forwarded and never configured. The name is canonical.
func IsConnection(canonical string) bool {
	switch canonical {
	case "Host", "Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Te", "Trailer", "Upgrade",
		"Content-Length", "Content-Encoding", "Accept-Encoding", "Expect":
		return true
	}
	return false
}

// IsPlain reports whether a name fits into a header, a URL and a log line: it is not
// empty, and has neither spaces nor control characters.
func IsPlain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || isControl(r) })
}

// IsLine reports whether a name is one line of text. Spaces within it are
// allowed, as in "/models/My Model.gguf". Spaces around it are refused, for they
// are invisible.
func IsLine(s string) bool {
	return s != "" && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, isControl)
}

// isControl reports a character that moves the cursor or breaks the line, and
// the replacement of one that could not be read.
func isControl(r rune) bool {
	return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || r == unicode.ReplacementChar
}

// MediaType parses a Content-Type. The two most frequent ones cost nothing.
func MediaType(value string) (kind string, params map[string]string, err error) {
	switch value {
	case "application/json", "text/event-stream":
		return value, nil, nil
	}
	return mime.ParseMediaType(value)
}

// IsJSON reports whether a media type, as [MediaType] returns it, is JSON.
func IsJSON(kind string) bool {
	return kind == "application/json" || strings.HasSuffix(kind, "+json")
}

// Joined makes one line of a list field's lines (RFC 9110, section 5.3). The name is
// canonical.
func Joined(h map[string][]string, name string) {
	if lines := h[name]; len(lines) > 1 {
		h[name] = []string{strings.Join(lines, ", ")}
	}
}

// First returns the first line of a field, as [net/http.Header.Get] does. The name is
// canonical, and is not made so at each call.
func First(h map[string][]string, name string) string {
	if lines := h[name]; len(lines) > 0 {
		return lines[0]
	}
	return ""
}

// Lists reports whether a list, such as a Connection header, has a word. Case is folded.
func Lists(lines []string, word string) bool {
	for _, line := range lines {
		for listed := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(listed), word) {
				return true
			}
		}
	}
	return false
}

// Words are those of a list, to look many up. The zero Words has none.
type Words struct {
	lines []string
	many  map[string]struct{} // in lower case, once there are more than fewWords
}

// fewWords are looked up one by one.
const fewWords = 8

// WordsOf reads the lines of a list. Both a list and the names to look up may be long, so
// the time of both together is linear.
func WordsOf(lines []string) Words {
	n := 0
	for _, line := range lines {
		n += strings.Count(line, ",") + 1
	}
	if n <= fewWords {
		return Words{lines: lines}
	}
	w := Words{many: make(map[string]struct{})}
	for _, line := range lines {
		for word := range strings.SplitSeq(line, ",") {
			w.many[strings.ToLower(strings.TrimSpace(word))] = struct{}{}
		}
	}
	return w
}

// Has reports whether a word is in the list. Case is folded.
func (w *Words) Has(word string) bool {
	if w.many == nil {
		return Lists(w.lines, word)
	}
	_, ok := w.many[strings.ToLower(word)]
	return ok
}

// IsID reports whether an id of a request may stand in a header and a log line: 1 to 128
// visible characters of ASCII.
func IsID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// upstreamIDs are the headers by which upstreams tell their own id of a request.
// They are in canonical form, as net/http stores names. OpenAI sends
// X-Request-Id, Anthropic Request-Id, Azure Apim-Request-Id, AWS
// X-Amzn-Requestid.
var upstreamIDs = []string{"Request-Id", "X-Request-Id", "Apim-Request-Id", "X-Amzn-Requestid", "X-Ms-Request-Id"}

// UpstreamID is an upstream's own id of a request, from the header of its answer. The
// first name of the list that is there counts. Empty if it tells none.
func UpstreamID(h map[string][]string) string {
	for _, name := range upstreamIDs {
		if v := h[name]; len(v) > 0 && v[0] != "" {
			return v[0]
		}
	}
	return ""
}
