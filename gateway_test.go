package aigateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestExplain asks for the plan, and then has it tried. Everything fails, so the
// whole order shows.
func TestExplain(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusInternalServerError, "", "down"))
	var resolved atomic.Int64
	var done *aigateway.Result
	cfg := aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "a", BaseURL: "http://a.internal", Models: []aigateway.Model{{ID: "m"}, {ID: "n"}},
				APIKeys: []aigateway.APIKey{{Value: "${secrets.get('a', 'one')}"}, {Value: "${secrets.get('a', 'two')}"}}},
			{ID: "b", BaseURL: "http://b.internal", Models: []aigateway.Model{{ID: "m"}}},
		},
		ModelSelection:    aigateway.ModelSelection{Strategy: []string{"ai.models.sortBy(m, m.provider_id == 'a' ? 1 : 0)"}},
		APIKeySelection:   aigateway.APIKeySelection{Strategy: []string{"[ai.keys[1], ai.keys[0]]"}},
		InternalEndpoints: map[string]string{"a.internal": up.URL, "b.internal": up.URL},
		Secrets: aigateway.SecretResolverFunc(func(_ context.Context, _, name string) (string, error) {
			resolved.Add(1)
			return "sk-secret-" + name, nil
		}),
		Hooks: &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { done = res }},
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	for _, body := range []string{`{"model":"m"}`, `{"models":["a:n","nope","openai:gpt-4o","m"]}`, `{}`, ` {"messages":[ ], "model":"M" } `} {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
		sent, before := up.Count(), resolved.Load()
		done = nil
		res, err := g.Explain(r)
		require.NoError(t, err)
		assert.Equal(t, aigateway.StatusDryRun, res.Status)
		assert.Nil(t, res.Success)
		assert.Equal(t, sent, up.Count(), "nothing is sent")
		assert.Equal(t, before, resolved.Load(), "no secret is resolved")
		assert.Nil(t, done, "no hook is called")

		// The same request can now be served.
		g.ServeHTTP(httptest.NewRecorder(), r)
		require.NotNil(t, done, "the body was put back")
		assert.Equal(t, testbed.Tried(res), testbed.Tried(done))
		assert.Equal(t, res.ModelSelection, done.ModelSelection)
		assert.Equal(t, res.Client, done.Client)
		assert.Equal(t, selectionKeyIDs(res), selectionKeyIDs(done))
		var routes []string
		for _, m := range res.ModelsTried {
			assert.Empty(t, m.RequestsMade)
			for range max(1, len(m.APIKeySelection)) {
				routes = append(routes, m.Provider+" "+m.Model)
			}
		}
		var tried []string
		for _, m := range done.ModelsTried {
			for _, a := range m.RequestsMade {
				tried = append(tried, a.Provider+" "+a.Model)
			}
		}
		assert.Equal(t, routes, tried)
	}

	t.Run("what is not served", func(t *testing.T) {
		for _, tt := range []struct {
			method, path, body string
			code               aigateway.Code
		}{
			{http.MethodPost, "/v1/nothing", `{}`, aigateway.CodeNotFound},
			{http.MethodGet, "/v1/chat/completions", ``, aigateway.CodeMethodNotAllowed},
			{http.MethodPost, "/v1/chat/completions", `{"model":1}`, aigateway.CodeInvalidRequestBody},
			{http.MethodPost, "/v1/chat/completions", `{"model":"nope"}`, aigateway.CodeNoMatchingModels},
		} {
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			_, err := g.Explain(r)
			assert.Equal(t, tt.code, testbed.Code(err))
			body, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			assert.Equal(t, tt.body, string(body))
		}
	})
	t.Run("rejections", func(t *testing.T) {
		res, err := testbed.Explain(g, "/v1/chat/completions", `{"models":["nope","openai:gpt-4o"]}`)
		require.Error(t, err)
		require.Len(t, res.Client.RejectedModels, 2)
		assert.Equal(t, "no_matching_models", res.Client.RejectedModels[0].Reason)
		assert.Equal(t, aigateway.RejectedModel{Model: "openai:gpt-4o", Provider: "openai", Reason: "no_api_key",
			Message: res.Client.RejectedModels[1].Message}, res.Client.RejectedModels[1])
	})
}

