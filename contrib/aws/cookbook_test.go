package gatewayaws_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	gatewayaws "github.com/aigateway-go/aigateway/contrib/aws"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// TestCookbook sends a request through the recipe "Bedrock", to a stand-in.
func TestCookbook(t *testing.T) {
	cfg, err := aigateway.ParseConfig([]byte(gatewaytest.Recipe(t, "../../docs/cookbook.md", "Bedrock")))
	require.NoError(t, err)

	asked := 0
	bedrock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := verifyIn(t, r, "bedrock", "us-west-2")
		assert.Equal(t, "/openai/v1/chat/completions", r.URL.Path)
		assert.JSONEq(t, `{"model":"openai.gpt-oss-20b-1:0"}`, string(body))
		if asked++; asked == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}`))
	}))
	defer bedrock.Close()
	at, err := url.Parse(cfg.Providers[0].BaseURL)
	require.NoError(t, err)
	assert.Equal(t, "bedrock-runtime.us-west-2.amazonaws.com", at.Host)
	cfg.Providers[0].BaseURL, cfg.URLPolicy = bedrock.URL+at.Path, aigateway.LoopbackURLPolicy()
	cfg.MaxRetries = 1 // so that one request is two attempts

	account := aws.Config{Credentials: new(credentials)}
	mount := func() {
		signer, err := gatewayaws.NewSigner(gatewayaws.SignerOptions{Credentials: account.Credentials, Region: "us-west-2"})
		if err != nil {
			return // say it
		}
		cfg.ProviderTransport = signer.ProviderTransport("bedrock")
	}
	mount()
	require.NotNil(t, cfg.ProviderTransport)
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"gpt-oss"}`)))
	assert.Equal(t, http.StatusOK, w.Code, w.Body)
	assert.Equal(t, 2, asked, "each attempt is signed")
}
