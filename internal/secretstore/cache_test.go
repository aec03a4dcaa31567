package secretstore_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/secretstore"
)

// store is a scripted secret store with a count of its questions.
type store struct {
	calls  atomic.Int64
	answer atomic.Pointer[func(ctx context.Context) (string, error)]
}

func (s *store) ask(ctx context.Context, _, _ string) (string, time.Time, error) {
	s.calls.Add(1)
	value, err := (*s.answer.Load())(ctx)
	return value, time.Time{}, err
}

// errNotFound is the error about a secret that the store does not have.
var errNotFound = errors.New("not found")

func newCache(s *store, ttl time.Duration) *secretstore.Cache {
	return secretstore.NewCache(secretstore.Store{Resolve: s.ask, Refresh: s.ask, NotFound: errNotFound}, ttl)
}

func (s *store) will(answer func(ctx context.Context) (string, error)) { s.answer.Store(&answer) }

func (s *store) has(value string) {
	s.will(func(context.Context) (string, error) { return value, nil })
}

func (s *store) fails(err error) {
	s.will(func(context.Context) (string, error) { return "half a va", err })
}

// takes makes the store answer after a while, or with the context's error.
func (s *store) takes(d time.Duration, value string) {
	s.will(func(ctx context.Context) (string, error) {
		select {
		case <-time.After(d):
			return value, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
}

// cacheOf is a cache before a store of a function.
func cacheOf(get func(vault, name string) (string, error)) *secretstore.Cache {
	ask := func(_ context.Context, vault, name string) (string, time.Time, error) {
		value, err := get(vault, name)
		return value, time.Time{}, err
	}
	return secretstore.NewCache(secretstore.Store{Resolve: ask, Refresh: ask, NotFound: errNotFound}, 5*time.Minute)
}

// cacheTest is one cache before a scripted store, in a bubble.
type cacheTest struct {
	*testing.T
	store *store
	cache *secretstore.Cache
}

const cacheTTL = time.Minute

func testCache(t *testing.T, test func(t cacheTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		test(cacheTest{t, s, newCache(s, cacheTTL)})
	})
}

func (t cacheTest) want(value string, calls int64) {
	t.Helper()
	got, _, err := t.cache.Resolve(t.Context(), "v", "n")
	require.NoError(t, err)
	assert.Equal(t, value, got)
	assert.Equal(t, calls, t.store.calls.Load(), "questions to the store")
}

func (t cacheTest) wantErr(want error, calls int64) {
	t.Helper()
	got, _, err := t.cache.Resolve(t.Context(), "v", "n")
	require.ErrorIs(t, err, want)
	assert.Empty(t, got)
	assert.Equal(t, calls, t.store.calls.Load(), "questions to the store")
}

func (t cacheTest) wantRefresh(value string, calls int64) {
	t.Helper()
	got, _, err := t.cache.Refresh(t.Context(), "v", "n")
	require.NoError(t, err)
	assert.Equal(t, value, got)
	assert.Equal(t, calls, t.store.calls.Load(), "questions to the store")
}

func TestSecretCacheTimeToLive(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.has("two")
		gatewaytest.Pass(cacheTTL - 1)
		t.want("one", 1)
		gatewaytest.Pass(1)
		t.want("two", 2)
		t.want("two", 2)
	})
}

func TestSecretCacheServesLastGoodValue(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.fails(errors.New("store is down"))
		gatewaytest.Pass(cacheTTL)
		t.want("one", 2)
		gatewaytest.Pass(10*time.Second - 1)
		t.want("one", 2)
		gatewaytest.Pass(1)
		t.want("one", 3)
		gatewaytest.Pass(time.Hour)
		t.want("one", 4)
		t.store.has("two")
		gatewaytest.Pass(10 * time.Second)
		t.want("two", 5)
		gatewaytest.Pass(cacheTTL - 1)
		t.want("two", 5)
	})
}

func TestSecretCacheErrorIsRepeatedForASecond(t *testing.T) {
	testCache(t, func(t cacheTest) {
		outage := errors.New("store is down")
		t.store.fails(outage)
		t.wantErr(outage, 1)
		gatewaytest.Pass(time.Second - 1)
		t.wantErr(outage, 1)
		gatewaytest.Pass(1)
		t.wantErr(outage, 2)
		t.store.has("one")
		gatewaytest.Pass(time.Second)
		t.want("one", 3)
	})
}

