package aigateway_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

func TestEnvSecrets(t *testing.T) {
	tests := []struct{ vault, name, variable string }{
		{"my-provider", "api-key", "MY_PROVIDER_API_KEY"},
		{"openai", "key", "OPENAI_KEY"},
		{"OpenAI", "Key2", "OPENAI_KEY2"},
		{"inference.net", "api key", "INFERENCE_NET_API_KEY"},
		{"a--b", "..c", "A_B_C"},
		{"a_", "_b", "A_B"},
		{"a-", "b!", "A_B_"},
		{"-a", "b", "_A_B"},
		{"", "key", "_KEY"},
		{"clé", "x", "CL_X"},
	}
	for _, tt := range tests {
		t.Run(tt.variable, func(t *testing.T) {
			_, err := aigateway.EnvSecrets{}.ResolveSecret(t.Context(), tt.vault, tt.name)
			require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
			assert.Contains(t, err.Error(), tt.variable+" is not set")

			t.Setenv(tt.variable, "")
			_, err = aigateway.EnvSecrets{}.ResolveSecret(t.Context(), tt.vault, tt.name)
			require.ErrorIs(t, err, aigateway.ErrSecretNotFound, "empty counts as not found")

			t.Setenv(tt.variable, "value \n")
			got, err := aigateway.EnvSecrets{}.ResolveSecret(t.Context(), tt.vault, tt.name)
			require.NoError(t, err)
			assert.Equal(t, "value \n", got)
		})
	}
}

