package redact

import (
	"regexp"
	"slices"
	"strings"
)

var (
	secretPrefix = regexp.MustCompile(`(?i)^(sk|pk|gsk|xai|ghp|hf|key|token|bearer|basic|AIza)([-_ ]|Sy)`)
	secretShape  = regexp.MustCompile(`^[A-Za-z0-9_+/=.-]{20,}$`)
)

// IsKey reports whether a word begins like the API key of a well-known provider.
//
// A word of less than 16 bytes is never a key.
func IsKey(word string) bool { return len(word) >= 16 && secretPrefix.MatchString(word) }

// HasKey reports whether one of the words of a text is a key by [IsKey].
func HasKey(text string) bool { return slices.ContainsFunc(words(text), IsKey) }

// LooksSecret reports whether s could be a credential in the wrong place. It errs
// on the side of hiding: a long model name is hidden as well.
func LooksSecret(s string) bool {
	return secretPrefix.MatchString(s) ||
		strings.Contains(s, "@") ||
		secretShape.MatchString(s) && strings.ContainsAny(s, "0123456789")
}

// HasSecret reports whether a text, or a word of it, could be a credential by
// [LooksSecret].
func HasSecret(text string) bool {
	return LooksSecret(text) || slices.ContainsFunc(words(text), LooksSecret)
}

// words splits a text at the characters that no credential contains.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool {
		return strings.ContainsRune(" \t\r\n\"'`,;()<>=:?&", r)
	})
}
