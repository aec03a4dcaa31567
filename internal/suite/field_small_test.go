package suite_test

import (
	"context"
	"fmt"
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

// TestFieldSentTwice: a request is sent again in silence only if its kept connection
// was closed at once. After that the upstream may have worked on it.
func TestFieldSentTwice(t *testing.T) {
	closed := func(after time.Duration) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			gatewaytest.Pass(after)
			panic(http.ErrAbortHandler)
		}
	}
	for _, tt := range []struct {
		after  time.Duration
		resent bool
	}{{0, true}, {100 * time.Millisecond, true}, {240 * time.Millisecond, true}, {300 * time.Millisecond, false}, {time.Second, false}, {3 * time.Second, false}} {
		for _, body := range []string{testbed.ChatRequest, testbed.StreamRequest} {
			for _, header := range [][]string{nil, {"Idempotency-Key", "k"}, {"X-Idempotency-Key", "k"}} {
				for _, providers := range [][]string{{"a"}, {"a", "b"}} {
					t.Run(fmt.Sprintf("%s/%t/%v/%d", tt.after, body == testbed.StreamRequest, header, len(providers)), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							up := gatewaytest.Scripted(gatewaytest.Chat("one"), closed(tt.after), gatewaytest.Chat("again"))
							cfg := testbed.Config(1, providers...)
							var res *aigateway.Result
							cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
							harness := testbed.Start(t, cfg, testbed.Hosts{"a": up.ServeHTTP, "b": gatewaytest.Chat("from b")}, nil)
							require.Equal(t, 200, testbed.Ask(harness).Status)
							got := harness.Post(fieldChat, body, header...)
							require.NoError(t, got.Err)
							assert.Equal(t, tt.after, got.Took)
							assert.Equal(t, tt.resent, res.ModelsTried[0].RequestsMade[0].Resent, "seen in the Result")
							switch {
							case tt.resent:
								assert.Equal(t, 3, up.Count())
								assert.Contains(t, got.Body, "again")
							case len(providers) == 2:
								assert.Equal(t, 2, up.Count())
								assert.Contains(t, got.Body, "from b")
							default:
								assert.Equal(t, 2, up.Count())
								assert.Equal(t, 503, got.Status)
							}
						})
					})
				}
			}
		}
	}
}

// TestFieldOutputLimits: hosts of OpenAI and Azure get max_completion_tokens,
// whatever the provider's id (litellm#13432).
func TestFieldOutputLimits(t *testing.T) {
	for _, tt := range []struct{ id, base, body, want string }{
		{"mine", "https://x.openai.azure.com/openai/v1", `{"model":"gpt-5"}`, `{"model":"gpt-5","max_completion_tokens":100}`},
		{"mine", "https://x.cognitiveservices.azure.com/openai/v1", `{"model":"gpt-5"}`, `{"model":"gpt-5","max_completion_tokens":100}`},
		{"mine", "https://x.services.ai.azure.com/openai/v1", `{"model":"gpt-5"}`, `{"model":"gpt-5","max_completion_tokens":100}`},
		{"mine", "https://api.openai.com/v1", `{"model":"gpt-5"}`, `{"model":"gpt-5","max_completion_tokens":100}`},
		{"mine", "https://eu.api.openai.com/v1", `{"model":"gpt-5"}`, `{"model":"gpt-5","max_completion_tokens":100}`},
		{"mine", "https://api.example.com/v1", `{"model":"gpt-5"}`, `{"model":"gpt-5","max_tokens":100}`},
		{"mine", "https://openai.azure.com.example.com/v1", `{"model":"gpt-5"}`, `{"model":"gpt-5","max_tokens":100}`},
		{"mine", "https://x.openai.azure.com/openai/v1", `{"model":"gpt-5","max_completion_tokens":9}`, `{"model":"gpt-5","max_completion_tokens":9}`},
		{"mine", "https://x.openai.azure.com/openai/v1", `{"model":"gpt-5","max_completion_tokens":900}`, `{"model":"gpt-5","max_completion_tokens":100}`},
		{"openai", "https://proxy.example.com/v1", `{"model":"gpt-5"}`, `{"model":"gpt-5","max_tokens":100}`},
	} {
		t.Run(tt.base+tt.body, func(t *testing.T) {
			up := gatewaytest.Scripted(gatewaytest.Fitting("ok"))
			g, err := aigateway.New(aigateway.Config{
				Registry: aigateway.NoRegistry(), MaxOutputTokens: 100,
				Providers: []aigateway.Provider{{ID: tt.id, BaseURL: tt.base, APIKeys: []aigateway.APIKey{{Value: "sk-1"}}, Models: []aigateway.Model{{ID: "gpt-5"}}}},
				Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
					w := httptest.NewRecorder()
					up.ServeHTTP(w, r)
					return w.Result(), nil
				}),
			})
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, fieldChat, strings.NewReader(tt.body)))
			require.Equal(t, 200, w.Code, w.Body)
			assert.Equal(t, tt.want, string(up.Last().Body))
		})
	}
}

