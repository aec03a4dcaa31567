package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// chunk is an event of the chat format with one choice. delta is the inside of
// the delta, and reason a finish reason or nothing.
func chunk(index int, delta, reason string) string {
	finish := "null"
	if reason != "" {
		finish = `"` + reason + `"`
	}
	return fmt.Sprintf("data: {\"choices\":[{\"index\":%d,\"delta\":{%s},\"finish_reason\":%s}]}\n\n", index, delta, finish)
}

func text(index int, s string) string { return chunk(index, fmt.Sprintf(`"content":%q`, s), "") }
func done(index int) string           { return chunk(index, "", "stop") }
func begin(index int) string          { return chunk(index, `"role":"assistant","content":""`, "") }

// A clean end makes a stream whole where each choice has finished that was seen or
// asked for, and [DONE] does without.
func TestStreamChoices(t *testing.T) {
	for _, c := range []struct {
		name  string
		asked int
		in    []string
		whole bool
	}{
		{"one", 0, []string{text(0, "a"), done(0)}, true},
		{"one of two", 0, []string{text(0, "a"), text(1, "b"), done(0)}, false},
		{"one of two, the other way round", 0, []string{text(0, "a"), text(1, "b"), done(1)}, false},
		{"two", 0, []string{text(0, "a"), text(1, "b"), done(1), done(0)}, true},
		{"two, one with a role alone", 0, []string{begin(0), begin(1), text(0, "a"), done(0)}, false},
		{"two in one event", 0, []string{"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"},{\"index\":1,\"delta\":{\"content\":\"b\"},\"finish_reason\":null}]}\n\n"}, false},
		{"two finished in one event", 0, []string{text(0, "a"), text(1, "b"), "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"},{\"index\":1,\"finish_reason\":\"length\"}]}\n\n"}, true},
		{"two asked for, one came", 2, []string{text(0, "a"), done(0)}, false},
		{"two asked for, one came, and the end", 2, []string{text(0, "a"), done(0), doneEv}, true},
		{"the second begins late", 0, []string{text(0, "a"), done(0), text(1, "b")}, false},
		{"a finished one goes on", 0, []string{text(0, "a"), done(0), text(0, "b")}, false},
		{"a finished one goes on and finishes", 0, []string{text(0, "a"), done(0), text(0, "b"), done(0)}, true},
		{"a finished one begins another turn", 0, []string{text(0, "a"), chunk(0, "", "tool_calls"), begin(0)}, false},
		{"an empty delta behind the finish", 0, []string{text(0, "a"), done(0), chunk(0, "", "")}, true},
		{"usage with a role behind the finish", 0, []string{text(0, "a"), done(0), "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n"}, true},
		{"no index", 0, []string{hello, stop}, true},
		{"an odd index is one of its own", 0, []string{"data: {\"choices\":[{\"index\":\"x\",\"delta\":{\"content\":\"a\"}}]}\n\n", done(0)}, false},
		{"completions", 0, []string{"data: {\"choices\":[{\"index\":0,\"text\":\"a\"},{\"index\":1,\"text\":\"b\"}]}\n\n", "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n"}, false},
		{"more than are kept apart", 0, many(300), false},
		{"more than are kept apart, and the end", 0, append(many(300), doneEv), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := strings.Join(c.in, "")
			for _, body := range []io.Reader{strings.NewReader(all), &script{pieces: append([]string(nil), c.in...)}} {
				s := NewStream(body, Options{Dialect: Chat, Choices: c.asked})
				var out bytes.Buffer
				err := s.Relay(&out, nil)
				assert.Equal(t, all, out.String())
				assert.Equal(t, c.whole, s.Whole())
				if c.whole {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, ErrCut)
				}
				s.Release()
			}
		})
	}
}

func many(n int) (events []string) {
	for i := range n {
		events = append(events, text(i, "a"), done(i))
	}
	return events
}

const (
	comment  = ": keep-alive\n\n"
	midUsage = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":1}}\n\n"
)

// Each image has its own end.
func TestStreamImages(t *testing.T) {
	partial := "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"aa\"}\n\n"
	completed := "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"aa\"}\n\n"
	for in, whole := range map[string][3]bool{ // by the number asked for
		partial:                       {false, false, false},
		partial + completed:           {true, true, false},
		partial + completed + partial: {false, false, false},
		partial + completed + partial + completed:   {true, true, true},
		partial + completed + "data: [DONE]\n\n":    {true, true, true},
		"data: heartbeat\n\n" + partial + completed: {true, true, false},
	} {
		for asked, want := range whole {
			s := NewStream(strings.NewReader(in), Options{Dialect: Events, Choices: asked})
			assert.Equal(t, want, s.Relay(io.Discard, nil) == nil, "%d of %q", asked, in)
			s.Release()
		}
	}
}

