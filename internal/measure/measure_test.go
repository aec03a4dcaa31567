package measure_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/measure"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// TestMetrics gives every figure of a window its word.
func TestMetrics(t *testing.T) {
	w := stats.Window{Requests: 1, InFlight: 2, CostUSD: 3}
	w.Upstream.Avg, w.Upstream.P95 = 4, 5
	w.Gateway.Avg, w.Gateway.P95 = 6, 7
	w.FirstToken.Avg, w.FirstToken.P95 = 8, 9
	w.PerOutputToken.Avg, w.PerOutputToken.P95 = 10, 11
	w.Errors.Total, w.Errors.Timeout, w.Errors.RateLimit, w.Errors.Client, w.Errors.Server = 0.1, 0.2, 0.3, 0.4, 0.5
	w.Tokens.ProviderInput, w.Tokens.ProviderOutput, w.Tokens.EstimatedInput, w.Tokens.EstimatedOutput = 12, 13, 14, 15
	assert.Equal(t, expr.Metrics{
		RequestCount: 1, InFlight: 2, CostUSD: 3,
		Latency: expr.Latency{UpstreamMsAvg: 4, UpstreamMsP95: 5, GatewayMsAvg: 6, GatewayMsP95: 7,
			TimeToFirstTokenMsAvg: 8, TimeToFirstTokenMsP95: 9, TimePerOutputTokenMsAvg: 10, TimePerOutputTokenMsP95: 11},
		ErrorRate: expr.ErrorRate{Total: 0.1, Timeout: 0.2, RateLimit: 0.3, Client: 0.4, Server: 0.5},
		Token:     expr.Tokens{ProviderInput: 12, ProviderOutput: 13, EstimatedInput: 14, EstimatedOutput: 15},
	}, measure.Metrics(w))
}

// TestCount tells an unknown count from zero.
func TestCount(t *testing.T) {
	assert.Nil(t, measure.Count(stats.Count{N: 7}))
	zero := measure.Count(stats.Count{Known: true})
	if assert.NotNil(t, zero) {
		assert.Zero(t, *zero)
	}
}

// TestSnapshot keeps the figures of a model and of a key up to the next snapshot.
func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := stats.NewRecorder("", "")
		model, key := r.Model("p", "m"), r.Key("p", "k")
		source := measure.NewSource(r, time.Second)
		now := source.Get(time.Now())
		assert.Same(t, now, source.Get(time.Now()))
		assert.Equal(t, time.Now(), now.At)
		assert.Nil(t, now.Model(model), "not read yet")
		k := now.Key("k", key)
		assert.Equal(t, "k", k.ID)
		assert.Nil(t, k.Metrics.Quota.RemainingRequests)
		assert.Same(t, k, now.Key("k", key))
		read := now.Read(model, map[string]*expr.KeyMetrics{"k": k.Metrics})
		assert.Same(t, read, now.Model(model))
		assert.Same(t, k.Metrics, read.APIKeys["k"])
		assert.Zero(t, testing.AllocsPerRun(100, func() { now.Model(model); now.Key("k", key) }))
		<-time.After(2 * time.Second)
		assert.NotSame(t, now, source.Get(time.Now()))
	})
}
