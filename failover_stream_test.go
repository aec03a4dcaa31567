package aigateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// Whole streams of the three dialects; the first event says nothing yet.
var (
	streamChat = []string{
		gatewaytest.ChatRole, gatewaytest.ChatDelta("Hel"), ": still here\n\n", gatewaytest.ChatDelta("lo \u2713"),
		gatewaytest.ChatStop, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n", gatewaytest.ChatDone,
	}
	streamResponses = []string{
		streamEvent("response.created", `"response":{"id":"r"}`),
		streamEvent("response.output_text.delta", `"delta":"Hel"`), streamEvent("response.output_text.delta", `"delta":"lo"`),
		streamEvent("response.completed", `"response":{"id":"r","usage":{"input_tokens":9,"output_tokens":3}}`),
	}
	streamMessages = []string{
		streamEvent("message_start", `"message":{"id":"m","usage":{"input_tokens":9,"output_tokens":1}}`),
		streamEvent("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"Hel"}`),
		streamEvent("ping", ""), streamEvent("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"lo"}`),
		streamEvent("message_delta", `"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}`),
		streamEvent("message_stop", ""),
	}
)

// Each event reaches the client before the next one exists: the upstream waits
// until the client has seen it. A gateway that buffers hangs.
func TestStreamTokenByToken(t *testing.T) {
	for path, events := range map[string][]string{
		"/v1/chat/completions": streamChat, "/v1/responses": streamResponses, "/v1/messages": streamMessages,
	} {
		t.Run(path, func(t *testing.T) {
			seen := make(chan struct{})
			up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				gatewaytest.StartStream(w)
				for i, e := range events {
					gatewaytest.Send(w, e)
					if i == 0 || i == len(events)-1 {
						continue // held until the next; nothing comes after
					}
					select {
					case <-seen:
					case <-r.Context().Done():
						return
					}
				}
			})
			gateway := testbed.ServeAt(t, up.URL, testbed.Config(1, "a"))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			resp := streamOpen(t, ctx, gateway, path)
			assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
			var got strings.Builder
			for i := 1; i < len(events); i++ {
				next := events[i]
				if i == 1 {
					next = events[0] + next
				}
				piece := make([]byte, len(next))
				_, err := io.ReadFull(resp.Body, piece)
				require.NoError(t, err, "after %q", got.String())
				got.Write(piece)
				if i < len(events)-1 {
					seen <- struct{}{}
				}
			}
			rest, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Empty(t, rest)
			assert.Equal(t, strings.Join(events, ""), got.String(), "the bytes are the upstream's")
		})
	}
}

// A client that leaves ends the upstream's request and its connection.
func TestStreamClientLeaves(t *testing.T) {
	gone, closed := make(chan struct{}), make(chan struct{})
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		gatewaytest.StartStream(w)
		gatewaytest.Send(w, gatewaytest.ChatDelta("Hel"))
		<-r.Context().Done()
		close(gone)
	}))
	up.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			close(closed)
		}
	}
	up.Start()
	defer up.Close()
	gateway := testbed.ServeAt(t, up.URL, testbed.Config(1, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	resp := streamOpen(t, ctx, gateway, "/v1/chat/completions")
	_, err := io.ReadFull(resp.Body, make([]byte, len(gatewaytest.ChatDelta("Hel"))))
	require.NoError(t, err)
	cancel()
	for _, ended := range []chan struct{}{gone, closed} {
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Fatal("the upstream's request goes on")
		}
	}
}

// If the upstream reports the error itself and ends the stream properly, the
// client gets its events unchanged. An aborted connection could lose them, and
// does in SDKs that read ahead. The Result still has the stream as broken.
func TestStreamTellsItsError(t *testing.T) {
	for path, events := range map[string]string{
		"/v1/chat/completions": strings.Join(streamChat[:2], "") + "data: {\"error\":{\"message\":\"died\"}}\n\n",
		"/v1/messages":         strings.Join(streamMessages[:3], "") + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"died\"}}\n\n",
	} {
		up := gatewaytest.NewUpstream(t, gatewaytest.Stream(events))
		cfg := testbed.Config(2, "a")
		done := make(chan *aigateway.Result, 1)
		cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { done <- res }}
		resp := streamOpen(t, t.Context(), testbed.ServeAt(t, up.URL, cfg), path)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, events, string(got))
		res := <-done
		require.NotNil(t, res.Error)
		assert.Equal(t, aigateway.CodeStreamBroken, res.Error.Code)
		assert.Nil(t, res.Success)
	}
}

