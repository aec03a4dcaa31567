package reqbody_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/reqbody"
)

func scan(t testing.TB, src string) *reqbody.Document {
	t.Helper()
	var d reqbody.Document
	require.NoError(t, reqbody.Scan([]byte(src), &d), "%s", src)
	return &d
}

func TestSelection(t *testing.T) {
	for src, want := range map[string]reqbody.Selection{
		`{}`:                               {},
		`{"model":"gpt-4o"}`:               {Model: "gpt-4o", HasModel: true},
		`{"model":""}`:                     {HasModel: true},
		`{"model":null,"models":null}`:     {},
		`{"mod\u0065l":"a\u002fb\n"}`:      {Model: "a/b\n", HasModel: true},
		`{"model":"\ud83d\ude00 \ud800"}`:  {Model: "😀 \uFFFD", HasModel: true},
		"{\"model\":\"a\xff\"}":            {Model: "a\uFFFD", HasModel: true},
		`{"models":[]}`:                    {Models: []string{}},
		`{"models": [ "a" , "b\u0063" ] }`: {Models: []string{"a", "bc"}},
		`{"stream":true}`:                  {Stream: true},
		`{"stream":false}`:                 {},
		`{"stream":"true"}`:                {Stream: true},
		`{"stream":"True"}`:                {Stream: true},
		`{"stream":1}`:                     {Stream: true},
		`{"stream":"false"}`:               {},
		`{"stream":0}`:                     {},
		`{"stream":null}`:                  {},
		`{"stream":[true]}`:                {},
		`{"stream":true,"stream":false}`:   {},
		`{"messages":[{"model":1,"Model":2}],"model":"x","stream":true,"x":{"models":3}}`: {Model: "x", HasModel: true, Stream: true},
		`{"modelx":1,"mode":2,"m":3,"M":4,"":5,"Stream":true}`:                            {},
	} {
		got, err := scan(t, src).Selection()
		require.NoError(t, err, "%s", src)
		assert.Equal(t, want, got, "%s", src)
	}
	for src, want := range map[string]string{
		`{"model":1}`:                     `"model" must be a string, not a number`,
		`{"model":["a"]}`:                 `"model" must be a string, not an array`,
		`{"model":{}}`:                    `"model" must be a string, not an object`,
		`{"model":true}`:                  `"model" must be a string, not a boolean`,
		`{"models":"a"}`:                  `"models" must be a list of strings, not a string`,
		`{"models":{"a":1}}`:              `"models" must be a list of strings, not an object`,
		`{"models":["a",null]}`:           `"models" must be a list of strings, but element 1 is null`,
		`{"models":[["a"]]}`:              `"models" must be a list of strings, but element 0 is an array`,
		`{"model":"a","model":"b"}`:       `"model" appears twice`,
		`{"model":null,"mod\u0065l":"b"}`: `"model" appears twice`,
		`{"models":[],"x":1,"models":[]}`: `"models" appears twice`,
		`{"Model":"a"}`:                   `"Model" differs from "model" only in case`,
		`{"model":"a","MODELS":[]}`:       `"MODELS" differs from "models" only in case`,
		`{"modelſ":[]}`:                   `"modelſ" differs from "models" only in case`,
		`{"model\u017f":[]}`:              `"modelſ" differs from "models" only in case`,
		`{"\u004dodel":"a"}`:              `"Model" differs from "model" only in case`,
		`{"models":[` + strings.Repeat(`"a",`, 10_000) + `"a"]}`: `"models" has more than 10000 elements`,
	} {
		_, err := scan(t, src).Selection()
		var invalid *reqbody.InvalidError
		require.ErrorAs(t, err, &invalid, "%s", src)
		assert.EqualError(t, err, want)
		assert.NotEmpty(t, invalid.Name)
	}
}

