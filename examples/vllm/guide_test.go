// Package vllm holds the test of the guide in this folder.
package vllm

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

const (
	addr = "127.0.0.1:8000"
	key  = "0123456789abcdef0123456789abcdef"
)

// standIn answers as vLLM does: one name, numbers as error codes, and a reason
// before the answer.
func standIn(old bool) *gatewaytest.Upstream {
	return gatewaytest.Scripted(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1") && r.Header.Get("Authorization") != "Bearer "+key {
			gatewaytest.JSON(http.StatusUnauthorized, `{"error":"Unauthorized"}`)(w, r)
			return
		}
		var req struct {
			Model  string
			Stream bool
		}
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			gatewaytest.JSON(http.StatusBadRequest, `{"error":{"message":"invalid","type":"BadRequestError","param":null,"code":400}}`)(w, r)
			return
		}
		switch {
		case req.Model != "Qwen/Qwen3-8B" && old:
			gatewaytest.JSON(http.StatusNotFound, fmt.Sprintf("{\"object\":\"error\",\"message\":\"The model `%s` does not exist.\","+
				"\"type\":\"NotFoundError\",\"param\":null,\"code\":404}", req.Model))(w, r)
		case req.Model != "Qwen/Qwen3-8B":
			gatewaytest.JSON(http.StatusNotFound, fmt.Sprintf("{\"error\":{\"message\":\"The model `%s` does not exist.\","+
				"\"type\":\"NotFoundError\",\"param\":\"model\",\"code\":404}}", req.Model))(w, r)
		case req.Stream:
			gatewaytest.Stream(gatewaytest.ChatRole,
				`data: {"choices":[{"index":0,"delta":{"reasoning_content":"They want a greeting."},"finish_reason":null}]}`+"\n\n",
				gatewaytest.ChatDelta("Hello"), gatewaytest.ChatStop, gatewaytest.ChatDone)(w, r)
		default:
			gatewaytest.Chat("Hello")(w, r)
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
	t.Setenv("VLLM_API_KEY", key)
	server := standIn(false)
	answers := open(t, server, nil).Curls()
	require.Len(t, answers, 3)
	for i, want := range []string{`"qwen3"`, `"content":"Hello"`, "They want a greeting."} {
		assert.Equal(t, http.StatusOK, answers[i].Status, answers[i].Body)
		assert.Contains(t, answers[i].Body, want)
	}
	assert.Contains(t, string(server.Requests()[0].Body), `"model": "Qwen/Qwen3-8B"`, "the alias is the gateway's, and not vLLM's")
}

func TestUnixSocket(t *testing.T) {
	t.Setenv("VLLM_API_KEY", key)
	dir, err := os.MkdirTemp("", "vllm") // a socket's path must be short, and t.TempDir's is not
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "vllm.sock")
	as := func(cfg *aigateway.Config) { cfg.InternalEndpoints["vllm.internal"] = "unix://" + socket }

	guide := testbed.OpenExample(t, ".", nil, as)
	failed := strings.ReplaceAll(guide.Failed(`{"model":"qwen3"}`), socket, "/run/vllm/vllm.sock")
	const missing = "dial unix /run/vllm/vllm.sock: connect: no such file or directory"
	assert.Contains(t, failed, missing)
	assert.Contains(t, failed, "internal_endpoints says that vllm.internal is at")
	guide.Says(missing)

	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(standIn(false))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	a, _ := testbed.OpenExample(t, ".", nil, as).Post("/v1/chat/completions", `{"model":"qwen3"}`)
	assert.Equal(t, http.StatusOK, a.Status, a.Body)
}

// An engine that dies behind a server that does not is not a whole answer.
func TestEngineDies(t *testing.T) {
	t.Setenv("VLLM_API_KEY", key)
	const dead = `data: {"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError","param":null,"code":500}}` + "\n\n"
	for _, row := range []struct {
		name   string
		events []string
		whole  bool
		status int
	}{
		{"before content", []string{gatewaytest.ChatRole, dead, gatewaytest.ChatDone}, false, http.StatusInternalServerError},
		{"after it", []string{gatewaytest.ChatRole, gatewaytest.ChatDelta("Hel"), dead, gatewaytest.ChatDone}, false, http.StatusOK},
		{"after it, held", []string{gatewaytest.ChatRole, gatewaytest.ChatDelta("Hel"), dead, gatewaytest.ChatDone}, true, http.StatusInternalServerError},
	} {
		t.Run(row.name, func(t *testing.T) {
			guide := open(t, gatewaytest.Scripted(gatewaytest.Stream(row.events...)), func(cfg *aigateway.Config) {
				if row.whole {
					cfg.StreamCommit = aigateway.StreamCommitComplete
				}
			})
			a, _ := guide.Post("/v1/chat/completions", `{"model":"qwen3","stream":true}`)
			assert.Equal(t, row.status, a.Status)
			assert.Contains(t, a.Body, "EngineCore encountered an issue")
		})
	}
}

// What the README says of problems is what the gateway says.
func TestProblems(t *testing.T) {
	const body, other = `{"model":"qwen3"}`, `{"model":"vllm:Qwen/Qwen3-14B"}`
	for _, row := range []struct {
		name, key, body string
		server          http.Handler
	}{
		{"connection refused", key, body, nil},
		{"another key", "0123456789abcdef89abcdef0123cdef", body, standIn(false)},
		{"no key", "", body, standIn(false)},
		{"model not found", key, other, standIn(false)},
		{"model not found, an older vLLM", key, other, standIn(true)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("VLLM_API_KEY", row.key)
			guide := open(t, row.server, nil)
			guide.Says(guide.Failed(row.body))
		})
	}
	t.Run("https required", func(t *testing.T) {
		open(t, nil, nil).Says(testbed.ConfigError(t, ".", func(cfg *aigateway.Config) {
			cfg.Providers[0].BaseURL = "http://10.0.0.11:8000/v1"
		}))
	})
}

// The YAML of the README is a config, or a part of one.
func TestYAML(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		cfg, err := aigateway.ParseConfig([]byte(block[1]))
		require.NoError(t, err, block[1])
		_, err = aigateway.New(cfg)
		assert.NoError(t, err, block[1])
	}
}
