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

// selectionCosts are the strategies of the table in docs/performance.md.
var selectionCosts = []struct{ name, strategy string }{
	{"no strategy", ""},
	{"catalog only", "ai.models.filter(m, m.provider_id == 'p')"},
	{"random", "ai.models.filter(m, m.custom).random()"},
	{"random by weight", "ai.models.filter(m, m.custom).random(m, m.metadata.weight)"},
	{"header", "'x-tier' in req.headers && req.headers['x-tier'][0] == 'gold' ? ai.models.sortBy(m, -m.pricing.output) : ai.models.sortBy('price')"},
	{"metrics", "ai.models.sortBy(m, m.metrics.endpoint.latency.upstream_ms_avg)"},
	{"randomize", "ai.models.filter(m, m.custom).randomize()"},
	{"sticky", "ai.models.filter(m, m.custom).sticky(req.session)"},
	{"sticky with a bound", "ai.models.filter(m, m.custom).sticky(req.session, 1.5)"},
	{"least busy", "ai.models.filter(m, m.custom).leastBusy()"},
	{"predicate on the request", "ai.models.filter(m, m.provider_id == req.headers['x-provider'][0])"},
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

// BenchmarkNewWithStrategy measures the start of a gateway.
func BenchmarkNewWithStrategy(b *testing.B) {
	for b.Loop() {
		selectionGateway(b, "ai.models.filter(m, m.custom).sticky(req.session, 1.5)", 10)
	}
}

// selectionOf returns a function that chooses the models of a request.
func selectionOf(t testing.TB, strategy string, models int) func() {
	s := selectionGateway(t, strategy, models).current.Load()
	surface, _ := s.surfaces.find("/v1/chat/completions")
	q := query{surface: surface, request: &expr.Request{
		Header:  map[string][]string{"X-Tier": {"silver"}, "X-Provider": {"p"}},
		Session: func() string { return "7b1f0e7aa2c24d0f9c5d0b7cba1d2a10" },
	}}
	return func() {
		if _, err := s.selector.choose(context.Background(), q); err != nil {
			t.Fatal(err)
		}
	}
}

// selectionGateway has models at one provider, each with measurements.
func selectionGateway(t testing.TB, strategy string, models int) *Gateway {
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
	g, err := New(cfg)
	require.NoError(t, err)
	now := time.Now()
	for i, m := range g.current.Load().selector.listed {
		m.track.Begin()
		m.track.End(now, stats.Outcome{Upstream: time.Duration(i%97+1) * time.Millisecond})
	}
	return g
}
