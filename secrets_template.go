package aigateway

import (
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// Template is text with CEL expressions in ${…}, such as "Bearer
// ${secrets.get('vault', 'name')}"; $${ stands for a literal ${. A Template without
// an expression is plain text, such as an API key.
//
// An expression sees req, conn, the functions of [ModelSelection] for any list,
// CEL's own functions, and the secrets. It is evaluated for each request, when it
// is needed. If it fails in a header or query parameter, the header or parameter is
// left out, with a note in the [Result]. If it fails in a key or in the body, the
// candidate fails. In the body, a value with one ${…} and nothing else keeps its
// type.
//
//	secrets.get(vault string, name string)  string: the secret; where it does not resolve, the next key has its turn
//	    ${secrets.get('openai', 'api-key')}
//
// The text can be a secret. When it is printed, logged or marshaled, a Template
// shows its expressions, and each literal part as "…". A Config therefore does not
// survive a round trip through JSON. string(t) is the text itself. Text quoted
// inside an expression is shown.
//
// In three places fmt does not ask a type how to print itself, and shows the text:
// unexported fields, structs behind a pointer in a list under a verb that cannot
// print them, and %w and %p.
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

// Format prints t with its literal parts hidden.
func (t Template) Format(f fmt.State, verb rune) { redact.Format(f, verb, t.String()) }

// GoString returns t, quoted, with its literal parts hidden.
func (t Template) GoString() string { return strconv.Quote(t.String()) }

// LogValue returns t with its literal parts hidden.
func (t Template) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText returns t with its literal parts hidden, for JSON and other
// encodings.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Proxy is the address of a proxy, as "http://host:port" or
// "http://user:password@host:port". The requests go through a tunnel (CONNECT): the
// proxy sees the provider's name and no key. [ProxyNone] reaches the provider
// without a proxy, whatever the environment says.
//
// A Proxy shows its user and password as "…" when it is printed, logged or
// marshaled. string(p) is the text itself.
type Proxy string

// ProxyNone reaches the provider without a proxy, whatever the environment says.
const ProxyNone Proxy = dial.ProxyNone

// String returns p without its user and password.
func (p Proxy) String() string {
	if p == "" || p == ProxyNone {
		return string(p)
	}
	u, err := url.Parse(string(p))
	if err != nil || u.Host == "" {
		return "…"
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += "…@"
	}
	return shown + u.Host
}

// Format prints p without its user and password.
func (p Proxy) Format(f fmt.State, verb rune) { redact.Format(f, verb, p.String()) }

// GoString returns p, quoted, without its user and password.
func (p Proxy) GoString() string { return strconv.Quote(p.String()) }

// LogValue returns p without its user and password.
func (p Proxy) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText returns p without its user and password, for JSON and other
// encodings.
func (p Proxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// fmt does not ask the types behind a pointer how to print themselves, if the verb
// cannot print the pointer: %s cannot print the elements of a []*Config. The types
// with literal keys therefore format themselves too.
