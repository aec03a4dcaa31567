package gatewayotel

import (
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"
)

type propagatorKey struct{}

// Transport returns a RoundTripper for [aigateway.Config].Transport. It sends the
// trace's headers to the providers in [Options].Propagate, and only to them: a
// trace's id would let a provider join different requests. It does nothing without
// [Hooks]. If base is nil, it is a transport of its own, made for many requests to
// few hosts.
//
// A gateway with a Transport no longer uses its own. Without that, it refuses unix
// sockets and [aigateway.PublicURLPolicy], and requests to .internal hosts go
// through the environment's proxy.
func Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           1024,
			MaxIdleConnsPerHost:    256, // the default of two would have most requests dial anew
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 256 << 10,
			DisableCompression:     true, // answers pass as they come
		}
	}
	return transport{base}
}

type transport struct{ base http.RoundTripper }

// RoundTrip sends a request, with the headers of its trace if its provider gets
// them.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if p, ok := ctx.Value(propagatorKey{}).(propagation.TextMapPropagator); ok {
		r = r.WithContext(ctx) // a RoundTripper must not change what it was given
		r.Header = r.Header.Clone()
		p.Inject(ctx, propagation.HeaderCarrier(r.Header))
	}
	return t.base.RoundTrip(r)
}
