package aigateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// pricedConfig is one provider with a model that has a price.
const pricedConfig = `
providers:
  - id: p
    base_url: https://p.internal
    api_keys: [{value: one}]
    models: [{id: m, pricing: {input: 1, output: 2}}]
`

// Some answers with a success status are failures, and lead to the next
// provider.
func TestAnswerOrNot(t *testing.T) {
	const (
		chat, speech  = "/v1/chat/completions", "/v1/audio/speech"
		transcription = "/v1/audio/transcriptions"
		images        = "/v1/images/generations"
		html          = "<!DOCTYPE html><html><title>Sign in</title></html>"
		stream        = `{"model":"m","stream":true}`
	)
	jsonBody := `{"choices":[{"message":{"content":"` + strings.Repeat("x", 1<<20) + `"}}]}`
	imageBody := `{"data":[{"b64_json":"` + strings.Repeat("x", 1<<20) + `"}]}`
	plain := gatewaytest.LeastAnswer(chat, "hi", `"error": null`)
	cut := func(w http.ResponseWriter, length int, body string) {
		w.Header().Set("Content-Type", "application/json")
		if length > 0 {
			w.Header().Set("Content-Length", strconv.Itoa(length))
		}
		gatewaytest.Send(w, body)
		panic(http.ErrAbortHandler)
	}
	coded := func(coding, kind string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Encoding", coding)
			w.Write(body)
		}
	}
	tests := []struct {
		name, path, body string // the client's
		a                http.HandlerFunc
		want             string // what reaches the client; empty: the next provider's
	}{
		{"JSON", chat, "", gatewaytest.JSON(200, plain), plain},
		{"JSON under another type", chat, "", gatewaytest.Content("text/plain", plain), plain},
		{"201", chat, "", gatewaytest.JSON(201, plain), plain},
		{"JSON for a stream", chat, stream, gatewaytest.JSON(200, plain), plain},
		{"large JSON", chat, "", gatewaytest.JSON(200, jsonBody), jsonBody},
		{"gzip", chat, "", coded("gzip", "application/json", failoverGzip(plain)), string(failoverGzip(plain))},
		{"unknown coding", chat, "", coded("br", "application/json", []byte("\x0b\x01\x80{}\x03")), "\x0b\x01\x80{}\x03"},
		{"speech", speech, "", gatewaytest.Content("audio/mpeg", "\xff\xfb\x90d"), "\xff\xfb\x90d"},
		{"speech of no known type", speech, "", gatewaytest.Content("application/octet-stream", "\x00\x01"), "\x00\x01"},
		{"text of a transcription", transcription, "", gatewaytest.Content("text/plain; charset=utf-8", "Hello.\n"), "Hello.\n"},
		{"subtitles", transcription, "", gatewaytest.Content("text/vtt", "WEBVTT\n\n"), "WEBVTT\n\n"},
		{"JSON of a transcription", transcription, "", gatewaytest.JSON(200, `{"text":"hi", "error": null}`), `{"text":"hi", "error": null}`},
		{"images as JSON", images, "", gatewaytest.JSON(200, imageBody), imageBody},

		{"cut under a length", chat, "", func(w http.ResponseWriter, _ *http.Request) { cut(w, 1000, `{"id":1}`) }, ""},
		{"cut in a chunk", chat, "", func(w http.ResponseWriter, _ *http.Request) { cut(w, 0, `{"id":1}`) }, ""},
		{"cut and no JSON", chat, "", gatewaytest.JSON(200, `{"id":1`), ""},
		{"empty", chat, "", gatewaytest.JSON(200, ""), ""},
		{"blank", chat, "", gatewaytest.JSON(200, " \n"), ""},
		{"error", chat, "", gatewaytest.JSON(200, `{"error":{"message":"x"}}`), ""},
		{"error as text", chat, "", gatewaytest.JSON(200, `{"id":1,"error":"x"}`), ""},
		{"error for a stream", chat, stream, gatewaytest.JSON(200, `{"error":{"message":"x"}}`), ""},
		{"error in gzip", chat, "", coded("gzip", "application/json", failoverGzip(`{"error":"x"}`)), ""},
		{"empty gzip", chat, "", coded("gzip", "application/json", nil), ""},
		{"empty in an unknown coding", chat, "", coded("br", "application/json", nil), ""},
		{"page", chat, "", gatewaytest.Content("text/html", html), ""},
		{"page called JSON", chat, "", gatewaytest.JSON(200, html), ""},
		{"page in gzip", chat, "", coded("gzip", "text/html", failoverGzip(html)), ""},
		{"page in an unknown coding", chat, "", coded("br", "text/html", []byte("\x0b\x01\x80\x03")), ""},
		{"large page", chat, "", gatewaytest.Content("text/html", html+strings.Repeat(" ", 2<<20)), ""},
		{"large page called JSON", chat, "", gatewaytest.JSON(200, html+strings.Repeat(" ", 2<<20)), ""},
		{"large text", chat, "", gatewaytest.Content("text/plain", strings.Repeat("x", 2<<20)), ""},
		{"text", chat, "", gatewaytest.Content("text/plain", "OK"), ""},
		{"text for embeddings", "/v1/embeddings", "", gatewaytest.Content("text/plain", "OK"), ""},
		{"page for speech", speech, "", gatewaytest.Content("text/html", html), ""},
		{"error for speech", speech, "", gatewaytest.JSON(200, `{"error":{"message":"x"}}`), ""},
		{"empty speech", speech, "", gatewaytest.Content("audio/mpeg", ""), ""},
		{"speech cut before its first byte", speech, "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "audio/mpeg")
			gatewaytest.Send(w, "")
			panic(http.ErrAbortHandler)
		}, ""},
		{"page for a transcription", transcription, "", gatewaytest.Content("text/html", html), ""},
		{"empty transcription", transcription, "", gatewaytest.Content("text/plain", ""), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := tt.body
				if body == "" {
					body = testbed.ChatRequest
				}
				next := gatewaytest.LeastAnswer(tt.path, "from b", "")
				harness := testbed.Start(t, testbed.Config(1, "a", "b"), testbed.Hosts{"a": tt.a, "b": gatewaytest.Fitting("from b")}, nil)
				got := harness.Post(tt.path, body)
				require.NoError(t, got.Err)
				if tt.want == "" {
					assert.Equal(t, []string{"a1", "b1"}, harness.Routes())
					assert.Equal(t, next, got.Body)
					return
				}
				assert.Equal(t, []string{"a1"}, harness.Routes())
				assert.Equal(t, 2, got.Status/100)
				assert.True(t, tt.want == got.Body, "%d bytes for %d", len(got.Body), len(tt.want))
				if strings.HasPrefix(tt.want, string(failoverGzip("")[:2])) {
					assert.Equal(t, "gzip", got.Header.Get("Content-Encoding"))
				}
			})
		})
	}
}