// TestCheck reports each unresolved secret, at each of its places.
func TestCheck(t *testing.T) {
	cfg := aigateway.Config{
		Headers:     map[string]aigateway.Template{"X-Auth": "Token ${secrets.get('shared', 'token')}", "X-None": "literal", "X-Id": "${req.id}"},
		QueryParams: map[string]aigateway.Template{"key": "${secrets.get('shared', 'token')}"},
		Body:        map[string]any{"user": map[string]any{"ids": []any{"${secrets.get('shared', 'user')}"}}},
		Providers: []aigateway.Provider{
			{ID: "openai", APIKeys: []aigateway.APIKey{{Value: "sk-literal-key"}, {Value: "${secrets.get('openai', 'api-key')}"}}},
			{ID: "b", BaseURL: "https://b.internal", Headers: map[string]aigateway.Template{"X-B": "${secrets.get('b', 'header')}"},
				APIKeys: []aigateway.APIKey{{Value: "${secrets.get('b', req.headers['x-key'][0])}"}}},
		},
	}
	for _, tt := range []struct {
		name    string
		secrets aigateway.SecretResolver
		paths   []string
	}{
		{"none", aigateway.MapSecrets(nil), []string{"body.user.ids[0]", "headers.X-Auth", "query_params.key", "providers[0].api_keys[1].value", "providers[1].headers.X-B"}},
		{"some", aigateway.MapSecrets(map[string]map[string]string{"shared": {"token": "t-hunter2"}, "b": {"header": "h-hunter2"}}), []string{"body.user.ids[0]", "providers[0].api_keys[1].value"}},
		{"all", aigateway.MapSecrets(map[string]map[string]string{"shared": {"token": "t", "user": "u"}, "b": {"header": "h"}, "openai": {"api-key": "k"}}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg.Secrets = tt.secrets
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			err = g.Check(t.Context())
			if tt.paths == nil {
				require.NoError(t, err)
				return
			}
			var paths []string
			for _, f := range configErrors(t, err) {
				paths = append(paths, f.Path)
				assert.Contains(t, f.Reason, "secret")
			}
			assert.ElementsMatch(t, tt.paths, paths)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
	t.Run("context", func(t *testing.T) {
		cause := errors.New("the store is closed")
		cfg.Secrets = aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return "", cause })
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		assert.ErrorContains(t, g.Check(t.Context()), "the store is closed")
	})
}

// TestReload lets a running request finish on its old config, with its failover.
// New requests use the new one.
func TestReload(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	first := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		gatewaytest.Error(http.StatusInternalServerError, "", "down")(w, r)
	})
	second := gatewaytest.NewUpstream(t, gatewaytest.Chat("old"))
	fresh := gatewaytest.NewUpstream(t, gatewaytest.Chat("new"))
	config := func(a, b string) aigateway.Config {
		return aigateway.Config{
			Registry: aigateway.NoRegistry(),
			Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal", Models: []aigateway.Model{{ID: "m"}}},
				{ID: "b", BaseURL: "http://b.internal", Models: []aigateway.Model{{ID: "m"}}}},
			InternalEndpoints: map[string]string{"a.internal": a, "b.internal": b},
		}
	}
	g, err := aigateway.New(config(first.URL, second.URL))
	require.NoError(t, err)
	server := httptest.NewServer(g)
	defer server.Close()
	ask := func() string {
		_, body := gatewayDo(t, gatewayRequest(t, server.URL+"/v1/chat/completions", `{"model":"m"}`))
		return body
	}
	old := make(chan string)
	go func() { old <- ask() }()
	<-arrived
	require.NoError(t, g.Reload(config(fresh.URL, fresh.URL)))
	assert.Contains(t, ask(), "new")
	close(release)
	assert.Contains(t, <-old, "old")
	assert.Equal(t, 1, second.Count())

	bad := config(second.URL, second.URL)
	bad.Providers[0].BaseURL, bad.MaxAttempts = "http://a.example.com", 1000
	newConfigFaults(t, g.Reload(bad), []string{"max_attempts: 100", "providers[0].base_url: https"})
	assert.Contains(t, ask(), "new", "a bad config changes nothing")
	require.NoError(t, g.Reload(config(second.URL, second.URL)))
	assert.Contains(t, ask(), "old")
}

