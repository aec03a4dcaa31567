package relay

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const usageObject = `{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}`

// ev is an event of one data line.
func ev(data string) string { return "data: " + data + "\n\n" }

// hideCases are streams as a provider sends them with include_usage, and as it
// sends them without.
var hideCases = []struct {
	name  string
	asked []string
	want  []string
	tells bool // usage is in it
}{
	{"usage in its own chunk", []string{ev(`{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null}`), ev(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}`), ev(`{"choices":[],"usage":` + usageObject + `}`), doneEv},
		[]string{ev(`{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}`), ev(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`), doneEv}, true},
	{"usage before obfuscation", []string{ev(`{"choices":[{"delta":{"content":"a"}}],"usage":null,"obfuscation":"xY"}`), ev(`{"choices":[],"usage":` + usageObject + `,"obfuscation":""}`), doneEv},
		[]string{ev(`{"choices":[{"delta":{"content":"a"}}],"obfuscation":"xY"}`), doneEv}, true},
	{"usage first", []string{ev(`{"usage":null,"choices":[{"delta":{"content":"a"}}]}`), ev(`{"usage":` + usageObject + `,"choices":[]}`), doneEv},
		[]string{ev(`{"choices":[{"delta":{"content":"a"}}]}`), doneEv}, true},
	{"usage the only member", []string{ev(`{"usage":null}`), hello, doneEv}, []string{ev(`{}`), hello, doneEv}, false},
	{"spaces", []string{ev(`{"choices": [{"delta": {"content": "a"}}], "usage": null}`), ev(`{"choices": [], "usage": ` + usageObject + `}`), doneEv},
		[]string{ev(`{"choices": [{"delta": {"content": "a"}}]}`), doneEv}, true},
	{"more spaces", []string{ev(`{ "usage" : null , "choices" : [ {"delta":{"content":"a"}} ] }`), ev(`{ "choices" : [ ] , "usage" : ` + usageObject + ` }`), doneEv},
		[]string{ev(`{ "choices" : [ {"delta":{"content":"a"}} ] }`), doneEv}, true},
	{"no space behind data:", []string{`data:{"choices":[{"delta":{"content":"a"}}],"usage":null}` + "\n\n", `data:{"choices":[],"usage":` + usageObject + "}\n\n", "data:[DONE]\n\n"},
		[]string{`data:{"choices":[{"delta":{"content":"a"}}]}` + "\n\n", "data:[DONE]\n\n"}, true},
	{"usage in the last chunk with a choice", []string{hello, ev(`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":` + usageObject + `}`), doneEv},
		[]string{hello, ev(`{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":` + usageObject + `}`), doneEv}, true},
	{"usage twice", []string{hello, stop, ev(`{"choices":[],"usage":` + usageObject + `}`), ev(`{"choices":[],"usage":` + usageObject + `}`), doneEv}, []string{hello, stop, doneEv}, true},
	{"none", []string{hello, stop, doneEv}, []string{hello, stop, doneEv}, false},
	{"none, and no done", []string{hello, stop}, []string{hello, stop}, false},
	{"usage last, and no done", []string{hello, stop, ev(`{"choices":[],"usage":` + usageObject + `}`)}, []string{hello, stop}, true},
	{"two choices", []string{ev(`{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":null}`), ev(`{"choices":[{"index":1,"delta":{"content":"b"}}],"usage":null}`), done(0), done(1), ev(`{"choices":[],"usage":` + usageObject + `}`), doneEv},
		[]string{text2(0, "a"), text2(1, "b"), done(0), done(1), doneEv}, true},
	{"Azure's filters first", []string{ev(`{"choices":[],"prompt_filter_results":[{"prompt_index":0}],"usage":null}`), hello, stop, ev(`{"choices":[],"usage":` + usageObject + `}`), doneEv},
		[]string{ev(`{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}`), hello, stop, doneEv}, true},
	{"Azure's filters without usage", []string{ev(`{"choices":[],"prompt_filter_results":[]}`), hello, stop, ev(`{"choices":[],"usage":` + usageObject + `}`), doneEv},
		[]string{ev(`{"choices":[],"prompt_filter_results":[]}`), hello, stop, doneEv}, true},
	{"choices null", []string{hello, stop, ev(`{"choices":null,"usage":` + usageObject + `}`), doneEv}, []string{hello, stop, doneEv}, true},
	{"no choices", []string{hello, stop, ev(`{"id":"x","usage":` + usageObject + `}`), doneEv}, []string{hello, stop, doneEv}, true},
	{"comments", []string{": a\n\n", hello, ": b\n\n", stop, ": c\n\n", ev(`{"choices":[],"usage":` + usageObject + `}`), ": d\n\n", doneEv}, []string{": a\n\n", hello, ": b\n\n", stop, ": c\n\n", ": d\n\n", doneEv}, true},
	{"a comment in the event", []string{hello, ": c\n" + ev(`{"choices":[{"delta":{"content":"a"}}],"usage":null}`), doneEv}, []string{hello, ": c\n" + ev(`{"choices":[{"delta":{"content":"a"}}]}`), doneEv}, false},
	{"ids and names", []string{"id: 1\nevent: chunk\n" + ev(`{"choices":[{"delta":{"content":"a"}}],"usage":null}`), "id: 2\nevent: chunk\n" + ev(`{"choices":[],"usage":`+usageObject+`}`), doneEv},
		[]string{"id: 1\nevent: chunk\n" + ev(`{"choices":[{"delta":{"content":"a"}}]}`), doneEv}, true},
	{"many blank lines", []string{hello + "\n\n", ev(`{"choices":[],"usage":`+usageObject+`}`) + "\n", doneEv}, []string{hello + "\n\n", "\n", doneEv}, true},
	{"a byte order mark", []string{"\ufeff" + ev(`{"choices":[{"delta":{"content":"a"}}],"usage":null}`), ev(`{"choices":[],"usage":` + usageObject + `}`), doneEv}, []string{"\ufeff" + ev(`{"choices":[{"delta":{"content":"a"}}]}`), doneEv}, true},
	{"two data lines", []string{"data: {\"choices\":[],\ndata: \"usage\":" + usageObject + "}\n\n", hello, doneEv}, []string{hello, doneEv}, true},
	{"the words in a text", []string{ev(`{"choices":[{"delta":{"content":"\"usage\":null"}}],"usage":null}`), ev(`{"choices":[{"delta":{"content":"{\"choices\":[],\"usage\":{}}"}}]}`), doneEv},
		[]string{ev(`{"choices":[{"delta":{"content":"\"usage\":null"}}]}`), ev(`{"choices":[{"delta":{"content":"{\"choices\":[],\"usage\":{}}"}}]}`), doneEv}, false},
	{"usage null in a choice", []string{ev(`{"choices":[{"delta":{"content":"a"},"usage":null}],"usage":null}`), doneEv}, []string{ev(`{"choices":[{"delta":{"content":"a"},"usage":null}]}`), doneEv}, false},
	{"an empty usage", []string{hello, ev(`{"choices":[],"usage":{}}`), doneEv}, []string{hello, ev(`{"choices":[],"usage":{}}`), doneEv}, false},
	{"x_groq", []string{hello, ev(`{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":` + usageObject + `}}`), doneEv}, []string{hello, ev(`{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":` + usageObject + `}}`), doneEv}, true},
	{"an error", []string{ev(`{"choices":[{"delta":{"content":"a"}}],"usage":null}`), errorEv}, []string{ev(`{"choices":[{"delta":{"content":"a"}}]}`), errorEv}, false},
	{"an error with usage", []string{hello, ev(`{"error":{"message":"boom"},"usage":` + usageObject + `}`)}, []string{hello, ev(`{"error":{"message":"boom"},"usage":` + usageObject + `}`)}, true},
	{"bytes behind the end", []string{hello, doneEv, "xyz"}, []string{hello, doneEv, "xyz"}, false},
	{"done without a blank line", []string{hello, ev(`{"choices":[],"usage":` + usageObject + `}`), "data: [DONE]"}, []string{hello, "data: [DONE]"}, true},
	{"usage without a blank line", []string{hello, stop, `data: {"choices":[],"usage":` + usageObject + `}`}, []string{hello, stop}, true},
	{"malformed events", []string{hello, "data: {oops\n\n", "data: {\"usage\":null\n\n", "foo\n\n", doneEv}, []string{hello, "data: {oops\n\n", "data: {\"usage\":null\n\n", "foo\n\n", doneEv}, false},
	{"an odd usage", []string{ev(`{"choices":[{"delta":{"content":"a"}}],"usage":nullx}`), ev(`{"choices":[],"usage":7}`), hello, doneEv}, []string{ev(`{"choices":[{"delta":{"content":"a"}}],"usage":nullx}`), ev(`{"choices":[],"usage":7}`), hello, doneEv}, false},
	{"null twice", []string{ev(`{"choices":[{"delta":{"content":"a"}}],"usage":null,"service_tier":null}`), doneEv}, []string{ev(`{"choices":[{"delta":{"content":"a"}}],"service_tier":null}`), doneEv}, false},
	{"many events alike", []string{
		ev(`{"choices":[{"delta":{"content":"a"}}],"usage":null,"obfuscation":"x"}`), ev(`{"choices":[{"delta":{"content":"bcd"}}],"usage":null,"obfuscation":"yz"}`),
		ev(`{"choices":[{"delta":{"content":"\\\""}}],"usage":null,"obfuscation":"1"}`), ": comment\n\n", ev(`{"choices":[{"delta":{"content":"e"}}],"usage":null,"obfuscation":"2"}`),
		ev(`{"choices":[{"delta":{"content":"f"}}],"usage":null,"obfuscation":"3"}`), ev(`{"choices":[],"usage":` + usageObject + `}`), doneEv,
	}, []string{
		ev(`{"choices":[{"delta":{"content":"a"}}],"obfuscation":"x"}`), ev(`{"choices":[{"delta":{"content":"bcd"}}],"obfuscation":"yz"}`),
		ev(`{"choices":[{"delta":{"content":"\\\""}}],"obfuscation":"1"}`), ": comment\n\n", ev(`{"choices":[{"delta":{"content":"e"}}],"obfuscation":"2"}`),
		ev(`{"choices":[{"delta":{"content":"f"}}],"obfuscation":"3"}`), doneEv,
	}, true},
	{"continuous usage", []string{ev(`{"choices":[{"delta":{"content":"a"}}],"usage":` + usageObject + `}`), ev(`{"choices":[],"usage":` + usageObject + `}`), doneEv}, []string{ev(`{"choices":[{"delta":{"content":"a"}}],"usage":` + usageObject + `}`), doneEv}, true},
}

