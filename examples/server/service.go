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
	// readHeaderTimeout and idleTimeout free connections that send nothing. The server
	// has no ReadTimeout and no WriteTimeout: they run from the start of a request to
	// its end, and would cut every long stream. The config's client_timeout bounds each
	// wait for a client instead.
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// writeByteTimeout ends an HTTP/2 connection that takes no bytes. The gateway's
	// client_timeout can end only a stream, and then waits for the connection.
	writeByteTimeout = 30 * time.Second
	// sendPingTimeout is the silence of an HTTP/2 connection until it is pinged, and
	// pingTimeout the wait for the answer.
	sendPingTimeout = 30 * time.Second
	pingTimeout     = 15 * time.Second
	// cutTimeout is the time for requests that are cut off to end, and to be logged.
	cutTimeout = time.Second
	// quietInterval is the time between two looks at the number of requests under way.
	quietInterval = 10 * time.Millisecond
)

// service serves the gateway on one address. If asked to, it serves the debug page on
// another, out of reach for clients. Health is on both.
type service struct {
	logger *slog.Logger
	guard  *guard
	ended  chan error // the reasons of serving to end by itself

	gateway, debug http.Handler
	server, admin  *http.Server

	listener, adminListener net.Listener // the second is nil unless asked for

	cut      context.CancelCauseFunc // ends every request under way
	draining atomic.Bool
	underWay atomic.Int64
}

// newService makes a service of the gateway and its debug page.
func newService(gateway, debug http.Handler, g *guard) *service {
	s := &service{
		logger: g.logger, guard: g, gateway: gateway, debug: debug,
		server: newServer(g.logger), admin: newServer(g.logger),
		// Buffered, so that the goroutines end also without a reader.
		ended: make(chan error, 2),
	}
	var base context.Context
	// With a cause, requests that are cut off can say why their context ended. Without
	// one the client seems to have left.
	base, s.cut = context.WithCancelCause(context.Background())
	s.server.BaseContext = func(net.Listener) context.Context { return base }
	return s
}

// newServer makes a server for HTTP/1 and for HTTP/2 without TLS, as proxies speak it
// to the services behind them.
func newServer(logger *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Protocols:         protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		HTTP2: &http.HTTP2Config{
			WriteByteTimeout: writeByteTimeout,
			SendPingTimeout:  sendPingTimeout,
			PingTimeout:      pingTimeout,
		},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}

// health answers /healthz and /readyz. They are asked by any name: a load balancer
// knows only the address.
func (s *service) health(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asks := r.Method == http.MethodGet || r.Method == http.MethodHead; {
		case asks && r.URL.Path == "/healthz":
			fmt.Fprintln(w, "ok")
		case asks && r.URL.Path == "/readyz":
			s.ready(w)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ready answers a load balancer's question whether to send requests here. It does not
// ask the providers: a gateway without one can still say so better than no gateway.
func (s *service) ready(w http.ResponseWriter) {
	if s.draining.Load() {
		http.Error(w, "draining", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// count counts the requests under way. While the service drains, it asks clients to
// come back on another connection. A kept one would be closed under its next request.
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

// listen takes both addresses, or neither, and starts to serve. Without an admin
// address the debug page is not served.
func (s *service) listen(addr, adminAddr string) (err error) {
	if s.listener, err = net.Listen("tcp", addr); err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	if adminAddr != "" {
		if s.adminListener, err = net.Listen("tcp", adminAddr); err != nil {
			s.listener.Close()
			return fmt.Errorf("-admin-listen: %w", err)
		}
		mux := http.NewServeMux()
		mux.Handle("/debug/aigateway", s.debug)
		s.admin.Handler = s.health(s.guard.host(s.adminListener.Addr(), mux))
		go func() { s.ended <- s.admin.Serve(s.adminListener) }()
	}
	s.server.Handler = s.count(s.health(s.guard.host(s.listener.Addr(), s.guard.origin(s.gateway))))
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

// drain ends the service, and returns the exit code. For the delay it takes requests:
// load balancers need a while to see that it is not ready. Then requests under way
// have until the limit. The admin address answers until the end.
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
	if err == nil {
		err = s.quiet(ctx)
	}
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

// cutOff ends the n requests that are still under way at the limit.
func (s *service) cutOff(n int64, limit time.Duration) int {
	code := fail(s.logger, "requests cut off", fmt.Errorf("%d requests still under way after %s, cutting them off", n, limit))
	s.cut(fmt.Errorf("the server was stopped, and the request was still under way after %s", limit))
	ctx, cancel := context.WithTimeout(context.Background(), cutTimeout)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close() // a handler that waits for its client does not see its context end
	}
	s.quiet(ctx)
	return code
}