// TestReloadIsAtomic has no request see parts of two configs.
func TestReloadIsAtomic(t *testing.T) {
	var mixed atomic.Int64
	up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Model, V string }
		if json.NewDecoder(r.Body).Decode(&body) != nil || r.URL.Path != "/"+body.V+"/chat/completions" ||
			r.Header.Get("X-V") != body.V || r.Header.Get("Authorization") != "Bearer sk-"+body.V || body.Model != "model-"+body.V {
			mixed.Add(1)
		}
		gatewaytest.Chat(body.V)(w, r)
	})
	config := func(v string) aigateway.Config {
		return aigateway.Config{
			Registry:          aigateway.NoRegistry(),
			Headers:           map[string]aigateway.Template{"X-V": aigateway.Template(v)},
			Body:              map[string]any{"v": v},
			InternalEndpoints: map[string]string{"a.internal": up.URL},
			Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal/" + v, APIKeys: []aigateway.APIKey{{Value: aigateway.Template("sk-" + v)}},
				Models: []aigateway.Model{{ID: "model-" + v, IDAliases: []string{"m"}}}}},
		}
	}
	g, err := aigateway.New(config("v0"))
	require.NoError(t, err)
	var senders, running sync.WaitGroup
	var served, failed atomic.Int64
	stop := make(chan struct{})
	running.Add(64)
	for range 64 {
		senders.Go(func() {
			for first := true; ; first = false {
				w := httptest.NewRecorder()
				g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
				if served.Add(1); w.Code != http.StatusOK {
					failed.Add(1)
				}
				if first {
					running.Done()
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	var reloaders sync.WaitGroup
	for n := range 2 {
		reloaders.Go(func() {
			for i := range 10 {
				assert.NoError(t, g.Reload(config(fmt.Sprintf("v%d-%d", n, i))))
				assert.Error(t, g.Reload(aigateway.Config{MaxRetries: -1}))
			}
		})
	}
	reloaders.Wait()
	running.Wait()
	close(stop)
	senders.Wait()
	assert.Zero(t, mixed.Load())
	assert.Zero(t, failed.Load(), "of %d", served.Load())
}

// TestConcurrentRequests has each answer come from its own request.
func TestConcurrentRequests(t *testing.T) {
	up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		var body struct{ Model, Say string }
		switch err := json.Unmarshal(data, &body); {
		case err != nil:
			gatewaytest.Error(http.StatusBadRequest, "", err.Error())(w, r)
		case body.Model == "first":
			gatewaytest.Error(http.StatusBadGateway, "", "down")(w, r)
		default:
			gatewaytest.Chat(body.Model+" says "+body.Say+" "+r.Header.Get("X-Request-Id"))(w, r)
		}
	})
	g, err := aigateway.New(aigateway.Config{
		Registry: aigateway.NoRegistry(), InternalEndpoints: map[string]string{"a.internal": up.URL},
		Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal"}},
	})
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for j := range 4 {
				say := fmt.Sprintf("%d-%d-%s", i, j, strings.Repeat("x", i*97))
				r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions",
					strings.NewReader(fmt.Sprintf(`{"say":%q,"models":["first","second-%d"]}`, say, i)))
				r.Header.Set("X-Request-Id", fmt.Sprintf("r%d-%d", i, j))
				w := httptest.NewRecorder()
				g.ServeHTTP(w, r)
				assert.Contains(t, w.Body.String(), fmt.Sprintf(`"second-%d says %s r%d-%d"`, i, say, i, j))
			}
		})
	}
	all.Wait()
}

// TestGatewaysAreApart has two gateways of one Config share nothing.
func TestGatewaysAreApart(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Chat("hello"))
	cfg := aigateway.Config{
		Registry: aigateway.NoRegistry(), InternalEndpoints: map[string]string{"a.internal": up.URL},
		Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal", Models: []aigateway.Model{{ID: "m"}}}},
	}
	one, err := aigateway.New(cfg)
	require.NoError(t, err)
	two, err := aigateway.New(cfg)
	require.NoError(t, err)
	require.NoError(t, one.Reload(aigateway.Config{Registry: aigateway.NoRegistry()}))
	for g, want := range map[*aigateway.Gateway]int{one: http.StatusUnprocessableEntity, two: http.StatusOK} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
		assert.Equal(t, want, w.Code)
	}
}