func TestDocumentValues(t *testing.T) {
	d := scan(t, `{"s":"a\"b","n": 12.5e1 ,"big":1e999,"low":-1e999,"t":true,"f":false,"z":null,"o":{"a": 1},"n":7,"\u0065":1}`)
	value, ok := d.Get("o")
	assert.True(t, ok)
	assert.Equal(t, `{"a": 1}`, string(value))
	_, ok = d.Get("missing")
	assert.False(t, ok)

	text, present, isString := d.String("s")
	assert.Equal(t, []any{`a"b`, true, true}, []any{text, present, isString})
	_, present, isString = d.String("z")
	assert.Equal(t, []any{true, false}, []any{present, isString})
	_, present, isString = d.String("missing")
	assert.Equal(t, []any{false, false}, []any{present, isString})

	for name, want := range map[string]float64{"n": 7, "big": math.Inf(1), "low": math.Inf(-1), "e": 1} {
		n, present, isNumber := d.Number(name)
		assert.Equal(t, []any{want, true, true}, []any{n, present, isNumber}, name)
	}
	_, present, isNumber := d.Number("s")
	assert.Equal(t, []any{true, false}, []any{present, isNumber})
	_, present, _ = d.Number("missing")
	assert.False(t, present)

	for name, want := range map[string][2]bool{"t": {true, true}, "f": {false, true}, "z": {}, "s": {}, "missing": {}} {
		b, ok := d.Bool(name)
		assert.Equal(t, want, [2]bool{b, ok}, name)
	}
	assert.Equal(t, []string{"s", "n", "big", "low", "t", "f", "z", "o", "n", "e"}, slices.Collect(d.Names()))
	for range d.Names() {
		break // stopping early must be possible
	}
}

func TestSplice(t *testing.T) {
	set := func(name, value string) reqbody.Edit { return reqbody.Edit{Name: name, Value: []byte(value)} }
	del := func(name string) reqbody.Edit { return reqbody.Edit{Name: name} }
	type edits = []reqbody.Edit
	for _, c := range []struct {
		src   string
		edits edits
		want  string
	}{
		{`{"a":1}`, nil, `{"a":1}`},
		{` { "a" : 1 } `, edits{set("a", "2")}, ` { "a" : 2 } `},
		{`{"a":1e999, "model":"x"}`, edits{set("model", `"y"`)}, `{"a":1e999, "model":"y"}`},
		{`{"mod\u0065l":"x"}`, edits{set("model", `"y"`)}, `{"mod\u0065l":"y"}`},

		// one removed: first, middle, last, only
		{`{"a":1,"b":2,"c":3}`, edits{del("a")}, `{"b":2,"c":3}`},
		{`{"a":1,"b":2,"c":3}`, edits{del("b")}, `{"a":1,"c":3}`},
		{`{"a":1,"b":2,"c":3}`, edits{del("c")}, `{"a":1,"b":2}`},
		{`{"a":1}`, edits{del("a")}, `{}`},
		{"{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", edits{del("a")}, "{\n  \"b\": 2,\n  \"c\": 3\n}"},
		{"{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", edits{del("b")}, "{\n  \"a\": 1,\n  \"c\": 3\n}"},
		{"{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}", edits{del("c")}, "{\n  \"a\": 1,\n  \"b\": 2\n}"},
		{"{ \"a\" : 1 , \"b\" : 2 }", edits{del("b")}, "{ \"a\" : 1 }"},
		{"{\n  \"a\": 1\n}", edits{del("a")}, "{\n}"},
		// several
		{`{"a":1,"b":2,"c":3}`, edits{del("a"), del("b")}, `{"c":3}`},
		{`{"a":1,"b":2,"c":3}`, edits{del("c"), del("b")}, `{"a":1}`},
		{`{"a":1,"b":2,"c":3}`, edits{del("a"), del("c")}, `{"b":2}`},
		{`{ "a":1, "b":2 , "c":3 }`, edits{del("a"), del("b"), del("c")}, `{ }`},
		{`{"a":1,"b":2,"c":3,"d":4}`, edits{del("b"), del("c")}, `{"a":1,"d":4}`},
		// repeated names
		{`{"a":1,"b":2,"a":3}`, edits{del("a")}, `{"b":2}`},
		{`{"a":1,"b":2,"a":3}`, edits{set("a", "4")}, `{"b":2,"a":4}`},
		{`{"a":1,"b":2,"a":3}`, edits{set("a", "3")}, `{"b":2,"a":3}`},
		{`{"a":1,"\u0061":3,"b":2}`, edits{set("a", "4")}, `{"\u0061":4,"b":2}`},
		// added
		{`{}`, edits{set("a", "1")}, `{"a":1}`},
		{`{ }`, edits{set("a", "1"), set("b\"\n", "[2]")}, `{"a":1,"b\"\n":[2] }`},
		{`{"a":1}`, edits{set("b", "2")}, `{"a":1,"b":2}`},
		{"{\n \"a\":1\n}", edits{set("b", "2"), set("c", " {} ")}, "{\n \"a\":1,\"b\":2,\"c\": {} \n}"},
		{`{"a":1}`, edits{del("a"), set("b", "2"), set("c", "3")}, `{"b":2,"c":3}`},
		{`{"a":1,"b":2}`, edits{del("b"), set("c", "3")}, `{"a":1,"c":3}`},
		{`{"a":1,"b":2}`, edits{set("b", "7"), set("c", "3")}, `{"a":1,"b":7,"c":3}`},
		// the same name twice among the edits
		{`{"a":1}`, edits{set("a", "2"), del("a")}, `{}`},
		{`{"a":1}`, edits{del("b"), set("b", "2"), set("b", "3")}, `{"a":1,"b":3}`},
		{`{"a":1}`, edits{set("b", "3"), del("b")}, `{"a":1}`},
		{`{"a":1}`, edits{{Name: "a", Value: []byte{}}}, `{}`},
	} {
		body, err := scan(t, c.src).Splice(c.edits)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(body.Bytes()), "%s with %q", c.src, c.edits)
		assert.True(t, json.Valid(body.Bytes()), "%s", body.Bytes())
		assert.Equal(t, int64(len(c.want)), body.Len())
	}
	for _, bad := range []string{"x", `"a`, "1 2", " ", "{", `"a","b":1`} {
		_, err := scan(t, `{}`).Splice(edits{set("a", bad)})
		require.EqualError(t, err, `the value for "a" is not JSON`)
	}
}