// TestFieldRefusals: a refusal for content, in the words of any provider, is not
// routed around, unless refusals: fail_over.
func TestFieldRefusals(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
	}{
		{"DeepSeek", 400, `{"error":{"message":"Content Exists Risk","type":"invalid_request_error","code":"invalid_request_error"}}`},
		{"DashScope", 400, `{"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content."}}`},
		{"OpenAI's reasoning models", 400, `{"error":{"code":"invalid_prompt","message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy."}}`},
		{"OpenAI's images", 400, `{"error":{"code":"moderation_blocked","message":"Your request was rejected by the safety system."}}`},
		{"OpenAI", 400, `{"error":{"code":"content_policy_violation","message":"x"}}`},
		{"Azure", 400, `{"error":{"code":"content_filter","message":"The response was filtered","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`},
		{"OpenRouter", 403, `{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"x"}}}`},
		{"Anthropic", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}`},
		{"xAI", 403, `{"code":"x","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}`},
		{"Moonshot", 400, `{"error":{"message":"The request was rejected because it was considered high risk","type":"content_filter"}}`},
		{"Zhipu", 400, `{"contentFilter":[{"level":1,"role":"user"}],"error":{"code":"1301","message":"系统检测到输入或生成内容可能包含不安全或敏感内容"}}`},
		{"new-api", 500, `{"error":{"message":"sensitive words detected","code":"sensitive_words_detected"}}`},

		{"content_filter under 200", 200, `{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"content_filter"}]}`},
		{"a refusal of the model", 200, `{"choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":"I cannot."},"finish_reason":"stop"}]}`},
		{"sensitive under 200", 200, `{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"sensitive"}]}`},
		{"Google under 200", 200, `{"choices":[{"index":0,"message":{"role":"assistant"},"finish_reason":"content_filter: PROHIBITED_CONTENT"}]}`},
	} {
		for _, handling := range []aigateway.Refusals{aigateway.RefusalsRelay, aigateway.RefusalsFailOver} {
			t.Run(tt.name+"/"+string(handling), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(2, "a", "b")
					cfg.Refusals = handling
					s := testbed.NewScripts(t, cfg)
					s.Set("a1", gatewaytest.JSON(tt.status, tt.body))
					got := testbed.Ask(s.Harness)
					require.NoError(t, got.Err)
					if handling == aigateway.RefusalsFailOver {
						assert.Contains(t, got.Body, "from b1", "%v", s.Routes())
						return
					}
					assert.Equal(t, []string{"a1"}, s.Routes())
					assert.Equal(t, tt.body, got.Body)
					for range 5 {
						assert.Equal(t, tt.body, testbed.Ask(s.Harness).Body, "it moves no health")
					}
				})
			})
		}
	}
	for _, tt := range []struct{ name, path, events string }{
		{"data_inspection_failed", fieldChat, `data: {"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content."}}` + "\n\n"},
		{"Content Exists Risk", fieldChat, `data: {"error":{"message":"Content Exists Risk","code":400}}` + "\n\n"},
		{"MiniMax", fieldChat, `data: {"choices":null,"base_resp":{"status_code":1026,"status_msg":"input new_sensitive"}}` + "\n\n"},
		{"content_filter", fieldChat, gatewaytest.ChatRole + fieldChunk("", "content_filter") + gatewaytest.ChatDone},
		{"a refusal of the model", fieldChat, gatewaytest.ChatRole + fieldChunk(`"refusal":"I cannot."`, "") + gatewaytest.ChatStop + gatewaytest.ChatDone},
		{"refusal", fieldMessages, fieldMessage("message_start", `"message":{}`) + fieldMessage("message_delta", `"delta":{"stop_reason":"refusal"}`) + fieldMessage("message_stop", "")},
	} {
		for _, handling := range []aigateway.Refusals{aigateway.RefusalsRelay, aigateway.RefusalsFailOver} {
			t.Run("first event: "+tt.name+"/"+string(handling), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(2, "a", "b")
					cfg.Refusals = handling
					s := testbed.NewScripts(t, cfg)
					s.Set("a1", gatewaytest.Stream(tt.events))
					got := s.Post(tt.path, testbed.StreamRequest)
					require.NoError(t, got.Err)
					if handling == aigateway.RefusalsFailOver {
						assert.Contains(t, got.Body, "from b1", "%v", s.Routes())
						return
					}
					assert.Equal(t, []string{"a1"}, s.Routes())
				})
			})
		}
	}
}

