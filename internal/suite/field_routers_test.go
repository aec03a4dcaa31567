package suite_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestFieldZeroCosts: a gateway in between fills in a cost of zero. Beside a price it is
// not a figure, or no budget ever ends (litellm#37923). Beside no price, and beside a
// price of zero, the request was free.
func TestFieldZeroCosts(t *testing.T) {
	const tokens = `{"prompt_tokens":1000,"completion_tokens":100`
	for _, tt := range []struct {
		usage, usd string
		price      float64 // below zero: none
		source     aigateway.CostSource
		estimated  bool
	}{
		{tokens + `,"cost":0}`, "0.0022", 2, aigateway.CostOfConfig, true},
		{tokens + `,"cost":0.0,"is_byok":false}`, "0.0022", 2, aigateway.CostOfConfig, true},
		{tokens + `,"cost":{"total_cost":0}}`, "0.0022", 2, aigateway.CostOfConfig, true},
		{tokens + `,"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0}}`, "0.0022", 2, aigateway.CostOfConfig, true},
		{tokens + `,"cost":0.000001}`, "0.000001", 2, aigateway.CostOfProvider, false},
		{tokens + `}`, "0.0022", 2, aigateway.CostOfConfig, false},
		{tokens + `,"cost":0}`, "0", 0, aigateway.CostOfProvider, false},
		{tokens + `,"cost":0}`, "0", -1, aigateway.CostOfProvider, false},
	} {
		for body, answer := range map[string]http.HandlerFunc{
			testbed.ChatRequest: gatewaytest.JSON(200, `{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":`+tt.usage+`}`),
			testbed.StreamRequest: gatewaytest.Stream(gatewaytest.ChatDelta("hi"), gatewaytest.ChatStop,
				`data: {"choices":[],"usage":`+tt.usage+"}\n\n", gatewaytest.ChatDone),
		} {
			t.Run(fmt.Sprintf("%s at %g/stream=%t", tt.usage, tt.price, body == testbed.StreamRequest), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a")
					if tt.price >= 0 {
						cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: &tt.price, Output: &tt.price}
					}
					var res *aigateway.Result
					cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
					harness := testbed.Start(t, cfg, testbed.Hosts{"a": answer}, nil)
					require.Equal(t, 200, harness.Post(fieldChat, body).Status)
					require.NotNil(t, res.Cost)
					assert.Equal(t, tt.usd, res.Cost.USD.String())
					assert.Equal(t, tt.source, res.Cost.Source)
					assert.Equal(t, tt.estimated, res.Cost.Estimated)
				})
			})
		}
	}
}

// TestFieldMovingCacheMarks: clients mark the newest turn for the provider's prompt cache,
// and write it as a block while it is marked. The conversation stays where its cache is
// (agentgateway#2572).
func TestFieldMovingCacheMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b", "c", "d", "e", "f", "g", "h")
		cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.session)"}
		s := testbed.NewScripts(t, cfg)
		for i := range 4 {
			first, second := fmt.Sprintf("question %d", i), "and then?"
			marked := func(text string) string {
				return `{"role":"user","content":[{"type":"text","text":"` + text + `","cache_control":{"type":"ephemeral"}}]}`
			}
			plain := func(text string) string { return `{"role":"user","content":"` + text + `"}` }
			ask := func(messages string) []string {
				got := s.Post(fieldMessages, `{"model":"m","max_tokens":9,"system":"s","messages":[`+messages+`]}`)
				require.Equal(t, 200, got.Status, got.Body)
				return s.Routes()
			}
			served := ask(marked(first))
			const answer = `,{"role":"assistant","content":"so"},`
			assert.Equal(t, served, ask(plain(first)+answer+marked(second)))
			assert.Equal(t, served, ask(plain(first)+answer+plain(second)+answer+marked("why?")))
		}
	})
}

// TestFieldAccountHeaders: an answer does not name the account behind the gateway's key, nor
// what it has spent or where the model is. Clients are tenants of the operator.
func TestFieldAccountHeaders(t *testing.T) {
	account := map[string]string{
		"openai-organization": "acme", "openai-project": "proj_acme", "anthropic-organization-id": "acme", "x-litellm-key-spend": "acme 12",
		"x-litellm-key-max-budget": "acme 40", "x-litellm-model-api-base": "http://acme.internal:8000",
	}
	for name, answer := range map[string]http.HandlerFunc{
		"an answer": gatewaytest.Chat("hi"), "an error": gatewaytest.Error(400, "bad", "no"),
		"a stream": gatewaytest.Stream(gatewaytest.ChatDelta("hi"), gatewaytest.ChatStop, gatewaytest.ChatDone),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := testbed.Start(t, testbed.Config(1, "a"), testbed.Hosts{"a": func(w http.ResponseWriter, r *http.Request) {
					for name, value := range account {
						w.Header().Set(name, value)
					}
					w.Header().Set("openai-processing-ms", "12")
					answer(w, r)
				}}, nil)
				body := testbed.ChatRequest
				if name == "a stream" {
					body = testbed.StreamRequest
				}
				got := harness.Post(fieldChat, body)
				assert.NotContains(t, fmt.Sprint(got.Header), "acme")
				assert.Equal(t, "12", got.Header.Get("Openai-Processing-Ms"))
			})
		})
	}
}

