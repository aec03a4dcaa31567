package redact_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/redact"
)

// encodings are the ways in which upstreams echo a text. A key is cut in each of
// them, and in each of them within each other one.
var encodings = map[string]func(string) string{
	"as it is":      func(s string) string { return s },
	"query":         url.QueryEscape,
	"path":          url.PathEscape,
	"%xx":           func(s string) string { return strings.ToLower(eachByte("%%%02x", s)) },
	"%XX":           func(s string) string { return eachByte("%%%02X", s) },
	"HTML":          html.EscapeString,
	"HTML, decimal": func(s string) string { return eachRune("&#%d;", s) },
	"HTML, padded":  func(s string) string { return eachRune("&#%07d;", s) },
	"HTML, hex":     func(s string) string { return eachRune("&#x%x;", s) },
	"HTML, HEX":     func(s string) string { return eachRune("&#X%X;", s) },
	"HTML, no ;":    func(s string) string { return eachRune("&#x%x", s) + " " },
	"HTML, named": func(s string) string {
		return strings.NewReplacer("/", "&sol;", "+", "&plus;", "=", "&equals;", "_", "&lowbar;", "&", "&amp;").Replace(s)
	},
	"JSON":         quoted,
	"JSON, PHP":    func(s string) string { return strings.ReplaceAll(quoted(s), "/", `\/`) },
	`JSON, \u`:     func(s string) string { return eachUnit(`\u%04x`, s) },
	`JSON, \U`:     func(s string) string { return eachUnit(`\u%04X`, s) },
	`Python, \x`:   func(s string) string { return eachByte(`\x%02x`, s) },
	"UTF-16LE":     func(s string) string { return wide(binary.LittleEndian, s) },
	"UTF-16BE":     func(s string) string { return wide(binary.BigEndian, s) },
	"broken UTF-8": func(s string) string { return s[:1] + "\xff" + s[1:3] + "\xc3" + s[3:] },
}

func eachByte(format, s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

func eachRune(format, s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

func eachUnit(format, s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, format, u)
	}
	return b.String()
}

func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text[1 : len(text)-1])
}

