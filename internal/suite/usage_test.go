package suite_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
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

// usageChunk is the extra event of a stream that was asked for usage.
const usageChunk = `data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}` + "\n\n"

// chunk is an event of a chat stream. tail is what follows choices.
func chunk(index int, delta, finish, tail string) string {
	if finish != "null" {
		finish = `"` + finish + `"`
	}
	return fmt.Sprintf(`data: {"id":"c","choices":[{"index":%d,"delta":%s,"finish_reason":%s}]%s}`, index, delta, finish, tail) + "\n\n"
}

// usageForms are streams as an upstream sends them when it is not asked, and when
// it is.
var usageForms = []struct {
	name            string
	unasked, asked  []string
	carriesUnasked  bool // usage comes unasked
	neverCarries    bool
	ignoresTheField bool
}{
	{name: "usage in its own chunk",
		unasked: []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), gatewaytest.ChatDone},
		asked:   []string{chunk(0, `{"content":"Hi"}`, "null", `,"usage":null`), chunk(0, `{}`, "stop", `,"usage":null`), usageChunk, gatewaytest.ChatDone}},
	{name: "no null in the others",
		unasked: []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), gatewaytest.ChatDone},
		asked:   []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), usageChunk, gatewaytest.ChatDone}},
	{name: "usage twice",
		unasked: []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), gatewaytest.ChatDone},
		asked:   []string{chunk(0, `{"content":"Hi"}`, "null", `,"usage":null`), chunk(0, `{}`, "stop", ""), usageChunk, usageChunk, gatewaytest.ChatDone}},
	{name: "no usage whatever is asked", neverCarries: true,
		unasked: []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), gatewaytest.ChatDone},
		asked:   []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), gatewaytest.ChatDone}},
	{name: "usage in the last content chunk, unasked", carriesUnasked: true,
		unasked: []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{"content":"!"}`, "stop", `,"usage":{"prompt_tokens":9,"completion_tokens":3}`), gatewaytest.ChatDone},
		asked:   []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{"content":"!"}`, "stop", `,"usage":{"prompt_tokens":9,"completion_tokens":3}`), gatewaytest.ChatDone}},
	{name: "usage in its own chunk, unasked", carriesUnasked: true,
		unasked: []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), usageChunk, gatewaytest.ChatDone},
		asked:   []string{chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), usageChunk, gatewaytest.ChatDone}},
	{name: "two choices",
		unasked: []string{chunk(0, `{"content":"a"}`, "null", ""), chunk(1, `{"content":"b"}`, "null", ""), chunk(0, `{}`, "stop", ""), chunk(1, `{}`, "stop", ""), gatewaytest.ChatDone},
		asked:   []string{chunk(0, `{"content":"a"}`, "null", `,"usage":null`), chunk(1, `{"content":"b"}`, "null", `,"usage":null`), chunk(0, `{}`, "stop", `,"usage":null`), chunk(1, `{}`, "stop", `,"usage":null`), usageChunk, gatewaytest.ChatDone}},
	{name: "Azure's filters first",
		unasked: []string{`data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}` + "\n\n", chunk(0, `{"content":"Hi"}`, "null", ""), chunk(0, `{}`, "stop", ""), gatewaytest.ChatDone},
		asked:   []string{`data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}],"usage":null}` + "\n\n", chunk(0, `{"content":"Hi"}`, "null", `,"usage":null`), chunk(0, `{}`, "stop", `,"usage":null`), usageChunk, gatewaytest.ChatDone}},
	{name: "comments, and no [DONE]",
		unasked: []string{": a\n\n", chunk(0, `{"content":"Hi"}`, "null", ""), ": b\n\n", chunk(0, `{}`, "stop", "")},
		asked:   []string{": a\n\n", chunk(0, `{"content":"Hi"}`, "null", `,"usage":null`), ": b\n\n", chunk(0, `{}`, "stop", `,"usage":null`), usageChunk}},
	{name: "obfuscation behind usage",
		unasked: []string{chunk(0, `{"content":"Hi"}`, "null", `,"obfuscation":"xY"`), chunk(0, `{}`, "stop", `,"obfuscation":"z"`), gatewaytest.ChatDone},
		asked:   []string{chunk(0, `{"content":"Hi"}`, "null", `,"usage":null,"obfuscation":"xY"`), chunk(0, `{}`, "stop", `,"usage":null,"obfuscation":"z"`), usageChunk, gatewaytest.ChatDone}},
}

