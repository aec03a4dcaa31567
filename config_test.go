package aigateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
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

// TestNewFaults has documents whose shape is right and whose meaning is not.
// Each want is "PATH: a piece of the reason", and there must be no others.
func TestNewFaults(t *testing.T) {
	const provider = "providers:\n  - id: a\n    base_url: https://a.internal\n"
	tests := []struct {
		name, doc string
		wants     []string
	}{
		// Settings.
		{"timeout without unit", "per_request_timeout: '90'", []string{`per_request_timeout: like "90s"`}},
		{"timeout with a word", "total_timeout: soon", []string{"total_timeout: is not a duration"}},
		{"negative timeout", "total_timeout: -1s", []string{"total_timeout: must not be negative"}},
		{"first token", "first_token_timeout: 5 s", []string{"first_token_timeout: is not a duration"}},
		{"provider's timeout", provider + "    per_request_timeout: 1d", []string{"providers[0].per_request_timeout: is not a duration"}},
		{"too many attempts", "max_attempts: 101", []string{"max_attempts: from 1 to 100"}},
		{"negative attempts", "max_attempts: -1", []string{"max_attempts: from 1 to 100"}},
		{"too many retries", "max_retries: 6", []string{"max_retries: to 5"}},
		{"input tokens", "max_input_tokens: 500001", []string{"max_input_tokens: to 500000"}},
		{"output tokens", "max_output_tokens: -5", []string{"max_output_tokens: to 500000"}},
		{"stream_commit typo", "stream_commit: first_contents", []string{`stream_commit: did you mean "first_content"?`}},
		{"stream_commit", "stream_commit: never", []string{"stream_commit: must be one of first_content, complete"}},
		{"on_error", "on_error: continues", []string{`on_error: did you mean "continue"?`}},
		{"forwarding credentials", "forward_headers: [X-Tenant, authorization, Cookie]", []string{
			"forward_headers[1]: holds the client's credentials", "forward_headers[2]: holds the client's credentials"}},
		{"forwarding the connection", "forward_headers: [Content-Length]", []string{"forward_headers[0]: belongs to the client's connection"}},
		{"forwarding no header", "forward_headers: ['X Tenant']", []string{"forward_headers[0]: is not a header name"}},
		{"internal endpoint outside", "internal_endpoints: {ollama.example.com: 'http://127.0.0.1'}", []string{`internal_endpoints["ollama.example.com"]: under .internal`}},
		{"internal endpoint with a path", "internal_endpoints: {ollama.internal: 'http://127.0.0.1/v1'}", []string{`internal_endpoints["ollama.internal"]: no path`}},

		// Providers.
		{"no id", "providers:\n  - base_url: https://a.internal", []string{"providers[0].id: needs an id"}},
		{"no base_url", "providers:\n  - id: my-own-service", []string{`providers[0].base_url: "my-own-service" is not built in and needs a base_url`}},
		{"nearly built in", "providers:\n  - id: opennai", []string{`providers[0].base_url: did you mean the built-in "openai"?`}},
		{"http outside", "providers:\n  - id: a\n    base_url: http://api.example.com", []string{"providers[0].base_url: external URLs must use https"}},
		{"http at a built-in", "providers:\n  - id: OpenAI\n    base_url: http://api.openai.com/v1", []string{"providers[0].base_url: external URLs must use https"}},
		{"other scheme", "providers:\n  - id: a\n    base_url: ftp://a.internal", []string{"providers[0].base_url: the scheme must be https"}},
		{"user info", "providers:\n  - id: a\n    base_url: https://u:hunter2@a.internal", []string{"providers[0].base_url: must hold no user or password"}},
		{"fragment", "providers:\n  - id: a\n    base_url: https://a.internal/#hunter2", []string{"providers[0].base_url: must have no fragment"}},
		{"same id", provider + "  - id: A\n    base_url: https://b.internal", []string{"providers[1].id: is already the name at providers[0].id"}},
		{"alias is another's id", provider + "  - id: b\n    id_aliases: [x, A]\n    base_url: https://b.internal", []string{"providers[1].id_aliases[1]: is already the name at providers[0].id"}},
		{"same alias", provider + "    id_aliases: [x]\n  - id: b\n    id_aliases: [X]\n    base_url: https://b.internal", []string{"providers[1].id_aliases[0]: at providers[0].id_aliases[0]"}},
		{"alias is its own id", provider + "    id_aliases: [A]", []string{"providers[0].id_aliases[0]: at providers[0].id"}},
		{"one built-in twice", "providers:\n  - id: google\n  - id: gemini\n    base_url: https://b.internal", []string{`providers[1].id: is the built-in "google", which providers[0] configures already`}},
		{"colon in an id", "providers:\n  - id: 'a:b'\n    base_url: https://a.internal", []string{"providers[0].id: must not contain a colon"}},
		{"space in an id", "providers:\n  - id: 'a b'\n    base_url: https://a.internal", []string{"providers[0].id: must not contain spaces"}},
		{"empty alias", provider + "    id_aliases: ['']", []string{"providers[0].id_aliases[0]: must not be empty"}},
		{"empty key", provider + "    api_keys: [{value: ''}]", []string{"providers[0].api_keys[0].value: is empty"}},
		{"broken key", provider + "    api_keys: [{value: ok}, {value: \"${secret.get('hunter2','b')}\"}]", []string{"providers[0].api_keys[1].value: did you mean 'secrets'?"}},
		{"key that breaks lines", provider + "    api_keys: [{value: \"hunter2\\nX-Evil: 1\"}]", []string{"providers[0].api_keys[0].value: line breaks"}},
		{"unclosed key", provider + "    api_keys: [{value: \"${secrets.get('hunter2','b')\"}]", []string{"providers[0].api_keys[0].value: "}},
		{"the same key twice", provider + "    api_keys: [{value: hunter2}, {value: other}, {value: hunter2}]", []string{"providers[0].api_keys[2].value: is the same as api_keys[0]"}},
		{"variable of a shell", provider + "    api_keys: [{value: $MY_KEY}]", []string{"providers[0].api_keys[0].value: is a shell's variable and not a key"}},
		{"variable of the environment", provider + "    api_keys: [{value: '${MY_KEY}'}]", []string{"providers[0].api_keys[0].value: the environment is read by secrets.get"}},
		{"surface in the base_url", "providers:\n  - id: a\n    base_url: https://a.internal/v1/chat/completions/", []string{"providers[0].base_url: ends in the path of a request, which is added to it: leave /chat/completions out"}},
		{"surface in the base_url, in v1", "providers:\n  - id: a\n    base_url: https://a.internal/v1/embeddings", []string{"providers[0].base_url: leave /embeddings out"}},
		{"IPv6 without brackets", "providers:\n  - id: a\n    base_url: https://2001::1", []string{"providers[0].base_url: "}},
		{"IPv6 loopback without brackets", "providers:\n  - id: a\n    base_url: https://::1", []string{"providers[0].base_url: an IPv6 address must stand in brackets"}},
		{"escaped host", "providers:\n  - id: a\n    base_url: https://a%2ecom", []string{"providers[0].base_url: a host must be written without %XX"}},
		{"endless timeout", "total_timeout: 9999999h", []string{"total_timeout: is too long, or not a duration"}},
		{"template as a base_url", "providers:\n  - id: a\n    base_url: 'https://a.internal/${req.id}'", []string{"providers[0].base_url: only in api_keys, headers, query_params and body"}},
		{"template as an id", "providers:\n  - id: '${req.id}'\n    base_url: https://a.internal", []string{"providers[0].id: only in api_keys, headers, query_params and body"}},
		{"auth header", provider + "    auth: {header: 'x key'}", []string{"providers[0].auth.header: is not a header name"}},
		{"auth scheme", provider + "    auth: {scheme: 'To ken'}", []string{"providers[0].auth.scheme: is not an authentication scheme"}},
		{"auth in the connection", provider + "    auth: {header: host}", []string{"providers[0].auth.header: belongs to the connection"}},
		{"format typo", provider + "    supported_api_surfaces: [{format: openia}]", []string{`providers[0].supported_api_surfaces[0].format: did you mean "openai"?`}},
		{"no format", provider + "    supported_api_surfaces: [{surface: messages}]", []string{"providers[0].supported_api_surfaces[0].format: is required"}},
		{"surface typo", provider + "    supported_api_surfaces: [{format: openai}, {format: openai, surface: chat-completion}]", []string{`providers[0].supported_api_surfaces[1].surface: did you mean "chat-completions"?`}},
		{"surface of the other format", provider + "    supported_api_surfaces: [{format: openai, surface: messages}]", []string{"providers[0].supported_api_surfaces[0].surface: "}},
		{"unnamed param", provider + "    supported_api_surfaces: [{format: openai, supported_params: [{name: ''}]}]", []string{"providers[0].supported_api_surfaces[0].supported_params[0].name: is required"}},

		// Headers, parameters and bodies.
		{"header name", "headers: {'X Y': a}", []string{`headers["X Y"]: is not a header name`}},
		{"connection header", "headers: {content-length: '1'}", []string{"headers.content-length: cannot be set"}},
		{"header twice", "headers: {X-A: a, x-a: b}", []string{"headers.x-a: is set twice"}},
		{"header with a line break", provider + "    headers: {X-A: \"hunter2\\r\\nY: 1\"}", []string{"providers[0].headers.X-A: must not contain line breaks"}},
		{"header of a list", "headers: {X-A: \"${req.headers['x-team']}\"}", []string{"headers.X-A: is list of strings: choose one of it, such as the first by [0]"}},
		{"header of nothing", "headers: {X-A: '${null}'}", []string{"headers.X-A: is null"}},
		{"parameter of a map", "query_params: {k: '${req.headers}'}", []string{"query_params.k: is map"}},
		{"key of a list", provider + "    api_keys: [{value: \"${req.headers['x']}\"}]", []string{"providers[0].api_keys[0].value: is list"}},
		{"list within text", "body: {a: \"teams ${req.headers['x-team']}\"}", []string{"body.a: is list"}},
		{"header with a typo", "headers: {X-A: '${req.mehtod}'}", []string{"headers.X-A: did you mean 'req.method'?"}},
		{"parameter with a typo", "query_params: {k: '${nope.get(1)}'}", []string{"query_params.k: "}},
		{"body sets the model", "body: {Model: a}", []string{"body.Model: cannot be set"}},
		{"body with a typo", "body: {user: {ip: ['${conn.client_ipp}']}}", []string{"body.user.ip[0]: did you mean 'conn.client_ip'?"}},

		// Models.
		{"no model id", provider + "    models: [{display_name: x}]", []string{"providers[0].models[0].id: needs an id"}},
		{"same model", provider + "    models: [{id: m}, {id: M}]", []string{"providers[0].models[1].id: is already the name at providers[0].models[0].id"}},
		{"model alias", provider + "    models: [{id: m}, {id: n, id_aliases: [m]}]", []string{"providers[0].models[1].id_aliases[0]: at providers[0].models[0].id"}},
		{"space around a model", provider + "    models: [{id: ' m'}]", []string{"providers[0].models[0].id: must not be empty, have spaces around it"}},
		{"negative window", provider + "    models: [{id: m, max_context_window: -1}]", []string{"providers[0].models[0].max_context_window: must not be negative"}},
		{"negative price", provider + "    models: [{id: m, pricing: {output: -1}}]", []string{"providers[0].models[0].pricing.output: must not be negative"}},
		{"negative price of a tool", provider + "    models: [{id: m, pricing: {tools: {web_search: -1}}}]", []string{"providers[0].models[0].pricing.tools.web_search: must not be negative"}},
		{"tiers", provider + "    models: [{id: m, pricing: {tiers: [{above_input_tokens: 0}, {above_input_tokens: 9, input: -1}, {above_input_tokens: 9}]}}]", []string{
			"providers[0].models[0].pricing.tiers[0].above_input_tokens: must be above zero", "providers[0].models[0].pricing.tiers[1].input: must not be negative",
			"providers[0].models[0].pricing.tiers[2].above_input_tokens: tiers ascend",
		}},
		{"shutdown date", provider + "    models: [{id: m, shutdown_date: soon}]", []string{"providers[0].models[0].shutdown_date: is not a date such as 2026-12-31"}},
		{"unnamed unsupported param", provider + "    models: [{id: m, unsupported_params: [{name: ''}]}]", []string{"providers[0].models[0].unsupported_params[0].name: is required"}},

		// Restrictions and strategies.
		{"only providers without any", "only_allow_configured_providers: true", []string{"only_allow_configured_providers: list some under providers"}},
		{"only models without any", provider + "only_allow_configured_models: true", []string{"only_allow_configured_models: list some under providers[].models"}},
		{"misspelt variable", "model_selection: {strategy: ['ai.model']}", []string{"model_selection.strategy[0]: did you mean 'ai.models'?"}},
		{"misspelt function", "model_selection: {strategy: [ai.models, 'ai.models.randm()']}", []string{"model_selection.strategy[1]: did you mean 'random'?"}},
		{"misspelt field", "model_selection: {strategy: [\"ai.models.filter(m, m.provider == 'a')\"]}", []string{"model_selection.strategy[0]: did you mean 'provider_id'?"}},
		{"no list of models", "model_selection: {strategy: ['1 + 1']}", []string{"model_selection.strategy[0]: 1:"}},
		{"sortBy of another word", "model_selection: {strategy: [\"ai.models.sortBy('prize')\"]}", []string{"model_selection.strategy[0]: 'price'"}},
		{"empty strategy", "model_selection: {strategy: ['']}", []string{"model_selection.strategy[0]: "}},
		{"key strategy", "api_key_selection: {strategy: ['ai.key']}", []string{"api_key_selection.strategy[0]: did you mean 'ai.keys'?"}},
		{"models in a key strategy", "api_key_selection: {strategy: ['ai.models']}", []string{"api_key_selection.strategy[0]: "}},

		{"behind a second overlay", "providers: [{id: google}, {id: gemini, base_url: 'ftp://x', auth: {header: 'a b'}}]", []string{
			`providers[1].id: is the built-in "google"`, "providers[1].base_url: the scheme", "providers[1].auth.header: is not a header name"}},
		{"all at once", `
total_timeout: never
max_attempts: 1000
on_error: retry
headers: {Host: x}
providers:
  - id: a
    base_url: http://a.example.com
    models: [{id: m}, {id: m}]
  - id: A
model_selection: {strategy: [ai.model, ai.modles]}
`, []string{"total_timeout: ", "max_attempts: ", "on_error: ", "model_selection.strategy[0]: ", "model_selection.strategy[1]: ", "headers.Host: ",
			"providers[1].id: ", "providers[0].base_url: ", "providers[0].models[1].id: ", "providers[1].base_url: "}},
	}
	require.GreaterOrEqual(t, len(tests), 40)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(tt.doc))
			if err == nil {
				var g *aigateway.Gateway
				g, err = aigateway.New(cfg)
				assert.Nil(t, g)
			}
			newConfigFaults(t, err, tt.wants)
		})
	}
}