// A committed stream that breaks never looks complete. The connection is
// aborted, after an error event if one can stand there.
func TestStreamBreaks(t *testing.T) {
	const (
		chatEvent      = "data: {\"error\":{\"message\":"
		responsesEvent = "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":"
		messagesEvent  = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":"
	)
	some := func(events []string, n int) string { return strings.Join(events[:n], "") }
	crlf := strings.ReplaceAll(some(streamChat, 2), "\n", "\r\n")
	tests := []struct {
		name, path, sent string
		clean            bool   // the upstream ends as if all were well
		event            string // how the error event begins; empty: there is none
	}{
		{"chat, reset", "/v1/chat/completions", some(streamChat, 2), false, chatEvent},
		{"chat, clean end", "/v1/chat/completions", some(streamChat, 2), true, chatEvent},
		{"chat, CRLF", "/v1/chat/completions", crlf, false, chatEvent},
		{"chat, within an event", "/v1/chat/completions", some(streamChat, 2) + `data: {"choi`, false, ""},
		{"chat, between lines", "/v1/chat/completions", some(streamChat, 2) + "event: x\n", false, ""},
		{"chat, clean end within an event", "/v1/chat/completions", some(streamChat, 2) + `data: {"choi`, true, ""},
		{"chat, after a finish reason", "/v1/chat/completions", some(streamChat, 5), false, chatEvent},
		{"chat, reset after the upstream's own error", "/v1/chat/completions",
			some(streamChat, 2) + "data: {\"error\":{\"message\":\"died\"}}\n\n", false, ""},
		{"responses, reset", "/v1/responses", some(streamResponses, 2), false, responsesEvent},
		{"responses, clean end", "/v1/responses", some(streamResponses, 3), true, responsesEvent},
		{"responses, [DONE] is no end", "/v1/responses", some(streamResponses, 3) + gatewaytest.ChatDone, true, responsesEvent},
		{"messages, reset", "/v1/messages", some(streamMessages, 2), false, messagesEvent},
		{"messages, clean end", "/v1/messages", some(streamMessages, 4), true, messagesEvent},
		{"messages, clean end after the stop reason", "/v1/messages", some(streamMessages, 5), true, messagesEvent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				if !tt.clean {
					w.Header().Set("Content-Length", "100000") // no promise of the gateway's
				}
				gatewaytest.StartStream(w)
				gatewaytest.Send(w, tt.sent)
				if !tt.clean {
					panic(http.ErrAbortHandler)
				}
			})
			cfg := testbed.Config(2, "a")
			done := make(chan *aigateway.Result, 1)
			cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { done <- res }}
			gateway := testbed.ServeAt(t, up.URL, cfg)
			resp := streamOpen(t, t.Context(), gateway, tt.path)
			assert.EqualValues(t, -1, resp.ContentLength)
			got, err := io.ReadAll(resp.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "a clean end: %q", got)
			event, ok := strings.CutPrefix(string(got), tt.sent)
			require.True(t, ok, "%q", got)
			if tt.event == "" {
				assert.Empty(t, event)
			} else {
				require.True(t, strings.HasPrefix(event, tt.event), event)
				require.True(t, strings.HasSuffix(event, "}\n\n"), event)
				_, data, _ := strings.Cut(event, "data: ")
				e := failoverError(t, data)
				assert.Contains(t, []string{e.Error.Code, e.Error.Details.ErrorCode}, "stream_broken")
				assert.Equal(t, "api_error", e.Error.Type)
			}
			assert.Equal(t, 1, up.Count(), "nothing is tried after the commit")
			res := <-done
			assert.Equal(t, aigateway.StatusError, res.Status)
			assert.Equal(t, aigateway.CodeStreamBroken, res.Error.Code)
			assert.Nil(t, res.Success)
		})
	}
}

