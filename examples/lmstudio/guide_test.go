// Package lmstudio holds the test of the guide in this folder.
package lmstudio

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

const addr = "127.0.0.1:1234"

// lmStudio is what the stand-in's user has set.
type lmStudio struct {
	noJIT   bool          // nothing is loaded on demand, and nothing is loaded
	loading time.Duration // how long that takes
	token   string        // required from clients
}

// standIn answers as LM Studio does: 200 whatever the path, and silence until a
// model is loaded.
func standIn(is lmStudio) *gatewaytest.Upstream {
	return gatewaytest.Scripted(func(w http.ResponseWriter, r *http.Request) {
		if is.token != "" && r.Header.Get("Authorization") != "Bearer "+is.token {
			gatewaytest.JSON(http.StatusUnauthorized, `{"error":{"type":"invalid_request","code":"invalid_api_key",`+
				`"message":"An LM Studio API token is required to make requests to this server"}}`)(w, r)
			return
		}
		if r.URL.Path != "/v1/chat/completions" && r.URL.Path != "/v1/messages" {
			gatewaytest.JSON(http.StatusOK, fmt.Sprintf(`{"error":"Unexpected endpoint or method. (%s %s)"}`, r.Method, r.URL.Path))(w, r)
			return
		}
		var req struct {
			Model  string
			Stream bool
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			gatewaytest.JSON(http.StatusBadRequest, `{"error":"invalid JSON"}`)(w, r)
			return
		}
		if is.noJIT {
			gatewaytest.JSON(http.StatusNotFound, `{"error":{"message":"No models loaded. Please load a model in the developer page `+
				`or use the 'lms load' command.","type":"invalid_request_error","param":"model","code":"model_not_found"}}`)(w, r)
			return
		}
		select {
		case <-time.After(is.loading):
		case <-r.Context().Done():
			return
		}
		text := "Hello from " + req.Model
		switch {
		case r.URL.Path == "/v1/messages":
			gatewaytest.JSON(http.StatusOK, fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":%q,`+
				`"content":[{"type":"text","text":%q}],"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":3}}`, req.Model, text))(w, r)
		case req.Stream:
			gatewaytest.Stream(gatewaytest.ChatRole, gatewaytest.ChatDelta(text), gatewaytest.ChatStop, gatewaytest.ChatDone)(w, r)
		default:
			gatewaytest.Chat(text)(w, r)
		}
	})
}

func open(t *testing.T, server http.Handler, edit func(*aigateway.Config)) *testbed.Example {
	t.Helper()
	servers := map[string]http.Handler{}
	if server != nil {
		servers[addr] = server
	}
	return testbed.OpenExample(t, ".", servers, edit)
}

func TestCommands(t *testing.T) {
	answers := open(t, standIn(lmStudio{}), nil).Curls()
	require.Len(t, answers, 4)
	for i, want := range []string{`"qwen/qwen3-4b"`, "Hello from llama-3.2-3b-instruct", "Hello from qwen/qwen3-4b", `"type":"message"`} {
		assert.Equal(t, http.StatusOK, answers[i].Status, answers[i].Body)
		assert.Contains(t, answers[i].Body, want)
	}
}

// A model is loaded by the first request for it, which must last that long.
func TestLoadingOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guide := open(t, standIn(lmStudio{loading: 4 * time.Minute}), nil)
		a, _ := guide.Post("/v1/chat/completions", `{"model":"qwen/qwen3-4b","stream":true}`)
		assert.Equal(t, http.StatusOK, a.Status, a.Body)
		assert.Equal(t, 4*time.Minute, a.Took)
	})
	synctest.Test(t, func(t *testing.T) {
		guide := open(t, standIn(lmStudio{loading: time.Hour}), nil)
		guide.Says(guide.Failed(`{"model":"qwen/qwen3-4b"}`))
	})
}

// With the token that the comment in gateway.yaml speaks of.
func TestAuthentication(t *testing.T) {
	const token = "sk-lm-4242424242424242"
	server := standIn(lmStudio{token: token})
	guide := open(t, server, nil)
	guide.Says(guide.Failed(`{"model":"qwen/qwen3-4b"}`))

	doc, err := os.ReadFile("gateway.yaml")
	require.NoError(t, err)
	with := strings.NewReplacer("    # api_keys:", "    api_keys:", "    #   - value", "      - value").Replace(string(doc))
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "gateway.yaml"), []byte(with), 0o600))
	t.Setenv("LMSTUDIO_API_KEY", token)
	guide = testbed.OpenExample(t, dir, map[string]http.Handler{addr: server}, nil)
	a, _ := guide.Post("/v1/chat/completions", `{"model":"qwen/qwen3-4b"}`)
	assert.Equal(t, http.StatusOK, a.Status, a.Body)
}

// What the README says of problems is what the gateway says.
func TestProblems(t *testing.T) {
	const body = `{"model":"llama-3.2-3b-instruct"}`
	for _, row := range []struct {
		name   string
		server http.Handler
		edit   func(*aigateway.Config)
	}{
		{"connection refused", nil, nil},
		{"wrong path", standIn(lmStudio{}), func(cfg *aigateway.Config) { cfg.Providers[0].BaseURL = "http://lmstudio.internal/api/v1" }},
		{"model not found", standIn(lmStudio{noJIT: true}), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			guide := open(t, row.server, row.edit)
			guide.Says(guide.Failed(body))
		})
	}
	t.Run("https required", func(t *testing.T) {
		open(t, nil, nil).Says(testbed.ConfigError(t, ".", func(cfg *aigateway.Config) {
			cfg.Providers[0].BaseURL = "http://192.168.1.20:1234/v1"
		}))
	})
}
