// Command fleetreplica is a replica of a fleet with everything on that only Go can give:
// labels, traces and metrics of OpenTelemetry. The soak of contrib/redis/internal/proof
// starts some. It is a module of its own, because contrib/redis must not need
// OpenTelemetry.
//
// Beside the debug page its second address has GET /figures, with the memory after a
// garbage collection, the profiles of net/http/pprof, and POST /reload.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
	gatewayredis "github.com/aigateway-go/aigateway/contrib/redis"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// replica is a gateway with its servers.
type replica struct {
	config, name string
	secret       []byte
	logger       *slog.Logger
	store        *gatewayredis.Store
	hooks        *aigateway.Hooks
	reader       *metric.ManualReader
	gateway      *aigateway.Gateway
	open         atomic.Int64 // connections of clients
}

// run serves until ctx ends.
func run(ctx context.Context, args []string) error {
	r := &replica{secret: []byte(os.Getenv("AIGATEWAY_SHARED_SECRET")), reader: metric.NewManualReader()}
	flags := flag.NewFlagSet("fleetreplica", flag.ContinueOnError)
	flags.StringVar(&r.config, "config", "", "configuration `FILE`")
	flags.StringVar(&r.name, "name", "", "`NAME` of this replica")
	url := flags.String("redis", "", "`URL` of the store")
	prefix := flags.String("prefix", "", "`PREFIX` of the keys in the store")
	addr := flags.String("listen", "127.0.0.1:0", "`ADDR` for clients")
	adminAddr := flags.String("admin-listen", "127.0.0.1:0", "`ADDR` for operators")
	level := flags.String("log-level", "warn", "log at `LEVEL` and above")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var least slog.Level
	if err := least.UnmarshalText([]byte(*level)); err != nil {
		return err
	}
	r.logger = slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: least}))
	var err error
	if r.store, err = gatewayredis.New(gatewayredis.Options{URL: *url, Prefix: *prefix}); err != nil {
		return err
	}
	defer r.store.Close()
	if err := r.start(); err != nil {
		return err
	}
	// Run goes on while requests end, so that the others know of them.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- r.gateway.Run(running) }()
	defer func() { stop(); <-ended }()
	return r.serve(ctx, *addr, *adminAddr)
}

// start makes the gateway, with telemetry.
func (r *replica) start() error {
	o := gatewayotel.Options{
		TracerProvider: trace.NewTracerProvider(trace.WithBatcher(nowhere{})),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(r.reader)),
	}
	r.hooks = gatewayotel.Hooks(o)
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if r.gateway, err = aigateway.New(cfg); err != nil {
		return err
	}
	_, err = gatewayotel.ObserveFleet(r.gateway, o)
	return err
}

// load reads the config file, and adds what no file says.
func (r *replica) load() (aigateway.Config, error) {
	cfg, err := aigateway.LoadConfig(r.config)
	cfg.Secrets = aigateway.NewSecretCache(aigateway.EnvSecrets(), 0)
	cfg.Logger, cfg.Hooks = r.logger, r.hooks
	cfg.Shared, cfg.SharedSecret, cfg.ReplicaName = r.store, r.secret, r.name
	cfg.Labels = func(req *http.Request) []slog.Attr {
		return []slog.Attr{slog.String("team", req.Header.Get("X-Team")), slog.String("session", req.Header.Get("X-Session"))}
	}
	return cfg, err
}

// serve serves both addresses, and prints them first.
func (r *replica) serve(ctx context.Context, addr, adminAddr string) error {
	clients := &http.Server{Handler: r.gateway, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ConnState: r.count}
	mux := http.NewServeMux()
	mux.Handle("/debug/aigateway", r.gateway.DebugHandler())
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /figures", r.figures)
	mux.HandleFunc("POST /reload", r.reload)
	admin := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 2)
	for _, s := range []struct {
		what, addr string
		server     *http.Server
	}{{"listening", addr, clients}, {"figures and debug page", adminAddr, admin}} {
		l, err := net.Listen("tcp", s.addr)
		if err != nil {
			return err
		}
		fmt.Printf("%s on http://%s\n", s.what, l.Addr())
		go func() { ended <- s.server.Serve(l) }()
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	admin.Close()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return clients.Shutdown(limit)
}

// count counts the open connections.
func (r *replica) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		r.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		r.open.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}

// figures are those of the process, after two garbage collections: a sync.Pool keeps
// its content over the first. The metrics are collected before.
func (r *replica) figures(w http.ResponseWriter, req *http.Request) {
	var collected metricdata.ResourceMetrics
	if err := r.reader.Collect(req.Context(), &collected); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	json.NewEncoder(w).Encode(map[string]any{ //nolint:errcheck // the reader has left
		"heap": m.HeapAlloc, "goroutines": runtime.NumGoroutine(), "connections": r.open.Load(), "metrics": len(collected.ScopeMetrics),
	})
}

// reload takes the config file again.
func (r *replica) reload(w http.ResponseWriter, _ *http.Request) {
	cfg, err := r.load()
	if err == nil {
		err = r.gateway.Reload(cfg)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// nowhere drops spans.
type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []trace.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                          { return nil }
