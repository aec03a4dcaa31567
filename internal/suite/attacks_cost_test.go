package suite_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// leastTime is the least time that the gateway took for a request, of a few.
func leastTime(t *testing.T, g http.Handler, path, body string) time.Duration {
	t.Helper()
	least := time.Hour
	for range 5 {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		begin := time.Now()
		g.ServeHTTP(w, r)
		least = min(least, time.Since(begin))
		assert.Equal(t, http.StatusOK, w.Code, w.Body)
	}
	return least
}

// Fields that must not go out cost what they weigh, and not the square of it: those beside
// an allowlist, and those that a lenient provider would take for a limit. Small requests
// with thousands of them cost seconds otherwise, with each attempt.
func TestAttackManyFields(t *testing.T) {
	const most = 9_990
	chat := func(field string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, field+":1,", i)
		}
		return `{` + b.String() + `"model":"m","max_tokens":5,"messages":[]}`
	}
	batch := func(field string, n int) string {
		params := strings.Replace(chat(field, n), "[]", `[{"role":"user","content":"hi"}]`, 1)
		return `{"requests":[{"custom_id":"a","params":` + params + `},{"custom_id":"b","params":` + params + `}]}`
	}
	gateway := func(speaks ...aigateway.APISurface) http.Handler {
		g, err := aigateway.New(aigateway.Config{
			Registry: aigateway.NoRegistry(), MaxOutputTokens: 100,
			Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				gatewaytest.Fitting("hi")(w, r)
				return w.Result(), nil
			}),
			Providers: []aigateway.Provider{{
				ID: "p", BaseURL: "http://p.internal", SupportedAPISurfaces: speaks,
				Models: []aigateway.Model{{ID: "m", UnsupportedParams: []aigateway.Param{{Name: "top_k"}}}},
			}},
		})
		assert.NoError(t, err)
		return g
	}
	listed := []aigateway.Param{{Name: "messages"}, {Name: "max_tokens"}}
	strict := gateway(aigateway.APISurface{Format: "openai", SupportedParams: listed}, aigateway.APISurface{Format: "anthropic", SupportedParams: listed})
	lenient := gateway(aigateway.APISurface{Format: "openai"}, aigateway.APISurface{Format: "anthropic"})
	for _, c := range []struct {
		name    string
		gateway http.Handler
		path    string
		body    func(field string, n int) string
		field   string
	}{
		{"beside an allowlist", strict, "/v1/chat/completions", chat, `"x%05d"`},
		{"like a limit", lenient, "/v1/chat/completions", chat, `"Max_tokens\u0000%05d"`},
		{"like a denied field", lenient, "/v1/chat/completions", chat, `"TOP_K\u0000%05d"`},
		{"in a batch, beside an allowlist", strict, "/v1/messages/batches", batch, `"x%05d"`},
		{"in a batch, like a limit", lenient, "/v1/messages/batches", batch, `"Max_tokens\u0000%05d"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			few := leastTime(t, c.gateway, c.path, c.body(c.field, most/10))
			many := leastTime(t, c.gateway, c.path, c.body(c.field, most))
			assert.Less(t, many, 35*few, "ten times the fields")
		})
	}
}