// TestFieldHints: hints of when to come back are read in every form. A 429 is
// retried once after the wait, if that is at most 30 s.
func TestFieldHints(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header []string
		body   string
		wait   time.Duration // negative: no retry
	}{
		{"Retry-After in seconds", []string{"Retry-After", "7"}, "", 7 * time.Second},
		{"a Go duration", []string{"Retry-After", "7s"}, "", 7 * time.Second},
		{"a fraction", []string{"Retry-After", "7.5"}, "", 7500 * time.Millisecond},
		{"milliseconds", []string{"Retry-After-Ms", "1500"}, "", 1500 * time.Millisecond},
		{"a date", []string{"Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT"}, "", 9 * time.Second},
		{"requests of OpenAI", []string{"X-Ratelimit-Remaining-Requests", "0", "X-Ratelimit-Reset-Requests", "1s"}, "", time.Second},
		{"tokens of OpenAI", []string{"X-Ratelimit-Remaining-Tokens", "0", "X-Ratelimit-Reset-Tokens", "6ms"}, "", 6 * time.Millisecond},
		{"requests that remain", []string{"X-Ratelimit-Remaining-Requests", "5", "X-Ratelimit-Reset-Requests", "1s"}, "", -1},
		{"the RFC's draft", []string{"Ratelimit-Remaining", "0", "Ratelimit-Reset", "3"}, "", 3 * time.Second},
		{"Google", nil, `{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"14s"}]}}`, 14 * time.Second},
		{"Google's fraction", nil, `[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"1.25s"}]}}]`, 1250 * time.Millisecond},
		{"Google, too long", nil, `{"error":{"code":429,"details":[{"retryDelay":"34s"}]}}`, -1},
		{"words of OpenAI", nil, `{"error":{"message":"Rate limit reached for m. Please try again in 7.2s. Visit x.","code":"rate_limit_exceeded"}}`, 7200 * time.Millisecond},
		{"words in milliseconds", nil, `{"error":{"message":"Please try again in 320ms."}}`, 320 * time.Millisecond},
		{"words, too long", nil, `{"error":{"message":"Please try again in 1m12s."}}`, -1},
		{"a date in words (opencodex#4733)", nil, `{"error":{"message":"Weekly/Monthly Limit Exhausted. Your limit will reset at 2000-01-01 00:00:09","code":429}}`, 9 * time.Second},
		{"a date in words, with its zone", nil, `{"error":{"message":"Your limit will reset at 2000-01-01T00:00:09Z."}}`, 9 * time.Second},
		{"too long", []string{"Retry-After", "6m0s"}, "", -1},
		{"none", nil, "", -1},
	} {
		for name, ask := range map[string]func(*gatewaytest.Harness) gatewaytest.Answer{"JSON": testbed.Ask, "a stream": testbed.AskStream} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a", "b")
					cfg.MaxRetries = 1
					s := testbed.NewScripts(t, cfg)
					body := tt.body
					if body == "" {
						body = `{"error":{"message":"slow down","code":"rate_limit_exceeded"}}`
					}
					s.Set("a1", func(w http.ResponseWriter, r *http.Request) {
						for i := 0; i+1 < len(tt.header); i += 2 {
							w.Header().Set(tt.header[i], tt.header[i+1])
						}
						gatewaytest.JSON(429, body)(w, r)
					}, gatewaytest.Fitting("from a1 at last"))
					got := ask(s.Harness)
					require.Equal(t, http.StatusOK, got.Status, got.Body)
					if tt.wait < 0 {
						assert.Equal(t, []string{"a1", "b1"}, s.Routes())
						assert.Zero(t, got.Took)
						return
					}
					assert.Equal(t, []string{"a1", "a1"}, s.Routes())
					assert.Equal(t, tt.wait, got.Took)
				})
			})
		}
	}
}

