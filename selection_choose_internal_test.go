package aigateway

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/section"
	"github.com/aigateway-go/aigateway/internal/stats"
)

var updateDocs = flag.Bool("update", false, "write the measured tables into the documents")

// cacheRows are the strategies of the table in docs/selection.md.
var cacheRows = []struct{ name, strategy string }{
	{"`random()`", "ai.models.random()"},
	{"`leastBusy()`", "ai.models.leastBusy()"},
	{"`sticky(req.session)`", "ai.models.sticky(req.session)"},
	{"`sticky(req.session, 2)`", "ai.models.sticky(req.session, 2)"},
}

// The simulation: 200 sessions over 4 instances. An instance answers a turn in
// cacheHit if it has served the turn before it, else in cacheMiss. It works on
// cacheSlots requests at a time; others wait. One session of twenty is ten times as
// busy as the others.
const (
	cacheInstances = 4
	cacheSessions  = 200
	cacheTurns     = 12
	cacheSlots     = 8
	cacheMiss      = 2 * time.Second
	cacheHit       = cacheMiss / 10
	cacheThinking  = 20 * time.Second
)

// cacheResult is the outcome of one simulation.
type cacheResult struct {
	hits     float64 // of all turns but the first ones
	mean     time.Duration
	slowest  time.Duration // of the slowest percent
	requests int
}

// TestPromptCache simulates the prompt caches of several instances. With -update
// it writes the table in docs/selection.md.
func TestPromptCache(t *testing.T) {
	results := make([]cacheResult, len(cacheRows))
	var table strings.Builder
	table.WriteString("| strategy | cache hits | mean | slowest 1 % |\n|---|---|---|---|\n")
	for i, row := range cacheRows {
		synctest.Test(t, func(t *testing.T) { results[i] = simulateCache(t, row.strategy) })
		r := results[i]
		fmt.Fprintf(&table, "| %s | %.0f %% | %.2f s | %.1f s |\n", row.name, 100*r.hits, r.mean.Seconds(), r.slowest.Seconds())
	}
	t.Log("\n" + table.String())
	random, busy, sticky, bound := results[0], results[1], results[2], results[3]
	assert.InDelta(t, 0.25, random.hits, 0.05, "one of four instances has the prefix")
	assert.Less(t, busy.hits, 0.5)
	assert.InDelta(t, 1, sticky.hits, 0.001)
	assert.Greater(t, bound.hits, 0.8)
	assert.Less(t, bound.mean, random.mean/2)
	assert.Less(t, sticky.mean, random.mean/2)
	if *updateDocs {
		require.NoError(t, section.Write("docs/selection.md", "cache", table.String()))
	}
	doc, err := os.ReadFile("docs/selection.md")
	require.NoError(t, err)
	shown, err := section.Text(string(doc), "cache")
	require.NoError(t, err)
	for _, row := range cacheRows {
		assert.Contains(t, shown, row.name)
	}
}

// cacheInstance is a provider with a prompt cache.
type cacheInstance struct {
	mu    sync.Mutex
	seen  map[string]bool // a session and its turn
	slots chan struct{}
}

