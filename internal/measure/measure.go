// Package measure shows the measurements of models and keys to expressions: it translates
// the windows of internal/stats into the words of internal/expr. The two know nothing of
// each other.
package measure

import (
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// Snapshot holds measurements of one time. A model is read when a strategy asks for it,
// and then keeps its figures: a strategy sees the same ones from its first look to the
// end of the snapshot. It is safe for concurrent use.
type Snapshot struct {
	At       time.Time
	recorder *stats.Recorder
	models   sync.Map // *stats.Track to *expr.ModelMetrics
	keys     sync.Map // *stats.Track to *expr.Key
}

// NewSource returns a source of snapshots, each of which serves for an interval.
func NewSource(r *stats.Recorder, interval time.Duration) *stats.Snapshot[*Snapshot] {
	return stats.NewSnapshot(interval, func(now time.Time) *Snapshot { return &Snapshot{recorder: r, At: now} })
}

// Model returns the metrics of a model, or nil if the snapshot has not read it.
func (s *Snapshot) Model(track *stats.Track) *expr.ModelMetrics {
	if v, ok := s.models.Load(track); ok {
		return v.(*expr.ModelMetrics)
	}
	return nil
}

// Read reads a model. keys are the metrics of its provider's keys by id, and must not
// change afterwards.
func (s *Snapshot) Read(track *stats.Track, keys map[string]*expr.KeyMetrics) *expr.ModelMetrics {
	scopes := s.recorder.Read(track, s.At)
	v := &expr.ModelMetrics{
		Global:   Metrics(scopes.Global),
		Region:   Metrics(scopes.Region),
		Account:  Metrics(scopes.Account),
		Endpoint: Metrics(scopes.Endpoint),
		APIKeys:  keys,
	}
	// Two requests may read the same model at once. Both get figures of the same time.
	s.models.Store(track, v)
	return v
}

// Key returns a key as strategies see it, with this gateway's measurements.
func (s *Snapshot) Key(id string, track *stats.Track) *expr.Key {
	if v, ok := s.keys.Load(track); ok {
		return v.(*expr.Key)
	}
	requests, tokens := track.Quota.Requests(s.At), track.Quota.Tokens(s.At)
	v, _ := s.keys.LoadOrStore(track, &expr.Key{ID: id, Metrics: &expr.KeyMetrics{
		Metrics: Metrics(track.Window(s.At)),
		Quota: expr.Quota{
			RemainingRequests: Count(requests.Remaining), LimitRequests: Count(requests.Limit),
			RemainingTokens: Count(tokens.Remaining), LimitTokens: Count(tokens.Limit),
		},
	}})
	return v.(*expr.Key)
}

// Count is a count for expressions. Nil: unknown.
func Count(c stats.Count) *int64 {
	if !c.Known {
		return nil
	}
	return &c.N
}

// Metrics translates a window into the words of expressions.
func Metrics(w stats.Window) expr.Metrics {
	return expr.Metrics{
		RequestCount: w.Requests,
		InFlight:     w.InFlight,
		Latency: expr.Latency{
			UpstreamMsAvg: w.Upstream.Avg, UpstreamMsP95: w.Upstream.P95,
			GatewayMsAvg: w.Gateway.Avg, GatewayMsP95: w.Gateway.P95,
			TimeToFirstTokenMsAvg: w.FirstToken.Avg, TimeToFirstTokenMsP95: w.FirstToken.P95,
			TimePerOutputTokenMsAvg: w.PerOutputToken.Avg, TimePerOutputTokenMsP95: w.PerOutputToken.P95,
		},
		ErrorRate: expr.ErrorRate{
			Total: w.Errors.Total, Timeout: w.Errors.Timeout, RateLimit: w.Errors.RateLimit,
			Client: w.Errors.Client, Server: w.Errors.Server,
		},
		Token: expr.Tokens{
			ProviderInput: w.Tokens.ProviderInput, ProviderOutput: w.Tokens.ProviderOutput,
			EstimatedInput: w.Tokens.EstimatedInput, EstimatedOutput: w.Tokens.EstimatedOutput,
		},
		CostUSD: w.CostUSD,
	}
}