// TestFieldOtherToolsWords: a field under another gateway's name for it is an error
// with the name here.
func TestFieldOtherToolsWords(t *testing.T) {
	const rack = "providers:\n- id: rack\n  base_url: https://rack.example.com\n"
	for field, want := range map[string]string{
		"  rpm: 60": "limits", "  max_parallel_requests: 6": "limits", "  limits: {max_parallel_requests: 6}": "in_flight",
		"  limits: {max_concurrent_requests: 6}": "in_flight", "  models: [{id: m, fallback_models: ['rack:n']}]": "fallbacks",
		"  models: [{id: m, pricing: {prompt: 1}}]": "input", "  models: [{id: m, pricing: {completion: 1}}]": "output",
		"  models: [{id: m, pricing: {cache_read: 1}}]": "input_cache_read", "routing_strategy: least-busy": "model_selection",
		"load_balancing: random": "model_selection", "max_budget: 5": "client_limits",
	} {
		_, err := aigateway.ParseConfig([]byte(rack + field + "\n"))
		require.Error(t, err, field)
		assert.Contains(t, err.Error(), fmt.Sprintf("unknown field; did you mean %q?", want), field)
	}
}

// TestFieldServedModel: a translated answer names its model, also if the server behind names
// none (LLMKube#766). Answers of messages have the client's name for it.
func TestFieldServedModel(t *testing.T) {
	const (
		chat      = `{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`
		responses = `{"id":"resp_1","object":"response","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]}`
		message   = `"type":"message","role":"assistant","usage":{"input_tokens":1,"output_tokens":1}`
		block     = `"index":0`
	)
	event := func(name, fields string) string {
		return "event: " + name + "\ndata: {\"type\":\"" + name + "\"," + fields + "}\n\n"
	}
	messages := `{` + message + `,"content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}`
	for _, up := range []struct {
		surface aigateway.APISurface
		whole   string
		stream  []string
		clients []string
	}{
		{aigateway.APISurface{Format: "openai", Surface: "chat-completions"}, chat, []string{gatewaytest.ChatDelta("hi"), gatewaytest.ChatStop, gatewaytest.ChatDone}, []string{fieldMessages, fieldResponses}},
		{aigateway.APISurface{Format: "openai", Surface: "responses"}, responses, []string{
			event("response.created", `"response":{"id":"resp_1","status":"in_progress"}`),
			event("response.output_item.added", `"output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","content":[]}`),
			event("response.output_text.delta", `"output_index":0,"content_index":0,"item_id":"msg_1","delta":"hi"`),
			event("response.completed", `"response":`+responses),
		}, []string{fieldChat, fieldMessages}},
		{aigateway.APISurface{Format: "anthropic", Surface: "messages"}, messages, []string{
			event("message_start", `"message":{`+message+`,"content":[]}`),
			event("content_block_start", block+`,"content_block":{"type":"text","text":""}`),
			event("content_block_delta", block+`,"delta":{"type":"text_delta","text":"hi"}`),
			event("content_block_stop", block),
			event("message_delta", `"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}`), event("message_stop", block),
		}, []string{fieldChat, fieldResponses}},
	} {
		for _, stream := range []bool{false, true} {
			for _, path := range up.clients {
				t.Run(fmt.Sprintf("%s to %s/stream=%t", up.surface.Surface, path, stream), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						cfg := testbed.Config(1, "a")
						cfg.Providers[0].SupportedAPISurfaces, cfg.Providers[0].Translate = []aigateway.APISurface{up.surface}, aigateway.TranslateOn
						answer := gatewaytest.JSON(200, up.whole)
						if stream {
							answer = gatewaytest.Stream(up.stream...)
						}
						harness := testbed.Start(t, cfg, testbed.Hosts{"a": answer}, nil)
						input := `"messages":[{"role":"user","content":"x"}]`
						if path == fieldResponses {
							input = `"input":"x"`
						}
						got := harness.Post(path, fmt.Sprintf(`{"model":"a:m","max_tokens":9,"stream":%t,%s}`, stream, input))
						require.Equal(t, 200, got.Status, got.Body)
						want := `"model":"m"`
						if path == fieldMessages {
							want = `"model":"a:m"`
						}
						assert.Contains(t, got.Body, want)
						assert.NotContains(t, got.Body, `"model":""`)
					})
				})
			}
		}
	}
}
