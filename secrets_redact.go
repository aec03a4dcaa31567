package aigateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Template is text in which ${…} is a CEL expression, as in
// "Bearer ${secrets.get('vault', 'name')}"; $${ stands for a literal ${. A
// Template without an expression is plain text, an API key for one.
//
// An expression sees req, conn, the functions of any list and CEL's own, as
// [ModelSelection] has them, and the secrets. It is evaluated for each request,
// when it is needed. One that fails leaves a header or query parameter out, with a
// note in the [Result], and fails the candidate in a key or in the body, where a
// value that is one ${…} alone keeps its type.
//
//	secrets.get(vault string, name string)  string: the secret; where it does not resolve, the next key has its turn
//	    ${secrets.get('openai', 'api-key')}
//
// As that text can be a secret, a Template shows its expressions only and each
// literal part as "…", wherever it is printed, logged or marshaled. A Config
// therefore does not survive a round trip through JSON. string(t) is the text
// itself. Not covered are the cases in which fmt asks no methods (values in
// unexported fields of other types, and the verbs %p and %w, which vet reports);
// and text quoted inside an expression is shown.
type Template string

// String returns t with its literal parts hidden.
func (t Template) String() string {
	var b strings.Builder
	hidden := false
	for s := string(t); s != ""; {
		var n int
		switch {
		case strings.HasPrefix(s, "$${"):
			s = s[len("$${"):]
			hidden = true
			continue
		case strings.HasPrefix(s, "${"):
			n = expressionLen(s)
			if n == 0 {
				// It has no end, so what it holds is anybody's guess.
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

// Format prints t with its literal parts hidden.
func (t Template) Format(f fmt.State, verb rune) { formatShown(f, verb, t.String()) }

// GoString returns t, quoted, with its literal parts hidden.
func (t Template) GoString() string { return strconv.Quote(t.String()) }

// LogValue returns t with its literal parts hidden.
func (t Template) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText returns t with its literal parts hidden, for JSON and other
// encodings.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// formatShown prints, in place of a value, what may be shown of it.
func formatShown(f fmt.State, verb rune, shown any) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), shown)
}

// secret is a resolved secret. It shows itself redacted; reveal is the only way
// to the value. The value is behind a pointer, so that even fmt's printing of
// unexported fields, which asks no methods, finds an address alone.
type secret struct{ value *string }

func newSecret(value string) secret { return secret{&value} }

// reveal returns the value; empty for the zero secret.
func (s secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

func (s secret) String() string                { return redact(s.reveal()) }
func (s secret) Format(f fmt.State, verb rune) { formatShown(f, verb, s.String()) }
func (s secret) GoString() string              { return strconv.Quote(s.String()) }
func (s secret) LogValue() slog.Value          { return slog.StringValue(s.String()) }
func (s secret) MarshalText() ([]byte, error)  { return []byte(s.String()), nil }

// redact returns what may be shown of a secret, enough to tell which one it is:
// the first 7 and last 4 characters (in bytes) of one of 20 bytes or more, as in
// "sk-proj…2315", the first 2 of one of 12 or more, and nothing of a shorter one
// or of one that holds what JSON would escape, as the result may end up inside a
// JSON text. Empty stays empty.
func redact(value string) string {
	if value == "" {
		return ""
	}
	if len(value) < 12 || !utf8.ValidString(value) || strings.ContainsFunc(value, isAwkward) {
		return "…"
	}
	head, tail := 2, len(value)
	if len(value) >= 20 {
		head, tail = 7, len(value)-4
	}
	for !utf8.RuneStart(value[head]) {
		head--
	}
	for tail < len(value) && !utf8.RuneStart(value[tail]) {
		tail++
	}
	return value[:head] + "…" + value[tail:]
}

func isAwkward(r rune) bool { return r == '"' || r == '\\' || !unicode.IsPrint(r) }

// minScrubbed is the length of the shortest value that is looked for, in bytes.
const minScrubbed = 4

// scrubber replaces known secrets in text by their redacted form, also where
// they stand as JSON, URL or base64 encoded. A value shorter than 4 bytes is left
// in: it would be found in half of all texts, which would be shredded and give it
// away all the same. Safe for concurrent use; a nil scrubber changes nothing.
type scrubber struct {
	secrets  []secret
	replacer func() *strings.Replacer
}

func newScrubber(values ...string) *scrubber {
	s := &scrubber{}
	for _, v := range values {
		if len(v) >= minScrubbed {
			s.secrets = append(s.secrets, newSecret(v))
		}
	}
	// Most answers are never scrubbed, so the forms are made by the first that is.
	s.replacer = sync.OnceValue(s.build)
	return s
}

func (s *scrubber) build() *strings.Replacer {
	shown := map[string]string{}
	for _, sec := range s.secrets {
		for _, form := range secretForms(sec.reveal()) {
			shown[form] = sec.String()
		}
	}
	forms := make([]string, 0, len(shown))
	for form := range shown {
		forms = append(forms, form)
	}
	// Where one form starts with another, the replacer takes the earlier.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	oldnew := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		oldnew = append(oldnew, form, shown[form])
	}
	return strings.NewReplacer(oldnew...)
}

// scrub returns text with the secrets in it redacted.
func (s *scrubber) scrub(text string) string {
	if s == nil || len(s.secrets) == 0 {
		return text
	}
	return s.replacer().Replace(text)
}

// scrubBytes is scrub for bytes. It does not change its argument.
func (s *scrubber) scrubBytes(text []byte) []byte {
	if s == nil || len(s.secrets) == 0 {
		return text
	}
	return []byte(s.replacer().Replace(string(text)))
}

// jsonWriter is a library that writes more characters of a JSON string by their
// numbers than it must.
type jsonWriter struct{ escaped, digits string }

// jsonWriters are those that differ: System.Text.Json of .NET, and Gson.
var jsonWriters = [...]jsonWriter{
	{"\"&'+<>`", "0123456789ABCDEF"},
	{"<>&='", "0123456789abcdef"},
}

// quoted is the inside of the string as the library writes it.
func (w jsonWriter) quoted(value string) string {
	var b strings.Builder
	for _, r := range value {
		switch {
		case r < utf8.RuneSelf && strings.ContainsRune(w.escaped, r):
			b.WriteString(`\u00`)
			b.WriteByte(w.digits[r>>4])
			b.WriteByte(w.digits[r&15])
		case r == '\\' || r == '"':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// secretForms returns the ways in which a secret may be written into a text.
func secretForms(value string) []string {
	forms := []string{value, url.QueryEscape(value), url.PathEscape(value)}
	for _, escapeHTML := range []bool{false, true} {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		if enc.Encode(value) == nil {
			quoted := strings.TrimSpace(b.String())
			inner := quoted[1 : len(quoted)-1]
			// PHP, for one, escapes the slash as well.
			forms = append(forms, inner, strings.ReplaceAll(inner, "/", `\/`))
		}
	}
	for _, w := range jsonWriters {
		forms = append(forms, w.quoted(value))
	}
	// A body that is quoted in an error is JSON within JSON.
	for _, form := range forms {
		if strings.Contains(form, `\`) {
			forms = append(forms, strings.ReplaceAll(form, `\`, `\\`))
		}
	}
	// In base64 a text looks different at each of three offsets, and its ends
	// mix with its neighbours; what is left is the same behind any prefix, such
	// as the user of Basic authentication. Short values have too little left.
	if len(value) >= 8 {
		for offset := range 3 {
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				text := enc.EncodeToString(append(make([]byte, offset), value...))
				forms = append(forms, text[(8*offset+5)/6:8*(offset+len(value))/6])
			}
		}
	}
	return forms
}

var (
	secretPrefix = regexp.MustCompile(`(?i)^(sk|pk|gsk|xai|ghp|hf|key|token|bearer|basic|AIza)([-_ ]|Sy)`)
	secretShape  = regexp.MustCompile(`^[A-Za-z0-9_+/=.-]{20,}$`)
)

// isKey reports that a word begins like the keys of well-known providers do.
func isKey(word string) bool { return len(word) >= 16 && secretPrefix.MatchString(word) }

// words are what a text is made of. No credential has one of the characters
// between them.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune(" \t\r\n\"'`,;()<>=:?&", r)
	})
}

// looksSecret reports that s could be a credential that was put in the wrong
// place. It errs on the side of hiding: a long model name is hidden as well.
func looksSecret(s string) bool {
	return secretPrefix.MatchString(s) ||
		strings.Contains(s, "@") ||
		secretShape.MatchString(s) && strings.ContainsAny(s, "0123456789")
}

// hasSecret reports whether a text is, or has in it, a word that could be a
// credential.
func hasSecret(text string) bool {
	return looksSecret(text) || slices.ContainsFunc(words(text), looksSecret)
}

// isSecretName reports whether a header or field of a name that the gateway does
// not know probably holds a secret.
func isSecretName(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"auth", "token", "secret", "key", "password", "cookie", "session", "signature", "credential", "jwt", "assertion"} {
		if strings.Contains(name, word) && name != "idempotency-key" {
			return true
		}
	}
	return false
}
