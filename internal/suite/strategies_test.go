package suite_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// strategiesModels are the models of the reference's config, in its order.
const strategiesModels = "openai:gpt-4o openai:gpt-4o-mini anthropic:claude-sonnet-4-5 groq:llama-3.3-70b-versatile rack-a:llama3 rack-b:llama3"

// TestStrategiesOfREADME asks a gateway for the plan of each strategy in the
// README, for clients that name no model, one model, or several.
func TestStrategiesOfREADME(t *testing.T) {
	const (
		auto  = `{"model":"auto"}`
		racks = "rack-a:llama3 rack-b:llama3"
	)
	// Models outside the config's list are refused, unless a row needs them.
	tests := []struct {
		strategy, body, tier string
		want                 string // "!" and the code of the error
	}{
		{"Provider priority", auto, "", racks + " groq:llama-3.3-70b-versatile openai:gpt-4o openai:gpt-4o-mini anthropic:claude-sonnet-4-5"},
		{"Provider priority", `{"models":["gpt-4o","llama3"]}`, "", "openai:gpt-4o " + racks},

		{"Cost tiers", auto, "", "openai:gpt-4o-mini groq:llama-3.3-70b-versatile"},
		{"Cost tiers", `{"models":["claude-sonnet-4-5","gpt-4o","gpt-4o-mini"]}`, "", "anthropic:claude-sonnet-4-5 openai:gpt-4o openai:gpt-4o-mini"},
		{"Cost tiers", `{"model":"llama3"}`, "", racks},

		{"Cheapest under a limit", auto, "", "openai:gpt-4o-mini groq:llama-3.3-70b-versatile"},
		{"Cheapest under a limit", `{"model":"gpt-4o"}`, "", "!model_selection_empty"},
		{"Cheapest under a limit", `{"model":"llama3"}`, "", "!model_selection_empty"},

		// Nothing was measured, so all are equally fast and free of errors.
		{"Low latency", auto, "", strategiesModels},
		{"Low error rate", auto, "", strategiesModels},

		{"Features", auto, "", "openai:gpt-4o openai:gpt-4o-mini"},
		{"Features", `{"models":["llama3","gpt-4o-mini"]}`, "", "openai:gpt-4o-mini"},
		{"Vision", auto, "", "openai:gpt-4o anthropic:claude-sonnet-4-5"},
		{"Vision", `{"model":"gpt-4o-mini"}`, "", "!model_selection_empty"},

		{"Region", auto, "", racks},
		{"Region", `{"model":"claude-sonnet-4-5"}`, "", "anthropic:claude-sonnet-4-5"},
		{"Region", `{"model":"gpt-4o"}`, "", "!model_selection_empty"},

		{"Metadata", auto, "", "rack-a:llama3"},
		{"Metadata", `{"model":"gpt-mini"}`, "", "openai:gpt-4o-mini"},
		{"Metadata", `{"model":"rack-b:llama3"}`, "", "!model_selection_empty"},

		{"Known models only", auto, "", "openai:gpt-4o openai:gpt-4o-mini anthropic:claude-sonnet-4-5 groq:llama-3.3-70b-versatile"},
		{"Known models only", `{"model":"openai:gpt-next"}`, "", "!model_selection_empty"},

		{"Avoid a provider", auto, "", "anthropic:claude-sonnet-4-5 groq:llama-3.3-70b-versatile " + racks + " openai:gpt-4o openai:gpt-4o-mini"},
		{"Avoid a provider", `{"model":"gpt-4o"}`, "", "openai:gpt-4o"},

		{"Tiers with fallbacks", auto, "", "openai:gpt-4o anthropic:claude-sonnet-4-5 openai:gpt-4o-mini|anthropic:claude-sonnet-4-5 openai:gpt-4o openai:gpt-4o-mini"},
		{"Tiers with fallbacks", `{"model":"llama3"}`, "", racks},

		{"Balance over instances", auto, "", racks + "|rack-b:llama3 rack-a:llama3"},
		{"Balance over instances", `{"model":"llama3"}`, "", racks + "|rack-b:llama3 rack-a:llama3"},
		{"Balance over instances", `{"model":"gpt-4o"}`, "", "openai:gpt-4o"},

		{"By header", auto, "gold", "anthropic:claude-sonnet-4-5 openai:gpt-4o groq:llama-3.3-70b-versatile openai:gpt-4o-mini " + racks},
		{"By header", auto, "lead", "openai:gpt-4o-mini groq:llama-3.3-70b-versatile openai:gpt-4o anthropic:claude-sonnet-4-5 " + racks},
		{"By header", auto, "", "openai:gpt-4o-mini groq:llama-3.3-70b-versatile openai:gpt-4o anthropic:claude-sonnet-4-5 " + racks},
		{"By header", `{"models":["llama3","gpt-4o"]}`, "gold", racks + " openai:gpt-4o"},
	}
	shown, tested := strategiesOfREADME(t), map[string]bool{}
	for _, tt := range tests {
		tested[tt.strategy] = true
		t.Run(tt.strategy+"/"+tt.body+tt.tier, func(t *testing.T) {
			require.Contains(t, shown, tt.strategy)
			cfg := referenceConfig(t)
			cfg.ModelSelection = shown[tt.strategy]
			if strings.Contains(tt.body, "gpt-next") {
				cfg.OnlyAllowConfiguredModels, cfg.OnlyAllowConfiguredProviders = false, true
			}
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			wanted, got := map[string]bool{}, map[string]bool{}
			for order := range strings.SplitSeq(tt.want, "|") {
				wanted[order] = true
			}
			for range 1 + 40*(len(wanted)-1) { // for chance to show all of them
				got[strategiesTried(g, tt.body, tt.tier)] = true
			}
			assert.Equal(t, wanted, got)
		})
	}
	assert.Len(t, shown, len(tested), "a strategy of the README is not tested")
}