func TestSecretCacheDeletedSecretIsGone(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.fails(fmt.Errorf("shelf: %w", errNotFound))
		gatewaytest.Pass(cacheTTL)
		t.wantErr(errNotFound, 2)
		t.store.fails(errors.New("store is down"))
		gatewaytest.Pass(time.Second)
		_, _, err := t.cache.Resolve(t.Context(), "v", "n")
		require.ErrorContains(t, err, "store is down", "the deleted value must not come back")
		t.store.has("two")
		gatewaytest.Pass(time.Second)
		t.want("two", 4)
	})
}

func TestSecretCacheEmptyValueIsNone(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("")
		t.wantErr(errNotFound, 1)
	})
}

func TestSecretCacheAsksOnceForAll(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.takes(3*time.Second, "one")
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				got, _, err := t.cache.Resolve(t.Context(), "v", "n")
				assert.NoError(t, err)
				assert.Equal(t, "one", got)
			})
		}
		start := time.Now()
		all.Wait()
		assert.Equal(t, 3*time.Second, time.Since(start))
		assert.Equal(t, int64(1), t.store.calls.Load())
	})
}

func TestSecretCacheSecretsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		c := cacheOf(func(vault, name string) (string, error) {
			if vault == "slow" {
				<-slow
			}
			return vault + "/" + name, nil
		})
		var one sync.WaitGroup
		one.Go(func() { _, _, _ = c.Resolve(t.Context(), "slow", "n") })
		synctest.Wait()
		for _, ref := range [][2]string{{"a", "bc"}, {"ab", "c"}} {
			got, _, err := c.Resolve(t.Context(), ref[0], ref[1])
			require.NoError(t, err)
			assert.Equal(t, ref[0]+"/"+ref[1], got)
		}
		close(slow)
		one.Wait()
	})
}

// The end of the first request must not end a question that others wait for.
func TestSecretCacheOutlivesTheFirstWaiter(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.takes(3*time.Second, "one")
		gone := errors.New("client gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		var first, second sync.WaitGroup
		first.Go(func() {
			_, _, err := t.cache.Resolve(ctx, "v", "n")
			assert.ErrorIs(t, err, gone)
		})
		synctest.Wait()
		second.Go(func() { t.want("one", 1) })
		gatewaytest.Pass(time.Second)
		cancel(gone)
		first.Wait()
		assert.Equal(t, int64(1), t.store.calls.Load())
		second.Wait()
		t.want("one", 1)
	})
}

func TestSecretCacheWaitEndsWithTheRequest(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.takes(10*time.Second, "one")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := t.cache.Resolve(ctx, "v", "n")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, _, err = t.cache.Refresh(ctx, "v", "n")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 2*time.Second, time.Since(start))
		gatewaytest.Pass(8 * time.Second)
		synctest.Wait()
		t.want("one", 1)
	})
}

func TestSecretCacheSilentStore(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.takes(time.Hour, "never")
		start := time.Now()
		_, _, err := t.cache.Resolve(t.Context(), "v", "n")
		require.ErrorContains(t, err, "did not answer within 30s")
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "it is not the request that timed out")
		assert.Equal(t, 30*time.Second, time.Since(start))
	})
}

// A slow store may cost requests a second each. After a second of silence it
// costs nothing.
func TestSecretCachePatience(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.takes(5*time.Second, "two")
		gatewaytest.Pass(cacheTTL)
		start := time.Now()
		t.want("one", 2)
		assert.Equal(t, time.Second, time.Since(start))
		t.want("one", 2)
		assert.Equal(t, time.Second, time.Since(start))
		gatewaytest.Pass(4 * time.Second)
		synctest.Wait()
		t.want("two", 2)
	})
}

func TestSecretCacheRefresh(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.wantRefresh("one", 1)
		t.want("one", 1)
		t.store.has("two")
		gatewaytest.Pass(100*time.Millisecond - 1)
		t.wantRefresh("one", 1)
		gatewaytest.Pass(1)
		t.wantRefresh("two", 2)
		t.want("two", 2)
		t.store.has("three")
		gatewaytest.Pass(cacheTTL - 1)
		t.want("two", 2)
		gatewaytest.Pass(1)
		t.want("three", 3)
		// The last question was not a refresh, so a refresh asks again.
		t.wantRefresh("three", 4)
	})
}

func TestSecretCacheRefreshFails(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		outage := errors.New("store is down")
		t.store.fails(outage)
		for range 2 { // the second shares the first one's answer
			got, _, err := t.cache.Refresh(t.Context(), "v", "n")
			require.ErrorIs(t, err, outage)
			assert.Empty(t, got)
			t.want("one", 2)
		}
		t.store.fails(errNotFound)
		gatewaytest.Pass(time.Second)
		_, _, err := t.cache.Refresh(t.Context(), "v", "n")
		require.ErrorIs(t, err, errNotFound)
		t.wantErr(errNotFound, 3)
	})
}

