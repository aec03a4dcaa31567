package gatewayotel_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/faultwall"
)

func TestNoSecrets(t *testing.T) {
	r := newHarness(t, upstream{
		"first.example":       after(0, 401, jsonType, `{"error":{"message":"bad key sk-first-secret-0123456789"}}`),
		"second.example:8443": after(0, 500, jsonType, overloaded),
	}, gatewayotel.Options{})
	r.do(t.Context(), "/v1/chat/completions?key=client-secret-0123456789", `{"model":"gpt-4o","messages":[{"role":"user","content":"prompt-secret-0123456789"}]}`)
	all := r.told()
	assert.NotContains(t, all, "secret-0123456789")
	assert.Contains(t, all, "second.example", "the test looks at something")
}

// Nor where a provider tells all that it was sent, in every way that it can fail.
func TestNoSecretsOfFaults(t *testing.T) {
	r := &harness{t: t, spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	hooks := gatewayotel.Hooks(gatewayotel.Options{
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans)),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(r.reader)),
	})
	open := func(setup faultwall.Setup) (http.Handler, error) {
		cfg, err := aigateway.ParseConfig(setup.Config)
		if err != nil {
			return nil, err
		}
		if setup.Secret != nil {
			cfg.Secrets = aigateway.SecretResolverFunc(func(ctx context.Context, _, _ string) (string, error) { return setup.Secret(ctx) })
		}
		cfg.Registry, cfg.Transport = aigateway.NoRegistry(), setup.Transport
		mine := *hooks
		mine.RequestDone = func(ctx context.Context, res *aigateway.Result) {
			hooks.RequestDone(ctx, res)
			setup.Done([]byte("{}"))
		}
		cfg.Hooks = &mine
		return aigateway.New(cfg)
	}
	places := make(chan struct{}, 20)
	var played sync.WaitGroup
	for _, c := range faultwall.Cases() {
		if c.Timed() {
			continue
		}
		played.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			_, err := c.Run(t.Context(), faultwall.Loopback(), time.Second, open)
			assert.NoError(t, err, c.Name)
		})
	}
	played.Wait()
	all := r.told()
	if at := strings.Index(all, faultwall.SecretMark); at >= 0 {
		t.Errorf("a secret got out: …%s", all[max(0, at-200):at])
	}
	for _, said := range []string{"says the primary", "malformed HTTP", "gen_ai.client.operation.duration"} {
		assert.True(t, strings.Contains(all, said), "the test looks at something: %s", said) //nolint:testifylint // it would print it all
	}
}