// TestNewFaultsOfDependencies: the errors that only a Go program can make.
func TestNewFaultsOfDependencies(t *testing.T) {
	service := aigateway.Provider{ID: "a", BaseURL: "https://a.internal"}
	transport := http.DefaultTransport
	registry := aigateway.StaticRegistry
	cause := errors.New("no such database")
	negative := -1.0
	tests := []struct {
		name  string
		cfg   aigateway.Config
		wants []string
	}{
		{"registry fails", aigateway.Config{Registry: aigateway.ProviderRegistryFunc(func(context.Context) ([]aigateway.Provider, error) {
			return []aigateway.Provider{service}, cause
		})}, []string{"Registry: no such database"}},
		{"registry's URL", aigateway.Config{Registry: registry(aigateway.Provider{ID: "r", BaseURL: "http://r.example.com"})},
			[]string{`registry["r"].base_url: external URLs must use https`}},
		{"registry's provider without URL", aigateway.Config{Registry: registry(aigateway.Provider{ID: "r"})}, []string{`registry["r"].base_url: base_url`}},
		{"overlay of a registry's bad URL", aigateway.Config{
			Registry:  registry(aigateway.Provider{ID: "r", BaseURL: "http://r.example.com"}),
			Providers: []aigateway.Provider{{ID: "r"}},
		}, []string{"providers[0].base_url: external URLs must use https"}},
		{"registry's model", aigateway.Config{Registry: registry(aigateway.Provider{ID: "r", BaseURL: "https://r.internal",
			Models: []aigateway.Model{{ID: "m", Pricing: &aigateway.Pricing{Input: &negative}}}})}, []string{`registry["r"].models[0].pricing.input: negative`}},
		{"policy", aigateway.Config{
			Registry:  aigateway.NoRegistry(),
			Providers: []aigateway.Provider{service},
			URLPolicy: aigateway.URLPolicyFunc(func(u *url.URL) error { return errors.New("not on a Sunday") }),
		}, []string{"providers[0].base_url: not on a Sunday"}},
		{"private host", aigateway.Config{Providers: []aigateway.Provider{service}, URLPolicy: aigateway.PublicURLPolicy()},
			[]string{"providers[0].base_url: not a public one"}},
		{"transport and socket", aigateway.Config{
			Providers: []aigateway.Provider{service}, Transport: transport,
			InternalEndpoints: map[string]string{"a.internal": "unix:///run/a.sock"},
		}, []string{`Transport: "a" is reached over a unix socket`}},
		{"transport and address policy", aigateway.Config{Transport: transport, URLPolicy: newConfigAddrs{}}, []string{"Transport: leave Transport nil"}},
		{"transport and public policy", aigateway.Config{Transport: transport, URLPolicy: aigateway.PublicURLPolicy()}, []string{"Transport: leave Transport nil"}},
		{"body limit", aigateway.Config{MaxBodyBytes: -1}, []string{"MaxBodyBytes: must not be negative"}},
		{"no JSON", aigateway.Config{Body: map[string]any{"n": math.NaN(), "deep": map[string]any{"f": func() {}, "id": "${req.id}"}}},
			[]string{"body.deep.f: is not a JSON value", "body.n: is not a JSON value"}},
		{"not a number", aigateway.Config{Providers: []aigateway.Provider{{ID: "a", BaseURL: "https://a.internal",
			Models: []aigateway.Model{{ID: "m", Pricing: &aigateway.Pricing{Input: new(math.NaN())}}}}}},
			[]string{"providers[0].models[0].pricing.input: "}},
		{"empty everything", aigateway.Config{Providers: []aigateway.Provider{{}}}, []string{"providers[0].id: needs an id"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := aigateway.New(tt.cfg)
			assert.Nil(t, g)
			newConfigFaults(t, err, tt.wants)
		})
	}
}

