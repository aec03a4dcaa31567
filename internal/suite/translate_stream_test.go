package suite_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
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

// translateStreams are the streams of a provider of each format: a text and two
// calls. The last event is the end.
var translateStreams = map[string][]string{
	"chat": {
		`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"It "},"finish_reason":null}]}`,
		`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"rains."},"finish_reason":null}]}`,
		`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c3","type":"function","function":{"name":"weather","arguments":""}}]},"finish_reason":null}]}`,
		`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"Rome\"}"}}]},"finish_reason":null}]}`,
		`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"c4","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}}]},"finish_reason":null}]}`,
		`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`,
		`data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42}}`,
		`data: [DONE]`,
	},
	"messages": {
		"event: message_start\n" + `data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":30,"output_tokens":1}}}`,
		"event: content_block_start\n" + `data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"It rains."}}`,
		"event: content_block_stop\n" + `data: {"type":"content_block_stop","index":0}`,
		"event: content_block_start\n" + `data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"c3","name":"weather","input":{}}}`,
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Rome\"}"}}`,
		"event: content_block_stop\n" + `data: {"type":"content_block_stop","index":1}`,
		"event: content_block_start\n" + `data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"c4","name":"weather","input":{}}}`,
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\":\"Oslo\"}"}}`,
		"event: content_block_stop\n" + `data: {"type":"content_block_stop","index":2}`,
		"event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":12}}`,
		"event: message_stop\n" + `data: {"type":"message_stop"}`,
	},
	"responses": {
		"event: response.created\n" + `data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}`,
		"event: response.output_item.added\n" + `data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","status":"in_progress","content":[]}}`,
		"event: response.content_part.added\n" + `data: {"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}`,
		"event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"It rains."}`,
		"event: response.output_text.done\n" + `data: {"type":"response.output_text.done","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"text":"It rains."}`,
		"event: response.output_item.added\n" + `data: {"type":"response.output_item.added","sequence_number":5,"output_index":1,"item":{"type":"function_call","id":"fc_3","call_id":"c3","name":"weather","arguments":"","status":"in_progress"}}`,
		"event: response.function_call_arguments.delta\n" + `data: {"type":"response.function_call_arguments.delta","sequence_number":6,"item_id":"fc_3","output_index":1,"delta":"{\"city\":\"Rome\"}"}`,
		"event: response.output_item.done\n" + `data: {"type":"response.output_item.done","sequence_number":7,"output_index":1,"item":{"type":"function_call","id":"fc_3","call_id":"c3","name":"weather","arguments":"{\"city\":\"Rome\"}","status":"completed"}}`,
		"event: response.output_item.added\n" + `data: {"type":"response.output_item.added","sequence_number":8,"output_index":2,"item":{"type":"function_call","id":"fc_4","call_id":"c4","name":"weather","arguments":"","status":"in_progress"}}`,
		"event: response.function_call_arguments.delta\n" + `data: {"type":"response.function_call_arguments.delta","sequence_number":9,"item_id":"fc_4","output_index":2,"delta":"{\"city\":\"Oslo\"}"}`,
		"event: response.output_item.done\n" + `data: {"type":"response.output_item.done","sequence_number":10,"output_index":2,"item":{"type":"function_call","id":"fc_4","call_id":"c4","name":"weather","arguments":"{\"city\":\"Oslo\"}","status":"completed"}}`,
		"event: response.completed\n" + `data: {"type":"response.completed","sequence_number":11,"response":{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[],"usage":{"input_tokens":30,"output_tokens":12,"total_tokens":42}}}`,
	},
}

// translateEnd is the last event of a whole answer, by the client's path.
var translateEnd = map[string]string{
	"/v1/chat/completions": "data: [DONE]\n\n", "/v1/messages": `{"type":"message_stop"}` + "\n\n", "/v1/responses": `"type":"response.completed"`,
}

func translateEvents(pair string) []string {
	_, upstream, _ := strings.Cut(pair, "-to-")
	var out []string
	for _, e := range translateStreams[upstream] {
		out = append(out, e+"\n\n")
	}
	return out
}

func translateAskStream(request string) string {
	return strings.Replace(request, `{"model":`, `{"stream":true,"model":`, 1)
}

// translateStart starts a gateway with one provider, in a bubble.
func translateStart(t *testing.T, c translateCase, edit func(*aigateway.Config), h http.HandlerFunc) (*gatewaytest.Harness, <-chan *aigateway.Result) {
	cfg := testbed.Config(1, "a")
	cfg.Providers[0].SupportedAPISurfaces, cfg.Providers[0].Translate = c.speaks, aigateway.TranslateOn
	cfg.Providers[0].Models[0].IDAliases = []string{"claude-x", "gpt-x"}
	if edit != nil {
		edit(&cfg)
	}
	results := requestResults(&cfg)
	return testbed.Start(t, cfg, testbed.Hosts{"a": h}, nil), results
}