// A comment may be written at any time before the first byte, then at boundaries.
func TestStreamKeepAlivePlaces(t *testing.T) {
	for _, hide := range []bool{false, true} {
		for encoding, may := range map[string]bool{"": true, "gzip": false, "br": false} {
			var places []bool
			var s *Stream
			parts := []string{begin(0)[:9], begin(0)[9:], text(0, "a"), text(0, "b")[:9], text(0, "b")[9:], doneEv}
			if encoding == "gzip" {
				parts = compress(t, "gzip", parts, false)
			}
			s = NewStream(readerFunc(func(p []byte) (int, error) {
				places = append(places, s.AtBoundary())
				if len(parts) == 0 {
					return 0, io.EOF
				}
				n := copy(p, parts[0])
				parts = parts[1:]
				return n, nil
			}), Options{Dialect: Chat, Encoding: encoding, HideUsage: hide})
			_ = s.Hold()
			_ = s.Relay(io.Discard, nil)
			if !may {
				assert.NotContains(t, places, true, encoding)
				continue
			}
			// The fourth event was read in half. With edits, that half was not written.
			assert.Equal(t, []bool{true, true, true, true, hide, true, true}, places)
		}
	}
}

// A silence is an end only under strict conditions.
func TestStreamMayEnd(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect Dialect
		o       Options
		in      []string
		may     bool
	}{
		{"stop", Chat, Options{}, []string{text(0, "a"), done(0)}, true},
		{"length", Chat, Options{}, []string{text(0, "a"), chunk(0, "", "length")}, true},
		{"completions", Completions, Options{}, []string{"data: {\"choices\":[{\"index\":0,\"text\":\"a\"}]}\n\n", "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n"}, true},
		{"nothing yet", Chat, Options{}, nil, false},
		{"content", Chat, Options{}, []string{text(0, "a")}, false},
		{"tool calls", Chat, Options{}, []string{text(0, "a"), chunk(0, "", "tool_calls")}, false},
		{"unknown reason", Chat, Options{}, []string{text(0, "a"), chunk(0, "", "eos")}, false},
		{"reason beside content", Chat, Options{}, []string{chunk(0, `"content":"a"`, "stop")}, false},
		{"reason in each chunk", Chat, Options{}, []string{chunk(0, `"content":"a"`, "stop"), chunk(0, `"content":"b"`, "stop"), done(0)}, false},
		{"tools, then an answer", Chat, Options{}, []string{text(0, "a"), chunk(0, "", "tool_calls"), text(0, "b"), done(0)}, false},
		{"another stop", Chat, Options{}, []string{text(0, "a"), done(0), done(0)}, false},
		{"comment meanwhile", Chat, Options{}, []string{text(0, "a"), done(0), comment}, false},
		{"comment before", Chat, Options{}, []string{comment, text(0, "a"), comment, done(0)}, true},
		{"half a comment meanwhile", Chat, Options{}, []string{text(0, "a"), done(0), ": keep"}, false},
		{"half an event meanwhile", Chat, Options{}, []string{text(0, "a"), done(0), "data: {"}, false},
		{"ping meanwhile", Chat, Options{}, []string{text(0, "a"), done(0), "data: {\"type\":\"ping\"}\n\n"}, false},
		{"usage behind", Chat, Options{}, []string{text(0, "a"), done(0), tokens}, true},
		{"usage wanted", Chat, Options{UsageWanted: true}, []string{text(0, "a"), done(0)}, false},
		{"usage wanted, and came", Chat, Options{UsageWanted: true}, []string{text(0, "a"), done(0), tokens}, true},
		{"usage wanted, and came beside an empty choice", Chat, Options{UsageWanted: true}, []string{text(0, "a"), done(0), midUsage}, true},
		{"usage wanted, and came too early", Chat, Options{UsageWanted: true}, []string{text(0, "a"), tokens, done(0)}, false},
		{"usage wanted, and came with the reason", Chat, Options{UsageWanted: true}, []string{text(0, "a"), "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\n"}, true},
		{"usage wanted, and null came", Chat, Options{UsageWanted: true}, []string{text(0, "a"), done(0), "data: {\"choices\":[],\"usage\":null}\n\n"}, false},
		{"one of two", Chat, Options{}, []string{text(0, "a"), text(1, "b"), done(0)}, false},
		{"both of two", Chat, Options{}, []string{text(0, "a"), text(1, "b"), done(0), done(1)}, true},
		{"both, one late", Chat, Options{}, []string{text(0, "a"), begin(1), done(0), text(1, "b"), done(1)}, true},
		{"two asked for", Chat, Options{Choices: 2}, []string{text(0, "a"), done(0)}, false},
		{"one by stop, one by tools", Chat, Options{}, []string{text(0, "a"), text(1, "b"), chunk(1, "", "tool_calls"), done(0)}, false},
		{"ended", Chat, Options{}, []string{text(0, "a"), done(0), doneEv}, false},
		{"done without a blank line", Chat, Options{}, []string{text(0, "a"), "data: [DONE]\n"}, true},
		{"done without a line end", Chat, Options{}, []string{text(0, "a"), chunk(0, "", "tool_calls"), comment, "data: [DONE]"}, true},
		{"half of done", Chat, Options{}, []string{text(0, "a"), "data: [DON"}, false},
		{"done in a comment", Chat, Options{}, []string{text(0, "a"), ":[DONE]"}, false},
		{"done without a line end, of responses", Responses, Options{}, []string{textDelta, "data: [DONE]"}, false},
		{"responses", Responses, Options{}, []string{created, textDelta}, false},
		{"messages", Messages, Options{}, []string{msgStart, msgText, msgDelta}, false},
		{"transcription", Events, Options{}, []string{"data: {\"type\":\"transcript.text.delta\",\"delta\":\"a\"}\n\n", "data: {\"type\":\"transcript.text.done\"}\n\n"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, body := range []io.Reader{
				io.MultiReader(strings.NewReader(strings.Join(c.in, "")), &script{err: errBroken}),
				&script{pieces: strings.Split(strings.Join(c.in, ""), ""), err: errBroken},
			} {
				c.o.Dialect = c.dialect
				s := NewStream(body, c.o)
				_ = s.Relay(io.Discard, nil)
				assert.Equal(t, c.may, s.MayEnd())
				s.Release()
				assert.False(t, s.MayEnd(), "released")
			}
		})
	}
}

