package suite_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// fieldNoAnswers are bodies under status 200 that hold no answer, by path.
var fieldNoAnswers = []struct {
	name, path string
	body       string
}{
	{"choices empty", fieldChat, `{"id":"x","object":"chat.completion","choices":[],"usage":{"prompt_tokens":9}}`},
	{"choices null", fieldChat, `{"choices":null}`},
	{"an empty object", fieldChat, `{}`},
	{"null", fieldChat, `null`},
	{"MiniMax", fieldChat, `{"id":"","choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`},
	{"OpenRouter", fieldChat, `{"choices":[{"message":{"content":""},"finish_reason":"error","error":{"code":502,"message":"Provider returned error"}}]}`},
	{"older vLLM", fieldChat, `{"object":"error","message":"model died","code":500}`},
	{"FastAPI", fieldChat, `{"detail":"Internal error"}`},
	{"Envoy", fieldChat, `{"message":"no healthy upstream"}`},
	{"an array", fieldChat, `[]`},
	{"an array of answers", fieldChat, `[{"choices":[{"message":{"content":"x"}}]}]`},
	{"a string", fieldChat, `"OK"`},
	{"a number", fieldChat, `1`},
	{"true", fieldChat, `true`},
	{"choices an object", fieldChat, `{"choices":{"0":{"message":{"content":"x"}}}}`},
	{"choices of null", fieldChat, `{"choices":[null]}`},
	{"a choice without a message", fieldChat, `{"choices":[{"index":0,"finish_reason":"stop"}]}`},
	{"a message that is null", fieldChat, `{"choices":[{"message":null,"finish_reason":"stop"}]}`},
	{"an error object", fieldChat, `{"error":{"message":"boom"}}`},
	{"an error text", fieldChat, `{"error":"boom"}`},
	{"an error beside choices", fieldChat, `{"error":{"message":"boom"},"choices":[]}`},
	{"Google's list", fieldChat, `[{"error":{"code":500,"message":"boom","status":"INTERNAL"}}]`},
	{"type error", fieldChat, `{"type":"error","message":"boom"}`},
	{"code and msg", fieldChat, `{"code":500,"msg":"404 NOT_FOUND","success":false}`},
	{"Zhipu", fieldChat, `{"choices":[{"message":{"content":""},"finish_reason":"network_error"}]}`},
	{"DeepSeek", fieldChat, `{"choices":[{"message":{"content":""},"finish_reason":"insufficient_system_resource"}]}`},
	{"vLLM", fieldChat, `{"choices":[{"message":{"content":null},"finish_reason":"abort"}]}`},
	{"a login", fieldChat, `{"redirect":"/login"}`},
	{"an answer of another surface", fieldChat, `{"type":"message","content":[{"type":"text","text":"x"}]}`},

	{"choices empty", "/v1/completions", `{"choices":[]}`},
	{"no text", "/v1/completions", `{"choices":[{"index":0,"finish_reason":"stop"}]}`},
	{"no data", "/v1/embeddings", `{"object":"list","data":[]}`},
	{"data null", "/v1/embeddings", `{"object":"list","data":null,"usage":{"total_tokens":1}}`},
	{"an empty object", "/v1/embeddings", `{}`},
	{"failed", fieldResponses, `{"id":"r","object":"response","status":"failed","error":{"code":"server_error","message":"boom"},"output":[]}`},
	{"no status", fieldResponses, `{"id":"r","object":"response"}`},
	{"an empty object", fieldResponses, `{}`},
	{"a detail", fieldResponses, `{"detail":"Stream must be set to true"}`},
	{"type error", fieldMessages, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`},
	{"no type", fieldMessages, `{"content":[{"type":"text","text":"x"}]}`},
	{"an empty object", fieldMessages, `{}`},
	{"an answer of another surface", fieldMessages, `{"choices":[{"message":{"content":"x"}}]}`},
	{"no tokens", "/v1/messages/count_tokens", `{}`},
	{"an error", "/v1/messages/count_tokens", `{"error":"not supported"}`},
	{"no data", "/v1/images/generations", `{"created":1,"data":[]}`},
	{"no results", "/v1/moderations", `{"id":"x"}`},
	{"no results", "/v1/rerank", `{"id":"x"}`},
	{"no text", "/v1/audio/transcriptions", `{"duration":1}`},
	{"an error", "/v1/audio/speech", `{"error":{"message":"boom"}}`},
	{"an error", "/v1/audio/diarize", `{"error":{"message":"boom"}}`},
}

// TestFieldNoAnswers: an answer is judged by what its surface must have. One that
// has not is a failed attempt, in JSON and to a request for a stream.
func TestFieldNoAnswers(t *testing.T) {
	for _, tt := range fieldNoAnswers {
		for _, stream := range []bool{false, true} {
			for _, kind := range []string{"application/json", "text/plain; charset=utf-8"} {
				if kind == "text/plain; charset=utf-8" && (strings.Contains(tt.path, "/audio/") || strings.Contains(tt.path, "/images/")) {
					continue // text is an answer there, or bytes are
				}
				t.Run(fmt.Sprintf("%s%s/stream %t/%s", tt.name, tt.path, stream, kind), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						body := fmt.Sprintf(`{"model":"m","stream":%t}`, stream)
						s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
						s.Set("a1", gatewaytest.Content(kind, tt.body))
						got := s.Post(tt.path, body)
						require.NoError(t, got.Err)
						assert.Equal(t, http.StatusOK, got.Status, got.Body)
						assert.Equal(t, []string{"a1", "b1"}, s.Routes())
						assert.Equal(t, gatewaytest.LeastAnswer(tt.path, "from b1", ""), got.Body)

						s.Set("b1", gatewaytest.Content(kind, tt.body))
						got = s.Post(tt.path, body)
						assert.GreaterOrEqual(t, got.Status, 400, got.Body)
						assert.Equal(t, aigateway.StatusError, s.Result().Status)
					})
				})
			}
		}
	}
}

// TestFieldAnswers: answers that look odd and are good.
func TestFieldAnswers(t *testing.T) {
	for _, tt := range []struct{ name, path, body string }{
		{"error null", fieldChat, `{"error":null,"choices":[{"message":{"content":"x"}}]}`},
		{"an empty error", fieldChat, `{"error":{},"choices":[{"message":{"content":"x"}}]}`},
		{"MiniMax", fieldChat, `{"choices":[{"message":{"content":"x"}}],"base_resp":{"status_code":0,"status_msg":""}}`},
		{"a code beside an answer", fieldChat, `{"code":200,"msg":"ok","choices":[{"message":{"content":"x"}}]}`},
		{"an error finish behind content", fieldChat, `{"choices":[{"message":{"content":"half"},"finish_reason":"error"}]}`},
		{"a call of a tool", fieldChat, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c"}]},"finish_reason":"tool_calls"}]}`},
		{"no content", fieldChat, `{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}`},
		{"reasoning cut by the limit", fieldChat, `{"choices":[{"message":{"content":"","reasoning_content":"hm"},"finish_reason":"length"}]}`},
		{"content_filter", fieldChat, `{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`},
		{"incomplete", fieldResponses, `{"object":"response","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]}`},
		{"in the background", fieldResponses, `{"object":"response","status":"queued","output":[]}`},
		{"no words", fieldMessages, `{"type":"message","content":[],"stop_reason":"end_turn"}`},
		{"zero tokens", "/v1/messages/count_tokens", `{"input_tokens":0}`},
		{"data in place of results", "/v1/rerank", `{"data":[{"index":0,"score":0.5}]}`},
		{"silence", "/v1/audio/transcriptions", `{"text":""}`},
		{"nothing found", "/v1/rerank", `{"results":[]}`},
		{"any JSON", "/v1/audio/diarize", `{"segments":[]}`},
		{"a list", "/v1/audio/diarize", `[]`},
	} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s%s/stream %t", tt.name, tt.path, stream), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
					s.Set("a1", gatewaytest.JSON(200, tt.body))
					got := s.Post(tt.path, fmt.Sprintf(`{"model":"m","stream":%t}`, stream))
					require.NoError(t, got.Err)
					assert.Equal(t, tt.body, got.Body)
					assert.Equal(t, []string{"a1"}, s.Routes())
				})
			})
		}
	}
}

