package suite_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
)

// pageBlocks is every YAML block of the page on custom providers, in the page's
// order and as printed, white space included. The file of a block's name holds
// the same, for the tests of the parser.
var pageBlocks = []struct {
	name, yaml string
	// does shows the behaviour of the block.
	does func(t *testing.T, p *page)
}{
	{"external-https-urls", `providers:
  - id: "my-provider"
    base_url: "https://api.my-service.com/v1"
    api_keys:
      - value: ${secrets.get('my-provider', 'api-key')}
`, func(t *testing.T, p *page) {
		api := p.host("api.my-service.com", gatewaytest.Chat("hello"))
		p.answers(`{"model":"my-provider:anything"}`, "hello")
		got := api.Last()
		assert.Equal(t, "/v1/chat/completions", got.URL)
		assert.Equal(t, "api.my-service.com", got.Host)
		assert.Equal(t, "Bearer sk-my-provider-api-key", got.Header.Get("Authorization"))
		assert.JSONEq(t, `{"model":"anything"}`, string(got.Body))
	}},
	{"ngrok-internal-endpoints", `providers:
  - id: "my-local-service"
    base_url: "https://my-service.internal"
    # No API key needed if your service doesn't require one
`, pageKeyless("my-local-service:llama3")},
	{"basic-configuration", `on_http_request:
  - type: ai-gateway
    config:
      providers:
        - id: "my-custom-provider"
          base_url: "https://my-ai-service.example.com/v1"
          api_keys:
            - value: ${secrets.get('custom', 'api-key')}
          models:
            - id: "my-model"
`, func(t *testing.T, p *page) {
		api := p.host("my-ai-service.example.com", gatewaytest.Chat("hello"))
		for _, body := range []string{`{"model":"my-model"}`, `{"model":"MY-CUSTOM-PROVIDER:My-Model"}`, `{}`, `{"model":"auto"}`} {
			p.answers(body, "hello")
			got := api.Last()
			assert.Equal(t, "/v1/chat/completions", got.URL)
			assert.Equal(t, "Bearer sk-custom-api-key", got.Header.Get("Authorization"))
			assert.JSONEq(t, `{"model":"my-model"}`, string(got.Body), "for %s", body)
		}
	}},
	{"defining-models", `providers:
  - id: "my-provider"
    base_url: "https://my-service.internal"
    models:
      - id: "llama3-70b"
      - id: "mistral-7b"
      - id: "codellama-34b"
`, func(t *testing.T, p *page) {
		service := p.host("my-service.internal", gatewaytest.Chat("hello"))
		for _, model := range []string{"llama3-70b", "mistral-7b", "codellama-34b"} {
			p.answers(`{"model":"`+model+`"}`, "hello")
			assert.JSONEq(t, `{"model":"`+model+`"}`, string(service.Last().Body))
			status, list := p.ask(http.MethodGet, "/v1/models", "")
			assert.Equal(t, http.StatusOK, status)
			assert.Contains(t, list, `"id":"`+model+`"`)
		}
	}},
	{"model-metadata", `providers:
  - id: "my-provider"
    base_url: "https://my-service.internal"
    models:
      - id: "llama3-70b"
        metadata:
          gpu: "A100"
          quantization: "none"
          max_context: 8192
`, func(t *testing.T, p *page) {
		service := p.host("my-service.internal", gatewaytest.Chat("hello"))
		p.config.Providers[0].Models = append(p.config.Providers[0].Models, aigateway.Model{
			ID: "llama3-8b", Metadata: map[string]any{"gpu": "T4", "max_context": 4096},
		})
		for strategy, want := range map[string]string{
			"ai.models.filter(m, m.metadata.gpu == 'A100' && m.metadata.max_context >= 8192)": "llama3-70b",
			"ai.models.filter(m, m.metadata.quantization == 'none')":                          "llama3-70b",
			"ai.models.filter(m, m.metadata.max_context < 8192 && m.provider_id != 'openai')": "llama3-8b",
		} {
			p.config.ModelSelection.Strategy = []string{strategy}
			p.start()
			p.answers(`{}`, "hello")
			assert.JSONEq(t, `{"model":"`+want+`"}`, string(service.Last().Body), strategy)
		}
	}},
	{"with-provider-api-keys", `providers:
  - id: "my-provider"
    base_url: "https://my-service.example.com"
    api_keys:
      - value: ${secrets.get('my-provider', 'api-key')}
`, func(t *testing.T, p *page) {
		service := p.host("my-service.example.com", gatewaytest.Chat("hello"))
		p.answers(`{"model":"my-provider:llama3"}`, "hello")
		assert.Equal(t, "Bearer sk-my-provider-api-key", service.Last().Header.Get("Authorization"))
		assert.Equal(t, "/v1/chat/completions", service.Last().URL, "a base_url without a path gets /v1")
	}},
	{"without-provider-api-keys", `providers:
  - id: "my-provider"
    base_url: "https://my-service.internal"
    # No api_keys needed
`, pageKeyless("my-provider:llama3")},
	{"custom-headers", `on_http_request:
  - type: ai-gateway
    config:
      headers:
        X-Custom-Auth: ${secrets.get('my-provider', 'token')}
      providers:
        - id: "my-provider"
          base_url: "https://my-service.example.com"
`, func(t *testing.T, p *page) {
		service := p.host("my-service.example.com", gatewaytest.Chat("hello"))
		p.answers(`{"model":"my-provider:llama3"}`, "hello")
		assert.Equal(t, []string{"sk-my-provider-token"}, service.Last().Header["X-Custom-Auth"])
		assert.NotContains(t, service.Last().Header, "Authorization")
	}},
	{"timeouts", `on_http_request:
  - type: ai-gateway
    config:
      per_request_timeout: "120s"
      total_timeout: "5m"
      providers:
        - id: "my-provider"
          base_url: "https://my-service.internal"
`, pageKeyless("my-provider:llama3")}, // and TestPageTimeouts
	{"restricting-access", `on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      only_allow_configured_models: true
      providers:
        - id: "my-provider"
          base_url: "https://my-service.internal"
          models:
            - id: "llama3"
            - id: "mistral"
`, func(t *testing.T, p *page) {
		service := p.host("my-service.internal", gatewaytest.Chat("hello"))
		for _, body := range []string{`{"model":"llama3"}`, `{"model":"mistral"}`, `{"model":"gpt-4o","models":["my-provider:llama3"]}`} {
			p.answers(body, "hello")
		}
		for _, tt := range []struct{ model, code, says string }{
			{"gpt-4o", "provider_not_allowed", "only_allow_configured_providers"},
			{"openai:gpt-4o", "provider_not_allowed", "only_allow_configured_providers"},
			{"my-provider:codellama", "model_not_allowed", "only_allow_configured_models"},
			{"lama3", "no_matching_models", `did you mean \"llama3\"?`},
		} {
			status, body := p.ask(http.MethodPost, "/v1/chat/completions", `{"model":"`+tt.model+`"}`)
			assert.Equal(t, http.StatusUnprocessableEntity, status)
			assert.Contains(t, body, `"code":"`+tt.code+`"`)
			assert.Contains(t, body, `\"`+tt.model+`\"`)
			assert.Contains(t, body, tt.says)
		}
		assert.Equal(t, 3, service.Count())
	}},
	{"custom-provider-with-cloud-fallback", `on_http_request:
  - type: ai-gateway
    config:
      providers:
        - id: "my-provider"
          base_url: "https://my-service.internal"
          models:
            - id: "llama3"
        
        - id: "openai"
          api_keys:
            - value: ${secrets.get('openai', 'api-key')}
      
      model_selection:
        strategy:
          - "ai.models.filter(m, m.provider_id == 'my-provider')"
          - "ai.models.filter(m, m.provider_id == 'openai')"
`, pageFallback},
	{"multiple-custom-providers", `on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      providers:
        - id: "inference-1"
          base_url: "https://inference-1.internal"
          models:
            - id: "llama3"
        
        - id: "inference-2"
          base_url: "https://inference-2.internal"
          models:
            - id: "llama3"
      
      model_selection:
        strategy:
          # Randomize across configured providers only
          - "ai.models.random()"
`, func(t *testing.T, p *page) {
		one := p.host("inference-1.internal", gatewaytest.Chat("one"))
		two := p.host("inference-2.internal", gatewaytest.Chat("two"))
		for _, body := range []string{`{}`, `{"model":"auto"}`, `{"model":"llama3"}`} {
			before1, before2 := one.Count(), two.Count()
			// A fair coin shows one side 40 times in a row once in 2^39.
			for range 40 {
				p.answers(body, "")
			}
			assert.NotEqual(t, before1, one.Count(), "inference-1 gets a share of %s", body)
			assert.NotEqual(t, before2, two.Count(), "inference-2 gets a share of %s", body)
			assert.Equal(t, 40, one.Count()-before1+two.Count()-before2, "one attempt each")
		}
		// random() keeps to the client's names.
		before := two.Count()
		for range 16 {
			p.answers(`{"model":"inference-1:llama3"}`, "one")
		}
		assert.Equal(t, before, two.Count())
		status, body := p.ask(http.MethodPost, "/v1/chat/completions", `{"model":"gpt-4o"}`)
		assert.Equal(t, http.StatusUnprocessableEntity, status)
		assert.Contains(t, body, "provider_not_allowed")
	}},
}