func simulateCache(t *testing.T, strategy string) cacheResult {
	cfg := Config{Registry: NoRegistry(), ModelSelection: ModelSelection{Strategy: []string{strategy}}}
	instances := map[string]*cacheInstance{}
	for i := range cacheInstances {
		id := fmt.Sprintf("gpu-%d", i+1)
		cfg.Providers = append(cfg.Providers, Provider{ID: id, BaseURL: "http://" + id + ".internal", Models: []Model{{ID: "m"}}})
		instances[id+".internal"] = &cacheInstance{seen: map[string]bool{}, slots: make(chan struct{}, cacheSlots)}
	}
	var mu sync.Mutex
	hits, counted := 0, 0
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		in := instances[r.URL.Host]
		session := r.Header.Get("X-Stainless-Session")
		turn := 0
		fmt.Sscan(r.Header.Get("X-Stainless-Turn"), &turn)
		in.slots <- struct{}{}
		in.mu.Lock()
		hit := in.seen[fmt.Sprint(session, turn-1)]
		in.seen[fmt.Sprint(session, turn)] = true
		in.mu.Unlock()
		took := cacheMiss
		if hit {
			took = cacheHit
		}
		mu.Lock()
		if turn > 0 {
			counted++
			if hit {
				hits++
			}
		}
		mu.Unlock()
		<-time.After(took)
		<-in.slots
		body := `{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)), Request: r,
		}, nil
	})
	g, err := New(cfg)
	require.NoError(t, err)
	chance := rand.New(rand.NewPCG(1, 2))
	g.current.Load().selector.rand = func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return chance.IntN(n)
	}
	var all []time.Duration
	var wait sync.WaitGroup
	for i := range cacheSessions {
		wait.Go(func() {
			at := rand.New(rand.NewPCG(3, uint64(i)))
			thinking, turns := cacheThinking, cacheTurns
			if i%20 == 0 {
				thinking, turns = thinking/10, turns*10
			}
			<-time.After(time.Duration(at.Int64N(int64(cacheThinking))))
			for turn := range turns {
				r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`))
				r.Header.Set("X-Session-Id", fmt.Sprint(i))
				r.Header.Set("X-Stainless-Session", fmt.Sprint(i))
				r.Header.Set("X-Stainless-Turn", fmt.Sprint(turn))
				w := httptest.NewRecorder()
				begin := time.Now()
				g.ServeHTTP(w, r)
				assert.Equal(t, 200, w.Code)
				mu.Lock()
				all = append(all, time.Since(begin))
				mu.Unlock()
				<-time.After(time.Duration(at.ExpFloat64() * float64(thinking)))
			}
		})
	}
	wait.Wait()
	res := cacheResult{hits: float64(hits) / float64(counted), requests: len(all)}
	sum := time.Duration(0)
	for _, d := range all {
		sum += d
	}
	res.mean = sum / time.Duration(len(all))
	slices.Sort(all)
	res.slowest = all[len(all)*99/100]
	return res
}

// selectionCosts are the strategies of the table in docs/performance.md.
var selectionCosts = []struct{ name, strategy string }{
	{"none", ""},
	{"on the catalog: `filter(m, m.provider_id == 'p')`", "ai.models.filter(m, m.provider_id == 'p')"},
	{"on metrics: `sortBy(m, m.metrics…)`", "ai.models.sortBy(m, m.metrics.endpoint.latency.upstream_ms_avg)"},
	{"`filter(m, m.custom).random()`", "ai.models.filter(m, m.custom).random()"},
	{"`filter(m, m.custom).random(m, m.metadata.weight)`", "ai.models.filter(m, m.custom).random(m, m.metadata.weight)"},
	{"by header", "'x-tier' in req.headers && req.headers['x-tier'][0] == 'gold' ? ai.models.sortBy(m, -m.pricing.output) : ai.models.sortBy('price')"},
	{"`filter(m, m.provider_id == req.headers[…][0])`", "ai.models.filter(m, m.provider_id == req.headers['x-provider'][0])"},
	{"`filter(m, m.custom).randomize()`", "ai.models.filter(m, m.custom).randomize()"},
	{"`filter(m, m.custom).leastBusy()`", "ai.models.filter(m, m.custom).leastBusy()"},
	{"`filter(m, m.custom).sticky(req.session)`", "ai.models.filter(m, m.custom).sticky(req.session)"},
	{"`filter(m, m.custom).sticky(req.session, 1.5)`", "ai.models.filter(m, m.custom).sticky(req.session, 1.5)"},
	{"`filter(m, m.id.startsWith(req.headers[…][0]))`", "ai.models.filter(m, m.id.startsWith(req.headers['x-prefix'][0]))"},
}

// TestSelectionCosts runs each strategy of the table. With -update it measures them,
// and writes the table in docs/performance.md.
func TestSelectionCosts(t *testing.T) {
	sizes := []int{10, 100, 1000, 10_000}
	if !*updateDocs {
		sizes = sizes[:1]
	}
	var table strings.Builder
	table.WriteString("| strategy | 10 | 100 | 1,000 | 10,000 |\n|---|---|---|---|---|\n")
	for _, row := range selectionCosts {
		fmt.Fprintf(&table, "| %s |", row.name)
		for _, models := range sizes {
			choose := selectionOf(t, row.strategy, models)
			choose()
			if *updateDocs {
				fmt.Fprintf(&table, " %s |", microseconds(fastest(choose)))
			}
		}
		table.WriteString("\n")
	}
	if *updateDocs {
		require.NoError(t, section.Write("docs/performance.md", "selection", table.String()))
	}
	doc, err := os.ReadFile("docs/performance.md")
	require.NoError(t, err)
	shown, err := section.Text(string(doc), "selection")
	require.NoError(t, err)
	for _, row := range selectionCosts {
		assert.Contains(t, shown, "| "+row.name+" |")
	}
}