// streamOptions are the ways in which clients ask, and whether it is for usage.
var streamOptions = []struct {
	body   string
	wanted bool
}{
	{`{"model":"m","messages":[],"stream":true}`, false},
	{`{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`, true},
	{`{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":false}}`, false},
	{`{"model":"m","messages":[],"stream":true,"stream_options":null}`, false},
	{`{"model":"m","stream_options" : { "include_usage":null, "include_obfuscation": false },"messages":[],"stream":true}`, false},
}

// usageUpstream answers a form. It sends usage as asked, like a server that
// compresses, if coded is set.
func usageUpstream(unasked, asked []string, coded bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			StreamOptions struct {
				IncludeUsage bool `json:"include_usage"`
			} `json:"stream_options"`
		}
		json.NewDecoder(r.Body).Decode(&body)
		events := unasked
		if body.StreamOptions.IncludeUsage {
			events = asked
		}
		if !coded {
			gatewaytest.Stream(events...)(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		gatewaytest.StartStream(w)
		zip := gzip.NewWriter(w)
		for _, e := range events {
			io.WriteString(zip, e)
			zip.Flush()
			w.(http.Flusher).Flush()
		}
		zip.Close()
	}
}

// decoded is the body of an answer without its encoding.
func decoded(t *testing.T, a gatewaytest.Answer) string {
	if a.Header.Get("Content-Encoding") != "gzip" {
		return a.Body
	}
	r, err := gzip.NewReader(strings.NewReader(a.Body))
	require.NoError(t, err)
	plain, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(plain)
}

// TestStreamUsageByteForByte: a client's stream under stream_usage: always equals
// the stream under client, whatever the upstream does with usage. From the second
// stream on the gateway knows the usage.
func TestStreamUsageByteForByte(t *testing.T) {
	forms := 0
	for _, form := range usageForms {
		for _, coded := range []bool{false, true} {
			for i, ask := range streamOptions {
				forms++
				t.Run(fmt.Sprintf("%s/gzip %t/%d", form.name, coded, i), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						want := form.unasked
						if ask.wanted {
							want = form.asked
						}
						var res *aigateway.Result
						cfg := testbed.Config(1, "a")
						cfg.Hooks = testbed.KeepResult(&res)
						h := testbed.Start(t, cfg, testbed.Hosts{"a": usageUpstream(form.unasked, form.asked, coded)}, nil)
						for n := range 3 {
							a := h.Post("/v1/chat/completions", ask.body)
							require.NoError(t, a.Err)
							require.Equal(t, strings.Join(want, ""), decoded(t, a), "stream %d", n)
							known := !form.neverCarries && (ask.wanted || form.carriesUnasked || n == 1 || n > 1 && !coded)
							made := res.ModelsTried[0].RequestsMade[0]
							assert.Equal(t, known, made.UpstreamInputTokens == 9 && made.UpstreamOutputTokens == 3, "stream %d", n)
						}
					})
				})
			}
		}
	}
	assert.GreaterOrEqual(t, forms, 40)
}

