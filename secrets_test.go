package aigateway_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
			_, err := aigateway.EnvSecrets().ResolveSecret(t.Context(), tt.vault, tt.name)
			require.ErrorIs(t, err, aigateway.ErrSecretNotFound)
			assert.Contains(t, err.Error(), tt.variable+" is not set")

			t.Setenv(tt.variable, "")
			_, err = aigateway.EnvSecrets().ResolveSecret(t.Context(), tt.vault, tt.name)
			require.ErrorIs(t, err, aigateway.ErrSecretNotFound, "empty counts as not found")

			t.Setenv(tt.variable, "value \n")
			got, err := aigateway.EnvSecrets().ResolveSecret(t.Context(), tt.vault, tt.name)
			require.NoError(t, err)
			assert.Equal(t, "value \n", got)
		})
	}
}

func TestMapSecrets(t *testing.T) {
	m := aigateway.MapSecrets(map[string]map[string]string{"v": {"n": "value", "blank": ""}})
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
	chain := aigateway.ChainSecrets
	outage := errors.New("store is down")
	broken := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return "half a va", outage })
	blank := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return "", nil })
	own := aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
		return "", fmt.Errorf("attic: %w", aigateway.ErrSecretNotFound)
	})
	first := aigateway.MapSecrets(map[string]map[string]string{"v": {"a": "first"}})
	second := aigateway.MapSecrets(map[string]map[string]string{"v": {"a": "second", "b": "second"}})
	tests := map[string]struct {
		chain    aigateway.SecretResolver
		name     string
		want     string
		err      string
		notFound bool
	}{
		"first has it":          {chain(first, second), "a", "first", "", false},
		"second has it":         {chain(first, second), "b", "second", "", false},
		"nil is passed over":    {chain(nil, second), "b", "second", "", false},
		"blank is no answer":    {chain(blank, second), "b", "second", "", false},
		"outage ends it":        {chain(broken, second), "b", "", "store is down", false},
		"outage not reached":    {chain(second, broken), "b", "second", "", false},
		"outage after a miss":   {chain(first, broken), "b", "", "store is down", false},
		"none":                  {chain(first, own, aigateway.EnvSecrets()), "c", "", `secret not found: the map has no "c" in "v"; attic: secret not found; environment variable V_C is not set or empty`, true},
		"chains nest":           {chain(chain(first), chain(second)), "b", "second", "", false},
		"nested misses":         {chain(chain(first, second), first), "c", "", `"c" in "v"; the map has no "c" in "v"; the map`, true},
		"empty chain":           {chain(), "a", "", "there is no store to look in", true},
		"chain of nothing":      {chain(nil), "a", "", "there is no store to look in", true},
		"nothing in the blanks": {chain(blank), "a", "", "is empty", true},
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

func ExampleChainSecrets() {
	// The files of a mount come before the environment.
	cfg := aigateway.Config{
		Secrets: aigateway.ChainSecrets(
			aigateway.DirSecrets("/run/secrets"),
			aigateway.EnvSecrets(),
		),
	}
	_, err := cfg.Secrets.ResolveSecret(context.Background(), "no-such-provider", "api-key")
	fmt.Println(err)
	// Output:
	// secret not found: file "/run/secrets/no-such-provider/api-key" does not exist; environment variable NO_SUCH_PROVIDER_API_KEY is not set or empty
}

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

func TestSecretCacheDefaults(t *testing.T) {
	t.Setenv("V_N", "from the environment")
	synctest.Test(t, func(t *testing.T) {
		got, err := aigateway.NewSecretCache(nil, 0).ResolveSecret(t.Context(), "v", "n")
		require.NoError(t, err)
		assert.Equal(t, "from the environment", got)

		for _, ttl := range []time.Duration{0, -1} {
			calls := 0
			c := aigateway.NewSecretCache(aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
				calls++
				return "one", nil
			}), ttl)
			for _, want := range []struct {
				after time.Duration
				calls int
			}{{0, 1}, {5*time.Minute - 1, 1}, {1, 2}} {
				gatewaytest.Pass(want.after)
				_, err := c.ResolveSecret(t.Context(), "v", "n")
				require.NoError(t, err)
				assert.Equal(t, want.calls, calls)
			}
		}
	})
}

// A cache in front of a cache must refresh through both.
func TestSecretCacheRefreshReachesInnerCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		value := "one"
		inner := aigateway.NewSecretCache(aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
			return value, nil
		}), time.Minute)
		outer := aigateway.NewSecretCache(inner, time.Hour)
		got, err := outer.ResolveSecret(t.Context(), "v", "n")
		require.NoError(t, err)
		assert.Equal(t, "one", got)
		value = "two"
		got, err = outer.Refresh(t.Context(), "v", "n")
		require.NoError(t, err)
		assert.Equal(t, "two", got)
	})
}

func TestSecretCacheFreshValueDoesNotAllocate(t *testing.T) {
	c := aigateway.NewSecretCache(aigateway.MapSecrets(map[string]map[string]string{"v": {"n": "value"}}), 0)
	ctx := t.Context()
	_, err := c.ResolveSecret(ctx, "v", "n")
	require.NoError(t, err)
	allocs := testing.AllocsPerRun(100, func() { _, _ = c.ResolveSecret(ctx, "v", "n") })
	assert.Zero(t, allocs)
}

