// Package agents drives coding agents through translations. Their models speak chat
// alone, as in the guides of examples/codex and examples/claudecode.
package agents

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const task = "Write one into a.txt, and two into b.txt."

// model is a scripted model that speaks chat. It calls a tool twice at once, and ends
// after the results.
type model struct {
	tool      string
	arguments func(command string) string

	mu   sync.Mutex
	seen []request
}

// request is a request of the gateway's.
type request struct {
	Model    string
	Stream   bool
	Messages []struct {
		Role       string
		Content    json.RawMessage
		Reasoning  string `json:"reasoning_content"`
		ToolCallID string `json:"tool_call_id"`
		ToolCalls  []struct {
			ID    string
			Extra json.RawMessage `json:"extra_content"`
		} `json:"tool_calls"`
	}
	Tools []struct{ Function struct{ Name string } }
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/chat/completions" {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	var req request
	if err != nil || json.Unmarshal(body, &req) != nil {
		http.Error(w, "not a chat request", http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	m.seen = append(m.seen, req)
	m.mu.Unlock()
	if !req.Stream {
		gatewaytest.Chat("Done.")(w, r)
		return
	}
	if !m.offered(req) || len(req.Messages) > 0 && req.Messages[len(req.Messages)-1].Role == "tool" {
		gatewaytest.Stream(event(`{"role":"assistant","content":"All "}`, `null`), event(`{"content":"done."}`, `null`),
			event(`{}`, `"stop"`), usage, gatewaytest.ChatDone)(w, r)
		return
	}
	call := func(i int, id, command string) string {
		extra := ""
		if i == 0 {
			extra = `,"extra_content":` + signature
		}
		return event(fmt.Sprintf(`{"tool_calls":[{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":%q}%s}]}`,
			i, id, m.tool, m.arguments(command), extra), `null`)
	}
	gatewaytest.Stream(event(`{"role":"assistant","reasoning_content":"Two files."}`, `null`), event(`{"content":"I write them."}`, `null`),
		call(0, "call_a", "echo one > a.txt"), call(1, "call_b", "echo two > b.txt"),
		event(`{}`, `"tool_calls"`), usage, gatewaytest.ChatDone)(w, r)
}

// offered reports whether the agent offers the tool. It asks for titles without.
func (m *model) offered(req request) bool {
	for _, t := range req.Tools {
		if t.Function.Name == m.tool {
			return true
		}
	}
	return false
}

// signature is what Gemini wants back with the first call of an answer.
const signature = `{"google":{"thought_signature":"c2lnbmVk"}}`

const usage = `data: {"choices":[],"usage":{"prompt_tokens":28,"completion_tokens":7,"total_tokens":35}}` + "\n\n"

func event(delta, finish string) string {
	return `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + "}]}\n\n"
}

// serve starts the gateway of an example's config in front of the model.
func serve(t *testing.T, example string, m *model) (url string, results func() []*aigateway.Result) {
	up := httptest.NewServer(m)
	t.Cleanup(up.Close)
	document, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", example, "gateway.yaml"))
	require.NoError(t, err)
	cfg, err := aigateway.ParseConfig(document)
	require.NoError(t, err)
	for host := range cfg.InternalEndpoints {
		cfg.InternalEndpoints[host] = up.URL
	}
	var mu sync.Mutex
	var all []*aigateway.Result
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r)
	}}
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(gateway)
	t.Cleanup(server.Close)
	return server.URL, func() []*aigateway.Result {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// binary is an agent's own program, as npm has it for this system.
func binary(t *testing.T, pattern string) string {
	system := runtime.GOOS + "-" + strings.NewReplacer("amd64", "x64").Replace(runtime.GOARCH)
	found, err := filepath.Glob(filepath.Join("node_modules", strings.ReplaceAll(pattern, "SYSTEM", system)))
	require.NoError(t, err)
	require.Len(t, found, 1, "the agents are not installed: run `npm ci --ignore-scripts` in internal/sdksuite/agents")
	path, err := filepath.Abs(found[0])
	require.NoError(t, err)
	return path
}

// run runs an agent in an empty folder with an empty environment, and returns the text
// on its output. Nothing but loopback can be reached.
func run(t *testing.T, folder string, env []string, command ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = folder
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1",
	}, env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", out, &stderr)
	return string(out)
}

// agent is a coding agent, and the way to point it at a gateway.
type agent struct {
	example   string // the folder of its guide
	pair      string
	tool      string
	arguments func(command string) string
	start     func(t *testing.T, url, folder string) string
	lost      []string // and nothing else
	reasons   bool     // it sends reasoning back
}

func agents() []agent {
	field := func(name string) func(string) string {
		return func(command string) string {
			b, err := json.Marshal(map[string]string{name: command})
			if err != nil {
				panic(err) // a map of strings
			}
			return string(b)
		}
	}
	return []agent{
		{
			example: "codex", pair: "responses-to-chat", tool: "exec_command", arguments: field("cmd"), reasons: true,
			lost: []string{"tools.web_search", "tools.namespace.description"},
			start: func(t *testing.T, url, folder string) string {
				return run(t, folder, []string{"CODEX_HOME=" + t.TempDir()}, binary(t, "@openai/codex-SYSTEM/vendor/*/bin/codex"),
					"exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-m", "qwen3-coder",
					"-c", "model_provider=aigateway",
					"-c", `model_providers.aigateway={name="aigateway", base_url="`+url+`/v1", wire_api="responses"}`, task)
			},
		},
		{
			example: "claudecode", pair: "messages-to-chat", tool: "Bash", arguments: field("command"), reasons: true,
			lost: []string{"system.role"},
			start: func(t *testing.T, url, folder string) string {
				return run(t, folder, []string{
					"ANTHROPIC_BASE_URL=" + url, "ANTHROPIC_AUTH_TOKEN=any-key", "ANTHROPIC_MODEL=qwen3-coder",
					"ANTHROPIC_DEFAULT_HAIKU_MODEL=qwen3-coder", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
				}, binary(t, "@anthropic-ai/claude-code-SYSTEM/claude"), "-p", task, "--allowedTools", "Bash")
			},
		},
	}
}

// TestAgents has coding agents do a task with a model that speaks only chat: the model
// calls tools, the agent runs them, and the model gets the results.
func TestAgents(t *testing.T) {
	t.Parallel()
	for _, a := range agents() {
		t.Run(a.example, func(t *testing.T) {
			t.Parallel()
			m := &model{tool: a.tool, arguments: a.arguments}
			url, results := serve(t, a.example, m)
			folder := t.TempDir()
			assert.Equal(t, "All done.", strings.TrimSpace(a.start(t, url, folder)))
			for name, want := range map[string]string{"a.txt": "one\n", "b.txt": "two\n"} {
				got, err := os.ReadFile(filepath.Join(folder, name))
				if assert.NoError(t, err, "the agent has run the call") {
					assert.Equal(t, want, string(got))
				}
			}
			lost := map[string]bool{}
			for _, r := range results() {
				require.Equal(t, aigateway.StatusSuccess, r.Status, r.Error)
				require.NotNil(t, r.Translation)
				assert.Equal(t, a.pair, r.Translation.Pair)
				assert.Equal(t, []int64{28, 7}, []int64{r.InputTokens, r.OutputTokens})
				for _, name := range r.Translation.Lost {
					lost[name] = true
				}
			}
			for name := range lost {
				assert.Contains(t, a.lost, name)
			}
			m.comesBack(t, a.reasons)
		})
	}
}

// comesBack checks the last request: the calls stand in one message, with their reasoning
// and their results behind it.
func (m *model) comesBack(t *testing.T, reasons bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	require.GreaterOrEqual(t, len(m.seen), 2)
	last := m.seen[len(m.seen)-1]
	require.GreaterOrEqual(t, len(last.Messages), 3)
	turn := last.Messages[len(last.Messages)-3:]
	assert.Equal(t, []string{"assistant", "tool", "tool"}, []string{turn[0].Role, turn[1].Role, turn[2].Role})
	require.Len(t, turn[0].ToolCalls, 2)
	assert.Equal(t, []string{"call_a", "call_b"}, []string{turn[0].ToolCalls[0].ID, turn[0].ToolCalls[1].ID})
	assert.Equal(t, []string{"call_a", "call_b"}, []string{turn[1].ToolCallID, turn[2].ToolCallID})
	assert.Contains(t, string(turn[0].Content), "I write them.")
	assert.Equal(t, []string{signature, ""}, []string{string(turn[0].ToolCalls[0].Extra), string(turn[0].ToolCalls[1].Extra)})
	if reasons {
		assert.Equal(t, "Two files.", turn[0].Reasoning)
	}
}
