// Command faults plays every known fault of a provider or network against a
// gateway, over real sockets, and shows the outcomes: once with a fallback and
// once without, in both formats. Then it plays the sixteen scenarios of
// failoverbench, a public benchmark, at their real durations.
//
//	go run ./examples/faults                        # everything, in about 80 seconds
//	go run ./examples/faults -quick                 # without the benchmark, in about ten
//	go run ./examples/faults -update docs/faults.md # everything, and write the tables
//
// It ends with 0 only if every outcome is the right one, and writes only then.
// The right outcome of a fault stands in internal/gatewaytest/faultwall/faults.go, one
// entry each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/faultwall"
	"github.com/aigateway-go/aigateway/internal/section"
)

func main() {
	quick := flag.Bool("quick", false, "leave out the benchmark, which takes over a minute")
	update := flag.String("update", "", "the Markdown `FILE` to write the tables to, between its faults markers")
	flag.Parse()
	if *quick && *update != "" {
		fmt.Fprintln(os.Stderr, "faults: -update needs the benchmark: leave -quick out")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	p := program{open: openGateway, pace: time.Second, cases: faultwall.Cases(), scenarios: faultwall.Scenarios()}
	if *quick {
		p.scenarios = nil
	}
	var tables strings.Builder
	err := p.run(ctx, os.Stdout, &tables)
	stop()
	if err == nil && *update != "" {
		err = section.Write(*update, "faults", tables.String())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults: not as it should be:", err)
		os.Exit(1)
	}
}

// program is a selection of faults and scenarios, and the gateway to play them
// against.
type program struct {
	open      faultwall.OpenFunc
	pace      time.Duration // of what waits, such as a timeout
	cases     []faultwall.Case
	scenarios []faultwall.Scenario
}

// run plays everything. It prints the tables to out, and the tables without the
// last words to tables as well. The error says how many rows are not as they
// should be.
func (p program) run(ctx context.Context, out, tables io.Writer) error {
	begin, before := time.Now(), runtime.NumGoroutine()
	// All wait much and work little: the benchmark runs beside the faults.
	scores := start(len(p.scenarios)*2, len(p.scenarios)*2, func(i int) (*faultwall.Score, error) {
		return p.scenarios[i/2].Run(ctx, faultwall.Loopback(), i%2 == 0, p.open)
	})
	outcomes := start(len(p.cases), 32, func(i int) (*faultwall.Outcome, error) {
		return p.cases[i].Run(ctx, faultwall.Loopback(), p.pace, p.open)
	})
	both := io.MultiWriter(out, tables)
	failed := p.faultTables(both, outcomes)
	if len(p.scenarios) > 0 {
		failed += p.benchTable(both, scores)
	}
	settle(before)
	fmt.Fprintf(out, "\n%d cases and %d scenarios in %.0f s; %d goroutines before, %d after.\n",
		len(p.cases), 2*len(p.scenarios), time.Since(begin).Seconds(), before, runtime.NumGoroutine())
	switch n := runtime.NumGoroutine(); {
	case failed > 0:
		return fmt.Errorf("%d rows, marked above", failed)
	case n > before:
		return fmt.Errorf("%d goroutines are left over", n-before)
	case ctx.Err() != nil:
		return errors.New("interrupted")
	}
	fmt.Fprintln(out, "All as it should be.")
	return nil
}

// openGateway makes a gateway as a service would: from a document, a source of
// secrets, and a hook.
func openGateway(setup faultwall.Setup) (http.Handler, error) {
	cfg, err := aigateway.ParseConfig(setup.Config)
	if err != nil {
		return nil, err
	}
	if setup.Secret != nil {
		cfg.Secrets = aigateway.SecretResolverFunc(func(ctx context.Context, _, _ string) (string, error) { return setup.Secret(ctx) })
	}
	if setup.Transport != nil {
		cfg.Transport = setup.Transport
	}
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) {
		data, err := json.Marshal(res)
		if err != nil {
			data = nil // the wall will miss it
		}
		setup.Done(data)
	}}
	return aigateway.New(cfg)
}

// played is the outcome of one run.
type played[T any] struct {
	value *T
	err   error
}

// start plays n runs, at most limit at a time. Each channel gets one outcome.
func start[T any](n, limit int, play func(i int) (*T, error)) []chan played[T] {
	ends := make([]chan played[T], n)
	places := make(chan struct{}, limit)
	for i := range ends {
		ends[i] = make(chan played[T], 1)
		go func() {
			places <- struct{}{}
			defer func() { <-places }()
			value, err := play(i)
			ends[i] <- played[T]{value, err}
		}()
	}
	return ends
}

// settle waits until the goroutines of closed connections have ended.
func settle(before int) {
	timeout := time.NewTimer(3 * time.Second)
	defer timeout.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-look.C:
		case <-timeout.C:
			return
		}
	}
}
