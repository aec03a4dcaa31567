package suite_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// The tests of the field_ files hold kinds of trouble that operators have reported
// in public. A row with a source is such a report; the rows without one are its
// siblings.

const (
	fieldChat      = "/v1/chat/completions"
	fieldResponses = "/v1/responses"
	fieldMessages  = "/v1/messages"
)

// fieldChunk is a chunk of a chat with one choice. The finish reason may be empty.
func fieldChunk(delta, finish string) string {
	if finish == "" {
		return `data: {"choices":[{"index":0,"delta":{` + delta + `},"finish_reason":null}]}` + "\n\n"
	}
	return fmt.Sprintf(`data: {"choices":[{"index":0,"delta":{%s},"finish_reason":%q}]}`+"\n\n", delta, finish)
}

// fieldMessage is an event of the Anthropic format.
func fieldMessage(name, members string) string {
	if members != "" {
		members = "," + members
	}
	return fmt.Sprintf("event: %s\ndata: {\"type\":%q%s}\n\n", name, name, members)
}

// TestFieldHalfAnswers: a silence after a finish reason is the end of an answer only
// if nothing tells that more may come. Any other silence ends by
// per_request_timeout, and never like a whole answer.
func TestFieldHalfAnswers(t *testing.T) {
	const timeout = 10 * time.Second
	var (
		call  = `"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"search","arguments":"{}"}}]`
		said  = fieldChunk(`"content":"the answer"`, "")
		stop  = fieldChunk("", "stop")
		usage = `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}` + "\n\n"
		done  = gatewaytest.ChatDone
	)
	comments := func(front ...any) []any { // a comment each second, for ever
		for range 600 {
			front = append(front, time.Second, ": keep-alive\n\n")
		}
		return front
	}
	forever := time.Hour
	text := func(words string) string {
		return fieldMessage("content_block_delta", fmt.Sprintf(`"index":0,"delta":{"type":"text_delta","text":%q}`, words))
	}
	for _, tt := range []struct {
		name, source string
		path, body   string // a chat stream if empty
		steps        []any
		took         time.Duration
		has          string // in the whole answer; empty: the stream breaks
		silent       bool   // the gateway ended it
	}{
		{name: "a tool that the server runs between two turns", source: "litellm#31910, #19121, nanobot#3551", took: 3 * time.Second, has: "the answer",
			steps: []any{fieldChunk(`"role":"assistant",`+call, ""), fieldChunk("", "tool_calls"), 3 * time.Second, said, stop, done}},
		{name: "a finish reason in each chunk", source: "gcli2api#403", took: 9 * time.Second, has: "the answer",
			steps: []any{fieldChunk(`"content":"This is "`, "stop"), 3 * time.Second, fieldChunk(`"content":"all of "`, "stop"), 6 * time.Second,
				fieldChunk(`"content":"the answer"`, "stop"), done}},
		{name: "a pause with comments", took: 8 * time.Second, has: "the answer",
			steps: []any{fieldChunk(`"content":"x"`, ""), stop, time.Second, ": keep-alive\n\n", 7 * time.Second, said, stop, done}},
		{name: "usage that comes late", source: "req_llm#767", took: 3 * time.Second, has: `"completion_tokens":3`,
			body:  `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}`,
			steps: []any{said, stop, 3 * time.Second, usage, done}},
		{name: "usage that came, and no end", took: 5 * time.Second, has: `"completion_tokens":3`, silent: true,
			body:  `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}`,
			steps: []any{said, stop, 3 * time.Second, usage, forever}},
		{name: "usage that was asked for and never comes", took: timeout,
			body:  `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}`,
			steps: []any{said, stop, forever}},
		{name: "stop and no end", took: 2 * time.Second, has: "the answer", silent: true, steps: []any{said, stop, forever}},
		{name: "length and no end", took: 2 * time.Second, has: "the answer", silent: true, steps: []any{said, fieldChunk("", "length"), forever}},
		{name: "tool_calls and no end", took: timeout, steps: []any{fieldChunk(call, ""), fieldChunk("", "tool_calls"), forever}},
		{name: "content_filter and no end", took: timeout, steps: []any{said, fieldChunk("", "content_filter"), forever}},
		{name: "an unknown reason and no end", took: timeout, steps: []any{said, fieldChunk("", "pause_turn"), forever}},
		{name: "stop beside content, and no end", took: timeout, steps: []any{fieldChunk(`"content":"the answer"`, "stop"), forever}},
		{name: "a second stop, and no end", took: timeout + 3*time.Second, steps: []any{said, stop, 3 * time.Second / 2, said, 3 * time.Second / 2, stop, forever}},
		{name: "comments for ever behind content", took: timeout, steps: comments(said)},
		{name: "comments for ever behind a finish reason", took: timeout, steps: comments(said, stop)},
		{name: "messages: a stop reason and no end", path: fieldMessages, took: timeout,
			steps: []any{fieldMessage("message_start", `"message":{"id":"m"}`), text("the answer"), fieldMessage("message_delta", `"delta":{"stop_reason":"end_turn"}`), forever}},
		{name: "messages: pings for ever", path: fieldMessages, took: timeout,
			steps: []any{fieldMessage("message_start", `"message":{"id":"m"}`), text("the answer"), 4 * time.Second, fieldMessage("ping", ""), 4 * time.Second, fieldMessage("ping", ""), forever}},
		{name: "responses: text is done and no end", path: fieldResponses, took: timeout,
			steps: []any{fieldMessage("response.output_text.delta", `"delta":"the answer"`), fieldMessage("response.output_text.done", `"text":"the answer"`), forever}},
		{name: "responses: a tool of the server's", path: fieldResponses, took: 8 * time.Second, has: "the answer",
			steps: []any{fieldMessage("response.output_item.done", `"item":{"type":"web_search_call"}`), 8 * time.Second,
				fieldMessage("response.output_text.delta", `"delta":"the answer"`), fieldMessage("response.completed", `"response":{"status":"completed"}`)}},
		{name: "completions: one prompt of two", path: "/v1/completions", body: `{"model":"m","stream":true,"prompt":["a","b"]}`, took: timeout,
			steps: []any{`data: {"choices":[{"index":0,"text":"the answer","finish_reason":null}]}` + "\n\n",
				`data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}]}` + "\n\n", forever}},
	} {
		for _, commit := range []aigateway.StreamCommit{aigateway.StreamCommitFirstContent, aigateway.StreamCommitComplete} {
			for _, providers := range [][]string{{"a"}, {"a", "b"}} {
				t.Run(fmt.Sprintf("%s/%s/%d", tt.name, commit, len(providers)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						cfg := testbed.Config(1, providers...)
						cfg.PerRequestTimeout, cfg.StreamCommit = "10s", commit
						s := testbed.NewScripts(t, cfg)
						s.Set("a1", gatewaytest.Steps(tt.steps...))
						path, body := tt.path, tt.body
						if path == "" {
							path = fieldChat
						}
						if body == "" {
							body = testbed.StreamRequest
						}
						got := s.Post(path, body)
						assert.InDelta(t, tt.took, got.Took, float64(100*time.Millisecond))
						res := s.Result()
						switch first := res.ModelsTried[0].RequestsMade[0]; {
						case tt.has != "":
							require.NoError(t, got.Err)
							assert.Contains(t, got.Body, tt.has)
							assert.Equal(t, aigateway.StatusSuccess, res.Status)
							assert.Equal(t, tt.silent, first.EndedSilent, "an end that the gateway made is noted")
							assert.NotContains(t, got.Body, `"error"`)
						case commit == aigateway.StreamCommitFirstContent:
							assert.ErrorIs(t, got.Err, io.ErrUnexpectedEOF)
							assert.Contains(t, got.Body, `stream_broken`)
							assert.Equal(t, aigateway.CodeStreamBroken, res.Error.Code)
						case len(providers) == 2:
							require.NoError(t, got.Err)
							assert.Contains(t, got.Body, "from b1")
							assert.Contains(t, first.Error, "per_request_timeout")
						default:
							assert.Equal(t, http.StatusGatewayTimeout, got.Status)
						}
					})
				})
			}
		}
	}
}