// TestPage loads each block exactly as printed and serves by it, over TLS.
func TestPage(t *testing.T) {
	for _, block := range pageBlocks {
		t.Run(block.name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(block.yaml))
			require.NoError(t, err)
			block.does(t, &page{t: t, config: cfg, hosts: map[string]http.Handler{}})
		})
	}
}

// TestPageBlocksAreTheFiles keeps the two copies of the page together.
func TestPageBlocksAreTheFiles(t *testing.T) {
	var names []string
	for _, block := range pageBlocks {
		names = append(names, block.name+".yaml")
		file, err := os.ReadFile(filepath.Join("..", "..", "testdata", "config", "page", block.name+".yaml"))
		require.NoError(t, err)
		assert.Equal(t, block.yaml, string(file))
	}
	var files []string
	entries, err := os.ReadDir("../../testdata/config/page")
	require.NoError(t, err)
	for _, entry := range entries {
		files = append(files, entry.Name())
	}
	assert.ElementsMatch(t, names, files)
}

// pageKeyless is the behaviour of a block without api_keys: no credential goes
// upstream, not even the client's own.
func pageKeyless(model string) func(t *testing.T, p *page) {
	return func(t *testing.T, p *page) {
		service := p.host("my-service.internal", gatewaytest.Chat("hello"))
		p.answers(`{"model":"`+model+`"}`, "hello")
		got := service.Last()
		assert.Equal(t, "/v1/chat/completions", got.URL)
		assert.Equal(t, "my-service.internal", got.Host)
		assert.JSONEq(t, `{"model":"llama3"}`, string(got.Body))
		for name := range got.Header {
			assert.NotContains(t, []string{"Authorization", "X-Api-Key", "Cookie"}, name)
		}
	}
}