// newConfigAddrs is a policy with a check of addresses.
type newConfigAddrs struct{}

func (newConfigAddrs) CheckURL(*url.URL) error    { return nil }
func (newConfigAddrs) CheckAddr(netip.Addr) error { return nil }

// TestNewSharesNothing changes everything in a Config after New. The gateway
// must not notice.
func TestNewSharesNothing(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	newConfig := func() aigateway.Config {
		return aigateway.Config{
			Registry: aigateway.NoRegistry(),
			Providers: []aigateway.Provider{{
				ID: "a", IDAliases: []string{"alias"}, BaseURL: "http://a.internal",
				APIKeys:  []aigateway.APIKey{{Value: "sk-first-key"}},
				Metadata: map[string]any{"tier": "gold", "zones": []string{"eu"}, "deep": map[string]any{"l": []any{"x", nil}}},
				Headers:  map[string]aigateway.Template{"X-P": "p"},
				Body:     map[string]any{"tags": []string{"one"}, "meta": map[string]any{"id": "${req.id}", "list": []string{"two"}}},
				Models: []aigateway.Model{{ID: "m", IDAliases: []string{"mm"}, Metadata: map[string]any{"gpu": "A100"},
					InputModalities: []string{"text"}, SupportedFeatures: []string{"vision"}, UnsupportedParams: []aigateway.Param{{Name: "seed"}},
					Pricing: &aigateway.Pricing{Input: new(1.0), Tools: map[string]float64{"search": 2}}, Datacenters: []aigateway.Datacenter{{CountryCode: "DE"}}}},
				SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai", SupportedParams: []aigateway.Param{{Name: "tags"}, {Name: "meta"}, {Name: "seed"}}}},
			}},
			ModelSelection: aigateway.ModelSelection{Strategy: []string{`ai.models.filter(m, m.metadata.gpu == 'A100' && m.metadata.tier == 'gold'
				&& m.metadata.zones[0] == 'eu' && m.metadata.deep.l[0] == 'x' && 'vision' in m.supported_features && m.datacenters[0].country_code == 'DE'
				&& m.pricing.input == 1.0 && 'text' in m.input_modalities && 'alias' in m.provider_id_aliases && 'mm' in m.id_aliases)`}},
			APIKeySelection:   aigateway.APIKeySelection{Strategy: []string{"ai.keys"}},
			Headers:           map[string]aigateway.Template{"X-G": "g"},
			QueryParams:       map[string]aigateway.Template{"q": "1"},
			ForwardHeaders:    []string{"X-Forward"},
			InternalEndpoints: map[string]string{"a.internal": up.URL},
		}
	}
	cfg := newConfig()
	hooks := aigateway.Hooks{}
	cfg.Hooks = &hooks
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(g)
	defer server.Close()

	p, m := &cfg.Providers[0], &cfg.Providers[0].Models[0]
	p.APIKeys[0].Value, p.IDAliases[0], m.IDAliases[0], m.Metadata["gpu"] = "sk-other-key", "x", "x", "x"
	p.Metadata["tier"], p.Metadata["zones"].([]string)[0] = "x", "x"
	p.Metadata["deep"].(map[string]any)["l"].([]any)[0] = "x2"
	p.Headers["X-P"], cfg.Headers["X-G"], cfg.QueryParams["q"] = "x", "x", "x"
	p.Body["tags"].([]string)[0], p.Body["new"] = "x", "x"
	p.Body["meta"].(map[string]any)["list"].([]string)[0] = "x"
	m.InputModalities[0], m.SupportedFeatures[0], m.UnsupportedParams[0].Name, m.Datacenters[0].CountryCode = "x", "x", "x", "x"
	*m.Pricing.Input, m.Pricing.Tools["search"] = 9, 9
	p.SupportedAPISurfaces[0].SupportedParams[0].Name = "x"
	cfg.ModelSelection.Strategy[0], cfg.APIKeySelection.Strategy[0], cfg.ForwardHeaders[0] = "x", "x", "X-Other"
	cfg.InternalEndpoints["a.internal"] = "http://127.0.0.1:1"
	hooks.RequestStart = func(context.Context, aigateway.ClientRequest) context.Context { panic("the hooks are shared") }
	m.ID, p.ID, p.BaseURL = "x", "x", "https://x.internal"
	cfg.Providers = nil

	r := gatewayRequest(t, server.URL+"/v1/chat/completions", `{"model":"alias:mm","seed":1}`)
	r.Header.Set("X-Forward", "f")
	r.Header.Set("X-Request-Id", "r1")
	status, body := gatewayDo(t, r)
	require.Equal(t, http.StatusOK, status, body)
	got := up.Last()
	assert.Equal(t, "/v1/chat/completions?q=1", got.URL)
	assert.JSONEq(t, `{"model":"m","tags":["one"],"meta":{"id":"r1","list":["two"]}}`, string(got.Body))
	for name, want := range map[string]string{"Authorization": "Bearer sk-first-key", "X-P": "p", "X-G": "g", "X-Forward": "f"} {
		assert.Equal(t, want, got.Header.Get(name), name)
	}
}

