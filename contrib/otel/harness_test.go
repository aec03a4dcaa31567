package gatewayotel_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
)

// upstream stands for all providers: the answer depends only on the host.
type upstream map[string]func(*http.Request) (*http.Response, error)

func (u upstream) RoundTrip(r *http.Request) (*http.Response, error) { return u[r.URL.Host](r) }

// after answers when the time has come, or the request has ended.
func after(d time.Duration, status int, kind, body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {kind}}, ContentLength: -1,
			Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	}
}

const (
	jsonType   = "application/json"
	completion = `{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46}}`
	overloaded = `{"error":{"message":"overloaded","type":"server_error"}}`
	stream     = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n" +
		"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" +
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n"
)

// harness is a gateway with its spans and metrics.
type harness struct {
	t       *testing.T
	gateway *aigateway.Gateway
	spans   *tracetest.SpanRecorder
	reader  *metric.ManualReader
}

// newHarness makes a gateway with two providers of the catalog and one of its own,
// in this order: first.example and second.example both have gpt-4o.
func newHarness(t *testing.T, u upstream, o gatewayotel.Options, edit ...func(*aigateway.Config)) *harness {
	t.Helper()
	r := &harness{t: t, spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	o.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	o.MeterProvider = metric.NewMeterProvider(metric.WithReader(r.reader))
	cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - id: openai
    base_url: https://first.example/v1
    api_keys: [{value: sk-first-secret-0123456789}]
    query_params: {account: q-secret-0123456789}
  - id: xai
    base_url: https://second.example:8443/accounts/path-secret-0123456789
    api_keys: [{value: sk-second-secret-0123456789}]
    models: [{id: gpt-4o}, {id: grok-4}]
  - id: mine
    base_url: https://mine.example
    models: [{id: house}]
`))
	require.NoError(t, err)
	cfg.Hooks = gatewayotel.Hooks(o)
	cfg.Transport = gatewayotel.Transport(u)
	for _, f := range edit {
		f(&cfg)
	}
	r.gateway, err = aigateway.New(cfg)
	require.NoError(t, err)
	return r
}

// do sends a request and returns the answer's status.
func (r *harness) do(ctx context.Context, path, body string) int {
	r.t.Helper()
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Authorization", "Bearer client-secret-0123456789")
	req.Header.Set("X-Request-Id", "id-1")
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if v := recover(); v != nil {
				require.Equal(r.t, http.ErrAbortHandler, v)
			}
		}()
		r.gateway.ServeHTTP(w, req)
	}()
	return w.Code
}

// ended returns the spans by their end, the request's last.
func (r *harness) ended() []sdktrace.ReadOnlySpan {
	r.t.Helper()
	spans := r.spans.Ended()
	require.Len(r.t, r.spans.Started(), len(spans), "spans that never end")
	return spans
}

// metrics returns all points by metric and attributes: a histogram's sum and a
// counter's or gauge's value.
func (r *harness) metrics() map[string]map[string]float64 {
	r.t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(r.t, r.reader.Collect(context.Background(), &data))
	out := map[string]map[string]float64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			points := map[string]float64{}
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Sum[float64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = p.Value
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = p.Value
				}
			case metricdata.Histogram[int64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = float64(p.Sum)
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					points[labels(p.Attributes)] = p.Sum
				}
			default:
				r.t.Fatalf("%s is of kind %T", m.Name, d)
			}
			out[m.Name] = points
		}
	}
	return out
}

// told is all that anybody gets to read.
func (r *harness) told() string {
	r.t.Helper()
	var all strings.Builder
	for _, s := range r.ended() {
		all.WriteString(s.Name() + s.Status().Description)
		for _, kv := range s.Attributes() {
			all.WriteString(kv.Value.String() + "\n")
		}
	}
	for name, points := range r.metrics() {
		for labels := range points {
			all.WriteString(name + labels)
		}
	}
	return all.String()
}

func labels(set attribute.Set) string { return set.Encoded(attribute.DefaultEncoder()) }

func attrs(s sdktrace.ReadOnlySpan) map[string]any {
	out := map[string]any{}
	for _, kv := range s.Attributes() {
		out[string(kv.Key)] = kv.Value.AsInterface()
	}
	return out
}
