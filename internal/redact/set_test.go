package redact_test

import (
	"net/http"
	"testing"

	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/stretchr/testify/require"
)

// A set cuts what was added, and what was made from it.
func TestSet(t *testing.T) {
	var s redact.Set
	require.Equal(t, "nothing to cut: sk-first-1234567", s.ScrubText("nothing to cut: sk-first-1234567"))

	s.Add(redact.UsedSecret{Vault: "v", Name: "n", Value: redact.NewSecret("sk-first-1234567")})
	require.NotContains(t, s.ScrubText("key sk-first-1234567 is bad"), "first")

	s.HideDerived(map[string]any{"auth": []any{"Basic part-first-1234567-more", "application/json"}}, s.Used())
	text := s.ScrubText("part-first-1234567-more is no application/json")
	require.NotContains(t, text, "1234567")
	require.Contains(t, text, "application/json", "a text without a piece of a secret stays")

	s.HideLiteral("Token another-secret-99")
	require.NotContains(t, s.ScrubLine("bad:\n another-secret-99 here", 200), "another")
	require.NotContains(t, s.ScrubLine("bad: another-secret-99", 14), "another", "the secret is cut before the line is")
	require.Empty(t, s.Quoted(""))
	require.Equal(t, ": as it is", s.Quoted("as \n it is"))

	plain := http.Header{"A": {"b"}}
	require.Equal(t, plain, s.PlainHeader(plain))
	require.NotContains(t, s.PlainHeader(http.Header{"A": {"x another-secret-99"}}).Get("A"), "another")
}
