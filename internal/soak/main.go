// Command soak keeps a gateway under mixed traffic and random faults, over sockets.
// It ends with 1 unless goroutines, connections and heap return to their start.
//
//	go run ./internal/soak -for 10m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway"
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long")
	clients := flag.Int("clients", 64, "how many at once")
	seed := flag.Uint64("seed", rand.Uint64(), "of the choice of faults")
	flag.Parse()
	if err := run(os.Stdout, *length, *clients, *seed); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The slacks allow for noise of the runtime, but not for growth with time.
const (
	slackGoroutines = 4
	slackHeap       = 8 << 20 // bytes
	warmUp          = 3 * time.Second
	settleTime      = 15 * time.Second
)

// run soaks a gateway. The figures at the start are taken after some traffic of the
// same kind, for pools and caches are full by then.
func run(out io.Writer, length time.Duration, clients int, seed uint64) error {
	s, err := newSoak(seed)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintf(out, "seed %d, %d clients, %v\n", seed, clients, length)
	s.traffic(min(length, warmUp), clients, io.Discard)
	begin := s.settled(figures{})
	fmt.Fprintf(out, "begin    %s\n", begin)

	s.traffic(length, clients, out)
	end := s.settled(begin)
	fmt.Fprintf(out, "end      %s\n", end)
	for outcome := range outcomes {
		fmt.Fprintf(out, "%-8s %d\n", outcome.String(), s.count[outcome].Load())
	}
	if err := begin.compare(end); err != nil {
		return err
	}
	if n := s.firstFault.Load(); n != nil {
		return fmt.Errorf("an answer is not what it should be: %s", *n)
	}
	return nil
}

// figures must return to their start.
type figures struct {
	goroutines  int
	connections int64 // to the providers and to the gateway
	heap        uint64
}

func (f figures) String() string {
	return fmt.Sprintf("goroutines %d, connections %d, heap %.1f MiB", f.goroutines, f.connections, float64(f.heap)/(1<<20))
}

func (f figures) compare(end figures) error {
	var errs []error
	if end.goroutines > f.goroutines+slackGoroutines {
		errs = append(errs, fmt.Errorf("%d goroutines are left", end.goroutines-f.goroutines))
	}
	if end.connections > 0 {
		errs = append(errs, fmt.Errorf("%d connections are left", end.connections))
	}
	if end.heap > f.heap+f.heap/4+slackHeap {
		errs = append(errs, fmt.Errorf("the heap has grown by %.1f MiB", float64(end.heap-f.heap)/(1<<20)))
	}
	return errors.Join(errs...)
}

// soak is a gateway between clients and providers that fail at random.
type soak struct {
	random  *faults
	gateway *aigateway.Gateway
	server  *httptest.Server
	hosts   []*httptest.Server
	client  *http.Client
	open    atomic.Int64
	count   [outcomes]atomic.Int64
	// firstFault is the first answer that must not be; nil if all were good.
	firstFault atomic.Pointer[string]
}

const hostCount = 3

func newSoak(seed uint64) (*soak, error) {
	s := &soak{random: newFaults(seed)}
	for i := range hostCount {
		s.hosts = append(s.hosts, s.serve(s.random.provider(i)))
	}
	g, err := aigateway.New(s.config(0))
	if err != nil {
		s.close()
		return nil, err
	}
	s.gateway, s.server = g, s.serve(g)
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	return s, nil
}

// serve counts the connections of a server.
func (s *soak) serve(h http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = discard() // of handlers that abort, and garbage from clients
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.open.Add(-1)
		}
	}
	server.Start()
	return server
}

// config is one of two that are taken in turn.
func (s *soak) config(n int) aigateway.Config {
	cfg := aigateway.Config{
		PerRequestTimeout: "400ms", TotalTimeout: "2s", FirstTokenTimeout: "300ms", MaxAttempts: 6, MaxRetries: n % 2,
		ModelSelection:    aigateway.ModelSelection{Strategy: []string{"ai.models.sortBy(m, m.metrics.endpoint.error_rate.total)"}},
		InternalEndpoints: map[string]string{},
		Secrets:           s.random,
		Hooks:             &aigateway.Hooks{RequestDone: func(context.Context, *aigateway.Result) {}},
	}
	if n%3 == 0 {
		cfg.StreamCommit = aigateway.CommitComplete
	}
	for i, host := range s.hosts {
		id := fmt.Sprintf("p%d", i)
		cfg.InternalEndpoints[id+".internal"] = host.URL
		cfg.Providers = append(cfg.Providers, aigateway.Provider{
			ID: id, BaseURL: "http://" + id + ".internal", Models: []aigateway.Model{{ID: "m"}},
			APIKeys: []aigateway.APIKey{{Value: "${secrets.get('v', 'one')}"}, {Value: "${secrets.get('v', 'two')}"}},
		})
	}
	return cfg
}

// traffic sends requests for a while, reloads, and reports its progress.
func (s *soak) traffic(length time.Duration, clients int, out io.Writer) {
	ctx, stop := context.WithTimeout(context.Background(), length)
	defer stop()
	var senders sync.WaitGroup
	for range clients {
		senders.Go(func() {
			for ctx.Err() == nil {
				s.send(ctx)
			}
		})
	}
	senders.Go(func() {
		reload, tell := time.NewTicker(500*time.Millisecond), time.NewTicker(30*time.Second)
		defer reload.Stop()
		defer tell.Stop()
		for n := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-reload.C:
				n++
				cfg := s.config(n)
				if n%4 == 0 {
					cfg.MaxAttempts = -1 // refused
				}
				if err := s.gateway.Reload(cfg); (err != nil) != (n%4 == 0) {
					s.fault("reload %d: %v", n, err)
				}
			case <-tell.C:
				fmt.Fprintf(out, "         goroutines %d, connections %d, %d answers\n", runtime.NumGoroutine(), s.open.Load(), s.count[answered].Load())
			}
		}
	})
	senders.Wait()
}

// fault notes an answer that must not be.
func (s *soak) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.firstFault.CompareAndSwap(nil, &text)
}

// settled closes idle connections, as a gateway keeps them for the next requests. It
// returns the figures as soon as they are down to those before, and at the latest
// after settleTime.
func (s *soak) settled(before figures) figures {
	deadline := time.NewTimer(settleTime)
	defer deadline.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for last := 0; ; {
		s.client.CloseIdleConnections()
		for _, h := range append(s.hosts, s.server) {
			h.CloseClientConnections()
		}
		f := s.figures()
		if f.connections == 0 && (before == figures{} && f.goroutines == last || before != figures{} && before.compare(f) == nil) {
			return f
		}
		last = f.goroutines
		select {
		case <-look.C:
		case <-deadline.C:
			return s.figures()
		}
	}
}

func (s *soak) figures() figures {
	runtime.GC()
	runtime.GC() // sync.Pool keeps its content over the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return figures{runtime.NumGoroutine(), s.open.Load(), m.HeapAlloc}
}

func (s *soak) close() {
	if s.server != nil {
		s.client.CloseIdleConnections()
		s.server.Close()
	}
	for _, h := range s.hosts {
		h.CloseClientConnections()
		h.Close()
	}
}
