package reqbody_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/reqbody"
)

const formType = "multipart/form-data; boundary=BOUND"

// crlf writes a form with "|" for line ends, which keeps the tables legible.
func crlf(text string) string { return strings.ReplaceAll(text, "|", "\r\n") }

// field is one part of a form in that notation.
func field(name, value string) string {
	return fmt.Sprintf(`--BOUND|Content-Disposition: form-data; name="%s"||%s|`, name, value)
}

// withLength is the field "a" with a Content-Length, which is both in the middle
// of the headers and between white space.
func withLength(length, value string) string {
	return `--BOUND|Content-Disposition: form-data; name="a"|CONTENT-length:` + " \t" + length + ` |X: y||` + value + "|"
}

const fileField = `--BOUND|Content-Disposition: form-data; name="file"; filename="a.mp3"|Content-Type: audio/mpeg||ID3` + "\x00\xff\n--BOUN\r\r\n|"

func scanForm(t testing.TB, src string) *reqbody.Form {
	t.Helper()
	var f reqbody.Form
	require.NoError(t, reqbody.ScanForm([]byte(crlf(src)), formType, &f), "%s", src)
	return &f
}

// goodForms and badForms are also the seeds of the fuzz target.
var goodForms = []struct {
	src  string
	want reqbody.Selection
}{
	{fileField + field("model", "whisper-1") + "--BOUND--|", reqbody.Selection{Model: "whisper-1", HasModel: true}},
	{field("model", "a") + field("models[]", "b") + field("models", "c") + field("stream", "true") + "--BOUND--",
		reqbody.Selection{Model: "a", HasModel: true, Models: []string{"b", "c"}, Stream: true}},
	{"preamble|more|" + field("model", "") + "--BOUND--|epilogue|", reqbody.Selection{HasModel: true}},
	{"--BOUND--|", reqbody.Selection{}},
	{field("stream", "True") + "--BOUND--", reqbody.Selection{Stream: true}},
	{field("stream", "true") + field("stream", "false") + "--BOUND--", reqbody.Selection{}},
	{field("stream", "1") + "--BOUND--", reqbody.Selection{Stream: true}},
	{field("stream", "on") + "--BOUND--", reqbody.Selection{Stream: true}},
	{field("stream", "off") + "--BOUND--", reqbody.Selection{}},
	{field("stream", "0") + "--BOUND--", reqbody.Selection{}},
	{field("prompt", "x--BOUND y|--BOUN|") + field("modelx", "1") + field("mode", "2") + "--BOUND--", reqbody.Selection{}},
	{"--BOUND|CONTENT-disposition:FORM-DATA;NAME=model;x=y;||a|--BOUND--", reqbody.Selection{Model: "a", HasModel: true}},
	{"--BOUND|content-type: text/plain; charset=utf-8|Content-Disposition: form-data ; name=\"model\" |Content-Transfer-Encoding: 8bit|Content-Length: 1||a|--BOUND--",
		reqbody.Selection{Model: "a", HasModel: true}},
	{`--BOUND|Content-Disposition: form-data; name="f"; filename="C:\dir\a.wav"||x|--BOUND--`, reqbody.Selection{}},
	{`--BOUND|Content-Disposition: form-data; name="f"; filename="na\"me"; filename*=UTF-8''na%22me||x|--BOUND--`, reqbody.Selection{}},
	{`--BOUND|Content-Disposition: form-data; name="\"quo\\ted\""||x|--BOUND--`, reqbody.Selection{}},
	{`--BOUND|Content-Disposition: form-data; name="a%22b"||x|--BOUND--`, reqbody.Selection{}},
	{"--BOUND\nContent-Disposition: form-data; name=model\n\na|\n--BOUND--\n", reqbody.Selection{Model: "a\r\n", HasModel: true}},
}