// writeFile makes a file with the directories above it.
func writeFile(t testing.TB, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestDirSecretsContent(t *testing.T) {
	const limit = 64 << 10
	tests := map[string]struct {
		content, want string
		notFound      bool
		err           string
	}{
		"plain":            {content: "sk-1", want: "sk-1"},
		"final newline":    {content: "sk-1\n", want: "sk-1"},
		"CRLF":             {content: "sk-1\r\n", want: "sk-1"},
		"only one newline": {content: "sk-1\n\n", want: "sk-1\n"},
		"lone CR stays":    {content: "sk-1\r", want: "sk-1\r"},
		"inner lines":      {content: "a\nb\n", want: "a\nb"},
		"spaces stay":      {content: " sk 1 ", want: " sk 1 "},
		"empty":            {content: "", notFound: true, err: "is empty"},
		"blank line":       {content: "\n", notFound: true, err: "is empty"},
		"at the limit":     {content: strings.Repeat("x", limit), want: strings.Repeat("x", limit)},
		"over the limit":   {content: strings.Repeat("x", limit+1), err: "larger than 65536 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "vault", "name"), tt.content)
			got, err := aigateway.DirSecrets(dir).ResolveSecret(t.Context(), "vault", "name")
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				assert.Equal(t, tt.notFound, errors.Is(err, aigateway.ErrSecretNotFound))
				assert.Empty(t, got)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestDirSecretsNames(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "secrets")
	writeFile(t, filepath.Join(base, "outside"), "stolen")
	writeFile(t, filepath.Join(dir, "flat"), "stolen")
	writeFile(t, filepath.Join(dir, "v", "n"), "found")
	writeFile(t, filepath.Join(dir, "v", "sub", "n"), "nested")
	writeFile(t, filepath.Join(dir, "v", ".hidden"), "hidden")
	writeFile(t, filepath.Join(dir, "v", "..data", "n"), "internal")
	require.NoError(t, os.Symlink(base, filepath.Join(dir, "escape")))
	require.NoError(t, os.Symlink("../outside", filepath.Join(dir, "v", "up")))
	require.NoError(t, os.Symlink("../../outside", filepath.Join(dir, "v", "out")))

	const refused, notFound = "plain file names", "does not exist"
	tests := []struct {
		vault, name, want, err string
	}{
		{"v", "n", "found", ""},
		{"v", ".hidden", "hidden", ""},
		{"v", "missing", "", notFound},
		{"missing", "n", "", notFound},
		{"v", "sub", "", "not a regular file"},
		{"v", "out", "", "escapes"},
		{"escape", "outside", "", "escapes"},
		{"v", "up", "", notFound}, // inside the directory, where no such file is
		{"", "n", "", refused},
		{"v", "", "", refused},
		{".", "flat", "", refused},
		{"v", ".", "", refused},
		{"..", "outside", "", refused},
		{"v", "..", "", refused},
		{"..data", "n", "", refused},
		{"v", "sub/n", "", refused},
		{"v/sub", "n", "", refused},
		{"v", "../flat", "", refused},
		{"/etc", "passwd", "", refused},
		{"v", `sub\n`, "", refused},
		{"v", "n\x00", "", refused},
	}
	for _, tt := range tests {
		t.Run(tt.vault+","+tt.name, func(t *testing.T) {
			got, err := aigateway.DirSecrets(dir).ResolveSecret(t.Context(), tt.vault, tt.name)
			assert.Equal(t, tt.want, got)
			if tt.want != "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
			assert.Equal(t, tt.err == notFound, errors.Is(err, aigateway.ErrSecretNotFound), "%v", err)
		})
	}

	_, err := aigateway.DirSecrets("").ResolveSecret(t.Context(), "v", "n")
	require.Error(t, err)
	assert.NotErrorIs(t, err, aigateway.ErrSecretNotFound)

	_, err = aigateway.DirSecrets(filepath.Join(base, "nowhere")).ResolveSecret(t.Context(), "v", "n")
	require.ErrorIs(t, err, aigateway.ErrSecretNotFound)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = aigateway.DirSecrets(dir).ResolveSecret(ctx, "v", "n")
	require.ErrorIs(t, err, context.Canceled)
}

// TestDirSecretsRotation turns the link of a Kubernetes mount.
func TestDirSecretsRotation(t *testing.T) {
	mount := t.TempDir()
	vault := filepath.Join(mount, "openai")
	writeFile(t, filepath.Join(vault, "..2026_01", "api-key"), "old")
	require.NoError(t, os.Symlink("..2026_01", filepath.Join(vault, "..data")))
	require.NoError(t, os.Symlink(filepath.Join("..data", "api-key"), filepath.Join(vault, "api-key")))
	// The directory itself may be a link to anywhere.
	dir := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(mount, dir))

	got, err := aigateway.DirSecrets(dir).ResolveSecret(t.Context(), "openai", "api-key")
	require.NoError(t, err)
	assert.Equal(t, "old", got)

	writeFile(t, filepath.Join(vault, "..2026_02", "api-key"), "new")
	require.NoError(t, os.Symlink("..2026_02", filepath.Join(vault, "..data_tmp")))
	require.NoError(t, os.Rename(filepath.Join(vault, "..data_tmp"), filepath.Join(vault, "..data")))
	require.NoError(t, os.RemoveAll(filepath.Join(vault, "..2026_01")))

	got, err = aigateway.DirSecrets(dir).ResolveSecret(t.Context(), "openai", "api-key")
	require.NoError(t, err)
	assert.Equal(t, "new", got)
}

func FuzzDirSecrets(f *testing.F) {
	base := f.TempDir()
	dir := filepath.Join(base, "dir")
	writeFile(f, filepath.Join(base, "outside"), "stolen")
	writeFile(f, filepath.Join(dir, "outside"), "stolen")
	writeFile(f, filepath.Join(dir, "v", "n"), "found")
	for _, s := range [][2]string{
		{"v", "n"}, {"..", "outside"}, {".", "outside"}, {"v", "../outside"}, {"v/..", "outside"}, {"", "outside"}, {"v\x00", "n"}, {"/", "etc"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, vault, name string) {
		got, err := aigateway.DirSecrets(dir).ResolveSecret(t.Context(), vault, name)
		if err == nil {
			assert.Equal(t, [3]string{"v", "n", "found"}, [3]string{vault, name, got})
		}
	})
}

func TestMapSecrets(t *testing.T) {
	m := aigateway.MapSecrets{"v": {"n": "value", "blank": ""}}
	got, err := m.ResolveSecret(t.Context(), "v", "n")
	require.NoError(t, err)
	assert.Equal(t, "value", got)
	for _, ref := range [][2]string{{"v", "other"}, {"other", "n"}, {"v", "blank"}} {
		_, err := m.ResolveSecret(t.Context(), ref[0], ref[1])
		require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
	}
	_, err = aigateway.MapSecrets(nil).ResolveSecret(t.Context(), "v", "n")
	require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
}

func TestChainSecrets(t *testing.T) {
	type chain = aigateway.ChainSecrets
	outage := errors.New("store is down")
	broken := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return "half a va", outage })
	blank := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return "", nil })
	own := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
		return "", fmt.Errorf("attic: %w", aigateway.ErrSecretNotFound)
	})
	first := aigateway.MapSecrets{"v": {"a": "first"}}
	second := aigateway.MapSecrets{"v": {"a": "second", "b": "second"}}
	tests := map[string]struct {
		chain    chain
		name     string
		want     string
		err      string
		notFound bool
	}{
		"first has it":          {chain{first, second}, "a", "first", "", false},
		"second has it":         {chain{first, second}, "b", "second", "", false},
		"nil is passed over":    {chain{nil, second}, "b", "second", "", false},
		"blank is no answer":    {chain{blank, second}, "b", "second", "", false},
		"outage ends it":        {chain{broken, second}, "b", "", "store is down", false},
		"outage not reached":    {chain{second, broken}, "b", "second", "", false},
		"outage after a miss":   {chain{first, broken}, "b", "", "store is down", false},
		"none":                  {chain{first, own, aigateway.EnvSecrets{}}, "c", "", `secret not found: the map has no "c" in "v"; attic: secret not found; environment variable V_C is not set or empty`, true},
		"chains nest":           {chain{chain{first}, chain{second}}, "b", "second", "", false},
		"nested misses":         {chain{chain{first, second}, first}, "c", "", `"c" in "v"; the map has no "c" in "v"; the map`, true},
		"empty chain":           {nil, "a", "", "there is no store to look in", true},
		"chain of nothing":      {chain{nil}, "a", "", "there is no store to look in", true},
		"nothing in the blanks": {chain{blank}, "a", "", "is empty", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.chain.ResolveSecret(t.Context(), "v", tt.name)
			assert.Equal(t, tt.want, got)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
			assert.Equal(t, tt.notFound, errors.Is(err, aigateway.ErrSecretNotFound))
		})
	}
}