func TestSpliceNothing(t *testing.T) {
	var d reqbody.Document
	require.Error(t, reqbody.Scan([]byte(`{"a":`), &d))
	_, err := d.Splice([]reqbody.Edit{{Name: "a", Value: []byte("1")}})
	require.EqualError(t, err, "there is no body to splice")
	var f reqbody.Form
	_, err = f.Splice(nil)
	require.EqualError(t, err, "there is no body to splice")
}

// Thousands of members against an allowlist without them.
func TestSpliceManyEdits(t *testing.T) {
	var src strings.Builder
	var edits []reqbody.Edit
	for i := range 9000 {
		fmt.Fprintf(&src, `"\u006b%d":%d,`, i, i)
		edits = append(edits, reqbody.Edit{Name: fmt.Sprint("k", i)})
	}
	edits = append(edits, reqbody.Edit{Name: "new", Value: []byte("1")}, reqbody.Edit{Name: "none"})
	body, err := scan(t, "{"+src.String()+`"model":"x"}`).Splice(edits)
	require.NoError(t, err)
	assert.Equal(t, `{"model":"x","new":1}`, string(body.Bytes()))
}

// checkSplice makes all kinds of edits and compares the outcome with what
// encoding/json makes of it, and its bytes with a plain reconstruction.
func checkSplice(t *testing.T, src []byte, d *reqbody.Document) {
	t.Helper()
	names := slices.Compact(slices.Sorted(d.Names()))
	rng := rand.New(rand.NewPCG(uint64(len(src)), uint64(len(names))))
	for range 4 {
		var edits []reqbody.Edit
		values := map[string]string{} // the empty string removes
		for _, name := range append(slices.Clone(names), "added") {
			switch rng.IntN(4) {
			case 0:
				edits = append(edits, reqbody.Edit{Name: name})
				values[name] = ""
			case 1:
				value := fmt.Sprint(rng.IntN(100))
				edits = append(edits, reqbody.Edit{Name: name, Value: []byte(value)})
				values[name] = value
			}
		}
		body, err := d.Splice(edits)
		require.NoError(t, err)
		got, err := io.ReadAll(body.NewReader())
		require.NoError(t, err)
		require.Equal(t, int64(len(got)), body.Len())
		require.Equal(t, string(got), string(body.Bytes()))

		var after reqbody.Document
		require.NoError(t, reqbody.Scan(got, &after), "%s with %q: %s", src, edits, got)
		require.True(t, json.Valid(got))
		last := map[string]int{}
		before := slices.Collect(d.Names())
		for i, name := range before {
			last[name] = i
		}
		var want []string
		for i, name := range before {
			if value, edited := values[name]; !edited || value != "" && last[name] == i {
				want = append(want, name)
			}
		}
		if _, ok := last["added"]; !ok && values["added"] != "" {
			want = append(want, "added")
		}
		require.Equal(t, want, slices.Collect(after.Names()), "%s with %q: %s", src, edits, got)
		for _, name := range want {
			value, edited := values[name]
			if !edited {
				original, _ := d.Get(name)
				value = string(original)
			}
			spliced, _ := after.Get(name)
			require.Equal(t, value, string(spliced))
		}
		// What is not edited is the source byte for byte, so the result with
		// its white space and commas aside is too.
		if len(edits) == 0 {
			require.Equal(t, src, got)
		}
	}
}