// A silent upstream of a binary surface has not committed anything yet either.
func TestAnswerSpeechSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.PerRequestTimeout = "10s"
		harness := testbed.Start(t, cfg, testbed.Hosts{
			"a": gatewaytest.Paused("audio/mpeg", 0, true, []string{""}),
			"b": gatewaytest.Content("audio/mpeg", "\xff\xfb"),
		}, nil)
		got := harness.Post("/v1/audio/speech", testbed.ChatRequest)
		require.NoError(t, got.Err)
		assert.Equal(t, "\xff\xfb", got.Body)
		assert.Equal(t, 10*time.Second, got.Took)
		assert.Equal(t, []string{"a1", "b1"}, harness.Routes())
	})
}

// Sound plays as it comes: each piece goes on before the next one exists, and
// only a silence, not the length, ends it.
func TestAnswerSpeechPlaysAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.PerRequestTimeout, cfg.TotalTimeout = "5s", "6s"
		harness := testbed.Start(t, cfg, testbed.Hosts{
			"a": gatewaytest.Paused("audio/mpeg", 4*time.Second, false, []string{"one", "two", "three"}), "b": gatewaytest.Abort,
		}, nil)
		begin := time.Now()
		resp, err := harness.Open(t.Context(), "/v1/audio/speech", testbed.ChatRequest)
		require.NoError(t, err)
		defer resp.Body.Close()
		for i, piece := range []string{"one", "two", "three"} {
			got := make([]byte, len(piece))
			_, err := io.ReadFull(resp.Body, got)
			require.NoError(t, err)
			assert.Equal(t, piece, string(got))
			assert.Equal(t, time.Duration(i+1)*4*time.Second, time.Since(begin))
		}
		_, err = resp.Body.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
	})
}

// An answer over 1 MiB is committed before its end. From then on
// per_request_timeout bounds the whole of it, and a break aborts it.
func TestAnswerLarge(t *testing.T) {
	front := `{"data":"` + strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name string
		a    http.HandlerFunc
		took time.Duration
		err  bool
	}{
		{"whole", gatewaytest.Paused("application/json", 2*time.Second, false, []string{front, `yy`, `"}`}), 6 * time.Second, false},
		{"too slow", gatewaytest.Paused("application/json", 4*time.Second, false, []string{front, `yy`, `"}`}), 10 * time.Second, true},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			gatewaytest.Send(w, front)
			panic(http.ErrAbortHandler)
		}, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.PerRequestTimeout, cfg.TotalTimeout = "10s", "10s"
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": tt.a, "b": gatewaytest.Chat("b")}, nil)
				got := harness.Post("/v1/chat/completions", testbed.ChatRequest)
				assert.Equal(t, 200, got.Status)
				assert.Equal(t, tt.took, got.Took)
				assert.Equal(t, []string{"a1"}, harness.Routes())
				if tt.err {
					// The last read stays back until the document's end has come.
					assert.True(t, strings.HasPrefix(front+"yy", got.Body))
					assert.Greater(t, len(got.Body), 1<<19)
					assert.ErrorIs(t, got.Err, io.ErrUnexpectedEOF)
					return
				}
				assert.NoError(t, got.Err)
				assert.Equal(t, front+`yy"}`, got.Body)
			})
		})
	}
}