var badForms = []struct{ src, err string }{
	{"", "the request body is empty, but must be a form"},
	{"hello", "invalid form at byte 0: the boundary that the content type names does not appear"},
	{field("a", "1"), "invalid form at byte 56: the final boundary is missing"},
	{field("a", "1") + "--BOUND|", "invalid form at byte 65: the final boundary is missing"},
	{field("a", "1") + "--BOUND--|" + field("model", "x"), "a boundary after the final one"},
	{"--BOUND--|--BOUND--|", "a boundary after the final one"},
	{field("a", "1") + "--BOUND--junk", "a line starts with the boundary but goes on"},
	{field("a", "1|--BOUNDARY") + "--BOUND--", "a line starts with the boundary but goes on"},
	{field("a", "1\n--BOUND\n2") + "--BOUND--", "the line before a boundary does not end like the other lines"},
	{field("a", "1\r--BOUND|2") + "--BOUND--", "the line before a boundary does not end like the other lines"},
	{"--BOUND |Content-Disposition: form-data; name=a||1|--BOUND--", "a line starts with the boundary but goes on"},
	{field("a", "1") + "--BOUND-- |", "a line starts with the boundary but goes on"},
	{"x\n" + field("a", "1") + "--BOUND--", "the line before a boundary does not end like the other lines"},
	{strings.Repeat("x", 2000) + "|" + field("a", "1") + "--BOUND--", "more than 1024 bytes before the first boundary"},
	{"--BOUND\nContent-Disposition: form-data; name=a\n\n1\r\n--BOUND--\n", "the line before a boundary does not end like the other lines"},
	{"--BOUND\nContent-Disposition: form-data; name=a\r\n\r\n1\n--BOUND--\n", "a part without a blank line after its headers"},
	{"--BOUND|Content-Disposition: form-data; name=a||--BOUND--", "a part without a blank line after its headers"},
	{"--BOUND|--BOUND--", "a part without a blank line after its headers"},
	{"--BOUND||x|--BOUND--", "a part without a blank line after its headers"},
	{"--BOUND||x||y|--BOUND--", `malformed part header ""`},
	{"--BOUND|Content-Type: text/plain||x|--BOUND--", "a part without a Content-Disposition header"},
	{"--BOUND|Content-Disposition: attachment; name=a||x|--BOUND--", "a part whose Content-Disposition is not form-data"},
	{"--BOUND|Content-Disposition: form-data||x|--BOUND--", "a part of the form has no name"},
	{`--BOUND|Content-Disposition: form-data; name=""||x|--BOUND--`, "a part of the form has no name"},
	{"--BOUND|Content-Disposition: form-data; name=a|Content-Disposition: form-data; name=a||x|--BOUND--", "a part of the form has two Content-Disposition headers"},
	{"--BOUND|Content-Disposition: form-data; name=a|Content-Length: 1|content-length: 1||x|--BOUND--", "a part of the form has two Content-Length headers"},
	{"--BOUND|Content-Disposition: form-data; name=a; NAME=a||x|--BOUND--", `the header parameter "name" appears twice`},
	{"--BOUND|Content-Disposition: form-data; name=a; name*=utf-8''model||x|--BOUND--", `the part parameter "name*" is not supported`},
	{"--BOUND|Content-Disposition: form-data; name*0=mod; name*1=el||x|--BOUND--", `the part parameter "name*0" is not supported`},
	{`--BOUND|Content-Disposition: form-data; name="\model"||x|--BOUND--`, "has a stray backslash"},
	{`--BOUND|Content-Disposition: form-data; name="model||x|--BOUND--`, `malformed value of the header parameter "name"`},
	{`--BOUND|Content-Disposition: form-data; name="a"b||x|--BOUND--`, "malformed header parameter"},
	{`--BOUND|Content-Disposition: form-data; name = a||x|--BOUND--`, "malformed header parameter"},
	{`--BOUND|Content-Disposition: form-data; name=||x|--BOUND--`, "malformed value"},
	{`--BOUND|Content-Disposition: form-data; name=a; b=1; c=1; d=1; e=1; f=1; g=1; h=1; i=1||x|--BOUND--`, "too many header parameters"},
	{"--BOUND|Content-Disposition: form-data; name=a;| filename=model||x|--BOUND--", "malformed part header"},
	{"--BOUND| Content-Disposition: form-data; name=model||x|--BOUND--", "malformed part header"},
	{"--BOUND|Content-Disposition : form-data; name=model||x|--BOUND--", "malformed part header"},
	{"--BOUND|Content-Disposition: form-data; name=\"a\x00\"||x|--BOUND--", "control character in a part header"},
	{"--BOUND|Content-Disposition: form-data; name=a\nContent-Disposition: form-data; name=b||x|--BOUND--", "control character in a part header"},
	{"--BOUND|Content-Disposition: form-data; name=a|X: " + strings.Repeat("x", 17000) + "||x|--BOUND--", "part headers of more than 16384 bytes"},
	{"--BOUND|Content-Disposition: form-data; name=model|Content-Transfer-Encoding: base64||eA==|--BOUND--", `a part of the form has the transfer encoding "base64"`},
	{"--BOUND|Content-Disposition: form-data; name=model|Content-Transfer-Encoding: quoted-printable||=41|--BOUND--", "transfer encoding"},
}

