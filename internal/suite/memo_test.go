package suite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// A remembered choice equals a new choice. Random strategies and requests, asked
// from several goroutines in any order, give the same as at a fresh gateway.
func TestMemoEqualsEvaluation(t *testing.T) {
	const seed, rounds, goroutines = 20261123, 16, 4
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		cfg := memoConfig(memoStrategies(random))
		requests := make([]memoRequest, 8)
		for i := range requests {
			requests[i] = memoRandomRequest(random)
		}
		want := make([]string, len(requests))
		for i, r := range requests {
			g, _ := memoGateway(t, cfg)
			want[i] = r.explained(g)
		}
		g, done := memoGateway(t, cfg)
		orders := make([][]int, goroutines)
		for i := range orders {
			orders[i] = append(random.Perm(len(requests)), random.Perm(len(requests))...)
		}
		var group sync.WaitGroup
		for n, order := range orders {
			group.Go(func() {
				for j, i := range order {
					if (n+j)%2 == 0 {
						assert.Equal(t, want[i], requests[i].explained(g), "round %d: %q: %+v", round, cfg.ModelSelection.Strategy, requests[i])
					} else {
						assert.Equal(t, want[i], requests[i].served(g, done), "round %d: %q: %+v", round, cfg.ModelSelection.Strategy, requests[i])
					}
				}
			})
		}
		group.Wait()
		if t.Failed() {
			return
		}
	}
}

// A choice by metrics holds for the tenth of a second of its snapshot, and then
// follows the metrics.
func TestMemoFollowsMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.ModelSelection.Strategy = []string{"ai.models.sortBy(m, m.metrics.endpoint.request_count)"}
		h := testbed.NewScripts(t, cfg)
		first := func() string {
			res, err := testbed.Explain(h.Gateway, "/v1/chat/completions", testbed.ChatRequest)
			require.NoError(t, err)
			return testbed.Tried(res)[0]
		}
		for range 3 {
			assert.Equal(t, "a:m", first())
			h.Walk(t, []testbed.Step{{0, "a1"}, {99 * time.Millisecond, "a1"}})
			assert.Equal(t, "a:m", first())
			gatewaytest.Pass(time.Millisecond)
			assert.Equal(t, "b:m", first())
			h.Walk(t, []testbed.Step{{0, "b1"}, {50 * time.Millisecond, "b1"}, {50 * time.Millisecond, "a1"}, {0, "a1"}, {100 * time.Millisecond, "b1"}, {0, "b1"}})
			gatewaytest.Pass(100 * time.Millisecond)
		}
	})
}

// A choice by the request or by chance is never remembered, even if only one of
// its strategies depends on them.
func TestMemoForgets(t *testing.T) {
	byHeader := "ai.models.filter(m, m.provider_id == req.headers['x-provider'][0])"
	for name, strategies := range map[string][]string{
		"alone":               {byHeader},
		"after a static one":  {"ai.models.only('nothing')", byHeader},
		"before a static one": {byHeader, "ai.models"},
		"in a branch":         {"ai.models.size() > 100 ? ai.models : " + byHeader},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := memoGateway(t, memoConfig(strategies))
			for range 3 {
				for _, p := range []string{"alpha", "beta", "gamma"} {
					res, err := g.Explain(memoRequest{body: `{"model":"llama"}`, provider: p}.http())
					require.NoError(t, err)
					assert.Equal(t, []string{p + ":llama-3-70b"}, testbed.Tried(res))
				}
			}
		})
	}
	for name, strategies := range map[string][]string{
		"random":    {"ai.models.random()"},
		"randomize": {"ai.models.randomize()"},
		"second":    {"ai.models.only('nothing')", "ai.models.randomize()[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := memoGateway(t, memoConfig(strategies))
			seen := map[string]int{}
			for range 200 {
				res, err := g.Explain(memoRequest{body: `{"model":"llama"}`}.http())
				require.NoError(t, err)
				seen[testbed.Tried(res)[0]]++
			}
			assert.Len(t, seen, 3) // of three the chance to miss one is 10^-35
		})
	}
}

// A client that leaves during its choice spoils the choice of no other client:
// an interrupted choice is not remembered.
func TestMemoOfClientGone(t *testing.T) {
	cfg := memoConfig([]string{"ai.models.filter(m, m.supported_features.exists(f, f == 'chat'))"})
	for i := range cfg.Providers[0].Models {
		cfg.Providers[0].Models[i].SupportedFeatures = []string{"chat"}
	}
	for i := range 60 { // enough for the evaluation to look at its context
		cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: fmt.Sprint("m", i), SupportedFeatures: []string{"chat"}})
	}
	want := len(cfg.Providers[0].Models)
	g, _ := memoGateway(t, cfg)
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err := g.Explain(memoRequest{body: `{}`}.http().WithContext(gone))
	require.Equal(t, aigateway.CodeClientGone, testbed.Code(err))
	res, err := g.Explain(memoRequest{body: `{}`}.http())
	require.NoError(t, err)
	assert.Len(t, testbed.Tried(res), want)
}

