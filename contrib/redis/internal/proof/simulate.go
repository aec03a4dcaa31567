package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway"
	gatewayredis "github.com/aigateway-go/aigateway/contrib/redis"
	"github.com/aigateway-go/aigateway/contrib/redis/internal/redistest"
)

// simulate runs many gateways in this process at one real server, each with a few
// requests a second, and prints the cost to the server.
func simulate(ctx context.Context, o *options) error {
	server, err := redistest.Start("--maxclients", "20000")
	if err != nil {
		return err
	}
	defer server.Close()
	n, rate := o.replicasOr(100), o.rateOr(2)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	fakes := make([]*fake, n)
	for i := range fakes {
		f, err := newFake(server.Addr, i)
		if err != nil {
			return err
		}
		defer f.store.Close()
		fakes[i] = f
		all.Go(func() { f.gateway.Run(ctx) }) //nolint:errcheck // it ends with the context
		all.Go(func() { f.serve(ctx, rate) })
	}
	warm := max(5*time.Second, time.Duration(n)*20*time.Millisecond)
	pause(ctx, warm)
	before, err := take(server)
	if err != nil {
		return err
	}
	took, ages, err := spread(ctx, fakes, o.length)
	if err != nil {
		return err
	}
	after, err := take(server)
	if err != nil {
		return err
	}
	seconds := after.at.Sub(before.at).Seconds()
	o.printf("%d replicas, %d requests a second each, %.0f s", n, rate, seconds)
	o.printf("server: %.0f exchanges a second, %.0f commands a second with those inside of scripts, in %.2f MB/s, out %.2f MB/s, CPU %.0f %% of a core, memory %.1f MB",
		(after.scripts-before.scripts)/seconds, (after.commands-before.commands)/seconds,
		(after.in-before.in)/seconds/1e6, (after.out-before.out)/seconds/1e6,
		100*(after.cpu-before.cpu).Seconds()/seconds, after.memory/1e6)
	slices.Sort(took)
	slices.Sort(ages)
	o.printf("a cooldown at %d sampled replicas: p50 %.0f ms, p99 %.0f ms of %d; age of the snapshots: p50 %.0f ms, p99 %.0f ms",
		min(n-1, samples), ms(percentile(took, 0.5)), ms(percentile(took, 0.99)), len(took), ms(percentile(ages, 0.5)), ms(percentile(ages, 0.99)))
	return nil
}

// samples is the number of replicas that are asked.
const samples = 10

// fake is a gateway without a network in front or behind.
type fake struct {
	gateway *aigateway.Gateway
	debug   http.Handler
	store   *gatewayredis.Store
}

func newFake(addr string, i int) (*fake, error) {
	store, err := gatewayredis.New(gatewayredis.Options{URL: "redis://" + addr + "?pool_size=2", Prefix: "simulation", Timeout: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	cfg := aigateway.Config{
		Shared: store, SharedSecret: []byte(secret), ReplicaName: fmt.Sprint("fake-", i),
		Transport:                    roundTripper(standIn),
		OnlyAllowConfiguredProviders: true,
	}
	for p := range 10 {
		cfg.Providers = append(cfg.Providers, aigateway.Provider{
			ID: fmt.Sprint("p", p), BaseURL: "https://p.example", APIKeys: []aigateway.APIKey{{Value: "sk-1"}},
			Models: []aigateway.Model{{ID: "m"}},
		})
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return nil, err
	}
	return &fake{gateway, gateway.DebugHandler(), store}, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// standIn answers as the provider of the other scenarios.
func standIn(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	resp := &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer)), ContentLength: int64(len(answer)),
	}
	if bytes.Contains(text, []byte("status=429")) {
		const refusal = `{"error":{"message":"as asked"}}`
		resp.StatusCode, resp.ContentLength = http.StatusTooManyRequests, int64(len(refusal))
		resp.Header.Set("Retry-After", "1")
		resp.Body = io.NopCloser(strings.NewReader(refusal))
	}
	return resp, nil
}

// ask sends one request, and returns the status.
func (f *fake) ask(ctx context.Context, body string) int {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	f.gateway.ServeHTTP(w, r)
	return w.Code
}

func (f *fake) serve(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			f.ask(ctx, body("hi", fmt.Sprintf("p%d:m", 5+i%5)))
		case <-ctx.Done():
			return
		}
	}
}

// spread begins cooldowns at one replica, and measures when some others know; and how old
// the snapshots of others are.
func spread(ctx context.Context, fakes []*fake, length time.Duration) (took, ages []time.Duration, err error) {
	end := time.Now().Add(length)
	step := max(len(fakes)/samples, 1)
	for i := 0; time.Now().Before(end); i++ {
		name := fmt.Sprint("p", i%5)
		at := i * step % len(fakes)
		if status := fakes[at].ask(ctx, body("status=429", name+":m")); status != http.StatusTooManyRequests {
			return nil, nil, fmt.Errorf("a request that begins a cooldown: %d", status)
		}
		begin := time.Now()
		for j := 0; j < len(fakes) && j < samples*step; j += step {
			other := fakes[(at+1+j)%len(fakes)]
			if other == fakes[at] {
				continue
			}
			_, err := until(ctx, 5*time.Second, func() (bool, error) {
				state, err := other.state(ctx)
				if err != nil {
					return false, err
				}
				for _, m := range state.Models {
					if m.Provider == name && m.Health.State == "cooldown" {
						ages = append(ages, time.Duration(state.Fleet.SnapshotAgeMS*float64(time.Millisecond)))
						return true, nil
					}
				}
				return false, nil
			})
			if err != nil {
				return nil, nil, fmt.Errorf("a cooldown at another replica: %w", err)
			}
			took = append(took, time.Since(begin))
		}
		pause(ctx, 300*time.Millisecond)
	}
	return took, ages, nil
}

func (f *fake) state(ctx context.Context) (*state, error) {
	w := httptest.NewRecorder()
	f.debug.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/aigateway?format=json", nil))
	s := new(state)
	return s, json.NewDecoder(w.Body).Decode(s)
}

// counts are the server's at a time.
type counts struct {
	at                                 time.Time
	scripts, commands, in, out, memory float64
	cpu                                time.Duration
}

func take(server *redistest.Server) (c counts, err error) {
	info, err := server.CLI("INFO", "everything")
	if err != nil {
		return c, err
	}
	c.at = time.Now()
	values := map[string]string{}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		values[name] = value
	}
	for name, to := range map[string]*float64{
		"total_commands_processed": &c.commands, "total_net_input_bytes": &c.in, "total_net_output_bytes": &c.out, "used_memory": &c.memory,
	} {
		var bad error
		*to, bad = strconv.ParseFloat(values[name], 64)
		err = errors.Join(err, bad)
	}
	// calls=12,usec=...
	calls, _, _ := strings.Cut(strings.TrimPrefix(values["cmdstat_evalsha"], "calls="), ",")
	c.scripts, _ = strconv.ParseFloat(calls, 64) //nolint:errcheck // none yet
	cpu, bad := server.CPU()
	c.cpu = cpu
	return c, errors.Join(err, bad)
}
