package redact

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var redactTests = []struct{ secret, shown string }{
	{"", ""},
	{"a", "…"},
	{"elevenbytes", "…"},
	{"twelve-bytes", "tw…"},
	{"nineteen-bytes-long", "ni…"},
	{"twenty-bytes-long-xy", "twenty-…g-xy"},
	{"sk-proj-abcdefghijklmnop2315", "sk-proj…2315"},
	{"äöüäöüäöüäöü", "äöü…öü"},
	{"aäöüäöüäöüäöü", "aäöü…öü"},
	{"aäaäöü", "…"},
	{"日本語日本語", "…"},     // 18 bytes: the first 2 are no whole character
	{"日本語日本語日", "日本…日"}, // 21 bytes
	{"\xff\xfe234567890123456789", "…"},
	{"line one\nline two is here", "…"},
	{`sk-"quoted"-aaaaaaaaaaaaaa`, "…"},
	{`sk-back\slash-aaaaaaaaaaaa`, "…"},
}

func TestText(t *testing.T) {
	for _, tt := range redactTests {
		t.Run(tt.secret, func(t *testing.T) {
			assert.Equal(t, tt.shown, Text(tt.secret))
		})
	}
}

func FuzzText(f *testing.F) {
	for _, tt := range redactTests {
		f.Add(tt.secret)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		shown := Text(secret)
		if secret == "" {
			assert.Empty(t, shown)
			return
		}
		head, tail, ok := strings.Cut(shown, "…")
		require.True(t, ok)
		assert.True(t, strings.HasPrefix(secret, head))
		assert.LessOrEqual(t, len(head), 7)
		text, err := json.Marshal(shown)
		require.NoError(t, err)
		assert.NotContains(t, string(text), `\ufffd`)
		if strings.Count(shown, "…") == 1 {
			assert.True(t, strings.HasSuffix(secret, tail))
			assert.LessOrEqual(t, len(tail), 4)
		}
	})
}

func TestSecretDoesNotPrintItself(t *testing.T) {
	const value = "sk-proj-0123456789abcdef2315"
	s := NewSecret(value)
	assert.Equal(t, value, s.Reveal())
	const shown = "sk-proj…2315"
	assert.Equal(t, shown, s.String())
	assert.Equal(t, `"`+shown+`"`, fmt.Sprintf("%#v", s))
	assert.Equal(t, `"`+shown+`"`, s.GoString())
	assert.Equal(t, shown, slog.AnyValue(s).Resolve().String())
	text, err := json.Marshal(map[string]any{"k": s, "p": &s})
	require.NoError(t, err)
	assert.JSONEq(t, `{"k":"sk-proj…2315","p":"sk-proj…2315"}`, string(text))

	inner := struct {
		key  Secret
		keys []Secret
		m    map[string]Secret
		any  any
	}{s, []Secret{s}, map[string]Secret{"k": s}, s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
		for _, v := range []any{s, &s, inner, &inner, []Secret{s}, struct{ Key Secret }{s}} {
			text := strings.ToLower(fmt.Sprintf(verb, v))
			assert.NotContains(t, text, "0123456789abcdef")
			assert.NotContains(t, text, fmt.Sprintf("%x", "0123456789abcdef"))
		}
	}
	// %w of a value that is not an error prints without calling its methods.
	format := "%w"
	assert.NotContains(t, fmt.Errorf(format, s).Error(), "0123")

	assert.Empty(t, Secret{}.Reveal())
	assert.Empty(t, Secret{}.String())
}

func TestScrubber(t *testing.T) {
	const (
		key   = "sk-proj-0123456789abcdef2315"
		shown = "sk-proj…2315"
		odd   = `p@ss/wörd+"<a>&\b` + "\t!"
		short = "abc"
	)
	s := NewScrubber(key, odd, short, "", "pass", key+"-longer")
	jsonText := func(v string) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return strings.Trim(string(b), `"`)
	}
	b64 := base64.StdEncoding
	tests := map[string]struct{ text, want string }{
		"nothing":         {"no secret here", "no secret here"},
		"empty":           {"", ""},
		"alone":           {key, shown},
		"inside":          {"Incorrect API key: " + key + ".", "Incorrect API key: " + shown + "."},
		"twice":           {key + key, shown + shown},
		"longer one wins": {"<" + key + "-longer>", "<sk-proj…nger>"},
		"short stays":     {"abcdef", "abcdef"},
		"four bytes go":   {"my pass!", "my …!"},
		"odd, raw":        {"=" + odd + "=", "=…="},
		"odd, JSON":       {jsonText(odd), "…"},
		"odd, plain JSON": {`p@ss/wörd+\"<a>&\\b\t!`, "…"},
		"odd, PHP's JSON": {`p@ss\/wörd+\"<a>&\\b\t!`, "…"},
		"odd, in a query": {"?k=" + url.QueryEscape(odd), "?k=…"},
		"odd, in a path":  {"/" + url.PathEscape(odd), "/…"},
		"partly":          {key[:20], key[:20]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, s.Scrub(tt.text))
			in := []byte(tt.text)
			assert.Equal(t, tt.want, string(s.ScrubBytes(in)))
			assert.Equal(t, tt.text, string(in), "the argument stays as it was")
		})
	}
	for _, user := range []string{"", "u", "us", "use", "user:"} {
		for _, after := range []string{"", "x", "xy"} {
			for _, enc := range []*base64.Encoding{b64, base64.URLEncoding, base64.RawStdEncoding} {
				text := s.Scrub("Basic " + enc.EncodeToString([]byte(user+key+after)))
				assert.Contains(t, text, "…", "behind %q", user)
				for offset := range 3 {
					inner := b64.EncodeToString([]byte(strings.Repeat(" ", offset) + key))[8:24]
					assert.NotContains(t, text, inner)
				}
			}
		}
	}

	for name, none := range map[string]*Scrubber{"nil": nil, "empty": NewScrubber(), "short alone": NewScrubber("abc")} {
		assert.Equal(t, "abcdef", none.Scrub("abcdef"), name)
		assert.Equal(t, []byte("abcdef"), none.ScrubBytes([]byte("abcdef")), name)
	}
	assert.NotContains(t, fmt.Sprintf("%+v %#v", s, *s), "0123456789")
}

func TestScrubKeepsJSONValid(t *testing.T) {
	for _, value := range []string{`quoted"at the start and long`, `back\slash at the start too`, "new\nline and then a lot more", "sk-proj-0123456789abcdef2315"} {
		text, err := json.Marshal(map[string]string{"message": "bad key " + value})
		require.NoError(t, err)
		scrubbed := NewScrubber(value).ScrubBytes(text)
		assert.NotEqual(t, string(text), string(scrubbed))
		assert.True(t, json.Valid(scrubbed), "%s", scrubbed)
	}
}

func BenchmarkScrub(b *testing.B) {
	text := []byte(strings.Repeat(`{"error":{"message":"something is wrong with the request"}}`, 20))
	s := NewScrubber("sk-proj-0123456789abcdef2315")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s.ScrubBytes(text)
	}
}
