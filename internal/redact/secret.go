// Package redact keeps secrets out of logs, errors and answers. It shows a secret in
// a short form, recognises a text that could be one, and cuts known secrets out of
// other texts. It is a leaf: it imports the standard library only.
package redact

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Secret is a resolved secret. It prints itself redacted; [Secret.Reveal] is the
// only way to the value. The value is behind a pointer: fmt asks no methods of
// unexported fields, and finds an address there.
type Secret struct{ value *string }

// NewSecret returns a Secret with the value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value; empty for the zero Secret.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// String returns the redacted form.
func (s Secret) String() string { return Text(s.Reveal()) }

// Format prints the redacted form.
func (s Secret) Format(f fmt.State, verb rune) { Format(f, verb, s.String()) }

// GoString returns the redacted form, quoted.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue returns the redacted form.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the redacted form, for JSON and other encodings.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Format prints shown in the place of a value, under the same verb and flags.
func Format(f fmt.State, verb rune, shown any) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), shown)
}

// Text returns the redacted form of a secret, enough to tell which one it is. Of
// 20 bytes or more it is the first 7 and the last 4, as in "sk-proj…2315". Of 12
// or more it is the first 2. A shorter secret shows nothing, and neither does one
// with characters that JSON would escape: the form may end up inside a JSON text.
// Characters stay whole. Empty stays empty.
func Text(value string) string {
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

// isAwkward reports whether a character would be escaped in JSON, or cannot be
// seen.
func isAwkward(r rune) bool { return r == '"' || r == '\\' || !unicode.IsPrint(r) }

// Shorten bounds a text that an error quotes to 60 bytes. Characters stay whole.
func Shorten(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	cut := limit
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