// TestFieldShouldRetry: an upstream's x-should-retry: false ends the retries of its
// route.
func TestFieldShouldRetry(t *testing.T) {
	for _, status := range []int{500, 503, 529, 429} {
		for _, providers := range [][]string{{"a"}, {"a", "b"}} {
			t.Run(fmt.Sprintf("%d/%d", status, len(providers)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, providers...)
					cfg.MaxRetries = 2
					s := testbed.NewScripts(t, cfg)
					s.Set("a1", func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("X-Should-Retry", "false")
						w.Header().Set("Retry-After", "1")
						gatewaytest.Error(status, "", "no")(w, r)
					})
					testbed.Ask(s.Harness)
					want := []string{"a1", "b1"}[:len(providers)]
					assert.Equal(t, want, s.Routes())
				})
			})
		}
	}
}

// TestFieldStatusesThatCoolDown: statuses of servers and relays that are not a fault of
// the request.
func TestFieldStatusesThatCoolDown(t *testing.T) {
	for _, status := range []int{424, 499, 500, 502, 503, 504, 520, 524, 529} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
				s.Set("a1", gatewaytest.Error(status, "", "no"))
				for range 5 {
					assert.Equal(t, http.StatusOK, testbed.Ask(s.Harness).Status)
					assert.Equal(t, []string{"a1", "b1"}, s.Routes())
				}
				testbed.Ask(s.Harness)
				assert.Equal(t, []string{"b1"}, s.Routes())
			})
		})
	}
}

// fieldLate is an answer after a time, unless the gateway leaves before.
func fieldLate(d time.Duration, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			h(w, r)
		case <-r.Context().Done():
		}
	}
}

// TestFieldKeepalive: hops in between give up on a silent stream (litellm#37322).
func TestFieldKeepalive(t *testing.T) {
	const comment = ": keep-alive\n\n"
	whole := gatewaytest.ChatDelta("the answer") + gatewaytest.ChatStop + gatewaytest.ChatDone
	for _, tt := range []struct {
		name     string
		a, b     http.HandlerFunc
		comments int
		has      string // of a whole answer; else an error event and an aborted connection
		code     string
	}{
		{"comments of the upstream", gatewaytest.Steps(": OPENROUTER PROCESSING\n\n", 3*time.Second, ": OPENROUTER PROCESSING\n\n", 4*time.Second, whole), nil, 3, "the answer", ""},
		{"a late header", fieldLate(5*time.Second, gatewaytest.Stream(whole)), nil, 2, "the answer", ""},
		{"a pause within", gatewaytest.Steps(gatewaytest.ChatDelta("x"), 5*time.Second, whole), nil, 2, "the answer", ""},
		{"failover behind it", fieldLate(5*time.Second, gatewaytest.Error(500, "", "no")), gatewaytest.Stream(whole), 2, "the answer", ""},
		{"all fail", fieldLate(5*time.Second, gatewaytest.Error(500, "", "no")), fieldLate(2*time.Second, gatewaytest.Error(500, "", "no")), 3, "", "all_providers_failed"},
		{"a refused request", fieldLate(5*time.Second, gatewaytest.Error(400, "context_length_exceeded", "too long")), gatewaytest.Error(400, "context_length_exceeded", "too long"), 2, "", ""},
		{"plain JSON", fieldLate(5*time.Second, gatewaytest.Chat("hi")), nil, 2, "", "stream_broken"},
		{"fast", gatewaytest.Stream(whole), nil, 0, "the answer", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.StreamKeepalive = "2s"
				s := testbed.NewScripts(t, cfg)
				s.Set("a1", tt.a)
				if tt.b != nil {
					s.Set("b1", tt.b)
				}
				got := testbed.AskStream(s.Harness)
				assert.Equal(t, http.StatusOK, got.Status)
				assert.Equal(t, "text/event-stream", got.Header.Get("Content-Type"))
				assert.Equal(t, "no", got.Header.Get("X-Accel-Buffering"))
				assert.Equal(t, tt.comments, strings.Count(got.Body, comment), got.Body)
				if tt.has != "" {
					require.NoError(t, got.Err)
					assert.True(t, strings.HasSuffix(got.Body, whole), got.Body)
					return
				}
				assert.Error(t, got.Err)
				_, event, _ := strings.Cut(got.Body, comment+"data: ")
				assert.Contains(t, event, `"error"`, got.Body)
				assert.Contains(t, event, tt.code)
				assert.True(t, strings.HasSuffix(event, "\n\n"))
			})
		})
	}
}

