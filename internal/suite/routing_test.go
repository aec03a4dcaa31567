package suite_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// recipes are the configs under "Routing" in docs/selection.md, by their titles.
func recipes(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/selection.md")
	require.NoError(t, err)
	_, part, ok := strings.Cut(string(text), "\n## Routing\n")
	require.True(t, ok)
	part, _, _ = strings.Cut(part, "\n## ")
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?sm)^\\*\\*([^*\n]+)\\.\\*\\*.*?```yaml\n(.*?)```").FindAllStringSubmatch(part, -1) {
		found[m[1]] = m[2]
	}
	require.Len(t, found, strings.Count(part, "```yaml"), "a recipe without a title")
	return found
}

// cook is a gateway with a recipe.
type cook struct {
	*crowd
	cfg aigateway.Config
}

// share sends requests, and returns the share of each provider with its bound of
// five sigma.
func (c *cook) share(n int, want map[string]float64) {
	c.t.Helper()
	counts := map[string]int{}
	for range n {
		res, err := testbed.Explain(c.Gateway, "/v1/chat/completions", `{}`)
		require.NoError(c.t, err)
		counts[testbed.Tried(res)[0]]++
	}
	for model, p := range want {
		sigma := math.Sqrt(p * (1 - p) / float64(n))
		assert.InDelta(c.t, p, float64(counts[model])/float64(n), 5*sigma, "%s in %v", model, counts)
	}
}

// first returns the first candidate of a request.
func (c *cook) tried(body string, header ...string) string {
	c.t.Helper()
	c.Post("/v1/chat/completions", body, header...)
	res := c.Result()
	var all []string
	for _, m := range res.ModelsTried {
		all = append(all, m.Provider+":"+m.Model)
	}
	if res.Error != nil {
		all = append(all, "!"+string(res.Error.Code))
	}
	return strings.Join(all, " ")
}

const (
	cookText  = `{"messages":[{"role":"user","content":"hi"}]}`
	cookImage = `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]}`
	cookTools = `{"messages":[],"tools":[{"type":"function"}]}`
)

// TestRecipes runs each recipe of the document.
func TestRecipes(t *testing.T) {
	long := `{"max_tokens":100,"messages":[{"role":"user","content":"` + strings.Repeat("word ", 3000) + `"}]}`
	price := func(usd float64) *aigateway.Pricing { return &aigateway.Pricing{Input: &usd} }
	llamas := []aigateway.Provider{
		{ID: "rack-a", BaseURL: "http://rack-a.internal", Models: []aigateway.Model{{ID: "llama3"}}},
		{ID: "rack-b", BaseURL: "http://rack-b.internal", Models: []aigateway.Model{{ID: "llama3"}}},
	}
	one := func(models ...aigateway.Model) []aigateway.Provider {
		return []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", Models: models}}
	}
	tests := map[string]struct {
		providers []aigateway.Provider // nil: those of the recipe
		run       func(t *testing.T, c *cook)
	}{
		"Split 90 to 10": {llamas, func(_ *testing.T, c *cook) {
			c.share(4000, map[string]float64{"rack-a:llama3": .9, "rack-b:llama3": .1})
		}},
		"Canary of 1 %": {one(aigateway.Model{ID: "llama3"}, aigateway.Model{ID: "llama4"}), func(_ *testing.T, c *cook) {
			c.share(10000, map[string]float64{"p:llama4": .01})
		}},
		"Sticky sessions": {llamas, func(t *testing.T, c *cook) {
			seen := map[string]bool{}
			for i := range 20 {
				session := []string{"X-Session-Id", fmt.Sprint(i)}
				at := c.tried(cookText, session...)
				seen[at] = true
				assert.Equal(t, at, c.tried(cookText, session...))
			}
			assert.Len(t, seen, 2)
		}},
		"Sticky with a bound": {llamas, func(t *testing.T, c *cook) {
			at := c.tried(cookText, "X-Session-Id", "s")
			busy, _, _ := strings.Cut(at, ":")
			c.Set(busy, slow(time.Second))
			for range 2 {
				c.send(t.Context(), "busy", `{"model":"`+at+`"}`)
			}
			assert.NotEqual(t, at, c.tried(cookText, "X-Session-Id", "s"))
			gatewaytest.Pass(2 * time.Second)
			assert.Equal(t, at, c.tried(cookText, "X-Session-Id", "s"))
		}},
		"Tenant by header": {one(aigateway.Model{ID: "red", Metadata: map[string]any{"tenants": []any{"r1", "r2"}}}, aigateway.Model{ID: "all"}), func(t *testing.T, c *cook) {
			assert.Equal(t, "p:red", c.tried(cookText, "X-Tenant", "r2"))
			assert.Equal(t, "p:all", c.tried(cookText, "X-Tenant", "blue"))
			assert.Equal(t, "p:all", c.tried(cookText))
		}},
		"Larger context on overflow": {one(aigateway.Model{ID: "large", MaxContextWindow: 100000}, aigateway.Model{ID: "small", MaxContextWindow: 2000}), func(t *testing.T, c *cook) {
			assert.Equal(t, "p:small", c.tried(cookText))
			assert.Equal(t, "p:large", c.tried(long))
			c.Set("p", gatewaytest.KeyError(500, ""), gatewaytest.Chat("fine"))
			assert.Equal(t, "p:small p:large", c.tried(cookText))
		}},
		"Vision only for images": {one(aigateway.Model{ID: "seeing", InputModalities: []string{"text", "image"}}, aigateway.Model{ID: "blind", InputModalities: []string{"text"}}), func(t *testing.T, c *cook) {
			assert.Equal(t, "p:blind", c.tried(cookText))
			assert.Equal(t, "p:seeing", c.tried(cookImage))
		}},
		"Cheapest that is able": {one(
			aigateway.Model{ID: "dear", Pricing: price(5), SupportedFeatures: []string{"tool-calling"}, InputModalities: []string{"text", "image"}},
			aigateway.Model{ID: "cheap", Pricing: price(1), SupportedFeatures: []string{"streaming"}, InputModalities: []string{"text"}},
			aigateway.Model{ID: "middle", Pricing: price(2), SupportedFeatures: []string{"tool-calling"}, InputModalities: []string{"text"}},
		), func(t *testing.T, c *cook) {
			assert.Equal(t, "p:cheap", c.tried(cookText))
			assert.Equal(t, "p:middle", c.tried(cookTools))
			assert.Equal(t, "p:dear", c.tried(cookImage))
		}},
		"Least busy": {llamas, func(t *testing.T, c *cook) {
			c.Set("rack-a", slow(time.Second))
			c.send(t.Context(), "busy", `{"model":"rack-a:llama3"}`)
			for range 8 {
				assert.Equal(t, "rack-b:llama3", c.tried(cookText))
			}
		}},
		"Own GPU until it is full, then the cloud": {nil, func(t *testing.T, c *cook) {
			c.Set("rack-a", slow(4*time.Second))
			c.Set("cloud", slow(time.Second))
			for i := range 4 {
				c.send(t.Context(), fmt.Sprint(i), `{"model":"llama3"}`)
			}
			gatewaytest.Pass(1500 * time.Millisecond)
			assert.Equal(t, []string{"2 200"}, c.ended(), "two are at the rack, and one waits for the cloud")
			gatewaytest.Pass(4 * time.Second)
			assert.ElementsMatch(t, []string{"0 200", "1 200", "3 200"}, c.ended())
		}},
		"A name of your own, with fallbacks": {nil, func(t *testing.T, c *cook) {
			assert.Equal(t, "rack-a:llama3", c.tried(`{"model":"chat"}`))
			c.Set("rack-a", gatewaytest.KeyError(500, ""))
			assert.Equal(t, "rack-a:llama3 cloud:llama3", c.tried(`{"model":"chat"}`))
		}},
	}
	shown := recipes(t)
	assert.Len(t, tests, len(shown), "a recipe is not tested")
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			require.Contains(t, shown, title)
			synctest.Test(t, func(t *testing.T) {
				cfg, err := aigateway.ParseConfig([]byte(strings.ReplaceAll(shown[title], "https://cloud.example.com/v1", "http://cloud.internal")))
				require.NoError(t, err)
				cfg.Registry = aigateway.NoRegistry()
				if tt.providers != nil {
					cfg.Providers = tt.providers
				}
				tt.run(t, &cook{newCrowd(t, cfg), cfg})
			})
		})
	}
}