// TestNewDefaults sees each default at work.
func TestNewDefaults(t *testing.T) {
	list := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = `"a:m` + strings.Repeat("x", i) + `"`
		}
		return `{"models":[` + strings.Join(names, ",") + `]}`
	}
	for _, tt := range []struct {
		name     string
		upstream http.HandlerFunc
		body     string
		after    time.Duration
		attempts int
	}{
		{"per_request_timeout 3m", gatewaytest.Silence, list(1), 3 * time.Minute, 1},
		{"total_timeout 6m", gatewaytest.Silence, list(5), 6 * time.Minute, 2},
		{"max_attempts 10", gatewaytest.Abort, list(12), 0, 10},
		{"max_retries 0", gatewaytest.Error(503, "", ""), list(1), 0, 1},
		{"first_token_timeout off", func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.StartStream(w)
			gatewaytest.Silence(w, r)
		}, `{"model":"a:m","stream":true}`, 3 * time.Minute, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := gatewaytest.NewNetwork()
				up := gatewaytest.Scripted(tt.upstream)
				network.Serve(t, "a.internal", up)
				g, err := aigateway.New(aigateway.Config{
					Registry:  aigateway.NoRegistry(),
					Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal"}},
					Transport: network.Transport(t),
				})
				require.NoError(t, err)
				begin := time.Now()
				w := httptest.NewRecorder()
				g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(tt.body)))
				assert.GreaterOrEqual(t, w.Code, 500)
				assert.Equal(t, tt.after, time.Since(begin))
				assert.Equal(t, tt.attempts, up.Count())
			})
		})
	}
}