// TestNoGoroutineIsLeft relies on its bubble: a goroutine that is left fails it.
func TestNoGoroutineIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := gatewaytest.NewNetwork()
		network.Serve(t, "silent.internal", gatewaytest.Scripted(gatewaytest.Silence))
		network.Serve(t, "stream.internal", gatewaytest.Scripted(gatewaytest.Stream(gatewaytest.ChatDelta("a"), gatewaytest.ChatStop)))
		g, err := aigateway.New(aigateway.Config{
			Registry:          aigateway.NoRegistry(),
			Providers:         []aigateway.Provider{{ID: "silent", BaseURL: "http://silent.internal"}, {ID: "stream", BaseURL: "http://stream.internal"}},
			PerRequestTimeout: "1s",
			Transport:         network.Transport(t),
		})
		require.NoError(t, err)
		for _, body := range []string{`{"model":"silent:m"}`, `{"models":["silent:m","stream:m"],"stream":true}`, `{"model":"nope"}`} {
			g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"silent:m"}`)))
	})
}

// TestLogger has one line a request, with its fields and without its secrets.
func TestLogger(t *testing.T) {
	up := gatewaytest.NewUpstream(t,
		gatewaytest.Error(http.StatusTooManyRequests, "", "key sk-hunter2-config is over its limit"), gatewaytest.Chat("hello"),
		gatewaytest.Error(http.StatusBadGateway, "", "no sk-hunter2-config"))
	var lines bytes.Buffer
	cfg := gatewayLeaky(up.URL)
	cfg.Logger = slog.New(slog.NewJSONHandler(&lines, nil))
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	for i, tt := range []struct {
		body string
		want map[string]any
	}{
		{`{"models":["a:m","a:n"]}`, map[string]any{"level": "INFO", "aigateway.attempts": 2.0, "gen_ai.operation.name": "chat", "gen_ai.provider.name": "a",
			"gen_ai.request.model": "n", "aigateway.upstream.status_code": 200.0, "gen_ai.usage.input_tokens": 9.0, "gen_ai.usage.output_tokens": 3.0}},
		{`{"model":"a:m"}`, map[string]any{"level": "WARN", "aigateway.attempts": 1.0, "aigateway.request.model": "a:m", "gen_ai.provider.name": "a",
			"gen_ai.request.model": "m", "aigateway.upstream.status_code": 502.0, "http.response.status_code": 502.0, "error.type": "upstream_error"}},
		{`{"model":"nope"}`, map[string]any{"level": "WARN", "aigateway.attempts": 0.0, "aigateway.request.model": "nope", "gen_ai.request.model": nil, "gen_ai.provider.name": nil, "http.response.status_code": 422.0,
			"error.type": "no_matching_models"}},
	} {
		lines.Reset()
		g.ServeHTTP(httptest.NewRecorder(), gatewayLeakyRequest(fmt.Sprintf("r%d", i), tt.body))
		assert.Equal(t, 1, strings.Count(lines.String(), "\n"), "one line a request")
		assert.NotContains(t, lines.String(), "hunter2")
		var line map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		tt.want["msg"], tt.want["aigateway.surface"], tt.want["request_id"] = "request", "chat-completions", fmt.Sprintf("r%d", i)
		for name, want := range tt.want {
			assert.Equal(t, want, line[name], name)
		}
		assert.Positive(t, line["duration_ms"])
		assert.Equal(t, tt.want["error.type"] != nil, line["error.message"] != nil)
	}
}

// gatewayLeaky is a config with a secret in every possible place, each with the
// word hunter2.
func gatewayLeaky(upstream string) aigateway.Config {
	return aigateway.Config{
		Registry:          aigateway.NoRegistry(),
		InternalEndpoints: map[string]string{"a.internal": upstream},
		Headers:           map[string]aigateway.Template{"X-Tenant": "${secrets.get('v', 'header')}"},
		QueryParams:       map[string]aigateway.Template{"sig": "${secrets.get('v', 'query')}"},
		Body:              map[string]any{"user": "${secrets.get('v', 'body')}"},
		Providers:         []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal", APIKeys: []aigateway.APIKey{{Value: "sk-hunter2-config"}}, Models: []aigateway.Model{{ID: "m"}}}},
		Secrets:           aigateway.MapSecrets(map[string]map[string]string{"v": {"header": "hunter2-header", "query": "hunter2-query", "body": "hunter2-body"}}),
	}
}

// gatewayLeakyRequest is a request with credentials of the client's own.
func gatewayLeakyRequest(id, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions?key=hunter2-param", strings.NewReader(body))
	r.Header.Set("X-Request-Id", id)
	r.Header.Set("Authorization", "Bearer sk-hunter2-bearer")
	r.Header.Set("X-Api-Key", "sk-hunter2-client")
	r.Header.Set("Cookie", "session=hunter2-cookie")
	r.Header.Set("X-Session-Token", "hunter2-token")
	return r
}

// gatewaytest.Silence answers nothing until the gateway leaves.

// gatewayRequest is a JSON request to send to a gateway.
func gatewayRequest(t testing.TB, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// gatewayDo sends a request and reads the answer.
func gatewayDo(t testing.TB, r *http.Request) (status int, body string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(data)
}

// Explain gives a reason for every model that is not tried.
func TestExplainReasons(t *testing.T) {
	models := func(ids ...string) []aigateway.Model {
		var list []aigateway.Model
		for _, id := range ids {
			list = append(list, aigateway.Model{ID: id})
		}
		return list
	}
	off := aigateway.Model{ID: "off", Disabled: true}
	draws := aigateway.Model{ID: "draws", OutputModalities: []string{"image"}}
	cfg := aigateway.Config{
		Registry: aigateway.StaticRegistry(
			aigateway.Provider{ID: "vendor", BaseURL: "https://vendor.example.com", Models: models("keyless")},
		),
		Providers: []aigateway.Provider{
			{ID: "a", BaseURL: "https://a.internal", Models: append(models("one", "two"), off, draws)},
			{ID: "b", BaseURL: "https://b.internal", Models: models("one"), Disabled: true},
			{ID: "c", BaseURL: "https://c.internal", Models: models("claude"), SupportedAPISurfaces: []aigateway.APISurface{{Format: "anthropic"}}},
			{ID: "d", BaseURL: "https://d.internal", Models: models("embed"),
				SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai", Surface: "embeddings"}}},
		},
		ModelSelection: aigateway.ModelSelection{Strategy: []string{"ai.models.filter(m, m.id != 'two')"}},
	}
	for _, tt := range []struct {
		name, body string
		tried      []string
		want       map[string]string
	}{
		{"by name", `{"model":"one"}`, []string{"a:one"}, map[string]string{
			"a:two": "not_named", "a:off": "model_disabled", "a:draws": "not_named", "b:one": "provider_disabled",
			"c:claude": "format_not_supported", "d:embed": "surface_not_supported", "vendor:keyless": "no_api_key",
		}},
		{"left to the gateway", `{}`, []string{"a:one"}, map[string]string{
			"a:two": "not_chosen", "a:off": "model_disabled", "a:draws": "modality_not_supported", "b:one": "provider_disabled",
			"c:claude": "format_not_supported", "d:embed": "surface_not_supported", "vendor:keyless": "no_api_key",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			gateway, err := aigateway.New(cfg)
			require.NoError(t, err)
			res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(tt.body)))
			require.NoError(t, err)
			var tried []string
			for _, m := range res.ModelsTried {
				tried = append(tried, m.Provider+":"+m.Model)
			}
			assert.Equal(t, tt.tried, tried)
			got := map[string]string{}
			for _, m := range res.NotTried {
				got[m.Provider+":"+m.Model] = m.Reason
				assert.Contains(t, m.Message, m.Model)
			}
			assert.Equal(t, tt.want, got)
		})
	}

	cfg.ModelSelection = aigateway.ModelSelection{}
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/embeddings", strings.NewReader(`{"model":"embed"}`)))
	require.NoError(t, err)
	assert.Equal(t, "embed", res.ModelsTried[0].Model)
}
