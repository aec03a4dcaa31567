// Command faults plays every known failure of a provider against a gateway, over
// real sockets, and prints the outcomes: with a fallback and without one, in all
// formats. Then it plays the sixteen scenarios of failoverbench, a public
// benchmark, at their real durations.
//
//	go run ./examples/faults         # everything, in about 80 seconds
//	go run ./examples/faults -quick  # without the benchmark, in about ten
//
// It exits with 0 only if every outcome is right. The right outcome of a fault
// is one entry of a table in internal/gatewaytest/faultwall/faults.go.
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
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/faultwall"
)

func main() {
	quick := flag.Bool("quick", false, "leave out the benchmark, which takes over a minute")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	p := program{open: openGateway, pace: time.Second, cases: faultwall.Cases(), scenarios: faultwall.Scenarios()}
	if *quick {
		p.scenarios = nil
	}
	err := p.run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults: not as it should be:", err)
		os.Exit(1)
	}
}

// program is a list of cases and scenarios, and the gateway to play them
// against.
type program struct {
	open      faultwall.OpenFunc
	pace      time.Duration // of what waits, such as a timeout
	cases     []faultwall.Case
	scenarios []faultwall.Scenario
}

// run plays everything and prints the tables. The error counts the failed rows.
func (p program) run(ctx context.Context, out io.Writer) error {
	begin, before := time.Now(), runtime.NumGoroutine()
	// They wait much and work little, so the benchmark runs beside the faults.
	scores := start(len(p.scenarios)*2, len(p.scenarios)*2, func(i int) (*faultwall.Score, error) {
		return p.scenarios[i/2].Run(ctx, faultwall.Loopback(), i%2 == 0, p.open)
	})
	outcomes := start(len(p.cases), 32, func(i int) (*faultwall.Outcome, error) {
		return p.cases[i].Run(ctx, faultwall.Loopback(), p.pace, p.open)
	})
	failed := p.faultTables(out, outcomes)
	if len(p.scenarios) > 0 {
		failed += p.benchTable(out, scores)
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

// openGateway makes a gateway as your program would: from a document, a source
// of secrets, and a hook.
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
			data = nil // the wall reports the missing Result
		}
		setup.Done(data)
	}}
	return aigateway.New(cfg)
}

// played is the end of one run.
type played[T any] struct {
	value *T
	err   error
}

// start starts n runs, at most limit at a time, and returns their ends.
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