// TestZeroConfig: the client's own key goes to the provider that the client asks
// for.
func TestZeroConfig(t *testing.T) {
	g, err := aigateway.New(aigateway.Config{})
	require.NoError(t, err)
	assert.NoError(t, g.Check(t.Context()))
	for _, tt := range []struct {
		name, key, body string
		tried           []string
		code            aigateway.Code
	}{
		{"known", "sk-mine", `{"model":"gpt-4o"}`, []string{"openai:gpt-4o"}, ""},
		{"prefix", "sk-mine", `{"model":"gemini:gemini-2.5-pro"}`, []string{"google:gemini-2.5-pro"}, ""},
		{"passed on", "sk-mine", `{"model":"openrouter:a/b:free"}`, []string{"openrouter:a/b:free"}, ""},
		{"one key, one provider", "sk-mine", `{"models":["openai:gpt-4o","groq:x","openai:gpt-4.1"]}`, []string{"openai:gpt-4o", "openai:gpt-4.1"}, ""},
		{"no key", "", `{"model":"gpt-4o"}`, nil, aigateway.CodeNoAPIKey},
		{"no model", "sk-mine", `{}`, nil, aigateway.CodeNoMatchingModels},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(tt.body))
			if tt.key != "" {
				r.Header.Set("Authorization", "Bearer "+tt.key)
			}
			res, err := g.Explain(r)
			assert.Equal(t, tt.code, testbed.Code(err))
			assert.Equal(t, tt.tried, testbed.Tried(res))
		})
	}
}