// TestFieldEventsUnderOtherTypes: where the client asked for a stream, events are
// events under any type.
func TestFieldEventsUnderOtherTypes(t *testing.T) {
	chat := gatewaytest.ChatRole + gatewaytest.ChatDelta("the answer") + gatewaytest.ChatStop + gatewaytest.ChatDone
	for _, kind := range []string{
		"application/json", "text/html; charset=utf-8", "application/x-ndjson", // vllm#47526, dify#4120
		"", "text/plain", "application/octet-stream", "application/json; charset=utf-8", "text/event-stream;charset=UTF-8", "TEXT/EVENT-STREAM", "application/stream+json", "no type",
	} {
		for _, front := range []string{"", "\n", ": OPENROUTER PROCESSING\n\n", "\ufeff", "retry: 3000\n", "id: 1\n", "event: message\n"} {
			t.Run(fmt.Sprintf("%s/%q", kind, front), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
					s.Set("a1", func(w http.ResponseWriter, _ *http.Request) {
						w.Header()["Content-Type"] = nil
						if kind != "" {
							w.Header().Set("Content-Type", kind)
						}
						// Each event by itself: the first read need not hold the content.
						for event := range strings.SplitAfterSeq(front+chat, "\n\n") {
							gatewaytest.Send(w, event)
						}
					})
					got := testbed.AskStream(s.Harness)
					require.NoError(t, got.Err)
					assert.Equal(t, front+chat, got.Body)
					assert.True(t, strings.HasPrefix(strings.ToLower(got.Header.Get("Content-Type")), "text/event-stream"), got.Header.Get("Content-Type"))
					assert.Equal(t, []string{"a1"}, s.Routes())
					assert.Equal(t, aigateway.StatusSuccess, s.Result().Status)
				})
			})
		}
	}
}

