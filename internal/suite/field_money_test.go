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

// fieldUsages are usage objects of chat as gateways and servers write them, where the
// names of two formats meet.
var fieldUsages = []struct {
	name, usage string
	want        aigateway.Usage
	usd         string // at 2 USD for input, 0.2 from the cache, 2.5 into it, and 10 for output
}{
	{"Anthropic's names beside chat's (litellm#11789)",
		`{"prompt_tokens":2459,"completion_tokens":23,"total_tokens":2482,"prompt_tokens_details":{"cached_tokens":2455},"cache_read_input_tokens":2455,"cache_creation_input_tokens":0}`,
		aigateway.Usage{InputTokens: 2459, CachedInputTokens: 2455, OutputTokens: 23}, "0.000729"},
	{"the same without details (databricks-ai-bridge#446)",
		`{"prompt_tokens":2459,"completion_tokens":23,"total_tokens":2482,"cache_read_input_tokens":2455,"cache_creation_input_tokens":0}`,
		aigateway.Usage{InputTokens: 2459, CachedInputTokens: 2455, OutputTokens: 23}, "0.000729"},
	{"a write within the prompt (crewAI#6788)",
		`{"prompt_tokens":15635,"completion_tokens":10,"total_tokens":15645,"cache_creation_input_tokens":15624}`,
		aigateway.Usage{InputTokens: 15635, CacheWriteTokens: 15624, OutputTokens: 10}, "0.039182"},
	{"a write beside the prompt (litellm#15270)",
		`{"prompt_tokens":103,"completion_tokens":10,"total_tokens":163,"prompt_tokens_details":{"cached_tokens":100},"cache_read_input_tokens":100,"cache_creation_input_tokens":50}`,
		aigateway.Usage{InputTokens: 153, CachedInputTokens: 100, CacheWriteTokens: 50, OutputTokens: 10}, "0.000251"},
	{"a write in DashScope's words (Floway#109)",
		`{"prompt_tokens":3019,"completion_tokens":10,"total_tokens":3029,"prompt_tokens_details":{"cached_tokens":0,"cache_creation_input_tokens":2000,"cache_creation":{"ephemeral_5m_input_tokens":2000}}}`,
		aigateway.Usage{InputTokens: 3019, CacheWriteTokens: 2000, OutputTokens: 10}, "0.007138"},
}

// TestFieldCachedTokens: cached tokens are counted and paid once, whichever names a
// server gives them.
func TestFieldCachedTokens(t *testing.T) {
	usd := func(v float64) *float64 { return &v }
	for _, tt := range fieldUsages {
		answers := map[string]http.HandlerFunc{
			testbed.ChatRequest: gatewaytest.JSON(200, `{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":`+tt.usage+`}`),
			testbed.StreamRequest: gatewaytest.Stream(gatewaytest.ChatDelta("hi"), gatewaytest.ChatStop,
				`data: {"choices":[],"usage":`+tt.usage+"}\n\n", gatewaytest.ChatDone),
		}
		for body, answer := range answers {
			t.Run(fmt.Sprintf("%s/stream=%t", tt.name, body == testbed.StreamRequest), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a")
					cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: usd(2), Output: usd(10), InputCacheRead: usd(0.2), InputCacheWrite: usd(2.5)}
					var res *aigateway.Result
					cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
					harness := testbed.Start(t, cfg, testbed.Hosts{"a": answer}, nil)
					require.Equal(t, 200, harness.Post(fieldChat, body).Status)
					require.NotNil(t, res.Usage)
					assert.Equal(t, tt.want, *res.Usage)
					assert.Equal(t, tt.usd, res.Cost.USD.String())
				})
			})
		}
	}
}

// TestFieldCachedTokensTranslated: a translated usage counts them once, too.
func TestFieldCachedTokensTranslated(t *testing.T) {
	for _, tt := range fieldUsages {
		t.Run(tt.name, func(t *testing.T) {
			var cfg aigateway.Config
			translateProvider(t, &cfg, "a", aigateway.TranslateOn, translateChat,
				gatewaytest.JSON(200, `{"id":"c","model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":`+tt.usage+`}`))
			_, got := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", nil, `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`)
			assert.Contains(t, got, fmt.Sprintf(`"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,`,
				tt.want.InputTokens-tt.want.CachedInputTokens-tt.want.CacheWriteTokens, tt.want.CacheWriteTokens, tt.want.CachedInputTokens))
		})
	}
}

// TestFieldHeadersOverABudget: a client over its budget is not told of requests that
// another limit would still let through (agentgateway#3328). An SDK that goes by the
// reset of these would ask again each second for the rest of the day.
func TestFieldHeadersOverABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usd := 2_000_000.0
		cfg := testbed.Config(1, "a")
		cfg.Caller = func(*http.Request) string { return "w" }
		cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: &usd, Output: &usd}
		cfg.ClientLimits = []aigateway.ClientLimit{{RequestsPerMinute: 60, TokensPerMinute: 1000}, {USDPerDay: 5}}
		harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.JSON(200,
			`{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`)}, nil)
		require.Equal(t, 200, testbed.Ask(harness).Status)
		got := testbed.Ask(harness)
		assert.Equal(t, 429, got.Status)
		assert.Equal(t, "86400", got.Header.Get("Retry-After"), "until midnight")
		assert.Equal(t, "false", got.Header.Get("X-Should-Retry"))
		for name := range got.Header {
			assert.NotContains(t, name, "X-Ratelimit")
		}
	})
}