func BenchmarkSecretCache(b *testing.B) {
	c := aigateway.NewSecretCache(aigateway.MapSecrets(map[string]map[string]string{"v": {"n": "value"}}), time.Hour)
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

// TestNothingPrintsSecrets prints each exported type with a secret in every way
// of printing.
func TestNothingPrintsSecrets(t *testing.T) {
	const literal = "sk-proj-0123456789abcdef2315"
	provider := aigateway.Provider{
		ID:          "p",
		APIKeys:     []aigateway.APIKey{{Value: literal}},
		Headers:     map[string]aigateway.Template{"X-Key": "Bearer " + literal},
		QueryParams: map[string]aigateway.Template{"key": literal + "${req.id}"},
		Proxy:       "http://user:" + literal + "@proxy.example.com",
	}
	config := aigateway.Config{
		Providers:   []aigateway.Provider{provider},
		Headers:     map[string]aigateway.Template{"X-Key": literal},
		QueryParams: map[string]aigateway.Template{"key": literal},
		Secrets:     aigateway.ChainSecrets(aigateway.MapSecrets(map[string]map[string]string{"v": {"n": literal}})),
		Registry:    aigateway.StaticRegistry(provider),
	}
	cache := aigateway.NewSecretCache(aigateway.MapSecrets(map[string]map[string]string{"v": {"n": literal}}), 0)
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
		"MapSecrets":     aigateway.MapSecrets(map[string]map[string]string{"v": {"n": literal}}),
		"ChainSecrets":   aigateway.ChainSecrets(aigateway.MapSecrets(map[string]map[string]string{"v": {"n": literal}}), cache),
		"SecretCache":    cache,
		"StaticRegistry": aigateway.StaticRegistry(provider),
	}
	// fmt asks no methods of a pointer that it cannot print under a verb, unless the
	// pointer itself has them.
	whole := config
	whole.InternalEndpoints = map[string]string{"a.internal": "http://u:" + literal + "@127.0.0.1"}
	whole.Body = map[string]any{"user": literal, "deep": []any{map[string]any{"k": "x " + literal}, json.Number("1"), true, nil}, "typed": map[string]string{"k": literal}, "odd": &struct{ S string }{literal}}
	whole.Secrets = &struct {
		aigateway.SecretResolver
		Token string
	}{aigateway.EnvSecrets(), literal}
	whole.Providers = []aigateway.Provider{provider}
	whole.Providers[0].BaseURL = "https://p.example/?key=" + literal
	whole.Providers[0].Body = whole.Body
	whole.Providers[0].Metadata = map[string]any{"note": "with " + literal}
	key := &whole.Providers[0].APIKeys[0]
	for name, v := range map[string]any{
		"[]*Config": []*aigateway.Config{&whole}, "map of *Config": map[string]*aigateway.Config{"a": &whole},
		"struct of *Config": struct{ C *aigateway.Config }{&whole}, "*struct of Config": &struct{ C aigateway.Config }{whole},
		"[]any of *Config": []any{&whole, whole}, "**Config": new(&whole), "whole": whole,
		"[]*Provider": []*aigateway.Provider{&whole.Providers[0]}, "map of *Provider": map[string]*aigateway.Provider{"a": &whole.Providers[0]},
		"struct of *Provider": struct{ P *aigateway.Provider }{&whole.Providers[0]},
		"[]*APIKey":           []*aigateway.APIKey{key}, "map of *APIKey": map[int]*aigateway.APIKey{1: key}, "struct of *APIKey": struct{ K *aigateway.APIKey }{key},
		"[]*Template": []*aigateway.Template{&key.Value}, "struct of *Template": struct{ T *aigateway.Template }{&key.Value},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%#q", "%x", "% X", "%d", "%t", "%U", "%40v"} {
			text := strings.ToLower(strings.ReplaceAll(fmt.Sprintf(verb, v), " ", ""))
			assert.NotContains(t, text, "0123456789abcdef", "%s by %s", name, verb)
			assert.NotContains(t, text, hex.EncodeToString([]byte("0123456789abcdef")), "%s by %s", name, verb)
		}
	}
	for name, v := range map[string]any{
		"Config": whole, "[]*Config": []*aigateway.Config{&whole}, "Provider": whole.Providers[0], "map of *Provider": map[string]*aigateway.Provider{"a": &whole.Providers[0]},
		"StaticRegistry": aigateway.StaticRegistry(whole.Providers...),
	} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		var logs bytes.Buffer
		slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "v", v)
		assert.NotContains(t, string(text)+logs.String(), "0123456789abcdef", "%s in JSON", name)
		assert.Contains(t, logs.String(), `"id":"p"`, "%s in JSON", name)
	}
	for _, v := range []any{[]*aigateway.Config{nil}, []*aigateway.Provider{nil}, []*aigateway.APIKey{nil}} {
		assert.Equal(t, "[<nil>]", fmt.Sprintf("%s", v))
	}
	assert.Contains(t, fmt.Sprintf("%+v", whole), "MaxAttempts:0")
	assert.Contains(t, fmt.Sprintf("%+v", provider), "{ID:p IDAliases:[] BaseURL: APIKeys:[{Value:… Limits:")

	// Redaction never shows the middle: as it is, or in the form of %x.
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
	assert.JSONEq(t, `{"id":"p","api_keys":[{"value":"…"}],"headers":{"X-Key":"…"},"proxy":"http://…@proxy.example.com","query_params":{"key":"…${req.id}"}}`, string(text))
}

// A Template reads from JSON unchanged. Its output is only for eyes.
func TestTemplateReadsFromJSON(t *testing.T) {
	var key aigateway.APIKey
	require.NoError(t, json.Unmarshal([]byte(`{"value":"sk-literal"}`), &key))
	assert.Equal(t, "sk-literal", string(key.Value))
}
