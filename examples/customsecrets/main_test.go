package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

const (
	token  = "hvs.test"
	first  = "sk-first-1111111111111111"
	second = "sk-second-2222222222222222"
)

// store stands for Vault.
type store struct {
	value atomic.Pointer[string]
	down  atomic.Bool
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.down.Load():
		gatewaytest.JSON(http.StatusServiceUnavailable, `{"errors":["Vault is sealed"]}`)(w, r)
	case r.Header.Get("X-Vault-Token") != token:
		gatewaytest.JSON(http.StatusForbidden, `{"errors":["permission denied"]}`)(w, r)
	case r.URL.EscapedPath() != "/v1/secret/data/openai":
		gatewaytest.JSON(http.StatusNotFound, `{"errors":[]}`)(w, r)
	default:
		gatewaytest.JSON(http.StatusOK, `{"data":{"data":{"api-key":"`+*s.value.Load()+`"},"metadata":{"version":1}}}`)(w, r)
	}
}

func open(t *testing.T, value string) (*store, string) {
	t.Helper()
	s := new(store)
	s.value.Store(&value)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func TestResolve(t *testing.T) {
	s, addr := open(t, first)
	t.Setenv("MISTRAL_API_KEY", "sk-from-the-environment")
	t.Setenv("OPENAI_API_KEY", "sk-wrong")
	for _, row := range []struct {
		name, token, vault, secret string
		down                       bool
		want                       string
		notFound                   bool
		err                        string
	}{
		{"there", token, "openai", "api-key", false, first, false, ""},
		{"in the environment alone", token, "mistral", "api-key", false, "sk-from-the-environment", false, ""},
		{"nowhere", token, "xai", "api-key", false, "", true, `the store has no "xai"`},
		{"no such name", token, "openai", "other", false, "", true, `"openai" of the store has no "other"`},
		{"a path is a name", token, "openai/../openai", "api-key", false, "", true, "the store has no"},
		{"no token", "", "openai", "api-key", false, "", false, "403 Forbidden"},
		{"down: not the environment's", token, "openai", "api-key", true, "", false, "503 Service Unavailable"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.down.Store(row.down)
			got, err := secrets(addr, row.token).ResolveSecret(t.Context(), row.vault, row.secret)
			assert.Equal(t, row.want, got)
			if row.err == "" {
				assert.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, row.err)
			if row.notFound {
				assert.ErrorIs(t, err, aigateway.ErrSecretNotFound)
			} else {
				assert.NotErrorIs(t, err, aigateway.ErrSecretNotFound)
			}
		})
	}
}

// A key that was replaced in the store is in use with the next request, and
// while the store is down the last one stays.
func TestInTheGateway(t *testing.T) {
	s, addr := open(t, first)
	valid := first
	provider := gatewaytest.NewHosts(t, map[string]http.Handler{"api.openai.com": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+valid {
			gatewaytest.Error(http.StatusUnauthorized, "invalid_api_key", "who are you?")(w, r)
			return
		}
		gatewaytest.Chat("hello")(w, r)
	})})
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	require.NoError(t, err)
	cfg.Secrets = secrets(addr, token)
	cfg.Transport = provider.Transport(t)
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	require.NoError(t, gateway.Check(t.Context()))
	ask := func() int {
		w := httptest.NewRecorder()
		gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions",
			strings.NewReader(`{"model":"gpt-4o","messages":[]}`)))
		return w.Code
	}
	assert.Equal(t, http.StatusOK, ask())

	rotated := second
	s.value.Store(&rotated)
	valid = second
	assert.Equal(t, http.StatusOK, ask())

	s.down.Store(true)
	assert.Equal(t, http.StatusOK, ask())
}