// randomObject writes an object as odd as JSON allows; it returns the pieces,
// so that a test can put them together again without one of them.
func randomObject(rng *rand.Rand, members int) (open string, keys, values []string, closing string) {
	space := func() string { return strings.Repeat([]string{" ", "\n", "\t", "\r\n"}[rng.IntN(4)], rng.IntN(3)) }
	var value func(depth int) string
	text := func() string {
		pieces := []string{"a", "model", `\n`, `\"`, `\\`, `\u00e9`, `\ud83d\ude00`, "é", "😀", "{", "}", ",", ":", strings.Repeat("long ", 10)}
		var b strings.Builder
		for range rng.IntN(6) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		return `"` + b.String() + `"`
	}
	value = func(depth int) string {
		switch n := rng.IntN(9); {
		case n < 2:
			return text()
		case n == 2:
			return []string{"true", "false", "null", "0", "-0.0"}[rng.IntN(5)]
		case n == 3:
			return fmt.Sprintf("%d%sE%d", rng.Int64(), strings.Repeat("0", rng.IntN(40)), rng.IntN(4000))
		case n == 4:
			return fmt.Sprint(rng.NormFloat64())
		case depth > 3:
			return "[" + space() + "]"
		case n < 7:
			return "[" + space() + value(depth+1) + space() + "," + space() + value(depth+1) + space() + "]"
		default:
			return "{" + space() + text() + space() + ":" + space() + value(depth+1) + space() + "}"
		}
	}
	for range members {
		keys = append(keys, text())
		values = append(values, space()+":"+space()+value(0))
	}
	return space() + "{" + space(), keys, values, space() + "}" + space()
}

func TestSpliceRandomObjects(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		open, keys, values, closing := randomObject(rng, rng.IntN(24))
		var src bytes.Buffer
		src.WriteString(open)
		for i := range keys {
			if i > 0 {
				src.WriteString(",")
			}
			src.WriteString(keys[i] + values[i])
		}
		src.WriteString(closing)
		d := scan(t, src.String())
		assertFields(t, src.Bytes(), d)
		checkSplice(t, src.Bytes(), d)
		if len(keys) == 0 {
			continue
		}

		// Byte for byte: one member with a name of its own, replaced and removed.
		at := rng.IntN(len(keys))
		keys[at] = `"the one"`
		build := func(replace bool) string {
			out := open
			first := true
			for i := range keys {
				member := keys[i] + values[i]
				if i == at {
					if !replace {
						continue
					}
					colon := values[i][:strings.Index(values[i], ":")+1]
					rest := values[i][len(colon):]
					member = keys[i] + colon + rest[:len(rest)-len(strings.TrimLeft(rest, " \t\r\n"))] + `"new"`
				}
				if !first {
					out += ","
				}
				out += member
				first = false
			}
			return out + closing
		}
		source := open
		for i := range keys {
			if i > 0 {
				source += ","
			}
			source += keys[i] + values[i]
		}
		d = scan(t, source+closing)
		replaced, err := d.Splice([]reqbody.Edit{{Name: "the one", Value: []byte(`"new"`)}})
		require.NoError(t, err)
		require.Equal(t, build(true), string(replaced.Bytes()))
		removed, err := d.Splice([]reqbody.Edit{{Name: "the one"}})
		require.NoError(t, err)
		if len(keys) > 1 {
			require.Equal(t, build(false), string(removed.Bytes()))
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"":            `""`,
		"gpt-4o":      `"gpt-4o"`,
		`a"b\c`:       `"a\"b\\c"`,
		"<&>":         `"<&>"`,
		"\n\r\t\x00é": `"\n\r\t\u0000é"`,
		"\x1f\x7f":    "\"\\u001f\x7f\"",
		"a\xffb":      "\"a\uFFFDb\"",
	} {
		assert.Equal(t, want, string(reqbody.Quote(in)))
		var back string
		require.NoError(t, json.Unmarshal(reqbody.Quote(in), &back))
		assert.Equal(t, strings.ToValidUTF8(in, "\uFFFD"), back)
	}
}
