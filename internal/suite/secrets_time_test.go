package suite_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// silentAfter is a store that answers its first questions, and then no more.
type silentAfter struct {
	value string
	left  atomic.Int64
}

func (s *silentAfter) ResolveSecret(ctx context.Context, _, _ string) (string, error) {
	if s.left.Add(-1) >= 0 {
		return s.value, nil
	}
	<-ctx.Done()
	return "", ctx.Err()
}

// TestSilentStoreAfter401: a refused key is asked for anew. A store that is silent then
// takes no more of the request's time than a silent provider would: the next one has its
// turn.
func TestSilentStoreAfter401(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		store := &silentAfter{value: "sk-a1-0123456789abcdef"}
		store.left.Store(1)
		cfg.Secrets = store
		cfg.Providers[0].APIKeys[0].Value = "${secrets.get('v', 'k')}"
		cfg.PerRequestTimeout, cfg.TotalTimeout = "2s", "20s"
		s := testbed.NewScripts(t, cfg)
		s.Set("a1", gatewaytest.KeyError(http.StatusUnauthorized, "invalid_api_key"))
		got := testbed.Ask(s.Harness)
		assert.Equal(t, http.StatusOK, got.Status, got.Body)
		assert.Equal(t, []string{"a1", "b1"}, s.Routes())
		assert.Equal(t, 2*time.Second, got.Took)
		gatewaytest.Pass(time.Minute) // the store's question has ended
	})
}

// TestSilentStoreOfTenants: the health of a key that depends on the request is looked up
// by its value. total_timeout bounds a silent store there too.
func TestSilentStoreOfTenants(t *testing.T) {
	for name, tt := range map[string]struct {
		keys       []aigateway.Template
		perRequest aigateway.Duration
	}{
		"one key":   {[]aigateway.Template{"${secrets.get(req.headers['x-tenant'][0], 'k')}"}, ""},
		"four keys": {[]aigateway.Template{"${secrets.get(req.headers['x-tenant'][0], 'k')}", "${secrets.get(req.headers['x-tenant'][0], 'l')}", "${secrets.get(req.headers['x-tenant'][0], 'm')}", "${secrets.get(req.headers['x-tenant'][0], 'n')}"}, "2s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(0, "a", "b")
				cfg.Secrets = &silentAfter{}
				for _, key := range tt.keys {
					cfg.Providers[0].APIKeys = append(cfg.Providers[0].APIKeys, aigateway.APIKey{Value: key})
				}
				cfg.PerRequestTimeout, cfg.TotalTimeout = tt.perRequest, "5s"
				s := testbed.NewScripts(t, cfg)
				got := s.Post("/v1/chat/completions", testbed.ChatRequest, "X-Tenant", "alpha")
				assert.Equal(t, http.StatusGatewayTimeout, got.Status, got.Body)
				assert.Equal(t, 5*time.Second, got.Took)
				gatewaytest.Pass(time.Minute)
			})
		})
	}
}
