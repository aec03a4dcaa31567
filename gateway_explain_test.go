package aigateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