func text2(index int, s string) string {
	return ev(fmt.Sprintf(`{"choices":[{"index":%d,"delta":{"content":%q}}]}`, index, s))
}

// The client sees byte for byte what it would have seen, wherever the reads end,
// with line ends of any kind. The tap sees usage.
func TestStreamHideUsage(t *testing.T) {
	for _, c := range hideCases {
		for lineEnd, name := range map[string]string{"\n": "LF", "\r\n": "CRLF", "\r": "CR"} {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				in := strings.ReplaceAll(strings.Join(c.asked, ""), "\n", lineEnd)
				want := strings.ReplaceAll(strings.Join(c.want, ""), "\n", lineEnd)
				if c.name == "odd usage" {
					return
				}
				run := func(body io.Reader, hold bool, how any) {
					var tapped, out bytes.Buffer
					s := NewStream(body, Options{Dialect: Chat, HideUsage: true, Tap: func(data []byte, _ bool) { tapped.Write(data) }})
					if hold {
						_ = s.Hold()
					}
					err := s.Relay(&out, nil)
					require.Equal(t, want, out.String(), "%v", how)
					if !strings.Contains(c.name, "error") {
						require.NoError(t, err, "%v", how)
					}
					require.Equal(t, c.tells, strings.Contains(tapped.String(), "prompt_tokens"), "%v", how)
					require.True(t, s.AtBoundary())
					s.Release()
				}
				run(strings.NewReader(in), true, "whole")
				run(strings.NewReader(in), false, "whole, not held")
				run(iotest.OneByteReader(strings.NewReader(in)), true, "bytes")
				run(iotest.OneByteReader(strings.NewReader(in)), false, "bytes, not held")
				for at := range len(in) {
					if lineEnd == "\r" && at%4 != 0 {
						continue
					}
					run(&script{pieces: pieces(in[:at], in[at:])}, at%2 == 0, at)
				}
			})
		}
	}
	assert.GreaterOrEqual(t, 3*len(hideCases), 40, "forms")
}

