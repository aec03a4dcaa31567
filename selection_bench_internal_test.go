package aigateway

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/stretchr/testify/require"
)

// BenchmarkSelection measures only selection, for requests in a row. A metric
// strategy is evaluated once a metricsInterval, by one request; "anew" is the
// cost to that request.
func BenchmarkSelection(b *testing.B) {
	for _, strategy := range []struct{ name, text string }{
		{"none", ""},
		{"static", "ai.models.filter(m, m.provider_id == 'p')"},
		{"metric", "ai.models.sortBy(m, m.metrics.endpoint.latency.upstream_ms_avg)"},
	} {
		for _, models := range []int{10, 1000, 10_000} {
			g := selectionGateway(b, strategy.text, models)
			s := g.current.Load()
			surface, _ := s.surfaces.find("/v1/chat/completions")
			q := query{surface: surface, request: &expr.Request{}}
			choose := func(b *testing.B) {
				if _, err := s.selector.choose(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(fmt.Sprintf("%s/%d/amortised", strategy.name, models), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					choose(b)
				}
			})
			b.Run(fmt.Sprintf("%s/%d/anew", strategy.name, models), func(b *testing.B) {
				for b.Loop() {
					s.selector.memo = memo{}
					s.selector.metrics = newMetrics(s.selector.recorder)
					choose(b)
				}
			})
		}
	}
}

// selectionGateway has models at one provider, each with measurements.
func selectionGateway(b *testing.B, strategy string, models int) *Gateway {
	p := Provider{ID: "p", BaseURL: "http://p.internal"}
	for i := range models {
		p.Models = append(p.Models, Model{ID: fmt.Sprintf("m-%d", i)})
	}
	cfg := Config{Providers: []Provider{p}, OnlyAllowConfiguredProviders: true}
	if strategy != "" {
		cfg.ModelSelection.Strategy = []string{strategy}
	}
	g, err := New(cfg)
	require.NoError(b, err)
	now := time.Now()
	for i, m := range g.current.Load().selector.listed {
		m.track.Begin()
		m.track.End(now, stats.Outcome{Upstream: time.Duration(i%97+1) * time.Millisecond})
	}
	return g
}
