package suite_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// A client that invents models, at a provider that takes any, fills the memory of how
// models stream. The models of others are learnt all the same: their usage comes from the
// provider, and not from an estimate.
func TestAttackInventedModels(t *testing.T) {
	const flood = 1<<14 + 100
	sent := ""
	g, err := aigateway.New(aigateway.Config{
		Registry: aigateway.NoRegistry(),
		Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			sent = string(body)
			w := httptest.NewRecorder()
			gatewaytest.Stream(gatewaytest.ChatEvents(3)...)(w, r)
			return w.Result(), err
		}),
		Providers: []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "m"}}}},
	})
	require.NoError(t, err)
	stream := func(model string) {
		body := fmt.Sprintf(`{"model":%q,"stream":true,"messages":[]}`, model)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
		assert.Equal(t, http.StatusOK, w.Code)
	}
	for n := range flood {
		stream(fmt.Sprint("p:invented-", n))
	}
	stream("m")
	assert.NotContains(t, sent, "include_usage", "the first stream shows whether usage comes unasked")
	stream("m")
	assert.Contains(t, sent, "include_usage")
}
