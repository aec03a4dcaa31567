package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

const troubleKey = "sk-trouble-0123456789abcdef-4242"

// Common mistakes with a new provider. The operator's log names the cause and
// the remedy, and the client learns nothing of the network behind.
func TestTroubleConnecting(t *testing.T) {
	closed := troubleClosed(t)
	plain := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	plainAddr := strings.TrimPrefix(plain.URL, "http://")
	trusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(trusted.Close)
	trusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	for _, row := range []struct {
		name      string
		baseURL   string
		endpoint  string // of my-service.internal
		transport http.RoundTripper
		want      []string
		hidden    string // from the client
	}{
		{name: "nobody listens", baseURL: "http://my-service.internal", endpoint: "http://" + closed,
			want: []string{
				"connection refused", "dial tcp " + closed,
				"internal_endpoints says that my-service.internal is at http://" + closed + ": is the service running there?",
			}, hidden: closed},
		{name: "no socket", baseURL: "http://my-service.internal", endpoint: "unix:///nowhere/vllm.sock",
			want: []string{
				"cannot connect", "no such file or directory",
				"internal_endpoints says that my-service.internal is at unix:///nowhere/vllm.sock: is the service running there?",
			}, hidden: "/nowhere"},
		{name: "no endpoint", baseURL: "http://my-service.internal", transport: troubleDNS{},
			want:   []string{"no such host", "my-service.internal was looked up as it is", "say under internal_endpoints where it is"},
			hidden: "my-service.internal"},
		{name: "a public host", baseURL: "https://api.example.com/v1", transport: troubleDNS{},
			want: []string{"no such host", "lookup api.example.com"}, hidden: "api.example.com"},
		{name: "no TLS, says internal_endpoints", baseURL: "http://my-service.internal", endpoint: "https://" + plainAddr,
			want: []string{"tls: first record does not look like a TLS handshake", plainAddr + " does not speak TLS", "as http:// in internal_endpoints"},
			// The port is in no message for clients.
			hidden: plainAddr},
		{name: "a certificate of one's own", baseURL: "http://my-service.internal", endpoint: trusted.URL,
			want:   []string{"x509", "of an authority that this machine does not trust: set tls.ca_file", strings.TrimPrefix(trusted.URL, "https://")},
			hidden: strings.TrimPrefix(trusted.URL, "https://")},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := troubleConfig("")
			cfg.Providers[0].BaseURL, cfg.Transport = row.baseURL, row.transport
			if row.endpoint != "" {
				cfg.InternalEndpoints = map[string]string{"my-service.internal": row.endpoint}
			}
			status, body, said := troubleAsk(t, cfg, "/v1/chat/completions", `{"model":"llama3"}`)
			assert.Equal(t, http.StatusBadGateway, status)
			for _, want := range row.want {
				assert.Contains(t, said, want)
			}
			assert.NotContains(t, body, row.hidden)
		})
	}
}

// The error about an address without https shows the right spelling.
func TestTroubleHTTPS(t *testing.T) {
	const local = "http is only for hosts under .internal: use one, such as "
	for _, row := range []struct{ baseURL, want string }{
		{"http://api.example.com/v1", "external URLs must use https; for a local service, use a host under .internal and say in internal_endpoints where it is"},
		{"http://203.0.113.7:8000", "external URLs must use https"},
		{"http://localhost:11434/v1", local + "http://my-service.internal, and say in internal_endpoints that it is http://localhost:11434"},
		{"http://127.0.0.1:8000", local + "http://my-service.internal, and say in internal_endpoints that it is http://127.0.0.1:8000"},
		{"http://[::1]:8000", local + "http://my-service.internal, and say in internal_endpoints that it is http://[::1]:8000"},
		{"http://192.168.1.20:1234/v1", local + "http://my-service.internal, and say in internal_endpoints that it is http://192.168.1.20:1234"},
		{"http://10.0.0.7", local + "http://my-service.internal, and say in internal_endpoints that it is http://10.0.0.7"},
		{"http://ollama:11434", local + "http://ollama.internal, and say in internal_endpoints that it is http://ollama:11434"},
		{"http://nas.local:8000", local + "http://nas.internal, and say in internal_endpoints that it is http://nas.local:8000"},
		{"localhost:11434", "must start with https:// (or http:// for a host under .internal)"},
		{"unix:///run/vllm.sock", "for a Unix socket, use a host under .internal and give the socket in internal_endpoints"},
	} {
		t.Run(row.baseURL, func(t *testing.T) {
			cfg := troubleConfig("")
			cfg.Providers[0].BaseURL = row.baseURL
			_, err := aigateway.New(cfg)
			var problem *aigateway.ConfigError
			require.ErrorAs(t, err, &problem)
			assert.Equal(t, "providers[0].base_url", problem.Path)
			assert.Contains(t, problem.Reason, row.want)
		})
	}
	t.Run("the remedy works", func(t *testing.T) {
		cfg := troubleConfig("")
		cfg.Providers[0].BaseURL = "http://ollama.internal"
		cfg.InternalEndpoints = map[string]string{"ollama.internal": "http://ollama:11434"}
		_, err := aigateway.New(cfg)
		assert.NoError(t, err)
	})
}

