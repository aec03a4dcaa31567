package main

import (
	"context"
	"errors"
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
	// cutTimeout is the time for requests that are cut off to end, and to be logged.
	cutTimeout = time.Second
	// quietInterval is the time between two looks at the number of requests under way.
	quietInterval = 10 * time.Millisecond
)

// service serves the gateway on one address, and the debug page on another. Health is
// on both.
type service struct {
	logger        *slog.Logger
	ended         chan error // the reasons of serving to end by itself
	server, admin *http.Server
	cut           context.CancelCauseFunc // ends every request under way
	draining      atomic.Bool
	underWay      atomic.Int64

	listener, adminListener net.Listener // the second is nil unless asked for
}

func newService(gateway http.Handler, logger *slog.Logger) *service {
	s := &service{logger: logger, ended: make(chan error, 2), server: newServer(logger), admin: newServer(logger)}
	s.server.Handler = s.count(s.health(gateway))
	// A cause tells a request that is cut off from one whose client has left.
	base, cut := context.WithCancelCause(context.Background())
	s.cut, s.server.BaseContext = cut, func(net.Listener) context.Context { return base }
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
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() { // a kept connection would be closed under its next request
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}

// count counts the requests under way.
func (s *service) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.underWay.Add(1)
		defer s.underWay.Add(-1)
		next.ServeHTTP(w, r)
	})
}

// listen takes both addresses, or neither, and starts to serve.
func (s *service) listen(addr, adminAddr string, gateway *aigateway.Gateway) (err error) {
	if s.listener, err = net.Listen("tcp", addr); err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	if adminAddr != "" {
		if s.adminListener, err = net.Listen("tcp", adminAddr); err != nil {
			_ = s.listener.Close()
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
	_, _ = fmt.Fprintf(stdout, "listening on http://%s\n", s.listener.Addr())
	if s.adminListener != nil {
		_, _ = fmt.Fprintf(stdout, "health and debug page on http://%s\n", s.adminListener.Addr())
	}
}

// drain takes requests for the delay, since load balancers need a while to see that
// it is not ready. Then requests under way have until the limit.
func (s *service) drain(delay, limit time.Duration) error {
	defer func() { _ = s.admin.Close() }()
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
	err := s.server.Shutdown(ctx)
	if err == nil {
		err = s.quiet(ctx)
	}
	switch n := s.underWay.Load(); {
	case err != nil && n > 0:
		s.cutOff(limit)
		return fmt.Errorf("%d requests still under way after %s", n, limit)
	case errors.Is(err, context.DeadlineExceeded):
		_ = s.server.Close() // connections on which no whole request has come
	case err != nil:
		return err
	}
	s.logger.Info("drained")
	return nil
}

// quiet waits until no request is under way, or the context ends. Shutdown does not
// wait for WebSockets: their connections are the gateway's own.
func (s *service) quiet(ctx context.Context) error {
	tick := time.NewTicker(quietInterval)
	defer tick.Stop()
	for s.underWay.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// cutOff ends the requests that are still under way at the limit.
func (s *service) cutOff(limit time.Duration) {
	s.cut(fmt.Errorf("the server was stopped, and the request was still under way after %s", limit))
	ctx, cancel := context.WithTimeout(context.Background(), cutTimeout)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // a handler that waits for its client does not see its context end
	}
	s.quiet(ctx) //nolint:errcheck // the process ends either way
}