// store is a scripted secret store that counts its questions.
type store struct {
	calls  atomic.Int64
	answer atomic.Pointer[func(ctx context.Context) (string, error)]
}

func (s *store) ResolveSecret(ctx context.Context, _, _ string) (string, error) {
	s.calls.Add(1)
	return (*s.answer.Load())(ctx)
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

// cacheTest is one cache before a scripted store, in a bubble.
type cacheTest struct {
	*testing.T
	store *store
	cache *aigateway.SecretCache
}

const cacheTTL = time.Minute

func testCache(t *testing.T, test func(t cacheTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		test(cacheTest{t, s, aigateway.NewSecretCache(s, cacheTTL)})
	})
}

// pass lets time pass, which costs none in a bubble.
func pass(d time.Duration) { <-time.After(d) }

func (t cacheTest) want(value string, calls int64) {
	t.Helper()
	got, err := t.cache.ResolveSecret(t.Context(), "v", "n")
	require.NoError(t, err)
	assert.Equal(t, value, got)
	assert.Equal(t, calls, t.store.calls.Load(), "questions to the store")
}

func (t cacheTest) wantErr(want error, calls int64) {
	t.Helper()
	got, err := t.cache.ResolveSecret(t.Context(), "v", "n")
	require.ErrorIs(t, err, want)
	assert.Empty(t, got)
	assert.Equal(t, calls, t.store.calls.Load(), "questions to the store")
}

func (t cacheTest) wantRefresh(value string, calls int64) {
	t.Helper()
	got, err := t.cache.Refresh(t.Context(), "v", "n")
	require.NoError(t, err)
	assert.Equal(t, value, got)
	assert.Equal(t, calls, t.store.calls.Load(), "questions to the store")
}

