package suite_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// fidelityFields are fields that decoding and encoding would change or lose:
// numbers beyond a float, numbers in their spelling, keys out of order and
// repeated within, vendor parameters, escapes, white space.
const fidelityFields = `"seed": 9007199254740993, "temperature":0.70,"zulu":1e-07, "alpha" : -0.0,` +
	`"big":123456789012345678901234567890,"enable_thinking":false,"chat_template_kwargs":{"thinking":true,"z":1,"a":2,"a":3},` +
	"\n\t\"vendor.ext\":[null,{},[ ]],\"text\":\"\\u00e9 \\/ <&> \u2028 \\ud83d\\ude80\",\"caf\\u00e9\":\"\", \"user\":\"🦜\""

// fidelityCase is one surface: a client's request and its provider's answer,
// whole and streamed.
type fidelityCase struct {
	surface    string // as in the table
	path       string // where that has "*"
	request    string // what stands beside the model and fidelityFields
	form       bool   // the request is a form
	kind       string // of the answer; JSON if empty
	answer     string
	input      int64 // usage in the answer
	output     int64
	stream     []string // the events of a streamed answer, the last its end; nil where the API has none
	asksStream bool     // the request asks for the stream
	// finish is set if the stream also ends by a finish reason.
	finish bool
}

var fidelityCases = []fidelityCase{
	{
		surface: "chat/completions",
		request: `"messages":[{"role":"user","name":"Ann_1","content":"hi","x":1.0},{"content":null,"role":"assistant","tool_calls":[]}]`,
		answer:  `"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi","annotations":[]},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":21,"completion_tokens":8,"total_tokens":29}`,
		input:   21, output: 8,
		stream: []string{
			`data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}],"obfuscation":"x"}`,
			`data: {"choices":[{"delta":{"content":"hi"},"finish_reason":null}],"p":0.70}`,
			`data: {"choices":[],"usage":{"prompt_tokens":21,"completion_tokens":8}}`,
			`data: {"choices":[{"delta":{},"finish_reason":"stop"}]}`, `data: [DONE]`,
		}, finish: true,
	},
	{
		surface: "completions",
		request: `"prompt":["a","b"],"suffix":null`,
		answer:  `"object":"text_completion","choices":[{"text":"hi","index":0,"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}`,
		input:   5, output: 7,
		stream: []string{
			`data: {"choices":[{"text":"hi","finish_reason":null}],"seed":9007199254740993}`,
			`data: {"choices":[{"text":"","finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":7}}`, `data: [DONE]`,
		}, finish: true,
	},
	{
		surface: "responses",
		request: `"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"include":["reasoning.encrypted_content"],"store":false`,
		answer:  `"object":"response","status":"completed","error":null,"output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":4},"output_tokens":87,"total_tokens":123}`,
		input:   36, output: 87,
		stream: []string{
			"event: response.created\n" + `data: {"type":"response.created","sequence_number":0,"response":{"id":"r"}}`,
			"event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","delta":"hi","logprobs":[],"obfuscation":"xy"}`,
			"event: response.completed\n" + `data: {"type":"response.completed","response":{"id":"r","usage":{"input_tokens":36,"output_tokens":87}}}`,
		},
	},
	{
		surface: "responses/compact",
		request: `"input":[{"role":"user","content":"hi"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]`,
		answer:  `"object":"response.compaction","output":[{"type":"compaction","encrypted_content":"gAAA"}],"usage":{"input_tokens":139,"output_tokens":438}`,
		input:   139, output: 438,
	},
	{
		surface: "embeddings",
		request: `"input":"hi","encoding_format":"float","dimensions":3`,
		answer:  `"object":"list","data":[{"object":"embedding","index":0,"embedding":[-0.0069292834,1e-05,0.10]}],"usage":{"prompt_tokens":8,"total_tokens":8}`,
		input:   8,
	},
	{
		surface: "moderations",
		request: `"input":[{"type":"text","text":"hi"}]`,
		answer:  `"results":[{"flagged":false,"category_scores":{"violence":1.10e-07}}]`,
	},
	{
		surface: "rerank",
		request: `"query":"hi","documents":["a",{"text":"b"}],"top_n":2`,
		answer:  `"results":[{"index":1,"relevance_score":0.90}],"usage":{"total_tokens":15}`,
		input:   15,
	},
	{
		surface: "images/generations",
		request: `"prompt":"a cat","size":"1024x1024"`,
		answer:  `"created":1713833628,"data":[{"b64_json":"iVBORw0KGgo="}],"usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50}`,
		input:   50, output: 50,
		stream: []string{
			"event: image_generation.partial_image\n" + `data: {"type":"image_generation.partial_image","b64_json":"iVBO","partial_image_index":0}`,
			"event: image_generation.completed\n" + `data: {"type":"image_generation.completed","b64_json":"iVBORw0KGgo=","usage":{"input_tokens":50,"output_tokens":50}}`,
		},
	},
	{
		surface: "images/edits", form: true, request: "prompt",
		answer: `"created":1,"data":[{"b64_json":"iVBORw0KGgo="}],"usage":{"input_tokens":60,"output_tokens":40}`,
		input:  60, output: 40,
		stream: []string{
			"event: image_edit.partial_image\n" + `data: {"type":"image_edit.partial_image","b64_json":"iVBO"}`,
			"event: image_edit.completed\n" + `data: {"type":"image_edit.completed","b64_json":"iVBORw0KGgo=","usage":{"input_tokens":60,"output_tokens":40}}`,
		},
	},
	{
		surface: "images/variations", form: true, request: "n",
		answer: `"created":1,"data":[{"url":"https://images.example.com/1.png"}]`,
	},
	{
		surface: "images/*", path: "images/upscale", form: true, request: "scale",
		kind: "image/png", answer: "\x89PNG\r\n\x1a\n\x00\xff",
	},
	{
		surface: "audio/speech",
		request: `"input":"hi","voice":"alloy"`,
		kind:    "audio/mpeg", answer: "ID3\x04\x00\xff\xfb\x90\r\n\r\ndata: {",
		stream: []string{
			`data: {"type":"speech.audio.delta","audio":"SUQz"}`,
			`data: {"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101}}`,
		}, input: 14, output: 101,
	},
	{
		surface: "audio/transcriptions", form: true, request: "language",
		answer: `"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}`,
		input:  14, output: 45,
		stream: []string{
			`data: {"type":"transcript.text.delta","delta":"hi","logprobs":[]}`,
			`data: {"type":"transcript.text.done","text":"hi","usage":{"input_tokens":14,"output_tokens":45}}`,
		},
	},
	{
		surface: "audio/translations", form: true, request: "response_format",
		kind: "text/plain; charset=utf-8", answer: "1\r\n00:00:00,000 --> 00:00:01,500\r\nhi\r\n\r\n",
	},
	{
		surface: "audio/*", path: "audio/diarize", form: true, request: "speakers",
		answer: `"segments":[{"speaker":"A","start":0.00,"end":1.50}]`,
	},
	{
		surface: "responses/input_tokens",
		request: `"input":"hi","tools":[]`,
		answer:  `"object":"response.input_tokens","input_tokens":11`,
	},
	{surface: "tokenize", request: `"prompt":"hi"`, answer: `"count":2,"max_model_len":4096,"tokens":[1,2]`},
	{surface: "detokenize", request: `"tokens":[1,2]`, answer: `"prompt":"hi"`},
	{
		surface: "score",
		request: `"text_1":"a","text_2":["b"]`,
		answer:  `"data":[{"index":0,"object":"score","score":0.10}],"usage":{"prompt_tokens":9,"total_tokens":9}`,
		input:   9,
	},
	{
		surface: "pooling",
		request: `"input":"hi"`,
		answer:  `"data":[{"index":0,"object":"pooling","data":[0.10]}],"usage":{"prompt_tokens":3,"total_tokens":3}`,
		input:   3,
	},
	{
		surface: "classify",
		request: `"input":["hi"]`,
		answer:  `"data":[{"index":0,"label":"good","probs":[0.10,0.90],"num_classes":2}],"usage":{"prompt_tokens":3,"total_tokens":3}`,
		input:   3,
	},
	{
		surface: "videos", form: true, request: "seconds",
		answer: `"object":"video","status":"queued","progress":0`,
	},
	{
		surface: "messages",
		request: `"max_tokens":1024,"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}],"thinking":{"type":"enabled","budget_tokens":1024}`,
		answer:  `"type":"message","role":"assistant","content":[{"type":"thinking","thinking":"","signature":"Eo=="},{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":20,"cache_read_input_tokens":5,"output_tokens":6,"service_tier":"standard"}`,
		input:   25, output: 6,
		stream: []string{
			"event: message_start\n" + `data: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":20,"cache_read_input_tokens":5,"output_tokens":1}}}`,
			"event: ping\n" + `data: {"type": "ping"}`,
			"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}`,
			"event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":6}}`,
			"event: message_stop\n" + `data: {"type":"message_stop"}`,
		},
	},
	{
		surface: "messages/count_tokens",
		request: `"messages":[{"role":"user","content":"hi"}]`,
		answer:  `"input_tokens":2095`,
	},
}

// TestFidelity: on each surface the provider gets the client's bytes, but for
// the model's name, and the client gets the provider's.
func TestFidelity(t *testing.T) {
	served := map[string]bool{}
	for _, c := range fidelityCases {
		t.Run(c.surface, func(t *testing.T) {
			kind, answer := c.answerBytes()
			up, ask := fidelityGateway(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				io.WriteString(w, answer)
			})
			resp, got, res := ask(c, "p:alias")
			require.Equal(t, http.StatusOK, resp.StatusCode, got)
			assert.Equal(t, kind, resp.Header.Get("Content-Type"))
			assert.Equal(t, answer, got)
			_, want := c.requestBytes("m")
			assert.Equal(t, want, string(up.Last().Body))

			assert.Equal(t, aigateway.StatusSuccess, res.Status, res.Error)
			assert.Equal(t, c.format(), res.Format)
			served[res.Surface] = true
			if c.kind == "" { // only JSON tells
				assert.Equal(t, []int64{c.input, c.output}, []int64{res.InputTokens, res.OutputTokens})
			}

			_, body, _ := ask(c, "m")
			assert.Equal(t, answer, body)
			_, want = c.requestBytes("m")
			assert.Equal(t, want, string(up.Last().Body), "where the name is the model's own, nothing is touched")
		})
	}
	// The others have no model: their bytes pass as they are. Both formats have files.
	stored := []string{"conversations", "files", "files", "uploads", "batches", "vector-stores", "containers", "messages-batches",
		"realtime"} // a WebSocket, see TestRealtimeSession
	assert.ElementsMatch(t, surfaceNames(t), append(stored, slices.Collect(maps.Keys(served))...), "every surface has a row, and every row a surface")
}

// surfaceNames are the valid names of supported_api_surfaces.
func surfaceNames(t *testing.T) []string {
	_, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{{
		ID: "p", BaseURL: "https://p.example.com",
		SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai", Surface: "unknown"}, {Format: "anthropic", Surface: "unknown"}},
	}}})
	var problems aigateway.ConfigErrors
	require.ErrorAs(t, err, &problems)
	var names []string
	for _, p := range problems {
		_, list, ok := strings.Cut(p.Reason, "must be one of ")
		require.True(t, ok, p.Reason)
		names = append(names, strings.Split(list, ", ")...)
	}
	return names
}

// TestFidelityOfErrors: on each surface the client gets a provider's error byte
// for byte, and the gateway's own error in the client's format.
func TestFidelityOfErrors(t *testing.T) {
	const refusal = "{\"error\" : {\"message\":\"<b>no\\u00e9</b>\",\"type\":\"invalid_request_error\",\"code\":9007199254740993,\"extra\":0.70}}\n"
	for _, c := range fidelityCases {
		t.Run(c.surface, func(t *testing.T) {
			_, ask := fidelityGateway(t, gatewaytest.JSON(http.StatusUnprocessableEntity, refusal))
			resp, got, res := ask(c, "m")
			assert.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
			assert.Equal(t, refusal, got)
			assert.Equal(t, aigateway.StatusError, res.Status)

			resp, got, _ = ask(c, "nobody:m")
			assert.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
			id := "X-Request-Id"
			if c.format() == "anthropic" {
				id = "Request-Id"
				requestAnthropicError(t, resp.Header, got, "invalid_request_error", "no_matching_models")
			} else {
				requestOpenAIError(t, resp.Header, got, "invalid_request_error", "no_matching_models")
			}
			assert.NotEmpty(t, resp.Header.Get(id))
		})
	}
}

// TestFidelityOfStreams: on each streaming surface the client gets the
// provider's events, their usage is read, and a stream without an end is broken.
func TestFidelityOfStreams(t *testing.T) {
	for _, c := range fidelityCases {
		if c.stream == nil {
			continue
		}
		t.Run(c.surface, func(t *testing.T) {
			events := make([]string, len(c.stream))
			for i, e := range c.stream {
				events[i] = e + "\n\n"
			}
			c.asksStream = true
			_, ask := fidelityGateway(t, gatewaytest.Stream(events...))
			resp, got, res := ask(c, "alias")
			assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
			assert.Equal(t, strings.Join(events, ""), got)
			assert.Equal(t, aigateway.StatusSuccess, res.Status, res.Error)
			assert.Equal(t, []int64{c.input, c.output}, []int64{res.InputTokens, res.OutputTokens})

			cut := events[:len(events)-1]
			if c.finish {
				cut = cut[:len(cut)-1]
			}
			_, ask = fidelityGateway(t, gatewaytest.Stream(cut...))
			_, got, res = ask(c, "alias")
			front := strings.Join(cut, "")
			require.True(t, strings.HasPrefix(got, front), got)
			assert.Contains(t, got[len(front):], `"stream_broken"`)
			assert.Equal(t, c.format() == "anthropic" || c.surface == "responses",
				strings.HasPrefix(got[len(front):], "event: error\n"), "the SDKs of these go by the event's name")
			require.NotNil(t, res.Error)
			assert.Equal(t, aigateway.CodeStreamBroken, res.Error.Code)
		})
	}
}

// TestAnthropicHeaders: a provider of the Anthropic format gets the client's
// version and betas, or neither if the client sent neither. The credential goes
// the way of the client's own.
func TestAnthropicHeaders(t *testing.T) {
	c := fidelityCases[len(fidelityCases)-2]
	require.Equal(t, "messages", c.surface)
	versions := http.Header{"Anthropic-Version": {"2026-10-21"}, "Anthropic-Beta": {"context-1m-2025-08-07", "files-api-2025-04-14,x"}}
	for _, tt := range []struct {
		name         string
		client, want http.Header
	}{
		{"x-api-key", http.Header{"X-Api-Key": {"theirs"}}, http.Header{"X-Api-Key": {"sk-of-p"}}},
		{"Bearer", http.Header{"Authorization": {"Bearer theirs"}}, http.Header{"Authorization": {"Bearer sk-of-p"}}},
		{"none", http.Header{}, http.Header{"X-Api-Key": {"sk-of-p"}}},
	} {
		for _, with := range []http.Header{nil, versions} {
			t.Run(fmt.Sprintf("%s, %d more", tt.name, len(with)), func(t *testing.T) {
				up, cfg := requestProvider(t)
				cfg.Providers[0].SupportedAPISurfaces = []aigateway.APISurface{{Format: "anthropic"}}
				url := testbed.Serve(t, cfg)
				header, want := tt.client.Clone(), tt.want.Clone()
				for name, values := range with {
					header[name], want[name] = values, values
				}
				kind, body := c.requestBytes("m")
				header.Set("Content-Type", kind)
				want.Set("Content-Type", kind)
				want.Set("Accept-Encoding", "identity")
				want.Set("Content-Length", fmt.Sprint(len(body)))
				resp, answer := requestSend(t, http.MethodPost, url+"/v1/messages", header, strings.NewReader(body))
				require.Equal(t, http.StatusOK, resp.StatusCode, answer)
				assert.Equal(t, want, up.Last().Header)

				resp, answer = requestPost(t, url+"/v1/chat/completions", header, body)
				assert.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode, "it speaks the one format alone: %s", answer)
				assert.Equal(t, 1, up.Count())
			})
		}
	}
}

// TestStreamsAreApart: each of 200 clients at once gets only its own stream.
func TestStreamsAreApart(t *testing.T) {
	const clients, events = 200, 20
	// A client's stream follows from its name, in events of any length.
	stream := func(name string) []string {
		random := rand.New(rand.NewPCG(uint64(len(name)), uint64(name[len(name)-1])))
		parts := []string{gatewaytest.ChatRole}
		for i := range events {
			parts = append(parts, gatewaytest.ChatDelta(fmt.Sprintf("%s/%d %s", name, i, strings.Repeat(name, random.IntN(300)))))
		}
		return append(parts, gatewaytest.ChatStop, fmt.Sprintf("data: {\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":1}}\n\n", len(name)), gatewaytest.ChatDone)
	}
	body := func(name string) string {
		return `{"stream":true,"user":"` + name + `","messages":[{"content":"` + strings.Repeat(name, 100) + `"}],"model":"alias"}`
	}
	up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		_, name, _ := strings.Cut(string(got), `"user":"`)
		name, _, _ = strings.Cut(name, `"`)
		if err != nil || string(got) != strings.Replace(body(name), `"alias"`, `"m"`, 1) || r.Header.Get("X-Request-Id") != name {
			http.Error(w, "this is not one client's request", http.StatusBadRequest)
			return
		}
		gatewaytest.Stream(stream(name)...)(w, r)
	})
	_, cfg := requestProvider(t)
	cfg.InternalEndpoints = map[string]string{"p.internal": up.URL}
	var results sync.Map
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { results.Store(res.RequestID, res) }}
	url := testbed.Serve(t, cfg) + "/v1/chat/completions"

	var wait sync.WaitGroup
	start := make(chan struct{})
	for i := range clients {
		wait.Go(func() {
			<-start
			name := fmt.Sprintf("client-%d", i*i)
			resp, got := requestPost(t, url, http.Header{"X-Request-Id": {name}}, body(name))
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, strings.Join(stream(name), ""), got)
		})
	}
	close(start)
	wait.Wait()
	assert.Equal(t, clients, up.Count())
	results.Range(func(name, res any) bool {
		r := res.(*aigateway.Result)
		return assert.Equal(t, aigateway.StatusSuccess, r.Status) && assert.EqualValues(t, len(name.(string)), r.InputTokens)
	})
}

