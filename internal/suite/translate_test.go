package suite_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// The surfaces of one format each.
var (
	translateChat      = []aigateway.APISurface{{Format: "openai", Surface: "chat-completions"}}
	translateResponses = []aigateway.APISurface{{Format: "openai", Surface: "responses"}}
	translateMessages  = []aigateway.APISurface{{Format: "anthropic"}}
)

const translateMark = "X-Aigateway-Translated"

// translateProvider is a provider with a model m that speaks only some surfaces.
func translateProvider(t *testing.T, cfg *aigateway.Config, id string, mode aigateway.Translate, speaks []aigateway.APISurface, script ...http.HandlerFunc) *gatewaytest.Upstream {
	up := gatewaytest.NewUpstream(t, script...)
	cfg.Registry = aigateway.NoRegistry()
	cfg.Providers = append(cfg.Providers, aigateway.Provider{
		ID: id, BaseURL: "http://" + id + ".internal", Translate: mode, SupportedAPISurfaces: speaks,
		APIKeys: []aigateway.APIKey{{Value: aigateway.Template("sk-of-" + id + "-0123456789")}},
		Models:  []aigateway.Model{{ID: "m", IDAliases: []string{"claude-x", "gpt-x"}}},
	})
	if cfg.InternalEndpoints == nil {
		cfg.InternalEndpoints = map[string]string{}
	}
	cfg.InternalEndpoints[id+".internal"] = up.URL
	return up
}

// translateCase is a client's format at a provider of another.
type translateCase struct {
	pair   string
	path   string
	speaks []aigateway.APISurface
	// request has a system prompt, an image, two parallel calls with their results,
	// and a tool. sent is the request that the provider gets.
	request, sent, sentPath string
	// answer is the provider's, with a text and two calls, and got the client's.
	answer, got string
	// refusal is a provider's error, and told the client's.
	refusal, told string
}

