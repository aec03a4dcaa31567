package browsertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// hostile is a model's name as a client may send one.
const hostile = `</script><img src=x onerror="document.title='owned'"><b>`

// mount is the path of the scene's page. Its links must work under any path.
const mount = "/some/where/debug"

// scene is a gateway with providers in all conditions, and its debug page.
type scene struct {
	t   *testing.T
	url string // of the server
}

func (s *scene) page() string { return s.url + mount }

// newScene starts the gateway, and sends it requests of all kinds.
func newScene(t *testing.T) *scene {
	quota := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Ratelimit-Limit-Requests", "500")
			w.Header().Set("X-Ratelimit-Remaining-Requests", "477")
			w.Header().Set("X-Ratelimit-Limit-Tokens", "200000")
			w.Header().Set("X-Ratelimit-Remaining-Tokens", "9120")
			w.Header().Set("X-Ratelimit-Reset-Requests", "52s")
			next(w, r)
		}
	}
	limited := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "40")
		gatewaytest.Error(http.StatusTooManyRequests, "rate_limit_exceeded", "Rate limit reached for requests")(w, r)
	}
	up := map[string]*gatewaytest.Upstream{
		"rack":    gatewaytest.NewUpstream(t, quota(gatewaytest.Chat("Good day."))),
		"broken":  gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusInternalServerError, "", "CUDA error: out of memory")),
		"limited": gatewaytest.NewUpstream(t, limited),
	}
	cfg, err := aigateway.ParseConfig([]byte(sceneConfig))
	require.NoError(t, err)
	cfg.InternalEndpoints = map[string]string{"gone.internal": "http://127.0.0.1:1"}
	for name, u := range up {
		cfg.InternalEndpoints[name+".internal"] = u.URL
	}
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"rack": {"one": "sk-rack-canary-0001-aaaabbbbcccc", "two": "sk-rack-canary-0002-aaaabbbbcccc"}, "limited": {"key": "sk-limited-canary-aaaabbbbcccc"}})
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/v1/", gateway)
	mux.Handle(mount, gateway.DebugHandler())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	s := &scene{t, server.URL}
	for range 14 {
		s.chat(`"llama3.2"`)
	}
	for range 6 {
		s.ask(`{"models": ["broken:llama3.1-70b-instruct", "rack:llama3.2"], "messages": [{"role": "user", "content": "Hello"}]}`)
	}
	s.ask(`{"models": ["limited:gpt-oss-120b", "gone:mistral-small", "rack:a-model-with-an-exceedingly-long-name-that-nobody-would-ever-want-to-type-but-that-somebody-will-1234567890-q4_k_m"], "messages": []}`)
	s.chat(`"gone:mistral-small"`)
	s.chat(`"no-such-model"`)
	s.chat(`"rack:</script><img src=x onerror=\"document.title='owned'\"><b>"`)
	s.chat(`"</script><img src=x onerror=\"document.title='owned'\"><b>"`)
	s.chat(`"llama3.2"`)
	return s
}

func (s *scene) chat(model string) { s.ask(`{"model": ` + model + `, "messages": []}`) }

func (s *scene) ask(body string) {
	resp, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	require.NoError(s.t, err)
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	require.NoError(s.t, err)
}

const sceneConfig = `
providers:
  - id: rack
    id_aliases: [cellar]
    base_url: http://rack.internal
    api_keys:
      - value: ${secrets.get('rack', 'one')}
      - value: ${secrets.get('rack', 'two')}
    models:
      - id: llama3.2
        id_aliases: [llama]
        metadata: {gpu: A100, note: sk-metadata-canary-1234}
      - id: a-model-with-an-exceedingly-long-name-that-nobody-would-ever-want-to-type-but-that-somebody-will-1234567890-q4_k_m
  - id: broken
    base_url: http://broken.internal/v1
    models:
      - id: llama3.1-70b-instruct
  - id: limited
    base_url: http://limited.internal
    api_keys:
      - value: ${secrets.get('limited', 'key')}
    models:
      - id: gpt-oss-120b
  - id: gone
    base_url: http://gone.internal
    models:
      - id: mistral-small
headers:
  X-Team: search-canary
body:
  user: mine
  api_token: body-canary
model_selection:
  strategy:
    - "ai.models.filter(m, m.metadata.gpu == 'A100') + ai.models"
total_timeout: 30s
`
