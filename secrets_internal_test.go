package aigateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shelf is a store whose answer a test changes. It counts its questions.
type shelf struct {
	value string
	err   error
	calls atomic.Int64
}

func (s *shelf) ResolveSecret(context.Context, string, string) (string, error) {
	s.calls.Add(1)
	return s.value, s.err
}

// A cache before a cache does not repeat the refused value.
func TestRefusedSecretBehindAnotherCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{value: "old"}
		for _, r := range []SecretResolver{NewSecretCache(s, 0), ChainSecrets(MapSecrets(nil), NewSecretCache(s, 0))} {
			s.value = "old"
			c := NewSecretCache(r, 0)
			_, err := c.ResolveSecret(t.Context(), "v", "n")
			require.NoError(t, err)
			_, err = c.cache.Replace(t.Context(), "v", "n", "old")
			require.NoError(t, err)
			s.value = "new"
			wait(100 * time.Millisecond)
			got, err := c.ResolveSecret(t.Context(), "v", "n")
			require.NoError(t, err)
			assert.Equal(t, "new", got)
		}
	})
}

func TestCacheOutlivesReload(t *testing.T) {
	s := &shelf{value: "good"}
	dir := t.TempDir()
	onMap := MapSecrets(nil)
	own := NewSecretCache(s, time.Minute)
	instance := func() SecretResolver { return SecretResolverFunc(s.ResolveSecret) }
	tests := map[string]struct {
		before, after SecretResolver
		same          bool
	}{
		"nil":                {nil, nil, true},
		"nil, environment":   {nil, EnvSecrets(), true},
		"the same store":     {s, s, true},
		"the same directory": {DirSecrets(dir), DirSecrets(dir), true},
		"another directory":  {DirSecrets(dir), DirSecrets("/run"), false},
		"the same map":       {onMap, onMap, true},
		"another map":        {onMap, MapSecrets(nil), false},
		"an equal chain":     {ChainSecrets(DirSecrets(dir), nil, EnvSecrets()), ChainSecrets(DirSecrets(dir), nil, EnvSecrets()), true},
		"a longer chain":     {ChainSecrets(DirSecrets(dir)), ChainSecrets(DirSecrets(dir), EnvSecrets()), false},
		"chain and nil":      {ChainSecrets(nil), ChainSecrets(EnvSecrets()), false},
		"functions":          {instance(), instance(), false},
		"a cache":            {own, own, true},
		"a cache, its store": {own, s, false},
		"other types":        {EnvSecrets(), s, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			old := cachedSecrets(tt.before, nil)
			assert.Equal(t, tt.same, old == cachedSecrets(tt.after, old))
		})
	}
}

// After a Reload to another store that is down, the last good value serves on.
func TestCacheInherits(t *testing.T) {
	outage := errors.New("store is down")
	tests := map[string]struct {
		value  string // of the new store
		fails  error
		want   string
		failed error
	}{
		"down":         {"", outage, "good", nil},
		"without it":   {"", fmt.Errorf("attic: %w", ErrSecretNotFound), "", ErrSecretNotFound},
		"with another": {"better", nil, "better", nil},
	}
	for name, tt := range tests {
		for kind, wrap := range map[string]func(SecretResolver) SecretResolver{
			"resolver": func(r SecretResolver) SecretResolver { return r },
			"cache":    func(r SecretResolver) SecretResolver { return NewSecretCache(r, time.Hour) },
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					old := cachedSecrets(&shelf{value: "good"}, nil)
					_, err := old.ResolveSecret(t.Context(), "v", "n")
					require.NoError(t, err)
					after := &shelf{value: tt.value, err: tt.fails}
					c := cachedSecrets(wrap(after), old)
					require.NotSame(t, old, c)
					for range 2 {
						got, err := c.ResolveSecret(t.Context(), "v", "n")
						require.ErrorIs(t, err, tt.failed)
						assert.Equal(t, tt.want, got)
						assert.Equal(t, int64(1), after.calls.Load(), "the new store is asked first, and once")
					}
					_, err = c.ResolveSecret(t.Context(), "v", "other")
					assert.Equal(t, tt.fails != nil, err != nil, "an unknown secret has no value to inherit")
				})
			})
		}
	}
}

// A cache of the user's own keeps what it knows better.
func TestCacheInheritsBelowItsOwn(t *testing.T) {
	old := NewSecretCache(&shelf{value: "good"}, 0)
	c := NewSecretCache(&shelf{value: "own"}, 0)
	for _, cache := range []*SecretCache{old, c} {
		_, err := cache.ResolveSecret(t.Context(), "v", "n")
		require.NoError(t, err)
	}
	require.Same(t, c, cachedSecrets(c, old))
	got, err := c.ResolveSecret(t.Context(), "v", "n")
	require.NoError(t, err)
	assert.Equal(t, "own", got)
}

// wait lets virtual time pass.
func wait(d time.Duration) { <-time.After(d) }
