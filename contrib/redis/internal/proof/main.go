// Command proof shows that a fleet keeps its promises: replicas in processes of their
// own, a real redis-server, a provider and the load beside them. Run it in
// contrib/redis:
//
//	go run ./internal/proof propagation -trials 1000
//	go run ./internal/proof chaos -for 60s
//	go run ./internal/proof probes
//	go run ./internal/proof inflight
//	go run ./internal/proof limits
//	go run ./internal/proof slots
//	go run ./internal/proof restart
//	go run ./internal/proof privacy
//	go run ./internal/proof cpu -rounds 20
//	go run ./internal/proof simulate -replicas 100 -for 20s
//	go run ./internal/proof soak -for 30m
//
// It prints figures. It ends with 1 if a promise is broken.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// options are those of all scenarios.
type options struct {
	out      io.Writer
	replicas int
	trials   int
	length   time.Duration
	rounds   int
	rate     int
	seed     uint64
	update   string // a document of docs, or empty
	// slack multiplies the bounds of time, for machines that are busy. 0 is 1.
	slack int
}

// scenarios are the parts of the proof.
var scenarios = map[string]func(context.Context, *options) error{
	"propagation": propagation,
	"chaos":       chaos,
	"probes":      probes,
	"inflight":    inFlight,
	"limits":      limits,
	"slots":       slots,
	"restart":     restart,
	"privacy":     privacy,
	"cpu":         cpu,
	"simulate":    simulate,
	"soak":        soak,
}

func main() {
	redis.SetLogger(&logging.VoidLogger{})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	removePrograms()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var names []string
	for name := range scenarios {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(args) == 0 || scenarios[args[0]] == nil {
		return fmt.Errorf("say which: %s", strings.Join(names, ", "))
	}
	o := &options{out: out}
	flags := flag.NewFlagSet("proof "+args[0], flag.ContinueOnError)
	flags.IntVar(&o.replicas, "replicas", 0, "how many; 0 is the scenario's own number")
	flags.IntVar(&o.trials, "trials", 1000, "of propagation")
	flags.DurationVar(&o.length, "for", time.Minute, "how long chaos, simulate and soak last")
	flags.IntVar(&o.rounds, "rounds", 20, "of cpu, each with the store and without")
	flags.IntVar(&o.rate, "rate", 0, "requests a second; of each replica in cpu and simulate; 0 is the scenario's own number")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the choice of faults")
	flags.StringVar(&o.update, "update", "", "the Markdown `FILE` to write the figures of propagation and soak to; charts are drawn beside it")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	return scenarios[args[0]](ctx, o)
}

// replicasOr returns the number of replicas, or a scenario's own.
func (o *options) replicasOr(n int) int {
	if o.replicas > 0 {
		return o.replicas
	}
	return n
}

// within returns a bound of time for this machine.
func (o *options) within(d time.Duration) time.Duration { return d * time.Duration(max(o.slack, 1)) }

func (o *options) rateOr(n int) int {
	if o.rate > 0 {
		return o.rate
	}
	return n
}

func (o *options) printf(format string, args ...any) { _, _ = fmt.Fprintf(o.out, format+"\n", args...) }

// percentile returns the value that a share of the sorted durations does not pass.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
