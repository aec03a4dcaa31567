// Command example is a gateway whose metrics Prometheus can scrape. Its
// providers are stand-ins in the same process, one of which has no rate left: it
// fails the first request over to the other, and is in cooldown for five seconds.
//
//	curl -s localhost:9464/v1/chat/completions -d '{"model": "llama3.2", "messages": []}'
//	curl -s localhost:9464/metrics
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until the context ends.
func run(ctx context.Context) error {
	handler, err := newHandler() //nolint:contextcheck // New compiles a config; there is no request yet
	if err != nil {
		return err
	}
	server := &http.Server{Addr: "localhost:9464", Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	closed := make(chan error, 1)
	context.AfterFunc(ctx, func() { closed <- server.Close() })
	fmt.Println("try: curl -s localhost:9464/v1/chat/completions -d '{\"model\": \"llama3.2\", \"messages\": []}'")
	fmt.Println("and: curl -s localhost:9464/metrics")
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}

// newHandler returns the gateway at /v1/ and its metrics at /metrics.
func newHandler() (http.Handler, error) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	// USD per million tokens.
	input, output := 0.20, 0.60
	pricing := &aigateway.Pricing{Input: &input, Output: &output}
	gateway, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "busy", BaseURL: "https://busy.example", Models: []aigateway.Model{{ID: "llama3.2"}}},
			{ID: "idle", BaseURL: "https://idle.example", Models: []aigateway.Model{{ID: "llama3.2", Pricing: pricing}}},
		},
		Hooks: gatewayotel.Hooks(gatewayotel.Options{
			MeterProvider: metric.NewMeterProvider(metric.WithReader(exporter)),
		}),
		// A service of yours leaves this nil, for real providers.
		Transport: standIns{},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", gateway)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux, nil
}

// standIns answer in the place of all providers.
type standIns struct{}

// RoundTrip answers a chat request, unless it is the busy provider's.
func (standIns) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header := http.StatusOK, http.Header{"Content-Type": {"application/json"}}
	body := `{"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop",` +
		`"message":{"role":"assistant","content":"Hello."}}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`
	if strings.HasPrefix(r.URL.Host, "busy.") {
		status, body = http.StatusTooManyRequests, `{"error":{"message":"try later"}}`
		header.Set("Retry-After", "5")
	}
	return &http.Response{
		StatusCode: status, Header: header,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}, nil
}