func TestSecretCacheTimeToLive(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.has("two")
		pass(cacheTTL - 1)
		t.want("one", 1)
		pass(1)
		t.want("two", 2)
		t.want("two", 2)
	})
}

func TestSecretCacheDefaults(t *testing.T) {
	t.Setenv("V_N", "from the environment")
	synctest.Test(t, func(t *testing.T) {
		got, err := aigateway.NewSecretCache(nil, 0).ResolveSecret(t.Context(), "v", "n")
		require.NoError(t, err)
		assert.Equal(t, "from the environment", got)

		for _, ttl := range []time.Duration{0, -1} {
			s := &store{}
			s.has("one")
			c := cacheTest{t, s, aigateway.NewSecretCache(s, ttl)}
			c.want("one", 1)
			pass(5*time.Minute - 1)
			c.want("one", 1)
			pass(1)
			c.want("one", 2)
		}
	})
}

func TestSecretCacheServesLastGoodValue(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.fails(errors.New("store is down"))
		pass(cacheTTL)
		t.want("one", 2)
		pass(10*time.Second - 1)
		t.want("one", 2)
		pass(1)
		t.want("one", 3)
		pass(time.Hour)
		t.want("one", 4)
		t.store.has("two")
		pass(10 * time.Second)
		t.want("two", 5)
		pass(cacheTTL - 1)
		t.want("two", 5)
	})
}

func TestSecretCacheErrorIsRepeatedForASecond(t *testing.T) {
	testCache(t, func(t cacheTest) {
		outage := errors.New("store is down")
		t.store.fails(outage)
		t.wantErr(outage, 1)
		pass(time.Second - 1)
		t.wantErr(outage, 1)
		pass(1)
		t.wantErr(outage, 2)
		t.store.has("one")
		pass(time.Second)
		t.want("one", 3)
	})
}

func TestSecretCacheDeletedSecretIsGone(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.fails(fmt.Errorf("shelf: %w", aigateway.ErrSecretNotFound))
		pass(cacheTTL)
		t.wantErr(aigateway.ErrSecretNotFound, 2)
		t.store.fails(errors.New("store is down"))
		pass(time.Second)
		_, err := t.cache.ResolveSecret(t.Context(), "v", "n")
		require.ErrorContains(t, err, "store is down", "the deleted value must not come back")
		t.store.has("two")
		pass(time.Second)
		t.want("two", 4)
	})
}

func TestSecretCacheEmptyValueIsNone(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("")
		t.wantErr(aigateway.ErrSecretNotFound, 1)
	})
}

func TestSecretCacheAsksOnceForAll(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.takes(3*time.Second, "one")
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				got, err := t.cache.ResolveSecret(t.Context(), "v", "n")
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
		c := aigateway.NewSecretCache(aigateway.SecretResolverFunc(func(_ context.Context, vault, name string) (string, error) {
			if vault == "slow" {
				<-slow
			}
			return vault + "/" + name, nil
		}), 0)
		var one sync.WaitGroup
		one.Go(func() { _, _ = c.ResolveSecret(t.Context(), "slow", "n") })
		synctest.Wait()
		for _, ref := range [][2]string{{"a", "bc"}, {"ab", "c"}} {
			got, err := c.ResolveSecret(t.Context(), ref[0], ref[1])
			require.NoError(t, err)
			assert.Equal(t, ref[0]+"/"+ref[1], got)
		}
		close(slow)
		one.Wait()
	})
}

// The first request's end must not be the end of the question that others wait
// for.
func TestSecretCacheOutlivesTheFirstWaiter(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.takes(3*time.Second, "one")
		gone := errors.New("client gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		var first, second sync.WaitGroup
		first.Go(func() {
			_, err := t.cache.ResolveSecret(ctx, "v", "n")
			assert.ErrorIs(t, err, gone)
		})
		synctest.Wait()
		second.Go(func() { t.want("one", 1) })
		pass(time.Second)
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
		_, err := t.cache.ResolveSecret(ctx, "v", "n")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = t.cache.Refresh(ctx, "v", "n")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 2*time.Second, time.Since(start))
		pass(8 * time.Second)
		synctest.Wait()
		t.want("one", 1)
	})
}

