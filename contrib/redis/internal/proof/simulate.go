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
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway"
	gatewayredis "github.com/aigateway-go/aigateway/contrib/redis"
	"github.com/aigateway-go/aigateway/contrib/redis/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// The phases of simulate. They last their time, also with a server that is not up to the
// load.
const (
	learnTime  = 5 * time.Second // two gateways alone, of which the others learn what to write
	warmTime   = 10 * time.Second
	knownAfter = 2 * time.Second // a cooldown that another gateway does not know by then is late
)

// simulate runs many replicas in this process at one real server. Two of them are
// gateways, each with a few requests a second. The others are light: they write records
// as the gateways' and read all, and there is nothing behind. It prints the cost to the
// server, and how old the news are.
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
	var seen wire
	fakes := make([]*fake, min(n, 2))
	for i := range fakes {
		if fakes[i], err = newFake(server.Addr, i, &seen); err != nil { //nolint:contextcheck // New compiles a config; there is no request yet
			return err
		}
		defer func() { _ = fakes[i].client.Close() }()
		all.Go(func() { fakes[i].gateway.Run(ctx) }) //nolint:errcheck // it ends with the context
		all.Go(func() { fakes[i].serve(ctx, rate) })
	}
	pause(ctx, learnTime)
	pattern, err := seen.pattern(rate)
	if err != nil {
		return err
	}
	light := make([]*light, max(n-len(fakes), 0))
	for i := range light {
		if light[i], err = newLight(server.Addr, &pattern, i < listeners); err != nil {
			return err
		}
		all.Go(func() { light[i].run(ctx) })
	}
	pause(ctx, warmTime)
	return measure(ctx, o, server, fakes, light, rate)
}

// measure takes the figures of some seconds.
func measure(ctx context.Context, o *options, server *redistest.Server, fakes []*fake, light []*light, rate int) error {
	before, err := take(server) //nolint:contextcheck // redis-cli has a time of its own
	if err != nil {
		return err
	}
	for _, l := range light {
		l.reset()
	}
	took, late, err := spread(ctx, fakes, o.length)
	if err != nil {
		return err
	}
	after, err := take(server) //nolint:contextcheck // likewise
	if err != nil {
		return err
	}
	var sum lightFigures
	for _, l := range light {
		sum.add(l)
	}
	seconds := after.at.Sub(before.at).Seconds()
	o.printf("%d replicas, %d requests a second each, %.0f s", len(fakes)+len(light), rate, seconds)
	o.printf("server: %.0f exchanges a second, %.0f commands a second with those inside of scripts, in %.2f MB/s, out %.2f MB/s, CPU %.0f %% of a core, memory %.1f MB; this process: CPU %.0f %% of a core",
		(after.scripts-before.scripts)/seconds, (after.commands-before.commands)/seconds,
		(after.in-before.in)/seconds/1e6, (after.out-before.out)/seconds/1e6,
		100*(after.cpu-before.cpu).Seconds()/seconds, after.memory/1e6, 100*(after.own-before.own).Seconds()/seconds)
	slices.Sort(sum.ages)
	slices.Sort(sum.calls)
	o.printf("news at another replica: p50 %.0f ms, p99 %.0f ms after they were written, of %d; a call of the store: p50 %.1f ms, p99 %.1f ms; %d of %d took over %s, %d failed",
		ms(percentile(sum.ages, 0.5)), ms(percentile(sum.ages, 0.99)), len(sum.ages),
		ms(percentile(sum.calls, 0.5)), ms(percentile(sum.calls, 0.99)), sum.slow, len(sum.calls), callTimeout, sum.failed)
	slices.Sort(took)
	o.printf("a cooldown from one gateway at the other: p50 %.0f ms, p99 %.0f ms of %d; %d not within %s",
		ms(percentile(took, 0.5)), ms(percentile(took, 0.99)), len(took), late, knownAfter)
	return nil
}

// fake is a gateway without a network in front or behind.
type fake struct {
	gateway *aigateway.Gateway
	debug   http.Handler
	client  *redis.Client
}

func newFake(addr string, i int, seen *wire) (*fake, error) {
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 2, ContextTimeoutEnabled: true, MaxRetries: -1})
	client.AddHook(seen)
	store, err := gatewayredis.New(gatewayredis.Options{Client: client, Prefix: "simulation"})
	if err != nil {
		return nil, err
	}
	cfg := aigateway.Config{
		Shared: store, SharedSecret: []byte(secret), ReplicaName: fmt.Sprint("fake-", i),
		Transport:                    roundTripper(standIn),
		OnlyAllowConfiguredProviders: true,
	}
	for p := range 2 * models {
		cfg.Providers = append(cfg.Providers, aigateway.Provider{
			ID: fmt.Sprint("p", p), BaseURL: "https://p.example", APIKeys: []aigateway.APIKey{{Value: "sk-1"}},
			Models: []aigateway.Model{{ID: "m"}},
		})
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return nil, err
	}
	return &fake{gateway, gateway.DebugHandler(), client}, nil
}

// models get the requests of a replica in turn. As many others cool down.
const models = 5

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

// ask sends one request.
func (f *fake) ask(ctx context.Context, body string) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	f.gateway.ServeHTTP(httptest.NewRecorder(), r)
}

func (f *fake) serve(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			f.ask(ctx, body("hi", fmt.Sprintf("p%d:m", models+i%models)))
		case <-ctx.Done():
			return
		}
	}
}

// spread begins cooldowns at one gateway, and measures when the other knows. It counts
// those that come late.
func spread(ctx context.Context, fakes []*fake, length time.Duration) (took []time.Duration, late int, err error) {
	end := time.Now().Add(length)
	for i := 0; len(fakes) > 1 && time.Now().Before(end.Add(-knownAfter)); i++ {
		name := fmt.Sprint("p", i%models)
		at, other := fakes[i%2], fakes[1-i%2]
		// It cools down already if the one before came late.
		at.ask(ctx, body("status=429", name+":m"))
		d, err := until(ctx, knownAfter, measured, func() (bool, error) {
			state, err := other.state(ctx)
			if err != nil {
				return false, err
			}
			return slices.ContainsFunc(state.Models, func(m stateModel) bool {
				return m.Provider == name && m.Health.State == "cooldown"
			}), nil
		})
		switch {
		case ctx.Err() != nil:
			return took, late, context.Cause(ctx)
		case err != nil:
			late++
		default:
			took = append(took, d)
		}
		pause(ctx, 300*time.Millisecond)
	}
	pause(ctx, time.Until(end))
	return took, late, nil
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
	cpu, own                           time.Duration // of the server and of this process
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
	c.scripts, _ = strconv.ParseFloat(calls, 64) // none yet
	var bad error
	if c.cpu, bad = server.CPU(); bad != nil {
		return c, errors.Join(err, bad)
	}
	c.own, bad = redistest.ProcessCPU(os.Getpid())
	return c, errors.Join(err, bad)
}