func TestScanForm(t *testing.T) {
	for _, c := range goodForms {
		f := scanForm(t, c.src)
		got, err := f.Selection()
		require.NoError(t, err, "%s", c.src)
		assert.Equal(t, c.want, got, "%s", c.src)
		assertParts(t, []byte(crlf(c.src)), formType, f)
		checkFormSplice(t, []byte(crlf(c.src)), formType, f)
	}
	for _, c := range badForms {
		f := scanForm(t, field("old", "1")+"--BOUND--")
		require.ErrorContains(t, reqbody.ScanForm([]byte(crlf(c.src)), formType, f), c.err, "%s", c.src)
		_, ok := f.Get("old")
		assert.False(t, ok, "what was scanned before is forgotten")
	}
}

func TestScanFormLimit(t *testing.T) {
	var f reqbody.Form
	require.NoError(t, reqbody.ScanForm([]byte(crlf(strings.Repeat(field("models", "m"), 10_000)+"--BOUND--")), formType, &f))
	s, err := f.Selection()
	require.NoError(t, err)
	assert.Len(t, s.Models, 10_000)
	err = reqbody.ScanForm([]byte(crlf(strings.Repeat(field("models", "m"), 10_001)+"--BOUND--")), formType, &f)
	require.EqualError(t, err, "the form has more than 10000 parts")
}

func TestScanFormContentType(t *testing.T) {
	for contentType, want := range map[string]string{
		"multipart/form-data; boundary=BOUND":                      "",
		`Multipart/Form-Data;charset=utf-8; BOUNDARY="BOUND";`:     "",
		"multipart/form-data ; boundary=BOUND":                     "",
		"":                                                         "the content type is not multipart/form-data",
		"multipart/mixed; boundary=BOUND":                          "the content type is not multipart/form-data",
		"multipart/form-data":                                      "the content type names no valid boundary",
		"multipart/form-data; boundary=":                           `the content type cannot be read: malformed value of the header parameter "boundary"`,
		`multipart/form-data; boundary=""`:                         "the content type names no valid boundary",
		`multipart/form-data; boundary="a b"`:                      "the content type names no valid boundary",
		`multipart/form-data; boundary="BOUN\D"`:                   `the content type cannot be read: the parameter "boundary" is not supported`,
		"multipart/form-data; boundary*=utf-8''BOUND":              `the content type cannot be read: the parameter "boundary*" is not supported`,
		"multipart/form-data; boundary=BOUND; boundary=BOUND":      `the content type cannot be read: the header parameter "boundary" appears twice`,
		"multipart/form-data, x; boundary=BOUND":                   "the content type is not multipart/form-data",
		"multipart/form-data; boundary=" + strings.Repeat("x", 71): "the content type names no valid boundary",
	} {
		var f reqbody.Form
		err := reqbody.ScanForm([]byte(crlf(field("a", "1")+"--BOUND--")), contentType, &f)
		if want == "" {
			require.NoError(t, err, contentType)
			continue
		}
		require.EqualError(t, err, want, contentType)
	}
}