// TestOverlay lays configured providers over built-in ones. Each row asks for a
// model, and names its provider and key.
func TestOverlay(t *testing.T) {
	const chat = "/chat/completions"
	tests := []struct {
		name, doc string
		model     string
		want      string // "URL model key"; empty where the request is refused
		code      aigateway.Code
	}{
		{"by id", "providers: [{id: openai, api_keys: [{value: sk-1}]}]", "gpt-4o", "https://api.openai.com/v1" + chat + " gpt-4o sk-1", ""},
		{"whatever the case", "providers: [{id: OpenAI, api_keys: [{value: sk-1}]}]", "OPENAI:GPT-4O", "https://api.openai.com/v1" + chat + " gpt-4o sk-1", ""},
		{"by alias", "providers: [{id: gemini, api_keys: [{value: sk-1}]}]", "gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai" + chat + " gemini-2.5-pro sk-1", ""},
		{"by alias, reached by id", "providers: [{id: Gemini, api_keys: [{value: sk-1}]}]", "google:gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai" + chat + " gemini-2.5-pro sk-1", ""},
		{"by id, reached by alias", "providers: [{id: google, api_keys: [{value: sk-1}]}]", "gemini:gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai" + chat + " gemini-2.5-pro sk-1", ""},
		{"own base_url", "providers: [{id: openai, base_url: 'https://proxy.internal/oai'}]", "gpt-4o", "https://proxy.internal/oai" + chat + " gpt-4o ", ""},
		{"needs a key", "providers: [{id: openai}]", "gpt-4o", "", aigateway.CodeNoAPIKey},
		{"own header instead", "providers: [{id: openai, headers: {authorization: Bearer sk-2}}]", "gpt-4o", "https://api.openai.com/v1" + chat + " gpt-4o sk-2", ""},
		{"not configured", "providers: [{id: openai, api_keys: [{value: sk-1}]}]", "groq:x", "", aigateway.CodeNoAPIKey},
		{"new alias beside the old", "providers: [{id: google, id_aliases: [g], api_keys: [{value: sk-1}]}]", "g:gemini-2.5-pro", "https://generativelanguage.googleapis.com/v1beta/openai" + chat + " gemini-2.5-pro sk-1", ""},

		{"alias shadows an id", "providers: [{id: mine, id_aliases: [OpenAI], base_url: 'https://mine.internal'}]", "openai:gpt-4o", "https://mine.internal/v1" + chat + " gpt-4o ", ""},
		{"alias shadows an alias", "providers: [{id: mine, id_aliases: [gemini], base_url: 'https://mine.internal'}]", "gemini:x", "https://mine.internal/v1" + chat + " x ", ""},
		{"alias taken from an overlay before it", "providers: [{id: google, api_keys: [{value: sk-1}]}, {id: mine, id_aliases: [gemini], base_url: 'https://mine.internal'}]",
			"gemini:x", "https://mine.internal/v1" + chat + " x ", ""},
		{"id taken from an overlay before it", "providers: [{id: gemini, api_keys: [{value: sk-1}]}, {id: mine, id_aliases: [google], base_url: 'https://mine.internal'}]",
			"google:x", "https://mine.internal/v1" + chat + " x ", ""},

		{"model merged by id", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: gpt-4o, id_aliases: [four]}]}]", "four", "https://api.openai.com/v1" + chat + " gpt-4o sk-1", ""},
		{"model of its own", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: ft-mine}]}]", "ft-mine", "https://api.openai.com/v1" + chat + " ft-mine sk-1", ""},
		{"the rest stays", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: ft-mine}]}]", "gpt-4o", "https://api.openai.com/v1" + chat + " gpt-4o sk-1", ""},
		{"catalog's alias of a model", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: gpt-5.1}]}]", "gpt-5.1-2025-11-13", "https://api.openai.com/v1" + chat + " gpt-5.1 sk-1", ""},
		{"alias listed as a model", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: gpt-5.1}, {id: gpt-5.1-2025-11-13}]}]", "gpt-5.1-2025-11-13", "https://api.openai.com/v1" + chat + " gpt-5.1-2025-11-13 sk-1", ""},
		{"alias listed before its model", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: gpt-5.1-2025-11-13}, {id: gpt-5.1}]}]", "gpt-5.1", "https://api.openai.com/v1" + chat + " gpt-5.1 sk-1", ""},
		{"alias shadows a model", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: ft-mine, id_aliases: [gpt-4o]}]}]", "gpt-4o", "https://api.openai.com/v1" + chat + " ft-mine sk-1", ""},

		{"author under another name", "providers: [{id: gemini, api_keys: [{value: sk-1}]}]\nmodel_selection: {strategy: [\"ai.models.filter(m, m.author_id == 'google')\"]}", "gemini-2.5-pro",
			"https://generativelanguage.googleapis.com/v1beta/openai" + chat + " gemini-2.5-pro sk-1", ""},
		{"author by all its names", "providers: [{id: gemini, api_keys: [{value: sk-1}]}]\nmodel_selection: {strategy: [\"ai.models.onlyAuthors('gemini')\"]}", "gemini-2.5-pro",
			"https://generativelanguage.googleapis.com/v1beta/openai" + chat + " gemini-2.5-pro sk-1", ""},
		{"its own id as an alias", "providers: [{id: gemini, id_aliases: [google], api_keys: [{value: sk-1}]}]\nmodel_selection: {strategy: [\"ai.models.filter(m, m.provider_id_aliases == ['google'])\"]}", "gemini-2.5-pro",
			"https://generativelanguage.googleapis.com/v1beta/openai" + chat + " gemini-2.5-pro sk-1", ""},
		{"prices that are not given stay", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: gpt-4o, pricing: {tools: {web_search: 0.01}}}]}]\nmodel_selection: {strategy: ['ai.models.filter(m, m.pricing.input > 0.0 && m.pricing.tools.web_search > 0.0)']}", "gpt-4o",
			"https://api.openai.com/v1" + chat + " gpt-4o sk-1", ""},
		{"disabled provider", "providers: [{id: openai, disabled: true, api_keys: [{value: sk-1}]}]", "gpt-4o", "", aigateway.CodeNoMatchingModels},
		{"disabled model", "providers: [{id: openai, api_keys: [{value: sk-1}], models: [{id: gpt-4o, disabled: true}]}]", "openai:gpt-4o", "", aigateway.CodeNoMatchingModels},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(tt.doc))
			require.NoError(t, err)
			sent := ""
			cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				var body struct{ Model string }
				assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
				sent = r.URL.String() + " " + body.Model + " " + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				w := httptest.NewRecorder()
				gatewaytest.Chat("hello")(w, r)
				return w.Result(), nil
			})
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"`+tt.model+`"}`)))
			assert.Equal(t, tt.want, sent, w.Body)
			if tt.code != "" {
				assert.Contains(t, w.Body.String(), `"code":"`+tt.code+`"`)
			}
		})
	}
}

// TestOverlayFacts distinguishes known, custom and merged models in strategies.
func TestOverlayFacts(t *testing.T) {
	const doc = `
