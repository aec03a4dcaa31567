package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fuzzEvents are what the streams of FuzzStreamWhole are made of, by dialect.
var fuzzEvents = map[string][]string{
	"chat": {
		begin(0), begin(1), text(0, "a"), text(1, "b"), done(0), done(1), chunk(0, "", "tool_calls"), chunk(1, "", "length"),
		chunk(0, `"content":"c"`, "stop"), chunk(0, "", ""), tokens, doneEv, errorEv, comment, chunk(0, "", "error"), "error: {\"message\":\"x\"}\n\n",
		"data: {\"type\":\"error\",\"message\":\"x\"}\n\n", "event: error\ndata: {\"message\":\"x\"}\n\n", "data: {\"choices\":[\ndata: {\"index\":0,\"finish_reason\":\"stop\"}]}\n\n",
		"data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"},{\"index\":1,\"delta\":{\"content\":\"x\"}}]}\n\n", "\r\n", ": c\r\n", "id: 3\n",
	},
	"responses": {
		created, textDelta, completed, failedEv, "event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"response\":{\"status\":\"incomplete\"}}\n\n", doneEv, comment,
		"event: error\ndata: {\"type\":\"error\",\"message\":\"x\"}\n\n", "error: {}\n\n", "data: {\"error\":{\"message\":\"x\"}}\n\n", "data: {\"x\":\"response.completed\"}\n\n",
	},
	"messages": {
		msgStart, msgText, msgDelta, msgStop, comment, doneEv, "event: ping\ndata: {\"type\":\"ping\"}\n\n", "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"x\"}}\n\n",
		"data: {\"type\":\"error\",\"error\":{\"type\":\"x\"}}\n\n", "error: boom\n\n", "data: {\"x\":\"message_stop\"}\n\n",
	},
}

// looksWhole is a reader of its own of what a client got: whether the stream, as
// an SDK sees it, shows an end.
func looksWhole(dialect, out string) bool {
	out = strings.ReplaceAll(strings.ReplaceAll(out, "\r\n", "\n"), "\r", "\n")
	finished := map[int]bool{} // by index; false once it has begun
	for _, block := range strings.Split(out, "\n\n") {
		var lines []string
		failed, name := false, ""
		for _, line := range strings.Split(block, "\n") {
			field, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "data":
				lines = append(lines, value)
			case "error":
				failed = true
			case "event":
				name = value
			}
		}
		data := strings.Join(lines, "\n")
		if failed {
			return false
		}
		if dialect == "chat" && data == "[DONE]" {
			return true
		}
		var e struct {
			Type    string
			Error   any
			Choices []struct {
				Index  int
				Delta  struct{ Content, Role string }
				Reason *string `json:"finish_reason"`
			}
		}
		if json.Unmarshal([]byte(data), &e) != nil {
			continue
		}
		if e.Error != nil || e.Type == "error" || name == "error" {
			return false
		}
		switch dialect {
		case "chat":
			for _, c := range e.Choices {
				if c.Delta.Content != "" || c.Delta.Role != "" {
					finished[c.Index] = false
				}
				if c.Reason != nil && *c.Reason == "error" {
					return false
				}
				if c.Reason != nil {
					finished[c.Index] = true
				}
			}
		case "responses":
			if e.Type == "response.completed" || e.Type == "response.failed" || e.Type == "response.incomplete" {
				return true
			}
		case "messages":
			if e.Type == "message_stop" {
				return true
			}
		}
	}
	for _, f := range finished {
		if !f {
			return false
		}
	}
	return len(finished) > 0
}

// A stream that is cut at any byte and read in pieces of any size ends without an
// error only if it shows its end.
func FuzzStreamWhole(f *testing.F) {
	f.Add([]byte{0, 2, 4, 11}, uint16(1000), uint8(7), uint8(0), false)
	f.Add([]byte{2, 3, 4}, uint16(1000), uint8(1), uint8(0), true)
	f.Add([]byte{2, 4, 2}, uint16(1000), uint8(30), uint8(0), false)
	f.Add([]byte{2, 15, 11}, uint16(1000), uint8(200), uint8(0), false)
	f.Add([]byte{0, 1, 2}, uint16(1000), uint8(7), uint8(1), false)
	f.Add([]byte{0, 1, 2, 3}, uint16(1000), uint8(7), uint8(2), true)
	names := []string{"chat", "responses", "messages"}
	dialects := []Dialect{Chat, Responses, Messages}
	f.Fuzz(func(t *testing.T, recipe []byte, cut uint16, step, dialect uint8, hide bool) {
		name := names[int(dialect)%len(names)]
		var in string
		for _, b := range recipe[:min(len(recipe), 40)] {
			in += fuzzEvents[name][int(b)%len(fuzzEvents[name])]
		}
		in = in[:min(len(in), int(cut))]
		var parts []string
		for rest, n := in, int(step)+1; rest != ""; {
			n = min(n, len(rest))
			parts, rest = append(parts, rest[:n]), rest[n:]
		}
		for _, hold := range []bool{true, false} {
			s := NewStream(&script{pieces: append([]string(nil), parts...)}, Options{Dialect: dialects[int(dialect)%len(dialects)], HideUsage: hide && name == "chat"})
			if hold && s.Hold() != nil {
				continue
			}
			var out bytes.Buffer
			err := s.Relay(&out, nil)
			require.Equal(t, err == nil, s.Whole())
			if err == nil {
				require.True(t, looksWhole(name, out.String()), "half of it looks whole: %q", out.String())
			} else if len(out.String()) < len(in) && !hide {
				require.True(t, s.AtBoundary(), "%q", out.String())
			}
			s.Release()
		}
	})
}

