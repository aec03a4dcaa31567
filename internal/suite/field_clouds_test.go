package suite_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// fieldUnder200 sends a body under status 200: as a whole answer, or as the first event.
func fieldUnder200(body string, stream bool) http.HandlerFunc {
	if stream {
		return gatewaytest.Stream("data: " + body + "\n\n")
	}
	return gatewaytest.JSON(http.StatusOK, body)
}

// TestFieldLimitsUnder200: a rate limit told under status 200 is one of the key.
// The key rests as after a 429, and the next request does not begin with it.
func TestFieldLimitsUnder200(t *testing.T) {
	for name, body := range map[string]string{
		"MiniMax":              `{"id":"","choices":null,"base_resp":{"status_code":1002,"status_msg":"rate limit exceeded(RPM)"}}`,
		"MiniMax' plan":        `{"id":"","choices":null,"base_resp":{"status_code":2056,"status_msg":"usage limit exceeded"}}`,
		"Anthropic":            `{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}`,
		"OpenRouter":           `{"id":"gen-1","choices":[],"error":{"code":429,"message":"Rate limit exceeded"}}`,
		"OpenAI's responses":   `{"error":{"type":"tokens","code":"rate_limit_exceeded","message":"Rate limit reached"}}`,
		"Google":               `[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]`,
		"Mistral":              `{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}`,
		"Zhipu":                `{"error":{"code":"1302","message":"slow"}}`,
		"DashScope":            `{"code":"Throttling.RateQuota","message":"slow","request_id":"r"}`,
		"Bedrock's exceptions": `{"__type":"ThrottlingException","message":"slow"}`,
	} {
		for _, stream := range []bool{false, true} {
			t.Run(name+fieldForm(stream), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testbed.NewScripts(t, testbed.Config(2, "a"))
					s.Set("a1", fieldUnder200(body, stream))
					ask := fieldAsk(stream)
					got := ask(s.Harness)
					require.Equal(t, http.StatusOK, got.Status, got.Body)
					assert.Equal(t, []string{"a1", "a2"}, s.Routes())
					ask(s.Harness)
					assert.Equal(t, []string{"a2"}, s.Routes())
				})
			})
		}
	}
}

// fieldForm names the form of a request in the name of a test.
func fieldForm(stream bool) string {
	if stream {
		return "/a stream"
	}
	return "/JSON"
}

// fieldAsk asks for JSON or for a stream.
func fieldAsk(stream bool) func(*gatewaytest.Harness) gatewaytest.Answer {
	if stream {
		return testbed.AskStream
	}
	return testbed.Ask
}

// TestFieldClientsFaultsUnder200: a faulty request moves no health, also if the
// server says so under status 200. Another candidate may answer it.
func TestFieldClientsFaultsUnder200(t *testing.T) {
	for name, body := range map[string]string{
		"OpenRouter's context": `{"id":"gen-1","choices":[],"error":{"code":400,"message":"This endpoint's maximum context length is 131072 tokens. However, you requested about 200000 tokens"}}`,
		"vLLM":                 `{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}`,
		"Anthropic":            `{"type":"error","error":{"type":"invalid_request_error","message":"messages.0: bad"}}`,
		"Anthropic's size":     `{"type":"error","error":{"type":"request_too_large","message":"big"}}`,
		"Zhipu's prompt":       `{"error":{"code":"1261","message":"Prompt exceeds max length"}}`,
	} {
		for _, stream := range []bool{false, true} {
			t.Run(name+fieldForm(stream), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
					script := make([]http.HandlerFunc, 8)
					for i := range script {
						script[i] = fieldUnder200(body, stream)
					}
					s.Set("a1", script...)
					for range script {
						got := fieldAsk(stream)(s.Harness)
						require.Equal(t, http.StatusOK, got.Status, got.Body)
						assert.Equal(t, []string{"a1", "b1"}, s.Routes())
					}
				})
			})
		}
	}
}

// TestFieldCostsOfClouds: a cloud's own figure wins, in whatever form, and calls without
// tokens have the price of a tool.
func TestFieldCostsOfClouds(t *testing.T) {
	usd := func(v float64) *float64 { return &v }
	const chat = `{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":`
	for _, tt := range []struct{ name, path, answer, usd string }{
		{"DeepInfra", fieldChat, chat + `{"prompt_tokens":14,"completion_tokens":9,"total_tokens":23,"estimated_cost":0.00000126}}`, "0.00000126"},
		{"DeepInfra, and a figure of a relay's", fieldChat, chat + `{"prompt_tokens":14,"completion_tokens":9,"cost":0.5,"estimated_cost":0.00000126}}`, "0.5"},
		{"xAI in nanodollars", fieldChat, chat + `{"prompt_tokens":10,"completion_tokens":5,"cost_in_nano_usd":123456789}}`, "0.123456789"},
		{"xAI in ticks and nanodollars", fieldChat, chat + `{"prompt_tokens":10,"completion_tokens":5,"cost_in_usd_ticks":1500000000,"cost_in_nano_usd":150000000}}`, "0.15"},
		{"NanoGPT, with an exponent", fieldChat, chat + `{"prompt_tokens":66,"completion_tokens":71,"cost":3.5E-05,"currency":"USD"}}`, "0.000035"},
		{"Cohere's search units", "/v1/rerank", `{"id":"1","results":[{"index":0,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":3}}}`, "0.006"},
		{"a cost without tokens", "/v1/images/generations", `{"created":1,"data":[{"url":"https://x.example/1.png"}],"usage":{"cost":0.04}}`, "0.04"},
		{"OpenRouter's search units", "/v1/rerank", `{"id":"1","results":[{"index":0,"relevance_score":0.9}],"usage":{"search_units":3}}`, "0.006"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: usd(0), Output: usd(0), Tools: map[string]float64{"search": 0.002}}
				var res *aigateway.Result
				cfg.Hooks = testbed.KeepResult(&res)
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.JSON(http.StatusOK, tt.answer)}, nil)
				got := harness.Post(tt.path, `{"model":"m","query":"q","documents":["d"],"messages":[{"role":"user","content":"hi"}]}`)
				require.Equal(t, http.StatusOK, got.Status, got.Body)
				require.NotNil(t, res.Cost)
				assert.Equal(t, tt.usd, res.Cost.USD.String())
			})
		})
	}
}