// A whole stream ends cleanly, and at once, whatever the upstream does behind it.
func TestStreamEnds(t *testing.T) {
	then := func(after http.HandlerFunc, events ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.Stream(events...)(w, r)
			after(w, r)
		}
	}
	nothing := func(http.ResponseWriter, *http.Request) {}
	tests := []struct {
		name, path string
		events     []string
		after      http.HandlerFunc
		within     time.Duration
		exact      bool
	}{
		{"[DONE]", "/v1/chat/completions", streamChat, nothing, 0, true},
		{"[DONE], still open", "/v1/chat/completions", streamChat, gatewaytest.Silence, 100 * time.Millisecond, false},
		{"[DONE], then pings for ever", "/v1/chat/completions", streamChat,
			gatewaytest.SlowEvents(10*time.Millisecond, strings.SplitAfter(strings.Repeat(": ping\n\n", 500), "\n\n")...), 100 * time.Millisecond, false},
		{"[DONE], then reset", "/v1/chat/completions", streamChat, gatewaytest.Abort, 0, true},
		{"no [DONE]", "/v1/chat/completions", streamChat[:6], nothing, 0, true},
		{"no [DONE], still open", "/v1/chat/completions", streamChat[:6], gatewaytest.Silence, 2 * time.Second, true},
		{"responses, still open", "/v1/responses", streamResponses, gatewaytest.Silence, 100 * time.Millisecond, false},
		{"messages, still open", "/v1/messages", streamMessages, gatewaytest.Silence, 100 * time.Millisecond, false},
		{"whole without content", "/v1/chat/completions", []string{gatewaytest.ChatRole, gatewaytest.ChatStop, gatewaytest.ChatDone}, nothing, 0, true},
	}
	for _, tt := range tests {
		for _, mode := range []aigateway.StreamCommit{aigateway.StreamCommitFirstContent, aigateway.StreamCommitComplete} {
			t.Run(tt.name+", "+string(mode), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a", "b")
					cfg.StreamCommit = mode
					var res *aigateway.Result
					cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
					harness := testbed.Start(t, cfg, testbed.Hosts{"a": then(tt.after, tt.events...), "b": gatewaytest.Chat("b")}, nil)
					got := harness.Post(tt.path, testbed.StreamRequest)
					require.NoError(t, got.Err)
					front := strings.Join(tt.events, "")
					require.True(t, strings.HasPrefix(got.Body, front), got.Body)
					assert.Empty(t, strings.ReplaceAll(got.Body[len(front):], ": ping\n\n", ""))
					assert.LessOrEqual(t, got.Took, tt.within)
					if tt.exact {
						assert.Equal(t, tt.within, got.Took)
					}
					assert.Equal(t, []string{"a1"}, harness.Routes())
					assert.Equal(t, aigateway.StatusSuccess, res.Status)
					require.NotNil(t, res.Success)
					if len(tt.events) > 3 {
						assert.Equal(t, []int64{9, 3}, []int64{res.InputTokens, res.OutputTokens})
					}
				})
			})
		}
	}
}

// SDKs close the connection after reading the end. The request is a success.
func TestStreamClientLeavesAfterTheEnd(t *testing.T) {
	for path, events := range map[string][]string{
		"/v1/chat/completions": streamChat, "/v1/responses": streamResponses, "/v1/messages": streamMessages,
	} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				var res *aigateway.Result
				cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.SlowEvents(0, events...)}, nil)
				ctx, cancel := context.WithCancel(t.Context())
				resp, err := harness.Open(ctx, path, testbed.StreamRequest)
				require.NoError(t, err)
				_, err = io.ReadFull(resp.Body, make([]byte, len(strings.Join(events, ""))))
				require.NoError(t, err)
				cancel()
				resp.Body.Close()
				synctest.Wait()
				require.NotNil(t, res)
				assert.Equal(t, aigateway.StatusSuccess, res.Status, res.Error)
				assert.NotNil(t, res.Success)
			})
		})
	}
}