// Comments, pings and empty chunks are silence.
func TestStreamAdvances(t *testing.T) {
	for in, want := range map[string]int{
		comment + comment: 0,
		begin(0):          1,
		begin(0) + chunk(0, "", "") + chunk(0, `"content":""`, ""): 1,
		text(0, "a") + done(0) + tokens + doneEv:                   4,
		"data: {\"type\":\"heartbeat\"}\n\n":                       0,
		"data: {oops\n\n":                                          0,
	} {
		s := NewStream(strings.NewReader(in), Options{Dialect: Chat})
		_ = s.Relay(io.Discard, nil)
		assert.Equal(t, want, s.Advances(), in)
	}
	s := NewStream(strings.NewReader(msgStart+"event: ping\ndata: {\"type\":\"ping\"}\n\n"+msgText), Options{Dialect: Messages})
	_ = s.Relay(io.Discard, nil)
	assert.Equal(t, 2, s.Advances())
	s = NewStream(strings.NewReader(created+"data: {\"type\":\"keepalive\"}\n\n"+"data: {\"type\":\"response.web_search_call.searching\"}\n\n"), Options{Dialect: Responses})
	_ = s.Relay(io.Discard, nil)
	assert.Equal(t, 2, s.Advances())
}

// The first thing of a stream may be an error in many shapes. Behind content the
// shapes that SDKs do not know end the stream.
func TestStreamErrorShapes(t *testing.T) {
	const whenFirst, always = false, true
	for _, c := range []struct {
		name, event string
		dialect     Dialect
		later       bool // it is an error behind content too
		hidden      bool
	}{
		{"error", errorEv, Chat, always, false},
		{"error in text", "data: {\"error\":\"boom\"}\n\n", Chat, always, false},
		{"error field", "error: {\"code\":500,\"message\":\"boom\"}\n\n", Chat, always, true},
		{"error field, of responses", "error: {\"code\":500,\"message\":\"boom\"}\n\n", Responses, always, true},
		{"error field, of messages", "error: boom\n\n", Messages, always, true},
		{"typed", "data: {\"type\":\"error\",\"message\":\"boom\"}\n\n", Chat, always, true},
		{"named", "event: error\ndata: {\"message\":\"boom\"}\n\n", Chat, always, true},
		{"named, without JSON", "event: error\ndata: boom\n\n", Chat, always, true},
		{"code", "data: {\"code\":500,\"message\":\"boom\"}\n\n", Chat, always, true},
		{"object", "data: {\"object\":\"error\",\"message\":\"boom\"}\n\n", Chat, always, true},
		{"finish reason", chunk(0, "", "network_error"), Chat, always, true},
		{"finish reason beside an error", chunk(0, "", "error"), Chat, always, true},
		{"choice", "data: {\"choices\":[{\"delta\":{},\"error\":{\"code\":502}}]}\n\n", Chat, always, true},
		{"detail", "data: {\"detail\":\"boom\"}\n\n", Chat, whenFirst, true},
		{"message", "data: {\"message\":\"boom\"}\n\n", Chat, whenFirst, true},
		{"text in data", "data: upstream connect error\n\n", Chat, whenFirst, true},
		{"plain text", "upstream connect error\n", Chat, whenFirst, true},
		{"plain text without a line end", "upstream connect error", Chat, whenFirst, true},
		{"JSON beside events", "{\"error\":{\"message\":\"boom\"}}", Chat, whenFirst, true},
		{"of responses", "data: {\"type\":\"error\",\"message\":\"boom\"}\n\n", Responses, always, false},
		{"code, of responses", "data: {\"code\":500,\"message\":\"boom\"}\n\n", Responses, always, true},
		{"of messages", "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n", Messages, always, false},
		{"of messages, without a name", "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n", Messages, always, true},
		{"stop reason", "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"error\"}}\n\n", Messages, always, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			start, content, end := begin(0), text(0, "half"), doneEv
			switch {
			case strings.Contains(c.name, "responses"):
				start, content, end = created, textDelta, completed
			case strings.Contains(c.name, "messages") || c.name == "stop reason":
				start, content, end = msgStart, msgText, msgStop
			}
			var ev *EventError
			s := NewStream(strings.NewReader(c.event), Options{Dialect: c.dialect})
			require.ErrorAs(t, s.Hold(), &ev)
			assert.True(t, s.SawError())
			if !strings.Contains(c.name, "reason") && c.name != "choice" {
				assert.NotEmpty(t, ev.Data)
			}
			if !strings.HasPrefix(c.name, "plain text") && !strings.HasPrefix(c.name, "JSON") { // those have no event before them
				s = NewStream(strings.NewReader(start+c.event+end), Options{Dialect: c.dialect})
				require.ErrorAs(t, s.Hold(), &ev)
			}

			// Behind half an answer, in one read, and byte by byte.
			for _, body := range []io.Reader{strings.NewReader(start + content + c.event + end), &script{pieces: strings.Split(start+content+c.event+end, "")}} {
				s = NewStream(body, Options{Dialect: c.dialect})
				require.NoError(t, s.Hold())
				var out bytes.Buffer
				err := s.Relay(&out, nil)
				switch {
				case !c.later:
					if strings.HasSuffix(c.event, "\n\n") {
						require.NoError(t, err)
					}
					continue
				case c.hidden:
					assert.Equal(t, start+content+c.event, out.String(), "it does not go on to look whole")
					assert.True(t, s.AtBoundary(), "an error that clients see may follow")
				default:
					assert.Equal(t, start+content+c.event+end, out.String())
				}
				require.ErrorAs(t, err, &ev)
				assert.Equal(t, c.hidden, ev.Hidden)
				assert.False(t, s.Whole())
			}
		})
	}
}