// TestTranslatedStreams: a stream reaches the client event by event in its own format,
// however it comes, and the gateway meters it as it came.
func TestTranslatedStreams(t *testing.T) {
	for _, c := range translateCases() {
		whole := strings.Join(translateEvents(c.pair), "")
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		io.WriteString(z, whole)
		require.NoError(t, z.Close())
		for _, tt := range []struct {
			name   string
			answer http.HandlerFunc
			edit   func(*aigateway.Config)
		}{
			{"event by event", gatewaytest.Stream(translateEvents(c.pair)...), nil},
			{"single bytes", gatewaytest.Stream(strings.Split(whole, "")...), nil},
			{"CRLF", gatewaytest.Stream(strings.ReplaceAll(whole, "\n", "\r\n")), nil},
			{"gzip", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.Header().Set("Content-Type", "text/event-stream")
				w.Write(packed.Bytes())
			}, nil},
			{"held until it is whole", gatewaytest.Stream(whole), func(cfg *aigateway.Config) { cfg.StreamCommit = aigateway.StreamCommitComplete }},
			{"comments and pings", gatewaytest.Stream(": hi\n\n" + strings.ReplaceAll(whole, "\n\n", "\n\n: keep-alive\n\n")), nil},
		} {
			t.Run(c.pair+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					harness, results := translateStart(t, c, tt.edit, tt.answer)
					got := harness.Post(c.path, translateAskStream(c.request))
					require.NoError(t, got.Err)
					require.Equal(t, 200, got.Status, got.Body)
					assert.Equal(t, "text/event-stream", got.Header.Get("Content-Type"))
					assert.Empty(t, got.Header.Get("Content-Encoding"))
					assert.Equal(t, c.pair, got.Header.Get(translateMark))
					assert.Contains(t, got.Body, translateEnd[c.path])
					text := strings.ReplaceAll(got.Body, `\"`, `"`)
					for _, fact := range []string{`"c3"`, `"c4"`, `{"city":"Rome"}`, `{"city":"Oslo"}`, "rains."} {
						assert.Contains(t, text, fact)
					}
					for _, line := range regexp.MustCompile(`(?m)^data: (.*)$`).FindAllStringSubmatch(got.Body, -1) {
						assert.True(t, line[1] == "[DONE]" || json.Valid([]byte(line[1])), line[1])
					}
					res := <-results
					assert.Equal(t, aigateway.StatusSuccess, res.Status, res.Error)
					assert.Equal(t, []int64{30, 12}, []int64{res.InputTokens, res.OutputTokens})
				})
			})
		}
	}
}

// TestTranslatedStreamsFlow: nothing waits for the event after it.
func TestTranslatedStreamsFlow(t *testing.T) {
	for _, c := range translateCases() {
		t.Run(c.pair, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness, _ := translateStart(t, c, nil, gatewaytest.SlowEvents(10*time.Second, translateEvents(c.pair)...))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				begin := time.Now()
				resp, err := harness.Open(ctx, c.path, translateAskStream(c.request))
				require.NoError(t, err)
				defer resp.Body.Close()
				buf := make([]byte, 64<<10)
				for seen := ""; !strings.Contains(seen, "It "); {
					n, err := resp.Body.Read(buf)
					require.NoError(t, err)
					seen += string(buf[:n])
				}
				first := slices.IndexFunc(translateEvents(c.pair), func(e string) bool { return strings.Contains(e, "It ") })
				assert.LessOrEqual(t, time.Since(begin), time.Duration(first+1)*10*time.Second)
			})
		})
	}
}

