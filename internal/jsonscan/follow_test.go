package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func follow(member string, pieces ...string) *Follower {
	f := &Follower{Member: member}
	for _, p := range pieces {
		b := []byte(p)
		f.Follow(b)
		clear(b) // nothing of a piece may be kept
	}
	return f
}

var followCases = []struct {
	in     string
	ended  bool
	broken bool
}{
	{``, false, false},
	{" \n", false, false},
	{`{}`, true, false},
	{` {"a":[1,{"b":"}]"}],"c":null}` + " \r\n\t", true, false},
	{`{"a":"\"}"`, false, false},
	{`{"a":"\\"}`, true, false},
	{`{"a":"\\\"}"}`, true, false},
	{`{"a":"` + strings.Repeat(`\\`, 40) + `"}`, true, false},
	{`[[[[]]]]`, true, false},
	{`[_yY{}_]`, true, false}, // not its business
	{`"text"`, true, false},
	{`"te\"xt`, false, false},
	{`{} {}`, false, true},
	{`{}x`, false, true},
	{`"text" "`, false, true},
	{`{]`, false, true},
	{`[}`, false, true},
	{`{"a":[}`, false, true},
	{`<html>`, false, true},
	{`12`, false, true},
	{"\x00{}", false, true},
	{strings.Repeat("[", 1200) + strings.Repeat("]", 1200), true, false},
	{strings.Repeat("[", 1200) + strings.Repeat("]", 1199), false, false},
}

func TestFollower(t *testing.T) {
	for _, c := range followCases {
		check := func(f *Follower, how any) {
			assert.Equal(t, c.ended, f.Ended(), "%.40q %v", c.in, how)
			assert.Equal(t, c.broken, f.Broken(), "%.40q %v", c.in, how)
		}
		check(follow("", c.in), "whole")
		check(follow("", strings.Split(c.in, "")...), "single bytes")
		if len(c.in) < 100 {
			for at := range len(c.in) {
				check(follow("a", c.in[:at], c.in[at:]), at)
			}
		}
	}
}

func TestFollowerValue(t *testing.T) {
	long := `{"x":"` + strings.Repeat("x", maxMember) + `"}`
	for in, want := range map[string]string{
		`{"usage":{"a":1}}`: `{"a":1}`,
		`{"x":"usage", "usage" : {"a":{"b":["}"]}} , "z":1}`: `{"a":{"b":["}"]}}`,
		`{"choices":[{"usage":{"no":1}}],"usage":{"yes":1}}`: `{"yes":1}`,
		`{"usage":{"first":1},"usage":{"last":1}}`:           `{"last":1}`,
		`{"usage":null}`:                               ``,
		`{"usage":"text"}`:                             ``,
		`{"usage":[{}]}`:                               ``,
		`["usage",{"a":1}]`:                            ``,
		`{"text":"\"usage\":{\"a\":1}"}`:               ``,
		`{"usage":` + long + `}`:                       ``,
		`{"usage":{"a":1`:                              ``,
		`{"usages":{"a":1},"usag":{"b":1},"usage":{}}`: `{}`,
		`{"` + strings.Repeat("u", 300) + `":{},"usage":{"ok":true}}`: `{"ok":true}`,
	} {
		assert.Equal(t, want, string(follow("usage", in).Value()), "%.60s", in)
		assert.Equal(t, want, string(follow("usage", strings.Split(in, "")...).Value()), "%.60s", in)
	}
}