// A refused key is named, redacted, with its header.
func TestTroubleAuthentication(t *testing.T) {
	const shown = "sk-trou…4242"
	wants := func(header, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(header) != value {
				gatewaytest.Error(http.StatusUnauthorized, "invalid_api_key", "incorrect API key")(w, r)
				return
			}
			gatewaytest.Chat("welcome")(w, r)
		}
	}
	for _, row := range []struct {
		name     string
		upstream http.HandlerFunc
		key      string
		auth     aigateway.Auth
		headers  map[string]aigateway.Template
		path     string
		status   int
		want     string // nothing in the log if empty
	}{
		{"wrong key", wants("Authorization", "Bearer sk-other"), troubleKey, aigateway.Auth{}, nil, "", 502,
			"the key " + shown + " was sent as Authorization: Bearer: see auth if the provider wants another header"},
		{"wrong header", wants("Api-Key", troubleKey), troubleKey, aigateway.Auth{}, nil, "", 502,
			"the key " + shown + " was sent as Authorization: Bearer: see auth if the provider wants another header"},
		{"the right one", wants("Api-Key", troubleKey), troubleKey, aigateway.Auth{Header: "api-key"}, nil, "", 200, ""},
		{"wrong key in another header", wants("Api-Key", "sk-other"), troubleKey, aigateway.Auth{Header: "api-key"}, nil, "", 502,
			"the key " + shown + " was sent as Api-Key: see auth"},
		{"wrong scheme", wants("Authorization", "Key "+troubleKey), troubleKey, aigateway.Auth{}, nil, "", 502,
			"the key " + shown + " was sent as Authorization: Bearer"},
		{"the right scheme", wants("Authorization", "Key "+troubleKey), troubleKey, aigateway.Auth{Scheme: "Key"}, nil, "", 200, ""},
		{"Anthropic's header", wants("X-Api-Key", "sk-other"), troubleKey, aigateway.Auth{}, nil, "/v1/messages", 502,
			"the key " + shown + " was sent as X-Api-Key"},
		{"no key", wants("Authorization", "Bearer "+troubleKey), "", aigateway.Auth{}, nil, "", 401,
			"no key was sent: if the provider wants one, give it api_keys, or its own header under headers"},
		{"a header of the operator's", wants("Authorization", "Basic x"), "", aigateway.Auth{},
			map[string]aigateway.Template{"Authorization": "Basic b3BlcmF0b3I6" + troubleKey}, "", 401,
			"the credential was the one under headers: check its value, and which header the provider wants"},
		{"forbidden", gatewaytest.Error(http.StatusForbidden, "no_access", "not in your plan"), troubleKey, aigateway.Auth{}, nil, "", 403,
			"403 Forbidden: not in your plan (the key " + shown},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := troubleConfig(gatewaytest.NewUpstream(t, row.upstream).URL)
			p := &cfg.Providers[0]
			p.Auth, p.Headers = row.auth, row.headers
			p.SupportedAPISurfaces = []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}}
			if row.key != "" {
				p.APIKeys = []aigateway.APIKey{{Value: aigateway.Template(row.key)}}
			}
			path := row.path
			if path == "" {
				path = "/v1/chat/completions"
			}
			status, _, said := troubleAsk(t, cfg, path, `{"model":"llama3","max_tokens":1}`)
			assert.Equal(t, row.status, status)
			if row.want != "" {
				assert.Contains(t, said, row.want)
			}
			assert.NotContains(t, said, troubleKey)
		})
	}

	t.Run("a secret that is not there", func(t *testing.T) {
		cfg := troubleConfig("http://127.0.0.1:1")
		cfg.Secrets = aigateway.EnvSecrets()
		cfg.Providers[0].APIKeys = []aigateway.APIKey{{Value: "${secrets.get('my-trouble', 'api-key')}"}}
		_, body, said := troubleAsk(t, cfg, "/v1/chat/completions", `{"model":"llama3"}`)
		assert.Contains(t, said, "environment variable MY_TROUBLE_API_KEY is not set or empty")
		assert.NotContains(t, body, "MY_TROUBLE_API_KEY")
	})
	t.Run("a secret in the quotes of a file of variables", func(t *testing.T) {
		cfg := troubleConfig(gatewaytest.NewUpstream(t, gatewaytest.KeyError(http.StatusUnauthorized, "invalid_api_key")).URL)
		cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"v": {"k": `"` + troubleKey + `"`}})
		cfg.Providers[0].APIKeys = []aigateway.APIKey{{Value: "${secrets.get('v', 'k')}"}}
		_, body, said := troubleAsk(t, cfg, "/v1/chat/completions", `{"model":"llama3"}`)
		assert.Contains(t, said, "looks like a text in quotes, which belong to the text: leave the quotes out")
		assert.NotContains(t, body, "quotes")
		assert.NotContains(t, said, troubleKey)
	})
	t.Run("a built-in provider without a key", func(t *testing.T) {
		cfg := aigateway.Config{Providers: []aigateway.Provider{{ID: "openai"}}}
		status, body, _ := troubleAsk(t, cfg, "/v1/chat/completions", `{"model":"gpt-4o"}`)
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Contains(t, body, `provider \"openai\" needs an API key and has none`)
	})
}

