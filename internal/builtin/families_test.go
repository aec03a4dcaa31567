package builtin_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/builtin"
)

func TestFamily(t *testing.T) {
	for provider, names := range map[string][]string{
		"openai": {
			"gpt-5.6", "gpt-7", "GPT-9-Turbo", "gpt-4o-2027-01-01", "chatgpt-5-latest", "o1", "o1-pro", "o3-2027-01-01", "o4-mini-high", "o3",
			"text-embedding-3-huge", "omni-moderation-2027", "whisper-1", "tts-1", "tts-1-hd", "gpt-image-3", "ft:gpt-4o-mini-2024-07-18:me::abc",
		},
		"anthropic":     {"claude-opus-5", "claude-opus-6", "claude-3-5-sonnet-20241022", "Claude-Haiku-9"},
		"google":        {"gemini-4-pro", "gemini-3.9-flash-preview-01-27"},
		"xai":           {"grok-5", "grok-4.8-fast"},
		"deepseek":      {"deepseek-chat", "deepseek-reasoner", "deepseek-v5", "deepseek-v4-pro-max"},
		"mistral":       {"mistral-large-5", "ministral-8b-2612", "codestral-2701", "magistral-medium-latest", "devstral-3", "open-mistral-nemo", "open-mixtral-8x22b", "voxtral-mini-latest", "pixtral-12b"},
		"moonshotai":    {"kimi-k4", "kimi-latest", "moonshot-v1-128k"},
		"inceptionlabs": {"mercury-4"},
		"fireworks":     {"accounts/fireworks/models/new", "accounts/fireworks/routers/x"},
		"groq":          {"groq/compound-2"},
		"inference.net": {"inference-net/schematron-v3"},
		"": {
			"", "gpt", "gpt-", "o", "o5-mini", "o3pro", "o1x", "o2", "gpt-oss-120b", "gpt-oss", "GPT-OSS:20b", "llama-4", "llama3.2", "qwen4", "glm-6", "minimax-m4", "gemma-5", "nemotron-4",
			"deepseek-r1-distill-llama-70b", "deepseek-r1:8b", "deepseek-ai/DeepSeek-V5", "deepseek-coder-33b-instruct", "openai/gpt-5", "moonshotai/Kimi-K4",
			"mistral-7b-instruct-v0.3", "mistral:7b", "kimi-k2-instruct", "whisper-large-v4", "whisper-2", "tts-2", "my-gpt-5", "claude", "claudette-1", "gemini", "grok", "models/gemini-3",
			"text-embedding-4", "ft:my-model", "anthropic/claude-5", "accounts/me/models/x", "groq/",
		},
	} {
		for _, name := range names {
			got, ok := builtin.Family(name)
			assert.Equal(t, provider, got, name)
			assert.Equal(t, provider != "", ok, name)
		}
	}
}

// TestFamilyTable holds each row to a provider of the catalog, and to a source.
func TestFamilyTable(t *testing.T) {
	raw, err := os.ReadFile("families.tsv")
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "prefix\t") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, cells, 5, line)
		assert.Equal(t, strings.ToLower(cells[0]), cells[0])
		assert.Contains(t, []string{"prefix", "word"}, cells[1])
		assert.NotEmpty(t, cells[4], line)
		assert.False(t, seen[cells[0]], line)
		seen[cells[0]] = true
		if cells[2] != "" {
			assert.Contains(t, string(builtin.Catalog()), `{"id": "`+cells[2]+`"`)
		}
	}
}

func TestAlwaysSendsUsage(t *testing.T) {
	assert.True(t, builtin.AlwaysSendsUsage("openrouter"))
	assert.True(t, builtin.AlwaysSendsUsage("Mistral"))
	assert.False(t, builtin.AlwaysSendsUsage("openai"))
	assert.False(t, builtin.AlwaysSendsUsage("my-provider"))
}
