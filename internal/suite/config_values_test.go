package suite_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// valuesSend sends a request through a gateway, and returns the upstream's
// request.
func valuesSend(t *testing.T, cfg aigateway.Config, model string) gatewaytest.Request {
	t.Helper()
	up := gatewaytest.NewUpstream(t, gatewaytest.Chat(""))
	cfg.InternalEndpoints = map[string]string{}
	for _, p := range cfg.Providers {
		cfg.InternalEndpoints[p.ID+".internal"] = up.URL
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"`+model+`"}`)))
	require.Equal(t, 200, w.Code, w.Body)
	return up.Last()
}

// A Go program may write values in types of its own. They have the same meaning
// as in a document.
func TestValuesOfGo(t *testing.T) {
	type level string
	at := aigateway.Provider{ID: "a", BaseURL: "http://a.internal", Models: []aigateway.Model{{ID: "m", Metadata: map[string]any{
		"limits": map[string]int{"rpm": 3}, "zones": []string{"eu"}, "level": level("gold"),
	}}}}
	t.Run("body", func(t *testing.T) {
		p := at
		p.Body = map[string]any{
			"list": []string{"${req.method}", "$${x}"}, "map": map[string]level{"k": "${req.method}"}, "literal": aigateway.Template("text"),
			"template": aigateway.Template("${req.method}"), "array": [2]int{1, 2}, "none": []string(nil), "bytes": []byte("hi"),
		}
		got := valuesSend(t, aigateway.Config{Providers: []aigateway.Provider{p}}, "m")
		assert.JSONEq(t, `{"model":"m","list":["POST","${x}"],"map":{"k":"POST"},"literal":"text","template":"POST","array":[1,2],"none":null,"bytes":"aGk="}`, string(got.Body))

		p.Body = map[string]any{"list": []string{"${req.nope}"}}
		_, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{p}})
		assert.ErrorContains(t, err, "providers[0].body.list[0]")
	})
	for _, predicate := range []string{
		"m.metadata.limits.rpm == 3", "m.getMetadata('limits.rpm') == 3", "m.getMetadata('zones')[0] == 'eu'", "m.metadata.level == 'gold'",
	} {
		t.Run(predicate, func(t *testing.T) {
			valuesSend(t, aigateway.Config{Providers: []aigateway.Provider{at}, ModelSelection: aigateway.ModelSelection{
				Strategy: []string{"ai.models.filter(m, " + predicate + ")"},
			}}, "m")
		})
	}
}

// An expression may be written on several lines, even if its value may not.
func TestTemplateOnSeveralLines(t *testing.T) {
	cfg, err := aigateway.ParseConfig([]byte(`
headers:
  X-A: |-
    ${req.method == 'GET'
      ? 'b' : 'c'}
providers: [{id: a, base_url: "http://a.internal"}]`))
	require.NoError(t, err)
	assert.Equal(t, "c", valuesSend(t, cfg, "a:m").Header.Get("X-A"))
}

// The operator's own Authorization beats the key, if it has a value.
func TestOperatorsAuthorizationWithoutValue(t *testing.T) {
	cfg := aigateway.Config{Providers: []aigateway.Provider{{
		ID: "a", BaseURL: "http://a.internal", APIKeys: []aigateway.APIKey{{Value: "sk-key"}},
		Headers: map[string]aigateway.Template{"Authorization": "${req.headers['x-upstream-auth'][0]}"},
	}}}
	assert.Equal(t, "Bearer sk-key", valuesSend(t, cfg, "a:m").Header.Get("Authorization"))
}

// A missing secret in an unused branch of an expression does not fail another
// expression.
func TestSecretThatIsNotNeeded(t *testing.T) {
	cfg := aigateway.Config{Secrets: aigateway.MapSecrets(nil), Providers: []aigateway.Provider{{
		ID: "a", BaseURL: "http://a.internal", Headers: map[string]aigateway.Template{
			"X-A": "${secrets.get('no', 'no') == 'a' || true}", "X-B": "${req.headers['x-not-sent'][0]}",
		},
	}}}
	got := valuesSend(t, cfg, "a:m")
	assert.Equal(t, "true", got.Header.Get("X-A"))
	assert.NotContains(t, got.Header, "X-B")
}

// Azure wants its keys in a header of their own, unless it is told otherwise.
func TestKeyHeaderOfAzure(t *testing.T) {
	for _, tt := range []struct {
		host string
		auth aigateway.Auth
		want string
	}{
		{"mine.openai.azure.com", aigateway.Auth{}, "Api-Key: sk"},
		{"mine.services.ai.azure.com", aigateway.Auth{}, "Api-Key: sk"},
		{"mine.openai.azure.com", aigateway.Auth{Scheme: "Bearer"}, "Authorization: Bearer sk"},
		{"openai.azure.com.example.com", aigateway.Auth{}, "Authorization: Bearer sk"},
	} {
		var got string
		g, err := aigateway.New(aigateway.Config{
			Providers: []aigateway.Provider{{ID: "a", BaseURL: "https://" + tt.host + "/openai/v1", Auth: tt.auth, APIKeys: []aigateway.APIKey{{Value: "sk"}}}},
			Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				for _, name := range []string{"Authorization", "Api-Key"} {
					if v := r.Header.Get(name); v != "" {
						got += name + ": " + v
					}
				}
				w := httptest.NewRecorder()
				gatewaytest.Chat("")(w, r)
				return w.Result(), nil
			}),
		})
		require.NoError(t, err)
		g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"a:m"}`)))
		assert.Equal(t, tt.want, got, tt.host)
	}
}

