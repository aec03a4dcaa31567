package gatewayotel

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/aigateway-go/aigateway"
)

// scope names this package as the instrumentation's scope.
const scope = "github.com/aigateway-go/aigateway/contrib/otel"

// The spans' names until a request is over. The Result then tells the operation,
// and whether a model's name may be shown.
const (
	requestSpanName = "aigateway"
	attemptSpanName = "aigateway attempt"
)

// Options sets the destinations of traces and metrics. The zero Options work: they
// use the global providers, and propagate the trace to no upstream.
type Options struct {
	// TracerProvider makes the spans. If nil, the global one, also if it is set
	// later.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. If nil, the global one, also if it is set
	// later.
	MeterProvider metric.MeterProvider
	// Propagate lists the ids of providers that get the trace's headers, such as
	// one's own servers. It needs [Transport]. Case does not count. If empty, no
	// provider gets them.
	Propagate []string
	// Propagator writes the headers for those providers. If nil, only the W3C trace
	// context: baggage may hold facts not meant for a provider.
	Propagator propagation.TextMapPropagator
}

// Hooks returns hooks for [aigateway.Config] that trace and measure all requests of
// a gateway. Several gateways may share them. They may stay over
// [aigateway.Gateway.Reload], unless Options change. A later change of o.Propagate
// has no effect.
func Hooks(o Options) *aigateway.Hooks {
	ob := newObserver(o)
	return &aigateway.Hooks{
		RequestStart: ob.requestStart,
		AttemptStart: ob.attemptStart,
		AttemptDone:  ob.attemptDone,
		RequestDone:  ob.requestDone,
	}
}

// observer is shared by all requests. It does not change.
type observer struct {
	tracer     trace.Tracer
	meters     instruments
	propagate  map[string]bool // folded ids of providers
	propagator propagation.TextMapPropagator
}

func newObserver(o Options) *observer {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.Propagator == nil {
		o.Propagator = propagation.TraceContext{}
	}
	propagate := make(map[string]bool, len(o.Propagate))
	for _, id := range o.Propagate {
		propagate[strings.ToLower(id)] = true
	}
	return &observer{
		tracer:     o.TracerProvider.Tracer(scope),
		meters:     newInstruments(o.meter()),
		propagate:  propagate,
		propagator: o.Propagator,
	}
}

// meter returns the meter of all metrics.
func (o *Options) meter() metric.Meter {
	if o.MeterProvider == nil {
		return otel.GetMeterProvider().Meter(scope)
	}
	return o.MeterProvider.Meter(scope)
}

// request is one request on its way. The hooks of a request are called on one
// goroutine, so it needs no lock.
type request struct {
	start    time.Time
	span     trace.Span
	attempts []*attempt // by their Number, less one
}

// attempt is one attempt of a request. Its span ends with the request, at the time
// of the attempt's end: only the Result has its name.
type attempt struct {
	ctx       context.Context // with its span, for the metrics' exemplars
	span      trace.Span
	end       time.Time
	errorType string
}

type (
	requestKey struct{}
	attemptKey struct{}
)

// requestStart starts the request's span.
func (ob *observer) requestStart(ctx context.Context, _ aigateway.ClientRequest) context.Context {
	r := &request{start: time.Now()}
	ctx, r.span = ob.tracer.Start(ctx, requestSpanName, trace.WithTimestamp(r.start))
	return context.WithValue(ctx, requestKey{}, r)
}

// attemptStart starts an attempt's span. Provider and model are set at once, for
// samplers.
func (ob *observer) attemptStart(ctx context.Context, a aigateway.Attempt) context.Context {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return ctx // another's hooks replaced the context
	}
	at := &attempt{}
	ctx, at.span = ob.tracer.Start(ctx, attemptSpanName,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(providerName(a.Provider), requestModelKey.String(shortened(a.Model))))
	if ob.propagate[strings.ToLower(a.Provider)] {
		ctx = context.WithValue(ctx, propagatorKey{}, ob.propagator)
	}
	at.ctx = context.WithValue(ctx, attemptKey{}, at)
	r.attempts = append(r.attempts, at)
	return at.ctx
}

// attemptDone notes the end of an attempt, and the error of its context.
func (ob *observer) attemptDone(ctx context.Context, a aigateway.Attempt) {
	if at, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		at.end, at.errorType = time.Now(), attemptError(a, ctx.Err())
	}
}

// requestDone completes the spans and records the metrics.
func (ob *observer) requestDone(ctx context.Context, res *aigateway.Result) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return
	}
	operation, sent, labels := operationName(res.Surface), 0, ob.meters.labels.of(&res.Client)
	for i := range res.ModelsTried {
		tried := &res.ModelsTried[i]
		cause := noAttempt
		for j := range tried.RequestsMade {
			a := &tried.RequestsMade[j]
			if a.Number < 1 || a.Number > len(r.attempts) {
				continue
			}
			at := r.attempts[a.Number-1]
			cause = at.errorType
			c := call{operation: operation, stream: res.Client.Stream, model: metricModel(tried), cooldown: tried.CooldownMS, Attempt: a, errorType: at.errorType, labels: labels}
			ob.meters.attempt(at.ctx, c) //nolint:contextcheck // it comes from ctx, with the attempt's span
			at.finish(c)
			if wasSent(a.Kind) {
				sent++
			}
		}
		if i+1 < len(res.ModelsTried) {
			ob.meters.failover(ctx, operation, tried.Provider, res.ModelsTried[i+1].Provider, cause)
		}
	}
	ob.meters.request(ctx, operation, res, labels, time.Since(r.start))
	r.finish(operation, sent, res)
}

// metricModel is a model's name for metrics. Metrics must not grow with names that
// clients make up.
func metricModel(m *aigateway.TriedModel) string {
	if !m.Unlisted {
		return m.Model
	}
	return other
}

// finish completes an attempt's span. An attempt that was not sent is not an
// operation, and keeps its first name.
func (at *attempt) finish(c call) {
	if at.span.IsRecording() {
		if wasSent(c.Kind) {
			name := c.operation
			if c.model != other {
				name += " " + c.model // a span's name is to be of a bounded set, too
			}
			at.span.SetName(name)
		}
		at.span.SetAttributes(c.spanAttributes()...)
		if c.errorType != "" {
			at.span.SetStatus(codes.Error, c.Error)
		}
	}
	at.span.End(trace.WithTimestamp(at.end))
}

// finish completes the request's span.
func (r *request) finish(operation string, sent int, res *aigateway.Result) {
	if r.span.IsRecording() {
		r.span.SetName(requestSpanName + " " + operation)
		r.span.SetAttributes(requestAttributes(res, sent)...)
		if res.Error != nil {
			r.span.SetStatus(codes.Error, res.Error.Message)
		}
	}
	r.span.End()
}
