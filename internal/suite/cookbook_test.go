package suite_test

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
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// cookbookElsewhere are the recipes with a test of their own, and where it is.
var cookbookElsewhere = map[string]string{
	"Bedrock":          "contrib/aws/cookbook_test.go",
	"Vertex":           "contrib/oauth2/cookbook_test.go",
	"vLLM behind mTLS": "internal/suite/cookbook_networks_test.go",
	"Redaction":        "internal/suite/cookbook_networks_test.go",
	"Ollama in Docker": "internal/suite/cookbook_networks_test.go",
	"Kubernetes":       "examples/kubernetes/manifests_test.go",
	"From LiteLLM":     "internal/suite/cookbook_migrate_test.go",
	"From Bifrost":     "internal/suite/cookbook_migrate_test.go",
	"From ngrok":       "internal/suite/cookbook_migrate_test.go",
}

const cookbookChat = `{"messages":[{"role":"user","content":"hi"}]}`

// TestCookbook sends requests through each recipe, to scripted providers.
func TestCookbook(t *testing.T) {
	t.Chdir(docsRoot)
	recipes := map[string]func(*testing.T, *kitchen){
		"Tenants":                    cookbookTenants,
		"Budgets":                    cookbookBudgets,
		"Audit":                      cookbookAudit,
		"Weights":                    cookbookWeights,
		"Canary":                     cookbookCanary,
		"Sticky sessions":            cookbookSticky,
		"Larger context on overflow": cookbookOverflow,
		"Azure":                      cookbookAzure,
	}
	titles := regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(docsRead(t, "docs/cookbook.md"), -1)
	require.Len(t, titles, len(recipes)+len(cookbookElsewhere))
	for _, m := range titles {
		title := m[1]
		if file, ok := cookbookElsewhere[title]; ok {
			assert.Contains(t, docsRead(t, file), `"`+title+`"`, "the test of the recipe")
			continue
		}
		require.Contains(t, recipes, title, "the recipe has no test")
		t.Run(title, func(t *testing.T) {
			k := &kitchen{t: t, scripts: map[string][]http.HandlerFunc{}, configs: cookbookBlocks(t, title)}
			synctest.Test(t, func(t *testing.T) { recipes[title](t, k) })
		})
	}
}

func cookbookTenants(t *testing.T, k *kitchen) {
	k.serve(nil)
	assert.Equal(t, "rack-a:llama3-red", k.served(cookbookChat, "X-Tenant", "red"))
	assert.Equal(t, "red", k.result.Client.Caller)
	assert.Equal(t, "rack-a:llama3", k.served(cookbookChat, "X-Tenant", "blue"))
	w := k.ask(`{"model":"llama3-red"}`, "X-Tenant", "blue")
	assert.Equal(t, http.StatusUnprocessableEntity, w.Code)
	assert.Contains(t, w.Body.String(), "model_selection_empty")

	// What one tenant does to a server moves nobody else.
	k.scripts["rack-a.internal"] = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte("poison")) {
			panic(http.ErrAbortHandler)
		}
		gatewaytest.Chat("hi")(w, r)
	}}
	k.scripts["rack-b.internal"] = []http.HandlerFunc{gatewaytest.Error(http.StatusInternalServerError, "", "crashed")}
	for range 10 {
		k.ask(`{"model":"rack-a:llama3","messages":[{"role":"user","content":"poison"}]}`, "X-Tenant", "red")
	}
	assert.Equal(t, "rack-a:llama3", k.served(cookbookChat, "X-Tenant", "blue"))
}

func cookbookBudgets(t *testing.T, k *kitchen) {
	k.serve(nil)
	// 10 million tokens are two dollars.
	k.scripts["gpu.internal"] = []http.HandlerFunc{gatewaytest.JSON(http.StatusOK,
		`{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10000000,"completion_tokens":0}}`)}
	for range 3 {
		assert.Equal(t, http.StatusOK, k.ask(cookbookChat, "X-Tenant", "red").Code)
	}
	w := k.ask(cookbookChat, "X-Tenant", "red")
	assert.Equal(t, http.StatusTooManyRequests, w.Code)
	assert.Contains(t, w.Body.String(), "client_limit_exceeded")
	assert.Equal(t, "false", w.Header().Get("X-Should-Retry"))
	assert.Equal(t, "86400", w.Header().Get("Retry-After"), "the bubble begins at midnight")
	assert.Equal(t, http.StatusOK, k.ask(cookbookChat, "X-Tenant", "blue").Code)
	assert.Equal(t, http.StatusForbidden, k.ask(cookbookChat).Code, "no tenant")
	gatewaytest.Pass(24 * time.Hour)
	assert.Equal(t, http.StatusOK, k.ask(cookbookChat, "X-Tenant", "red").Code)

	refused := 0
	for range 100 {
		if k.ask(cookbookChat, "X-Tenant", "loop").Code == http.StatusTooManyRequests {
			refused++
		}
	}
	assert.Greater(t, refused, 39)
}