// A flood of names, known or unknown, changes no answer. The choice of a request
// without a name stays remembered: no strategy runs over a thousand models
// again.
func TestMemoUnderFlood(t *testing.T) {
	cfg := memoConfig([]string{"ai.models.filter(m, m.id.startsWith('model-')).sortBy(m, m.id)"})
	for i := range 1000 {
		cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: fmt.Sprintf("model-%d-abcdefghijklmnop", i)})
	}
	cfg.MaxAttempts = 1
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	request := func(name string) *http.Request { return memoRequest{body: fmt.Sprintf(`{"model":%q}`, name)}.http() }
	for i := range 5_000 { // more than are remembered
		name := []byte("model-7-abcdefghijklmnop")
		for bit := range 14 { // in 2^14 spellings
			if i>>bit&1 == 1 {
				name[8+bit] -= 'a' - 'A'
			}
		}
		g.ServeHTTP(httptest.NewRecorder(), request(string(name)))
		if i%500 == 0 {
			res, err := g.Explain(request(string(name)))
			require.NoError(t, err)
			require.Equal(t, []string{"alpha:model-7-abcdefghijklmnop"}, testbed.Tried(res))
			require.Equal(t, string(name), res.ModelSelection[0].ClientModel)
			g.ServeHTTP(httptest.NewRecorder(), request(fmt.Sprint("nobody-has-", i)))
		}
	}
	allocs := testing.AllocsPerRun(10, func() { g.ServeHTTP(httptest.NewRecorder(), request("")) })
	assert.Less(t, allocs, 1000.0, "to evaluate it anew takes some ten thousand")
}

// memoRequest is everything that a choice can depend on.
type memoRequest struct {
	body, provider, tier string
}

func (r memoRequest) http() *http.Request {
	req := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(r.body))
	if r.provider != "" {
		req.Header.Set("X-Provider", r.provider)
	}
	if r.tier != "" {
		req.Header.Set("X-Tier", r.tier)
	}
	return req
}

// explained asks for the plan.
func (r memoRequest) explained(g *aigateway.Gateway) string {
	res, _ := g.Explain(r.http())
	return memoStory(res)
}

// served has the request fail at each model in turn.
func (r memoRequest) served(g *aigateway.Gateway, done *sync.Map) string {
	req := r.http()
	id := fmt.Sprintf("r%d", rand.Uint64())
	req.Header.Set("X-Request-Id", id)
	g.ServeHTTP(httptest.NewRecorder(), req)
	res, _ := done.LoadAndDelete(id)
	return memoStory(res.(*aigateway.Result))
}

// memoStory is the part of a Result that selection decides.
func memoStory(res *aigateway.Result) string {
	code := ""
	if res.Error != nil && res.Error.Code != aigateway.CodeUpstreamError {
		code = string(res.Error.Code)
	}
	data, err := json.Marshal(map[string]any{
		"code": code, "tried": testbed.Tried(res), "runs": res.ModelSelection, "rejected": res.Client.RejectedModels,
	})
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// memoGateway is a gateway whose providers refuse every prompt: all candidates
// are tried, without cooldowns. The Results are kept by the ids of their
// requests.
func memoGateway(t *testing.T, cfg aigateway.Config) (*aigateway.Gateway, *sync.Map) {
	t.Helper()
	done := new(sync.Map)
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { done.Store(res.RequestID, res) }}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g, done
}

type memoRefusal struct{}