func pieces(all ...string) (filled []string) {
	for _, p := range all {
		if p != "" {
			filled = append(filled, p)
		}
	}
	return filled
}

// Compressed, it is hidden where the stream goes on decoded.
func TestStreamHideUsageCompressed(t *testing.T) {
	c := hideCases[0]
	for _, form := range []string{"gzip", "zstd"} {
		in := compress(t, form, c.asked, true)
		s := NewStream(&script{pieces: append([]string(nil), in...)}, Options{Dialect: Chat, Encoding: form, HideUsage: true, Decode: true})
		var out bytes.Buffer
		require.NoError(t, s.Relay(&out, nil))
		assert.Equal(t, strings.Join(c.want, ""), out.String())
		s.Release()
		s = NewStream(&script{pieces: append([]string(nil), in...)}, Options{Dialect: Chat, Encoding: form, HideUsage: true})
		out.Reset()
		require.NoError(t, s.Relay(&out, nil))
		assert.Equal(t, strings.Join(in, ""), out.String())
		s.Release()
	}
}

// A broken stream ends behind a whole event, and each event goes out when it is
// whole.
func TestStreamHideUsageBroken(t *testing.T) {
	s := NewStream(&script{pieces: []string{hello, hello[:20]}, err: errBroken}, Options{Dialect: Chat, HideUsage: true})
	var w record
	require.ErrorIs(t, s.Relay(&w, w.flush), errBroken)
	assert.Equal(t, []string{hello, "flush"}, w.log)
	assert.True(t, s.AtBoundary())
	s.Release()

	w = record{}
	s = NewStream(&script{pieces: []string{hello, ": c\n", "\n", hello[:20], hello[20:] + stop[:9], stop[9:], doneEv}}, Options{Dialect: Chat, HideUsage: true})
	require.NoError(t, s.Relay(&w, nil))
	assert.Equal(t, []string{hello, ": c\n", "\n", hello, stop, doneEv}, w.log)

	// An event of many megabytes passes.
	large := ev(`{"choices":[{"delta":{"content":"` + strings.Repeat("x", 3*maxEvent) + `"}}],"usage":null}`)
	var out bytes.Buffer
	s = NewStream(strings.NewReader(large+hideCases[0].asked[2]+doneEv), Options{Dialect: Chat, HideUsage: true})
	require.NoError(t, s.Relay(&out, nil))
	assert.True(t, out.String() == large+doneEv)
	s.Release()
}