func pageFallback(t *testing.T, p *page) {
	mine := p.host("my-service.internal", gatewaytest.Chat("mine"))
	openai := p.host("api.openai.com", gatewaytest.Chat("openai"))
	for _, tt := range []struct{ body, answer, sent string }{
		{`{}`, "mine", "llama3"},
		{`{"model":"auto"}`, "mine", "llama3"},
		{`{"model":"llama3"}`, "mine", "llama3"},
		{`{"model":"my-provider:llama3.2:1b"}`, "mine", "llama3.2:1b"},
		{`{"model":"gpt-4o"}`, "openai", "gpt-4o"}, // where my-provider lists nothing that fits
		{`{"model":"openai:gpt-4o"}`, "openai", "gpt-4o"},
		{`{"models":["my-provider:llama3","openai:gpt-4o"]}`, "mine", "llama3"},
		{`{"models":["openai:gpt-4o","my-provider:llama3"]}`, "openai", "gpt-4o"}, // the client's order comes first
	} {
		before := mine.Count() + openai.Count()
		p.answers(tt.body, tt.answer)
		assert.Equal(t, 1, mine.Count()+openai.Count()-before)
		last := mine.Last
		if tt.answer == "openai" {
			last = openai.Last
			assert.Equal(t, "Bearer sk-openai-api-key", last().Header.Get("Authorization"))
			assert.Equal(t, "/v1/chat/completions", last().URL)
		} else {
			assert.NotContains(t, last().Header, "Authorization", "openai's key is openai's alone")
		}
		assert.JSONEq(t, `{"model":"`+tt.sent+`"}`, string(last().Body), "for %s", tt.body)
	}

	t.Run("across providers", func(t *testing.T) {
		p := &page{t: t, config: p.config, hosts: map[string]http.Handler{}}
		dead := p.host("my-service.internal", gatewaytest.Error(http.StatusBadGateway, "", "down"))
		openai := p.host("api.openai.com", gatewaytest.Chat("openai"))
		p.answers(`{"models":["my-provider:llama3","openai:gpt-4o"]}`, "openai")
		assert.Equal(t, 1, dead.Count())
		assert.JSONEq(t, `{"model":"gpt-4o"}`, string(openai.Last().Body))
		assert.NotContains(t, dead.Last().Header, "Authorization")

		// "Only those are tried": without the client's word, openai is not.
		status, _ := p.ask(http.MethodPost, "/v1/chat/completions", `{}`)
		assert.Equal(t, http.StatusBadGateway, status, "the answer of the one that was tried")
		assert.Equal(t, 2, dead.Count())
		assert.Equal(t, 1, openai.Count())
	})
	t.Run("unreachable", func(t *testing.T) {
		p := &page{t: t, config: p.config, hosts: map[string]http.Handler{}}
		p.host("api.openai.com", gatewaytest.Chat("openai"))
		p.answers(`{"models":["my-provider:llama3","openai:gpt-4o"]}`, "openai")
		assert.Equal(t, []string{"my-service.internal:443"}, p.network.Refused())
	})
}

