package usage

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestBill reads what each provider says about money beside its tokens.
func TestBill(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []string
		want   Bill
		tokens Tokens
	}{
		{"openrouter", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"cost":0.00014,"is_byok":false,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":2},"cost_details":{"upstream_inference_cost":1}}}`},
			Bill{Cost: "0.00014"}, Tokens{Input: 9, Output: 3, CacheRead: 4, CacheWrite: 2, Known: true}},
		{"openrouter with an own key behind", []string{`{"usage":{"prompt_tokens":9171,"completion_tokens":113,"total_tokens":9284,"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0360795,"upstream_inference_prompt_cost":0.0343845,"upstream_inference_completions_cost":0.001695}}}`},
			Bill{Cost: "0", BehindCost: "0.0360795"}, Tokens{Input: 9171, Output: 113, Known: true}},
		{"openrouter with an own key behind, told last", []string{`{"usage":{"cost_details":{"upstream_inference_cost":1e-3},"prompt_tokens":9,"completion_tokens":3,"cost":0.5,"is_byok":true}}`},
			Bill{Cost: "0.5", BehindCost: "1e-3"}, Tokens{Input: 9, Output: 3, Known: true}},
		{"openrouter, odd details", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":3,"cost":0.5,"is_byok":true,"cost_details":{"upstream_inference_cost":null,"x":{}}}}`, `{"usage":{"cost_details":7}}`, `{"usage":{"cost_details":{"upstream_inference_cost":-1}}}`},
			Bill{Cost: "0.5"}, Tokens{Input: 9, Output: 3, Known: true}},
		{"perplexity", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":3,"cost":{"input_tokens_cost":0.1,"total_cost":5e-3}}}`},
			Bill{Cost: "5e-3"}, Tokens{Input: 9, Output: 3, Known: true}},
		{"xai", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":112,"cost_in_usd_ticks":37756000,"completion_tokens_details":{"reasoning_tokens":100}}}`},
			Bill{Ticks: 37756000}, Tokens{Input: 9, Output: 103, Reasoning: 100, Known: true}},
		{"google's thoughts", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":214}}`},
			Bill{}, Tokens{Input: 9, Output: 205, Known: true}},
		{"a negative cost", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":3,"cost":-1}}`}, Bill{}, Tokens{Input: 9, Output: 3, Known: true}},
		{"openai's tier", []string{`{"service_tier":null,"usage":null}`, `{"choices":[],"service_tier":"flex","usage":{"prompt_tokens":9,"completion_tokens":3}}`},
			Bill{ServiceTier: "flex"}, Tokens{Input: 9, Output: 3, Known: true}},
		{"sound", []string{`{"usage":{"prompt_tokens":9,"completion_tokens":30,"prompt_tokens_details":{"audio_tokens":5},"completion_tokens_details":{"audio_tokens":20}}}`},
			Bill{Media: 25}, Tokens{Input: 9, Output: 30, Known: true}},
		{"transcriptions", []string{`{"text":"a","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":45,"total_tokens":59}}`},
			Bill{Media: 14}, Tokens{Input: 14, Output: 45, Known: true}},
		{"anthropic", []string{
			`{"type":"message_start","message":{"usage":{"input_tokens":10,"cache_creation_input_tokens":300,"cache_read_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"output_tokens":1,"service_tier":"batch"}}}`,
			`{"type":"message_delta","usage":{"output_tokens":7,"server_tool_use":{"web_search_requests":2,"web_fetch_requests":0}}}`},
			Bill{ServiceTier: "batch", Tools: []Tool{{"web_search", 2}}},
			Tokens{Input: 315, Output: 7, CacheRead: 5, CacheWrite: 300, CacheWriteHour: 200, Known: true}},
		{"anthropic's speed, as it was served", []string{
			`{"type":"message_start","message":{"usage":{"input_tokens":10,"output_tokens":1,"speed":"fast","inference_geo":"global"}}}`,
			`{"type":"message_delta","usage":{"output_tokens":7}}`},
			Bill{Surcharge: true}, Tokens{Input: 10, Output: 7, Known: true}},
		{"anthropic's usual speed and place", []string{`{"usage":{"input_tokens":10,"output_tokens":1,"speed":"standard","inference_geo":"not_available"}}`},
			Bill{}, Tokens{Input: 10, Output: 1, Known: true}},
		{"anthropic's place", []string{`{"usage":{"input_tokens":10,"output_tokens":1,"speed":null,"inference_geo":"us"}}`},
			Bill{Surcharge: true}, Tokens{Input: 10, Output: 1, Known: true}},
		{"responses", []string{`{"type":"response.completed","response":{"service_tier":"default","output":[{"type":"web_search_call","id":"a"},{"id":"b","type":"web_search_call"},{"type":"function_call"},{"type":"file_search_call"},{"type":"message","content":[{"type":"output_text","text":"x_call"}]}],"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}}`},
			Bill{ServiceTier: "default", Tools: []Tool{{"web_search", 2}, {"file_search", 1}}}, Tokens{Input: 3, Output: 4, Known: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m Meter
			for _, e := range tt.events {
				m.Event([]byte(e))
			}
			assert.Equal(t, tt.want, m.Bill())
			assert.Equal(t, tt.tokens, m.Tokens())
		})
	}
}
