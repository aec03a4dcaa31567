package suite_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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

// TestFieldLimitsUnder200: a rate limit that is told under status 200 is one of the key.
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

// TestFieldClientsFaultsUnder200: a request that is at fault moves no health, also if the
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