// TestPageAliases covers the page's last configuration fields. Its blocks leave
// them out.
func TestPageAliases(t *testing.T) {
	cfg, err := aigateway.ParseConfig([]byte(`providers:
  - id: "my-provider"
    id_aliases: ["local", "Ollama"]
    base_url: "https://my-service.internal"
    metadata: {tier: "fast"}
    models:
      - id: "llama3"
        id_aliases: ["llama"]
model_selection:
  strategy:
    - "ai.models.filter(m, m.metadata.tier == 'fast' && 'local' in m.provider_id_aliases && 'llama' in m.id_aliases)"
`))
	require.NoError(t, err)
	p := &page{t: t, config: cfg, hosts: map[string]http.Handler{}}
	service := p.host("my-service.internal", gatewaytest.Chat("hello"))
	for _, body := range []string{`{}`, `{"model":"llama"}`, `{"model":"local:llama3"}`, `{"model":"OLLAMA:Llama"}`, `{"model":"my-provider:llama"}`} {
		p.answers(body, "hello")
		assert.JSONEq(t, `{"model":"llama3"}`, string(service.Last().Body), "for %s", body)
	}
}

// TestPageTimeouts has the limits of the page's block at work: a silent
// provider costs 120s, and all of them together 5m.
func TestPageTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		after      time.Duration
		attempts   int
	}{
		{"per_request_timeout", `{"model":"my-provider:a"}`, 2 * time.Minute, 1},
		{"two", `{"models":["my-provider:a","my-provider:b"]}`, 4 * time.Minute, 2},
		{"total_timeout", `{"models":["my-provider:a","my-provider:b","my-provider:c","my-provider:d"]}`, 5 * time.Minute, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := gatewaytest.NewNetwork()
				silent := gatewaytest.Scripted(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				network.Serve(t, "my-service.internal", silent)
				cfg, err := aigateway.LoadConfig("../../testdata/config/page/timeouts.yaml")
				require.NoError(t, err)
				cfg.Transport = pagePlain{network.Transport(t)}
				g, err := aigateway.New(cfg)
				require.NoError(t, err)

				begin := time.Now()
				w := httptest.NewRecorder()
				g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(tt.body)))
				assert.Equal(t, tt.after, time.Since(begin))
				assert.Equal(t, http.StatusGatewayTimeout, w.Code)
				assert.Contains(t, w.Body.String(), "request_timeout")
				assert.Equal(t, tt.attempts, silent.Count())
			})
		})
	}
}

// pagePlain speaks http in place of the page's https: a bubble's network has no
// TLS.
type pagePlain struct{ http.RoundTripper }

func (p pagePlain) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme = "http"
	return p.RoundTripper.RoundTrip(r)
}

// page is a gateway by a block of the page, with servers for its hosts.
type page struct {
	t       *testing.T
	config  aigateway.Config
	hosts   map[string]http.Handler
	network *gatewaytest.Hosts
	server  *httptest.Server
}

// host serves one of the block's hosts. All come before the first request.
func (p *page) host(name string, script ...http.HandlerFunc) *gatewaytest.Upstream {
	u := gatewaytest.Scripted(script...)
	p.hosts[name] = u
	return u
}

// start serves the config as it is now. The first request does so by itself.
func (p *page) start() {
	p.t.Helper()
	p.network = gatewaytest.NewHosts(p.t, p.hosts)
	cfg := p.config
	cfg.Transport = p.network.Transport(p.t)
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{
		"my-provider": {"api-key": "sk-my-provider-api-key", "token": "sk-my-provider-token"},
		"custom":      {"api-key": "sk-custom-api-key"},
		"openai":      {"api-key": "sk-openai-api-key"},
	})
	g, err := aigateway.New(cfg)
	require.NoError(p.t, err)
	p.server = httptest.NewServer(g)
	p.t.Cleanup(p.server.Close)
}

// ask sends a request with the client's own credentials, which must go nowhere.
func (p *page) ask(method, path, body string) (status int, answer string) {
	p.t.Helper()
	if p.server == nil {
		p.start()
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.server.URL+path, strings.NewReader(body))
	require.NoError(p.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer sk-of-the-client")
	r.Header.Set("Cookie", "session=1")
	resp, err := p.server.Client().Do(r)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return resp.StatusCode, string(data)
}

// answers has a chat request answered with a text; empty for any.
func (p *page) answers(body, text string) {
	p.t.Helper()
	status, got := p.ask(http.MethodPost, "/v1/chat/completions", body)
	assert.Equal(p.t, http.StatusOK, status, "%s: %s", body, got)
	if text != "" {
		assert.Contains(p.t, got, fmt.Sprintf(`"content":%q`, text), body)
	}
}
