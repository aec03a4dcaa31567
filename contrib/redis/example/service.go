package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway"
)

const (
	// readHeaderTimeout and idleTimeout free connections that send nothing. A whole
	// request has no timeout here: streams are long, and the config's client_timeout
	// bounds each wait for a client.
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
)

// service serves the gateway on one address, and the debug page on another. Health is
// on both.
type service struct {
	logger        *slog.Logger
	ended         chan error // the reasons of serving to end by itself
	server, admin *http.Server
	draining      atomic.Bool

	listener, adminListener net.Listener // the second is nil unless asked for
}

func newService(gateway http.Handler, logger *slog.Logger) *service {
	s := &service{logger: logger, ended: make(chan error, 2), server: newServer(logger), admin: newServer(logger)}
	s.server.Handler = s.health(gateway)
	return s
}

func newServer(logger *slog.Logger) *http.Server {
	return &http.Server{
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// health answers /healthz and /readyz. A replica without its store is ready: it serves
// by what it knows.
func (s *service) health(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() { // a kept connection would be closed under its next request
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}

// listen takes both addresses, or neither, and starts to serve.
func (s *service) listen(addr, adminAddr string, gateway *aigateway.Gateway) (err error) {
	if s.listener, err = net.Listen("tcp", addr); err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	if adminAddr != "" {
		if s.adminListener, err = net.Listen("tcp", adminAddr); err != nil {
			s.listener.Close()
			return fmt.Errorf("-admin-listen: %w", err)
		}
		mux := http.NewServeMux()
		mux.Handle("/debug/aigateway", gateway.DebugHandler())
		s.admin.Handler = s.health(mux)
		go func() { s.ended <- s.admin.Serve(s.adminListener) }()
	}
	go func() { s.ended <- s.server.Serve(s.listener) }()
	return nil
}

// announce prints the addresses, one a line.
func (s *service) announce(stdout io.Writer) {
	fmt.Fprintf(stdout, "listening on http://%s\n", s.listener.Addr())
	if s.adminListener != nil {
		fmt.Fprintf(stdout, "health and debug page on http://%s\n", s.adminListener.Addr())
	}
}

// drain takes requests for the delay, since load balancers need a while to see that
// it is not ready. Then requests under way have until the limit.
func (s *service) drain(delay, limit time.Duration) error {
	defer s.admin.Close()
	s.draining.Store(true)
	s.logger.Info("draining", "delay", delay.String(), "limit", limit.String())
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case err := <-s.ended:
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.server.Close()
		return fmt.Errorf("requests still under way after %s: %w", limit, err)
	}
	s.logger.Info("drained")
	return nil
}