// An answer that ends near the bound of 1 MiB before its document does is a failed
// attempt: the client has seen nothing of it. A whole one comes through.
func TestAnswerCutNearTheBound(t *testing.T) {
	const head, tail = `{"choices":[{"finish_reason":"stop","message":{"content":"`, `"}}]}`
	for _, size := range []int{1<<20 - 1, 1 << 20, 1<<20 + 1} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprint(size, chunked), func(t *testing.T) {
				answer := func(body string) http.HandlerFunc {
					return func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Type", "application/json")
						if !chunked {
							w.Header().Set("Content-Length", strconv.Itoa(len(body)))
						}
						gatewaytest.Send(w, body)
					}
				}
				synctest.Test(t, func(t *testing.T) {
					cut := head + strings.Repeat("x", size-len(head))
					harness := testbed.Start(t, testbed.Config(1, "a", "b"), testbed.Hosts{"a": answer(cut), "b": gatewaytest.Chat("b")}, nil)
					got := testbed.Ask(harness)
					require.NoError(t, got.Err)
					assert.Equal(t, []string{"a1", "b1"}, harness.Routes())
				})
				synctest.Test(t, func(t *testing.T) {
					whole := head + strings.Repeat("x", size-len(head)-len(tail)) + tail
					harness := testbed.Start(t, testbed.Config(1, "a", "b"), testbed.Hosts{"a": answer(whole), "b": gatewaytest.Chat("b")}, nil)
					got := testbed.Ask(harness)
					require.NoError(t, got.Err)
					assert.True(t, whole == got.Body)
				})
			})
		}
	}
}

// The response headers of an upstream, and the ones that reach the client, for
// each kind of answer.
func TestAnswerHeaders(t *testing.T) {
	pass := map[string]string{
		"X-Request-Id": "req_1", "X-Ratelimit-Remaining-Requests": "59", "Retry-After": "3", "Openai-Processing-Ms": "42",
		"Anthropic-Ratelimit-Tokens-Limit": "9", "Cf-Ray": "1", "Etag": `"v"`,
	}
	drop := map[string]string{
		"Set-Cookie": "session=1", "Alt-Svc": `h3=":443"`, "Strict-Transport-Security": "max-age=1", "Access-Control-Allow-Origin": "*",
		"Access-Control-Expose-Headers": "X", "Connection": "X-Internal", "X-Internal": "1", "Keep-Alive": "timeout=5", "Proxy-Authenticate": "Basic",
		"Upgrade": "h2c",
	}
	for name, then := range map[string]http.HandlerFunc{
		"JSON":          gatewaytest.Chat("hi"),
		"stream":        gatewaytest.Stream(streamChat...),
		"large JSON":    gatewaytest.JSON(200, `{"choices":[{"message":{"content":"`+strings.Repeat("x", 1<<20)+`"}}]}`),
		"relayed error": gatewaytest.KeyError(400, ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := testbed.Start(t, testbed.Config(1, "a"), testbed.Hosts{"a": func(w http.ResponseWriter, r *http.Request) {
					for _, set := range []map[string]string{pass, drop} {
						for name, value := range set {
							w.Header().Set(name, value)
						}
					}
					then(w, r)
				}}, nil)
				ask := testbed.Ask
				if name == "stream" {
					ask = testbed.AskStream
				}
				got := ask(harness)
				require.NoError(t, got.Err)
				for name, value := range pass {
					assert.Equal(t, []string{value}, got.Header.Values(name), name)
				}
				for name := range drop {
					assert.Empty(t, got.Header.Values(name), name)
				}
			})
		})
	}
}

// failoverCode is the code of an error in the OpenAI format.
func failoverCode(t *testing.T, a gatewaytest.Answer) string {
	t.Helper()
	return failoverError(t, a.Body).Error.Code
}

