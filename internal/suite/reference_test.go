package suite_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestReferenceIsInTheDocs holds docs/selection.md to the table that it is made
// from. "go generate" mends it.
func TestReferenceIsInTheDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/selection.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "<!-- reference:begin -->\n")
	require.True(t, ok)
	section, _, ok = strings.Cut(section, "<!-- reference:end -->")
	require.True(t, ok)
	assert.Equal(t, expr.ReferenceMarkdown(), section)
}

func referenceRows(language string) (rows []expr.Row) {
	for _, s := range expr.Reference() {
		if s.Language == language {
			rows = append(rows, s.Rows...)
		}
	}
	return rows
}

// TestReferenceExamples evaluates each example, as the strategy that it is or as
// the part of one, and compares with the value that the reference gives.
func TestReferenceExamples(t *testing.T) {
	models := regexp.MustCompile(`^[a-z-]+:[^ ,]+(, [a-z-]+:[^ ,]+)*$`)
	for _, row := range referenceRows("strategy") {
		t.Run(row.Signature, func(t *testing.T) {
			strategy := row.Example
			if strings.HasPrefix(row.Signature, "m.") {
				strategy = "ai.models.filter(m, " + strategy + ")"
			}
			chosen := row.Want == "" || models.MatchString(row.Want)
			if !chosen {
				strategy = "(" + strategy + ") == (" + row.Want + ") ? ai.models : []"
			}
			cfg := referenceConfig(t)
			cfg.ModelSelection.Strategy = []string{strategy}
			res := referenceExplain(t, cfg, "auto")
			if row.Want != "" && chosen {
				assert.Equal(t, row.Want, strings.Join(testbed.Tried(res), ", "))
			}
			if row.Want == "" {
				require.Len(t, res.ModelSelection, 1)
				assert.Empty(t, res.ModelSelection[0].Notes)
			}
		})
	}
	for _, row := range referenceRows("key strategy") {
		t.Run(row.Signature, func(t *testing.T) {
			cfg := referenceConfig(t)
			number := map[string]string{}
			for i, key := range referenceExplain(t, cfg, "openai:gpt-4o").ModelsTried[0].APIKeySelection {
				number[key.ID] = "key " + string(rune('1'+i))
			}
			require.Len(t, number, 2)
			cfg.APIKeySelection.Strategy = []string{row.Example}
			var keys []string
			for _, key := range referenceExplain(t, cfg, "openai:gpt-4o").ModelsTried[0].APIKeySelection {
				keys = append(keys, number[key.ID])
			}
			if row.Want == "" {
				assert.Len(t, keys, 2)
				return
			}
			assert.Equal(t, row.Want, strings.Join(keys, ", "))
		})
	}
	for _, row := range referenceRows("template") {
		t.Run(row.Signature, func(t *testing.T) {
			cfg := referenceConfig(t)
			cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"openai": {"api-key": "the-secret"}})
			cfg.Providers[0].APIKeys = []aigateway.APIKey{{Value: aigateway.Template(row.Example)}}
			var sent []string
			cfg.Transport = referenceTransport(func(r *http.Request) (*http.Response, error) {
				sent = append(sent, r.Header.Get("Authorization"))
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.WriteString(gatewaytest.LeastAnswer(r.URL.Path, "hi", ""))
				return w.Result(), nil
			})
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			w := httptest.NewRecorder()
			g.ServeHTTP(w, referenceRequest("openai:gpt-4o"))
			assert.Equal(t, http.StatusOK, w.Code, w.Body.String())
			assert.Equal(t, []string{"Bearer the-secret"}, sent)
		})
	}
}

type referenceTransport func(*http.Request) (*http.Response, error)

func (f referenceTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func referenceConfig(t *testing.T) aigateway.Config {
	t.Helper()
	cfg, err := aigateway.LoadConfig("../../testdata/selection/reference.yaml")
	require.NoError(t, err)
	return cfg
}

// referenceRequest is the request that the examples on req and conn are about.
func referenceRequest(model string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://ai.example.com/v1/chat/completions", strings.NewReader(`{"model":"`+model+`"}`))
	r.RemoteAddr = "192.0.2.7:49152"
	r.Header.Set("X-Tier", "gold")
	r.Header.Set("X-Request-Id", "req_1")
	return r
}

func referenceExplain(t *testing.T, cfg aigateway.Config, model string) *aigateway.Result {
	t.Helper()
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	res, err := g.Explain(referenceRequest(model))
	require.NoError(t, err)
	return res
}