// TestFieldEventsUnasked: an event stream that the client did not ask for is a
// failed attempt (unsloth#6570).
func TestFieldEventsUnasked(t *testing.T) {
	part := "--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n"
	form := fmt.Sprintf(part, "model", "m") + fmt.Sprintf(part, "file", "x")
	chat := gatewaytest.ChatDelta("x") + gatewaytest.ChatStop + gatewaytest.ChatDone
	transcript := "data: {\"type\":\"transcript.text.delta\",\"delta\":\"x\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"x\"}\n\n"
	speech := "data: {\"type\":\"speech.audio.delta\",\"audio\":\"SUQz\"}\n\ndata: {\"type\":\"speech.audio.done\"}\n\n"
	for _, tt := range []struct {
		name, path, body, kind string // of the request
		events                 string
		asked                  bool
	}{
		{"chat", fieldChat, `{"model":"m"}`, "", chat, false},
		{"chat, stream false", fieldChat, `{"model":"m","stream":false}`, "", chat, false},
		{"chat, stream null", fieldChat, `{"model":"m","stream":null}`, "", chat, false},
		{"chat, asked", fieldChat, `{"model":"m","stream":true}`, "", chat, true},
		{"chat, asked in quotes, as vLLM takes it (vllm#1273)", fieldChat, `{"model":"m","stream":"true"}`, "", chat, true},
		{"chat, asked by a number", fieldChat, `{"model":"m","stream":1}`, "", chat, true},
		{"chat, asked with a false in quotes", fieldChat, `{"model":"m","stream":"false"}`, "", chat, false},
		{"chat, asked in the query", fieldChat + "?stream=true", `{"model":"m"}`, "", chat, true},
		{"completions", "/v1/completions", `{"model":"m"}`, "", "data: {\"choices\":[{\"text\":\"x\",\"finish_reason\":\"stop\"}]}\n\n" + gatewaytest.ChatDone, false},
		{"responses", fieldResponses, `{"model":"m"}`, "", fieldMessage("response.output_text.delta", `"delta":"x"`) + fieldMessage("response.completed", `"response":{}`), false},
		{"messages", fieldMessages, `{"model":"m"}`, "", fieldMessage("message_start", `"message":{}`) + fieldMessage("message_stop", ""), false},
		{"transcriptions", "/v1/audio/transcriptions", form + "--b--\r\n", "multipart/form-data; boundary=b", transcript, false},
		{"transcriptions, asked", "/v1/audio/transcriptions", form + fmt.Sprintf(part, "stream", "true") + "--b--\r\n", "multipart/form-data; boundary=b", transcript, true},
		{"speech", "/v1/audio/speech", `{"model":"m"}`, "", speech, false},
		{"speech, asked", "/v1/audio/speech", `{"model":"m","stream_format":"sse"}`, "", speech, true},
	} {
		for _, kind := range []string{"text/event-stream", "application/json", "text/plain"} {
			if tt.name == "speech" && kind == "text/plain" || strings.HasPrefix(tt.name, "speech, asked") && kind != "text/event-stream" {
				continue // bytes of a sound are not looked at
			}
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
					s.Set("a1", gatewaytest.Content(kind, tt.events))
					var header []string
					if tt.kind != "" {
						header = []string{"Content-Type", tt.kind}
					}
					got := s.Post(tt.path, tt.body, header...)
					require.NoError(t, got.Err)
					assert.Equal(t, 200, got.Status, got.Body)
					if tt.asked {
						assert.Equal(t, tt.events, got.Body)
						assert.Equal(t, []string{"a1"}, s.Routes())
						return
					}
					assert.Equal(t, []string{"a1", "b1"}, s.Routes())
					assert.NotContains(t, got.Body, "data: ")

					s.Set("b1", gatewaytest.Content(kind, tt.events))
					got = s.Post(tt.path, tt.body, header...)
					assert.Equal(t, 503, got.Status, got.Body)
				})
			})
		}
	}
}