func cookbookAudit(t *testing.T, k *kitchen) {
	k.configs = []string{"providers: [{id: gpu, base_url: 'http://gpu.internal', models: [{id: llama3, pricing: {input: 1000, output: 1000}}]}]\ncaller: \"'red'\""}
	file := new(bytes.Buffer)
	k.serve(func(cfg *aigateway.Config) {
		audit := slog.New(slog.NewJSONHandler(file, nil))
		cfg.Hooks = aigateway.JoinHooks(cfg.Hooks, &aigateway.Hooks{
			RequestDone: func(ctx context.Context, res *aigateway.Result) {
				entry := []any{"id", res.RequestID, "caller", res.Client.Caller, "asked", res.Client.Model, "status", res.Status}
				if res.Success != nil {
					entry = append(entry, "served", res.Success.Provider+":"+res.Success.Model)
				}
				if res.Usage != nil {
					entry = append(entry, "input_tokens", res.Usage.InputTokens, "output_tokens", res.Usage.OutputTokens)
				}
				if res.Cost != nil {
					entry = append(entry, "usd", res.Cost.USD.String())
				}
				audit.InfoContext(ctx, "request", entry...)
			},
		})
	})
	k.ask(`{"model":"llama3","messages":[{"role":"user","content":"a secret wish"}]}`)
	k.ask(`{"model":"none-such"}`)
	lines := strings.Split(strings.TrimSpace(file.String()), "\n")
	require.Len(t, lines, 2)
	var entry map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &entry))
	assert.Equal(t, []any{"red", "llama3", "success", "gpu:llama3", 9., 3., "0.012"},
		[]any{entry["caller"], entry["asked"], entry["status"], entry["served"], entry["input_tokens"], entry["output_tokens"], entry["usd"]})
	assert.Contains(t, lines[1], `"status":"error"`)
	assert.NotContains(t, file.String(), "wish")
}

func cookbookWeights(t *testing.T, k *kitchen) {
	k.serve(nil)
	first := 0
	for range 1000 {
		if k.served(cookbookChat) == "rack-a:llama3" {
			first++
		}
	}
	assert.InDelta(t, 900, first, 50) // five sigma are 47
	k.scripts["rack-a.internal"] = []http.HandlerFunc{gatewaytest.Error(http.StatusInternalServerError, "", "down")}
	assert.Equal(t, "rack-b:llama3", k.served(cookbookChat))
}

func cookbookCanary(t *testing.T, k *kitchen) {
	k.serve(nil)
	canaries := 0
	var one string
	for i := range 1000 {
		session := fmt.Sprint("conversation ", i)
		at := k.served(cookbookChat, "X-Session-Id", session)
		assert.Equal(t, at, k.served(cookbookChat, "X-Session-Id", session))
		if at == "gpu:llama4" {
			canaries, one = canaries+1, session
		}
	}
	assert.InDelta(t, 50, canaries, 35) // five sigma
	k.scripts["gpu.internal"] = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte("llama4")) {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		gatewaytest.Chat("hi")(w, r)
	}}
	assert.Equal(t, "gpu:llama3", k.served(cookbookChat, "X-Session-Id", one))
}

func cookbookSticky(t *testing.T, k *kitchen) {
	k.serve(nil)
	seen := map[string]bool{}
	for i := range 20 {
		session := fmt.Sprint("conversation ", i)
		at := k.served(cookbookChat, "X-Session-Id", session)
		seen[at] = true
		assert.Equal(t, at, k.served(cookbookChat, "X-Session-Id", session))
		require.NotNil(t, k.result.Affinity)
	}
	assert.Len(t, seen, 2)
	at := k.served(cookbookChat, "X-Session-Id", "s")
	host, _, _ := strings.Cut(at, ":")
	k.scripts[host+".internal"] = []http.HandlerFunc{gatewaytest.Error(http.StatusInternalServerError, "", "down"), gatewaytest.Chat("back")}
	moved := k.served(cookbookChat, "X-Session-Id", "s")
	assert.NotEqual(t, at, moved)
	assert.Equal(t, moved, k.served(cookbookChat, "X-Session-Id", "s"), "it stays where it went")
}