// Two instances of 400 ms and 20 ms get 150 requests, 4 ms apart: the chosen one
// never has more in flight than the other, and the slow one never holds more than 6.
func TestLeastBusyInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(0, "slow", "fast")
		cfg.ModelSelection.Strategy = []string{"ai.models.leastBusy()"}
		inFlight, most := map[string]int{}, map[string]int{}
		c := newCrowd(t, cfg)
		// Ends are off the beat of the requests: what ends at the very moment of a
		// choice may or may not count.
		for id, took := range map[string]time.Duration{"slow": 400*time.Millisecond + time.Microsecond, "fast": 20*time.Millisecond + time.Microsecond} {
			c.Set(id, func(w http.ResponseWriter, r *http.Request) {
				c.mu.Lock()
				other := inFlight["slow"] + inFlight["fast"] - inFlight[id]
				assert.LessOrEqual(t, inFlight[id], other)
				inFlight[id]++
				most[id] = max(most[id], inFlight[id])
				c.mu.Unlock()
				gatewaytest.Pass(took)
				c.mu.Lock()
				inFlight[id]--
				c.mu.Unlock()
				gatewaytest.Chat("hi")(w, r)
			})
		}
		for i := range 150 {
			c.send(t.Context(), fmt.Sprint(i), testbed.ChatRequest)
			gatewaytest.Pass(4 * time.Millisecond)
		}
		gatewaytest.Pass(time.Second)
		assert.Len(t, c.ended(), 150)
		assert.LessOrEqual(t, most["slow"], 6)
		assert.GreaterOrEqual(t, most["slow"], 4)
	})
}

// Of n instances, one that joins or leaves moves 1/n of the sessions, and all
// replicas send a session to the same one.
func TestStickyIsConsistent(t *testing.T) {
	const sessions = 3000
	place := func(n int) []string {
		cfg := testbed.Config(0, strings.Fields("a b c d e f g h")[:n]...)
		cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.headers['x-key'][0])"}
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		at := make([]string, sessions)
		for i := range at {
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`))
			r.Header.Set("X-Key", fmt.Sprint("session ", i))
			res, err := g.Explain(r)
			require.NoError(t, err)
			at[i] = testbed.Tried(res)[0]
		}
		return at
	}
	four, again, five := place(4), place(4), place(5)
	assert.Equal(t, four, again)
	assert.Equal(t, strings.Fields("c:m d:m c:m a:m c:m d:m b:m b:m a:m a:m d:m b:m"), four[:12], "the order must not change in any version")
	moved, counts := 0, map[string]int{}
	for i := range four {
		counts[four[i]]++
		if four[i] != five[i] {
			moved++
			assert.Equal(t, "e:m", five[i], "only to the new one")
		}
	}
	share := func(p float64, n int, what string) {
		assert.InDelta(t, p, float64(n)/sessions, 5*math.Sqrt(p*(1-p)/sessions), what)
	}
	share(.2, moved, "moved")
	for id, n := range counts {
		share(.25, n, id)
	}
}
