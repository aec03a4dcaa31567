package relay

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

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
