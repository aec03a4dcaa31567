package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// walk visits every value through the methods of a cursor, down to a depth where
// it skips.
func walk(c *Cursor, depth int) {
	switch {
	case depth == 0:
		c.Skip()
	case c.Enter('{'):
		for {
			if _, ok := c.Key(); !ok {
				return
			}
			walk(c, depth-1)
		}
	case c.Enter('['):
		for c.Elem() {
			walk(c, depth-1)
		}
	default:
		c.Skip()
	}
}

var texts = []string{
	`{}`, `[]`, `null`, `12`, `"x"`, ` {"a":1,"b":[1,2,{"c":"\"\\"}],"d":{"e":[]}} `,
	`{"a":1,}`, `{,"a":1}`, `{"a":1 "b":2}`, `{"a"}`, `{"a":}`, `{:1}`, `[1,]`, `[,1]`, `[1 2]`, `[1,,2]`, `{"a":1,,"b":2}`,
	`{"a":tru}`, `{"a":01}`, `{"a":NaN}`, `[NaN]`, `{"a":"` + "\n" + `"}`, `{"a":"\x"}`, `{"a":[}`, `{"a":1]`, `{`, `[`, `"`, ``, `{"a":1`, `{} x`,
}

// A strict cursor accepts valid JSON and nothing else.
func checkStrict(t *testing.T, text []byte) {
	for depth := range 4 {
		c := Strict(text)
		walk(&c, depth)
		whole := !c.Bad() && c.Peek() == 0 && c.Offset() == len(text) && len(strings.Trim(string(text), " \t\r\n")) > 0
		require.Equal(t, json.Valid(text), whole, "%q at depth %d", text, depth)
		require.Equal(t, json.Valid(text), IsValue(text), "%q", text)
	}
}

func TestStrictCursor(t *testing.T) {
	for _, text := range texts {
		checkStrict(t, []byte(text))
	}
}

// A front of text is text, wherever something else stands behind it, and nothing behind its
// bytes is read.
func TestPlainText(t *testing.T) {
	check := func(p []byte) {
		n, i := plainText(p), 0
		for i < n && p[i] != '"' && p[i] >= ' ' {
			if p[i] == '\\' {
				if i++; i == len(p) || !strings.ContainsRune(`"\/bfnrt`, rune(p[i])) {
					break
				}
			}
			i++
		}
		if i != n {
			t.Fatalf("%d of %d bytes of %q are text", n, i, p)
		}
	}
	long := strings.Repeat("x", 200)
	for at := range 82 { // a block of 64 bytes, one of 16, and more
		for odd := range 256 {
			check([]byte(long[:at] + string([]byte{byte(odd)}) + long[at:]))
			check([]byte(long[:at] + `\` + string([]byte{byte(odd)}) + `\n\"` + long[at:] + `"`))
			check([]byte(long[:at] + string([]byte{byte(odd)}) + `"` + long)[:at+1])
			check([]byte(long[:at] + `\` + string([]byte{byte(odd)}) + `n"` + long)[:at+2])
		}
		check([]byte(long[:at] + strings.Repeat(`\\`, 1+at) + long))
		check([]byte(long[:at] + strings.Repeat(`\"`, 1+at) + `"`))
		check([]byte(long[:at] + `\` + `n` + long)[:at+1]) // half an escape
	}
}

// Long strings are read in blocks: whatever ends them is found at each place of a block.
func TestStrictCursorInLongStrings(t *testing.T) {
	const window = 4 << 10
	for _, fill := range []string{"x", "é", "\x7f", "\xff"} {
		long := strings.Repeat(fill, 4*window)
		places := []int{2*window - 1, 2 * window, 2*window + 1, 3*window + 77, len(long) - 1}
		for at := range 100 {
			places = append(places, at, 246+at)
		}
		for _, at := range places {
			for _, odd := range []string{`"`, `\n`, `\x`, `\"`, `\`, "\n", "\x00", "\x1f", " ", "é", "\x80", "\xa0"} {
				text := []byte(`{"a":"` + long[:at] + odd + long[at:] + `","b":"c"}`)
				c := Strict(text)
				walk(&c, 2)
				require.Equal(t, json.Valid(text), !c.Bad() && c.Offset() == len(text), "%q of %q at %d", odd, fill, at)
			}
		}
	}
}

func FuzzCursor(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Count(string(text), "[")+strings.Count(string(text), "{") < MaxDepth {
			checkStrict(t, text)
		}
		for depth := range 4 {
			lenient := Lenient(text)
			walk(&lenient, depth)
			if json.Valid(text) {
				require.False(t, lenient.Bad(), "%q", text)
			}
		}
	})
}

func TestCursorSkipSays(t *testing.T) {
	for text, says := range map[string]bool{
		`null`: false, `false`: false, `""`: false, `{}`: false, `[ ]`: false, "{\n}": false,
		`true`: true, `0`: true, `"x"`: true, `[0]`: true, `{"a":null}`: true, `-1`: true,
	} {
		lenient, strict := Lenient([]byte(text)), Strict([]byte(text))
		assert.Equal(t, says, lenient.Skip(), text)
		assert.Equal(t, says, strict.Skip(), text)
		assert.Equal(t, len(text), lenient.Offset(), text)
		assert.Equal(t, len(text), strict.Offset(), text)
	}
}

// First and Key give each name of an object, and end at once at another value. The cursor
// is behind the value then.
func TestCursorFirst(t *testing.T) {
	for text, want := range map[string][]string{
		`{"a":1,"b":{"c":2},"a":[3]}`: {"a", "b", "a"}, `{}`: nil, `[{"a":1}]`: nil, `"a"`: nil, `null`: nil,
	} {
		c := Lenient([]byte(text + `,"next"`))
		var names []string
		for name, ok := c.First(); ok; name, ok = c.Key() {
			names = append(names, string(name))
			for _, ok := c.First(); ok; _, ok = c.Key() { // of the value, if it is an object
				c.Skip()
			}
		}
		assert.Equal(t, want, names, text)
		assert.Equal(t, len(text), c.Offset(), text)
	}
}

// Value gives a value as it is written, and leaves the cursor behind it.
func TestCursorValue(t *testing.T) {
	for _, value := range []string{`1`, `"a\"b"`, `{"a": [1, "]"]}`, `null`} {
		c := Lenient([]byte("[ \n" + value + " ,2]"))
		require.True(t, c.Enter('[') && c.Elem())
		assert.Equal(t, value, string(c.Value()))
		require.True(t, c.Elem())
		assert.Equal(t, "2", string(c.Value()))
	}
	var none Cursor
	assert.Empty(t, none.Value())
	assert.True(t, none.Bad())
}

// Some servers write NaN, and raw line ends into strings.
func TestLenientCursorFollowsSloppyText(t *testing.T) {
	c := Lenient([]byte("{\"logprobs\":[NaN,-Infinity],\"text\":\"a\nb\",\"finish_reason\":\"stop\"}"))
	require.True(t, c.Enter('{'))
	for {
		name, ok := c.Key()
		require.True(t, ok)
		if string(name) == "finish_reason" {
			break
		}
		c.Skip()
	}
	assert.Equal(t, "stop", string(c.Text()))
	assert.False(t, c.Bad())
}

func TestValueDepth(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	assert.False(t, IsValue([]byte(deep)))
	assert.True(t, IsValue([]byte(deep[1:len(deep)-1])))
}