// relayed is what a stream does with a body: its bytes, and what Tap saw of them.
func relayed(t testing.TB, body io.Reader, o Options) (out string, taps []string, err error) {
	o.Tap = func(data []byte, plain bool) { taps = append(taps, fmt.Sprint(plain, " ", string(data))) }
	s := NewStream(body, o)
	defer s.Release()
	var w bytes.Buffer
	err = s.Relay(&w, nil)
	assert.Equal(t, err == nil, s.Whole())
	return w.String(), append(taps, fmt.Sprint(s.Events(), s.Advances(), s.AtBoundary(), s.Finished())), err
}

// An event like the one before is found with its lines. Where it comes in pieces its
// lines are told apart: both read the same.
func TestStreamRepeats(t *testing.T) {
	const usage = `,"usage":null`
	chat := func(text, rest string) string {
		return `{"id":"c","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]` + rest + `}`
	}
	first := "data: " + chat("one", usage) + "\n\n"
	for name, next := range map[string]string{
		"like it":               "data: " + chat("two", usage) + "\n\n",
		"an escaped quote":      "data: " + chat(`t\"wo\\`, usage) + "\n\n",
		"a broken escape":       "data: " + chat(`t\qwo`, usage) + "\n\n",
		"no text":               "data: " + chat("", usage) + "\n\n",
		"a line end within":     "data: " + chat("two\n\ndata: x", usage) + "\n\n",
		"a CR within":           "data: " + chat("two\rdata: x", usage) + "\n\n",
		"CRLF":                  "data: " + chat("two", usage) + "\r\n\r\n",
		"CR":                    "data: " + chat("two", usage) + "\r\r",
		"no blank":              "data:" + chat("two", usage) + "\n\n",
		"a name":                "event: error\ndata: " + chat("two", usage) + "\n\n",
		"a comment":             ": x\ndata: " + chat("two", usage) + "\n\n",
		"an id":                 "id: 3\ndata: " + chat("two", usage) + "\n\n",
		"an error field":        "data: " + chat("two", usage) + "\nerror: x\n\n",
		"two data lines":        "data: " + chat("two", usage) + "\ndata: x\n\n",
		"an end missing":        "data: " + chat("two", usage) + "\n",
		"more behind the value": "data: " + chat("two", usage) + " \n\n",
		"more behind the name":  "data: " + chat("two", usage+`,"x":1`) + "\n\n",
		"usage":                 "data: " + chat("two", `,"usage":{"total_tokens":3}`) + "\n\n",
		"half of it":            ("data: " + chat("two", usage) + "\n\n")[:60],
	} {
		t.Run(name, func(t *testing.T) {
			for _, in := range []string{first + first + next + first + doneEv, "\ufeff" + first + next + next, "event: error\n" + first + first + next + first} {
				for _, o := range []Options{{Dialect: Chat}, {Dialect: Chat, HideUsage: true}} {
					out, taps, err := relayed(t, strings.NewReader(in), o)
					out2, taps2, err2 := relayed(t, iotest.OneByteReader(strings.NewReader(in)), o)
					require.Equal(t, out2, out)
					require.Equal(t, taps2, taps)
					require.Equal(t, err2, err)
					for cut := range in {
						out2, taps2, err2 := relayed(t, &script{pieces: []string{in[:cut], in[cut:]}}, o)
						require.Equal(t, out, out2, "cut at %d", cut)
						require.Equal(t, taps, taps2, "cut at %d", cut)
						require.Equal(t, err, err2, "cut at %d", cut)
					}
				}
			}
		})
	}
	_, taps, _ := relayed(t, strings.NewReader(strings.Repeat(first, 3)), Options{Dialect: Chat})
	assert.Len(t, slices.DeleteFunc(taps, func(s string) bool { return !strings.HasPrefix(s, "true ") }), 2)
}

func FuzzStream(f *testing.F) {
	f.Add(role+hello+stop+doneEv, uint8(0), uint8(7))
	f.Add(hello+hello, uint8(0), uint8(0))
	f.Add(created+textDelta+completed, uint8(1), uint8(1))
	f.Add(msgStart+msgText+msgDelta+msgStop, uint8(2), uint8(40))
	f.Add(hello+errorEv+"\r\r", uint8(0), uint8(3))
	dialects := []Dialect{Chat, Responses, Messages, Events}
	f.Fuzz(func(t *testing.T, in string, dialect, step uint8) {
		o := Options{Dialect: dialects[int(dialect)%len(dialects)]}
		for _, in := range []string{in, in + in} { // events are like those before
			out, taps, err := relayed(t, strings.NewReader(in), o)
			var ev *EventError
			if errors.As(err, &ev) && ev.Hidden {
				assert.True(t, strings.HasPrefix(in, out)) // it ends behind the event
			} else {
				assert.True(t, out == in)
			}
			var pieces []string
			for rest, n := in, int(step)+1; rest != ""; {
				n = min(n, len(rest))
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			out2, taps2, err2 := relayed(t, &script{pieces: pieces}, o)
			assert.Equal(t, out, out2)
			assert.Equal(t, err, err2)
			assert.Equal(t, taps, taps2)
		}
	})
}