func TestFormSelectionInvalid(t *testing.T) {
	for src, want := range map[string]string{
		field("model", "a") + field("model", "a"): `"model" appears twice`,
		field("Model", "a"):                       `"Model" differs from "model" only in case`,
		field("MODELS[]", "a"):                    `"MODELS[]" may be taken for "models"`,
		field("modelſ", "a"):                      `"modelſ" may be taken for "models"`,
		field("model[]", "a"):                     `"model[]" may be taken for "model"`,
		field("models[0]", "a"):                   `"models[0]" may be taken for "models"`,
		field("mod%65l", "a"):                     `"mod%65l" may be taken for "model"`,
		field("models%5B%5D", "a"):                `"models%5B%5D" may be taken for "models"`,
		field(" model", "a"):                      `" model" may be taken for "model"`,
		field("model", "\xff"):                    `"model" is not valid UTF-8`,
		"--BOUND|Content-Length: 6|Content-Disposition: form-data; name=model||gpt-4o-mini|":    `"model" has the Content-Length "6", but 11 bytes`,
		"--BOUND|Content-Disposition: form-data; name=models|Content-Length: +11||gpt-4o-mini|": `"models" has the Content-Length "+11", but 11 bytes`,
		"--BOUND|Content-Disposition: form-data; name=model|Content-Length:||a|":                `"model" has the Content-Length "", but 1 bytes`,
		`--BOUND|Content-Disposition: form-data; name="model"; filename="x"||a|`:                `"model" must be a text field, not a file`,
		`--BOUND|Content-Disposition: form-data; name="model"; filename=""||a|`:                 `"model" must be a text field, not a file`,
		`--BOUND|Content-Disposition: form-data; name="models[]"; filename*=utf-8''x||a|`:       `"models" must be a text field, not a file`,
	} {
		_, err := scanForm(t, src+"--BOUND--").Selection()
		var invalid *reqbody.InvalidError
		require.ErrorAs(t, err, &invalid, "%s", src)
		assert.EqualError(t, err, want)
	}
}

func TestFormValues(t *testing.T) {
	f := scanForm(t, field("n", "12.5")+field("n", "1e999")+field("text", "n/a")+field("list[]", "x")+
		field("list[]", "y")+field("t", "TRUE")+field("f", "false")+field("empty", "")+fileField+"--BOUND--")
	assert.Equal(t, []string{"n", "n", "text", "list", "list", "t", "f", "empty", "file"}, slices.Collect(f.Names()))
	value, ok := f.Get("list")
	assert.Equal(t, "y", string(value))
	assert.True(t, ok)
	value, ok = f.Get("file")
	assert.Equal(t, "ID3\x00\xff\n--BOUN\r\r\n", string(value))
	assert.True(t, ok)
	_, ok = f.Get("missing")
	assert.False(t, ok)

	_, present, isString := f.String("file")
	assert.Equal(t, []bool{true, false}, []bool{present, isString})
	text, present, isString := f.String("empty")
	assert.Equal(t, []any{"", true, true}, []any{text, present, isString})

	n, present, isNumber := f.Number("n")
	assert.Equal(t, []any{math.Inf(1), true, true}, []any{n, present, isNumber})
	for _, name := range []string{"text", "empty", "file"} {
		_, present, isNumber = f.Number(name)
		assert.Equal(t, []bool{true, false}, []bool{present, isNumber}, name)
	}
	_, present, _ = f.Number("missing")
	assert.False(t, present)
	for name, want := range map[string][2]bool{"t": {true, true}, "f": {false, true}, "text": {}, "missing": {}} {
		b, ok := f.Bool(name)
		assert.Equal(t, want, [2]bool{b, ok}, name)
	}
	for range f.Names() {
		break // stopping early must be possible
	}
}