func TestSecretCacheSilentStore(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.takes(time.Hour, "never")
		start := time.Now()
		_, err := t.cache.ResolveSecret(t.Context(), "v", "n")
		require.ErrorContains(t, err, "did not answer within 30s")
		assert.NotErrorIs(t, err, context.DeadlineExceeded, "it is not the request that timed out")
		assert.Equal(t, 30*time.Second, time.Since(start))
	})
}

// A store that has become slow may cost requests a second each, and none at all
// once it has been silent for a second.
func TestSecretCachePatience(t *testing.T) {
	testCache(t, func(t cacheTest) {
		t.store.has("one")
		t.want("one", 1)
		t.store.takes(5*time.Second, "two")
		pass(cacheTTL)
		start := time.Now()
		t.want("one", 2)
		assert.Equal(t, time.Second, time.Since(start))
		t.want("one", 2)
		assert.Equal(t, time.Second, time.Since(start))
		pass(4 * time.Second)
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
		pass(time.Second - 1)
		t.wantRefresh("one", 1)
		pass(1)
		t.wantRefresh("two", 2)
		t.want("two", 2)
		t.store.has("three")
		pass(cacheTTL - 1)
		t.want("two", 2)
		pass(1)
		t.want("three", 3)
		// That was no refresh, so it does not answer for one.
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
			got, err := t.cache.Refresh(t.Context(), "v", "n")
			require.ErrorIs(t, err, outage)
			assert.Empty(t, got)
			t.want("one", 2)
		}
		t.store.fails(aigateway.ErrSecretNotFound)
		pass(time.Second)
		_, err := t.cache.Refresh(t.Context(), "v", "n")
		require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
		t.wantErr(aigateway.ErrSecretNotFound, 3)
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
				pass(time.Duration(i) * time.Millisecond)
				got, err := t.cache.Refresh(t.Context(), "v", "n")
				assert.NoError(t, err)
				assert.Equal(t, "two", got)
			})
		}
		all.Wait()
		assert.Equal(t, int64(2), t.store.calls.Load())
	})
}

// A cache in front of a cache must refresh through both.
func TestSecretCacheRefreshReachesInnerCache(t *testing.T) {
	testCache(t, func(t cacheTest) {
		outer := aigateway.NewSecretCache(t.cache, time.Hour)
		t.store.has("one")
		got, err := outer.ResolveSecret(t.Context(), "v", "n")
		require.NoError(t, err)
		assert.Equal(t, "one", got)
		t.store.has("two")
		got, err = outer.Refresh(t.Context(), "v", "n")
		require.NoError(t, err)
		assert.Equal(t, "two", got)
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
				_, err := t.cache.ResolveSecret(t.Context(), "v", "n")
				require.ErrorContains(t, err, tt.err)
				assert.NotContains(t, err.Error(), "sk-proj")
				t.store.has("one")
				pass(time.Second)
				t.want("one", 2)
			})
		})
	}
}

// The names of secrets can come from requests, so the cache must not grow with
// them, and must not lose what is in use to names that do not exist.
func TestSecretCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		c := aigateway.NewSecretCache(aigateway.SecretResolverFunc(func(_ context.Context, vault, name string) (string, error) {
			calls.Add(1)
			if vault == "junk" {
				return "", aigateway.ErrSecretNotFound
			}
			return vault + name, nil
		}), 0)
		get := func(vault string, i int) {
			t.Helper()
			got, err := c.ResolveSecret(t.Context(), vault, fmt.Sprint(i))
			if vault == "junk" {
				require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
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

func TestSecretCacheFreshValueDoesNotAllocate(t *testing.T) {
	c := aigateway.NewSecretCache(aigateway.MapSecrets{"v": {"n": "value"}}, 0)
	ctx := t.Context()
	_, err := c.ResolveSecret(ctx, "v", "n")
	require.NoError(t, err)
	allocs := testing.AllocsPerRun(100, func() { _, _ = c.ResolveSecret(ctx, "v", "n") })
	assert.Zero(t, allocs)
}

func BenchmarkSecretCache(b *testing.B) {
	c := aigateway.NewSecretCache(aigateway.MapSecrets{"v": {"n": "value"}}, time.Hour)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.ResolveSecret(context.Background(), "v", "n"); err != nil {
				b.Error(err)
			}
		}
	})
}