// TestStrategiesTiers: each strategy of a list serves the right clients.
func TestStrategiesTiers(t *testing.T) {
	shown := strategiesOfREADME(t)
	for _, tt := range []struct {
		strategy, model string
		turn            int // of the strategy that wins, from 1
	}{
		{"Cost tiers", "gpt-mini", 1},
		{"Cost tiers", "gpt-4o", 2},
		{"Cost tiers", "claude-sonnet-4-5", 3},
		{"Low latency", "auto", 1},
		{"Low error rate", "auto", 1},
		{"Region", "llama3", 1},
		{"Region", "claude-sonnet-4-5", 2},
		{"Metadata", "llama3", 1},
		{"Metadata", "gpt-4o", 2},
		{"Tiers with fallbacks", "claude-sonnet-4-5", 1},
		{"Tiers with fallbacks", "llama3", 2},
		{"Balance over instances", "llama3", 1},
		{"Balance over instances", "gpt-4o", 2},
	} {
		t.Run(tt.strategy+"/"+tt.model, func(t *testing.T) {
			cfg := referenceConfig(t)
			cfg.ModelSelection = shown[tt.strategy]
			runs := referenceExplain(t, cfg, tt.model).ModelSelection
			require.Len(t, runs, tt.turn)
			assert.NotEmpty(t, runs[tt.turn-1].ModelsToTry)
			assert.Equal(t, shown[tt.strategy].Strategy[tt.turn-1], runs[tt.turn-1].Strategy)
		})
	}
}