// The client never sees a failure before the first content.
func TestStreamHeld(t *testing.T) {
	abort := func(events ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.Stream(events...)(w, r)
			panic(http.ErrAbortHandler)
		}
	}
	const errorEvent = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"
	roles := func(n int) []string { return strings.SplitAfter(strings.Repeat(gatewaytest.ChatRole, n), "\n\n")[:n] }
	comment := ": " + strings.Repeat("x", 1021) + "\n" // 1 KiB
	tests := []struct {
		name, path string
		a          http.HandlerFunc
		b          []string
		committed  string // how the answer begins where a's is too large to hold
	}{
		{"error after the role", "/v1/chat/completions", gatewaytest.Stream(gatewaytest.ChatRole, errorEvent), streamChat, ""},
		{"clean end after the role", "/v1/chat/completions", gatewaytest.Stream(gatewaytest.ChatRole), streamChat, ""},
		{"reset after the role", "/v1/chat/completions", abort(gatewaytest.ChatRole), streamChat, ""},
		{"usage is no content", "/v1/chat/completions", abort(gatewaytest.ChatRole, streamChat[5]), streamChat, ""},
		{"comments are no content", "/v1/chat/completions", abort(": OPENROUTER PROCESSING\n\n", gatewaytest.ChatRole, ": x\n\n"), streamChat, ""},
		{"31 events", "/v1/chat/completions", abort(roles(31)...), streamChat, ""},
		{"32 events", "/v1/chat/completions", abort(roles(32)...), streamChat, gatewaytest.ChatRole},
		{"100 comments", "/v1/chat/completions", abort(strings.Repeat(": ping\n\n", 100)), streamChat, ""},
		{"63 KiB", "/v1/chat/completions", abort(strings.Repeat(comment, 63)), streamChat, ""},
		{"64 KiB", "/v1/chat/completions", abort(strings.Repeat(comment, 64)), streamChat, comment},
		{"response.failed", "/v1/responses", gatewaytest.Stream(streamResponses[0], streamEvent("response.failed", `"response":{"error":{"message":"x"}}`)), streamResponses, ""},
		{"response.created alone", "/v1/responses", abort(streamResponses[0]), streamResponses, ""},
		{"error after message_start", "/v1/messages", gatewaytest.Stream(streamMessages[0], streamMessages[2],
			streamEvent("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`)), streamMessages, ""},
		{"message_start and ping alone", "/v1/messages", abort(streamMessages[0], streamMessages[2]), streamMessages, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := testbed.Start(t, testbed.Config(1, "a", "b"), testbed.Hosts{"a": tt.a, "b": gatewaytest.Stream(tt.b...)}, nil)
				got := harness.Post(tt.path, testbed.StreamRequest)
				require.Equal(t, http.StatusOK, got.Status, got.Body)
				if tt.committed != "" {
					assert.Equal(t, []string{"a1"}, harness.Routes())
					require.ErrorIs(t, got.Err, io.ErrUnexpectedEOF)
					assert.True(t, strings.HasPrefix(got.Body, tt.committed))
					return
				}
				require.NoError(t, got.Err)
				assert.Equal(t, []string{"a1", "b1"}, harness.Routes())
				assert.Equal(t, strings.Join(tt.b, ""), got.Body)
			})
		})
	}
}

// Under stream_commit: complete a stream that breaks half-way is saved.
func TestStreamCommitComplete(t *testing.T) {
	whole := streamChat[1:]
	front := []string{whole[0], whole[2], whole[2]} // no comment, which would be silence
	last := strings.Join(whole[3:], "")             // in one piece: a finish reason alone would end it
	tests := []struct {
		name   string
		a      http.HandlerFunc
		routes []string
		status int
		took   time.Duration
	}{
		{"reset", func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.Stream(front...)(w, r)
			panic(http.ErrAbortHandler)
		}, []string{"a1", "a2", "b1"}, 200, 0},
		{"clean end", gatewaytest.Stream(front...), []string{"a1", "a2", "b1"}, 200, 0},
		{"error event", gatewaytest.Stream(append(front, "data: {\"error\":{\"message\":\"died\"}}\n\n")...), []string{"a1", "a2", "b1"}, 200, 0},
		{"stalled", gatewaytest.SlowEvents(time.Second, front...), []string{"a1", "a2", "b1"}, 200, 16 * time.Second},
		{"slow, but never silent", gatewaytest.SlowEvents(4*time.Second, append(front, last)...), []string{"a1"}, 200, 16*time.Second + 50*time.Millisecond},
		{"past total_timeout", gatewaytest.SlowEvents(4900*time.Millisecond, append(front, append(front, front...)...)...), []string{"a1"}, 504, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(2, "a", "b")
				cfg.StreamCommit, cfg.PerRequestTimeout, cfg.TotalTimeout, cfg.MaxRetries = aigateway.StreamCommitComplete, "5s", "30s", 2
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": tt.a, "b": gatewaytest.Stream(whole...)}, nil)
				begin := time.Now()
				resp, err := harness.Open(t.Context(), "/v1/chat/completions", testbed.StreamRequest)
				require.NoError(t, err)
				defer resp.Body.Close()
				held := time.Since(begin)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				assert.Equal(t, tt.routes, harness.Routes())
				assert.Equal(t, tt.status, resp.StatusCode)
				assert.InDelta(t, tt.took, held, float64(50*time.Millisecond), "nothing is seen before it is whole")
				if tt.status == 200 {
					assert.True(t, strings.HasSuffix(string(body), last), "%s", body)
				}
			})
		})
	}
}

