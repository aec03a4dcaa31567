package suite_test

import (
	"io"
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

// TestFieldCompaction: Codex asks for a compaction by an item, and gives the turn up if an
// ordinary answer comes (CLIProxyAPI#4848, codex-lb#971, cc-switch#5536). A compaction
// stands for a history that only its provider reads. A provider of another API is passed
// over, and where it is the only one, the client is told at once and nothing is paid for.
func TestFieldCompaction(t *testing.T) {
	for _, item := range []string{
		`{"type":"compaction_trigger"}`,
		`{"type":"compaction","id":"cmp_1","encrypted_content":"enc"}`,
		`{"type":"context_compaction","encrypted_content":"enc"}`,
	} {
		for name, speaks := range map[string][]aigateway.APISurface{"chat": translateChat, "messages": translateMessages} {
			t.Run(name+item, func(t *testing.T) {
				var cfg aigateway.Config
				other := translateProvider(t, &cfg, "other", aigateway.TranslateOn, speaks, gatewaytest.JSON(500, `{}`))
				native := translateProvider(t, &cfg, "native", aigateway.TranslateOn, translateResponses, gatewaytest.JSON(200, translateOfResps))
				url := testbed.Serve(t, cfg) + fieldResponses
				body := `{"models":["other:m","native:m"],"input":[{"role":"user","content":"hi"},` + item + `]}`
				resp, got := requestPost(t, url, nil, body)
				require.Equal(t, http.StatusOK, resp.StatusCode, got)
				assert.Contains(t, string(native.Last().Body), item)

				resp, got = requestPost(t, url, nil, strings.Replace(body, `,"native:m"`, "", 1))
				assert.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
				assert.Contains(t, got, "compaction")
				assert.Zero(t, other.Count())
			})
		}
	}
}

// TestFieldAddedTools: Codex gives its tools in an item of the input, and none beside it
// (token_proxy#307, axonhub#2105). A provider of another API is offered them, and a call
// comes back as the one of the client's own tool.
func TestFieldAddedTools(t *testing.T) {
	const (
		ask    = `{"model":"m","input":[{"type":"additional_tools","role":"developer","tools":[{"type":"namespace","name":"functions","tools":[{"type":"custom","name":"exec"}]}]},{"role":"user","content":"hi"}]}`
		answer = `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"functions__exec","arguments":"{\"input\":\"ls\"}"}}]},"finish_reason":"tool_calls"}]}`
	)
	var cfg aigateway.Config
	up := translateProvider(t, &cfg, "chat", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, answer))
	resp, got := requestPost(t, testbed.Serve(t, cfg)+fieldResponses, nil, ask)
	require.Equal(t, http.StatusOK, resp.StatusCode, got)
	assert.Contains(t, string(up.Last().Body), `"name":"functions__exec"`)
	for _, member := range []string{`"type":"custom_tool_call"`, `"namespace":"functions"`, `"name":"exec"`, `"input":"ls"`} {
		assert.Contains(t, got, member)
	}
}

// TestFieldAgentMessage: a sub-agent of Codex gets its task as another agent's message
// (codex#33551, sglang#35216). The model of a provider of another API reads it.
func TestFieldAgentMessage(t *testing.T) {
	var cfg aigateway.Config
	up := translateProvider(t, &cfg, "chat", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, translateOfChat))
	resp, got := requestPost(t, testbed.Serve(t, cfg)+fieldResponses, nil,
		`{"model":"m","input":[{"type":"agent_message","author":"/root","recipient":"/root/a","content":[{"type":"input_text","text":"count the files"}]}]}`)
	require.Equal(t, http.StatusOK, resp.StatusCode, got)
	assert.Contains(t, string(up.Last().Body), `{"role":"user","content":"count the files"}`)
	assert.Contains(t, resp.Header.Get(translateMark), "input.agent_message.author")
}

// TestFieldCompactedMessages: a compaction of messages holds the summary of all before it
// as a text. A provider of another API gets the text.
func TestFieldCompactedMessages(t *testing.T) {
	var cfg aigateway.Config
	up := translateProvider(t, &cfg, "chat", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, translateOfChat))
	resp, got := requestPost(t, testbed.Serve(t, cfg)+fieldMessages, nil,
		`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"compaction","content":"they greet"},{"type":"text","text":"hello"}]},{"role":"user","content":"go on"}]}`)
	require.Equal(t, http.StatusOK, resp.StatusCode, got)
	assert.Contains(t, string(up.Last().Body), `they greet\n\nhello`)
}

