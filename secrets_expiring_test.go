package aigateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// tokens is a store of tokens that live for a while. Its fields change only between
// requests.
type tokens struct {
	life  time.Duration
	takes time.Duration
	calls atomic.Int64
	err   error
	same  bool // the last token again, while it lives

	mu    sync.Mutex
	last  string
	until time.Time
}

func (s *tokens) ResolveSecret(context.Context, string, string) (string, error) {
	return "", errors.New("asked without until")
}

func (s *tokens) ResolveSecretUntil(context.Context, string, string) (string, time.Time, error) {
	n := s.calls.Add(1)
	gatewaytest.Pass(s.takes)
	if s.err != nil {
		return "", time.Time{}, s.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.same || !time.Now().Before(s.until) {
		s.last, s.until = fmt.Sprintf("token-%d", n), time.Now().Add(s.life)
	}
	return s.last, s.until, nil
}

// good reports whether a token lives.
func (s *tokens) good(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return token == s.last && time.Now().Before(s.until)
}

// TestTokenUnderLoad sends 200 requests a second for 20 s with a token that lives
// 2 s. The token before the last one is refused.
func TestTokenUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &tokens{life: 2 * time.Second, takes: 50 * time.Millisecond}
		var before sync.Map
		gateway, err := aigateway.New(aigateway.Config{
			Providers: []aigateway.Provider{{
				ID: "p", BaseURL: "https://p.example.com", APIKeys: []aigateway.APIKey{{Value: "${secrets.get('vertex', 'token')}"}},
			}},
			Secrets: store,
			Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				lived, ok := before.LoadOrStore(token, time.Now())
				if !store.good(token) && !(ok && time.Since(lived.(time.Time)) < 2*time.Second-store.takes) {
					return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: http.NoBody}, nil
				}
				body := `{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}`
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
			}),
		})
		require.NoError(t, err)
		var failed, waited atomic.Int64
		begin := time.Now()
		var requests sync.WaitGroup
		for range 200 * 20 {
			requests.Go(func() {
				start := time.Now()
				w := httptest.NewRecorder()
				gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"p:m","messages":[]}`)))
				if w.Code != http.StatusOK {
					failed.Add(1)
				}
				if time.Since(start) > 0 && start.Sub(begin) > store.takes {
					waited.Add(1)
				}
			})
			gatewaytest.Pass(5 * time.Millisecond)
		}
		requests.Wait()
		assert.Zero(t, failed.Load(), "failed")
		assert.Zero(t, waited.Load(), "waited, but for the first token")
		assert.LessOrEqual(t, store.calls.Load(), int64(20), "two renewals a life")
	})
}

// TestExpiringSecret follows one value over its life, at each wait in seconds.
func TestExpiringSecret(t *testing.T) {
	type step struct {
		after float64
		want  string // empty: an error
		calls int64
		err   error // of the store, from here on
	}
	down := errors.New("store is down")
	gone := fmt.Errorf("deleted: %w", aigateway.ErrSecretNotFound)
	tests := []struct {
		name  string
		store *tokens
		steps []step
	}{
		{"renewed at 80 %", &tokens{life: 100 * time.Second}, []step{{0, "token-1", 1, nil}, {79, "token-1", 1, nil}, {1, "token-1", 2, nil}, {0.1, "token-2", 2, nil}}},
		{"without traffic", &tokens{life: 100 * time.Second}, []step{{0, "token-1", 1, nil}, {200, "token-2", 2, nil}}},
		{"longer than the time to live", &tokens{life: time.Hour}, []step{{0, "token-1", 1, nil}, {2800, "token-1", 1, nil}}},
		{"store down before the end", &tokens{life: 100 * time.Second}, []step{
			{0, "token-1", 1, down}, {80, "token-1", 2, nil}, {9, "token-1", 2, nil}, {1, "token-1", 3, nil}, {0.1, "token-3", 3, nil},
		}},
		{"store down beyond the end", &tokens{life: 100 * time.Second}, []step{{0, "token-1", 1, down}, {80, "token-1", 2, down}, {20, "", 3, nil}}},
		{"deleted", &tokens{life: 100 * time.Second}, []step{{0, "token-1", 1, gone}, {80, "token-1", 2, gone}, {0.1, "", 2, nil}}},
		{"the same again", &tokens{life: 100 * time.Second, same: true}, []step{
			{0, "token-1", 1, nil}, {80, "token-1", 2, nil}, {15, "token-1", 2, nil}, {1, "token-1", 3, nil}, {4, "token-4", 4, nil},
		}},
		{"ended on arrival", &tokens{life: -time.Second}, []step{{0, "token-1", 1, nil}, {0.5, "token-1", 1, nil}, {0.5, "token-2", 2, nil}}},
	}
	for _, tt := range tests {
		for wrapped, wrap := range map[string]func(aigateway.SecretResolver) aigateway.SecretResolver{
			"itself": func(r aigateway.SecretResolver) aigateway.SecretResolver { return r },
			"chain":  func(r aigateway.SecretResolver) aigateway.SecretResolver { return aigateway.ChainSecrets(nil, r) },
			"a cache": func(r aigateway.SecretResolver) aigateway.SecretResolver {
				return aigateway.NewSecretCache(r, time.Minute)
			},
		} {
			if wrapped == "a cache" && tt.name != "without traffic" {
				continue // two caches ask in two rhythms
			}
			t.Run(tt.name+"/"+wrapped, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := &tokens{life: tt.store.life, same: tt.store.same}
					cache := aigateway.NewSecretCache(wrap(store), 0)
					for i, s := range tt.steps {
						gatewaytest.Pass(time.Duration(s.after * float64(time.Second)))
						got, until, err := cache.ResolveSecretUntil(t.Context(), "v", "n")
						if s.want == "" {
							assert.Error(t, err, i)
						} else {
							require.NoError(t, err, i)
							if tt.store.life > 0 {
								assert.True(t, until.After(time.Now()), i)
							}
						}
						assert.Equal(t, s.want, got, i)
						synctest.Wait()
						if wrapped != "a cache" {
							assert.Equal(t, s.calls, store.calls.Load(), i)
						}
						store.err = s.err
					}
				})
			})
		}
	}
}

// refreshed is a store of tokens that keeps them until it is told to refresh.
type refreshed struct{ tokens }

func (s *refreshed) Refresh(ctx context.Context, vault, name string) (string, error) {
	s.until = time.Time{}
	value, _, err := s.ResolveSecretUntil(ctx, vault, name)
	return value, err
}

// TestExpiringSecretRefresh learns the end of a value that came by Refresh.
func TestExpiringSecretRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &refreshed{tokens{life: time.Hour, same: true}}
		for _, cache := range []*aigateway.SecretCache{
			aigateway.NewSecretCache(store, 0), aigateway.NewSecretCache(aigateway.ChainSecrets(store), 0),
			aigateway.NewSecretCache(aigateway.NewSecretCache(store, 0), 0),
		} {
			first, err := cache.ResolveSecret(t.Context(), "v", "n")
			require.NoError(t, err)
			second, err := cache.Refresh(t.Context(), "v", "n")
			require.NoError(t, err)
			assert.NotEqual(t, first, second)
			kept, until, err := cache.ResolveSecretUntil(t.Context(), "v", "n")
			require.NoError(t, err)
			assert.Equal(t, second, kept)
			assert.Equal(t, store.until, until)
		}
	})
}