// fieldZstd is a stream as zstd, without the last block. Its blocks are raw.
func fieldZstd() string {
	frame := "\x28\xb5\x2f\xfd\x00\x58"
	for _, event := range []string{gatewaytest.ChatDelta("the "), gatewaytest.ChatDelta("answer"), gatewaytest.ChatStop, gatewaytest.ChatDone} {
		n := len(event) << 3
		frame += string([]byte{byte(n), byte(n >> 8), byte(n >> 16)}) + event
	}
	return frame
}

// TestFieldCodedSilence: a compressed stream that falls silent before its [DONE] is
// broken, for its coding lacks the end. Behind [DONE] the client has all, and the
// end is the gateway's.
func TestFieldCodedSilence(t *testing.T) {
	whole := fieldZstd()
	for name, body := range map[string]string{"finished": whole[:strings.Index(whole, "data: [DONE]")-3], "done": whole} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a"))
				s.Set("a1", func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					w.Header().Set("Content-Encoding", "zstd")
					gatewaytest.Send(w, body)
					<-r.Context().Done()
				})
				got := testbed.AskStream(s.Harness)
				assert.Equal(t, body, got.Body)
				if name == "done" {
					assert.NoError(t, got.Err)
					assert.Equal(t, 2*time.Second, got.Took)
				} else {
					assert.Error(t, got.Err)
				}
			})
		})
	}
}

// TestFieldKeepaliveWithin: no comment gets into JSON or into a content coding, even
// where the bytes so far look like the end of an event. The coding keeps its end.
func TestFieldKeepaliveWithin(t *testing.T) {
	document := `{"choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("x", 2<<20) + "\"}}],\n\n" + `"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
	for _, tt := range []struct{ name, kind, coding, body string }{
		{"zstd", "text/event-stream", "zstd", fieldZstd() + "\x01\x00\x00"}, // the last block
		{"an unknown coding", "text/event-stream", "br", strings.Repeat("\n\n", 20)},
		{"JSON", "application/json", "", document},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				cfg.StreamKeepalive = "1s"
				s := testbed.NewScripts(t, cfg)
				s.Set("a1", func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", tt.kind)
					if tt.coding != "" {
						w.Header().Set("Content-Encoding", tt.coding)
					}
					for _, piece := range strings.SplitAfter(tt.body, "\n\n") {
						gatewaytest.Send(w, piece)
						fieldLate(1500*time.Millisecond, func(http.ResponseWriter, *http.Request) {})(w, r)
					}
				})
				got := testbed.AskStream(s.Harness)
				require.NoError(t, got.Err)
				assert.Equal(t, tt.body, got.Body)
			})
		})
	}
}

// TestFieldPastedKeys: a key in the notation of another tool is refused at the
// start, or warned of.
func TestFieldPastedKeys(t *testing.T) {
	for _, key := range []aigateway.Template{
		"os.environ/OPENAI_API_KEY", "env.OPENAI_API_KEY", "{{OPENAI_API_KEY}}", "{{ OPENAI_API_KEY }}", "Bearer sk-0123456789", "bearer sk-0123456789",
		"$OPENAI_API_KEY", "${OPENAI_API_KEY}", "${env:OPENAI_API_KEY}", "${env.OPENAI_API_KEY}", "%OPENAI_API_KEY%", "process.env.OPENAI_API_KEY", "<your-api-key>",
	} {
		cfg := testbed.Config(1, "a")
		cfg.Providers[0].APIKeys[0].Value = key
		g, err := aigateway.New(cfg)
		said := fmt.Sprint(err)
		if err == nil {
			said = fmt.Sprint(g.Warnings())
		}
		assert.Contains(t, said, "providers[0].api_keys[0]", "%s is taken for a key", string(key))
	}
}

