package gatewayotel

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/genai"
)

// Log lines and spans of the same request must be found by the same words.
func TestNamesAreThoseOfTheLog(t *testing.T) {
	for _, surface := range []string{"chat-completions", "completions", "responses", "messages", "messages-count_tokens", "embeddings", "audio-speech", "rerank"} {
		assert.Equal(t, genai.Operation(surface), operationName(surface))
	}
	for _, id := range []string{"openai", "anthropic", "google", "Gemini", "mistral", "moonshotai", "xai", "deepseek", "groq", "my-own"} {
		assert.Equal(t, genai.Provider(id), providerName(id).Value.AsString())
	}
}
