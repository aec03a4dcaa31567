package sdksuite

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/sdksuite/standin"
	"github.com/stretchr/testify/require"
)

// translating is the way through a gateway whose provider speaks only one surface.
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

// checkTranslated compares the outcomes of a translation with a golden file.
func checkTranslated(t *testing.T, name string, outcomes []outcome) {
	require.NotEmpty(t, outcomes)
	var golden strings.Builder
	for _, o := range outcomes {
		fmt.Fprintf(&golden, "%s: %s\n", o.name, o.text)
	}
	// Ids of the gateway's own differ each time, and so do the times of answers whose
	// provider does not tell them.
	text := regexp.MustCompile(`req_[0-9a-f]{24}`).ReplaceAllString(golden.String(), "req_of_the_gateway")
	text = regexp.MustCompile(`(?m), (raw )?[0-9a-f]{8}$`).ReplaceAllString(text, "")
	checkGolden(t, name, text)
}

// TestTranslatedNode is TestTranslated for the scripts in node/.
func TestTranslatedNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script, format, surface string
		only                    string // the names of cases, a regular expression
	}{
		{"anthropic", "openai", "chat-completions", `^(messages|tools|rich|count|status|stream-status|unknown|reset)`},
		{"anthropic", "openai", "responses", `^(messages|tools|rich|count|status-4)`},
		{"openai", "anthropic", "messages", `^(chat|tools|responses|status|stream-status)`},
		{"openai", "openai", "chat-completions", `^responses`},
		{"openai", "openai", "responses", `^(chat|tools)`},
		{"ai-openai", "openai", "chat-completions", `^(text|stream|abort|tools|rich|status-4)`},
		{"ai-openai", "anthropic", "messages", `^(text|stream|abort|tools|rich|status-4)`},
		{"ai-openai-compatible", "anthropic", "messages", `^(text|stream|abort|tools|rich|status-4)`},
		{"ai-anthropic", "openai", "chat-completions", `^(text|stream|abort|tools|rich|status-4)`},
		{"langchain-openai", "anthropic", "messages", `.`},
		{"langchain-anthropic", "openai", "chat-completions", `.`},
	} {
		name := "node-" + c.script + "-to-" + strings.TrimSuffix(c.surface, "-completions")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkTranslated(t, name, driveNode(t, c.script, translating(t, c.format, c.surface), "SUITE_ONLY="+c.only))
		})
	}
}
