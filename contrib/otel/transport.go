package gatewayotel

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
)

type propagatorKey struct{}

// Transport returns a RoundTripper for [aigateway.Config].Transport that tells
// the providers named in [Options].Propagate of the trace, by headers, and
// nobody else: a trace's id joins what a provider sees of different requests.
// It does nothing without [Hooks]. If base is nil, it is
// [http.DefaultTransport].
//
// A gateway with a Transport no longer uses its own, which is tuned for many
// requests to few hosts and without which it refuses unix sockets and
// [aigateway.PublicURLPolicy].
func Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return transport{base}
}

type transport struct{ base http.RoundTripper }

// RoundTrip sends a request, with the headers of its trace where they are asked
// for.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if p, ok := ctx.Value(propagatorKey{}).(propagation.TextMapPropagator); ok {
		r = r.WithContext(ctx) // a RoundTripper must not change what it was given
		r.Header = r.Header.Clone()
		p.Inject(ctx, propagation.HeaderCarrier(r.Header))
	}
	return t.base.RoundTrip(r)
}