// TestStreamUsageUpstreamBody: the gateway's word is spliced into the client's
// bytes, once the model has shown that it needs it.
func TestStreamUsageUpstreamBody(t *testing.T) {
	form := usageForms[0]
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", `{"model":"m", "stream":true}`, `{"model":"m", "stream":true,"stream_options":{"include_usage":true}}`},
		{"null", `{"stream_options":null,"model":"m","stream":true}`, `{"stream_options":{"include_usage":true},"model":"m","stream":true}`},
		{"false", `{"model":"m","stream":true,"stream_options":{"include_usage": false}}`, `{"model":"m","stream":true,"stream_options":{"include_usage": true}}`},
		{"others", `{"model":"m","stream":true,"stream_options":{"x": 1.0}}`, `{"model":"m","stream":true,"stream_options":{"x": 1.0,"include_usage":true}}`},
		{"asked for", `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`, `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`},
		{"a mistake", `{"model":"m","stream":true,"stream_options":7}`, `{"model":"m","stream":true,"stream_options":7}`},
		{"no stream", `{"model":"m"}`, `{"model":"m"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := gatewaytest.Scripted(usageUpstream(form.unasked, form.asked, false))
				h := testbed.Start(t, testbed.Config(1, "a"), testbed.Hosts{"a": up.ServeHTTP}, nil)
				h.Post("/v1/chat/completions", `{"model":"m","stream":true}`)
				assert.Equal(t, `{"model":"m","stream":true}`, string(up.Last().Body), "the first stream")
				h.Post("/v1/chat/completions", tt.body)
				assert.Equal(t, tt.want, string(up.Last().Body))
			})
		})
	}
}

// TestStreamUsageNotAsked: nothing is spliced in where the config or the provider's
// parameters forbid it.
func TestStreamUsageNotAsked(t *testing.T) {
	for name, edit := range map[string]func(*aigateway.Config){
		"stream_usage: client": func(c *aigateway.Config) { c.StreamUsage = aigateway.StreamUsageClient },
		"not in supported_params": func(c *aigateway.Config) {
			c.Providers[0].SupportedAPISurfaces = []aigateway.APISurface{{Format: "openai", SupportedParams: []aigateway.Param{{Name: "model"}, {Name: "stream"}}}}
		},
		"in unsupported_params": func(c *aigateway.Config) {
			c.Providers[0].Models[0].UnsupportedParams = []aigateway.Param{{Name: "stream_options"}}
		},
		"the config's own": func(c *aigateway.Config) {
			c.Body = map[string]any{"stream_options": map[string]any{"include_usage": true}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := gatewaytest.Scripted(usageUpstream(usageForms[0].unasked, usageForms[0].asked, false))
				cfg := testbed.Config(1, "a")
				edit(&cfg)
				h := testbed.Start(t, cfg, testbed.Hosts{"a": up.ServeHTTP}, nil)
				var bodies []string
				for range 3 {
					require.Equal(t, 200, h.Post("/v1/chat/completions", `{"model":"m","stream":true}`).Status)
					bodies = append(bodies, string(up.Last().Body))
				}
				assert.Equal(t, bodies[0], bodies[1])
				assert.Equal(t, bodies[0], bodies[2])
			})
		})
	}
}

// TestStreamOptionsRefused: a provider that refuses stream_options costs one request
// once. The second try takes no place in max_attempts and moves no health.
func TestStreamOptionsRefused(t *testing.T) {
	refusal := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if bytes.Contains(body, []byte("stream_options")) {
				gatewaytest.Error(status, "unknown_parameter", "Unrecognized request argument supplied: stream_options")(w, r)
				return
			}
			gatewaytest.Stream(usageForms[0].unasked...)(w, r)
		}
	}
	for _, status := range []int{400, 422, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var res *aigateway.Result
				up := gatewaytest.Scripted(refusal(status))
				cfg := testbed.Config(1, "a")
				cfg.Hooks, cfg.MaxAttempts = testbed.KeepResult(&res), 1
				h := testbed.Start(t, cfg, testbed.Hosts{"a": up.ServeHTTP}, nil)
				var sent []int
				for range 5 {
					a := h.Post("/v1/chat/completions", `{"model":"m","stream":true}`)
					require.Equal(t, 200, a.Status, a.Body)
					require.Equal(t, strings.Join(usageForms[0].unasked, ""), a.Body)
					made := res.ModelsTried[0].RequestsMade
					sent = append(sent, len(made))
					if len(made) == 2 {
						assert.True(t, made[0].StreamOptionsRefused)
						assert.Zero(t, made[0].CooldownMS)
						assert.Equal(t, aigateway.AttemptSucceeded, made[1].Status)
					}
				}
				assert.Equal(t, []int{1, 2, 1, 1, 1}, sent)
			})
		})
	}
	t.Run("not remembered if the second try fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			up := gatewaytest.Scripted(
				gatewaytest.Stream(usageForms[0].unasked...),
				gatewaytest.Error(400, "x", "include_usage is not supported"), gatewaytest.Error(400, "x", "the prompt is odd"),
				usageUpstream(usageForms[0].unasked, usageForms[0].asked, false))
			h := testbed.Start(t, testbed.Config(1, "a"), testbed.Hosts{"a": up.ServeHTTP}, nil)
			h.Post("/v1/chat/completions", `{"model":"m","stream":true}`)
			a := h.Post("/v1/chat/completions", `{"model":"m","stream":true}`)
			assert.Equal(t, 400, a.Status)
			assert.Contains(t, a.Body, "the prompt is odd")
			h.Post("/v1/chat/completions", `{"model":"m","stream":true}`)
			assert.Contains(t, string(up.Last().Body), "include_usage")
			assert.Equal(t, 4, up.Count())
		})
	})
	t.Run("the client's own are its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := testbed.Start(t, testbed.Config(1, "a"), testbed.Hosts{"a": refusal(400)}, nil)
			a := h.Post("/v1/chat/completions", `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`)
			assert.Equal(t, 400, a.Status)
			assert.Contains(t, a.Body, "stream_options")
		})
	})
}
