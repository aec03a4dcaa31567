package sdksuite

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/sdksuite/standin"
	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	anthropicv2 "github.com/anthropics/anthropic-sdk-go/v2"
	anthropicv2option "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/stretchr/testify/require"
)

// translating is the way through a gateway whose provider speaks one surface alone.
// Its models have the names of both formats.
func translating(t *testing.T, format, surface string) leg {
	up := standin.New()
	ids, from, to := standin.OpenAIModels(), "gpt-", "claude-"
	if format == "anthropic" {
		ids, from, to = standin.AnthropicModels(), "claude-", "gpt-"
	}
	p := aigateway.Provider{
		ID: "standin", BaseURL: "http://upstream.internal", Translate: aigateway.TranslateOn,
		APIKeys:              []aigateway.APIKey{{Value: standin.Key}},
		SupportedAPISurfaces: []aigateway.APISurface{{Format: format, Surface: surface}},
	}
	for _, id := range ids {
		if other := strings.Replace(id, from, to, 1); strings.HasPrefix(id, from) {
			p.Models = append(p.Models, aigateway.Model{ID: id, IDAliases: []string{other}})
		}
	}
	gateway, err := aigateway.New(aigateway.Config{
		Registry: aigateway.NoRegistry(), Providers: []aigateway.Provider{p}, Logger: slog.New(slog.DiscardHandler),
		InternalEndpoints: map[string]string{"upstream.internal": up.URL()},
	})
	require.NoError(t, err)
	server := httptest.NewServer(gateway)
	t.Cleanup(func() {
		up.Close()
		server.Close()
	})
	return leg{name: "translated", url: server.URL, key: clientKey, up: up}
}

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
			var golden strings.Builder
			for _, o := range play(l.up, steps) {
				fmt.Fprintf(&golden, "%s: %s\n", o.name, o.text)
			}
			// Ids of the gateway's own differ each time.
			text := regexp.MustCompile(`req_[0-9a-f]{24}`).ReplaceAllString(golden.String(), "req_of_the_gateway")
			text = regexp.MustCompile(`, raw [0-9a-f]{8}`).ReplaceAllString(text, "")
			checkGolden(t, c.name, text)
		})
	}
}