// An answer that is too large to be held is paid like any other: its tier and its
// calls of tools count, and without usage its length tells the tokens.
func TestLongAnswerIsPaid(t *testing.T) {
	text := strings.Repeat("many words of text ", 70_000)
	item := `{"type":"message","content":[{"type":"output_text","text":"` + text + `"}]}`
	told := `,"usage":{"input_tokens":1000,"output_tokens":100,"total_tokens":1100}}`
	for _, row := range []struct {
		name, path, answer, cost string
		estimated                bool
	}{
		{"calls in front", "/v1/responses", `{"id":"a","status":"completed","output":[{"type":"web_search_call"},` + item + `]` + told, "0.0112", false},
		{"calls behind", "/v1/responses", `{"id":"a","status":"completed","output":[` + item + `,{"type":"web_search_call"},{"type":"web_search_call"}]` + told, "0.0212", false},
		{"a tier in front", "/v1/responses", `{"id":"a","service_tier":"batch","output":[` + item + `]` + told, "0.0006", false},
		{"a tier behind", "/v1/responses", `{"id":"a","output":[` + item + `],"service_tier":"flex"` + told, "0.0012", true},
		{"chat", "/v1/chat/completions", `{"choices":[{"index":0,"message":{"content":"` + text + `"},"finish_reason":"stop"}],"service_tier":"batch",` +
			`"usage":{"prompt_tokens":1000,"completion_tokens":100}}`, "0.0006", false},
		{"without usage", "/v1/chat/completions", `{"choices":[{"index":0,"message":{"content":"` + text + `"},"finish_reason":"stop"}]}`, "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - id: p
    base_url: https://p.internal
    api_keys: [{value: one}]
    models: [{id: m, pricing: {input: 1, output: 2, input_batch: 0.5, output_batch: 1, tools: {web_search: 0.01}}}]
`))
			require.NoError(t, err)
			var res *aigateway.Result
			cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
			cfg.Transport = gatewaytest.TransportFunc(func(*http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, row.answer)
				return w.Result(), nil
			})
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, row.path, strings.NewReader(`{"model":"m","input":"hi","messages":[]}`)))
			assert.Equal(t, row.answer, w.Body.String())
			require.NotNil(t, res.Cost)
			assert.Equal(t, row.estimated, res.Cost.Estimated)
			if row.cost == "" {
				assert.InDelta(t, 280_000, res.Usage.OutputTokens, 30_000, "four words, seventy thousand times")
				return
			}
			assert.Equal(t, row.cost, res.Cost.USD.String())
		})
	}
}

// Usage of zeros, or without a half, is filled by estimates, and marked: an answer is
// never free because its provider did not count.
func TestUsageThatLacks(t *testing.T) {
	for told, want := range map[string]struct {
		input, output int64 // an input of 0 is an estimate
		estimated     bool
	}{
		`{"prompt_tokens":1000,"completion_tokens":100}`:             {1000, 100, false},
		`{"prompt_tokens":1000,"completion_tokens":0}`:               {1000, 0, false},
		`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`: {0, 3, true},
		`{"prompt_tokens":1000}`:                                     {1000, 3, true},
		`{"completion_tokens":100}`:                                  {0, 100, true},
		`{"prompt_tokens":1e300,"completion_tokens":100}`:            {0, 100, true},
		`{"prompt_tokens":-1,"completion_tokens":"7"}`:               {0, 3, true},
		`{}`: {0, 3, true},
	} {
		for _, stream := range []bool{false, true} {
			cfg, err := aigateway.ParseConfig([]byte(pricedConfig))
			require.NoError(t, err)
			var res *aigateway.Result
			cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
			cfg.Transport = gatewaytest.TransportFunc(func(*http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				if w.Header().Set("Content-Type", "application/json"); stream {
					w.Header().Set("Content-Type", "text/event-stream")
					io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"two words"},"finish_reason":"stop"}],"usage":`+told+"}\n\ndata: [DONE]\n\n")
				} else {
					io.WriteString(w, `{"choices":[{"index":0,"message":{"content":"two words"},"finish_reason":"stop"}],"usage":`+told+`}`)
				}
				return w.Result(), nil
			})
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			body := fmt.Sprintf(`{"model":"m","stream":%t,"messages":[]}`, stream)
			g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
			require.NotNil(t, res.Cost, told)
			u := res.Usage
			if want.input == 0 {
				assert.Positive(t, u.InputTokens, told)
			} else {
				assert.Equal(t, want.input, u.InputTokens, "%s, stream %v", told, stream)
			}
			assert.Equal(t, want.output, u.OutputTokens, "%s, stream %v", told, stream)
			assert.Equal(t, want.estimated, u.Estimated, "%s, stream %v", told, stream)
			assert.Equal(t, want.estimated, res.Cost.Estimated, "%s, stream %v", told, stream)
			assert.EqualValues(t, (u.InputTokens+2*u.OutputTokens)*1_000_000, res.Cost.USD, "%s, stream %v", told, stream)
		}
	}
}
