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

// A name of megabytes is refused at once: neither compared with all that are
// known, nor passed through, remembered or repeated at length.
func TestLongNames(t *testing.T) {
	gateway, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{
		{ID: "p", BaseURL: "https://p.internal", Models: []aigateway.Model{{ID: "m"}}},
	}})
	require.NoError(t, err)
	for _, prefix := range []string{"", "p:"} {
		body := `{"model":"` + prefix + strings.Repeat("m", 5<<20) + `"}`
		res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body)))
		var refused *aigateway.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, aigateway.CodeNoMatchingModels, refused.Code)
		assert.Less(t, len(refused.Message), 1000)
		assert.Less(t, len(res.Client.Model), 100)
		assert.Empty(t, res.ModelsTried)
	}
	// The longest that is taken.
	res, err := gateway.Explain(httptest.NewRequest(http.MethodPost, "/v1/chat/completions",
		strings.NewReader(`{"model":"p:`+strings.Repeat("m", 1022)+`"}`)))
	require.NoError(t, err)
	assert.Len(t, res.ModelsTried, 1)
}