// format is the format of the surface.
func (c fidelityCase) format() string {
	if strings.HasPrefix(c.surface, "messages") {
		return "anthropic"
	}
	return "openai"
}

// requestBytes is the client's request for a model, and its type.
func (c fidelityCase) requestBytes(model string) (kind, body string) {
	stream := ""
	switch {
	case c.asksStream && c.surface == "audio/speech":
		stream = `"stream_format":"sse",`
	case c.asksStream:
		stream = `"stream":true,`
	}
	if !c.form {
		return "application/json", "\n{ " + stream + c.request + " ,\"model\" : \"" + model + "\"," + fidelityFields + "}\r\n"
	}
	part := func(header, value string) string {
		return "--x.1\r\ncontent-disposition: form-data; " + header + "\r\n\r\n" + value + "\r\n"
	}
	if c.asksStream {
		stream = part(`name="stream"`, "true")
	}
	return `multipart/form-data; boundary="x.1"`,
		stream + part("name=\"file\"; filename=\"\u00e9.bin\"\r\nContent-Type: application/octet-stream\r\nX-Part: 1", "\x00\xff\r\n--x.2\r\n\r\n") +
			part("name="+c.request, " 0.70\u00a0") + part(`name="model"`, model) +
			part(`name="enable_thinking"`, "") + part(`name="tags[]"`, "b") + part(`name="tags[]"`, "a") + "--x.1--\r\nepilogue"
}

