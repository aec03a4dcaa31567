package expr

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkChoosing is the cost of a choice by a prepared strategy.
func BenchmarkChoosing(b *testing.B) {
	for _, row := range []struct{ name, expr string }{
		{"static", `ai.models.filter(m, m.custom)`},
		{"random", `ai.models.filter(m, m.custom).random()`},
		{"weighted random", `ai.models.filter(m, m.custom).random(m, m.metadata.weight)`},
		{"weighted random, native", `ai.models.filter(m, m.custom).random(m, m.max_context_window)`},
		{"sticky", `ai.models.filter(m, m.custom).sticky(req.session)`},
		{"sticky with a bound", `ai.models.filter(m, m.custom).sticky(req.session, 1.25)`},
		{"leastBusy", `ai.models.filter(m, m.custom).leastBusy()`},
		{"randomize", `ai.models.filter(m, m.custom).randomize()`},
		{"README header", `'x-tier' in req.headers && req.headers['x-tier'][0] == 'gold' ? ai.models.sortBy(m, -m.pricing.output) : ai.models.sortBy('price')`},
		{"by header", `ai.models.filter(m, m.provider_id == req.headers['x-team'][0])`},
		{"by header and more", `ai.models.filter(m, m.provider_id == req.headers['x-team'][0] && 'vision' in m.supported_features)`},
		{"request in predicate", `ai.models.filter(m, m.max_context_window >= req.ai.input_tokens && m.id.startsWith(req.headers['x-team'][0]))`},
		{"metadata by request", `ai.models.filter(m, m.metadata.tier == req.headers['x-tier'][0])`},
		{"features by header", `ai.models.filter(m, req.headers['x-team'].all(f, f in m.supported_features))`},
		{"able", `ai.models.able()`},
		{"metrics", `ai.models.sortBy(m, m.metrics.global.latency.upstream_ms_avg)`},
		{"metrics then random", `ai.models.filter(m, m.metrics.global.error_rate.total < 0.1).random()`},
	} {
		for _, n := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", row.name, n), func(b *testing.B) {
				in := benchInput(n)
				p := compiled(b, row.expr).Prepare(in)
				got, err := p.Eval(context.Background(), in)
				require.NoError(b, err)
				b.ReportMetric(float64(len(got.Models)), "chosen")
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.Eval(context.Background(), in); err != nil {
						b.Fatal(err)
					}
				}
				if n > 1000 {
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/model")
				}
			})
		}
	}
}

func benchInput(n int) *Input {
	in := &Input{
		Request:  &Request{Header: http.Header{"X-Tier": {"gold"}, "X-Team": {"p-7"}}, Session: func() string { return "session" }, AI: func() *RequestFacts { return &RequestFacts{InputTokens: 10} }},
		InFlight: func(i int) int64 { return int64(i % 5) },
		Snapshot: 1,
	}
	snapshot := &ModelMetrics{}
	in.Metrics = func(*Model) *ModelMetrics { return snapshot }
	for i := range 20 {
		in.Providers = append(in.Providers, &Provider{ID: fmt.Sprint("p-", i), Metadata: map[string]any{"tier": "gold"}})
	}
	for i := range n {
		in.Models = append(in.Models, &Model{
			ID: fmt.Sprint("m-", i), Provider: in.Providers[i%20], Custom: true, MaxContextWindow: int64(i + 100), SupportedFeatures: []string{"tool-calling", "vision"},
			Pricing: &Pricing{Input: ptr(float64(i % 97)), Output: ptr(float64(i % 89))}, Metadata: map[string]any{"weight": float64(i%3 + 1)},
		})
	}
	return in
}

// BenchmarkCompile is what a strategy costs when the configuration is read.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, problems := CompileStrategy(`'x-tier' in req.headers && req.headers['x-tier'][0] == 'gold' ? ai.models.filter(m, m.metadata.gpu == 'A100' && m.metrics.global.error_rate.total < 0.1).sortBy(m, -m.pricing.output) : ai.models.sortBy('price')`); problems != nil {
			b.Fatal(problems)
		}
	}
}