// After the commit per_request_timeout bounds each silence, and nothing the length.
func TestStreamSilence(t *testing.T) {
	pieces := strings.SplitAfter(strings.Repeat(gatewaytest.ChatDelta("x"), 20), "\n\n")[:20]
	for _, tt := range []struct {
		name  string
		pause time.Duration
		tail  []string
		took  time.Duration
		whole bool
	}{
		{"long", 4 * time.Second, []string{strings.Join(streamChat[4:], "")}, 84*time.Second + 50*time.Millisecond, true},
		{"stalled", time.Second, nil, 25 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.PerRequestTimeout, cfg.TotalTimeout, cfg.FirstTokenTimeout = "5s", "20s", "4500ms"
				harness := testbed.Start(t, cfg, testbed.Hosts{
					"a": gatewaytest.SlowEvents(tt.pause, append(pieces[:20:20], tt.tail...)...), "b": gatewaytest.Stream(streamChat...),
				}, nil)
				got := harness.Post("/v1/chat/completions", testbed.StreamRequest)
				assert.Equal(t, 200, got.Status)
				assert.Equal(t, tt.took, got.Took)
				assert.Equal(t, []string{"a1"}, harness.Routes())
				if tt.whole {
					assert.NoError(t, got.Err)
					return
				}
				assert.ErrorIs(t, got.Err, io.ErrUnexpectedEOF)
				assert.Contains(t, got.Body, `"code":"stream_broken"`)
			})
		})
	}
}

func streamEvent(name, members string) string {
	if members != "" {
		members = "," + members
	}
	return "event: " + name + "\ndata: {\"type\":\"" + name + "\"" + members + "}\n\n"
}

func streamOpen(t *testing.T, ctx context.Context, gateway, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, gateway+path, strings.NewReader(testbed.StreamRequest))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// textChoice is a chunk of a choice of a legacy completion that goes on.
func textChoice(index int) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":%d,\"text\":\"t\",\"finish_reason\":null}]}\n\n", index)
}

// finishChoice is the last chunk of a choice of a legacy completion.
func finishChoice(index int, text string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":%d,\"text\":%q,\"finish_reason\":\"stop\"}]}\n\n", index, text)
}