// answerBytes is the provider's whole answer, and its type.
func (c fidelityCase) answerBytes() (kind, body string) {
	if c.kind != "" {
		return c.kind, c.answer
	}
	return "application/json; charset=utf-8", " {\t" + c.answer + ",\"model\":\"m-2025-01-01\"," + fidelityFields + "}\n"
}

// fidelityGateway is a gateway in front of an upstream with one answer, and a
// client for it. ask returns the answer's body as far as it came.
func fidelityGateway(t *testing.T, answer http.HandlerFunc) (*gatewaytest.Upstream, func(c fidelityCase, model string) (*http.Response, string, *aigateway.Result)) {
	t.Helper()
	up := gatewaytest.NewUpstream(t, answer)
	_, cfg := requestProvider(t)
	cfg.InternalEndpoints = map[string]string{"p.internal": up.URL}
	results := requestResults(&cfg)
	url := testbed.Serve(t, cfg)
	return up, func(c fidelityCase, model string) (*http.Response, string, *aigateway.Result) {
		t.Helper()
		kind, body := c.requestBytes(model)
		path := c.path
		if path == "" {
			path = c.surface
		}
		resp, err := http.Post(url+"/v1/"+path, kind, strings.NewReader(body))
		require.NoError(t, err)
		defer resp.Body.Close()
		got, _ := io.ReadAll(resp.Body)
		return resp, string(got), <-results
	}
}