// TestStrategiesAndNames crosses the client's names (no, one or several names;
// known, unknown, passed through) with the kinds of strategies.
func TestStrategiesAndNames(t *testing.T) {
	const (
		a, b   = "rack-a:llama3", "rack-b:llama3"
		gpt    = "openai:gpt-4o"
		mini   = "openai:gpt-4o-mini"
		next   = "rack-a:llama4" // nobody lists it
		listed = "openai:gpt-4o openai:gpt-4o-mini anthropic:claude-sonnet-4-5 groq:llama-3.3-70b-versatile"
		empty  = "!model_selection_empty"
		nobody = "!no_matching_models"
	)
	columns := [][]string{
		nil,
		{"ai.models.sortBy(m, m.parameter_count)"}, // orders: of those in question, rack-a's is the largest
		{"ai.models.ignoreProviders('rack-a')"},    // leaves out
		{"ai.models[0]"},                           // picks one
		{"ai.models.filter(m, m.known)", "ai.models"},
		{"ai.models.filter(m, m.custom)", "ai.models.only('gpt-4o')"}, // may come back empty
	}
	for _, tt := range []struct {
		name, body string
		want       [6]string
	}{
		{"none", `{}`, [6]string{listed + " " + a + " " + b, listed + " " + b + " " + a, listed + " " + b, gpt, listed, a + " " + b}},
		{"auto among models is none", `{"model":"auto","models":["ngrok/auto"]}`,
			[6]string{listed + " " + a + " " + b, listed + " " + b + " " + a, listed + " " + b, gpt, listed, a + " " + b}},
		{"one at two providers", `{"model":"llama3"}`, [6]string{a + " " + b, b + " " + a, b, a, a + " " + b, a + " " + b}},
		{"one known", `{"model":"gpt-4o"}`, [6]string{gpt, gpt, gpt, gpt, gpt, gpt}},
		{"one that the last strategy has no room for", `{"model":"gpt-mini"}`, [6]string{mini, mini, mini, mini, mini, empty}},
		{"one with a prefix", `{"model":"RA:llama3"}`, [6]string{a, a, empty, a, a, a}},
		{"one passed through", `{"model":"rack-a:llama4"}`, [6]string{next, next, empty, next, next, empty}},
		{"one unknown", `{"model":"llama9"}`, [6]string{nobody, nobody, nobody, nobody, nobody, nobody}},
		{"several", `{"models":["llama3","gpt-4o"]}`,
			[6]string{a + " " + b + " " + gpt, b + " " + a + " " + gpt, b + " " + gpt, a + " " + gpt, a + " " + b + " " + gpt, a + " " + b + " " + gpt}},
		{"several, the other way round", `{"model":"gpt-4o","models":["llama3"]}`,
			[6]string{gpt + " " + a + " " + b, gpt + " " + b + " " + a, gpt + " " + b, gpt + " " + a, gpt + " " + a + " " + b, gpt + " " + a + " " + b}},
		{"several, some left out", `{"models":["rack-a:llama3","gpt-4o","gpt-mini"]}`,
			[6]string{a + " " + gpt + " " + mini, a + " " + gpt + " " + mini, gpt + " " + mini, a + " " + gpt + " " + mini, a + " " + gpt + " " + mini, a + " " + gpt}},
		{"several, one unknown", `{"models":["llama9","gpt-4o"]}`, [6]string{gpt, gpt, gpt, gpt, gpt, gpt}},
		{"several, one passed through", `{"models":["rack-a:llama4","llama3"]}`,
			[6]string{next + " " + a + " " + b, next + " " + b + " " + a, b, next + " " + a, next + " " + a + " " + b, a + " " + b}},
		{"several that mean the same", `{"model":"rack-b:llama3","models":["llama3"]}`, [6]string{b + " " + a, b + " " + a, b, b + " " + a, b + " " + a, b + " " + a}},
	} {
		for i, strategies := range columns {
			t.Run(fmt.Sprint(tt.name, strategies), func(t *testing.T) {
				g := strategiesGateway(t, strategies)
				assert.Equal(t, tt.want[i], strategiesTried(g, tt.body, ""))
			})
		}
	}
}