// The models and providers of a registry must keep the rules of the config.
func TestRegistryFaults(t *testing.T) {
	at := func(id string, aliases ...string) aigateway.Provider {
		return aigateway.Provider{ID: id, IDAliases: aliases, BaseURL: "https://" + id + ".example.com"}
	}
	for _, tt := range []struct {
		listed []aigateway.Provider
		want   string
	}{
		{[]aigateway.Provider{at("r"), at("R")}, `registry["R"].id: "R": is listed twice`},
		{[]aigateway.Provider{{ID: "r"}}, `registry["r"].base_url: is missing: the registry must say where the provider is`},
	} {
		_, err := aigateway.New(aigateway.Config{Registry: aigateway.StaticRegistry(tt.listed...)})
		assert.ErrorContains(t, err, tt.want)
	}

	_, err := aigateway.New(aigateway.Config{
		Registry: aigateway.ProviderRegistryFunc(func(context.Context) ([]aigateway.Provider, error) { return nil, errors.New("down") }),
		Headers:  map[string]aigateway.Template{"bad name": "x"}, Providers: []aigateway.Provider{{ID: "a b", BaseURL: "ftp://x"}, {ID: "openai"}},
	})
	for _, want := range []string{"Registry: cannot list the providers: down", `headers["bad name"]`, "providers[0].id", "providers[0].base_url"} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "providers[1]", "the registry may well have known it")
}

// A provider of the config overlays the built-in provider of its id, before one
// of its alias: its key is only for that provider.
func TestOverlayByIDBeforeAlias(t *testing.T) {
	var hosts []string
	g, err := aigateway.New(aigateway.Config{
		Registry: aigateway.StaticRegistry(
			aigateway.Provider{ID: "r", IDAliases: []string{"x"}, BaseURL: "https://r.example.com"},
			aigateway.Provider{ID: "x", BaseURL: "https://x.example.com"}),
		Providers: []aigateway.Provider{{ID: "x", APIKeys: []aigateway.APIKey{{Value: "sk-for-x"}}}},
		Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			hosts = append(hosts, r.URL.Host+" "+r.Header.Get("Authorization"))
			w := httptest.NewRecorder()
			gatewaytest.Chat("")(w, r)
			return w.Result(), nil
		}),
	})
	require.NoError(t, err)
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"x:m"}`)))
	assert.Equal(t, []string{"x.example.com Bearer sk-for-x"}, hosts)
}

// A header of the registry's gives way to the config's, in whatever letter case.
func TestOverlayOfHeaders(t *testing.T) {
	got := valuesSend(t, aigateway.Config{
		Registry:  aigateway.StaticRegistry(aigateway.Provider{ID: "a", BaseURL: "http://a.internal", Headers: map[string]aigateway.Template{"X-Team": "base", "X-Other": "base"}}),
		Providers: []aigateway.Provider{{ID: "a", Headers: map[string]aigateway.Template{"x-team": "mine"}}},
	}, "a:m")
	assert.Equal(t, []string{"mine"}, got.Header["X-Team"])
	assert.Equal(t, []string{"base"}, got.Header["X-Other"])
}

// A name that the config takes for an alias means the config's provider, in
// strategies as in requests.
func TestShadowedProviderInStrategies(t *testing.T) {
	at := func(id string, aliases ...string) aigateway.Provider {
		return aigateway.Provider{ID: id, IDAliases: aliases, BaseURL: "https://" + id + ".internal", Models: []aigateway.Model{{ID: "m"}}}
	}
	for strategy, want := range map[string]string{
		"ai.models.onlyProviders('r')": "[p:m]", "ai.models.ignoreProviders('r')": "[r:m]", "ai.models.get('r', 'm')": "[p:m]",
		"ai.models.filter(m, m.provider_id == 'r')": "[r:m]", "[ai.providers.get('r').getModel('m')]": "[p:m]",
	} {
		g, err := aigateway.New(aigateway.Config{
			Registry: aigateway.StaticRegistry(at("r")), Providers: []aigateway.Provider{at("p", "r")},
			ModelSelection: aigateway.ModelSelection{Strategy: []string{strategy}},
		})
		require.NoError(t, err)
		res, err := g.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)))
		require.NoError(t, err)
		assert.Equal(t, want, fmt.Sprint(res.ModelSelection[0].ModelsToTry), strategy)
	}
}