// TestFieldHiddenNames: a listed id that another provider's prefix hides is a
// warning, and a slash for a colon gets a hint.
func TestFieldHiddenNames(t *testing.T) {
	cfg := testbed.Config(1, "ollama", "mistral", "vllm")
	cfg.Providers[0].Models = []aigateway.Model{{ID: "mistral:7b"}, {ID: "llama3:8b"}}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	warnings := fmt.Sprint(g.Warnings())
	assert.Contains(t, warnings, "mistral:7b")
	assert.Contains(t, warnings, "ollama:mistral:7b")
	assert.NotContains(t, warnings, "llama3")

	for name, hint := range map[string]string{"vllm/gpt-4o-mini": "vllm:gpt-4o-mini", "mistral/large": "mistral:large"} {
		_, err = g.Explain(httptest.NewRequest(http.MethodPost, fieldChat, strings.NewReader(`{"model":"`+name+`"}`)))
		require.Error(t, err)
		assert.Contains(t, err.Error(), hint)
	}
}

// TestFieldMisspeltNames: misspelt providers and models inside strategies are
// warnings.
func TestFieldMisspeltNames(t *testing.T) {
	for _, strategy := range []string{"ai.models.get('olama', 'llama3')", "ai.models.get('ollama', 'lama3')", "ai.models.only('llama33')"} {
		cfg := testbed.Config(1, "ollama")
		cfg.Providers[0].Models = []aigateway.Model{{ID: "llama3"}}
		cfg.ModelSelection.Strategy = []string{strategy}
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		assert.Contains(t, fmt.Sprint(g.Warnings()), "did you mean", strategy)
	}
}

// TestFieldOddConfigs: what servers of one's own are called, and what they hold.
func TestFieldOddConfigs(t *testing.T) {
	ask := func(t *testing.T, document, model string) gatewaytest.Request {
		cfg, err := aigateway.ParseConfig([]byte(document))
		require.NoError(t, err)
		up := gatewaytest.Scripted(gatewaytest.Fitting("ok"))
		cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.RequestURI = r.URL.RequestURI()
			w := httptest.NewRecorder()
			up.ServeHTTP(w, r)
			return w.Result(), nil
		})
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, fieldChat, strings.NewReader("\ufeff"+`{"model":"`+model+`"}`)))
		require.Equal(t, 200, w.Code, w.Body)
		return up.Last()
	}
	t.Run("a model with spaces", func(t *testing.T) {
		sent := ask(t, "providers: [{id: a, base_url: 'http://a.internal/v1', models: [{id: '/models/My Model.gguf'}]}]", "/models/My Model.gguf")
		assert.Equal(t, `{"model":"/models/My Model.gguf"}`, string(sent.Body), "and without the mark")
	})
	for base, want := range map[string]string{
		"http://a.internal/v1//": "/v1/chat/completions", "http://a.internal//": "/v1/chat/completions", "http://a.internal/v1/": "/v1/chat/completions",
		"http://a.internal/x///": "/x/chat/completions",
	} {
		t.Run(base, func(t *testing.T) {
			assert.Equal(t, want, ask(t, "providers: [{id: a, base_url: '"+base+"', models: [{id: m}]}]", "m").URL)
		})
	}
	t.Run("6,000 priced models", func(t *testing.T) {
		var b strings.Builder
		b.WriteString("providers:\n  - id: a\n    base_url: http://a.internal/v1\n    models:\n")
		for i := range 6000 {
			fmt.Fprintf(&b, "      - id: vendor/a-model-with-a-long-name-%d\n        display_name: A model with a long name, number %d\n        max_context_window: 128000\n        pricing: {input: 0.15, output: 0.6, input_cache_read: 0.075}\n", i, i)
		}
		require.Greater(t, b.Len(), 1<<20)
		assert.Contains(t, string(ask(t, b.String(), "vendor/a-model-with-a-long-name-5999").Body), "5999")
	})
}