// TestStrategiesSpread draws with a seed, so the statistic is the same in each
// run. An even spread exceeds the bound once in a million.
func TestStrategiesSpread(t *testing.T) {
	const draws = 20000
	for _, tt := range []struct {
		name, strategy string
		models         int
		outcomes       int
		bound          float64 // of chi-squared with outcomes-1 degrees of freedom
	}{
		{"random", "ai.models.random()", 5, 5, 33.4},
		{"random of two", "ai.models.random()", 2, 2, 23.9},
		{"random of what a filter left", "ai.models.filter(m, m.id != 'm0').random()", 5, 4, 30.7},
		{"randomize, all orders", "ai.models.randomize()", 4, 24, 70.5},
		{"randomize, the first", "ai.models.randomize()[0]", 5, 5, 33.4},
		{"randomize, the last", "ai.models.randomize()[4]", 5, 5, 33.4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			strategy, problems := expr.CompileStrategy(tt.strategy)
			require.Empty(t, problems)
			in := expr.Input{Rand: rand.New(rand.NewPCG(1, 2)).IntN}
			for i := range tt.models {
				in.Models = append(in.Models, &expr.Model{ID: fmt.Sprint("m", i)})
			}
			counts := map[string]int{}
			for range draws {
				chosen, err := strategy.Eval(t.Context(), &in)
				require.NoError(t, err)
				var order strings.Builder
				for _, m := range chosen.Models {
					order.WriteString(m.ID)
				}
				counts[order.String()]++
			}
			require.Len(t, counts, tt.outcomes)
			chi, expected := 0.0, float64(draws)/float64(tt.outcomes)
			for _, n := range counts {
				chi += (float64(n) - expected) * (float64(n) - expected) / expected
			}
			assert.Less(t, chi, tt.bound)
		})
	}
}

// TestStrategiesAtOnce has many requests choose at the same time, for the race
// detector: each gets a model, and between them they get all.
func TestStrategiesAtOnce(t *testing.T) {
	for _, strategy := range []string{"ai.models.random()", "ai.models.randomize()", "ai.models.randomize().sortBy(m, m.metrics.global.in_flight)"} {
		g := strategiesGateway(t, []string{strategy})
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			first = map[string]int{}
		)
		for range 64 {
			wg.Go(func() {
				for range 10 {
					chosen, _, _ := strings.Cut(strategiesTried(g, `{}`, ""), " ")
					mu.Lock()
					first[chosen]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		assert.Len(t, first, 6, "%s: %v", strategy, first)
	}
}

// strategiesOfREADME are the README's strategies, by their titles.
func strategiesOfREADME(t *testing.T) map[string]aigateway.ModelSelection {
	t.Helper()
	text, err := os.ReadFile("../../docs/selection.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Cookbook\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	shown := map[string]aigateway.ModelSelection{}
	for _, m := range regexp.MustCompile("(?s)\\*\\*([^*]+)\\.\\*\\*[^`]*```yaml\n(.*?)```").FindAllStringSubmatch(section, -1) {
		cfg, err := aigateway.ParseConfig([]byte(m[2]))
		require.NoError(t, err, m[1])
		require.NotEmpty(t, cfg.ModelSelection.Strategy, m[1])
		shown[m[1]] = cfg.ModelSelection
	}
	assert.Len(t, shown, strings.Count(section, "```yaml"), "a strategy without a title")
	return shown
}

// strategiesGateway has only the models of the reference's config, those of the
// catalog in a registry. It takes other models behind a prefix.
func strategiesGateway(t *testing.T, strategies []string) *aigateway.Gateway {
	t.Helper()
	cfg := referenceConfig(t)
	cfg.OnlyAllowConfiguredModels = false
	cfg.ModelSelection.Strategy = strategies
	cfg.Registry = aigateway.ProviderRegistryFunc(func(context.Context) (known []aigateway.Provider, _ error) {
		for _, p := range cfg.Providers {
			if !strings.HasPrefix(p.ID, "rack-") {
				known = append(known, aigateway.Provider{ID: p.ID, BaseURL: "https://" + p.ID + ".internal", Models: p.Models})
			}
		}
		return known, nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g
}

// strategiesTried lists the plan, or "!" and the code of the error.
func strategiesTried(g *aigateway.Gateway, body, tier string) string {
	r := referenceRequest("")
	r.Header.Del("X-Tier")
	if tier != "" {
		r.Header.Set("X-Tier", tier)
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	res, err := g.Explain(r)
	if err != nil {
		return "!" + string(testbed.Code(err))
	}
	return strings.Join(testbed.Tried(res), " ")
}