var templateTests = []struct{ template, shown string }{
	{"", ""},
	{"sk-proj-literal", "…"},
	{"${secrets.get('a','b')}", "${secrets.get('a','b')}"},
	{"Bearer ${secrets.get('a','b')}", "…${secrets.get('a','b')}"},
	{"${req.host}/secret", "${req.host}…"},
	{"a${x}b${y}c", "…${x}…${y}…"},
	{"${x}${y}", "${x}${y}"},
	{"$${secret}", "…"},
	{"$${secret} ${x}", "…${x}"},
	{"$$${x}", "…"}, // "$" and then "$${", as read from the left
	{"$secret {x}", "…"},
	{"${unterminated", "…"},
	{"${x}${unterminated sk-secret", "${x}…"},
	{"${'unterminated} sk-secret", "…"},
	{"${'}'}sk-secret", "${'}'}…"},
	{`${'\'}'}sk-secret`, `${'\'}'}…`},
	{`${r'\'}sk-secret`, `${r'\'}…`},
	{`${bR'\'}sk-secret`, `${bR'\'}…`},
	{`${"""}"""}sk-secret`, `${"""}"""}…`},
	{"${'''\n}'''}sk-secret", "${'''\n}'''}…"},
	{"${'\n'}sk-secret", "…"},
	{"${{'a': {'b': 1}}['a']}sk-secret", "${{'a': {'b': 1}}['a']}…"},
	{"${x // }\n}sk-secret", "${x // }\n}…"},
	{"${x // }sk-secret", "…"},
	{"sé${x}ß", "…${x}…"},
}

func TestTemplateHidesLiterals(t *testing.T) {
	for _, tt := range templateTests {
		t.Run(tt.template, func(t *testing.T) {
			tmpl := aigateway.Template(tt.template)
			assert.Equal(t, tt.shown, tmpl.String())
			assert.Equal(t, tt.shown, fmt.Sprintf("%v", tmpl))
			assert.Equal(t, fmt.Sprintf("%q", tt.shown), tmpl.GoString())
			assert.Equal(t, fmt.Sprintf("%40q", tt.shown), fmt.Sprintf("%40q", tmpl))
			assert.Equal(t, tt.template, string(tmpl))
		})
	}
}

func FuzzTemplateString(f *testing.F) {
	for _, tt := range templateTests {
		f.Add(tt.template)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "…") {
			return // would be taken for a mark
		}
		shown := aigateway.Template(text).String()
		if !strings.Contains(text, "${") || !strings.Contains(text, "}") {
			assert.Equal(t, strings.Trim(shown, "…"), "")
		}
		for part := range strings.SplitSeq(shown, "…") {
			assert.Contains(t, text, part)
			if part != "" {
				assert.True(t, strings.HasPrefix(part, "${") && strings.HasSuffix(part, "}"), "%q", part)
			}
		}
	})
}