// fieldNoStreams are event streams that hold no answer.
var fieldNoStreams = []struct{ name, path, events string }{
	{"[DONE] alone", fieldChat, gatewaytest.ChatDone}, // vllm#40986
	{"a role and [DONE]", fieldChat, gatewaytest.ChatRole + gatewaytest.ChatDone},
	{"usage and [DONE]", fieldChat, `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":0}}` + "\n\n" + gatewaytest.ChatDone},
	{"comments and [DONE]", fieldChat, ": x\n\n: y\n\n" + gatewaytest.ChatDone},
	{"an SSE field", fieldChat, "error: {\"code\":500,\"message\":\"boom\"}\n\n" + gatewaytest.ChatDone}, // llama.cpp#16109
	{"an SSE field behind a role", fieldChat, gatewaytest.ChatRole + "error: {\"code\":500,\"message\":\"boom\"}\n\n" + gatewaytest.ChatDone},
	{"an SSE field without a space", fieldChat, "error:boom\n\n"},
	{"type error", fieldChat, `data: {"type":"error","message":"boom"}` + "\n\n"},
	{"a code", fieldChat, `data: {"code":500,"message":"boom"}` + "\n\n" + gatewaytest.ChatDone},
	{"a plain line", fieldChat, "data: upstream connect error\n\n"},
	{"text in place of events", fieldChat, "upstream connect error or disconnect/reset before headers\n"},
	{"nothing", fieldChat, ""},
	{"blank lines", fieldChat, "\n\n\n"},
	{"GLM", fieldChat, gatewaytest.ChatRole + fieldChunk("", "network_error")},
	{"DeepSeek", fieldChat, gatewaytest.ChatRole + fieldChunk("", "insufficient_system_resource") + gatewaytest.ChatDone},
	{"vLLM", fieldChat, gatewaytest.ChatRole + fieldChunk("", "abort") + gatewaytest.ChatDone},
	{"an error finish", fieldChat, gatewaytest.ChatRole + fieldChunk("", "error") + gatewaytest.ChatDone},
	{"an error in a choice", fieldChat, `data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error","error":{"code":502,"message":"Provider returned error"}}]}` + "\n\n" + gatewaytest.ChatDone},
	{"a top-level error beside choices", fieldChat, `data: {"error":{"code":502,"message":"boom"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n"},
	{"object error", fieldChat, `data: {"object":"error","message":"boom","code":400}` + "\n\n" + gatewaytest.ChatDone},
	{"a detail", fieldChat, `data: {"detail":"boom"}` + "\n\n"},
	{"a message", fieldChat, `data: {"message":"no healthy upstream"}` + "\n\n"},
	{"an error text", fieldChat, `data: {"error":"boom"}` + "\n\n"},
	{"event: error", fieldChat, "event: error\ndata: {\"message\":\"boom\"}\n\n"},
	{"event: error with text", fieldChat, "event: error\ndata: boom\n\n"},
	{"MiniMax", fieldChat, `data: {"id":"","choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}` + "\n\n"},
	{"a clean end behind a role", fieldChat, gatewaytest.ChatRole},

	{"[DONE] alone", "/v1/completions", gatewaytest.ChatDone},
	{"response.failed", fieldResponses, fieldMessage("response.created", `"response":{"id":"r"}`) + fieldMessage("response.failed", `"response":{"status":"failed","error":{"code":"server_error","message":"boom"}}`)},
	{"error", fieldResponses, fieldMessage("error", `"code":"server_error","message":"boom"`)},
	{"an error object", fieldResponses, `data: {"error":{"message":"boom"}}` + "\n\n"},
	{"[DONE] alone", fieldResponses, gatewaytest.ChatDone},
	{"created alone", fieldResponses, fieldMessage("response.created", `"response":{"id":"r"}`)},
	{"error", fieldMessages, fieldMessage("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`)},
	{"error behind message_start", fieldMessages, fieldMessage("message_start", `"message":{}`) + fieldMessage("ping", "") + fieldMessage("error", `"error":{"type":"api_error","message":"x"}`)},
	{"error without its event line", fieldMessages, `data: {"type":"error","error":{"type":"api_error","message":"x"}}` + "\n\n"},
	{"an OpenAI error", fieldMessages, `data: {"error":{"message":"boom","code":500}}` + "\n\n"},
	{"message_start alone", fieldMessages, fieldMessage("message_start", `"message":{}`)},
}

// TestFieldNoStreams: a stream without an answer fails over, and alone it is an
// error rather than an empty 200.
func TestFieldNoStreams(t *testing.T) {
	for _, tt := range fieldNoStreams {
		for _, commit := range []aigateway.StreamCommit{aigateway.StreamCommitFirstContent, aigateway.StreamCommitComplete} {
			t.Run(fmt.Sprintf("%s%s/%s", tt.name, tt.path, commit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a", "b")
					cfg.StreamCommit = commit
					s := testbed.NewScripts(t, cfg)
					s.Set("a1", gatewaytest.Stream(tt.events))
					got := s.Post(tt.path, testbed.StreamRequest)
					require.NoError(t, got.Err)
					assert.Equal(t, []string{"a1", "b1"}, s.Routes())
					assert.Contains(t, got.Body, "from b1")

					s.Set("b1", gatewaytest.Stream(tt.events))
					got = s.Post(tt.path, testbed.StreamRequest)
					require.NoError(t, got.Err)
					assert.GreaterOrEqual(t, got.Status, 400, got.Body)
				})
			})
		}
	}
}

// TestFieldErrorsBehindContent: an error behind half an answer marks the stream as
// broken, in a way that SDKs see, even where a [DONE] follows.
func TestFieldErrorsBehindContent(t *testing.T) {
	front := gatewaytest.ChatRole + gatewaytest.ChatDelta("half")
	for _, tt := range []struct{ name, events string }{
		{"an SSE field", "error: {\"code\":500,\"message\":\"boom\"}\n\n" + gatewaytest.ChatDone},
		{"an SSE field of text", "error: boom\n\n" + gatewaytest.ChatDone},
		{"an error object", `data: {"error":{"message":"boom"}}` + "\n\n" + gatewaytest.ChatDone},
		{"a code", `data: {"code":500,"message":"boom"}` + "\n\n" + gatewaytest.ChatDone},
		{"type error", `data: {"type":"error","message":"boom"}` + "\n\n" + gatewaytest.ChatDone},
		{"object error", `data: {"object":"error","message":"boom"}` + "\n\n" + gatewaytest.ChatDone},
		{"event: error", "event: error\ndata: {\"message\":\"boom\"}\n\n" + gatewaytest.ChatDone},
		{"no end", ""},
		{"[DONE] without a finish reason of a second choice", `data: {"choices":[{"index":1,"delta":{"content":"x"}}]}` + "\n\n"},
	} {
		for _, commit := range []aigateway.StreamCommit{aigateway.StreamCommitFirstContent, aigateway.StreamCommitComplete} {
			t.Run(fmt.Sprintf("%s/%s", tt.name, commit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a", "b")
					cfg.StreamCommit = commit
					s := testbed.NewScripts(t, cfg)
					s.Set("a1", gatewaytest.Stream(front+tt.events))
					got := testbed.AskStream(s.Harness)
					if commit == aigateway.StreamCommitComplete {
						require.NoError(t, got.Err)
						assert.Contains(t, got.Body, "from b1")
						return
					}
					assert.Equal(t, aigateway.CodeStreamBroken, s.Result().Error.Code)
					assert.Nil(t, s.Result().Success)
					seen := strings.Contains(got.Body, `"error"`) && strings.Contains(got.Body, "data: {")
					if got.Err != nil {
						assert.ErrorIs(t, got.Err, io.ErrUnexpectedEOF)
						seen = true
					}
					assert.True(t, seen, "an error, or an aborted connection: %s", got.Body)
				})
			})
		}
	}
}