func cookbookOverflow(t *testing.T, k *kitchen) {
	k.serve(nil)
	const refusal = "This model's maximum context length is 8192 tokens"
	k.scripts["gpu.internal"] = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); len(body) > 1000 {
			gatewaytest.Error(http.StatusBadRequest, "context_length_exceeded", refusal)(w, r)
			return
		}
		gatewaytest.Chat("hi")(w, r)
	}}
	long := `{"model":"llama3","messages":[{"role":"user","content":"` + strings.Repeat("word ", 1000) + `"}]}`
	for range 10 {
		assert.Equal(t, "openai:gpt-4.1", k.served(long))
	}
	assert.Len(t, k.result.ModelsTried[0].RequestsMade, 1, "no retry in between")
	assert.Equal(t, "gpu:llama3", k.served(`{"model":"llama3"}`), "it is healthy")
	k.scripts["api.openai.com"] = []http.HandlerFunc{gatewaytest.Error(http.StatusBadRequest, "context_length_exceeded", "the last one")}
	w := k.ask(long)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Contains(t, w.Body.String(), refusal)
}

func cookbookAzure(t *testing.T, k *kitchen) {
	k.serve(nil)
	assert.Equal(t, "azure:gpt-4o-prod", k.served(`{"model":"gpt-4o"}`))
	r := k.last
	assert.Equal(t, "https://my-resource.openai.azure.com/openai/v1/chat/completions", r.URL)
	assert.Equal(t, "sk-azure-api-key", r.Header.Get("Api-Key"))
	assert.Empty(t, r.Header.Get("Authorization"))
	assert.JSONEq(t, `{"model":"gpt-4o-prod"}`, string(r.Body))
}

// cookbookBlocks are the configs of a recipe.
func cookbookBlocks(t *testing.T, title string) (configs []string) {
	t.Helper()
	text, err := os.ReadFile("docs/cookbook.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## "+title+"\n")
	require.True(t, ok, title)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile("(?s)\n```yaml\n(.*?)```").FindAllStringSubmatch(section, -1) {
		configs = append(configs, m[1])
	}
	return configs
}

// kitchen is a gateway with a recipe's config. It is also the gateway's transport:
// each host has a script, whose last handler answers all further requests. A host
// without a script answers well.
type kitchen struct {
	t       *testing.T
	configs []string // of the recipe
	gateway *aigateway.Gateway
	scripts map[string][]http.HandlerFunc
	result  *aigateway.Result // of the latest request

	mu   sync.Mutex
	last gatewaytest.Request // to a provider
}

// serve makes the gateway from the first config.
func (k *kitchen) serve(edit func(*aigateway.Config)) {
	k.t.Helper()
	require.NotEmpty(k.t, k.configs)
	cfg, err := aigateway.ParseConfig([]byte(k.configs[0]))
	require.NoError(k.t, err)
	cfg.Transport = k
	cfg.Secrets = aigateway.SecretResolverFunc(func(_ context.Context, vault, name string) (string, error) { return "sk-" + vault + "-" + name, nil })
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { k.result = res }}
	if edit != nil {
		edit(&cfg)
	}
	k.gateway, err = aigateway.New(cfg)
	require.NoError(k.t, err)
}

// RoundTrip answers as a provider.
func (k *kitchen) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, io.ErrUnexpectedEOF // the provider broke off
		}
	}()
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	k.mu.Lock()
	k.last = gatewaytest.Request{Method: r.Method, URL: r.URL.String(), Host: host, Header: r.Header.Clone(), Body: body}
	answer := gatewaytest.Chat("hi")
	if script := k.scripts[host]; len(script) > 0 {
		answer, k.scripts[host] = script[0], script[min(1, len(script)-1):]
	}
	k.mu.Unlock()
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	w := httptest.NewRecorder()
	answer(w, r)
	return w.Result(), nil
}

// ask sends a chat request. The header is given as names and values in turn.
func (k *kitchen) ask(body string, header ...string) *httptest.ResponseRecorder {
	k.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	k.gateway.ServeHTTP(w, r)
	return w
}

// served sends a chat request, and names the model that answered.
func (k *kitchen) served(body string, header ...string) string {
	k.t.Helper()
	w := k.ask(body, header...)
	if k.result.Success == nil {
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	return k.result.Success.Provider + ":" + k.result.Success.Model
}