// A hidden error in a compressed stream cannot be followed by an event of ours, but
// neither by an end.
func TestStreamHiddenErrorCompressed(t *testing.T) {
	for _, form := range []string{"gzip", "zstd"} {
		pieces := compress(t, form, []string{text(0, "a"), text(0, "b"), "error: {\"message\":\"boom\"}\n\n" + doneEv}, true)
		s := NewStream(&script{pieces: append([]string(nil), pieces...)}, Options{Dialect: Chat, Encoding: form})
		require.NoError(t, s.Hold())
		var out bytes.Buffer
		var ev *EventError
		require.ErrorAs(t, s.Relay(&out, nil), &ev)
		assert.Equal(t, pieces[0]+pieces[1], out.String())
		s.Release()
	}
}

func TestStreamFailEmpty(t *testing.T) {
	reasoning := chunk(0, `"reasoning_content":"Hm"`, "")
	filtered := chunk(0, "", "content_filter")
	for _, c := range []struct {
		name    string
		dialect Dialect
		in      []string
		fails   bool
		refused bool
	}{
		{"nothing", Chat, []string{begin(0), done(0), doneEv}, true, false},
		{"nothing, without done", Chat, []string{begin(0), done(0)}, true, false},
		{"words", Chat, []string{begin(0), text(0, "a"), done(0), doneEv}, false, false},
		{"words behind a finish", Chat, []string{begin(0), done(0), text(1, "a"), done(1), doneEv}, false, false},
		{"reasoning", Chat, []string{begin(0), reasoning, done(0), doneEv}, false, false},
		{"tool call", Chat, []string{begin(0), chunk(0, `"tool_calls":[{"id":"c"}]`, ""), chunk(0, "", "tool_calls"), doneEv}, false, false},
		{"refusal", Chat, []string{begin(0), chunk(0, `"refusal":"No"`, ""), done(0), doneEv}, false, true},
		{"filter", Chat, []string{begin(0), filtered, doneEv}, false, true},
		{"filter behind words", Chat, []string{begin(0), text(0, "a"), filtered, doneEv}, false, false},
		{"responses, nothing", Responses, []string{created, completed}, true, false},
		{"responses, empty parts", Responses, []string{created, "data: {\"type\":\"response.output_text.done\",\"text\":\"\"}\n\n", completed}, true, false},
		{"responses, words", Responses, []string{created, textDelta, completed}, false, false},
		{"responses, refusal", Responses, []string{created, "data: {\"type\":\"response.refusal.delta\",\"delta\":\"No\"}\n\n", completed}, false, true},
		{"responses, filter", Responses, []string{created, "data: {\"type\":\"response.incomplete\",\"response\":{\"output\":[],\"incomplete_details\":{\"reason\":\"content_filter\"}}}\n\n"}, false, true},
		{"responses, limit", Responses, []string{created, "data: {\"type\":\"response.incomplete\",\"response\":{\"incomplete_details\":{\"reason\":\"max_output_tokens\"}}}\n\n"}, true, false},
		{"messages, nothing", Messages, []string{msgStart, msgDelta, msgStop}, true, false},
		{"messages, words", Messages, []string{msgStart, msgText, msgDelta, msgStop}, false, false},
		{"messages, refusal", Messages, []string{msgStart, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\"}}\n\n", msgStop}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewStream(&script{pieces: append([]string(nil), c.in...)}, Options{Dialect: c.dialect, FailEmpty: true})
			if c.fails {
				require.ErrorIs(t, s.Hold(), ErrEmptyAnswer)
			} else {
				require.NoError(t, s.Hold())
			}
			assert.Equal(t, c.refused, s.Refused())
			// Without the option it commits.
			s = NewStream(&script{pieces: append([]string(nil), c.in...)}, Options{Dialect: c.dialect})
			require.NoError(t, s.Hold())
			assert.Equal(t, c.refused, s.Refused())
			var out bytes.Buffer
			require.NoError(t, s.Relay(&out, nil))
			assert.Equal(t, strings.Join(c.in, ""), out.String())
		})
	}
}