// TestFieldEmptyAnswers: under empty_answers: fail an answer without a word is a
// failed attempt. Its default is to relay it.
func TestFieldEmptyAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, path, body string
		empty            bool
	}{
		{"no content", fieldChat, `{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}`, true},
		{"content null", fieldChat, `{"choices":[{"message":{"role":"assistant","content":null},"finish_reason":"stop"}]}`, true},
		{"white space", fieldChat, `{"choices":[{"message":{"content":" \n"},"finish_reason":"stop"}]}`, true},
		{"reasoning alone", fieldChat, `{"choices":[{"message":{"content":"","reasoning_content":"hm"},"finish_reason":"stop"}]}`, true},
		{"reasoning cut by the limit", fieldChat, `{"choices":[{"message":{"content":"","reasoning_content":"hm"},"finish_reason":"length"}]}`, false},
		{"a call", fieldChat, `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c","function":{"name":"f"}}]},"finish_reason":"tool_calls"}]}`, false},
		{"a refusal", fieldChat, `{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}`, false},
		{"no output", fieldResponses, `{"status":"completed","output":[]}`, true},
		{"a call", fieldResponses, `{"status":"completed","output":[{"type":"function_call","name":"f"}]}`, false},
		{"no content", fieldMessages, `{"type":"message","content":[],"stop_reason":"end_turn"}`, true},
		{"a call", fieldMessages, `{"type":"message","content":[{"type":"tool_use","name":"f"}],"stop_reason":"tool_use"}`, false},
		{"no text", "/v1/completions", `{"choices":[{"text":"","finish_reason":"stop"}]}`, true},
	} {
		for _, handling := range []aigateway.EmptyAnswers{aigateway.EmptyAnswersRelay, aigateway.EmptyAnswersFail} {
			t.Run(fmt.Sprintf("%s%s/%s", tt.name, tt.path, handling), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a", "b")
					cfg.EmptyAnswers = handling
					s := testbed.NewScripts(t, cfg)
					s.Set("a1", gatewaytest.JSON(200, tt.body))
					got := s.Post(tt.path, `{"model":"m"}`)
					if tt.empty && handling == aigateway.EmptyAnswersFail {
						assert.Contains(t, got.Body, "from b1")
						return
					}
					assert.Equal(t, tt.body, got.Body)
				})
			})
		}
	}
	empty := gatewaytest.ChatRole + gatewaytest.ChatStop + gatewaytest.ChatDone
	for _, handling := range []aigateway.EmptyAnswers{aigateway.EmptyAnswersRelay, aigateway.EmptyAnswersFail} {
		t.Run("stream/"+string(handling), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.EmptyAnswers = handling
				s := testbed.NewScripts(t, cfg)
				s.Set("a1", gatewaytest.Stream(empty))
				got := testbed.AskStream(s.Harness)
				if handling == aigateway.EmptyAnswersFail {
					assert.Contains(t, got.Body, "from b1")
					return
				}
				assert.Equal(t, empty, got.Body)
			})
		})
	}
}