func wide(order binary.AppendByteOrder, s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func TestScrubEncodings(t *testing.T) {
	keys := []string{
		"sk-proj-0123456789abcdef2315",
		`p@ss/w0rd+"<a>&\b=_-'%41`,
		"gl-kéy-with-ünïcode-and-😀-x",
	}
	for _, key := range keys {
		s := redact.NewScrubber(key)
		for inner, in := range encodings {
			for outer, out := range encodings {
				if outer == "broken UTF-8" && strings.HasPrefix(inner, "UTF-16") || outer == "HTML, named" && strings.HasPrefix(inner, "HTML") ||
					strings.HasPrefix(outer, "UTF-16") && (strings.HasPrefix(inner, "UTF-16") || inner == "broken UTF-8") ||
					!isASCII(key) && (strings.HasPrefix(outer, "UTF-16") || strings.HasPrefix(outer, "JSON") || strings.HasPrefix(outer, "HTML") || outer == "broken UTF-8") &&
						(strings.HasPrefix(inner, "UTF-16") || inner == "broken UTF-8") {
					continue // cannot be written so, or is not text any more
				}
				echo := out(in(key))
				got := s.Scrub("<<" + echo + ">>")
				want := "<<" + redact.Text(key) + ">>"
				if !assert.Contains(t, got, redact.Text(key)) || !assert.LessOrEqual(t, len(got), len(want)+12, "a NUL or a space at the ends may stay") {
					t.Errorf("%q: %s in %s: %q became %q", key, inner, outer, echo, got)
				}
			}
		}
	}
}

// A dump of a key is cut, also behind escapes.
func TestScrubDumps(t *testing.T) {
	list := func(format, gap string) func(string) string {
		return func(s string) string { return strings.TrimSuffix(eachByte(format+gap, s), gap) }
	}
	for name, dump := range map[string]func(string) string{
		"hex": list("%02x", ""), "HEX": list("%02X", ""), "Go's bytes": list("%d", " "), "JSON's bytes": list("%d", ","), "Python's bytes": list("%d", ", "),
		"\\u{}": func(s string) string { return eachRune(`\u{%x}`, s) }, "Rust": func(s string) string { return eachRune(`\u{%06x}`, s) },
	} {
		for _, key := range []string{"sk-proj-0123456789abcdef2315", "gl-kéy-with-ünïcode"} {
			s := redact.NewScrubber(key)
			for outer, out := range encodings {
				if strings.HasPrefix(outer, "UTF-16") || strings.HasPrefix(outer, "broken") || outer == "query" && strings.Contains(dump(key), " ") {
					continue
				}
				echo := out(dump(key))
				got := s.Scrub("<<" + echo + ">>")
				assert.Contains(t, got, redact.Text(key), "%s in %s", name, outer)
				assert.NotContains(t, got, echo, "%s in %s", name, outer)
			}
		}
	}
	s := redact.NewScrubber("sk-proj-0123456789abcdef2315")
	for _, text := range []string{`\u{`, `\u{}`, `\u{zz}`, `\u{1234567}`, `\u{110000}`, "115 107 45", "736b2d"} {
		assert.Equal(t, text, s.Scrub(text))
	}
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

// A text without the secret stays as it is, byte for byte.
func TestScrubLeavesOthersAlone(t *testing.T) {
	s := redact.NewScrubber("sk-proj-0123456789abcdef2315", "äöü-0815-ßß")
	for _, text := range []string{
		"", "a", "100 %", "%", "%4", "%zz", "&", "&;", "&amp", "&unknown;", "&#;", "&#x;", "&#99999999;", `\`, `\u`, `\u12`, `\ud83d`, `\ud83d\u0041`, `\x4`, `\q`,
		"\xff\xfe", "\x00", "äöü-0816-ßß", "naïve 日本語 😀", strings.Repeat(`\\`, 50), strings.Repeat("%25", 50), strings.Repeat("&amp;", 50),
		`{"error":{"message":"caf\u00e9 &eacute; %C3%A9"}}`,
	} {
		assert.Equal(t, text, s.Scrub(text))
	}
}

// Dropping invalid bytes from a scrubbed text does not complete a secret.
func FuzzScrub(f *testing.F) {
	const key = "sk-proj-0123456789abcdef2315"
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range encodings {
			if !yield(name) {
				return
			}
		}
	}) {
		f.Add("key " + encodings[name](key) + ".")
	}
	s := redact.NewScrubber(key)
	f.Fuzz(func(t *testing.T, text string) {
		got := s.Scrub(text)
		assert.NotContains(t, got, key)
		assert.NotContains(t, strings.ToValidUTF8(got, ""), key)
		if json.Valid([]byte(text)) {
			assert.True(t, json.Valid([]byte(got)), "%q became %q", text, got)
		}
	})
}

// The readings of a hostile text are few.
func TestScrubIsBounded(t *testing.T) {
	s := redact.NewScrubber("sk-proj-0123456789abcdef2315")
	text := strings.Repeat(`\u0025%26amp;%5c\xff&#92;`, 40_000)
	began := time.Now()
	assert.Equal(t, text, s.Scrub(text))
	assert.Less(t, time.Since(began), 5*time.Second)
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"Authorization": true, "Proxy-Authorization": true, "X-Api-Key": true, "X-Goog-Api-Key": true, "Cookie": true,
		"Ocp-Apim-Subscription-Key": true, "Subscription-Key": true, "X-Amz-Security-Token": true, "X-Auth-Token": true,
		"Cf-Aig-Authorization": true, "X-Serverless-Authorization": true,
		"Content-Type": false, "X-Author": false, "Idempotency-Key": false, "Openai-Beta": false,
	} {
		assert.Equal(t, want, redact.IsCredentialHeader(name), name)
	}
	for _, name := range []string{
		"x-goog-api-key", "X_Api_Key", "key[]", "key[0]", " key", "key ", "auth_token", "authToken", "apitoken", "api_token", "auth-key", "id_token", "refresh_token",
		"session_token", "client_secret", "secret", "password", "sig", "signature", "jwt", "bearer", "Ocp-Apim-Subscription-Key",
		"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Goog-Signature", "X-Goog-Credential",
	} {
		assert.True(t, redact.IsCredentialParam(name), name)
	}
	for _, name := range []string{
		"page_token", "pageToken", "next_page_token", "continuation-token", "max_tokens", "after", "code", "session", "api-version", "keys", "key_id", "cache_key", "", "[]",
	} {
		assert.False(t, redact.IsCredentialParam(name), name)
	}
	for name, want := range map[string]bool{
		"Openai-Ephemeral-Key": true, "Anthropic-Session-Token": true, "X-Stainless-Auth": true, "Openai-Bearer": true, "Openai-Beta": false, "X-Stainless-Session": false,
	} {
		assert.Equal(t, want, redact.TellsCredential(name), name)
	}
	for name, want := range map[string]bool{"KEY": true, "subscription-key": true, "api-version": false, "keyword": false} {
		assert.Equal(t, want, redact.IsCredentialParam(name), name)
	}
	for name, want := range map[string]bool{"X-Session": true, "user_password": true, "Idempotency-Key": false, "model": false} {
		assert.Equal(t, want, redact.IsSecretName(name), name)
	}
}

func TestGuess(t *testing.T) {
	for text, want := range map[string]struct{ secret, word, key bool }{
		"":                                 {},
		"gpt-4o":                           {},
		"sk-proj-0123456789abcdef2315":     {true, true, true},
		"use sk-proj-0123456789abcdef2315": {false, true, true},
		"user@example.com":                 {true, true, false},
		"sk-short":                         {true, true, false},
		"abcdefghijklmnopqrstuvwxyz":       {},
		"abcdefghijklmnopqrst0123":         {true, true, false},
	} {
		assert.Equal(t, want.secret, redact.LooksSecret(text), text)
		assert.Equal(t, want.word, redact.HasSecret(text), text)
		assert.Equal(t, want.key, redact.HasKey(text), text)
	}
}