// The decoded bytes reach the client, at event boundaries.
func TestStreamDecode(t *testing.T) {
	all := []string{begin(0), text(0, "a"), done(0), doneEv}
	for _, form := range []string{"gzip", "deflate", "zstd"} {
		pieces := compress(t, form, all, true)
		s := NewStream(&script{pieces: append([]string(nil), pieces...)}, Options{Dialect: Chat, Encoding: form, Decode: true})
		require.NoError(t, s.Hold())
		var out bytes.Buffer
		require.NoError(t, s.Relay(&out, nil))
		assert.Equal(t, strings.Join(all, ""), out.String())
		assert.True(t, s.AtBoundary())
		s.Release()

		for name, body := range map[string]io.Reader{
			"cut":    strings.NewReader(strings.Join(pieces[:2], "")),
			"broken": &script{pieces: append([]string(nil), pieces[:2]...), err: errBroken},
		} {
			s = NewStream(body, Options{Dialect: Chat, Encoding: form, Decode: true})
			require.NoError(t, s.Hold())
			err := s.Relay(io.Discard, nil)
			if name == "cut" {
				require.ErrorIs(t, err, ErrCut)
			} else {
				require.ErrorIs(t, err, errBroken)
			}
			s.Release()
		}
	}
	assert.True(t, CanDecode("gzip, zstd"))
	assert.False(t, CanDecode("br"))
	corrupt := NewStream(strings.NewReader("oops"), Options{Dialect: Chat, Encoding: "gzip", Decode: true}).Hold()
	require.Error(t, corrupt)
	assert.False(t, errors.Is(corrupt, io.EOF))
}
