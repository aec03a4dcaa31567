package aigateway

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// BenchmarkSelection is what it takes to choose among models: by strategies that
// depend on the catalog alone, on metrics, and on the request. The first two
// must not grow with the catalog, as what they chose is remembered.
func BenchmarkSelection(b *testing.B) {
	kinds := []struct{ name, strategy string }{
		{"none", ""},
		{"static", "ai.models.filter(m, m.max_context_window > 1000).sortBy('price')"},
		{"metrics", "ai.models.filter(m, m.metrics.global.error_rate.total < 0.2).sortBy(m, m.metrics.global.latency.upstream_ms_p95)"},
		{"request", "ai.models.filter(m, m.provider_id == req.headers['x-provider'][0])"},
	}
	for _, kind := range kinds {
		for _, n := range []int{10, 100, 1_000, 10_000} {
			s, q := benchSettings(b, n, kind.strategy)
			ask := func(q query) {
				if p, err := s.choose(context.Background(), q); err != nil || len(p.candidates) == 0 {
					panic(err)
				}
			}
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ask(q)
				}
			})
			b.Run(fmt.Sprintf("%s/%d/parallel", kind.name, n), func(b *testing.B) {
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						ask(q)
					}
				})
			})
			b.Run(fmt.Sprintf("%s/%d/named", kind.name, n), func(b *testing.B) {
				named := q
				named.names = []string{fmt.Sprint("model-", n+1)}
				b.ReportAllocs()
				for b.Loop() {
					ask(named)
				}
			})
		}
	}
}

// benchSettings has n models at five providers, all of which were asked lately.
func benchSettings(b *testing.B, n int, strategy string) (*settings, query) {
	b.Helper()
	cfg := Config{Registry: NoRegistry()}
	if strategy != "" {
		cfg.ModelSelection.Strategy = []string{strategy}
	}
	for i := range 5 {
		p := Provider{ID: fmt.Sprint("p", i), BaseURL: "https://p.internal", APIKeys: []APIKey{{Value: "sk-0123456789"}}}
		for j := range n / 5 {
			price := float64(j % 17)
			// Each is at two of the providers.
			p.Models = append(p.Models, Model{ID: fmt.Sprint("model-", (i+1)/2*n+j), MaxContextWindow: 128_000, Pricing: &Pricing{Input: &price}})
		}
		cfg.Providers = append(cfg.Providers, p)
	}
	g, err := New(cfg)
	require.NoError(b, err)
	s := g.current.Load()
	for i, m := range s.listed {
		m.track.Begin()
		m.track.End(time.Now(), stats.Outcome{Upstream: time.Duration(i%100) * time.Millisecond, FirstToken: time.Millisecond, ProviderInput: 10, ProviderOutput: 10})
	}
	q := query{request: &expr.Request{Header: http.Header{"X-Provider": {"p1"}}}}
	q.surface, _ = s.surfaces.find("/v1/chat/completions")
	return s, q
}
