package gatewayotel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/aigateway-go/aigateway"
)

// instruments are the metrics. If a provider refuses to make an instrument, the
// error goes to the global error handler, and the instrument records nothing.
type instruments struct {
	operationDuration metric.Float64Histogram
	timeToFirstChunk  metric.Float64Histogram
	tokenUsage        metric.Int64Histogram
	requestDuration   metric.Float64Histogram
	attempts          metric.Int64Counter
	failovers         metric.Int64Counter
	cooldowns         metric.Int64Counter
	cost              metric.Float64Counter
	cachedTokens      metric.Int64Counter
	labels            *labelSet
}

func newInstruments(m metric.Meter) instruments {
	// The conventions' bounds for durations, in seconds.
	seconds := []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	tokens := []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
	return instruments{
		operationDuration: reported(m.Float64Histogram(operationDurationName,
			metric.WithUnit("s"), metric.WithDescription("Duration of an attempt at a provider."),
			metric.WithExplicitBucketBoundaries(seconds...))),
		timeToFirstChunk: reported(m.Float64Histogram(timeToFirstChunkName,
			metric.WithUnit("s"), metric.WithDescription("Time to the first content of a stream."),
			metric.WithExplicitBucketBoundaries(seconds...))),
		tokenUsage: reported(m.Int64Histogram(tokenUsageName,
			metric.WithUnit("{token}"), metric.WithDescription("Tokens that a provider reported for an attempt."),
			metric.WithExplicitBucketBoundaries(tokens...))),
		// Failover and long streams take a request past the conventions' last bound.
		requestDuration: reported(m.Float64Histogram(requestDurationName,
			metric.WithUnit("s"), metric.WithDescription("Duration of a request, with all its attempts."),
			metric.WithExplicitBucketBoundaries(append(seconds[:len(seconds):len(seconds)], 163.84, 327.68, 655.36)...))),
		attempts: reported(m.Int64Counter(attemptsName,
			metric.WithUnit("{attempt}"), metric.WithDescription("Attempts at providers, also those that came to nothing before they were sent."))),
		failovers: reported(m.Int64Counter(failoversName,
			metric.WithUnit("{failover}"), metric.WithDescription("Moves of a request from one model to the next."))),
		cooldowns: reported(m.Int64Counter(cooldownsName,
			metric.WithUnit("{cooldown}"), metric.WithDescription("Failures after which a key or a model is left alone for a while."))),
		cost: reported(m.Float64Counter(costName,
			metric.WithUnit("USD"), metric.WithDescription("Cost of attempts, where it is known."))),
		cachedTokens: reported(m.Int64Counter(cachedTokensName,
			metric.WithUnit("{token}"), metric.WithDescription("Input tokens that came from a provider's cache."))),
		labels: newLabelSet(),
	}
}

// reported passes an error to OpenTelemetry's error handler. The instrument beside
// an error does nothing.
func reported[T any](instrument T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

// attempt records the measurements of one attempt.
func (m *instruments) attempt(ctx context.Context, c call) {
	attrs := c.metricAttributes()
	// Tokens and time to first chunk have no error.type in the conventions: a
	// broken stream has cost its tokens all the same.
	if t := c.UpstreamLatency.TimeToFirstTokenMS; t > 0 {
		m.timeToFirstChunk.Record(ctx, t/1000, metric.WithAttributes(attrs...))
	}
	for _, usage := range []struct {
		kind string
		n    int64
	}{{"input", c.UpstreamInputTokens}, {"output", c.UpstreamOutputTokens}} {
		if usage.n > 0 { // zero where the provider reported none
			m.tokenUsage.Record(ctx, usage.n, metric.WithAttributes(attrs...), metric.WithAttributes(tokenTypeKey.String(usage.kind)))
		}
	}
	if u := c.Usage; u != nil && u.CachedInputTokens > 0 {
		m.cachedTokens.Add(ctx, u.CachedInputTokens, metric.WithAttributes(attrs...))
	}
	if c.Cost != nil && c.Cost.USD > 0 {
		m.cost.Add(ctx, c.Cost.USD.Float64(), metric.WithAttributes(attrs...), metric.WithAttributes(c.labels...))
	}
	set := metric.WithAttributes(withError(attrs, c.errorType)...)
	m.attempts.Add(ctx, 1, set)
	if wasSent(c.Kind) {
		m.operationDuration.Record(ctx, c.UpstreamLatency.TotalMS/1000, set)
	}
	if c.CooldownMS > 0 {
		// Without the operation: a cooldown holds for all operations.
		m.cooldowns.Add(ctx, 1, metric.WithAttributes(
			providerName(c.Provider), requestModelKey.String(c.model), semconv.ErrorTypeKey.String(c.errorType)))
	}
}

// failover counts a request's move from one model to the next, even at the same
// provider.
func (m *instruments) failover(ctx context.Context, operation, from, to, cause string) {
	m.failovers.Add(ctx, 1, metric.WithAttributes(
		operationNameKey.String(operation),
		providerName(from),
		nextProviderKey.String(providerName(to).Value.AsString()),
		semconv.ErrorTypeKey.String(cause)))
}

// request records the measurements of a whole request.
func (m *instruments) request(ctx context.Context, operation string, res *aigateway.Result, labels []attribute.KeyValue, d time.Duration) {
	attrs := []attribute.KeyValue{operationNameKey.String(operation)}
	if res.Error != nil {
		attrs = withError(attrs, string(res.Error.Code))
	}
	m.requestDuration.Record(ctx, d.Seconds(), metric.WithAttributes(attrs...), metric.WithAttributes(labels...))
}

func withError(attrs []attribute.KeyValue, class string) []attribute.KeyValue {
	if class == "" {
		return attrs
	}
	return append(attrs, semconv.ErrorTypeKey.String(class))
}