func TestFormSplice(t *testing.T) {
	set := func(name, value string) reqbody.Edit { return reqbody.Edit{Name: name, Value: []byte(value)} }
	del := func(name string) reqbody.Edit { return reqbody.Edit{Name: name} }
	type edits = []reqbody.Edit
	const end = "--BOUND--|tail"
	for _, c := range []struct {
		src   string
		edits edits
		want  string
	}{
		{fileField + field("model", "a") + end, nil, fileField + field("model", "a") + end},
		{fileField + field("model", "a") + end, edits{set("model", `"b\u00e9"`)}, fileField + field("model", "bé") + end},
		{fileField + field("model", "a") + end, edits{set("model", `"a"`), del("models")}, fileField + field("model", "a") + end},
		{"pre|" + field("models[]", "a") + fileField + field("models", "b") + end, edits{del("models"), set("model", `"m"`)},
			"pre|" + fileField + field("model", "m") + end},
		{field("a", "1") + field("b", "2") + field("a", "3") + end, edits{set("a", "4")}, field("b", "2") + field("a", "4") + end},
		{field("a", "1") + field("b", "2") + field("a", "3") + end, edits{del("a")}, field("b", "2") + end},
		{field("a", "1") + end, edits{set("a", "null")}, end},
		{field("a", "1") + end, edits{set("a", "[]")}, end},
		{field("a", "1") + end, edits{set("a", ` {"b": [1]} `)}, field("a", `{"b": [1]}`) + end},
		{field("a", "1") + end, edits{set("b", "true"), set(`q"\`, `""`), set("none", "null")}, field("a", "1") + field("b", "true") + field(`q\"\\`, "") + end},
		{field("g[]", "w") + field("a", "1") + end, edits{set("g", `[ "x" , 2 ]`)}, field("a", "1") + field("g[]", "x") + field("g[]", "2") + end},
		{field("g[]", "w") + field("a", "1") + end, edits{set("g", `"x"`)}, field("a", "1") + field("g", "x") + end},
		{field("g", "v") + field("g[]", "w") + end, edits{set("g", `"x"`)}, field("g", "x") + end},
		{"--BOUND--|", edits{set("a", "1")}, field("a", "1") + "--BOUND--|"},
		{withLength("1", "1") + end, edits{set("a", `"\u00e9\u00e9\u00e9\u00e9\u00e9"`)}, withLength("10", "ééééé") + end},
		{withLength("1", "1") + end, edits{set("a", `""`)}, withLength("0", "") + end},
		{withLength("1", "1") + field("b", "2") + end, edits{set("a", "1"), del("b")}, withLength("1", "1") + end},
		{field("b", "2") + withLength("1", "1") + end, edits{del("a")}, field("b", "2") + end},
		{field("a", "1") + end, edits{set("b", "1"), set("b", "2")}, field("a", "1") + field("b", "2") + end},
	} {
		body, err := scanForm(t, c.src).Splice(c.edits)
		require.NoError(t, err)
		assert.Equal(t, crlf(c.want), string(body.Bytes()), "%s with %q", c.src, c.edits)
		assert.Equal(t, body.Len(), int64(len(body.Bytes())))
	}

	f := scanForm(t, field("a", "1")+end)
	for value, want := range map[string]string{
		`"x\r\n--BOUND--"`: `the value for "b" has the form's boundary in it`,
		`"--BOUND"`:        `the value for "b" has the form's boundary in it`,
		`["--BOUND"]`:      `the value for "b" has the form's boundary in it`,
		`b`:                `the value for "b" is not JSON`,
	} {
		_, err := f.Splice(edits{set("b", value)})
		require.EqualError(t, err, want)
	}
	_, err := f.Splice(edits{set("b\r\nX: y", "1")})
	require.EqualError(t, err, `the name "b\r\nX: y" cannot be written into a form`)

	lf := scanForm(t, "--BOUND\nContent-Disposition: form-data; name=a\n\n1\n--BOUND--\n")
	body, err := lf.Splice(edits{set("b", "2")})
	require.NoError(t, err)
	assert.NotContains(t, string(body.Bytes()), "\r")
	_, err = lf.Splice(edits{del("a")})
	require.EqualError(t, err, "the form would have no part left")
}

// part is what mime/multipart reads.
type formPart struct {
	name, value string
	file        bool
	length      []string // its Content-Length
	header      string   // all others
}

func readParts(t *testing.T, src []byte, contentType string) []formPart {
	t.Helper()
	_, params, err := mime.ParseMediaType(contentType)
	require.NoError(t, err, "%q", contentType)
	r := multipart.NewReader(bytes.NewReader(src), params["boundary"])
	var parts []formPart
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return parts
		}
		require.NoError(t, err, "%q", src)
		value, err := io.ReadAll(p)
		require.NoError(t, err, "%q", src)
		_, disposition, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		require.NoError(t, err, "%q", src)
		_, file := disposition["filename"]
		length := p.Header["Content-Length"]
		delete(p.Header, "Content-Length")
		parts = append(parts, formPart{p.FormName(), string(value), file, length, fmt.Sprint(p.Header)})
	}
}

// assertParts compares the fields that were found with mime/multipart's.
func assertParts(t *testing.T, src []byte, contentType string, f *reqbody.Form) {
	t.Helper()
	parts := readParts(t, src, contentType)
	last := map[string]formPart{}
	var names []string
	for _, p := range parts {
		p.name = strings.TrimSuffix(p.name, "[]")
		names = append(names, p.name)
		last[p.name] = p
	}
	require.Equal(t, names, slices.Collect(f.Names()))
	for name, p := range last {
		value, ok := f.Get(name)
		require.True(t, ok)
		require.Equal(t, p.value, string(value))
		if p.file { // a filename* that mime cannot decode makes a file here, and none there
			_, _, isString := f.String(name)
			require.False(t, isString)
		}
	}
}

// checkFormSplice edits a form and compares what mime/multipart reads then.
func checkFormSplice(t *testing.T, src []byte, contentType string, f *reqbody.Form) {
	t.Helper()
	before := readParts(t, src, contentType)
	names := append(slices.Compact(slices.Sorted(f.Names())), "added")
	for i := range names {
		for _, value := range []string{"", `"x\ny"`, `["x","y"]`} {
			name := names[i]
			body, err := f.Splice([]reqbody.Edit{{Name: name, Value: []byte(value)}})
			if err != nil {
				continue // a form that has that for a boundary, or would be empty
			}
			var want []formPart
			replaced := -1
			for j, p := range before {
				if p.name == name && value == `"x\ny"` {
					replaced = j
				}
			}
			for j, p := range before {
				switch {
				case strings.TrimSuffix(p.name, "[]") != name:
					want = append(want, p)
				case j == replaced:
					if p.length != nil && p.value != "x\ny" {
						p.length = []string{"3"}
					}
					p.value = "x\ny"
					want = append(want, p)
				}
			}
			header := func(name string) string {
				escaped := strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(name)
				return fmt.Sprint(map[string][]string{"Content-Disposition": {`form-data; name="` + escaped + `"`}})
			}
			switch {
			case value == `"x\ny"` && replaced < 0:
				want = append(want, formPart{name: name, value: "x\ny", header: header(name)})
			case strings.HasPrefix(value, "["):
				want = append(want, formPart{name: name + "[]", value: "x", header: header(name + "[]")},
					formPart{name: name + "[]", value: "y", header: header(name + "[]")})
			}
			got := body.Bytes()
			require.Equal(t, body.Len(), int64(len(got)))
			require.Equal(t, want, readParts(t, got, contentType), "%q: set %q to %q: %q", src, name, value, got)
			var again reqbody.Form
			require.NoError(t, reqbody.ScanForm(got, contentType, &again), "%q: set %q to %q: %q", src, name, value, got)
		}
	}
}

// The forms that Go's own client code writes, odd names included.
func TestScanFormOfMultipartWriter(t *testing.T) {
	var src bytes.Buffer
	w := multipart.NewWriter(&src)
	file, err := w.CreateFormFile("file", `my "best" \ take.mp3`)
	require.NoError(t, err)
	_, err = file.Write(bytes.Repeat([]byte("\r\n--"), 5000))
	require.NoError(t, err)
	require.NoError(t, w.WriteField("model", "whisper-1"))
	require.NoError(t, w.WriteField(`odd"\name`, ""))
	require.NoError(t, w.Close())
	var f reqbody.Form
	require.NoError(t, reqbody.ScanForm(src.Bytes(), w.FormDataContentType(), &f))
	assertParts(t, src.Bytes(), w.FormDataContentType(), &f)
	checkFormSplice(t, src.Bytes(), w.FormDataContentType(), &f)
	s, err := f.Selection()
	require.NoError(t, err)
	assert.Equal(t, "whisper-1", s.Model)
}

func FuzzScanForm(f *testing.F) {
	for _, c := range goodForms {
		f.Add([]byte(crlf(c.src)), formType)
	}
	for _, c := range badForms {
		f.Add([]byte(crlf(c.src)), formType)
	}
	f.Add([]byte("--a\r\nContent-Disposition: form-data; name=b\r\n\r\n\r\n--a--"), `multipart/form-data; boundary="a"; x*=y`)
	f.Fuzz(func(t *testing.T, src []byte, contentType string) {
		var form reqbody.Form
		if reqbody.ScanForm(src, contentType, &form) != nil {
			return
		}
		assertParts(t, src, contentType, &form)
		checkFormSplice(t, src, contentType, &form)
	})
}
