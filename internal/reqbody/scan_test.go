package reqbody_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// goodObjects and badObjects are also the seeds of the fuzz targets.
var goodObjects = []string{
	`{}`, ` { } `, "\t{\r\n}\n",
	`{"a":1}`, `{"a":-0}`, `{"a":0.5}`, `{"a":1e5}`, `{"a":1E+5}`, `{"a":-12.25e-7}`, `{"a":` + strings.Repeat("9", 400) + `}`,
	`{"a":true,"b":false,"c":null}`,
	`{ "a" : [ ] , "b" : { } , "c" : [ 1 , [ 2 ] , { "d" : 3 } ] }`,
	`{"a":[[],{},[{}],[[[]]],{"b":{"c":[]}}]}`,
	`{"":""}`, `{"a":1,"a":2}`,
	`{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\uD800"}`,
	`{"mod\u0065l":"gpt","stre\u0061m":true}`,
	"{\"a\":\"\xff\xfe\x80\"}", "{\"\xff\":1}", "{\"a\":\"\x7f\u2028\u00e9\"}",
	`{"model":"gpt-4o","models":["a:b","c"],"stream":true,"messages":[{"role":"user","content":"hi"}]}`,
}

var badObjects = []struct{ src, err string }{
	{``, "the request body is empty, but must be a JSON object"},
	{" \n", "the request body is empty, but must be a JSON object"},
	{`[]`, "the request body must be a JSON object, not an array"},
	{` "x"`, "the request body must be a JSON object, not a string"},
	{`-1`, "the request body must be a JSON object, not a number"},
	{`true`, "the request body must be a JSON object, not a boolean"},
	{`null`, "the request body must be a JSON object, not null"},
	{`[1,]`, "invalid JSON at byte 0: expected an object, found '['"},
	{`1 2`, "invalid JSON at byte 0: expected an object, found '1'"},
	{`--BOUND`, "invalid JSON at byte 0: expected an object, found '-'"},
	{`temperature=1&model=x`, "invalid JSON at byte 0: expected an object, found 't'"},
	{`n=1`, "invalid JSON at byte 0: expected an object, found 'n'"},
	{`model=x`, "invalid JSON at byte 0: expected an object, found 'm'"},
	{"\xEF\xBB\xBF\xEF\xBB\xBF{}", "invalid JSON at byte 0: expected an object, found byte 0xEF"},
	{"\xEF\xBB\xBF", "the request body is empty, but must be a JSON object"},
	{"\xC3\xA4", "invalid JSON at byte 0: expected an object, found byte 0xC3"},
	{`{`, "invalid JSON at byte 1: unexpected end of the body"},
	{`{"a"`, "invalid JSON at byte 4: unexpected end of the body"},
	{`{"a":`, "invalid JSON at byte 5: unexpected end of the body"},
	{`{"a":1`, "invalid JSON at byte 6: unexpected end of the body"},
	{`{"a":1,`, "invalid JSON at byte 7: unexpected end of the body"},
	{`{"a":[`, "invalid JSON at byte 6: unexpected end of the body"},
	{`{"a":[1`, "invalid JSON at byte 7: unexpected end of the body"},
	{`{"a":{`, "invalid JSON at byte 6: unexpected end of the body"},
	{`{"a":{"b`, "invalid JSON at byte 8: unexpected end of the body"},
	{`{"a":{"b":1,`, "invalid JSON at byte 12: unexpected end of the body"},
	{`{"a":"\`, "invalid JSON at byte 7: unexpected end of the body"},
	{`{"a":"\u12`, "invalid JSON at byte 10: unexpected end of the body"},
	{`{"a":-`, "invalid JSON at byte 6: unexpected end of the body"},
	{`{"a":1.`, "invalid JSON at byte 7: unexpected end of the body"},
	{`{"a":1e`, "invalid JSON at byte 7: unexpected end of the body"},
	{`{"a":tru`, "invalid JSON at byte 8: unexpected end of the body"},
	{`{"a":1,}`, "invalid JSON at byte 7: expected a name in double quotes, found '}'"},
	{`{,"a":1}`, "invalid JSON at byte 1: expected a name in double quotes, found ','"},
	{`{a:1}`, "invalid JSON at byte 1: expected a name in double quotes, found 'a'"},
	{`{"b":{'a':1}}`, `invalid JSON at byte 6: expected a name in double quotes, found '\''`},
	{`{"a" 1}`, "invalid JSON at byte 5: expected ':' after a name, found '1'"},
	{`{"b":{"a"}}`, "invalid JSON at byte 9: expected ':' after a name, found '}'"},
	{`{"a":}`, "invalid JSON at byte 5: expected a value, found '}'"},
	{`{"a":[1,]}`, "invalid JSON at byte 8: expected a value, found ']'"},
	{`{"a":NaN}`, "invalid JSON at byte 5: expected a value, found 'N'"},
	{`{"a":+1}`, "invalid JSON at byte 5: expected a value, found '+'"},
	{`{"a":.5}`, "invalid JSON at byte 5: expected a value, found '.'"},
	{`{"a":1 "b":2}`, `invalid JSON at byte 7: expected ',' or '}' after a member, found '"'`},
	{`{"a":{"b":1]}`, "invalid JSON at byte 11: expected ',' or '}' after a member, found ']'"},
	{`{"a":[1}]`, "invalid JSON at byte 7: expected ',' or ']' after an element, found '}'"},
	{`{"a":01}`, "invalid JSON at byte 6: expected ',' or '}' after a member, found '1'"},
	{`{"a":-x}`, "invalid JSON at byte 6: expected a digit in a number, found 'x'"},
	{`{"a":1.e5}`, "invalid JSON at byte 7: expected a digit in a number, found 'e'"},
	{`{"a":1e+}`, "invalid JSON at byte 8: expected a digit in a number, found '}'"},
	{`{"a":nul}`, "invalid JSON at byte 8: expected true, false or null, found '}'"},
	{`{"a":fAlse}`, "invalid JSON at byte 6: expected true, false or null, found 'A'"},
	{`{"a":truE}`, "invalid JSON at byte 8: expected true, false or null, found 'E'"},
	{`{"a":"\x"}`, "invalid JSON at byte 7: invalid escape in a string, found 'x'"},
	{`{"a":"\u12G4"}`, "invalid JSON at byte 10: invalid escape in a string, found 'G'"},
	{"{\"a\":\"tab\there\"}", `invalid JSON at byte 9: control character in a string, found '\t'`},
	{"{\"a\nb\":1}", `invalid JSON at byte 3: control character in a string, found '\n'`},
	{"{\"a\":1\v}", `invalid JSON at byte 6: expected ',' or '}' after a member, found '\v'`},
	{`{} x`, "invalid JSON at byte 3: expected nothing more after the object, found 'x'"},
	{`{"a":1}{}`, "invalid JSON at byte 7: expected nothing more after the object, found '{'"},
}

func TestScan(t *testing.T) {
	for _, src := range goodObjects {
		require.True(t, json.Valid([]byte(src)), "the table: %s", src)
		var d reqbody.Document
		require.NoError(t, reqbody.Scan([]byte(src), &d), "%s", src)
		assertFields(t, []byte(src), &d)
	}
	for _, c := range badObjects {
		var d reqbody.Document
		require.NoError(t, reqbody.Scan([]byte(`{"old":1}`), &d))
		require.EqualError(t, reqbody.Scan([]byte(c.src), &d), c.err, "%q", c.src)
		_, ok := d.Get("old")
		assert.False(t, ok, "what was scanned before is forgotten")
		if strings.HasPrefix(c.err, "invalid JSON") {
			assert.False(t, json.Valid([]byte(c.src)), "the table: %s", c.src)
		}
	}
}

// assertFields compares the members that were found with encoding/json's.
func assertFields(t *testing.T, src []byte, d *reqbody.Document) {
	t.Helper()
	var want map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(src, &want))
	names := map[string]bool{}
	for name := range d.Names() {
		value, ok := d.Get(name)
		require.True(t, ok)
		// Invalid UTF-8 in a name stays as it is here.
		name = strings.ToValidUTF8(name, "\uFFFD")
		if strings.ContainsRune(name, '\uFFFD') {
			return
		}
		names[name] = true
		require.Equal(t, string(want[name]), string(value))
	}
	require.Len(t, names, len(want))
}

// Each of the 256 bytes, at each offset of the words that strings are skipped
// in, and behind each count of plain bytes.
func TestScanStringsByteByByte(t *testing.T) {
	var d reqbody.Document
	for length := range 27 {
		for at := range length {
			src := []byte(`{"a":"` + strings.Repeat("x", length) + `"}`)
			for c := range 256 {
				src[6+at] = byte(c)
				require.Equal(t, json.Valid(src), reqbody.Scan(src, &d) == nil, "%q", src)
			}
			src[6+at] = '\x80' // high bytes around must not hide or fake an end
			for c := range 256 {
				src[6+length-1] = byte(c)
				require.Equal(t, json.Valid(src), reqbody.Scan(src, &d) == nil, "%q", src)
			}
		}
	}
}

// Every prefix of good input is bad input, and must not read past its end.
func TestScanPrefixes(t *testing.T) {
	var d reqbody.Document
	for _, src := range goodObjects {
		src = strings.TrimRight(src, " \t\r\n")
		for n := range len(src) {
			exact := bytes.Clone([]byte(src[:n]))
			require.Error(t, reqbody.Scan(exact[:n:n], &d), "%q", exact)
		}
	}
}

func TestScanLimits(t *testing.T) {
	nested := func(open, closing string, n int) []byte {
		return []byte(`{"a":` + strings.Repeat(open, n) + `1` + strings.Repeat(closing, n) + `}`)
	}
	var d reqbody.Document
	for _, c := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
		levels := strings.Count(c[0], "[") + strings.Count(c[0], "{")
		require.NoError(t, reqbody.Scan(nested(c[0], c[1], 999/levels), &d))
		err := reqbody.Scan(nested(c[0], c[1], 999/levels+1), &d)
		require.ErrorContains(t, err, "nested more than 1000 levels deep")
	}
	// A flood of brackets must neither crash nor take memory.
	require.Error(t, reqbody.Scan([]byte(`{"a":`+strings.Repeat("[", 1<<20)), &d))

	members := func(n int) []byte {
		var b bytes.Buffer
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":%d`, i, i)
		}
		return append(append([]byte("{"), b.Bytes()[1:]...), '}')
	}
	require.NoError(t, reqbody.Scan(members(10_000), &d))
	value, _ := d.Get("k9999")
	assert.Equal(t, "9999", string(value))
	require.EqualError(t, reqbody.Scan(members(10_001), &d), "the request body has more than 10000 top-level members")
}

