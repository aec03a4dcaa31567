package suite_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestAttackExpressions burns time and memory in expressions, by the config and
// by the client's input.
func TestAttackExpressions(t *testing.T) {
	long := strings.Repeat("ab", 20_000)
	header := http.Header{
		"Content-Type": {"application/json"}, "X-Long": {long},
		"X-Pattern": {strings.Repeat("((((((a{1,9}){1,9}){1,9}){1,9}){1,9}){1,9})", 20) + "$"},
	}
	nest := func(n int, f func(string) string, x string) string {
		for range n {
			x = f(x)
		}
		return x
	}
	double := func(x string) string { return x + ".replace('a', 'aa').replace('b', 'bb')" }
	for _, c := range []struct {
		name, expr string
		refused    bool // by New
	}{
		{"a pattern of the client's", "req.headers['x-long'][0].matches(req.headers['x-pattern'][0])", false},
		{"a pattern that backtracks elsewhere", "req.headers['x-long'][0].matches('^(a|b|ab)*c$')", false},
		{"a pattern as large as it may be", "'x'.matches('((((((a{9}){9}){9}){9}){9}){9})')", true},
		{"text that doubles", nest(40, double, "req.headers['x-long'][0]") + " == ''", false},
		{"text that is added to itself", "[req.headers['x-long'][0]]" + strings.Repeat(".map(a, a + a)", 60) + ".size() == 0", false},
		{"lists within lists", nest(8, func(x string) string { return "[1,2,3,4,5,6,7,8,9].all(i, " + x + ")" }, "req.headers['x-long'][0].contains('c') || true"), false},
		{"a long expression", strings.Repeat("true && ", 5000) + "true", true},
		{"a deep expression", strings.Repeat("(", 3000) + "true" + strings.Repeat(")", 3000), true},
		{"a deep list", strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + " == []", true},
	} {
		for place, config := range map[string]func(*aigateway.Config){
			"strategy": func(cfg *aigateway.Config) {
				cfg.ModelSelection.Strategy = []string{"ai.models.filter(m, " + c.expr + ")", "ai.models"}
			},
			"template": func(cfg *aigateway.Config) {
				cfg.Headers = map[string]aigateway.Template{"X-A": aigateway.Template("${" + c.expr + "}")}
			},
			"key strategy": func(cfg *aigateway.Config) {
				cfg.APIKeySelection.Strategy = []string{"ai.keys.filter(k, " + c.expr + ")"}
			},
		} {
			t.Run(c.name+"/"+place, func(t *testing.T) {
				up := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hello"))
				cfg := aigateway.Config{
					Registry:          aigateway.NoRegistry(),
					Providers:         []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", APIKeys: []aigateway.APIKey{{Value: "sk-of-p"}}, Models: []aigateway.Model{{ID: "m"}}}},
					InternalEndpoints: map[string]string{"p.internal": up.URL},
				}
				config(&cfg)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				g, err := aigateway.New(cfg)
				if c.refused {
					require.Error(t, err)
				} else if err != nil {
					require.ErrorContains(t, err, "too many steps")
				} else {
					server := attackServeHandler(t, g)
					_, status, _ := attackDo(t, server+"/v1/chat/completions", `{"model":"m"}`, header)
					assert.Contains(t, []int{200, 400, 422, 503}, status)
				}
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				assert.Less(t, took, time.Minute, "without the cost limit it takes hours")
				assert.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(256), "MiB")
			})
		}
	}
}

// TestAttackForeignVault has a config from elsewhere ask for the secrets of
// others. The resolver decides which secrets a config may read: a map, a
// directory and a function can each hold to one vault.
func TestAttackForeignVault(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hello"))
	for _, expr := range []string{
		"${secrets.get('theirs', 'api-key')}",
		"${secrets.get('mine/../theirs', 'api-key')}",
		"${secrets.get('mine', '../theirs/api-key')}",
		"${secrets.get('', 'theirs/api-key')}",
		"${secrets.get('THEIRS', 'api-key')}",
		"${secrets.get(req.headers['x-vault'][0], 'api-key')}",
	} {
		dir := t.TempDir()
		for _, vault := range []string{"mine", "theirs"} {
			require.NoError(t, os.Mkdir(filepath.Join(dir, vault), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, vault, "api-key"), []byte("sk-"+vault), 0o600))
		}
		files := aigateway.DirSecrets(dir)
		gateway := testbed.Serve(t, aigateway.Config{
			Registry:          aigateway.NoRegistry(),
			Providers:         []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", APIKeys: []aigateway.APIKey{{Value: aigateway.Template(expr)}}, Models: []aigateway.Model{{ID: "m"}}}},
			InternalEndpoints: map[string]string{"p.internal": up.URL},
			Secrets: aigateway.SecretResolverFunc(func(ctx context.Context, vault, name string) (string, error) {
				if vault != "mine" {
					return "", aigateway.ErrSecretNotFound
				}
				return files.ResolveSecret(ctx, vault, name)
			}),
		})
		_, status, body := attackDo(t, gateway+"/v1/chat/completions", `{"model":"m"}`, http.Header{"Content-Type": {"application/json"}, "X-Vault": {"theirs"}})
		assert.Equal(t, 502, status, "%s: %s", expr, body)
		assert.NotContains(t, body, "theirs")
	}
	assert.Zero(t, up.Count())
}