// TestTranslatedStreamsBreak: wherever a stream breaks, the client gets an error event
// of its format and an aborted connection, and never the end of a whole answer.
func TestTranslatedStreamsBreak(t *testing.T) {
	for _, c := range translateCases() {
		events := translateEvents(c.pair)
		last := len(events) - 1
		if strings.HasSuffix(c.pair, "-to-chat") {
			last = 5 // a finish reason is an end too, where the body ends
		}
		for n := range events[:last] {
			for name, breaks := range map[string]func(){"ends": func() {}, "aborts": func() { panic(http.ErrAbortHandler) }} {
				front := strings.Join(events[:n+1], "")
				t.Run(c.pair+"/"+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						harness, results := translateStart(t, c, nil, func(w http.ResponseWriter, _ *http.Request) {
							gatewaytest.StartStream(w)
							gatewaytest.Send(w, front)
							breaks()
						})
						got := harness.Post(c.path, translateAskStream(c.request))
						res := <-results
						assert.Equal(t, aigateway.StatusError, res.Status)
						assert.NotContains(t, got.Body, translateEnd[c.path])
						if res.Error.Code != aigateway.CodeStreamBroken {
							assert.GreaterOrEqual(t, got.Status, 500, "nothing was committed")
							return
						}
						require.Error(t, got.Err, "the connection is aborted")
						assert.Contains(t, got.Body, "broke off")
						translateErrorEvent(t, c.path, got.Body)
					})
				})
			}
		}
	}
}

// translateErrorEvent checks that a stream ends in an error event of the client's
// format.
func translateErrorEvent(t *testing.T, path, stream string) {
	t.Helper()
	events := strings.Split(strings.TrimRight(stream, "\n"), "\n\n")
	last := events[len(events)-1]
	switch path {
	case "/v1/messages":
		assert.True(t, strings.HasPrefix(last, "event: error\n"), last)
		assert.Contains(t, last, `"type":"error"`)
	case "/v1/responses":
		assert.Regexp(t, `^event: (error|response\.failed)\n`, last)
		assert.Contains(t, last, `"sequence_number"`)
	default:
		assert.Contains(t, last, `"error":{`)
	}
}

// TestTranslatedStreamErrors: an error event of the upstream's reaches the client in
// its format. As the first event it is an answer with a status, and fails over.
func TestTranslatedStreamErrors(t *testing.T) {
	failed := map[string]string{
		"chat":      `data: {"error":{"message":"too much","type":"server_error","code":503}}` + "\n\n",
		"messages":  "event: error\n" + `data: {"type":"error","error":{"type":"overloaded_error","message":"too much"}}` + "\n\n",
		"responses": "event: error\n" + `data: {"type":"error","sequence_number":3,"code":"server_error","message":"too much","param":null}` + "\n\n",
	}
	for _, c := range translateCases() {
		_, upstream, _ := strings.Cut(c.pair, "-to-")
		for _, n := range []int{0, 4} {
			t.Run(c.pair, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					harness, results := translateStart(t, c, nil, gatewaytest.Stream(append(translateEvents(c.pair)[:n:n], failed[upstream])...))
					got := harness.Post(c.path, translateAskStream(c.request))
					res := <-results
					assert.Contains(t, got.Body, "too much")
					assert.NotContains(t, got.Body, translateEnd[c.path])
					assert.Equal(t, aigateway.StatusError, res.Status)
					if n > 0 {
						assert.Equal(t, aigateway.CodeStreamBroken, res.Error.Code)
						translateErrorEvent(t, c.path, got.Body)
					}
				})
			})
		}
	}
}

// TestTranslatedStreamsUnread: an event that cannot be read ends the stream in an error.
func TestTranslatedStreamsUnread(t *testing.T) {
	c := translateCases()[0]
	events := translateEvents(c.pair)
	synctest.Test(t, func(t *testing.T) {
		harness, results := translateStart(t, c, nil, gatewaytest.Stream(events[0], `data: {"choices":[{"index":0,"delta":{"content":`+"\n\n", events[5], events[7]))
		got := harness.Post(c.path, translateAskStream(c.request))
		require.Error(t, got.Err)
		translateErrorEvent(t, c.path, got.Body)
		assert.NotContains(t, got.Body, "message_stop")
		assert.Equal(t, aigateway.CodeStreamBroken, (<-results).Error.Code)
	})
}

// TestTranslatedSilentEnd: a chat stream without [DONE] is over after its finish
// grace, and whole.
func TestTranslatedSilentEnd(t *testing.T) {
	c := translateCases()[0]
	front := gatewaytest.ChatDelta("hi") + gatewaytest.ChatStop + `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}` + "\n\n"
	synctest.Test(t, func(t *testing.T) {
		harness, results := translateStart(t, c, nil, func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.StartStream(w)
			gatewaytest.Send(w, front)
			<-r.Context().Done()
		})
		got := harness.Post(c.path, translateAskStream(c.request))
		require.NoError(t, got.Err)
		assert.Contains(t, got.Body, "message_stop")
		assert.Equal(t, 2*time.Second, got.Took)
		res := <-results
		assert.Equal(t, aigateway.StatusSuccess, res.Status)
		assert.True(t, res.ModelsTried[0].RequestsMade[0].EndedSilent)
	})
}