providers:
  - id: openai
    api_keys: [{value: sk-1}]
    metadata: {tier: gold}
    models: [{id: gpt-4o, description: ours, max_output_tokens: 7, metadata: {own: 1}}, {id: ft-mine, author_id: us}]
  - {id: mine, base_url: "https://mine.internal", models: [{id: llama3}, {id: gpt-4o}]}
`
	for strategy, want := range map[string][]string{
		"ai.models.filter(m, m.custom)": {"openai:ft-mine", "mine:llama3", "mine:gpt-4o"},
		"ai.models.filter(m, m.known && m.id.startsWith('gpt-4o') && m.description == 'ours')":                                                 {"openai:gpt-4o"},
		"ai.models.filter(m, m.id == 'gpt-4o' && m.max_context_window == 128000 && m.max_output_tokens == 7 && 'text' in m.output_modalities)": {"openai:gpt-4o"},
		"ai.models.filter(m, m.metadata.own == 1 && m.metadata.tier == 'gold' && m.pricing.input == 2.5)":                                      {"openai:gpt-4o"},
		"ai.models.onlyAuthors('us')":                                                    {"openai:ft-mine"},
		"ai.models.filter(m, m.author_id == 'mine')":                                     {"mine:llama3", "mine:gpt-4o"},
		"ai.providers.get('mine').custom ? ai.models.onlyProviders('mine') : ai.models":  {"mine:llama3", "mine:gpt-4o"},
		"ai.providers.get('openai').known ? ai.models.only('ft-mine') : ai.models":       {"openai:ft-mine"},
		"ai.models.filter(m, m.id == 'gpt-4.1' && m.metadata.tier == 'gold' && m.known)": {"openai:gpt-4.1"},
	} {
		cfg, err := aigateway.ParseConfig([]byte(doc))
		require.NoError(t, err)
		cfg.ModelSelection.Strategy = []string{strategy}
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		res, err := g.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{}`)))
		assert.NoError(t, err, strategy)
		assert.Equal(t, want, testbed.Tried(res), strategy)
	}
}