// TestFieldWindowMark: Claude Code marks a model's name with [1m] for itself, and some of
// its requests carry the mark (sub2api#4505, 9router#2780). It is cut off, unless a model
// has it in its name.
func TestFieldWindowMark(t *testing.T) {
	var host, body string
	cfg := aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "anthropic", APIKeys: []aigateway.APIKey{{Value: "sk-anthropic"}}},
			{ID: "relay", BaseURL: "https://relay.example/v1", SupportedAPISurfaces: translateMessages, Models: []aigateway.Model{{ID: "glm"}, {ID: "kimi[1m]"}}},
		},
		Aliases: map[string][]string{"best": {"relay:glm"}},
		Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			sent, err := io.ReadAll(r.Body)
			host, body = r.URL.Host, string(sent)
			w := httptest.NewRecorder()
			gatewaytest.Fitting("ok")(w, r)
			return w.Result(), err
		}),
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	for _, tt := range []struct{ models, host, model string }{
		{`"model":"claude-sonnet-4-5[1m]"`, "api.anthropic.com", "claude-sonnet-4-5"},
		{`"model":"claude-opus-99[1M][1m]"`, "api.anthropic.com", "claude-opus-99"},
		{`"model":"anthropic:claude-sonnet-4-5[1m]"`, "api.anthropic.com", "claude-sonnet-4-5"},
		{`"models":["nobody[1m]","glm[1m]"]`, "relay.example", "glm"},
		{`"model":"best[1m]"`, "relay.example", "glm"},
		{`"model":"kimi[1m]"`, "relay.example", "kimi[1m]"},
		{`"model":"relay:KIMI[1m]"`, "relay.example", "kimi[1m]"},
		{`"model":"nobody[1m]"`, "", ""},
		{`"model":"[1m]"`, "", ""},
	} {
		host, body = "", ""
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, fieldMessages, strings.NewReader(`{`+tt.models+`,"max_tokens":9,"messages":[]}`)))
		assert.Equal(t, tt.host, host, "%s: %s", tt.models, w.Body)
		if tt.host == "" {
			assert.Equal(t, http.StatusUnprocessableEntity, w.Code, tt.models)
			continue
		}
		assert.Equal(t, http.StatusOK, w.Code, w.Body)
		assert.Contains(t, body, `"model":"`+tt.model+`"`)
	}
}

// TestFieldGoogleCalls: Gemini CLI calls a model below the path of the list (gcli2api#17,
// GPT_API_free#469). Such a path is unknown: the service's own handler of Google's API gets
// the request, and without one the answer is no 405 that asks for GET.
func TestFieldGoogleCalls(t *testing.T) {
	g, err := aigateway.New(testbed.Config(1, "a"))
	require.NoError(t, err)
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for path, status := range map[string]int{
		"/v1beta/models/gemini-2.5-pro:generateContent":               404,
		"/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse": 404,
		"/x//v1beta/models/tuned/a:countTokens":                       404,
		"/v1/models/m":                                                405,
		"/v1/models":                                                  405,
	} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{}`)))
		assert.Equal(t, status, w.Code, path)
		w = httptest.NewRecorder()
		g.Wrap(next).ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{}`)))
		if status == http.StatusNotFound {
			status = http.StatusTeapot
		}
		assert.Equal(t, status, w.Code, path)
	}
}

// TestFieldQuotedNumbers: forms of low-code tools give numbers in quotes (webgati-ai#8).
// A translation carries them as numbers, and takes no default in their place.
func TestFieldQuotedNumbers(t *testing.T) {
	for quoted, want := range map[string]string{`"100"`: `"max_tokens":100,`, `" 7"`: `"max_tokens":7,`, `"many"`: `"max_tokens":8192,`, `"1 2"`: `"max_tokens":8192,`} {
		var cfg aigateway.Config
		up := translateProvider(t, &cfg, "messages", aigateway.TranslateOn, translateMessages, gatewaytest.JSON(200, translateOfMsgs))
		resp, got := requestPost(t, testbed.Serve(t, cfg)+fieldChat, nil, `{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":`+quoted+`}`)
		require.Equal(t, http.StatusOK, resp.StatusCode, got)
		assert.Contains(t, string(up.Last().Body), want)
	}
}

// TestFieldCodexModels: Codex asks for the models with its version, and reads its own form
// of them in a member beyond OpenAI's list (openai/codex#22205, #37122). Without the
// member it logs an error on each start; with an empty one it keeps the models it knows.
func TestFieldCodexModels(t *testing.T) {
	g, err := aigateway.New(testbed.Config(1, "a"))
	require.NoError(t, err)
	for query, codex := range map[string]bool{"": false, "?limit=1": false, "?client_version=0.153.4": true} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/models"+query, nil))
		require.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Body.String(), `"object":"list","data":[{`)
		assert.Equal(t, codex, strings.Contains(w.Body.String(), `"models":[]`), w.Body)
	}
}

// TestFieldPings: Claude Code gives a stream up after 15 s without an event, and shows a
// banner after 20 s (Router-Maestro#61, litellm#36024). Its keepalive is the API's own
// event, also before the first one of the answer, which SDKs skip.
func TestFieldPings(t *testing.T) {
	start := "event: message_start\ndata: " + `{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":3,"output_tokens":1}}}` + "\n\n" +
		"event: content_block_start\ndata: " + `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n" +
		"event: content_block_delta\ndata: " + `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}` + "\n\n"
	end := "event: content_block_stop\ndata: " + `{"type":"content_block_stop","index":0}` + "\n\n" +
		"event: message_delta\ndata: " + `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}` + "\n\n" +
		"event: message_stop\ndata: " + `{"type":"message_stop"}` + "\n\n"
	for name, steps := range map[string][]any{
		"before the answer":   {3500 * time.Millisecond, start, end},
		"within it":           {start, 3500 * time.Millisecond, end},
		"not within an event": {start, "event: content_block_stop\n", 3500 * time.Millisecond, strings.TrimPrefix(end, "event: content_block_stop\n")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := keepaliveConfig("a")
				cfg.Providers[0].SupportedAPISurfaces = translateMessages
				s := testbed.NewScripts(t, cfg)
				s.Set("a1", gatewaytest.Steps(steps...))
				got := s.Post(fieldMessages, `{"model":"`+cfg.Providers[0].Models[0].ID+`","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}`)
				require.NoError(t, got.Err)
				assert.NotContains(t, got.Body, ": keep-alive")
				pings := 3
				if strings.HasPrefix(name, "not") {
					pings = 0
				}
				assert.Equal(t, pings, strings.Count(got.Body, keepAlivePing), got.Body)
				assert.Equal(t, start+end, strings.ReplaceAll(got.Body, keepAlivePing, ""))
			})
		})
	}
}
