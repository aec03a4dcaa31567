package sdksuite

import (
	"regexp"
	"slices"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	anthropicv2 "github.com/anthropics/anthropic-sdk-go/v2"
	anthropicv2option "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// TestTranslated drives SDKs through a translation. They see what they would see at a
// provider of their own format: texts piece by piece, calls of tools and their results,
// typed errors, and no broken stream that looks whole.
func TestTranslated(t *testing.T) {
	t.Parallel()
	anthropicProgram := func(t *testing.T, l leg) []step {
		return anthropicV1{t.Context(), l.up, anthropic.NewClient(anthropicoption.WithBaseURL(l.url), anthropicoption.WithAPIKey(l.key), anthropicoption.WithHTTPClient(l.http()))}.steps()
	}
	anthropicProgramV2 := func(t *testing.T, l leg) []step {
		return anthropicV2{t.Context(), l.up, anthropicv2.NewClient(anthropicv2option.WithBaseURL(l.url), anthropicv2option.WithAPIKey(l.key), anthropicv2option.WithHTTPClient(l.http()))}.steps()
	}
	openaiProgram := func(t *testing.T, l leg) []step {
		return openaiProgram{t.Context(), l.up, openai.NewClient(option.WithBaseURL(l.url+"/v1"), option.WithAPIKey(l.key), option.WithHTTPClient(l.http()))}.steps()
	}
	for _, c := range []struct {
		name, format, surface string
		steps                 func(*testing.T, leg) []step
		only                  string // the names of cases, a regular expression
	}{
		{"anthropic-sdk-go-v1-to-chat", "openai", "chat-completions", anthropicProgram, "."},
		{"anthropic-sdk-go-v2-to-chat", "openai", "chat-completions", anthropicProgramV2, "."},
		{"anthropic-sdk-go-v2-to-responses", "openai", "responses", anthropicProgramV2, "^(messages|tools|count|status-4|stream-status-5)"},
		{"openai-go-v3-to-chat", "openai", "chat-completions", openaiProgram, "^responses"},
		{"openai-go-v3-to-responses", "openai", "responses", openaiProgram, "^(chat|tools)"},
		{"openai-go-v3-to-messages", "anthropic", "messages", openaiProgram, "^(chat|tools|responses|status|stream)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := translating(t, c.format, c.surface)
			steps := slices.DeleteFunc(c.steps(t, l), func(s step) bool { return !regexp.MustCompile(c.only).MatchString(s.name) })
			checkTranslated(t, c.name, play(l.up, steps))
		})
	}
}