// If the model is unknown, here or at the provider, the message names the lists
// to compare.
func TestTroubleModelNotFound(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusNotFound, "model_not_found", "the model does not exist"))
	for _, row := range []struct {
		name, model string
		status      int
		body, said  string
	}{
		{"at the provider", "llama3", http.StatusNotFound, "the model does not exist",
			`asked at http://my-service.internal/v1/chat/completions for model "llama3-70b": check base_url, and that the provider has the model under this very name`},
		{"misspelt", "lama3-70b", http.StatusUnprocessableEntity, `did you mean \"llama3-70b\"?`, "did you mean"},
		{"misspelt alias", "lama3", http.StatusUnprocessableEntity, `did you mean \"llama3\"?`, "did you mean"},
		{"misspelt provider", "my-servise:llama4", http.StatusUnprocessableEntity, `did you mean \"my-service:llama4\"?`, "did you mean"},
		{"nothing like it", "zzz", http.StatusUnprocessableEntity, `no provider has a model \"zzz\". To send a name on as it is, put a provider's id before it: \"provider:zzz\"`, "zzz"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := troubleConfig(upstream.URL)
			cfg.Registry = aigateway.NoRegistry()
			cfg.Providers[0].Models = []aigateway.Model{{ID: "llama3-70b", IDAliases: []string{"llama3"}}, {ID: "mistral"}}
			status, body, said := troubleAsk(t, cfg, "/v1/chat/completions", `{"model":"`+row.model+`"}`)
			assert.Equal(t, row.status, status)
			assert.Contains(t, body, row.body)
			assert.Contains(t, said, row.said)
		})
	}
}

// A base_url of something else than the API.
func TestTroubleWrongPlace(t *testing.T) {
	const want = "asked at http://my-service.internal/v1/chat/completions: check that base_url leads to the API"
	for _, row := range []struct {
		name     string
		upstream http.HandlerFunc
		reason   string
	}{
		{"a web page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Write([]byte("<html>Sign in</html>"))
		}, "the answer is a web page"},
		{"a page that takes no POST", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }, "405 Method Not Allowed"},
		{"200 with an error", gatewaytest.JSON(http.StatusOK, `{"error":"Unexpected endpoint"}`), "status 200 with an error: Unexpected endpoint"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, _, said := troubleAsk(t, troubleConfig(gatewaytest.NewUpstream(t, row.upstream).URL), "/v1/chat/completions", `{"model":"llama3"}`)
			assert.Contains(t, said, row.reason)
			assert.Contains(t, said, want)
		})
	}
}

// troubleConfig has one provider, my-service, with the model llama3.
func troubleConfig(at string) aigateway.Config {
	cfg := aigateway.Config{
		Registry: aigateway.NoRegistry(),
		Providers: []aigateway.Provider{{
			ID: "my-service", BaseURL: "http://my-service.internal", Models: []aigateway.Model{{ID: "llama3"}},
		}},
	}
	if at != "" {
		cfg.InternalEndpoints = map[string]string{"my-service.internal": at}
	}
	return cfg
}

// troubleAsk sends a request. The log must say the same as the Result.
func troubleAsk(t *testing.T, cfg aigateway.Config, path, body string) (status int, answer, said string) {
	t.Helper()
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
	var result *aigateway.Result
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { result = res }}
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body)))
	require.NotNil(t, result)
	if result.Error != nil {
		said = result.Error.Message
	}
	var line struct {
		Failures []string `json:"aigateway.failures"`
	}
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	for _, m := range result.ModelsTried {
		for _, a := range m.RequestsMade {
			if a.Error != "" {
				said += "\n" + a.Error
				assert.Contains(t, line.Failures, m.Provider+":"+m.Model+": "+a.Error)
			}
		}
	}
	return w.Code, w.Body.String(), said
}

// troubleClosed is a loopback address without a listener.
func troubleClosed(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	return l.Addr().String()
}

// troubleDNS is a network whose DNS knows no host.
type troubleDNS struct{}

func (troubleDNS) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}}
}