// TestFieldConfigErrors: errors name the right line, and the right form.
func TestFieldConfigErrors(t *testing.T) {
	for _, tt := range []struct{ name, document, says string }{
		{"deeper than its siblings", "providers:\n  - id: a\n    base_url: http://a.internal\n     models: [{id: m}]\n", "line 4"},
		{"less deep than its siblings", "providers:\n  - id: a\n    base_url: http://a.internal\n   models: [{id: m}]\n", "line 4"},
		{"a tab", "providers:\n  - id: a\n\tbase_url: http://a.internal\n", "line 3"},
		{"far below", "providers:\n  - id: a\n    base_url: http://a.internal\n\n# a comment\n\nmodel_selection:\n  strategy:\n    - ai.models\n   - ai.models.random()\nmax_attempts: 3\n", "line 10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := aigateway.ParseConfig([]byte(tt.document))
			require.Error(t, err)
			assert.Contains(t, err.Error(), tt.says)
		})
	}
	cfg := testbed.Config(1, "a")
	cfg.ModelSelection.Strategy = []string{"ai.models.sortBy(m.pricing.input)"}
	_, err := aigateway.New(cfg)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "sortBy(m, m.pricing.input)")
}

// TestFieldLoneErrorEvents: a lone error event reaches the SDK as the error that it
// would be without a gateway.
func TestFieldLoneErrorEvents(t *testing.T) {
	for _, tt := range []struct {
		path, events string
		status       int
		has          string
	}{
		{fieldMessages, fieldMessage("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`), 529, "overloaded_error"},
		{fieldMessages, fieldMessage("message_start", `"message":{}`) + fieldMessage("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`), 529, "overloaded_error"},
		{fieldMessages, fieldMessage("error", `"error":{"type":"rate_limit_error","message":"x"}`), 429, "rate_limit_error"},
		{fieldMessages, fieldMessage("error", `"error":{"type":"invalid_request_error","message":"x"}`), 400, "invalid_request_error"},
		{fieldMessages, fieldMessage("error", `"error":{"type":"request_too_large","message":"x"}`), 413, "request_too_large"},
		{fieldChat, `data: {"error":{"message":"x","type":"rate_limit_exceeded","code":429}}` + "\n\n", 429, `"message":"x"`},
		{fieldChat, `data: {"error":{"message":"x","code":502}}` + "\n\n", 502, `"message":"x"`},
		{fieldChat, "error: {\"code\":500,\"message\":\"boom\",\"type\":\"server_error\"}\n\n", 500, "boom"},
		{fieldResponses, fieldMessage("response.failed", `"response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"x"}}`), 429, `"message":"x"`},
		{fieldResponses, fieldMessage("response.failed", `"response":{"status":"failed","error":{"code":"context_length_exceeded","message":"x"}}`), 400, `"code":"context_length_exceeded"`},
	} {
		t.Run(tt.path+tt.events, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a"))
				s.Set("a1", gatewaytest.Stream(tt.events))
				got := s.Post(tt.path, testbed.StreamRequest)
				require.NoError(t, got.Err)
				assert.Equal(t, tt.status, got.Status, got.Body)
				assert.Contains(t, got.Body, tt.has)
				assert.Contains(t, got.Body, `"error":{`)
			})
		})
	}
}

// TestFieldTwoInstances: of two instances the one with fewer requests in flight is
// taken, also by requests that come all at once.
func TestFieldTwoInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "fieldslow", "fieldfast")
		cfg.ModelSelection.Strategy = []string{"ai.models.leastBusy()"}
		s := testbed.NewScripts(t, cfg)
		s.Set("fieldslow1", gatewaytest.Silence)
		s.Set("fieldfast1", gatewaytest.Silence)
		ctx, leave := context.WithCancel(t.Context())
		at := map[string]int{}
		for range 40 {
			go func() {
				if resp, err := s.Open(ctx, fieldChat, `{"model":"auto","messages":[]}`); err == nil {
					resp.Body.Close()
				}
			}()
			synctest.Wait()
			for _, route := range s.Routes() {
				at[route]++
			}
		}
		assert.InDelta(t, at["fieldslow1"], at["fieldfast1"], 2, "%v", at)
		leave()
		synctest.Wait()
	})
}