func TestSecretCacheRefreshStampede(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.takes(100*time.Millisecond, "two")
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				gatewaytest.Pass(time.Duration(i) * 100 * time.Microsecond)
				got, _, err := t.cache.Refresh(t.Context(), "v", "n")
				assert.NoError(t, err)
				assert.Equal(t, "two", got)
			})
		}
		all.Wait()
		assert.Equal(t, int64(2), t.store.calls.Load())
	})
}

func TestSecretCachePanic(t *testing.T) {
	tests := map[string]struct {
		answer func(context.Context) (string, error)
		err    string
	}{
		"of a value": {func(context.Context) (string, error) { panic("sk-proj-secret") }, "panicked with a string"},
		"of the runtime": {func(context.Context) (string, error) {
			var none []string
			return none[0], nil
		}, "index out of range"},
		"end of goroutine": {func(context.Context) (string, error) {
			runtime.Goexit() // as t.FailNow does in a resolver of a test
			return "", nil
		}, "did not return"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			testCache(t, func(t cacheTest) {
				t.store.will(tt.answer)
				_, _, err := t.cache.Resolve(t.Context(), "v", "n")
				require.ErrorContains(t, err, tt.err)
				assert.NotContains(t, err.Error(), "sk-proj")
				t.store.has("one")
				gatewaytest.Pass(time.Second)
				t.want("one", 2)
			})
		})
	}
}

// The names of secrets can come from requests. The cache must not grow with
// them, and names that do not exist must not displace used secrets.
func TestSecretCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		c := cacheOf(func(vault, name string) (string, error) {
			calls.Add(1)
			if vault == "junk" {
				return "", errNotFound
			}
			return vault + name, nil
		})
		get := func(vault string, i int) {
			t.Helper()
			got, _, err := c.Resolve(t.Context(), vault, fmt.Sprint(i))
			if vault == "junk" {
				require.ErrorIs(t, err, errNotFound)
				return
			}
			require.NoError(t, err)
			require.Equal(t, vault+fmt.Sprint(i), got)
		}
		get("good", 0)
		for i := range 3000 {
			get("junk", i)
		}
		before := calls.Load()
		get("good", 0)
		assert.Equal(t, before, calls.Load(), "the good secret is still cached")

		// More good ones than there is room for: right answers all the same.
		for range 2 {
			for i := range 1100 {
				get("good", i)
			}
		}
	})
}

// A rotated secret is seen within 100 ms of the moment in which the store has it,
// and the store is asked no more often than that.
func TestRefusedSecretIsAskedForAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		s.has("old")
		c := newCache(s, 5*time.Minute)
		want := func(value string, calls int64) {
			t.Helper()
			got, _, err := c.Resolve(t.Context(), "v", "n")
			require.NoError(t, err)
			assert.Equal(t, value, got)
			assert.Equal(t, calls, s.calls.Load(), "questions to the store")
		}
		want("old", 1)
		gatewaytest.Pass(time.Minute)
		got, err := c.Replace(t.Context(), "v", "n", "old")
		require.NoError(t, err)
		assert.Equal(t, "old", got)
		want("old", 2)
		gatewaytest.Pass(100*time.Millisecond - 1)
		want("old", 2)
		gatewaytest.Pass(1)
		want("old", 3)
		want("old", 3)
		gatewaytest.Pass(time.Hour)
		want("old", 4) // only uses ask

		s.fails(errors.New("store is down"))
		gatewaytest.Pass(100 * time.Millisecond)
		want("old", 5)
		gatewaytest.Pass(100 * time.Millisecond)
		want("old", 6) // an outage is not a reason to wait longer

		s.has("new")
		gatewaytest.Pass(100 * time.Millisecond)
		want("new", 7)
		gatewaytest.Pass(5*time.Minute - 1)
		want("new", 7) // in use for its time to live again
	})
}

// Requests that were refused with the old value get the new one without a question.
func TestRefusalsAfterTheRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		s.has("old")
		c := newCache(s, 5*time.Minute)
		_, _, err := c.Resolve(t.Context(), "v", "n")
		require.NoError(t, err)
		s.has("new")
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				gatewaytest.Pass(time.Duration(i) * time.Millisecond)
				got, err := c.Replace(t.Context(), "v", "n", "old")
				assert.NoError(t, err)
				assert.Equal(t, "new", got)
			})
		}
		all.Wait()
		assert.Equal(t, int64(2), s.calls.Load())
		gatewaytest.Pass(time.Minute)
		_, _, err = c.Resolve(t.Context(), "v", "n")
		require.NoError(t, err)
		assert.Equal(t, int64(2), s.calls.Load(), "the new value was not refused")
	})
}