// TestNothingPrintsSecrets prints each exported type that can hold a secret in
// every way that a program might.
func TestNothingPrintsSecrets(t *testing.T) {
	const literal = "sk-proj-0123456789abcdef2315"
	provider := aigateway.Provider{
		ID:          "p",
		APIKeys:     []aigateway.APIKey{{Value: literal}},
		Headers:     map[string]aigateway.Template{"X-Key": "Bearer " + literal},
		QueryParams: map[string]aigateway.Template{"key": literal + "${req.id}"},
	}
	config := aigateway.Config{
		Providers:   []aigateway.Provider{provider},
		Headers:     map[string]aigateway.Template{"X-Key": literal},
		QueryParams: map[string]aigateway.Template{"key": literal},
		Secrets:     aigateway.ChainSecrets{aigateway.MapSecrets{"v": {"n": literal}}},
		Registry:    aigateway.StaticRegistry(provider),
	}
	cache := aigateway.NewSecretCache(aigateway.MapSecrets{"v": {"n": literal}}, 0)
	_, err := cache.ResolveSecret(t.Context(), "v", "n")
	require.NoError(t, err)

	values := map[string]any{
		"Template":       aigateway.Template(literal),
		"*Template":      new(aigateway.Template(literal)),
		"APIKey":         provider.APIKeys[0],
		"[]APIKey":       provider.APIKeys,
		"headers":        provider.Headers,
		"Provider":       provider,
		"*Provider":      &provider,
		"Config":         config,
		"*Config":        &config,
		"MapSecrets":     aigateway.MapSecrets{"v": {"n": literal}},
		"ChainSecrets":   aigateway.ChainSecrets{aigateway.MapSecrets{"v": {"n": literal}}, cache},
		"SecretCache":    cache,
		"StaticRegistry": aigateway.StaticRegistry(provider),
	}
	// The middle is what no redaction shows; as it is and as %x shows it.
	hidden := []string{"0123456789abcdef", hex.EncodeToString([]byte("0123456789abcdef")), base64.StdEncoding.EncodeToString([]byte(literal))[8:24]}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			var out []string
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%#q", "%x", "% X", "%d", "%t", "%U", "%40v", "%!"} {
				out = append(out, fmt.Sprintf(verb, v))
			}
			if text, err := json.Marshal(v); err == nil {
				out = append(out, string(text))
			}
			var logs bytes.Buffer
			slog.New(slog.NewTextHandler(&logs, nil)).Info("x", "v", v)
			slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "v", v)
			out = append(out, logs.String(), fmt.Sprint(v), fmt.Sprintln(v), fmt.Errorf("x: %v", v).Error())
			for _, text := range out {
				for _, h := range hidden {
					assert.NotContains(t, strings.ToLower(strings.ReplaceAll(text, " ", "")), strings.ToLower(h))
				}
			}
		})
	}

	assert.Equal(t, `map[v:map[n:sk-proj…2315]]`, fmt.Sprint(values["MapSecrets"]))
	assert.Equal(t, `map[string]map[string]string{"v":map[string]string{"n":"sk-proj…2315"}}`, fmt.Sprintf("%#v", values["MapSecrets"]))
	assert.Equal(t, fmt.Sprint(values["MapSecrets"]), values["MapSecrets"].(fmt.Stringer).String())
	assert.Equal(t, fmt.Sprintf("%#v", values["MapSecrets"]), values["MapSecrets"].(fmt.GoStringer).GoString())
	text, err := json.Marshal(provider)
	require.NoError(t, err)
	assert.JSONEq(t, `{"id":"p","api_keys":[{"value":"…"}],"headers":{"X-Key":"…"},"query_params":{"key":"…${req.id}"}}`, string(text))
}

// A Template reads from JSON as it is; what it writes is for eyes alone.
func TestTemplateReadsFromJSON(t *testing.T) {
	var key aigateway.APIKey
	require.NoError(t, json.Unmarshal([]byte(`{"value":"sk-literal"}`), &key))
	assert.Equal(t, "sk-literal", string(key.Value))
}

func ExampleChainSecrets() {
	// The files of a mount come before the environment.
	cfg := aigateway.Config{
		Secrets: aigateway.ChainSecrets{
			aigateway.DirSecrets("/run/secrets"),
			aigateway.EnvSecrets{},
		},
	}
	_, err := cfg.Secrets.ResolveSecret(context.Background(), "no-such-provider", "api-key")
	fmt.Println(err)
	// Output:
	// secret not found: file "/run/secrets/no-such-provider/api-key" does not exist; environment variable NO_SUCH_PROVIDER_API_KEY is not set or empty
}
