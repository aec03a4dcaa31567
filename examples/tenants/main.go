// Command tenants serves a gateway to tenants with keys, limits and budgets of their
// own. An audit log holds each prompt without addresses and card numbers.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
	"github.com/go-chi/chi/v5"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := loadKeys("tenants.txt")
	if err != nil {
		log.Fatal(err)
	}
	public, admin, err := services(cfg, keys, slog.New(slog.NewJSONHandler(os.Stderr, nil)), os.Stdout)
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.ListenAndServe("localhost:8081", admin)) }()
	log.Fatal(http.ListenAndServe("localhost:8080", public))
}

// services are the gateway for tenants, and the page and the metrics for operators.
func services(cfg aigateway.Config, keys map[string]tenant, logger *slog.Logger, audit io.Writer) (public, admin http.Handler, err error) {
	registry := prom.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry))
	if err != nil {
		return nil, nil, err
	}
	cfg.Logger = logger
	cfg.Hooks = gatewayotel.Hooks(gatewayotel.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(exporter))})
	cfg.Caller = func(r *http.Request) string { return tenantOf(r.Context()).Name }
	cfg.Labels = func(r *http.Request) []slog.Attr { return []slog.Attr{slog.String("plan", tenantOf(r.Context()).Plan)} }
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	r, ops := chi.NewRouter(), chi.NewRouter()
	r.Use(authenticate(keys), redact, audited(slog.New(slog.NewJSONHandler(audit, nil))))
	r.Handle("/v1/*", gateway)
	ops.Handle("/debug/aigateway", gateway.DebugHandler())
	ops.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return r, ops, nil
}

// tenant is a line of tenants.txt: name, plan, and the SHA-256 of its key. Keys are
// long and random, so that a fast hash is enough.
type tenant struct{ Name, Plan string }

type tenantKey struct{}

func tenantOf(ctx context.Context) tenant { t, _ := ctx.Value(tenantKey{}).(tenant); return t }

func loadKeys(path string) (map[string]tenant, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	keys := map[string]tenant{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0][0] != '#' {
			keys[fields[2]] = tenant{fields[0], fields[1]}
		}
	}
	return keys, lines.Err()
}

// authenticate finds the tenant of a key. The gateway sees the tenant, and neither
// the key nor a client's own X-Plan.
func authenticate(keys map[string]tenant) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sum := sha256.Sum256([]byte(cmp.Or(r.Header.Get("X-Api-Key"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))))
			t, ok := keys[hex.EncodeToString(sum[:])]
			if !ok {
				aigateway.WriteError(w, r, &aigateway.Error{Code: "invalid_api_key", Status: http.StatusUnauthorized, Message: "this key is not known here"})
				return
			}
			r.Header.Del("X-Api-Key")
			r.Header.Del("Authorization")
			r.Header.Set("X-Plan", t.Plan) // client_limits read it
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, t)))
		})
	}
}

var private = regexp.MustCompile(`[\w.+-]+@[\w-]+\.[\w.-]+\w|\b(?:\d{4}[ -]?){3}\d{4}\b`)

// redact cuts e-mail addresses and card numbers out of prompts. No provider and no
// log ever sees them.
func redact(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
		if err != nil || r.Header.Get("Content-Encoding") != "" {
			aigateway.WriteError(w, r, &aigateway.Error{Code: aigateway.CodeInvalidRequestBody, Message: "send a whole body of at most 8 MiB, without Content-Encoding"})
			return
		}
		body = private.ReplaceAll(body, []byte("[redacted]"))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), promptKey{}, body)))
	})
}

type promptKey struct{}

// audited writes a line of who asked what, of whom, and at what price: also for a
// stream that breaks, which ends in a panic.
func audited(audit *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(aigateway.WithResult(r.Context()))
			defer func() {
				if res, ok := aigateway.ResultFromContext(r.Context()); ok {
					prompt, _ := r.Context().Value(promptKey{}).([]byte)
					audit.Info("audit", "tenant", res.Client.Caller, "request_id", res.RequestID, "status", res.Status,
						"served_by", res.Success, "usage", res.Usage, "cost", res.Cost, "prompt", json.RawMessage(prompt))
				}
			}()
			next.ServeHTTP(w, r)
		})
	}
}
