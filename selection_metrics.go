package aigateway

import (
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// metricsInterval is how old the metrics of a strategy may be. A choice made from
// them holds as long. It is short enough to follow requests in flight, and long
// enough to cost nothing under load.
const metricsInterval = 100 * time.Millisecond

// metrics is a snapshot of the models' measurements. A model is read when a
// strategy asks for it, and then keeps its figures.
type metrics struct {
	recorder *stats.Recorder
	at       time.Time
	models   sync.Map // *stats.Track to *expr.ModelMetrics
	keys     sync.Map // *stats.Track to *expr.Key
}

// newMetrics returns a source of snapshots.
func newMetrics(r *stats.Recorder) *stats.Snapshot[*metrics] {
	return stats.NewSnapshot(metricsInterval, func(now time.Time) *metrics {
		return &metrics{recorder: r, at: now}
	})
}

// of returns the metrics of a model. An unlisted model has no metrics, as nothing keeps
// a track for the names that clients make up until they are sent.
func (s *metrics) of(m *model) *expr.ModelMetrics {
	if m.track == nil {
		return nil
	}
	if v, ok := s.models.Load(m.track); ok {
		return v.(*expr.ModelMetrics)
	}
	scopes := s.recorder.Read(m.track, s.at)
	v := &expr.ModelMetrics{
		Global:   metricsView(scopes.Global),
		Region:   metricsView(scopes.Region),
		Account:  metricsView(scopes.Account),
		Endpoint: metricsView(scopes.Endpoint),
		APIKeys:  make(map[string]*expr.KeyMetrics, len(m.provider.keys)),
	}
	for _, k := range m.provider.keys {
		v.APIKeys[k.id] = s.ofKey(k).Metrics
	}
	s.models.Store(m.track, v)
	return v
}

// ofKey returns a key as strategies see it, with this gateway's measurements.
func (s *metrics) ofKey(k *apiKey) *expr.Key {
	if v, ok := s.keys.Load(k.track); ok {
		return v.(*expr.Key)
	}
	requests, tokens := k.track.Quota.Requests(s.at), k.track.Quota.Tokens(s.at)
	v, _ := s.keys.LoadOrStore(k.track, &expr.Key{ID: k.id, Metrics: &expr.KeyMetrics{
		Metrics: metricsView(k.track.Window(s.at)),
		Quota: expr.Quota{
			RemainingRequests: countView(requests.Remaining), LimitRequests: countView(requests.Limit),
			RemainingTokens: countView(tokens.Remaining), LimitTokens: countView(tokens.Limit),
		},
	}})
	return v.(*expr.Key)
}

// countView is a count for expressions. Nil: unknown.
func countView(c stats.Count) *int64 {
	if !c.Known {
		return nil
	}
	return &c.N
}

func metricsView(w stats.Window) expr.Metrics {
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
	}
}