// TestOverlayTakesNames: a name that the config gives to another provider has
// the same meaning in strategies.
func TestOverlayTakesNames(t *testing.T) {
	for strategy, want := range map[string][]string{
		"ai.models.onlyProviders('taken')":                            {"mine:m"},
		"ai.models.onlyProviders('left')":                             {"listed:m"},
		"ai.models.filter(m, 'taken' in m.provider_id_aliases)":       {"mine:m"},
		"ai.models.onlyProviders(ai.providers.get('taken').id)":       {"mine:m"},
		"ai.models.filter(m, m.known && m.provider_id == 'listed')":   {"listed:m"},
		"ai.models.filter(m, 'TAKEN' in ai.providers[1].id_aliases)":  nil,
		"ai.models.filter(m, ['left'] == ai.providers[1].id_aliases)": {"mine:m", "listed:m"},
	} {
		models := []aigateway.Model{{ID: "m"}}
		g, err := aigateway.New(aigateway.Config{
			Registry: aigateway.StaticRegistry(aigateway.Provider{ID: "listed", IDAliases: []string{"TAKEN", "left"}, BaseURL: "https://listed.internal",
				APIKeys: []aigateway.APIKey{{Value: "sk-1"}}, Models: models}),
			Providers:      []aigateway.Provider{{ID: "mine", IDAliases: []string{"taken"}, BaseURL: "https://mine.internal", Models: models}},
			ModelSelection: aigateway.ModelSelection{Strategy: []string{strategy}},
		})
		require.NoError(t, err)
		res, err := g.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{}`)))
		assert.Equal(t, want == nil, err != nil, strategy)
		assert.Equal(t, want, testbed.Tried(res), strategy)
	}
}

// newConfigFaults compares a config error with the wanted problems, in order.
func newConfigFaults(t *testing.T, err error, wants []string) {
	t.Helper()
	require.Error(t, err)
	assert.True(t, strings.HasPrefix(err.Error(), "aigateway: "), "where it leaves the package: %v", err)
	assert.NotContains(t, err.Error(), "hunter2", "a secret")
	var paths, wantPaths []string
	faults := configErrors(t, err)
	for _, f := range faults {
		paths = append(paths, f.Path)
	}
	for _, want := range wants {
		path, piece, ok := strings.Cut(want, ": ")
		require.True(t, ok)
		wantPaths = append(wantPaths, path)
		assert.True(t, slices.ContainsFunc(faults, func(f *aigateway.ConfigError) bool {
			return f.Path == path && strings.Contains(f.Error(), piece)
		}), "no %q in: %v", want, err)
	}
	assert.ElementsMatch(t, wantPaths, paths, "%v", err)
}

// New warns of fallbacks that look misspelt or are never tried, and of budgets that
// some models spend nothing of.
func TestWarningsOfFallbacksAndBudgets(t *testing.T) {
	t.Parallel()
	config := func(fallback, pricing, head string) string {
		return head + `
providers:
  - {id: one, base_url: "https://one.example", models: [{id: llama3, pricing: {input: 1, output: 1}, fallbacks: ["` + fallback + `"]}]}
  - {id: two, base_url: "https://two.example", models: [{id: backup, id_aliases: [spare]` + pricing + `}]}
  - {id: three, base_url: "https://three.example"}
`
	}
	const free, budget = ", pricing: {input: 0, output: 0}", "caller: conn.client_ip\nclient_limits: [{requests_per_minute: 5}, {usd_per_day: 5}]"
	for _, row := range []struct {
		name, doc string
		path      string // without one nothing is said
		says      string
	}{
		{"a listed model", config("two:backup", "", ""), "", ""},
		{"an alias", config("two:spare", "", ""), "", ""},
		{"a model of its own", config("two:mistral", "", ""), "", ""},
		{"a provider without a list", config("three:backup", "", ""), "", ""},
		{"misspelt", config("two:bakup", "", ""), "providers[0].models[0].fallbacks[0]", `did you mean "two:backup"?`},
		{"never tried", config("two:mistral", "", "only_allow_configured_models: true"), "providers[0].models[0].fallbacks[0]", "is never tried"},
		{"all prices known", config("two:backup", free, budget), "", ""},
		{"a price unknown", config("two:backup", "", budget), "client_limits[1]", `the price of "two:backup" is unknown`},
		{"no budget", config("two:backup", "", "caller: conn.client_ip\nclient_limits: [{requests_per_minute: 5}]"), "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := selectionGateway(t, row.doc)
			warnings := g.Warnings()
			if row.path == "" {
				assert.Empty(t, warnings)
				return
			}
			require.Len(t, warnings, 1)
			assert.Equal(t, row.path, warnings[0].Path)
			assert.Contains(t, warnings[0].Reason, row.says)
			res, err := testbed.Explain(g, "/v1/chat/completions", `{"model":"llama3"}`)
			require.NoError(t, err)
			assert.Equal(t, row.says == "is never tried", len(testbed.Tried(res)) == 1, "%v", testbed.Tried(res))
		})
	}
}
