package apierror

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestWrapped reads errors put into a message by relays: in JSON, and as Python prints
// them. The message keeps its text where words stand before the error.
func TestWrapped(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		message    string
		kind       Kind
	}{
		{"Python alone", `{"error":{"message":"{'error': 'Invalid model name passed in model=m', 'code': None, 'retry': True, 'more': False}"}}`, "Invalid model name passed in model=m", UnknownModel},
		{"Python, both quotes", `{"error":{"message":"{'error': {'message': \"This model's maximum context length is 9\", 'type': 'x', 'code': 400}}"}}`, "This model's maximum context length is 9", TooLarge},
		{"Python, escaped", `{"error":{"message":"{'message': 'This model\\'s maximum context length is 9\\n'}"}}`, "This model's maximum context length is 9 ", TooLarge},
		{"Python behind words", `{"error":{"message":"litellm.BadRequestError: OpenAIException - Error code: 400 - {'message': 'The model m does not exist'}"}}`, "litellm.BadRequestError: OpenAIException - Error code: 400 - {'message': 'The model m does not exist'}", UnknownModel},
		{"JSON behind words", `{"error":{"message":"OllamaException - {\"error\":\"model 'm' not found\"}"}}`, `OllamaException - {"error":"model 'm' not found"}`, UnknownModel},
		{"two relays", `{"error":{"message":"Error code: 400 - {'message': \"400: {'error': 'Invalid model name passed in model=m'}\"}"}}`, `Error code: 400 - {'message': "400: {'error': 'Invalid model name passed in model=m'}"}`, UnknownModel},
		{"a dead key is the relay's own", `{"error":{"message":"Error code: 400 - {'error': {'code': 'invalid_api_key', 'message': 'x'}}"}}`, "Error code: 400 - {'error': {'code': 'invalid_api_key', 'message': 'x'}}", Unknown},
		{"within a sentence", `{"error":{"message":"cannot parse {'message': 'The model m does not exist'}"}}`, "cannot parse {'message': 'The model m does not exist'}", Unknown},
		{"without an end", `{"error":{"message":"Error code: 400 - {'message': 'The model m does"}}`, "Error code: 400 - {'message': 'The model m does", Unknown},
		{"a set", `{"error":{"message":"Options are: {'embed'}"}}`, "Options are: {'embed'}", Unknown},
		{"no value", `{"error":{"message":"no","type":"None","param":"None","code":"None"}}`, "no", Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Read([]byte(tt.body))
			assert.Equal(t, tt.message, r.Message)
			assert.Equal(t, tt.kind, Classify(400, nil, r).Kind)
			if tt.name == "no value" {
				assert.Empty(t, r.Code+r.Type+r.Param)
			}
		})
	}
}