const (
	translatePixel   = "iVBORw0KGgo="
	translateSchema  = `{"type":"object","properties":{"city":{"type":"string"}}}`
	translateOfChat  = `{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"It rains.","tool_calls":[{"id":"c3","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}},{"id":"c4","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,"prompt_tokens_details":{"cached_tokens":10}}}`
	translateOfMsgs  = `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"It rains."},{"type":"tool_use","id":"c3","name":"weather","input":{"city":"Rome"}},{"type":"tool_use","id":"c4","name":"weather","input":{"city":"Oslo"}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":20,"cache_read_input_tokens":10,"output_tokens":12}}`
	translateOfResps = `{"id":"resp_1","object":"response","created_at":1700000000,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"It rains.","annotations":[]}]},{"type":"function_call","id":"fc_3","call_id":"c3","name":"weather","arguments":"{\"city\":\"Rome\"}","status":"completed"},{"type":"function_call","id":"fc_4","call_id":"c4","name":"weather","arguments":"{\"city\":\"Oslo\"}","status":"completed"}],"usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":10},"output_tokens":12,"total_tokens":42}}`

	translateAskChat  = `{"model":"gpt-x","max_tokens":100,"messages":[{"role":"system","content":"Be short."},{"role":"user","content":[{"type":"text","text":"What is it like?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + translatePixel + `"}}]},{"role":"assistant","content":"I look.","tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bonn\"}"}},{"id":"c2","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Kiel\"}"}}]},{"role":"tool","tool_call_id":"c1","content":"sun"},{"role":"tool","tool_call_id":"c2","content":"fog"}],"tools":[{"type":"function","function":{"name":"weather","description":"the weather","parameters":` + translateSchema + `}}]}`
	translateAskMsgs  = `{"model":"claude-x","max_tokens":100,"system":"Be short.","messages":[{"role":"user","content":[{"type":"text","text":"What is it like?"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + translatePixel + `"}}]},{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"c1","name":"weather","input":{"city":"Bonn"}},{"type":"tool_use","id":"c2","name":"weather","input":{"city":"Kiel"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"sun"},{"type":"tool_result","tool_use_id":"c2","content":"fog"}]}],"tools":[{"name":"weather","description":"the weather","input_schema":` + translateSchema + `}]}`
	translateAskResps = `{"model":"gpt-x","max_output_tokens":100,"instructions":"Be short.","input":[{"role":"user","content":[{"type":"input_text","text":"What is it like?"},{"type":"input_image","image_url":"data:image/png;base64,` + translatePixel + `"}]},{"role":"assistant","content":[{"type":"output_text","text":"I look."}]},{"type":"function_call","call_id":"c1","name":"weather","arguments":"{\"city\":\"Bonn\"}"},{"type":"function_call","call_id":"c2","name":"weather","arguments":"{\"city\":\"Kiel\"}"},{"type":"function_call_output","call_id":"c1","output":"sun"},{"type":"function_call_output","call_id":"c2","output":"fog"}],"tools":[{"type":"function","name":"weather","description":"the weather","parameters":` + translateSchema + `,"strict":false}],"store":false}`

	translateRefusalOpenAI    = `{"error":{"message":"no such tool","type":"invalid_request_error","param":"tools","code":"bad_tool"}}`
	translateRefusalAnthropic = `{"type":"error","error":{"type":"invalid_request_error","message":"no such tool"},"request_id":"req_1"}`
)

// translateCases are the pairs.
func translateCases() []translateCase {
	type side struct {
		name, path, ask, answer, refusal string
		speaks                           []aigateway.APISurface
	}
	chat := side{"chat", "/v1/chat/completions", translateAskChat, translateOfChat, translateRefusalOpenAI, translateChat}
	responses := side{"responses", "/v1/responses", translateAskResps, translateOfResps, translateRefusalOpenAI, translateResponses}
	messages := side{"messages", "/v1/messages", translateAskMsgs, translateOfMsgs, translateRefusalAnthropic, translateMessages}
	var out []translateCase
	for _, p := range [][2]side{{messages, chat}, {chat, messages}, {responses, chat}, {responses, messages}, {chat, responses}, {messages, responses}} {
		out = append(out, translateCase{
			pair: p[0].name + "-to-" + p[1].name, path: p[0].path, request: p[0].ask, speaks: p[1].speaks,
			sent: p[1].ask, sentPath: p[1].path, answer: p[1].answer, got: p[0].answer, refusal: p[1].refusal, told: p[0].refusal,
		})
	}
	return out
}

// translateFacts are the strings and numbers that a document has in common with its
// translation: names of fields and words of a format are left out.
func translateFacts(t *testing.T, document string) []string {
	t.Helper()
	var facts []string
	for _, fact := range []string{
		"Be short.", "What is it like?", translatePixel, "I look.", `c1`, `c2`, `c3`, `c4`, "Bonn", "Kiel", "sun", "fog",
		"the weather", "It rains.", "Rome", "Oslo", "no such tool", `100`,
	} {
		if strings.Contains(document, fact) {
			facts = append(facts, fact)
		}
	}
	require.True(t, json.Valid([]byte(document)), document)
	return facts
}

// TestTranslatedAnswers: the provider gets a request of its own format, with its own
// model and key, and the client an answer of its format, with a header that says so.
func TestTranslatedAnswers(t *testing.T) {
	for _, c := range translateCases() {
		t.Run(c.pair, func(t *testing.T) {
			var cfg aigateway.Config
			asked := make(chan string, 1)
			up := translateProvider(t, &cfg, "p", aigateway.TranslateStrict, c.speaks, func(w http.ResponseWriter, r *http.Request) {
				asked <- r.RequestURI
				gatewaytest.JSON(200, c.answer)(w, r)
			})
			results := requestResults(&cfg)
			header := http.Header{
				"Authorization": {"Bearer sk-client-0123456789"}, "Anthropic-Beta": {"x"}, "Anthropic-Version": {"2023-01-01"}, "Openai-Beta": {"y"},
			}
			resp, got := requestPost(t, testbed.Serve(t, cfg)+c.path+"?beta=true", header, c.request)
			require.Equal(t, http.StatusOK, resp.StatusCode, got)
			assert.Equal(t, c.pair, resp.Header.Get(translateMark))
			assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
			assert.Subset(t, translateFacts(t, got), translateFacts(t, c.got), "responses repeat the request, too")
			translateShape(t, c.path, got)
			if c.path == "/v1/messages" {
				assert.Contains(t, got, `"model":"claude-x"`, "as the client named it")
			}

			sent := up.Last()
			assert.Equal(t, c.sentPath, <-asked, "without the client's query")
			assert.Equal(t, translateFacts(t, c.sent), translateFacts(t, string(sent.Body)))
			assert.Contains(t, string(sent.Body), `"model":"m"`)
			assert.NotContains(t, sent.Header, "Anthropic-Beta")
			assert.NotContains(t, sent.Header, "Openai-Beta")
			if c.sentPath == "/v1/messages" {
				assert.Equal(t, "sk-of-p-0123456789", sent.Header.Get("X-Api-Key"))
				assert.Equal(t, "2023-06-01", sent.Header.Get("Anthropic-Version"))
			} else {
				assert.Equal(t, "Bearer sk-of-p-0123456789", sent.Header.Get("Authorization"))
				assert.NotContains(t, sent.Header, "Anthropic-Version")
			}

			res := <-results
			assert.Equal(t, aigateway.StatusSuccess, res.Status, res.Error)
			assert.Equal(t, []int64{30, 12}, []int64{res.InputTokens, res.OutputTokens})
			require.NotNil(t, res.Translation)
			assert.Equal(t, c.pair, res.Translation.Pair)
			assert.Empty(t, res.Translation.Lost)
		})
	}
}

// translateShape checks the members that the SDKs go by.
func translateShape(t *testing.T, path, answer string) {
	t.Helper()
	var a struct {
		Type       string
		Object     string
		Status     string
		StopReason string `json:"stop_reason"`
		Choices    []struct {
			FinishReason string `json:"finish_reason"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(answer), &a))
	switch path {
	case "/v1/messages":
		assert.Equal(t, []string{"message", "tool_use"}, []string{a.Type, a.StopReason})
	case "/v1/responses":
		assert.Equal(t, []string{"response", "completed"}, []string{a.Object, a.Status})
	default:
		require.Len(t, a.Choices, 1)
		assert.Equal(t, []string{"chat.completion", "tool_calls"}, []string{a.Object, a.Choices[0].FinishReason})
	}
}

// TestTranslatedErrors: an error keeps its status, its message and its Retry-After,
// and has the client's shape. An error under status 200 counts too.
func TestTranslatedErrors(t *testing.T) {
	for _, c := range translateCases() {
		for _, tt := range []struct {
			name   string
			status int
			answer http.HandlerFunc
		}{
			{"422", 422, gatewaytest.JSON(422, c.refusal)},
			{"429", 429, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "7")
				gatewaytest.JSON(429, c.refusal)(w, r)
			}},
			{"plain text", http.StatusBadRequest, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such tool", http.StatusBadRequest) }},
			{"under 200", 400, gatewaytest.JSON(200, `{"error":{"message":"no such tool","code":400}}`)},
		} {
			t.Run(c.pair+"/"+tt.name, func(t *testing.T) {
				var cfg aigateway.Config
				translateProvider(t, &cfg, "p", aigateway.TranslateOn, c.speaks, tt.answer)
				results := requestResults(&cfg)
				resp, got := requestPost(t, testbed.Serve(t, cfg)+c.path, nil, c.request)
				require.Equal(t, tt.status, resp.StatusCode, got)
				var e struct {
					Type  string
					Error struct{ Type, Message string }
				}
				require.NoError(t, json.Unmarshal([]byte(got), &e), got)
				assert.Equal(t, "no such tool", e.Error.Message)
				assert.NotEmpty(t, e.Error.Type)
				assert.Equal(t, c.path == "/v1/messages", e.Type == "error", got)
				assert.Equal(t, c.pair, resp.Header.Get(translateMark))
				if tt.status == 429 {
					assert.Equal(t, "7", resp.Header.Get("Retry-After"))
				}
				res := <-results
				require.NotNil(t, res.Translation)
				assert.Equal(t, aigateway.CodeUpstreamError, res.Error.Code)
			})
		}
	}
}

// TestTranslatedNotAnAnswer: an answer that cannot be translated fails over like any
// other that is not an answer.
func TestTranslatedNotAnAnswer(t *testing.T) {
	long := strings.Replace(translateOfChat, "It rains.", strings.Repeat("rain ", 4<<20), 1)
	for _, tt := range []struct{ name, answer string }{
		{"HTML", "<html>"}, {"not of the format", `{"choices":[{"message":"hi"}]}`}, {"over 16 MiB", long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cfg aigateway.Config
			translateProvider(t, &cfg, "a", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, tt.answer))
			translateProvider(t, &cfg, "b", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, translateOfChat))
			results := requestResults(&cfg)
			resp, got := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", nil, translateAskMsgs)
			require.Equal(t, 200, resp.StatusCode, got)
			assert.Contains(t, got, "It rains.")
			res := <-results
			require.NotNil(t, res.Success)
			assert.Equal(t, "b", res.Success.Provider)
		})
	}
	// Between 1 and 16 MiB an answer is held as a whole.
	var cfg aigateway.Config
	large := strings.Replace(translateOfChat, "It rains.", strings.Repeat("rain ", 1<<20), 1)
	translateProvider(t, &cfg, "a", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, large))
	resp, got := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", nil, translateAskMsgs)
	require.Equal(t, 200, resp.StatusCode)
	assert.Contains(t, got, strings.Repeat("rain ", 1<<20))
}

// TestTranslatedOrder: a provider that speaks the client's format comes before one
// that does not, within each of the client's names. A failover crosses formats.
func TestTranslatedOrder(t *testing.T) {
	fails := gatewaytest.Error(500, "boom", "boom")
	for _, tt := range []struct {
		name, model, strategy string
		answers               [2]http.HandlerFunc // of chat and of messages
		want                  []string
	}{
		{"native first", `"model":"claude-x"`, "", [2]http.HandlerFunc{nil, gatewaytest.JSON(200, translateOfMsgs)}, []string{"messages:m"}},
		{"over to the other format", `"model":"claude-x"`, "", [2]http.HandlerFunc{gatewaytest.JSON(200, translateOfChat), fails}, []string{"messages:m", "chat:m"}},
		{"the client's order", `"models":["chat:m","messages:m"]`, "", [2]http.HandlerFunc{fails, gatewaytest.JSON(200, translateOfMsgs)}, []string{"chat:m", "messages:m"}},
		{"a strategy's order", `"model":"claude-x"`, "ai.models.sortBy(m, m.provider_id)", [2]http.HandlerFunc{gatewaytest.JSON(200, translateOfChat), nil}, []string{"chat:m"}},
		{"a strategy without an order", `"model":"claude-x"`, "ai.models", [2]http.HandlerFunc{nil, gatewaytest.JSON(200, translateOfMsgs)}, []string{"messages:m"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cfg aigateway.Config
			for i, h := range tt.answers {
				if h == nil {
					tt.answers[i] = func(http.ResponseWriter, *http.Request) { t.Error("was asked") }
				}
			}
			translateProvider(t, &cfg, "chat", aigateway.TranslateOn, translateChat, tt.answers[0])
			up := translateProvider(t, &cfg, "messages", aigateway.TranslateOn, translateMessages, tt.answers[1])
			if tt.strategy != "" {
				cfg.ModelSelection.Strategy = []string{tt.strategy}
			}
			results := requestResults(&cfg)
			body := strings.Replace(translateAskMsgs, `"model":"claude-x"`, tt.model, 1)
			resp, got := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", nil, body)
			require.Equal(t, 200, resp.StatusCode, got)
			res := <-results
			var tried []string
			for _, m := range res.ModelsTried {
				tried = append(tried, m.Provider+":"+m.Model)
			}
			assert.Equal(t, tt.want, tried)
			if tt.want[len(tt.want)-1] == "messages:m" {
				assert.Equal(t, translateOfMsgs, got, "native answers are untouched")
				assert.NotContains(t, resp.Header, translateMark)
				assert.Nil(t, res.Translation)
				_, want, _ := strings.Cut(body, `"max_tokens"`)
				_, sent, _ := strings.Cut(string(up.Last().Body), `"max_tokens"`)
				assert.True(t, strings.HasPrefix(sent, want[:len(want)-1]), "and so are native requests")
			}
		})
	}
}

// TestTranslateStrict: a loss is named, or passes the provider over. Hints are no
// reason. A request that cannot be served is told why.
func TestTranslateStrict(t *testing.T) {
	lossy := strings.Replace(translateAskMsgs, `"max_tokens"`, `"top_k":5,"metadata":{"user_id":"u"},"max_tokens"`, 1)
	several := strings.Replace(translateAskChat, `"max_tokens"`, `"n":2,"max_tokens"`, 1)
	stateful := strings.Replace(translateAskResps, `"store":false`, `"previous_response_id":"resp_9"`, 1)
	for _, tt := range []struct {
		name, path, body string
		speaks           []aigateway.APISurface
		mode             aigateway.Translate
		status           int
		says             string // the header, or a part of the error
	}{
		{"a loss", "/v1/messages", lossy, translateChat, aigateway.TranslateOn, 200, "messages-to-chat; lost=top_k"},
		{"a loss, strict", "/v1/messages", lossy, translateChat, aigateway.TranslateStrict, 422, "would lose top_k"},
		{"a hint, strict", "/v1/messages", strings.Replace(lossy, `"top_k":5,`, "", 1), translateChat, aigateway.TranslateStrict, 200, "messages-to-chat"},
		{"two answers", "/v1/chat/completions", several, translateMessages, aigateway.TranslateOn, 422, "n is over 1"},
		{"an earlier response", "/v1/responses", stateful, translateChat, aigateway.TranslateOn, 422, "previous_response_id"},
		{"not the format", "/v1/messages", `{"model":"m","messages":7}`, translateChat, aigateway.TranslateOn, 400, "does not have the form"},
		{"off", "/v1/messages", lossy, translateChat, "", 422, "does not speak the anthropic format"},
		{"no pair", "/v1/embeddings", `{"model":"m","input":"hi"}`, translateChat, aigateway.TranslateOn, 422, "does not offer embeddings"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cfg aigateway.Config
			up := translateProvider(t, &cfg, "p", tt.mode, tt.speaks, gatewaytest.JSON(200, translateOfChat))
			results := requestResults(&cfg)
			resp, got := requestPost(t, testbed.Serve(t, cfg)+tt.path, nil, tt.body)
			require.Equal(t, tt.status, resp.StatusCode, got)
			res := <-results
			if tt.status == 200 {
				assert.Equal(t, tt.says, resp.Header.Get(translateMark))
				assert.Equal(t, []string{"metadata"}, res.Translation.Dropped)
				return
			}
			assert.Contains(t, got, tt.says)
			assert.Zero(t, up.Count(), "nothing is sent")
			assert.Empty(t, resp.Header.Get(translateMark))
		})
	}
}

// translateCounts are the surfaces that count tokens, in front of providers of other
// formats.
var translateCounts = []struct {
	path, request, form string
	speaks              []aigateway.APISurface
	pair                string
}{
	{"/v1/messages/count_tokens", translateAskMsgs, `{"input_tokens":%d}`, translateChat, "messages-to-chat"},
	{"/v1/messages/count_tokens", translateAskMsgs, `{"input_tokens":%d}`, translateResponses, "messages-to-responses"},
	{"/v1/responses/input_tokens", translateAskResps, `{"object":"response.input_tokens","input_tokens":%d}`, translateChat, "responses-to-chat"},
	{"/v1/responses/input_tokens", translateAskResps, `{"object":"response.input_tokens","input_tokens":%d}`, translateMessages, "responses-to-messages"},
	// They speak the client's format, and have no endpoint that counts.
	{"/v1/messages/count_tokens", translateAskMsgs, `{"input_tokens":%d}`, []aigateway.APISurface{{Format: "anthropic", Surface: "messages"}}, "messages-to-messages"},
	{"/v1/messages/count_tokens", translateAskMsgs, `{"input_tokens":%d}`, append(translateChat[:1:1], aigateway.APISurface{Format: "anthropic", Surface: "messages"}), "messages-to-messages"},
	{"/v1/responses/input_tokens", translateAskResps, `{"object":"response.input_tokens","input_tokens":%d}`, append(translateChat[:1:1], translateResponses...), "responses-to-responses"},
}

// TestTranslatedCounts: tokens are estimated where the provider does not count, and
// nothing is sent.
func TestTranslatedCounts(t *testing.T) {
	for _, c := range translateCounts {
		t.Run(c.pair, func(t *testing.T) {
			var cfg aigateway.Config
			up := translateProvider(t, &cfg, "p", aigateway.TranslateStrict, c.speaks, gatewaytest.JSON(200, translateOfChat))
			cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.host)"} // nothing is pinned
			results := requestResults(&cfg)
			gateway, err := aigateway.New(cfg)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(c.request)))
			require.Equal(t, 200, w.Code, w.Body)
			var count struct {
				InputTokens int64 `json:"input_tokens"`
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &count))
			assert.Greater(t, count.InputTokens, int64(20))
			assert.Equal(t, fmt.Sprintf(c.form, count.InputTokens), w.Body.String())
			assert.Equal(t, c.pair+"; estimated", w.Header().Get(translateMark))
			assert.Equal(t, fmt.Sprint(w.Body.Len()), w.Header().Get("Content-Length"))
			assert.Zero(t, up.Count())
			res := <-results
			assert.Equal(t, aigateway.StatusSuccess, res.Status)
			assert.Equal(t, &aigateway.Translation{Pair: c.pair, Estimated: true}, res.Translation)
		})
	}
}

// TestCountsOfTheProvider: a provider that counts is asked, and its answer passes as it
// is.
func TestCountsOfTheProvider(t *testing.T) {
	for _, c := range []struct {
		path, request, answer string
		speaks                []aigateway.APISurface
	}{
		{"/v1/messages/count_tokens", translateAskMsgs, `{"input_tokens":2095}`, translateMessages},
		{"/v1/responses/input_tokens", translateAskResps, `{"object":"response.input_tokens", "input_tokens":2095}`, []aigateway.APISurface{{Format: "openai"}}},
	} {
		t.Run(c.path, func(t *testing.T) {
			var cfg aigateway.Config
			up := translateProvider(t, &cfg, "p", aigateway.TranslateOn, c.speaks, gatewaytest.JSON(200, c.answer))
			resp, got := requestPost(t, testbed.Serve(t, cfg)+c.path, nil, c.request)
			assert.Equal(t, c.answer, got)
			assert.NotContains(t, resp.Header, translateMark)
			require.Equal(t, 1, up.Count())
			assert.Equal(t, c.path, up.Last().URL)
		})
	}
}

// TestTranslatedConfig: what the config says about a request holds on the provider's
// side: fields, the cap of the output, lists of parameters.
func TestTranslatedConfig(t *testing.T) {
	var cfg aigateway.Config
	up := translateProvider(t, &cfg, "p", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, translateOfChat))
	cfg.MaxOutputTokens = 50
	cfg.Providers[0].Body = map[string]any{"top_p": 0.5, "seed": 7}
	cfg.Providers[0].Models[0].UnsupportedParams = []aigateway.Param{{Name: "tools"}}
	resp, got := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", nil, translateAskMsgs)
	require.Equal(t, 200, resp.StatusCode, got)
	var sent map[string]any
	require.NoError(t, json.Unmarshal(up.Last().Body, &sent))
	assert.EqualValues(t, 50, sent["max_tokens"])
	assert.EqualValues(t, 0.5, sent["top_p"])
	assert.EqualValues(t, 7, sent["seed"])
	assert.NotContains(t, sent, "tools")
}

// TestTranslatedReasoning: reasoning goes to the client with a mark, and back to its
// own provider. A provider that speaks the client's format does not get it.
func TestTranslatedReasoning(t *testing.T) {
	thinking := strings.Replace(translateOfChat, `"content":"It rains."`, `"reasoning_content":"Hm.","content":"It rains."`, 1)
	var cfg aigateway.Config
	chat := translateProvider(t, &cfg, "chat", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, thinking))
	messages := translateProvider(t, &cfg, "messages", aigateway.TranslateOn, translateMessages, gatewaytest.JSON(200, translateOfMsgs))
	url := testbed.Serve(t, cfg) + "/v1/messages"
	resp, got := requestPost(t, url, nil, strings.Replace(translateAskMsgs, "claude-x", "chat:m", 1))
	require.Equal(t, 200, resp.StatusCode, got)
	var answer struct{ Content json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(got), &answer))
	require.Contains(t, string(answer.Content), "aigateway:")
	next := `{"model":"%s","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":` + string(answer.Content) +
		`},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c3","content":"dry"},{"type":"tool_result","tool_use_id":"c4","content":"wet"}]}]}`

	resp, got = requestPost(t, url, nil, fmt.Sprintf(next, "chat:m"))
	require.Equal(t, 200, resp.StatusCode, got)
	assert.Contains(t, string(chat.Last().Body), `"reasoning_content":"Hm."`)
	resp, got = requestPost(t, url, nil, fmt.Sprintf(next, "messages:m"))
	require.Equal(t, 200, resp.StatusCode, got)
	assert.NotContains(t, string(messages.Last().Body), "aigateway:")
	assert.NotContains(t, string(messages.Last().Body), "Hm.")
	assert.Contains(t, string(messages.Last().Body), `"tool_use_id":"c4"`)
}

// TestTranslatedOffers: a model behind a translation is listed in the client's format
// too, and Explain says what would be lost.
func TestTranslatedOffers(t *testing.T) {
	var cfg aigateway.Config
	up := translateProvider(t, &cfg, "p", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, translateOfChat))
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/v1/models", nil)
	r.Header.Set("Anthropic-Version", "2023-06-01")
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, r)
	assert.Contains(t, w.Body.String(), `"claude-x"`)

	res, err := testbed.Explain(gateway, "/v1/messages", strings.Replace(translateAskMsgs, `"max_tokens"`, `"top_k":5,"max_tokens"`, 1))
	require.NoError(t, err)
	require.Len(t, res.ModelsTried, 1)
	assert.Equal(t, []string{"top_k"}, res.ModelsTried[0].Translation.Lost)
	assert.Zero(t, up.Count())
}

// TestTranslatedSecrets: a key that an upstream's error repeats does not pass the
// translation.
func TestTranslatedSecrets(t *testing.T) {
	var cfg aigateway.Config
	translateProvider(t, &cfg, "p", aigateway.TranslateOn, translateChat, gatewaytest.Error(400, "bad", "the key sk-of-p-0123456789 is bad"))
	_, got := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", nil, translateAskMsgs)
	assert.NotContains(t, got, "0123456789")
	assert.Contains(t, got, "is bad")
}
