// Package ollama holds the test of the guide in this folder.
package ollama

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
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

const addr = "127.0.0.1:11434"

// standIn answers as Ollama does: it refuses foreign hosts, knows the models
// that were pulled, and is silent until one is loaded.
func standIn(loading time.Duration) *gatewaytest.Upstream {
	pulled := []string{"llama3.2:latest", "llama3.2:1b", "nomic-embed-text:latest"}
	return gatewaytest.Scripted(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.Host, ".internal") && r.Host != "localhost" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		var req struct {
			Model         string `json:"model"`
			Stream        bool   `json:"stream"`
			StreamOptions struct {
				IncludeUsage bool `json:"include_usage"`
			} `json:"stream_options"`
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			gatewaytest.JSON(http.StatusBadRequest, `{"error":{"message":"`+err.Error()+`","type":"invalid_request_error","param":null,"code":null}}`)(w, r)
			return
		}
		name := req.Model
		if !strings.Contains(name, ":") {
			name += ":latest"
		}
		if !slices.Contains(pulled, name) {
			gatewaytest.JSON(http.StatusNotFound, fmt.Sprintf(
				`{"error":{"message":"model '%s' not found","type":"not_found_error","param":null,"code":null}}`, req.Model))(w, r)
			return
		}
		select {
		case <-time.After(loading):
		case <-r.Context().Done():
			return
		}
		switch {
		case r.URL.Path == "/v1/embeddings":
			gatewaytest.JSON(http.StatusOK, `{"object":"list","data":[{"object":"embedding","embedding":[0.1,0.2],"index":0}],`+
				`"model":"nomic-embed-text","usage":{"prompt_tokens":2,"total_tokens":2}}`)(w, r)
		case r.URL.Path != "/v1/chat/completions":
			http.NotFound(w, r)
		case req.Stream:
			events := []string{gatewaytest.ChatRole, gatewaytest.ChatDelta("Hello from " + name), gatewaytest.ChatStop}
			if req.StreamOptions.IncludeUsage {
				events = append(events, `data: {"choices":[],"usage":{"prompt_tokens":28,"completion_tokens":7,"total_tokens":35}}`+"\n\n")
			}
			gatewaytest.Stream(append(events, gatewaytest.ChatDone)...)(w, r)
		default:
			gatewaytest.Chat("Hello from "+name)(w, r)
		}
	})
}

func open(t *testing.T, server http.Handler) *testbed.Example {
	t.Helper()
	servers := map[string]http.Handler{}
	if server != nil {
		servers[addr] = server
	}
	return testbed.OpenExample(t, ".", servers, nil)
}

func TestCommands(t *testing.T) {
	ollama := standIn(0)
	answers := open(t, ollama).Curls()
	require.Len(t, answers, 4)
	for i, want := range []string{`"llama3.2:1b"`, "Hello from llama3.2:latest", "Hello from llama3.2:1b", `"embedding":[0.1,0.2]`} {
		assert.Equal(t, http.StatusOK, answers[i].Status, answers[i].Body)
		assert.Contains(t, answers[i].Body, want)
	}
	assert.Contains(t, answers[2].Body, `"total_tokens":35`)
}

func TestClientsKeyStays(t *testing.T) {
	ollama := standIn(0)
	guide := open(t, ollama)
	a, res := guide.Post("/v1/chat/completions", `{"model":"llama3.2","stream":true}`, "Authorization", "Bearer any")
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	assert.Empty(t, ollama.Last().Header["Authorization"])
	assert.Equal(t, "ollama.internal", ollama.Last().Host)
	assert.Zero(t, res.OutputTokens, "it sends no counts that nobody asked for")
}

// Ollama is silent until a model is loaded, and the request must last.
func TestSlowFirstLoad(t *testing.T) {
	for _, stream := range []bool{false, true} {
		for _, row := range []struct {
			name    string
			loading time.Duration
			status  int
			took    time.Duration
		}{
			{"in time", 4*time.Minute + 59*time.Second, http.StatusOK, 4*time.Minute + 59*time.Second},
			{"too slow", 6 * time.Minute, http.StatusGatewayTimeout, 5 * time.Minute},
		} {
			t.Run(fmt.Sprintf("%s, stream %v", row.name, stream), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					guide := open(t, standIn(row.loading))
					a, res := guide.Post("/v1/chat/completions", fmt.Sprintf(`{"model":"llama3.2","stream":%v}`, stream))
					assert.Equal(t, row.status, a.Status, a.Body)
					assert.Equal(t, row.took, a.Took)
					if row.status != http.StatusOK {
						guide.Says(res.ModelsTried[0].RequestsMade[0].Error)
					}
				})
			})
		}
	}
}

// What the README says of problems is what the gateway says.
func TestProblems(t *testing.T) {
	const body = `{"model":"llama3.2"}`
	t.Run("connection refused", func(t *testing.T) {
		guide := open(t, nil)
		guide.Says(guide.Failed(body))
	})
	t.Run("https required", func(t *testing.T) {
		open(t, nil).Says(testbed.ConfigError(t, ".", func(cfg *aigateway.Config) {
			cfg.Providers[0].BaseURL = "http://" + addr + "/v1"
		}))
	})
	t.Run("addresses that the README gives", func(t *testing.T) {
		for _, at := range []string{"http://host.docker.internal:11434", "http://192.168.1.20:11434"} {
			testbed.OpenExample(t, ".", nil, func(cfg *aigateway.Config) { cfg.InternalEndpoints["ollama.internal"] = at }).Says(at)
		}
	})
	t.Run("no TLS", func(t *testing.T) {
		real := gatewaytest.NewUpstream(t, gatewaytest.Chat("in plain text"))
		at := strings.TrimPrefix(real.URL, "http://")
		guide := testbed.OpenExample(t, ".", nil, func(cfg *aigateway.Config) {
			cfg.InternalEndpoints["ollama.internal"] = "https://" + at
		})
		failed := strings.ReplaceAll(guide.Failed(body), at, addr)
		_, hint, _ := strings.Cut(failed, " (")
		guide.Says(strings.TrimSuffix(hint, ")"))
	})
	t.Run("model not found", func(t *testing.T) {
		guide := open(t, standIn(0))
		guide.Says(guide.Failed(`{"model":"ollama:qwen3"}`))
	})
	t.Run("unknown model", func(t *testing.T) {
		guide := open(t, standIn(0))
		a, res := guide.Post("/v1/chat/completions", `{"model":"llama3.3"}`)
		assert.Equal(t, http.StatusUnprocessableEntity, a.Status)
		guide.Says(res.Error.Message)
	})
}