// TestTranslatedKeepalives: comments come in the silences of a translated stream, also
// before its first event. An error behind them is an event of the client's format.
func TestTranslatedKeepalives(t *testing.T) {
	c := translateCases()[0]
	keep := func(cfg *aigateway.Config) { cfg.StreamKeepalive = "1s" }
	t.Run("stream", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			harness, results := translateStart(t, c, keep, func(w http.ResponseWriter, r *http.Request) {
				gatewaytest.Pass(3500 * time.Millisecond)
				gatewaytest.SlowEvents(1500*time.Millisecond, translateEvents(c.pair)...)(w, r)
			})
			got := harness.Post(c.path, translateAskStream(c.request))
			require.NoError(t, got.Err)
			assert.True(t, strings.HasPrefix(got.Body, keepAlivePing+keepAlivePing), got.Body)
			assert.Greater(t, strings.Count(got.Body, keepAlivePing), 6)
			assert.Contains(t, got.Body, "message_stop")
			assert.NotRegexp(t, `[^\n]\nevent: ping`, got.Body, "none within an event")
			assert.Equal(t, aigateway.StatusSuccess, (<-results).Status)
		})
	})
	t.Run("whole", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			harness, results := translateStart(t, c, keep, func(w http.ResponseWriter, r *http.Request) {
				gatewaytest.Pass(3500 * time.Millisecond)
				gatewaytest.JSON(200, c.answer)(w, r)
			})
			got := harness.Post(c.path, translateAskStream(c.request))
			require.NoError(t, got.Err)
			assert.True(t, strings.HasPrefix(got.Body, strings.Repeat(keepAlivePing, 3)+"event: message_start\n"), got.Body)
			assert.Equal(t, 3, strings.Count(got.Body, keepAlivePing))
			assert.True(t, strings.HasSuffix(got.Body, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), got.Body)
			assert.Equal(t, aigateway.StatusSuccess, (<-results).Status)
		})
	})
	t.Run("error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			harness, _ := translateStart(t, c, keep, func(w http.ResponseWriter, r *http.Request) {
				gatewaytest.Pass(3500 * time.Millisecond)
				gatewaytest.Error(500, "boom", "boom")(w, r)
			})
			got := harness.Post(c.path, translateAskStream(c.request))
			require.Error(t, got.Err)
			translateErrorEvent(t, c.path, got.Body)
		})
	})
}

// TestTranslatedClientLeaves: a client that leaves ends the upstream's stream.
func TestTranslatedClientLeaves(t *testing.T) {
	c := translateCases()[0]
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan error, 1)
		harness, results := translateStart(t, c, nil, func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.StartStream(w)
			gatewaytest.Send(w, gatewaytest.ChatDelta("hi"))
			<-r.Context().Done()
			gone <- r.Context().Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := harness.Open(ctx, c.path, translateAskStream(c.request))
		require.NoError(t, err)
		cancel()
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		assert.True(t, errors.Is(err, context.Canceled), err)
		assert.Error(t, <-gone)
		assert.Equal(t, aigateway.CodeClientGone, (<-results).Error.Code)
	})
}

// TestTranslatedStreamsOfWholeAnswers: a server that does not stream answers a client that
// does. Its SDK reads nothing but a stream.
func TestTranslatedStreamsOfWholeAnswers(t *testing.T) {
	for _, c := range translateCases() {
		t.Run(c.pair, func(t *testing.T) {
			var cfg aigateway.Config
			translateProvider(t, &cfg, "p", aigateway.TranslateStrict, c.speaks, gatewaytest.JSON(200, c.answer))
			results := requestResults(&cfg)
			resp, got := requestPost(t, testbed.Serve(t, cfg)+c.path, nil, strings.Replace(c.request, "{", `{"stream":true,`, 1))
			require.Equal(t, http.StatusOK, resp.StatusCode, got)
			assert.Equal(t, c.pair, resp.Header.Get(translateMark))
			assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
			assert.True(t, strings.HasPrefix(got, "data: {") || strings.HasPrefix(got, "event: "), got)
			for _, fact := range []string{"It rains.", "c3", "c4", "Rome", "Oslo"} {
				assert.Contains(t, got, fact)
			}
			end := map[string]string{"/v1/chat/completions": "data: [DONE]", "/v1/responses": "event: response.completed", "/v1/messages": "event: message_stop"}
			assert.Contains(t, got, end[c.path])
			res := <-results
			assert.Equal(t, aigateway.StatusSuccess, res.Status, res.Error)
			assert.Equal(t, []int64{30, 12}, []int64{res.InputTokens, res.OutputTokens})
		})
	}
}