func (memoRefusal) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Body.Close()
	const body = `{"error":{"message":"no"}}`
	return &http.Response{
		StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func memoConfig(strategies []string) aigateway.Config {
	price := func(p float64) *aigateway.Pricing { return &aigateway.Pricing{Input: &p, Output: &p} }
	model := func(id string, size int, p *aigateway.Pricing, window int64) aigateway.Model {
		return aigateway.Model{ID: id, Metadata: map[string]any{"size": size}, Pricing: p, MaxContextWindow: window, AuthorID: strings.SplitN(id, "-", 2)[0]}
	}
	llama := func(size int, p *aigateway.Pricing) aigateway.Model {
		m := model("llama-3-70b", size, p, 128000)
		m.IDAliases, m.SupportedFeatures = []string{"llama", "llama-3"}, []string{"tool-calling"}
		return m
	}
	return aigateway.Config{
		Registry:    aigateway.NoRegistry(),
		Transport:   memoRefusal{},
		MaxAttempts: 100,
		Providers: []aigateway.Provider{
			{ID: "alpha", IDAliases: []string{"a"}, BaseURL: "https://alpha.internal", Metadata: map[string]any{"tier": "gold"},
				Models: []aigateway.Model{llama(70, price(0.9)), model("qwen-7b", 7, price(0.1), 32000), {ID: "plain"}}},
			{ID: "beta", BaseURL: "https://beta.internal", Models: []aigateway.Model{llama(69, price(0.6)), model("mistral-large", 123, nil, 64000)}},
			{ID: "gamma", BaseURL: "https://gamma.internal", Models: []aigateway.Model{llama(71, nil), model("qwen-72b", 72, price(0.4), 32000)}},
			{ID: "down", Disabled: true, BaseURL: "https://down.internal", Models: []aigateway.Model{llama(1, price(0))}},
		},
		ModelSelection: aigateway.ModelSelection{Strategy: strategies},
	}
}

// memoStrategies are one to three strategies of random pieces. They do not
// depend on chance, and the metrics in them never change here.
func memoStrategies(r *rand.Rand) []string {
	one := func(options ...string) string { return options[r.IntN(len(options))] }
	predicate := func() string {
		return one("m.provider_id == 'alpha'", "m.provider_id != 'beta'", "m.metadata.size > 50", "m.metadata.tier == 'gold'",
			"m.getMetadata('size') < 72", "m.max_context_window >= 64000", "m.pricing.input < 0.5", "m.id.startsWith('qwen')",
			"'tool-calling' in m.supported_features", "m.supported_features.exists(f, f == 'tool-calling')", "m.known", "m.custom",
			"m.metrics.endpoint.token.provider_output == 0", "m.metrics.global.latency.time_to_first_token_ms_avg > 1.0",
			"req.headers['x-tier'][0] == m.metadata.tier", "req.headers['x-provider'][0] == m.provider_id", "true", "false")
	}
	step := func() string {
		switch r.IntN(9) {
		case 0:
			return ".only(" + one("'llama'", "['qwen-7b', 'PLAIN']", "['llama', 'mistral-large']") + ")"
		case 1:
			return ".ignore(" + one("'llama'", "['qwen-72b']", "'plain'") + ")"
		case 2:
			return "." + one("onlyProviders", "ignoreProviders") + "(" + one("'alpha'", "['BETA', 'gamma']", "'a'") + ")"
		case 3:
			return ".sortBy(" + one("'price'", "m, m.metadata.size", "m, -m.max_context_window", "m, m.id", "m, m.metrics.endpoint.latency.upstream_ms_p95 < -1.0") + ")"
		case 4:
			return ".underCost('text.input', " + one("0.5", "1", "0") + ")"
		case 5:
			return "." + one("onlyAuthors", "ignoreAuthors") + "('qwen')"
		default:
			return ".filter(m, " + predicate() + one("", " && "+predicate(), " || "+predicate()) + ")"
		}
	}
	list := func() string {
		s := "ai.models"
		for range r.IntN(4) {
			s += step()
		}
		return s
	}
	strategies := make([]string, 1+r.IntN(3))
	for i := range strategies {
		switch r.IntN(6) {
		case 0:
			strategies[i] = list() + one("[0]", "[1]", "[7]")
		case 1:
			strategies[i] = one("'x-tier' in req.headers", "req.headers['x-tier'][0] == 'gold'", "ai.models.size() > 2", "req.url.path.endsWith('completions')") +
				" ? " + list() + " : " + list()
		case 2:
			strategies[i] = list() + " + " + list()
		case 3:
			strategies[i] = "ai.providers.get('beta').getModel('llama')"
		default:
			strategies[i] = list()
		}
	}
	return strategies
}

func memoRandomRequest(r *rand.Rand) memoRequest {
	one := func(options ...string) string { return options[r.IntN(len(options))] }
	name := func() string {
		return one("llama", "LLAMA-3", "llama-3-70b", "alpha:llama", "A:qwen-7b", "beta:unlisted", "qwen-7b", "plain", "Plain", "nobody", "down:llama", "auto", "")
	}
	body := map[string]any{"messages": []any{}}
	if r.IntN(4) > 0 {
		body["model"] = name()
	}
	if r.IntN(2) == 0 {
		names := make([]string, r.IntN(4))
		for i := range names {
			names[i] = name()
		}
		body["models"] = names
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return memoRequest{body: string(data), provider: one("", "alpha", "gamma"), tier: one("", "gold", "silver")}
}