func TestScanAllocatesNothing(t *testing.T) {
	src := []byte(`{"a":[1,{"b":"\u00e9"}],"c":"text\n"`)
	for i := range 14 {
		src = fmt.Appendf(src, `,"k%d":null`, i)
	}
	src = append(src, '}')
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		var d reqbody.Document
		if reqbody.Scan(src, &d) != nil {
			t.Error("must be good")
		}
	}))
	large := chatBody(64<<10, 300)
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		var d reqbody.Document
		if reqbody.Scan(large, &d) != nil {
			t.Error("must be good")
		}
	}))
}

// A byte order mark before the object goes nowhere, edits or not.
func TestScanDropsByteOrderMark(t *testing.T) {
	var d reqbody.Document
	require.NoError(t, reqbody.Scan([]byte("\ufeff {\"model\":\"a\"}"), &d))
	body, err := d.Splice(nil)
	require.NoError(t, err)
	assert.Equal(t, ` {"model":"a"}`, string(body.Bytes()))
	body, err = d.Splice([]reqbody.Edit{{Name: "model", Value: []byte(`"b"`)}})
	require.NoError(t, err)
	assert.Equal(t, ` {"model":"b"}`, string(body.Bytes()))
}

func FuzzScan(f *testing.F) {
	for _, src := range goodObjects {
		f.Add([]byte(src))
	}
	for _, c := range badObjects {
		f.Add([]byte(c.src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var d reqbody.Document
		err := reqbody.Scan(src, &d)
		src = bytes.TrimPrefix(src, []byte("\ufeff")) // dropped by Scan, which assertFields cannot know
		want := json.Valid(src) && bytes.HasPrefix(bytes.TrimLeft(src, " \t\r\n"), []byte("{"))
		if err != nil && (strings.Contains(err.Error(), "levels deep") || strings.Contains(err.Error(), "top-level members")) {
			return
		}
		require.Equal(t, want, err == nil, "%v", err)
		if err == nil {
			assertFields(t, src, &d)
			checkSplice(t, src, &d)
		}
	})
}
