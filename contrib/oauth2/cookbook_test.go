package gatewayoauth2_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/aigateway-go/aigateway"
	gatewayoauth2 "github.com/aigateway-go/aigateway/contrib/oauth2"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// TestCookbook sends a request through the recipe "Vertex", to a stand-in.
func TestCookbook(t *testing.T) {
	cfg, err := aigateway.ParseConfig([]byte(gatewaytest.Recipe(t, "../../docs/cookbook.md", "Vertex")))
	require.NoError(t, err)

	vertex := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/v1/projects/my-project/locations/europe-west4/endpoints/openapi/chat/completions", r.URL.Path)
		assert.Equal(t, "Bearer token-1", r.Header.Get("Authorization"))
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}`))
	}))
	defer vertex.Close()
	at, err := url.Parse(cfg.Providers[0].BaseURL)
	require.NoError(t, err)
	assert.Equal(t, "europe-west4-aiplatform.googleapis.com", at.Host)
	cfg.Providers[0].BaseURL, cfg.URLPolicy = vertex.URL+at.Path, aigateway.LoopbackURLPolicy()

	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "token-1", Expiry: time.Now().Add(time.Hour)})
	found := &google.Credentials{TokenSource: source}
	cfg.Secrets = aigateway.ChainSecrets(gatewayoauth2.New("vertex", "token", found.TokenSource), aigateway.EnvSecrets())
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"gemini"}`)))
	assert.Equal(t, http.StatusOK, w.Code, w.Body)
}
