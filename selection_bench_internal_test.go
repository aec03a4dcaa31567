package aigateway

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/section"
	"github.com/aigateway-go/aigateway/internal/stats"
)

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
		Header:  map[string][]string{"X-Tier": {"silver"}, "X-Provider": {"p"}, "X-Prefix": {"m-"}},
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