// fastest is the time of a call when nothing else is in its way: the least of many
// short measurements.
func fastest(f func()) time.Duration {
	least := time.Duration(math.MaxInt64)
	for range 200 {
		calls, begin := 0, time.Now()
		for time.Since(begin) < time.Millisecond {
			f()
			calls++
		}
		least = min(least, time.Since(begin)/time.Duration(calls))
	}
	return least
}

func microseconds(d time.Duration) string {
	us := float64(d.Nanoseconds()) / 1000
	if us < 10 {
		return fmt.Sprintf("%.1f µs", us)
	}
	return fmt.Sprintf("%.0f µs", us)
}

// BenchmarkSelection measures only selection, for requests in a row.
func BenchmarkSelection(b *testing.B) {
	for _, row := range selectionCosts {
		for _, models := range []int{10, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", row.name, models), func(b *testing.B) {
				choose := selectionOf(b, row.strategy, models)
				b.ReportAllocs()
				for b.Loop() {
					choose()
				}
			})
		}
	}
}

// BenchmarkSelectionAnew measures the one request that pays for a snapshot of the
// metrics.
func BenchmarkSelectionAnew(b *testing.B) {
	for _, models := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint(models), func(b *testing.B) {
			s := selectionGateway(b, "ai.models.sortBy(m, m.metrics.endpoint.latency.upstream_ms_avg)", models).current.Load()
			surface, _ := s.surfaces.find("/v1/chat/completions")
			for b.Loop() {
				s.selector.memo = memo{}
				s.selector.metrics = newMetrics(s.selector.recorder)
				if _, err := s.selector.choose(context.Background(), query{surface: surface, request: &expr.Request{}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNewWithStrategy measures the start of a gateway. A strategy adds little to
// it: the models take the time.
func BenchmarkNewWithStrategy(b *testing.B) {
	for _, models := range []int{10, 10_000} {
		for name, strategy := range map[string]string{"none": "", "sticky": "ai.models.filter(m, m.custom).sticky(req.session, 1.5)"} {
			cfg := selectionConfig(strategy, models)
			b.Run(fmt.Sprintf("%d/%s", models, name), func(b *testing.B) {
				for b.Loop() {
					_, err := New(cfg)
					require.NoError(b, err)
				}
			})
		}
	}
}

// selectionOf returns a function that chooses the models of a request.
func selectionOf(t testing.TB, strategy string, models int) func() {
	s := selectionGateway(t, strategy, models).current.Load()
	surface, _ := s.surfaces.find("/v1/chat/completions")
	q := query{surface: surface, request: &expr.Request{
		Header:  map[string][]string{"X-Tier": {"silver"}, "X-Provider": {"p"}, "X-Prefix": {"m-"}},
		Session: func() string { return "7b1f0e7aa2c24d0f9c5d0b7cba1d2a10" },
	}}
	return func() {
		if _, err := s.selector.choose(context.Background(), q); err != nil {
			t.Fatal(err)
		}
	}
}

// selectionConfig has models at one provider.
func selectionConfig(strategy string, models int) Config {
	p := Provider{ID: "p", BaseURL: "http://p.internal"}
	for i := range models {
		price := float64(i%97) / 10
		p.Models = append(p.Models, Model{
			ID: fmt.Sprintf("m-%d", i), Metadata: map[string]any{"weight": 1 + i%10}, Pricing: &Pricing{Input: &price, Output: &price},
		})
	}
	cfg := Config{Providers: []Provider{p}, OnlyAllowConfiguredProviders: true}
	if strategy != "" {
		cfg.ModelSelection.Strategy = []string{strategy}
	}
	return cfg
}

// selectionGateway has models at one provider, each with measurements.
func selectionGateway(t testing.TB, strategy string, models int) *Gateway {
	g, err := New(selectionConfig(strategy, models))
	require.NoError(t, err)
	now := time.Now()
	for i, m := range g.current.Load().selector.listed {
		m.track.Begin()
		m.track.End(now, stats.Outcome{Upstream: time.Duration(i%97+1) * time.Millisecond})
	}
	return g
}
