package gatewayotel_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/baggage"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
)

// Only the providers that are named learn of the trace, and baggage stays.
func TestPropagation(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]http.Header{}
	record := func(next func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			seen[r.URL.Host] = r.Header
			return next(r)
		}
	}
	u := upstream{
		"first.example":       record(after(0, 503, jsonType, overloaded)),
		"second.example:8443": record(after(0, 200, jsonType, completion)),
	}
	for name, tt := range map[string]struct {
		propagate     []string
		first, second bool
	}{
		"nobody by default": {},
		"one":               {propagate: []string{"XAI"}, second: true},
		"both":              {propagate: []string{"openai", "xai"}, first: true, second: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, u, gatewayotel.Options{Propagate: tt.propagate})
			member, err := baggage.NewMember("user", "alice")
			require.NoError(t, err)
			bag, err := baggage.New(member)
			require.NoError(t, err)
			ctx := baggage.ContextWithBaggage(t.Context(), bag)
			require.Equal(t, 200, r.do(ctx, "/v1/chat/completions", `{"model":"gpt-4o","messages":[]}`))
			spans := r.ended()
			for i, want := range []struct {
				host string
				told bool
			}{{"first.example", tt.first}, {"second.example:8443", tt.second}} {
				got := ""
				if want.told {
					sc := spans[i].SpanContext()
					got = "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
				}
				assert.Equal(t, got, seen[want.host].Get("Traceparent"), want.host)
				assert.NotContains(t, seen[want.host], "Baggage")
			}
		})
	}
}

// A RoundTripper must not change the request that it was given.
func TestTransportChangesNoRequest(t *testing.T) {
	var given, sent *http.Request
	inner := gatewayotel.Transport(upstream{"mine.example": func(r *http.Request) (*http.Response, error) {
		sent = r
		return after(0, 200, jsonType, completion)(r)
	}})
	r := newHarness(t, nil, gatewayotel.Options{Propagate: []string{"mine"}}, func(cfg *aigateway.Config) {
		cfg.Transport = upstream{"mine.example": func(r *http.Request) (*http.Response, error) {
			given = r
			return inner.RoundTrip(r)
		}}
	})
	require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"house","messages":[]}`))
	assert.Contains(t, sent.Header, "Traceparent")
	assert.NotContains(t, given.Header, "Traceparent")
}

// Without a base, the transport brings one.
func TestTransportWithoutBase(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Traceparent")
		w.Header().Set("Content-Type", jsonType)
		_, err := io.WriteString(w, completion)
		assert.NoError(t, err)
	}))
	defer server.Close()
	r := newHarness(t, nil, gatewayotel.Options{Propagate: []string{"mine"}}, func(cfg *aigateway.Config) {
		cfg.Transport = gatewayotel.Transport(nil)
		cfg.URLPolicy = aigateway.LoopbackURLPolicy()
		cfg.Providers[2].BaseURL = server.URL
	})
	require.Equal(t, 200, r.do(t.Context(), "/v1/chat/completions", `{"model":"house","messages":[]}`))
	assert.Contains(t, <-got, r.ended()[0].SpanContext().TraceID().String())
}
