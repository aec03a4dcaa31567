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
)

const (
	// readHeaderTimeout and idleTimeout free connections that send nothing. They
	// are the only two timeouts of the server: ReadTimeout and WriteTimeout run
	// from the start of a request to its end, and would cut every long stream.
	// How long an answer may take is for the gateway's config to say.
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// cutTimeout is how long requests that are cut off have to end: enough for
	// their lines in the log.
	cutTimeout = time.Second
)

// service serves the gateway's clients on one address and those who run it on
// another, so that neither can be reached by the other's way.
type service struct {
	logger *slog.Logger
	server *http.Server
	admin  *http.Server
	ended  chan error // why serving ended by itself

	listener, adminListener net.Listener // the second is nil where it is turned off

	cut      context.CancelCauseFunc // ends every request under way
	draining atomic.Bool
	underWay atomic.Int64
}

// newService makes a service of the gateway and its debug page.
func newService(gateway, debug http.Handler, logger *slog.Logger) *service {
	s := &service{
		logger: logger,
		// Buffered, so that the goroutines end also when nobody asks how.
		ended: make(chan error, 2),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("/debug/aigateway", debug)
	s.admin = newServer(mux, logger)

	// A page that is open in a browser on this machine must not spend the keys.
	s.server = newServer(s.count(http.NewCrossOriginProtection().Handler(gateway)), logger)
	var base context.Context
	// Requests that are cut off can say why their context ended. Without a cause
	// it looks as if the client had left.
	base, s.cut = context.WithCancelCause(context.Background())
	s.server.BaseContext = func(net.Listener) context.Context { return base }
	return s
}

func newServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// ready answers a load balancer that asks whether to send requests here.
func (s *service) ready(w http.ResponseWriter, _ *http.Request) {
	if s.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// count counts the requests under way. While the service drains, it has clients
// come back by another connection: one that is kept would be closed under the
// request that is sent on it next.
func (s *service) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.underWay.Add(1)
		defer s.underWay.Add(-1)
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// listen takes both addresses, or none, and starts to serve.
func (s *service) listen(addr, adminAddr string) (err error) {
	if s.listener, err = net.Listen("tcp", addr); err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	if adminAddr != "" {
		if s.adminListener, err = net.Listen("tcp", adminAddr); err != nil {
			s.listener.Close()
			return fmt.Errorf("-admin-listen: %w", err)
		}
		go func() { s.ended <- s.admin.Serve(s.adminListener) }()
	}
	go func() { s.ended <- s.server.Serve(s.listener) }()
	return nil
}

// announce says where the service is, an address a line.
func (s *service) announce(stdout io.Writer) {
	fmt.Fprintf(stdout, "listening on http://%s\n", s.listener.Addr())
	if s.adminListener != nil {
		fmt.Fprintf(stdout, "health and debug page on http://%s\n", s.adminListener.Addr())
	}
}

// drain ends the service, and returns the exit code. It takes requests for the
// delay, as whoever sends them needs a while to see that it is not ready, and
// then gives those under way until the limit. The admin address answers until
// the end.
func (s *service) drain(delay, limit time.Duration) int {
	defer s.admin.Close()
	s.draining.Store(true)
	s.logger.Info("draining", "delay", delay.String(), "limit", limit.String())
	select {
	case <-time.After(delay):
	case err := <-s.ended:
		return fail(s.logger, "serving ended", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := s.server.Shutdown(ctx)
	switch n := s.underWay.Load(); {
	case err != nil && n > 0:
		return s.cutOff(n, limit)
	case errors.Is(err, context.DeadlineExceeded):
		s.server.Close() // connections on which no whole request has come
	case err != nil:
		return fail(s.logger, "serving ended", err)
	}
	s.logger.Info("drained")
	return exitOK
}

// cutOff ends the n requests that would go on for longer than whoever sent the
// signal is willing to wait.
func (s *service) cutOff(n int64, limit time.Duration) int {
	code := fail(s.logger, "requests cut off", fmt.Errorf("%d requests still under way after %s, cutting them off", n, limit))
	s.cut(fmt.Errorf("the server was stopped, and the request was still under way after %s", limit))
	ctx, cancel := context.WithTimeout(context.Background(), cutTimeout)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close() // what waits for its client does not look at its context
	}
	return code
}
