package expr

import (
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// ModelMetrics is a snapshot of how a model did lately, in four scopes.
//
// Endpoint holds the figures of this gateway. Region and Account hold those of all
// replicas with the same region and account, and Global those of all replicas.
type ModelMetrics struct {
	Global, Region, Account, Endpoint Metrics

	// APIKeys is keyed by [Key.ID]. It should hold every key of the model's
	// provider, used or not. Another id is a run-time error, so that a typo is
	// found.
	APIKeys map[string]*KeyMetrics
}

// KeyMetrics is a snapshot of one API key.
//
// Its Metrics cover the requests with this key. Its Quota is the latest answer's
// word.
type KeyMetrics struct {
	Metrics
	Quota Quota
}

// Metrics is one scope of a snapshot. Zero means not measured. A new metric
// needs a field here and a row in [metricTable].
//
// A percentile or average of nothing is 0 as well. A model without requests
// therefore looks fast, and gets the requests that measure it.
type Metrics struct {
	RequestCount int64
	InFlight     int64 // requests under way at the time of the snapshot
	CostUSD      float64
	Latency      Latency
	ErrorRate    ErrorRate
	Token        Tokens
}

// Latency holds milliseconds.
type Latency struct {
	UpstreamMsAvg, UpstreamMsP95                     float64
	GatewayMsAvg, GatewayMsP95                       float64
	TimeToFirstTokenMsAvg, TimeToFirstTokenMsP95     float64
	TimePerOutputTokenMsAvg, TimePerOutputTokenMsP95 float64
}

// ErrorRate holds fractions of all requests, from 0 to 1.
//
// Total is the sum of the four others.
type ErrorRate struct {
	Total, Timeout, RateLimit, Client, Server float64
}

// Tokens counts tokens. The provider's figures are as reported, the estimates
// as made before the request was sent.
type Tokens struct {
	ProviderInput, ProviderOutput, EstimatedInput, EstimatedOutput int64
}

// Quota is the provider's latest word on a key's limits. Nil is unknown.
type Quota struct {
	RemainingRequests, LimitRequests *int64
	RemainingTokens, LimitTokens     *int64
}

// metric is one figure of [Metrics]. Either count or real reads it. A row
// without a reader is the heading of a group.
type metric struct {
	name    string // below m.metrics.endpoint and k.metrics; a dot makes a group
	count   func(*Metrics) int64
	real    func(*Metrics) float64
	doc     string
	example string // an upper bound, for a predicate
}

// metricTable lists all metrics. The CEL types and the reference are made from
// it.
func metricTable() []metric {
	return []metric{
		{name: "request_count", count: func(m *Metrics) int64 { return m.RequestCount }, doc: "upstream requests that have ended", example: "1000"},
		{name: "in_flight", count: func(m *Metrics) int64 { return m.InFlight }, doc: "upstream requests under way when the snapshot was made", example: "20"},
		{name: "cost_usd", real: func(m *Metrics) float64 { return m.CostUSD }, doc: "cost of the requests in USD, as far as it is known", example: "5"},

		{name: "latency", doc: "in milliseconds, of answers and, where it fits, of timeouts"},
		{name: "latency.upstream_ms_avg", real: func(m *Metrics) float64 { return m.Latency.UpstreamMsAvg }, doc: "a whole attempt, on average", example: "1500"},
		{name: "latency.upstream_ms_p95", real: func(m *Metrics) float64 { return m.Latency.UpstreamMsP95 }, doc: "a whole attempt, 95th percentile", example: "2000"},
		{name: "latency.gateway_ms_avg", real: func(m *Metrics) float64 { return m.Latency.GatewayMsAvg }, doc: "time added by the gateway, on average", example: "10"},
		{name: "latency.gateway_ms_p95", real: func(m *Metrics) float64 { return m.Latency.GatewayMsP95 }, doc: "time added by the gateway, 95th percentile", example: "10"},
		{name: "latency.time_to_first_token_ms_avg", real: func(m *Metrics) float64 { return m.Latency.TimeToFirstTokenMsAvg }, doc: "from the start of an attempt to its first content, on average", example: "800"},
		{name: "latency.time_to_first_token_ms_p95", real: func(m *Metrics) float64 { return m.Latency.TimeToFirstTokenMsP95 }, doc: "from the start of an attempt to its first content, 95th percentile", example: "800"},
		{name: "latency.time_per_output_token_ms_avg", real: func(m *Metrics) float64 { return m.Latency.TimePerOutputTokenMsAvg }, doc: "between the tokens after the first, on average", example: "50"},
		{name: "latency.time_per_output_token_ms_p95", real: func(m *Metrics) float64 { return m.Latency.TimePerOutputTokenMsP95 }, doc: "between the tokens after the first, 95th percentile", example: "50"},

		{name: "error_rate", doc: "fractions of all requests, 0 to 1"},
		{name: "error_rate.total", real: func(m *Metrics) float64 { return m.ErrorRate.Total }, doc: "all failures", example: "0.05"},
		{name: "error_rate.timeout", real: func(m *Metrics) float64 { return m.ErrorRate.Timeout }, doc: "no answer in time", example: "0.05"},
		{name: "error_rate.rate_limit", real: func(m *Metrics) float64 { return m.ErrorRate.RateLimit }, doc: "status 429", example: "0.01"},
		{name: "error_rate.client", real: func(m *Metrics) float64 { return m.ErrorRate.Client }, doc: "failures that are the client's fault", example: "0.05"},
		{name: "error_rate.server", real: func(m *Metrics) float64 { return m.ErrorRate.Server }, doc: "all other failures", example: "0.05"},

		{name: "token", doc: "sums of tokens"},
		{name: "token.provider_input", count: func(m *Metrics) int64 { return m.Token.ProviderInput }, doc: "tokens of prompts, as the provider reported them", example: "1000000"},
		{name: "token.provider_output", count: func(m *Metrics) int64 { return m.Token.ProviderOutput }, doc: "tokens of answers, as the provider reported them", example: "1000000"},
		{name: "token.estimated_input", count: func(m *Metrics) int64 { return m.Token.EstimatedInput }, doc: "tokens of prompts, estimated by the gateway where one of its strategies asks for them", example: "1000000"},
		{name: "token.estimated_output", count: func(m *Metrics) int64 { return m.Token.EstimatedOutput }, doc: "tokens of answers, estimated by the gateway where one of its strategies asks for them", example: "1000000"},
	}
}

// isGroup reports whether a row is a heading, such as "latency".
func (m metric) isGroup() bool { return m.count == nil && m.real == nil }

// value reads the metric. Exactly one of count and real is set, see isGroup.
func (m metric) value(of *Metrics) any {
	if m.count != nil {
		return m.count(of)
	}
	return m.real(of)
}

// celType is int or double, or the type of the group.
func (m metric) celType() *types.Type {
	switch {
	case m.isGroup():
		return object(m.name)
	case m.count != nil:
		return cel.IntType
	}
	return cel.DoubleType
}

// metricGroup is a group of metrics as a value, such as m.metrics.global.latency.
//
// CEL walks m.metrics.global.latency.gateway_ms_avg one selection at a time. The
// group is the stop between the scope and its figure.
type metricGroup struct {
	name string
	of   *Metrics
}

// metricsTypes are the CEL types of metrics and quotas.
//
// Each row becomes a field of two types: of a scope of m.metrics, and of a key.
// A row in a group becomes a field of the group's type, common to both.
func metricsTypes() []*structType {
	var ofModel, ofKey []structField
	groups := map[string][]structField{}
	for _, m := range metricTable() {
		group, name, inGroup := strings.Cut(m.name, ".")
		switch {
		case inGroup:
			groups[group] = append(groups[group], field(name, m.celType(), func(g metricGroup) any { return m.value(g.of) }))
			continue
		case m.isGroup():
			ofModel = append(ofModel, field(group, m.celType(), func(v *Metrics) any { return metricGroup{group, v} }))
			ofKey = append(ofKey, field(group, m.celType(), func(k *KeyMetrics) any { return metricGroup{group, &k.Metrics} }))
		default:
			ofModel = append(ofModel, field(group, m.celType(), m.value))
			ofKey = append(ofKey, field(group, m.celType(), func(k *KeyMetrics) any { return m.value(&k.Metrics) }))
		}
	}
	ofKey = append(ofKey, field("quota", object("quota"), func(k *KeyMetrics) any { return &k.Quota }))
	count := cel.NullableType(cel.IntType)
	all := []*structType{
		newStructType("metrics", ofModel...),
		newStructType("key_metrics", ofKey...),
		newStructType("quota",
			field("remaining_requests", count, func(q *Quota) any { return nullable(q.RemainingRequests) }),
			field("limit_requests", count, func(q *Quota) any { return nullable(q.LimitRequests) }),
			field("remaining_tokens", count, func(q *Quota) any { return nullable(q.RemainingTokens) }),
			field("limit_tokens", count, func(q *Quota) any { return nullable(q.LimitTokens) }),
		),
	}
	for _, name := range sortedKeys(groups) {
		all = append(all, newStructType(name, groups[name]...))
	}
	return all
}
