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