// After a finish reason only two seconds of silence end the answer. Later events
// still reach the client, and half an event is not an end.
func TestStreamAfterFinish(t *testing.T) {
	const usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n"
	const chat, legacy = "/v1/chat/completions", "/v1/completions"
	var eager []any // a finish reason in each of its chunks
	for range 10 {
		eager = append(eager, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"w\"},\"finish_reason\":\"stop\"}]}\n\n", 500*time.Millisecond)
	}
	var pinged []any // nothing but comments
	for range 20 {
		pinged = append(pinged, 500*time.Millisecond, ": ping\n\n")
	}
	var pings []any // events that say nothing
	for range 20 {
		pings = append(pings, 500*time.Millisecond, "event: ping\ndata: {}\n\n")
	}
	const two = `{"model":"m","stream":true,"n":2,"messages":[]}`
	both := "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"},{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	tests := []struct {
		name, path, body string
		cfg              func(*aigateway.Config)
		steps            []any
		want             string // of the answer's end
		took             time.Duration
		broken           bool
	}{
		{name: "a finish reason in each chunk", path: chat, steps: append(eager, gatewaytest.ChatDone), want: gatewaytest.ChatDone, took: 5 * time.Second},
		{name: "usage and end come late", path: chat, want: gatewaytest.ChatDone, took: 3 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, 1500 * time.Millisecond, usage, 1500 * time.Millisecond, gatewaytest.ChatDone}},
		{name: "silence", path: chat, want: usage, took: 3500 * time.Millisecond,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, 1500 * time.Millisecond, usage, time.Hour}},
		{name: "comments say that something comes", path: chat, want: ": ping\n\n", took: 10 * time.Second,
			steps: append([]any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop}, pinged...)},
		{name: "a timeout that is shorter", path: chat, took: time.Second, broken: true,
			cfg: func(c *aigateway.Config) { c.PerRequestTimeout = "1s" }, steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, time.Hour}},
		{name: "so do pings", path: chat, want: "data: {}\n\n", took: 10 * time.Second,
			steps: append([]any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop}, pings...)},
		{name: "an end without its blank line", path: chat, want: "data: [DONE]\n", took: 2 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, "data: [DONE]\n", time.Hour}},
		{name: "an end without its line end", path: chat, want: "data: [DONE]", took: 2 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, "data: [DONE]", time.Hour}},
		{name: "silent within a comment", path: chat, took: 3 * time.Minute, broken: true,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, ": kee", time.Hour}},
		{name: "two choices end in one chunk", path: chat, body: two, want: both, took: 2 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), both, time.Hour}},
		{name: "a choice ends twice", path: chat, body: two, want: gatewaytest.ChatDone, took: 5 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, gatewaytest.ChatStop, 5 * time.Second, both, gatewaytest.ChatDone}},
		{name: "one choice where two were asked for", path: chat, body: two, took: 3 * time.Minute, broken: true,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, time.Hour}},
		{name: "silent within an event", path: chat, took: 3 * time.Minute, broken: true,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, "data: {\"cho", time.Hour}},
		{name: "several prompts", path: legacy, body: `{"model":"m","stream":true,"prompt":["a","b"]}`, want: gatewaytest.ChatDone, took: 3 * time.Second,
			steps: []any{finishChoice(0, "one"), 3 * time.Second, finishChoice(1, "two"), gatewaytest.ChatDone}},
		{name: "several prompts, all ended", path: legacy, body: `{"model":"m","stream":true,"prompt":["a","b"]}`, want: finishChoice(1, ""), took: 2 * time.Second,
			steps: []any{textChoice(0), finishChoice(0, ""), textChoice(1), finishChoice(1, ""), time.Hour}},
		{name: "several prompts, all ended with their texts", path: legacy, body: `{"model":"m","stream":true,"prompt":["a","b"]}`, took: 3 * time.Minute, broken: true,
			steps: []any{finishChoice(0, "one"), finishChoice(1, "two"), time.Hour}},
		{name: "one prompt of tokens", path: legacy, body: `{"model":"m","stream":true,"prompt":[1,2,3]}`, want: finishChoice(0, ""), took: 2 * time.Second,
			steps: []any{textChoice(0), finishChoice(0, ""), time.Hour}},
		{name: "n of the client's", path: legacy, body: `{"model":"m","stream":true,"n":2,"prompt":"a"}`, want: gatewaytest.ChatDone, took: 3 * time.Second,
			steps: []any{finishChoice(0, "one"), 3 * time.Second, finishChoice(1, "two"), gatewaytest.ChatDone}},
		{name: "n of the config's", path: legacy, body: `{"model":"m","stream":true,"n":1,"prompt":"a"}`, want: gatewaytest.ChatDone, took: 3 * time.Second,
			cfg:   func(c *aigateway.Config) { c.Body = map[string]any{"n": 2} },
			steps: []any{finishChoice(0, "one"), 3 * time.Second, finishChoice(1, "two"), gatewaytest.ChatDone}},
	}
	for _, tt := range tests {
		for _, commit := range []aigateway.StreamCommit{aigateway.StreamCommitFirstContent, aigateway.StreamCommitComplete} {
			t.Run(tt.name+"/"+string(commit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(0, "a")
					cfg.StreamCommit = commit
					if tt.cfg != nil {
						tt.cfg(&cfg)
					}
					harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Steps(tt.steps...)}, nil)
					if tt.body == "" {
						tt.body = testbed.StreamRequest
					}
					got := harness.Post(tt.path, tt.body)
					assert.Equal(t, tt.took, got.Took)
					switch {
					case tt.broken && commit == aigateway.StreamCommitComplete:
						assert.Equal(t, 504, got.Status, got.Body)
					case tt.broken:
						assert.Error(t, got.Err)
					default:
						require.NoError(t, got.Err)
						assert.True(t, strings.HasSuffix(got.Body, tt.want), got.Body)
					}
				})
			})
		}
	}
}

// A client that pauses its reading does not make its upstream silent.
func TestStreamAfterFinishToPausingClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usage := "data: {\"choices\":[],\"usage\":{},\"filler\":\"" + strings.Repeat("z", 20_000) + "\"}\n\n"
		harness := testbed.Start(t, testbed.Config(0, "a"), testbed.Hosts{"a": gatewaytest.Steps(
			gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, 10*time.Millisecond, usage, 10*time.Millisecond, gatewaytest.ChatDone)}, nil)
		resp, err := harness.Open(t.Context(), "/v1/chat/completions", testbed.StreamRequest)
		require.NoError(t, err)
		defer resp.Body.Close()
		in := bufio.NewReaderSize(resp.Body, 16)
		for line := ""; !strings.Contains(line, "stop"); {
			line, err = in.ReadString('\n')
			require.NoError(t, err)
		}
		gatewaytest.Pass(3 * time.Second)
		rest, err := io.ReadAll(in)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(string(rest), usage+gatewaytest.ChatDone), "%d bytes", len(rest))
	})
}
