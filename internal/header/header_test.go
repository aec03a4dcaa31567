package header_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/header"
)

func TestRules(t *testing.T) {
	type verdicts struct{ name, value, plain, line bool }
	tests := map[string]verdicts{
		"":                      {false, true, false, false},
		"X-Team":                {true, true, true, true},
		"!#$%&'*+-.^_`|~9":      {true, true, true, true},
		"a b":                   {false, true, false, true},
		"/models/My Model.gguf": {false, true, false, true},
		" a":                    {false, true, false, false},
		"a ":                    {false, true, false, false},
		"a\u00a0":               {false, true, true, false},
		"a:b":                   {false, true, true, true},
		"modèle":                {false, true, true, true},
		"a\tb":                  {false, true, false, false},
		"a\nb":                  {false, false, false, false},
		"a\rb":                  {false, false, false, false},
		"a\x00b":                {false, false, false, false},
		"a\x7fb":                {false, false, false, false},
		"a\u0085b":              {false, true, false, false},
		"a\u009bb":              {false, true, false, false},
		"a\u2028b":              {false, true, false, false},
		"a\u2029b":              {false, true, false, false},
		"a\xffb":                {false, true, false, false},
	}
	for s, want := range tests {
		got := verdicts{header.IsName(s), header.IsValue(s), header.IsPlain(s), header.IsLine(s)}
		assert.Equal(t, want, got, "%q", s)
	}
}

func TestConnectionHeaders(t *testing.T) {
	for name, want := range map[string]bool{
		"Connection": true, "Te": true, "Content-Length": true, "Accept-Encoding": true,
		"Authorization": false, "Content-Type": false, "X-Request-Id": false,
	} {
		assert.Equal(t, want, header.IsConnection(name), name)
	}
}

func TestMediaType(t *testing.T) {
	tests := []struct {
		value, kind string
		json, fails bool
	}{
		{"application/json", "application/json", true, false},
		{"Application/JSON; charset=utf-8", "application/json", true, false},
		{"application/problem+json", "application/problem+json", true, false},
		{"text/event-stream", "text/event-stream", false, false},
		{"text/html; charset=utf-8", "text/html", false, false},
		{"", "", false, true},
	}
	for _, tt := range tests {
		kind, _, err := header.MediaType(tt.value)
		assert.Equal(t, tt.kind, kind)
		assert.Equal(t, tt.fails, err != nil, tt.value)
		assert.Equal(t, tt.json, header.IsJSON(kind), tt.value)
	}
}

func TestIDs(t *testing.T) {
	for id, ok := range map[string]bool{"req_1": true, "~": true, "": false, "a b": false, "a\n": false, "ä": false,
		strings.Repeat("x", 128): true, strings.Repeat("x", 129): false} {
		assert.Equal(t, ok, header.IsID(id), "%q", id)
	}
	assert.Equal(t, "a", header.UpstreamID(http.Header{"X-Request-Id": {"b"}, "Request-Id": {"a"}}))
	assert.Equal(t, "b", header.UpstreamID(http.Header{"X-Request-Id": {"b"}, "Request-Id": {""}}))
	assert.Empty(t, header.UpstreamID(http.Header{"Date": {"x"}}))
}

// A long list finds the same words as a short one.
func TestWords(t *testing.T) {
	var none header.Words
	assert.False(t, none.Has("close"))
	for _, more := range []string{"", strings.Repeat(", x", 20)} {
		w := header.WordsOf([]string{"close , X-One", "x-TWO" + more})
		for _, word := range []string{"Close", "x-one", "X-Two"} {
			assert.True(t, w.Has(word), word)
			assert.True(t, header.Lists([]string{"close , X-One", "x-TWO" + more}, word), word)
		}
		assert.False(t, w.Has("one"))
	}
}