// A front of a valid document has not ended, and a valid document has, wherever
// its pieces meet.
func FuzzFollower(f *testing.F) {
	for _, c := range followCases {
		f.Add([]byte(c.in), uint16(3))
	}
	f.Fuzz(func(t *testing.T, doc []byte, at uint16) {
		whole := follow("usage", string(doc))
		n := int(at) % (len(doc) + 1)
		parts := follow("usage", string(doc[:n]), string(doc[n:]))
		require.Equal(t, whole.Ended(), parts.Ended())
		require.Equal(t, whole.Broken(), parts.Broken())
		require.Equal(t, whole.Value(), parts.Value())
		trimmed := bytes.TrimSpace(doc)
		if !json.Valid(doc) || len(trimmed) == 0 || !strings.ContainsRune(`{["`, rune(trimmed[0])) {
			return
		}
		require.True(t, whole.Ended())
		for cut := range len(bytes.TrimRight(doc, " \t\r\n")) {
			front := Follower{}
			front.Follow(doc[:cut])
			require.False(t, front.Ended(), "cut at %d", cut)
			require.False(t, front.Broken(), "cut at %d", cut)
		}
		var members struct{ Usage json.RawMessage }
		if trimmed[0] == '{' && !bytes.ContainsRune(doc, '\\') && bytes.Count(bytes.ToLower(doc), []byte("usage")) == 1 && bytes.Contains(doc, []byte("usage")) && json.Unmarshal(doc, &members) == nil {
			if members.Usage != nil && members.Usage[0] == '{' {
				require.Equal(t, string(members.Usage), string(whole.Value()))
			}
		}
	})
}

// plainJSON are documents of the kinds that are larger than a held answer.
func plainJSON() map[string][]byte {
	prose := "The quick brown fox \"jumps\" over the lazy dog.\n"
	var vectors []string
	for i := range 60_000 {
		vectors = append(vectors, fmt.Sprintf("%.8f", float64(i%997)/997-0.5))
	}
	text, _ := json.Marshal(strings.Repeat(prose, 20_000))
	var items []string
	for i := range 9_000 {
		items = append(items, fmt.Sprintf(`{"index":%d,"object":"embedding","relevance_score":0.%d,"document":{"text":"item %d"},"ok":true}`, i, i, i))
	}
	return map[string][]byte{
		"vectors": []byte(`{"object":"list","data":[{"embedding":[` + strings.Join(vectors, ",") + `]}],"usage":{"prompt_tokens":5}}`),
		"text":    []byte(`{"choices":[{"message":{"content":` + string(text) + `}}],"usage":{"prompt_tokens":5}}`),
		"base64":  []byte(`{"data":[{"b64_json":"` + strings.Repeat("iVBORw0K", 120_000) + `"}],"usage":{"input_tokens":5}}`),
		"items":   []byte(`{"results":[` + strings.Join(items, ",") + `]}`),
	}
}

// The figure is a ratio: the cost of a Follower to the cost of json.Valid, on the
// same document in the same run.
func BenchmarkFollower(b *testing.B) {
	for name, doc := range plainJSON() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			var valid, followed time.Duration
			for b.Loop() {
				start := time.Now()
				if !json.Valid(doc) {
					b.Fatal("not valid")
				}
				valid += time.Since(start)
				start = time.Now()
				f := Follower{Member: "usage"}
				for rest := doc; len(rest) > 0; {
					n := min(len(rest), 32<<10)
					f.Follow(rest[:n])
					rest = rest[n:]
				}
				if !f.Ended() {
					b.Fatal("not ended")
				}
				followed += time.Since(start)
			}
			b.ReportMetric(float64(followed)/float64(valid), "of-json.Valid")
		})
	}
}

// TestFollowerText keeps the string of a top-level member, wherever it is cut.
func TestFollowerText(t *testing.T) {
	for doc, want := range map[string]string{
		`{"id":"a1","x":1}`:                          "a1",
		`{"x":{"id":"no"},"y":["id","no"],"id":"a"}`: "a",
		`{"x":"id","id" : "a\"b","usage":{"n":1}}`:   `a\"b`,
		`{"usage":{"id":"no"},"id":"a","id":"b"}`:    "b",
		`{"id":{"id":"no"}}`:                         "",
		`{"id":7,"idx":"no","i":"no"}`:               "",
		`["id","a"]`:                                 "",
		`{"id":"` + strings.Repeat("x", 2000) + `"}`: "",
	} {
		for cut := range len(doc) {
			f := &Follower{Member: "usage", TextMember: "id"}
			f.Follow([]byte(doc[:cut]))
			f.Follow([]byte(doc[cut:]))
			require.True(t, f.Ended(), doc)
			require.Equal(t, want, string(f.Text()), "%s cut at %d", doc, cut)
			if strings.Contains(doc, `"n":1`) {
				require.Equal(t, `{"n":1}`, string(f.Value()))
			}
		}
	}
}
