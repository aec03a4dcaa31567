package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	acme   = "sk-acme-0123456789abcdef0123456789abcdef"
	globex = "sk-globex-0123456789abcdef0123456789abcdef"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// service is the whole service in front of a stand-in for OpenAI.
type service struct {
	public, admin http.Handler
	log, audit    bytes.Buffer
	sent          *http.Request // the latest upstream request, and its body
	body          string
}

func newService(t *testing.T) *service {
	s := &service{}
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	require.NoError(t, err)
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"openai": {"api-key": "sk-ours-0123456789"}})
	cfg.Transport = transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		s.sent, s.body = r, string(body)
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(
			`{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}`))}, err
	})
	keys, err := loadKeys("tenants.txt")
	require.NoError(t, err)
	s.public, s.admin, err = services(cfg, keys, slog.New(slog.NewJSONHandler(&s.log, nil)), &s.audit)
	require.NoError(t, err)
	return s
}

func (s *service) ask(key, prompt string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"gpt-4o","messages":[{"role":"user","content":"`+prompt+`"}]}`))
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("X-Plan", "gold") // its own claim
	w := httptest.NewRecorder()
	s.public.ServeHTTP(w, r)
	return w
}

// TestTenant: a tenant is known by its key, and stands in log, audit, page and
// metrics. Private words stay inside.
func TestTenant(t *testing.T) {
	s := newService(t)
	w := s.ask(acme, "write to jane.doe@example.com about 4111 1111 1111 1111")
	require.Equal(t, 200, w.Code, w.Body.String())
	assert.Equal(t, "0.0035", w.Header().Get("X-Aigateway-Cost")) // (1000×2.5 + 100×10)/1e6
	assert.Equal(t, "Bearer sk-ours-0123456789", s.sent.Header.Get("Authorization"))
	assert.Contains(t, s.body, "write to [redacted] about [redacted]")

	var line struct {
		Tenant string
		Cost   aigateway.Cost
		Usage  aigateway.Usage
	}
	require.NoError(t, json.Unmarshal(s.audit.Bytes(), &line))
	assert.Equal(t, "acme", line.Tenant)
	assert.Equal(t, "0.0035", line.Cost.USD.String())
	assert.EqualValues(t, 1000, line.Usage.InputTokens)
	assert.Contains(t, s.audit.String(), "[redacted]")
	assert.Contains(t, s.log.String(), `"aigateway.caller":"acme"`)
	assert.Contains(t, s.log.String(), `"plan":"free"`)
	for _, text := range []string{s.audit.String(), s.log.String(), s.get("/debug/aigateway?format=json"), s.get("/metrics")} {
		assert.Contains(t, text, "acme")
		assert.NotContains(t, text, "jane.doe")
		assert.NotContains(t, text, acme)
	}
	assert.Contains(t, s.get("/debug/aigateway?format=json"), "caller=acme")
	assert.Contains(t, s.get("/metrics"), `aigateway_caller="acme"`)
}

func (s *service) get(path string) string {
	w := httptest.NewRecorder()
	s.admin.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Body.String()
}

// TestLimits: a tenant's limits are its plan's, and are its own.
func TestLimits(t *testing.T) {
	s := newService(t)
	served := 0
	for range 30 {
		if s.ask(acme, "hello").Code == 200 {
			served++
		}
	}
	assert.GreaterOrEqual(t, served, 18, "20000 tokens a minute, of which each request takes 1100")
	assert.Less(t, served, 22)
	w := s.ask(acme, "hello")
	assert.Equal(t, 429, w.Code)
	assert.Contains(t, w.Body.String(), "client_limit_exceeded")
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	w = s.ask(globex, "hello")
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, "600", w.Header().Get("X-Ratelimit-Limit-Requests"))
}

// TestStrangers get an error that their SDK understands, and cost nothing.
func TestStrangers(t *testing.T) {
	s := newService(t)
	for _, key := range []string{"", "sk-wrong"} {
		w := s.ask(key, "hello")
		assert.Equal(t, 401, w.Code)
		assert.Contains(t, w.Body.String(), `"invalid_api_key"`)
	}
	assert.Nil(t, s.sent)
	assert.Empty(t, s.audit.String())
}
